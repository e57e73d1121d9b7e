package livetest_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"sluice/internal/livetest"
)

func TestMongoCanBeKilledAndStartedAgain(t *testing.T) {
	t.Parallel()
	s := livetest.Mongo(t)
	if answer, err := hello(t, s.Addr(), 10*time.Second); err != nil || !strings.Contains(answer, "isWritablePrimary") {
		t.Fatalf("hello: got %q, %v", answer, err)
	}
	s.Kill()
	if _, err := hello(t, s.Addr(), time.Second); err == nil {
		t.Error("it answers after Kill")
	}
	s.Start(t)
	s.Pause(t)
	if _, err := hello(t, s.Addr(), 100*time.Millisecond); err == nil {
		t.Error("it answers while paused")
	}
	s.Continue(t)
	if _, err := hello(t, s.Addr(), 10*time.Second); err != nil {
		t.Errorf("after Continue: %v", err)
	}
}

func TestMongoURINamesUserAndDatabase(t *testing.T) {
	t.Parallel()
	s := livetest.MongoWithPassword(t)
	if got, want := s.URI("lms"), "mongodb://tests:p%40ss%3Aword%2Fof%23tests@"+s.Addr()+"/lms?authSource=admin"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// hello sends one OP_MSG (MongoDB wire protocol) with {hello: 1, $db: "admin"} and gives the answer's bytes as text.
func hello(t *testing.T, addr string, limit time.Duration) (string, error) {
	t.Helper()
	d := net.Dialer{Timeout: limit}
	conn, err := d.DialContext(t.Context(), "tcp", addr)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(limit)); err != nil {
		return "", err
	}
	body := []byte("\x10hello\x00\x01\x00\x00\x00\x02$db\x00\x06\x00\x00\x00admin\x00\x00")
	var m bytes.Buffer
	for _, n := range []uint32{uint32(16 + 4 + 1 + 4 + len(body)), 1, 0, 2013, 0} {
		_ = binary.Write(&m, binary.LittleEndian, n) // to memory
	}
	m.WriteByte(0)
	_ = binary.Write(&m, binary.LittleEndian, uint32(4+len(body))) // to memory
	m.Write(body)
	if _, err := conn.Write(m.Bytes()); err != nil {
		return "", err
	}
	var size uint32
	if err := binary.Read(conn, binary.LittleEndian, &size); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(io.LimitReader(conn, int64(size)-4))
	return string(answer), err
}
