package signing_test

import (
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"sluice/media"
)

func TestCapability(t *testing.T) {
	t.Parallel()
	r := newRing(t, noon)
	rapid.Check(t, func(t *rapid.T) {
		want := media.AssetID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
		text := r.Capability(want)
		got, err := r.ParseCapability(text)
		if err != nil || got != want {
			t.Fatalf("got %v, %v, want %v", got, err, want)
		}
		raw, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil || len(raw) != 33 {
			t.Fatalf("got %d bytes, %v, want 33", len(raw), err)
		}
		for bit := range len(raw) * 8 {
			bad := slices.Clone(raw)
			bad[bit/8] ^= 1 << (bit % 8)
			if _, err := r.ParseCapability(base64.RawURLEncoding.EncodeToString(bad)); !errors.Is(err, media.NotFound) {
				t.Fatalf("bit %d: got %v, want not found", bit, err)
			}
		}
	})
}

func TestATicketIsNoCapability(t *testing.T) {
	t.Parallel()
	r := newRing(t, noon)
	for _, s := range []string{"", "x", r.Sign(media.Ticket{Asset: media.NewAssetID(noon), Use: media.Play, Expires: noon}), r.Capability(media.NewAssetID(noon)) + "\n"} {
		if _, err := r.ParseCapability(s); !errors.Is(err, media.NotFound) {
			t.Errorf("%q: got %v, want not found", s, err)
		}
	}
}

func FuzzParseCapability(f *testing.F) {
	r := newRing(f, noon)
	f.Add(r.Capability(media.NewAssetID(noon)))
	f.Add("")
	f.Add("..%2f..%2fetc")
	f.Add(strings.Repeat("A", 44))
	f.Fuzz(func(t *testing.T, s string) {
		id, err := r.ParseCapability(s)
		if err == nil && r.Capability(id) != s {
			t.Errorf("%q is a second spelling of %v", s, id)
		}
		if err != nil && !errors.Is(err, media.NotFound) {
			t.Errorf("got %v, want not found", err)
		}
	})
}

func fullGrant() media.UploadGrant {
	return media.UploadGrant{
		ID: "0198", Owner: "teacher-7", MaxSize: 5 << 30, MIMETypes: []string{"video/*", "image/png"}, Backend: "archive",
		Placement: &media.Placement{
			Kind: media.CourseVideo, ProductID: "p", CourseID: "507f1f77bcf86cd799439011", LessonID: "l", ModuleID: "m",
			VideoType: media.IntroVideo, ResourceName: "Übung <1>", ResourceType: media.ResourcePDF, AltText: "a \"b\"", MainImage: true, Position: 4,
			Reference: media.Subject{Type: media.Course, ID: "507f1f77bcf86cd799439011"},
		},
	}
}

func TestGrantSaysWhatWasSealed(t *testing.T) {
	t.Parallel()
	r := newRing(t, noon)
	for _, want := range []media.UploadGrant{{}, {ID: "x"}, fullGrant()} {
		text, err := r.SealGrant(want, noon.Add(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		got, err := r.OpenGrant(text)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("-want +got:\n%s", d)
		}
	}
}

func TestGrantRefusals(t *testing.T) {
	t.Parallel()
	r := newRing(t, noon)
	good, err := r.SealGrant(fullGrant(), noon.Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	over, err := r.SealGrant(fullGrant(), noon)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, grant string
		want        media.Kind
	}{
		{"an expired one is gone", over, media.Gone},
		{"empty", "", media.Forbidden},
		{"cut", good[:len(good)-4], media.Forbidden},
		{"longer", good + "AAAA", media.Forbidden},
		{"padded", good + "=", media.Forbidden},
		{"with a line feed", good[:10] + "\n" + good[10:], media.Forbidden},
		{"expired and cut is forbidden", over[:len(over)-4], media.Forbidden},
		{"a ticket", r.Sign(media.Ticket{Use: media.Play, Expires: noon.Add(time.Hour)}), media.Forbidden},
		{"enormous", strings.Repeat("A", 1<<20), media.Forbidden},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if _, err := r.OpenGrant(tt.grant); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
	raw, err := base64.RawURLEncoding.DecodeString(good)
	if err != nil {
		t.Fatal(err)
	}
	for bit := range len(raw) * 8 {
		bad := slices.Clone(raw)
		bad[bit/8] ^= 1 << (bit % 8)
		if _, err := r.OpenGrant(base64.RawURLEncoding.EncodeToString(bad)); !errors.Is(err, media.Forbidden) {
			t.Fatalf("bit %d: got %v, want forbidden", bit, err)
		}
	}
	huge := fullGrant()
	huge.MIMETypes = []string{strings.Repeat("x", 10<<10)}
	if _, err := r.SealGrant(huge, noon); !errors.Is(err, media.Invalid) {
		t.Errorf("a grant beyond a header's size: got %v, want invalid", err)
	}
}

func FuzzOpenGrant(f *testing.F) {
	r := newRing(f, noon)
	good, err := r.SealGrant(fullGrant(), noon.Add(time.Minute))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add("")
	f.Add("AQE")
	f.Add(good + "\n")
	f.Fuzz(func(t *testing.T, s string) {
		_, err := r.OpenGrant(s)
		if err == nil && s != good {
			t.Errorf("%q opens, and was never sealed here", s)
		}
		if err != nil && !errors.Is(err, media.Forbidden) && !errors.Is(err, media.Gone) {
			t.Errorf("got %v, want forbidden or gone", err)
		}
	})
}
