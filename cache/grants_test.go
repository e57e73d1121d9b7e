package cache_test

import (
	"errors"
	"testing"
	"time"

	"sluice/cache"
	"sluice/media"
)

// entitled checks what orders give.
func entitled(t testing.TB, c *cache.Records, want bool, subjects ...media.Subject) {
	t.Helper()
	if got, err := c.Entitled(t.Context(), "u", subjects); got != want || err != nil {
		t.Errorf("Entitled(%v) = %v, %v, want %v", subjects, got, err, want)
	}
}

func TestGrants(t *testing.T) {
	t.Parallel()
	chair := media.Subject{Type: media.Product, ID: "p1"}
	for name, play := range map[string]func(t *testing.T, c *cache.Records, s *school, now *clock){
		"are remembered": func(t *testing.T, c *cache.Records, s *school, now *clock) {
			s.bought["u"] = []media.Subject{chair, course("c1")}
			for range 3 {
				entitled(t, c, true, course("c1"))
				entitled(t, c, true, course("c7"), chair)
				entitled(t, c, false, course("c2"))
				now.pass(300 * time.Millisecond)
			}
			if n := s.orders.Load(); n != 1 {
				t.Errorf("the source was asked %d times", n)
			}
		},
		"of nobody and of nothing are not asked for": func(t *testing.T, c *cache.Records, s *school, _ *clock) {
			entitled(t, c, false)
			if yes, err := c.Entitled(t.Context(), "", []media.Subject{chair}); yes || err != nil {
				t.Errorf("Entitled = %v, %v", yes, err)
			}
			if n := s.orders.Load(); n != 0 {
				t.Errorf("the source was asked %d times", n)
			}
		},
		"of a course are those of its lessons": func(t *testing.T, c *cache.Records, s *school, _ *clock) {
			s.bought["u"] = []media.Subject{course("c1")}
			entitled(t, c, true, lesson("l1"))
			entitled(t, c, false, lesson("l3"))
			entitled(t, c, false, lesson("nowhere"))
		},
		"that are bought show within a second": func(t *testing.T, c *cache.Records, s *school, now *clock) {
			for _, bought := range []media.Subject{chair, course("c1"), course("c2")} {
				entitled(t, c, false, bought)
				s.change(func() { s.bought["u"] = append(s.bought["u"], bought) })
				now.pass(time.Second - 1)
				entitled(t, c, false, bought)
				now.pass(1)
				entitled(t, c, true, bought)
			}
		},
		"that end show within 5 seconds": func(t *testing.T, c *cache.Records, s *school, now *clock) {
			s.bought["u"] = []media.Subject{chair}
			entitled(t, c, true, chair)
			s.change(func() { s.bought["u"] = nil })
			now.pass(5 * time.Second)
			entitled(t, c, false, chair)
		},
		"are asked for anew when an order has changed": func(t *testing.T, c *cache.Records, s *school, _ *clock) {
			entitled(t, c, false, chair)
			s.change(func() { s.bought["u"] = []media.Subject{chair} })
			c.InvalidateGrants()
			entitled(t, c, true, chair)
		},
		"hold for an hour while the source is away": func(t *testing.T, c *cache.Records, s *school, now *clock) {
			s.bought["u"] = []media.Subject{chair}
			entitled(t, c, true, chair)
			s.change(func() { s.err = media.Unavailable })
			c.InvalidateGrants()
			entitled(t, c, true, chair)
			now.pass(time.Hour - 1)
			entitled(t, c, true, chair)
			entitled(t, c, false, course("c1"))
			now.pass(1)
			if yes, err := c.Entitled(t.Context(), "u", []media.Subject{chair}); yes || !errors.Is(err, media.Unavailable) {
				t.Errorf("after an hour: %v, %v", yes, err)
			}
		},
		"that were none are not known while the source is away": func(t *testing.T, c *cache.Records, s *school, now *clock) {
			entitled(t, c, false, chair)
			s.change(func() { s.err = media.Unavailable })
			now.pass(time.Second)
			if yes, err := c.Entitled(t.Context(), "u", []media.Subject{chair}); yes || !errors.Is(err, media.Unavailable) {
				t.Errorf("Entitled = %v, %v", yes, err)
			}
		},
		"of a lesson whose course is not known are not known": func(t *testing.T, c *cache.Records, s *school, _ *clock) {
			s.bought["u"] = []media.Subject{course("c1"), chair}
			entitled(t, c, true, chair)
			s.change(func() { s.err = media.Unavailable })
			if yes, err := c.Entitled(t.Context(), "u", []media.Subject{lesson("l1")}); yes || !errors.Is(err, media.Unavailable) {
				t.Errorf("Entitled = %v, %v", yes, err)
			}
			entitled(t, c, true, lesson("l1"), chair)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, s, now := setup(t, cache.Options{})
			play(t, c, s, now)
		})
	}
}

func BenchmarkEntitledHit(b *testing.B) {
	subjects := []media.Subject{course("c2")}
	benchmarkRecords(b, func(c *cache.Records) error {
		_, err := c.Entitled(b.Context(), "u", subjects)
		return err
	})
}
