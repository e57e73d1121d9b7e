package e2e_test

import (
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/internal/livetest"
)

// tus-js-client, as npm gives it, gets every byte through whatever happens on the way.
func TestTusJSClient(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		chunk    int64
		parallel int
		cut      bool
		kills    int64
		ttl      time.Duration
	}{
		{name: "one stream", ttl: time.Hour},
		{name: "chunks over a connection that is cut", chunk: 512 << 10, cut: true, ttl: time.Hour},
		{name: "one stream over a connection that is cut", cut: true, ttl: time.Hour},
		{name: "four parallel parts over connections that are cut", chunk: 512 << 10, parallel: 4, cut: true, ttl: time.Hour},
		{name: "chunks to a gateway that is killed three times", chunk: 512 << 10, kills: 3, ttl: time.Hour},
		{name: "four parallel parts to a gateway that is killed three times", chunk: 512 << 10, parallel: 4, kills: 3, ttl: time.Hour},
		{name: "a login that ends mid-way", chunk: 256 << 10, cut: true, ttl: 2 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := livetest.Sluice(t, livetest.Options{})
			src := newSource(16<<20 + 4321)
			cuts, killed := int64(0), atomic.Int64{}
			restarts := make(chan error, c.kills)
			var restarting sync.Mutex
			p := livetest.NewProxy(t, s.Addr, livetest.ProxyOptions{
				Budget: func() int64 {
					if cuts++; !c.cut || cuts%3 == 0 || cuts > 30 {
						return -1
					}
					return rand.Int64N(3 << 20)
				},
				Passed: func(total int64) {
					k := killed.Load()
					if k < c.kills && total > (k+1)*src.size/(c.kills+1) && killed.CompareAndSwap(k, k+1) {
						restarting.Lock()
						defer restarting.Unlock()
						s.Kill()
						restarts <- s.Launch()
					}
				},
			})
			u := livetest.JSUpload{
				Endpoint: "http://" + p.Addr + "/files/", File: src.file(t), ChunkSize: c.chunk, ParallelUploads: c.parallel,
				Headers:  map[string]string{"Authorization": "Bearer " + s.Token("ann", "instructor", c.ttl)},
				Metadata: map[string]string{"filename": "lecture.mp4", "filetype": "video/mp4"},
			}
			if c.ttl < time.Hour {
				u.PauseAfter, u.Pause = src.size/2, (c.ttl + 2*time.Second).Milliseconds()
			}
			url, id, err := livetest.TusJS(t).Upload(t.Context(), u)
			if err != nil {
				t.Fatal(err)
			}
			for range killed.Load() {
				if err := <-restarts; err != nil {
					t.Fatal(err)
				}
			}
			if killed.Load() != c.kills || c.cut && p.Cuts() == 0 {
				t.Fatalf("%d kills and %d cuts: the upload was not disturbed as meant", killed.Load(), p.Cuts())
			}
			me := newClient(t, s, "ann", "instructor")
			if a, err := me.head(t.Context(), upload{url: url}); err != nil || a.status != http.StatusOK || a.offset() != src.size {
				t.Errorf("head of the finished upload: %v, %v", a, err)
			}
			if err := me.settled(t.Context(), id, src); err != nil {
				t.Error(err)
			}
		})
	}
}
