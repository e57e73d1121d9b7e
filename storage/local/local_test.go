package local_test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sluice/storage"
	"sluice/storage/local"
	"sluice/storage/storagetest"
)

func TestLocalKeepsTheContract(t *testing.T) {
	t.Parallel()
	storagetest.Run(t, func(t testing.TB) storagetest.Place {
		dir := t.TempDir()
		return storagetest.Place{
			Driver: openIn(t, dir, local.Options{}),
			Again:  func(t testing.TB) storage.Driver { return openIn(t, dir, local.Options{}) },
			Stretch: func(t testing.TB, key string, size int64) {
				if err := os.Truncate(partFile(dir, key), size); err != nil {
					t.Fatal(err)
				}
			},
			Within: within,
		}
	})
}

func openIn(t testing.TB, dir string, o local.Options) *local.Driver {
	t.Helper()
	d, err := local.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func partFile(dir, key string) string {
	return filepath.Join(dir, "parts", strings.ReplaceAll(key, "/", ","))
}

// within mounts a file system of that size, so that the disk is full for real. Who may not mount gets a driver whose system calls count.
func within(t testing.TB, room int64) storage.Driver {
	t.Helper()
	dir := t.TempDir()
	err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+strconv.FormatInt(room, 10))
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		d, err := local.OpenLimited(t.TempDir(), local.Options{MinFree: -1}, room)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = d.Close() })
		return d
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return openIn(t, dir, local.Options{MinFree: -1})
}
