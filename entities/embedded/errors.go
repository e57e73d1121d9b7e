package embedded

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	driver "modernc.org/sqlite"
	code "modernc.org/sqlite/lib"

	"sluice/media"
)

// ErrDamaged is in the chain of an error when the file does not hold together.
var ErrDamaged = errors.New("the file is damaged")

// Check reads every page and index of the file (PRAGMA integrity_check, https://sqlite.org/pragma.html) and names the first fault.
func (d *Driver) Check(ctx context.Context) error {
	var found string
	if err := d.readers.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&found); err != nil {
		return fmt.Errorf("entities embedded: check: %w", translate(err))
	}
	if found != "ok" {
		return fmt.Errorf("entities embedded: %w: %s", ErrDamaged, found)
	}
	return nil
}

// translate turns an error of the driver into one callers can act on, by its result code.
func translate(err error) error {
	if err == nil {
		return nil
	}
	e, ok := errors.AsType[*driver.Error](err)
	if !ok {
		if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, sql.ErrConnDone) {
			return unavailable(err)
		}
		return err
	}
	switch e.Code() & 0xff {
	case code.SQLITE_FULL:
		return &media.Error{Kind: media.Full, Code: "entities_full", Detail: "no space is left for records", Err: err}
	case code.SQLITE_BUSY, code.SQLITE_LOCKED, code.SQLITE_INTERRUPT, code.SQLITE_IOERR, code.SQLITE_CANTOPEN:
		return unavailable(err)
	case code.SQLITE_CORRUPT, code.SQLITE_NOTADB:
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}

func unavailable(err error) error {
	return &media.Error{Kind: media.Unavailable, Code: "entities_unavailable", Detail: "the records are busy or away", RetryAfter: time.Second, Err: err}
}
