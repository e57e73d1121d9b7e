package uploads_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sluice/media"
	"sluice/signing"
	"sluice/storage"
	"sluice/storage/local"
	"sluice/storage/memory"
	"sluice/uploads"
)

// bench is a Service over fakes that keep the contract, behind a real server.
type bench struct {
	t      testing.TB
	ledger *ledger
	store  *storage.Store
	ring   *signing.Ring
	locker uploads.Locker // nil: one of its own
	o      uploads.Options
	s      *uploads.Service
	serves atomic.Pointer[uploads.Service] // s, as the server's goroutines see it
	server *httptest.Server
}

// authenticate reads "Bearer subject/role"; "Bearer expired" is a token past its time.
func authenticate(r *http.Request) (media.Principal, error) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return media.Principal{}, nil
	}
	subject, role, ok := strings.Cut(token, "/")
	if !ok {
		return media.Principal{}, media.Errorf(media.Unauthenticated, "the token has expired")
	}
	return media.Principal{Subject: subject, Roles: []media.Role{media.Role(role)}}, nil
}

const teacher = "Bearer teacher/instructor"

func newRing(t testing.TB) *signing.Ring {
	t.Helper()
	ring, err := signing.New([]signing.Key{{ID: 1, Secret: bytes.Repeat([]byte("k"), 32), Use: signing.Sign}}, signing.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func onDisk(t testing.TB) storage.Driver {
	t.Helper()
	d, err := local.Open(t.TempDir(), local.Options{MinFree: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// start serves a Service over a memory store, or over o's choice of driver.
func start(t testing.TB, o uploads.Options, driver storage.Driver) *bench {
	t.Helper()
	if driver == nil {
		driver = memory.New()
	}
	store, err := storage.New([]storage.Backend{{Name: "main", Type: media.Local, Driver: driver}})
	if err != nil {
		t.Fatal(err)
	}
	return serve(t, o, newLedger(), store, nil)
}

// serve serves a Service over what others may use too.
func serve(t testing.TB, o uploads.Options, l *ledger, store *storage.Store, locker uploads.Locker) *bench {
	t.Helper()
	b := &bench{t: t, ledger: l, store: store, ring: newRing(t), locker: locker, o: o}
	b.o.Authenticate = authenticate
	b.o.SealGrant, b.o.OpenGrant = b.ring.SealGrant, b.ring.OpenGrant
	b.boot()
	b.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { b.serves.Load().ServeHTTP(w, r) }))
	t.Cleanup(b.server.Close)
	return b
}

// boot makes a new Service over what the old one left: a restart.
func (b *bench) boot() {
	b.t.Helper()
	s, err := uploads.New(b.ledger, b.store, b.ring, b.locker, b.o)
	if err != nil {
		b.t.Fatal(err)
	}
	b.s = s
	b.serves.Store(s)
}

// run does the background work until the test ends.
func (b *bench) run() {
	b.t.Helper()
	ctx, cancel := context.WithCancel(context.Background()) // outlives t.Context
	done := make(chan error, 1)
	go func() { done <- b.s.Run(ctx) }()
	b.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			b.t.Errorf("Run: %v", err)
		}
	})
}

func (b *bench) url(location string) string { return b.server.URL + location }

// reply is an answer read to its end.
type reply struct {
	status int
	header http.Header
	body   string
}

// send makes a request; headers come in pairs. Tus-Resumable and the teacher's token are sent unless given.
func (b *bench) send(method, location string, body io.Reader, pairs ...string) reply {
	b.t.Helper()
	rep, err := b.try(method, location, body, pairs...)
	if err != nil {
		b.t.Fatalf("%s %s: %v", method, location, err)
	}
	return rep
}

func (b *bench) try(method, location string, body io.Reader, pairs ...string) (reply, error) {
	req, err := http.NewRequestWithContext(b.t.Context(), method, b.url(location), body)
	if err != nil {
		return reply{}, err
	}
	req.Header.Set("Tus-Resumable", "1.0.0")
	req.Header.Set("Authorization", teacher)
	if method == http.MethodPatch {
		req.Header.Set("Content-Type", "application/offset+octet-stream")
	}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			req.Header.Del(pairs[i])
		} else {
			req.Header.Set(pairs[i], pairs[i+1])
		}
	}
	client := *b.server.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	res, err := client.Do(req)
	if err != nil {
		return reply{}, err
	}
	got, err := io.ReadAll(res.Body)
	return reply{res.StatusCode, res.Header, string(got)}, errors.Join(err, res.Body.Close())
}

func (b *bench) create(pairs ...string) string {
	b.t.Helper()
	rep := b.send(http.MethodPost, "/files", nil, pairs...)
	if rep.status != http.StatusCreated {
		b.t.Fatalf("creation: got %d %s, want 201", rep.status, rep.body)
	}
	return rep.header.Get("Location")
}

func (b *bench) patch(location, off, body string, pairs ...string) reply {
	b.t.Helper()
	return b.send(http.MethodPatch, location, strings.NewReader(body), append([]string{"Upload-Offset", off}, pairs...)...)
}

func (b *bench) head(location string) reply {
	b.t.Helper()
	return b.send(http.MethodHead, location, nil)
}

func (b *bench) wantOffset(location, off string) {
	b.t.Helper()
	if rep := b.head(location); rep.status != http.StatusOK || rep.header.Get("Upload-Offset") != off {
		b.t.Fatalf("HEAD: got %d offset %q, want 200 offset %s", rep.status, rep.header.Get("Upload-Offset"), off)
	}
}

func (b *bench) id(location string) media.AssetID {
	b.t.Helper()
	id, err := b.ring.ParseCapability(location[strings.LastIndexByte(location, '/')+1:])
	if err != nil {
		b.t.Fatal(err)
	}
	return id
}

func (b *bench) row(location string) media.Asset {
	b.t.Helper()
	a, err := b.ledger.Asset(b.t.Context(), b.id(location))
	if err != nil {
		b.t.Fatal(err)
	}
	return a
}

func (b *bench) content(location string) string {
	b.t.Helper()
	a := b.row(location)
	o, err := b.store.Stat(b.t.Context(), a.Backend, a.Key)
	if err != nil {
		b.t.Fatal(err)
	}
	r, err := b.store.Read(b.t.Context(), a.Backend, o, 0, o.Size)
	if err != nil {
		b.t.Fatal(err)
	}
	got, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil {
		b.t.Fatal(err)
	}
	return string(got)
}

// eventually waits for something that comes by itself, and fails when it takes longer than within.
func eventually(t testing.TB, within time.Duration, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.Now().Add(within)
	for !is() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v", what, within)
		}
		<-tick.C
	}
}
