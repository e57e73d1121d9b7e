// Package redislock lends names to nodes over a Redis server: the leases of uploads.SharedLocker. It knows no upload, and trusts no
// server with more than politeness: whoever writes bytes is kept apart by storage.
package redislock

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"sluice/media"
	"sluice/uploads"
)

const (
	defaultTTL = 1500 * time.Millisecond

	// patience bounds one question to the server; after one that failed it is not asked again until it answers a ping.
	patience = 50 * time.Millisecond

	// waitLife is how long the server remembers who waits for a name. Waiters ask again long before.
	waitLife = 3 * time.Second

	defaultNamespace = "sluice"
	leases           = ":lease:"
	channels         = ":node:"
)

// Options are the choices of Leases. The zero value works.
type Options struct {
	Namespace string        // of deployments that share a server; "": sluice
	TTL       time.Duration // how long a lease outlives a node that was killed; 0: 1.5 s; at least 500 ms
	Logger    *slog.Logger
}

// Leases is one node's view of the server.
type Leases struct {
	client  *redis.Client
	node    string
	space   string // what all keys and channels begin with
	ttl     time.Duration
	scripts scripts
	log     *slog.Logger

	mu      sync.Mutex
	held    map[string]*lease
	orphans []*lease // the server may have them lent still: the answer to their Take or their giving back did not come
	running bool
	up      bool          // the server answered when it was asked last
	known   chan struct{} // closed once the first answer, or its absence, is known
	failed  chan struct{} // one token: a question was not answered just now
}

var _ uploads.Leases = (*Leases)(nil)

// lease is one name that this node has.
type lease struct {
	name, value string
	until       time.Time // by the monotonic clock: it cannot have ended on the server before that
	lost        func()
}

// New makes the leases of a node over the server that url names (redis://user:password@host:port/db, or rediss:// over TLS). It does
// not connect: Run does.
func New(url string, o Options) (*Leases, error) {
	if o.TTL == 0 {
		o.TTL = defaultTTL
	}
	if o.TTL < 500*time.Millisecond {
		return nil, errors.New("redislock: a lease lives for half a second at least")
	}
	if o.Namespace == "" {
		o.Namespace = defaultNamespace
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	ro, err := redis.ParseURL(url)
	if err != nil { // its text may hold the password
		return nil, errors.New("redislock: the URL cannot be read: it looks like redis://host:6379/0")
	}
	// go-redis as it comes asks a dead server for up to 1.7 s.
	ro.MaxRetries, ro.DialerRetries = -1, 1
	ro.DialTimeout, ro.ReadTimeout, ro.WriteTimeout, ro.PoolTimeout = 4*patience, 4*patience, 4*patience, patience
	ro.ContextTimeoutEnabled, ro.DisableIdentity = true, true
	redis.SetLogger(silent{}) // it writes to stderr, past every logger; what it would say is in the errors
	ro.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return &Leases{
		client: redis.NewClient(ro), node: rand.Text(), space: o.Namespace, ttl: o.TTL, scripts: newScripts(), log: o.Logger,
		held: map[string]*lease{}, known: make(chan struct{}), failed: make(chan struct{}, 1),
	}, nil
}

type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

// Close gives up the connections, after Run has ended.
func (l *Leases) Close() error { return l.client.Close() }

// Take lends a name. See uploads.Leases.
func (l *Leases) Take(ctx context.Context, name string, lost func()) (func() bool, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := l.ready(ctx); err != nil {
		return nil, false, err
	}
	e := &lease{name: name, value: l.node + rand.Text(), until: time.Now().Add(l.ttl), lost: lost}
	orphans, ok := l.enter(e)
	if !ok {
		return nil, false, nil
	}
	args := append([]any{e.value, l.ttl.Milliseconds()}, orphans...)
	n, err := l.scripts.take.Run(ctx, l.client, []string{l.leaseKey(name)}, args...).Int()
	if err == nil && n == 1 {
		return func() bool { return l.giveBack(context.WithoutCancel(ctx), e) }, true, nil
	}
	l.leave(e)
	if err != nil {
		l.orphan(e)
		return nil, false, l.unanswered(ctx, err)
	}
	return nil, false, nil
}

func (l *Leases) orphan(e *lease) {
	l.mu.Lock()
	l.orphans = append(l.orphans, e)
	l.mu.Unlock()
}

// enter notes a lease as held, from before it is: one attempt at a name at a time. It gives the values of earlier ones that the server may
// have still.
func (l *Leases) enter(e *lease) (orphans []any, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held[e.name] != nil {
		return nil, false
	}
	l.held[e.name] = e
	for _, o := range l.orphans {
		if o.name == e.name {
			orphans = append(orphans, o.value)
		}
	}
	return orphans, true
}

// leave reports whether e was held until now, and until when at least.
func (l *Leases) leave(e *lease) (until time.Time, held bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if held = l.held[e.name] == e; held {
		delete(l.held, e.name)
	}
	return e.until, held
}

// giveBack frees what e lends, if it does still.
func (l *Leases) giveBack(ctx context.Context, e *lease) bool {
	until, held := l.leave(e)
	if !held {
		return false
	}
	if l.answering() {
		n, err := l.free(ctx, e)
		if err == nil {
			return n == 1
		}
	}
	l.orphan(e)
	return time.Now().Before(until)
}

// free ends a lease on the server, if it is that one still: the answer is 1 then.
func (l *Leases) free(ctx context.Context, e *lease) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	n, err := l.scripts.free.Run(ctx, l.client, []string{l.leaseKey(e.name), l.waitKey(e.name)}, e.value, l.space+channels, freedMark+e.name).Int()
	if err != nil {
		err = l.unanswered(ctx, err)
	}
	return n, err
}

// Ask tells whoever has the name. See uploads.Leases.
func (l *Leases) Ask(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := l.ready(ctx); err != nil {
		return err
	}
	n, err := l.scripts.ask.Run(ctx, l.client, []string{l.leaseKey(name), l.waitKey(name)},
		l.node, waitLife.Milliseconds(), l.space+channels, askedMark+name).Int()
	if err != nil {
		return l.unanswered(ctx, err)
	}
	if n == 0 { // so that it is heard where all the others are
		err = l.client.Publish(ctx, l.space+channels+l.node, freedMark+name).Err()
	}
	if err != nil {
		return l.unanswered(ctx, err)
	}
	return nil
}

// ready waits for the first answer of the server after a start, and says whether the last one came.
func (l *Leases) ready(ctx context.Context) error {
	select {
	case <-l.known:
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.up || !l.running {
		return unavailable(errors.New("the server is not answering"))
	}
	return nil
}

// unanswered notes that the server did not answer, unless it was not given the time.
func (l *Leases) unanswered(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return unavailable(err)
	}
	l.setUp(false)
	select {
	case l.failed <- struct{}{}:
	default:
	}
	return unavailable(err)
}

func (l *Leases) setUp(v bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.up = v
	select {
	case <-l.known:
	default:
		close(l.known)
	}
}

func unavailable(err error) error {
	return &media.Error{Kind: media.Unavailable, Code: "leases_unavailable", RetryAfter: time.Second, Err: fmt.Errorf("redislock: %w", err)}
}

func (l *Leases) leaseKey(name string) string { return l.space + leases + "{" + name + "}" }
func (l *Leases) waitKey(name string) string  { return l.space + leases + "{" + name + "}:waiting" }
