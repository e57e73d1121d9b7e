package threats_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/internal/livetest"
)

// stored is how many bytes of uploads lie in the data directory.
func stored(t *testing.T, a *arena) (n int64) {
	t.Helper()
	_ = filepath.WalkDir(filepath.Join(a.s.DataDir, "files"), func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if info, err := d.Info(); err == nil {
				n += info.Size()
			}
		}
		return nil
	})
	return n
}

// TestLimits measures what is stored, which others must not change meanwhile.
//
//nolint:tparallel // hence one after the other
func TestLimits(t *testing.T) {
	t.Parallel()
	const kib, limit, quota = 1 << 10, 1 << 20, 2 << 20
	a := newArena(t, livetest.Options{Env: []string{"SLUICE_MAX_UPLOAD_SIZE=1MiB", "SLUICE_QUOTA=2MiB"}})
	chunks := func(n int) string { return fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", n, strings.Repeat("x", n)) }
	const chunked = "Transfer-Encoding: chunked"
	owners := 0
	someone := func() string { // each with a quota of their own
		owners++
		return a.s.Token(fmt.Sprintf("owner-%d", owners), "instructor", time.Hour)
	}
	refused := func(t *testing.T, what string, got answer) {
		t.Helper()
		if got.status != 413 && got.status != 403 {
			t.Errorf("%s = %v, want 413", what, got)
		}
	}
	bounded := func(t *testing.T, at string, most int) {
		t.Helper()
		if off := a.offset(t, at); off > most {
			t.Errorf("%d bytes are stored, at most %d may be", off, most)
		}
	}

	t.Run("threat: size bypass by declared length", func(t *testing.T) {
		for _, n := range []string{"1048577", "9223372036854775807"} {
			_, got := a.begin(t, someone(), "Upload-Length: "+n)
			refused(t, "Upload-Length: "+n, got)
		}
	})
	t.Run("threat: size bypass by deferred length", func(t *testing.T) {
		up, _ := a.begin(t, someone(), "Upload-Defer-Length: 1")
		refused(t, "a length beyond the limit, later", a.patch(t, up.at, 0, "x", "Upload-Length: 1048577"))
		refused(t, "a body beyond the limit", a.patch(t, up.at, 0, strings.Repeat("x", limit+1)))
		a.patch(t, up.at, 0, chunks(3*limit), chunked)
		bounded(t, up.at, limit)
		if off := a.offset(t, up.at); off >= 0 {
			a.patch(t, up.at, off, chunks(limit), chunked)
			a.patch(t, up.at, off, strings.Repeat("x", limit))
		}
		bounded(t, up.at, limit)
	})
	t.Run("threat: size bypass by a chunked body", func(t *testing.T) {
		up, _ := a.begin(t, someone(), "Upload-Length: 1000")
		if got := a.patch(t, up.at, 0, chunks(200*kib), chunked); got.status < 400 && a.offset(t, up.at) > 1000 {
			t.Errorf("more than was declared: %v", got)
		}
		bounded(t, up.at, 1000)
		refused(t, "a body longer than Upload-Length", a.do(t, "POST", "/files/", someone(), strings.Repeat("x", 2000), tus, octets, "Upload-Length: 1000"))
		got := a.do(t, "POST", "/files/", someone(), chunks(200*kib), tus, octets, chunked, "Upload-Length: 1000")
		if at := got.header.Get("Location"); at != "" {
			bounded(t, at, 1000)
		}
	})
	t.Run("threat: size bypass by joining", func(t *testing.T) {
		owner := someone()
		part := func() string {
			got := a.do(t, "POST", "/files/", owner, strings.Repeat("x", 700*kib), tus, octets, "Upload-Length: 716800", "Upload-Concat: partial")
			if got.status != 201 {
				t.Fatal(got)
			}
			return got.header.Get("Location")
		}
		one, two := part(), part()
		refused(t, "two parts of 700 KiB", a.do(t, "POST", "/files/", owner, "", tus, "Upload-Concat: final;"+one+" "+two))
		refused(t, "one part twice", a.do(t, "POST", "/files/", owner, "", tus, "Upload-Concat: final;"+one+" "+one))
	})
	t.Run("threat: quota bypass by joining one part again and again", func(t *testing.T) {
		owner := someone()
		part := a.do(t, "POST", "/files/", owner, strings.Repeat("y", 100*kib), tus, octets, "Upload-Length: 102400", "Upload-Concat: partial")
		if part.status != 201 {
			t.Fatal(part)
		}
		taken, made := 0, map[string]bool{}
		for n := 10; n > 0; n-- { // the same list of parts again would be the same file, and need no room
			got := a.do(t, "POST", "/files/", owner, "", tus, "Upload-Concat: final;"+strings.Repeat(part.header.Get("Location")+" ", n))
			if id := got.header.Get("Sluice-Media-Id"); got.status == 201 && !made[id] {
				made[id] = true
				taken += n * 100 * kib
			} else if got.status != 201 {
				refused(t, "joined again", got)
			}
		}
		if taken > quota-100*kib {
			t.Errorf("files of %d bytes beside a part in a quota of 2 MiB", taken)
		}
	})
	t.Run("threat: quota bypass by creations side by side", func(t *testing.T) {
		for name, headers := range map[string][]string{
			"declared":        {"Upload-Length: 1000000"},
			"parts":           {"Upload-Length: 1000000", "Upload-Concat: partial"},
			"whole in one go": {"Upload-Length: 1000000", octets},
		} {
			owner, body := someone(), ""
			if len(headers) > 1 && headers[1] == octets {
				body = strings.Repeat("x", 1000000)
			}
			var taken atomic.Int32
			var all sync.WaitGroup
			for range 12 {
				all.Go(func() {
					switch got := a.do(t, "POST", "/files/", owner, body, append([]string{tus}, headers...)...); got.status {
					case 201:
						taken.Add(1)
					case 413, 403:
					default:
						t.Errorf("%s: %v", name, got)
					}
				})
			}
			all.Wait()
			if n := taken.Load(); n != 2 {
				t.Errorf("%s: %d uploads of 1 MB in a quota of 2 MiB, want 2", name, n)
			}
		}
	})
	t.Run("threat: quota bypass by many of deferred length", func(t *testing.T) {
		owner := someone()
		before := stored(t, a)
		var all sync.WaitGroup
		for range 8 {
			up, _ := a.begin(t, owner, "Upload-Defer-Length: 1")
			all.Go(func() { a.patch(t, up.at, 0, chunks(900*kib), chunked) })
		}
		all.Wait()
		if n := stored(t, a) - before; n > quota {
			t.Errorf("%d bytes are stored in a quota of %d", n, quota)
		}
	})
	t.Run("threat: what is deleted or refused gives its room back, once", func(t *testing.T) {
		owner := someone()
		for range 6 {
			up, got := a.begin(t, owner, "Upload-Length: 1000000")
			if got.status != 201 {
				t.Fatal(got)
			}
			for range 3 { // again and again must not give more back than was taken
				a.do(t, "DELETE", up.at, "", "", tus)
			}
		}
		taken := 0
		for range 5 {
			if _, got := a.begin(t, owner, "Upload-Length: 1000000"); got.status == 201 {
				taken++
			}
		}
		if taken != 2 {
			t.Errorf("%d uploads of 1 MB fit into 2 MiB, want 2", taken)
		}
	})
}

// TestCreationsAreBounded makes more uploads that nobody goes on with than are kept open at a time.
func TestCreationsAreBounded(t *testing.T) {
	t.Parallel()
	a := newArena(t, livetest.Options{Env: []string{"SLUICE_UPLOAD_EXPIRY=60s"}})
	descriptors := func() int {
		names, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", a.s.Pid()))
		if err != nil {
			t.Fatal(err)
		}
		return len(names)
	}
	const many = 2500
	before := descriptors()
	work, ups := make(chan int), make(chan string, many)
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for range work {
				up, got := a.begin(t, a.ada, "Upload-Length: 100000")
				if got.status != 201 {
					t.Errorf("creation: %v", got)
					continue
				}
				ups <- up.at
			}
		})
	}
	for i := range many {
		work <- i
	}
	close(work)
	all.Wait()
	close(ups)
	if n := descriptors() - before; n > 2048+100 {
		t.Errorf("%d uploads nobody writes hold %d descriptors", many, n)
	}
	if mib := a.s.PeakMiB(); mib > 200 {
		t.Errorf("%d creations take %.0f MiB", many, mib)
	}
	last := ""
	for at := range ups {
		last = at
	}
	// A minute is the shortest life there is: it is waited for, and not asked about a hundred times a second.
	expires, err := http.ParseTime(a.do(t, "HEAD", last, "", "", tus).header.Get("Upload-Expires"))
	if err != nil || time.Until(expires) > time.Minute {
		t.Fatalf("an upload expires at %v, %v", expires, err)
	}
	over := time.NewTimer(time.Until(expires))
	defer over.Stop()
	<-over.C
	livetest.Until(t, 5*time.Second, "an upload expires", func() bool {
		s := a.do(t, "HEAD", last, "", "", tus).status
		return s == 410 || s == 404
	})
	a.s.Stop()
	a.s.Start() // a start sweeps at once, and a running gateway each minute
	livetest.Until(t, 20*time.Second, "expired uploads are swept", func() bool {
		parts, err := os.ReadDir(filepath.Join(a.s.DataDir, "files", "parts"))
		return err == nil && len(parts) == 0 && a.do(t, "HEAD", last, "", "", tus).status == 404
	})
	if got := a.do(t, "GET", "/api/media?state=uploading", a.admin, ""); !strings.Contains(got.body, `"items":[]`) {
		t.Errorf("rows are left: %v", got)
	}
}

// TestFirstStart looks at what a machine gets that was told nothing.
func TestFirstStart(t *testing.T) {
	t.Parallel()
	t.Run("threat: default credentials and open doors", func(t *testing.T) {
		t.Parallel()
		s := livetest.Sluice(t, livetest.Options{Env: []string{"JWT_SECRET="}})
		a := &arena{s: s, secrets: map[string]string{}}
		token := regexp.MustCompile(`SLUICE_TOKEN=(\S+)`)
		var found [][]string
		livetest.Until(t, 5*time.Second, "the first start's words are printed", func() bool { // after it serves
			found = token.FindAllStringSubmatch(s.Output(), -1)
			return strings.Contains(s.Output(), "/api/docs in a browser")
		})
		if len(found) != 1 {
			t.Fatalf("a token is printed %d times, want once", len(found))
		}
		if got := a.do(t, "GET", "/metrics", found[0][1], ""); got.status != 200 {
			t.Errorf("the first token: %v", got)
		}
		for _, target := range []string{"/metrics", "/api/me", "/api/uploads"} {
			if got := a.do(t, "GET", target, "", ""); got.status != 401 {
				t.Errorf("GET %s by nobody = %d", target, got.status)
			}
		}
		if got := a.do(t, "POST", "/files/", "", "", tus, "Upload-Length: 1"); got.status != 401 {
			t.Errorf("an upload by nobody = %d", got.status)
		}
		for _, secret := range []string{"", "secret", "changeme", "your-256-bit-secret", s.Secret} {
			forged := signed(hs256, fmt.Sprintf(`{"sub":"root","role":"admin","exp":%d}`, later), secret, sha256.New)
			if got := a.do(t, "GET", "/api/me", forged, ""); got.status != 401 {
				t.Errorf("a token by %q = %d", secret, got.status)
			}
		}
		closedDoors(t, s.DataDir)
		first := keysOf(t, s.DataDir)
		s.Stop()
		s.Start()
		if n := len(token.FindAllString(s.Output(), -1)); n != 1 {
			t.Errorf("after a second start a token was printed %d times", n)
		}
		for name, key := range first {
			if strings.Contains(s.Output(), strings.TrimSpace(key)) {
				t.Errorf("the key %s is printed", name)
			}
			if keysOf(t, s.DataDir)[name] != key {
				t.Errorf("the key %s is another after a restart", name)
			}
		}
		other := livetest.Sluice(t, livetest.Options{Env: []string{"JWT_SECRET="}})
		for name, key := range keysOf(t, other.DataDir) {
			if first[name] == key {
				t.Errorf("two gateways made the same key %s", name)
			}
		}
	})
	t.Run("threat: the profiles listen beyond the loopback unasked", func(t *testing.T) {
		t.Parallel()
		s := livetest.Sluice(t, livetest.Options{})
		_, port, err := net.SplitHostPort(s.Addr)
		if err != nil {
			t.Fatal(err)
		}
		s.Stop()
		// The same port by PORT alone: the host is the profile's choice.
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		cmd := s.Command(ctx, []string{"PORT=" + port}, "serve", "--data-dir", s.DataDir)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		livetest.Until(t, 10*time.Second, "it serves", s.Ready)
		addrs, err := net.InterfaceAddrs()
		if err != nil {
			t.Fatal(err)
		}
		for _, addr := range addrs {
			ip, ok := addr.(*net.IPNet)
			if !ok || ip.IP.IsLoopback() || ip.IP.To4() == nil {
				continue
			}
			c, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", net.JoinHostPort(ip.IP.String(), port))
			if err == nil {
				_ = c.Close()
				t.Errorf("it listens on %s", ip.IP)
			}
		}
		cancel()
		_ = cmd.Wait() // killed
	})
	t.Run("threat: a production start with weak keys", func(t *testing.T) {
		t.Parallel()
		s := livetest.Sluice(t, livetest.Options{Off: true})
		strong := "kX8s0vJqf3TzWm5RbY1uLhD7cNpGeA2ioZ4wQxV6"
		for name, env := range map[string][]string{
			"no secret":               {"JWT_SECRET=", "SLUICE_SIGNING_KEYS=1:sign:" + strong},
			"31 bytes":                {"JWT_SECRET=" + strong[:31], "SLUICE_SIGNING_KEYS=1:sign:" + strong},
			"a sample":                {"JWT_SECRET=your-super-secret-jwt-key-change-this-in-production", "SLUICE_SIGNING_KEYS=1:sign:" + strong},
			"another sample":          {"JWT_SECRET=change_me_change_me_change_me_change_me", "SLUICE_SIGNING_KEYS=1:sign:" + strong},
			"one letter":              {"JWT_SECRET=" + strings.Repeat("a", 64), "SLUICE_SIGNING_KEYS=1:sign:" + strong},
			"no signing key":          {"JWT_SECRET=" + strong},
			"a short signing key":     {"JWT_SECRET=" + strong, "SLUICE_SIGNING_KEYS=1:sign:short"},
			"a sample of signing key": {"JWT_SECRET=" + strong, "SLUICE_SIGNING_KEYS=1:sign:changeme-changeme-changeme-changeme"},
			"two keys that sign":      {"JWT_SECRET=" + strong, "SLUICE_SIGNING_KEYS=1:sign:" + strong + ",2:sign:" + strong + "x"},
			"none that signs":         {"JWT_SECRET=" + strong, "SLUICE_SIGNING_KEYS=1:verify:" + strong},
			"a short API key":         {"JWT_SECRET=" + strong, "SLUICE_SIGNING_KEYS=1:sign:" + strong, "SLUICE_API_KEYS=lms:admin:short"},
			"a pattern of origins":    {"JWT_SECRET=" + strong, "SLUICE_SIGNING_KEYS=1:sign:" + strong, "SLUICE_CORS_ORIGINS=https://*.example.com"},
			"an origin with a path":   {"JWT_SECRET=" + strong, "SLUICE_SIGNING_KEYS=1:sign:" + strong, "SLUICE_CORS_ORIGINS=https://a.example/path"},
		} {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			cmd := s.Command(ctx, append([]string{"SLUICE_PROFILE=production"}, env...), "serve", "--listen", s.Addr, "--data-dir", s.DataDir)
			out, err := cmd.CombinedOutput()
			cancel()
			if err == nil || ctx.Err() != nil && cmd.ProcessState.ExitCode() != 1 || cmd.ProcessState.ExitCode() != 1 {
				t.Errorf("%s: it starts, or ends with %d: %s", name, cmd.ProcessState.ExitCode(), out)
			}
			for _, e := range env {
				if n, v, _ := strings.Cut(e, "="); n != "SLUICE_CORS_ORIGINS" && len(v) > 20 && strings.Contains(string(out), v) {
					t.Errorf("%s: the refusal shows the secret: %s", name, out)
				}
			}
		}
	})
}

// closedDoors holds that the data directory is for its owner alone.
func closedDoors(t *testing.T, dir string) {
	t.Helper()
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("the data directory has mode %v, %v", info.Mode(), err)
	}
	entries, err := os.ReadDir(filepath.Join(dir, "keys"))
	if err != nil || len(entries) == 0 {
		t.Fatalf("no keys: %v", err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the key %s has mode %v, %v", e.Name(), info.Mode(), err)
		}
	}
}

func keysOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	keys := map[string]string{}
	entries, err := os.ReadDir(filepath.Join(dir, "keys"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(dir, "keys", e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		keys[e.Name()] = string(text)
	}
	return keys
}
