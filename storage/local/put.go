package local

import (
	"context"
	"errors"

	"golang.org/x/sys/unix"

	"sluice/internal/crash"
	"sluice/media"
	"sluice/storage"
)

var _ storage.Putter = (*Driver)(nil)

// Put gives the file its final name before it syncs it, so that file and name reach the disk with one commit of the file system's
// journal; Commit takes two, and holds up those who create files in parts/ meanwhile (docs/decisions/0009 has the figures). What a power
// cut leaves under the name may be cut short, which only Put is allowed: nobody was told of it, and no row names it.
func (d *Driver) Put(ctx context.Context, key string, data []byte) (o media.Object, err error) {
	if _, err := d.spare(int64(len(data))); err != nil {
		return o, err
	}
	part := flat(key)
	file, err := d.parts.open(part, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL)
	if errors.Is(err, unix.EEXIST) {
		return o, errTaken()
	}
	if err != nil {
		return o, kinded("put", err)
	}
	w := &write{driver: d, key: key, name: part, file: file}
	in, name := d.parts, part
	defer func() {
		if err != nil {
			err = errors.Join(err, in.remove(name, 0))
		}
		if cerr := file.Close(); err == nil {
			err = kinded("put", cerr)
		}
	}()
	if err := w.admit(0); err != nil {
		return o, err
	}
	if len(data) > 0 {
		if _, err := w.keep(data, 0); err != nil {
			return o, err
		}
	}
	at, final := d.place(key)
	if err := d.calls.rename(d.parts.File, part, at.File, final); err != nil {
		if errors.Is(err, unix.EEXIST) {
			return o, errTaken()
		}
		return o, kinded("put", err)
	}
	in, name = at, final
	crash.At("local: put: renamed")
	if err := d.calls.fsync(file); err != nil {
		return o, kinded("sync", err)
	}
	crash.At("local: put: file synced")
	return d.settled(ctx, key)
}
