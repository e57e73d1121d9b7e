package analytics

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// populate asks for every page of a new mapping at once: recording then never waits for a page fault in a fresh segment.
const populate = unix.MAP_POPULATE

// reserve takes the blocks of a file. File systems that cannot (NFS among them) get zeros written instead.
func reserve(f *os.File, size int64) error {
	for {
		err := unix.Fallocate(int(f.Fd()), 0, 0, size)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EOPNOTSUPP):
			return fill(f, size)
		}
		return err
	}
}
