package main

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"time"

	"sluice/cache"
	"sluice/cache/redis"
	"sluice/catalogue"
	"sluice/catalogue/postgres"
	"sluice/configs"
	"sluice/gateway"
	"sluice/media"
)

// topicRevocations is told when the list of revocations has changed; redis.Media when an asset has.
const topicRevocations = "revocations"

// shared is what the nodes of a deployment have in common beside the catalogue: a Redis before it, and a way to tell each other what has
// changed. With neither the gateway is one process.
type shared struct {
	tier *redis.Tier   // nil: no REDIS_URL
	bus  *postgres.Bus // nil: an embedded catalogue, which is one process's own

	forget func(media.AssetID)      // here; set by follow, as are the others
	knows  func(media.AssetID) bool // whether it is in use here
	reload func(media.AssetID)      // so that it plays on should the catalogue go away now
}

// bus is what tells other nodes.
type bus interface {
	Publish(ctx context.Context, topic, text string) error
	Subscribe(topic string, told func(text string), gap func())
	Hears(now time.Time) bool
	Run(ctx context.Context) error
}

// openRedis opens what REDIS_URL names. One that is away is found later.
func openRedis(ctx context.Context, c *configs.Config, out io.Writer, log *slog.Logger) (*shared, error) {
	s := &shared{}
	if c.Redis.URL.Empty() {
		return s, nil
	}
	tier, err := redis.Open(c.Redis.URL.Reveal(), redis.Options{Namespace: c.Redis.Namespace, Logger: log})
	if err != nil {
		return nil, refuseRedis(err)
	}
	s.tier = tier
	first, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if tier.Ping(first) == nil {
		say(out, "Redis connected\n")
	}
	return s, nil
}

// openBus opens a bus over the catalogue's own database, when others may share that.
func (s *shared) openBus(ctx context.Context, c *configs.Config) error {
	if !c.DB.Enabled {
		return nil
	}
	b, err := postgres.NewBus(ctx, postgresConfig(c), rand.Text()[:10], postgres.BusOptions{Namespace: c.Redis.Namespace})
	if err != nil {
		return err
	}
	s.bus = b
	return nil
}

func refuseRedis(err error) error {
	if e, ok := errors.AsType[*redis.StartError](err); ok {
		return refuse(err, e.Fix, "%s", e.Text)
	}
	return refuse(err, "see default.yaml for what the setting takes", "%v", err)
}

func (s *shared) buses() []bus {
	var all []bus
	if s.tier != nil {
		all = append(all, s.tier)
	}
	if s.bus != nil {
		all = append(all, s.bus)
	}
	return all
}

// source is what memory asks.
func (s *shared) source(books *catalogue.Catalogue) cache.AssetSource {
	if s.tier != nil {
		return s.tier.Assets(books)
	}
	return books
}

// hears reports whether changes that other nodes make are heard of. Who is cut off from Redis tells by the database, so both must be heard.
func (s *shared) hears() func(time.Time) bool {
	all := s.buses()
	if len(all) == 0 {
		return nil
	}
	return func(now time.Time) bool {
		for _, b := range all {
			if !b.Hears(now) {
				return false
			}
		}
		return true
	}
}

// follow connects the application with the other nodes.
func (s *shared) follow(ctx context.Context, a *application, changed *changes) {
	ctx = context.WithoutCancel(ctx) // what is committed is told, whoever has left meanwhile
	s.forget = func(id media.AssetID) {
		a.assets.Invalidate(id)
		a.player.Forget(id)
		a.uploads.Changed(id) // an open upload that is deleted through the API is gone at once
	}
	s.knows, s.reload = a.assets.Knows, func(id media.AssetID) { a.assets.Preload(ctx, id) }
	missed := func() {
		a.assets.Expire()
		a.uploads.ChangedAll()
	}
	for _, b := range s.buses() {
		told := func(text string) { s.told(text, nil) }
		if s.bus != nil && s.tier != nil && b == bus(s.bus) {
			told = func(text string) { s.told(text, func() { _ = s.tier.Forget(ctx, redis.Media, text) }) } // its sender could not
		}
		b.Subscribe(redis.Media, told, missed)
		b.Subscribe(topicRevocations, func(string) { a.denied.Changed() }, a.denied.Changed)
	}
	changed.tell(func(id media.AssetID) { s.changed(ctx, id) })
}

// told is what another node says of an asset.
func (s *shared) told(text string, before func()) {
	id, err := media.ParseAssetID(text)
	if err != nil {
		return
	}
	if before != nil {
		before()
	}
	known := s.knows(id)
	if s.forget(id); known {
		s.reload(id)
	}
}

// changed makes every node forget an asset, after each commit. Here it holds when this returns. A lookup that found the old row in Redis
// just before that was told may have put it back into memory: it goes once more.
func (s *shared) changed(ctx context.Context, id media.AssetID) {
	known := s.knows(id)
	s.forget(id)
	told := s.tier != nil && s.tier.Forget(ctx, redis.Media, id.String()) == nil
	if !told && s.bus != nil {
		_ = s.bus.Publish(ctx, redis.Media, id.String()) // it goes out later when not now
	}
	if s.tier != nil {
		s.forget(id)
	}
	if known {
		s.reload(id)
	}
}

// revoked tells the other nodes to read the list of revocations, by one way or the other. They read it by themselves a moment later.
func (s *shared) revoked(ctx context.Context) {
	for _, b := range s.buses() {
		if b.Publish(context.WithoutCancel(ctx), topicRevocations, "") == nil {
			return
		}
	}
}

// checks are what /readyz asks. Without Redis everything works, slower.
func (s *shared) checks() []gateway.Check {
	if s.tier == nil {
		return nil
	}
	return []gateway.Check{{Name: "redis", Probe: s.tier.Ping}}
}

func (s *shared) loops() []func(context.Context) error {
	var all []func(context.Context) error
	for _, b := range s.buses() {
		all = append(all, b.Run)
	}
	return all
}

func (s *shared) close() error {
	var errs []error
	if s.tier != nil {
		errs = append(errs, s.tier.Close())
	}
	if s.bus != nil {
		errs = append(errs, s.bus.Close())
	}
	return errors.Join(errs...)
}

func lookRedis(ctx context.Context, l *configs.Loaded) (string, error) {
	if l.Redis.URL.Empty() {
		return "none: lookups are remembered in memory only", nil
	}
	saw, err := redis.Examine(ctx, l.Redis.URL.Reveal())
	if err != nil {
		return "", refuseRedis(err)
	}
	return saw, nil
}
