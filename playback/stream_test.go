package playback_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/media"
	"sluice/playback"
	"sluice/storage"
	"sluice/storage/storagetest"
)

// far opens a house whose backend is at the other end of a network, streamed.
func far(t *testing.T, o playback.Options) (*house, *safeBuffer) {
	t.Helper()
	log := &safeBuffer{}
	o.Logger = slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	return open(t, choices{delivery: storage.Proxy, Options: o}), log
}

// until waits for what another goroutine brings about.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("still not: %s", what)
		}
	}
}

func TestABackendIsAskedForWhatIsSentAndNoMore(t *testing.T) {
	t.Parallel()
	h, _ := far(t, playback.Options{})
	a := h.add(noise(300_000), nil)
	link := h.ticket(a, nil)
	for _, tt := range []struct {
		name, method string
		header       []string
		want         []storagetest.Asked
	}{
		{"the whole", "GET", nil, []storagetest.Asked{{Key: a.Key, N: 300_000}}},
		{"a range", "GET", []string{"Range", "bytes=1000-1009"}, []storagetest.Asked{{Key: a.Key, Off: 1000, N: 10}}},
		{"a suffix", "GET", []string{"Range", "bytes=-100000"}, []storagetest.Asked{{Key: a.Key, Off: 200_000, N: 100_000}}},
		{"ranges", "GET", []string{"Range", "bytes=0-9,200000-299999,5-5"}, []storagetest.Asked{{Key: a.Key, N: 10}, {Key: a.Key, Off: 200_000, N: 100_000}, {Key: a.Key, Off: 5, N: 1}}},
		{"HEAD", "HEAD", nil, nil},
		{"HEAD with a range", "HEAD", []string{"Range", "bytes=0-9"}, nil},
		{"what the asker has", "GET", []string{"If-None-Match", "*"}, nil},
		{"what the asker does not want", "GET", []string{"If-Match", `"x"`}, nil},
		{"a range that cannot be", "GET", []string{"Range", "bytes=300000-"}, nil},
	} {
		h.do(tt.method, link, tt.header...)
		if d := cmp.Diff(tt.want, h.far.Asked()); d != "" {
			t.Errorf("%s: -want +got:\n%s", tt.name, d)
		}
	}
	until(t, "all reads are closed", func() bool { return h.far.Open() == 0 })
}

func TestABackendThatFailsBeforeTheFirstByteIsAProblem(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]storagetest.Fault{
		"refuses":                         {Status: 503},
		"fails":                           {Status: 500},
		"cuts at once":                    {Cut: true},
		"cuts within what is read before": {Cut: true, After: 64<<10 - 1},
		"stalls at once":                  {Stall: true},
		"stalls within what is read":      {Stall: true, After: 1000},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, _ := far(t, playback.Options{BackendStall: time.Second})
			a := h.add(noise(200_000), nil)
			h.far.Trouble(func(storagetest.Asked) storagetest.Fault { return f })
			for _, header := range [][]string{nil, {"Range", "bytes=5-150000"}, {"Range", "bytes=0-99999,150000-150009"}} {
				began := time.Now()
				got := h.do(http.MethodGet, h.ticket(a, nil), header...)
				if got.status != 503 || got.header.Get("Retry-After") == "" || time.Since(began) > 10*time.Second {
					t.Errorf("%v: got %d after %v, want 503", header, got.status, time.Since(began))
				}
				wantProblem(t, got)
				if strings.Contains(string(got.body), "127.0.0.1") || strings.Contains(string(got.body), a.Key) {
					t.Errorf("%v: the backend shows in %s", header, got.body)
				}
			}
			if seen := h.tally.take(); len(seen) > 0 {
				t.Errorf("counted: %v", seen)
			}
			h.far.Trouble(nil)
			if got := h.do(http.MethodGet, h.ticket(a, nil)); got.status != 200 {
				t.Errorf("afterwards: got %d", got.status)
			}
			until(t, "all reads are closed", func() bool { return h.far.Open() == 0 && h.far.Busy() == 0 })
		})
	}
}

func TestABackendThatFailsLaterIsAShortRead(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		fault storagetest.Fault
		cause string
	}{
		"cut":     {storagetest.Fault{Cut: true, After: 150_000}, `"cause":"backend_failed"`},
		"stalled": {storagetest.Fault{Stall: true, After: 150_000}, `"cause":"backend_stalled"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, log := far(t, playback.Options{BackendStall: time.Second})
			content := noise(300_000)
			a := h.add(content, nil)
			h.far.Trouble(func(storagetest.Asked) storagetest.Fault { return tt.fault })
			got := h.do(http.MethodGet, h.ticket(a, nil))
			if got.status != 200 || !errors.Is(got.err, io.ErrUnexpectedEOF) || len(got.body) >= len(content) || !bytes.HasPrefix(content, got.body) {
				t.Errorf("got %d and %d bytes, %v, want a short read", got.status, len(got.body), got.err)
			}
			seen := h.settled(2)
			if len(seen) != 2 || seen[1].Bytes != int64(len(got.body)) {
				t.Errorf("counted %v for %d bytes", seen, len(got.body))
			}
			until(t, "it is logged", func() bool { return strings.Contains(log.String(), tt.cause) })
			if strings.Contains(log.String(), h.far.URL) {
				t.Errorf("the log shows where the backend is: %s", log.String())
			}
		})
	}
}

func TestALaterPartThatFailsIsAShortRead(t *testing.T) {
	t.Parallel()
	h, _ := far(t, playback.Options{})
	content := noise(300_000)
	a := h.add(content, nil)
	for name, f := range map[string]storagetest.Fault{"gone": {Status: 404}, "away": {Status: 503}, "cut": {Cut: true, After: 5}} {
		h.far.Trouble(func(x storagetest.Asked) storagetest.Fault {
			if x.Off == 0 {
				return storagetest.Fault{}
			}
			return f
		})
		got := h.do(http.MethodGet, h.ticket(a, nil), "Range", "bytes=0-9999,200000-299999")
		if got.status != 206 || !errors.Is(got.err, io.ErrUnexpectedEOF) || !bytes.Contains(got.body, content[:10_000]) || bytes.Contains(got.body, []byte("Error")) {
			t.Errorf("%s: got %d and %d bytes, %v, want a short read", name, got.status, len(got.body), got.err)
		}
	}
}

func TestAClientThatLeavesEndsTheBackendsRead(t *testing.T) {
	t.Parallel()
	for name, after := range map[string]int64{"before the first byte": 0, "in the middle": 150_000} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, log := far(t, playback.Options{BackendStall: time.Hour})
			a := h.add(noise(300_000), nil)
			h.far.Trouble(func(storagetest.Asked) storagetest.Fault { return storagetest.Fault{Stall: true, After: after} })
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.ticket(a, nil), nil)
			must(t, err)
			done := make(chan struct{})
			go func() {
				defer close(done)
				if resp, err := h.server.Client().Transport.RoundTrip(req); err == nil {
					_, _ = io.Copy(io.Discard, resp.Body)
					_ = resp.Body.Close()
				}
			}()
			until(t, "the backend is read", func() bool { return h.far.Busy() == 1 })
			cancel()
			<-done
			until(t, "the read has ended", func() bool { return h.far.Busy() == 0 && h.far.Open() == 0 })
			if strings.Contains(log.String(), `"level":"ERROR"`) {
				t.Errorf("a client that left is an error: %s", log.String())
			}
		})
	}
}

// Each waits for the other within its own limit: a slow reader is no stalled backend, and a slow backend no stalled client.
func TestAWaitIsChargedToWhoCausesIt(t *testing.T) {
	t.Parallel()
	t.Run("a backend that pauses is not a client that stalls", func(t *testing.T) {
		t.Parallel()
		h, _ := far(t, playback.Options{StallTimeout: 100 * time.Millisecond, BackendStall: time.Hour})
		content := noise(300_000)
		a := h.add(content, nil)
		on := make(chan struct{})
		h.far.Trouble(func(storagetest.Asked) storagetest.Fault {
			return storagetest.Fault{Stall: true, After: 150_000, Until: on}
		})
		time.AfterFunc(500*time.Millisecond, func() { close(on) })
		if got := h.do(http.MethodGet, h.ticket(a, nil)); got.err != nil || !bytes.Equal(got.body, content) {
			t.Errorf("got %d bytes, %v, want all", len(got.body), got.err)
		}
	})
	t.Run("a client that pauses is not a backend that stalls", func(t *testing.T) {
		t.Parallel()
		h, _ := far(t, playback.Options{StallTimeout: time.Hour, BackendStall: 2 * time.Second})
		content := noise(24 << 20)
		c := dial(t, h, h.ticket(h.add(content, nil), nil), "Connection: close\r\n")
		<-time.After(2500 * time.Millisecond) // the sockets between are full long before
		got, err := io.ReadAll(c)
		if err != nil || !bytes.HasSuffix(got, content) {
			t.Errorf("got %d bytes, %v, want all", len(got), err)
		}
	})
}

func TestAFarObjectShorterThanItsRowIsNeverPadded(t *testing.T) {
	t.Parallel()
	h, _ := far(t, playback.Options{})
	for _, size := range []int{0, 10, 50_000, 200_000} {
		content := noise(size)
		a := h.add(content, nil)
		a.Size += 100
		h.shelf.put(a)
		got := h.do(http.MethodGet, h.ticket(a, nil))
		if got.status == 200 && got.err == nil || got.status == 200 && !bytes.HasPrefix(content, got.body) {
			t.Errorf("%d bytes: got 200 and %d bytes, %v", size, len(got.body), got.err)
		}
	}
}

func TestADeletedFarObjectIsNotFound(t *testing.T) {
	t.Parallel()
	h, _ := far(t, playback.Options{})
	a := h.add(noise(300_000), nil)
	must(t, h.store.Delete(t.Context(), a.Backend, a.Key))
	got := h.do(http.MethodGet, h.ticket(a, nil))
	if got.status != 404 {
		t.Errorf("got %d", got.status)
	}
	wantProblem(t, got)
}

func TestHotFilesSpareTheBackend(t *testing.T) {
	t.Parallel()
	for _, delivery := range []storage.Delivery{storage.Proxy, storage.Redirect} {
		h := open(t, choices{delivery: delivery})
		content := noise(64 << 10)
		link := h.ticket(h.add(content, nil), nil)
		for range 5 {
			if got := h.do(http.MethodGet, link); !bytes.Equal(got.body, content) {
				t.Errorf("%s: got %d bytes, or others", delivery, len(got.body))
			}
		}
		h.do(http.MethodGet, link, "Range", "bytes=10-19,30-39")
		if n := len(h.far.Asked()); n != 2 {
			t.Errorf("%s: the backend was asked %d times, want twice", delivery, n)
		}
	}
}

func TestManyReadersOfAFarBackendBesideASlowOne(t *testing.T) {
	t.Parallel()
	h, _ := far(t, playback.Options{})
	content := noise(8 << 20)
	a := h.add(content, nil)
	link := h.ticket(a, nil)
	slow := dial(t, h, link, "Connection: close\r\n")
	head := make([]byte, 10)
	_, err := io.ReadFull(slow, head) // it has begun, and stands still while the others read, write and delete
	must(t, err)
	var wrong atomic.Int64
	var readers sync.WaitGroup
	for worker := range 40 {
		readers.Go(func() {
			for range 5 {
				off := rand.IntN(len(content))
				n := 1 + rand.IntN(min(300_000, len(content)-off))
				if got := h.do(http.MethodGet, link, "Range", fmt.Sprintf("bytes=%d-%d", off, off+n-1)); !bytes.Equal(got.body, content[off:off+n]) {
					wrong.Add(1)
				}
			}
			key := storage.KeyFor(media.NewAssetID(time.Now()))
			if _, err := h.store.Put(t.Context(), "main", key, content[:worker]); err != nil {
				wrong.Add(1)
			}
			if err := h.store.Delete(t.Context(), "main", key); err != nil {
				wrong.Add(1)
			}
		})
	}
	readers.Wait()
	if wrong.Load() > 0 {
		t.Errorf("%d went wrong", wrong.Load())
	}
	rest, err := io.ReadAll(slow)
	if got := slices.Concat(head, rest); err != nil || !bytes.HasSuffix(got, content) {
		t.Errorf("the slow reader: %d bytes, %v", len(got), err)
	}
}
