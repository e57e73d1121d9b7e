package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"sluice/catalogue"
)

type migrateCommand struct {
	sources
	Action string `arg:"" optional:"" default:"status" enum:"status,up" help:"status or up."`
}

// Help teaches by examples.
func (migrateCommand) Help() string {
	return `sluice serve brings the schema up by itself, one node at a time; this is for those who do it before.

  sluice migrate            which version the schema has, and the newest there is; exit code 1 when they differ
  sluice migrate up`
}

// Run shows or changes the schema.
func (c *migrateCommand) Run(ctx context.Context, s surroundings) (err error) {
	l, err := c.load(s, nil)
	if err != nil {
		return err
	}
	if !l.DB.Enabled {
		if _, err := os.Stat(l.DataDir); errors.Is(err, os.ErrNotExist) {
			return refuse(err, "name the data directory of a gateway that has been started once with --data-dir or DATA_DIR, or start it: sluice serve makes both",
				"the data directory %s is not there, so there is no catalogue", l.DataDir)
		}
	}
	books, err := openCatalogue(ctx, &l.Config, catalogue.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, books.Close()) }()
	if c.Action == "up" {
		if err := books.Migrate(ctx); err != nil {
			return refuse(err, "the database user must own the tables; sluice doctor checks more", "the schema cannot be brought up: %v", err)
		}
	}
	current, latest, err := books.Version(ctx)
	if err != nil {
		return fmt.Errorf("read the schema's version: %w", err)
	}
	say(s.stdout, "%s: version %d of %d\n", catalogueName(&l.Config), current, latest)
	if current != latest {
		return refuse(nil, "run sluice migrate up", "the schema is not at its newest version")
	}
	return nil
}
