// Package mongo keeps the LMS's records where the LMS has them: in its MongoDB. It writes as a guest: a document is changed member by
// member, only as it was read, and in the types it had. Programs that know nothing of Sluice go on as before.
package mongo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"sluice/entities"
	"sluice/media"
)

// Options are choices of a Driver. The zero value works.
type Options struct {
	// Collections names those of the LMS that are called otherwise than products, courses, users, reviews and orders.
	Collections map[media.SubjectType]string

	Trash string        // the collection of what was deleted and may be restored; "": sluice_trash
	Wait  time.Duration // how long one question may take; 0: 1.5 s

	// Logger is told what the database does not let this program do. Nil: discards.
	Logger *slog.Logger
}

func (o *Options) complete() error {
	names := map[media.SubjectType]string{
		media.Product: "products", media.Course: "courses", media.User: "users", media.Review: "reviews", media.Order: "orders",
	}
	for t, name := range o.Collections {
		if names[t] == "" {
			return fmt.Errorf("entities mongo: there is no collection of type %q", t)
		}
		if name != "" {
			names[t] = name
		}
	}
	o.Collections = names
	if o.Trash == "" {
		o.Trash = "sluice_trash"
	}
	if o.Wait <= 0 {
		o.Wait = 1500 * time.Millisecond
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Driver is one database of a server, or of a replica set.
type Driver struct {
	o      Options
	at     string // hosts, for texts
	client *mongo.Client
	db     *mongo.Database
	health *health

	indexed atomic.Bool

	mu     sync.Mutex
	resume bson.Raw // where the change stream goes on
}

var (
	_ entities.Driver  = (*Driver)(nil)
	_ entities.Watcher = (*Driver)(nil)
)

// Open makes a Driver of the database that a URI names: mongodb://user:password@host:port/database; without a database, lms. The server
// need not be there. A URI that cannot be read, and a login that is refused, are a *StartError.
func Open(ctx context.Context, uri string, o Options) (*Driver, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	opt, database, err := parse(uri)
	if err != nil {
		return nil, err
	}
	h := &health{failing: map[string]int{}, asking: map[*asker]struct{}{}}
	opt.SetServerMonitor(h.monitor())
	client, err := mongo.Connect(opt)
	if err != nil {
		return nil, badURI()
	}
	d := &Driver{o: o, at: hosts(opt), client: client, db: client.Database(database), health: h}
	if err := d.Ping(ctx); refused(err) {
		return nil, errors.Join(explain(d.at, err), d.disconnect(ctx))
	}
	return d, nil
}

// How connections are used. The driver's own defaults wait 30 s for a server that is away, and look for it every 10 s.
const (
	connectWait = time.Second
	heartbeat   = 500 * time.Millisecond // the least the driver allows
	selectWait  = 10 * time.Second       // whoever asks is bounded already
	poolSize    = 64
)

// Ping asks the server for a sign of life.
func (d *Driver) Ping(ctx context.Context) error {
	return d.ask(ctx, func(ctx context.Context) error {
		return d.db.RunCommand(ctx, bson.D{{Key: "ping", Value: 1}}).Err()
	})
}

// Version names the server: "MongoDB 7.0.2".
func (d *Driver) Version(ctx context.Context) (string, error) {
	var info struct {
		Version string `bson:"version"`
		Ferret  string `bson:"ferretdbVersion"`
	}
	err := d.ask(ctx, func(ctx context.Context) error {
		return d.db.RunCommand(ctx, bson.D{{Key: "buildInfo", Value: 1}}).Decode(&info)
	})
	if err != nil {
		return "", err
	}
	if info.Ferret != "" {
		return "FerretDB " + info.Ferret, nil
	}
	return "MongoDB " + info.Version, nil
}

// Close ends the connections.
func (d *Driver) Close() error {
	return d.disconnect(context.Background()) //nolint:forbidigo // Close has none, as io.Closer
}

// disconnect does not wait for operations under way: they end with their connections.
func (d *Driver) disconnect(ctx context.Context) error {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	cancel()
	if err := d.client.Disconnect(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("entities mongo: close: %w", err)
	}
	return nil
}

func (d *Driver) collection(k entities.Key) *mongo.Collection {
	if k.Trash {
		return d.db.Collection(d.o.Trash)
	}
	return d.db.Collection(d.o.Collections[k.Type])
}

// quick are the options of a client that does not wait.
func quick(opt *options.ClientOptions) {
	opt.SetConnectTimeout(connectWait).SetServerSelectionTimeout(selectWait).SetHeartbeatInterval(heartbeat).SetServerMonitoringMode("poll")
	opt.SetMaxPoolSize(poolSize).SetMaxAdaptiveRetries(0)
	// With a deadline the driver retries until that. A read is asked once more here, a write by whoever asked for it.
	opt.SetRetryReads(false).SetRetryWrites(false)
}
