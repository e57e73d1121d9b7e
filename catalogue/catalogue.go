// Package catalogue remembers what was uploaded, where it belongs and how often it was fetched. One set of $n SQL serves every engine: a
// driver brings the connection, the migrations and the few texts that differ. It decides nothing about who may do what, and never sees a
// byte of media.
package catalogue

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"sluice/media"
)

// Options are choices for a Catalogue; the zero value works.
type Options struct {
	// Now tells the time; nil is time.Now.
	Now func() time.Time

	// Changed is told the id of each asset that was changed through this Catalogue, after the commit. Counts are not told: they would
	// empty every cache of the media in use once a second.
	Changed func(media.AssetID)

	// Counted is told after each commit of counts through this Catalogue.
	Counted func()

	// Logger hears of what callers do not: reconnects, a disk that fills. nil discards.
	Logger *slog.Logger

	// SkipMigrate leaves the schema as it is when opening.
	SkipMigrate bool
}

// Log gives the logger, never nil.
func (o Options) Log() *slog.Logger {
	if o.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return o.Logger
}

// Catalogue keeps assets, where they belong, their counts and each owner's use of space. It is safe for concurrent use.
type Catalogue struct {
	engine  Engine
	texts   texts
	now     func() time.Time
	changed func(media.AssetID)
	counted func()
}

// New makes a Catalogue over an engine, and brings its schema up to date unless told to skip that. When it fails the engine is closed.
func New(ctx context.Context, e Engine, o Options) (*Catalogue, error) {
	c := &Catalogue{engine: e, texts: writeTexts(e.Dialect()), now: o.Now, changed: o.Changed, counted: o.Counted}
	if c.now == nil {
		c.now = time.Now
	}
	if c.changed == nil {
		c.changed = func(media.AssetID) {}
	}
	if c.counted == nil {
		c.counted = func() {}
	}
	if !o.SkipMigrate {
		if err := e.Migrate(ctx); err != nil {
			return nil, errors.Join(err, e.Close())
		}
	}
	return c, nil
}

// Close ends all work and closes the engine.
func (c *Catalogue) Close() error { return c.engine.Close() }

// Ping reports whether the engine answers; media.Unavailable when it does not.
func (c *Catalogue) Ping(ctx context.Context) error { return c.engine.Ping(ctx) }

// Migrate brings the schema up to date. Several nodes may call it at once.
func (c *Catalogue) Migrate(ctx context.Context) error { return c.engine.Migrate(ctx) }

// Version tells the schema's version in the database and the newest one known here.
func (c *Catalogue) Version(ctx context.Context) (current, latest int64, err error) {
	return c.engine.Version(ctx)
}

// Asset reads a row in any state; media.NotFound when missing or doomed.
func (c *Catalogue) Asset(ctx context.Context, id media.AssetID) (media.Asset, error) {
	var r row
	err := c.engine.Read(ctx, func(q Querier) error {
		var err error
		r, err = c.load(ctx, q, id)
		return err
	})
	return r.Asset, err
}

// errAgain makes write run its closure once more: another writer moved the row between the reading and the change.
var errAgain = errors.New("catalogue: the row moved meanwhile")

// write runs do in one transaction, again when it lost a race. do must therefore leave nothing behind when it is run twice.
func (c *Catalogue) write(ctx context.Context, m Mode, do func(Tx) error) error {
	for range 16 {
		if err := c.engine.Write(ctx, m, do); !errors.Is(err, errAgain) {
			return err
		}
	}
	return &media.Error{Kind: media.Unavailable, Code: "catalogue_busy", Detail: "the media is being changed by others", RetryAfter: time.Second}
}

// stamp gives the time to write into rows: whole microseconds, as both engines keep.
func (c *Catalogue) stamp() time.Time { return c.now().UTC().Truncate(time.Microsecond) }

func notFound() error { return &media.Error{Kind: media.NotFound, Detail: "no such media"} }
