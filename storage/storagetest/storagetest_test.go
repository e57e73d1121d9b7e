package storagetest

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/media"
	"sluice/storage"
	"sluice/storage/local"
	"sluice/storage/memory"
)

// TestSuiteFindsBrokenDrivers breaks one promise at a time: the suite must fail at the cases named, and at none when nothing is broken.
// A case that no break reaches could be empty, for all that is known of it.
func TestSuiteFindsBrokenDrivers(t *testing.T) { //nolint:tparallel // the group is there to be waited for
	t.Parallel()
	var mu sync.Mutex
	// The first two are Store's, see the tests of storage; the third has its own test below.
	reached := []string{"strange keys are refused and touch nothing", "a range outside the object is refused", "sizes go beyond 4 GiB"}
	t.Run("breaks", func(t *testing.T) {
		for _, b := range breaks() {
			t.Run(b.name, func(t *testing.T) {
				t.Parallel()
				failed := b.failures(t)
				for _, promise := range b.fails {
					if !slices.Contains(failed, promise) {
						t.Errorf("%q held; what failed: %q", promise, failed)
					}
				}
				if len(b.fails) == 0 && len(failed) > 0 {
					t.Errorf("nothing is broken, and yet these failed: %q", failed)
				}
				mu.Lock()
				defer mu.Unlock()
				reached = append(reached, failed...)
			})
		}
	})
	for _, name := range names() {
		if !slices.Contains(reached, name) {
			t.Errorf("no broken driver fails %q", name)
		}
	}
}

func TestPromisesAreManyAndHaveOneNameEach(t *testing.T) {
	t.Parallel()
	all := names()
	slices.Sort(all)
	if unique := len(slices.Compact(slices.Clone(all))); unique != len(all) || unique < 40 {
		t.Fatalf("got %d names, %d different, want 40 or more", len(all), unique)
	}
}

func names() []string {
	var all []string
	for _, p := range promises() {
		all = append(all, p.name)
	}
	return all
}

// failures runs the suite against a wrapped memory driver, and gives the names of what failed.
func (b broken) failures(t *testing.T) []string {
	t.Helper()
	patience := 2 * time.Second // a broken driver may hang
	if len(b.fails) == 0 {
		patience = time.Minute
	}
	open := func(testing.TB) Place {
		return Place{
			Driver: b.wrap(memory.New()),
			Within: func(_ testing.TB, room int64) storage.Driver { return b.wrap(memory.NewLimited(room)) },
		}
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	var failed []string
	for _, p := range promises() {
		all.Go(func() {
			if fails(t, patience, func(t testing.TB) { p.hold(t, open) }) {
				mu.Lock()
				defer mu.Unlock()
				failed = append(failed, p.name)
			}
		})
	}
	all.Wait()
	return failed
}

// TestSuiteFindsOffsetsOf32Bits needs a driver that can hold such an object: local, with sparse files.
func TestSuiteFindsOffsetsOf32Bits(t *testing.T) {
	t.Parallel()
	promise := promises()[slices.Index(names(), "sizes go beyond 4 GiB")]
	for _, broken := range []bool{false, true} {
		open := func(t testing.TB) Place {
			dir := t.TempDir()
			d, err := local.Open(dir, local.Options{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = d.Close() })
			stretch := func(t testing.TB, key string, size int64) {
				if err := os.Truncate(filepath.Join(dir, "parts", strings.ReplaceAll(key, "/", ",")), size); err != nil {
					t.Fatal(err)
				}
			}
			if !broken {
				return Place{Driver: d, Stretch: stretch}
			}
			narrow := &bent{Driver: d}
			narrow.read = func(ctx context.Context, o media.Object, off, n int64) (io.ReadCloser, error) {
				return d.Read(ctx, o, int64(uint32(off)), n)
			}
			return Place{Driver: narrow, Stretch: stretch}
		}
		if failed := fails(t, time.Minute, func(t testing.TB) { promise.hold(t, open) }); failed != broken {
			t.Errorf("broken: %t, found: %t", broken, failed)
		}
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

// fails tells whether a check fails, panics or hangs.
func fails(t *testing.T, patience time.Duration, check func(t testing.TB)) bool {
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
