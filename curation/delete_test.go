package curation_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/media"
)

func TestDeleteOrder(t *testing.T) {
	t.Parallel()
	ida := who("ida", media.Instructor)
	away := errors.New("away")
	for _, c := range []struct {
		name  string
		state media.State
		fail  map[string]error
		want  []string
		err   error
	}{
		{"doomed, bytes, row", media.Ready, nil, []string{"doom", "bytes main/k", "forget"}, nil},
		{"bytes that are gone already do not stop it", media.Ready, map[string]error{"bytes main/k": media.NotFound}, []string{"doom", "bytes main/k", "forget"}, nil},
		{"a backend away leaves the doomed row to the sweeper", media.Ready, map[string]error{"bytes main/k": away}, []string{"doom", "bytes main/k"}, nil},
		{"a row that cannot be forgotten is gone all the same", media.Ready, map[string]error{"forget": away}, []string{"doom", "bytes main/k", "forget"}, nil},
		{"an upload on its way is left to the sweeper", media.Uploading, nil, []string{"doom"}, nil},
		{"a catalogue away deletes nothing", media.Ready, map[string]error{"doom": media.Unavailable}, []string{"doom"}, media.Unavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, sh := setup()
			id := sh.put(1, "ida", true, c.state)
			sh.fail = c.fail
			if err := s.Delete(t.Context(), ida, id, 3); !errors.Is(err, c.err) {
				t.Fatalf("got %v, want %v", err, c.err)
			}
			if d := cmp.Diff(c.want, sh.did); d != "" {
				t.Error(d)
			}
			if c.err == nil {
				if err := s.Delete(t.Context(), ida, id, 3); !errors.Is(err, media.NotFound) {
					t.Errorf("second time: got %v, want not found", err)
				}
			}
		})
	}
	t.Run("a stale version deletes nothing", func(t *testing.T) {
		t.Parallel()
		s, sh := setup()
		id := sh.put(1, "ida", true, media.Ready)
		if err := s.Delete(t.Context(), ida, id, 2); !errors.Is(err, media.PreconditionFailed) || len(sh.did) > 0 {
			t.Errorf("got %v, did %v", err, sh.did)
		}
	})
	t.Run("a client that hangs up does not stop it", func(t *testing.T) {
		t.Parallel()
		s, sh := setup()
		id := sh.put(1, "ida", true, media.Ready)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.Delete(ctx, ida, id, 3); err != nil || len(sh.did) != 3 {
			t.Errorf("got %v, did %v", err, sh.did)
		}
	})
}

func TestAdd(t *testing.T) {
	t.Parallel()
	ida := who("ida", media.Instructor)
	s, sh := setup()
	got, err := s.Add(t.Context(), ida, media.Asset{
		ExternalURL: "https://cdn.example.com/a.mp4?v=1", MIMEType: "video/mp4", Owner: "victim", Backend: "main", Key: "somebody's", AccessCount: 9, Epoch: 7,
	})
	if err != nil {
		t.Fatal(err)
	}
	want := media.Asset{
		ID: got.ID, Owner: "ida", State: media.Ready, Version: 1, MIMEType: "video/mp4", Type: media.Video, StorageType: media.Cloud,
		ExternalURL: "https://cdn.example.com/a.mp4?v=1", Placement: media.Placement{Kind: media.Generic}, CreatedAt: now, UpdatedAt: now, StoredAt: now,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if len(sh.did) != 1 {
		t.Errorf("did %v", sh.did)
	}
	for name, c := range map[string]struct {
		field string
		a     media.Asset
	}{
		"no URL":                  {"url", media.Asset{}},
		"a relative URL":          {"url", media.Asset{ExternalURL: "/a.mp4"}},
		"no scheme":               {"url", media.Asset{ExternalURL: "//cdn.example.com/a"}},
		"a script":                {"url", media.Asset{ExternalURL: "javascript:alert(1)"}},
		"a file":                  {"url", media.Asset{ExternalURL: "file:///etc/passwd"}},
		"an opaque one":           {"url", media.Asset{ExternalURL: "https:cdn"}},
		"no host":                 {"url", media.Asset{ExternalURL: "https:///a"}},
		"a port alone":            {"url", media.Asset{ExternalURL: "https://:80/a"}},
		"a password":              {"url", media.Asset{ExternalURL: "https://u:p@cdn.example.com/a"}},
		"a line break":            {"url", media.Asset{ExternalURL: "https://cdn.example.com/a\r\nX: y"}},
		"a backslash":             {"url", media.Asset{ExternalURL: `https://cdn.example.com\@evil.example/`}},
		"a space":                 {"url", media.Asset{ExternalURL: "https://cdn.example.com/a b"}},
		"too long":                {"url", media.Asset{ExternalURL: "https://cdn.example.com/" + strings.Repeat("a", 2048)}},
		"a type with a parameter": {"mimeType", media.Asset{ExternalURL: "https://c.example/", MIMEType: "text/html; charset=x"}},
		"a type with a line":      {"mimeType", media.Asset{ExternalURL: "https://c.example/", MIMEType: "text/html\r\nX: y"}},
		"a type that is none":     {"mimeType", media.Asset{ExternalURL: "https://c.example/", MIMEType: "video"}},
		"a negative size":         {"fileSize", media.Asset{ExternalURL: "https://c.example/", Size: -1}},
		"a negative duration":     {"duration", media.Asset{ExternalURL: "https://c.example/", Duration: -1}},
		"an unknown media type":   {"mediaType", media.Asset{ExternalURL: "https://c.example/", Type: "smell"}},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			t.Parallel()
			s, sh := setup()
			_, err := s.Add(t.Context(), ida, c.a)
			wantInvalid(t, err, c.field)
			if len(sh.did) > 0 {
				t.Errorf("did %v", sh.did)
			}
		})
	}
}

// FuzzExternalURL holds that what is taken is an absolute web address without credentials and control bytes.
func FuzzExternalURL(f *testing.F) {
	for _, s := range []string{"https://a.example/x", "http://a:1/", "https://u@h/", "https://[::1]/", "https://a\x00/", "", "://", "https://%41/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		svc, _ := setup()
		a, err := svc.Add(context.Background(), who("ida", media.Instructor), media.Asset{ExternalURL: s})
		if err != nil {
			if media.KindOf(err) != media.Invalid {
				t.Fatal(err)
			}
			return
		}
		if !strings.HasPrefix(strings.ToLower(s), "http") || strings.ContainsAny(s, "\r\n\x00 \\") || a.ExternalURL != s {
			t.Errorf("took %q", s)
		}
	})
}

func ExampleService_Read() {
	s, sh := setup()
	id := sh.put(1, "ida", false, media.Ready)
	_, err := s.Read(context.Background(), who("sam", media.Student), id)
	fmt.Println(err)
	// Output: no such media
}
