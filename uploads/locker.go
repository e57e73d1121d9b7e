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

// hold is what somebody has, and whoever waits for it needs.
type hold struct {
	alive func() time.Time
	yield func()
	free  chan struct{} // closed when it is given back
}

// NewLocker makes a MemoryLocker. The Service it is given to tells it how long a stall is.
func NewLocker() *MemoryLocker { return &MemoryLocker{held: map[media.AssetID]*hold{}} }

// Lock waits at most 2 s in all. See Locker.
func (l *MemoryLocker) Lock(ctx context.Context, id media.AssetID, alive func() time.Time, yield func()) (func() bool, error) {
	current, unlock := l.take(id, alive, yield)
	if unlock != nil {
		return unlock, nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for current.await(ctx, l.stallAfter()) {
		if current, unlock = l.take(id, alive, yield); unlock != nil {
			return unlock, nil
		}
	}
	return nil, errLocked()
}

// Try waits for nobody. See Locker.
func (l *MemoryLocker) Try(_ context.Context, id media.AssetID, yield func()) (func() bool, bool) {
	_, unlock := l.take(id, time.Now, yield)
	return unlock, unlock != nil
}

func (l *MemoryLocker) stallAfter() time.Duration {
	if d := time.Duration(l.stall.Load()); d > 0 {
		return d
	}
	return defaultStall
}

func (l *MemoryLocker) setStall(d time.Duration) { l.stall.Store(int64(d)) }

// take gives the lock when it is free, else its holder.
func (l *MemoryLocker) take(id media.AssetID, alive func() time.Time, yield func()) (*hold, func() bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if h := l.held[id]; h != nil {
		return h, nil
	}
	h := &hold{alive: alive, yield: yield, free: make(chan struct{})}
	l.held[id] = h
	return nil, sync.OnceValue(func() bool {
		l.mu.Lock()
		delete(l.held, id)
		l.mu.Unlock()
		close(h.free)
		return true
	})
}

// await waits until h is free, and tells its holder to yield once that has made no progress for as long as a stall is. It reports false
// when ctx ends first.
func (h *hold) await(ctx context.Context, stall time.Duration) bool {
	timer := time.NewTimer(max(0, stall-time.Since(h.alive())))
	defer timer.Stop()
	for {
		select {
		case <-h.free:
			return true
		case <-ctx.Done():
			return false
		case <-timer.C:
			if rest := stall - time.Since(h.alive()); rest > 0 {
				timer.Reset(rest)
			} else {
				h.yield()
			}
		}
	}
}

func errLocked() error {
	return &media.Error{
		Kind: media.Locked, Code: "upload_locked", Detail: "another request is writing this upload", RetryAfter: time.Second,
	}
}
