package storagetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"testing/iotest"

	"sluice/media"
	"sluice/storage"
)

func beginning() []promise {
	return []promise{
		{"a write begins at zero", func(f *fixture) { f.wantOffset(f.begin(f.d, key), 0) }},
		{"begin on a key that is being written is Conflict", func(f *fixture) {
			w := f.begin(f.d, key)
			f.append(w, 0, noise(10, 1))
			for _, d := range []storage.Driver{f.d, f.again()} {
				_, err := d.Begin(f.ctx(), key, 10)
				f.wantKind("begin", err, media.Conflict)
			}
			f.wantOffset(w, 10)
		}},
		{"begin on a committed key is Conflict", func(f *fixture) {
			f.put(key, noise(10, 1))
			for _, d := range []storage.Driver{f.d, f.again()} {
				_, err := d.Begin(f.ctx(), key, 10)
				f.wantKind("begin", err, media.Conflict)
			}
			f.wantList("unfinished", f.unfinished(), "")
			f.wantBytes(key, noise(10, 1))
		}},
		{"of many that begin one key one succeeds", func(f *fixture) {
			other := f.again()
			var all sync.WaitGroup
			errs := make([]error, 8)
			for i := range errs {
				all.Go(func() {
					w, err := []storage.Driver{f.d, other}[i%2].Begin(f.ctx(), key, 10)
					if err == nil {
						err = w.Close()
					} else if !errors.Is(err, media.Conflict) {
						f.Errorf("begin: got error %v, want Conflict", err)
					}
					errs[i] = err
				})
			}
			all.Wait()
			won := 0
			for _, err := range errs {
				if err == nil {
					won++
				}
			}
			if won != 1 {
				f.Fatalf("%d have begun", won)
			}
		}},
		{"a declared length changes nothing that is seen", func(f *fixture) {
			w, err := f.d.Begin(f.ctx(), key, 3<<20)
			f.must("begin", err)
			f.wantOffset(w, 0)
			f.append(w, 0, noise(3<<20, 1))
			f.wantOffset(w, 3<<20)
			f.commit(w)
			f.must("close", w.Close())
			f.wantBytes(key, noise(3<<20, 1))
		}},
	}
}

func appending() []promise {
	return []promise{
		{"append tells what it kept and moves the offset", func(f *fixture) {
			w := f.begin(f.d, key)
			want := noise(2<<20+5, 1)
			at := 0
			for _, n := range []int{1, 31 << 10, 32 << 10, 33 << 10, 0, 1 << 20, 7} {
				f.append(w, int64(at), want[at:at+n])
				at += n
				f.wantOffset(w, int64(at))
			}
			f.append(w, int64(at), want[at:])
			f.commit(w)
			f.wantBytes(key, want)
		}},
		{"append elsewhere than at the offset is Conflict and keeps nothing", func(f *fixture) {
			w := f.begin(f.d, key)
			f.append(w, 0, noise(10, 1))
			for _, off := range []int64{0, 9, 11, 1 << 40, -1} {
				n, err := w.Append(f.ctx(), off, bytes.NewReader(noise(10, 2)))
				f.wantKind("append", err, media.Conflict)
				if n != 0 {
					f.Fatalf("append at %d kept %d bytes", off, n)
				}
				f.wantOffset(w, 10)
			}
			f.commit(w)
			f.wantBytes(key, noise(10, 1))
		}},
		{"what came before a reader's error is kept, and the error is given as it came", func(f *fixture) {
			for _, size := range []int{0, 1, 5000, 200 << 10} {
				w := f.begin(f.d, key)
				broken := errors.New("the client has gone")
				n, err := w.Append(f.ctx(), 0, io.MultiReader(bytes.NewReader(noise(size, 1)), iotest.ErrReader(broken)))
				if err != broken || n != int64(size) { //nolint:errorlint // as it came
					f.Fatalf("got %d, %v, want %d, %v", n, err, size, broken)
				}
				f.wantOffset(f.resume(f.again(), key), n)
				f.must("abort", w.Abort(f.ctx()))
			}
		}},
		{"bytes that come together with an error are kept", func(f *fixture) {
			w := f.begin(f.d, key)
			n, err := w.Append(f.ctx(), 0, &lastGasp{noise(500, 1)})
			if n != 500 || !errors.Is(err, io.ErrUnexpectedEOF) {
				f.Fatalf("got %d, %v", n, err)
			}
			f.wantOffset(w, 500)
			n, err = w.Append(f.ctx(), 500, iotest.DataErrReader(bytes.NewReader(noise(500, 2))))
			if n != 500 || err != nil {
				f.Fatalf("got %d, %v", n, err)
			}
			f.commit(w)
			f.wantBytes(key, append(noise(500, 1), noise(500, 2)...))
		}},
		{"a reader that gives little at a time loses nothing", func(f *fixture) {
			w := f.begin(f.d, key)
			n, err := w.Append(f.ctx(), 0, iotest.OneByteReader(bytes.NewReader(noise(300, 1))))
			f.must("append", err)
			m, err := w.Append(f.ctx(), n, iotest.HalfReader(bytes.NewReader(noise(300<<10, 2))))
			f.must("append", err)
			f.wantOffset(w, n+m)
			f.commit(w)
			f.wantBytes(key, append(noise(300, 1), noise(300<<10, 2)...))
		}},
		{"an ended context stops an append, and what was kept is told", func(f *fixture) {
			w := f.begin(f.d, key)
			ctx, cancel := context.WithCancel(f.ctx())
			r := io.MultiReader(bytes.NewReader(noise(1000, 1)), hook(cancel), bytes.NewReader(noise(1000, 2)), endless{})
			n, err := w.Append(ctx, 0, r)
			if !errors.Is(err, context.Canceled) || n < 1000 {
				f.Fatalf("got %d, %v", n, err)
			}
			f.wantOffset(w, n)
		}},
		{"the offset can be asked while an append waits", func(f *fixture) {
			w := f.begin(f.d, key)
			r, in := io.Pipe()
			done := make(chan error, 1)
			go func() {
				_, err := w.Append(f.ctx(), 0, r)
				done <- err
			}()
			_, _ = in.Write(noise(1000, 1))
			_, _ = in.Write(nil) // is taken when the first piece has been kept
			if f.Remote {
				f.wantOffset(w, 0)
			} else {
				f.wantOffset(w, 1000)
				f.wantOffset(f.resume(f.again(), key), 1000)
			}
			f.must("close", in.Close())
			f.must("append", <-done)
			f.wantOffset(w, 1000)
			f.wantOffset(f.resume(f.again(), key), 1000)
		}},
		{"two appends at once never mix", func(f *fixture) {
			w, other := f.begin(f.d, key), f.resume(f.again(), key)
			r, in := io.Pipe()
			done := make(chan error, 1)
			go func() {
				_, err := w.Append(f.ctx(), 0, r)
				done <- err
			}()
			_, _ = in.Write(noise(1000, 1))
			_, _ = in.Write(nil)
			if f.Remote {
				f.wantTakeOver(w, other, func() error { return errors.Join(in.Close(), <-done) })
				return
			}
			for _, second := range []storage.Write{w, other} {
				n, err := second.Append(f.ctx(), 1000, bytes.NewReader(noise(1000, 9)))
				f.wantKind("append", err, media.Locked)
				if n != 0 {
					f.Fatalf("the second kept %d bytes", n)
				}
			}
			_, err := other.Commit(f.ctx())
			f.wantKind("commit", err, media.Locked)
			f.wantKind("abort", other.Abort(f.ctx()), media.Locked)
			f.must("close", in.Close())
			f.must("append", <-done)
			f.commit(other)
			f.wantBytes(key, noise(1000, 1))
		}},
		{"sync keeps the bytes, and appends go on", func(f *fixture) {
			w := f.begin(f.d, key)
			f.must("sync", w.Sync(f.ctx()))
			f.append(w, 0, noise(1000, 1))
			f.must("sync", w.Sync(f.ctx()))
			f.wantOffset(w, 1000)
			f.append(w, 1000, noise(1000, 2))
			f.must("sync", w.Sync(f.ctx()))
			f.must("sync", w.Sync(f.ctx()))
			f.commit(w)
			f.wantBytes(key, append(noise(1000, 1), noise(1000, 2)...))
		}},
	}
}

// wantTakeOver appends through other while w, whose append has read 1000 bytes, waits for more.
func (f *fixture) wantTakeOver(w, other storage.Write, end func() error) {
	f.Helper()
	n, err := w.Append(f.ctx(), 0, bytes.NewReader(noise(1000, 8)))
	f.wantKind("append through the same handle", err, media.Locked)
	if n != 0 {
		f.Fatalf("the second kept %d bytes", n)
	}
	f.append(other, 0, noise(1000, 9))
	f.wantKind("the append that was taken over", end(), media.Conflict)
	f.wantOffset(w, 1000)
	f.commit(other)
	f.wantBytes(key, noise(1000, 9))
}

func resuming() []promise {
	return []promise{
		{"a write goes on from another process", func(f *fixture) {
			want := noise(200<<10, 1)
			for at := 0; at < len(want); at += 50 << 10 {
				d := f.again()
				w := storage.Write(nil)
				if at == 0 {
					w = f.begin(d, key)
				} else {
					w = f.resume(d, key)
				}
				f.wantOffset(w, int64(at))
				f.append(w, int64(at), want[at:at+50<<10])
				f.must("close", w.Close())
			}
			f.commit(f.resume(f.again(), key))
			f.wantBytes(key, want)
		}},
		{"resume of a missing write is NotFound", func(f *fixture) {
			_, err := f.d.Resume(f.ctx(), key)
			f.wantKind("resume", err, media.NotFound)
		}},
		{"two handles see each other's bytes", func(f *fixture) {
			w, other := f.begin(f.d, key), f.resume(f.again(), key)
			f.append(w, 0, noise(10, 1))
			f.wantOffset(other, 10)
			f.append(other, 10, noise(10, 2))
			f.wantOffset(w, 20)
			f.append(w, 20, noise(10, 3))
			f.commit(other)
			f.wantBytes(key, bytes.Join([][]byte{noise(10, 1), noise(10, 2), noise(10, 3)}, nil))
		}},
		{"close keeps the bytes and may be repeated", func(f *fixture) {
			w := f.begin(f.d, key)
			f.append(w, 0, noise(1000, 1))
			f.must("close", w.Close())
			f.must("close", w.Close())
			f.wantOffset(f.resume(f.d, key), 1000)
		}},
		{"a closed handle changes nothing", func(f *fixture) {
			w := f.begin(f.d, key)
			f.must("close", w.Close())
			if n, err := w.Append(f.ctx(), 0, bytes.NewReader(noise(10, 1))); err == nil || n != 0 {
				f.Fatalf("append: got %d, %v", n, err)
			}
			if _, err := w.Commit(f.ctx()); err == nil {
				f.Fatal("commit: got no error")
			}
			f.wantOffset(f.resume(f.d, key), 0)
		}},
		{"resume of a committed key has the object's size, and commits to it", func(f *fixture) {
			want := f.put(key, noise(1000, 1))
			w := f.resume(f.again(), key)
			f.wantOffset(w, 1000)
			if got := f.commit(w); got != want {
				f.Fatalf("got %+v, want %+v", got, want)
			}
		}},
	}
}

func committing() []promise {
	return []promise{
		{"commit may be repeated", func(f *fixture) {
			w := f.begin(f.d, key)
			f.append(w, 0, noise(1000, 1))
			first := f.commit(w)
			if second := f.commit(w); second != first {
				f.Fatalf("got %+v, then %+v", first, second)
			}
			f.wantOffset(w, 1000)
		}},
		{"commit may be repeated by another process", func(f *fixture) {
			w := f.begin(f.d, key)
			other := f.resume(f.again(), key)
			f.append(w, 0, noise(1000, 1))
			first := f.commit(w)
			if second := f.commit(other); second != first {
				f.Fatalf("got %+v, then %+v", first, second)
			}
			f.wantBytes(key, noise(1000, 1))
		}},
		{"a committed object takes no more bytes", func(f *fixture) {
			w := f.begin(f.d, key)
			other := f.resume(f.again(), key)
			f.append(w, 0, noise(1000, 1))
			f.commit(w)
			for _, late := range []storage.Write{w, other, f.resume(f.again(), key)} {
				n, err := late.Append(f.ctx(), 1000, bytes.NewReader(noise(10, 2)))
				f.wantKind("append", err, media.Conflict)
				if n != 0 {
					f.Fatalf("kept %d bytes", n)
				}
			}
			f.wantBytes(key, noise(1000, 1))
		}},
		{"abort after commit is Conflict and drops nothing", func(f *fixture) {
			w := f.begin(f.d, key)
			f.append(w, 0, noise(1000, 1))
			f.commit(w)
			f.wantKind("abort", w.Abort(f.ctx()), media.Conflict)
			f.wantKind("abort", f.resume(f.again(), key).Abort(f.ctx()), media.Conflict)
			f.wantBytes(key, noise(1000, 1))
		}},
		{"many that commit at once answer the same object", func(f *fixture) {
			w := f.begin(f.d, key)
			f.append(w, 0, noise(1000, 1))
			var all sync.WaitGroup
			for range 8 {
				other := f.resume(f.again(), key)
				all.Go(func() {
					o, err := other.Commit(f.ctx())
					if err != nil && !errors.Is(err, media.Locked) || err == nil && o.Size != 1000 {
						f.Errorf("commit: got %+v, %v", o, err)
					}
				})
			}
			all.Wait()
			f.commit(w)
			f.wantBytes(key, noise(1000, 1))
		}},
	}
}

func aborting() []promise {
	return []promise{
		{"abort leaves nothing", func(f *fixture) {
			w := f.begin(f.d, key)
			f.append(w, 0, noise(1000, 1))
			f.must("abort", w.Abort(f.ctx()))
			f.wantMissing(key)
			f.wantList("unfinished", f.unfinished(), "")
			_, err := f.again().Resume(f.ctx(), key)
			f.wantKind("resume", err, media.NotFound)
		}},
		{"abort may be repeated", func(f *fixture) {
			w := f.begin(f.d, key)
			other := f.resume(f.again(), key)
			f.must("abort", other.Abort(f.ctx()))
			f.must("abort", w.Abort(f.ctx()))
			f.must("abort", w.Abort(f.ctx()))
			f.must("abort", other.Abort(f.ctx()))
		}},
		{"an aborted write takes no bytes and does not commit", func(f *fixture) {
			w := f.begin(f.d, key)
			other := f.resume(f.again(), key)
			f.append(w, 0, noise(10, 1))
			f.must("abort", other.Abort(f.ctx()))
			for _, late := range []storage.Write{w, other} {
				n, err := late.Append(f.ctx(), 10, bytes.NewReader(noise(10, 2)))
				f.wantKind("append", err, media.NotFound)
				if n != 0 {
					f.Fatalf("kept %d bytes", n)
				}
				_, err = late.Commit(f.ctx())
				f.wantKind("commit", err, media.NotFound)
			}
			f.wantMissing(key)
		}},
		{"an aborted key can be begun again, and old handles leave the new write alone", func(f *fixture) {
			old := f.begin(f.d, key)
			f.append(old, 0, noise(10, 1))
			f.must("abort", f.resume(f.again(), key).Abort(f.ctx()))
			w := f.begin(f.d, key)
			f.append(w, 0, noise(20, 2))
			f.must("abort", old.Abort(f.ctx()))
			f.must("close", old.Close())
			f.wantOffset(w, 20)
			f.commit(w)
			f.wantBytes(key, noise(20, 2))
		}},
	}
}

// lastGasp gives its bytes and an error in one call.
type lastGasp struct{ p []byte }

func (r *lastGasp) Read(p []byte) (int, error) { return copy(p, r.p), io.ErrUnexpectedEOF }

// hook runs when it is read, and is at its end then.
type hook func()

func (h hook) Read([]byte) (int, error) {
	h()
	return 0, io.EOF
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }
