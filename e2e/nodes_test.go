package e2e_test

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/internal/livetest"
)

// Promise K1 with two gateways: 50,000 viewers whose requests a load balancer spreads over both, one gateway killed and the database
// restarted among them, give the number 50,000.
func TestTwoGatewaysCountAViewerOnce(t *testing.T) {
	t.Parallel()
	const viewers, assets, batch = 50_000, 10, 200
	db := newDatabase(t)
	env := append(db.env(), "SLUICE_SIGNING_KEYS=1:sign:g5T2kP8wQ1zV7nM4xC6bY9rE3sF0hJuL")
	servers := [2]*livetest.Server{livetest.Sluice(t, livetest.Options{Env: env}), livetest.Sluice(t, livetest.Options{Env: env})}
	clients := [2]*client{newClient(t, servers[0], "ann", "admin"), newClient(t, servers[1], "ann", "admin")}
	ctx := t.Context()
	var ids [assets]string
	for i := range ids { // kept elsewhere: both gateways answer for it
		var m media
		in := map[string]any{"url": fmt.Sprint("https://videos.example/", i, ".mp4"), "mimeType": "video/mp4"}
		if err := clients[0].call(ctx, http.MethodPost, "/api/media", in, &m, http.StatusCreated); err != nil {
			t.Fatal(err)
		}
		ids[i] = m.ID
	}
	var done, retried atomic.Int64
	kill, restart := make(chan struct{}), make(chan struct{})
	var faults sync.WaitGroup
	faults.Go(func() {
		if !wait(ctx, kill) {
			return
		}
		servers[1].Kill()
		if err := servers[1].Launch(); err != nil {
			t.Error(err)
		}
		if !wait(ctx, restart) {
			return
		}
		db.stop()
		db.start()
	})
	view := func(node int, link string) error {
		for {
			a, err := clients[node].do(ctx, http.MethodGet, link, nil, 0)
			if err == nil && a.status == http.StatusFound {
				break
			}
			if err == nil && a.status < http.StatusInternalServerError {
				return &statusError{"view", a}
			}
			if retried.Add(1); !livetest.Poll(ctx, 20*time.Second, servers[node].Ready) {
				return fmt.Errorf("gateway %d is not back: %w", node, err)
			}
		}
		switch done.Add(1) {
		case 2 * viewers * 4 / 10:
			close(kill)
		case 2 * viewers * 7 / 10:
			close(restart)
		}
		return nil
	}
	start := time.Now()
	var workers sync.WaitGroup
	for w := range 16 {
		workers.Go(func() {
			for b := w; b < viewers/batch; b += 16 {
				links, err := clients[0].sign(ctx, servers[0], ids[b%assets], b*batch, batch)
				if err != nil {
					t.Error(err)
					return
				}
				for i := range 2 * batch {
					if err := view((w+i)%2, links[(i+i/batch)%batch]); err != nil { // each link once on each node
						t.Error(err)
						return
					}
				}
			}
		})
	}
	workers.Wait()
	if t.Failed() {
		return
	}
	faults.Wait()
	t.Logf("%d accesses in %v, %d tried again", done.Load(), time.Since(start), retried.Load())
	for _, c := range clients { // each brings in what it still holds before it answers
		for _, id := range ids {
			if err := c.viewed(ctx, id, viewers/assets); err != nil {
				t.Error(err)
			}
		}
	}
}
