package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// ballastSize covers the write-ahead log and the page writes of some thousand deletions.
const ballastSize = 8 << 20

// ballast is a file of allocated blocks beside the database. It is let go when the disk is full, so that deletions go through, and made
// again once there is room. Its lock keeps two processes from migrating at once.
type ballast struct {
	mu      sync.Mutex
	file    *os.File
	held    bool
	retryAt time.Time
}

func openBallast(path string) (*ballast, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("catalogue sqlite: reserve file: %w", err)
	}
	b := &ballast{file: f}
	b.refill(time.Now())
	return b, nil
}

// ready reports whether the ballast is there, trying to make it again at most twice a second.
func (b *ballast) ready() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now := time.Now(); !b.held && now.After(b.retryAt) {
		b.refill(now)
	}
	return b.held
}

// refill allocates the blocks. Room for twice the ballast is asked for: else the database would be full again with the next write.
func (b *ballast) refill(now time.Time) {
	b.retryAt = now.Add(500 * time.Millisecond)
	fd := int(b.file.Fd())
	if info, err := b.file.Stat(); err == nil && info.Size() == ballastSize {
		b.held = true
		return
	}
	err := unix.Fallocate(fd, 0, 0, 2*ballastSize)
	if errors.Is(err, unix.EOPNOTSUPP) { // no promise can be kept here; writes go on as on any file system
		b.held = true
		return
	}
	if err == nil {
		err = unix.Ftruncate(fd, ballastSize)
	}
	if b.held = err == nil; !b.held {
		_ = unix.Ftruncate(fd, 0) // what was allocated of it helps nobody
	}
}

// release gives the blocks back to the file system; false when they were released before.
func (b *ballast) release() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.held {
		return false
	}
	b.held = false
	b.retryAt = time.Now().Add(500 * time.Millisecond)
	return unix.Ftruncate(int(b.file.Fd()), 0) == nil
}

// lock waits for the lock that processes migrating the same file share.
func (b *ballast) lock(ctx context.Context) (unlock func(), err error) {
	fd := int(b.file.Fd())
	wait := time.NewTicker(20 * time.Millisecond)
	defer wait.Stop()
	for {
		err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { _ = unix.Flock(fd, unix.LOCK_UN) }, nil // closing the file unlocks as well
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-wait.C:
		}
	}
}

func (b *ballast) close() error { return b.file.Close() }
