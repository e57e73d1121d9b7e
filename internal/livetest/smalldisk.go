package livetest

import (
	"os/exec"
	"strconv"
	"syscall"
	"testing"
)

// SmallDisk gives a command prefix under which dir is a file system of some MiB, seen by that process alone. Where user namespaces are not
// to be had, as in a chroot, it mounts one for all to see, which takes root, and the prefix is empty.
func SmallDisk(t testing.TB, dir string, mib int) (wrap []string) {
	t.Helper()
	size := "size=" + strconv.Itoa(mib) + "m"
	private := []string{"unshare", "--user", "--map-root-user", "--mount"}
	if exec.CommandContext(t.Context(), private[0], append(private[1:], "true")...).Run() == nil { //nolint:gosec // a constant
		return append(private, "sh", "-c", `mount -t tmpfs -o `+size+` tmpfs "$0" && exec "$@"`, dir)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, size); err != nil {
		t.Fatalf("a small disk takes user namespaces or root: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount the small disk: %v", err)
		}
	})
	return nil
}
