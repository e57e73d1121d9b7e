// Package memory keeps objects in the process's memory. It is the reference that keeps every promise of storage.Driver in the fewest
// lines, and everyone's fake: nothing survives the process.
package memory

import (
	"bytes"
	"context"
	"io"
	"iter"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"sluice/media"
	"sluice/storage"
)

// Driver is a storage.Driver in memory.
type Driver struct {
	mu      sync.Mutex
	room    int64 // bytes that still fit
	objects map[string]*object
	writes  map[string]*object
}

var _ storage.Driver = (*Driver)(nil)

// object is committed or on its way in. Its bytes only ever grow at the end, so a reader may hold a slice of them without a lock.
type object struct {
	data    []byte
	busy    bool // somebody appends
	changed time.Time
}

// New makes an empty Driver without a limit.
func New() *Driver { return NewLimited(math.MaxInt64) }

// NewLimited makes an empty Driver with room for that many bytes, so that a full disk can be tried.
func NewLimited(room int64) *Driver {
	return &Driver{room: room, objects: map[string]*object{}, writes: map[string]*object{}}
}

func (d *Driver) Stat(_ context.Context, key string) (media.Object, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	o, ok := d.objects[key]
	if !ok {
		return media.Object{}, errMissing()
	}
	return o.as(key), nil
}

func (d *Driver) Read(_ context.Context, o media.Object, off, n int64) (io.ReadCloser, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	held, ok := d.objects[o.Key]
	if !ok {
		return nil, errMissing()
	}
	if off+n > int64(len(held.data)) {
		return nil, io.ErrUnexpectedEOF
	}
	return io.NopCloser(bytes.NewReader(held.data[off : off+n])), nil
}

func (d *Driver) Delete(_ context.Context, key string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	o, ok := d.objects[key]
	if !ok {
		return errMissing()
	}
	d.room += int64(len(o.data))
	delete(d.objects, key)
	return nil
}

func (d *Driver) List(ctx context.Context, prefix string) iter.Seq2[media.Object, error] {
	return d.walk(ctx, d.objects, prefix)
}

func (d *Driver) Unfinished(ctx context.Context) iter.Seq2[media.Object, error] {
	return d.walk(ctx, d.writes, "")
}

func (d *Driver) walk(ctx context.Context, from map[string]*object, prefix string) iter.Seq2[media.Object, error] {
	return func(yield func(media.Object, error) bool) {
		d.mu.Lock()
		keys := slices.Sorted(maps.Keys(from))
		d.mu.Unlock()
		for _, key := range keys {
			if err := ctx.Err(); err != nil {
				yield(media.Object{}, err)
				return
			}
			d.mu.Lock()
			o, ok := from[key]
			var found media.Object
			if ok {
				found = o.as(key)
			}
			d.mu.Unlock()
			if ok && strings.HasPrefix(key, prefix) && !yield(found, nil) {
				return
			}
		}
	}
}

func (d *Driver) Begin(_ context.Context, key string, size int64) (storage.Write, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.objects[key] != nil || d.writes[key] != nil {
		return nil, media.Errorf(media.Conflict, "the key is taken")
	}
	if size > d.room {
		return nil, errFull()
	}
	o := &object{changed: time.Now()}
	d.writes[key] = o
	return &write{driver: d, key: key, object: o}, nil
}

func (d *Driver) Resume(_ context.Context, key string) (storage.Write, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	o := d.writes[key]
	if o == nil {
		o = d.objects[key]
	}
	if o == nil {
		return nil, errMissing()
	}
	return &write{driver: d, key: key, object: o}, nil
}

func (o *object) as(key string) media.Object {
	return media.Object{Key: key, Size: int64(len(o.data)), ModTime: o.changed}
}

func errMissing() error { return media.Errorf(media.NotFound, "there is no such file") }
func errFull() error    { return media.Errorf(media.Full, "there is no space left") }
