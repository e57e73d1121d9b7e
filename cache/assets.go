// Package cache remembers lookups of assets: memory in front of a source, which may be a tier that nodes share. It does not know where the
// source reads nor how nodes talk to each other, and promises what cachetest checks.
package cache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"sluice/cache/memory"
	"sluice/media"
)

// Source looks an asset up; media.NotFound when missing or deleted.
type Source interface {
	Asset(ctx context.Context, id media.AssetID) (media.Asset, error)
}

// Tier is a Source that remembers as well. known: the answer came from what is remembered, and nobody else was asked.
type Tier interface {
	Source
	Lookup(ctx context.Context, id media.AssetID) (a media.Asset, known bool, err error)
}

// Options are choices of Assets. The zero value works.
type Options struct {
	// Hears reports whether what others change is heard of now, through Invalidate and Expire; nil: there are no others. While it is not,
	// values are served for deafFor at most.
	Hears func(now time.Time) bool

	Size      int           // assets remembered at most; 0: 65,536
	TTL       time.Duration // a value older than this is read again before it is served; 0: 5 seconds
	MissFor   time.Duration // how long NotFound is remembered; 0: 1 second
	StaleFor  time.Duration // how old a value may get while the source is away; 0: 24 hours
	StaleWait time.Duration // how long a read waits for a source that does not answer before it takes the old value; 0: 250 ms
	LoadWait  time.Duration // how long the source has for an answer; 0: 5 seconds
	Now       func() time.Time
	Logger    *slog.Logger
}

const (
	// retryAfter is how long a source that failed is left alone when there is a value to serve.
	retryAfter = time.Second

	// deafFor is how long a value is good while nobody would tell of its change: a flip of isPublic holds on every node within a second.
	deafFor = time.Second
)

func (o *Options) complete() error {
	for d, value := range map[*time.Duration]time.Duration{
		&o.TTL: 5 * time.Second, &o.MissFor: time.Second, &o.StaleFor: 24 * time.Hour, &o.StaleWait: 250 * time.Millisecond, &o.LoadWait: 5 * time.Second,
	} {
		if *d < 0 {
			return errors.New("cache: a negative duration")
		}
		if *d == 0 {
			*d = value
		}
	}
	if o.Size == 0 {
		o.Size = 1 << 16
	}
	if o.Hears == nil {
		o.Hears = func(time.Time) bool { return true }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Assets remembers assets. What it gives is shared: the slices in an asset must not be changed.
type Assets struct {
	ask     func(ctx context.Context, id media.AssetID) (a media.Asset, known bool, err error)
	o       Options
	entries *memory.Map[media.AssetID, *entry]
	era     atomic.Uint64 // moved on by Expire; what is of an earlier one is read again before it is served
	away    atomic.Bool   // the source failed last, which was said

	mu     sync.Mutex // orders storing after a load with Invalidate and Expire
	loads  map[media.AssetID]*load
	closed bool
	wg     sync.WaitGroup
}

// entry is a value remembered. Only what is atomic changes.
type entry struct {
	asset   media.Asset
	err     error // NotFound, or nil
	loaded  time.Time
	era     uint64
	ahead   atomic.Bool               // it is being read again while it is still good
	retryAt atomic.Pointer[time.Time] // the source has failed since: not asked before then
}

// NewAssets makes a cache in front of a source.
func NewAssets(source Source, o Options) (*Assets, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	entries, err := memory.New[media.AssetID, *entry](o.Size)
	if err != nil {
		return nil, fmt.Errorf("cache: %w", err)
	}
	c := &Assets{o: o, entries: entries, loads: make(map[media.AssetID]*load)}
	if tier, ok := source.(Tier); ok {
		c.ask = tier.Lookup
	} else {
		c.ask = func(ctx context.Context, id media.AssetID) (media.Asset, bool, error) {
			a, err := source.Asset(ctx, id)
			return a, false, err
		}
	}
	return c, nil
}

// Asset gives an asset as the source has it, or had it at most TTL ago. Half way there it is read again behind the reader's back, so that
// who asks for one in use does not wait. When the source is away the last known value is given, up to StaleFor old. Assets that are still
// uploading are always read anew.
func (c *Assets) Asset(ctx context.Context, id media.AssetID) (media.Asset, error) {
	now := c.o.Now()
	e, ok := c.entries.Get(id)
	if ok && c.good(ctx, id, e, now) {
		return e.asset, e.err
	}
	a, _, err := c.renew(ctx, id, e, now)
	return a, err
}

// Lookup is Asset, and tells whether the answer was known: the source was not asked for it, or only what remembers of it.
func (c *Assets) Lookup(ctx context.Context, id media.AssetID) (a media.Asset, known bool, err error) {
	now := c.o.Now()
	e, ok := c.entries.Get(id)
	if ok && c.good(ctx, id, e, now) {
		return e.asset, true, e.err
	}
	return c.renew(ctx, id, e, now)
}

// good reports whether a value may be served as it is, and has it read again when it will soon no longer be.
func (c *Assets) good(ctx context.Context, id media.AssetID, e *entry, now time.Time) bool {
	if e.era != c.era.Load() {
		return false
	}
	age := now.Sub(e.loaded)
	if e.err != nil {
		return age < c.o.MissFor
	}
	fresh := c.o.TTL
	if fresh > deafFor && !c.o.Hears(now) {
		fresh = deafFor
	}
	if age >= fresh {
		return false
	}
	if age >= fresh/2 && !e.resting(now) && e.ahead.CompareAndSwap(false, true) {
		c.join(ctx, id, e, now)
	}
	return true
}

// resting reports whether the source has failed for this value and is left alone for now.
func (e *entry) resting(now time.Time) bool {
	at := e.retryAt.Load()
	return at != nil && now.Before(*at)
}

// renew reads what is not remembered (nil), or no longer good.
func (c *Assets) renew(ctx context.Context, id media.AssetID, e *entry, now time.Time) (media.Asset, bool, error) {
	if e == nil || e.err != nil || now.Sub(e.loaded) >= c.o.StaleFor {
		return c.fetch(ctx, id, e, nil, now)
	}
	if e.resting(now) {
		return e.asset, true, nil
	}
	return c.fetch(ctx, id, e, e, now)
}

// Invalidate forgets an asset. A read that begins afterwards does not see what the source held before.
func (c *Assets) Invalidate(id media.AssetID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if l, ok := c.loads[id]; ok {
		l.stale = true
		delete(c.loads, id)
	}
	c.entries.Delete(id)
}

// Knows reports whether something is remembered of an asset.
func (c *Assets) Knows(id media.AssetID) bool {
	_, ok := c.entries.Get(id)
	return ok
}

// Preload looks an asset up behind everybody's back when nothing is remembered of it. What was known before an Invalidate and is in use is
// so known again before the source can go away.
func (c *Assets) Preload(ctx context.Context, id media.AssetID) {
	if !c.Knows(id) {
		c.join(ctx, id, nil, c.o.Now())
	}
}

// Expire makes the source be asked again about everything: changes may have been missed. What is known stays the last known value for a
// source that is away.
func (c *Assets) Expire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.era.Add(1)
	for _, l := range c.loads {
		l.stale = true
	}
	clear(c.loads)
}

// Close waits for the questions under way. Reads afterwards go to the source.
func (c *Assets) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.wg.Wait()
	c.entries.Close()
	return nil
}
