// Package embedded keeps the LMS's records in one SQLite file, for a gateway that has no MongoDB: each record a JSON document, beside it
// the few columns by which it is found. A write that was answered is on disk.
package embedded

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite" of database/sql

	"sluice/entities"
	"sluice/media"
)

// Options are choices of a Driver. The zero value works.
type Options struct {
	Wait time.Duration // how long a write waits for one of another process; 0: 1.5 s
}

// Driver is one file.
type Driver struct {
	readers *sql.DB
	writer  *sql.DB       // one connection
	writing chan struct{} // held by the one who writes: writers wait here, not in SQLite, which would have them poll

	mu       sync.RWMutex
	prepared map[string]*sql.Stmt // on readers; the texts are few
}

var (
	_ entities.Driver    = (*Driver)(nil)
	_ entities.Untouched = (*Driver)(nil)
)

//go:embed schema.sql
var schema string

// schemaVersion is of schema, kept as the file's user_version.
const schemaVersion = 1

// Open opens the file at path, making it when it is missing.
func Open(ctx context.Context, path string, o Options) (*Driver, error) {
	if o.Wait <= 0 {
		o.Wait = 1500 * time.Millisecond
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("entities embedded: %w", err)
	}
	if err := create(path); err != nil {
		return nil, fmt.Errorf("entities embedded: %w", err)
	}
	d := &Driver{writing: make(chan struct{}, 1), prepared: map[string]*sql.Stmt{}}
	if d.writer, err = sql.Open("sqlite", source(path, o.Wait, false)); err != nil {
		return nil, fmt.Errorf("entities embedded: open: %w", err)
	}
	d.writer.SetMaxOpenConns(1)
	if d.readers, err = sql.Open("sqlite", source(path, o.Wait, true)); err != nil {
		return nil, errors.Join(fmt.Errorf("entities embedded: open: %w", err), d.writer.Close())
	}
	n := max(4, 2*runtime.GOMAXPROCS(0))
	d.readers.SetMaxOpenConns(n)
	d.readers.SetMaxIdleConns(n)
	if err := d.migrate(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("entities embedded: schema: %w", translate(err)), d.Close())
	}
	return d, nil
}

// create makes an empty file that only its owner reads, and makes sure that the folder knows it.
func create(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// source builds the URI of a connection: WAL, so that readers never wait; FULL, so that a commit is on disk when it is answered (with
// NORMAL a power cut may take the last ones along, https://sqlite.org/pragma.html#pragma_synchronous).
func source(path string, wait time.Duration, readOnly bool) string {
	q := url.Values{}
	q.Set("_busy_timeout", strconv.FormatInt(wait.Milliseconds(), 10))
	q.Add("_pragma", "journal_mode(WAL)")
	q.Add("_pragma", "synchronous(FULL)")
	q.Add("_pragma", "cache_size(-2048)")
	q.Add("_pragma", "journal_size_limit(16777216)")
	q.Set("_txlock", "immediate")
	if readOnly {
		q.Set("_query_only", "1")
	}
	u := url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}
	return u.String()
}

func (d *Driver) migrate(ctx context.Context) error {
	return d.change(ctx, func(tx *sql.Tx) error {
		var version int64
		if err := tx.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
			return err
		}
		if version > schemaVersion {
			return fmt.Errorf("it has version %d, this program knows up to %d: it was written by a newer one", version, schemaVersion)
		}
		if version == schemaVersion {
			return nil
		}
		_, err := tx.ExecContext(ctx, schema)
		return err
	})
}

// change runs do in a transaction of the one writer.
func (d *Driver) change(ctx context.Context, do func(tx *sql.Tx) error) error {
	tx, err := d.writer.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := do(tx); err != nil {
		_ = tx.Rollback() // the error that led here says more
		return err
	}
	return tx.Commit()
}

// Ping reads a row.
func (d *Driver) Ping(ctx context.Context) error {
	_, err := d.Untouched(ctx)
	return err
}

// Version names what this is.
func (d *Driver) Version(context.Context) (string, error) { return "embedded", nil }

// Untouched reports whether no document was ever written.
func (d *Driver) Untouched(ctx context.Context) (bool, error) {
	s, err := d.statement(ctx, "SELECT NOT EXISTS (SELECT 1 FROM touched)")
	if err != nil {
		return false, translate(err)
	}
	var untouched bool
	return untouched, translate(s.QueryRowContext(ctx).Scan(&untouched))
}

// Close moves what the write-ahead log holds into the file, and closes.
func (d *Driver) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var errs []error
	for _, s := range d.prepared {
		errs = append(errs, s.Close())
	}
	clear(d.prepared)
	return errors.Join(append(errs, d.readers.Close(), d.writer.Close())...)
}

// statement is a prepared text. It is closed with the Driver.
type statement interface {
	QueryContext(ctx context.Context, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, args ...any) *sql.Row
}

// statement gives the prepared form of a text on the readers: a third of the time of one that is not.
func (d *Driver) statement(ctx context.Context, text string) (statement, error) {
	d.mu.RLock()
	s, known := d.prepared[text]
	d.mu.RUnlock()
	if known {
		return s, nil
	}
	s, err := d.readers.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if earlier, known := d.prepared[text]; known {
		return earlier, s.Close() //nolint:sqlclosecheck // others are kept until Close
	}
	d.prepared[text] = s
	return s, nil
}

// Get reads one row.
func (d *Driver) Get(ctx context.Context, k entities.Key) (entities.Document, error) {
	s, err := d.statement(ctx, getText)
	if err != nil {
		return entities.Document{}, translate(err)
	}
	doc, err := scan(s.QueryRowContext(ctx, trash(k), string(k.Type), k.ID))
	if errors.Is(err, sql.ErrNoRows) {
		return entities.Document{}, media.NotFound
	}
	return doc, translate(err)
}

const getText = "SELECT " + columns + " FROM records WHERE trash = $1 AND type = $2 AND id = $3"

const columns = "id, doc, created_at, updated_at, buried_at"

func trash(k entities.Key) int64 {
	if k.Trash {
		return 1
	}
	return 0
}
