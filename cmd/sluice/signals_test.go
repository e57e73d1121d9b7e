package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"sluice/configs"
	"sluice/internal/livetest"
)

// running is a PATCH whose head and first bytes are sent, over a connection that the test holds.
type running struct {
	net.Conn
	upload string // path of the upload
	sent   int64
}

// patching creates an upload of size bytes, has half of it acknowledged, sends a quarter more in a PATCH that goes on, and waits until
// those bytes lie on the disk.
func (p *process) patching(size int64) *running {
	p.t.Helper()
	token := p.must("token", "--subject", "u1")
	code, head := status(p.t, http.MethodPost, p.url+"/files/", map[string]string{"Tus-Resumable": "1.0.0", "Authorization": "Bearer " + token, "Upload-Length": strconv.FormatInt(size, 10)})
	if code != http.StatusCreated {
		p.t.Fatalf("POST = %d", code)
	}
	r := &running{upload: head.Get("Location")}
	half := size / 2
	r.connect(p, 0, half)
	r.send(p.t, half)
	if answer, err := http.ReadResponse(bufio.NewReader(r), nil); err != nil || answer.StatusCode != http.StatusNoContent {
		p.t.Fatalf("first PATCH: %v, %v", answer, err)
	} else {
		_ = answer.Body.Close()
	}
	_ = r.Close()
	r.connect(p, half, size-half)
	r.send(p.t, size/4)
	livetest.Until(p.t, 5*time.Second, "the bytes are written", func() bool {
		return written(p.t, filepath.Join(p.dir, "data", "files")) >= r.sent
	})
	return r
}

func (r *running) connect(p *process, at, length int64) {
	p.t.Helper()
	host := strings.TrimPrefix(p.url, "http://")
	c, err := net.Dial("tcp", host)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = c.Close() })
	r.Conn = c
	if _, err := fmt.Fprintf(c, "PATCH %s HTTP/1.1\r\nHost: %s\r\nTus-Resumable: 1.0.0\r\nContent-Type: application/offset+octet-stream\r\nUpload-Offset: %d\r\nContent-Length: %d\r\n\r\n",
		r.upload, host, at, length); err != nil {
		p.t.Fatal(err)
	}
}

func (r *running) send(t *testing.T, n int64) {
	t.Helper()
	if _, err := r.Write(make([]byte, n)); err != nil {
		t.Fatal(err)
	}
	r.sent += n
}

func written(t *testing.T, dir string) (n int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil //nolint:nilerr // a part that goes away is not counted
		}
		if info, err := d.Info(); err == nil {
			n += info.Size()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (p *process) offset(upload string) int64 {
	p.t.Helper()
	code, head := status(p.t, http.MethodHead, p.url+upload, map[string]string{"Tus-Resumable": "1.0.0"})
	n, err := strconv.ParseInt(head.Get("Upload-Offset"), 10, 64)
	if code != http.StatusOK || err != nil {
		p.t.Fatalf("HEAD = %d, offset %q", code, head.Get("Upload-Offset"))
	}
	return n
}

func TestASignalDuringAPatchKeepsItsBytes(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			p := spawn(t, dir, nil)
			const size = 4 << 20
			patch := p.patching(size)
			code, took := p.end(sig)
			if code != 0 || took > 3*time.Second {
				t.Errorf("exit code %d after %v, want 0 promptly: %s", code, took, p.log)
			}
			again := spawn(t, dir, nil)
			if got := again.offset(patch.upload); got != patch.sent {
				t.Errorf("HEAD after the restart = %d, want the %d that were sent", got, patch.sent)
			}
			patch.connect(again, patch.sent, size-patch.sent)
			patch.send(t, size-patch.sent)
			if answer, err := http.ReadResponse(bufio.NewReader(patch), nil); err != nil || answer.StatusCode != http.StatusNoContent {
				t.Errorf("the rest: %v, %v, want 204", answer, err)
			} else {
				_ = answer.Body.Close()
			}
		})
	}
}

func TestAnUploadIsCutAfterTheIdleTimeout(t *testing.T) {
	t.Parallel()
	p := spawn(t, t.TempDir(), []string{"SLUICE_IDLE_TIMEOUT=300ms"})
	patch := p.patching(1 << 20)
	if err := patch.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, patch); err != nil {
		t.Errorf("a silent PATCH: %v, want an end of the connection", err)
	}
	if got := p.offset(patch.upload); got != patch.sent {
		t.Errorf("HEAD = %d, want the %d that were sent", got, patch.sent)
	}
}

func TestDrainingSaysSoAndASecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	p := spawn(t, t.TempDir(), []string{"SLUICE_DRAIN_DELAY=5s", "SLUICE_SHUTDOWN_GRACE=3s"})
	patch := p.patching(1 << 20)
	if code, _ := status(t, http.MethodGet, p.url+"/readyz", nil); code != http.StatusOK {
		t.Fatalf("/readyz before = %d, want 200", code)
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	livetest.Until(t, 2*time.Second, "/readyz says 503", func() bool {
		code, _ := status(t, http.MethodGet, p.url+"/readyz", nil)
		return code == http.StatusServiceUnavailable
	})
	if code, _ := status(t, http.MethodGet, p.url+"/livez", nil); code != http.StatusOK {
		t.Errorf("/livez while draining = %d, want 200: the balancer still sends", code)
	}
	patch.send(t, 1000) // and uploads still flow
	code, took := p.end(syscall.SIGTERM)
	if code == 0 || took > time.Second {
		t.Errorf("the second signal: exit code %d after %v, want it gone at once", code, took)
	}
}

func TestTheSlowestStopThatSettingsAllow(t *testing.T) {
	t.Parallel()
	p := spawn(t, t.TempDir(), []string{"SLUICE_DRAIN_DELAY=2s", "SLUICE_SHUTDOWN_GRACE=6s"})
	// A client that reads nothing of a large answer keeps its request running for all of the grace.
	path, _ := file(t, p.dir, "x.bin", 32<<20)
	link := p.must("link", p.must("upload", path, "--no-verify"))
	c, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", link[strings.Index(link, "/p/"):]); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 12)); err != nil {
		t.Fatal(err)
	}
	code, took := p.end(syscall.SIGTERM)
	if code != 0 || took < 7*time.Second || took > 10*time.Second {
		t.Errorf("exit code %d after %v, want 0 between 7 and 10 s: %s", code, took, p.log)
	}
	t.Logf("stopped in %v", took)
	code, out, errs := once(t, t.TempDir(), []string{"SLUICE_DRAIN_DELAY=1m"}, "serve", "--port", "0")
	onlyCauseAndFix(t, code, out, errs, regexp.MustCompile("over 8s"))
}

func TestAStopThatHangsIsCut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		hangs := make(chan struct{})
		time.AfterFunc(time.Hour, stop) // it serves for an hour, which is not limited
		start := time.Now()
		err := within(ctx, stopLimit, func() error { <-hangs; return nil })
		if r, ok := errors.AsType[*configs.Refusal](err); !ok || r.Fix == "" || time.Since(start) != time.Hour+stopLimit {
			t.Errorf("within = %v after %v, want a cause and a fix after an hour and %v", err, time.Since(start), stopLimit)
		}
		close(hangs)
	})
}

func TestASignalWhileTheDatabaseIsWaitedFor(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := command(t, dir, []string{"DB_ENABLED=true", "DB_HOST=127.0.0.1", "DB_PORT=1", "SLUICE_DB_CONNECT_WAIT=1m", "SLUICE_LOG_LEVEL=error"}, "serve", "--port", "0")
	out, log := newOutput(), newOutput()
	c.Stdout, c.Stderr = out, log
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	livetest.Until(t, 10*time.Second, "it has begun", func() bool { return strings.Contains(out.String(), "MongoDB") })
	start := time.Now()
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	err := c.Wait()
	if err != nil || time.Since(start) > 3*time.Second {
		t.Errorf("it ends with %v after %v, want 0 at once: %s", err, time.Since(start), log)
	}
}
