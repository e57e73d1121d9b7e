package e2e_test

import (
	"context"
	"testing"
)

// database is a PostgreSQL server of one test's own.
type database struct{}

func newDatabase(t testing.TB) *database {
	t.Fatal("no database yet")
	return nil
}

func (d *database) env() []string { return nil }
func (d *database) stop()         {}
func (d *database) start()        {}

func (d *database) sessions(ctx context.Context) (busy, total int) { return 0, 0 }
