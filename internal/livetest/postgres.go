package livetest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// PostgresServer is a PostgreSQL server of a test's own, from Debian's packages, on 127.0.0.1 with password authentication. Its data are
// not synced to disk: it stands for a server that lives on, not for one that loses power.
type PostgresServer struct {
	bin, dir string
	port     int
	owner    *syscall.Credential // nil: who runs the test
	password string

	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{} // closed when cmd has ended
	next int
}

// shared is the one server that tests of a binary may share, and how many do.
//
//nolint:gochecknoglobals // a test's process is the scope meant, and nothing else has its lifetime
var shared struct {
	sync.Mutex
	server *PostgresServer
	users  int
}

// Postgres starts a server of the test's own, ended with the test. A missing installation fails the test.
func Postgres(t testing.TB) *PostgresServer {
	t.Helper()
	s, err := newPostgres()
	if err != nil {
		t.Fatalf("livetest: PostgreSQL: %v", err)
	}
	t.Cleanup(func() {
		if err := s.remove(); err != nil {
			t.Errorf("livetest: PostgreSQL: %v", err)
		}
	})
	return s
}

// SharedPostgres gives the server that tests of this binary share, each in databases of its own; do not stop it. It ends with the last
// test that uses it.
func SharedPostgres(t testing.TB) *PostgresServer {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.server == nil {
		s, err := newPostgres()
		if err != nil {
			t.Fatalf("livetest: PostgreSQL: %v", err)
		}
		shared.server = s
	}
	shared.users++
	t.Cleanup(func() {
		shared.Lock()
		defer shared.Unlock()
		if shared.users--; shared.users > 0 {
			return
		}
		s := shared.server
		shared.server = nil
		if err := s.remove(); err != nil {
			t.Errorf("livetest: PostgreSQL: %v", err)
		}
	})
	return shared.server
}

func newPostgres() (*PostgresServer, error) {
	bin, err := postgresBin()
	if err != nil {
		return nil, err
	}
	// Not t.TempDir: its parents are closed to the user the server runs as.
	dir, err := os.MkdirTemp("", "sluice-postgres-")
	if err != nil {
		return nil, err
	}
	s := &PostgresServer{bin: bin, dir: dir, password: rand.Text()}
	if err := s.create(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := s.start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, nil
}

// postgresBin finds the newest of Debian's versions, or what the path has.
func postgresBin() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		return "", err
	}
	if len(found) > 0 {
		newest := slices.MaxFunc(found, func(a, b string) int {
			va, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(a)))) // not a number: 0, the oldest
			vb, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(b))))
			return va - vb
		})
		return filepath.Dir(newest), nil
	}
	path, err := exec.LookPath("initdb")
	if err != nil {
		return "", fmt.Errorf("no server is installed (Debian: apt-get install postgresql): %w", err)
	}
	return filepath.Dir(path), nil
}

// create makes the cluster. The server refuses to run as root: then as postgres, or nobody.
func (s *PostgresServer) create() error {
	if os.Getuid() == 0 {
		u, err := user.Lookup("postgres")
		if err != nil {
			if u, err = user.Lookup("nobody"); err != nil {
				return err
			}
		}
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		if err != nil {
			return err
		}
		gid, err := strconv.ParseUint(u.Gid, 10, 32)
		if err != nil {
			return err
		}
		s.owner = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	secret := filepath.Join(s.dir, "password")
	if err := os.WriteFile(secret, []byte(s.password), 0o600); err != nil {
		return err
	}
	if s.owner != nil {
		for _, path := range []string{s.dir, secret} {
			if err := os.Chown(path, int(s.owner.Uid), int(s.owner.Gid)); err != nil {
				return err
			}
		}
	}
	cmd := s.command("initdb", "-D", s.data(), "-U", s.User(), "--pwfile="+secret, "-A", "scram-sha-256", "-E", "UTF8", "--locale=C",
		"--no-sync", "--no-instructions")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.port = free.Addr().(*net.TCPAddr).Port //nolint:errcheck,forcetypeassert // a TCP listener has a TCP address
	return free.Close()
}

func (s *PostgresServer) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.bin, name), args...) // Debian's own program; it ends by signal
	cmd.Dir = s.dir
	// A test process that is killed takes its server along.
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.owner, Pdeathsig: syscall.SIGQUIT}
	return cmd
}

func (s *PostgresServer) data() string { return filepath.Join(s.dir, "data") }

// Start starts the server again after Stop or Kill, on the same port with the same data, and waits until it answers.
func (s *PostgresServer) Start(t testing.TB) {
	t.Helper()
	if err := s.start(); err != nil {
		t.Fatalf("livetest: PostgreSQL: start: %v", err)
	}
}

func (s *PostgresServer) start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	logfile, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer logfile.Close() //nolint:errcheck // the server has its own copy
	cmd := s.command("postgres", "-D", s.data(), "-p", strconv.Itoa(s.port), "-k", "", "-c", "listen_addresses=127.0.0.1",
		"-c", "fsync=off", "-c", "full_page_writes=off", "-c", "max_connections=200", "-c", "shared_buffers=64MB", "-c", "max_wal_size=256MB")
	cmd.Stdout, cmd.Stderr = logfile, logfile
	if err := cmd.Start(); err != nil {
		return err
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = cmd.Wait() // ended by a signal of ours; else the connection below says so
	}()
	s.cmd, s.done = cmd, done
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	retry := time.NewTicker(10 * time.Millisecond)
	defer retry.Stop()
	for {
		conn, err := pgx.Connect(ctx, s.URL("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-retry.C:
		case <-ctx.Done():
			return fmt.Errorf("it does not answer: %w", err)
		case <-done:
			text, _ := os.ReadFile(filepath.Join(s.dir, "log")) // best effort: the error is made of it
			return fmt.Errorf("it ended: %s", text)
		}
	}
}

// Stop ends the server in order, cutting its clients ("fast"), and waits until it has gone.
func (s *PostgresServer) Stop(t testing.TB) { s.end(t, syscall.SIGINT) }

// Kill ends the server at once, as a crash would, and waits until it has gone.
func (s *PostgresServer) Kill(t testing.TB) { s.end(t, syscall.SIGQUIT) }

func (s *PostgresServer) end(t testing.TB, sig syscall.Signal) {
	t.Helper()
	if err := s.signal(sig); err != nil {
		t.Fatalf("livetest: PostgreSQL: stop: %v", err)
	}
}

// signal sends a signal to the server's process and waits for its end; SIGKILL would leave its children behind.
func (s *PostgresServer) signal(sig syscall.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return nil
	}
	err := s.cmd.Process.Signal(sig)
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	select {
	case <-s.done:
	case <-time.After(30 * time.Second):
		err = errors.Join(err, errors.New("it does not end"))
	}
	s.cmd = nil
	return err
}

func (s *PostgresServer) remove() error {
	return errors.Join(s.signal(syscall.SIGQUIT), os.RemoveAll(s.dir))
}

// Host is where the server listens.
func (s *PostgresServer) Host() string { return "127.0.0.1" }

// Port is where the server listens.
func (s *PostgresServer) Port() int { return s.port }

// User is the superuser.
func (s *PostgresServer) User() string { return "postgres" }

// Password is the superuser's.
func (s *PostgresServer) Password() string { return s.password }

// URL names a database of the server, with user and password.
func (s *PostgresServer) URL(database string) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(s.User(), s.password), Host: net.JoinHostPort(s.Host(), strconv.Itoa(s.port)),
		Path: "/" + database, RawQuery: "sslmode=disable",
	}
	return u.String()
}

// NewDatabase creates an empty database and gives its name. It goes with the server.
func (s *PostgresServer) NewDatabase(t testing.TB) string {
	t.Helper()
	s.mu.Lock()
	s.next++
	name := "test" + strconv.Itoa(s.next)
	s.mu.Unlock()
	s.Exec(t, "postgres", "CREATE DATABASE "+name)
	return name
}

// Exec runs statements in a database as the superuser.
func (s *PostgresServer) Exec(t testing.TB, database string, statements ...string) {
	t.Helper()
	ctx := t.Context()
	conn, err := pgx.Connect(ctx, s.URL(database))
	if err != nil {
		t.Fatalf("livetest: PostgreSQL: %v", err)
	}
	defer conn.Close(ctx) //nolint:errcheck // nothing is left to be told
	for _, text := range statements {
		if _, err := conn.Exec(ctx, text); err != nil {
			t.Fatalf("livetest: PostgreSQL: %s: %v", text, err)
		}
	}
}
