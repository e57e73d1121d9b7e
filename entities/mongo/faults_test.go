package mongo_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/entities"
	"sluice/entities/mongo"
	"sluice/internal/livetest"
	"sluice/media"
)

// What is promised of a server that is away.
const (
	swallowed = 2 * time.Second       // one that swallows packets is given up
	refusing  = 50 * time.Millisecond // nobody waits for one that is known to be away
	found     = time.Second           // and that is back
)

func records(t testing.TB, d entities.Driver) *entities.Records {
	t.Helper()
	r, err := entities.New(t.Context(), d, entities.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

const hex = "65a000000000000000000001"

func product(id string) media.Subject { return media.Subject{Type: media.Product, ID: id} }

// away checks that a question says within a limit that the database is away, and gives nothing away about it.
func away(t *testing.T, limit time.Duration, uri string, question func() error) {
	t.Helper()
	start := time.Now()
	err := question()
	if took := time.Since(start); took > limit {
		t.Errorf("that took %v, want %v at most", took, limit)
	}
	e, ok := errors.AsType[*media.Error](err)
	if !ok || e.Kind != media.Unavailable || e.RetryAfter == 0 {
		t.Fatalf("got %v, want unavailable", err)
	}
	_, secret, _ := strings.Cut(uri, "://")
	secret, _, _ = strings.Cut(secret, "@")
	if strings.Contains(err.Error(), "mongodb://") || strings.Contains(err.Error(), secret) || strings.Contains(e.Detail, "127.0.0.1") {
		t.Errorf("the error tells too much: %v", err)
	}
}

func TestAServerThatIsKilledAndComesBack(t *testing.T) {
	t.Parallel()
	server := livetest.Mongo(t)
	uri := server.URI("lms")
	r := records(t, open(t, uri))
	if _, err := r.Create(t.Context(), media.Record{Subject: product(hex)}, ""); err != nil {
		t.Fatal(err)
	}
	read := func() error { _, err := r.Record(t.Context(), product(hex)); return err }
	write := func() error {
		_, err := r.Change(t.Context(), product(hex), "", map[string]any{"n": int64(1)})
		return err
	}
	for range 2 {
		server.Kill()
		away(t, swallowed, uri, read)
		livetest.Until(t, found, "that it is away is known", func() bool {
			start := time.Now()
			return read() != nil && time.Since(start) < refusing
		})
		for _, question := range []func() error{read, write, func() error { return r.Ping(t.Context()) }} {
			away(t, refusing, uri, question)
		}
		server.Start(t)
		livetest.Until(t, found, "it is found again", func() bool { return read() == nil })
		if err := write(); err != nil {
			t.Errorf("a write to a server that is back: %v", err)
		}
	}
}

func TestAServerThatSwallowsPackets(t *testing.T) {
	t.Parallel()
	server := livetest.Mongo(t)
	uri := server.URI("lms")
	r := records(t, open(t, uri))
	if _, err := r.Create(t.Context(), media.Record{Subject: product(hex)}, ""); err != nil {
		t.Fatal(err)
	}
	read := func() error { _, err := r.Record(t.Context(), product(hex)); return err }
	server.Pause(t)
	var all sync.WaitGroup
	for range 20 { // all who ask at once wait side by side
		all.Go(func() { away(t, swallowed, uri, read) })
	}
	all.Wait()
	livetest.Until(t, 2*found, "that it is away is known", func() bool {
		start := time.Now()
		return read() != nil && time.Since(start) < refusing
	})
	away(t, refusing, uri, func() error { return r.Bury(t.Context(), product(hex), "") })
	server.Continue(t)
	livetest.Until(t, found, "it is found again", func() bool { return read() == nil })
}

func TestAServerThatIsNotThereYet(t *testing.T) {
	t.Parallel()
	server := livetest.Mongo(t)
	uri := server.URI("lms")
	server.Kill()
	start := time.Now()
	r := records(t, open(t, uri))
	if took := time.Since(start); took > swallowed {
		t.Errorf("opening took %v", took)
	}
	away(t, refusing, uri, func() error { return r.Ping(t.Context()) })
	if r.Trusting(t.Context()) {
		t.Error("a server that cannot be asked is taken for none")
	}
	server.Start(t)
	livetest.Until(t, found, "it is found", func() bool { return r.Ping(t.Context()) == nil })
}

func TestAConnectionThatBroke(t *testing.T) {
	t.Parallel()
	server := livetest.Mongo(t)
	proxy := livetest.NewProxy(t, server.Addr(), livetest.ProxyOptions{})
	r := records(t, open(t, server.URIAt(proxy.Addr, "lms")))
	if _, err := r.Create(t.Context(), media.Record{Subject: product(hex)}, ""); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		proxy.Cut()
		if _, err := r.Record(t.Context(), product(hex)); err != nil {
			t.Errorf("a read over a broken connection: %v", err)
		}
	}
}

func TestWhoHasGoneIsNotTakenForAServerThatHas(t *testing.T) {
	t.Parallel()
	server := livetest.Mongo(t)
	d := open(t, server.URI("lms"))
	server.Pause(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	if err := d.Ping(ctx); err == nil || time.Since(start) > time.Second {
		t.Errorf("got %v after %v, want an error at the asker's own deadline", err, time.Since(start))
	}
	server.Continue(t)
	if err := d.Ping(t.Context()); err != nil {
		t.Errorf("the next: %v", err)
	}
}

func TestStartErrors(t *testing.T) {
	t.Parallel()
	server := livetest.MongoWithPassword(t)
	wrong := &url.URL{Scheme: "mongodb", User: url.UserPassword(server.User, "wrong-s3cret"), Host: server.Addr(), Path: "/lms", RawQuery: "authSource=admin"}
	free := livetest.Mongo(t)
	gone := free.URI("lms")
	free.Kill()
	var lc net.ListenConfig
	silent, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	for _, c := range []struct {
		name, uri string
		open      mongo.Cause
		starts    bool // Open succeeds, Examine does not
	}{
		{"no URI", "", mongo.BadURI, false},
		{"another scheme", "postgres://u:s3cret@h/db", mongo.BadURI, false},
		{"no host", "mongodb://", mongo.BadURI, false},
		{"a password that is not escaped", "mongodb://u:s3cret@x@h/lms", mongo.BadURI, false},
		{"a bad escape", "mongodb://u:s3cret%zz@h/lms", mongo.BadURI, false},
		{"a bad option", "mongodb://u:s3cret@h/lms?w=-5", mongo.BadURI, false},
		{"a bad name of a database", "mongodb://127.0.0.1:1/a$b", mongo.BadURI, false},
		{"a wrong password", wrong.String(), mongo.WrongPassword, false},
		{"nobody there", gone, mongo.Unreachable, true},
		{"somebody silent", "mongodb://" + silent.Addr().String() + "/lms", mongo.Unreachable, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			d, err := mongo.Open(t.Context(), c.uri, mongo.Options{})
			if took := time.Since(start); took > swallowed {
				t.Errorf("opening took %v", took)
			}
			if c.starts {
				if err != nil {
					t.Fatalf("open: got %v, want a driver that waits", err)
				}
				if err := d.Close(); err != nil {
					t.Error(err)
				}
			} else {
				startError(t, err, c.open)
			}
			start = time.Now()
			_, err = mongo.Examine(t.Context(), c.uri, mongo.Options{})
			startError(t, err, c.open)
			if took := time.Since(start); took > 2*swallowed { // with closing
				t.Errorf("examining took %v", took)
			}
		})
	}
}

func startError(t *testing.T, err error, cause mongo.Cause) {
	t.Helper()
	e, ok := errors.AsType[*mongo.StartError](err)
	if !ok || e.Cause != cause || e.Text == "" || e.Fix == "" || strings.Contains(e.Text+e.Fix, "\n") {
		t.Fatalf("got %#v, want a StartError of cause %d", err, cause)
	}
	if all := fmt.Sprint(e.Text, e.Fix, e, e.Err); strings.Contains(all, "s3cret") {
		t.Errorf("it holds the password: %s", all)
	}
	if got := errors.Is(err, media.Unavailable); got != (cause == mongo.Unreachable) {
		t.Errorf("may be tried again: %t", got)
	}
}

func TestExamine(t *testing.T) {
	t.Parallel()
	server := livetest.MongoWithPassword(t)
	uri := server.URI("shop")
	r := records(t, open(t, uri))
	if _, err := r.Create(t.Context(), media.Record{Subject: product(hex)}, ""); err != nil {
		t.Fatal(err)
	}
	got, err := mongo.Examine(t.Context(), uri, mongo.Options{})
	if want := "at " + server.Addr() + ", database shop: 1 products, 0 courses, 0 users, 0 reviews, 0 orders"; err != nil || !strings.HasSuffix(got, want) {
		t.Errorf("got %q, %v, want …%q", got, err, want)
	}
}

func TestALoginThatIsRefusedLaterIsNotASecondStart(t *testing.T) {
	t.Parallel()
	server := livetest.MongoWithPassword(t)
	uri := server.URI("lms")
	r := records(t, open(t, uri))
	if err := r.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	server.Kill()
	server.Start(t)
	livetest.Until(t, found, "it is found again, with the login", func() bool { return r.Ping(t.Context()) == nil })
}
