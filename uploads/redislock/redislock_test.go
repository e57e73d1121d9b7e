package redislock_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sluice/internal/livetest"
	"sluice/media"
	"sluice/uploads/leasetest"
	"sluice/uploads/redislock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func leases(t testing.TB, addr string) *redislock.Leases {
	t.Helper()
	l, err := redislock.New("redis://"+addr+"/0", redislock.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// run runs the leases of a node until the test ends.
func run(t testing.TB, l *redislock.Leases, asked, freed func(string)) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx, asked, freed) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func nothing(string) {}

// lend takes a free name. A server that has just been started is asked again.
func lend(t testing.TB, l *redislock.Leases, name string, lost func()) {
	t.Helper()
	livetest.Until(t, 5*time.Second, "the name is lent", func() bool {
		_, held, err := l.Take(t.Context(), name, lost)
		return err == nil && held
	})
}

func TestContract(t *testing.T) {
	t.Parallel()
	leasetest.Run(t, func(t testing.TB) leasetest.Place {
		server := livetest.Redis(t)
		return leasetest.Place{
			Forget: func() { server.Do(t, "FLUSHALL") },
			Node: func() leasetest.Node {
				link := leasetest.NewLink(t, server.Addr())
				return leasetest.Node{Leases: leases(t, link.Addr), Cut: link.Cut, Mend: link.Mend}
			},
		}
	})
}

func TestAnURLThatIsNoneIsRefusedWithoutItsPassword(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"", "http://x", "redis://u:secret-1234@[::/0", "redis://u:secret-1234@h/x"} {
		if _, err := redislock.New(url, redislock.Options{}); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("New(%q) = %v, want an error without a secret", url, err)
		}
	}
	if _, err := redislock.New("redis://h/0", redislock.Options{TTL: time.Millisecond}); err == nil {
		t.Error("a life of 1 ms is accepted")
	}
}

// A node that dies without a word, as by kill -9.
func TestAKilledNodeIsRidOfItsNamesWithin2s(t *testing.T) {
	t.Parallel()
	server := livetest.Redis(t)
	link := leasetest.NewLink(t, server.Addr())
	one, two := leases(t, link.Addr), leases(t, server.Addr())
	run(t, one, nothing, nothing)
	run(t, two, nothing, nothing)
	lend(t, one, "a", func() {})
	link.Cut()
	start := time.Now()
	livetest.Until(t, 5*time.Second, "the name is free", func() bool {
		_, held, err := two.Take(t.Context(), "a", func() {})
		return err == nil && held
	})
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("free after %v", took)
	} else {
		t.Logf("free after %v", took)
	}
}

func TestAServerThatIsKilledAndStartedAgain(t *testing.T) {
	t.Parallel()
	server := livetest.Redis(t)
	l := leases(t, server.Addr())
	run(t, l, nothing, nothing)
	lost := make(chan struct{})
	lend(t, l, "a", func() { close(lost) })
	server.Kill()
	for range 20 {
		start := time.Now()
		_, _, err := l.Take(t.Context(), "b", func() {})
		if took := time.Since(start); !errors.Is(err, media.Unavailable) || took > 250*time.Millisecond {
			t.Errorf("with the server gone: %v after %v, want unavailable within 50 ms", err, took)
		}
	}
	server.Start(t)
	<-lost // it came up with nothing
	lend(t, l, "a", func() {})
}

// What an answer that did not come leaves on the server does not keep its own node out.
func TestALeaseWhoseAnswerWasLostIsTakenOverByItsNode(t *testing.T) {
	t.Parallel()
	server := livetest.Redis(t)
	l := leases(t, server.Addr())
	run(t, l, nothing, nothing)
	lend(t, l, "a", func() {})
	server.Pause(t)
	other := func() error { _, _, err := l.Take(t.Context(), "b", func() {}); return err }
	if err := other(); !errors.Is(err, media.Unavailable) { // the server will do it once it goes on
		t.Fatalf("with a server that stands still: %v", err)
	}
	server.Continue(t)
	livetest.Until(t, 2*time.Second, "the name is lent", func() bool {
		_, held, err := l.Take(t.Context(), "b", func() {})
		if err == nil && !held {
			t.Fatal("the node is kept out by itself")
		}
		return held
	})
}

func BenchmarkTakeAndGiveBack(b *testing.B) {
	server := livetest.Redis(b)
	l := leases(b, server.Addr())
	run(b, l, nothing, nothing)
	lend(b, l, "x", func() {})
	b.ReportAllocs()
	for b.Loop() {
		giveBack, held, err := l.Take(b.Context(), "a", func() {})
		if err != nil || !held || !giveBack() {
			b.Fatal(held, err)
		}
	}
}
