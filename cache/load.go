package cache

import (
	"context"
	"fmt"
	"time"

	"sluice/media"
)

// load is one question to the source, shared by everyone who asks the same meanwhile.
type load[V any] struct {
	began time.Time
	era   uint64 // of values
	none  uint64 // of NotFound
	done  chan struct{}
	stale bool // invalidated meanwhile: not remembered. Under mu
	value V
	known bool
	err   error
}

// fetch asks the source, together with all who ask the same, since what the caller saw remembered (nil: nothing) will not do. With an
// old value to fall back on it does not wait long, nor does it fail.
func (c *Lookups[K, V]) fetch(ctx context.Context, k K, saw, old *entry[V], now time.Time) (v V, known bool, err error) {
	l := c.join(ctx, k, saw, now)
	if l == nil {
		return c.tier.Lookup(ctx, k)
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
			return old.value, true, nil
		}
		return l.value, l.known, l.err
	case <-enough:
		return old.value, true, nil
	case <-ctx.Done():
		return v, false, fmt.Errorf("cache: %s: %v: %w", c.use.Name, k, ctx.Err())
	}
}

// join takes part in the load under way, or begins one. It goes on when whoever began it leaves. Nil: the cache is closed.
func (c *Lookups[K, V]) join(ctx context.Context, k K, saw *entry[V], now time.Time) *load[V] {
	c.mu.Lock()
	defer c.mu.Unlock()
	if l, ok := c.loads[k]; ok {
		return l
	}
	if e, ok := c.entries.Get(k); ok && e != saw && e.era == c.eras.of(e.err != nil) { // a load has ended since the caller looked
		l := &load[V]{began: e.loaded, done: make(chan struct{}), value: e.value, known: true, err: e.err}
		close(l.done)
		return l
	}
	if c.closed {
		return nil
	}
	l := &load[V]{began: now, era: c.eras.of(false), none: c.eras.of(true), done: make(chan struct{})}
	c.loads[k] = l
	c.wg.Go(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.o.LoadWait)
		defer cancel()
		l.value, l.known, l.err = c.tier.Lookup(ctx, k)
		c.finish(k, l)
	})
	return l
}

// finish remembers what a load brought, unless it was overtaken by an invalidation.
func (c *Lookups[K, V]) finish(k K, l *load[V]) {
	defer close(l.done)
	missing := l.err != nil && media.KindOf(l.err) == media.NotFound
	c.say(l.err)
	c.mu.Lock()
	defer c.mu.Unlock()
	if l.stale {
		return
	}
	delete(c.loads, k)
	switch {
	case l.err == nil && !c.use.Keep(l.value):
		c.entries.Delete(k)
	case l.err == nil:
		c.entries.Set(k, &entry[V]{value: l.value, loaded: l.began, era: l.era})
	case missing:
		c.entries.Set(k, &entry[V]{err: l.err, loaded: l.began, era: l.none})
	default:
		if e, ok := c.entries.Get(k); ok {
			retry := c.o.Now().Add(retryAfter)
			e.retryAt.Store(&retry)
			e.ahead.Store(false)
		}
	}
}

// say tells once that the source fails, and once that it is back. That there is no such thing, or cannot be, is an answer.
func (c *Lookups[K, V]) say(err error) {
	if kind := media.KindOf(err); err != nil && kind != media.NotFound && kind != media.Invalid {
		if !c.away.Swap(true) {
			c.o.Logger.Warn("lookups fail; what is remembered goes on being served", "of", c.use.Name, "error", err)
		}
		return
	}
	if c.away.Load() && c.away.Swap(false) {
		c.o.Logger.Info("lookups are answered again", "of", c.use.Name)
	}
}
