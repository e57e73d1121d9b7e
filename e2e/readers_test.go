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

// 200 readers take ranges of one file while uploads of other files run and one reader is slow: nobody waits, and everybody gets the
// right bytes.
func TestTwoHundredReadersGetTheRightBytesBesideUploadsAndASlowReader(t *testing.T) {
	t.Parallel()
	s := livetest.Sluice(t, livetest.Options{})
	c := newClient(t, s, "ann", "instructor")
	ctx := t.Context()
	src := newSource(24<<20 + 17)
	u, err := c.send(ctx, src, 8<<20, map[string]string{"filename": "lecture.mp4"})
	if err != nil {
		t.Fatal(err)
	}
	link, err := c.link(ctx, u.id, "")
	if err != nil {
		t.Fatal(err)
	}
	slow, err := c.open(ctx, http.MethodGet, link, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Body.Close()

	writing, stopWriting := context.WithCancel(ctx)
	defer stopWriting()
	var writers sync.WaitGroup
	uploads := 0
	writers.Go(func() {
		for writing.Err() == nil {
			if err := uploadAndCompare(ctx, c, newSource(6<<20)); err != nil {
				t.Errorf("upload beside the readers: %v", err)
				return
			}
			uploads++
		}
	})

	var readers sync.WaitGroup
	start := time.Now()
	for range 200 {
		readers.Go(func() {
			for range 20 {
				if err := readRange(ctx, c, link, src); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	slowOff := int64(0)
	finished := make(chan struct{})
	go func() { readers.Wait(); close(finished) }()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for reading := true; reading; {
		select {
		case <-tick.C:
			got := make([]byte, 512)
			if _, err := io.ReadFull(slow.Body, got); err != nil {
				t.Fatalf("slow reader at %d: %v", slowOff, err)
			}
			if want := src.part(slowOff, 512); string(got) != string(want) {
				t.Fatalf("slow reader: bytes differ at %d", slowOff)
			}
			slowOff += 512
		case <-finished:
			reading = false
		}
	}
	t.Logf("4,000 ranges in %v beside %d uploads; the slow reader is at %d", time.Since(start), uploads, slowOff)
	stopWriting()
	writers.Wait()
	if err := src.equal(slow.Body, slowOff, src.size-slowOff); err != nil {
		t.Errorf("slow reader: %v", err)
	}
	if uploads == 0 {
		t.Error("no upload ended while the readers read")
	}
}

func uploadAndCompare(ctx context.Context, c *client, src source) error {
	u, err := c.send(ctx, src, 1<<20, nil)
	if err != nil {
		return err
	}
	return c.content(ctx, u.id, src)
}

func readRange(ctx context.Context, c *client, link string, src source) error {
	n := 1 + rand.Int64N(min(512<<10, src.size))
	off := rand.Int64N(src.size - n + 1)
	resp, err := c.open(ctx, http.MethodGet, link, nil, 0, "Range", fmt.Sprintf("bytes=%d-%d", off, off+n-1))
	if err != nil {
		return err
	}
	want := fmt.Sprintf("bytes %d-%d/%d", off, off+n-1, src.size)
	if got := resp.Header.Get("Content-Range"); resp.StatusCode != http.StatusPartialContent || got != want {
		return errors.Join(fmt.Errorf("range: %s, Content-Range %q, want %q", resp.Status, got, want), resp.Body.Close())
	}
	return errors.Join(src.equal(resp.Body, off, n), resp.Body.Close())
}

// Offsets, sizes and ranges are 64-bit everywhere: a file of 2.5 GiB, cut just past 2 GiB.
func TestAFileAboveTwoGiBIsRightToItsLastByte(t *testing.T) {
	t.Parallel()
	s := livetest.Sluice(t, livetest.Options{})
	c := newClient(t, s, "ann", "instructor")
	ctx := t.Context()
	src := newSource(5<<29 + 12345)
	u, err := c.create(ctx, src.size, map[string]string{"filename": "long lecture.mp4", "filetype": "video/mp4"}, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []struct{ from, to int64 }{{0, 1<<31 + 99}, {1<<31 + 99, src.size}} {
		n := p.to - p.from
		a, err := c.patch(ctx, u, p.from, io.NewSectionReader(src, p.from, n), n)
		if err != nil || a.status != http.StatusNoContent || a.offset() != p.to {
			t.Fatalf("patch to %d: %v, %v", p.to, a, err)
		}
		if a, err := c.head(ctx, u); err != nil || a.offset() != p.to {
			t.Fatalf("head at %d: %v, %v", p.to, a, err)
		}
	}
	if m, err := c.media(ctx, u.id); err != nil || m.FileSize != src.size {
		t.Errorf("media = %+v, %v; want fileSize %d", m, err, src.size)
	}
	link, err := c.link(ctx, u.id, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, off := range []int64{0, 1<<31 - 5, 1<<31 + 99 - 50, src.size - 100} {
		a, err := c.do(ctx, http.MethodGet, link, nil, 0, "Range", fmt.Sprintf("bytes=%d-%d", off, off+99))
		if err != nil || a.status != http.StatusPartialContent || string(a.body) != string(src.part(off, 100)) {
			t.Errorf("range at %d: status %d, %v; or bytes differ", off, a.status, err)
		}
	}
	a, err := c.do(ctx, http.MethodGet, link, nil, 0, "Range", "bytes=-7")
	if err != nil || string(a.body) != string(src.part(src.size-7, 7)) {
		t.Errorf("the last 7 bytes: status %d, %v; or bytes differ", a.status, err)
	}
	if a, err := c.do(ctx, http.MethodHead, link, nil, 0); err != nil || a.header.Get("Content-Length") != fmt.Sprint(src.size) {
		t.Errorf("head: %v, %v; want Content-Length %d", a, err, src.size)
	}
	s.Kill() // it would hash 2.5 GiB before it ends
}
