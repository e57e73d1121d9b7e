package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/internal/livetest"
)

// Promises C2, D2 and K1 while PostgreSQL is away.
func TestPostgreSQLMayGoAwayInTheMiddle(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	s := livetest.Sluice(t, livetest.Options{Env: db.env()})
	c := newClient(t, s, "ann", "instructor")
	ctx := t.Context()

	known := newSource(500 << 10)
	video, err := c.send(ctx, known, known.size, map[string]string{"filename": "known.mp4"})
	if err != nil {
		t.Fatal(err)
	}
	link, err := c.link(ctx, video.id, "bob")
	if err != nil {
		t.Fatal(err)
	}
	if err := readRange(ctx, c, link, known); err != nil {
		t.Fatal(err)
	}
	later := make([]string, 20)
	for i := range later {
		if later[i], err = c.link(ctx, video.id, fmt.Sprint("viewer ", i)); err != nil {
			t.Fatal(err)
		}
	}
	src := newSource(4 << 20)
	u, err := c.create(ctx, src.size, map[string]string{"filename": "in the middle.mp4"}, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	half := src.size / 2

	db.stop()
	if a, err := c.patch(ctx, u, 0, io.NewSectionReader(src, 0, half), half); err != nil || a.status != http.StatusNoContent {
		t.Errorf("a chunk while the database is away: %v, %v; want 204", a, err)
	}
	a, err := c.patch(ctx, u, half, io.NewSectionReader(src, half, half), half)
	if err != nil || a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
		t.Errorf("the last chunk while the database is away: %v, %v; want 503 with Retry-After", a, err)
	}
	if a, err := c.head(ctx, u); err != nil || a.status != http.StatusLocked {
		t.Errorf("head of a finish that waits: %v, %v; want 423", a, err)
	}
	if a, err := c.do(ctx, http.MethodPost, "/files/", nil, 0, append(c.auth(), "Tus-Resumable", "1.0.0", "Upload-Length", "5")...); err != nil ||
		a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
		t.Errorf("a new upload while the database is away: %v, %v; want 503 with Retry-After", a, err)
	}
	for _, link := range later {
		if err := readRange(ctx, c, link, known); err != nil {
			t.Errorf("known media while the database is away: %v", err)
		}
	}
	livetest.Until(t, 5*time.Second, "/readyz names the database that is away", func() bool {
		a, err := c.do(ctx, http.MethodGet, "/readyz", nil, 0)
		return err == nil && bytes.Contains(a.body, []byte(`"down"`))
	})

	db.start()
	since := time.Now()
	livetest.Until(t, 20*time.Second, "the row of the finished upload appears by itself", func() bool {
		m, err := c.media(ctx, u.id)
		return err == nil && (m.State == "stored" || m.State == "ready")
	})
	t.Logf("the row appeared %v after the database was back", time.Since(since))
	all, err := c.list(ctx)
	if err != nil || len(all) != 2 {
		t.Errorf("%d media, %v; want 2", len(all), err)
	}
	if a, err := c.head(ctx, u); err != nil || a.status != http.StatusOK || a.offset() != src.size {
		t.Errorf("head afterwards: %v, %v", a, err)
	}
	if err := c.settled(ctx, u.id, src); err != nil {
		t.Error(err)
	}
	if err := c.viewed(ctx, video.id, int64(1+len(later))); err != nil {
		t.Error(err)
	}
}

// Promise K1: 100,000 viewers, a gateway killed and a database restarted among them, give the number 100,000.
func TestAHundredThousandAccessesAreCountedExactly(t *testing.T) {
	t.Parallel()
	const viewers, assets, batch = 100_000, 10, 200
	db := newDatabase(t)
	s := livetest.Sluice(t, livetest.Options{Env: db.env()})
	c := newClient(t, s, "ann", "admin")
	ctx := t.Context()
	src := newSource(1000)
	var ids [assets]string
	for i := range ids {
		u, err := c.create(ctx, src.size, map[string]string{"filename": fmt.Sprint(i, ".mp4")}, src.from(0), src.size)
		if err != nil {
			t.Fatal(err)
		}
		ids[i] = u.id
	}

	var done, retried atomic.Int64
	kill, restart := make(chan struct{}), make(chan struct{})
	var faults sync.WaitGroup
	faults.Go(func() {
		if !wait(ctx, kill) {
			return
		}
		s.Kill()
		if err := s.Launch(); err != nil {
			t.Error(err)
		}
		if !wait(ctx, restart) {
			return
		}
		db.stop()
		db.start()
	})
	view := func(link string) error {
		for {
			a, err := c.do(ctx, http.MethodGet, link, nil, 0, "Range", "bytes=0-9")
			if err == nil && a.status == http.StatusPartialContent {
				break
			}
			if err == nil && a.status < http.StatusInternalServerError {
				return &statusError{"view", a}
			}
			if retried.Add(1); !livetest.Poll(ctx, 20*time.Second, s.Ready) {
				return fmt.Errorf("the gateway is not back: %w", err)
			}
		}
		switch done.Add(1) {
		case viewers * 4 / 10:
			close(kill)
		case viewers * 7 / 10:
			close(restart)
		}
		return nil
	}
	start := time.Now()
	var workers sync.WaitGroup
	for w := range 16 {
		workers.Go(func() {
			for b := w; b < viewers/batch; b += 16 {
				links, err := c.sign(ctx, s, ids[b%assets], b*batch, batch)
				if err != nil {
					t.Error(err)
					return
				}
				for _, link := range links {
					if err := view(link); err != nil {
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
	for _, id := range ids {
		if err := c.viewed(ctx, id, viewers/assets); err != nil {
			t.Error(err)
		}
	}
}

// sign gets a link for each of n viewers, asking again while the gateway or its database is away.
func (c *client) sign(ctx context.Context, s *livetest.Server, id string, from, n int) (links []string, err error) {
	type order struct {
		ID     string `json:"id"`
		Viewer string `json:"viewer"`
	}
	orders := make([]order, n)
	for i := range orders {
		orders[i] = order{id, fmt.Sprint("viewer ", from+i)}
	}
	var out struct{ Items []struct{ URL string } }
	ok := livetest.Poll(ctx, 30*time.Second, func() bool {
		err = c.call(ctx, http.MethodPost, "/api/links", map[string]any{"items": orders}, &out, http.StatusCreated)
		return err == nil
	})
	if !ok || len(out.Items) != n {
		return nil, fmt.Errorf("sign %d links: got %d: %w", n, len(out.Items), err)
	}
	for _, l := range out.Items {
		links = append(links, l.URL)
	}
	return links, nil
}

func wait(ctx context.Context, event <-chan struct{}) bool {
	select {
	case <-event:
		return true
	case <-ctx.Done():
		return false
	}
}
