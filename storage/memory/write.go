package memory

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"sluice/media"
)

// write is a handle on an object that comes in, or has come in.
type write struct {
	driver *Driver
	key    string
	object *object
	closed bool
}

// piece is how much is read before it is kept.
const piece = 32 << 10

func (w *write) Offset(context.Context) (int64, error) {
	w.driver.mu.Lock()
	defer w.driver.mu.Unlock()
	if w.closed {
		return 0, os.ErrClosed
	}
	if w.driver.writes[w.key] != w.object && w.driver.objects[w.key] != w.object {
		return 0, errMissing()
	}
	return int64(len(w.object.data)), nil
}

func (w *write) Append(ctx context.Context, off int64, r io.Reader) (int64, error) {
	if err := w.claim(off); err != nil {
		return 0, err
	}
	defer w.release()
	var kept int64
	buf := make([]byte, piece)
	for {
		if err := ctx.Err(); err != nil {
			return kept, err
		}
		n, err := r.Read(buf)
		fit := w.keep(buf[:n])
		kept += fit
		switch {
		case fit < int64(n):
			return kept, errFull()
		case errors.Is(err, io.EOF):
			return kept, nil
		case err != nil:
			return kept, err
		}
	}
}

// open says whether the write still takes bytes. The driver is locked.
func (w *write) open() error {
	switch d := w.driver; {
	case w.closed:
		return os.ErrClosed
	case d.objects[w.key] == w.object:
		return media.Errorf(media.Conflict, "the file is complete")
	case d.writes[w.key] != w.object:
		return errMissing()
	case w.object.busy:
		return media.Errorf(media.Locked, "somebody else is writing")
	}
	return nil
}

func (w *write) claim(off int64) error {
	w.driver.mu.Lock()
	defer w.driver.mu.Unlock()
	if err := w.open(); err != nil {
		return err
	}
	if off != int64(len(w.object.data)) {
		return media.Errorf(media.Conflict, "the offset is %d", len(w.object.data))
	}
	w.object.busy = true
	return nil
}

func (w *write) release() {
	w.driver.mu.Lock()
	defer w.driver.mu.Unlock()
	w.object.busy = false
}

// keep takes as much of p as there is room for.
func (w *write) keep(p []byte) int64 {
	w.driver.mu.Lock()
	defer w.driver.mu.Unlock()
	p = p[:min(int64(len(p)), w.driver.room)]
	w.driver.room -= int64(len(p))
	w.object.data = append(w.object.data, p...)
	w.object.changed = time.Now()
	return int64(len(p))
}

func (w *write) Sync(context.Context) error {
	w.driver.mu.Lock()
	defer w.driver.mu.Unlock()
	return w.open()
}

func (w *write) Commit(context.Context) (media.Object, error) {
	d := w.driver
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.objects[w.key] == w.object {
		return w.object.as(w.key), nil
	}
	if err := w.open(); err != nil {
		return media.Object{}, err
	}
	delete(d.writes, w.key)
	d.objects[w.key] = w.object
	return w.object.as(w.key), nil
}

func (w *write) Abort(context.Context) error {
	d := w.driver
	d.mu.Lock()
	defer d.mu.Unlock()
	err := w.open()
	switch {
	case errors.Is(err, media.NotFound):
		return nil
	case err != nil:
		return err
	}
	d.room += int64(len(w.object.data))
	delete(d.writes, w.key)
	return nil
}

func (w *write) Close() error {
	w.driver.mu.Lock()
	defer w.driver.mu.Unlock()
	w.closed = true
	return nil
}
