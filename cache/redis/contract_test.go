package redis

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"sluice/cache"
	"sluice/cache/cachetest"
	"sluice/internal/livetest"
	"sluice/media"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// names gives each Tier of a test the server to itself.
type names struct{ n atomic.Int64 }

func (n *names) next() string { return fmt.Sprintf("test-%d", n.n.Add(1)) }

// assetSource is the suite's source as one of assets.
type assetSource struct {
	*cachetest.Source[media.AssetID, media.Asset]
}

func (s assetSource) Asset(ctx context.Context, id media.AssetID) (media.Asset, error) {
	return s.Load(ctx, id)
}

// memory is what remembers before Redis.
type memory[K comparable, V any] interface {
	Lookup(ctx context.Context, k K) (v V, known bool, err error)
	Invalidate(k K)
	Expire()
	Close() error
}

// tiered is memory in front of Redis.
type tiered[K comparable, V any] struct {
	memory[K, V]
	forget func(ctx context.Context, k K) error
	t      testing.TB
	tier   *Tier
}

func (c *tiered[K, V]) Read(ctx context.Context, k K) (V, error) {
	v, _, err := c.Lookup(ctx, k)
	return v, err
}

func (c *tiered[K, V]) Invalidate(k K) {
	c.Forgotten(k)
	c.memory.Invalidate(k)
}

func (c *tiered[K, V]) Forgotten(k K) {
	if err := c.forget(context.WithoutCancel(c.t.Context()), k); err != nil {
		c.t.Errorf("Forget: %v", err)
	}
}

func (c *tiered[K, V]) Close() error { return errors.Join(c.memory.Close(), c.tier.Close()) }

func openTier(t testing.TB, s *livetest.RedisServer, n *names, spoil func(*Tier)) *Tier {
	t.Helper()
	tier, err := Open(s.URL(), Options{Namespace: n.next(), Wait: 10 * time.Second, Lease: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if spoil != nil {
		spoil(tier)
	}
	return tier
}

func optionsOf(o cachetest.Settings) cache.Options {
	return cache.Options{
		TTL: o.TTL, MissFor: o.MissFor, StaleFor: o.StaleFor, Now: o.Now, Hears: o.Hears, StaleWait: time.Minute, LoadWait: time.Minute,
	}
}

// assetsOverRedis opens caches whose tier is changed by spoil.
func assetsOverRedis(s *livetest.RedisServer, n *names, spoil func(*Tier)) cachetest.Open[media.AssetID, media.Asset] {
	return func(t testing.TB, source *cachetest.Source[media.AssetID, media.Asset], o cachetest.Settings) cachetest.Cache[media.AssetID, media.Asset] {
		t.Helper()
		tier := openTier(t, s, n, spoil)
		c, err := cache.NewAssets(tier.Assets(assetSource{source}), optionsOf(o))
		if err != nil {
			t.Fatal(err)
		}
		forget := func(ctx context.Context, id media.AssetID) error { return tier.Forget(ctx, Media, id.String()) }
		return &tiered[media.AssetID, media.Asset]{c, forget, t, tier}
	}
}

type (
	records = cachetest.Source[media.Subject, media.Record]
	places  = cachetest.Source[media.PlaceQuery, []media.Place]
)

// recordSource is the suite's source as one of records.
type recordSource struct{ *records }

func (s recordSource) Record(ctx context.Context, of media.Subject) (media.Record, error) {
	return s.Load(ctx, of)
}
func (recordSource) Granted(context.Context, string) ([]media.Subject, error) { return nil, nil }
func (recordSource) Trusting(context.Context) bool                            { return false }

// placeSource is the suite's source as one of places.
type placeSource struct{ *places }

func (s placeSource) Places(ctx context.Context, q media.PlaceQuery) ([]media.Place, error) {
	return s.Load(ctx, q)
}

func TestRecordsOverRedisKeepTheContract(t *testing.T) {
	t.Parallel()
	s, n := livetest.Redis(t), new(names)
	cachetest.Run(t, cachetest.Records(), func(t testing.TB, source *records, o cachetest.Settings) cachetest.Cache[media.Subject, media.Record] {
		tier := openTier(t, s, n, nil)
		c, err := cache.NewRecords(tier.Records(recordSource{source}), optionsOf(o))
		if err != nil {
			t.Fatal(err)
		}
		forget := func(ctx context.Context, s media.Subject) error { return tier.Forget(ctx, string(s.Type), s.ID) }
		return &tiered[media.Subject, media.Record]{c, forget, t, tier}
	})
}

func TestPlacesOverRedisKeepTheContract(t *testing.T) {
	t.Parallel()
	s, n := livetest.Redis(t), new(names)
	cachetest.Run(t, cachetest.Places(), func(t testing.TB, source *places, o cachetest.Settings) cachetest.Cache[media.PlaceQuery, []media.Place] {
		tier := openTier(t, s, n, nil)
		c, err := cache.NewPlaces(tier.Places(placeSource{source}), nil, optionsOf(o))
		if err != nil {
			t.Fatal(err)
		}
		forget := func(ctx context.Context, q media.PlaceQuery) error {
			kind, id, _ := cache.PlaceKey(q)
			return tier.Forget(ctx, kind, id)
		}
		return &tiered[media.PlaceQuery, []media.Place]{c, forget, t, tier}
	})
}

func TestAssetsOverRedisKeepTheContract(t *testing.T) {
	t.Parallel()
	s := livetest.Redis(t)
	cachetest.Run(t, cachetest.Assets(), assetsOverRedis(s, new(names), nil))
}

func TestSuiteFindsBrokenTiers(t *testing.T) {
	t.Parallel()
	s, n := livetest.Redis(t), new(names)
	for name, c := range map[string]struct {
		spoil   func(*Tier)
		promise string
	}{
		"one that keeps what was loaded before an invalidation": {
			func(t *Tier) {
				t.scripts.store = redis.NewScript(`return redis.call('SET', KEYS[1], 'V' .. ARGV[2] .. ' ' .. ARGV[4], 'PX', 60000)`)
			}, "a load overtaken by Invalidate is not remembered",
		},
		"one that does not forget": {
			func(t *Tier) { t.scripts.forget = redis.NewScript(`return 0`) }, "after Invalidate the source's value is given",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, p := range cachetest.Promises(cachetest.Assets()) {
				if p.Name == c.promise && p.Check(t, cachetest.Assets(), assetsOverRedis(s, n, c.spoil)) == nil {
					t.Errorf("%q was not found broken", p.Name)
				}
			}
		})
	}
}
