package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"sluice/catalogue"
	"sluice/configs"
	"sluice/entities"
	"sluice/entities/embedded"
	"sluice/entities/mongo"
	"sluice/media"
)

// recordsFile keeps the LMS's records where there is no MongoDB.
const recordsFile = "entities.db"

// openRecords opens what keeps the LMS's records: the MongoDB that MONGODB_URI names, or a file in the data directory. A server that is away is
// found later.
func openRecords(ctx context.Context, c *configs.Config, changed func(media.Subject), out io.Writer, log *slog.Logger) (*entities.Records, error) {
	driver, said, err := openRecordsDriver(ctx, c, log)
	if err != nil {
		return nil, err
	}
	records, err := entities.New(ctx, driver, entities.Options{Changed: changed, Logger: log})
	if err != nil {
		return nil, errors.Join(refuse(err, "let the process read and write its data directory", "the LMS's records cannot be read: %v", err), driver.Close())
	}
	say(out, "%s\n", said)
	return records, nil
}

func openRecordsDriver(ctx context.Context, c *configs.Config, log *slog.Logger) (d entities.Driver, said string, err error) {
	if c.MongoDB.URI.Empty() {
		path := c.Path(recordsFile)
		d, err := embedded.Open(ctx, path, embedded.Options{})
		if err != nil {
			return nil, "", refuseEmbedded(path, err)
		}
		return d, "MongoDB not configured (records are kept in " + recordsFile + ")", nil
	}
	m, err := mongo.Open(ctx, c.MongoDB.URI.Reveal(), mongo.Options{Collections: collections(c), Logger: log})
	if err != nil {
		return nil, "", refuseMongo(err)
	}
	first, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if err := m.Ping(first); err != nil {
		log.Warn("MongoDB is not reachable: media only until it is back", slog.Any("error", err))
		return m, "MongoDB away (media only until it is back)", nil
	}
	return m, "MongoDB connected", nil
}

func collections(c *configs.Config) map[media.SubjectType]string {
	names := map[media.SubjectType]string{}
	for t, name := range c.MongoDB.CollectionNames() {
		names[media.SubjectType(t)] = name
	}
	return names
}

func refuseMongo(err error) error {
	if e, ok := errors.AsType[*mongo.StartError](err); ok {
		return refuse(err, e.Fix, "%s", e.Text)
	}
	return refuse(err, "see default.yaml for what the setting takes", "%v", err)
}

func refuseEmbedded(path string, err error) error {
	if errors.Is(err, embedded.ErrDamaged) {
		return refuse(err, "stop the gateway, then restore the file from a backup, or save what is left with sqlite3's .recover",
			"the embedded records %s are damaged: %v", path, err)
	}
	return refuse(err, "let the process write its data directory; or restore the file from a backup", "the embedded records %s cannot be opened: %v", path, err)
}

func lookRecords(ctx context.Context, l *configs.Loaded) (string, error) {
	if l.MongoDB.URI.Empty() {
		saw, err := lookEmbedded(ctx, l.Path(recordsFile))
		if err == nil && l.DB.Enabled {
			err = caution{refuse(nil, "set MONGODB_URI when there are several nodes",
				"no MongoDB: records are kept in %s, which is this node's own", l.Path(recordsFile))}
		}
		return saw, err
	}
	saw, err := mongo.Examine(ctx, l.MongoDB.URI.Reveal(), mongo.Options{Collections: collections(&l.Config)})
	if err != nil {
		return "", refuseMongo(err)
	}
	return saw, nil
}

// lookEmbedded reads all of a file that is there.
func lookEmbedded(ctx context.Context, path string) (saw string, err error) {
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return "none: records will be kept in " + recordsFile, nil
	}
	d, err := embedded.Open(ctx, path, embedded.Options{})
	if err != nil {
		return "", refuseEmbedded(path, err)
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	if err := d.Check(ctx); err != nil {
		return "", refuseEmbedded(path, err)
	}
	return "none: records are kept in " + recordsFile + ", every page is sound", nil
}

// unplace makes an upload that is not finished belong nowhere.
func unplace(books *catalogue.Catalogue) func(ctx context.Context, id media.AssetID) error {
	nowhere := media.Placement{Kind: media.Generic}
	return func(ctx context.Context, id media.AssetID) error {
		for {
			a, err := books.Asset(ctx, id)
			if err != nil || a.State.Finished() || a.Placement == nowhere {
				return err
			}
			_, err = books.Change(ctx, id, a.Version, media.Change{Placement: &nowhere})
			if !errors.Is(err, media.PreconditionFailed) {
				return err
			}
			if ctx.Err() != nil {
				return fmt.Errorf("unplace: %w", ctx.Err())
			}
		}
	}
}
