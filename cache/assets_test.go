package cache_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sluice/cache"
	"sluice/cache/cachetest"
	"sluice/internal/livetest"
	"sluice/media"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// assetSource is the suite's source as one of assets.
type assetSource struct {
	*cachetest.Source[media.AssetID, media.Asset]
}

func (s assetSource) Asset(ctx context.Context, id media.AssetID) (media.Asset, error) {
	return s.Load(ctx, id)
}

// assets is a cache of assets for the suite.
type assets struct{ *cache.Assets }

func (c assets) Read(ctx context.Context, id media.AssetID) (media.Asset, error) {
	return c.Asset(ctx, id)
}

type (
	assetCache = cachetest.Cache[media.AssetID, media.Asset]
	openAssets = cachetest.Open[media.AssetID, media.Asset]
)

func options(s cachetest.Settings) cache.Options {
	return cache.Options{TTL: s.TTL, MissFor: s.MissFor, StaleFor: s.StaleFor, Now: s.Now, Hears: s.Hears, StaleWait: time.Minute}
}

func open(t testing.TB, source *cachetest.Source[media.AssetID, media.Asset], s cachetest.Settings) assetCache {
	t.Helper()
	c, err := cache.NewAssets(assetSource{source}, options(s))
	if err != nil {
		t.Fatal(err)
	}
	return assets{c}
}

func TestAssetsKeepTheContract(t *testing.T) {
	t.Parallel()
	cachetest.Run(t, cachetest.Assets(), open)
}

// through remembers nothing.
type through struct {
	*cachetest.Source[media.AssetID, media.Asset]
}

func (c through) Read(ctx context.Context, id media.AssetID) (media.Asset, error) {
	return c.Load(ctx, id)
}

func (c through) Lookup(ctx context.Context, id media.AssetID) (media.Asset, bool, error) {
	a, err := c.Load(ctx, id)
	return a, false, err
}
func (through) Invalidate(media.AssetID) {}
func (through) Expire()                  {}
func (through) Close() error             { return nil }

// deaf ignores invalidations.
type deaf struct{ assetCache }

func (deaf) Invalidate(media.AssetID) {}

// blind does not look again after an Expire.
type blind struct{ assetCache }

func (blind) Expire() {}

func TestSuiteFindsBrokenCaches(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		open openAssets
		want map[string]bool
	}{
		"one that remembers nothing": {
			func(_ testing.TB, s *cachetest.Source[media.AssetID, media.Asset], _ cachetest.Settings) assetCache {
				return through{s}
			},
			map[string]bool{
				"a second read does not ask the source": true, "NotFound is remembered shortly": true, "500 misses at once ask the source once": true,
				"with the source away the last known value is given, for so long": true,
			},
		},
		"one deaf to invalidation": {
			func(t testing.TB, s *cachetest.Source[media.AssetID, media.Asset], o cachetest.Settings) assetCache {
				return deaf{open(t, s, o)}
			},
			map[string]bool{
				"after Invalidate the source's value is given": true, "Invalidate forgets NotFound": true,
				"what is gone is NotFound once invalidated": true, "a load overtaken by Invalidate is not remembered": true,
			},
		},
		"one blind to missed messages": {
			func(t testing.TB, s *cachetest.Source[media.AssetID, media.Asset], o cachetest.Settings) assetCache {
				return blind{open(t, s, o)}
			},
			map[string]bool{"after Expire the source's value is given": true, "a load overtaken by Expire is not remembered": true},
		},
		"one that trusts a bus that is down": {
			func(t testing.TB, s *cachetest.Source[media.AssetID, media.Asset], o cachetest.Settings) assetCache {
				o.Hears = nil
				return open(t, s, o)
			},
			map[string]bool{"while changes are not heard of a value lives for a second": true},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found := 0
			for _, p := range cachetest.Promises(cachetest.Assets()) {
				if !c.want[p.Name] {
					continue
				}
				found++
				if p.Check(t, cachetest.Assets(), c.open) == nil {
					t.Errorf("%q was not found broken", p.Name)
				}
			}
			if found != len(c.want) {
				t.Errorf("%d of %d promises have that name", found, len(c.want))
			}
		})
	}
}

func TestHangingSourceDoesNotHoldUpWhatIsKnown(t *testing.T) {
	t.Parallel()
	now := time.Now()
	s := &hanging{}
	c, err := cache.NewAssets(s, cache.Options{Now: func() time.Time { return now }, StaleWait: time.Millisecond, LoadWait: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if a, err := c.Asset(t.Context(), media.AssetID{1}); err != nil || a.Version != 1 {
			t.Errorf("Asset = %+v, %v", a, err)
		}
		now = now.Add(time.Hour)
		s.hang.Store(true)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	s.hang.Store(false)
	if _, err := c.Asset(t.Context(), media.AssetID{2}); err != nil {
		t.Errorf("a read after Close: %v", err)
	}
}

// hanging answers never once it hangs.
type hanging struct{ hang atomic.Bool }

func (s *hanging) Asset(ctx context.Context, id media.AssetID) (media.Asset, error) {
	if s.hang.Load() {
		<-ctx.Done()
		return media.Asset{}, ctx.Err()
	}
	return media.Asset{ID: id, State: media.Stored, Version: 1}, nil
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	for _, o := range []cache.Options{{Size: -1}, {TTL: -1}, {MissFor: -1}, {StaleFor: -1}, {StaleWait: -1}, {LoadWait: -1}} {
		if _, err := cache.NewAssets(&hanging{}, o); err == nil {
			t.Errorf("%+v is accepted", o)
		}
	}
}

func TestWhatWasKnownIsKnownAgain(t *testing.T) {
	t.Parallel()
	s := &hanging{}
	c, err := cache.NewAssets(s, cache.Options{LoadWait: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	id := media.AssetID{1}
	if _, err := c.Asset(t.Context(), id); err != nil || !c.Knows(id) {
		t.Fatalf("%v, known %v", err, c.Knows(id))
	}
	if c.Invalidate(id); c.Knows(id) {
		t.Error("it is known after Invalidate")
	}
	c.Preload(t.Context(), id)
	livetest.Until(t, 5*time.Second, "it is known again", func() bool { return c.Knows(id) })
	s.hang.Store(true)
	if a, err := c.Asset(t.Context(), id); err != nil || a.Version != 1 {
		t.Errorf("with the source away: %+v, %v", a, err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	c.Preload(t.Context(), media.AssetID{2}) // does nothing
}

func BenchmarkHit(b *testing.B) {
	c, err := cache.NewAssets(&hanging{}, cache.Options{TTL: time.Hour})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := byte(0); pb.Next(); i++ {
			if _, err := c.Asset(b.Context(), media.AssetID{15: i}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func TestHitDoesNotAllocate(t *testing.T) {
	c, err := cache.NewAssets(&hanging{}, cache.Options{TTL: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	ctx := t.Context()
	if n := testing.AllocsPerRun(1000, func() { _, _ = c.Asset(ctx, media.AssetID{1}) }); n != 0 {
		t.Errorf("a hit allocates %v times", n)
	}
}
