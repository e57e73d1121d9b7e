package storage_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sluice/media"
	"sluice/storage"
	"sluice/storage/memory"
)

func TestNewRefusesBackendsThatCannotBeTold(t *testing.T) {
	t.Parallel()
	d := memory.New()
	for name, backends := range map[string][]storage.Backend{
		"none":                     nil,
		"no name":                  {{Driver: d}},
		"no driver":                {{Name: "a"}},
		"one name twice":           {{Name: "a", Driver: d}, {Name: "b", Driver: d}, {Name: "a", Driver: d}},
		"a redirect to nowhere":    {{Name: "a", Driver: d, Delivery: storage.Redirect}},
		"an unknown delivery":      {{Name: "a", Driver: d, Delivery: "pigeon"}},
		"redirects of less than 0": {{Name: "a", Driver: signing{d}, Delivery: storage.Redirect, RedirectTTL: -1}},
	} {
		if s, err := storage.New(backends); err == nil || s != nil {
			t.Errorf("%s: got %v, %v, want an error", name, s, err)
		}
	}
}

// setup gives a store of two backends, and a write in the second.
func setup(t *testing.T) (*storage.Store, media.Object) {
	t.Helper()
	s, err := storage.New([]storage.Backend{{Name: "one", Driver: memory.New()}, {Name: "two", Driver: memory.New()}})
	if err != nil {
		t.Fatal(err)
	}
	return s, put(t, s, "two", "7f/a", "0123456789")
}

func put(t *testing.T, s *storage.Store, backend, key, content string) media.Object {
	t.Helper()
	w, err := s.Begin(t.Context(), backend, key, int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Append(t.Context(), 0, strings.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	o, err := w.Commit(t.Context())
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return o
}

func TestStoreRoutesByName(t *testing.T) {
	t.Parallel()
	s, o := setup(t)
	if _, err := s.Stat(t.Context(), "two", o.Key); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"", "one"} {
		if _, err := s.Stat(t.Context(), name, o.Key); !errors.Is(err, media.NotFound) {
			t.Errorf("backend %q: got error %v, want NotFound", name, err)
		}
	}
}

// signing is a driver whose backend serves by itself.
type signing struct{ storage.Driver }

func (signing) Presign(context.Context, media.Object, storage.Presentation, time.Time, time.Duration) (string, error) {
	return "https://there.example/", nil
}

func TestABackendThatSignsMayRedirect(t *testing.T) {
	t.Parallel()
	s, err := storage.New([]storage.Backend{{Name: "a", Driver: signing{memory.New()}, Delivery: storage.Redirect, RedirectTTL: time.Minute}, {Name: "b", Driver: memory.New(), Delivery: storage.Proxy}})
	if err != nil {
		t.Fatal(err)
	}
	if b, err := s.Backend("a"); err != nil || b.Delivery != storage.Redirect || b.RedirectTTL != time.Minute {
		t.Errorf("got %+v, %v", b, err)
	}
	if got := strings.Join(s.Names(), " "); got != "a b" {
		t.Errorf("Names = %q, want a b", got)
	}
}

// A row may outlive the configuration of its backend: its bytes are away, and nobody's request is at fault.
func TestABackendThatIsNotConfiguredIsUnavailableEverywhere(t *testing.T) {
	t.Parallel()
	s, o := setup(t)
	ctx := t.Context()
	for name, call := range calls(s, "three", o) {
		err := call(ctx)
		if e, ok := errors.AsType[*media.Error](err); !ok || e.Kind != media.Unavailable || e.Code != "storage_not_configured" || strings.Contains(e.Detail, "three") {
			t.Errorf("%s: got error %v, want Unavailable, storage_not_configured", name, err)
		}
	}
	if _, err := s.Choose("three"); !errors.Is(err, media.Invalid) {
		t.Errorf("asked for by name: got error %v, want Invalid", err)
	}
}

func TestStrangeKeyIsInvalidEverywhere(t *testing.T) {
	t.Parallel()
	s, o := setup(t)
	o.Key = "../" + o.Key
	for name, call := range calls(s, "two", o) {
		if name == "unfinished" {
			continue // takes no key
		}
		if err := call(t.Context()); !errors.Is(err, media.Invalid) {
			t.Errorf("%s: got error %v, want Invalid", name, err)
		}
	}
	if _, err := s.Concat(t.Context(), "two", "7f/b", []string{"7f/a", "7f//a"}); !errors.Is(err, media.Invalid) {
		t.Errorf("concat of a strange part: got error %v, want Invalid", err)
	}
}

// calls is every method of a Store, on one backend and object.
func calls(s *storage.Store, backend string, o media.Object) map[string]func(ctx context.Context) error {
	return map[string]func(ctx context.Context) error{
		"begin":    func(ctx context.Context) error { _, err := s.Begin(ctx, backend, o.Key, 1); return err },
		"resume":   func(ctx context.Context) error { _, err := s.Resume(ctx, backend, o.Key); return err },
		"stat":     func(ctx context.Context) error { _, err := s.Stat(ctx, backend, o.Key); return err },
		"read":     func(ctx context.Context) error { _, err := s.Read(ctx, backend, o, 0, 1); return err },
		"sections": func(ctx context.Context) error { _, err := s.Sections(ctx, backend, o, 0, 1); return err },
		"delete":   func(ctx context.Context) error { return s.Delete(ctx, backend, o.Key) },
		"concat":   func(ctx context.Context) error { _, err := s.Concat(ctx, backend, o.Key, []string{"7f/a"}); return err },
		"list": func(ctx context.Context) error {
			for _, err := range s.List(ctx, backend, o.Key) {
				return err
			}
			return nil
		},
		"unfinished": func(ctx context.Context) error {
			for _, err := range s.Unfinished(ctx, backend) {
				return err
			}
			return nil
		},
	}
}

func TestErrorsKeepTheirKindAndSayWhere(t *testing.T) {
	t.Parallel()
	s, _ := setup(t)
	_, err := s.Stat(t.Context(), "two", "7f/missing")
	if want := "storage two: stat 7f/missing: "; media.KindOf(err) != media.NotFound || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v, want NotFound and %q", err, want)
	}
}

func TestNegativeLengthsAreInvalid(t *testing.T) {
	t.Parallel()
	s, _ := setup(t)
	if _, err := s.Begin(t.Context(), "", "7f/b", -2); !errors.Is(err, media.Invalid) {
		t.Errorf("got error %v, want Invalid", err)
	}
}

func TestPutIsOneStepWhereverTheBytesGo(t *testing.T) {
	t.Parallel()
	s, _ := setup(t)
	o, err := s.Put(t.Context(), "", "7f/small", []byte("small"))
	if err != nil || o.Key != "7f/small" || o.Size != 5 {
		t.Fatalf("got %+v, %v", o, err)
	}
	if _, err := s.Put(t.Context(), "", "7f/small", []byte("other")); !errors.Is(err, media.Conflict) {
		t.Errorf("again: got %v, want Conflict", err)
	}
	if _, err := s.Put(t.Context(), "", "../small", nil); !errors.Is(err, media.Invalid) {
		t.Errorf("a strange key: got %v, want Invalid", err)
	}
}

func TestSectionsAreNilWhereThereAreNoFiles(t *testing.T) {
	t.Parallel()
	s, o := setup(t)
	if sections, err := s.Sections(t.Context(), "two", o, 0, 1); sections != nil || err != nil {
		t.Errorf("got %v, %v", sections, err)
	}
}

func TestConcatOfNothingIsInvalid(t *testing.T) {
	t.Parallel()
	s, _ := setup(t)
	if _, err := s.Concat(t.Context(), "two", "7f/b", nil); !errors.Is(err, media.Invalid) {
		t.Errorf("got error %v, want Invalid", err)
	}
}

// TestCopyGoesOnWhereItWasCutOff leaves a copy at every length it can be cut at.
func TestCopyGoesOnWhereItWasCutOff(t *testing.T) {
	t.Parallel()
	const whole = "0123456789abcdef"
	for cut := range len(whole) + 1 {
		s, _ := setup(t)
		put(t, s, "two", "7f/b", "abcdef")
		w, err := s.Begin(t.Context(), "two", "7f/c", int64(len(whole)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Append(t.Context(), 0, strings.NewReader(whole[:cut])); err != nil {
			t.Fatal(err)
		}
		o, err := s.Concat(t.Context(), "two", "7f/c", []string{"7f/a", "7f/b"})
		if err != nil || o.Size != int64(len(whole)) {
			t.Fatalf("cut at %d: got %+v, %v", cut, o, err)
		}
		r, err := s.Read(t.Context(), "two", o, 0, o.Size)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r); err != nil || string(got) != whole {
			t.Errorf("cut at %d: got %q, %v, want %q", cut, got, err, whole)
		}
	}
}

func TestKeyForIsAValidKeyThatFallsIntoAShard(t *testing.T) {
	t.Parallel()
	id := media.NewAssetID(time.Now())
	key := storage.KeyFor(id)
	if err := storage.CheckKey(key); err != nil || key != id.String()[34:]+"/"+id.String() {
		t.Errorf("got %q, %v", key, err)
	}
}

// TestRangesAgreeWithArithmetic compares the check with one that cannot overflow because its numbers are small.
func TestRangesAgreeWithArithmetic(t *testing.T) {
	t.Parallel()
	s, o := setup(t)
	rapid.Check(t, func(t *rapid.T) {
		off, n := rapid.Int64Range(-3, 13).Draw(t, "off"), rapid.Int64Range(-3, 13).Draw(t, "n")
		r, err := s.Read(context.Background(), "two", o, off, n)
		if inside := 0 <= off && 0 < n && off+n <= 10; inside != (err == nil) {
			t.Fatalf("%d bytes at %d: got error %v", n, off, err)
		}
		if err != nil {
			return
		}
		if got, err := io.ReadAll(r); err != nil || string(got) != "0123456789"[off:off+n] {
			t.Fatalf("%d bytes at %d: got %q, %v", n, off, got, err)
		}
	})
}

func FuzzRange(f *testing.F) {
	f.Add(int64(10), int64(0), int64(10))
	f.Add(int64(10), int64(1), int64(1<<63-1))
	f.Add(int64(1<<63-1), int64(1<<63-1), int64(1))
	f.Add(int64(-1), int64(-1), int64(-1))
	d := memory.New()
	s, err := storage.New([]storage.Backend{{Name: "one", Driver: d}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, size, off, n int64) {
		_, err := s.Read(t.Context(), "", media.Object{Key: "a", Size: size}, off, n)
		end := uint64(off) + uint64(n) // two positive int64 never overflow it
		if inside := off >= 0 && n > 0 && size >= 0 && end <= uint64(size); inside == errors.Is(err, media.Invalid) {
			t.Errorf("%d bytes at %d of %d: got error %v", n, off, size, err)
		}
	})
}

func FuzzKey(f *testing.F) {
	for _, key := range []string{"7f/0192f3a4-0000-7000-8000-00000000007f", "a", "a/b.c_d-e", "..", "a/../b", "/a", "a//b", "a/", "A", "a\x00", "ä", ".a", "a,b", "a~", strings.Repeat("a", 201)} {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, key string) {
		if err := storage.CheckKey(key); err != nil {
			if !errors.Is(err, media.Invalid) {
				t.Errorf("got error %v, want Invalid", err)
			}
			return
		}
		if len(key) > storage.MaxKey || bytes.ContainsAny([]byte(key), "\\,~%:\x00\n ") || strings.ToLower(key) != key {
			t.Errorf("%q passes", key)
		}
		for segment := range strings.SplitSeq(key, "/") {
			if segment == "" || segment[0] == '.' || segment[0] == '-' {
				t.Errorf("%q passes with the segment %q", key, segment)
			}
		}
	})
}
