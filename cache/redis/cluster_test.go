package redis_test

import (
	"context"
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

// catalogue is the one source of all nodes: of number n it has an asset, a record and a list, all of the same version.
type catalogue struct {
	mu       sync.Mutex
	versions map[int]int64
	loads    atomic.Int64
	gate     atomic.Pointer[chan struct{}]
}

func newCatalogue(size int) *catalogue {
	c := &catalogue{versions: map[int]int64{}}
	for n := range size {
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
	c.versions[n] = version
}

// load gives the version of number n.
func (c *catalogue) load(ctx context.Context, n int) (int64, error) {
	c.loads.Add(1)
	if g := c.gate.Load(); g != nil {
		select {
		case <-*g:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok := c.versions[n]
	if !ok {
		return 0, media.Errorf(media.NotFound, "no such thing")
	}
	return v, nil
}

func (c *catalogue) Asset(ctx context.Context, id media.AssetID) (media.Asset, error) {
	v, err := c.load(ctx, int(id[13])<<16|int(id[14])<<8|int(id[15]))
	return media.Asset{ID: id, State: media.Ready, Owner: "ida", Version: v, Upload: media.Upload{Metadata: "filename \xff\x00"}}, err
}

// node is one gateway's share.
type node struct {
	*cache.Assets
	records *cache.Records
	places  *cache.Places

	tier *redis.Tier
	log  *lines
	gaps atomic.Int64
	told atomic.Int64

	unsent atomic.Pointer[failure] // the last message of places that was
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
func newNode(t testing.TB, url string, source source, o redis.Options) *node {
	t.Helper()
	n := start(t, url, source, o)
	livetest.Until(t, 5*time.Second, "the node hears", func() bool { return n.tier.Hears(time.Now()) })
	return n
}

func start(t testing.TB, url string, source source, o redis.Options) *node {
	t.Helper()
	n := &node{log: &lines{}}
	o.Logger = slog.New(slog.NewTextHandler(n.log, nil))
	var err error
	if n.tier, err = redis.Open(url, o); err != nil {
		t.Fatal(err)
	}
	n.remember(t, source)
	n.hear()
	ctx, end := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = n.tier.Run(ctx)
	}()
	t.Cleanup(func() {
		end()
		<-done
		n.forget(t)
		if err := n.tier.Close(); err != nil {
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

func three(t testing.TB, url string, source source, o redis.Options) []*node {
	t.Helper()
	nodes := make([]*node, 3)
	for i := range nodes {
		nodes[i] = newNode(t, url, source, o)
	}
	return nodes
}

// atRest checks that every node gives everything as it is.
func atRest(t *testing.T, nodes []*node, c *catalogue, u use) {
	t.Helper()
	for i, n := range nodes {
		for k, want := range c.versions {
			if v, err := u.read(t.Context(), n, k); err != nil || v != want {
				t.Errorf("node %d gives version %d of %d, %v, want %d", i, v, k, err, want)
			}
		}
	}
}

// traffic reads n times over all nodes, and writes as often as told; each write is checked to be seen on its own node at once.
func traffic(t *testing.T, nodes []*node, c *catalogue, u use, reads, writes int) (slowest time.Duration) {
	t.Helper()
	const workers = 16
	size := len(c.versions)
	versions := make([]atomic.Int64, size)
	locks := make([]sync.Mutex, size)
	for i := range versions {
		versions[i].Store(c.versions[i])
	}
	worst := make([]time.Duration, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(w), 1))
			for i := range reads / workers {
				n, k := nodes[rnd.IntN(len(nodes))], int(float64(size)*rnd.Float64()*rnd.Float64())
				if i%(reads/writes) == 0 {
					locks[k].Lock()
					v := versions[k].Load() + 1
					c.put(k, v)
					_ = u.changed(t.Context(), n, k) // away: it is owed
					versions[k].Store(v)
					if got, err := u.read(t.Context(), n, k); err != nil || got < v {
						t.Errorf("the node that wrote version %d gives %d, %v", v, got, err)
					}
					locks[k].Unlock()
				}
				begin := time.Now()
				if _, err := u.read(t.Context(), n, k); err != nil {
					t.Errorf("a read: %v", err)
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
	each(t, func(t *testing.T, u use) {
		const size = 2000
		c := newCatalogue(size)
		nodes := three(t, livetest.Redis(t).URL(), c, patient)
		begin := time.Now()
		slowest := traffic(t, nodes, c, u, 60_000, 2_000)
		took := time.Since(begin)
		livetest.Until(t, time.Second, "every message is in", func() bool {
			for _, n := range nodes {
				for k, want := range c.versions {
					if v, err := u.read(t.Context(), n, k); err != nil || v != want {
						return false
					}
				}
			}
			return true
		})
		atRest(t, nodes, c, u)
		t.Logf("60,000 reads and 2,000 writes in %v, %d loads, slowest read %v", took, c.loads.Load(), slowest)
		lives := int64(took/(9*time.Second)) + 1 // of a record, while this went on
		if n := c.loads.Load(); n > size*lives+3*2_000 && !u.unkept {
			t.Errorf("%d loads", n)
		}
	})
}

func TestFiveHundredMissesOverThreeNodesLoadOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, u use) {
		c := newCatalogue(1)
		nodes := three(t, livetest.Redis(t).URL(), c, redis.Options{Lease: time.Minute, Wait: patient.Wait})
		c.put(1, 1)
		for k, missing := range map[int]bool{1: false, 9: true} {
			c.loads.Store(0)
			gate := make(chan struct{})
			c.gate.Store(&gate)
			var started, wg sync.WaitGroup
			for i := range 500 {
				started.Add(1)
				wg.Go(func() {
					started.Done()
					_, err := u.read(t.Context(), nodes[i%3], k)
					if missing != (media.KindOf(err) == media.NotFound && err != nil) {
						t.Error(err)
					}
				})
			}
			started.Wait()
			close(gate)
			wg.Wait()
			most := int64(1)
			if u.unkept {
				most = 2 * int64(len(nodes)) // each by itself, for the lesson and for its course
			}
			if n := c.loads.Load(); n > most || n == 0 {
				t.Errorf("missing=%v: %d loads, want %d at most", missing, n, most)
			}
		}
	})
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
