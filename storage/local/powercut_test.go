package local_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"sluice/media"
	"sluice/storage/local"
)

// TestCommittedSurvivesAPowerCut keeps objects on an ext4 of its own in an image file. A copy of the image while it is mounted is what
// the disk holds at that moment: pages that only the kernel has are not in it. Who may not mount is left with the order of the calls,
// which TestCommitSyncsFileThenRenamesThenSyncsFolder shows everywhere.
func TestCommittedSurvivesAPowerCut(t *testing.T) {
	t.Parallel()
	image := filepath.Join(t.TempDir(), "disk")
	format(t, image)
	dir, mounted := mount(t, image)
	if !mounted {
		t.Log("no loop device may be mounted here")
		return
	}
	d, err := local.Open(dir, local.Options{MinFree: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer func(before *local.Driver) { _ = before.Close() }(d)
	want := whole()[:1<<20]
	committed := begin(t, d, int64(len(want)))
	appendTo(t, committed, 0, want)
	if _, err := committed.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	joined, err := d.Concat(t.Context(), joinedKey, []string{key, key})
	if err != nil {
		t.Fatal(err)
	}
	synced, err := d.Begin(t.Context(), "00/synced", media.UnknownLength)
	if err != nil {
		t.Fatal(err)
	}
	appendTo(t, synced, 0, want)
	if err := synced.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	unsynced, err := d.Begin(t.Context(), "00/unsynced", media.UnknownLength)
	if err != nil {
		t.Fatal(err)
	}
	appendTo(t, unsynced, 0, want)

	after, _ := mount(t, powerCut(t, image))
	d = openIn(t, after, local.Options{MinFree: -1})
	for _, o := range []media.Object{{Key: key, Size: 1 << 20}, joined} {
		r, err := d.Read(t.Context(), o, 0, o.Size)
		if err != nil {
			t.Fatalf("%s: %v", o.Key, err)
		}
		got, err := io.ReadAll(r)
		if err := errors.Join(err, r.Close()); err != nil || !bytes.Equal(got, bytes.Repeat(want, int(o.Size>>20))) {
			t.Errorf("%s: %d bytes, %v, that differ", o.Key, len(got), err)
		}
	}
	w, err := d.Resume(t.Context(), "00/synced")
	if err != nil {
		t.Fatal(err)
	}
	if at, err := w.Offset(t.Context()); at != int64(len(want)) || err != nil {
		t.Errorf("synced: got offset %d, %v", at, err)
	}
	// This one shows that the cut cuts: its bytes were with the kernel only.
	if w, err := d.Resume(t.Context(), "00/unsynced"); err == nil {
		if at, err := w.Offset(t.Context()); at == int64(len(want)) {
			t.Errorf("unsynced: all %d bytes are there, %v: the test proves nothing", at, err)
		}
	}
	for _, w := range []io.Closer{committed, synced, unsynced, w} {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestPutSurvivesAPowerCut has nothing else on the disk whose sync could carry it along.
func TestPutSurvivesAPowerCut(t *testing.T) {
	t.Parallel()
	image := filepath.Join(t.TempDir(), "disk")
	format(t, image)
	dir, mounted := mount(t, image)
	if !mounted {
		t.Log("no loop device may be mounted here")
		return
	}
	before := openIn(t, dir, local.Options{MinFree: -1})
	want := whole()[:64<<10]
	put, err := before.Put(t.Context(), key, want)
	if err != nil {
		t.Fatal(err)
	}
	after, _ := mount(t, powerCut(t, image))
	r, err := openIn(t, after, local.Options{MinFree: -1}).Read(t.Context(), put, 0, put.Size)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes, %v, that differ", len(got), err)
	}
}

func format(t *testing.T, image string) {
	t.Helper()
	f, err := os.Create(image)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(48<<20), f.Close()); err != nil {
		t.Fatal(err)
	}
	mkfs, err := exec.LookPath("mkfs.ext4")
	if err != nil {
		mkfs = "/usr/sbin/mkfs.ext4"
	}
	if out, err := exec.CommandContext(t.Context(), mkfs, "-q", "-F", image).CombinedOutput(); err != nil {
		t.Logf("mkfs.ext4: %v: %s", err, out) // mount says the rest
	}
}

// mount mounts an image, and unmounts it when the test ends.
func mount(t *testing.T, image string) (dir string, mounted bool) {
	t.Helper()
	dir = t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "mount", "-o", "loop", image, dir).CombinedOutput(); err != nil {
		t.Logf("mount: %v: %s", err, out)
		return dir, false
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir, true
}

// powerCut copies an image in use.
func powerCut(t *testing.T, image string) string {
	t.Helper()
	disk, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	cut := image + "-after"
	if err := os.WriteFile(cut, disk, 0o600); err != nil {
		t.Fatal(err)
	}
	return cut
}
