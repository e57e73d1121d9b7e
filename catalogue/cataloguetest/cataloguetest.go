// Package cataloguetest holds what every catalogue promises, whatever its engine: Run checks all of it against a real one.
package cataloguetest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sluice/catalogue"
	"sluice/media"
)

// Open gives an empty catalogue, closed with the test.
type Open func(t testing.TB, o catalogue.Options) *catalogue.Catalogue

// Promise is one sentence of the contract and its proof.
type Promise struct {
	Name  string
	Check func(f *Fixture)
}

// Run checks every promise against catalogues of their own.
func Run(t *testing.T, open Open) {
	t.Helper()
	for _, p := range Promises() {
		t.Run(p.Name, func(t *testing.T) {
			t.Parallel()
			Check(t, open, p)
		})
	}
}

// Check checks one promise.
func Check(t testing.TB, open Open, p Promise) {
	t.Helper()
	f := &Fixture{TB: t}
	f.clock.Store(time.Date(2026, 3, 14, 15, 9, 26, 535897000, time.UTC).UnixNano())
	f.Catalogue = open(t, catalogue.Options{Now: f.now, Changed: func(media.AssetID) { f.told.Add(1) }})
	p.Check(f)
}

// Promises gives all of them.
func Promises() []Promise {
	var all []Promise
	for _, group := range [][]Promise{ledger(), quota(), placements(), shelf(), lists(), counts(), views(), denials(), replays(), places(), trash(), intents()} {
		all = append(all, group...)
	}
	return all
}

// Fixture is a fresh catalogue with a clock that goes on by a second with each look.
type Fixture struct {
	testing.TB
	*catalogue.Catalogue
	clock atomic.Int64
	told  atomic.Int64
}

func (f *Fixture) now() time.Time { return time.Unix(0, f.clock.Add(int64(time.Second))).UTC() }

func (f *Fixture) ctx() context.Context { return f.Context() }

// upload is a valid new upload of 100 bytes.
func (f *Fixture) upload(change ...func(*media.Asset)) media.Asset {
	now := f.now()
	id := media.NewAssetID(now)
	a := media.Asset{
		ID: id, State: media.Uploading, Owner: "u1", Size: 100, Filename: "a.bin", MIMEType: "video/mp4", Type: media.Video,
		StorageType: media.Local, Backend: "disk", Key: "k/" + id.String(), CreatedAt: now,
	}
	for _, c := range change {
		c(&a)
	}
	return a
}

func (f *Fixture) begin(change ...func(*media.Asset)) media.Asset {
	f.Helper()
	a, _, err := f.Begin(f.ctx(), f.upload(change...), 0)
	f.must(err)
	return a
}

// stored begins and stores an upload.
func (f *Fixture) stored(change ...func(*media.Asset)) media.Asset {
	f.Helper()
	a := f.begin(change...)
	a, err := f.Stored(f.ctx(), a.ID, media.Object{Key: a.Key, Size: max(a.Size, 0)}, "", nil)
	f.must(err)
	return a
}

func (f *Fixture) read(id media.AssetID) media.Asset {
	f.Helper()
	a, err := f.Asset(f.ctx(), id)
	f.must(err)
	return a
}

func (f *Fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatalf("got error %v", err)
	}
}

func (f *Fixture) want(what string, ok bool) {
	f.Helper()
	if !ok {
		f.Fatalf("not so: %s", what)
	}
}

func (f *Fixture) refuses(err error, want media.Kind) {
	f.Helper()
	if !errors.Is(err, want) {
		f.Fatalf("got error %v, want kind %v", err, want)
	}
}

func (f *Fixture) list(q media.Query) []media.Asset {
	f.Helper()
	l, err := f.Catalogue.List(f.ctx(), q)
	f.must(err)
	return l.Items
}

func owner(s string) func(*media.Asset)          { return func(a *media.Asset) { a.Owner = s } }
func size(n int64) func(*media.Asset)            { return func(a *media.Asset) { a.Size = n } }
func public(a *media.Asset)                      { a.Public = true }
func partial(a *media.Asset)                     { a.Upload.Partial = true }
func deferred(a *media.Asset)                    { a.Size, a.Upload.Deferred = media.UnknownLength, true }
func place(p media.Placement) func(*media.Asset) { return func(a *media.Asset) { a.Placement = p } }

func final(parts ...media.AssetID) func(*media.Asset) {
	return func(a *media.Asset) { a.Upload.Final, a.Upload.Parts = true, parts }
}

func image(product string, main bool, position int) func(*media.Asset) {
	return place(media.Placement{Kind: media.ProductImage, ProductID: product, MainImage: main, Position: position})
}

// entity makes the id of an entity of the LMS.
func entity(n int) string { return fmt.Sprintf("%024x", n) }

func sum(s string) []byte {
	h := sha256.Sum256([]byte(s))
	return h[:]
}

// mustNotLeak fails when an error's detail tells a client what it must not know.
func (f *Fixture) mustNotLeak(err error) {
	f.Helper()
	e, ok := errors.AsType[*media.Error](err)
	f.want("a refusal is a media.Error", ok)
	for _, word := range []string{"SQL", "assets", "sqlite", "pgx", "/"} {
		if strings.Contains(e.Detail, word) {
			f.Fatalf("the detail %q tells of %q", e.Detail, word)
		}
	}
}
