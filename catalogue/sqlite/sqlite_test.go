package sqlite_test

import (
	"path/filepath"
	"testing"

	"sluice/catalogue"
	"sluice/catalogue/cataloguetest"
	"sluice/catalogue/sqlite"
)

func open(t testing.TB, o catalogue.Options) *catalogue.Catalogue {
	t.Helper()
	c, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "catalogue ?#%.db"), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func TestCatalogueOverSQLite(t *testing.T) {
	t.Parallel()
	cataloguetest.Run(t, open)
}

func BenchmarkSQLite(b *testing.B) { cataloguetest.Bench(b, open) }
