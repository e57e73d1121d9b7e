package e2e_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"

	"sluice/internal/livetest"
)

// database is a PostgreSQL server of one test's own, which it may stop.
type database struct {
	t      testing.TB
	server *livetest.PostgresServer
	name   string
}

func newDatabase(t testing.TB) *database {
	t.Helper()
	s := livetest.Postgres(t)
	return &database{t, s, s.NewDatabase(t)}
}

// env names the database in the LMS's way.
func (d *database) env() []string {
	return []string{
		"DB_ENABLED=true", "DB_HOST=" + d.server.Host(), fmt.Sprint("DB_PORT=", d.server.Port()), "DB_NAME=" + d.name,
		"DB_USER=" + d.server.User(), "DB_PASSWORD=" + d.server.Password(),
	}
}

func (d *database) stop()  { d.server.Stop(d.t) }
func (d *database) start() { d.server.Start(d.t) }

// sessions counts the connections to the database that are at work or inside a transaction now, and all of them.
func (d *database) sessions(ctx context.Context) (busy, total int) {
	d.t.Helper()
	conn, err := pgx.Connect(ctx, d.server.URL("postgres"))
	if err != nil {
		d.t.Fatal(err)
	}
	defer conn.Close(ctx)
	err = conn.QueryRow(ctx, `SELECT count(*) FILTER (WHERE state <> 'idle'), count(*) FROM pg_stat_activity WHERE datname = $1`, d.name).Scan(&busy, &total)
	if err != nil {
		d.t.Fatal(err)
	}
	return busy, total
}
