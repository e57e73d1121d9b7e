package redis

import (
	"context"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"

	"sluice/cache"
	"sluice/media"
)

// owed is what Redis has not been told to forget yet. Until it has, this node does not believe what Redis holds of it. When too much is
// owed to remember, it is everything.
type owed struct {
	mu   sync.Mutex
	seq  uint64
	all  uint64            // the seq at which it became everything; 0: it is not
	keys map[string]uint64 // the seq at which each was owed last
}

const (
	maxOwed  = 4096
	payBatch = 256
)

func (o *owed) add(names ...string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seq++
	if o.all != 0 || len(o.keys)+len(names) > maxOwed {
		o.all, o.keys = o.seq, nil
		return
	}
	if o.keys == nil {
		o.keys = map[string]uint64{}
	}
	for _, name := range names {
		o.keys[name] = o.seq
	}
}

func (o *owed) has(name string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, ok := o.keys[name]
	return ok || o.all != 0
}

func (o *owed) any() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.all != 0 || len(o.keys) > 0
}

// some gives a part of what is owed, and the seq up to which it was.
func (o *owed) some() (names []string, all bool, seq uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for name := range o.keys {
		if names = append(names, name); len(names) == payBatch {
			break
		}
	}
	return names, o.all != 0, o.seq
}

// paid strikes off what was paid, unless it has come to be owed again since.
func (o *owed) paid(names []string, all bool, seq uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if all && o.all <= seq {
		o.all = 0
	}
	for _, name := range names {
		if o.keys[name] <= seq {
			delete(o.keys, name)
		}
	}
}

// pay invalidates what is owed. It is a question for ask.
func (t *Tier) pay(ctx context.Context, c *redis.Client) error {
	for t.owed.any() {
		names, all, seq := t.owed.some()
		var err error
		if all {
			err = t.renew(ctx, c, "")
		} else {
			err = t.drop(ctx, c, names...)
		}
		if err != nil {
			return err
		}
		t.owed.paid(names, all, seq)
	}
	return nil
}

// Forget makes every node forget the values of ids of one kind ("media"), here before it returns or, when Redis does not answer, as soon
// as it does; the error, media.Unavailable, says which of the two. Whoever remembers values of its own forgets them after this. Of kinds
// that are not kept here ("order") the nodes are told in the same way.
func (t *Tier) Forget(ctx context.Context, kind string, ids ...string) error {
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = kind + ":" + id
	}
	err := t.ask(ctx, func(ctx context.Context, c *redis.Client) error { return t.drop(ctx, c, names...) })
	if err != nil {
		t.owed.add(names...)
		if t.client.Load() != nil { // else mend is at work already
			t.nudge()
		}
	}
	return err
}

// kept reports whether the value of an id is kept in Redis. Ids come from clients: "product:all" may be something of the LMS's own.
func kept(kind, id string) bool {
	switch kind {
	case Media:
		return true
	case string(media.Product), string(media.Course), cache.Images, cache.Videos, cache.Resources:
		return media.ValidEntityID(id)
	}
	return false
}

// drop deletes entries and leases and tells the other nodes, in one step.
func (t *Tier) drop(ctx context.Context, c *redis.Client, names ...string) error {
	keys, args := make([]string, len(names)), make([]any, 1, 1+len(names))
	args[0] = t.channel()
	for i, name := range names {
		if kind, id, _ := strings.Cut(name, ":"); kept(kind, id) { // else what has that name is the LMS's own
			keys[i] = t.key(name)
		}
		args = append(args, t.message(name, ""))
	}
	return t.scripts.forget.Run(ctx, c, keys, args...).Err()
}
