package uploads

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"sluice/media"
)

// patience is how long a request waits for an upload that another one writes.
const patience = 2 * time.Second

var _ Locker = (*MemoryLocker)(nil)

// MemoryLocker gives one writer at a time an upload, within one process.
type MemoryLocker struct {
	mu    sync.Mutex
	held  map[media.AssetID]*hold
	stall atomic.Int64 // nanoseconds without progress after which a holder is told to yield; 0: 300 ms
}

type hold struct {
	alive func() time.Time
	yield func()
	free  chan struct{} // closed by unlock
}

// NewLocker makes a MemoryLocker. The Service it is given to tells it how long a stall is.
func NewLocker() *MemoryLocker { return &MemoryLocker{held: map[media.AssetID]*hold{}} }

// Lock waits at most 2 s in all. See Locker.
func (l *MemoryLocker) Lock(ctx context.Context, id media.AssetID, alive func() time.Time, yield func()) (func(), error) {
	stall := time.Duration(l.stall.Load())
	if stall == 0 {
		stall = defaultStall
	}
	deadline := time.Now().Add(patience)
	var told *hold
	for {
		current, unlock := l.take(id, alive, yield)
		if unlock != nil {
			return unlock, nil
		}
		wait := time.Until(deadline)
		if current != told {
			since := time.Since(current.alive())
			if since >= stall {
				told = current
				current.yield()
			} else {
				wait = min(wait, stall-since)
			}
		}
		timer := time.NewTimer(max(wait, 0))
		select {
		case <-current.free:
			timer.Stop()
		case <-ctx.Done():
			timer.Stop()
			return nil, errLocked()
		case <-timer.C:
			if time.Until(deadline) <= 0 {
				return nil, errLocked()
			}
		}
	}
}

// take gives the lock when it is free, else its holder.
func (l *MemoryLocker) take(id media.AssetID, alive func() time.Time, yield func()) (*hold, func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if h := l.held[id]; h != nil {
		return h, nil
	}
	h := &hold{alive: alive, yield: yield, free: make(chan struct{})}
	l.held[id] = h
	return nil, sync.OnceFunc(func() {
		l.mu.Lock()
		delete(l.held, id)
		l.mu.Unlock()
		close(h.free)
	})
}

func errLocked() error {
	return &media.Error{
		Kind: media.Locked, Code: "upload_locked", Detail: "another request is writing this upload", RetryAfter: time.Second,
	}
}
