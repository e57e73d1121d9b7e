package uploads

import (
	"context"
	"sync"
	"time"
)

// tenure is a name that this node acts under: by a lease or, while leases cannot be had, on its own word.
type tenure struct {
	hold
	name string
	wake func() // for work: there is some; nil: an upload

	taking sync.Mutex // one attempt at a lease at a time; ended is set under it too

	mu       sync.Mutex
	giveBack func() bool // nil: no lease
	taken    bool        // another node has the name
	ended    bool
	pressed  bool // it is watched for another node
}

func newTenure(name string, alive func() time.Time, yield, wake func()) *tenure {
	return &tenure{hold: hold{alive: alive, yield: yield, free: make(chan struct{})}, name: name, wake: wake}
}

// fresh forgets that another node had the name when it was asked for before.
func (t *tenure) fresh() {
	t.mu.Lock()
	t.taken = false
	t.mu.Unlock()
}

// lease looks for a lease where there is none. It reports false when another node has the name.
func (l *SharedLocker) lease(ctx context.Context, t *tenure) (ok bool, err error) {
	t.taking.Lock()
	defer t.taking.Unlock()
	if !t.bare() {
		return true, nil
	}
	early := false // the lease ended before it was noted here
	giveBack, held, err := l.leases.Take(ctx, t.name, func() {
		t.mu.Lock()
		t.giveBack, early = nil, true
		t.mu.Unlock()
		token(l.look)
	})
	l.noteServer(err)
	if err != nil {
		return true, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if held && !early {
		t.giveBack = giveBack
	}
	t.taken = !held
	return held, nil
}

// refuse ends the search for a lease. It reports false when one was found meanwhile.
func (t *tenure) refuse() bool {
	t.taking.Lock()
	defer t.taking.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.giveBack == nil {
		t.taken = true
	}
	return t.taken
}

// bare reports whether the tenure goes on without a lease.
func (t *tenure) bare() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.giveBack == nil && !t.taken && !t.ended
}

// end gives the name back, and reports whether no other node is known to have had it. One without a lease asks a last time: another node
// may have it since this one was cut off, or stood still.
func (t *tenure) end(ctx context.Context, leases Leases) (held bool) {
	t.taking.Lock()
	defer t.taking.Unlock()
	t.mu.Lock()
	giveBack, taken, over := t.giveBack, t.taken, t.ended
	t.ended, t.giveBack = true, nil
	t.mu.Unlock()
	if over {
		return !taken
	}
	close(t.free)
	if taken {
		return false
	}
	if giveBack == nil {
		var err error
		if giveBack, held, err = leases.Take(ctx, t.name, func() {}); err != nil {
			return true // nobody is known to have it; the storage keeps writers apart
		}
		if !held {
			return false
		}
	}
	return giveBack()
}

// press watches t for another node as a waiter of this one would: until it is given back, at most for as long as that one waits.
func (t *tenure) press(ctx context.Context, stall time.Duration) {
	defer func() {
		t.mu.Lock()
		t.pressed = false
		t.mu.Unlock()
	}()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	t.await(ctx, stall)
}

// pressing reports whether t is being watched already, and that it is from now on.
func (t *tenure) pressing() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	was := t.pressed
	t.pressed = true
	return was
}
