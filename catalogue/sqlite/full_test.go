package sqlite_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/catalogue"
	"sluice/catalogue/sqlite"
	"sluice/internal/livetest"
	"sluice/media"
)

// TestAFullDiskCanBeEmptied runs itself again where its folder is a small file system.
func TestAFullDiskCanBeEmptied(t *testing.T) {
	if dir := os.Getenv("SLUICE_TEST_SMALL_DISK"); dir != "" {
		fillAndEmpty(t, dir)
		return
	}
	t.Parallel()
	dir := t.TempDir()
	args := append(livetest.SmallDisk(t, dir, 40), os.Args[0], "-test.run=^TestAFullDiskCanBeEmptied$", "-test.v")
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...) //nolint:gosec // this binary
	cmd.Env = append(os.Environ(), "SLUICE_TEST_SMALL_DISK="+dir)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestAFullDiskCanBeEmptied") {
		t.Fatalf("%v\n%s", err, out)
	}
}

func fillAndEmpty(t *testing.T, dir string) {
	c, err := sqlite.Open(t.Context(), filepath.Join(dir, "c.db"), catalogue.Options{})
	if err != nil {
		t.Fatal(err)
	}
	add := func() (media.Asset, error) {
		return c.Add(t.Context(), media.Asset{Owner: "u", Title: strings.Repeat("x", 4000)})
	}
	var rows []media.AssetID
	// Others fill the disk; the catalogue takes what is left.
	other := filepath.Join(dir, "other")
	if err := os.WriteFile(other, make([]byte, 20<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	for {
		a, err := add()
		if err != nil {
			if !errors.Is(err, media.Full) {
				t.Fatalf("after %d rows: got %v, want full", len(rows), err)
			}
			break
		}
		rows = append(rows, a.ID)
	}
	if len(rows) < 100 {
		t.Fatalf("only %d rows went in", len(rows))
	}
	now := time.Now()
	denial := media.Denial{ID: "d", Viewer: "v", Until: now.Add(time.Hour), By: "root", At: now}
	if _, err := c.Deny(t.Context(), denial); err != nil {
		t.Fatalf("a denial on a full disk: %v", err)
	}
	for _, id := range rows {
		if _, err := c.Asset(t.Context(), id); err != nil {
			t.Fatalf("a read on a full disk: %v", err)
		}
		if err := c.Doom(t.Context(), id); err != nil {
			t.Fatalf("doom on a full disk: %v", err)
		}
		if err := c.Forget(t.Context(), id); err != nil {
			t.Fatalf("forget on a full disk: %v", err)
		}
	}
	if err := os.Remove(other); err != nil { // what the deleted media held
		t.Fatal(err)
	}
	for tick := range time.Tick(20 * time.Millisecond) {
		if _, err = add(); err == nil {
			break
		}
		if !errors.Is(err, media.Full) {
			t.Fatalf("at %v: %v", tick, err)
		}
	}
	if info, err := os.Stat(filepath.Join(dir, "c.db.reserve")); err != nil || info.Size() != 8<<20 {
		t.Errorf("the reserve is not there again: %v, %v", info, err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}
