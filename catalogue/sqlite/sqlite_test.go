package sqlite_test

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/pressly/goose/v3"

	"sluice/catalogue"
	"sluice/catalogue/cataloguetest"
	"sluice/catalogue/sqlite"
)

func open(t testing.TB, o catalogue.Options) *catalogue.Catalogue {
	t.Helper()
	return openAt(t, filepath.Join(t.TempDir(), "catalogue ?#%.db"), o)
}

func openAt(t testing.TB, path string, o catalogue.Options) *catalogue.Catalogue {
	t.Helper()
	c, err := sqlite.Open(t.Context(), path, o)
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

func TestTheSchemaMovesUpAndDown(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "c.db")
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=foreign_keys(1)&_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)")
	if err != nil {
		t.Fatal(err)
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, os.DirFS("migrations"), goose.WithTableName("catalogue_version"), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	cataloguetest.Migrations(t, func(t testing.TB, o catalogue.Options) *catalogue.Catalogue { return openAt(t, path, o) },
		func(ctx context.Context, version int64) error {
			if current, err := p.GetDBVersion(ctx); err != nil || current > version {
				_, err := p.DownTo(ctx, version)
				return err
			}
			_, err := p.UpTo(ctx, version)
			return err
		},
		func(ctx context.Context, text string) error {
			text = regexp.MustCompile(`'(0190[0-9a-f]{28})'`).ReplaceAllString(strings.ReplaceAll(text, ", '', '', 1, 1", ", x'', x'', 1, 1"), "x'$1'")
			_, err := db.ExecContext(ctx, text)
			return err
		})
}
