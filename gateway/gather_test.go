package gateway_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"

	"sluice/gateway"
)

type gatherer interface {
	net.Conn
	Gather()
	Release() (int, error)
}

// pair gives both ends of a watched connection.
func pair(t *testing.T) (gatherer, *net.TCPConn) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	far, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = far.Close() })
	near, err := gateway.Watch(l).Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = near.Close() })
	return near.(gatherer), far.(*net.TCPConn)
}

func TestGatheredWritesArriveInOrderAndNotBeforeRelease(t *testing.T) {
	t.Parallel()
	near, far := pair(t)
	var want []byte
	for i, sizes := range [][]int{{}, {1}, {700, 8 << 10}, {4096, 4096, 700}, {16 << 10, 1}, {700, 64 << 10, 3}, {20 << 10}, {9 << 10, 9 << 10, 9 << 10}} {
		sum := 0
		near.Gather()
		for k, n := range sizes {
			b := bytes.Repeat([]byte{byte(16*i + k)}, n)
			if got, err := near.Write(b); got != n || err != nil {
				t.Fatalf("%v: Write of %d = %d, %v", sizes, n, got, err)
			}
			clear(b) // a writer may use its buffer again
			want = append(want, bytes.Repeat([]byte{byte(16*i + k)}, n)...)
			sum += n
		}
		if unsent, err := near.Release(); unsent != 0 || err != nil {
			t.Fatalf("%v: Release = %d, %v", sizes, unsent, err)
		}
		got := make([]byte, sum)
		if _, err := io.ReadFull(far, got); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want[len(want)-sum:]) {
			t.Errorf("%v: other bytes have arrived", sizes)
		}
	}
	if n, err := near.Write([]byte("x")); n != 1 || err != nil { // at once, as nothing gathers now
		t.Fatal(n, err)
	}
	if _, err := io.ReadFull(far, make([]byte, 1)); err != nil {
		t.Error(err)
	}
}

func TestReleaseTellsWhatDidNotGoOut(t *testing.T) {
	t.Parallel()
	near, _ := pair(t)
	near.Gather()
	if n, err := near.Write(make([]byte, 100)); n != 100 || err != nil {
		t.Fatal(n, err)
	}
	if err := near.Close(); err != nil {
		t.Fatal(err)
	}
	if unsent, err := near.Release(); unsent != 100 || !errors.Is(err, net.ErrClosed) {
		t.Errorf("Release = %d, %v on a closed connection", unsent, err)
	}
	near.Gather()
	if _, err := near.Write(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	if n, err := near.Write(make([]byte, 64<<10)); n != 0 || err == nil {
		t.Errorf("Write = %d, %v on a closed connection", n, err)
	}
	if unsent, err := near.Release(); unsent != 0 || err != nil {
		t.Errorf("Release = %d, %v after a Write that has said it", unsent, err)
	}
}
