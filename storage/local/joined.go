package local

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"sluice/internal/crash"
	"sluice/media"
	"sluice/storage"
)

// A joined object is a folder of hard links to its parts. Their names, "000007.1048576", give order and size, so that one look at the
// folder tells all.

// piece is one link of a joined object.
type piece struct {
	name string
	size int64
}

func (f *folder) pieces() ([]piece, error) {
	names, err := f.names()
	if err != nil {
		return nil, err
	}
	pieces := make([]piece, 0, len(names))
	for _, name := range names {
		_, size, _ := strings.Cut(name, ".")
		n, err := strconv.ParseInt(size, 10, 64)
		if err != nil || n < 0 {
			return nil, fmt.Errorf("%q is no piece of a joined object", name)
		}
		pieces = append(pieces, piece{name: name, size: n})
	}
	return pieces, nil
}

func (d *Driver) joinedSize(key string) (size int64, err error) {
	f, err := d.openJoined(key)
	if err != nil {
		return 0, err
	}
	pieces, err := f.pieces()
	for _, p := range pieces {
		size += p.size
	}
	return size, kinded("stat", errors.Join(err, f.Close()))
}

func (d *Driver) openJoined(key string) (*folder, error) {
	at, name := d.place(key)
	file, err := at.open(name, unix.O_RDONLY|unix.O_DIRECTORY)
	return &folder{File: file, calls: &d.calls}, kinded("open", err)
}

// sectionsOf cuts a range of the joined object whose folder is given, and closes the folder.
func sectionsOf(file *os.File, off, n int64) (sections []storage.Section, err error) {
	f := &folder{File: file}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			err = kinded("open", errors.Join(err, closeAll(sections)))
			sections = nil
		}
	}()
	pieces, err := f.pieces()
	if err != nil {
		return nil, err
	}
	for _, p := range pieces {
		if off >= p.size {
			off -= p.size
			continue
		}
		take := min(n, p.size-off)
		file, err := f.open(p.name, unix.O_RDONLY)
		if err != nil {
			return sections, err
		}
		sections = append(sections, storage.Section{File: file, Off: off, N: take})
		if n -= take; n == 0 {
			return sections, nil
		}
		off = 0
	}
	return sections, io.ErrUnexpectedEOF
}

func (d *Driver) Concat(ctx context.Context, key string, parts []string) (media.Object, error) {
	if _, err := d.stat(key); err == nil {
		// Joined before, perhaps by one who died before the folder was synced; the parts may be gone by now.
		return d.settled(ctx, key)
	} else if !errors.Is(err, media.NotFound) {
		return media.Object{}, err
	}
	name := ".join-" + rand.Text()
	f, err := d.parts.sub(name)
	if err != nil {
		return media.Object{}, kinded("concat", err)
	}
	err = d.join(f, name, key, parts)
	if errors.Is(err, unix.EEXIST) {
		err = nil // somebody else was faster
	}
	if err := errors.Join(err, f.Close(), d.parts.removeStale(name)); err != nil {
		return media.Object{}, kinded("concat", err)
	}
	return d.settled(ctx, key)
}

// join links the parts into f and gives it its final name. The lock tells tidy, in another process, that f is no leftover.
func (d *Driver) join(f *folder, name, key string, parts []string) error {
	if err := lock(f.File); err != nil {
		return err
	}
	count := 0
	for _, part := range parts {
		err := d.eachFile(part, func(from *folder, file string, size int64) error {
			to := fmt.Sprintf("%06d.%d", count, size)
			count++
			return unix.Linkat(from.fd(), file, f.fd(), to, 0)
		})
		if err != nil {
			return err
		}
	}
	crash.At("local: concat: linked")
	if err := d.calls.fsync(f.File); err != nil {
		return err
	}
	at, final := d.place(key)
	err := d.calls.rename(d.parts.File, name, at.File, final)
	crash.At("local: concat: renamed")
	return err
}

// eachFile visits the file of an object, or the files of a joined one in order.
func (d *Driver) eachFile(key string, visit func(from *folder, file string, size int64) error) error {
	st, err := d.stat(key)
	if err != nil {
		return err
	}
	if regular(&st) {
		at, name := d.place(key)
		return visit(at, name, st.Size)
	}
	f, err := d.openJoined(key)
	if err != nil {
		return err
	}
	pieces, err := f.pieces()
	for _, p := range pieces {
		if err == nil {
			err = visit(f, p.name, p.size)
		}
	}
	return errors.Join(err, f.Close())
}

// takeApart removes a joined object: out of sight at once, its links afterwards.
func (d *Driver) takeApart(at *folder, name string) error {
	gone := ".gone-" + rand.Text()
	if err := d.calls.rename(at.File, name, d.parts.File, gone); err != nil {
		return err
	}
	crash.At("local: delete: moved away")
	return d.parts.removeStale(gone)
}
