package redislock

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// What messages to a node begin with; a name follows.
const (
	askedMark = "?" // another node wants it
	freedMark = "!" // it was given back
)

// Run renews what is lent, and listens. See uploads.Leases.
func (l *Leases) Run(ctx context.Context, asked, freed func(name string)) error {
	l.mu.Lock()
	if l.running {
		l.mu.Unlock()
		return errors.New("redislock: it runs already")
	}
	l.running = true
	l.mu.Unlock()
	var wg sync.WaitGroup
	wg.Go(func() { l.listen(ctx, asked, freed) })
	wg.Go(func() { l.keep(ctx) })
	wg.Go(func() { l.find(ctx) })
	wg.Wait()
	l.giveAllBack(context.WithoutCancel(ctx))
	return nil
}

// giveAllBack frees what is lent still, so that other nodes need not wait for its end.
func (l *Leases) giveAllBack(ctx context.Context) {
	l.mu.Lock()
	l.running = false
	var left []*lease
	for _, e := range l.held {
		left = append(left, e)
	}
	l.mu.Unlock()
	for _, e := range left {
		l.giveBack(ctx, e)
	}
}

// keep renews leases after a third of their life, and ends those that were not renewed in time.
func (l *Leases) keep(ctx context.Context) {
	tick := time.NewTicker(l.ttl / 12)
	defer tick.Stop()
	for {
		if l.answering() {
			l.renew(ctx)
			l.freeOrphans(ctx)
		}
		l.expire()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// find asks an absent server whether it is back. It has more time for its answer than others: they wait, this does not.
func (l *Leases) find(ctx context.Context) {
	tick := time.NewTicker(l.ttl / 12)
	defer tick.Stop()
	for {
		if !l.answering() {
			l.ping(ctx)
		}
		select {
		case <-ctx.Done():
			return
		case <-l.failed:
		case <-tick.C:
		}
	}
}

// freeOrphans frees what may be lent to nobody, before it ends by itself.
func (l *Leases) freeOrphans(ctx context.Context) {
	var orphans []*lease
	l.mu.Lock()
	kept := l.orphans[:0]
	for _, e := range l.orphans { // a question that comes late is put in its place again
		if time.Now().Before(e.until) {
			orphans, kept = append(orphans, e), append(kept, e)
		}
	}
	l.orphans = kept
	l.mu.Unlock()
	for _, e := range orphans {
		if _, err := l.free(ctx, e); err != nil {
			return // they end by themselves
		}
	}
}

func (l *Leases) answering() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.up
}

func (l *Leases) ping(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 4*patience)
	defer cancel()
	l.setUp(l.client.Ping(ctx).Err() == nil)
}

// renewals is how many leases are renewed by one message.
const renewals = 200

// renew renews leases that are a third over.
func (l *Leases) renew(ctx context.Context) {
	var due []*lease
	before := time.Now().Add(l.ttl * 2 / 3)
	l.mu.Lock()
	for _, e := range l.held {
		if e.until.Before(before) {
			due = append(due, e)
		}
	}
	l.mu.Unlock()
	for len(due) > 0 {
		n := min(len(due), renewals)
		if !l.renewSome(ctx, due[:n]) {
			return
		}
		due = due[n:]
	}
}

// renewSome renews leases by one message, and reports whether the server answered.
func (l *Leases) renewSome(ctx context.Context, due []*lease) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	until := time.Now().Add(l.ttl) // from before the question: the server counts from after it
	cmds, err := l.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, e := range due {
			l.scripts.renew.Eval(ctx, p, []string{l.leaseKey(e.name)}, e.value, l.ttl.Milliseconds())
		}
		return nil
	})
	for i, cmd := range cmds {
		c, ok := cmd.(*redis.Cmd)
		if !ok || c.Err() != nil {
			continue
		}
		if n, err := c.Int(); err != nil || n != 1 {
			l.drop(due[i])
			continue
		}
		l.mu.Lock()
		due[i].until = until
		l.mu.Unlock()
	}
	if err != nil {
		_ = l.unanswered(ctx, err)
	}
	return err == nil
}

// expire ends what was not renewed, a fifth of a life before another node can have it: this loop may be late by less.
func (l *Leases) expire() {
	var over []*lease
	l.mu.Lock()
	for _, e := range l.held {
		if time.Until(e.until) < l.ttl/5 {
			over = append(over, e)
		}
	}
	l.mu.Unlock()
	for _, e := range over {
		l.drop(e)
	}
}

// drop ends a lease that is not certain any more.
func (l *Leases) drop(e *lease) {
	if _, held := l.leave(e); held {
		e.lost()
	}
}

// listen hears the messages for this node. A connection that was lost is made again; what was said meanwhile is missed.
func (l *Leases) listen(ctx context.Context, asked, freed func(name string)) {
	retry := time.NewTicker(l.ttl / 12)
	defer retry.Stop()
	for ctx.Err() == nil {
		l.hear(ctx, asked, freed)
		select {
		case <-retry.C:
		case <-ctx.Done():
		}
	}
}

// hear listens over one connection, until it fails or is silent although it was asked.
func (l *Leases) hear(ctx context.Context, asked, freed func(name string)) {
	sub := l.client.Subscribe(ctx, l.space+channels+l.node)
	closed := sync.OnceFunc(func() { _ = sub.Close() }) // nothing is lost with it
	defer closed()
	defer context.AfterFunc(ctx, closed)() // a read does not look at ctx
	silent := false
	for {
		message, err := sub.ReceiveTimeout(ctx, l.ttl/2)
		if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() && !silent {
			silent = true
			err = sub.Ping(ctx)
			if err == nil {
				continue
			}
		}
		if err != nil {
			return
		}
		silent = false
		m, ok := message.(*redis.Message)
		if !ok || m.Payload == "" {
			continue
		}
		switch mark, name := m.Payload[:1], m.Payload[1:]; mark {
		case askedMark:
			asked(name)
		case freedMark:
			freed(name)
		}
	}
}
