package uploads

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"sluice/media"
)

// recheck is how often a node that waits for another looks again: messages wake it at once, but a node that was killed sends none. It is
// also how often a node without a lease looks whether there are leases again.
const recheck = 250 * time.Millisecond

// workPatience is how long there must have been no leases before each node does the shared work itself: it can be repeated, but once is
// enough.
const workPatience = time.Second

var (
	_ Locker = (*SharedLocker)(nil)
	_ Turns  = (*SharedLocker)(nil)
)

// SharedLocker gives one writer at a time an upload, among nodes: one of this process first, as MemoryLocker does, and then one node by a
// lease. A node that waits asks the one that has it, which watches its own writer as a waiter there would. While there are no leases to
// be had each node acts by itself, and storage keeps their bytes apart.
type SharedLocker struct {
	local  *MemoryLocker
	leases Leases
	log    *slog.Logger
	begun  time.Time
	away   atomic.Int64  // nanoseconds from begun since when there are no leases; 0: there are
	look   chan struct{} // one token: there may be tenures without a lease

	mu      sync.Mutex
	tenures map[string]*tenure
	waiting map[string]chan struct{} // one token each: the name may be free
}

// NewSharedLocker makes a SharedLocker. Until its Run runs there are no leases. A nil logger says nothing.
func NewSharedLocker(leases Leases, log *slog.Logger) *SharedLocker {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &SharedLocker{
		local: NewLocker(), leases: leases, log: log, look: make(chan struct{}, 1), begun: time.Now(),
		tenures: map[string]*tenure{}, waiting: map[string]chan struct{}{},
	}
}

func (l *SharedLocker) setStall(d time.Duration) { l.local.setStall(d) }

// Lock waits at most 2 s in all. See Locker.
func (l *SharedLocker) Lock(ctx context.Context, id media.AssetID, alive func() time.Time, yield func()) (func() bool, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	unlock, err := l.local.Lock(ctx, id, alive, yield)
	if err != nil {
		return nil, err
	}
	t := newTenure(uploadName(id), alive, yield, nil)
	if !l.begin(ctx, t, true) && !l.await(ctx, t) {
		unlock()
		return nil, errLocked()
	}
	return l.ending(ctx, t, unlock), nil
}

// Try waits for nobody. See Locker.
func (l *SharedLocker) Try(ctx context.Context, id media.AssetID, yield func()) (func() bool, bool) {
	unlock, ok := l.local.Try(ctx, id, yield)
	if !ok {
		return nil, false
	}
	t := newTenure(uploadName(id), time.Now, yield, nil)
	if !l.begin(ctx, t, true) {
		unlock()
		return nil, false
	}
	return l.ending(ctx, t, unlock), true
}

// ending gives back the lease first: whoever waits in this process then takes its turn among the nodes.
func (l *SharedLocker) ending(ctx context.Context, t *tenure, unlock func() bool) func() bool {
	ctx = context.WithoutCancel(ctx)
	return sync.OnceValue(func() bool {
		defer unlock()
		return l.end(ctx, t)
	})
}

// Turn begins a turn at some work. See Turns.
func (l *SharedLocker) Turn(ctx context.Context, work string, wake, stop func()) (done func(), ok bool) {
	t := newTenure(workName(work), time.Now, stop, wake)
	if !l.begin(ctx, t, l.awayFor() > workPatience) {
		return nil, false
	}
	ctx = context.WithoutCancel(ctx)
	return func() { l.end(ctx, t) }, true
}

// Wake tells the node that has the turn. A message that is lost costs nothing but time: work is looked for in intervals too.
func (l *SharedLocker) Wake(ctx context.Context, work string) {
	l.noteServer(l.leases.Ask(ctx, workName(work)))
}

func uploadName(id media.AssetID) string { return "upload:" + id.String() }
func workName(work string) string        { return "work:" + work }

// begin takes t's name for this node; false when another has it. While there are no leases it begins bare, if it may.
func (l *SharedLocker) begin(ctx context.Context, t *tenure, mayBare bool) bool {
	l.mu.Lock()
	if l.tenures[t.name] != nil {
		l.mu.Unlock()
		return false
	}
	t.fresh()
	l.tenures[t.name] = t // before it is lent: others may ask for it from then on
	l.mu.Unlock()
	ok, err := l.lease(ctx, t)
	if err != nil {
		token(l.look)
		ok = mayBare || !t.refuse()
	}
	if !ok {
		l.forget(t)
	}
	return ok
}

func (l *SharedLocker) end(ctx context.Context, t *tenure) bool {
	held := t.end(ctx, l.leases)
	l.forget(t)
	return held
}

func (l *SharedLocker) forget(t *tenure) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tenures[t.name] == t {
		delete(l.tenures, t.name)
	}
}

// await waits for the node that has t's name. Of a process one waits for a name at a time: whoever holds it there.
func (l *SharedLocker) await(ctx context.Context, t *tenure) bool {
	freed := make(chan struct{}, 1)
	l.mu.Lock()
	l.waiting[t.name] = freed
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		delete(l.waiting, t.name)
		l.mu.Unlock()
	}()
	tick := time.NewTicker(recheck)
	defer tick.Stop()
	for {
		l.noteServer(l.leases.Ask(ctx, t.name))
		select {
		case <-freed:
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
		if l.begin(ctx, t, false) { // a node had it a moment ago: that there are no leases now does not end its work
			return true
		}
	}
}

// Run takes part among the nodes until ctx ends.
func (l *SharedLocker) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { l.keep(ctx) })
	err := l.leases.Run(ctx, func(name string) {
		l.mu.Lock()
		t := l.tenures[name]
		l.mu.Unlock()
		switch {
		case t == nil:
		case t.wake != nil:
			t.wake()
		case !t.pressing():
			wg.Go(func() { t.press(ctx, l.local.stallAfter()) })
		}
	}, l.freed)
	wg.Wait()
	return err
}

func (l *SharedLocker) freed(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c := l.waiting[name]; c != nil {
		token(c)
	}
}

// keep looks for leases for the tenures that have lost theirs, or never had one, and ends those whose name another node has got.
func (l *SharedLocker) keep(ctx context.Context) {
	timer := time.NewTimer(recheck)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.look:
		case <-timer.C:
		}
		if l.lookAfter(ctx) {
			timer.Reset(recheck)
		}
	}
}

// lookAfter tries once for each, and reports whether some are without a lease still.
func (l *SharedLocker) lookAfter(ctx context.Context) (more bool) {
	var bare []*tenure
	l.mu.Lock()
	for _, t := range l.tenures {
		if t.bare() {
			bare = append(bare, t)
		}
	}
	l.mu.Unlock()
	for _, t := range bare {
		ok, _ := l.lease(ctx, t) // what went wrong is said; it is tried again
		switch {
		case !ok:
			t.yield()
		case t.bare():
			more = true
			// Its client may go on with another node that this one does not hear of.
			if time.Since(t.alive()) > patience {
				t.yield()
			}
		}
	}
	return more
}

// noteServer says once that there are no leases, and once that there are again.
func (l *SharedLocker) noteServer(err error) {
	switch away := err != nil && media.KindOf(err) == media.Unavailable; {
	case away && l.away.CompareAndSwap(0, int64(time.Since(l.begun))):
		l.log.Warn("no leases between nodes: each acts by itself until they are back", "error", err)
	case err == nil && l.away.Swap(0) != 0:
		l.log.Info("leases between nodes are back")
	}
}

// awayFor tells for how long there have been no leases.
func (l *SharedLocker) awayFor() time.Duration {
	since := l.away.Load()
	if since == 0 {
		return 0
	}
	return time.Since(l.begun) - time.Duration(since)
}
