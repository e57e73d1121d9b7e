package redis_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"sluice/cache/redis"
	"sluice/internal/livetest"
	"sluice/media"
)

func TestAKilledRedisChangesNoAnswer(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, u use) {
		const size = 500
		s := livetest.Redis(t)
		c := newCatalogue(size)
		nodes := three(t, s.URL(), c, patient)
		done := make(chan time.Duration)
		go func() { done <- traffic(t, nodes, c, u, 60_000, 1_500) }()
		livetest.Until(t, 10*time.Second, "traffic", func() bool { return c.loads.Load() > 300 })
		gaps := make([]int64, len(nodes))
		for i, n := range nodes {
			gaps[i] = n.gaps.Load()
		}
		s.Kill()
		slowest := <-done
		whileAway := traffic(t, nodes, c, u, 20_000, 500)
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
			for i, n := range nodes {
				// What was heard before the kill counts as heard for half a second: a new subscription is what shows.
				if n.tier.Ping(t.Context()) != nil || !n.tier.Hears(time.Now()) || n.gaps.Load() == gaps[i] {
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
		atRest(t, nodes, c, u)
		if u.unkept {
			return
		}
		loads := c.loads.Load()
		empty := &node{tier: nodes[0].tier}
		empty.remember(t, failing{})
		defer empty.forget(t)
		if _, err := u.read(t.Context(), empty, 0); err != nil || c.loads.Load() != loads {
			t.Errorf("Redis is not used again: %v", err)
		}
	})
}

func TestAFlushedRedisIsFilledAgain(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, u use) {
		const size = 300
		s := livetest.Redis(t)
		c := newCatalogue(size)
		nodes := three(t, s.URL(), c, patient)
		done := make(chan time.Duration)
		go func() { done <- traffic(t, nodes, c, u, 60_000, 1_500) }()
		for i := range 5 {
			livetest.Until(t, 10*time.Second, "traffic", func() bool { return c.loads.Load() > int64(100*(i+1)) })
			s.Do(t, "FLUSHALL")
		}
		<-done
		for _, n := range nodes {
			n.expire() // memory hides what Redis holds
			if n.log.count(left) != 0 {
				t.Errorf("a flush is taken for an absence:\n%s", n.log.b.String())
			}
		}
		atRest(t, nodes, c, u)
	})
}

func TestAPausedRedisIsBypassed(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, u use) {
		const wait = 50 * time.Millisecond
		s := livetest.Redis(t)
		c := newCatalogue(200)
		nodes := three(t, s.URL(), c, redis.Options{Wait: wait})
		for _, n := range nodes {
			if _, err := u.read(t.Context(), n, 0); err != nil {
				t.Fatal(err)
			}
		}
		s.Pause(t)
		defer s.Continue(t)
		for i, n := range nodes {
			slow, all := 0, time.Duration(0)
			for k := 1; k < 100; k++ {
				begin := time.Now()
				if v, err := u.read(t.Context(), n, k); err != nil || v != 1 {
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
		if err := u.changed(t.Context(), nodes[0], 0); media.KindOf(err) != media.Unavailable {
			t.Errorf("a change while Redis is away: %v, want unavailable", err)
		}
		changed := time.Now()
		if v, err := u.read(t.Context(), nodes[0], 0); err != nil || v != 2 {
			t.Errorf("on the node itself: version %d, %v", v, err)
		}
		for i, n := range nodes[1:] {
			livetest.Until(t, 5*time.Second, "the change holds elsewhere", func() bool {
				v, err := u.read(t.Context(), n, 0)
				return err == nil && v == 2
			})
			if took := time.Since(changed); took > 1500*time.Millisecond {
				t.Errorf("node %d, deaf, gives the old value for %v after the change", i+1, took)
			}
		}
		s.Continue(t)
		for _, n := range nodes {
			livetest.Until(t, time.Second, "back", func() bool { return n.tier.Ping(t.Context()) == nil && n.tier.Hears(time.Now()) })
		}
		atRest(t, nodes, c, u)
		for i, n := range nodes {
			n.expire()
			if l, b := n.log.count(left), n.log.count(back); l != 1 || b != 1 {
				t.Errorf("node %d: left %d, back %d:\n%s", i, l, b, n.log.b.String())
			}
		}
		atRest(t, nodes, c, u) // what Redis held from before the pause is void
	})
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
