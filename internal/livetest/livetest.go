// Package livetest starts what a test needs as real processes, each private to its test: the gateway's own binary, a PostgreSQL server,
// tus-js-client under Node, a proxy that cuts connections. It knows programs, ports and folders, and no promise of the gateway: those
// are held by the tests that use it.
package livetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// builds makes one build per test binary and set of tags; without it each of some hundred starts would ask the go command again.
//
//nolint:gochecknoglobals // a test's process is the scope meant, and nothing else has its lifetime
var builds sync.Map // tags -> func() (string, error)

// Binary builds ./cmd/sluice with build tags, once per test binary, and returns its path.
func Binary(t testing.TB, tags ...string) string {
	t.Helper()
	key := strings.Join(tags, ",")
	made, _ := builds.LoadOrStore(key, sync.OnceValues(func() (string, error) { return build(key) }))
	once, ok := made.(func() (string, error))
	if !ok {
		t.Fatalf("livetest: builds holds a %T", made)
	}
	path, err := once()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// build leaves the binary in a folder that test runs share, so that an unchanged one is not linked again.
func build(tags string) (string, error) {
	root, err := ModuleRoot()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(root + "\x00" + tags))
	dir, err := cacheFolder("bin-" + hex.EncodeToString(sum[:6]))
	if err != nil {
		return "", err
	}
	unlock, err := lockFile(dir + ".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	path := filepath.Join(dir, "sluice")
	cmd := exec.Command("go", "build", "-tags", tags, "-o", path, "./cmd/sluice")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build ./cmd/sluice: %w\n%s", err, out)
	}
	return path, nil
}

// ModuleRoot is the folder with go.mod above the working directory.
func ModuleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", fmt.Errorf("livetest: no go.mod above the working directory")
		}
		dir = up
	}
}

// cacheFolder is a folder that outlives the test run: builds and npm's files.
func cacheFolder(name string) (string, error) {
	root, err := os.UserCacheDir()
	if err != nil {
		root = filepath.Join(os.TempDir(), "cache-"+strconv.Itoa(os.Getuid()))
	}
	dir := filepath.Join(root, "sluice-livetest", name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("livetest: cache folder: %w", err)
	}
	return dir, nil
}

// lockFile keeps other test binaries, which go test runs side by side, out of a cache folder.
func lockFile(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		return nil, fmt.Errorf("livetest: lock %s: %w", path, err)
	}
	return func() { _ = f.Close() }, nil
}

// Until asks again and again, every 10 ms, until done answers true, and fails the test after limit.
func Until(t testing.TB, limit time.Duration, what string, done func() bool) {
	t.Helper()
	if !Poll(t.Context(), limit, done) {
		t.Fatalf("not within %v: %s", limit, what)
	}
}

// Poll is Until for goroutines that may not fail a test: it reports whether done answered true in time.
func Poll(ctx context.Context, limit time.Duration, done func() bool) bool {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if done() {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
}

// output is what a process has printed so far.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}
