package playback

import (
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// care drops a client that takes nothing for StallTimeout, and no other however slow it is: a write deadline that moves on as long as
// bytes do. It looks four times per StallTimeout.
//
// Bytes written are no good measure alone. A socket counts as writable again when a third of its buffer is free, and on a fast link the
// buffer has megabytes: a reader of 10 kB/s looks dead for minutes. So where ConnContext has told of the connection, the length of the
// kernel's send queue is looked at as well, which shrinks with each acknowledged segment.
type care struct {
	rc    *http.ResponseController
	stall time.Duration
	conn  net.Conn // nil: not known
	whole gatherer // nil: the answer leaves as it is written
	sent  atomic.Int64

	mu      sync.Mutex
	timer   *time.Timer // nil for small bodies
	stopped bool
	seen    int64 // sent at the last look
	queued  int   // and in the send queue
}

type connKey struct{}

// ConnContext is for http.Server.ConnContext: it lets playback see how fast a client reads.
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// gatherer is a connection that can hold back what is written to it and send it in one piece: net/http writes the head and a body of
// more than 4 KiB in two or three. Release tells how many bytes did not go out.
type gatherer interface {
	Gather()
	Release() (unsent int, err error)
}

// care begins to watch an answer of n bytes. What is small fits into any socket's buffer, and gets a deadline without a watch; where the
// connection can, it goes out in one piece.
func (h *Handler) care(ctx context.Context, w http.ResponseWriter, n int64) *care {
	c := &care{rc: http.NewResponseController(w), stall: h.o.StallTimeout}
	c.extend()
	c.conn, _ = ctx.Value(connKey{}).(net.Conn)
	if n <= smallBody {
		if c.whole, _ = c.conn.(gatherer); c.whole != nil {
			c.whole.Gather()
		}
	} else {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.timer = time.AfterFunc(c.stall/4, c.look)
	}
	return c
}

// extend is by the machine's clock, not by Options.Now: the deadline is the kernel's. A writer without deadlines is one of a test.
func (c *care) extend() { _ = c.rc.SetWriteDeadline(time.Now().Add(c.stall)) }

func (c *care) look() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return
	}
	sent, queued := c.sent.Load(), sendQueue(c.conn)
	if sent != c.seen || queued != c.queued {
		c.seen, c.queued = sent, queued
		c.extend()
	}
	c.timer.Reset(c.stall / 4)
}

// flush hands over what net/http holds, while the deadline still stands.
func (c *care) flush() { _ = c.rc.Flush() }

// release sends what was held back of an answer, and takes what did not go out from the bytes sent.
func (c *care) release(t *transfer) error {
	if c.whole == nil {
		return nil
	}
	unsent, err := c.whole.Release()
	c.whole = nil
	t.sent -= min(int64(unsent), t.sent)
	return err //nolint:wrapcheck // of the connection, as those of Write are
}

// stop ends the watch and takes the deadline away: net/http sets none of its own for the connection's next request.
func (c *care) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
	if c.timer != nil {
		c.timer.Stop()
	}
	if c.whole != nil { // the answer is cut: what there is of it goes out, and the connection ends
		_, _ = c.whole.Release()
	}
	_ = c.rc.SetWriteDeadline(time.Time{})
}
