package livetest

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// S3Server is an S3 server of a test's own on 127.0.0.1: versitygw over a folder, built from tools/go.mod.
type S3Server struct {
	Region, AccessKey, SecretKey string

	child
	dir  string
	port int
	bin  string
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
	return tool("versitygw", func(root, _, path string) error {
		return goBuild(root, "-modfile=tools/go.mod", "-o", path, "github.com/versity/versitygw/cmd/versitygw")
	})
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
	// Attributes lie in the files themselves: beside them they would change before what they tell of does, which no bucket allows.
	cmd := exec.Command(s.bin, "--port", s.Addr(), "--access", s.AccessKey, "--secret", s.SecretKey, "--region", s.Region, "--quiet",
		"posix", filepath.Join(s.dir, "data"))
	cmd.Dir = s.dir
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}
	return s.launch(cmd, func() bool {
		resp, err := client.Get(s.URL())
		return err == nil && resp.Body.Close() == nil
	})
}
