// Package redis remembers lookups for every node of a deployment in a Redis server, and carries short messages between the nodes: what one
// changes the others forget. It decides nothing by what Redis holds but how fast an answer comes: without the server each lookup goes to
// its source.
package redis

import (
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"

	"sluice/media"
)

// Options are choices of a Tier. The zero value works.
type Options struct {
	// Namespace is for deployments that share a server: messages of one do not reach the other, and keys of any but the default are
	// "<namespace>:media:<id>"; "": sluice, whose keys are the LMS's bare names, "media:<id>".
	Namespace string

	TTL     time.Duration // how long a value is kept; 0: 60 s
	MissFor time.Duration // how long NotFound is kept; 0: 1 s
	Lease   time.Duration // how long one node may load what the others wait for; 0: 1 s
	Wait    time.Duration // how long one question may take before Redis is bypassed; 0: 50 ms
	Logger  *slog.Logger  // nil: discards
}

const defaultNamespace = "sluice"

var namespacePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,31}$`)

func (o *Options) complete() error {
	for d, value := range map[*time.Duration]time.Duration{&o.TTL: time.Minute, &o.MissFor: time.Second, &o.Lease: time.Second, &o.Wait: 50 * time.Millisecond} {
		if *d < 0 {
			return errors.New("cache redis: a negative duration")
		}
		if *d == 0 {
			*d = value
		}
		if *d < time.Millisecond {
			return errors.New("cache redis: a duration under a millisecond")
		}
	}
	if o.Namespace == "" {
		o.Namespace = defaultNamespace
	}
	if !namespacePattern.MatchString(o.Namespace) {
		return fmt.Errorf("cache redis: the namespace %q is not of lower-case letters, digits, _ and -", o.Namespace)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Tier is one server, as one node uses it. Run must run for it to come back after the server was away, and for messages to come in.
type Tier struct {
	o       Options
	opt     *redis.Options
	node    string // names this process among those that publish
	tokens  atomic.Uint64
	scripts scripts

	client  atomic.Pointer[redis.Client] // nil: the server is away
	why     atomic.Pointer[error]        // of the last time it went
	left    atomic.Pointer[time.Time]    // when it went last
	said    atomic.Bool                  // that it is away
	answers atomic.Uint64                // that came in time
	owed    owed
	wake    chan struct{} // something is to be mended: the server left, or invalidations are owed

	heard  atomic.Pointer[time.Time] // all messages until then have been handled
	mu     sync.Mutex
	topics map[string]subscriber
}

type scripts struct{ lease, store, forget, renew *redis.Script }

//go:embed lease.lua
var leaseText string

//go:embed store.lua
var storeText string

//go:embed forget.lua
var forgetText string

//go:embed renew.lua
var renewText string

// Open makes a Tier of the server that a URL names: redis://user:password@host:port/database, rediss:// with TLS, unix://. The server need
// not be there. An error says what is wrong with the URL and holds nothing of it.
func Open(url string, o Options) (*Tier, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	opt, err := parse(url)
	if err != nil {
		return nil, err
	}
	slowest := max(socketWait, o.Wait)
	opt.DialTimeout, opt.ReadTimeout, opt.WriteTimeout, opt.PoolTimeout = slowest, slowest, slowest, slowest
	t := &Tier{
		o: o, opt: opt, node: rand.Text()[:10], wake: make(chan struct{}, 1), topics: map[string]subscriber{},
		scripts: scripts{
			lease: redis.NewScript(leaseText), store: redis.NewScript(storeText), forget: redis.NewScript(forgetText), renew: redis.NewScript(renewText),
		},
	}
	t.client.Store(t.connect())
	return t, nil
}

// How a connection is used. go-redis would try a dead server for 0.8 to 1.7 s a command.
const (
	socketWait = 200 * time.Millisecond
	poolSize   = 64
)

func parse(url string) (*redis.Options, error) {
	logging.Disable() // the client writes to stderr by itself; what matters is said here, once
	opt, err := redis.ParseURL(url)
	if err != nil { // its text may hold the password
		return nil, &StartError{
			Cause: BadURL, Text: "REDIS_URL cannot be read", Fix: "write it as redis://:password@host:6379/0, rediss:// for TLS; % and # in a password as %25 and %23",
			Err: errors.New("the URL cannot be read"),
		}
	}
	opt.Protocol = 2
	opt.MaxRetries, opt.DialerRetries = -1, 1
	opt.ContextTimeoutEnabled, opt.DisableIdentity = true, true
	opt.PoolSize, opt.MinIdleConns = poolSize, 0
	opt.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return opt, nil
}

// connect makes a client. It connects when it is first used.
func (t *Tier) connect() *redis.Client {
	opt := *t.opt
	opt.OnConnect = t.recognise
	return redis.NewClient(&opt)
}

// recognise begins a generation when the server is not the one that this deployment used last, before anything is asked over the
// connection: a server that was started from a snapshot, or promoted from a replica, may hold what had been deleted.
func (t *Tier) recognise(ctx context.Context, cn *redis.Conn) error {
	info, err := cn.Info(ctx, "server").Result()
	if _, replied := errors.AsType[redis.Error](err); replied {
		return nil // not allowed to ask
	}
	if err != nil {
		return err
	}
	run := runID.FindStringSubmatch(info)
	if run == nil {
		return nil
	}
	return t.renew(ctx, cn, run[1])
}

var (
	runID       = regexp.MustCompile(`(?m)^run_id:(\w+)`)
	versionLine = regexp.MustCompile(`(?m)^redis_version:([0-9.]+)`)
)

// renew begins a generation. run: only when the server's run id is another than the last.
func (t *Tier) renew(ctx context.Context, c redis.Scripter, run string) error {
	keys := []string{t.generation(), t.o.Namespace + ":server"}
	return t.scripts.renew.Run(ctx, c, keys, t.channel(), t.message("*", ""), run).Err()
}

func (t *Tier) generation() string { return t.o.Namespace + ":generation" }

// key is where Redis keeps the value of an id: the LMS's own names, "media:<id>".
func (t *Tier) key(name string) string {
	if t.o.Namespace == defaultNamespace {
		return name
	}
	return t.o.Namespace + ":" + name
}

// token names one lease.
func (t *Tier) token() string { return t.node + strconv.FormatUint(t.tokens.Add(1), 36) }

// Run keeps the connection and hears messages until ctx ends.
func (t *Tier) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { t.listen(ctx) })
	wg.Go(func() { t.mend(ctx) })
	wg.Wait()
	return nil
}

// Close ends the connections. Lookups afterwards go to their source.
func (t *Tier) Close() error {
	if c := t.client.Swap(nil); c != nil {
		return c.Close()
	}
	return nil
}

// Ping reports whether the server is there; media.Unavailable when it is not, which is logged.
func (t *Tier) Ping(ctx context.Context) error {
	c := t.client.Load()
	if c == nil {
		if why := t.why.Load(); why != nil {
			t.say(*why)
		}
		return t.away()
	}
	err := c.Ping(ctx).Err()
	if err == nil || ctx.Err() != nil {
		return err
	}
	t.leave(c, err)
	t.say(err)
	return t.away()
}

func (t *Tier) away() error {
	e := &media.Error{Kind: media.Unavailable, Code: "redis_unavailable", Detail: "Redis is away for now"}
	if why := t.why.Load(); why != nil {
		e.Err = *why
	}
	return e
}
