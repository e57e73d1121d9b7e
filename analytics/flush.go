package analytics

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"time"

	"sluice/internal/crash"
	"sluice/media"
)

const (
	batchRecords = 1 << 18 // records summed into one Count at most, however few tallies they make

	firstRetry = 50 * time.Millisecond
	lastRetry  = time.Second // counting goes on within a second after a fault has ended

	maxConflicts = 8 // positions read anew in one flush before it gives up for now
)

// flusher moves records to the catalogue. It is used by one goroutine at a time.
type flusher struct {
	c       *Counter
	journal journalName

	known    bool  // position is the catalogue's
	position int64 // how far the catalogue has counted this journal
	read     int64 // how far it is read: position, or further when what follows is void
	ceiling  int64 // the furthest position that can be ours

	index   map[tallyKey]int
	tallies []media.Tally
	views   []media.View

	err     error // why the last attempt failed; nil when it did not
	delay   time.Duration
	retryAt time.Time
	lost    int64 // records said to be lost
}

type tallyKey struct {
	asset media.AssetID
	hour  int64
}

func newFlusher(c *Counter, name journalName, start int64) flusher {
	f := flusher{c: c, journal: name, ceiling: start, index: make(map[tallyKey]int)}
	if name.pending >= 0 {
		f.ceiling = name.pending
	}
	return f
}

// Run flushes every so often until ctx ends, and once more then. A catalogue that is away is asked again within a second.
func (c *Counter) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.o.CloseWait)
			defer cancel()
			_ = c.flush(last, true) // said where it failed; the journal keeps the rest
			return nil
		case <-timer.C:
		}
		timer.Reset(c.runOnce(ctx))
	}
}

func (c *Counter) runOnce(ctx context.Context) (wait time.Duration) {
	if c.flush(ctx, true) == nil {
		return c.o.Every
	}
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
		return min(max(c.flusher.delay, firstRetry), max(c.o.Every, firstRetry))
	case <-c.ended:
		return c.o.Every
	case <-ctx.Done():
		return 0
	}
}

// Flush returns when every access recorded before the call is in the catalogue, or with the reason why it is not; then it stays in the
// journal. Callers at the same time share the work. While the catalogue is known to be away it answers media.Unavailable at once.
func (c *Counter) Flush(ctx context.Context) error { return c.flush(ctx, false) }

func (c *Counter) flush(ctx context.Context, always bool) error {
	target := c.journal.drawn()
	if c.counted.Load() >= target {
		return nil
	}
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-c.ended:
		return media.Errorf(media.Unavailable, "accesses are counted at the next start")
	case <-ctx.Done():
		return media.Wrap(media.Unavailable, fmt.Errorf("analytics: flush: %w", ctx.Err()), "accesses are still being counted")
	}
	if c.counted.Load() >= target {
		return nil
	}
	f := &c.flusher
	if !always && f.err != nil && c.o.Now().Before(f.retryAt) {
		return f.err
	}
	began := c.o.Now()
	err := f.flush(ctx, target)
	f.settle(ctx, err)
	if err != nil {
		return f.wrap(err)
	}
	c.until.Store(began.UnixNano())
	if err := c.journal.release(f.read, c.o.Now(), c.o.Window); err != nil {
		c.o.Logger.Warn("a counted journal file stays", "error", err)
	}
	return nil
}

// flush counts batch after batch up to target.
func (f *flusher) flush(ctx context.Context, target int64) error {
	for conflicts := 0; ; {
		if err := f.locate(ctx); err != nil {
			return err
		}
		if f.read >= target {
			return nil
		}
		to, err := f.gather()
		if err != nil {
			return err
		}
		if to == f.read { // a writer is between two instructions
			if err := ctx.Err(); err != nil {
				return err
			}
			runtime.Gosched()
			continue
		}
		err = f.count(ctx, to)
		if errors.Is(err, media.Conflict) && conflicts < maxConflicts {
			conflicts++
			continue
		}
		if err != nil {
			return err
		}
	}
}

// locate asks the catalogue how far it is, when that is not known: at the start, and after a Count whose outcome is not.
func (f *flusher) locate(ctx context.Context) error {
	if f.known {
		return nil
	}
	position, err := f.c.counts.Position(ctx, f.journal.name)
	if err != nil {
		return err
	}
	if position > f.ceiling {
		// The catalogue has counted what is not here: the folder was put back to an earlier time, or lost its last moments with the
		// power, or has a twin. Numbers would be taken twice; so the journal goes on under a new name, from where it is known to be.
		name := newJournalName(f.ceiling)
		if err := writeName(f.c.dir, name); err != nil {
			return err
		}
		f.c.o.Logger.Warn("the journal of accesses is behind the catalogue and goes on under a new name",
			"journal", f.journal.name, "position", position, "expected", f.ceiling, "new_journal", name.name)
		f.journal = name
		return f.locate(ctx)
	}
	if f.journal.pending >= 0 { // before anything is counted: from then on a position above it is ours
		asked := f.journal
		asked.pending = -1
		if err := writeName(f.c.dir, asked); err != nil {
			return err
		}
		f.journal, f.ceiling = asked, max(f.ceiling, f.c.journal.start)
	}
	f.known, f.position, f.read = true, position, max(position, f.journal.base)
	f.c.counted.Store(f.read)
	return nil
}

// gather sums the next records into tallies, and collects the views that are to be decided. Sorted, so that transactions of several nodes take their rows in the same order.
func (f *flusher) gather() (to int64, err error) {
	clear(f.index)
	f.tallies, f.views = f.tallies[:0], f.views[:0]
	records, last, lastKey := 0, -1, tallyKey{}
	to, err = f.c.journal.read(f.read, f.c.journal.drawn(), func(r *record) bool {
		k := tallyKey{asset: r.asset, hour: hourOf(r.at)}
		if last < 0 || k != lastKey {
			i, ok := f.index[k]
			if !ok {
				if len(f.tallies) >= f.c.o.Batch {
					return false
				}
				i = len(f.tallies)
				f.index[k] = i
				f.tallies = append(f.tallies, media.Tally{Asset: k.asset, Hour: time.Unix(k.hour*3600, 0).UTC()})
			}
			last, lastKey = i, k
		}
		if records++; records > batchRecords || len(f.views) >= f.c.o.Batch {
			return false
		}
		add(&f.tallies[last], r)
		if r.flags&(flagView|flagManual) == flagView {
			f.views = append(f.views, media.View{Asset: r.asset, Session: r.session, At: time.Unix(0, r.at).UTC()})
		}
		return true
	})
	slices.SortFunc(f.tallies, func(a, b media.Tally) int {
		return cmp.Or(bytes.Compare(a.Asset[:], b.Asset[:]), a.Hour.Compare(b.Hour))
	})
	return to, err
}

func add(t *media.Tally, r *record) {
	if r.flags&flagManual != 0 {
		t.Views++
	}
	t.Bytes += min(r.bytes, math.MaxInt64-t.Bytes)
	if at := time.Unix(0, r.at).UTC(); t.Last.IsZero() || at.After(t.Last) {
		t.Last = at
	}
}

// hourOf gives the hours since 1970 began, rounded down also before.
func hourOf(nanos int64) int64 {
	h := nanos / int64(time.Hour)
	if nanos%int64(time.Hour) < 0 {
		h--
	}
	return h
}

// count hands the gathered tallies over. After any error the outcome is unknown until the catalogue is asked.
func (f *flusher) count(ctx context.Context, to int64) error {
	if len(f.tallies) > 0 {
		f.ceiling = max(f.ceiling, to)
		crash.At("analytics: before count")
		if err := f.c.counts.Count(ctx, f.journal.name, media.Batch{From: f.position, To: to, Tallies: f.tallies, Views: f.views, Window: f.c.o.Window}); err != nil {
			f.known = false
			return err
		}
		crash.At("analytics: after count")
		f.position = to
	}
	f.read = to
	f.c.counted.Store(to)
	return nil
}

// settle says once that counting has stopped, and once that it goes on.
func (f *flusher) settle(ctx context.Context, err error) {
	log := f.c.o.Logger
	if lost := f.c.journal.lost.Load(); lost > f.lost {
		log.Error("accesses were lost: no room on disk nor in memory", "accesses", lost-f.lost)
		f.lost = lost
	}
	if f.c.views.overflow.Swap(false) {
		log.Warn("too many viewers at once to be remembered: the catalogue is asked about repeated views", "max_views", f.c.o.MaxViews)
	}
	switch {
	case err == nil:
		if f.err != nil {
			log.Info("accesses are counted again")
		}
		f.err, f.delay = nil, 0
	case ctx.Err() != nil: // the caller had enough, which says nothing about the catalogue
	default:
		if f.err == nil {
			log.Warn("accesses cannot be counted and wait in the journal", "error", err, "position", f.position)
		}
		f.err = f.wrap(err)
		f.delay = min(max(2*f.delay, firstRetry), lastRetry)
		f.retryAt = f.c.o.Now().Add(f.delay)
	}
}

func (f *flusher) wrap(err error) error {
	return media.Wrap(media.Unavailable, fmt.Errorf("analytics: flush: %w", err), "accesses cannot be counted now; they are kept")
}
