package s3_test

import (
	"bytes"
	"fmt"
	"testing"
)

// BenchmarkAppend sends files in appends of a size, to a real server on this machine.
func BenchmarkAppend(b *testing.B) {
	for _, c := range []struct {
		name        string
		size, piece int
	}{{"64MiB at once", 64 * mib, 64 * mib}, {"16MiB by 1MiB", 16 * mib, mib}, {"100KiB", 100 << 10, 100 << 10}} {
		b.Run(c.name, func(b *testing.B) {
			s := setup(b, nil)
			o := s.o
			o.PartSize = 0
			d := open(b, o)
			data := noise(c.size, 1)
			b.SetBytes(int64(c.size))
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				w, err := d.Begin(b.Context(), fmt.Sprintf("7f/%d", i), int64(c.size))
				s.must("begin", err)
				for at := 0; at < c.size; at += c.piece {
					s.append(w, int64(at), data[at:at+c.piece])
				}
				_, err = w.Commit(b.Context())
				s.must("commit", err)
				s.must("close", w.Close())
			}
		})
	}
	b.Run("Put 64KiB", func(b *testing.B) {
		s := setup(b, nil)
		data := noise(64<<10, 1)
		b.SetBytes(int64(len(data)))
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			_, err := s.d.Put(b.Context(), fmt.Sprintf("7f/%d", i), data)
			s.must("put", err)
		}
	})
}

// BenchmarkRead streams 64 MiB.
func BenchmarkRead(b *testing.B) {
	s := setup(b, nil)
	w := s.begin(64 * mib)
	s.append(w, 0, noise(64*mib, 1))
	o, err := w.Commit(b.Context())
	s.must("commit", err)
	b.SetBytes(o.Size)
	var sink bytes.Buffer
	sink.Grow(64 * mib)
	for b.Loop() {
		r, err := s.d.Read(b.Context(), o, 0, o.Size)
		s.must("read", err)
		sink.Reset()
		_, err = sink.ReadFrom(r)
		s.must("read", err)
		s.must("close", r.Close())
	}
}
