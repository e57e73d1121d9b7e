package playback

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"sluice/media"
)

// stream is a run of bytes on its way from a backend that keeps no files. It stands under a watch of its own: a backend that gives nothing
// for Options.BackendStall is given up, however patient its driver. The watch rests while the client is being written to.
type stream struct {
	r       io.ReadCloser
	rest    int64 // not read yet
	stall   time.Duration
	timer   *time.Timer
	cancel  context.CancelFunc
	stalled atomic.Bool
}

// pull begins to read exactly s of an object. The read ends with ctx, which is the client's.
func (h *Handler) pull(ctx context.Context, backend string, o media.Object, s span) (*stream, error) {
	ctx, cancel := context.WithCancel(ctx)
	p := &stream{rest: s.n, stall: h.o.BackendStall, cancel: cancel}
	p.timer = time.AfterFunc(p.stall, func() {
		p.stalled.Store(true)
		cancel()
	})
	r, err := h.store.Read(ctx, backend, o, s.off, s.n)
	p.timer.Stop()
	if err != nil {
		cancel()
		if p.stalled.Load() {
			err = errStalled(err)
		}
		return nil, fmt.Errorf("playback: open media: %w", err)
	}
	p.r = r
	return p, nil
}

// fill reads what is there, but 64 KiB at the least where buf and the run have so many. What breaks off before is an error: nothing is ever
// padded.
func (p *stream) fill(buf []byte) (n int, err error) {
	buf = buf[:min(int64(len(buf)), p.rest)]
	for least := min(len(buf), smallBody); n < least && err == nil; {
		p.timer.Reset(p.stall)
		var more int
		more, err = p.r.Read(buf[n:])
		n += more
	}
	p.timer.Stop()
	p.rest -= int64(n)
	if err != nil && (p.rest > 0 || !errors.Is(err, io.EOF)) {
		return n, p.explain(err)
	}
	return n, nil
}

// explain gives an error of the body the kind that a Driver gives the others: bytes that cannot be had now are media.Unavailable.
func (p *stream) explain(err error) error {
	if p.stalled.Load() {
		return errStalled(err)
	}
	if media.KindOf(err) == media.Internal {
		return media.Wrap(media.Unavailable, noEOF(err), "the storage of this media does not answer")
	}
	return err
}

// errSilent is a backend that gave nothing for Options.BackendStall.
var errSilent = errors.New("the backend has stalled")

func errStalled(err error) error {
	return media.Wrap(media.Unavailable, errors.Join(errSilent, err), "the storage of this media does not answer")
}

func (p *stream) close() {
	p.timer.Stop()
	p.cancel()
	_ = p.r.Close() // all that was wanted of it has been read, or the answer is cut anyway
}

// pass sends the rest of a stream. A client that takes all it is given gets it out of a large buffer: each read then empties what the
// kernel holds of the backend, for a third less CPU. One that makes us wait, as most do beyond a local network, goes on with 64 KiB.
func (b *body) pass(t *transfer, c *care) error {
	small := b.buf[:]
	buf, quick := small, int64(0) // quick: sent since the client last made us wait
	var large *[largeBody]byte
	defer func() { b.h.large.put(large) }()
	for b.stream.rest > 0 {
		if large == nil && quick >= largeAfter && b.stream.rest >= largeBody {
			if large = b.h.large.take(); large != nil {
				buf = large[:]
			}
		}
		n, err := b.stream.fill(buf)
		if err != nil {
			return fmt.Errorf("playback: read media: %w", err)
		}
		c.extend() // the wait was for the backend, not for the client
		began := time.Now()
		n, err = t.w.Write(buf[:n])
		t.count(n, c)
		if err != nil {
			return err
		}
		if quick += int64(n); time.Since(began) >= slowWrite {
			b.h.large.put(large)
			large, buf, quick = nil, small, 0
		}
	}
	return nil
}

// Large buffers: measured in docs/measurements/2026-11-delivery-remote.md.
const (
	largeBody  = 1 << 20
	largeCount = 32                    // at most, so that a thousand slow clients do not hold a thousand
	largeAfter = 8 << 20               // quick bytes: more than the sockets between take of a client that reads nothing
	slowWrite  = 50 * time.Millisecond // of one buffer
)

// largeBuffers lends largeCount buffers, and none beyond.
type largeBuffers struct {
	lent atomic.Int32
	pool sync.Pool // of *[largeBody]byte
}

// take may give nil.
func (l *largeBuffers) take() *[largeBody]byte {
	if l.lent.Add(1) > largeCount {
		l.lent.Add(-1)
		return nil
	}
	if b, ok := l.pool.Get().(*[largeBody]byte); ok {
		return b
	}
	return new([largeBody]byte)
}

// put takes nil too.
func (l *largeBuffers) put(b *[largeBody]byte) {
	if b != nil {
		l.pool.Put(b)
		l.lent.Add(-1)
	}
}
