package mongo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"sluice/media"
)

// Cause says why the database cannot be used.
type Cause uint8

// The causes.
const (
	OtherCause    Cause = iota
	BadURI              // the URI cannot be read
	Unreachable         // nobody answers at that address
	WrongPassword       // codes 18, 8000 and 13
)

// StartError is why a database cannot be used: one line of cause, one of what to do. Neither holds a secret. errors.As finds it.
type StartError struct {
	Cause Cause
	Text  string // the cause in one line
	Fix   string // what to do, in one line
	Err   error  // for the log
}

func (e *StartError) Error() string { return e.Text }

// Unwrap gives the driver's error.
func (e *StartError) Unwrap() error { return e.Err }

// Is makes a server that is away media.Unavailable, so that a start may be tried again.
func (e *StartError) Is(target error) bool {
	return target == media.Unavailable && e.Cause == Unreachable
}

// defaultDatabase is used by a URI that names none.
const defaultDatabase = "lms"

// parse reads a URI. No error holds anything of it.
func parse(uri string) (opt *options.ClientOptions, database string, err error) {
	opt = options.Client().ApplyURI(uri)
	err = opt.Validate()
	if dns, away := errors.AsType[*net.DNSError](err); away { // mongodb+srv:// names a record that says where the servers are
		return nil, "", &StartError{
			Cause: Unreachable, Text: "the name of MONGODB_URI is not found", Fix: "check the host of mongodb+srv://…, and that names can be resolved here",
			Err: errors.New(dns.Err),
		}
	}
	if err != nil {
		return nil, "", badURI()
	}
	if database, err = databaseOf(uri); err != nil {
		return nil, "", badURI()
	}
	if opt.AppName == nil {
		opt.SetAppName("sluice")
	}
	opt.SetReadPreference(readpref.Primary()) // what was written just now decides
	if w := opt.WriteConcern; w != nil && !w.Acknowledged() {
		opt.SetWriteConcern(writeconcern.Majority())
	}
	quick(opt)
	return opt, database, nil
}

// databaseOf gives the path of a URI. net/url cannot: several hosts with ports are not one host.
func databaseOf(uri string) (string, error) {
	_, rest, _ := strings.Cut(uri, "://")
	rest, _, _ = strings.Cut(rest, "?")
	_, path, _ := strings.Cut(rest, "/")
	name, err := url.PathUnescape(path)
	if err != nil || strings.ContainsAny(name, "/\\. \"$\x00") || len(name) > 63 {
		return "", errors.New("the name of the database cannot be read")
	}
	if name == "" {
		return defaultDatabase, nil
	}
	return name, nil
}

func hosts(opt *options.ClientOptions) string { return strings.Join(opt.Hosts, ",") }

func badURI() error {
	return &StartError{
		Cause: BadURI, Text: "MONGODB_URI cannot be read",
		Fix: "write it as mongodb://user:password@host:27017/lms; @ : / ? # and % in a password as %40 %3A %2F %3F %23 %25",
		Err: errors.New("the URI cannot be read"),
	}
}

// refused reports whether the server answers, and does not let us in.
func refused(err error) bool { return hasCode(err, 18, 8000) }

// explain tells what a first failure means.
func explain(at string, err error) error {
	passing := errors.Is(err, media.Unavailable)
	if e, ok := errors.AsType[*media.Error](err); ok && e.Err != nil {
		err = e.Err // at a start, no login that is refused is a passing one
	}
	switch {
	case refused(err) || hasCode(err, 13):
		return &StartError{
			Cause: WrongPassword, Err: err, Text: "MongoDB at " + at + " refuses the login: wrong user or password, or too few rights",
			Fix: "set MONGODB_URI to mongodb://user:password@host:port/database as the server knows them, with ?authSource=admin when the user is kept there",
		}
	case passing:
		return &StartError{
			Cause: Unreachable, Err: err, Text: "MongoDB does not answer at " + at,
			Fix: "start it, or set MONGODB_URI to where it runs; without MONGODB_URI the gateway keeps records in a file of its own",
		}
	}
	return &StartError{Cause: OtherCause, Err: err, Text: "MongoDB at " + at + " cannot be used", Fix: "see the server's log"}
}

// Examine looks whether the database that a URI names can be used, and tells what is there ("MongoDB 7.0.2 at host:27017, database lms:
// 12 products, 3 courses, 40 users, 7 reviews, 9 orders"), by the names of the collections that o has. An error of the database is a *StartError.
func Examine(ctx context.Context, uri string, o Options) (string, error) {
	d, err := Open(ctx, uri, o)
	if err != nil {
		return "", err
	}
	defer d.disconnect(ctx) //nolint:errcheck // it was only looked at
	name, err := d.Version(ctx)
	if err != nil {
		return "", explain(d.at, err)
	}
	var counts []string
	for _, t := range []media.SubjectType{media.Product, media.Course, media.User, media.Review, media.Order} {
		var n int64
		err := d.ask(ctx, func(ctx context.Context) (err error) {
			n, err = d.db.Collection(d.o.Collections[t]).EstimatedDocumentCount(ctx)
			return err
		})
		if err != nil {
			return "", explain(d.at, err)
		}
		counts = append(counts, fmt.Sprintf("%d %s", n, d.o.Collections[t]))
	}
	return fmt.Sprintf("%s at %s, database %s: %s", name, d.at, d.db.Name(), strings.Join(counts, ", ")), nil
}

// hasCode reports whether the server answered with one of these codes (MongoDB, error codes).
func hasCode(err error, codes ...int) bool {
	e, ok := errors.AsType[mongo.ServerError](err)
	if !ok {
		return false
	}
	for _, c := range codes {
		if e.HasErrorCode(c) {
			return true
		}
	}
	return false
}
