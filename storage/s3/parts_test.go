package s3_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/iotest"

	"sluice/internal/livetest"
	"sluice/media"
	"sluice/storage"
	"sluice/storage/s3"
)

// TestWholeFilesOfEveryShape sends files whose ends fall on every side of the bounds between state, segments and parts.
func TestWholeFilesOfEveryShape(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	const part = 5 * mib
	for i, size := range []int{0, 1, mib, mib + 1, part - 1, part, part + 1, 2 * part, 2*part + 77, 3*part - 1} {
		for _, declared := range []bool{true, false} {
			t.Run(fmt.Sprintf("%d bytes, declared %t", size, declared), func(t *testing.T) {
				t.Parallel()
				at := fmt.Sprintf("7f/%d-%t", i, declared)
				length := int64(media.UnknownLength)
				if declared {
					length = int64(size)
				}
				w, err := b.d.Begin(t.Context(), at, length)
				if err != nil {
					t.Fatal(err)
				}
				want := noise(size, byte(i))
				if n, err := w.Append(t.Context(), 0, iotest.DataErrReader(bytes.NewReader(want))); err != nil || n != int64(size) {
					t.Fatalf("append: got %d, %v", n, err)
				}
				o, err := w.Commit(t.Context())
				if err != nil || o.Size != int64(size) {
					t.Fatalf("commit: got %+v, %v", o, err)
				}
				if size == 0 {
					return
				}
				r, err := b.other.Read(t.Context(), o, 0, o.Size)
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(r)
				if err := errors.Join(err, r.Close()); err != nil || !bytes.Equal(got, want) {
					t.Fatalf("got %d bytes, %v, or other bytes", len(got), err)
				}
			})
		}
	}
}

// TestPatchesOfAnySizeFromAnyProcess cuts a file into appends of sizes that cross parts, and takes turns between two processes.
func TestPatchesOfAnySizeFromAnyProcess(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	want := noise(23*mib+4321, 1)
	w := b.begin(int64(len(want)))
	sizes := []int{1000, 300 << 10, mib, mib, 2 * mib, 6 * mib, 1, mib, 4 * mib, mib}
	at := 0
	for i := 0; at < len(want); i++ {
		n := min(sizes[i%len(sizes)], len(want)-at)
		if i%3 == 2 {
			w = b.resume(b.d)
		}
		b.append(w, int64(at), want[at:at+n])
		at += n
		b.wantOffset(b.resume(b.other), int64(at))
	}
	if _, err := w.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.wantBytes(want)
	for o, err := range b.other.Unfinished(t.Context()) {
		t.Errorf("unfinished: %+v, %v", o, err)
	}
}

func TestMoreThanTheDeclaredLengthIsRefused(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	w := b.begin(6 * mib)
	_, err := w.Append(t.Context(), 0, bytes.NewReader(noise(6*mib+1, 1)))
	b.wantKind("append", err, media.TooLarge)
}

func TestPartsGrowWithTheDeclaredLength(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	for _, size := range []int64{1, 5 * mib * 9000, 5*mib*9000 + 1, 1 << 40, 5 << 40} {
		part := b.d.PartFor(size)
		if n := (size + part - 1) / part; n > 9000 || part < 5*mib || part > 5<<30 {
			t.Errorf("%d bytes: %d parts of %d", size, n, part)
		}
	}
}

func TestJoinsBySizeOfTheirParts(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	for i, sizes := range [][]int{{6 * mib, 6 * mib}, {mib, 12 * mib, 10}, {4 * mib, 4 * mib, 4 * mib}, {5 * mib, 1}, {1, 5 * mib}, {0}, {0, 7, 0}} {
		var keys []string
		var want []byte
		for j, n := range sizes {
			k := fmt.Sprintf("7f/part-%d-%d", i, j)
			p := noise(n, byte(j))
			w, err := b.d.Begin(t.Context(), k, int64(n))
			b.must("begin", err)
			b.append(w, 0, p)
			_, err = w.Commit(t.Context())
			b.must("commit", err)
			keys, want = append(keys, k), append(want, p...)
		}
		whole := fmt.Sprintf("7f/whole-%d", i)
		o, err := b.d.Concat(t.Context(), whole, keys)
		if err != nil || o.Size != int64(len(want)) {
			t.Fatalf("%v: got %+v, %v", sizes, o, err)
		}
		if len(want) == 0 {
			continue
		}
		r, err := b.other.Read(t.Context(), o, 0, o.Size)
		b.must("read", err)
		got, err := io.ReadAll(r)
		b.must("read", errors.Join(err, r.Close()))
		if !bytes.Equal(got, want) {
			t.Errorf("%v: %d bytes, want %d, or other bytes", sizes, len(got), len(want))
		}
	}
	for o, err := range b.other.Unfinished(t.Context()) {
		t.Errorf("unfinished: %+v, %v", o, err)
	}
}

// TestTwoProcessesThatJoinAtOnceNeverMissTheFile: who comes too late is told to come again, and not that something is missing, upon which
// the upload would be removed.
func TestTwoProcessesThatJoinAtOnceNeverMissTheFile(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	second := open(t, b.o)
	want := noise(6*mib, 1)
	w, err := b.d.Begin(t.Context(), "7f/part", int64(len(want)))
	b.must("begin", err)
	b.append(w, 0, want)
	_, err = w.Commit(t.Context())
	b.must("commit", err)
	for i := range 12 {
		whole := fmt.Sprintf("7f/whole-%d", i)
		var all sync.WaitGroup
		for _, d := range []*s3.Driver{b.d, second, b.d, second} {
			all.Go(func() {
				o, err := d.Concat(t.Context(), whole, []string{"7f/part", "7f/part"})
				if err != nil && !errors.Is(err, media.Unavailable) && !errors.Is(err, media.Locked) || err == nil && o.Size != 12*mib {
					t.Errorf("join %d: got %+v, %v", i, o, err)
				}
			})
		}
		all.Wait()
		if o, err := second.Concat(t.Context(), whole, []string{"7f/part", "7f/part"}); err != nil || o.Size != 12*mib {
			t.Fatalf("join %d at rest: got %+v, %v", i, o, err)
		}
	}
	for o, err := range b.other.Unfinished(t.Context()) {
		t.Errorf("unfinished: %+v, %v", o, err)
	}
}

// TestACutOffJoinGoesOnByOtherMeans: a join by copies was cut off, and then copies were forbidden.
func TestACutOffJoinGoesOnByOtherMeans(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c livetest.S3Call) livetest.S3Fault {
		return livetest.S3Fault{Status: map[bool]int{true: 503}[c.Op == "UploadPartCopy"]}
	})
	want := noise(6*mib, 1)
	w, err := b.other.Begin(t.Context(), "7f/part", int64(len(want)))
	b.must("begin", err)
	b.append(w, 0, want)
	_, err = w.Commit(t.Context())
	b.must("commit", err)
	_, err = b.d.Concat(t.Context(), key, []string{"7f/part", "7f/part"})
	b.wantKind("join by copies", err, media.Unavailable)
	o := b.o
	o.CopyParts = false
	store, err := storage.New([]storage.Backend{{Name: "bucket", Type: media.S3, Driver: open(t, o)}})
	b.must("store", err)
	if _, err := store.Concat(t.Context(), "bucket", key, []string{"7f/part", "7f/part"}); err != nil {
		t.Fatal(err)
	}
	b.wantBytes(append(want[:len(want):len(want)], want...))
}
