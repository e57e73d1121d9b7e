package local

import (
	"os"

	"golang.org/x/sys/unix"
)

// calls are the system calls that fail with the disk, and whose order decides what a power cut leaves. Tests put others in their place.
type calls struct {
	write     func(f *os.File, p []byte, off int64) (int, error)
	reserve   func(f *os.File, size int64) error   // blocks for size bytes, the file's own size unchanged
	behind    func(f *os.File, off, n int64) error // starts writing n dirty bytes to the disk, and does not wait
	fsync     func(f *os.File) error
	fdatasync func(f *os.File) error
	rename    func(from *os.File, name string, to *os.File, as string) error // never replaces
	space     func(f *os.File) (free, total int64, err error)                // of the file system
}

func realCalls() calls {
	return calls{
		write: (*os.File).WriteAt,
		reserve: func(f *os.File, size int64) error {
			return again(func() error { return unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, size) })
		},
		behind: func(f *os.File, off, n int64) error {
			return unix.SyncFileRange(int(f.Fd()), off, n, unix.SYNC_FILE_RANGE_WRITE)
		},
		fsync:     (*os.File).Sync,
		fdatasync: func(f *os.File) error { return again(func() error { return unix.Fdatasync(int(f.Fd())) }) },
		rename: func(from *os.File, name string, to *os.File, as string) error {
			return unix.Renameat2(int(from.Fd()), name, int(to.Fd()), as, unix.RENAME_NOREPLACE)
		},
		space: func(f *os.File) (int64, int64, error) {
			var st unix.Statfs_t
			err := again(func() error { return unix.Fstatfs(int(f.Fd()), &st) })
			return int64(st.Bavail) * st.Bsize, int64(st.Blocks) * st.Bsize, err
		},
	}
}

// again repeats a call that a signal has interrupted.
func again(call func() error) error {
	for {
		if err := call(); err != unix.EINTR { //nolint:errorlint // system calls return the bare number
			return err
		}
	}
}
