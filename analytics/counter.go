// Package analytics counts accesses exactly and answers questions about them.
//
// A Counter writes each access to a journal on disk that survives the death of the process, and moves it to the catalogue in batches,
// each with the journal's position in the same transaction. Reports reads the series back for those who may see them. The package does
// not know what serves the bytes, nor which database keeps the numbers.
package analytics

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"sluice/internal/crash"
	"sluice/media"
)

// CounterOptions are a Counter's choices. The zero value works.
type CounterOptions struct {
	Window      time.Duration // one view per session and asset in this time; 0: 30 minutes
	Every       time.Duration // how often Run flushes; 0: 1 second
	Batch       int           // tallies, and views, in one Count at most; 0: 4096
	MaxViews    int           // views remembered for the window at most, about 100 bytes each; 0: 1,048,576
	SegmentSize int64         // bytes of a journal file, a multiple of 64 KiB; 0: 1 MiB
	CloseWait   time.Duration // how long Close may take to count what is left; 0: 5 seconds
	Now         func() time.Time
	Logger      *slog.Logger
}

func (o *CounterOptions) complete() error {
	if o.Window < 0 || o.Every < 0 || o.Batch < 0 || o.MaxViews < 0 || o.CloseWait < 0 || o.SegmentSize < 0 || o.SegmentSize%(64<<10) != 0 {
		return errors.New("analytics: a negative option, or a segment size that is no multiple of 64 KiB")
	}
	setDefault(&o.Window, 30*time.Minute)
	setDefault(&o.Every, time.Second)
	setDefault(&o.Batch, 4096)
	setDefault(&o.MaxViews, 1<<20)
	setDefault(&o.SegmentSize, 1<<20)
	setDefault(&o.CloseWait, 5*time.Second)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

func setDefault[T comparable](v *T, value T) {
	var zero T
	if *v == zero {
		*v = value
	}
}

// Counter counts accesses. Record may be called by any number of goroutines at any time, after Close too.
type Counter struct {
	counts  Counts
	dir     string
	o       CounterOptions
	start   time.Time // views are timed from here, by the monotonic clock
	lock    *os.File
	journal *journal
	views   *views

	stop   chan struct{} // closed by Close at its beginning, and ended at its end
	ended  chan struct{}
	keeper sync.WaitGroup
	once   sync.Once
	closed error // what Close answered

	counted atomic.Int64 // everything below is in the catalogue; -1 until the catalogue has said
	until   atomic.Int64 // when everything was last known to be counted, Unix nanoseconds; 0: not yet
	turn    chan struct{}
	flusher flusher // under turn
}

// NewCounter opens the journal in dir, which it makes when missing, and remembers the views in it. Only one Counter may have a folder
// at a time: another gets ErrInUse. It does not ask the catalogue anything; what an earlier process left uncounted goes there with the
// first flush that succeeds. Close must be called.
func NewCounter(counts Counts, dir string, o CounterOptions) (*Counter, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("analytics: make journal folder: %w", err)
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, fmt.Errorf("analytics: %w", err)
	}
	c := &Counter{
		counts: counts, dir: dir, o: o, start: o.Now(), lock: lock, views: newViews(o.Window, o.MaxViews),
		stop: make(chan struct{}), ended: make(chan struct{}), turn: make(chan struct{}, 1),
	}
	c.counted.Store(-1)
	if err := c.open(); err != nil {
		_ = unlockDir(lock)
		return nil, fmt.Errorf("analytics: %w", err)
	}
	c.keeper.Go(c.keep)
	return c, nil
}

func (c *Counter) open() error {
	name, err := readName(c.dir)
	nameless := errors.Is(err, fs.ErrNotExist)
	if err != nil && !nameless {
		return err
	}
	j, err := openJournal(c.dir, c.o.SegmentSize, name.base, c.restore)
	if err != nil {
		return err
	}
	if nameless {
		if j.start > 0 {
			c.o.Logger.Warn("the journal of accesses has lost its name: what it holds is taken for counted")
		}
		name = newJournalName(j.start)
	}
	if name.pending < 0 {
		name.pending = j.start
		if err := writeName(c.dir, name); err != nil && nameless {
			j.unmapAll()
			return err
		} else if err != nil { // a full disk: what can be recorded now is in memory
			name.pending = -1
			c.o.Logger.Warn("the journal of accesses could not note its start", "error", err)
		}
	}
	c.journal, c.flusher = j, newFlusher(c, name, j.start)
	if err := j.begin(); err != nil {
		c.sayNoSpace(err)
	}
	return nil
}

// restore remembers a view that an earlier process recorded.
func (c *Counter) restore(r *record) {
	at := time.Unix(0, r.at).Sub(c.start)
	if r.flags&(flagView|flagManual) == flagView && at > -c.o.Window && at < c.o.Window {
		c.views.restore(viewKey{session: r.session, asset: r.asset}, at)
	}
}

// Record counts an access. It makes no system call, waits for no disk and no database, and allocates nothing. Once it has returned, the
// access is counted exactly once, whatever happens to the process. While the disk is full that holds until the process dies.
//
// A view is counted once per session and asset in the window, from the counted one on, over all counters of one catalogue: what this one
// takes for new goes there, and is decided there. Bytes are summed; what is told by hand is counted each time. An access that is neither a
// view nor has bytes is nothing.
func (c *Counter) Record(a media.Access) {
	r := record{asset: a.Asset, session: a.Session, bytes: max(a.Bytes, 0)}
	if !a.View && !a.Manual && r.bytes == 0 {
		return
	}
	if a.At.IsZero() {
		a.At = c.o.Now()
	}
	r.at = a.At.UnixNano()
	switch {
	case a.Manual:
		r.flags = flagView | flagManual
		c.journal.append(&r)
	case a.View:
		c.recordView(&r, a.At.Sub(c.start))
	default:
		c.journal.append(&r)
	}
	crash.At("analytics: recorded")
}

// recordView decides whether a view is new and writes it in one step: whoever is told that it is not new can rely on the other record
// being written.
func (c *Counter) recordView(r *record, at time.Duration) {
	k := viewKey{session: r.session, asset: r.asset}
	s := c.views.shard(&k)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.seen(k, at, c.o.Window) {
		r.flags = flagView
		if c.journal.append(r) {
			c.views.remember(s, k, at)
		}
		return
	}
	if r.bytes > 0 {
		c.journal.append(r)
	}
}

// keep has the next segment ready before it is wanted. It ends with Close.
func (c *Counter) keep() {
	retry := time.NewTimer(0)
	defer retry.Stop()
	full := false
	for {
		select {
		case <-c.stop:
			return
		case <-c.journal.wake:
		case <-retry.C:
		}
		err := c.journal.prepare()
		switch {
		case err != nil && !full:
			c.sayNoSpace(err)
		case err == nil && full:
			c.o.Logger.Info("accesses are kept on disk again")
		}
		full = err != nil
		if full {
			retry.Reset(c.o.Every)
		}
	}
}

func (c *Counter) sayNoSpace(err error) {
	c.o.Logger.Error("no room for the journal: accesses are kept in memory until there is", "error", err)
}

// Waiting is the number of records not yet in the catalogue, those that were given up included. -1: the catalogue was not reached yet.
func (c *Counter) Waiting() int64 {
	counted := c.counted.Load()
	if counted < 0 {
		return -1
	}
	return max(c.journal.drawn()-counted, 0)
}

// CountedUntil is the time up to which every access recorded on this node is in the catalogue; zero when none is known.
func (c *Counter) CountedUntil() time.Time {
	if c.Waiting() == 0 {
		return c.o.Now().UTC()
	}
	if n := c.until.Load(); n != 0 {
		return time.Unix(0, n).UTC()
	}
	return time.Time{}
}

// Close lets no further access in, counts what is left as far as the catalogue allows within CloseWait, and gives the folder free. What
// could not be counted waits in the journal for the next start. An error means that accesses are lost: they were in memory only.
func (c *Counter) Close() error {
	c.once.Do(func() { c.closed = c.close() })
	return c.closed
}

func (c *Counter) close() error {
	defer close(c.ended)
	c.journal.seal()
	close(c.stop)
	c.keeper.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), c.o.CloseWait) //nolint:forbidigo // whoever gave a context is gone; the flush is bounded
	defer cancel()
	err := c.flush(ctx, true)
	select {
	case c.turn <- struct{}{}: // for good: no flush reads what is unmapped
	case <-ctx.Done():
		// A flush hangs in the catalogue and reads the mapping when it returns: leave it to the end of the process.
		return errors.Join(fmt.Errorf("analytics: close: %w", ctx.Err()), unlockDir(c.lock))
	}
	var lost error
	if err != nil {
		if n := c.journal.waitingInMemory(max(c.counted.Load(), 0)); n > 0 {
			lost = fmt.Errorf("analytics: close: %d accesses were in memory only: %w", n, err)
		}
	}
	c.journal.settle(max(c.counted.Load(), c.journal.start))
	c.journal.unmapAll()
	return errors.Join(lost, unlockDir(c.lock))
}
