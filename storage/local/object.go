package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"sluice/internal/crash"
	"sluice/media"
	"sluice/storage"
)

// stat finds the file or, for a joined object, the folder of a key.
func (d *Driver) stat(key string) (unix.Stat_t, error) {
	at, name := d.place(key)
	st, err := at.stat(name)
	return st, kinded("stat", err)
}

func (d *Driver) Stat(_ context.Context, key string) (media.Object, error) {
	st, err := d.stat(key)
	if err != nil {
		return media.Object{}, err
	}
	o := media.Object{Key: key, Size: st.Size, ModTime: modTime(&st)}
	if directory(&st) {
		o.Size, err = d.joinedSize(key)
	}
	return o, err
}

func (d *Driver) Sections(_ context.Context, o media.Object, off, n int64) ([]storage.Section, error) {
	at, name := d.place(o.Key)
	file, err := at.open(name, unix.O_RDONLY)
	if err != nil {
		return nil, kinded("open", err)
	}
	var st unix.Stat_t
	err = unix.Fstat(int(file.Fd()), &st)
	switch {
	case err != nil:
	case directory(&st):
		return sectionsOf(file, off, n)
	case !regular(&st):
		err = unix.ENOENT
	case st.Size < off+n:
		err = fmt.Errorf("%w: %d bytes of %d", io.ErrUnexpectedEOF, st.Size, o.Size)
	default:
		return []storage.Section{{File: file, Off: off, N: n}}, nil
	}
	return nil, errors.Join(kinded("open", err), file.Close())
}

func (d *Driver) Read(ctx context.Context, o media.Object, off, n int64) (io.ReadCloser, error) {
	sections, err := d.Sections(ctx, o, off, n)
	if err != nil {
		return nil, err
	}
	return &reader{sections: sections}, nil
}

// reader reads sections one after the other. The files are open from the start, so deleting the object does not cut it off.
type reader struct{ sections []storage.Section }

func (r *reader) Read(p []byte) (int, error) {
	for len(r.sections) > 0 && r.sections[0].N == 0 {
		if err := r.sections[0].File.Close(); err != nil {
			return 0, err
		}
		r.sections = r.sections[1:]
	}
	if len(r.sections) == 0 {
		return 0, io.EOF
	}
	s := &r.sections[0]
	n, err := s.File.ReadAt(p[:min(int64(len(p)), s.N)], s.Off)
	s.Off += int64(n)
	s.N -= int64(n)
	if err == io.EOF {
		err = nil
		if s.N > 0 {
			err = io.ErrUnexpectedEOF // the file shrank: never pretend that this was all
		}
	}
	return n, err
}

func (r *reader) Close() error {
	err := closeAll(r.sections)
	r.sections = nil
	return err
}

func closeAll(sections []storage.Section) error {
	var errs []error
	for _, s := range sections {
		errs = append(errs, s.File.Close())
	}
	return errors.Join(errs...)
}

func (d *Driver) Delete(_ context.Context, key string) error {
	at, name := d.place(key)
	st, err := at.stat(name)
	switch {
	case err != nil:
	case directory(&st):
		err = d.takeApart(at, name)
	default:
		err = at.remove(name, 0)
	}
	if err != nil {
		return kinded("delete", err)
	}
	crash.At("local: delete: removed")
	return kinded("sync the folder", at.sync())
}

// List merges the shards, whose order is the keys' own, with the others.
func (d *Driver) List(ctx context.Context, prefix string) iter.Seq2[media.Object, error] {
	return func(yield func(media.Object, error) bool) {
		others, err := keysIn(d.others, "", prefix)
		if err != nil {
			yield(media.Object{}, err)
			return
		}
		for i, shard := range d.shards {
			start := fmt.Sprintf("%02x/", i)
			if !strings.HasPrefix(start, prefix) && !strings.HasPrefix(prefix, start) {
				continue
			}
			keys, err := keysIn(shard, start, prefix)
			if err != nil {
				yield(media.Object{}, err)
				return
			}
			before := 0
			for before < len(others) && others[before] < start {
				before++
			}
			if !d.offer(ctx, others[:before], yield) || !d.offer(ctx, keys, yield) {
				return
			}
			others = others[before:]
		}
		d.offer(ctx, others, yield)
	}
}

// keysIn gives the keys of a folder that begin with prefix, in key order. Names that are no keys are not ours.
func keysIn(f *folder, start, prefix string) ([]string, error) {
	names, err := f.names()
	if err != nil {
		return nil, kinded("list", err)
	}
	keys := names[:0]
	for _, name := range names {
		if key := start + keyOf(name); strings.HasPrefix(key, prefix) && storage.CheckKey(key) == nil {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys) // the comma of the names sorts elsewhere than the slash of the keys
	return keys, nil
}

// offer yields the objects of keys, without those that are deleted meanwhile.
func (d *Driver) offer(ctx context.Context, keys []string, yield func(media.Object, error) bool) bool {
	for _, key := range keys {
		o, err := d.Stat(ctx, key)
		if errors.Is(err, media.NotFound) {
			continue
		}
		if err == nil {
			err = ctx.Err()
		}
		if !yield(o, err) || err != nil {
			return false
		}
	}
	return true
}
