package sqlite_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/catalogue"
	"sluice/catalogue/sqlite"
	"sluice/media"
)

func TestCheckFindsADamagedPage(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "c.db")
	open := func() *catalogue.Catalogue {
		c, err := sqlite.Open(t.Context(), path, catalogue.Options{SkipMigrate: true})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := open()
	if err := c.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 50 {
		if _, err := c.Add(t.Context(), media.Asset{Owner: "u", Title: strings.Repeat("x", 1000)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(c.Check(t.Context()), c.Close()); err != nil {
		t.Fatalf("Check of a sound file = %v", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte(strings.Repeat("\xff", 64)), (info.Size()-1)&^4095); err != nil { // the head of the last page
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	c = open()
	if err := c.Check(t.Context()); !errors.Is(err, sqlite.ErrDamaged) {
		t.Errorf("Check of a damaged file = %v, want ErrDamaged", err)
	}
	if err := c.Close(); err != nil {
		t.Log(err) // a damaged file may refuse its checkpoint
	}
}
