package gateway_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"sluice/gateway"
	"sluice/media"
)

// leased is gateway.Answers whose leases end, and which can be away when a claim is to be given up.
type leased struct {
	answers
	at map[string]time.Time

	mu   sync.Mutex
	away bool
}

func (s *leased) ClaimReplay(ctx context.Context, r media.Replay, lease time.Duration) (media.Replay, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if first, ok := s.rows[r.ID]; ok && first.Answer == nil && time.Since(s.at[r.ID]) >= lease {
		delete(s.rows, r.ID)
	}
	if _, ok := s.rows[r.ID]; !ok {
		s.at[r.ID] = time.Now()
	}
	return s.answers.ClaimReplay(ctx, r, lease)
}

func (s *leased) DropReplay(ctx context.Context, r media.Replay) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		return media.Errorf(media.Unavailable, "the catalogue is away")
	}
	return s.answers.DropReplay(ctx, r)
}

func (s *leased) gone(away bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away = away
}

// A request that failed while its claim could not be given up may be tried again: at once where it failed, and, where no other process shares the
// answers, at once in the next process as well. Nobody waits for what is known to be over.
func TestAClaimThatWasNotGivenUpIsOver(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		lease time.Duration
		next  bool // another process
	}{
		"where it failed":            {0, false},
		"in the next process, alone": {time.Microsecond, true},
		"where it failed, and alone": {time.Microsecond, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := &leased{answers: answers{rows: map[string]media.Replay{}}, at: map[string]time.Time{}, away: true}
			w := setupWith(t, func(o *gateway.Options) { o.ReplayLease = c.lease }, store)
			me, target := as("ida", "instructor"), "/api/media/"+idOf(1).String()+"/access"
			if resp, _ := w.do("POST", target, "", me, "Idempotency-Key: k"); resp.StatusCode != 404 {
				t.Fatalf("got %d for what is not there", resp.StatusCode)
			}
			store.gone(false)
			if c.next {
				w = setupWith(t, func(o *gateway.Options) { o.ReplayLease = c.lease }, store)
			}
			w.furnish()
			began := time.Now()
			resp, body := w.do("POST", target, "", me, "Idempotency-Key: k")
			if took := time.Since(began); resp.StatusCode != 202 || took > 2*time.Second {
				t.Errorf("got %d %s after %v", resp.StatusCode, body, took)
			}
		})
	}
}

// Whoever asks again while another process holds the claim is not kept hanging.
func TestAClaimOfOthersIsNotWaitedForLong(t *testing.T) {
	t.Parallel()
	store := &leased{answers: answers{rows: map[string]media.Replay{}}, at: map[string]time.Time{}, away: true}
	here, there := setupWith(t, nil, store), setupWith(t, nil, store)
	me, target := as("ida", "instructor"), "/api/media/"+idOf(1).String()+"/access"
	if resp, _ := here.do("POST", target, "", me, "Idempotency-Key: k"); resp.StatusCode != 404 {
		t.Fatalf("got %d for what is not there", resp.StatusCode)
	}
	began := time.Now()
	if resp, body := there.do("POST", target, "", me, "Idempotency-Key: k"); resp.StatusCode != 423 || time.Since(began) > 5*time.Second {
		t.Errorf("got %d %s after %v", resp.StatusCode, body, time.Since(began))
	}
}
