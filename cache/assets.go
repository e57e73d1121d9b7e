// Package cache remembers lookups of assets: memory in front of a source. It does not know where the source reads, and promises what
// cachetest checks.
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

// Options are choices of Assets. The zero value works.
type Options struct {
	Size      int           // assets remembered at most; 0: 65,536
	TTL       time.Duration // a value older than this is read again before it is served; 0: 5 seconds
	MissFor   time.Duration // how long NotFound is remembered; 0: 1 second
	StaleFor  time.Duration // how old a value may get while the source is away; 0: 24 hours
	StaleWait time.Duration // how long a read waits for a source that does not answer before it takes the old value; 0: 250 ms
	LoadWait  time.Duration // how long the source has for an answer; 0: 5 seconds
	Now       func() time.Time
	Logger    *slog.Logger
}

// retryAfter is how long a source that failed is left alone when there is a value to serve.
const retryAfter = time.Second

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
	source  Source
	o       Options
	entries *memory.Map[media.AssetID, *entry]
	away    atomic.Bool // the source failed last, which was said

	mu     sync.Mutex // orders storing after a load with Invalidate
	loads  map[media.AssetID]*load
	closed bool
	wg     sync.WaitGroup
}

// entry is a value remembered. Only retryAt changes.
type entry struct {
	asset   media.Asset
	err     error // NotFound, or nil
	loaded  time.Time
	retryAt atomic.Pointer[time.Time] // the source has failed since: not asked before then
}

// load is one question to the source, shared by everyone who asks the same meanwhile.
type load struct {
	began time.Time
	done  chan struct{}
	stale bool // invalidated meanwhile: not remembered. Under mu
	asset media.Asset
	err   error
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
	return &Assets{source: source, o: o, entries: entries, loads: make(map[media.AssetID]*load)}, nil
}

// Asset gives an asset as the source has it, or had it at most TTL ago. When the source is away the last known value is given, up to
// StaleFor old. Assets that are still uploading are always read anew.
func (c *Assets) Asset(ctx context.Context, id media.AssetID) (media.Asset, error) {
	now := c.o.Now()
	e, ok := c.entries.Get(id)
	if !ok {
		return c.fetch(ctx, id, nil, nil, now)
	}
	age := now.Sub(e.loaded)
	if e.err != nil {
		if age < c.o.MissFor {
			return media.Asset{}, e.err
		}
		return c.fetch(ctx, id, e, nil, now)
	}
	if age < c.o.TTL {
		return e.asset, nil
	}
	if age >= c.o.StaleFor {
		return c.fetch(ctx, id, e, nil, now)
	}
	if at := e.retryAt.Load(); at != nil && now.Before(*at) {
		return e.asset, nil
	}
	return c.fetch(ctx, id, e, e, now)
}

// fetch asks the source, together with all who ask the same, since what the caller saw remembered (nil: nothing) will not do. With an
// old value to fall back on it does not wait long, nor does it fail.
func (c *Assets) fetch(ctx context.Context, id media.AssetID, saw, old *entry, now time.Time) (media.Asset, error) {
	l := c.join(ctx, id, saw, now)
	if l == nil {
		return c.source.Asset(ctx, id)
	}
	var enough <-chan time.Time
	if old != nil {
		timer := time.NewTimer(max(c.o.StaleWait-now.Sub(l.began), 0))
		defer timer.Stop()
		enough = timer.C
	}
	select {
	case <-l.done:
		if l.err != nil && old != nil && media.KindOf(l.err) != media.NotFound {
			return old.asset, nil
		}
		return l.asset, l.err
	case <-enough:
		return old.asset, nil
	case <-ctx.Done():
		return media.Asset{}, fmt.Errorf("cache: asset %s: %w", id, ctx.Err())
	}
}

// join takes part in the load under way, or begins one. It goes on when whoever began it leaves. Nil: the cache is closed.
func (c *Assets) join(ctx context.Context, id media.AssetID, saw *entry, now time.Time) *load {
	c.mu.Lock()
	defer c.mu.Unlock()
	if l, ok := c.loads[id]; ok {
		return l
	}
	if e, ok := c.entries.Get(id); ok && e != saw { // a load has ended since the caller looked
		l := &load{began: e.loaded, done: make(chan struct{}), asset: e.asset, err: e.err}
		close(l.done)
		return l
	}
	if c.closed {
		return nil
	}
	l := &load{began: now, done: make(chan struct{})}
	c.loads[id] = l
	c.wg.Go(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.o.LoadWait)
		defer cancel()
		l.asset, l.err = c.source.Asset(ctx, id)
		c.finish(id, l)
	})
	return l
}

// finish remembers what a load brought, unless it was overtaken by an invalidation.
func (c *Assets) finish(id media.AssetID, l *load) {
	defer close(l.done)
	missing := l.err != nil && media.KindOf(l.err) == media.NotFound
	c.say(l.err, missing)
	c.mu.Lock()
	defer c.mu.Unlock()
	if l.stale {
		return
	}
	delete(c.loads, id)
	switch {
	case l.err == nil && l.asset.State == media.Uploading:
		c.entries.Delete(id)
	case l.err == nil:
		c.entries.Set(id, &entry{asset: l.asset, loaded: l.began})
	case missing:
		c.entries.Set(id, &entry{err: l.err, loaded: l.began})
	default:
		if e, ok := c.entries.Get(id); ok {
			retry := c.o.Now().Add(retryAfter)
			e.retryAt.Store(&retry)
		}
	}
}

// say tells once that the source fails, and once that it is back.
func (c *Assets) say(err error, missing bool) {
	if err != nil && !missing {
		if !c.away.Swap(true) {
			c.o.Logger.Warn("assets cannot be looked up; what is remembered goes on being served", "error", err)
		}
		return
	}
	if c.away.Load() && c.away.Swap(false) {
		c.o.Logger.Info("assets are looked up again")
	}
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

// Close waits for the questions under way. Reads afterwards go to the source.
func (c *Assets) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.wg.Wait()
	c.entries.Close()
	return nil
}
