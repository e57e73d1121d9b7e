package redis

import (
	"context"
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

// tiered is memory in front of Redis.
type tiered struct {
	*cache.Assets
	t    testing.TB
	tier *Tier
}

func (c *tiered) Invalidate(id media.AssetID) {
	c.Forgotten(id)
	c.Assets.Invalidate(id)
}

func (c *tiered) Forgotten(id media.AssetID) {
	if err := c.tier.Forget(context.WithoutCancel(c.t.Context()), Media, id.String()); err != nil {
		c.t.Errorf("Forget: %v", err)
	}
}

func (c *tiered) Close() error {
	err := c.Assets.Close()
	if cerr := c.tier.Close(); err == nil {
		err = cerr
	}
	return err
}

// overRedis opens caches whose tier is changed by spoil.
func overRedis(s *livetest.RedisServer, n *names, spoil func(*Tier)) cachetest.Open {
	return func(t testing.TB, source *cachetest.Source, o cachetest.Settings) cachetest.Cache {
		t.Helper()
		tier, err := Open(s.URL(), Options{Namespace: n.next(), Wait: 10 * time.Second, Lease: 10 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		if spoil != nil {
			spoil(tier)
		}
		c, err := cache.NewAssets(tier.Assets(source), cache.Options{
			TTL: o.TTL, MissFor: o.MissFor, StaleFor: o.StaleFor, Now: o.Now, Hears: o.Hears, StaleWait: time.Minute, LoadWait: time.Minute,
		})
		if err != nil {
			t.Fatal(err)
		}
		return &tiered{c, t, tier}
	}
}

func TestContractOverRedis(t *testing.T) {
	t.Parallel()
	s := livetest.Redis(t)
	cachetest.Run(t, overRedis(s, new(names), nil))
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
			for _, p := range cachetest.Promises() {
				if p.Name == c.promise && p.Check(t, overRedis(s, n, c.spoil)) == nil {
					t.Errorf("%q was not found broken", p.Name)
				}
			}
		})
	}
}
