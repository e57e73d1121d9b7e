package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"sluice/internal/livetest"
)

// Promises U1 and U2, at random places.
func TestAKillLosesNoAcknowledgedByte(t *testing.T) {
	t.Parallel()
	const gateways, kills = 4, 50 // 200 in all
	for g := range gateways {
		t.Run(fmt.Sprint("gateway ", g), func(t *testing.T) {
			t.Parallel()
			var o livetest.Options
			if g == 0 {
				bucket := livetest.S3(t)
				o.Env = bucket.Env(bucket.URL(), bucket.NewBucket(t, "media"))
			}
			s := livetest.Sluice(t, o)
			c := newClient(t, s, "ann", "instructor")
			for k := range kills {
				if err := killOnce(t.Context(), s, c); err != nil {
					t.Fatalf("kill %d: %v", k, err)
				}
			}
		})
	}
}

// killOnce uploads one file in random chunks, kills the gateway at a random byte, starts it again and holds it to its word.
func killOnce(ctx context.Context, s *livetest.Server, c *client) error {
	src := newSource(64<<10 + rand.Int64N(4<<20))
	chunk := 32<<10 + rand.Int64N(1<<20)
	u, err := c.create(ctx, src.size, nil, nil, 0)
	if err != nil {
		return err
	}
	sent, acked, err := sendUntilKilled(ctx, s, c, u, src, chunk)
	if err != nil {
		return err
	}
	if err := s.Launch(); err != nil {
		return err
	}
	a, err := c.head(ctx, u)
	if err != nil {
		return err
	}
	switch off := a.offset(); {
	case a.status == http.StatusLocked && sent == src.size: // the finish is under way
	case a.status != http.StatusOK:
		return &statusError{"head after the kill", a}
	case off < acked || off > sent:
		return fmt.Errorf("offset after the kill = %d, want between %d acknowledged and %d sent", off, acked, sent)
	case off == src.size:
		if m, err := c.media(ctx, u.id); err != nil || m.FileSize != src.size {
			return errors.Join(fmt.Errorf("full offset, and the catalogue has %+v", m), err)
		}
	}
	if err := c.finish(ctx, u, src, chunk); err != nil {
		return err
	}
	return c.content(ctx, u.id, src)
}

// sendUntilKilled returns how many bytes have left the client at most, and the largest offset the gateway has acknowledged.
func sendUntilKilled(ctx context.Context, s *livetest.Server, c *client, u upload, src source, chunk int64) (sent, acked int64, err error) {
	at := 1 + rand.Int64N(src.size)
	var killed sync.WaitGroup
	var once sync.Once
	kill := func(total int64) {
		if total >= at {
			once.Do(func() { killed.Go(s.Kill) })
		}
	}
	for acked < src.size {
		n := min(chunk, src.size-acked)
		a, err := c.patch(ctx, u, acked, counted{io.NewSectionReader(src, acked, n), &sent, kill}, n)
		if err != nil {
			break
		}
		if a.status != http.StatusNoContent {
			return 0, 0, &statusError{"patch", a}
		}
		acked = a.offset()
	}
	killed.Wait()
	if s.Pid() != 0 {
		return 0, 0, errors.New("the upload ended before the kill")
	}
	return sent, acked, nil
}

// A gateway that is told to stop keeps every byte it has, ends promptly and with 0, and has counted what it answered.
func TestSIGTERMUnderLoadKeepsBytesAndCounts(t *testing.T) {
	t.Parallel()
	s := livetest.Sluice(t, livetest.Options{})
	c := newClient(t, s, "ann", "instructor")
	ctx := t.Context()

	played := newSource(300 << 10)
	video, err := c.send(ctx, played, played.size, map[string]string{"filename": "played.mp4"})
	if err != nil {
		t.Fatal(err)
	}
	const views = 40
	for v := range views {
		link, err := c.link(ctx, video.id, fmt.Sprint("viewer ", v))
		if err != nil {
			t.Fatal(err)
		}
		if a, err := c.do(ctx, http.MethodGet, link, nil, 0, "Range", "bytes=0-99"); err != nil || a.status != http.StatusPartialContent {
			t.Fatal(a, err)
		}
	}

	const uploads = 8
	type running struct {
		upload
		source
		sent, acked, shown int64
	}
	all := make([]running, uploads)
	var halfway, ended sync.WaitGroup
	for i := range all {
		r := &all[i]
		r.source = newSource(8 << 20)
		if r.upload, err = c.create(ctx, r.source.size, nil, nil, 0); err != nil {
			t.Fatal(err)
		}
		halfway.Add(1)
		var once sync.Once
		ended.Go(func() {
			hold := s.Done()
			body := counted{r.from(0), &r.sent, func(total int64) {
				if total >= r.source.size/2 {
					once.Do(halfway.Done)
					<-hold // the rest would come after the gateway's end
				}
			}}
			a, err := c.patch(ctx, r.upload, 0, body, r.source.size)
			if err == nil && a.status == http.StatusNoContent {
				r.acked = a.offset()
			}
		})
	}
	halfway.Wait()
	for i := range all {
		r := &all[i]
		livetest.Until(t, 5*time.Second, "head shows bytes of a running PATCH", func() bool {
			a, err := c.head(ctx, r.upload)
			r.shown = a.offset()
			return err == nil && a.status == http.StatusOK && r.shown >= 1<<20
		})
	}
	if took := s.Stop(); took > 5*time.Second {
		t.Errorf("stopping took %v, want at most 5 s", took)
	}
	ended.Wait()
	s.Start()
	for i := range all {
		r := &all[i]
		a, err := c.head(ctx, r.upload)
		if err != nil || a.status != http.StatusOK || a.offset() < max(r.acked, r.shown) || a.offset() > r.sent {
			t.Errorf("upload %d: head = %v, %v; want an offset between %d and %d", i, a, err, max(r.acked, r.shown), r.sent)
		}
		if err := errors.Join(c.finish(ctx, r.upload, r.source, r.source.size), c.content(ctx, r.id, r.source)); err != nil {
			t.Errorf("upload %d: %v", i, err)
		}
	}
	if err := c.viewed(ctx, video.id, views); err != nil {
		t.Error(err)
	}
}
