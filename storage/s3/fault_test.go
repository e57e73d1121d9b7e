package s3_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"sluice/internal/livetest"
	"sluice/media"
)

// TestAnAppendThatWasTakenOverKeepsNothingMore lets one process stall in the middle of a part, another go on with other bytes, and the
// first wake up.
func TestAnAppendThatWasTakenOverKeepsNothingMore(t *testing.T) {
	t.Parallel()
	stalled, wake := make(chan struct{}), make(chan struct{})
	var once sync.Once
	b := setup(t, func(c livetest.S3Call) livetest.S3Fault {
		if c.Op == "UploadPart" && c.Part == "2" {
			once.Do(func() { close(stalled) })
			<-wake
		}
		return livetest.S3Fault{}
	})
	old, young := noise(22*mib, 1), noise(22*mib, 2)
	w := b.begin(22 * mib)
	r, in := waiting()
	done := b.start(t.Context(), w, 0, r)
	if _, err := in.Write(old[:11*mib]); err != nil {
		t.Fatal(err)
	}
	<-stalled
	second := b.resume(b.other)
	livetest.Until(t, 10*time.Second, "the first part is seen", func() bool { return b.offset(second) == 5*mib })
	b.append(second, 5*mib, young[5*mib:12*mib])
	close(wake)
	_ = in.CloseWithError(io.ErrUnexpectedEOF)
	if got := <-done; got.n != 0 || !errors.Is(got.err, media.Conflict) {
		t.Fatalf("who was overtaken got %d, %v", got.n, got.err)
	}
	b.wantOffset(w, 12*mib)
	b.append(second, 12*mib, young[12*mib:])
	if _, err := second.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.wantBytes(append(old[:5*mib:5*mib], young[5*mib:]...))
}

func TestAPartThatFailsCostsWhatComesAfterIt(t *testing.T) {
	t.Parallel()
	var broken atomic.Bool
	broken.Store(true)
	b := setup(t, func(c livetest.S3Call) livetest.S3Fault {
		if c.Op == "UploadPart" && c.Part == "3" && broken.Load() {
			return livetest.S3Fault{Status: 500}
		}
		return livetest.S3Fault{}
	})
	want := noise(28*mib, 1)
	w := b.begin(int64(len(want)))
	n, err := w.Append(t.Context(), 0, bytes.NewReader(want))
	b.wantKind("append", err, media.Unavailable)
	if n != 10*mib {
		t.Errorf("kept %d bytes, want those of two parts", n)
	}
	b.wantOffset(w, n)
	b.wantOffset(b.resume(b.other), n)
	broken.Store(false)
	b.append(w, n, want[n:])
	if _, err := w.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.wantBytes(want)
}

// TestTheClientMayLeaveDuringASlowPart is what wedges an upload on tusd's store for ever.
func TestTheClientMayLeaveDuringASlowPart(t *testing.T) {
	t.Parallel()
	stalled, wake := make(chan struct{}), make(chan struct{})
	var once sync.Once
	b := setup(t, func(c livetest.S3Call) livetest.S3Fault {
		if c.Op == "UploadPart" && c.Part == "2" {
			once.Do(func() { close(stalled) })
			select {
			case <-wake:
			case <-c.Left:
			}
		}
		return livetest.S3Fault{}
	})
	want := noise(12*mib, 1)
	w := b.begin(int64(len(want)))
	r, in := waiting()
	ctx, leave := context.WithCancel(t.Context())
	done := b.start(ctx, w, 0, r)
	if _, err := in.Write(want[:11*mib]); err != nil {
		t.Fatal(err)
	}
	<-stalled
	leave()
	_ = in.CloseWithError(context.Canceled)
	close(wake)
	got := <-done
	if !errors.Is(got.err, context.Canceled) || got.n != 11*mib {
		t.Fatalf("got %d, %v, want all that came, and the client's own end", got.n, got.err)
	}
	b.finish(want)
}

// TestSlowClientsKeepNoFastOneWaiting has ten clients in the middle of a part where one part at a time may be on its way.
func TestSlowClientsKeepNoFastOneWaiting(t *testing.T) {
	t.Parallel()
	server := livetest.S3(t)
	o := options(t, server, "media")
	o.MaxInFlight = 1
	d := open(t, o)
	var slow sync.WaitGroup
	end := make(chan struct{})
	for i := range 10 {
		w, err := d.Begin(t.Context(), fmt.Sprintf("7f/slow-%d", i), 12*mib)
		if err != nil {
			t.Fatal(err)
		}
		r, in := waiting()
		slow.Go(func() {
			if n, err := w.Append(t.Context(), 0, r); err != nil || n != 12*mib {
				t.Errorf("slow: got %d, %v", n, err)
			}
		})
		piece := noise(12*mib, byte(i))
		if _, err := in.Write(piece[:3*mib]); err != nil {
			t.Fatal(err)
		}
		slow.Go(func() {
			<-end
			_, err := in.Write(piece[3*mib:])
			_ = in.CloseWithError(err)
		})
	}
	w, err := d.Begin(t.Context(), key, 12*mib)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := w.Append(t.Context(), 0, bytes.NewReader(noise(12*mib, 99))); err != nil || n != 12*mib {
		t.Fatalf("fast: got %d, %v", n, err)
	}
	close(end)
	slow.Wait()
}

// life is a whole upload in four appends, as a client would do it that asks for the offset after each failure.
func life(ctx context.Context, b *bench, want []byte) error {
	w, err := b.d.Begin(ctx, key, int64(len(want)))
	if err != nil && !errors.Is(err, media.Conflict) {
		return err
	}
	if err != nil {
		if w, err = b.d.Resume(ctx, key); err != nil {
			return err
		}
	}
	defer func() { _ = w.Close() }()
	for {
		at, err := w.Offset(ctx)
		if err != nil {
			return err
		}
		if at == int64(len(want)) {
			break
		}
		n := min(at+int64(len(want))/4+1, int64(len(want)))
		if _, err := w.Append(ctx, at, iotest.DataErrReader(bytes.NewReader(want[at:n]))); err != nil {
			return err
		}
	}
	_, err = w.Commit(ctx)
	return err
}

// TestEveryCallMayFail lets each request of a life fail with all its repetitions, before or after the server has seen it, and then the
// client come again.
func TestEveryCallMayFail(t *testing.T) {
	t.Parallel()
	want := noise(13*mib, 1)
	for name, fault := range map[string]livetest.S3Fault{
		"refused": {Status: 503}, "cut before": {Cut: true}, "cut after": {Cut: true, After: true}, "500 after": {Status: 500, After: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, failed := livetest.S3(t), 0
			for at := int64(1); ; at++ {
				var calls atomic.Int64
				var target atomic.Pointer[livetest.S3Call]
				var left atomic.Int64
				left.Store(4) // as often as a request is repeated
				b := setupOn(t, server, fmt.Sprintf("media-%d", at), func(c livetest.S3Call) livetest.S3Fault {
					if calls.Add(1) == at {
						target.Store(&c)
					}
					if hit := target.Load(); hit != nil && hit.Op == c.Op && hit.Name == c.Name && hit.Part == c.Part && left.Add(-1) >= 0 {
						return fault
					}
					return livetest.S3Fault{}
				})
				err := life(t.Context(), b, want)
				if target.Load() == nil {
					break // the life had fewer calls
				}
				if err != nil {
					failed++
					if k := media.KindOf(err); k != media.Unavailable && k != media.Conflict {
						t.Errorf("call %d, %s %s: got error %v", at, target.Load().Op, target.Load().Name, err)
					}
					if err := life(t.Context(), b, want); err != nil {
						t.Fatalf("call %d, %s %s: again: %v", at, target.Load().Op, target.Load().Name, err)
					}
				}
				b.wantBytes(want)
			}
			if failed < 5 {
				t.Errorf("only %d calls failed", failed)
			}
		})
	}
}

// TestAProcessMayDieAtEveryCall lets all requests of a process hang from one on, as if it had been killed there, and another go on.
func TestAProcessMayDieAtEveryCall(t *testing.T) {
	t.Parallel()
	want := noise(13*mib, 1)
	for name, seen := range map[string]bool{"before the call": false, "after the call": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := livetest.S3(t)
			for at := int64(1); ; at++ {
				var calls atomic.Int64
				dead, bury := make(chan struct{}), make(chan struct{})
				b := setupOn(t, server, fmt.Sprintf("media-%d", at), func(c livetest.S3Call) livetest.S3Fault {
					n := calls.Add(1)
					switch {
					case n < at:
						return livetest.S3Fault{}
					case n == at && seen:
						return livetest.S3Fault{After: true, Cut: true}
					case n == at || n == at+1 && seen:
						close(dead)
					}
					select {
					case <-bury:
					case <-c.Left:
					}
					return livetest.S3Fault{Cut: true}
				})
				ctx, end := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				go func() { ended <- life(ctx, b, want) }()
				select {
				case err := <-ended:
					end()
					close(bury)
					if err != nil {
						t.Fatalf("call %d: %v", at, err)
					}
					return // the life had fewer calls
				case <-dead:
				}
				b.d, b.other = b.other, b.d
				second := &bench{TB: t, server: b.server, o: b.o, d: b.d, other: b.d}
				var err error
				livetest.Until(t, 10*time.Second, "the next one ends", func() bool { // what the dead one sent last may be at work yet
					err = life(t.Context(), second, want)
					return err == nil || !errors.Is(err, media.Unavailable) && !errors.Is(err, media.Conflict)
				})
				if err != nil {
					t.Fatalf("died at call %d: the next one: %v", at, err)
				}
				second.wantBytes(want)
				end()
				close(bury)
				if err := <-ended; err == nil {
					t.Logf("call %d: the dead one ended well", at)
				}
				second.wantBytes(want)
			}
		})
	}
}
