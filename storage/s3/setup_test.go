package s3_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"sluice/internal/livetest"
	"sluice/media"
	"sluice/storage"
	"sluice/storage/s3"
)

const (
	key = "7f/0192f3a4-0000-7000-8000-00000000007f"
	mib = 1 << 20
)

// bucketName is one for each test.
func bucketName(t testing.TB) string {
	sum := sha256.Sum256([]byte(t.Name()))
	return "b-" + hex.EncodeToString(sum[:8])
}

// options are those of a bucket of its own on a server.
func options(t testing.TB, server *livetest.S3Server, bucket string) s3.Options {
	t.Helper()
	return s3.Options{
		Bucket: server.NewBucket(t, bucket), Endpoint: server.URL(), Region: server.Region, PathStyle: true, AccessKey: server.AccessKey,
		SecretKey: server.SecretKey, CopyParts: true, PartSize: 5 * mib,
	}
}

func open(t testing.TB, o s3.Options) *s3.Driver {
	t.Helper()
	d, err := s3.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// bench is a bucket seen by two processes, the first of them through faults.
type bench struct {
	testing.TB
	server *livetest.S3Server
	o      s3.Options
	d      *s3.Driver // through the faults
	other  *s3.Driver // straight
}

// setup asks judge what happens to the first process's requests; nil lets all pass.
func setup(t testing.TB, judge func(c livetest.S3Call) livetest.S3Fault) *bench {
	t.Helper()
	return setupOn(t, livetest.S3(t), "media", judge)
}

// setupOn uses a bucket of its own on a server that others use too.
func setupOn(t testing.TB, server *livetest.S3Server, bucket string, judge func(c livetest.S3Call) livetest.S3Fault) *bench {
	t.Helper()
	b := &bench{TB: t, server: server, o: options(t, server, bucket)}
	b.o.Quick()
	b.other = open(t, b.o)
	b.d = b.other
	if judge != nil {
		through := b.o
		through.Endpoint = livetest.FaultyS3(t, server, judge).URL
		b.d = open(t, through)
	}
	return b
}

func noise(n int, seed byte) []byte {
	p := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(p) // never fails
	return p
}

func (b *bench) must(doing string, err error) {
	b.Helper()
	if err != nil {
		b.Fatalf("%s: %v", doing, err)
	}
}

func (b *bench) wantKind(doing string, err error, k media.Kind) {
	b.Helper()
	if !errors.Is(err, k) {
		b.Fatalf("%s: got error %v, want the kind %v", doing, err, k)
	}
}

func (b *bench) begin(size int64) storage.Write {
	b.Helper()
	w, err := b.d.Begin(b.Context(), key, size)
	b.must("begin", err)
	b.Cleanup(func() { _ = w.Close() })
	return w
}

func (b *bench) resume(d *s3.Driver) storage.Write {
	b.Helper()
	w, err := d.Resume(b.Context(), key)
	b.must("resume", err)
	b.Cleanup(func() { _ = w.Close() })
	return w
}

func (b *bench) offset(w storage.Write) int64 {
	b.Helper()
	n, err := w.Offset(b.Context())
	b.must("offset", err)
	return n
}

func (b *bench) wantOffset(w storage.Write, want int64) {
	b.Helper()
	if got := b.offset(w); got != want {
		b.Fatalf("offset: got %d, want %d", got, want)
	}
}

func (b *bench) append(w storage.Write, off int64, p []byte) {
	b.Helper()
	n, err := w.Append(b.Context(), off, bytes.NewReader(p))
	if err != nil || n != int64(len(p)) {
		b.Fatalf("append at %d: got %d, %v, want %d", off, n, err, len(p))
	}
}

// finish appends what is missing of want through another process, commits, and compares.
func (b *bench) finish(want []byte) {
	b.Helper()
	w := b.resume(b.other)
	for range 10 {
		at := b.offset(w)
		if at == int64(len(want)) {
			break
		}
		if _, err := w.Append(b.Context(), at, bytes.NewReader(want[at:])); err != nil {
			b.wantKind("append", err, media.Conflict) // the parts of a dead append were still arriving
		}
	}
	_, err := w.Commit(b.Context())
	b.must("commit", err)
	b.wantBytes(want)
}

func (b *bench) wantBytes(want []byte) {
	b.Helper()
	o, err := b.other.Stat(b.Context(), key)
	b.must("stat", err)
	r, err := b.other.Read(b.Context(), o, 0, o.Size)
	b.must("read", err)
	got, err := io.ReadAll(r)
	b.must("read", errors.Join(err, r.Close()))
	if !bytes.Equal(got, want) {
		b.Fatalf("got %d bytes, want %d, or other bytes", len(got), len(want))
	}
}

// waiting gives a reader whose bytes come when they are sent, and an end.
func waiting() (*io.PipeReader, *io.PipeWriter) { return io.Pipe() }

// appended is what an Append in the background has answered.
type appended struct {
	n   int64
	err error
}

func (b *bench) start(ctx context.Context, w storage.Write, off int64, r io.Reader) <-chan appended {
	done := make(chan appended, 1)
	go func() {
		n, err := w.Append(ctx, off, r)
		done <- appended{n, err}
	}()
	return done
}

func isState(c livetest.S3Call) bool {
	return c.Op == "PutObject" && strings.HasSuffix(c.Name, "/state")
}
