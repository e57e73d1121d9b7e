package redis

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/media"
)

// How often a server that is away is tried: promptly at first, and often enough for a lookup to be fast again within a second.
const (
	firstTry  = 50 * time.Millisecond
	lastTry   = 250 * time.Millisecond
	tryWait   = 300 * time.Millisecond // for one try, connecting included
	probeLife = time.Second

	// An absence longer than this makes all void that Redis kept from before it: what others changed meanwhile they may not have been able
	// to make it forget, and it is their word against an old value's. A hiccup costs nothing: they try again as soon as this node does.
	shortAbsence = 300 * time.Millisecond
)

// ask puts one question to the server, for a bounded time. A failure that is not the asker's own leaves the server alone until mend has
// found it well again: from then on nobody waits for it. One late answer among others in time is no such failure: this machine may be
// busy.
func (t *Tier) ask(ctx context.Context, question func(context.Context, *redis.Client) error) error {
	c := t.client.Load()
	if c == nil {
		return t.away()
	}
	bounded, cancel := context.WithTimeout(ctx, t.o.Wait)
	defer cancel()
	answers := t.answers.Load()
	err := question(bounded, c)
	if err == nil {
		t.answers.Add(1)
		return nil
	}
	if ctx.Err() != nil {
		return err
	}
	if !late(err) || t.answers.Load() == answers {
		t.leave(c, err)
		return t.away()
	}
	return &media.Error{Kind: media.Unavailable, Code: "redis_unavailable", Detail: "Redis answers late", Err: err}
}

func late(err error) bool {
	network, ok := errors.AsType[net.Error](err)
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, redis.ErrPoolTimeout) || ok && network.Timeout()
}

// leave lets go of a server that failed, once for all who saw it fail. Mend tries it again at once; it is said when that fails too.
func (t *Tier) leave(c *redis.Client, err error) {
	if !t.client.CompareAndSwap(c, nil) {
		return
	}
	now := time.Now()
	t.left.Store(&now)
	t.why.Store(&err)
	_ = c.Close() // what still waits for an answer gets none
	t.nudge()
}

// say tells once that the server is away, and once that it is back.
func (t *Tier) say(err error) {
	if err == nil {
		if t.said.Swap(false) {
			t.o.Logger.Info("Redis is back")
		}
	} else if !t.said.Swap(true) {
		t.o.Logger.Warn("Redis not reachable: lookups go to their source until it is back", slog.Any("error", err))
	}
}

func (t *Tier) nudge() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// mend tries a server that is away until it is back, and pays what is owed to one that is there.
func (t *Tier) mend(ctx context.Context) {
	pause := firstTry
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.wake:
			pause = firstTry
		case <-timer.C:
		}
		if t.client.Load() == nil {
			t.comeBack(ctx)
		} else if t.owed.any() {
			_ = t.ask(ctx, t.pay) // what fails stays owed
		}
		if t.client.Load() != nil && !t.owed.any() {
			timer.Stop()
			continue
		}
		timer.Reset(pause)
		pause = min(2*pause, lastTry)
	}
}

// comeBack tries the server with a client of its own: what the old one had dialled is of no more use.
func (t *Tier) comeBack(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, tryWait)
	defer cancel()
	c := t.connect()
	// A write: a server that is full, or a replica, answers PING as well.
	err := c.Set(ctx, t.o.Namespace+":probe", 1, probeLife).Err()
	if left := t.left.Load(); err == nil && left != nil && time.Since(*left) > shortAbsence {
		err = t.renew(ctx, c, "")
	}
	if err == nil {
		err = t.pay(ctx, c)
	}
	if err != nil {
		_ = c.Close() // never used
		if ctx.Err() == nil || !errors.Is(context.Cause(ctx), context.Canceled) {
			t.why.Store(&err)
			t.say(err)
		}
		return
	}
	t.client.Store(c)
	t.say(nil)
}
