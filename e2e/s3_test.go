package e2e_test

import (
	"context"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/internal/livetest"
)

// onFaultyS3 is a gateway whose bucket has faults at judge's word.
func onFaultyS3(t *testing.T, judge func(livetest.S3Call) livetest.S3Fault, env ...string) (*livetest.Server, *client) {
	t.Helper()
	server := livetest.S3(t)
	bucket := server.NewBucket(t, "media")
	s := livetest.Sluice(t, livetest.Options{Env: append(server.Env(livetest.FaultyS3(t, server, judge).URL, bucket), env...)})
	return s, newClient(t, s, "ann", "instructor")
}

// A part that fails for good costs what came after it, and the client goes on from there.
func TestAPartFailsOnS3(t *testing.T) {
	t.Parallel()
	var broken atomic.Bool
	broken.Store(true)
	_, c := onFaultyS3(t, func(call livetest.S3Call) livetest.S3Fault {
		return livetest.S3Fault{Status: map[bool]int{true: 500}[broken.Load() && call.Op == "UploadPart" && call.Part == "2"]}
	})
	ctx, src := t.Context(), newSource(13<<20)
	u, err := c.create(ctx, src.size, nil, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	a, err := c.patch(ctx, u, 0, src.from(0), src.size)
	if err == nil && (a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "") {
		t.Fatalf("got %v, want 503 with Retry-After", a)
	}
	if a, err := c.head(ctx, u); err != nil || a.status != http.StatusOK || a.offset() != 5<<20 {
		t.Fatalf("head: %v, %v, want the bytes of the first part", a, err)
	}
	broken.Store(false)
	if err := c.finish(ctx, u, src, src.size); err != nil {
		t.Fatal(err)
	}
	if err := c.settled(ctx, u.id, src); err != nil {
		t.Error(err)
	}
}

// A Complete that fails, or whose answer is lost, is neither an end nor a false success: 503, then 423 to a HEAD, and then the file is there
// once, by itself.
func TestCompleteFailsOnS3(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]livetest.S3Fault{"before it is done": {Status: 503}, "after it is done": {Cut: true, After: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var broken, asked atomic.Bool
			broken.Store(true)
			_, c := onFaultyS3(t, func(call livetest.S3Call) livetest.S3Fault {
				complete := call.Op == "CompleteMultipartUpload"
				if complete {
					asked.Store(true)
				}
				if broken.Load() && (complete || call.Op == "HeadObject" && asked.Load()) { // nor can it be seen
					return fault
				}
				return livetest.S3Fault{}
			})
			ctx, src := t.Context(), newSource(7<<20)
			u, err := c.create(ctx, src.size, nil, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			a, err := c.patch(ctx, u, 0, src.from(0), src.size)
			if err != nil || a.status != http.StatusServiceUnavailable {
				t.Fatalf("patch: %v, %v, want 503", a, err)
			}
			if a, err := c.head(ctx, u); err != nil || a.status != http.StatusLocked {
				t.Fatalf("head: %v, %v, want 423", a, err)
			}
			broken.Store(false)
			if err := c.settled(ctx, u.id, src); err != nil {
				t.Error(err)
			}
			if list, err := c.list(ctx); err != nil || len(list) != 1 {
				t.Errorf("the catalogue has %d files, %v", len(list), err)
			}
		})
	}
}

// The client leaves while a part is slow. The upload is not wedged: what came is kept, and another request goes on.
func TestTheClientLeavesDuringASlowPartOnS3(t *testing.T) {
	t.Parallel()
	slow, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	_, c := onFaultyS3(t, func(call livetest.S3Call) livetest.S3Fault {
		if call.Op == "UploadPart" && call.Part == "2" {
			once.Do(func() { close(slow) })
			select {
			case <-release:
			case <-call.Left:
			}
		}
		return livetest.S3Fault{}
	})
	ctx, src := t.Context(), newSource(17<<20)
	u, err := c.create(ctx, src.size, nil, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	leaving, leave := context.WithCancel(ctx)
	gone := make(chan struct{})
	body, in := io.Pipe()
	go func() {
		defer close(gone)
		_, _ = c.patch(leaving, u, 0, body, src.size) // it is cut
	}()
	if _, err := io.Copy(in, io.NewSectionReader(src, 0, 11<<20)); err != nil {
		t.Fatal(err)
	}
	<-slow
	leave()
	_ = in.CloseWithError(context.Canceled)
	<-gone
	close(release)
	livetest.Until(t, 20*time.Second, "another request may write", func() bool {
		a, err := c.head(ctx, u)
		if err != nil || a.status != http.StatusOK || a.offset() < 5<<20 {
			return false
		}
		return c.finish(ctx, u, src, src.size) == nil
	})
	if err := c.settled(ctx, u.id, src); err != nil {
		t.Error(err)
	}
}
