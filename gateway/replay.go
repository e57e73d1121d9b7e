package gateway

import (
	"container/list"
	"context"
	"crypto/sha256"
	"sync"
	"time"

	"sluice/media"
)

// replays remembers the answers to requests that came with an Idempotency-Key, so that a client that never saw the answer may ask again
// and nothing is made twice. It is bounded in number and age, and lives in this process: Answers are what other nodes know, and the next
// process.
type replays struct {
	limit int
	now   func() time.Time

	mu    sync.Mutex
	byKey map[[32]byte]*list.Element
	order *list.List // oldest first
}

const replayAge = 24 * time.Hour

type replay struct {
	key    [32]byte
	print  [32]byte // of the request
	at     time.Time
	done   chan struct{} // closed when answer or failed is set
	answer any
	failed bool
}

func newReplays(limit int, now func() time.Time) *replays {
	return &replays{limit: limit, now: now, byKey: map[[32]byte]*list.Element{}, order: list.New()}
}

// do answers from memory when the key has come before, and else acts and remembers. The same key with another request is media.Conflict.
// A request whose twin still runs waits for it. Failures are not remembered: they may be tried again.
func (rs *replays) do(ctx context.Context, key, request []byte, act func() (any, error)) (answer any, again bool, err error) {
	k, sum := sha256.Sum256(key), sha256.Sum256(request)
	for {
		rs.mu.Lock()
		e, found := rs.byKey[k]
		if found && rs.now().Sub(replayIn(e).at) > replayAge {
			rs.drop(e)
			found = false
		}
		if !found {
			break // still locked
		}
		r := replayIn(e)
		rs.mu.Unlock()
		if r.print != sum {
			return nil, false, errKeyReused()
		}
		select {
		case <-r.done:
		case <-ctx.Done():
			return nil, false, media.Wrap(media.Locked, ctx.Err(), "the first request with this Idempotency-Key is still running")
		}
		if !r.failed {
			return r.answer, true, nil
		}
	}
	r := &replay{key: k, print: sum, at: rs.now(), done: make(chan struct{}), failed: true}
	e := rs.order.PushBack(r)
	rs.byKey[k] = e
	for rs.order.Len() > rs.limit {
		rs.drop(rs.order.Front())
	}
	rs.mu.Unlock()

	defer func() { // also when act panics
		if r.failed {
			rs.mu.Lock()
			if rs.byKey[k] == e {
				rs.drop(e)
			}
			rs.mu.Unlock()
		}
		close(r.done)
	}()
	answer, err = act()
	if err == nil {
		r.answer, r.failed = answer, false
	}
	return answer, false, err
}

func errKeyReused() error {
	return &media.Error{
		Kind: media.Conflict, Code: "idempotency_key_reused", Field: "header.Idempotency-Key", Detail: "this Idempotency-Key came before with another request",
	}
}

// drop forgets one; the caller holds mu.
func (rs *replays) drop(e *list.Element) {
	rs.order.Remove(e)
	delete(rs.byKey, replayIn(e).key)
}

// replayIn is what an element of order holds.
func replayIn(e *list.Element) *replay {
	r, _ := e.Value.(*replay) // it holds nothing else
	return r
}
