package livetest_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"sluice/internal/livetest"
)

func TestPostgresKeepsItsDataOverAStopAndAKill(t *testing.T) {
	t.Parallel()
	s := livetest.Postgres(t)
	database := s.NewDatabase(t)
	s.Exec(t, database, "CREATE TABLE kept (n int)", "INSERT INTO kept VALUES (7)")
	for name, end := range map[string]func(testing.TB){"stop": s.Stop, "kill": s.Kill} {
		end(t)
		if conn, err := pgx.Connect(t.Context(), s.URL(database)); err == nil {
			t.Errorf("%s: somebody still answers", name)
			if err := conn.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}
		s.Start(t)
		conn, err := pgx.Connect(t.Context(), s.URL(database))
		if err != nil {
			t.Fatal(err)
		}
		var n int
		if err := conn.QueryRow(t.Context(), "SELECT n FROM kept").Scan(&n); err != nil || n != 7 {
			t.Errorf("%s: got %d, %v, want 7", name, n, err)
		}
		if err := conn.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
