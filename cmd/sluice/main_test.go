package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { testscript.Main(m, map[string]func(){"sluice": main}) }

func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{Dir: "testdata/script"})
}

// freeAddress picks one nobody has, below the range of outgoing connections.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 100 {
		var b [2]byte
		_, _ = rand.Read(b[:])
		at := net.JoinHostPort("127.0.0.1", strconv.Itoa(20000+(int(b[0])<<8|int(b[1]))%12000))
		if l, err := net.Listen("tcp", at); err == nil {
			_ = l.Close() // nothing was accepted
			return at
		}
	}
	t.Fatal("no free port")
	return ""
}

// output is what a command has written, with a way to wait for a text.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
	news chan struct{}
}

func newOutput() *output { return &output{news: make(chan struct{}, 1)} }

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	select {
	case o.news <- struct{}{}:
	default:
	}
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// gateway is `sluice serve` in this process.
type testGateway struct {
	t    *testing.T
	dir  string
	env  []string
	url  string
	out  *output
	stop func() int
}

func serve(t *testing.T, env ...string) *testGateway {
	t.Helper()
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty.env")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	g := &testGateway{t: t, dir: dir, out: newOutput()}
	g.env = append([]string{"HOME=" + dir, "DATA_DIR=" + filepath.Join(dir, "data"), "SLUICE_ENV_FILE=" + empty}, env...)
	ctx, cancel := context.WithCancel(t.Context())
	code := make(chan int, 1)
	log := newOutput()
	go func() {
		code <- execute(ctx, []string{"serve", "--listen", "127.0.0.1:0"}, surroundings{environ: g.env, stdout: g.out, stderr: log})
	}()
	var once sync.Once
	ended := 0
	g.stop = func() int {
		once.Do(func() { cancel(); ended = <-code })
		return ended
	}
	t.Cleanup(func() { g.stop() })
	running := regexp.MustCompile(`Server running on port (\d+)\n`)
	for {
		if m := running.FindStringSubmatch(g.out.String()); m != nil {
			g.url = "http://127.0.0.1:" + m[1]
			return g
		}
		select {
		case <-g.out.news:
		case c := <-code:
			t.Fatalf("serve ended with %d: %s%s", c, g.out, log)
		case <-t.Context().Done():
			t.Fatal("serve did not start")
		}
	}
}

// sluice runs a client command against a gateway.
func (g *testGateway) sluice(ctx context.Context, server string, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = execute(ctx, args, surroundings{environ: append([]string{"SLUICE_SERVER=" + server}, g.env...), stdout: &out, stderr: &errs})
	return code, out.String(), errs.String()
}

func (g *testGateway) must(args ...string) string {
	g.t.Helper()
	code, out, errs := g.sluice(g.t.Context(), g.url, args...)
	if code != 0 {
		g.t.Fatalf("sluice %v = %d: %s", args, code, errs)
	}
	return strings.TrimSpace(out)
}

func file(t *testing.T, dir, name string, size int) (path, sum string) {
	t.Helper()
	data := make([]byte, size)
	_, _ = rand.Read(data)
	path = filepath.Join(dir, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	h := sha256.Sum256(data)
	return path, hex.EncodeToString(h[:])
}

func TestUploadLinkPlayShowRemove(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	g := serve(t)
	path, sum := file(t, g.dir, "notes.bin", 300_000)
	id := g.must("upload", path, "--title", "Notes")
	if link := g.must("link", id, "--expires", "2h"); !strings.HasPrefix(link, g.url+"/p/") {
		t.Errorf("link = %q, want a full URL below %s/p/", link, g.url)
	} else if got := fetch(t, link); got != sum {
		t.Errorf("the link plays %s, want %s", got, sum)
	}
	var shown asset
	if err := json.Unmarshal([]byte(g.must("show", id)), &shown); err != nil || shown.SHA256 != sum || shown.Title != "Notes" || shown.FileSize != 300_000 {
		t.Errorf("show = %+v, %v", shown, err)
	}
	if got := g.must("ls"); !strings.Contains(got, id) || !strings.Contains(got, "Notes") {
		t.Errorf("ls does not show the media: %s", got)
	}
	g.must("rm", id)
	if code, _, errs := g.sluice(t.Context(), g.url, "show", id); code != 1 || !strings.Contains(errs, "404") || !strings.Contains(errs, "\nfix: ") {
		t.Errorf("show after rm = %d, %q, want 1, a cause with 404 and a fix", code, errs)
	}
	start := time.Now()
	if code := g.stop(); code != 0 || time.Since(start) > 10*time.Second {
		t.Errorf("stop = %d after %v, want 0 within 10 s", code, time.Since(start))
	}
	if first := g.out.String(); !strings.Contains(first, "export SLUICE_TOKEN=eyJ") || !strings.Contains(first, "SQLite catalogue opened (embedded; DB_ENABLED=false)\n") {
		t.Errorf("the first start says: %s", first)
	}
}

func fetch(t *testing.T, link string) string {
	t.Helper()
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := c.Get(link)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	h := sha256.New()
	if _, err := io.Copy(h, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("GET = %d, %v", resp.StatusCode, err)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// before puts a proxy in front of a gateway that calls hook for each request; true lets it pass.
func before(t *testing.T, target string, hook func(w http.ResponseWriter, r *http.Request) bool) string {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(u)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if hook(w, r) {
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func TestAnInterruptedUploadGoesOn(t *testing.T) {
	t.Parallel()
	g := serve(t)
	path, sum := file(t, g.dir, "lecture.bin", 4<<20)
	ctx, interrupt := context.WithCancel(t.Context())
	var patches atomic.Int32
	at := before(t, g.url, func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPatch && patches.Add(1) == 3 {
			interrupt()
			return false
		}
		return true
	})
	args := []string{"upload", path, "--chunk-size", "1MiB", "--json"}
	if code, _, errs := g.sluice(ctx, at, args...); code != exitInterrupted || !strings.Contains(errs, "goes on where it was") {
		t.Fatalf("interrupted upload = %d, %q, want %d and how to go on", code, errs, exitInterrupted)
	}
	code, out, errs := g.sluice(t.Context(), at, args...)
	var u uploaded
	if err := json.Unmarshal([]byte(out), &u); code != 0 || err != nil {
		t.Fatalf("second run = %d, %v: %s", code, err, errs)
	}
	if u.Resumed != 2<<20 || u.SHA256 != sum || patches.Load() != 5 {
		t.Errorf("resumed from %d with hash %s after %d PATCHes, want from %d, %s, 5", u.Resumed, u.SHA256, patches.Load(), 2<<20, sum)
	}
	if left, _ := filepath.Glob(filepath.Join(g.dir, ".cache", "sluice", "uploads", "*")); len(left) != 0 {
		t.Errorf("a complete upload is still remembered: %v", left)
	}
}

func TestCutConnectionsAndRefusalsThatPassAreMended(t *testing.T) {
	t.Parallel()
	g := serve(t)
	path, sum := file(t, g.dir, "x.bin", 3<<20)
	var patches atomic.Int32
	at := before(t, g.url, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPatch {
			return true
		}
		switch patches.Add(1) {
		case 1: // cut in the middle: the gateway keeps what came
			r.Body = io.NopCloser(io.LimitReader(r.Body, 1<<20))
			r.ContentLength = 1 << 20
			httputilForward(g.url, r)
			panic(http.ErrAbortHandler)
		case 2:
			w.WriteHeader(http.StatusServiceUnavailable)
			return false
		case 3:
			w.WriteHeader(http.StatusLocked)
			return false
		}
		return true
	})
	code, out, errs := g.sluice(t.Context(), at, "upload", path, "--json")
	var u uploaded
	if err := json.Unmarshal([]byte(out), &u); code != 0 || err != nil || u.SHA256 != sum {
		t.Errorf("upload = %d, %v, hash %s, want %s: %s", code, err, u.SHA256, sum, errs)
	}
	if patches.Load() != 4 || strings.Count(errs, "trying again") != 3 {
		t.Errorf("%d PATCHes, said: %s", patches.Load(), errs)
	}
}

// httputilForward passes one request on and drops the answer.
func httputilForward(target string, r *http.Request) {
	out, err := http.NewRequestWithContext(r.Context(), r.Method, target+r.URL.Path, r.Body)
	if err != nil {
		return
	}
	out.Header, out.ContentLength = r.Header.Clone(), r.ContentLength
	if resp, err := http.DefaultTransport.RoundTrip(out); err == nil {
		_ = resp.Body.Close()
	}
}

func TestAPortInUse(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dir := t.TempDir()
	var errs bytes.Buffer
	code := execute(t.Context(), []string{"serve", "--listen", l.Addr().String(), "--data-dir", dir}, surroundings{environ: []string{"SLUICE_ENV_FILE=/dev/null"}, stdout: io.Discard, stderr: &errs})
	if lines := strings.Split(strings.TrimSpace(errs.String()), "\n"); code != 1 || len(lines) != 2 || !strings.Contains(lines[0], "is in use") || !strings.HasPrefix(lines[1], "fix: ") {
		t.Errorf("serve = %d, %q, want 1, a line with the cause and one with the fix", code, errs.String())
	}
}

func TestASecondGatewayOnOneDataDirectoryIsRefused(t *testing.T) {
	t.Parallel()
	g := serve(t)
	var errs bytes.Buffer
	code := execute(t.Context(), []string{"serve", "--listen", "127.0.0.1:0"}, surroundings{environ: g.env, stdout: io.Discard, stderr: &errs})
	if code != 1 || !strings.Contains(errs.String(), "another gateway runs on the data directory") {
		t.Errorf("second serve = %d, %q", code, errs.String())
	}
}

func TestARememberedUploadOfAnotherServerIsNotFollowed(t *testing.T) {
	t.Parallel()
	base, err := url.Parse("https://media.example.com/")
	if err != nil {
		t.Fatal(err)
	}
	c := &client{base: base}
	for upload, want := range map[string]bool{
		"https://media.example.com/files/x": true, "http://media.example.com/files/x": false, "https://evil.example/files/x": false, "::": false,
	} {
		if got := c.sameServer(upload); got != want {
			t.Errorf("sameServer(%q) = %v, want %v", upload, got, want)
		}
	}
}
