package livetest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// MongoServer is a server of a test's own on 127.0.0.1 that speaks MongoDB's protocol: FerretDB over SQLite files, built from
// tools/go.mod, behind a queue that lets it do one write at a time. It uses no index, and has no transactions, change streams and
// Decimal128.
type MongoServer struct {
	User, Password string // of a server that asks for them

	child
	dir  string
	port int // of the queue
	back int // of FerretDB itself
	bin  string

	queued sync.Mutex
	queue  *writeQueue
}

// Mongo starts a server without databases, ended with the test. Anybody may use it.
func Mongo(t testing.TB) *MongoServer {
	t.Helper()
	s := newMongo(t)
	s.Start(t)
	return s
}

// MongoWithPassword starts a server that asks for a user and a password.
func MongoWithPassword(t testing.TB) *MongoServer {
	t.Helper()
	s := newMongo(t)
	s.User, s.Password = "tests", "p@ss:word/of#tests"
	s.Start(t)
	return s
}

func newMongo(t testing.TB) *MongoServer {
	t.Helper()
	bin, err := FerretDB()
	if err != nil {
		t.Fatalf("livetest: Mongo: %v", err)
	}
	s := &MongoServer{dir: t.TempDir(), bin: bin}
	for _, port := range []*int{&s.port, &s.back} {
		if *port, err = freePort(); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(s.Kill)
	return s
}

// ferretDB is the module, at the version that tools/go.mod names.
const ferretDB = "github.com/FerretDB/FerretDB"

// FerretDB builds the server, once for all test runs: its first build takes a minute. The program wants a file with its version where its
// sources lie, which the module's archive does not have: so it is built from a copy.
func FerretDB() (string, error) {
	return tool("ferretdb", func(root, dir, path string) error {
		modfile, err := copyFerretDB(root, dir)
		if err != nil {
			return err
		}
		return goBuild(root, "-modfile="+modfile, "-buildvcs=false", "-tags=ferretdb_no_postgresql", "-o", path, ferretDB+"/cmd/ferretdb")
	})
}

// copyFerretDB copies the module's sources into a folder, and writes a go.mod that builds from there with what tools/go.sum allows.
func copyFerretDB(root, dir string) (modfile string, err error) {
	sum, err := os.ReadFile(filepath.Join(root, "tools", "go.sum"))
	if err != nil {
		return "", err
	}
	list := exec.Command("go", "mod", "download", "-modfile=tools/go.mod", ferretDB)
	list.Dir = root
	if out, err := list.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go mod download: %w\n%s", err, out)
	}
	list = exec.Command("go", "list", "-modfile=tools/go.mod", "-m", "-f", "{{.Version}} {{.Dir}}", ferretDB)
	list.Dir = root
	out, err := list.Output()
	if err != nil {
		return "", fmt.Errorf("go list: %w", err)
	}
	version, from, _ := strings.Cut(strings.TrimSpace(string(out)), " ")
	sources := filepath.Join(dir, "src")
	if err := os.RemoveAll(sources); err != nil {
		return "", err
	}
	if err := os.CopyFS(sources, os.DirFS(from)); err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(sources, "build", "version", "version.txt"), []byte(version+"\n"), 0o644); err != nil {
		return "", err
	}
	text, err := os.ReadFile(filepath.Join(root, "tools", "go.mod"))
	if err != nil {
		return "", err
	}
	modfile = filepath.Join(dir, "go.mod")
	text = fmt.Appendf(text, "\nreplace %s => %s\n", ferretDB, sources)
	return modfile, errors.Join(os.WriteFile(modfile, text, 0o644), os.WriteFile(filepath.Join(dir, "go.sum"), sum, 0o644))
}

// Addr is host:port.
func (s *MongoServer) Addr() string { return "127.0.0.1:" + strconv.Itoa(s.port) }

func (s *MongoServer) behind() string { return "127.0.0.1:" + strconv.Itoa(s.back) }

// URI is what MONGODB_URI takes to use a database of the server.
func (s *MongoServer) URI(database string) string { return s.URIAt(s.Addr(), database) }

// URIAt is URI through a proxy at an address.
func (s *MongoServer) URIAt(addr, database string) string {
	u := url.URL{Scheme: "mongodb", Host: addr, Path: "/" + database}
	if s.User != "" {
		u.User = url.UserPassword(s.User, s.Password)
		u.RawQuery = "authSource=admin"
	}
	return u.String()
}

// Start starts the server again after Kill, with the same data on the same port, and waits until it answers.
func (s *MongoServer) Start(t testing.TB) {
	t.Helper()
	if err := s.Launch(); err != nil {
		t.Fatalf("livetest: Mongo: %v", err)
	}
}

// Launch is Start for goroutines that may not fail a test.
func (s *MongoServer) Launch() error {
	args := []string{
		"--handler=sqlite", "--sqlite-url=file:" + s.dir + "/", "--state-dir=" + s.dir, "--listen-addr=" + s.behind(), "--debug-addr=-",
		"--telemetry=disable", "--log-level=error",
	}
	if s.User != "" {
		args = append(args, "--test-enable-new-auth", "--setup-database=admin", "--setup-username="+s.User, "--setup-password="+s.Password)
	}
	cmd := exec.Command(s.bin, args...)
	cmd.Dir = s.dir
	cmd.Env = []string{"HOME=" + s.dir, "TMPDIR=" + s.dir} // FERRETDB_… would change it
	err := s.launch(cmd, func() bool {
		conn, err := net.DialTimeout("tcp", s.behind(), time.Second)
		return err == nil && conn.Close() == nil
	})
	if err != nil {
		return err
	}
	s.queued.Lock()
	defer s.queued.Unlock()
	s.queue, err = newWriteQueue(s.Addr(), s.behind())
	return err
}

// Kill ends the server with SIGKILL and waits until it has gone. Its data stay.
func (s *MongoServer) Kill() {
	s.child.Kill()
	s.queued.Lock()
	defer s.queued.Unlock()
	if s.queue != nil {
		s.queue.close()
		s.queue = nil
	}
}

// writeQueue stands before FerretDB and lets one write at a time through. MongoDB changes a single document atomically; FerretDB looks for
// it, and then changes it by its id alone: of two writers with a condition that only one can meet both would.
type writeQueue struct {
	listener net.Listener
	to       string
	writing  sync.Mutex
	all      sync.WaitGroup

	mu     sync.Mutex
	conns  map[net.Conn]struct{}
	closed bool
}

func newWriteQueue(at, to string) (*writeQueue, error) {
	l, err := net.Listen("tcp", at)
	if err != nil {
		return nil, err
	}
	q := &writeQueue{listener: l, to: to, conns: map[net.Conn]struct{}{}}
	q.all.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			q.all.Go(func() { q.serve(client) })
		}
	})
	return q, nil
}

// serve passes on questions and answers, one after the other, as drivers send them.
func (q *writeQueue) serve(client net.Conn) {
	defer q.drop(client)
	if !q.keep(client) {
		return
	}
	server, err := net.Dial("tcp", q.to)
	if err != nil {
		return
	}
	defer q.drop(server)
	if !q.keep(server) {
		return
	}
	for {
		question, err := message(client)
		if err != nil {
			return
		}
		answer, err := q.exchange(server, question)
		if err != nil {
			return
		}
		if _, err := client.Write(answer); err != nil {
			return
		}
	}
}

func (q *writeQueue) exchange(server net.Conn, question []byte) (answer []byte, err error) {
	if writes(question) {
		q.writing.Lock()
		defer q.writing.Unlock()
	}
	if _, err := server.Write(question); err != nil {
		return nil, err
	}
	return message(server)
}

// message reads one message of the wire protocol: its length comes first, 32 bits, least byte first.
func message(from io.Reader) ([]byte, error) {
	head := make([]byte, 4)
	if _, err := io.ReadFull(from, head); err != nil {
		return nil, err
	}
	size := binary.LittleEndian.Uint32(head)
	if size < 16 || size > 64<<20 {
		return nil, fmt.Errorf("a message of %d bytes", size)
	}
	whole := append(head, make([]byte, size-4)...)
	_, err := io.ReadFull(from, whole[4:])
	return whole, err
}

// writes reports whether an OP_MSG is a write: the name of the first member of its body is the command's.
func writes(question []byte) bool {
	const body = 16 + 4 + 1 + 4 + 1 // header, flags, kind of section, length of the document, type of its first member
	if len(question) < body || binary.LittleEndian.Uint32(question[12:]) != 2013 || question[20] != 0 {
		return false
	}
	name, _, _ := strings.Cut(string(question[body:min(len(question), body+32)]), "\x00")
	switch name {
	case "insert", "update", "delete", "findAndModify", "createIndexes", "create", "drop":
		return true
	}
	return false
}

func (q *writeQueue) keep(c net.Conn) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	q.conns[c] = struct{}{}
	return true
}

func (q *writeQueue) drop(c net.Conn) {
	_ = c.Close()
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.conns, c)
}

// close ends the queue as a server that is killed ends.
func (q *writeQueue) close() {
	_ = q.listener.Close()
	q.mu.Lock()
	q.closed = true
	for c := range q.conns {
		_ = c.Close()
	}
	q.mu.Unlock()
	q.all.Wait()
}
