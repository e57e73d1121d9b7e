// Package cachetest is the contract of a cache: whatever remembers lookups passes Run, whatever it is that it remembers.
package cachetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sluice/media"
)

// Cache is what is tested. Read is Lookup without the word on what was known.
type Cache[K comparable, V any] interface {
	Read(ctx context.Context, k K) (V, error)
	Lookup(ctx context.Context, k K) (v V, known bool, err error)
	Invalidate(k K)
	Expire()
	Close() error
}

// Use is what the cache under test remembers.
type Use[K comparable, V any] struct {
	Key      func(n byte) K // another for each n
	Value    func(k K, version int64) V
	Version  func(k K, v V) (int64, error) // an error when v is no value of k
	Fleeting func(v V) V                   // makes of a value one that must not be remembered; nil: there are none
}

// Settings are what a cache under test works by.
type Settings struct {
	TTL, MissFor, StaleFor time.Duration
	Now                    func() time.Time
	Hears                  func(time.Time) bool
}

// Tiered is a Cache with a tier between memory and the source, whose clock is not the suite's. Forgotten: the tier has been told to forget
// a value, or its time has passed there, and memory knows nothing of it.
type Tiered[K comparable, V any] interface {
	Cache[K, V]
	Forgotten(k K)
}

// Open makes a new, empty cache in front of a source; one with a tier is Tiered.
type Open[K comparable, V any] func(t testing.TB, source *Source[K, V], s Settings) Cache[K, V]

// Source holds values for the tests, counts the questions, and can be made to fail or to wait.
type Source[K comparable, V any] struct {
	mu     sync.Mutex
	values map[K]V
	err    error
	loads  int
	gate   func() // called in each load, after the value was read
}

// Load reads a value.
func (s *Source[K, V]) Load(ctx context.Context, k K) (V, error) {
	s.mu.Lock()
	s.loads++
	v, ok := s.values[k]
	err, gate := s.err, s.gate
	s.mu.Unlock()
	if gate != nil {
		gate()
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	} else if err == nil && !ok {
		err = media.Errorf(media.NotFound, "no such thing")
	}
	if err != nil {
		var none V
		return none, err
	}
	return v, nil
}

func (s *Source[K, V]) put(k K, v V) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.values[k] = v
}

func (s *Source[K, V]) remove(k K) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.values, k)
}

func (s *Source[K, V]) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *Source[K, V]) wait(gate func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gate = gate
}

func (s *Source[K, V]) asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.loads
}

// bench is a cache, its source and its clock.
type bench[K comparable, V any] struct {
	Cache[K, V]
	use    Use[K, V]
	source *Source[K, V]
	mu     sync.Mutex
	now    time.Time
	deaf   bool
}

const (
	ttl      = 5 * time.Second
	missFor  = time.Second
	staleFor = time.Hour
	deafFor  = time.Second // what a value may live while changes are not heard of
)

func setup[K comparable, V any](t testing.TB, use Use[K, V], open Open[K, V]) *bench[K, V] {
	b := &bench[K, V]{use: use, source: &Source[K, V]{values: map[K]V{}}, now: time.Unix(1_700_000_000, 0)}
	b.Cache = open(t, b.source, Settings{TTL: ttl, MissFor: missFor, StaleFor: staleFor, Now: b.clock, Hears: b.hears})
	return b
}

func (b *bench[K, V]) key() K { return b.use.Key(1) }

// holds gives the source a version of a value.
func (b *bench[K, V]) holds(k K, version int64) { b.source.put(k, b.use.Value(k, version)) }

// changes makes what another node has changed, without a word to this one.
func (b *bench[K, V]) changes(k K, version int64) {
	b.holds(k, version)
	b.forgotten(k)
}

func (b *bench[K, V]) forgotten(k K) {
	if c, ok := b.Cache.(Tiered[K, V]); ok {
		c.Forgotten(k)
	}
}

func (b *bench[K, V]) clock() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now
}

func (b *bench[K, V]) hears(time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.deaf
}

func (b *bench[K, V]) deafen() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.deaf = true
}

func (b *bench[K, V]) pass(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now = b.now.Add(d)
}

// read gives the version of a value.
func (b *bench[K, V]) read(ctx context.Context, k K) (int64, error) {
	v, err := b.Read(ctx, k)
	if err != nil {
		return 0, err
	}
	return b.use.Version(k, v)
}

// sees checks what a read gives: a version, or an error of a kind when that is 0.
func (b *bench[K, V]) sees(ctx context.Context, k K, want int64, kind media.Kind) error {
	got, err := b.read(ctx, k)
	switch {
	case want == 0 && !errors.Is(err, kind):
		return fmt.Errorf("a read gives version %d, %w, want %w", got, err, kind)
	case want != 0 && (err != nil || got != want):
		return fmt.Errorf("a read gives version %d, %w, want version %d", got, err, want)
	}
	return nil
}

func (b *bench[K, V]) asked(n int) error {
	if got := b.source.asked(); got != n {
		return fmt.Errorf("the source was asked %d times, want %d", got, n)
	}
	return nil
}

// Promise is one sentence of the contract.
type Promise[K comparable, V any] struct {
	Name string
	Keep func(ctx context.Context, b *bench[K, V]) error
}

// Run checks every promise.
func Run[K comparable, V any](t *testing.T, use Use[K, V], open Open[K, V]) {
	t.Helper()
	for _, p := range Promises(use) {
		t.Run(p.Name, func(t *testing.T) {
			t.Parallel()
			if err := p.Check(t, use, open); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("whatever the order, an invalidated value is never seen again", func(t *testing.T) {
		t.Parallel()
		Interleave(t, use, open)
	})
}

// Check tells how a cache breaks the promise; nil when it keeps it.
func (p Promise[K, V]) Check(t testing.TB, use Use[K, V], open Open[K, V]) (err error) {
	b := setup(t, use, open)
	defer func() { err = errors.Join(err, b.Close()) }()
	return p.Keep(t.Context(), b)
}

// first does steps until one fails.
func first(steps ...func() error) error {
	for i, step := range steps {
		if err := step(); err != nil {
			return fmt.Errorf("step %d: %w", i+1, err)
		}
	}
	return nil
}

// Interleave lets reads, writes with their invalidation or an Expire, and time overlap in every way, and checks that a read never gives
// less than what was invalidated before it began.
func Interleave[K comparable, V any](t *testing.T, use Use[K, V], open Open[K, V]) {
	t.Helper()
	rapid.Check(t, func(rt *rapid.T) {
		b := setup(t, use, open)
		k := b.key()
		b.holds(k, 1)
		var version, settled int64 = 1, 1
		var held []chan struct{}
		var gateMu sync.Mutex
		entered := make(chan struct{}, 1000)
		b.source.wait(func() {
			gate := make(chan struct{})
			gateMu.Lock()
			held = append(held, gate)
			gateMu.Unlock()
			entered <- struct{}{}
			<-gate
		})
		var readers sync.WaitGroup
		release := func() {
			gateMu.Lock()
			defer gateMu.Unlock()
			for _, g := range held {
				close(g)
			}
			held = nil
		}
		read := func() {
			least := settled
			done := make(chan struct{})
			readers.Go(func() {
				defer close(done)
				if v, err := b.read(t.Context(), k); err != nil || v < least {
					rt.Errorf("a read gave version %d, %v after version %d was invalidated", v, err, least-1)
				}
			})
			select { // either it was answered from memory, or it waits for the source
			case <-done:
			case <-entered:
			case <-time.After(time.Millisecond): // it joined a load under way
			}
		}
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			switch rapid.SampledFrom([]string{"read", "read", "change", "missed", "release", "time", "half"}).Draw(rt, "step") {
			case "read":
				read()
			case "change":
				version++
				b.holds(k, version)
				b.Invalidate(k)
				settled = version
			case "missed": // the message of a change was lost, and that is known
				version++
				b.changes(k, version)
				b.Expire()
				settled = version
			case "release":
				release()
			case "time":
				b.pass(ttl)
			case "half":
				b.pass(ttl / 2)
			}
		}
		b.source.wait(nil)
		release()
		closed := make(chan struct{})
		defer func() {
			_ = b.Close()
			close(closed)
		}()
		go func() { // what came to the gate after that, such as the second question of a read that needs two
			for {
				select {
				case <-entered:
					release()
				case <-closed:
					return
				}
			}
		}()
		readers.Wait()
		for _, where := range []string{"memory", "what is behind it"} {
			if v, err := b.read(t.Context(), k); err != nil || v < settled {
				rt.Errorf("at rest in %s: version %d, %v, want %d", where, v, err, settled)
			}
			b.Expire()
		}
	})
}
