package redis_test

import (
	"context"
	"errors"
	"fmt"
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
func newNode(t testing.TB, url string, source cache.Source, o redis.Options) *node {
	t.Helper()
	n := start(t, url, source, o)
	livetest.Until(t, 5*time.Second, "the node hears", func() bool { return n.tier.Hears(time.Now()) })
	return n
}

func start(t testing.TB, url string, source cache.Source, o redis.Options) *node {
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

func three(t testing.TB, url string, source cache.Source, o redis.Options) []*node {
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

func TestAKilledRedisChangesNoAnswer(t *testing.T) {
	t.Parallel()
	const assets = 500
	s := livetest.Redis(t)
	c := newCatalogue(assets)
	nodes := three(t, s.URL(), c, patient)
	done := make(chan time.Duration)
	go func() { done <- traffic(t, nodes, c, assets, 100_000, 2_000) }()
	livetest.Until(t, 10*time.Second, "traffic", func() bool { return c.loads.Load() > 300 })
	s.Kill()
	slowest := <-done
	whileAway := traffic(t, nodes, c, assets, 20_000, 500)
	for i, n := range nodes {
		if l, b := n.log.count(left), n.log.count(back); l != 1 || b != 0 {
			t.Errorf("node %d: away is said %d times and back %d, want once and not yet:\n%s", i, l, b, n.log.b.String())
		}
		if n.tier.Ping(t.Context()) == nil {
			t.Error("Ping is content")
		}
	}
	s.Start(t)
	started := time.Now()
	livetest.Until(t, time.Second, "all nodes are back", func() bool {
		for _, n := range nodes {
			if n.tier.Ping(t.Context()) != nil || !n.tier.Hears(time.Now()) {
				return false
			}
		}
		return true
	})
	t.Logf("slowest read with the kill %v, while it was away %v; back after %v", slowest, whileAway, time.Since(started))
	for i, n := range nodes {
		livetest.Until(t, time.Second, "back is said", func() bool { return n.log.count(back) == 1 })
		if l := n.log.count(left); l != 1 {
			t.Errorf("node %d: away is said %d times", i, l)
		}
	}
	atRest(t, nodes, c)
	loads := c.loads.Load()
	if _, known, err := freshMemory(t, nodes[0]).Lookup(t.Context(), idOf(0)); err != nil || !known || c.loads.Load() != loads {
		t.Errorf("Redis is not used again: known %v, %v", known, err)
	}
}

// freshMemory is what a node sees that remembers nothing itself.
func freshMemory(_ *testing.T, n *node) *redis.Assets { return n.tier.Assets(failing{}) }

// failing has no catalogue.
type failing struct{}

func (failing) Asset(context.Context, media.AssetID) (media.Asset, error) {
	return media.Asset{}, media.Unavailable
}

func TestAFlushedRedisIsFilledAgain(t *testing.T) {
	t.Parallel()
	const assets = 300
	s := livetest.Redis(t)
	c := newCatalogue(assets)
	nodes := three(t, s.URL(), c, patient)
	done := make(chan time.Duration)
	go func() { done <- traffic(t, nodes, c, assets, 60_000, 1_500) }()
	for i := range 5 {
		livetest.Until(t, 10*time.Second, "traffic", func() bool { return c.loads.Load() > int64(100*(i+1)) })
		s.Do(t, "FLUSHALL")
	}
	<-done
	for _, n := range nodes {
		n.Expire() // memory hides what Redis holds
		if n.log.count(left) != 0 {
			t.Errorf("a flush is taken for an absence:\n%s", n.log.b.String())
		}
	}
	atRest(t, nodes, c)
}

func TestAPausedRedisIsBypassed(t *testing.T) {
	t.Parallel()
	const wait = 50 * time.Millisecond
	s := livetest.Redis(t)
	c := newCatalogue(200)
	nodes := three(t, s.URL(), c, redis.Options{Wait: wait})
	for _, n := range nodes {
		if _, err := n.Asset(t.Context(), idOf(0)); err != nil {
			t.Fatal(err)
		}
	}
	s.Pause(t)
	defer s.Continue(t)
	for i, n := range nodes {
		slow, all := 0, time.Duration(0)
		for k := 1; k < 100; k++ {
			begin := time.Now()
			if a, err := n.Asset(t.Context(), idOf(k)); err != nil || a.Version != 1 {
				t.Fatal(err)
			}
			took := time.Since(begin)
			all += took
			if took > wait/2 {
				slow++
			}
			if took > 10*wait { // a busy machine runs late
				t.Errorf("node %d: a read took %v", i, took)
			}
		}
		if slow > 3 {
			t.Errorf("node %d: %d reads waited, want the first alone", i, slow)
		}
		t.Logf("node %d: 99 misses in %v", i, all)
	}
	c.put(0, 2)
	if err := nodes[0].changed(t.Context(), idOf(0)); media.KindOf(err) != media.Unavailable {
		t.Errorf("a change while Redis is away: %v, want unavailable", err)
	}
	changed := time.Now()
	if a, err := nodes[0].Asset(t.Context(), idOf(0)); err != nil || a.Version != 2 {
		t.Errorf("on the node itself: version %d, %v", a.Version, err)
	}
	for i, n := range nodes[1:] {
		livetest.Until(t, 5*time.Second, "the change holds elsewhere", func() bool {
			a, err := n.Asset(t.Context(), idOf(0))
			return err == nil && a.Version == 2
		})
		if took := time.Since(changed); took > 1500*time.Millisecond {
			t.Errorf("node %d, deaf, gives the old value for %v after the change", i+1, took)
		}
	}
	s.Continue(t)
	for _, n := range nodes {
		livetest.Until(t, time.Second, "back", func() bool { return n.tier.Ping(t.Context()) == nil && n.tier.Hears(time.Now()) })
	}
	atRest(t, nodes, c)
	for i, n := range nodes {
		n.Expire()
		if l, b := n.log.count(left), n.log.count(back); l != 1 || b != 1 {
			t.Errorf("node %d: left %d, back %d:\n%s", i, l, b, n.log.b.String())
		}
	}
	atRest(t, nodes, c) // what Redis held from before the pause is void
}

func TestALostMessageIsBounded(t *testing.T) {
	t.Parallel()
	s := livetest.Redis(t)
	c := newCatalogue(1)
	writer := newNode(t, s.URL(), c, redis.Options{})
	p := livetest.NewProxy(t, s.Addr(), livetest.ProxyOptions{})
	reader := newNode(t, "redis://"+p.Addr+"/0", c, redis.Options{})
	for v := int64(2); v < 8; v++ {
		if a, err := reader.Asset(t.Context(), idOf(0)); err != nil || a.Version != v-1 {
			t.Fatalf("version %d, %v, want %d", a.Version, err, v-1)
		}
		gaps := reader.gaps.Load()
		p.Cut()
		c.put(0, v)
		if err := writer.changed(t.Context(), idOf(0)); err != nil {
			t.Fatal(err)
		}
		changed := time.Now()
		livetest.Until(t, 5*time.Second, "the change is seen", func() bool {
			a, err := reader.Asset(t.Context(), idOf(0))
			return err == nil && a.Version == v
		})
		if took := time.Since(changed); took > 1200*time.Millisecond {
			t.Errorf("a cut subscription hides a change for %v", took)
		}
		livetest.Until(t, 5*time.Second, "it hears again", func() bool { return reader.gaps.Load() > gaps && reader.tier.Hears(time.Now()) })
	}
}

func TestNamespacesKeepDeploymentsApart(t *testing.T) {
	t.Parallel()
	s := livetest.Redis(t)
	one, two := newCatalogue(1), newCatalogue(1)
	two.put(0, 2)
	a := newNode(t, s.URL(), one, redis.Options{})
	b := newNode(t, s.URL(), two, redis.Options{Namespace: "staging"})
	for range 2 {
		for n, want := range map[*node]int64{a: 1, b: 2} {
			if got, err := n.Asset(t.Context(), idOf(0)); err != nil || got.Version != want {
				t.Errorf("version %d, %v, want %d", got.Version, err, want)
			}
		}
		if got := s.Do(t, "EXISTS", "media:"+idOf(0).String(), "staging:media:"+idOf(0).String()); got != ":2" {
			t.Errorf("EXISTS = %s, want both keys", got)
		}
		if err := a.changed(t.Context(), idOf(0)); err != nil {
			t.Fatal(err)
		}
	}
	if b.told.Load() != 0 {
		t.Error("messages reach the other deployment")
	}
}

func TestManyOwedInvalidationsVoidEverything(t *testing.T) {
	t.Parallel()
	s := livetest.Redis(t)
	c := newCatalogue(1)
	n := newNode(t, s.URL(), c, redis.Options{})
	if _, err := n.Asset(t.Context(), idOf(0)); err != nil {
		t.Fatal(err)
	}
	s.Pause(t)
	c.put(0, 2)
	for i := range 5000 {
		_ = n.changed(t.Context(), idOf(i))
	}
	s.Continue(t)
	livetest.Until(t, 2*time.Second, "back", func() bool { return n.tier.Ping(t.Context()) == nil })
	n.Expire()
	if a, err := n.Asset(t.Context(), idOf(0)); err != nil || a.Version != 2 {
		t.Errorf("version %d, %v, want 2", a.Version, err)
	}
}

func TestAServerFromASnapshotIsNotBelieved(t *testing.T) {
	t.Parallel()
	s := livetest.Redis(t)
	c := newCatalogue(1)
	n := newNode(t, s.URL(), c, patient)
	if _, err := n.Asset(t.Context(), idOf(0)); err != nil {
		t.Fatal(err)
	}
	s.Do(t, "SAVE")
	c.put(0, 2)
	if err := n.changed(t.Context(), idOf(0)); err != nil {
		t.Fatal(err)
	}
	s.Kill()
	s.Start(t) // the snapshot holds version 1
	if got := s.Do(t, "EXISTS", "media:"+idOf(0).String()); got != ":1" {
		t.Fatalf("EXISTS = %s: the snapshot was not loaded", got)
	}
	livetest.Until(t, 2*time.Second, "back", func() bool {
		_, _ = n.Asset(t.Context(), idOf(0))
		return n.tier.Ping(t.Context()) == nil
	})
	n.Expire()
	if a, err := n.Asset(t.Context(), idOf(0)); err != nil || a.Version != 2 {
		t.Errorf("version %d, %v, want 2", a.Version, err)
	}
}

func TestStartsWithoutRedisAndFindsItLater(t *testing.T) {
	t.Parallel()
	s := livetest.Redis(t)
	s.Kill()
	c := newCatalogue(3)
	n := start(t, s.URL(), c, redis.Options{})
	for k := range 3 {
		if a, err := n.Asset(t.Context(), idOf(k)); err != nil || a.Version != 1 {
			t.Errorf("version %d, %v", a.Version, err)
		}
	}
	if err := n.tier.Ping(t.Context()); media.KindOf(err) != media.Unavailable || n.log.count(left) != 1 {
		t.Errorf("Ping = %v; said %d times", err, n.log.count(left))
	}
	s.Start(t)
	livetest.Until(t, time.Second, "it is found", func() bool { return n.tier.Ping(t.Context()) == nil && n.tier.Hears(time.Now()) })
}

func TestMessagesOfOtherTopics(t *testing.T) {
	t.Parallel()
	s := livetest.Redis(t)
	var mu sync.Mutex
	var got []string
	ctx, end := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer end()
	tiers := make([]*redis.Tier, 2)
	for i := range tiers {
		tier, err := redis.Open(s.URL(), patient)
		if err != nil {
			t.Fatal(err)
		}
		tiers[i] = tier
		tier.Subscribe("revocations", func(text string) {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, fmt.Sprint(i, " ", text))
		}, func() {})
		wg.Go(func() { _ = tier.Run(ctx) })
		defer tier.Close()
		livetest.Until(t, 5*time.Second, "hears", func() bool { return tier.Hears(time.Now()) })
	}
	for _, text := range []string{"a:b c", ""} {
		if err := tiers[0].Publish(t.Context(), "revocations", text); err != nil {
			t.Fatal(err)
		}
	}
	if err := tiers[0].Publish(t.Context(), "elsewhere", "x"); err != nil {
		t.Fatal(err)
	}
	want := []string{"1 a:b c", "1 "}
	livetest.Until(t, 5*time.Second, "told", func() bool { mu.Lock(); defer mu.Unlock(); return slices.Equal(got, want) })
}
