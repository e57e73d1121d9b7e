package redis_test

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/cache"
	"sluice/cache/redis"
	"sluice/internal/livetest"
	"sluice/media"
)

// catalogue is the one source of all nodes.
type catalogue struct {
	mu    sync.Mutex
	rows  map[media.AssetID]media.Asset
	loads atomic.Int64
	gate  atomic.Pointer[chan struct{}]
}

func newCatalogue(assets int) *catalogue {
	c := &catalogue{rows: map[media.AssetID]media.Asset{}}
	for n := range assets {
		c.put(n, 1)
	}
	return c
}

func idOf(n int) media.AssetID {
	return media.AssetID{0x01, 0x9c, 6: 0x70, 8: 0x80, 13: byte(n >> 16), 14: byte(n >> 8), 15: byte(n)}
}

func (c *catalogue) put(n int, version int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rows[idOf(n)] = media.Asset{ID: idOf(n), State: media.Ready, Owner: "ida", Version: version, Upload: media.Upload{Metadata: "filename \xff\x00"}}
}

func (c *catalogue) Asset(ctx context.Context, id media.AssetID) (media.Asset, error) {
	c.loads.Add(1)
	if g := c.gate.Load(); g != nil {
		select {
		case <-*g:
		case <-ctx.Done():
			return media.Asset{}, ctx.Err()
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	a, ok := c.rows[id]
	if !ok {
		return a, media.Errorf(media.NotFound, "no such media")
	}
	return a, nil
}

// node is one gateway's share.
type node struct {
	*cache.Assets
	tier *redis.Tier
	log  *lines
	gaps atomic.Int64
	told atomic.Int64
}

type lines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) count(what string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), what)
}

const (
	left = "Redis not reachable"
	back = "Redis is back"
)

// newNode starts a node, and waits until it hears the others.
func newNode(t testing.TB, url string, source cache.AssetSource, o redis.Options) *node {
	t.Helper()
	n := start(t, url, source, o)
	livetest.Until(t, 5*time.Second, "the node hears", func() bool { return n.tier.Hears(time.Now()) })
	return n
}

func start(t testing.TB, url string, source cache.AssetSource, o redis.Options) *node {
	t.Helper()
	n := &node{log: &lines{}}
	o.Logger = slog.New(slog.NewTextHandler(n.log, nil))
	var err error
	if n.tier, err = redis.Open(url, o); err != nil {
		t.Fatal(err)
	}
	if n.Assets, err = cache.NewAssets(n.tier.Assets(source), cache.Options{Hears: n.tier.Hears}); err != nil {
		t.Fatal(err)
	}
	n.tier.Subscribe(redis.Media, func(text string) {
		if id, err := media.ParseAssetID(text); err == nil {
			n.Invalidate(id)
		}
		n.told.Add(1)
	}, func() { n.gaps.Add(1); n.Expire() })
	ctx, end := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = n.tier.Run(ctx)
	}()
	t.Cleanup(func() {
		end()
		<-done
		if err := errors.Join(n.Assets.Close(), n.tier.Close()); err != nil {
			t.Error(err)
		}
	})
	return n
}

// changed is what a node does after its commit.
func (n *node) changed(ctx context.Context, id media.AssetID) error {
	n.Invalidate(id)
	err := n.tier.Forget(ctx, redis.Media, id.String())
	n.Invalidate(id)
	return err
}

// patient is for tests of other things than how long a node waits: on a busy machine 50 ms pass without an answer.
var patient = redis.Options{Wait: 5 * time.Second}

func three(t testing.TB, url string, source cache.AssetSource, o redis.Options) []*node {
	t.Helper()
	nodes := make([]*node, 3)
	for i := range nodes {
		nodes[i] = newNode(t, url, source, o)
	}
	return nodes
}

// atRest checks that every node gives every asset as it is.
func atRest(t *testing.T, nodes []*node, c *catalogue) {
	t.Helper()
	for i, n := range nodes {
		for id, want := range c.rows {
			if a, err := n.Asset(t.Context(), id); err != nil || a.Version != want.Version {
				t.Errorf("node %d gives version %d of %v, %v, want %d", i, a.Version, id, err, want.Version)
			}
		}
	}
}

// traffic reads n times over all nodes, and writes as often as told; each write is checked to be seen on its own node at once.
func traffic(t *testing.T, nodes []*node, c *catalogue, assets, reads, writes int) (slowest time.Duration) {
	t.Helper()
	const workers = 16
	versions := make([]atomic.Int64, assets)
	locks := make([]sync.Mutex, assets)
	for i := range versions {
		versions[i].Store(c.rows[idOf(i)].Version)
	}
	worst := make([]time.Duration, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(w), 1))
			for i := range reads / workers {
				n, k := nodes[rnd.IntN(len(nodes))], int(float64(assets)*rnd.Float64()*rnd.Float64())
				if i%(reads/writes) == 0 {
					locks[k].Lock()
					v := versions[k].Load() + 1
					c.put(k, v)
					_ = n.changed(t.Context(), idOf(k)) // away: it is owed
					versions[k].Store(v)
					if a, err := n.Asset(t.Context(), idOf(k)); err != nil || a.Version < v {
						t.Errorf("the node that wrote version %d gives %d, %v", v, a.Version, err)
					}
					locks[k].Unlock()
				}
				begin := time.Now()
				if a, err := n.Asset(t.Context(), idOf(k)); err != nil || a.ID != idOf(k) {
					t.Errorf("a read gives %v, %v", a.ID, err)
				}
				worst[w] = max(worst[w], time.Since(begin))
			}
		})
	}
	wg.Wait()
	return slices.Max(worst)
}

func TestThreeNodesNothingStaleAtRest(t *testing.T) {
	t.Parallel()
	const assets = 2000
	c := newCatalogue(assets)
	nodes := three(t, livetest.Redis(t).URL(), c, patient)
	begin := time.Now()
	slowest := traffic(t, nodes, c, assets, 200_000, 4_000)
	took := time.Since(begin)
	livetest.Until(t, time.Second, "every message is in", func() bool {
		for _, n := range nodes {
			for id, want := range c.rows {
				if a, err := n.Asset(t.Context(), id); err != nil || a.Version != want.Version {
					return false
				}
			}
		}
		return true
	})
	atRest(t, nodes, c)
	t.Logf("200,000 reads and 4,000 writes in %v, %d loads, slowest read %v", took, c.loads.Load(), slowest)
	if n := c.loads.Load(); n > assets+3*4_000 {
		t.Errorf("%d loads", n)
	}
}

func TestFiveHundredMissesOverThreeNodesLoadOnce(t *testing.T) {
	t.Parallel()
	c := newCatalogue(1)
	nodes := three(t, livetest.Redis(t).URL(), c, redis.Options{Lease: time.Minute, Wait: patient.Wait})
	for _, missing := range []bool{false, true} {
		id := idOf(0)
		if missing {
			id = idOf(7)
		}
		c.loads.Store(0)
		gate := make(chan struct{})
		c.gate.Store(&gate)
		var started, wg sync.WaitGroup
		for i := range 500 {
			started.Add(1)
			wg.Go(func() {
				started.Done()
				_, err := nodes[i%3].Asset(t.Context(), id)
				if (media.KindOf(err) == media.NotFound) != missing && err != nil {
					t.Error(err)
				}
			})
		}
		started.Wait()
		close(gate)
		wg.Wait()
		if n := c.loads.Load(); n != 1 {
			t.Errorf("missing=%v: %d loads, want 1", missing, n)
		}
	}
}

func TestAChangeReachesTheOtherNodesAtOnce(t *testing.T) {
	t.Parallel()
	c := newCatalogue(1)
	nodes := three(t, livetest.Redis(t).URL(), c, patient)
	took := make([]time.Duration, 0, 100)
	for v := int64(2); v < 102; v++ {
		for _, n := range nodes {
			if _, err := n.Asset(t.Context(), idOf(0)); err != nil {
				t.Fatal(err)
			}
		}
		before := nodes[2].told.Load()
		c.put(0, v)
		if err := nodes[0].changed(t.Context(), idOf(0)); err != nil {
			t.Fatal(err)
		}
		acked := time.Now()
		for nodes[2].told.Load() == before {
			if time.Since(acked) > time.Second {
				t.Fatal("not told within a second")
			}
		}
		took = append(took, time.Since(acked))
		if a, err := nodes[2].Asset(t.Context(), idOf(0)); err != nil || a.Version != v {
			t.Fatalf("version %d, %v, want %d", a.Version, err, v)
		}
	}
	slices.Sort(took)
	t.Logf("told after its acknowledgement: median %v, worst %v", took[50], took[99])
}
