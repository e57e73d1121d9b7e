package storagetest

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"sluice/media"
	"sluice/storage"
)

func sharing() []promise {
	return []promise{
		{"many read one object at once", func(f *fixture) {
			want := noise(1<<20, 1)
			o := f.put(key, want)
			f.readers(o, want, 16).Wait()
		}},
		{"readers take no lock that a writer holds", func(f *fixture) {
			want := noise(1<<20, 1)
			o := f.put("7f/read", want)
			w := f.begin(f.d, "7f/written")
			r, in := io.Pipe()
			done := make(chan error, 1)
			go func() {
				_, err := w.Append(f.ctx(), 0, r)
				done <- err
			}()
			_, _ = in.Write(noise(1000, 2)) // the append is under way, and waits
			f.readers(o, want, 16).Wait()
			f.wantList("list", f.list(""), "7f/read")
			f.must("close", in.Close())
			f.must("append", <-done)
		}},
		{"many write different keys at once", func(f *fixture) {
			var all sync.WaitGroup
			var keys []string
			for i := range 32 {
				k := fmt.Sprintf("%02x/%d", i%4, i)
				keys = append(keys, k)
				all.Go(func() {
					w, err := f.d.Begin(f.ctx(), k, 64<<10)
					if err == nil {
						_, err = w.Append(f.ctx(), 0, bytes.NewReader(noise(64<<10, uint64(i))))
					}
					if err == nil {
						_, err = w.Commit(f.ctx())
					}
					if err == nil {
						err = w.Close()
					}
					if err != nil {
						f.Errorf("write %s: %v", k, err)
					}
				})
			}
			all.Wait()
			slices.Sort(keys)
			f.wantList("list", f.list(""), strings.Join(keys, " "))
			for i := range 32 {
				f.wantBytes(fmt.Sprintf("%02x/%d", i%4, i), noise(64<<10, uint64(i)))
			}
		}},
	}
}

// readers starts n that each read all of o, in pieces of their own size.
func (f *fixture) readers(o media.Object, want []byte, n int) *sync.WaitGroup {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			piece := int64(10000 * (i + 1))
			for off := int64(0); off < o.Size; off += piece {
				n := min(piece, o.Size-off)
				r, err := f.d.Read(f.ctx(), o, off, n)
				if err != nil {
					f.Errorf("read: %v", err)
					return
				}
				got, err := io.ReadAll(r)
				if err != nil || r.Close() != nil || !bytes.Equal(got, want[off:off+n]) {
					f.Errorf("read %d at %d: %d bytes, %v, or other bytes", n, off, len(got), err)
					return
				}
			}
		})
	}
	return &all
}

func joining() []promise {
	return []promise{
		{"concat makes the parts one object, in the order given", func(f *fixture) {
			parts, want := f.parts("7f/b", "7f/a", "00/c")
			f.concat(key, parts)
			f.wantBytes(key, want)
		}},
		{"ranges of a joined object cross its joints", func(f *fixture) {
			parts, want := f.parts("7f/a", "7f/b", "7f/c")
			o := f.concat(key, parts)
			for _, span := range [][2]int64{{0, o.Size}, {0, 1}, {o.Size - 1, 1}, {999, 2}, {1000, 1}, {999, 1}, {500, 2000}, {1, o.Size - 2}} {
				f.wantSame(f.read(f.d, o, span[0], span[1]), want[span[0]:span[0]+span[1]])
				f.wantSections(o, span[0], want[span[0]:span[0]+span[1]])
			}
		}},
		{"concat may be repeated", func(f *fixture) {
			parts, want := f.parts("7f/a", "7f/b")
			first := f.concat(key, parts)
			if second := f.concat(key, parts); second != first {
				f.Fatalf("got %+v, then %+v", first, second)
			}
			f.wantBytes(key, want)
		}},
		{"the parts of a concat stay", func(f *fixture) {
			parts, _ := f.parts("7f/a", "7f/b")
			f.concat(key, parts)
			f.wantBytes("7f/a", noise(1000, 0))
			f.wantList("list", f.list(""), key+" 7f/a 7f/b")
		}},
		{"parts can be deleted without harm to the whole", func(f *fixture) {
			parts, want := f.parts("7f/a", "7f/b")
			first := f.concat(key, parts)
			for _, p := range parts {
				f.must("delete", f.d.Delete(f.ctx(), p))
			}
			f.wantBytes(key, want)
			if second := f.concat(key, parts); second != first {
				f.Fatalf("concat again: got %+v, want %+v", second, first)
			}
		}},
		{"the whole can be deleted without harm to the parts", func(f *fixture) {
			parts, _ := f.parts("7f/a", "7f/b")
			o := f.concat(key, parts)
			r, err := f.d.Read(f.ctx(), o, 0, o.Size)
			f.must("read", err)
			f.must("delete", f.d.Delete(f.ctx(), key))
			f.wantMissing(key)
			f.wantKind("delete", f.d.Delete(f.ctx(), key), media.NotFound)
			got, err := io.ReadAll(r)
			f.must("read on", err)
			f.must("close", r.Close())
			f.wantSame(got, append(noise(1000, 0), noise(1001, 1)...))
			f.wantBytes("7f/b", noise(1001, 1))
			f.wantList("unfinished", f.unfinished(), "")
		}},
		{"a missing part is NotFound and leaves nothing", func(f *fixture) {
			f.parts("7f/a")
			_, err := f.store.Concat(f.ctx(), "", key, []string{"7f/a", "7f/missing"})
			f.wantKind("concat", err, media.NotFound)
			f.wantMissing(key)
			f.wantList("unfinished", f.unfinished(), "")
		}},
		{"a part that is not committed is NotFound", func(f *fixture) {
			f.append(f.begin(f.d, "7f/open"), 0, noise(10, 1))
			_, err := f.store.Concat(f.ctx(), "", key, []string{"7f/open"})
			f.wantKind("concat", err, media.NotFound)
			f.wantMissing(key)
		}},
		{"joined, empty and repeated objects can be parts", func(f *fixture) {
			parts, joined := f.parts("7f/a", "7f/b")
			f.concat("7f/joined", parts)
			f.put("7f/empty", nil)
			f.concat(key, []string{"7f/empty", "7f/joined", "7f/empty", "7f/a", "7f/a"})
			f.wantBytes(key, bytes.Join([][]byte{joined, noise(1000, 0), noise(1000, 0)}, nil))
		}},
		{"a joined key is taken", func(f *fixture) {
			parts, _ := f.parts("7f/a", "7f/b")
			o := f.concat(key, parts)
			_, err := f.d.Begin(f.ctx(), key, 1)
			f.wantKind("begin", err, media.Conflict)
			w := f.resume(f.again(), key)
			f.wantOffset(w, o.Size)
			if got := f.commit(w); got != o {
				f.Fatalf("commit: got %+v, want %+v", got, o)
			}
		}},
	}
}

// parts makes objects of 1000, 1001, ... bytes, and gives their keys and their bytes in a row.
func (f *fixture) parts(keys ...string) (all []string, joined []byte) {
	for i, k := range keys {
		p := noise(1000+i, uint64(i))
		f.put(k, p)
		joined = append(joined, p...)
	}
	return keys, joined
}

// concat goes through the Store, which copies where the driver cannot join.
func (f *fixture) concat(key string, parts []string) media.Object {
	f.Helper()
	o, err := f.store.Concat(f.ctx(), "", key, parts)
	f.must("concat", err)
	return o
}

func limits() []promise {
	const room = 4 << 20
	return []promise{
		{"sizes go beyond 4 GiB", func(f *fixture) {
			if f.Stretch == nil {
				return
			}
			const far = 5 << 30
			f.must("close", f.begin(f.d, key).Close())
			f.Stretch(f, key, far)
			w := f.resume(f.d, key)
			f.wantOffset(w, far)
			f.append(w, far, noise(1000, 1))
			o := f.commit(w)
			if o.Size != far+1000 {
				f.Fatalf("got %+v", o)
			}
			f.wantSame(f.read(f.again(), o, far, 1000), noise(1000, 1))
			f.wantSections(o, far+7, noise(1000, 1)[7:])
			f.wantSame(f.read(f.d, o, 1<<32-1, 3), []byte{0, 0, 0})
			f.put("7f/tail", noise(10, 2))
			joined := f.concat("7f/joined", []string{key, "7f/tail"})
			f.wantSame(f.read(f.d, joined, far+999, 11), append(noise(1000, 1)[999:], noise(10, 2)...))
		}},
		{"a full disk is Full, and every byte told as kept is kept", func(f *fixture) {
			f.filled(room, func(d storage.Driver, w storage.Write, kept int64, want []byte) {
				f.wantOffset(w, kept)
				f.wantOffset(f.resume(d, key), kept)
				f.must("sync", w.Sync(f.ctx()))
				o := f.commit(w)
				f.wantSame(f.read(d, o, 0, kept), want[:kept])
			})
		}},
		{"on a full disk objects can be read and deleted, and a write goes on in the room that gives", func(f *fixture) {
			f.filled(room, func(d storage.Driver, w storage.Write, kept int64, want []byte) {
				old, err := d.Stat(f.ctx(), "7f/old")
				f.must("stat", err)
				f.wantSame(f.read(d, old, 0, old.Size), noise(room/4, 5))
				f.must("delete", d.Delete(f.ctx(), old.Key))
				f.append(w, kept, want[kept:kept+room/8])
				o := f.commit(w)
				f.wantSame(f.read(d, o, 0, o.Size), want[:kept+room/8])
			})
		}},
		{"on a full disk a write can be aborted, which gives its room", func(f *fixture) {
			f.filled(room, func(d storage.Driver, w storage.Write, _ int64, _ []byte) {
				f.must("abort", w.Abort(f.ctx()))
				f.must("close", w.Close())
				f.append(f.begin(d, key), 0, noise(room/4, 6))
			})
		}},
		{"a length that does not fit is Full at once and leaves nothing", func(f *fixture) {
			if f.Within == nil {
				return
			}
			d := f.Within(f, room)
			_, err := d.Begin(f.ctx(), key, 4*room)
			f.wantKind("begin", err, media.Full)
			_, err = d.Resume(f.ctx(), key)
			f.wantKind("resume", err, media.NotFound)
			f.must("close", f.begin(d, key).Close())
		}},
	}
}

// filled gives a backend whose last byte is taken by an object 7f/old and a write that came upon the end of it.
func (f *fixture) filled(room int, then func(d storage.Driver, w storage.Write, kept int64, want []byte)) {
	if f.Within == nil {
		return
	}
	d := f.Within(f, int64(room))
	old := f.begin(d, "7f/old")
	f.append(old, 0, noise(room/4, 5))
	f.commit(old)
	f.must("close", old.Close())
	w := f.begin(d, key)
	want := noise(2*room, 4)
	kept, err := w.Append(f.ctx(), 0, bytes.NewReader(want))
	f.wantKind("append", err, media.Full)
	if kept <= 0 || kept > int64(room) {
		f.Fatalf("kept %d bytes of room for %d", kept, room)
	}
	then(d, w, kept, want)
}
