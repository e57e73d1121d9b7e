package e2e_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"sluice/internal/livetest"
)

// 1,000 clients that send a few bytes at a time are all served, in at most 75 MiB beside the program itself, and no database connection
// waits for any of them. It measures, so it runs beside no other test of this folder.
func TestAThousandSlowClientsCostLittle(t *testing.T) {
	const clients, rounds, piece = 1000, 20, 4 << 10
	db := newDatabase(t)
	s := livetest.Sluice(t, livetest.Options{Env: db.env()})
	c := newClient(t, s, "ann", "instructor")
	ctx := t.Context()
	src := newSource(rounds * piece)

	all := make([]*slowUpload, clients)
	var g errgroup.Group
	g.SetLimit(16)
	for i := range all {
		g.Go(func() (err error) { all[i], err = startSlow(ctx, c, s.Addr, src); return err })
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		for _, u := range all {
			_ = u.conn.Close()
		}
	}()
	held, peak := 0, 0.0
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for r := range int64(rounds) {
		for _, u := range all {
			if _, err := u.conn.Write(src.part(r*piece, piece)); err != nil {
				t.Fatalf("round %d: %v", r, err)
			}
		}
		if r == rounds-1 {
			break
		}
		<-tick.C
		busy, total := db.sessions(ctx)
		held, peak = held+busy, max(peak, s.AnonymousMiB())
		if total > 50 {
			t.Errorf("%d database connections for slow clients", total)
		}
	}
	for i, u := range all {
		resp, err := http.ReadResponse(u.in, nil)
		if err != nil {
			t.Fatalf("client %d: %v", i, err)
		}
		if err := resp.Body.Close(); err != nil || resp.StatusCode != http.StatusNoContent {
			t.Errorf("client %d: %s, %v", i, resp.Status, err)
		}
	}
	if held > rounds/2 {
		t.Errorf("found %d busy database connections in %d looks: something holds them", held, rounds)
	}
	t.Logf("memory %.0f MiB, %.0f with the program's own pages", peak, s.PeakMiB())
	if peak > 75 {
		t.Errorf("memory = %.0f MiB, want at most 75", peak)
	}
	for _, i := range []int{0, 500, 999} {
		if err := c.content(ctx, all[i].id, src); err != nil {
			t.Error(err)
		}
	}
}

type slowUpload struct {
	upload
	conn net.Conn
	in   *bufio.Reader
}

func startSlow(ctx context.Context, c *client, addr string, src source) (*slowUpload, error) {
	up, err := c.create(ctx, src.size, nil, nil, 0)
	if err != nil {
		return nil, err
	}
	at, err := url.Parse(up.url)
	if err != nil {
		return nil, err
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	_, err = fmt.Fprintf(conn, "PATCH %s HTTP/1.1\r\nHost: %s\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\n"+
		"Content-Type: application/offset+octet-stream\r\nContent-Length: %d\r\n\r\n", at.RequestURI(), addr, src.size)
	return &slowUpload{up, conn, bufio.NewReaderSize(conn, 512)}, err
}

// A full disk refuses writes with 507 and nothing else: what is there can be read, and deleting makes room again.
func TestAFullDiskCanBeEmptiedThroughTheAPI(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	s := livetest.Sluice(t, livetest.Options{
		DataDir: data, Env: []string{"SLUICE_MIN_FREE=16MiB"},
		Wrap: livetest.SmallDisk(t, data, 192),
	})
	c := newClient(t, s, "ann", "instructor")
	ctx := t.Context()
	var stored []upload
	src := newSource(20 << 20)
	var refused answer
	var open upload
	for range 12 {
		u, err := c.create(ctx, src.size, map[string]string{"filename": "fill.mp4"}, nil, 0)
		if refusal, ok := errors.AsType[*statusError](err); ok {
			refused = refusal.answer
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		a, err := c.patch(ctx, u, 0, src.from(0), src.size)
		if err != nil || a.status != http.StatusNoContent {
			refused, open = a, u
			if err != nil {
				t.Fatal(err)
			}
			break
		}
		stored = append(stored, u)
	}
	if refused.status != http.StatusInsufficientStorage || len(stored) < 2 {
		t.Fatalf("after %d files: %v, want 507", len(stored), refused)
	}
	if open.url != "" {
		if a, err := c.head(ctx, open); err != nil || a.status != http.StatusOK || a.offset() >= src.size {
			t.Errorf("head of the refused upload: %v, %v", a, err)
		}
	}
	fillUp(t, c)
	for _, u := range stored {
		if a, err := c.head(ctx, u); err != nil || a.status != http.StatusOK || a.offset() != src.size {
			t.Errorf("head on a full disk: %v, %v", a, err)
		}
		if err := c.content(ctx, u.id, src); err != nil {
			t.Errorf("get on a full disk: %v", err)
		}
	}
	for _, u := range stored[:2] {
		if err := c.call(ctx, http.MethodDelete, "/api/media/"+u.id, nil, nil, http.StatusNoContent, "If-Match", "*"); err != nil {
			t.Fatalf("delete on a full disk: %v", err)
		}
	}
	livetest.Until(t, 20*time.Second, "an upload works again", func() bool {
		u, err := c.send(ctx, newSource(5<<20), 5<<20, nil)
		return err == nil && u.id != ""
	})
	if err := c.settled(ctx, stored[2].id, src); err != nil {
		t.Error(err)
	}
}

// fillUp takes what space is left, in ever smaller files.
func fillUp(t *testing.T, c *client) {
	t.Helper()
	for n := int64(8 << 20); n >= 4<<10; {
		u, err := c.create(t.Context(), n, nil, nil, 0)
		if err == nil {
			var a answer
			if a, err = c.patch(t.Context(), u, 0, newSource(n).from(0), n); err == nil && a.status != http.StatusNoContent {
				err = &statusError{"patch", a}
			}
		}
		refusal, ok := errors.AsType[*statusError](err)
		switch {
		case err == nil:
		case ok && refusal.answer.status == http.StatusInsufficientStorage:
			n /= 4
		default:
			t.Fatalf("filling the disk: %v, want 507", err)
		}
	}
}

// Readers of known media do not wait for writers that stand still.
func TestAStalledUploadDisturbsNobody(t *testing.T) {
	t.Parallel()
	s := livetest.Sluice(t, livetest.Options{})
	c := newClient(t, s, "ann", "instructor")
	ctx := t.Context()
	src := newSource(2 << 20)
	u, err := c.create(ctx, src.size, nil, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	r, w := io.Pipe()
	var stalled sync.WaitGroup
	stalled.Go(func() { _, _ = c.patch(ctx, u, 0, r, src.size) })
	if _, err := w.Write(src.part(0, 1<<20)); err != nil {
		t.Fatal(err)
	}
	livetest.Until(t, 5*time.Second, "head shows the bytes of the running PATCH", func() bool {
		a, err := c.head(ctx, u)
		return err == nil && a.status == http.StatusOK && a.offset() == 1<<20
	})
	for range 20 {
		if err := uploadAndCompare(ctx, c, newSource(100<<10)); err != nil {
			t.Error(err)
		}
	}
	// The heads have not ended the PATCH: its other half is still taken.
	if _, err := w.Write(src.part(1<<20, 1<<20)); err != nil {
		t.Errorf("second half: %v", err)
	}
	_ = w.Close()
	stalled.Wait()
	if err := c.settled(ctx, u.id, src); err != nil {
		t.Error(err)
	}
}
