package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"sluice/analytics"
	"sluice/cache"
	"sluice/catalogue"
	"sluice/catalogue/postgres"
	"sluice/catalogue/sqlite"
	"sluice/configs"
	"sluice/curation"
	"sluice/gateway"
	"sluice/media"
	"sluice/playback"
	"sluice/signing"
	"sluice/storage"
	"sluice/uploads"
)

// application is everything that serves, wired.
type application struct {
	log       *slog.Logger
	catalogue *catalogue.Catalogue
	backends  openBackends
	shared    *shared
	assets    *cache.Assets
	records   *cache.Records
	places    *cache.Places
	lms       *curation.LMS
	counter   *analytics.Counter
	nodes     *nodes
	uploads   *uploads.Service
	denied    *playback.Denylist
	player    *playback.Handler
	auth      *gateway.Authenticator
	gateway   *gateway.Gateway
}

// wire builds the application over an open catalogue and what is shared with other nodes, which it owns from here on. It is the only place that picks drivers, together with
// openCatalogue and openStorage.
func wire(ctx context.Context, c *configs.Config, books *catalogue.Catalogue, common *shared, hear *told, log *slog.Logger) (_ *application, err error) {
	a := &application{log: log, catalogue: books, shared: common}
	defer func() { //nolint:contextcheck // closes what a failed start leaves, whatever became of ctx
		if err != nil {
			err = errors.Join(err, a.close())
		}
	}()
	ring, err := newRing(c)
	if err != nil {
		return nil, err
	}
	if a.nodes, err = newNodes(c, log); err != nil {
		return nil, err
	}
	if err := a.remember(ctx, c); err != nil {
		return nil, err
	}
	// Before the store is opened: the journal's lock keeps a second process away from the data directory.
	a.counter, err = analytics.NewCounter(books, c.Path("journal"), analytics.CounterOptions{CloseWait: countsWait, Logger: log})
	if errors.Is(err, analytics.ErrInUse) {
		return nil, refuse(err, "stop it, or give this one another with --data-dir", "another gateway runs on the data directory %s", c.DataDir)
	}
	if err != nil {
		return nil, fmt.Errorf("open the journal of counts: %w", err)
	}
	if a.backends, err = openStorage(ctx, c, log); err != nil {
		return nil, err
	}
	store, err := a.backends.store(c)
	if err != nil {
		return nil, fmt.Errorf("open the storage: %w", err)
	}
	if err := a.wireEdge(c, store, ring, log); err != nil {
		return nil, err
	}
	common.follow(ctx, a, hear)
	return a, nil
}

// Sizes of what is remembered beside assets.
const (
	rememberedRecords = 32 << 10 // KiB
	rememberedPlaces  = 1 << 16
)

// remember puts memory in front of the catalogue and of the LMS's records.
func (a *application) remember(ctx context.Context, c *configs.Config) (err error) {
	s := a.shared
	o := cache.Options{Size: c.Cache.Assets, Hears: s.hears(), Logger: a.log}
	if a.assets, err = cache.NewAssets(s.assetSource(a.catalogue), o); err != nil {
		return fmt.Errorf("cache: %w", err)
	}
	o.Size = rememberedRecords
	if a.records, err = cache.NewRecords(s.recordSource(), o); err != nil {
		return fmt.Errorf("cache: %w", err)
	}
	o.Size = rememberedPlaces
	spread := func(ctx context.Context, kind, id string) { s.spread(context.WithoutCancel(ctx), kind, id) }
	if a.places, err = cache.NewPlaces(s.placeSource(a.catalogue), spread, o); err != nil {
		return fmt.Errorf("cache: %w", err)
	}
	return nil
}

// wireEdge builds the use-cases and the gateway before them.
func (a *application) wireEdge(c *configs.Config, store *storage.Store, ring *signing.Ring, log *slog.Logger) error {
	keys, err := apiKeys(c)
	if err != nil {
		return err
	}
	a.auth, err = gateway.NewAuthenticator(gateway.AuthOptions{
		Secret: []byte(c.JWT.Secret.Reveal()), ShortSecret: c.Profile == configs.Development, JWKSURL: c.JWT.JWKSURL,
		Issuer: c.JWT.Issuer, Audience: c.JWT.Audience, APIKeys: keys, OpenGrant: ring.OpenGrant, Logger: log,
	})
	if err != nil {
		return fmt.Errorf("authentication: %w", err)
	}
	clientIP, err := gateway.NewClientIP(c.TrustedProxies)
	if err != nil {
		return fmt.Errorf("trusted proxies: %w", err)
	}
	problems := gateway.NewProblems(log)
	a.denied = playback.NewDenylist(a.catalogue, playback.DenylistOptions{MaxLink: c.Links.MaxTTL, Signer: ring, Tell: a.shared.revoked, Logger: log})
	a.player, err = playback.New(a.assets, store, ring, a.counter, playback.Options{
		Problem: problems.Write, OpenPlayGrant: a.auth.PlayGrant, ClientIP: clientIP, AllowedOrigins: c.CORS.Origins, Denied: a.denied, Logger: log,
	})
	if err != nil {
		return fmt.Errorf("playback: %w", err)
	}
	rights := media.Rights{Records: a.records}
	links := playback.NewLinks(a.assets, ring, playback.LinkOptions{Default: c.Links.TTL, Max: c.Links.MaxTTL, Denied: a.denied, Rights: rights})
	a.uploads, err = uploads.New(a.catalogue, store, ring, a.nodes.locker, uploads.Options{
		Shared: a.nodes.shared(), Turns: a.nodes.turns, Rights: rights, Unplace: unplace(a.catalogue),
		MaxSize: int64(c.Uploads.MaxSize), Quota: int64(c.Uploads.Quota), AllowedTypes: c.Uploads.AllowedTypes, Ack: string(c.Uploads.Ack),
		Expiry: c.Uploads.Expiry, StallAfter: c.Uploads.StallAfter, Network: c.Uploads.IdleTimeout,
		Authenticate: a.auth.Principal, Problem: problems.Write, OpenGrant: ring.OpenGrant, SealGrant: ring.SealGrant,
		ContentURL: links.ContentURL, CORS: uploads.CORS{Origins: c.CORS.Origins}, Logger: log,
	})
	if err != nil {
		return fmt.Errorf("uploads: %w", err)
	}
	curated := curation.New(a.catalogue.Shelf(), store, curation.Options{Memory: a.assets, Rights: rights, Logger: log})
	a.lms = curation.NewLMS(curated, a.catalogue, a.shared.records, curation.LMSOptions{
		Records: a.records, Places: a.places, Trash: c.Trash.Keep, Alone: !c.DB.Enabled && c.MongoDB.URI.Empty(),
	})
	a.gateway, err = gateway.New(gateway.Needs{
		Media: curated, LMS: a.lms,
		Links: links, Counter: a.counter,
		Reports: analytics.NewReports(a.catalogue, a.catalogue, a.counter, analytics.ReportOptions{Rights: rights, Titles: a.shared.records}),
		Grants:  a.uploads, Revocations: a.denied, Answers: a.catalogue, Uploads: a.uploads, Playback: a.player, Auth: a.auth, Problems: problems,
	}, gateway.Options{
		PublicURL: c.PublicURL, CORSOrigins: c.CORS.Origins, Logger: accessLog(c, log), ClientIP: clientIP, Version: versionText(),
		ShutdownGrace: shutdownGrace(c), ReplayLease: replayLease(c),
		// Known media go on playing without the catalogue (contracts, section 3): it degrades and does not stop.
		Checks: slices.Concat([]gateway.Check{{Name: catalogueName(c), Probe: a.catalogue.Ping}}, a.shared.checks(c), a.backends.checks()),
	})
	if err != nil {
		return fmt.Errorf("gateway: %w", err)
	}
	return nil
}

// replayLease is how long a claimed Idempotency-Key is left to who claimed it: where the catalogue is this process's own, a claim that it finds is a
// dead process's.
func replayLease(c *configs.Config) time.Duration {
	if c.DB.Enabled {
		return 0
	}
	return time.Microsecond
}

func catalogueName(c *configs.Config) string {
	if c.DB.Enabled {
		return "postgres"
	}
	return "sqlite"
}

func accessLog(c *configs.Config, log *slog.Logger) *slog.Logger {
	if c.Log.Access {
		return log
	}
	return slog.New(atLeast{log.Handler(), slog.LevelWarn})
}

// atLeast drops what is below a level.
type atLeast struct {
	slog.Handler
	level slog.Level
}

func (h atLeast) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= h.level && h.Handler.Enabled(ctx, l)
}

// restore is what helps a damaged catalogue.
const restore = "stop the gateway, then restore the catalogue from a backup, or save what is left with sqlite3's .recover"

// openCatalogue opens the catalogue that the configuration names, without bringing its schema up.
func openCatalogue(ctx context.Context, c *configs.Config, o catalogue.Options) (*catalogue.Catalogue, error) {
	o.SkipMigrate = true
	if !c.DB.Enabled {
		books, err := sqlite.Open(ctx, c.Path("catalogue.db"), o)
		if errors.Is(err, sqlite.ErrDamaged) {
			return nil, refuse(err, restore, "the embedded catalogue %s is damaged: %v", c.Path("catalogue.db"), err)
		}
		if err != nil {
			return nil, refuse(err, "let the process write its data directory; sluice doctor checks the file", "the embedded catalogue %s cannot be opened: %v", c.Path("catalogue.db"), err)
		}
		return books, nil
	}
	return openPostgres(ctx, c, o)
}

// openPostgres waits for a server that is not up yet as long as the configuration says; a wrong password is wrong at once.
func openPostgres(ctx context.Context, c *configs.Config, o catalogue.Options) (*catalogue.Catalogue, error) {
	end := time.Now().Add(c.DB.ConnectWait)
	retry := time.NewTicker(250 * time.Millisecond)
	defer retry.Stop()
	for {
		books, err := postgres.Open(ctx, postgresConfig(c), o)
		if err == nil {
			return books, nil
		}
		if !errors.Is(err, media.Unavailable) || time.Now().After(end) || ctx.Err() != nil {
			if s, ok := errors.AsType[*postgres.StartError](err); ok {
				return nil, refuse(err, s.Fix, "%s", s.Error())
			}
			return nil, err
		}
		select {
		case <-retry.C:
		case <-ctx.Done():
		}
	}
}

// changes passes what one source says to those who remember it, which are built after it.
type changes[T any] struct {
	f atomic.Pointer[func(T)]
}

func (c *changes[T]) tell(f func(T)) { c.f.Store(&f) }

func (c *changes[T]) changed(v T) {
	if f := c.f.Load(); f != nil {
		(*f)(v)
	}
}

// told is what the catalogue and the LMS's records say of changes.
type told struct {
	assets  changes[media.AssetID]
	records changes[media.Subject]
	counts  changes[struct{}]
}

func (t *told) counted() { t.counts.changed(struct{}{}) }

// run does the background work until ctx ends. The first loop that fails ends the others.
func (a *application) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	loops := []func(context.Context) error{a.nodes.run, a.uploads.Run, a.counter.Run, a.auth.Run, a.denied.Run, a.lms.Run, a.shared.records.Run, a.tellUnknown}
	for _, loop := range append(loops, a.shared.loops()...) {
		g.Go(func() error {
			if err := loop(ctx); err != nil && !errors.Is(err, context.Canceled) {
				return err
			}
			return nil
		})
	}
	return g.Wait()
}

// close settles what is counted and lets go of everything, in the order in which one needs the other.
func (a *application) close() error {
	var errs []error
	if a.counter != nil {
		errs = append(errs, a.counter.Close())
	}
	if a.assets != nil {
		errs = append(errs, a.assets.Close())
	}
	if a.records != nil {
		errs = append(errs, a.records.Close())
	}
	if a.places != nil {
		errs = append(errs, a.places.Close())
	}
	if a.nodes != nil {
		errs = append(errs, a.nodes.close())
	}
	return errors.Join(append(errs, a.shared.close(), a.backends.close(), a.catalogue.Close())...)
}

func (a *application) metrics() http.Handler { return a.gateway.Metrics() }
