package livetest

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// RedisServer is a Redis server of a test's own on 127.0.0.1, from Debian's packages. It keeps nothing on disk: a restart finds it empty,
// as a flush would.
type RedisServer struct {
	dir  string
	port int

	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{} // closed when cmd has ended
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
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd != nil {
		return errors.New("it runs already")
	}
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return fmt.Errorf("no server is installed (Debian: apt-get install redis-server): %w", err)
	}
	var out output
	cmd := exec.Command(path, "--port", strconv.Itoa(s.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
		"--dir", s.dir, "--pidfile", filepath.Join(s.dir, "pid"))
	cmd.Stdout, cmd.Stderr = &out, &out
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
	limit := time.NewTimer(startLimit)
	defer limit.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if answer, err := s.ask("PING"); err == nil && answer == "+PONG" {
			return nil
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

// Kill ends the server with SIGKILL and waits until it has gone.
func (s *RedisServer) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill() // already gone is as good
	<-s.done
	s.cmd = nil
}

// Pause stops the server from answering while its connections stay, as a host that swallows packets does; Continue ends that.
func (s *RedisServer) Pause(t testing.TB) { s.signal(t, syscall.SIGSTOP) }

// Continue lets a paused server go on.
func (s *RedisServer) Continue(t testing.TB) { s.signal(t, syscall.SIGCONT) }

func (s *RedisServer) signal(t testing.TB, sig syscall.Signal) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		t.Fatal("livetest: Redis does not run")
	}
	if err := s.cmd.Process.Signal(sig); err != nil {
		t.Fatalf("livetest: Redis: %v", err)
	}
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
