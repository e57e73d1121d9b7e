package playback

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"sluice/media"
	"sluice/storage"
	"sluice/storage/local"
	"sluice/storage/memory"
	"sluice/storage/storagetest"
)

func assetForTest() media.Asset {
	id := media.NewAssetID(time.Now())
	return media.Asset{
		ID: id, State: media.Ready, Owner: "ann", Filename: "lecture.mp4", MIMEType: "video/mp4", Type: media.Video, Size: 8 << 10, SHA256: make([]byte, 32),
		StorageType: media.Local, Key: storage.KeyFor(id), StoredAt: time.Now().Add(-time.Hour), Public: true,
	}
}

type one struct{ a media.Asset }

func (o *one) Asset(context.Context, media.AssetID) (media.Asset, error) { return o.a, nil }

type uncounted struct{}

func (uncounted) Record(media.Access) {}

// open tickets: what signing costs is measured there.
type waved struct{}

func (waved) Sign(media.Ticket) string { return "t" }
func (waved) Verify(_ string, id media.AssetID, _ uint32) (media.Ticket, error) {
	return media.Ticket{Asset: id, Use: media.Play, Expires: time.Now().Add(1e6 * time.Hour), Session: media.Session{1}}, nil
}

func benchHandler(b *testing.B) (*Handler, string, string) {
	b.Helper()
	dir := b.TempDir()
	driver, err := local.Open(dir, local.Options{MinFree: -1})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = driver.Close() })
	h, path := benchOver(b, storage.Backend{Name: "main", Driver: driver}, 1<<20)
	file := filepath.Join(dir, "plain")
	if err := os.WriteFile(file, make([]byte, 1<<20), 0o600); err != nil {
		b.Fatal(err)
	}
	return h, path, file
}

// benchOver keeps one asset of size bytes in a backend and gives its path.
func benchOver(b *testing.B, backend storage.Backend, size int64) (*Handler, string) {
	b.Helper()
	store, err := storage.New([]storage.Backend{backend})
	if err != nil {
		b.Fatal(err)
	}
	a := assetForTest()
	a.Size = size
	if _, err := store.Put(b.Context(), "", a.Key, make([]byte, size)); err != nil {
		b.Fatal(err)
	}
	h, err := New(&one{a}, store, waved{}, uncounted{}, Options{Denied: NewDenylist(listed(nil), DenylistOptions{})})
	if err != nil {
		b.Fatal(err)
	}
	return h, "/p/t/" + a.ID.String() + "/original.mp4"
}

// BenchmarkFar streams from a backend over a network. The backend and the client are in this process, and in its CPU.
func BenchmarkFar(b *testing.B) {
	for _, size := range []struct {
		name string
		n    int64
	}{{"64KiB", 64<<10 + 1}, {"1MiB", 1 << 20}, {"64MiB", 64 << 20}} {
		b.Run(size.name, func(b *testing.B) {
			h, path := benchOver(b, storage.Backend{Name: "main", Driver: storagetest.NewRemote(b, memory.New())}, size.n)
			s := httptest.NewServer(h)
			defer s.Close()
			buf := make([]byte, 1<<20)
			b.SetBytes(size.n)
			b.ReportAllocs()
			for b.Loop() {
				resp, err := s.Client().Get(s.URL + path)
				if err != nil {
					b.Fatal(err)
				}
				n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, resp.Body, buf)
				_ = resp.Body.Close()
				if n != size.n || err != nil {
					b.Fatal(n, err)
				}
			}
		})
	}
}

// BenchmarkRedirect is the handler alone: a URL of this window, and one that must be signed.
func BenchmarkRedirect(b *testing.B) {
	h, path := benchOver(b, storage.Backend{Name: "main", Driver: storagetest.NewRemote(b, memory.New()), Delivery: storage.Redirect}, 1<<20)
	now := time.Now()
	h.o.Now = func() time.Time { return now }
	r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, path, nil)
	w := &sink{header: http.Header{}}
	for name, step := range map[string]time.Duration{"kept": 0, "signed": defaultRedirectTTL} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				now = now.Add(step)
				clear(w.header)
				h.ServeHTTP(w, r)
			}
			if w.header["Location"] == nil {
				b.Fatal("it is not redirected")
			}
		})
	}
}

func BenchmarkDelivery(b *testing.B) {
	h, path, file := benchHandler(b)
	served := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, err := os.Open(file) //nolint:gosec // a test's own file
		if err != nil {
			b.Error(err)
			return
		}
		defer f.Close()
		w.Header().Set("ETag", `"x"`)
		http.ServeContent(w, r, "x.mp4", time.Unix(1_700_000_000, 0), f)
	})
	for _, size := range []struct{ name, field string }{{"8KiB", "bytes=8192-16383"}, {"64KiB", "bytes=0-65535"}, {"256KiB", "bytes=0-262143"}} {
		for name, handler := range map[string]http.Handler{"sluice": h, "ServeContent": served} {
			b.Run(size.name+"/"+name, func(b *testing.B) {
				s := httptest.NewServer(handler)
				defer s.Close()
				client := s.Client()
				b.ReportAllocs()
				for b.Loop() {
					req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, s.URL+path, nil)
					if err != nil {
						b.Fatal(err)
					}
					req.Header.Set("Range", size.field)
					resp, err := client.Do(req)
					if err != nil || resp.StatusCode != 206 {
						b.Fatal(resp, err)
					}
					_, _ = io.Copy(io.Discard, resp.Body)
					_ = resp.Body.Close()
				}
			})
		}
	}
}

type sink struct {
	header http.Header
	n      int
}

func (s *sink) Header() http.Header { return s.header }
func (s *sink) WriteHeader(int)     {}

func (s *sink) SetWriteDeadline(time.Time) error { return nil }
func (s *sink) FlushError() error                { return nil }

func (s *sink) Write(p []byte) (int, error) {
	s.n += len(p)
	return len(p), nil
}

// BenchmarkHandler is the handler alone, without a connection.
func BenchmarkHandler(b *testing.B) {
	h, path, _ := benchHandler(b)
	r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, path, nil)
	r.Header.Set("Range", "bytes=8192-16383")
	w := &sink{header: http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		clear(w.header)
		h.ServeHTTP(w, r)
	}
}

// listed is a Denials whose list never changes.
type listed []media.Denial

func (l listed) Deny(_ context.Context, d media.Denial) (media.Denial, error) { return d, nil }
func (l listed) Denials(context.Context) ([]media.Denial, error)              { return l, nil }
func (l listed) Lift(context.Context, string) error                           { return nil }
func (l listed) DropDenials(context.Context) error                            { return nil }

// BenchmarkDenylist is what a request pays for the list.
func BenchmarkDenylist(b *testing.B) {
	const course = "507f1f77bcf86cd799439011"
	a := assetForTest()
	a.Placement.CourseID = course[:20] + "0000"
	var full listed
	until := time.Now().Add(time.Hour)
	for i := range 10_000 {
		d := media.Denial{ID: strconv.Itoa(i), Viewer: "viewer " + strconv.Itoa(i), Until: until}
		switch i % 4 {
		case 1:
			d.Asset = media.NewAssetID(until)
		case 2:
			d.CourseID = course[:20] + strconv.Itoa(1000+i%9000)
		case 3:
			d.CourseID, d.Viewer = course[:20]+strconv.Itoa(1000+i%9000), ""
		}
		full = append(full, d)
	}
	for name, list := range map[string]listed{"empty": nil, "one viewer": full[:1], "10,000 of four shapes": full, "one key": {{OfKey: true, Key: 1, Until: until}}} {
		b.Run(name, func(b *testing.B) {
			l := NewDenylist(list, DenylistOptions{})
			if err := l.Load(b.Context()); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			t := media.Ticket{Session: media.Session{1}, Key: 2}
			for b.Loop() {
				if l.revoked(&t, &a) != nil {
					b.Fatal("it is not denied")
				}
			}
		})
	}
}
