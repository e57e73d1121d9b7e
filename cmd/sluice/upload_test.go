package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sluice/internal/livetest"
)

func (g *testGateway) remembered() []string {
	g.t.Helper()
	files, err := filepath.Glob(filepath.Join(g.dir, ".cache", "sluice", "uploads", "*"))
	if err != nil {
		g.t.Fatal(err)
	}
	return files
}

// finish runs an upload to its end and gives what it came to.
func (g *testGateway) finish(at string, args ...string) (u uploaded, stderr string) {
	g.t.Helper()
	code, out, errs := g.sluice(g.t.Context(), at, append([]string{"upload", "--json"}, args...)...)
	if err := json.Unmarshal([]byte(out), &u); code != 0 || err != nil {
		g.t.Fatalf("upload = %d, %v: %s%s", code, err, out, errs)
	}
	return u, errs
}

// watched calls seen with the bytes read so far.
type watched struct {
	io.ReadCloser
	n    int64
	seen func(n int64)
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.ReadCloser.Read(p)
	w.n += int64(n)
	w.seen(w.n)
	return n, err
}

func TestAnUploaderThatIsKilledGoesOn(t *testing.T) {
	t.Parallel()
	g := serve(t)
	path, sum := file(t, g.dir, "lecture.bin", 16<<20)
	var kill sync.Once
	uploader := make(chan *os.Process, 1)
	var known atomic.Int32 // files that remembered the upload while its bytes came
	at := before(t, g.url, func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPatch {
			return true
		}
		r.Body = &watched{ReadCloser: r.Body, seen: func(n int64) {
			if n >= 4<<20 {
				kill.Do(func() {
					known.Store(int32(len(g.remembered())))
					_ = (<-uploader).Kill() // it waits for its answer
				})
			}
		}}
		return true
	})
	first := command(t, g.dir, append([]string{"SLUICE_SERVER=" + at}, g.env...), "upload", path)
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	uploader <- first.Process
	if err := first.Wait(); err == nil || first.ProcessState.ExitCode() != -1 {
		t.Fatalf("the first run ended with %v, want it killed", err)
	}
	if known.Load() != 1 {
		t.Errorf("%d uploads were remembered while bytes flowed, want 1", known.Load())
	}
	u, errs := g.finish(at, path)
	if u.Resumed < 1<<20 || u.SHA256 != sum || !u.Verified || strings.Contains(errs, "anew") {
		t.Errorf("second run: %+v, want it resumed and verified: %s", u, errs)
	}
	if left := g.remembered(); len(left) != 0 {
		t.Errorf("a complete upload is still remembered: %v", left)
	}
}

func TestAnUploadThatWasSweptStartsAnewAndSaysSo(t *testing.T) {
	t.Parallel()
	g := serve(t)
	path, sum := file(t, g.dir, "lecture.bin", 3<<20)
	ctx, interrupt := context.WithCancel(t.Context())
	var patches atomic.Int32
	at := before(t, g.url, func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPatch && patches.Add(1) == 2 {
			interrupt()
			return false
		}
		return true
	})
	if code, _, errs := g.sluice(ctx, at, "upload", path, "--chunk-size", "1MiB"); code != exitInterrupted {
		t.Fatalf("first run = %d: %s", code, errs)
	}
	files := g.remembered()
	if len(files) != 1 {
		t.Fatalf("remembered: %v", files)
	}
	data, err := os.ReadFile(files[0])
	var r remembered
	if err := json.Unmarshal(data, &r); err != nil {
		t.Fatal(err)
	}
	if info, statErr := os.Stat(files[0]); err != nil || statErr != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the capability lies in %v, %v, want mode 0600", info, statErr)
	}
	if code, _ := status(t, http.MethodDelete, r.URL, map[string]string{"Tus-Resumable": "1.0.0"}); code != http.StatusNoContent {
		t.Fatalf("DELETE = %d", code)
	}
	u, errs := g.finish(at, path)
	if u.Resumed != 0 || u.SHA256 != sum || u.ID == r.ID || !strings.Contains(errs, "starting anew") {
		t.Errorf("second run: %+v, %q, want another upload from byte 0, and that it is said", u, errs)
	}
}

func TestALostAnswerToACreationMakesOneMedium(t *testing.T) {
	t.Parallel()
	g := serve(t)
	path, sum := file(t, g.dir, "x.bin", 1<<20)
	var posts atomic.Int32
	at := before(t, g.url, func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost && posts.Add(1) == 1 {
			httputilForward(g.url, r)
			panic(http.ErrAbortHandler)
		}
		return true
	})
	u, _ := g.finish(at, path)
	complete := 0
	for d := json.NewDecoder(strings.NewReader(g.must("ls", "--json"))); d.More(); {
		var a asset
		if err := d.Decode(&a); err != nil {
			t.Fatal(err)
		}
		if a.SHA256 != "" {
			complete++
		}
	}
	if u.SHA256 != sum || posts.Load() != 2 || complete != 1 {
		t.Errorf("%+v after %d creations with %d complete media, want 2 and 1", u, posts.Load(), complete)
	}
}

func TestTheComparisonOfHashes(t *testing.T) {
	t.Parallel()
	g := serve(t)
	for name, c := range map[string]struct {
		answer, args, stderr string
		code                 int
		verified             bool
	}{
		"in time":                   {"", "", "", 0, true},
		"not in time is no failure": {`{"state":"stored"}`, "--verify-wait 50ms", "could not be compared", 0, false},
		"not asked for":             {"", "--no-verify", "", 0, false},
		"another hash is a failure": {`{"state":"ready","sha256":"` + strings.Repeat("00", 32) + `"}`, "", "another SHA-256", 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path, _ := file(t, t.TempDir(), "x.bin", 100_000)
			at := before(t, g.url, func(w http.ResponseWriter, r *http.Request) bool {
				if c.answer != "" && strings.HasPrefix(r.URL.Path, "/api/media/") {
					_, _ = io.WriteString(w, c.answer)
					return false
				}
				return true
			})
			code, out, errs := g.sluice(t.Context(), at, append([]string{"upload", "--json", path}, strings.Fields(c.args)...)...)
			var u uploaded
			if code == 0 {
				if err := json.Unmarshal([]byte(out), &u); err != nil || u.ID == "" || !strings.Contains(out, `"verified":`) {
					t.Errorf("it prints %s, %v", out, err)
				}
			}
			if code != c.code || u.Verified != c.verified || !strings.Contains(errs, c.stderr) || c.stderr == "" && errs != "" || c.stderr != "" && !strings.Contains(errs, "\nfix: ") {
				t.Errorf("upload = %d, verified %v, %q, want %d, %v, %q and a fix", code, u.Verified, errs, c.code, c.verified, c.stderr)
			}
		})
	}
}

func TestStandardInputOfAnyLength(t *testing.T) {
	t.Parallel()
	g := serve(t)
	for name, size := range map[string]int{"one byte": 1, "a chunk": 1 << 20, "chunks": 3 << 20, "chunks and a bit": 3<<20 + 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path, sum := file(t, t.TempDir(), "x.bin", size)
			in, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer in.Close()
			var patches atomic.Int32
			at := before(t, g.url, func(_ http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodPatch && patches.Add(1) == 1 && size > 1 { // cut in the middle: the gateway keeps what came
					r.Body, r.ContentLength = io.NopCloser(io.LimitReader(r.Body, 1<<19)), 1<<19
					r.Header.Del("Upload-Length")
					httputilForward(g.url, r)
					panic(http.ErrAbortHandler)
				}
				return true
			})
			var out, errs bytes.Buffer
			code := execute(t.Context(), []string{"upload", "-", "--name", "x.bin", "--chunk-size", "1MiB", "--json"},
				surroundings{environ: append([]string{"SLUICE_SERVER=" + at}, g.env...), stdin: in, stdout: &out, stderr: &errs})
			var u uploaded
			if err := json.Unmarshal(out.Bytes(), &u); code != 0 || err != nil || u.SHA256 != sum || u.Size != int64(size) || !u.Verified {
				t.Errorf("upload - = %d, %+v, %v, want %d bytes with %s: %s", code, u, err, size, sum, &errs)
			}
			var shown asset
			if err := json.Unmarshal([]byte(g.must("show", u.ID)), &shown); err != nil || shown.Filename != "x.bin" || shown.FileSize != int64(size) {
				t.Errorf("show = %+v, %v", shown, err)
			}
		})
	}
	var errs bytes.Buffer
	if code := execute(t.Context(), []string{"upload", "-", "--server", g.url}, surroundings{environ: g.env, stdin: strings.NewReader(""), stdout: io.Discard, stderr: &errs}); code != 1 || !strings.Contains(errs.String(), "\nfix: ") {
		t.Errorf("nothing on standard input = %d, %q", code, &errs)
	}
}

// slowReads counts the bytes that are read at an offset.
type slowReads struct {
	data []byte
	read atomic.Int64
}

func (s *slowReads) ReadAt(p []byte, at int64) (int, error) {
	if at >= int64(len(s.data)) {
		return 0, io.EOF
	}
	n := copy(p, s.data[at:])
	s.read.Add(int64(n))
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func TestBytesThatWereSentAreNotReadAgainForTheirHash(t *testing.T) {
	t.Parallel()
	data := []byte(strings.Repeat("0123456789", 100))
	want, err := newRunningSum().of(t.Context(), &slowReads{data: data}, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		passed [][2]int64 // from, to
		read   int64
	}{
		"in one go":           {[][2]int64{{0, 1000}}, 0},
		"in pieces":           {[][2]int64{{0, 10}, {10, 700}, {700, 1000}}, 0},
		"some twice":          {[][2]int64{{0, 500}, {300, 800}, {100, 200}, {800, 1000}}, 0},
		"the beginning lacks": {[][2]int64{{400, 1000}}, 1000},
		"a gap":               {[][2]int64{{0, 400}, {500, 1000}}, 600},
		"nothing":             {nil, 1000},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, source := newRunningSum(), &slowReads{data: data}
			for _, p := range c.passed {
				r.pass(p[0], data[p[0]:p[1]])
			}
			got, err := r.of(t.Context(), source, 1000)
			if err != nil || got != want || source.read.Load() != c.read {
				t.Errorf("sum %s, %v, after reading %d bytes, want %s after %d", got, err, source.read.Load(), want, c.read)
			}
		})
	}
}

func TestForgottenUploadsAreForgotten(t *testing.T) {
	t.Parallel()
	m := memory{t.TempDir()}
	if err := m.keep("old", remembered{"u", "i"}); err != nil {
		t.Fatal(err)
	}
	long := time.Now().Add(-forgetAfter - time.Hour)
	if err := os.Chtimes(m.path("old"), long, long); err != nil {
		t.Fatal(err)
	}
	if err := m.keep("new", remembered{"u", "i"}); err != nil {
		t.Fatal(err)
	}
	_, old := m.recall("old")
	_, fresh := m.recall("new")
	if old || !fresh {
		t.Errorf("old = %v, new = %v, want the new one alone", old, fresh)
	}
}

func TestAFileBeyond32BitsGoesOnNearItsEnd(t *testing.T) {
	t.Parallel()
	const size = 3 << 30
	dir, at := t.TempDir(), freeAddress(t)
	big, err := os.Create(filepath.Join(dir, "big.bin"))
	if err != nil {
		t.Fatal(err)
	}
	defer big.Close()
	if err := big.Truncate(size - 3); err != nil { // sparse: nothing but its end lies on the disk
		t.Fatal(err)
	}
	if _, err := big.WriteAt([]byte("end"), size-3); err != nil {
		t.Fatal(err)
	}
	p := spawn(t, dir, nil, "--listen", at)
	first := command(t, dir, []string{"SLUICE_SERVER=" + p.url}, "upload", big.Name(), "--chunk-size", "1MiB")
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	files := filepath.Join(dir, "data", "files")
	livetest.Until(t, 10*time.Second, "some bytes are there", func() bool { return written(t, files) > 2<<20 })
	_ = first.Process.Kill() // it waits for its answer
	_ = first.Wait()         // killed
	if code, _ := p.end(syscall.SIGTERM); code != 0 {
		t.Fatalf("stop = %d", code)
	}
	// The gigabytes between are zeros in both files: the stored part is made as long as sending them would.
	err = filepath.WalkDir(files, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		if info, err := d.Info(); err != nil || info.Size() < 1<<20 {
			return err
		}
		return os.Truncate(path, size-(1<<20))
	})
	if err != nil {
		t.Fatal(err)
	}
	p = spawn(t, dir, nil, "--listen", at)
	var u uploaded
	if err := json.Unmarshal([]byte(p.must("upload", big.Name(), "--chunk-size", "1MiB", "--no-verify", "--json")), &u); err != nil || u.Size != size || u.Resumed != size-(1<<20) {
		t.Errorf("upload = %+v, %v, want %d bytes, resumed at %d", u, err, size, size-(1<<20))
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.must("link", u.ID), http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Range", "bytes="+strconv.Itoa(size-3)+"-")
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got, err := io.ReadAll(resp.Body); err != nil || string(got) != "end" || resp.StatusCode != http.StatusPartialContent {
		t.Errorf("the last bytes are %q with %d, %v", got, resp.StatusCode, err)
	}
}

// terminal opens a pseudo terminal of 100 columns: what is written to tty is read from master.
func terminal(t *testing.T) (master, tty *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 100}); err != nil {
		t.Fatal(err)
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tty.Close() })
	return master, tty
}

func TestATerminalShowsProgressAndAPipeDoesNot(t *testing.T) {
	t.Parallel()
	g := serve(t)
	for name, c := range map[string]struct {
		onTerminal bool
		args       []string
		bar        bool
	}{
		"a terminal":           {true, nil, true},
		"a terminal, for JSON": {true, []string{"--json"}, false},
		"a pipe":               {false, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path, _ := file(t, dir, "lecture.bin", 8<<20)
			cmd := command(t, dir, append([]string{"SLUICE_SERVER=" + g.url}, g.env...), append([]string{"upload", path}, c.args...)...)
			shown, stdout := newOutput(), newOutput()
			cmd.Stdout, cmd.Stderr = stdout, shown
			if c.onTerminal {
				master, tty := terminal(t)
				cmd.Stderr = tty
				go func() { _, _ = io.Copy(shown, master) }() // ends with the terminal
			}
			if err := cmd.Run(); err != nil {
				t.Fatalf("%v: %s", err, shown)
			}
			if c.bar {
				livetest.Until(t, 5*time.Second, "the bar reaches the end", func() bool { return strings.Contains(shown.String(), "100%") })
			}
			if got := strings.Contains(shown.String(), "lecture.bin"); got != c.bar || strings.Contains(stdout.String(), "%") {
				t.Errorf("bar shown = %v, want %v: %q", got, c.bar, shown)
			}
		})
	}
}
