package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"sluice/internal/crash"
	"sluice/media"
)

// write is a handle on a file in parts/. Its offset is that file's size: bytes handed to the kernel survive the process. Of all handles,
// in all processes, the one that holds the file's lock may change it.
type write struct {
	driver *Driver
	key    string
	name   string
	inode  uint64 // of the part, so that a later write under the same key is not taken for it; 0: it was an object when resumed

	mu      sync.Mutex
	file    *os.File // nil until it is needed
	closed  bool
	poison  error // why the write refuses everything
	entered bool  // the part's name survives a power cut
	flushed int64 // where the bytes begin whose way to the disk has not been started
	room    int64 // up to here there are blocks, or space was seen to be free
}

// window is how many bytes are written between two looks at the free space, and between two starts of write-behind. It hides most of
// the time of the final fsync.
const window = 8 << 20

// reserveFrom is the size from which blocks are reserved: below, the reservation costs more than the write.
const reserveFrom = 1 << 20

// admit refuses a key that has an object, and a size that does not fit.
func (w *write) admit(size int64) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(w.file.Fd()), &st); err != nil {
		return kinded("begin", err)
	}
	w.inode = st.Ino
	// After the part is there: an object that comes up now is another handle's, whose part was gone before.
	at, file := w.driver.place(w.key)
	if _, err := at.stat(file); err == nil {
		return errTaken()
	}
	if _, err := w.driver.parts.stat(w.name + poisonMark); err == nil {
		return errTaken()
	}
	if size < reserveFrom {
		return nil
	}
	err := w.driver.calls.reserve(w.file, size)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return nil
	}
	return kinded("reserve", err)
}

// spare tells how many bytes may be written beyond n, and refuses n when they would leave less than the floor.
func (d *Driver) spare(n int64) (int64, error) {
	if d.floor < 0 {
		return window, nil
	}
	free, _, err := d.calls.space(d.root.File)
	if err != nil {
		return 0, kinded("look at the free space", err)
	}
	if left := free - d.floor - n; left >= 0 {
		return left, nil
	}
	return 0, kinded("keep the floor of free space", unix.ENOSPC)
}

// part looks at the file of this write, as long as it is neither committed, aborted nor poisoned.
func (w *write) part() (unix.Stat_t, error) {
	st, err := w.driver.parts.stat(w.name)
	if err == nil && st.Ino == w.inode && regular(&st) {
		return st, nil
	}
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return st, kinded("look at the write", err)
	}
	if st, err := w.driver.parts.stat(w.name + poisonMark); err == nil && st.Ino == w.inode {
		return st, errPoisoned()
	}
	if _, err := w.driver.stat(w.key); err != nil {
		return st, err
	}
	return st, errCommitted()
}

func (w *write) Offset(ctx context.Context) (int64, error) {
	st, err := w.part()
	if isCommitted(err) {
		o, err := w.driver.Stat(ctx, w.key)
		return o.Size, err
	}
	if err != nil {
		return 0, err
	}
	return st.Size, nil
}

func isCommitted(err error) bool {
	e, ok := errors.AsType[*media.Error](err)
	return ok && e.Code == "already_complete"
}

// claim takes the write for this caller alone, until release.
func (w *write) claim() (st unix.Stat_t, err error) {
	if !w.mu.TryLock() {
		return st, errLocked()
	}
	defer func() {
		if err != nil {
			w.mu.Unlock()
		}
	}()
	if w.closed {
		return st, os.ErrClosed
	}
	if w.poison != nil {
		return st, w.poison
	}
	fresh := w.file == nil
	if fresh {
		if err = w.open(); err != nil {
			return st, err
		}
	}
	if lock(w.file) != nil {
		return st, errLocked()
	}
	// Not before: whoever held the lock until now may have appended, committed or aborted.
	if st, err = w.part(); err != nil {
		unlock(w.file)
		return st, err
	}
	if fresh {
		w.flushed = st.Size
	}
	return st, nil
}

func (w *write) open() error {
	file, err := w.driver.parts.open(w.name, unix.O_RDWR)
	if err == nil {
		w.file = file
		return nil
	}
	if _, gone := w.part(); gone != nil {
		return gone
	}
	return kinded("open", err)
}

func (w *write) release() {
	unlock(w.file)
	w.mu.Unlock()
}

func (w *write) Append(ctx context.Context, off int64, r io.Reader) (int64, error) {
	st, err := w.claim()
	if err != nil {
		return 0, err
	}
	defer w.release()
	if off != st.Size {
		return 0, errOffset(st.Size)
	}
	w.room = max(w.room, st.Blocks*512)
	end, err := w.fill(ctx, off, r)
	return end - off, err
}

// fill writes what r gives from off on, and tells where it ends. The buffer follows the pace at which reads fill it.
func (w *write) fill(ctx context.Context, off int64, r io.Reader) (int64, error) {
	buf := w.driver.buffers.get()
	defer buf.put()
	for idle := 0; ; {
		if err := ctx.Err(); err != nil {
			return off, err
		}
		n, readErr := r.Read(*buf.b)
		if n > 0 {
			idle = 0
			kept, err := w.keep((*buf.b)[:n], off)
			off += int64(kept)
			if err != nil {
				return off, err
			}
		}
		switch {
		case readErr == io.EOF: // io.Reader's word for the end is never wrapped; a wrapped one is a failure
			return off, nil
		case readErr != nil:
			return off, readErr
		case n == 0:
			if idle++; idle == 100 {
				return off, io.ErrNoProgress
			}
		}
		buf.fit(n)
	}
}

// keep writes p at off, and tells how much of it the file holds afterwards, exactly.
func (w *write) keep(p []byte, off int64) (int, error) {
	end := off + int64(len(p))
	if end > w.room {
		left, err := w.driver.spare(int64(len(p)))
		if err != nil {
			return 0, err
		}
		w.room = end + min(left, window)
	}
	n, err := w.driver.calls.write(w.file, p, off)
	if err != nil {
		if st, statErr := w.file.Stat(); statErr != nil || st.Size() != off+int64(n) {
			err = errors.Join(err, statErr, w.file.Truncate(off+int64(n)))
		}
		return n, kinded("write", err)
	}
	crash.At("local: append: written")
	if end-w.flushed >= window {
		_ = w.driver.calls.behind(w.file, w.flushed, end-w.flushed) // a hint: what goes wrong is fsync's to tell
		w.flushed = end
	}
	return n, nil
}

func (w *write) Sync(context.Context) error {
	if _, err := w.claim(); err != nil {
		return err
	}
	defer w.release()
	if err := w.driver.calls.fdatasync(w.file); err != nil {
		return w.spoil(err)
	}
	if !w.entered {
		if err := w.driver.parts.sync(); err != nil {
			return kinded("sync the folder", err)
		}
		w.entered = true
	}
	crash.At("local: sync: synced")
	return nil
}

// spoil makes the write refuse everything, for all handles and after a restart: the kernel may have dropped the pages that it could not
// write, and a second fsync would succeed without them.
func (w *write) spoil(cause error) error {
	w.poison = errPoisoned()
	err := w.driver.calls.rename(w.driver.parts.File, w.name, w.driver.parts.File, w.name+poisonMark)
	if err == nil {
		err = w.driver.parts.sync()
	}
	w.driver.log.Error("a write is given up, since its sync failed", "key", w.key, "error", cause, "mark_error", err)
	return kinded("sync", fmt.Errorf("%w (marked: %t)", cause, err == nil))
}

func (w *write) Commit(ctx context.Context) (media.Object, error) {
	_, err := w.claim()
	if isCommitted(err) {
		// By us or by another, who may have died before the folder was synced.
		return w.driver.settled(ctx, w.key)
	}
	if err != nil {
		return media.Object{}, err
	}
	defer w.release()
	crash.At("local: commit: claimed")
	if err := w.driver.calls.fsync(w.file); err != nil {
		return media.Object{}, w.spoil(err)
	}
	crash.At("local: commit: file synced")
	at, name := w.driver.place(w.key)
	if err := w.driver.calls.rename(w.driver.parts.File, w.name, at.File, name); err != nil {
		if errors.Is(err, unix.EEXIST) {
			return media.Object{}, errTaken()
		}
		return media.Object{}, kinded("commit", err)
	}
	crash.At("local: commit: renamed")
	return w.driver.settled(ctx, w.key)
}

// settled answers an object once its name survives a power cut.
func (d *Driver) settled(ctx context.Context, key string) (media.Object, error) {
	at, _ := d.place(key)
	if err := at.sync(); err != nil {
		return media.Object{}, kinded("sync the folder", err)
	}
	crash.At("local: commit: folder synced")
	return d.Stat(ctx, key)
}

func (w *write) Abort(context.Context) error {
	_, err := w.claim()
	switch {
	case err == nil:
		defer w.release()
	case errors.Is(err, media.NotFound):
		return nil
	case !errors.Is(err, media.Gone): // a poisoned write has nobody who appends
		return err
	}
	parts := w.driver.parts
	for _, name := range []string{w.name, w.name + poisonMark} {
		if st, err := parts.stat(name); err != nil || st.Ino != w.inode {
			continue
		}
		if err := parts.remove(name, 0); err != nil {
			return kinded("abort", err)
		}
	}
	crash.At("local: abort: removed")
	return nil
}

func (w *write) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	if w.file == nil {
		return nil
	}
	err := w.file.Close()
	w.file = nil
	return err
}
