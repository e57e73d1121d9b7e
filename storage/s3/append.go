package s3

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"sync"
	"time"

	"sluice/internal/crash"
	"sluice/media"
)

// Append gathers what r gives into parts and sends each as it is full, several at once. What is left at the end, too little to be a part,
// is kept beside the state. The new state, swapped in last, is what makes it all count.
func (w *write) Append(ctx context.Context, off int64, r io.Reader) (int64, error) {
	release, err := w.claim()
	if err != nil {
		return 0, err
	}
	defer release()
	if w.done != nil {
		return 0, errCommitted()
	}
	detached := context.WithoutCancel(ctx) // what has come is stored, whoever has left
	if err := w.startAt(ctx, off); err != nil {
		return 0, err
	}
	w.durable.Store(off)
	w.working.Store(true)
	defer w.working.Store(false)
	sending, cancel := context.WithCancelCause(detached)
	defer cancel(nil)
	a := &appending{w: w, from: w.st, off: off, end: off, sending: sending, cancel: cancel, broken: make(chan struct{})}
	a.moved = sync.NewCond(&a.mu)
	if err := a.prepare(); err != nil {
		return 0, err
	}
	readErr := a.read(ctx, r)
	kept, err := a.settle(detached, readErr != nil)
	if err == nil || readErr != nil && errors.Is(err, leftError{}) {
		err = readErr
	}
	return kept, err
}

// startAt sees that the last known state stands at off and is nobody else's.
func (w *write) startAt(ctx context.Context, off int64) error {
	if st := w.st; st != nil && st.Open == "" && !st.Sealed && !st.Join && st.offset() == off {
		return nil
	}
	for {
		err := w.refresh(ctx)
		if errors.Is(err, media.NotFound) {
			return w.over(ctx)
		}
		if err != nil {
			return err
		}
		switch st := w.st; {
		case st.Sealed:
			return errCommitted()
		case st.Join: // cut off, and the bytes are to pass through now
			next := newState(st.Size, w.d.partFor(st.Size), st.Begun)
			next.ID = st.ID
			if err := w.swap(ctx, next); err != nil && !errors.Is(err, errRace) {
				return err
			}
			w.d.dropUpload(ctx, w.key, st)
			continue
		case st.Open == "" && st.offset() == off:
			return nil
		case st.Open == "":
			return errOffset(st.offset())
		}
		if err := w.takeOver(ctx, off); !errors.Is(err, errRace) {
			return err
		}
	}
}

// takeOver ends another process's append, which has died, stalled or lost its lease: from here on its state is out of date. What it has
// stored up to off is kept; numbers that it may still be sending parts under are left to it.
func (w *write) takeOver(ctx context.Context, off int64) error {
	found, err := w.d.found(ctx, w.key, w.st)
	if err != nil {
		return err
	}
	next := w.st.clone()
	if off != next.offset() {
		n := off/next.Part - int64(next.Parts)
		if off%next.Part != 0 || n < 1 || n > int64(len(found)) {
			best := next.offset()
			if len(found) > 0 {
				best = int64(next.Parts+len(found)) * next.Part
			}
			return errOffset(best)
		}
		next.adopt(found[:n])
	}
	next.skipTo(w.st.Until)
	next.Open, next.Until = "", 0
	return w.swap(ctx, next)
}

// swap makes next the state, and remembers it.
func (w *write) swap(ctx context.Context, next *state) error {
	if w.etag == "" { // forgotten: a swap with nothing would begin the write anew
		return errRace
	}
	etag, err := w.d.swapState(ctx, w.key, next, w.etag)
	if err != nil {
		w.forget()
		return err
	}
	w.st, w.etag = next, etag
	return nil
}

// senderGrace is how long parts on their way are waited for after the client has left.
const senderGrace = 10 * time.Second

// appending is one call of Append.
type appending struct {
	w    *write
	from *state // as the append found it
	off  int64  // where it began
	end  int64  // where what was read ends

	cur  *run  // the bytes after the last part sent: the tail's, as far as they are in memory, and what was read
	lead int64 // bytes of the tail that come before cur and are not in memory

	sending context.Context //nolint:containedctx // the call's own
	cancel  context.CancelCauseFunc

	opened *opening // the state says that this append is at work; nil: it does not

	mu       sync.Mutex
	moved    *sync.Cond
	sent     []part // by index after from.Parts; without an etag: on its way
	stored   int    // how many in a row are stored
	underway int
	failed   error
	broken   chan struct{} // closed with failed
}

// prepare takes the tail into memory as far as that costs nothing, and announces the append when it will fill a part.
func (a *appending) prepare() error {
	st := a.from
	if a.cur = a.w.takeTail(); a.cur == nil {
		a.lead = st.segmentBytes()
		a.cur = newRun(&a.w.d.blocks, st.Part-a.lead)
		if _, err := a.cur.fill(st.inlineReader()); err != nil {
			return err
		}
	}
	if st.Size-a.off >= a.cur.limit-a.cur.size { // false for an unknown length
		a.announce()
	}
	return nil
}

// read takes what r gives, part after part, until its end.
func (a *appending) read(ctx context.Context, r io.Reader) error {
	for idle := 0; ; {
		if err := a.ready(ctx); err != nil {
			return err
		}
		space, err := a.space()
		if err != nil {
			return err
		}
		n, readErr := r.Read(space)
		if n > 0 {
			idle = 0
			if a.from.Size >= 0 && a.end+int64(n) > a.from.Size {
				return errBeyond(a.from.Size)
			}
			a.cur.took(n)
			a.end += int64(n)
		}
		switch {
		case readErr == io.EOF: // io.Reader's word for the end is never wrapped; a wrapped one is a failure
			return nil
		case readErr != nil:
			return readErr
		case n == 0:
			if idle++; idle == 100 {
				return io.ErrNoProgress
			}
		}
	}
}

// ready reports why no more should be read.
func (a *appending) ready(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.failed
}

// space gives where to read to, after sending the part that is full.
func (a *appending) space() ([]byte, error) {
	space := a.cur.room()
	if space != nil {
		return space, nil
	}
	if err := a.send(); err != nil {
		return nil, err
	}
	return a.cur.room(), nil
}

// send sends cur as the next part, and makes room for the one after.
func (a *appending) send() error {
	if err := a.whole(); err != nil {
		return err
	}
	number, err := a.turn()
	if err != nil {
		return err
	}
	full := a.cur
	a.cur = newRun(&a.w.d.blocks, a.from.Part)
	a.dispatch(number, full)
	return nil
}

// whole brings the part of the tail that is not in memory before cur.
func (a *appending) whole() error {
	if a.lead == 0 {
		return nil
	}
	front := newRun(&a.w.d.blocks, a.from.Part)
	if err := a.w.d.loadTail(a.sending, a.w.key, &state{Segments: a.from.Segments}, front); err != nil {
		front.free()
		return err
	}
	front.join(a.cur)
	a.cur, a.lead = front, 0
	return nil
}

// turn waits until the next part may be sent, and gives its number.
func (a *appending) turn() (int, error) {
	a.mu.Lock()
	for len(a.sent)-a.stored >= a.w.d.o.InFlight && a.failed == nil {
		a.moved.Wait()
	}
	err, index := a.failed, a.from.Parts+len(a.sent)
	a.mu.Unlock()
	if err != nil {
		return 0, err
	}
	if err := a.open(index); err != nil {
		return 0, err
	}
	select {
	case a.w.d.slots <- struct{}{}: // not before the part is full: slow clients keep no fast one waiting
		return a.from.number(index), nil
	case <-a.broken:
		return 0, a.ready(a.sending)
	}
}

// dispatch sends a part in the background, under a slot that it gives back.
func (a *appending) dispatch(number int, bytes *run) {
	a.mu.Lock()
	index := len(a.sent)
	a.sent = append(a.sent, part{number: number})
	a.underway++
	a.mu.Unlock()
	go func() {
		p, err := a.w.d.sendPart(a.sending, a.w.key, a.opened.upload, number, bytes)
		crash.At("s3: append: part sent")
		<-a.w.d.slots
		bytes.free()
		a.mu.Lock()
		defer a.mu.Unlock()
		a.underway--
		switch {
		case err == nil:
			a.sent[index] = p
			a.advance()
		case a.failed == nil: // those before it go on: they count
			if context.Cause(a.sending) != nil {
				err = errLeft()
			}
			a.failed = err
			close(a.broken)
		}
		a.moved.Broadcast()
	}()
}

// advance counts the parts in a row that are stored.
func (a *appending) advance() {
	for a.stored < len(a.sent) && a.sent[a.stored].etag != "" {
		a.stored++
	}
	if a.stored > 0 {
		a.w.durable.Store(int64(a.from.Parts+a.stored)*a.from.Part + a.shortOf(a.stored))
	}
}

// shortOf is what a last part that is not whole takes away.
func (a *appending) shortOf(n int) int64 {
	if n == 0 {
		return 0
	}
	return a.sent[n-1].size - a.from.Part
}

// wait waits for the parts on their way. When their client has left, those that are stuck are given up after a while: the upload must be
// free for the next request.
func (a *appending) wait(left bool) {
	if left {
		timer := time.AfterFunc(senderGrace, func() { a.cancel(errLeft()) })
		defer timer.Stop()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for a.underway > 0 {
		a.moved.Wait()
	}
}

// newSegment names a piece of the tail.
func newSegment(size int64) segment { return segment{Name: rand.Text(), Size: size} }
