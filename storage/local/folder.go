package local

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// folder is an open directory. Every access is by one name inside it and follows no symbolic link, so whatever is planted on the disk
// leads nowhere else.
type folder struct {
	*os.File
	calls *calls

	asked  atomic.Int64 // calls of sync so far
	mu     sync.Mutex   // one fsync at a time
	done   int64        // the latest of them that an fsync covers
	broken error        // of the first fsync that failed
}

// sub opens a folder in this one, and makes it if need be.
func (f *folder) sub(name string) (*folder, error) {
	file, err := f.open(name, unix.O_RDONLY|unix.O_DIRECTORY)
	if errors.Is(err, unix.ENOENT) {
		if err := unix.Mkdirat(f.fd(), name, 0o700); err != nil && !errors.Is(err, unix.EEXIST) {
			return nil, fmt.Errorf("make %s: %w", name, err)
		}
		file, err = f.open(name, unix.O_RDONLY|unix.O_DIRECTORY)
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	return &folder{File: file, calls: f.calls}, nil
}

func (f *folder) fd() int { return int(f.Fd()) }

func (f *folder) open(name string, flags int) (*os.File, error) {
	for {
		fd, err := unix.Openat(f.fd(), name, flags|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0o600)
		if err == nil {
			return os.NewFile(uintptr(fd), name), nil
		}
		if !errors.Is(err, unix.EINTR) {
			return nil, err
		}
	}
}

// stat finds a regular file or a folder; anything else is unix.ENOENT.
func (f *folder) stat(name string) (st unix.Stat_t, err error) {
	if err = unix.Fstatat(f.fd(), name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return st, err
	}
	if !regular(&st) && !directory(&st) {
		return st, unix.ENOENT
	}
	return st, nil
}

func regular(st *unix.Stat_t) bool   { return st.Mode&unix.S_IFMT == unix.S_IFREG }
func directory(st *unix.Stat_t) bool { return st.Mode&unix.S_IFMT == unix.S_IFDIR }

// remove unlinks a name, with unix.AT_REMOVEDIR an empty folder's.
func (f *folder) remove(name string, flags int) error { return unix.Unlinkat(f.fd(), name, flags) }

// names gives what is in the folder, sorted. It reads through a descriptor of its own, since that has a position.
func (f *folder) names() ([]string, error) {
	again, err := f.open(".", unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	names, err := again.Readdirnames(-1)
	slices.Sort(names)
	return names, errors.Join(err, again.Close())
}

// sync makes the names in the folder survive a power cut. Callers that come while an fsync runs share the next one. Once it has failed
// it fails for ever: the kernel reports a lost write once, and the next fsync would succeed without it.
func (f *folder) sync() error {
	mine := f.asked.Add(1)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.broken != nil || f.done >= mine {
		return f.broken
	}
	covered := f.asked.Load()
	if f.broken = f.calls.fsync(f.File); f.broken == nil {
		f.done = covered
	}
	return f.broken
}

// removeStale removes a folder and the files in it, unless somebody holds its lock.
func (f *folder) removeStale(name string) error {
	file, err := f.open(name, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		if errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ELOOP) {
			return nil // not ours
		}
		return err
	}
	stale := &folder{File: file, calls: f.calls}
	if err := lock(file); err != nil {
		return file.Close()
	}
	return errors.Join(stale.empty(), f.remove(name, unix.AT_REMOVEDIR), file.Close())
}

// empty removes the files in the folder.
func (f *folder) empty() error {
	names, err := f.names()
	for _, name := range names {
		err = errors.Join(err, f.remove(name, 0))
	}
	return err
}

// lock takes the advisory lock of an open file without waiting. It ends with unlock, or with the process.
func lock(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) }

func unlock(f *os.File) { _ = unix.Flock(int(f.Fd()), unix.LOCK_UN) }
