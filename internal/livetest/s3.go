package livetest

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

// S3Server is an S3 server of a test's own on 127.0.0.1: versitygw over a folder, built from tools/go.mod.
type S3Server struct {
	Region, AccessKey, SecretKey string

	dir  string
	port int
	bin  string

	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{} // closed when cmd has ended
}

// S3 starts a server without buckets, ended with the test.
func S3(t testing.TB) *S3Server {
	t.Helper()
	bin, err := VersityGW()
	if err != nil {
		t.Fatalf("livetest: S3: %v", err)
	}
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	s := &S3Server{Region: "us-east-1", AccessKey: "tests-access", SecretKey: "tests-secret-of-an-s3-server", dir: t.TempDir(), port: port, bin: bin}
	if err := os.Mkdir(filepath.Join(s.dir, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.Start(t)
	t.Cleanup(s.Kill)
	return s
}

// VersityGW builds the server, once for all test runs: its first build takes two minutes.
func VersityGW() (string, error) {
	root, err := ModuleRoot()
	if err != nil {
		return "", err
	}
	sum, err := os.ReadFile(filepath.Join(root, "tools", "go.sum"))
	if err != nil {
		return "", err
	}
	hash := sha256.Sum256(sum)
	dir, err := cacheFolder("versitygw-" + hex.EncodeToString(hash[:6]))
	if err != nil {
		return "", err
	}
	unlock, err := lockFile(dir + ".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	path := filepath.Join(dir, "versitygw")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	cmd := exec.Command("go", "build", "-modfile=tools/go.mod", "-o", path+".new", "github.com/versity/versitygw/cmd/versitygw")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build versitygw: %w\n%s", err, out)
	}
	return path, os.Rename(path+".new", path)
}

// Addr is host:port.
func (s *S3Server) Addr() string { return "127.0.0.1:" + strconv.Itoa(s.port) }

// URL is the endpoint. Buckets stand in the path.
func (s *S3Server) URL() string { return "http://" + s.Addr() }

// NewBucket makes an empty bucket: a folder, as this server keeps them.
func (s *S3Server) NewBucket(t testing.TB, name string) string {
	t.Helper()
	if err := os.Mkdir(s.Folder(name), 0o700); err != nil {
		t.Fatalf("livetest: S3: %v", err)
	}
	return name
}

// Folder is where the server keeps a bucket's objects, one file each under its key.
func (s *S3Server) Folder(bucket string) string { return filepath.Join(s.dir, "data", bucket) }

// Env makes a gateway keep what comes in in a bucket of this server, seen at an endpoint of it.
func (s *S3Server) Env(endpoint, bucket string) []string {
	return []string{
		"SLUICE_S3_ENDPOINT=" + endpoint, "SLUICE_S3_BUCKET=" + bucket, "SLUICE_S3_REGION=" + s.Region, "SLUICE_S3_PATH_STYLE=true",
		"SLUICE_S3_ACCESS_KEY=" + s.AccessKey, "SLUICE_S3_SECRET_KEY=" + s.SecretKey, "SLUICE_S3_PART_SIZE=5MiB",
	}
}

// Start starts the server again after Kill, with the same data on the same port, and waits until it answers.
func (s *S3Server) Start(t testing.TB) {
	t.Helper()
	if err := s.Launch(); err != nil {
		t.Fatalf("livetest: S3: %v", err)
	}
}

// Launch is Start for goroutines that may not fail a test.
func (s *S3Server) Launch() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd != nil {
		return errors.New("it runs already")
	}
	var out output
	// Attributes lie in the files themselves: beside them they would change before what they tell of does, which no bucket allows.
	cmd := exec.Command(s.bin, "--port", s.Addr(), "--access", s.AccessKey, "--secret", s.SecretKey, "--region", s.Region, "--quiet",
		"posix", filepath.Join(s.dir, "data"))
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.dir, &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return err
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = cmd.Wait() // ended by a signal of ours; else the question below says so
	}()
	s.cmd, s.done = cmd, done
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}
	limit := time.NewTimer(startLimit)
	defer limit.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if resp, err := client.Get(s.URL()); err == nil {
			return resp.Body.Close()
		}
		select {
		case <-tick.C:
		case <-done:
			s.cmd = nil
			return fmt.Errorf("it ended: %s", out.String())
		case <-limit.C:
			return fmt.Errorf("it does not answer: %s", out.String())
		}
	}
}

// Kill ends the server with SIGKILL and waits until it has gone. Its data stay.
func (s *S3Server) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill() // already gone is as good
	<-s.done
	s.cmd = nil
}

// Pid is the process id.
func (s *S3Server) Pid() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return 0
	}
	return s.cmd.Process.Pid
}
