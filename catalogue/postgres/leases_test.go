package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sluice/catalogue/postgres"
	"sluice/internal/livetest"
	"sluice/media"
	"sluice/uploads"
	"sluice/uploads/leasetest"
)

var _ uploads.Leases = (*postgres.Leases)(nil)

func leases(t testing.TB, c postgres.Config) *postgres.Leases {
	t.Helper()
	l, err := postgres.NewLeases(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// run runs the leases of a node until the test ends.
func run(t testing.TB, l *postgres.Leases) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx, func(string) {}, func(string) {}) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// over changes a configuration so that it goes by another address.
func over(t testing.TB, c postgres.Config, addr string) postgres.Config {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	c.Host = host
	if _, err := fmt.Sscan(port, &c.Port); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestLeasesKeepTheContract(t *testing.T) {
	t.Parallel()
	s := livetest.SharedPostgres(t)
	leasetest.Run(t, func(t testing.TB) leasetest.Place {
		cfg := config(s, s.NewDatabase(t))
		return leasetest.Place{
			Forget: func() {
				s.Exec(t, cfg.Database, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'sluice leases' AND datname = current_database()")
			},
			Node: func() leasetest.Node {
				link := leasetest.NewLink(t, fmt.Sprintf("%s:%d", s.Host(), s.Port()))
				return leasetest.Node{Leases: leases(t, over(t, cfg, link.Addr)), Cut: link.Cut, Mend: link.Mend}
			},
		}
	})
}

func TestLeasesLeaveNothingRunning(t *testing.T) { //nolint:paralleltest // it counts goroutines
	s := livetest.SharedPostgres(t)
	cfg := config(s, s.NewDatabase(t))
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	t.Run("a life", func(t *testing.T) {
		l := leases(t, cfg)
		run(t, l)
		livetest.Until(t, 5*time.Second, "a lease", func() bool {
			_, held, err := l.Take(t.Context(), "a", func() {})
			return err == nil && held
		})
	})
}

// A node that dies takes its connection along: the server frees its names at once.
func TestAKilledNodeIsRidOfItsNamesAtOnce(t *testing.T) {
	t.Parallel()
	s := livetest.SharedPostgres(t)
	cfg := config(s, s.NewDatabase(t))
	link := leasetest.NewLink(t, fmt.Sprintf("%s:%d", s.Host(), s.Port()))
	one, two := leases(t, over(t, cfg, link.Addr)), leases(t, cfg)
	run(t, one)
	run(t, two)
	takes := func(l *postgres.Leases) bool {
		_, held, err := l.Take(t.Context(), "a", func() {})
		return err == nil && held
	}
	livetest.Until(t, 5*time.Second, "the first has it", func() bool { return takes(one) })
	start := time.Now()
	link.Break()
	livetest.Until(t, 5*time.Second, "the name is free", func() bool { return takes(two) })
	if took := time.Since(start); took > time.Second {
		t.Errorf("free after %v", took)
	} else {
		t.Logf("free after %v", took)
	}
}

func TestLeasesOverAServerThatIsKilledAndStartedAgain(t *testing.T) {
	t.Parallel()
	s := livetest.Postgres(t)
	l := leases(t, config(s, s.NewDatabase(t)))
	run(t, l)
	lost := make(chan struct{})
	livetest.Until(t, 5*time.Second, "a lease", func() bool {
		_, held, err := l.Take(t.Context(), "a", func() { close(lost) })
		return err == nil && held
	})
	s.Kill(t)
	<-lost
	for range 20 {
		start := time.Now()
		_, _, err := l.Take(t.Context(), "b", func() {})
		if took := time.Since(start); !errors.Is(err, media.Unavailable) || took > 500*time.Millisecond {
			t.Errorf("with the server gone: %v after %v, want unavailable within 250 ms", err, took)
		}
		if strings.Contains(fmt.Sprint(errors.Unwrap(err)), s.Password()) {
			t.Error("the password is in the error")
		}
	}
	s.Start(t)
	livetest.Until(t, 2*time.Second, "leases are back", func() bool {
		_, held, err := l.Take(t.Context(), "a", func() {})
		return err == nil && held
	})
}

func BenchmarkTakeAndGiveBack(b *testing.B) {
	s := livetest.SharedPostgres(b)
	l := leases(b, config(s, s.NewDatabase(b)))
	run(b, l)
	livetest.Until(b, 5*time.Second, "a session", func() bool { return l.Ask(b.Context(), "x") == nil })
	b.ReportAllocs()
	for b.Loop() {
		giveBack, held, err := l.Take(b.Context(), "a", func() {})
		if err != nil || !held || !giveBack() {
			b.Fatal(held, err)
		}
	}
}
