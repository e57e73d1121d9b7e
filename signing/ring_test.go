package signing_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"sluice/media"
	"sluice/signing"
)

func secret(b byte) []byte { return bytes.Repeat([]byte{b}, signing.MinSecret) }

func at(t time.Time) signing.Options { return signing.Options{Now: func() time.Time { return t }} }

var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

func newRing(tb testing.TB, now time.Time, keys ...signing.Key) *signing.Ring {
	tb.Helper()
	if len(keys) == 0 {
		keys = []signing.Key{{ID: 1, Secret: secret('a'), Use: signing.Sign}}
	}
	r, err := signing.New(keys, at(now))
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

func TestNew(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		keys []signing.Key
		want string // part of the error; "" for none
	}{
		{"one signing key is a ring", []signing.Key{{ID: 7, Secret: secret('a'), Use: signing.Sign}}, ""},
		{"an off key needs no secret", []signing.Key{{ID: 1, Use: signing.Off}, {ID: 2, Secret: secret('b'), Use: signing.Sign}}, ""},
		{"no key, no ring", nil, "no key signs"},
		{"verifying keys alone are no ring", []signing.Key{{ID: 1, Secret: secret('a'), Use: signing.Verify}}, "no key signs"},
		{"two keys that sign are refused", []signing.Key{{ID: 1, Secret: secret('a'), Use: signing.Sign}, {ID: 2, Secret: secret('b'), Use: signing.Sign}}, "both sign"},
		{"an id given twice is refused", []signing.Key{{ID: 1, Secret: secret('a'), Use: signing.Sign}, {ID: 1, Secret: secret('b'), Use: signing.Verify}}, "given twice"},
		{"a secret given twice is refused", []signing.Key{{ID: 1, Secret: secret('a'), Use: signing.Sign}, {ID: 2, Secret: secret('a'), Use: signing.Verify}}, "share a secret"},
		{"a short secret is refused", []signing.Key{{ID: 1, Secret: secret('a')[1:], Use: signing.Sign}}, "at least 32 bytes"},
		{"a key with no use is refused", []signing.Key{{ID: 1, Secret: secret('a')}}, "use must be"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := signing.New(tt.keys, signing.Options{})
			switch {
			case tt.want == "" && err != nil:
				t.Fatalf("got %v, want no error", err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Fatalf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestErrorsNeverShowSecrets(t *testing.T) {
	t.Parallel()
	_, err := signing.New([]signing.Key{{ID: 1, Secret: []byte("hunter2"), Use: signing.Sign}}, signing.Options{})
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Fatalf("got %v", err)
	}
}

func TestRotation(t *testing.T) {
	t.Parallel()
	old := signing.Key{ID: 1, Secret: secret('a'), Use: signing.Sign}
	young := signing.Key{ID: 2, Secret: secret('b'), Use: signing.Sign}
	id := media.NewAssetID(noon)
	ticket := media.Ticket{Asset: id, Use: media.Play, Expires: noon.Add(time.Hour)}
	before := newRing(t, noon, old)
	text, capability := before.Sign(ticket), before.Capability(id)
	grant, err := before.SealGrant(media.UploadGrant{ID: "g"}, noon.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	open := func(r *signing.Ring) [3]error {
		_, a := r.Verify(text, id, 0)
		_, b := r.ParseCapability(capability)
		_, c := r.OpenGrant(grant)
		return [3]error{a, b, c}
	}
	old.Use = signing.Verify
	if got := open(newRing(t, noon, old, young)); got != ([3]error{}) {
		t.Errorf("a key that only verifies: got %v, want no error", got)
	}
	old.Use = signing.Off
	got := open(newRing(t, noon, old, young))
	for i, want := range []media.Kind{media.Forbidden, media.NotFound, media.Forbidden} {
		if !errors.Is(got[i], want) {
			t.Errorf("a key that is off, token %d: got %v, want %v", i, got[i], want)
		}
	}
	// The same id with another secret is another key.
	if got := open(newRing(t, noon, signing.Key{ID: 1, Secret: secret('c'), Use: signing.Sign})); got[0] == nil || got[1] == nil || got[2] == nil {
		t.Errorf("another secret under the same id: got %v, want errors", got)
	}
}
