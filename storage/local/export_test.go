package local

import (
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// OpenWith opens with some system calls changed.
func OpenWith(dir string, o Options, change func(c *Hooks)) (*Driver, error) {
	real := realCalls()
	h := &Hooks{Write: real.write, Reserve: real.reserve, Behind: real.behind, Fsync: real.fsync, Fdatasync: real.fdatasync, Rename: real.rename, Space: real.space}
	change(h)
	return open(dir, o, calls{write: h.Write, reserve: h.Reserve, behind: h.Behind, fsync: h.Fsync, fdatasync: h.Fdatasync, rename: h.Rename, space: h.Space})
}

// Hooks are the system calls that a test may change.
type Hooks struct {
	Write            func(f *os.File, p []byte, off int64) (int, error)
	Reserve          func(f *os.File, size int64) error
	Behind           func(f *os.File, off, n int64) error
	Fsync, Fdatasync func(f *os.File) error
	Rename           func(from *os.File, name string, to *os.File, as string) error
	Space            func(f *os.File) (free, total int64, err error)
}

// OpenLimited opens a driver on a disk that has room for that many bytes as far as its system calls tell.
func OpenLimited(dir string, o Options, room int64) (*Driver, error) {
	return OpenWith(dir, o, func(h *Hooks) { limit(h, dir, room) })
}

// limit lets a write through as far as the files below dir leave room, as a full disk does: half a buffer, then ENOSPC.
func limit(h *Hooks, dir string, room int64) {
	var used atomic.Int64
	left := func() int64 { return room - max(used.Load(), 0) }
	count := func() { used.Store(bytesBelow(dir)) }
	write, reserve := h.Write, h.Reserve
	h.Write = func(f *os.File, p []byte, off int64) (int, error) {
		count()
		if fit := left(); int64(len(p)) > fit {
			n, _ := write(f, p[:max(fit, 0)], off)
			return n, unix.ENOSPC
		}
		return write(f, p, off)
	}
	h.Reserve = func(f *os.File, size int64) error {
		count()
		if size > left() {
			return unix.ENOSPC
		}
		return reserve(f, size)
	}
}

func bytesBelow(dir string) (sum int64) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if e.IsDir() {
			sum += bytesBelow(dir + "/" + e.Name())
		} else if info, err := e.Info(); err == nil {
			sum += info.Size()
		}
	}
	return sum
}
