package redis

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// The subscription is proven by a question and its answer over the same connection, which the server puts behind all messages before it.
const (
	beat     = 200 * time.Millisecond // between proofs
	silence  = 500 * time.Millisecond // without one: nothing is heard
	retryBus = 50 * time.Millisecond
)

// subscriber is who wants the messages of a topic.
type subscriber struct {
	told func(text string)
	gap  func()
}

var errSilent = errors.New("no answer over the subscription")

func (t *Tier) channel() string { return t.o.Namespace + ":bus" }

func (t *Tier) message(topic, text string) string {
	if text != "" {
		topic += ":" + text
	}
	return t.node + " " + topic
}

// Publish tells the subscribers of a topic on all other nodes. It waits for the server, no longer than Options.Wait; an error means that
// nobody was told.
func (t *Tier) Publish(ctx context.Context, topic, text string) error {
	return t.ask(ctx, func(ctx context.Context, c *redis.Client) error {
		return c.Publish(ctx, t.channel(), t.message(topic, text)).Err()
	})
}

// Subscribe has told called with each message of a topic from another node, and gap when some may have been missed: at each beginning of
// the subscription. Both are called one at a time and must not wait. Call it before Run. Topics are lower-case words; what Forget forgets
// is told under its kind.
func (t *Tier) Subscribe(topic string, told func(text string), gap func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.topics[topic] = subscriber{told, gap}
}

// Hears reports whether all messages sent until half a second before now have been handled.
func (t *Tier) Hears(now time.Time) bool {
	heard := t.heard.Load()
	return heard != nil && now.Sub(*heard) < silence
}

// listen keeps a subscription until ctx ends.
func (t *Tier) listen(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		_ = t.hear(ctx) // the questions of ask find the same fault, and say it
		timer.Reset(retryBus)
	}
}

// hear subscribes over a connection of its own and hands on what comes until that fails.
func (t *Tier) hear(ctx context.Context) error {
	ctx, end := context.WithCancelCause(ctx)
	opt := *t.opt
	c := redis.NewClient(&opt)
	s := c.Subscribe(ctx)
	ended := make(chan struct{})
	context.AfterFunc(ctx, func() { // wakes a read that waits
		defer close(ended)
		_, _ = s.Close(), c.Close()
	})
	defer func() {
		end(nil)
		<-ended
	}()
	asked := time.Now()
	if err := s.Subscribe(ctx, t.channel()); err != nil {
		return err
	}
	var waits atomic.Pointer[time.Time] // since when an answer is waited for
	waits.Store(&asked)
	proven := make(chan struct{})
	go func() {
		defer close(proven)
		end(prove(ctx, s, &waits))
	}()
	defer func() {
		end(nil)
		<-proven
	}()
	for {
		m, err := s.Receive(ctx)
		if err != nil {
			return errors.Join(err, context.Cause(ctx))
		}
		switch m := m.(type) {
		case *redis.Subscription:
			t.missed()
			if since := waits.Swap(nil); since != nil {
				t.heard.Store(since)
			}
		case *redis.Pong:
			if since := waits.Swap(nil); since != nil {
				t.heard.Store(since)
			}
		case *redis.Message:
			t.tell(m.Payload)
		}
	}
}

// prove asks again and again, each time the answer before has come, until one does not.
func prove(ctx context.Context, s *redis.PubSub, waits *atomic.Pointer[time.Time]) error {
	tick := time.NewTicker(beat)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		now := time.Now()
		if since := waits.Load(); since != nil {
			if now.Sub(*since) > silence {
				return errSilent
			}
			continue
		}
		waits.Store(&now)
		if err := s.Ping(ctx); err != nil {
			return err
		}
	}
}

// tell hands a message on: "<node> <topic>:<text>", or "<node> *" when everything may have changed.
func (t *Tier) tell(message string) {
	node, rest, _ := strings.Cut(message, " ")
	if node == t.node {
		return
	}
	topic, text, _ := strings.Cut(rest, ":")
	if topic == "*" {
		t.missed()
		return
	}
	t.mu.Lock()
	s, ok := t.topics[topic]
	t.mu.Unlock()
	if ok {
		s.told(text)
	}
}

func (t *Tier) missed() {
	t.mu.Lock()
	gaps := make([]func(), 0, len(t.topics))
	for _, s := range t.topics {
		gaps = append(gaps, s.gap)
	}
	t.mu.Unlock()
	for _, gap := range gaps {
		gap()
	}
}
