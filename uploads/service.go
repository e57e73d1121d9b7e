// Package uploads takes files in over tus 1.0.0 and turns each into a durable object and one catalogue row. tusd's handler speaks the
// protocol; a layer in front mends what it gets wrong, and storing, locking, finishing and status reads are our own. It knows storage
// and media; who asks, how an error looks and where the rows live are given to it.
package uploads

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tus/tusd/v2/pkg/handler"

	"sluice/media"
	"sluice/storage"
)

// root is where the handler is mounted.
const root = "/files"

// What Options mean when they say nothing.
const (
	defaultMaxSize  = 1 << 40
	defaultExpiry   = 24 * time.Hour
	defaultStall    = 300 * time.Millisecond
	defaultIdle     = time.Minute
	defaultGrace    = time.Hour
	defaultSweep    = time.Minute
	defaultNetwork  = 55 * time.Second
	defaultMaxOpen  = 2048
	defaultOneShot  = 1 << 20
	defaultInFlight = 32 << 20
)

// Options are the choices of a Service. The zero value works, and lets nobody upload: without Authenticate everybody is anonymous.
type Options struct {
	MaxSize      int64    // bytes of one upload; 0: 1 TiB
	Quota        int64    // bytes of one owner, open uploads included; 0: none
	AllowedTypes []string // "video/*", "image/png"; empty: all
	Ack          string   // "fast" (default): survives kill -9; "durable": each acknowledged byte survives a power cut

	Expiry        time.Duration // how long an unfinished upload is kept after its last byte; 0: 24 h
	StallAfter    time.Duration // a writer without a byte for so long gives way to the next; 0: 300 ms
	IdleTimeout   time.Duration // an open upload without a request for so long gives up its descriptor; 0: 1 min
	Grace         time.Duration // bytes nobody owns are kept so long; 0: 1 h
	SweepInterval time.Duration // 0: 1 min
	Network       time.Duration // a client silent for so long is cut, its bytes kept; 0: 55 s
	MaxOpen       int           // open uploads without a request kept in memory; 0: 2048

	Shared bool  // other nodes write the same ledger and storage: a row is read again by each request
	Turns  Turns // sweeping and hashing are done by the node whose turn it is; nil: by this one

	// Rights decides where one may put an upload; the zero value looks at the form of ids only. Unplace makes a row that is not finished yet
	// belong nowhere: what it named is gone, or is not its owner's any more. nil: it stays where its creation put it.
	Rights  media.Rights
	Unplace func(ctx context.Context, id media.AssetID) error

	Backends     []string // names of the backends the sweeper walks; empty: all the store knows
	Authenticate func(r *http.Request) (media.Principal, error)
	Problem      func(w http.ResponseWriter, r *http.Request, err error) // nil: short text
	OpenGrant    func(token string) (media.UploadGrant, error)           // reads the header Upload-Grant; nil: Authenticate alone decides
	SealGrant    func(g media.UploadGrant, expires time.Time) (string, error)
	ContentURL   func(ctx context.Context, a media.Asset) (string, error) // where GET on a finished upload is sent; nil: 409
	CORS         CORS

	Now    func() time.Time
	Logger *slog.Logger
}

// CORS says which pages may upload from a browser.
type CORS struct {
	Origins     []string // exact origins, or the one "*"; empty: none
	Credentials bool     // with exact origins only
	MaxAge      time.Duration
}

// Service is the upload endpoint: a handler for /files and everything below it, and the background work in Run.
type Service struct {
	ledger Ledger
	store  *storage.Store
	caps   Capabilities
	locker Locker
	o      Options
	tus    http.Handler

	desk    desk
	pending pending
	hashing chan struct{} // one token: there may be something to hash
	begun   time.Time
	silent  atomic.Int64 // nanoseconds from begun until which an absent ledger is not asked for rows that are known
	buffers *buffers

	active  atomic.Int64 // requests that bring bytes
	closing atomic.Bool
	calls   callSet
}

// New makes a Service. A nil locker is a MemoryLocker.
func New(ledger Ledger, store *storage.Store, caps Capabilities, locker Locker, o Options) (*Service, error) {
	if ledger == nil || store == nil || caps == nil {
		return nil, errors.New("uploads: ledger, store and capabilities are needed")
	}
	if err := o.fill(); err != nil {
		return nil, err
	}
	if locker == nil {
		locker = NewLocker()
	}
	if l, ok := locker.(interface{ setStall(d time.Duration) }); ok {
		l.setStall(o.StallAfter)
	}
	s := &Service{
		ledger: ledger, store: store, caps: caps, locker: locker, o: o, hashing: make(chan struct{}, 1),
		pending: newPending(), buffers: &buffers{left: defaultInFlight}, begun: time.Now(),
	}
	s.desk.m = map[media.AssetID]*upload{}
	s.calls.m = map[*call]struct{}{}

	composer := handler.NewStoreComposer()
	d := dataStore{s}
	composer.UseCore(d)
	composer.UseTerminater(d)
	composer.UseConcater(d)
	composer.UseLengthDeferrer(d)
	composer.UseLocker(d)
	h, err := handler.NewHandler(handler.Config{
		StoreComposer: composer, BasePath: root + "/", MaxSize: o.MaxSize, DisableDownload: true, Logger: quiet(),
		Cors: &handler.CorsConfig{Disable: true},
		// Each request parks a goroutine for so long after its end; what must outlive a request takes a context of its own.
		GracefulRequestCompletionTimeout: time.Millisecond,
		AcquireLockTimeout:               patience + time.Second,
		NetworkTimeout:                   o.Network,
	})
	if err != nil {
		return nil, fmt.Errorf("uploads: tus handler: %w", err)
	}
	s.tus = h
	return s, nil
}

func (o *Options) fill() error {
	switch o.Ack {
	case "", "fast":
		o.Ack = "fast"
	case "durable":
	default:
		return fmt.Errorf("uploads: ack is fast or durable, not %q", o.Ack)
	}
	if o.MaxSize < 0 || o.Quota < 0 || o.MaxOpen < 0 {
		return errors.New("uploads: sizes and counts are not negative")
	}
	if o.MaxSize == 0 {
		o.MaxSize = defaultMaxSize
	}
	if o.MaxOpen == 0 {
		o.MaxOpen = defaultMaxOpen
	}
	for d, v := range map[*time.Duration]time.Duration{
		&o.Expiry: defaultExpiry, &o.StallAfter: defaultStall, &o.IdleTimeout: defaultIdle, &o.Grace: defaultGrace,
		&o.SweepInterval: defaultSweep, &o.Network: defaultNetwork, &o.CORS.MaxAge: 24 * time.Hour,
	} {
		if *d < 0 {
			return errors.New("uploads: durations are not negative")
		}
		if *d == 0 {
			*d = v
		}
	}
	for _, origin := range o.CORS.Origins {
		if origin == "" || origin == "null" || origin == "*" && o.CORS.Credentials || origin != "*" && strings.Contains(origin, "*") {
			return fmt.Errorf("uploads: origin %q cannot be allowed", origin)
		}
	}
	for _, t := range o.AllowedTypes {
		if !validTypePattern(t) {
			return fmt.Errorf("uploads: %q is no type like video/* or image/png", t)
		}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Run does the background work until ctx ends, what nodes share in turns: it finishes what a crash or an absent ledger cut off, removes what has expired and
// bytes nobody owns, and computes missing SHA-256.
func (s *Service) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { s.runFinisher(ctx) })
	wg.Go(func() { s.runIdle(ctx) })
	wg.Go(func() { s.inTurn(ctx, sweeping, nil, s.runSweeper) })
	wg.Go(func() { s.inTurn(ctx, hashing, s.hashing, s.runHasher) })
	wg.Wait()
	return nil
}

// Shutdown tells running requests to stop, waits for their answers, and gives up every descriptor; the bytes that came stay. New
// requests that bring bytes are answered 503.
func (s *Service) Shutdown(ctx context.Context) error {
	s.closing.Store(true)
	err := s.calls.stopAll(ctx)
	s.desk.closeIdle(time.Time{}, 0)
	return err
}

// callSet is the running requests that bring bytes.
type callSet struct {
	mu    sync.Mutex
	m     map[*call]struct{}
	empty chan struct{} // closed when the last one ends; nil while nobody waits
}

func (cs *callSet) add(c *call) {
	cs.mu.Lock()
	cs.m[c] = struct{}{}
	cs.mu.Unlock()
}

func (cs *callSet) remove(c *call) {
	cs.mu.Lock()
	delete(cs.m, c)
	if len(cs.m) == 0 && cs.empty != nil {
		close(cs.empty)
		cs.empty = nil
	}
	cs.mu.Unlock()
}

func (cs *callSet) stopAll(ctx context.Context) error {
	cs.mu.Lock()
	if len(cs.m) == 0 {
		cs.mu.Unlock()
		return nil
	}
	if cs.empty == nil {
		cs.empty = make(chan struct{})
	}
	done := cs.empty
	for c := range cs.m {
		c.stop()
	}
	cs.mu.Unlock()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("uploads: wait for running requests: %w", context.Cause(ctx))
	}
}
