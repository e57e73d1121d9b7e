package local_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sluice/media"
	"sluice/storage/local"
)

func TestPutSyncsFileAndFolderUnderTheFinalName(t *testing.T) {
	t.Parallel()
	var d diary
	driver := openWith(t, t.TempDir(), local.Options{}, d.keep)
	d.lines = nil
	data := bytes.Repeat([]byte("small"), 9)
	o, err := driver.Put(t.Context(), key, data)
	if err != nil || o.Key != key || o.Size != int64(len(data)) {
		t.Fatalf("got %+v, %v", o, err)
	}
	part := strings.ReplaceAll(key, "/", ",")
	if want := []string{"rename to 7f", "fsync " + part, "fsync 7f"}; !slices.Equal(d.lines, want) {
		t.Errorf("got %q, want %q", d.lines, want)
	}
	r, err := driver.Read(t.Context(), o, 0, o.Size)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(r)
	if cerr := r.Close(); err != nil || cerr != nil || !bytes.Equal(got, data) {
		t.Errorf("got %q, %v, %v, want %q", got, err, cerr, data)
	}
	_, err = driver.Put(t.Context(), key, data)
	wantKind(t, "put again", err, media.Conflict)
	_, err = driver.Begin(t.Context(), key, 1)
	wantKind(t, "begin", err, media.Conflict)
	other, err := driver.Begin(t.Context(), "7f/other", 5)
	if err != nil {
		t.Fatal(err)
	}
	_, err = driver.Put(t.Context(), "7f/other", data)
	wantKind(t, "put over a write", err, media.Conflict)
	if err := other.Abort(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := driver.Put(t.Context(), "7f/empty", nil); err != nil {
		t.Errorf("an empty object: %v", err)
	}
}

func TestAPutThatFailsLeavesNothing(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(h *local.Hooks){
		"write": func(h *local.Hooks) {
			h.Write = func(f *os.File, p []byte, off int64) (int, error) {
				n, _ := f.WriteAt(p[:1], off)
				return n, unix.ENOSPC
			}
		},
		"rename": func(h *local.Hooks) {
			h.Rename = func(*os.File, string, *os.File, string) error { return unix.EIO }
		},
		"sync": func(h *local.Hooks) {
			real := h.Fsync
			h.Fsync = func(f *os.File) error {
				if strings.Contains(f.Name(), "file-1") { // the file, not a folder
					return unix.EIO
				}
				return real(f)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			d := openWith(t, dir, local.Options{}, spoil)
			const key = "7f/file-1"
			if _, err := d.Put(t.Context(), key, []byte("small")); err == nil {
				t.Fatal("it went through")
			}
			_, err := d.Stat(t.Context(), key)
			wantKind(t, "stat", err, media.NotFound)
			err = filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
				if err == nil && !e.IsDir() {
					err = errors.New(path + " is left")
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}
