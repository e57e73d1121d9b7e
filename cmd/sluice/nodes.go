package main

import (
	"context"
	"log/slog"

	"sluice/catalogue/postgres"
	"sluice/configs"
	"sluice/uploads"
	"sluice/uploads/redislock"
)

// nodes is how this node keeps its place among others: the upload lock, and whose turn it is at background work.
type nodes struct {
	locker uploads.Locker
	turns  uploads.Turns // nil: there are no other nodes
	run    func(ctx context.Context) error
	close  func() error
}

// shared reports whether other nodes may write the same uploads.
func (n *nodes) shared() bool { return n.turns != nil }

// newNodes picks who lends leases: Redis where there is one, else the database of the catalogue. An embedded catalogue has one node. It
// does not connect: a server that is away delays no start.
func newNodes(c *configs.Config, log *slog.Logger) (*nodes, error) {
	none := func() error { return nil }
	switch {
	case !c.Redis.URL.Empty():
		leases, err := redislock.New(c.Redis.URL.Reveal(), redislock.Options{Namespace: c.Redis.Namespace})
		if err != nil {
			return nil, refuse(err, "set it to redis://user:password@host:6379/0, or leave it empty", "REDIS_URL cannot be used: %v", err)
		}
		return sharing(leases, leases.Close, log), nil
	case c.DB.Enabled:
		leases, err := postgres.NewLeases(postgresConfig(c), log)
		if err != nil {
			return nil, err
		}
		return sharing(leases, none, log), nil
	}
	return &nodes{
		locker: uploads.NewLocker(), close: none,
		run: func(ctx context.Context) error { <-ctx.Done(); return nil },
	}, nil
}

func sharing(leases uploads.Leases, closing func() error, log *slog.Logger) *nodes {
	locker := uploads.NewSharedLocker(leases, log)
	return &nodes{locker: locker, turns: locker, run: locker.Run, close: closing}
}

func postgresConfig(c *configs.Config) postgres.Config {
	return postgres.Config{
		URL: c.DB.URL.Reveal(), Host: c.DB.Host, Port: c.DB.Port, Database: c.DB.Name, User: c.DB.User, Password: c.DB.Password.Reveal(),
		SSLMode: c.DB.SSLMode, MaxConns: c.DB.MaxConns,
	}
}
