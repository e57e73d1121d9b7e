package postgres_test

import (
	"testing"

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
