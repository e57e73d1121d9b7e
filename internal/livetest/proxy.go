package livetest

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// Proxy stands between a client and a server and cuts connections, as bad networks do.
type Proxy struct {
	Addr string // host:port it listens on

	target string
	o      ProxyOptions
	cuts   atomic.Int64
	passed atomic.Int64
	wg     sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]struct{}
	ended bool
}

// ProxyOptions choose what a proxy does to its connections. The zero value passes everything.
type ProxyOptions struct {
	// Budget is asked at each connection, from one goroutine, how many bytes the client may send before the connection is reset; below
	// zero: as many as it likes.
	Budget func() int64

	// Passed is told, from the goroutine of the connection and before they go on, how many bytes clients have sent in all.
	Passed func(total int64)
}

// NewProxy starts a proxy to target (host:port). It ends with its test.
func NewProxy(t testing.TB, target string, o ProxyOptions) *Proxy {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{Addr: l.Addr().String(), target: target, o: o, conns: map[net.Conn]struct{}{}}
	ctx := context.WithoutCancel(t.Context())
	p.wg.Go(func() { p.accept(ctx, l) })
	t.Cleanup(func() {
		_ = l.Close()
		p.end()
		p.wg.Wait()
	})
	return p
}

// Cuts is the number of connections reset so far.
func (p *Proxy) Cuts() int64 { return p.cuts.Load() }

// Cut resets all connections there are now. Later ones pass.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		p.cuts.Add(1)
		reset(c)
	}
}

func (p *Proxy) accept(ctx context.Context, l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		limit := int64(-1)
		if p.o.Budget != nil {
			limit = p.o.Budget()
		}
		p.wg.Go(func() { p.serve(ctx, conn, limit) })
	}
}

func (p *Proxy) serve(ctx context.Context, client net.Conn, limit int64) {
	defer p.drop(client)
	if !p.keep(client) {
		return
	}
	var d net.Dialer
	server, err := d.DialContext(ctx, "tcp", p.target)
	if err != nil {
		return
	}
	defer p.drop(server)
	if !p.keep(server) {
		return
	}
	answers := make(chan struct{})
	go func() {
		defer close(answers)
		_, _ = io.Copy(client, server)
		_ = client.Close()
	}()
	sent := watched{client, p}
	if limit < 0 {
		_, _ = io.Copy(server, sent)
	} else if n, err := io.CopyN(server, sent, limit); n == limit || !errors.Is(err, io.EOF) {
		p.cuts.Add(1)
		reset(client)
		reset(server)
	}
	_ = server.Close()
	<-answers
}

// watched tells Passed of each read.
type watched struct {
	io.Reader
	p *Proxy
}

func (w watched) Read(b []byte) (int, error) {
	n, err := w.Reader.Read(b)
	if total := w.p.passed.Add(int64(n)); n > 0 && w.p.o.Passed != nil {
		w.p.o.Passed(total)
	}
	return n, err
}

// reset makes the close that follows an RST, which is what a peer that vanished behind a router looks like.
func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

func (p *Proxy) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return false
	}
	p.conns[c] = struct{}{}
	return true
}

func (p *Proxy) drop(c net.Conn) {
	_ = c.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

func (p *Proxy) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	for c := range p.conns {
		_ = c.Close()
	}
}
