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
	"sluice/entities"
	"sluice/gateway"
	"sluice/media"
)

// topicRevocations is told when the list of revocations has changed. Other topics are kinds of what is remembered, and are told its ids: redis.Media,
// the types of records, and the lists of cache.Places.
const topicRevocations = "revocations"

// shared is what the nodes of a deployment have in common beside the catalogue: the LMS's records, a Redis before both, and a way to tell each
// other what has changed. With neither of the last two the gateway is one process.
type shared struct {
	records *entities.Records
	tier    *redis.Tier   // nil: no REDIS_URL
	bus     *postgres.Bus // nil: an embedded catalogue, which is one process's own

	kinds map[string]recall // by topic; set by follow
}

// recall is how this node remembers one kind of thing.
type recall struct {
	forget func(id string)
	knows  func(id string) bool // whether it is in use here
	reload func(id string)      // so that it is known should its source go away now
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

// assetSource is what the memory of assets asks.
func (s *shared) assetSource(books *catalogue.Catalogue) cache.AssetSource {
	if s.tier != nil {
		return s.tier.Assets(books)
	}
	return books
}

// recordSource is what the memory of records asks.
func (s *shared) recordSource() cache.RecordSource {
	if s.tier != nil {
		return s.tier.Records(s.records)
	}
	return s.records
}

// placeSource is what the memory of places asks.
func (s *shared) placeSource(books *catalogue.Catalogue) cache.PlaceSource {
	if s.tier != nil {
		return s.tier.Places(books)
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
func (s *shared) follow(ctx context.Context, a *application, hear *told) {
	ctx = context.WithoutCancel(ctx) // what is committed is told, whoever has left meanwhile
	s.kinds = map[string]recall{redis.Media: assetMemory(ctx, a)}
	for _, t := range []media.SubjectType{media.Product, media.Course, media.User, media.Review} {
		s.kinds[string(t)] = recordMemory(ctx, a, t)
	}
	orders := recordMemory(ctx, a, media.Order)
	forgetOrder := orders.forget
	orders.forget = func(id string) {
		forgetOrder(id)
		a.records.InvalidateGrants()
	}
	s.kinds[string(media.Order)] = orders
	for _, kind := range []string{cache.Images, cache.Videos, cache.Resources} {
		s.kinds[kind] = recall{forget: func(id string) { a.places.Invalidate(cache.PlaceQueryOf(kind, id)) }}
	}
	missed := func() {
		a.assets.Expire()
		a.records.Expire()
		a.places.Expire()
		a.lms.Touch()
		a.uploads.ChangedAll()
	}
	for _, b := range s.buses() {
		for kind, m := range s.kinds {
			told := func(id string) { m.told(id, nil) }
			if s.bus != nil && s.tier != nil && b == bus(s.bus) {
				told = func(id string) { m.told(id, func() { _ = s.tier.Forget(ctx, kind, id) }) } // its sender could not
			}
			b.Subscribe(kind, told, missed)
		}
		b.Subscribe(topicRevocations, func(string) { a.denied.Changed() }, a.denied.Changed)
	}
	hear.assets.tell(func(id media.AssetID) { s.changed(ctx, redis.Media, id.String()) })
	hear.counts.tell(func(struct{}) { a.lms.Touch() })
	hear.records.tell(func(x media.Subject) { s.changed(ctx, string(x.Type), x.ID) })
}

func assetMemory(ctx context.Context, a *application) recall {
	with := func(do func(media.AssetID)) func(string) {
		return func(text string) {
			if id, err := media.ParseAssetID(text); err == nil {
				do(id)
			}
		}
	}
	return recall{
		forget: with(func(id media.AssetID) {
			a.assets.Invalidate(id)
			a.lms.Touch()
			a.player.Forget(id)
			a.uploads.Changed(id) // an open upload that is deleted through the API is gone at once
		}),
		knows: func(text string) bool {
			id, err := media.ParseAssetID(text)
			return err == nil && a.assets.Knows(id)
		},
		reload: with(func(id media.AssetID) { a.assets.Preload(ctx, id) }),
	}
}

func recordMemory(ctx context.Context, a *application, t media.SubjectType) recall {
	return recall{
		forget: func(id string) { a.records.Invalidate(media.Subject{Type: t, ID: id}) },
		knows:  func(id string) bool { return a.records.Knows(media.Subject{Type: t, ID: id}) },
		reload: func(id string) { a.records.Preload(ctx, media.Subject{Type: t, ID: id}) },
	}
}

// told is what another node says has changed.
func (m recall) told(id string, before func()) {
	if before != nil {
		before()
	}
	known := m.knows != nil && m.knows(id)
	if m.forget(id); known {
		m.reload(id)
	}
}

// changed makes every node forget what was changed, after each commit. Here it holds when this returns. A lookup that found the old value in
// Redis just before that was told may have put it back into memory: it goes once more.
func (s *shared) changed(ctx context.Context, kind, id string) {
	m, remembered := s.kinds[kind]
	if !remembered {
		return
	}
	known := m.knows != nil && m.knows(id)
	m.forget(id)
	s.spread(ctx, kind, id)
	if s.tier != nil {
		m.forget(id)
	}
	if known {
		m.reload(id)
	}
}

// spread makes Redis and the other nodes forget something of a kind.
func (s *shared) spread(ctx context.Context, kind, id string) {
	told := s.tier != nil && s.tier.Forget(ctx, kind, id) == nil
	if !told && s.bus != nil {
		_ = s.bus.Publish(ctx, kind, id) // it goes out later when not now
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

// checks are what /readyz asks. Without Redis everything works, slower; without MongoDB, media only.
func (s *shared) checks(c *configs.Config) []gateway.Check {
	var all []gateway.Check
	if !c.MongoDB.URI.Empty() {
		all = append(all, gateway.Check{Name: "mongodb", Probe: s.records.Ping})
	}
	if s.tier != nil {
		all = append(all, gateway.Check{Name: "redis", Probe: s.tier.Ping})
	}
	return all
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
	if s.records != nil {
		errs = append(errs, s.records.Close())
	}
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
