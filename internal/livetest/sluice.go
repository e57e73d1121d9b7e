package livetest

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// startLimit bounds a start, stopLimit a stop: past it the test fails, however slow the machine.
const (
	startLimit = 20 * time.Second
	stopLimit  = 20 * time.Second
)

// Options choose how a gateway is built and started. The zero value is the embedded default on a data directory of the test's own.
type Options struct {
	Tags    []string // build tags, such as crashpoints
	Env     []string // NAME=value, added to a clean environment that holds a JWT_SECRET
	DataDir string
	Config  string   // text of a configuration file; empty: none
	Args    []string // added to sluice serve
	Wrap    []string // a command that is given the gateway's own as its last arguments and must exec it
	Off     bool     // not started yet
}

// Server is a gateway process. It is stopped at the end of its test.
type Server struct {
	URL     string // http://127.0.0.1:port
	Addr    string // 127.0.0.1:port
	DataDir string
	Secret  string // JWT_SECRET

	t      testing.TB
	bin    string
	wrap   []string
	args   []string
	env    []string
	home   string
	out    output
	client *http.Client

	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{} // closed when cmd has ended
}

// Sluice builds the gateway once per test run, starts it on a free loopback port and waits until it is ready.
func Sluice(t testing.TB, o Options) *Server {
	t.Helper()
	home := t.TempDir()
	s := &Server{
		t: t, bin: Binary(t, o.Tags...), wrap: o.Wrap, home: home, DataDir: o.DataDir,
		Secret: "a secret of these tests, 32 bytes and more",
		client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second},
	}
	if s.DataDir == "" {
		s.DataDir = filepath.Join(home, "data")
	}
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	s.Addr = "127.0.0.1:" + strconv.Itoa(port)
	s.URL = "http://" + s.Addr
	s.args = append([]string{"serve", "--listen", s.Addr, "--data-dir", s.DataDir}, o.Args...)
	if o.Config != "" {
		path := filepath.Join(home, "sluice.yaml")
		if err := os.WriteFile(path, []byte(o.Config), 0o600); err != nil {
			t.Fatal(err)
		}
		s.args = append(s.args, "--config", path)
	}
	s.env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + os.TempDir(), "JWT_SECRET=" + s.Secret,
	}, o.Env...)
	t.Cleanup(s.cleanup)
	if !o.Off {
		s.Start()
	}
	return s
}

// freePort picks a port below the range the kernel gives to outgoing connections: one of those may otherwise hold the port of a server
// that is down for a moment.
func freePort() (int, error) {
	var lc net.ListenConfig
	for range 200 {
		port := 20000 + rand.IntN(12000)
		l, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err != nil {
			continue
		}
		if err := l.Close(); err == nil {
			return port, nil
		}
	}
	return 0, errors.New("livetest: no free port between 20000 and 32000")
}

// Start starts the gateway, again on the same data and port, and waits until it is ready. env is for this run only.
func (s *Server) Start(env ...string) {
	s.t.Helper()
	if err := s.Launch(env...); err != nil {
		s.t.Fatal(err)
	}
}

// Launch is Start for goroutines that may not fail a test.
func (s *Server) Launch(env ...string) error {
	s.mu.Lock()
	if s.cmd != nil {
		s.mu.Unlock()
		return errors.New("livetest: the gateway runs already")
	}
	argv := slices.Concat(s.wrap, []string{s.bin}, s.args)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = s.home, append(slices.Clip(s.env), env...)
	cmd.Stdout, cmd.Stderr = &s.out, &s.out
	// A test that panics leaves no gateway behind.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		s.mu.Unlock()
		return fmt.Errorf("start gateway: %w", err)
	}
	done := make(chan struct{})
	s.cmd, s.done = cmd, done
	s.mu.Unlock()
	go func() {
		_ = cmd.Wait() // its outcome stands in cmd.ProcessState
		close(done)
	}()
	return s.awaitReady(done)
}

func (s *Server) awaitReady(done <-chan struct{}) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.NewTimer(startLimit)
	defer limit.Stop()
	for {
		if s.Ready() {
			return nil
		}
		select {
		case <-tick.C:
		case <-done:
			s.forget()
			return fmt.Errorf("gateway ended before it was ready:\n%s", s.tail())
		case <-limit.C:
			return fmt.Errorf("gateway not ready within %v:\n%s", startLimit, s.tail())
		}
	}
}

// Ready reports whether /readyz answers 200 now.
func (s *Server) Ready() bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.t.Context()), 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/readyz", nil)
	if err != nil {
		return false
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// Kill ends the gateway with SIGKILL and waits until it is gone. It may be called from any goroutine.
func (s *Server) Kill() {
	if cmd, done := s.running(); cmd != nil {
		_ = cmd.Process.Kill() // already gone is as good
		<-done
		s.forget()
	}
}

// Stop ends the gateway with SIGTERM, fails the test unless it exits with 0, and returns how long that took.
func (s *Server) Stop() time.Duration {
	s.t.Helper()
	cmd, done := s.running()
	if cmd == nil {
		s.t.Fatal("livetest: stop: the gateway does not run")
	}
	start := time.Now()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatalf("stop gateway: %v", err)
	}
	limit := time.NewTimer(stopLimit)
	defer limit.Stop()
	select {
	case <-done:
	case <-limit.C:
		s.t.Fatalf("gateway did not stop within %v of SIGTERM:\n%s", stopLimit, s.tail())
	}
	s.forget()
	if code := cmd.ProcessState.ExitCode(); code != 0 {
		s.t.Errorf("exit code after SIGTERM = %d, want 0:\n%s", code, s.tail())
	}
	return time.Since(start)
}

// Ended waits until the gateway has ended by itself, at most for limit, and reports whether it has. After that it can be started again.
func (s *Server) Ended(limit time.Duration) bool {
	cmd, done := s.running()
	if cmd == nil {
		return true
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-done:
		s.forget()
		return true
	case <-timer.C:
		return false
	}
}

func (s *Server) running() (*exec.Cmd, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cmd, s.done
}

func (s *Server) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cmd = nil
}

// cleanup asks politely first: a gateway that cannot be stopped is a bug of its own, but not of the test that has ended.
func (s *Server) cleanup() {
	if cmd, done := s.running(); cmd != nil {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		timer := time.NewTimer(5 * time.Second)
		defer timer.Stop()
		select {
		case <-done:
		case <-timer.C:
			_ = cmd.Process.Kill()
			<-done
		}
	}
	if s.t.Failed() {
		s.t.Logf("the gateway's last words:\n%s", s.tail())
	}
}

// Paused reports whether the gateway has stopped itself, at the mark that SLUICE_PAUSE_AT names; Continue lets it go on.
func (s *Server) Paused() bool { return paused(s.Pid()) }

// Continue lets a gateway that is paused go on.
func (s *Server) Continue() {
	s.t.Helper()
	cmd, _ := s.running()
	if cmd == nil {
		s.t.Fatal("livetest: continue: the gateway does not run")
	}
	if err := cmd.Process.Signal(syscall.SIGCONT); err != nil {
		s.t.Fatalf("continue gateway: %v", err)
	}
}

// Pid is the process id, or 0 while it does not run.
func (s *Server) Pid() int {
	cmd, _ := s.running()
	if cmd == nil {
		return 0
	}
	return cmd.Process.Pid
}

// PeakMiB is the largest resident size the process has had, in MiB, with the pages of its program.
func (s *Server) PeakMiB() float64 { return s.statusMiB("VmHWM:") }

// AnonymousMiB is the memory that the process holds now, in MiB, without the pages of its program, which grow with the libraries it is
// linked with and not with its load.
func (s *Server) AnonymousMiB() float64 { return s.statusMiB("RssAnon:") }

func (s *Server) statusMiB(field string) float64 {
	s.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.Pid()))
	if err != nil {
		s.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), field)
	var kib float64
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		s.t.Fatalf("%s of %d: %v", field, s.Pid(), err)
	}
	return kib / 1024
}

// Output is everything the gateway has printed, over all its starts.
func (s *Server) Output() string { return s.out.String() }

func (s *Server) tail() string {
	text := s.out.String()
	if len(text) > 8<<10 {
		text = "…" + text[len(text)-8<<10:]
	}
	return text
}

// Command is a subcommand of the binary (upload, link, …) in the gateway's environment.
func (s *Server) Command(ctx context.Context, env []string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, s.bin, args...)
	cmd.Dir, cmd.Env = s.home, append(slices.Clip(s.env), env...)
	return cmd
}

// Token signs a JWT (HS256) for a subject with a role. A ttl below zero makes one that has expired.
func (s *Server) Token(subject, role string, ttl time.Duration) string {
	now := time.Now()
	claims, err := json.Marshal(map[string]any{"sub": subject, "role": role, "iat": now.Add(min(0, ttl) - time.Second).Unix(), "exp": now.Add(ttl).Unix()})
	if err != nil {
		s.t.Errorf("token: %v", err) // a map of strings and integers always encodes
	}
	text := encode([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + encode(claims)
	mac := hmac.New(sha256.New, []byte(s.Secret))
	mac.Write([]byte(text))
	return text + "." + encode(mac.Sum(nil))
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// Done is closed when the process that runs now has ended.
func (s *Server) Done() <-chan struct{} {
	_, done := s.running()
	return done
}
