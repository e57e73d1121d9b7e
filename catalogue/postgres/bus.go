package postgres

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// BusOptions are choices of a Bus. The zero value works.
type BusOptions struct {
	Namespace string        // of deployments that share a database; "": sluice
	Wait      time.Duration // how long Publish may take; 0: 50 ms
}

// The connection that listens is proven by a question and its answer, which the server puts behind all notifications before it.
const (
	busBeat    = 200 * time.Millisecond // between proofs
	busSilence = 500 * time.Millisecond // without one: nothing is heard
	busRetry   = 100 * time.Millisecond
	maxPayload = 7000 // PostgreSQL takes under 8,000 bytes
	maxOwed    = 4096 // messages kept for a server that is away
)

var namespacePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,31}$`)

// Bus carries short messages between the nodes that share a database, by LISTEN and NOTIFY over connections of its own. It keeps what it
// could not send and sends it when the server is back. Run must run.
type Bus struct {
	listener *pgx.ConnConfig
	pool     *pgxpool.Pool
	channel  string
	node     string
	wait     time.Duration

	heard  atomic.Pointer[time.Time] // all messages until then have been handled
	mu     sync.Mutex
	topics map[string]subscriber
	owed   []string // oldest first
	lost   bool     // more was owed than is kept: the nodes are told that they missed something
	wake   chan struct{}
}

// subscriber is who wants the messages of a topic.
type subscriber struct {
	told func(text string)
	gap  func()
}

// NewBus makes a Bus over the database that c names. The server need not be there.
func NewBus(ctx context.Context, c Config, node string, o BusOptions) (*Bus, error) {
	if o.Namespace == "" {
		o.Namespace = "sluice"
	}
	if !namespacePattern.MatchString(o.Namespace) {
		return nil, fmt.Errorf("catalogue postgres: the namespace %q is not of lower-case letters, digits, _ and -", o.Namespace)
	}
	if o.Wait == 0 {
		o.Wait = 50 * time.Millisecond
	}
	if node == "" || strings.ContainsAny(node, " \n") {
		return nil, errors.New("catalogue postgres: a node needs a name of one word")
	}
	c = c.withDefaults()
	c.MaxConns = 2 // messages wait for each other, not for rows
	cfg, err := c.pool()
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, startError(cfg, err)
	}
	b := &Bus{
		listener: cfg.ConnConfig.Copy(), pool: pool, channel: o.Namespace + "_bus", node: node, wait: o.Wait,
		topics: map[string]subscriber{}, wake: make(chan struct{}, 1),
	}
	b.listener.OnNotification = func(_ *pgconn.PgConn, n *pgconn.Notification) { b.tell(n.Payload) }
	return b, nil
}

// Close ends the connections.
func (b *Bus) Close() error {
	b.pool.Close()
	return nil
}

// Publish tells the subscribers of a topic on all other nodes. When the server does not take it within BusOptions.Wait the error is
// media.Unavailable, and the message goes out once it does.
func (b *Bus) Publish(ctx context.Context, topic, text string) error {
	message := b.node + " " + topic
	if text != "" {
		message += ":" + text
	}
	if len(message) > maxPayload {
		return fmt.Errorf("catalogue postgres: a message of %d bytes", len(message))
	}
	bounded, cancel := context.WithTimeout(ctx, b.wait)
	defer cancel()
	err := b.send(bounded, message)
	if err != nil {
		b.mu.Lock()
		if len(b.owed) < maxOwed {
			b.owed = append(b.owed, message)
		} else {
			b.owed, b.lost = nil, true
		}
		b.mu.Unlock()
		select {
		case b.wake <- struct{}{}:
		default:
		}
	}
	return translate(err)
}

func (b *Bus) send(ctx context.Context, messages ...string) error {
	batch := &pgx.Batch{}
	for _, m := range messages {
		batch.Queue("SELECT pg_notify($1, $2)", b.channel, m)
	}
	return b.pool.SendBatch(ctx, batch).Close()
}

// Subscribe has told called with each message of a topic from another node, and gap when some may have been missed: at each beginning of
// the subscription. Both are called one at a time and must not wait. Call it before Run. Topics are lower-case words.
func (b *Bus) Subscribe(topic string, told func(text string), gap func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.topics[topic] = subscriber{told, gap}
}

// Hears reports whether all messages sent until half a second before now have been handled.
func (b *Bus) Hears(now time.Time) bool {
	heard := b.heard.Load()
	return heard != nil && now.Sub(*heard) < busSilence
}

// Run listens, and sends what is owed, until ctx ends.
func (b *Bus) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { b.repeat(ctx, nil, func() { _ = b.listen(ctx) }) }) // the catalogue's own calls find the same fault, and say it
	wg.Go(func() { b.repeat(ctx, b.wake, func() { b.pay(ctx) }) })
	wg.Wait()
	return nil
}

// repeat does something now, and whenever it is woken or a while has passed.
func (b *Bus) repeat(ctx context.Context, wake <-chan struct{}, do func()) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-wake:
		case <-timer.C:
		}
		do()
		timer.Reset(busRetry)
	}
}

// pay sends what is owed.
func (b *Bus) pay(ctx context.Context) {
	b.mu.Lock()
	messages, lost := b.owed, b.lost
	b.mu.Unlock()
	if len(messages) == 0 && !lost {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	sent := messages[:min(len(messages), 256)]
	if lost {
		sent = []string{b.node + " *"}
	}
	if b.send(ctx, sent...) != nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if lost {
		b.lost = false
		return
	}
	if !b.lost { // else all of it went meanwhile
		b.owed = b.owed[len(sent):]
	}
	if len(b.owed) > 0 {
		select {
		case b.wake <- struct{}{}:
		default:
		}
	}
}

// listen subscribes over a connection of its own and hands on what comes until that fails.
func (b *Bus) listen(ctx context.Context) (err error) {
	asked := time.Now()
	first, cancel := context.WithTimeout(ctx, b.listener.ConnectTimeout)
	defer cancel()
	conn, err := pgx.ConnectConfig(first, b.listener)
	if err != nil {
		return err
	}
	defer func() {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), busBeat)
		defer cancel()
		err = errors.Join(err, conn.Close(last))
	}()
	if _, err := conn.Exec(first, "LISTEN "+pgx.Identifier{b.channel}.Sanitize()); err != nil {
		return err
	}
	b.missed()
	b.heard.Store(&asked)
	for {
		// Notifications go to tell. That none is waited for any longer is no failure of the connection.
		quiet, cancel := context.WithTimeout(ctx, busBeat)
		err := conn.PgConn().WaitForNotification(quiet)
		due := quiet.Err() != nil
		cancel()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil && !due {
			return err
		}
		if heard := b.heard.Load(); !due && time.Since(*heard) < busBeat {
			continue
		}
		asked := time.Now()
		answer, cancel := context.WithTimeout(ctx, busSilence)
		err = conn.Ping(answer)
		cancel()
		if err != nil {
			return err
		}
		b.heard.Store(&asked)
	}
}

// tell hands a message on: "<node> <topic>:<text>", or "<node> *" when messages were lost.
func (b *Bus) tell(message string) {
	node, rest, _ := strings.Cut(message, " ")
	if node == b.node {
		return
	}
	topic, text, _ := strings.Cut(rest, ":")
	if topic == "*" {
		b.missed()
		return
	}
	b.mu.Lock()
	s, ok := b.topics[topic]
	b.mu.Unlock()
	if ok {
		s.told(text)
	}
}

func (b *Bus) missed() {
	b.mu.Lock()
	gaps := make([]func(), 0, len(b.topics))
	for _, s := range b.topics {
		gaps = append(gaps, s.gap)
	}
	b.mu.Unlock()
	for _, gap := range gaps {
		gap()
	}
}
