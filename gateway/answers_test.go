package gateway_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/media"
)

// answers is gateway.Answers in memory, which nodes share; leases do not end.
type answers struct {
	mu   sync.Mutex
	rows map[string]media.Replay
	err  error
}

func (s *answers) ClaimReplay(_ context.Context, r media.Replay, _ time.Duration) (media.Replay, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if first, ok := s.rows[r.ID]; ok || s.err != nil {
		return first, s.err
	}
	s.rows[r.ID] = r
	return r, nil
}

func (s *answers) KeepReplay(_ context.Context, r media.Replay) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rows[r.ID] = r
	return nil
}

func (s *answers) DropReplay(_ context.Context, r media.Replay) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.rows, r.ID)
	return nil
}

func (s *answers) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func TestAnswersHoldOverNodes(t *testing.T) {
	t.Parallel()
	store := &answers{rows: map[string]media.Replay{}}
	here, there := setupWith(t, nil, store), setupWith(t, nil, store)
	me, key := as("ida", "instructor"), "Idempotency-Key: request-1"
	for _, r := range [][3]string{
		{"/api/media", `{"url":"https://a.example/"}`, `{"url":"https://b.example/"}`}, {"/api/uploads", `{"maxSize":5}`, `{"maxSize":6}`},
	} {
		first, a := here.do("POST", r[0], r[1], me, key)
		again, b := there.do("POST", r[0], r[1], me, key)
		if first.StatusCode != 201 || again.StatusCode != 201 || a != b || first.Header.Get("Location") != again.Header.Get("Location") ||
			first.Header.Get("ETag") != again.Header.Get("ETag") || first.Header.Get("Idempotent-Replayed") != "" || again.Header.Get("Idempotent-Replayed") != "true" {
			t.Errorf("%s: got %d %s and %d %s", r[0], first.StatusCode, a, again.StatusCode, b)
		}
		if resp, body := there.do("POST", r[0], r[2], me, key); resp.StatusCode != 409 || !strings.Contains(body, "idempotency_key_reused") {
			t.Errorf("%s with another body: got %d %s", r[0], resp.StatusCode, body)
		}
		if resp, _ := there.do("POST", r[0], r[1], as("ivo", "instructor"), key); resp.StatusCode != 201 || resp.Header.Get("Idempotent-Replayed") != "" {
			t.Errorf("%s with another's key: got %d", r[0], resp.StatusCode)
		}
	}
	if len(here.shelf.rows) != 1 || len(there.shelf.rows) != 1 {
		t.Errorf("made %d and %d media, want one here and another's there", len(here.shelf.rows), len(there.shelf.rows))
	}
	for id, r := range store.rows {
		for _, secret := range []string{"grant for", "a.example", "request-1", "instructor"} {
			if bytes.Contains(r.Answer, []byte(secret)) || strings.Contains(id+r.Request, secret) {
				t.Errorf("the store holds %q in clear", secret)
			}
		}
	}
}

func TestManyNodesActOnce(t *testing.T) {
	t.Parallel()
	store := &answers{rows: map[string]media.Replay{}}
	nodes := []*world{setupWith(t, nil, store), setupWith(t, nil, store), setupWith(t, nil, store)}
	var wg sync.WaitGroup
	bodies := make([]string, 12)
	for i := range bodies {
		wg.Go(func() {
			resp, body := nodes[i%3].do("POST", "/api/media", `{"url":"https://a.example/"}`, as("ida", "instructor"), "Idempotency-Key: k")
			bodies[i] = fmt.Sprint(resp.StatusCode, " ", body)
		})
	}
	wg.Wait()
	made := 0
	for _, n := range nodes {
		made += len(n.shelf.rows)
	}
	for _, b := range bodies {
		if made != 1 || b != bodies[0] || !strings.HasPrefix(b, "201 ") {
			t.Fatalf("made %d media: %q", made, bodies)
		}
	}
}

func TestWhatFailedIsFreeOnEveryNode(t *testing.T) {
	t.Parallel()
	store := &answers{rows: map[string]media.Replay{}}
	here, there := setupWith(t, nil, store), setupWith(t, nil, store)
	there.furnish()
	me, target := as("ida", "instructor"), "/api/media/"+idOf(1).String()+"/access"
	if resp, _ := here.do("POST", target, "", me, "Idempotency-Key: k"); resp.StatusCode != 404 {
		t.Errorf("got %d for what is not there", resp.StatusCode)
	}
	if resp, body := there.do("POST", target, "", me, "Idempotency-Key: k"); resp.StatusCode != 202 || resp.Header.Get("Idempotent-Replayed") != "" {
		t.Errorf("got %d %s on a node that has it", resp.StatusCode, body)
	}
	store.fail(media.Errorf(media.Unavailable, "the catalogue is away"))
	if resp, body := there.do("POST", "/api/media", `{"url":"https://a.example/"}`, me, "Idempotency-Key: k2"); resp.StatusCode != 503 {
		t.Errorf("got %d %s with the store away", resp.StatusCode, body)
	}
	if resp, body := there.do("POST", "/api/media", `{"url":"https://a.example/"}`, me); resp.StatusCode != 201 {
		t.Errorf("got %d %s without a key", resp.StatusCode, body)
	}
}
