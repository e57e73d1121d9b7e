package s3_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sluice/internal/livetest"
	"sluice/media"
	"sluice/storage"
	"sluice/storage/s3"
)

// TestWhatACrashLeavesIsTidied leaves a multipart upload and a segment that no state names, and keeps those that one does.
func TestWhatACrashLeavesIsTidied(t *testing.T) {
	t.Parallel()
	var lose atomic.Bool
	b := setup(t, func(c livetest.S3Call) livetest.S3Fault {
		return livetest.S3Fault{Cut: lose.Load() && isState(c)} // the state is never written: it knows nothing of what was made for it
	})
	living := b.begin(40 * mib)
	b.append(living, 0, noise(6*mib, 1))
	b.append(living, 6*mib, noise(2*mib, 2))
	lost, err := b.d.Begin(t.Context(), "7f/lost", 20*mib)
	b.must("begin", err)
	lose.Store(true)
	_, err = lost.Append(t.Context(), 0, bytes.NewReader(noise(6*mib, 1)))
	b.wantKind("append", err, media.Unavailable)
	_, err = living.Append(t.Context(), 8*mib, bytes.NewReader(noise(mib, 3)))
	b.wantKind("append", err, media.Unavailable)
	lose.Store(false)

	before := b.files()
	b.must("tidy", b.other.Tidy(t.Context()))
	if after := b.files(); after != before {
		t.Errorf("what is young was touched: %d files, then %d", before, after)
	}
	b.other.Expire(-time.Hour)
	b.must("tidy", b.other.Tidy(t.Context()))
	w := b.resume(b.other)
	b.wantOffset(w, 8*mib)
	b.append(w, 8*mib, noise(32*mib, 4))
	_, err = w.Commit(t.Context())
	b.must("commit", err)
	rest, err := b.other.Resume(t.Context(), "7f/lost")
	b.must("resume", err)
	b.must("abort", rest.Abort(t.Context()))
	b.must("close", b.other.Close())
	if n := b.files(); n != 1 {
		t.Errorf("%d files are left, want the object", n)
	}
}

// files counts what the server keeps in the bucket, parts of multipart uploads included.
func (b *bench) files() int {
	b.Helper()
	n := 0
	err := filepath.WalkDir(b.server.Folder(b.o.Bucket), func(_ string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			n++
		}
		return err
	})
	b.must("count files", err)
	return n
}

func TestPresignedURLs(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	want := noise(100<<10, 1)
	o, err := b.d.Put(t.Context(), key, want)
	b.must("put", err)
	as := storage.Presentation{ContentType: "video/mp4", ContentDisposition: `attachment; filename*=UTF-8''%C3%BC%20%26.mp4`, CacheControl: "private, max-age=1"}
	now := time.Now()
	u, err := b.d.Presign(t.Context(), o, as, now, time.Minute)
	b.must("presign", err)
	if same, err := b.other.Presign(t.Context(), o, as, now, time.Minute); err != nil || same != u {
		t.Errorf("the same again: got %q, %v, want %q", same, err, u)
	}
	get := func(u, byteRange string) (*http.Response, []byte) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, u, nil)
		b.must("request", err)
		if byteRange != "" {
			req.Header.Set("Range", byteRange)
		}
		c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		resp, err := c.Do(req)
		b.must("get", err)
		body, err := io.ReadAll(resp.Body)
		b.must("read", errors.Join(err, resp.Body.Close()))
		return resp, body
	}
	resp, body := get(u, "")
	if resp.StatusCode != http.StatusOK || !bytes.Equal(body, want) || resp.Header.Get("Content-Type") != as.ContentType ||
		resp.Header.Get("Content-Disposition") != as.ContentDisposition || resp.Header.Get("Cache-Control") != as.CacheControl {
		t.Errorf("whole: %d, %d bytes, %v", resp.StatusCode, len(body), resp.Header)
	}
	if resp, body := get(u, "bytes=100-199"); resp.StatusCode != http.StatusPartialContent || !bytes.Equal(body, want[100:200]) {
		t.Errorf("range: %d, %d bytes", resp.StatusCode, len(body))
	}
	old, err := b.d.Presign(t.Context(), o, as, now.Add(-time.Hour), time.Minute)
	b.must("presign", err)
	for name, bad := range map[string]string{"expired": old, "for another": strings.Replace(u, "7f/", "7e/", 1), "as another type": strings.Replace(u, "video", "text", 1)} {
		if resp, _ := get(bad, ""); resp.StatusCode != http.StatusForbidden {
			t.Errorf("%s: got %d, want 403", name, resp.StatusCode)
		}
	}
}

func TestProbeSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	server := livetest.S3(t)
	good := options(t, server, "media")
	for name, c := range map[string]struct {
		change func(o *s3.Options)
		cause  string // part of it; "": all is well
	}{
		"all is well":      {func(*s3.Options) {}, ""},
		"a missing bucket": {func(o *s3.Options) { o.Bucket = "other" }, "no bucket other"},
		"a wrong key":      {func(o *s3.Options) { o.AccessKey = "stranger" }, "access key is not known"},
		"a wrong secret":   {func(o *s3.Options) { o.SecretKey = "wrong" }, "secret key is not"},
		"nobody there":     {func(o *s3.Options) { o.Endpoint = "http://127.0.0.1:1" }, "cannot be reached"},
		"no such host":     {func(o *s3.Options) { o.Endpoint = "http://nowhere.invalid" }, "not known"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := good
			c.change(&o)
			o.Quick()
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			err := open(t, o).Probe(ctx)
			if c.cause == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			e, ok := errors.AsType[*s3.ProbeError](err)
			if !ok || !strings.Contains(e.Cause, c.cause) || e.Fix == "" || strings.Contains(e.Cause+e.Fix, "\n") || strings.Contains(e.Cause, o.SecretKey) {
				t.Errorf("got %+v (%v), want a cause with %q", e, err, c.cause)
			}
		})
	}
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]s3.Options{
		"no bucket":          {},
		"a strange endpoint": {Bucket: "b", Endpoint: "s3.example.com"},
		"half a key":         {Bucket: "b", AccessKey: "a"},
		"a strange prefix":   {Bucket: "b", Prefix: "a/"},
		"strange sums":       {Bucket: "b", Checksums: "md5"},
		"small parts":        {Bucket: "b", PartSize: mib},
		"a negative count":   {Bucket: "b", InFlight: -1},
	} {
		if d, err := s3.Open(t.Context(), o); err == nil {
			t.Errorf("%s is accepted", name)
			_ = d.Close()
		}
	}
}

// TestAProxysNotFoundIsNotBelieved: what is missing is removed from the catalogue, and a proxy says 404 of its own while its server restarts.
func TestAProxysNotFoundIsNotBelieved(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"text": "404 page not found\n", "none": "", "JSON": `{"error":"no route"}`, "HTML": "<html><body>404</body></html>"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusNotFound)
				_, _ = io.WriteString(w, text)
			}))
			t.Cleanup(proxy.Close)
			o := s3.Options{Bucket: "media", Endpoint: proxy.URL, PathStyle: true, AccessKey: "a", SecretKey: "s"}
			o.Quick()
			d := open(t, o)
			_, stat := d.Stat(t.Context(), key)
			_, resume := d.Resume(t.Context(), key)
			_, read := d.Read(t.Context(), media.Object{Key: key, Size: 1}, 0, 1)
			for doing, err := range map[string]error{"stat": stat, "resume": resume, "read": read, "delete": d.Delete(t.Context(), key)} {
				if !errors.Is(err, media.Unavailable) {
					t.Errorf("%s: got error %v, want Unavailable", doing, err)
				}
			}
		})
	}
}
