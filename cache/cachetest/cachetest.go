// Package cachetest is the contract of a cache of assets: whatever remembers lookups passes Run.
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

// Cache is what is tested.
type Cache interface {
	Asset(ctx context.Context, id media.AssetID) (media.Asset, error)
	Lookup(ctx context.Context, id media.AssetID) (a media.Asset, known bool, err error)
	Invalidate(id media.AssetID)
	Expire()
	Close() error
}

// Settings are what a cache under test works by.
type Settings struct {
	TTL, MissFor, StaleFor time.Duration
	Now                    func() time.Time
	Hears                  func(time.Time) bool
}

// Tiered is a Cache with a tier between memory and the source, whose clock is not the suite's. Forgotten: the tier has been told to forget
// an asset, or its time has passed there, and memory knows nothing of it.
type Tiered interface {
	Cache
	Forgotten(id media.AssetID)
}

// Open makes a new, empty cache in front of a source; one with a tier is Tiered.
type Open func(t testing.TB, source *Source, s Settings) Cache

// Source is a catalogue for the tests: it holds assets, counts the questions, and can be made to fail or to wait.
type Source struct {
	mu     sync.Mutex
	assets map[media.AssetID]media.Asset
	err    error
	loads  int
	gate   func() // called in each load, after the value was read
}

// Asset reads an asset.
func (s *Source) Asset(ctx context.Context, id media.AssetID) (media.Asset, error) {
	s.mu.Lock()
	s.loads++
	a, ok := s.assets[id]
	err, gate := s.err, s.gate
	s.mu.Unlock()
	if gate != nil {
		gate()
	}
	switch {
	case ctx.Err() != nil:
		return media.Asset{}, ctx.Err()
	case err != nil:
		return media.Asset{}, err
	case !ok:
		return media.Asset{}, media.Errorf(media.NotFound, "no such media")
	}
	return a, nil
}

func (s *Source) put(a media.Asset) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.assets[a.ID] = a
}

func (s *Source) remove(id media.AssetID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.assets, id)
}

func (s *Source) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *Source) wait(gate func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gate = gate
}

func (s *Source) asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.loads
}

// bench is a cache, its source and its clock.
type bench struct {
	Cache
	source *Source
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

func setup(t testing.TB, open Open) *bench {
	b := &bench{source: &Source{assets: map[media.AssetID]media.Asset{}}, now: time.Unix(1_700_000_000, 0)}
	b.Cache = open(t, b.source, Settings{TTL: ttl, MissFor: missFor, StaleFor: staleFor, Now: b.clock, Hears: b.hears})
	return b
}

// changes makes what another node has changed, without a word to this one.
func (b *bench) changes(a media.Asset) {
	b.source.put(a)
	b.forgotten(a.ID)
}

func (b *bench) forgotten(id media.AssetID) {
	if c, ok := b.Cache.(Tiered); ok {
		c.Forgotten(id)
	}
}

func (b *bench) clock() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now
}

func (b *bench) hears(time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.deaf
}

func (b *bench) deafen() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.deaf = true
}

func (b *bench) pass(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now = b.now.Add(d)
}

// sees checks what a read gives: an asset of a version, or an error of a kind when version is 0.
func (b *bench) sees(ctx context.Context, id media.AssetID, version int64, kind media.Kind) error {
	a, err := b.Asset(ctx, id)
	switch {
	case version == 0 && !errors.Is(err, kind):
		return fmt.Errorf("Asset = version %d, %w, want %w", a.Version, err, kind)
	case version != 0 && (err != nil || a.Version != version || a.ID != id):
		return fmt.Errorf("Asset = version %d, %w, want version %d", a.Version, err, version)
	}
	return nil
}

func (b *bench) asked(n int) error {
	if got := b.source.asked(); got != n {
		return fmt.Errorf("the source was asked %d times, want %d", got, n)
	}
	return nil
}

// Promise is one sentence of the contract.
type Promise struct {
	Name string
	Keep func(ctx context.Context, b *bench) error
}

// Run checks every promise.
func Run(t *testing.T, open Open) {
	t.Helper()
	for _, p := range Promises() {
		t.Run(p.Name, func(t *testing.T) {
			t.Parallel()
			if err := p.Check(t, open); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("whatever the order, an invalidated value is never seen again", func(t *testing.T) {
		t.Parallel()
		Interleave(t, open)
	})
}

// Check tells how a cache breaks the promise; nil when it keeps it.
func (p Promise) Check(t testing.TB, open Open) (err error) {
	b := setup(t, open)
	defer func() { err = errors.Join(err, b.Close()) }()
	return p.Keep(t.Context(), b)
}

func one(version int64) media.Asset {
	return media.Asset{ID: media.AssetID{15: 1}, State: media.Ready, Version: version}
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
func Interleave(t *testing.T, open Open) {
	t.Helper()
	rapid.Check(t, func(rt *rapid.T) {
		b := setup(t, open)
		defer func() { _ = b.Close() }()
		id := one(1).ID
		b.source.put(one(1))
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
				if a, err := b.Asset(t.Context(), id); err != nil || a.Version < least {
					rt.Errorf("a read gave version %d, %v after version %d was invalidated", a.Version, err, least-1)
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
				b.source.put(one(version))
				b.Invalidate(id)
				settled = version
			case "missed": // the message of a change was lost, and that is known
				version++
				b.changes(one(version))
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
		readers.Wait()
		for _, where := range []string{"memory", "what is behind it"} {
			if a, err := b.Asset(t.Context(), id); err != nil || a.Version < settled {
				rt.Errorf("at rest in %s: version %d, %v, want %d", where, a.Version, err, settled)
			}
			b.Expire()
		}
	})
}
