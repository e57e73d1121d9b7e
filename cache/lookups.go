// Package cache remembers lookups, of assets and of all else that is asked for again and again: memory in front of a source, which may be a
// tier that nodes share. It does not know where the source reads nor how nodes talk to each other, and promises what cachetest checks.
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
)

// Tier is asked for what is not remembered here. known: the answer came from what is remembered there, and nobody else was asked.
// media.NotFound when there is no such thing.
type Tier[K comparable, V any] interface {
	Lookup(ctx context.Context, k K) (v V, known bool, err error)
}

// Source is a Tier that remembers nothing: a question to whoever keeps the values.
type Source[K comparable, V any] func(ctx context.Context, k K) (V, error)

// Lookup asks the source.
func (s Source[K, V]) Lookup(ctx context.Context, k K) (V, bool, error) {
	v, err := s(ctx, k)
	return v, false, err
}

// behind is what remembers for a source, when that does, or else the source.
func behind[K comparable, V any](source any, ask Source[K, V]) Tier[K, V] {
	if tier, ok := source.(Tier[K, V]); ok {
		return tier
	}
	return ask
}

// Use is what is remembered. The zero value is a use of anything.
type Use[K comparable, V any] struct {
	Name  string         // what the values are called in the log: "assets"
	Keep  func(V) bool   // whether a value may be remembered; nil: each may
	Weigh func(K, V) int // how much of Options.Size a value takes, NotFound's is the zero value; nil: 1
}

func (u *Use[K, V]) complete() {
	if u.Name == "" {
		u.Name = "values"
	}
	if u.Keep == nil {
		u.Keep = func(V) bool { return true }
	}
}

// Options are choices of what remembers. The zero value works.
type Options struct {
	// Hears reports whether what others change is heard of now, through Invalidate and Expire; nil: there are no others. While it is not,
	// values are served for deafFor at most.
	Hears func(now time.Time) bool

	Size      int           // values remembered at most, or what they weigh, see Use; 0: 65,536
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

// Lookups remembers values of one use. What it gives is shared and must not be changed: slices and maps in a value are those of everybody.
type Lookups[K comparable, V any] struct {
	tier    Tier[K, V]
	use     Use[K, V]
	o       Options
	entries *memory.Map[K, *entry[V]]
	eras    eras
	away    atomic.Bool // the source failed last, which was said

	mu     sync.Mutex // orders storing after a load with Invalidate and Expire
	loads  map[K]*load[V]
	closed bool
	wg     sync.WaitGroup
}

// eras are moved on by Expire; what is of an earlier one is read again before it is served.
type eras struct{ values, missing atomic.Uint64 }

// of gives the era of a value, or of NotFound.
func (e *eras) of(missing bool) uint64 {
	if missing {
		return e.missing.Load()
	}
	return e.values.Load()
}

// entry is a value remembered. Only what is atomic changes.
type entry[V any] struct {
	value   V
	err     error // NotFound, or nil
	loaded  time.Time
	era     uint64
	ahead   atomic.Bool               // it is being read again while it is still good
	retryAt atomic.Pointer[time.Time] // the source has failed since: not asked before then
}

// NewLookups makes a cache in front of a tier.
func NewLookups[K comparable, V any](tier Tier[K, V], use Use[K, V], o Options) (*Lookups[K, V], error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	use.complete()
	var weigh func(K, *entry[V]) int
	if use.Weigh != nil {
		weigh = func(k K, e *entry[V]) int { return use.Weigh(k, e.value) }
	}
	entries, err := memory.New(o.Size, weigh)
	if err != nil {
		return nil, fmt.Errorf("cache: %w", err)
	}
	return &Lookups[K, V]{tier: tier, use: use, o: o, entries: entries, loads: make(map[K]*load[V])}, nil
}

// Lookup gives a value as the source has it, or had it at most TTL ago. Half way there it is read again behind the reader's back, so that
// who asks for one in use does not wait. When the source is away the last known value is given, up to StaleFor old. What may not be kept is
// always read anew. known: the source was not asked for it, or only what remembers of it.
func (c *Lookups[K, V]) Lookup(ctx context.Context, k K) (v V, known bool, err error) {
	now := c.o.Now()
	e, ok := c.hit(ctx, k, now)
	if ok {
		return e.value, true, e.err
	}
	return c.renew(ctx, k, e, now)
}

// hit gives what is remembered, and whether it may be served as it is.
func (c *Lookups[K, V]) hit(ctx context.Context, k K, now time.Time) (*entry[V], bool) {
	e, ok := c.entries.Get(k)
	return e, ok && c.good(ctx, k, e, now)
}

// good reports whether a value may be served as it is, and has it read again when it will soon no longer be.
func (c *Lookups[K, V]) good(ctx context.Context, k K, e *entry[V], now time.Time) bool {
	if e.era != c.eras.of(e.err != nil) {
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
		c.join(ctx, k, e, now)
	}
	return true
}

// resting reports whether the source has failed for this value and is left alone for now.
func (e *entry[V]) resting(now time.Time) bool {
	at := e.retryAt.Load()
	return at != nil && now.Before(*at)
}

// renew reads what is not remembered (nil), or no longer good.
func (c *Lookups[K, V]) renew(ctx context.Context, k K, e *entry[V], now time.Time) (V, bool, error) {
	if e == nil || e.err != nil || now.Sub(e.loaded) >= c.o.StaleFor {
		return c.fetch(ctx, k, e, nil, now)
	}
	if e.resting(now) {
		return e.value, true, nil
	}
	return c.fetch(ctx, k, e, e, now)
}

// Invalidate forgets a value. A read that begins afterwards does not see what the source held before.
func (c *Lookups[K, V]) Invalidate(k K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if l, ok := c.loads[k]; ok {
		l.stale = true
		delete(c.loads, k)
	}
	c.entries.Delete(k)
}

// Knows reports whether something is remembered of a key.
func (c *Lookups[K, V]) Knows(k K) bool {
	_, ok := c.entries.Get(k)
	return ok
}

// Preload looks a value up behind everybody's back when nothing is remembered of it. What was known before an Invalidate and is in use is
// so known again before the source can go away.
func (c *Lookups[K, V]) Preload(ctx context.Context, k K) {
	if !c.Knows(k) {
		c.join(ctx, k, nil, c.o.Now())
	}
}

// Expire makes the source be asked again about everything: changes may have been missed. What is known stays the last known value for a
// source that is away.
func (c *Lookups[K, V]) Expire() {
	c.eras.values.Add(1)
	c.expireMissing()
}

// expireMissing is Expire for what was NotFound: something may have come. What loads under way will bring may be NotFound too, or of an
// earlier era.
func (c *Lookups[K, V]) expireMissing() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.eras.missing.Add(1)
	for _, l := range c.loads {
		l.stale = true
	}
	clear(c.loads)
}

// Close waits for the questions under way. Reads afterwards go to the source.
func (c *Lookups[K, V]) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.wg.Wait()
	c.entries.Close()
	return nil
}
