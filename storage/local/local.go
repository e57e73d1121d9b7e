// Package local keeps objects as files in a directory of one machine. A write is a file in parts/ whose size is its offset; to commit
// it is synced and renamed into objects/, where the name alone makes it an object. It knows nothing of what the bytes mean.
package local

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"sluice/internal/crash"
	"sluice/media"
	"sluice/storage"
)

// Options are the choices. The zero value is fit for production.
type Options struct {
	// MinFree is how many bytes of the file system writes leave free, so that the catalogue and the journal beside them can go on and
	// files can still be deleted. Zero takes 64 MiB or a twentieth of the file system, whichever is less; below zero there is no floor.
	MinFree int64

	Logger *slog.Logger // nil discards
}

// Driver is a storage.Driver over a directory. Several, in several processes, may share one.
type Driver struct {
	calls   calls
	log     *slog.Logger
	floor   int64
	root    *folder
	parts   *folder // writes, and under dotted names what is being joined or taken apart
	shards  [256]*folder
	others  *folder // objects whose key does not begin with two hex digits and a slash
	buffers buffers
}

var (
	_ storage.Driver       = (*Driver)(nil)
	_ storage.FileDriver   = (*Driver)(nil)
	_ storage.Concatenator = (*Driver)(nil)
)

// Open makes dir ready, removes what a crash has left half-way, and gives a Driver over it. Close frees its descriptors.
func Open(dir string, o Options) (*Driver, error) { return open(dir, o, realCalls()) }

func open(dir string, o Options, c calls) (*Driver, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	d := &Driver{calls: c, log: o.Logger, floor: o.MinFree, buffers: newBuffers()}
	if err := d.layOut(dir); err != nil {
		return nil, errors.Join(fmt.Errorf("storage local: open %s: %w", filepath.Base(dir), err), d.Close())
	}
	if err := d.tidy(); err != nil {
		return nil, errors.Join(fmt.Errorf("storage local: tidy: %w", err), d.Close())
	}
	return d, nil
}

// layOut makes all folders at once: a commit that had to make one would have to sync its parent as well.
func (d *Driver) layOut(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	root, err := os.Open(dir)
	if err != nil {
		return err
	}
	d.root = &folder{File: root, calls: &d.calls}
	if d.parts, err = d.root.sub("parts"); err != nil {
		return err
	}
	objects, err := d.root.sub("objects")
	if err != nil {
		return err
	}
	defer func() { _ = objects.Close() }()
	for i := range d.shards {
		if d.shards[i], err = objects.sub(fmt.Sprintf("%02x", i)); err != nil {
			return err
		}
	}
	if d.others, err = objects.sub("others"); err != nil {
		return err
	}
	if d.floor == 0 {
		_, total, err := d.calls.space(root)
		if err != nil {
			return err
		}
		d.floor = min(64<<20, total/20)
	}
	// Always: whoever made the folders may have died before this.
	return errors.Join(objects.sync(), d.root.sync())
}

// tidy removes dotted folders nobody works on any more, and parts whose object is there.
func (d *Driver) tidy() error {
	names, err := d.parts.names()
	if err != nil {
		return err
	}
	for _, name := range names {
		if strings.HasPrefix(name, ".") {
			if err := d.parts.removeStale(name); err != nil {
				return err
			}
			continue
		}
		at, file := d.place(keyOf(name))
		if _, err := at.stat(file); err == nil {
			if err := d.parts.remove(name, 0); err != nil {
				return err
			}
		}
	}
	return nil
}

// Close frees the descriptors of the folders. Writes and readers that are open must be closed before.
func (d *Driver) Close() error {
	var errs []error
	for _, f := range append(d.shards[:], d.others, d.parts, d.root) {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}

// place tells where the object of a key lies. Keys are flattened, so that "a" and "a/b" can both be objects.
func (d *Driver) place(key string) (*folder, string) {
	if len(key) > 3 && key[2] == '/' {
		if hi, lo := nibble(key[0]), nibble(key[1]); hi >= 0 && lo >= 0 {
			return d.shards[hi<<4|lo], flat(key[3:])
		}
	}
	return d.others, flat(key)
}

func nibble(c byte) int { return strings.IndexByte("0123456789abcdef", c) }

// A comma stands for the slash, and poisonMark ends the name of a write whose sync has failed: neither occurs in a key.
const poisonMark = "~poisoned"

func flat(key string) string { return strings.ReplaceAll(key, "/", ",") }
func keyOf(name string) string {
	return strings.ReplaceAll(strings.TrimSuffix(name, poisonMark), ",", "/")
}

func (d *Driver) Begin(_ context.Context, key string, size int64) (storage.Write, error) {
	if _, err := d.spare(max(size, 0)); err != nil {
		return nil, err
	}
	name := flat(key)
	file, err := d.parts.open(name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL)
	if errors.Is(err, unix.EEXIST) {
		return nil, errTaken()
	}
	if err != nil {
		return nil, kinded("begin", err)
	}
	crash.At("local: begin: created")
	w := &write{driver: d, key: key, name: name, file: file}
	if err := w.admit(size); err != nil {
		return nil, errors.Join(err, d.parts.remove(name, 0), file.Close())
	}
	return w, nil
}

func (d *Driver) Resume(_ context.Context, key string) (storage.Write, error) {
	w := &write{driver: d, key: key, name: flat(key)}
	st, err := d.parts.stat(w.name)
	if err == nil {
		w.inode = st.Ino
		return w, nil
	}
	if !errors.Is(err, unix.ENOENT) {
		return nil, kinded("resume", err)
	}
	if st, err = d.parts.stat(w.name + poisonMark); err == nil {
		w.inode = st.Ino
		return w, nil
	}
	// Last, since a commit moves the file from parts to here.
	if _, err := d.stat(key); err != nil {
		return nil, err
	}
	return w, nil
}

func (d *Driver) Unfinished(ctx context.Context) iter.Seq2[media.Object, error] {
	return func(yield func(media.Object, error) bool) {
		names, err := d.parts.names()
		if err != nil {
			yield(media.Object{}, kinded("list", err))
			return
		}
		for _, name := range names {
			st, err := d.parts.stat(name)
			if strings.HasPrefix(name, ".") || errors.Is(err, unix.ENOENT) {
				continue
			}
			if err == nil {
				err = ctx.Err()
			}
			if !yield(media.Object{Key: keyOf(name), Size: st.Size, ModTime: modTime(&st)}, kinded("list", err)) || err != nil {
				return
			}
		}
	}
}
