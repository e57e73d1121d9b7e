// Package entities keeps the LMS's own records: products, courses with modules and lessons, users, reviews and orders. It knows what holds
// of every database they are kept in (which ids are ids, who owns a record, what an order grants, what a stranger never sees) and leaves
// the keeping to a Driver. It does not decide who may do what.
package entities

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"sluice/media"
)

// Options are choices of Records. The zero value works.
type Options struct {
	Now    func() time.Time // nil: time.Now
	Logger *slog.Logger     // nil: discards

	// Changed is told of each entity after a write of it, be it one that failed and may have come through, and of each that the database
	// says others wrote. Nil: nobody is.
	Changed func(media.Subject)
}

// Records are the LMS's records in one database.
type Records struct {
	driver    Driver
	o         Options
	untouched atomic.Bool // as far as is known; false is for good
}

// New makes Records over a driver, which they own from then on.
func New(ctx context.Context, d Driver, o Options) (*Records, error) {
	if d == nil {
		return nil, errors.New("entities: no driver")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Changed == nil {
		o.Changed = func(media.Subject) {}
	}
	r := &Records{driver: d, o: o}
	if u, ok := d.(Untouched); ok {
		untouched, err := u.Untouched(ctx)
		if err != nil {
			return nil, fmt.Errorf("entities: %w", err)
		}
		r.untouched.Store(untouched)
	}
	return r, nil
}

// Trusting reports that no LMS keeps its records here: the store is the gateway's own, and nothing was ever written to it. Then ids of
// entities are taken on trust. What cannot be known is not trusted.
func (r *Records) Trusting(ctx context.Context) bool {
	if !r.untouched.Load() {
		return false
	}
	u, ok := r.driver.(Untouched)
	if !ok {
		return false
	}
	untouched, err := u.Untouched(ctx)
	if err != nil {
		return false
	}
	if !untouched {
		r.untouched.Store(false)
	}
	return untouched
}

// Ping reports whether the database can be asked; media.Unavailable when it cannot.
func (r *Records) Ping(ctx context.Context) error { return wrap("ping", r.driver.Ping(ctx)) }

// Version names the database in a few words: "MongoDB 7.0.2", "embedded".
func (r *Records) Version(ctx context.Context) (string, error) {
	name, err := r.driver.Version(ctx)
	return name, wrap("version", err)
}

// Close closes the driver.
func (r *Records) Close() error { return wrap("close", r.driver.Close()) }

// againAfter is how long Run waits before it asks a database again that stopped telling.
const againAfter = time.Second

// Run hears what other programs write, where the database tells, until ctx ends.
func (r *Records) Run(ctx context.Context) error {
	w, ok := r.driver.(Watcher)
	if !ok {
		<-ctx.Done()
		return nil
	}
	again := time.NewTicker(againAfter)
	defer again.Stop()
	deaf := false
	for {
		began := time.Now()
		err := w.Watch(ctx, r.o.Changed)
		deaf = deaf && time.Since(began) < againAfter // it heard for a while, in between
		if errors.Is(err, errors.ErrUnsupported) {
			<-ctx.Done()
		}
		if ctx.Err() != nil {
			return nil
		}
		if !deaf {
			r.o.Logger.Warn("changes of the LMS's database are not heard for now", slog.Any("error", err))
			deaf = true
		}
		select {
		case <-ctx.Done():
			return nil
		case <-again.C:
		}
	}
}

// wrap says what was being done. What change and the rules here refuse passes as it is.
func wrap(doing string, err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*media.Error](err); ok && e.Err == nil {
		return err
	}
	return fmt.Errorf("entities: %s: %w", doing, err)
}

// recorded are the types of which there are records.
func recorded(t media.SubjectType) bool {
	switch t {
	case media.Product, media.Course, media.User, media.Review, media.Order:
		return true
	case media.Lesson, media.Page:
	}
	return false
}

// key checks what names a record before any driver sees it.
func key(s media.Subject) (Key, error) {
	if !recorded(s.Type) {
		return Key{}, &media.Error{Kind: media.Invalid, Code: "bad_type", Detail: "there are no records of this type"}
	}
	return Key{Subject: s}, checkID(s.ID)
}

func checkID(id string) error {
	if media.ValidEntityID(id) {
		return nil
	}
	return &media.Error{Kind: media.Invalid, Code: "bad_id", Detail: "an id of an entity is 24 lower-case hex digits"}
}

func missing(t media.SubjectType) error {
	return &media.Error{Kind: media.NotFound, Detail: "there is no such " + string(t)}
}

func stale() error {
	return &media.Error{Kind: media.PreconditionFailed, Detail: "it has been changed since that version"}
}
