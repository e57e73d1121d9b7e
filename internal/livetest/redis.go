package livetest

import (
	"bufio"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// RedisServer is a Redis server of a test's own on 127.0.0.1, from Debian's packages. It keeps nothing on disk: a restart finds it empty,
// as a flush would.
type RedisServer struct {
	child
	dir  string
	port int
}

// Redis starts a server, ended with the test. A missing installation fails the test.
func Redis(t testing.TB) *RedisServer {
	t.Helper()
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	s := &RedisServer{dir: t.TempDir(), port: port}
	s.Start(t)
	t.Cleanup(s.Kill)
	return s
}

// Addr is host:port.
func (s *RedisServer) Addr() string { return "127.0.0.1:" + strconv.Itoa(s.port) }

// URL is what REDIS_URL takes.
func (s *RedisServer) URL() string { return "redis://" + s.Addr() + "/0" }

// Start starts the server again after Kill, empty and on the same port, and waits until it answers.
func (s *RedisServer) Start(t testing.TB) {
	t.Helper()
	if err := s.Launch(); err != nil {
		t.Fatalf("livetest: Redis: %v", err)
	}
}

// Launch is Start for goroutines that may not fail a test.
func (s *RedisServer) Launch() error {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return fmt.Errorf("no server is installed (Debian: apt-get install redis-server): %w", err)
	}
	cmd := exec.Command(path, "--port", strconv.Itoa(s.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
		"--dir", s.dir, "--pidfile", filepath.Join(s.dir, "pid"))
	return s.launch(cmd, func() bool {
		answer, err := s.ask("PING")
		return err == nil && answer == "+PONG"
	})
}

// Do sends one command (inline form: words without spaces) and gives the first line of the answer, as it comes ("+OK", ":1", "$-1").
func (s *RedisServer) Do(t testing.TB, words ...string) string {
	t.Helper()
	answer, err := s.ask(words...)
	if err != nil {
		t.Fatalf("livetest: Redis: %v", err)
	}
	return answer
}

func (s *RedisServer) ask(words ...string) (string, error) {
	conn, err := net.DialTimeout("tcp", s.Addr(), time.Second)
	if err != nil {
		return "", err
	}
	defer conn.Close() //nolint:errcheck // one question was asked
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return "", err
	}
	if _, err := conn.Write([]byte(strings.Join(words, " ") + "\r\n")); err != nil {
		return "", err
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	return strings.TrimRight(line, "\r\n"), err
}
