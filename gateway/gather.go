package gateway

import (
	"net"
	"sync"
)

// net/http writes an answer whose head and body do not fit into its 4 KiB buffer in two pieces or three. Each costs a system call here, a
// segment on the wire, and a wake-up at the client: together more than all else that a small answer costs.

// gatherSize is how much is copied together. What does not fit leaves beside it, by one writev(2).
const gatherSize = 16 << 10

// gathered is what a connection holds back. It belongs to whoever serves the connection's request: net/http lets nobody else write.
type gathered struct {
	pool *sync.Pool
	on   bool
	buf  *[]byte // nil while there is nothing
}

func newGatherPool() *sync.Pool {
	return &sync.Pool{New: func() any {
		b := make([]byte, 0, gatherSize)
		return &b
	}}
}

// Gather holds back what is written from here on until Release.
func (c *watchedConn) Gather() { c.gathered.on = true }

// Release sends what was held back, and reports how many of its bytes did not go out.
func (c *watchedConn) Release() (unsent int, err error) {
	g := &c.gathered
	g.on = false
	if g.buf == nil {
		return 0, nil
	}
	n, err := c.TCPConn.Write(*g.buf)
	unsent = len(*g.buf) - n
	g.drop()
	return unsent, err //nolint:wrapcheck // as Write
}

func (c *watchedConn) Write(p []byte) (int, error) {
	g := &c.gathered
	if !g.on {
		return c.TCPConn.Write(p) //nolint:wrapcheck // net/http tells errors apart by what they are
	}
	if g.buf == nil {
		g.buf = g.pool.Get().(*[]byte) //nolint:errcheck,forcetypeassert // the pool holds nothing else
	}
	if len(*g.buf)+len(p) <= cap(*g.buf) {
		*g.buf = append(*g.buf, p...)
		return len(p), nil
	}
	held := len(*g.buf)
	both := net.Buffers{*g.buf, p}
	n, err := both.WriteTo(c.TCPConn)
	g.drop()
	return max(int(n)-held, 0), err //nolint:wrapcheck // as above
}

func (g *gathered) drop() {
	*g.buf = (*g.buf)[:0]
	g.pool.Put(g.buf)
	g.buf = nil
}
