package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"sluice/catalogue"
	"sluice/media"
)

// translate turns an error of the driver into one callers can act on, by SQLSTATE and type (PostgreSQL, appendix A).
func translate(err error) error {
	if err == nil {
		return nil
	}
	if _, ours := errors.AsType[*media.Error](err); ours {
		return err
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return translateCode(pg, err)
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	if unreachable(err) || errors.Is(err, context.DeadlineExceeded) || pgconn.Timeout(err) {
		return unavailable(err)
	}
	return err
}

func translateCode(pg *pgconn.PgError, err error) error {
	if passing(pg.Code) {
		return unavailable(err)
	}
	switch {
	case pg.Code == "23505": // unique_violation
		return &media.Error{Kind: media.Conflict, Detail: "it is there already", Err: fmt.Errorf("%w: %w", catalogue.ErrUnique, err)}
	case pg.Code[:2] == "23":
		return &media.Error{Kind: media.Conflict, Detail: "it does not fit what is there", Err: err}
	case pg.Code == "53100": // disk_full
		return &media.Error{Kind: media.Full, Code: "catalogue_full", Detail: "no space is left for the catalogue", Err: err}
	case pg.Code[:2] == "22": // data exception: a text the database cannot hold
		return &media.Error{Kind: media.Invalid, Detail: "a value is not acceptable", Err: err}
	}
	return err
}

// passing reports whether an SQLSTATE says that the server is away, busy or going: trying again may help.
func passing(code string) bool {
	switch code[:2] {
	case "08", "40", "53", "57", "58": // connection, rollback, resources, operator intervention, system error
		return code != "53100"
	}
	return code == "55P03" || code == "25P03" || code == "28P01" || code == "3D000" // lock or idle timeout; a login that worked before
}

// unreachable reports whether the connection, not the statement, is what failed.
func unreachable(err error) bool {
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pg.Code[:2] == "08" || pg.Code == "57P01" || pg.Code == "57P02" || pg.Code == "57P03"
	}
	_, network := errors.AsType[net.Error](err)
	return network || pgconn.SafeToRetry(err) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed)
}

func unavailable(err error) error {
	return &media.Error{
		Kind: media.Unavailable, Code: "catalogue_unavailable", Detail: "the catalogue is away for now",
		RetryAfter: time.Second, Err: err,
	}
}
