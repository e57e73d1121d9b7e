package local_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"sluice/media"
	"sluice/storage"
	"sluice/storage/local"
)

const key = "7f/0192f3a4-0000-7000-8000-00000000007f"

func openWith(t testing.TB, dir string, o local.Options, change func(h *local.Hooks)) *local.Driver {
	t.Helper()
	d, err := local.OpenWith(dir, o, change)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func begin(t testing.TB, d *local.Driver, size int64) storage.Write {
	t.Helper()
	w, err := d.Begin(t.Context(), key, size)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	return w
}

func resume(t testing.TB, d *local.Driver) storage.Write {
	t.Helper()
	w, err := d.Resume(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	return w
}

func appendTo(t testing.TB, w storage.Write, off int64, p []byte) {
	t.Helper()
	if n, err := w.Append(t.Context(), off, bytes.NewReader(p)); err != nil || n != int64(len(p)) {
		t.Fatalf("append: got %d, %v", n, err)
	}
}

func wantKind(t testing.TB, doing string, err error, want media.Kind) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got error %v, want the kind %q", doing, err, want)
	}
}

// diary notes system calls in their order.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) note(line string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, line)
}

func (d *diary) keep(h *local.Hooks) {
	fsync, fdatasync, rename := h.Fsync, h.Fdatasync, h.Rename
	h.Fsync = func(f *os.File) error { d.note("fsync " + f.Name()); return fsync(f) }
	h.Fdatasync = func(f *os.File) error { d.note("fdatasync " + f.Name()); return fdatasync(f) }
	h.Rename = func(from *os.File, name string, to *os.File, as string) error {
		d.note("rename to " + to.Name())
		return rename(from, name, to, as)
	}
}

func TestCommitSyncsFileThenRenamesThenSyncsFolder(t *testing.T) {
	t.Parallel()
	var d diary
	w := begin(t, openWith(t, t.TempDir(), local.Options{}, d.keep), 5)
	appendTo(t, w, 0, []byte("bytes"))
	d.lines = nil
	if _, err := w.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	part := strings.ReplaceAll(key, "/", ",")
	if want := []string{"fsync " + part, "rename to 7f", "fsync 7f"}; !slices.Equal(d.lines, want) {
		t.Errorf("got %q, want %q", d.lines, want)
	}
	d.lines = nil
	if _, err := w.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if want := []string{"fsync 7f"}; !slices.Equal(d.lines, want) { // whoever committed first may have died before it
		t.Errorf("again: got %q, want %q", d.lines, want)
	}
}

func TestSyncReachesTheFileAndOnceItsName(t *testing.T) {
	t.Parallel()
	var d diary
	w := begin(t, openWith(t, t.TempDir(), local.Options{}, d.keep), media.UnknownLength)
	d.lines = nil
	for range 2 {
		if err := w.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	part := strings.ReplaceAll(key, "/", ",")
	if want := []string{"fdatasync " + part, "fsync parts", "fdatasync " + part}; !slices.Equal(d.lines, want) {
		t.Errorf("got %q, want %q", d.lines, want)
	}
}

func TestFailedSyncPoisonsTheWriteForGood(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(ctx context.Context, w storage.Write) error{
		"sync":   func(ctx context.Context, w storage.Write) error { return w.Sync(ctx) },
		"commit": func(ctx context.Context, w storage.Write) error { _, err := w.Commit(ctx); return err },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			failing := false
			d := openWith(t, dir, local.Options{}, func(h *local.Hooks) {
				once := func(real func(*os.File) error) func(*os.File) error {
					return func(f *os.File) error {
						if failing {
							failing = false // as the kernel does: it tells once
							return unix.EIO
						}
						return real(f)
					}
				}
				h.Fsync, h.Fdatasync = once(h.Fsync), once(h.Fdatasync)
			})
			w := begin(t, d, media.UnknownLength)
			other := resume(t, d)
			appendTo(t, w, 0, []byte("bytes"))
			failing = true
			if err := fail(t.Context(), w); !errors.Is(err, unix.EIO) {
				t.Fatalf("got error %v, want EIO", err)
			}
			for _, late := range []storage.Write{w, other, resume(t, openIn(t, dir, local.Options{}))} {
				_, err := late.Append(t.Context(), 5, strings.NewReader("more"))
				wantKind(t, "append", err, media.Gone)
				wantKind(t, "sync", late.Sync(t.Context()), media.Gone)
				_, err = late.Commit(t.Context())
				wantKind(t, "commit", err, media.Gone)
				_, err = late.Offset(t.Context())
				wantKind(t, "offset", err, media.Gone)
			}
			_, err := d.Stat(t.Context(), key)
			wantKind(t, "stat", err, media.NotFound)
			_, err = d.Begin(t.Context(), key, 1)
			wantKind(t, "begin", err, media.Conflict)
			for o := range d.Unfinished(t.Context()) {
				if o.Key != key {
					t.Errorf("unfinished: got %q, want %q", o.Key, key)
				}
			}
			for _, w := range []storage.Write{other, w} {
				if err := w.Abort(t.Context()); err != nil {
					t.Errorf("abort: %v", err)
				}
			}
			begin(t, d, 1)
		})
	}
}

func TestFailedFolderSyncIsNeverTakenBack(t *testing.T) {
	t.Parallel()
	failing := false
	d := openWith(t, t.TempDir(), local.Options{}, func(h *local.Hooks) {
		fsync := h.Fsync
		h.Fsync = func(f *os.File) error {
			if failing && f.Name() == "7f" {
				failing = false
				return unix.EIO
			}
			return fsync(f)
		}
	})
	w := begin(t, d, 0)
	failing = true
	for range 2 {
		_, err := w.Commit(t.Context())
		wantKind(t, "commit", err, media.Unavailable)
	}
}

func TestHalfWrittenRemainderIsCutOff(t *testing.T) {
	t.Parallel()
	d := openWith(t, t.TempDir(), local.Options{}, func(h *local.Hooks) {
		write := h.Write
		h.Write = func(f *os.File, p []byte, off int64) (int, error) {
			if off < 3000 {
				return write(f, p, off)
			}
			n, _ := write(f, p, off)
			return n / 2, unix.ENOSPC
		}
	})
	w := begin(t, d, media.UnknownLength)
	appendTo(t, w, 0, make([]byte, 3000))
	n, err := w.Append(t.Context(), 3000, bytes.NewReader(make([]byte, 1000)))
	wantKind(t, "append", err, media.Full)
	if at, err := w.Offset(t.Context()); n != 500 || at != 3500 || err != nil {
		t.Errorf("got %d kept and offset %d, %v, want 500 and 3500", n, at, err)
	}
}

func TestFloorOfFreeSpaceIsKept(t *testing.T) {
	t.Parallel()
	const total, floor = 100 << 20, 5 << 20 // the default of so small a disk
	free := int64(50 << 20)
	d := openWith(t, t.TempDir(), local.Options{}, func(h *local.Hooks) {
		h.Reserve = func(*os.File, int64) error { return unix.EOPNOTSUPP }
		h.Space = func(*os.File) (int64, int64, error) { return free, total, nil }
	})
	_, err := d.Begin(t.Context(), key, free-floor+1)
	wantKind(t, "begin", err, media.Full)
	w := begin(t, d, free-floor)
	appendTo(t, w, 0, make([]byte, 1000))
	free = floor + 500
	r := io.MultiReader(bytes.NewReader(make([]byte, 9<<20)), strings.NewReader("never"))
	n, err := w.Append(t.Context(), 1000, r)
	wantKind(t, "append", err, media.Full)
	if at, err := w.Offset(t.Context()); at != 1000+n || n > 8<<20 || err != nil {
		t.Errorf("got %d kept and offset %d, %v", n, at, err)
	}
	if err := w.Abort(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestDiskThatFillsByItsCalls(t *testing.T) {
	t.Parallel()
	d, err := local.OpenLimited(t.TempDir(), local.Options{MinFree: -1}, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	w := begin(t, d, media.UnknownLength)
	n, err := w.Append(t.Context(), 0, bytes.NewReader(make([]byte, 2<<20)))
	wantKind(t, "append", err, media.Full)
	if at, err := w.Offset(t.Context()); n != 1<<20 || at != n || err != nil {
		t.Errorf("got %d kept and offset %d, %v", n, at, err)
	}
}

func TestPlantedLinksAreNeverFollowed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := openIn(t, dir, local.Options{})
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, link := range []string{filepath.Join(dir, "objects", "7f", key[3:]), partFile(dir, "7f/other")} {
		if err := os.Symlink(secret, link); err != nil {
			t.Fatal(err)
		}
	}
	_, err := d.Stat(t.Context(), key)
	wantKind(t, "stat", err, media.NotFound)
	_, err = d.Read(t.Context(), media.Object{Key: key, Size: 6}, 0, 6)
	wantKind(t, "read", err, media.NotFound)
	_, err = d.Resume(t.Context(), "7f/other")
	wantKind(t, "resume", err, media.NotFound)
	_, err = d.Begin(t.Context(), "7f/other", 1)
	wantKind(t, "begin", err, media.Conflict)
	for o := range d.List(t.Context(), "") {
		t.Errorf("list shows %+v", o)
	}
	if err := os.RemoveAll(filepath.Join(dir, "objects", "00")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Dir(secret), filepath.Join(dir, "objects", "00")); err != nil {
		t.Fatal(err)
	}
	if d, err := local.Open(dir, local.Options{}); err == nil {
		t.Errorf("opened with a planted folder: %v", d.Close())
	}
}

func TestOpenRemovesLeftoversButNotWorkUnderWay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	openIn(t, dir, local.Options{})
	for _, name := range []string{".join-stale", ".join-alive"} {
		if err := os.Mkdir(filepath.Join(dir, "parts", name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "parts", name, "000000.5"), []byte("bytes"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	alive, err := os.Open(filepath.Join(dir, "parts", ".join-alive"))
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Flock(int(alive.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	openIn(t, dir, local.Options{})
	if names := namesIn(t, dir); !slices.Equal(names, []string{".join-alive"}) {
		t.Errorf("got %q", names)
	}
	if err := alive.Close(); err != nil {
		t.Fatal(err)
	}
	openIn(t, dir, local.Options{})
	if names := namesIn(t, dir); len(names) > 0 {
		t.Errorf("got %q, want none", names)
	}
}

func namesIn(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, "parts"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// TestShrunkenFileIsNeverPadded: an object that lost bytes on the disk is an error before the first byte, not a short answer.
func TestShrunkenFileIsNeverPadded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := openIn(t, dir, local.Options{})
	w := begin(t, d, 10)
	appendTo(t, w, 0, make([]byte, 10))
	o, err := w.Commit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(dir, "objects", key), 5); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Read(t.Context(), o, 0, 10); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got error %v, want io.ErrUnexpectedEOF", err)
	}
}
