package e2e_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// source is a file that exists only as a rule: any part of it can be made again to compare, and no two are alike.
type source struct {
	seed uint64
	size int64
}

func newSource(size int64) source { return source{rand.Uint64(), size} }

// ReadAt implements io.ReaderAt.
func (s source) ReadAt(p []byte, off int64) (int, error) {
	if off >= s.size {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), s.size-off))
	var word [8]byte
	for i := 0; i < n; {
		at := off + int64(i)
		w := mix(s.seed + uint64(at/8))
		if skip := at % 8; skip == 0 && n-i >= 8 {
			binary.LittleEndian.PutUint64(p[i:], w)
			i += 8
		} else {
			binary.LittleEndian.PutUint64(word[:], w)
			i += copy(p[i:n], word[skip:])
		}
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// mix is splitmix64's finaliser.
func mix(x uint64) uint64 {
	x *= 0x9e3779b97f4a7c15
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

func (s source) from(off int64) io.Reader { return io.NewSectionReader(s, off, s.size-off) }

func (s source) part(off, n int64) []byte {
	p := make([]byte, n)
	if got, _ := s.ReadAt(p, off); int64(got) != n {
		panic(fmt.Sprintf("part %d+%d of a source of %d bytes", off, n, s.size))
	}
	return p
}

func (s source) sha256() string {
	h := sha256.New()
	_, _ = io.Copy(h, s.from(0)) // neither side can fail
	return hex.EncodeToString(h.Sum(nil))
}

// equal compares a stream with n bytes of the source from off.
func (s source) equal(r io.Reader, off, n int64) error {
	got, want := make([]byte, 64<<10), make([]byte, 64<<10)
	for done := int64(0); done < n; {
		k := int(min(int64(len(got)), n-done))
		m, err := io.ReadFull(r, got[:k])
		_, _ = s.ReadAt(want[:m], off+done)
		if !bytes.Equal(got[:m], want[:m]) {
			return fmt.Errorf("bytes differ within %d+%d", off+done, m)
		}
		done += int64(m)
		if err != nil {
			return fmt.Errorf("after %d of %d bytes: %w", done, n, err)
		}
	}
	switch m, err := io.ReadFull(r, got[:1]); {
	case m > 0:
		return fmt.Errorf("more than %d bytes", n)
	case !errors.Is(err, io.EOF):
		return fmt.Errorf("after all %d bytes: %w", n, err)
	}
	return nil
}

// file writes the source to a file.
func (s source) file(t testing.TB) string {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), fmt.Sprintf("source-%x.bin", s.seed)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(f, s.from(0)); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return f.Name()
}

// counted counts what a client has handed to its connection: an upper bound of what the server can have.
type counted struct {
	io.Reader
	n    *int64
	then func(total int64) // after each read; nil: nothing
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	*c.n += int64(n)
	if c.then != nil {
		c.then(*c.n)
	}
	return n, err
}

func TestSourceIsTheSameHoweverItIsRead(t *testing.T) {
	t.Parallel()
	s := newSource(100_003)
	whole := s.part(0, s.size)
	for range 200 {
		off := rand.Int64N(s.size)
		n := rand.Int64N(s.size - off)
		if !bytes.Equal(s.part(off, n), whole[off:off+n]) {
			t.Fatalf("part %d+%d differs", off, n)
		}
	}
	if err := s.equal(bytes.NewReader(whole), 0, s.size); err != nil {
		t.Error(err)
	}
	whole[70_000]++
	if s.equal(bytes.NewReader(whole), 0, s.size) == nil {
		t.Error("a changed byte went unseen")
	}
	if s.equal(bytes.NewReader(whole[:99]), 0, 100) == nil || s.equal(bytes.NewReader(whole[:101]), 0, 100) == nil {
		t.Error("a wrong length went unseen")
	}
}
