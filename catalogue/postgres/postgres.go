// Package postgres keeps the catalogue in a PostgreSQL database, over pgx. A connection is held for one call only, so none is held while
// bytes flow. It knows how to reach the server and to explain why not, and which texts differ there.
package postgres

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"sluice/catalogue"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Open opens the catalogue in the database that c names. A server that cannot be used is a *StartError.
func Open(ctx context.Context, c Config, o catalogue.Options) (*catalogue.Catalogue, error) {
	e, err := NewEngine(ctx, c, o.Log())
	if err != nil {
		return nil, err
	}
	return catalogue.New(ctx, e, o)
}

// Engine is one PostgreSQL database.
type Engine struct {
	pool    *pgxpool.Pool
	log     *slog.Logger
	acquire time.Duration // bounds waiting for a connection
	call    time.Duration // bounds a read or write as a whole, when the server stops answering
}

var _ catalogue.Engine = (*Engine)(nil)

// NewEngine connects. The schema is not looked at.
func NewEngine(ctx context.Context, c Config, log *slog.Logger) (*Engine, error) {
	c = c.withDefaults()
	cfg, err := c.pool()
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, startError(cfg, err)
	}
	e := &Engine{pool: pool, log: log, acquire: c.ConnectTimeout, call: c.StatementTimeout + time.Second}
	first, cancel := context.WithTimeout(ctx, 2*c.ConnectTimeout)
	defer cancel()
	if err := pool.Ping(first); err != nil {
		pool.Close()
		return nil, startError(cfg, err)
	}
	return e, nil
}

// Dialect gives PostgreSQL's own texts.
func (e *Engine) Dialect() catalogue.Dialect {
	return catalogue.Dialect{
		Tallies: `(SELECT r.a AS asset, r.h AS hour, r.v AS views, r.b AS bytes, r.l AS last
			FROM jsonb_to_recordset($1::jsonb) AS r(a uuid, h bigint, v bigint, b bigint, l bigint)) AS t`,
		Views: `(SELECT r.a AS asset, r.s AS session, r.t AS at, r.c AS counted
			FROM jsonb_to_recordset($1::jsonb) AS r(a uuid, s bigint, t bigint, c boolean)) AS t`,
		Keys:     `SELECT jsonb_array_elements_text($2::jsonb)`,
		IDs:      `SELECT r.id::uuid FROM jsonb_array_elements_text($1::jsonb) AS r(id)`,
		Greatest: "GREATEST",
		Hold: `SELECT count(*) FROM (SELECT id FROM assets WHERE id IN (SELECT r.id::uuid FROM jsonb_array_elements_text($1::jsonb) AS r(id))
			ORDER BY id FOR NO KEY UPDATE) AS held`,
		Lock: `SELECT pg_advisory_xact_lock(hashtextextended($1, 0))`,
	}
}

// Read runs do on one connection, once more on another when the first turned out dead.
func (e *Engine) Read(ctx context.Context, do func(catalogue.Querier) error) error {
	return e.retry(ctx, e.acquire, func(ctx context.Context, conn *pgxpool.Conn) (bool, error) {
		return true, do(&reads{conn})
	})
}

// Write runs do in one transaction, once more after a deadlock or a connection that was lost before the commit went out.
func (e *Engine) Write(ctx context.Context, _ catalogue.Mode, do func(catalogue.Tx) error) error {
	return e.retry(ctx, writeWait*e.acquire, func(ctx context.Context, conn *pgxpool.Conn) (bool, error) {
		t := &tx{conn: conn.Conn()}
		err := do(t)
		if err == nil {
			err = t.commit(ctx)
		}
		if err != nil {
			t.rollback(ctx)
		}
		return !t.committing, err
	})
}

// attempts bounds how often a call is tried again. Each failed one costs little: a refused connection, or a deadlock the server broke.
const attempts = 4

// writeWait is how much longer a write waits for a free connection than a read: who writes has sent its bytes, and a thousand may end at
// once. A server that is away is noticed as soon as for a read.
const writeWait = 8

// retry gives try a connection, waiting so long for a free one, and another when it may be tried again.
func (e *Engine) retry(ctx context.Context, wait time.Duration, try func(context.Context, *pgxpool.Conn) (again bool, err error)) error {
	call, cancel := context.WithTimeout(ctx, e.call)
	defer cancel()
	var err error
	for range attempts {
		var conn *pgxpool.Conn
		if conn, err = e.connection(call, wait); err != nil {
			return translate(err)
		}
		var again bool
		again, err = try(call, conn)
		conn.Release()
		if err == nil {
			return nil
		}
		if pg, ok := errors.AsType[*pgconn.PgError](err); ok && (pg.Code == "40001" || pg.Code == "40P01") {
			continue // serialization_failure, deadlock_detected: undone for certain
		}
		if call.Err() != nil || !unreachable(err) {
			break
		}
		e.pool.Reset() // the others of this age are likely dead too
		if !again && !pgconn.SafeToRetry(err) {
			break
		}
	}
	return translate(err)
}

func (e *Engine) connection(ctx context.Context, wait time.Duration) (*pgxpool.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	conn, err := e.pool.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("catalogue postgres: connect: %w", err)
	}
	return conn, nil
}

// Ping asks the server for nothing.
func (e *Engine) Ping(ctx context.Context) error {
	return e.retry(ctx, e.acquire, func(ctx context.Context, conn *pgxpool.Conn) (bool, error) { return true, conn.Ping(ctx) })
}

// Close closes all connections.
func (e *Engine) Close() error {
	e.pool.Close()
	return nil
}

// Migrate brings the schema up to date; an advisory lock makes nodes that start at once take turns.
func (e *Engine) Migrate(ctx context.Context) error {
	return e.migrator(func(p *goose.Provider) error {
		current, latest, err := p.GetVersions(ctx)
		if err == nil && current > latest {
			return fmt.Errorf("the schema has version %d, this program knows up to %d: it was written by a newer one", current, latest)
		}
		_, err = p.Up(ctx)
		return err
	})
}

// Version tells the schema's version and the newest one known.
func (e *Engine) Version(ctx context.Context) (current, latest int64, err error) {
	err = e.migrator(func(p *goose.Provider) error {
		current, latest, err = p.GetVersions(ctx)
		return err
	})
	return current, latest, err
}

// migrator opens connections for goose alone, without the time limits of ordinary statements.
func (e *Engine) migrator(do func(*goose.Provider) error) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("catalogue postgres: %w", err)
	}
	cfg := e.pool.Config().ConnConfig.Copy()
	for _, limit := range []string{"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"} {
		delete(cfg.RuntimeParams, limit)
	}
	db := stdlib.OpenDB(*cfg)
	p, err := goose.NewProvider(goose.DialectPostgres, db, files, goose.WithTableName("catalogue_version"),
		goose.WithSessionLocker(advisory{}), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return errors.Join(fmt.Errorf("catalogue postgres: migrations: %w", err), db.Close())
	}
	if err := do(p); err != nil {
		return errors.Join(fmt.Errorf("catalogue postgres: migrate: %w", translate(err)), p.Close())
	}
	return p.Close()
}

// advisory is a session lock that waits in the server; goose's own asks again every few seconds.
type advisory struct{}

const lockID = 0x736c75696365 // "sluice"

// SessionLock waits for the lock.
func (advisory) SessionLock(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, "SELECT pg_advisory_lock($1)", int64(lockID))
	return err
}

// SessionUnlock gives it back.
func (advisory) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, "SELECT pg_advisory_unlock($1)", int64(lockID))
	return err
}
