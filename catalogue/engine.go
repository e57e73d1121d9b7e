package catalogue

import (
	"context"
	"errors"
)

// Engine is one database. Its errors are media errors where the caller can do something about them: Unavailable with RetryAfter when the
// database is away or too busy, Full when its disk is full, Conflict for a broken constraint.
//
// Arguments and scanned values are string, int64, bool, []byte and media.AssetID, arguments also nil for NULL; texts use $n.
type Engine interface {
	// Dialect gives the texts that differ between engines.
	Dialect() Dialect

	// Read runs do with statements that see all that was committed before. It may run do again when a connection turned out dead.
	Read(ctx context.Context, do func(Querier) error) error

	// Write runs do in one transaction: an error of do's undoes all of it and comes back as it is. It may run do again after a deadlock
	// or a connection lost before the commit was sent. When the outcome of the commit is not known the answer is Unavailable.
	Write(ctx context.Context, m Mode, do func(Tx) error) error

	// Migrate brings the schema up to date; several processes may do so at once.
	Migrate(ctx context.Context) error

	// Version tells the schema's version and the newest one known.
	Version(ctx context.Context) (current, latest int64, err error)

	Ping(ctx context.Context) error
	Close() error
}

// Mode says what a write is for.
type Mode uint8

// The modes.
const (
	Ordinary Mode = iota
	Freeing       // makes room; goes through on a full disk
)

// Querier runs statements that answer rows.
type Querier interface {
	Query(ctx context.Context, text string, args ...any) (Rows, error)
}

// Tx is a running transaction, for one goroutine.
type Tx interface {
	Querier

	// Exec runs a statement and tells how many rows it touched.
	Exec(ctx context.Context, text string, args ...any) (int64, error)

	// Later runs a statement whose result nobody waits for, at the latest with the commit. Its error may come only then.
	Later(ctx context.Context, text string, args ...any) error
}

// Rows are walked once and closed.
type Rows interface {
	Next() bool
	Scan(dest ...any) error
	Err() error
	Close() error
}

// ErrUnique is wrapped in the error of a statement that broke a primary key or a unique index.
var ErrUnique = errors.New("catalogue: it is there already")

// Dialect holds the texts that two engines cannot share.
type Dialect struct {
	Tallies  string // a source of rows t(asset, hour, views, bytes, last) out of the JSON in $1, see Count
	Views    string // a source of rows t(asset, session, at, counted) out of the JSON in $1, see Count
	Keys     string // a subquery giving the strings of the JSON array in $2
	IDs      string // a subquery giving the ids of the JSON array in $1, which has them in hex
	Greatest string // the function that gives the larger of two values
	Hold     string // a statement that locks the rows of the assets in the JSON array in $1, in order; "" where there is one writer only
	Lock     string // a statement that locks the name in $1 until the commit; "" where there is one writer only
}

// queryOne reads the only row of an answer into dest; false when there is none.
func queryOne(ctx context.Context, q Querier, text string, args []any, dest ...any) (found bool, err error) {
	rows, err := q.Query(ctx, text, args...)
	if err != nil {
		return false, err
	}
	if rows.Next() {
		found = true
		err = rows.Scan(dest...)
	}
	if err == nil {
		err = rows.Err()
	}
	if cerr := rows.Close(); err == nil {
		err = cerr
	}
	return found && err == nil, err
}

// readAll reads all rows of an answer.
func readAll[T any](ctx context.Context, q Querier, text string, args []any, scan func(Rows) (T, error)) ([]T, error) {
	rows, err := q.Query(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	var all []T
	for rows.Next() {
		var one T
		if one, err = scan(rows); err != nil {
			break
		}
		all = append(all, one)
	}
	if err == nil {
		err = rows.Err()
	}
	if cerr := rows.Close(); err == nil {
		err = cerr
	}
	return all, err
}
