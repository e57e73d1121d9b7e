package postgres

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"sluice/media"
)

const (
	// leaseLife is how long the server keeps a session that says nothing, and with it its locks: a node that stands still, or is cut
	// off, is rid of its names after that.
	leaseLife = 1500 * time.Millisecond

	// leasePatience bounds what one question waits for. The catalogue, which each request needs too, may answer as slowly.
	leasePatience = 250 * time.Millisecond
)

// Leases lends names to one node at a time by advisory locks of one session: what uploads.SharedLocker needs where there is no Redis. When
// the session ends, the server frees all of them at once. A name is hashed to the 64 bits that such a lock is known by: two names that
// fall together, one pair in 2^63 that are held at once, keep each other out, and harm nothing. The session must be the server's own: a
// pooler that hands out sessions per transaction breaks it.
type Leases struct {
	config *pgx.ConnConfig
	log    *slog.Logger

	mu        sync.Mutex
	running   bool
	session   bool          // there is one
	until     time.Time     // by the monotonic clock: the server cannot have ended it for its silence before that
	cause     error         // why there is none
	attempt   chan struct{} // closed when the first attempt at a session, or the first after one was lost, has ended
	held      map[string]*lease
	queue     []*question
	interrupt context.CancelFunc // ends the session's wait for messages; nil: it does not wait
}

// lease is one name that this node has, or is asking for.
type lease struct {
	name    string
	lost    func()
	lent    bool
	waiting map[uint32]struct{} // sessions that asked for it
}

// NewLeases makes the leases of a node over the server that c names. It does not connect: Run does. A nil logger says nothing.
func NewLeases(c Config, log *slog.Logger) (*Leases, error) {
	c = c.withDefaults()
	cfg, err := c.pool()
	if err != nil {
		return nil, err
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	cc := cfg.ConnConfig
	cc.ConnectTimeout = min(cc.ConnectTimeout, leaseLife)
	cc.RuntimeParams["application_name"] += " leases"
	delete(cc.RuntimeParams, "idle_in_transaction_session_timeout")
	return &Leases{config: cc, log: log, attempt: make(chan struct{}), held: map[string]*lease{}}, nil
}

// Take lends a name. See uploads.Leases.
func (l *Leases) Take(ctx context.Context, name string, lost func()) (giveBack func() bool, held bool, err error) {
	if err := l.ready(ctx); err != nil {
		return nil, false, err
	}
	e := &lease{name: name, lost: lost, waiting: map[uint32]struct{}{}}
	l.mu.Lock()
	if l.held[name] != nil { // the server would lend it to its session again
		l.mu.Unlock()
		return nil, false, nil
	}
	l.held[name] = e
	l.mu.Unlock()
	held, err = l.ask(ctx, &question{kind: take, lease: e})
	if err == nil && held {
		ctx := context.WithoutCancel(ctx)
		return func() bool { return l.giveBack(ctx, e) }, true, nil
	}
	l.leave(e)
	return nil, false, err
}

func (l *Leases) giveBack(ctx context.Context, e *lease) bool {
	if !l.leave(e) {
		return false
	}
	l.mu.Lock()
	until := l.until
	l.mu.Unlock()
	held, err := l.ask(ctx, &question{kind: free, lease: e})
	return held || err != nil && time.Now().Before(until)
}

// Ask tells whoever has the name. See uploads.Leases.
func (l *Leases) Ask(ctx context.Context, name string) error {
	if err := l.ready(ctx); err != nil {
		return err
	}
	_, err := l.ask(ctx, &question{kind: want, lease: &lease{name: name}})
	return err
}

// leave reports whether e was held until now.
func (l *Leases) leave(e *lease) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	held := l.held[e.name] == e
	if held {
		delete(l.held, e.name)
	}
	return held
}

// ready waits a moment for a session that is being made.
func (l *Leases) ready(ctx context.Context) error {
	l.mu.Lock()
	attempt := l.attempt
	l.mu.Unlock()
	timer := time.NewTimer(leasePatience)
	defer timer.Stop()
	select {
	case <-attempt:
	case <-timer.C:
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.running || !l.session {
		return leasesAway(cmp.Or(l.cause, errNoSession))
	}
	return nil
}

var errNoSession = errors.New("there is no session")

func leasesAway(err error) error {
	return &media.Error{Kind: media.Unavailable, Code: "leases_unavailable", RetryAfter: time.Second, Err: fmt.Errorf("catalogue postgres: leases: %w", err)}
}

// lockKey is what a name's lock is known by. It shares its 64 bits with all advisory locks of the database, the migrations' among them.
func lockKey(name string) int64 {
	sum := sha256.Sum256([]byte("sluice lease\x00" + name))
	return int64(binary.BigEndian.Uint64(sum[:])) //nolint:gosec // the bits are meant
}

// kind is what a session is asked for.
type kind uint8

const (
	take kind = iota
	free
	want
	tell // nobody waits for its answer
)

// question waits for the session to put it to the server.
type question struct {
	kind  kind
	lease *lease
	to    []uint32 // sessions to be told
	done  chan struct{}

	// Set before done is closed.
	yes bool
	err error

	abandoned bool // nobody waits any more; guarded by Leases.mu
}

// ask puts a question to the server and waits for the answer, for a moment.
func (l *Leases) ask(ctx context.Context, q *question) (bool, error) {
	q.done = make(chan struct{})
	if !l.enqueue(q) {
		return false, leasesAway(errNoSession)
	}
	timer := time.NewTimer(leasePatience)
	defer timer.Stop()
	var why error
	select {
	case <-q.done:
		return q.yes, q.err
	case <-timer.C:
		why = errors.New("no answer in time")
	case <-ctx.Done():
		why = ctx.Err()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-q.done:
		return q.yes, q.err
	default:
		q.abandoned = true
		return false, leasesAway(why)
	}
}

// enqueue hands a question to the session; false when there is none.
func (l *Leases) enqueue(q *question) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.session {
		return false
	}
	l.queue = append(l.queue, q)
	if l.interrupt != nil {
		l.interrupt()
		l.interrupt = nil
	}
	return true
}
