package postgres_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/catalogue/postgres"
	"sluice/internal/livetest"
	"sluice/media"
)

// listener is a node on a bus.
type listener struct {
	*postgres.Bus
	mu   sync.Mutex
	got  []string
	gaps atomic.Int64
}

func (l *listener) messages() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.got)
}

func join(t *testing.T, c postgres.Config, name string, o postgres.BusOptions) *listener {
	t.Helper()
	b, err := postgres.NewBus(t.Context(), c, name, o)
	if err != nil {
		t.Fatal(err)
	}
	l := &listener{Bus: b}
	b.Subscribe("media", func(text string) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.got = append(l.got, text)
	}, func() { l.gaps.Add(1) })
	ctx, end := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = b.Run(ctx)
	}()
	t.Cleanup(func() {
		end()
		<-done
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func (l *listener) hears(t *testing.T) {
	t.Helper()
	livetest.Until(t, 5*time.Second, "the node hears", func() bool { return l.Hears(time.Now()) })
}

var patient = postgres.BusOptions{Wait: 5 * time.Second}

func TestMessagesReachTheOtherNodes(t *testing.T) {
	t.Parallel()
	s := livetest.SharedPostgres(t)
	cfg := config(s, s.NewDatabase(t))
	a, b := join(t, cfg, "a", patient), join(t, cfg, "b", patient)
	other := join(t, cfg, "c", postgres.BusOptions{Namespace: "staging", Wait: patient.Wait})
	for _, l := range []*listener{a, b, other} {
		l.hears(t)
	}
	want := make([]string, 100)
	begin := time.Now()
	for i := range want {
		want[i] = fmt.Sprintf("id:%d é'\"", i)
		if err := a.Publish(t.Context(), "media", want[i]); err != nil {
			t.Fatal(err)
		}
	}
	each := time.Since(begin) / time.Duration(len(want))
	if err := a.Publish(t.Context(), "elsewhere", "x"); err != nil {
		t.Fatal(err)
	}
	livetest.Until(t, 5*time.Second, "all are told, in order", func() bool { return slices.Equal(b.messages(), want) })
	if len(a.messages()) != 0 || len(other.messages()) != 0 {
		t.Errorf("told by itself %v, told in another namespace %v", a.messages(), other.messages())
	}
	if err := a.Publish(t.Context(), "media", strings.Repeat("x", 9000)); err == nil {
		t.Error("9,000 bytes are a message")
	}
	t.Logf("a message costs %v", each)
}

func TestABusThatIsCutSaysSoAndComesBack(t *testing.T) {
	t.Parallel()
	s := livetest.Postgres(t)
	cfg := config(s, s.NewDatabase(t))
	a, b := join(t, cfg, "a", postgres.BusOptions{}), join(t, cfg, "b", postgres.BusOptions{})
	a.hears(t)
	b.hears(t)
	gaps := b.gaps.Load()
	s.Kill(t)
	livetest.Until(t, 2*time.Second, "it no longer hears", func() bool { return !b.Hears(time.Now()) })
	if err := a.Publish(t.Context(), "media", "one"); media.KindOf(err) != media.Unavailable {
		t.Errorf("Publish with the server away: %v, want unavailable", err)
	}
	s.Start(t)
	b.hears(t)
	if got := b.gaps.Load(); got <= gaps {
		t.Errorf("%d gaps were told, %d before the cut", got, gaps)
	}
	livetest.Until(t, 5*time.Second, "a message that was owed arrives, or its loss", func() bool {
		return slices.Contains(b.messages(), "one") || b.gaps.Load() > gaps
	})
	livetest.Until(t, 5*time.Second, "messages arrive again", func() bool {
		return a.Publish(t.Context(), "media", "two") == nil && slices.Contains(b.messages(), "two")
	})
}

func TestABusNobodyAnswersIsDeaf(t *testing.T) {
	t.Parallel()
	s := livetest.SharedPostgres(t)
	p := livetest.NewProxy(t, fmt.Sprintf("%s:%d", s.Host(), s.Port()), livetest.ProxyOptions{})
	direct := config(s, s.NewDatabase(t))
	through := direct
	if _, err := fmt.Sscanf(p.Addr, "127.0.0.1:%d", &through.Port); err != nil {
		t.Fatal(err)
	}
	a, b := join(t, direct, "a", patient), join(t, through, "b", patient)
	a.hears(t)
	for i := range 5 {
		b.hears(t)
		gaps := b.gaps.Load()
		p.Cut()
		text := fmt.Sprint("m", i)
		if err := a.Publish(t.Context(), "media", text); err != nil {
			t.Fatal(err)
		}
		livetest.Until(t, 5*time.Second, "told, or told of a gap", func() bool {
			return slices.Contains(b.messages(), text) || b.gaps.Load() > gaps
		})
	}
}

func TestBusOptionsAreChecked(t *testing.T) {
	t.Parallel()
	for name, make := range map[string]func() error{
		"a namespace that is none": func() error {
			_, err := postgres.NewBus(t.Context(), postgres.Config{}, "a", postgres.BusOptions{Namespace: `x"; DROP`})
			return err
		},
		"no name": func() error {
			_, err := postgres.NewBus(t.Context(), postgres.Config{}, "", postgres.BusOptions{})
			return err
		},
	} {
		if make() == nil {
			t.Errorf("%s is taken", name)
		}
	}
}
