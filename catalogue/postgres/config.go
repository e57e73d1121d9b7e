package postgres

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"sluice/media"
)

// Config says where the server is. Either URL, or the fields; the zero value is a server on 127.0.0.1:5432.
type Config struct {
	URL string // postgres://user:password@host:port/database?…; the fields above it are then not looked at

	Host     string // name, address, or the folder of a unix socket
	Port     int
	Database string
	User     string
	Password string
	SSLMode  string // disable, allow, prefer (the default), require, verify-ca, verify-full

	MaxConns         int           // 0: 16
	ConnectTimeout   time.Duration // of one new connection, and of waiting for a free one; 0: 1.5 s
	StatementTimeout time.Duration // of one statement; 0: 5 s
}

func (c Config) withDefaults() Config {
	if c.Host == "" {
		c.Host = "127.0.0.1"
	}
	if c.Port == 0 {
		c.Port = 5432
	}
	if c.SSLMode == "" {
		c.SSLMode = "prefer"
	}
	if c.MaxConns == 0 {
		c.MaxConns = 16
	}
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = 1500 * time.Millisecond
	}
	if c.StatementTimeout == 0 {
		c.StatementTimeout = 5 * time.Second
	}
	return c
}

// pool builds pgx's configuration. Names and passwords pass through net/url, which escapes them: nothing is glued.
func (c Config) pool() (*pgxpool.Config, error) {
	source := c.URL
	if source == "" {
		u := url.URL{Scheme: "postgres", User: url.UserPassword(c.User, c.Password), Path: "/" + c.Database}
		q := url.Values{"sslmode": {c.SSLMode}}
		if strings.HasPrefix(c.Host, "/") {
			q.Set("host", c.Host)
			q.Set("port", strconv.Itoa(c.Port))
		} else {
			u.Host = hostPort(c.Host, c.Port)
		}
		u.RawQuery = q.Encode()
		source = u.String()
	}
	cfg, err := pgxpool.ParseConfig(source)
	if err != nil { // its text may hold the URL with the password
		return nil, &StartError{Cause: BadConfig, Fix: "check host, port, database and sslmode of the database settings", Err: errors.New("the settings cannot be read")}
	}
	cfg.MaxConns = int32(min(c.MaxConns, 1<<15)) //nolint:gosec // bounded
	cfg.MaxConnIdleTime = 5 * time.Minute
	cfg.ConnConfig.ConnectTimeout = c.ConnectTimeout
	params := cfg.ConnConfig.RuntimeParams
	if params["application_name"] == "" {
		params["application_name"] = "sluice"
	}
	ms := strconv.FormatInt(c.StatementTimeout.Milliseconds(), 10)
	params["statement_timeout"] = ms
	params["lock_timeout"] = ms
	params["idle_in_transaction_session_timeout"] = strconv.FormatInt(2*c.StatementTimeout.Milliseconds(), 10)
	return cfg, nil
}

func hostPort(host string, port int) string {
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return host + ":" + strconv.Itoa(port)
}

// Cause says why the catalogue cannot start.
type Cause uint8

// The causes.
const (
	OtherCause      Cause = iota
	BadConfig             // the settings cannot be read
	Unreachable           // nobody answers at that address
	WrongPassword         // SQLSTATE 28P01 or 28000
	MissingDatabase       // SQLSTATE 3D000
)

// StartError is why Open failed: one line of cause, one of what to do. Neither holds a secret. errors.As finds it.
type StartError struct {
	Cause Cause
	Text  string // the cause in one line
	Fix   string // what to do, in one line
	Err   error  // for the log
}

func (e *StartError) Error() string {
	if e.Text != "" {
		return e.Text
	}
	return "PostgreSQL: " + e.Err.Error()
}

// Unwrap gives the driver's error.
func (e *StartError) Unwrap() error { return e.Err }

// Is makes a server that is away media.Unavailable, so that a start may be tried again.
func (e *StartError) Is(target error) bool {
	return target == media.Unavailable && e.Cause == Unreachable
}

// startError explains why the first connection failed.
func startError(cfg *pgxpool.Config, err error) error {
	c := cfg.ConnConfig
	at := hostPort(c.Host, int(c.Port))
	if strings.HasPrefix(c.Host, "/") {
		at = c.Host
	}
	pg, isPg := errors.AsType[*pgconn.PgError](err)
	switch {
	case isPg && (pg.Code == "28P01" || pg.Code == "28000"):
		return &StartError{
			Cause: WrongPassword, Err: err,
			Text: fmt.Sprintf("PostgreSQL at %s refuses user %q: wrong password, or no such user", at, c.User),
			Fix:  fmt.Sprintf("set DB_USER and DB_PASSWORD to what the server knows, or as its superuser: ALTER ROLE %q PASSWORD '…'", c.User),
		}
	case isPg && pg.Code == "3D000":
		return &StartError{
			Cause: MissingDatabase, Err: err,
			Text: fmt.Sprintf("PostgreSQL at %s has no database %q", at, c.Database),
			Fix:  fmt.Sprintf("create it: CREATE DATABASE %q OWNER %q; or set DB_NAME to one that exists", c.Database, c.User),
		}
	case unreachable(err):
		return &StartError{
			Cause: Unreachable, Err: err,
			Text: "PostgreSQL does not answer at " + at,
			Fix:  "start it, or set DB_HOST and DB_PORT to where it runs; DB_ENABLED=false keeps the catalogue in a file instead",
		}
	}
	return &StartError{Cause: OtherCause, Err: err, Text: "PostgreSQL at " + at + " cannot be used: " + err.Error(), Fix: "see the server's log"}
}
