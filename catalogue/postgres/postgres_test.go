package postgres_test

import (
	"context"
	"database/sql"
	"os"
	"testing"

	"github.com/pressly/goose/v3"

	"sluice/catalogue"
	"sluice/catalogue/cataloguetest"
	"sluice/catalogue/postgres"
	"sluice/internal/livetest"
)

func config(s *livetest.PostgresServer, database string) postgres.Config {
	return postgres.Config{Host: s.Host(), Port: s.Port(), Database: database, User: s.User(), Password: s.Password(), SSLMode: "disable", MaxConns: 8}
}

func connect(t testing.TB, c postgres.Config, o catalogue.Options) *catalogue.Catalogue {
	t.Helper()
	k, err := postgres.Open(t.Context(), c, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	})
	return k
}

func open(t testing.TB, o catalogue.Options) *catalogue.Catalogue {
	t.Helper()
	s := livetest.SharedPostgres(t)
	return connect(t, config(s, s.NewDatabase(t)), o)
}

func TestCatalogueOverPostgreSQL(t *testing.T) {
	t.Parallel()
	livetest.SharedPostgres(t) // keeps it for the subtests
	cataloguetest.Run(t, open)
}

func BenchmarkPostgreSQL(b *testing.B) { cataloguetest.Bench(b, open) }

func TestTheSchemaMovesUpAndDown(t *testing.T) {
	t.Parallel()
	s := livetest.SharedPostgres(t)
	database := s.NewDatabase(t)
	db, err := sql.Open("pgx", s.URL(database))
	if err != nil {
		t.Fatal(err)
	}
	p, err := goose.NewProvider(goose.DialectPostgres, db, os.DirFS("migrations"), goose.WithTableName("catalogue_version"), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	cataloguetest.Migrations(t, func(t testing.TB, o catalogue.Options) *catalogue.Catalogue {
		return connect(t, config(s, database), o)
	},
		func(ctx context.Context, version int64) error {
			if current, err := p.GetDBVersion(ctx); err != nil || current > version {
				_, err := p.DownTo(ctx, version)
				return err
			}
			_, err := p.UpTo(ctx, version)
			return err
		},
		func(ctx context.Context, text string) error {
			_, err := db.ExecContext(ctx, text)
			return err
		})
}
