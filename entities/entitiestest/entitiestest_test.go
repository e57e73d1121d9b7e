package entitiestest

import (
	"context"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"sluice/entities"
	"sluice/entities/embedded"
)

// TestSuiteFindsBrokenDrivers breaks one promise at a time: the suite must fail at the cases named, and at none when nothing is broken. A
// case that no break reaches could be empty, for all that is known of it.
func TestSuiteFindsBrokenDrivers(t *testing.T) { //nolint:tparallel // the group is there to be waited for
	t.Parallel()
	var mu sync.Mutex
	// These are of Records alone, see their own tests.
	reached := []string{
		"a cursor that does not fit is invalid", "a write is told of, and so is one through another way in", "hearing ends when it is told to",
		"a burial while a record is raised leaves it in the trash", "a burial that is completed while its record is raised loses nothing",
		"a record that is raised while it is buried is somewhere",
	}
	t.Run("breaks", func(t *testing.T) {
		for _, b := range breaks() {
			t.Run(b.name, func(t *testing.T) {
				t.Parallel()
				for _, name := range b.fails {
					i := slices.Index(Promises(), name)
					if i < 0 {
						t.Fatalf("there is no promise %q", name)
					}
					if !b.fails1(t, promises()[i]) {
						t.Errorf("%q held", name)
					}
				}
				mu.Lock()
				defer mu.Unlock()
				reached = append(reached, b.fails...)
			})
		}
		t.Run("nothing", func(t *testing.T) {
			t.Parallel()
			whole := broken{wrap: func(d entities.Driver) entities.Driver { return &bent{Driver: d} }}
			for _, p := range promises() {
				if whole.fails1(t, p) {
					t.Errorf("nothing is broken, and yet this failed: %q", p.name)
				}
			}
		})
	})
	for _, name := range Promises() {
		if !slices.Contains(reached, name) {
			t.Errorf("no broken driver fails %q", name)
		}
	}
}

func TestPromisesAreManyAndHaveOneNameEach(t *testing.T) {
	t.Parallel()
	all := Promises()
	slices.Sort(all)
	if unique := len(slices.Compact(slices.Clone(all))); unique != len(all) || unique < 50 {
		t.Fatalf("got %d names, %d different, want 50 or more", len(all), unique)
	}
}

// fails1 tells whether one promise fails on the embedded driver, broken.
func (b broken) fails1(t *testing.T, p promise) bool {
	t.Helper()
	open := func(t testing.TB) Place {
		path := filepath.Join(t.TempDir(), "entities.db")
		again := func(t testing.TB) entities.Driver { return b.wrap(opened(t, path)) }
		return Place{Driver: again(t), Again: again, Foreign: func(t testing.TB, k entities.Key, set map[string]any) {
			stranger(t, opened(t, path), k, set)
		}}
	}
	return fails(t, func(t testing.TB) { p.hold(t, open) })
}

func opened(t testing.TB, path string) *embedded.Driver {
	d, err := embedded.Open(t.Context(), path, embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

// stranger writes past the driver that is broken, and leaves the times.
func stranger(t testing.TB, d entities.Driver, k entities.Key, set map[string]any) {
	_, err := d.Write(t.Context(), k, func(there *entities.Document) (*entities.Document, error) {
		next := &entities.Document{Fields: fields{}}
		if there != nil {
			next.Fields = there.Fields
		}
		for name, v := range set {
			if next.Fields[name] = v; v == nil {
				delete(next.Fields, name)
			}
		}
		return next, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// recorder is a testing.TB whose failures are facts, not failures.
type recorder struct {
	testing.TB
	ctx    context.Context //nolint:containedctx // testing.TB has one
	mu     sync.Mutex
	failed bool
	clean  []func()
}

// patience is for a broken driver, which may hang.
const patience = 20 * time.Second

// fails tells whether a check fails, panics or hangs.
func fails(t *testing.T, check func(t testing.TB)) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r := &recorder{TB: t, ctx: ctx}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if recover() != nil {
				r.fail()
			}
			for _, f := range slices.Backward(r.clean) {
				f()
			}
		}()
		check(r)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}

func (r *recorder) fail() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = true
}

func (r *recorder) Helper()                  {}
func (r *recorder) Context() context.Context { return r.ctx }
func (r *recorder) Cleanup(f func())         { r.clean = append(r.clean, f) }
func (r *recorder) Errorf(string, ...any)    { r.fail() }
func (r *recorder) Error(...any)             { r.fail() }
func (r *recorder) Fatalf(string, ...any)    { r.fail(); runtime.Goexit() }
func (r *recorder) Fatal(...any)             { r.fail(); runtime.Goexit() }
