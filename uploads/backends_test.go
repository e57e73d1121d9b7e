package uploads_test

import (
	"context"
	"errors"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sluice/media"
	"sluice/storage"
	"sluice/storage/memory"
	"sluice/uploads"
)

// fickle is a backend that can be away.
type fickle struct {
	storage.Driver
	gone atomic.Bool
}

func (f *fickle) err() error {
	if f.gone.Load() {
		return media.Errorf(media.Unavailable, "the backend is away")
	}
	return nil
}

func (f *fickle) Begin(ctx context.Context, key string, size int64) (storage.Write, error) {
	if err := f.err(); err != nil {
		return nil, err
	}
	w, err := f.Driver.Begin(ctx, key, size)
	return fickleWrite{w, f}, err
}

func (f *fickle) Resume(ctx context.Context, key string) (storage.Write, error) {
	if err := f.err(); err != nil {
		return nil, err
	}
	w, err := f.Driver.Resume(ctx, key)
	return fickleWrite{w, f}, err
}

// fickleWrite cannot be committed while its backend is away.
type fickleWrite struct {
	storage.Write
	f *fickle
}

func (w fickleWrite) Commit(ctx context.Context) (media.Object, error) {
	if err := w.f.err(); err != nil {
		return media.Object{}, err
	}
	return w.Write.Commit(ctx)
}

func (f *fickle) Read(ctx context.Context, o media.Object, off, n int64) (io.ReadCloser, error) {
	if err := f.err(); err != nil {
		return nil, err
	}
	return f.Driver.Read(ctx, o, off, n)
}

func (f *fickle) Stat(ctx context.Context, key string) (media.Object, error) {
	if err := f.err(); err != nil {
		return media.Object{}, err
	}
	return f.Driver.Stat(ctx, key)
}

func (f *fickle) Delete(ctx context.Context, key string) error {
	return errors.Join(f.err(), f.Driver.Delete(ctx, key))
}

func (f *fickle) List(ctx context.Context, prefix string) iter.Seq2[media.Object, error] {
	return f.walk(f.Driver.List(ctx, prefix))
}

func (f *fickle) Unfinished(ctx context.Context) iter.Seq2[media.Object, error] {
	return f.walk(f.Driver.Unfinished(ctx))
}

func (f *fickle) walk(all iter.Seq2[media.Object, error]) iter.Seq2[media.Object, error] {
	if err := f.err(); err != nil {
		return func(yield func(media.Object, error) bool) { yield(media.Object{}, err) }
	}
	return all
}

// startTwo serves a Service over the backends main and other; the rules send videos to other.
func startTwo(t testing.TB, o uploads.Options) (b *bench, first, other *fickle) {
	t.Helper()
	first, other = &fickle{Driver: memory.New()}, &fickle{Driver: memory.New()}
	b = start(t, o, first)
	var err error
	b.store, err = storage.New([]storage.Backend{{Name: "main", Type: media.Local, Driver: first}, {Name: "other", Type: media.S3, Driver: other}},
		storage.Rule{MIME: "video/*", Backend: "other"}, storage.Rule{Size: &storage.Sizes{Least: 1000, Most: 1 << 40}, Backend: "other"})
	if err != nil {
		t.Fatal(err)
	}
	b.boot()
	return b, first, other
}

func TestWhereAnUploadGoes(t *testing.T) {
	t.Parallel()
	b, _, _ := startTwo(t, uploads.Options{})
	grant := func(g media.UploadGrant) string {
		token, _, err := b.s.Grant(t.Context(), media.Principal{Subject: "teacher", Roles: []media.Role{media.Instructor}}, g, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	for name, c := range map[string]struct {
		pairs []string
		want  string // "" is refused
		code  string
	}{
		"no rule: the default":                  {pairs: []string{"Upload-Length", "5"}, want: "main"},
		"a rule by type":                        {pairs: []string{"Upload-Length", "5", "Upload-Metadata", meta("filetype", "video/mp4")}, want: "other"},
		"a rule by the type of a name":          {pairs: []string{"Upload-Length", "5", "Upload-Metadata", meta("filename", "a.mp4")}, want: "other"},
		"a rule by size":                        {pairs: []string{"Upload-Length", "1000"}, want: "other"},
		"a deferred length has no size":         {pairs: []string{"Upload-Defer-Length", "1"}, want: "main"},
		"the size of a part says nothing":       {pairs: []string{"Upload-Length", "1000", "Upload-Concat", "partial"}, want: "main"},
		"a part's own metadata do":              {pairs: []string{"Upload-Length", "5", "Upload-Concat", "partial", "Upload-Metadata", meta("filetype", "video/mp4")}, want: "other"},
		"the request's wish comes before rules": {pairs: []string{"Upload-Length", "5", "Upload-Metadata", meta("filetype", "video/mp4", "storage", "main")}, want: "main"},
		"a wish that is no backend":             {pairs: []string{"Upload-Length", "5", "Upload-Metadata", meta("storage", "cellar")}, code: "unknown_storage"},
		"a grant's backend":                     {pairs: []string{"Upload-Length", "5", "Authorization", "", "Upload-Grant", grant(media.UploadGrant{Backend: "other"})}, want: "other"},
		"a grant's before the rules":            {pairs: []string{"Upload-Length", "1000", "Authorization", "", "Upload-Grant", grant(media.UploadGrant{Backend: "main"})}, want: "main"},
		"a grant without: the rules":            {pairs: []string{"Upload-Length", "1000", "Authorization", "", "Upload-Grant", grant(media.UploadGrant{})}, want: "other"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rep := b.send(http.MethodPost, "/files", nil, c.pairs...)
			if c.want == "" {
				if rep.status != http.StatusBadRequest || !strings.Contains(rep.body, "no such storage") {
					t.Errorf("got %d %s, want 400 %s", rep.status, rep.body, c.code)
				}
				return
			}
			id, err := media.ParseAssetID(rep.header.Get("Sluice-Media-Id"))
			if err != nil {
				t.Fatalf("got %d %s", rep.status, rep.body)
			}
			if a, err := b.ledger.Asset(t.Context(), id); err != nil || a.Backend != c.want || (a.StorageType == media.S3) != (c.want == "other") {
				t.Errorf("it went to %q as %q (%v), want %q", a.Backend, a.StorageType, err, c.want)
			}
		})
	}
}

func TestJoiningAcrossBackendsIsRefused(t *testing.T) {
	t.Parallel()
	b, _, _ := startTwo(t, uploads.Options{})
	part := func(backend string) string {
		rep := b.send(http.MethodPost, "/files", strings.NewReader("abc"), "Upload-Length", "3", "Upload-Concat", "partial",
			"Upload-Metadata", meta("storage", backend), "Content-Type", "application/offset+octet-stream")
		if rep.status != http.StatusCreated {
			t.Fatalf("got %d %s", rep.status, rep.body)
		}
		return rep.header.Get("Location")
	}
	here, there := part("main"), part("other")
	for name, c := range map[string]struct {
		parts, metadata, says string
		status                int
	}{
		"parts on two":                 {parts: here + " " + there, status: 400, says: "different storages"},
		"parts elsewhere than asked":   {parts: here, metadata: meta("storage", "other"), status: 400, says: "another storage than the one asked for"},
		"a rule does not move a whole": {parts: here, metadata: meta("filetype", "video/mp4"), status: 201},
		"parts on the other":           {parts: there + " " + there, status: 201},
	} {
		pairs := []string{"Upload-Concat", "final;" + c.parts}
		if c.metadata != "" {
			pairs = append(pairs, "Upload-Metadata", c.metadata)
		}
		if rep := b.send(http.MethodPost, "/files", nil, pairs...); rep.status != c.status || !strings.Contains(rep.body, c.says) {
			t.Errorf("%s: got %d %s, want %d %q", name, rep.status, rep.body, c.status, c.says)
		}
	}
}

func TestABackendThatIsAwayDoesNotStopTheSweepOfOthers(t *testing.T) {
	t.Parallel()
	for name, away := range map[string]string{"the first": "main", "the second": "other"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now := time.Now()
			b, first, other := startTwo(t, uploads.Options{Expiry: time.Hour, Grace: time.Hour, Now: func() time.Time { return now }})
			drivers := map[string]*fickle{"main": first, "other": other}
			open, orphan := map[string]string{}, map[string]string{}
			for backend := range drivers {
				for range 3 {
					open[backend] = b.create("Upload-Length", "5", "Upload-Metadata", meta("storage", backend))
				}
				done := b.create("Upload-Length", "5", "Upload-Metadata", meta("storage", backend))
				b.patch(done, "0", "hello")
				orphan[backend] = storage.KeyFor(media.NewAssetID(now))
				w, err := b.store.Begin(t.Context(), backend, orphan[backend], 5)
				if err != nil {
					t.Fatal(err)
				}
				if err := w.Close(); err != nil {
					t.Fatal(err)
				}
			}
			now = now.Add(3 * time.Hour)
			drivers[away].gone.Store(true)
			if err := b.s.Sweep(t.Context(), true); err != nil {
				t.Errorf("the sweep failed: %v", err)
			}
			for backend, d := range drivers {
				d.gone.Store(false)
				_, err := b.store.Resume(t.Context(), backend, orphan[backend])
				if swept := errors.Is(err, media.NotFound); swept != (backend != away) {
					t.Errorf("%s is away: the orphan on %s was swept: %v (%v)", away, backend, swept, err)
				}
				if rep := b.head(open[backend]); backend != away && rep.status != http.StatusNotFound {
					t.Errorf("%s is away: HEAD of the expired upload on %s: %d, want 404", away, backend, rep.status)
				}
			}
			if err := b.s.Sweep(t.Context(), true); err != nil {
				t.Fatal(err)
			}
			if _, err := b.store.Resume(t.Context(), away, orphan[away]); !errors.Is(err, media.NotFound) {
				t.Errorf("once it is back the orphan stays: %v", err)
			}
		})
	}
}

// What waits to be finished on a backend that is away holds up nobody else.
func TestAFinishOnABackendThatIsAwayHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	b, first, other := startTwo(t, uploads.Options{SweepInterval: time.Hour})
	first.gone.Store(true)
	other.gone.Store(true)
	finish := func(backend string) string {
		first.gone.Store(false)
		other.gone.Store(false)
		location := b.create("Upload-Length", "5", "Upload-Metadata", meta("storage", backend))
		first.gone.Store(true)
		other.gone.Store(true)
		rep := b.send(http.MethodPatch, location, strings.NewReader("hello"), "Upload-Offset", "0", "Content-Type", "application/offset+octet-stream")
		if rep.status != http.StatusServiceUnavailable {
			t.Fatalf("the last byte on %s: got %d, want 503", backend, rep.status)
		}
		return location
	}
	var stuck []string
	for range 50 {
		stuck = append(stuck, finish("other"))
	}
	mine := finish("main")
	first.gone.Store(false)
	b.run()
	eventually(t, 5*time.Second, "the upload on the backend that is there is finished", func() bool { return b.state(mine).Finished() })
	for _, location := range stuck {
		if b.state(location).Finished() {
			t.Fatal("one is finished on a backend that is away")
		}
	}
	other.gone.Store(false)
	for _, location := range stuck {
		eventually(t, 5*time.Second, "all are finished once it is back", func() bool { return b.state(location).Finished() })
	}
}

// state is what the ledger knows of an upload: asking the Service would have it finished.
func (b *bench) state(location string) media.State {
	id, err := b.ring.ParseCapability(location[strings.LastIndexByte(location, '/')+1:])
	if err != nil {
		b.t.Fatal(err)
	}
	a, err := b.ledger.Asset(b.t.Context(), id)
	if err != nil {
		b.t.Fatal(err)
	}
	return a.State
}

func TestUploadsOfABackendThatIsNoLongerConfigured(t *testing.T) {
	t.Parallel()
	b, first, _ := startTwo(t, uploads.Options{})
	location := b.create("Upload-Length", "5", "Upload-Metadata", meta("storage", "other"))
	mine := b.create("Upload-Length", "5")
	var err error
	if b.store, err = storage.New([]storage.Backend{{Name: "main", Type: media.Local, Driver: first}}); err != nil {
		t.Fatal(err)
	}
	b.boot()
	b.server.Close()
	b.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { b.serves.Load().ServeHTTP(w, r) }))
	t.Cleanup(b.server.Close)
	if rep := b.head(location); rep.status != http.StatusLocked { // 5xx would make its client begin anew
		t.Errorf("HEAD: got %d, want 423", rep.status)
	}
	if rep := b.send(http.MethodPatch, location, strings.NewReader("hello"), "Upload-Offset", "0", "Content-Type", "application/offset+octet-stream"); rep.status != http.StatusServiceUnavailable {
		t.Errorf("PATCH: got %d %s, want 503", rep.status, rep.body)
	}
	list, err := b.s.Open(t.Context(), media.Principal{Subject: "teacher", Roles: []media.Role{media.Instructor}})
	if err != nil || len(list) != 1 || list[0].UploadURL != mine {
		t.Errorf("open uploads: %+v, %v, want the other one", list, err)
	}
	if err := b.s.Sweep(t.Context(), true); err != nil {
		t.Error(err)
	}
}
