package storagetest

import (
	"bytes"
	"fmt"
	"io"
	"time"

	"sluice/media"
	"sluice/storage"
)

func visible() []promise {
	return []promise{
		{"nothing is visible before commit", func(f *fixture) {
			w := f.begin(f.d, key)
			f.wantMissing(key)
			f.append(w, 0, noise(100<<10, 1))
			f.wantMissing(key)
			f.must("sync", w.Sync(f.ctx()))
			f.must("close", w.Close())
			f.wantMissing(key)
			f.wantList("list", f.list(""), "")
		}},
		{"an object is visible whole after commit", func(f *fixture) {
			want := noise(3<<20+17, 2)
			f.put(key, want)
			f.wantBytes(key, want)
			f.wantList("list", f.list(""), key)
		}},
		{"an object may be empty", func(f *fixture) {
			f.put(key, nil)
			f.wantBytes(key, nil)
		}},
		{"stat tells key, size and time", func(f *fixture) {
			before := time.Now().Add(-time.Minute)
			committed := f.put(key, noise(1234, 3))
			o, err := f.d.Stat(f.ctx(), key)
			f.must("stat", err)
			if o.Key != key || o.Size != 1234 || o.ModTime.Before(before) || o.ModTime.After(time.Now().Add(time.Minute)) {
				f.Fatalf("got %+v", o)
			}
			if o != committed {
				f.Fatalf("stat says %+v, commit said %+v", o, committed)
			}
		}},
		{"a missing object is NotFound", func(f *fixture) { f.wantMissing(key) }},
		{"a key and a key below it are two objects", func(f *fixture) {
			below := key + "/poster.jpg"
			f.put(below, noise(10, 4))
			f.wantMissing(key)
			f.put(key, noise(20, 5))
			f.wantBytes(below, noise(10, 4))
			f.wantBytes(key, noise(20, 5))
		}},
		{"every valid key is a key of its own", func(f *fixture) {
			long := make([]byte, storage.MaxKey)
			copy(long, bytes.Repeat([]byte("a/"), storage.MaxKey))
			long[len(long)-1] = 'z'
			keys := []string{"a", "7f", "7f/a", "7f/a-b", "7f/a/b", "7f/a.b", "7f/a_b", "a/7f", "others/a", "7f7f/a", "a.json", string(long)}
			for i, k := range keys {
				f.put(k, noise(10+i, uint64(i)))
			}
			for i, k := range keys {
				f.wantBytes(k, noise(10+i, uint64(i)))
			}
		}},
		{"strange keys are refused and touch nothing", func(f *fixture) {
			for _, k := range strangeKeys() {
				_, err := f.store.Begin(f.ctx(), "", k, 1)
				f.wantKind("begin "+k, err, media.Invalid)
				_, err = f.store.Resume(f.ctx(), "", k)
				f.wantKind("resume "+k, err, media.Invalid)
				_, err = f.store.Stat(f.ctx(), "", k)
				f.wantKind("stat "+k, err, media.Invalid)
				f.wantKind("delete "+k, f.store.Delete(f.ctx(), "", k), media.Invalid)
			}
			f.wantList("list", f.list(""), "")
			f.wantList("unfinished", f.unfinished(), "")
		}},
	}
}

func strangeKeys() []string {
	return []string{
		"", ".", "..", "/", "/etc/passwd", "../x", "a/../b", "a/..", "a//b", "a/", "a/.b", ".a", "-a", "a\\b", "a\x00b", "a b", "A", "ä", "a%2fb",
		"a,b", "a~poisoned", "a\n", string(bytes.Repeat([]byte("a"), storage.MaxKey+1)),
	}
}

func ranges() []promise {
	const size = 1<<20 + 333
	type span struct{ off, n int64 }
	forms := []struct {
		name  string
		spans []span
	}{
		{"the whole", []span{{0, size}}},
		{"the first byte", []span{{0, 1}}},
		{"the last byte", []span{{size - 1, 1}}},
		{"from the start", []span{{0, 1000}, {0, size - 1}}},
		{"up to the end", []span{{1, size - 1}, {size - 1000, 1000}}},
		{"in the middle", []span{{4095, 2}, {4096, 4096}, {32<<10 - 1, 2}, {1<<20 - 1, 3}, {12345, 654321}}},
	}
	var all []promise
	for _, form := range forms {
		all = append(all, promise{"a range is read to the byte: " + form.name, func(f *fixture) {
			want := noise(size, 6)
			o := f.put(key, want)
			for _, s := range form.spans {
				f.wantSame(f.read(f.d, o, s.off, s.n), want[s.off:s.off+s.n])
			}
		}})
	}
	return append(all,
		promise{"a range outside the object is refused", func(f *fixture) {
			o := f.put(key, noise(10, 7))
			for _, s := range []span{{-1, 1}, {0, 0}, {0, -1}, {10, 1}, {9, 2}, {0, 11}, {1, 1<<63 - 1}, {1<<63 - 1, 1}} {
				_, err := f.store.Read(f.ctx(), "", o, s.off, s.n)
				f.wantKind(fmt.Sprint("read ", s), err, media.Invalid)
				_, err = f.store.Sections(f.ctx(), "", o, s.off, s.n)
				f.wantKind(fmt.Sprint("sections ", s), err, media.Invalid)
			}
		}},
		promise{"a reader may be closed before its end", func(f *fixture) {
			want := noise(100<<10, 8)
			o := f.put(key, want)
			r, err := f.d.Read(f.ctx(), o, 5, 90<<10)
			f.must("read", err)
			p := make([]byte, 100)
			_, err = io.ReadFull(r, p)
			f.must("read", err)
			f.must("close", r.Close())
			f.wantSame(p, want[5:105])
		}},
		promise{"sections hold the same bytes as a read", func(f *fixture) {
			want := noise(size, 9)
			o := f.put(key, want)
			for _, s := range []span{{0, size}, {0, 1}, {size - 1, 1}, {777, 70000}} {
				f.wantSections(o, s.off, want[s.off:s.off+s.n])
			}
		}},
	)
}

// wantSections checks the files of a range, where the driver has files.
func (f *fixture) wantSections(o media.Object, off int64, want []byte) {
	f.Helper()
	files, ok := f.d.(storage.FileDriver)
	if !ok {
		return
	}
	sections, err := files.Sections(f.ctx(), o, off, int64(len(want)))
	f.must("sections", err)
	var got []byte
	for _, s := range sections {
		p := make([]byte, s.N)
		_, err := io.ReadFull(io.NewSectionReader(s.File, s.Off, s.N), p)
		f.must("read a section", err)
		f.must("close", s.File.Close())
		got = append(got, p...)
	}
	f.wantSame(got, want)
}

func deleting() []promise {
	return []promise{
		{"a deleted object is gone", func(f *fixture) {
			f.put(key, noise(10, 1))
			f.must("delete", f.d.Delete(f.ctx(), key))
			f.wantMissing(key)
			f.wantList("list", f.list(""), "")
		}},
		{"a second delete is NotFound", func(f *fixture) {
			f.put(key, noise(10, 1))
			f.must("delete", f.d.Delete(f.ctx(), key))
			f.wantKind("delete", f.d.Delete(f.ctx(), key), media.NotFound)
			f.wantKind("delete", f.again().Delete(f.ctx(), key), media.NotFound)
		}},
		{"delete leaves an unfinished write alone", func(f *fixture) {
			w := f.begin(f.d, key)
			f.append(w, 0, noise(10, 1))
			f.wantKind("delete", f.d.Delete(f.ctx(), key), media.NotFound)
			f.wantOffset(w, 10)
			f.commit(w)
			f.wantBytes(key, noise(10, 1))
		}},
		{"delete takes one object only", func(f *fixture) {
			f.put("7f/a", noise(10, 1))
			f.put("7f/a/b", noise(11, 2))
			f.put("7f/ab", noise(12, 3))
			f.must("delete", f.d.Delete(f.ctx(), "7f/a"))
			f.wantList("list", f.list(""), "7f/a/b 7f/ab")
			f.wantBytes("7f/a/b", noise(11, 2))
		}},
		{"readers that have begun may finish after a delete", func(f *fixture) {
			want := noise(1<<20, 2)
			o := f.put(key, want)
			r, err := f.d.Read(f.ctx(), o, 0, o.Size)
			f.must("read", err)
			first := make([]byte, 1000)
			_, err = io.ReadFull(r, first)
			f.must("read", err)
			f.must("delete", f.d.Delete(f.ctx(), key))
			rest, err := io.ReadAll(r)
			f.must("read on", err)
			f.must("close", r.Close())
			f.wantSame(append(first, rest...), want)
		}},
		{"a deleted key can be written anew", func(f *fixture) {
			f.put(key, noise(10, 1))
			f.must("delete", f.d.Delete(f.ctx(), key))
			f.put(key, noise(20, 2))
			f.wantBytes(key, noise(20, 2))
		}},
	}
}

func listing() []promise {
	return []promise{
		{"list walks in key order", func(f *fixture) {
			for _, k := range []string{"zz", "7f/b", "00/z", "7f/a/b", "7f-x", "ff/a", "7f/a-b", "7f0", "a", "7f", "7f/a"} {
				f.put(k, noise(3, 1))
			}
			f.wantList("list", f.list(""), "00/z 7f 7f-x 7f/a 7f/a-b 7f/a/b 7f/b 7f0 a ff/a zz")
		}},
		{"list keeps to the prefix", func(f *fixture) {
			for _, k := range []string{"7f/aa", "7f/ab", "7f/b", "7e/aa", "7f0", "8", "0"} {
				f.put(k, noise(3, 1))
			}
			for prefix, want := range map[string]string{
				"7f/a": "7f/aa 7f/ab", "7f/": "7f/aa 7f/ab 7f/b", "7f": "7f/aa 7f/ab 7f/b 7f0", "7f/aa": "7f/aa", "7": "7e/aa 7f/aa 7f/ab 7f/b 7f0", "9": "",
			} {
				f.wantList("list "+prefix, f.list(prefix), want)
			}
		}},
		{"list tells what stat tells", func(f *fixture) {
			f.put("7f/a", noise(3, 1))
			f.put("8", noise(70000, 1))
			for o, err := range f.d.List(f.ctx(), "") {
				f.must("list", err)
				same, err := f.d.Stat(f.ctx(), o.Key)
				f.must("stat", err)
				if o != same {
					f.Fatalf("list says %+v, stat says %+v", o, same)
				}
			}
		}},
		{"a walk may be left early and begun again", func(f *fixture) {
			for _, k := range []string{"7f/a", "7f/b", "7f/c"} {
				f.put(k, noise(3, 1))
			}
			for _, err := range f.d.List(f.ctx(), "") {
				f.must("list", err)
				break
			}
			f.wantList("list", f.list(""), "7f/a 7f/b 7f/c")
		}},
		{"objects may be deleted during a walk", func(f *fixture) {
			for _, k := range []string{"00/a", "00/b", "ff/a", "zz"} {
				f.put(k, noise(3, 1))
			}
			for o, err := range f.d.List(f.ctx(), "") {
				f.must("list", err)
				f.must("delete", f.d.Delete(f.ctx(), o.Key))
			}
			f.wantList("list", f.list(""), "")
		}},
		{"unfinished names the open writes and how far they are", func(f *fixture) {
			f.put("7f/done", noise(3, 1))
			gone := f.begin(f.d, "7f/gone")
			f.must("abort", gone.Abort(f.ctx()))
			w := f.begin(f.d, "7f/open/sub")
			f.append(w, 0, noise(77, 1))
			f.must("close", w.Close())
			f.begin(f.d, "a")
			var got []string
			for o, err := range f.again().Unfinished(f.ctx()) {
				f.must("unfinished", err)
				got = append(got, fmt.Sprint(o.Key, " ", o.Size))
			}
			want := "[7f/open/sub 77 a 0]"
			if f.Remote {
				want = "[7f/open/sub -1 a -1]"
			}
			f.wantList("unfinished", fmt.Sprint(got), want)
			f.commit(f.resume(f.d, "7f/open/sub"))
			f.wantList("unfinished", f.unfinished(), "a")
		}},
	}
}
