package redis

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/media"
)

// How often a node looks whether the one that has the lease is done.
const (
	firstLook = time.Millisecond
	lastLook  = 16 * time.Millisecond
)

// The first byte of what is kept.
const (
	found   = 'F' // a value follows
	missing = 'N' // NotFound
)

// coder writes values of one kind.
type coder[V any] struct {
	none   string                  // what media.NotFound says
	most   time.Duration           // how long a value is kept at most; 0: as the Options say
	keep   func(V) bool            // whether a value may be remembered
	encode func(V) []byte          // nil: it cannot be written, and is not remembered
	decode func([]byte) (V, error) // an error: the value counts for nothing
}

// lookup gives what is kept under a name, or loads it, and keeps that unless the load was overtaken by a Forget. Of all nodes that ask
// at once one loads. known: nothing was loaded. Without Redis it is load.
func lookup[V any](ctx context.Context, t *Tier, name string, c coder[V], load func(context.Context) (V, error)) (v V, known bool, err error) {
	if t.owed.has(name) {
		v, err = load(ctx)
		return v, false, err
	}
	token := t.token()
	got, err := t.take(ctx, name, token)
	if err != nil { // away, or somebody has been loading for too long
		v, err = load(ctx)
		return v, false, err
	}
	if got.generation == "" {
		if len(got.value) > 0 && got.value[0] == missing {
			return v, true, &media.Error{Kind: media.NotFound, Detail: c.none}
		}
		if len(got.value) > 0 && got.value[0] == found {
			if v, err = c.decode(got.value[1:]); err == nil {
				return v, true, nil
			}
		}
		v, err = load(ctx) // of another version of this program: it may want it still
		return v, false, err
	}
	v, err = load(ctx)
	var text []byte
	if err == nil && c.keep(v) {
		text = c.encode(v)
	}
	switch {
	case text != nil:
		ttl := t.o.TTL
		if c.most > 0 {
			ttl = min(ttl, c.most)
		}
		t.store(ctx, name, token, got.generation, ttl-rand.N(ttl/10+1), append([]byte{found}, text...)) //nolint:gosec // spreads the load, keeps no secret
	case media.KindOf(err) == media.NotFound && err != nil:
		t.store(ctx, name, token, got.generation, t.o.MissFor, []byte{missing})
	default:
		t.store(ctx, name, token, got.generation, 0, nil)
	}
	return v, false, err
}

// taken is a value, or the lease to load it.
type taken struct {
	value      []byte
	generation string // of the lease; "": there is a value
}

var errBusy = errors.New("somebody else loads it")

// take gets the value, or the lease, or waits for whoever has that, as long as a lease lasts.
func (t *Tier) take(ctx context.Context, name, token string) (taken, error) {
	pause, end := firstLook, time.Now().Add(t.o.Lease)
	for {
		kind, text, err := t.lease(ctx, name, token)
		switch {
		case err != nil:
			return taken{}, err
		case kind == "V":
			return taken{value: []byte(text)}, nil
		case kind == "M":
			return taken{generation: text}, nil
		}
		if !time.Now().Before(end) {
			return taken{}, errBusy
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return taken{}, ctx.Err()
		}
		pause = min(2*pause, lastLook)
	}
}

func (t *Tier) lease(ctx context.Context, name, token string) (kind, text string, err error) {
	err = t.ask(ctx, func(ctx context.Context, c *redis.Client) error {
		answer, err := t.scripts.lease.Run(ctx, c, []string{t.key(name), t.generation()}, token, t.o.Lease.Milliseconds()).StringSlice()
		if err != nil {
			return err
		}
		if len(answer) == 0 || len(answer) == 1 && answer[0] != "L" {
			return fmt.Errorf("an answer of %d parts to a lease", len(answer))
		}
		if kind = answer[0]; len(answer) > 1 {
			text = answer[1]
		}
		return nil
	})
	return kind, text, err
}

// store ends a lease. When that fails the lease ends by itself.
func (t *Tier) store(ctx context.Context, name, token, generation string, ttl time.Duration, value []byte) {
	_ = t.ask(ctx, func(ctx context.Context, c *redis.Client) error {
		return t.scripts.store.Run(ctx, c, []string{t.key(name), t.generation()}, token, generation, ttl.Milliseconds(), value).Err()
	})
}
