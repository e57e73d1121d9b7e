// Package sqlite keeps the catalogue in one SQLite file: the embedded default. Writes of many callers share one transaction and one
// fsync; reads have connections of their own and wait for nobody.
package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the driver "sqlite" of database/sql

	"sluice/catalogue"
	"sluice/media"
)

//go:embed migrations/*.sql
var migrations embed.FS

// maxStatements bounds the statements kept prepared; lists build their texts and could build thousands.
const maxStatements = 256

// Open opens the catalogue in the file at path, making it when it is missing.
func Open(ctx context.Context, path string, o catalogue.Options) (*catalogue.Catalogue, error) {
	e, err := NewEngine(ctx, path, o.Log())
	if err != nil {
		return nil, err
	}
	return catalogue.New(ctx, e, o)
}

// Engine is one SQLite file.
type Engine struct {
	path    string
	log     *slog.Logger
	readers *sql.DB
	writer  *writer
	ballast *ballast

	mu       sync.RWMutex
	prepared map[string]*sql.Stmt // on readers
}

var _ catalogue.Engine = (*Engine)(nil)

// NewEngine opens the file at path. The schema is not looked at.
func NewEngine(ctx context.Context, path string, log *slog.Logger) (*Engine, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("catalogue sqlite: %w", err)
	}
	e := &Engine{path: path, log: log, prepared: map[string]*sql.Stmt{}}
	if e.ballast, err = openBallast(path + ".reserve"); err != nil {
		return nil, err
	}
	writes, err := sql.Open("sqlite", source(path, false))
	if err != nil {
		return nil, fmt.Errorf("catalogue sqlite: open: %w", err)
	}
	writes.SetMaxOpenConns(1)
	conn, err := writes.Conn(ctx)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("catalogue sqlite: open: %w", translate(err)), writes.Close(), e.ballast.close())
	}
	e.writer = startWriter(writes, conn, e.ballast, log)
	if e.readers, err = sql.Open("sqlite", source(path, true)); err != nil {
		return nil, errors.Join(fmt.Errorf("catalogue sqlite: open: %w", err), e.Close())
	}
	n := max(4, 2*runtime.GOMAXPROCS(0))
	e.readers.SetMaxOpenConns(n)
	e.readers.SetMaxIdleConns(n)
	return e, nil
}

// source builds the URI of a connection: WAL, so that readers never wait; FULL, so that a commit is on disk when it is answered.
func source(path string, readOnly bool) string {
	q := url.Values{}
	q.Set("_busy_timeout", "5000")
	q.Add("_pragma", "journal_mode(WAL)")
	q.Add("_pragma", "synchronous(FULL)")
	q.Add("_pragma", "foreign_keys(1)")
	q.Add("_pragma", "temp_store(MEMORY)") // savepoints keep pages aside: 30 % of a write went into their temporary file
	q.Add("_pragma", "cache_size("+cacheSize(readOnly)+")")
	q.Add("_pragma", "journal_size_limit(16777216)")
	q.Set("_txlock", "immediate")
	if readOnly {
		q.Set("_query_only", "1")
	}
	u := url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}
	return u.String()
}

// cacheSize is how many KiB of pages a connection keeps, negative as SQLite has it. What falls out is in the kernel's cache still; with
// 16 MiB each, 3,000 small uploads had filled 10 MiB of the process.
func cacheSize(readOnly bool) string {
	if readOnly {
		return "-2048"
	}
	return "-4096"
}

// Dialect gives SQLite's own texts.
func (e *Engine) Dialect() catalogue.Dialect {
	return catalogue.Dialect{
		Tallies: `(SELECT unhex(value ->> '$.a') AS asset, value ->> '$.h' AS hour, value ->> '$.v' AS views, value ->> '$.b' AS bytes,
			value ->> '$.l' AS last FROM json_each($1)) AS t`,
		Views: `(SELECT unhex(value ->> '$.a') AS asset, value ->> '$.s' AS session, value ->> '$.t' AS at, value ->> '$.c' AS counted
			FROM json_each($1)) AS t`,
		Keys:     `SELECT value FROM json_each($2)`,
		IDs:      `SELECT unhex(value) FROM json_each($1)`,
		Greatest: "MAX",
	}
}

// Read runs do on the readers' connections.
func (e *Engine) Read(_ context.Context, do func(catalogue.Querier) error) error {
	return do((*reads)(e))
}

// Write runs do in the writer's next transaction.
func (e *Engine) Write(ctx context.Context, m catalogue.Mode, do func(catalogue.Tx) error) error {
	return e.writer.write(ctx, m, do)
}

// Migrate brings the schema up to date; a lock on the reserve file keeps other processes out meanwhile.
func (e *Engine) Migrate(ctx context.Context) error {
	unlock, err := e.ballast.lock(ctx)
	if err != nil {
		return fmt.Errorf("catalogue sqlite: lock the schema: %w", err)
	}
	defer unlock()
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

// migrator opens a connection for goose alone, since goose closes what it is given.
func (e *Engine) migrator(do func(*goose.Provider) error) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("catalogue sqlite: %w", err)
	}
	db, err := sql.Open("sqlite", source(e.path, false))
	if err != nil {
		return fmt.Errorf("catalogue sqlite: open: %w", err)
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, files, goose.WithTableName("catalogue_version"), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return errors.Join(fmt.Errorf("catalogue sqlite: migrations: %w", err), db.Close())
	}
	if err := do(p); err != nil {
		return errors.Join(fmt.Errorf("catalogue sqlite: migrate: %w", translate(err)), p.Close())
	}
	return p.Close()
}

// Ping reads a row.
func (e *Engine) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	var one int64
	return translate(e.readers.QueryRowContext(ctx, "SELECT 1").Scan(&one))
}

// Close ends the writer, moves what the write-ahead log holds into the file, and closes.
func (e *Engine) Close() error {
	var errs []error
	e.mu.Lock()
	for _, s := range e.prepared {
		errs = append(errs, s.Close())
	}
	clear(e.prepared)
	e.mu.Unlock()
	if e.readers != nil {
		errs = append(errs, e.readers.Close())
	}
	errs = append(errs, e.writer.close(), e.ballast.close())
	return errors.Join(errs...)
}

// reads is the Engine as a Querier.
type reads Engine

func (r *reads) Query(ctx context.Context, text string, args ...any) (catalogue.Rows, error) {
	s, err := r.statement(ctx, text)
	if err != nil {
		return nil, translate(err)
	}
	var found *sql.Rows
	if s == nil {
		found, err = r.readers.QueryContext(ctx, text, bind(args)...)
	} else {
		found, err = s.QueryContext(ctx, bind(args)...)
	}
	if err != nil {
		return nil, translate(err)
	}
	return rows{found}, nil
}

// statement gives the prepared form of a text, or nil when there are too many already.
func (r *reads) statement(ctx context.Context, text string) (*sql.Stmt, error) {
	r.mu.RLock()
	s, known := r.prepared[text]
	full := len(r.prepared) >= maxStatements
	r.mu.RUnlock()
	if known || full {
		return s, nil
	}
	s, err := r.readers.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if earlier, known := r.prepared[text]; known {
		return earlier, s.Close()
	}
	r.prepared[text] = s
	return s, nil
}

// bind turns ids into the blobs they are kept as, in place.
func bind(args []any) []any {
	for i, a := range args {
		if id, ok := a.(media.AssetID); ok {
			args[i] = id[:]
		}
	}
	return args
}

type rows struct{ *sql.Rows }

func (r rows) Scan(dest ...any) error {
	for i, d := range dest {
		if id, ok := d.(*media.AssetID); ok {
			dest[i] = (*blobID)(id)
		}
	}
	return translate(r.Rows.Scan(dest...))
}

func (r rows) Err() error   { return translate(r.Rows.Err()) }
func (r rows) Close() error { return translate(r.Rows.Close()) }

// blobID scans an id out of a blob.
type blobID media.AssetID

// Scan reads 16 bytes.
func (id *blobID) Scan(v any) error {
	b, ok := v.([]byte)
	if !ok || len(b) != len(id) {
		return fmt.Errorf("an asset id is kept as 16 bytes, not %T", v)
	}
	copy(id[:], b)
	return nil
}
