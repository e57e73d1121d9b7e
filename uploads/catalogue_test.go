package uploads_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/catalogue"
	"sluice/catalogue/sqlite"
	"sluice/media"
	"sluice/storage"
	"sluice/uploads"
	"sluice/uploads/tustest"
)

// real is a Service over the storage and the catalogue that a gateway has by default.
func real(t testing.TB, o uploads.Options) (*uploads.Service, *catalogue.Catalogue) {
	t.Helper()
	store, err := storage.New([]storage.Backend{{Name: "main", Type: media.Local, Driver: onDisk(t)}})
	if err != nil {
		t.Fatal(err)
	}
	c, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "catalogue.db"), catalogue.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	o.Authenticate = authenticate
	s, err := uploads.New(c, store, newRing(t), nil, o)
	if err != nil {
		t.Fatal(err)
	}
	return s, c
}

func TestTusOverTheRealCatalogue(t *testing.T) {
	t.Parallel()
	s, _ := real(t, uploads.Options{MaxSize: 2 << 20, Quota: 1 << 30})
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	tustest.Run(t, server.URL+"/files", tustest.Options{
		Header:  http.Header{"Authorization": {teacher}},
		Stray:   http.Header{"Authorization": {"Bearer stranger/instructor"}},
		MaxSize: 2 << 20,
	})
}

func TestTheRealCatalogueSettles(t *testing.T) {
	t.Parallel()
	s, c := real(t, uploads.Options{})
	b := &bench{t: t, s: s, ring: newRing(t), server: httptest.NewServer(s)}
	t.Cleanup(b.server.Close)
	b.run()
	body := strings.Repeat("0123456789abcdef", 1<<17)
	big := b.create("Upload-Length", fmt.Sprint(len(body)), "Upload-Metadata", meta("mongoCourseId", course, "filename", "x.mp4"))
	if rep := b.patch(big, "0", body); rep.status != http.StatusNoContent {
		t.Fatalf("got %d %s", rep.status, rep.body)
	}
	small := b.send(http.MethodPost, "/files", strings.NewReader("hello"), "Upload-Length", "5", "Content-Type", chunked)
	for _, location := range []string{big, small.header.Get("Location")} {
		eventually(t, 5*time.Second, "ready with its hash", func() bool {
			a, err := c.Asset(t.Context(), b.id(location))
			return err == nil && a.State == media.Ready && len(a.SHA256) == 32
		})
	}
}

func BenchmarkWholeFileCreationOverSQLite(b *testing.B) {
	s, _ := real(b, uploads.Options{})
	body := []byte(strings.Repeat("\x91", 64<<10))
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			post(b, s, http.MethodPost, "/files", body, creation("65536", chunked))
		}
	})
}
