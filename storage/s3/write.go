package s3

import (
	"context"
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"sluice/internal/crash"
	"sluice/media"
	"sluice/storage"
)

var (
	_ storage.Write    = (*write)(nil)
	_ storage.Recaller = (*write)(nil)
)

// write is a handle on an object that comes in, or has come in. Of all handles of this process on a key one works at a time; those of
// other processes are kept off by the state.
type write struct {
	d   *Driver
	key string
	id  string // of the write; "": it was an object when it was resumed

	durable atomic.Int64 // while an append is under way: how far what it has sent is stored
	working atomic.Bool  // an append is under way

	mu     sync.Mutex
	st     *state       // as last seen; nil: to be read
	etag   string       // of st
	tail   *run         // the bytes of st's tail; nil: they are not in memory
	sent   map[int]part // the parts that this handle has stored, by number
	joined []part       // of a join: all of them
	done   *media.Object
	closed bool
}

// Begin makes the state of a new write, unless there is one or an object.
func (d *Driver) Begin(ctx context.Context, key string, size int64) (storage.Write, error) {
	st := newState(size, d.partFor(size), time.Now())
	var there bool
	var unseen error
	looked := make(chan struct{})
	go func() {
		defer close(looked)
		_, there, unseen = d.head(ctx, key)
	}()
	etag, err := d.swapState(ctx, key, st, "")
	<-looked
	if errors.Is(err, errRace) {
		return nil, errTaken()
	}
	if err != nil {
		return nil, err
	}
	crash.At("s3: begin: state made")
	if there {
		unseen = errTaken()
	}
	if unseen != nil {
		return nil, errors.Join(unseen, d.dropState(context.WithoutCancel(ctx), key, etag))
	}
	return &write{d: d, key: key, id: st.ID, st: st, etag: etag}, nil
}

// partFor gives the size of the parts of a write: as configured, or as much more as keeps their number in bounds.
func (d *Driver) partFor(size int64) int64 {
	if size == media.UnknownLength {
		return max(d.o.PartSize, unknownPart)
	}
	const most = maxParts - sparePartNumbers
	if size <= d.o.PartSize*most {
		return d.o.PartSize
	}
	const step = 1 << 20
	return (size/most/step + 1) * step
}

// Resume reads the state of a write, or finds the object it has become.
func (d *Driver) Resume(ctx context.Context, key string) (storage.Write, error) {
	st, etag, err := d.loadState(ctx, key, "")
	if err == nil {
		return &write{d: d, key: key, id: st.ID, st: st, etag: etag}, nil
	}
	if !errors.Is(err, media.NotFound) {
		return nil, err
	}
	o, err := d.Stat(ctx, key)
	if err != nil {
		return nil, err
	}
	return &write{d: d, key: key, done: &o}, nil
}

// Offset asks the bucket, unless this handle knows better: it is appending, or has committed. It holds up nobody who writes.
func (w *write) Offset(ctx context.Context) (int64, error) {
	if w.working.Load() {
		return w.durable.Load(), nil
	}
	var st *state
	var etag string
	if w.mu.TryLock() {
		st, etag = w.st, w.etag
		closed, done := w.closed, w.done
		w.mu.Unlock()
		switch {
		case closed:
			return 0, os.ErrClosed
		case done != nil:
			return done.Size, nil
		}
	}
	now, _, err := w.d.loadState(ctx, w.key, etag)
	if errors.Is(err, media.NotFound) {
		o, err := w.d.Stat(ctx, w.key)
		return o.Size, err
	}
	if err != nil {
		return 0, err
	}
	if now != nil {
		st = now
	}
	if st.ID != w.id {
		return 0, errMissing()
	}
	if st.Open == "" {
		return st.offset(), nil
	}
	// Somebody is at it, or has died at it: what has come since the state was written is in the list of parts.
	found, err := w.d.found(ctx, w.key, st)
	if err != nil {
		return 0, err
	}
	if len(found) == 0 {
		return st.offset(), nil
	}
	return int64(st.Parts+len(found)) * st.Part, nil
}

// Recall tells what the state said when this handle last saw or wrote it.
func (w *write) Recall() (int64, bool) {
	if !w.mu.TryLock() {
		return 0, false
	}
	defer w.mu.Unlock()
	if w.closed || w.st == nil || w.st.Open != "" || w.st.Sealed {
		return 0, false
	}
	return w.st.offset(), true
}

// refresh reads the state when it has changed; media.NotFound when the write is over. Called with mu held.
func (w *write) refresh(ctx context.Context) error {
	st, etag, err := w.d.loadState(ctx, w.key, w.etag)
	switch {
	case err != nil:
		w.forget()
		return err
	case st == nil:
		return nil
	case st.ID != w.id:
		w.forget()
		return errMissing()
	}
	w.dropTail()
	w.st, w.etag = st, etag
	return nil
}

// forget makes the next step read the state.
func (w *write) forget() {
	w.st, w.etag = nil, ""
	w.dropTail()
}

// object gives what a write that is over has become: its object, or media.NotFound when it was aborted.
func (w *write) object(ctx context.Context) (media.Object, error) {
	o, err := w.d.Stat(ctx, w.key)
	if err == nil {
		w.done = &o
	}
	return o, err
}

// over says to whoever wants to go on with a write that is over why that cannot be.
func (w *write) over(ctx context.Context) error {
	if _, err := w.object(ctx); err != nil {
		return err
	}
	return errCommitted()
}

// claim takes the handle, and the key within this process, for one caller.
func (w *write) claim() (release func(), err error) {
	if !w.mu.TryLock() {
		return nil, errLocked()
	}
	if w.closed {
		w.mu.Unlock()
		return nil, os.ErrClosed
	}
	d := w.d
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.busy[w.key] {
		w.mu.Unlock()
		return nil, errLocked()
	}
	d.busy[w.key] = true
	return func() {
		d.mu.Lock()
		delete(d.busy, w.key)
		d.mu.Unlock()
		w.mu.Unlock()
	}, nil
}

// Sync has nothing to do: what Append has told as kept is in the bucket.
func (w *write) Sync(context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return os.ErrClosed
	}
	return nil
}

// Abort removes the state, which ends the write for everybody, and then what it spoke of.
func (w *write) Abort(ctx context.Context) error {
	release, err := w.claim()
	if err != nil {
		return err
	}
	defer release()
	if w.done != nil {
		return errCommitted()
	}
	for {
		err := w.refresh(ctx)
		if errors.Is(err, media.NotFound) {
			return w.aborted(ctx)
		}
		if err != nil {
			return err
		}
		st := w.st
		err = w.d.dropState(ctx, w.key, w.etag)
		if errors.Is(err, errRace) {
			continue
		}
		if err != nil {
			return err
		}
		crash.At("s3: abort: state removed")
		w.forget()
		w.d.dropUpload(ctx, w.key, st)
		return nil
	}
}

// aborted tells an object from nothing: a write under another id is none of this handle's business.
func (w *write) aborted(ctx context.Context) error {
	if _, _, err := w.d.loadState(ctx, w.key, ""); err == nil {
		return nil
	}
	err := w.over(ctx)
	if errors.Is(err, media.NotFound) {
		return nil
	}
	return err
}

// dropUpload removes what a state spoke of. What stays is for Tidy.
func (d *Driver) dropUpload(ctx context.Context, key string, st *state) {
	d.janitor.drop(d, key, st.Segments)
	if st.Upload == "" {
		return
	}
	if err := d.abortUpload(ctx, key, st.Upload); err != nil {
		d.log.WarnContext(ctx, "a multipart upload stays for now", "error", err)
	}
}

// Close gives the memory back. All that was told as kept is in the bucket.
func (w *write) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	w.dropTail()
	return nil
}

// keptTails bounds the memory of handles that wait for their next append.
const keptTails = 128 << 20

// keepTail holds the bytes of the tail for the next append, or gives them up.
func (w *write) keepTail(r *run) {
	if r.size > 0 && w.d.kept.Add(r.size) <= keptTails {
		w.tail = r
		return
	}
	if r.size > 0 {
		w.d.kept.Add(-r.size)
	}
	r.free()
}

// takeTail gives what keepTail held, or nil.
func (w *write) takeTail() *run {
	r := w.tail
	if r != nil {
		w.d.kept.Add(-r.size)
		w.tail = nil
	}
	return r
}

func (w *write) dropTail() {
	if r := w.takeTail(); r != nil {
		r.free()
	}
}
