package leasetest

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
)

// Link is the way from one node to a server: a TCP proxy that can be cut, so that one node is away from a server that others reach.
type Link struct {
	Addr string // host:port it listens on

	target string
	wg     sync.WaitGroup

	mu    sync.Mutex
	deaf  bool // nothing passes any more, and nobody is told
	ended bool
	conns map[net.Conn]struct{}
}

// NewLink makes a way to target (host:port). It ends with its test.
func NewLink(t testing.TB, target string) *Link {
	t.Helper()
	var lc net.ListenConfig
	listener, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &Link{Addr: listener.Addr().String(), target: target, conns: map[net.Conn]struct{}{}}
	ctx := context.WithoutCancel(t.Context())
	l.wg.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			l.wg.Go(func() { l.serve(ctx, conn) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		l.end()
		l.wg.Wait()
	})
	return l
}

// Cut swallows what either side says from now on: to both it looks as if the other stood still.
func (l *Link) Cut() { l.setDeaf(true) }

// Mend lets new connections through. Those that were cut have missed too much: they are closed.
func (l *Link) Mend() {
	l.setDeaf(false)
	l.Break()
}

func (l *Link) setDeaf(v bool) {
	l.mu.Lock()
	l.deaf = v
	l.mu.Unlock()
}

// Break closes the connections there are, as a node does that is killed.
func (l *Link) Break() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns {
		_ = c.Close()
	}
}

func (l *Link) end() {
	l.mu.Lock()
	l.ended = true
	l.mu.Unlock()
	l.Break()
}

func (l *Link) isDeaf() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.deaf
}

// keep reports whether the connection may go on; it is closed at the end.
func (l *Link) keep(c net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		_ = c.Close()
		return false
	}
	l.conns[c] = struct{}{}
	return true
}

func (l *Link) drop(c net.Conn) {
	_ = c.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, c)
}

func (l *Link) serve(ctx context.Context, node net.Conn) {
	if !l.keep(node) {
		return
	}
	defer l.drop(node)
	if l.isDeaf() { // it connects, and hears nothing
		_, _ = io.Copy(io.Discard, node)
		return
	}
	var d net.Dialer
	server, err := d.DialContext(ctx, "tcp", l.target)
	if err != nil || !l.keep(server) {
		return
	}
	defer l.drop(server)
	var wg sync.WaitGroup
	wg.Go(func() { l.pass(node, server) })
	l.pass(server, node)
	wg.Wait()
}

// pass copies until either side ends, or swallows.
func (l *Link) pass(to, from net.Conn) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 && !l.isDeaf() {
			if _, werr := to.Write(buf[:n]); werr != nil {
				err = werr
			}
		}
		if err != nil {
			if !l.isDeaf() {
				_ = to.Close()
			}
			return
		}
	}
}
