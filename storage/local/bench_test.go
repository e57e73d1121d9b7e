package local_test

import (
	"bytes"
	"fmt"
	"io"
	"sync/atomic"
	"testing"

	"sluice/media"
	"sluice/storage/local"
)

// BenchmarkAppend uploads 1 GiB in pieces of 8 MiB and commits it. Run it with -benchtime 3x.
func BenchmarkAppend(b *testing.B) {
	const size, piece = 1 << 30, 8 << 20
	d := openIn(b, b.TempDir(), local.Options{})
	content := make([]byte, piece)
	b.SetBytes(size)
	for i := 0; b.Loop(); i++ {
		key := fmt.Sprintf("7f/%d", i)
		w, err := d.Begin(b.Context(), key, size)
		if err != nil {
			b.Fatal(err)
		}
		for off := int64(0); off < size; off += piece {
			if _, err := w.Append(b.Context(), off, io.LimitReader(bytes.NewReader(content), piece)); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := w.Commit(b.Context()); err != nil {
			b.Fatal(err)
		}
		if err := w.Close(); err != nil {
			b.Fatal(err)
		}
		if err := d.Delete(b.Context(), key); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSmallFiles begins, fills and commits 64 KiB, 16 at once.
func BenchmarkSmallFiles(b *testing.B) {
	d := openIn(b, b.TempDir(), local.Options{})
	content := make([]byte, 64<<10)
	var n atomic.Int64
	b.SetParallelism(8)
	b.SetBytes(64 << 10)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := n.Add(1)
			w, err := d.Begin(b.Context(), fmt.Sprintf("%02x/%d", i%256, i), 64<<10)
			if err != nil {
				b.Error(err)
				return
			}
			if _, err = w.Append(b.Context(), 0, bytes.NewReader(content)); err == nil {
				_, err = w.Commit(b.Context())
			}
			if err != nil || w.Close() != nil {
				b.Error(err)
				return
			}
		}
	})
}

// BenchmarkAppendNothing is what an append costs beside its bytes.
func BenchmarkAppendNothing(b *testing.B) {
	w := begin(b, openIn(b, b.TempDir(), local.Options{}), media.UnknownLength)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.Append(b.Context(), 0, bytes.NewReader(nil)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSections(b *testing.B) {
	d, o := object(b)
	b.ReportAllocs()
	for b.Loop() {
		sections, err := d.Sections(b.Context(), o, 1<<20, 256<<10)
		if err != nil {
			b.Fatal(err)
		}
		if err := sections[0].File.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRead(b *testing.B) {
	d, o := object(b)
	buf := make([]byte, 256<<10)
	b.ReportAllocs()
	b.SetBytes(int64(len(buf)))
	for b.Loop() {
		r, err := d.Read(b.Context(), o, 1<<20, int64(len(buf)))
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(r, buf); err != nil {
			b.Fatal(err)
		}
		if err := r.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkStat(b *testing.B) {
	d, o := object(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Stat(b.Context(), o.Key); err != nil {
			b.Fatal(err)
		}
	}
}

func object(b *testing.B) (*local.Driver, media.Object) {
	b.Helper()
	d := openIn(b, b.TempDir(), local.Options{})
	w := begin(b, d, 8<<20)
	appendTo(b, w, 0, make([]byte, 8<<20))
	o, err := w.Commit(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	return d, o
}
