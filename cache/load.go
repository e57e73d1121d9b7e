package cache

import (
	"context"
	"fmt"
	"time"

	"sluice/media"
)

// load is one question to the source, shared by everyone who asks the same meanwhile.
type load struct {
	began time.Time
	era   uint64
	done  chan struct{}
	stale bool // invalidated meanwhile: not remembered. Under mu
	asset media.Asset
	known bool
	err   error
}

// fetch asks the source, together with all who ask the same, since what the caller saw remembered (nil: nothing) will not do. With an
// old value to fall back on it does not wait long, nor does it fail.
func (c *Assets) fetch(ctx context.Context, id media.AssetID, saw, old *entry, now time.Time) (a media.Asset, known bool, err error) {
	l := c.join(ctx, id, saw, now)
	if l == nil {
		return c.ask(ctx, id)
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
			return old.asset, true, nil
		}
		return l.asset, l.known, l.err
	case <-enough:
		return old.asset, true, nil
	case <-ctx.Done():
		return media.Asset{}, false, fmt.Errorf("cache: asset %s: %w", id, ctx.Err())
	}
}

// join takes part in the load under way, or begins one. It goes on when whoever began it leaves. Nil: the cache is closed.
func (c *Assets) join(ctx context.Context, id media.AssetID, saw *entry, now time.Time) *load {
	c.mu.Lock()
	defer c.mu.Unlock()
	if l, ok := c.loads[id]; ok {
		return l
	}
	if e, ok := c.entries.Get(id); ok && e != saw && e.era == c.era.Load() { // a load has ended since the caller looked
		l := &load{began: e.loaded, done: make(chan struct{}), asset: e.asset, known: true, err: e.err}
		close(l.done)
		return l
	}
	if c.closed {
		return nil
	}
	l := &load{began: now, era: c.era.Load(), done: make(chan struct{})}
	c.loads[id] = l
	c.wg.Go(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.o.LoadWait)
		defer cancel()
		l.asset, l.known, l.err = c.ask(ctx, id)
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
		c.entries.Set(id, &entry{asset: l.asset, loaded: l.began, era: l.era})
	case missing:
		c.entries.Set(id, &entry{err: l.err, loaded: l.began, era: l.era})
	default:
		if e, ok := c.entries.Get(id); ok {
			retry := c.o.Now().Add(retryAfter)
			e.retryAt.Store(&retry)
			e.ahead.Store(false)
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
