// Package entitiestest is the contract of entities.Driver, and of entities.Records over it, as a test: each promise is a case of that name,
// so that -v prints the specification. It knows no driver.
package entitiestest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/entities"
	"sluice/media"
)

// Place is one empty database under test.
type Place struct {
	Driver entities.Driver

	// Again opens the same database once more, as another process would.
	Again func(t testing.TB) entities.Driver

	// Foreign writes members of a document as a program does that knows nothing of Sluice, past any driver, and makes the document when it
	// is missing. Nil removes a member.
	Foreign func(t testing.TB, k entities.Key, set map[string]any)
}

// Run holds a driver to the contract. Each promise gets a place of its own from open, and runs in parallel with the others.
func Run(t *testing.T, open func(t testing.TB) Place) {
	t.Helper()
	for _, p := range promises() {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			p.hold(t, open)
		})
	}
}

// promise is one sentence of the contract and what shows that it is kept.
type promise struct {
	name  string
	check func(f *fixture)
}

func (p promise) hold(t testing.TB, open func(t testing.TB) Place) {
	f := &fixture{TB: t, Place: open(t), now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	f.r = f.records(f.Driver)
	p.check(f)
}

func promises() []promise {
	return slices.Concat(creating(), settling(), changing(), racing(), burying(), putting(), listing(), finding(), sharing())
}

// fixture is what a check works with: the driver, records over it with a clock of the test's own, and words for the common steps, each of
// which fails the test.
type fixture struct {
	testing.TB
	Place
	r *entities.Records

	mu   sync.Mutex
	now  time.Time
	told []media.Subject
}

func (f *fixture) records(d entities.Driver) *entities.Records {
	f.Helper()
	r, err := entities.New(f.ctx(), d, entities.Options{Now: f.time, Changed: func(s media.Subject) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.told = append(f.told, s)
	}})
	if err != nil {
		f.Fatal(err)
	}
	return r
}

func (f *fixture) ctx() context.Context { return f.Context() }

func (f *fixture) time() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

func (f *fixture) later(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(d)
}

// id gives a valid id for a small number.
func id(n int) string { return fmt.Sprintf("65a0000000000000%08x", n) }

func product(n int) media.Subject { return media.Subject{Type: media.Product, ID: id(n)} }
func course(n int) media.Subject  { return media.Subject{Type: media.Course, ID: id(n)} }
func order(n int) media.Subject   { return media.Subject{Type: media.Order, ID: id(n)} }
func lesson(n int) media.Subject  { return media.Subject{Type: media.Lesson, ID: id(n)} }

type fields = map[string]any

func (f *fixture) create(s media.Subject, with fields) media.Record {
	f.Helper()
	e, err := f.r.Create(f.ctx(), media.Record{Subject: s, Fields: with}, "")
	if err != nil {
		f.Fatalf("create %v: %v", s, err)
	}
	return e
}

// work is what makes the records that are pending.
const work = "work 1"

func (f *fixture) pending(s media.Subject, with fields) {
	f.Helper()
	if _, err := f.r.Create(f.ctx(), media.Record{Subject: s, Fields: with}, work); err != nil {
		f.Fatalf("create %v, pending: %v", s, err)
	}
}

func (f *fixture) read(s media.Subject) media.Record {
	f.Helper()
	e, err := f.r.Record(f.ctx(), s)
	if err != nil {
		f.Fatalf("read %v: %v", s, err)
	}
	return e
}

// gone checks that a record is missing to a read.
func (f *fixture) gone(s media.Subject) {
	f.Helper()
	if e, err := f.r.Record(f.ctx(), s); !errors.Is(err, media.NotFound) {
		f.Errorf("read %v: got %v, %v, want not found", s, e.Fields, err)
	}
}

func (f *fixture) change(s media.Subject, version string, set fields) media.Record {
	f.Helper()
	e, err := f.r.Change(f.ctx(), s, version, set)
	if err != nil {
		f.Fatalf("change %v: %v", s, err)
	}
	return e
}

func (f *fixture) bury(s media.Subject, version string) {
	f.Helper()
	f.must(f.r.Bury(f.ctx(), s, version))
}

func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// is checks the kind of an error.
func (f *fixture) is(err error, want media.Kind) {
	f.Helper()
	if err == nil || !errors.Is(err, want) {
		f.Errorf("got error %v, want %v", err, want)
	}
}

func (f *fixture) same(what string, got, want any) {
	f.Helper()
	if d := cmp.Diff(want, got); d != "" {
		f.Errorf("%s (-want +got):\n%s", what, d)
	}
}

// page reads one page of a list.
func (f *fixture) page(q media.RecordQuery) media.RecordListing {
	f.Helper()
	l, err := f.r.List(f.ctx(), q)
	if err != nil {
		f.Fatalf("list: %v", err)
	}
	return l
}

// ids reads a whole list, page by page.
func (f *fixture) ids(q media.RecordQuery) []string {
	f.Helper()
	var all []string
	for range 100 {
		l := f.page(q)
		for _, e := range l.Items {
			all = append(all, e.ID)
		}
		if l.NextCursor == "" {
			return all
		}
		q.Cursor = l.NextCursor
	}
	f.Fatal("a list without end")
	return nil
}

func ids(numbers ...int) []string {
	var all []string
	for _, n := range numbers {
		all = append(all, id(n))
	}
	return all
}

// without leaves out the times that every record has.
func without(m fields) fields {
	m = maps.Clone(m)
	delete(m, "createdAt")
	delete(m, "updatedAt")
	return m
}

var errStop = errors.New("stop")
