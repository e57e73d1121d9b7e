// Package storagetest is the contract of storage.Driver as a test: each promise of the interface is a case of that name, so that -v
// prints the specification. It knows no driver.
package storagetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"sluice/media"
	"sluice/storage"
)

// Place is one empty backend under test.
type Place struct {
	Driver storage.Driver

	// Again opens the same backend once more, as another process would. Nil where the Driver itself is all there is.
	Again func(t testing.TB) storage.Driver

	// Remote says that the backend is behind a network: while an append is under way Offset may tell less than that has read, and a later
	// append from another process takes over, in place of being told media.Locked.
	Remote bool

	// Stretch makes the unfinished write of key size bytes long by zeros, without writing them, so that sizes above 4 GiB can be tried.
	// Nil where that cannot be done.
	Stretch func(t testing.TB, key string, size int64)

	// Within opens an empty backend of the same kind that has room for about that many bytes. Nil where space has no end.
	Within func(t testing.TB, room int64) storage.Driver
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
	place := open(t)
	store, err := storage.New([]storage.Backend{{Name: "tested", Type: media.Local, Driver: place.Driver}})
	if err != nil {
		t.Fatal(err)
	}
	p.check(&fixture{TB: t, Place: place, store: store, d: place.Driver})
}

func promises() []promise {
	var all []promise
	for _, group := range [][]promise{
		visible(), ranges(), deleting(), beginning(), appending(), resuming(), committing(), aborting(), listing(), sharing(), joining(), limits(),
	} {
		all = append(all, group...)
	}
	return all
}

// fixture is what a check works with: the driver, a store over it, and words for the common steps, each of which fails the test.
type fixture struct {
	testing.TB
	Place
	store *storage.Store
	d     storage.Driver
}

// key is a key like those of assets.
const key = "7f/0192f3a4-0000-7000-8000-00000000007f"

// again is the backend as another process sees it.
func (f *fixture) again() storage.Driver {
	if f.Again == nil {
		return f.d
	}
	return f.Again(f)
}

func (f *fixture) ctx() context.Context { return f.Context() }

// noise gives n bytes that are the same for the same seed and differ everywhere.
func noise(n int, seed uint64) []byte {
	p := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	_, _ = r.Read(p) // never fails
	return p
}

func (f *fixture) must(doing string, err error) {
	f.Helper()
	if err != nil {
		f.Fatalf("%s: %v", doing, err)
	}
}

func (f *fixture) wantKind(doing string, err error, kinds ...media.Kind) {
	f.Helper()
	for _, k := range kinds {
		if errors.Is(err, k) {
			return
		}
	}
	f.Fatalf("%s: got error %v, want the kind %v", doing, err, kinds)
}

func (f *fixture) begin(d storage.Driver, key string) storage.Write {
	f.Helper()
	w, err := d.Begin(f.ctx(), key, media.UnknownLength)
	f.must("begin", err)
	f.Cleanup(func() { _ = w.Close() })
	return w
}

func (f *fixture) resume(d storage.Driver, key string) storage.Write {
	f.Helper()
	w, err := d.Resume(f.ctx(), key)
	f.must("resume", err)
	f.Cleanup(func() { _ = w.Close() })
	return w
}

func (f *fixture) append(w storage.Write, off int64, p []byte) {
	f.Helper()
	n, err := w.Append(f.ctx(), off, bytes.NewReader(p))
	if err != nil || n != int64(len(p)) {
		f.Fatalf("append at %d: got %d, %v, want %d", off, n, err, len(p))
	}
}

func (f *fixture) wantOffset(w storage.Write, want int64) {
	f.Helper()
	got, err := w.Offset(f.ctx())
	if err != nil || got != want {
		f.Fatalf("offset: got %d, %v, want %d", got, err, want)
	}
}

func (f *fixture) commit(w storage.Write) media.Object {
	f.Helper()
	o, err := w.Commit(f.ctx())
	f.must("commit", err)
	return o
}

// put makes a committed object.
func (f *fixture) put(key string, p []byte) media.Object {
	f.Helper()
	w := f.begin(f.d, key)
	f.append(w, 0, p)
	o := f.commit(w)
	f.must("close", w.Close())
	return o
}

func (f *fixture) read(d storage.Driver, o media.Object, off, n int64) []byte {
	f.Helper()
	r, err := d.Read(f.ctx(), o, off, n)
	f.must("read", err)
	p, err := io.ReadAll(r)
	f.must("read", errors.Join(err, r.Close()))
	return p
}

// wantBytes looks at the object through another handle.
func (f *fixture) wantBytes(key string, want []byte) {
	f.Helper()
	d := f.again()
	o, err := d.Stat(f.ctx(), key)
	f.must("stat", err)
	if o.Key != key || o.Size != int64(len(want)) {
		f.Fatalf("stat: got %+v, want %d bytes of %s", o, len(want), key)
	}
	if len(want) > 0 {
		f.wantSame(f.read(d, o, 0, o.Size), want)
	}
}

func (f *fixture) wantSame(got, want []byte) {
	f.Helper()
	if !bytes.Equal(got, want) {
		at := 0
		for at < min(len(got), len(want)) && got[at] == want[at] {
			at++
		}
		f.Fatalf("got %d bytes, want %d; they differ from byte %d on", len(got), len(want), at)
	}
}

func (f *fixture) wantMissing(key string) {
	f.Helper()
	for _, d := range []storage.Driver{f.d, f.again()} {
		_, err := d.Stat(f.ctx(), key)
		f.wantKind("stat", err, media.NotFound)
		r, err := d.Read(f.ctx(), media.Object{Key: key, Size: 1}, 0, 1)
		if err == nil {
			_ = r.Close()
		}
		f.wantKind("read", err, media.NotFound)
	}
}

// list gives the keys a walk yields, in its order.
func (f *fixture) list(prefix string) string { return f.keys(f.again().List(f.ctx(), prefix)) }

func (f *fixture) unfinished() string { return f.keys(f.again().Unfinished(f.ctx())) }

func (f *fixture) keys(walk func(yield func(media.Object, error) bool)) string {
	f.Helper()
	var keys []string
	for o, err := range walk {
		f.must("walk", err)
		keys = append(keys, o.Key)
	}
	return strings.Join(keys, " ")
}

func (f *fixture) wantList(doing, got, want string) {
	f.Helper()
	if got != want {
		f.Fatalf("%s: got %q, want %q", doing, got, want)
	}
}
