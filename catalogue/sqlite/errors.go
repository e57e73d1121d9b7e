package sqlite

import (
	"context"
	"errors"
	"fmt"
	"time"

	driver "modernc.org/sqlite"
	code "modernc.org/sqlite/lib"

	"sluice/catalogue"
	"sluice/media"
)

// translate turns an error of the driver into one callers can act on, by its result code.
func translate(err error) error {
	if err == nil {
		return nil
	}
	e, ok := errors.AsType[*driver.Error](err)
	if !ok {
		if errors.Is(err, context.DeadlineExceeded) {
			return unavailable(err)
		}
		return err
	}
	switch e.Code() {
	case code.SQLITE_CONSTRAINT_PRIMARYKEY, code.SQLITE_CONSTRAINT_UNIQUE, code.SQLITE_CONSTRAINT_ROWID:
		return &media.Error{Kind: media.Conflict, Detail: "it is there already", Err: fmt.Errorf("%w: %w", catalogue.ErrUnique, err)}
	}
	switch e.Code() & 0xff {
	case code.SQLITE_FULL:
		return full(err)
	case code.SQLITE_BUSY, code.SQLITE_LOCKED, code.SQLITE_INTERRUPT:
		return unavailable(err)
	case code.SQLITE_CORRUPT, code.SQLITE_NOTADB:
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	case code.SQLITE_CONSTRAINT:
		return &media.Error{Kind: media.Conflict, Detail: "it does not fit what is there", Err: err}
	}
	return err
}

func full(err error) error {
	return &media.Error{Kind: media.Full, Code: "catalogue_full", Detail: "no space is left for the catalogue", Err: err}
}

func unavailable(err error) error {
	return &media.Error{Kind: media.Unavailable, Code: "catalogue_unavailable", Detail: "the catalogue is busy or away", RetryAfter: time.Second, Err: err}
}
