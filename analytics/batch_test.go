package analytics_test

import (
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"sluice/analytics"
	"sluice/media"
)

func TestFlushIsShared(t *testing.T) {
	t.Parallel()
	l := newLedger()
	c := open(t, l, t.TempDir(), analytics.CounterOptions{})
	c.Record(media.Access{Asset: asset(1), At: time.Now(), View: true})
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			if err := c.Flush(t.Context()); err != nil {
				t.Errorf("Flush: %v", err)
			}
			wantTotal(t, l, asset(1), 1, 0)
		})
	}
	wg.Wait()
	if l.batches != 1 {
		t.Errorf("%d batches for one record, want 1", l.batches)
	}
	mustClose(t, c)
}

func TestBatchesAreBounded(t *testing.T) {
	t.Parallel()
	l := newLedger()
	c := open(t, l, t.TempDir(), analytics.CounterOptions{Batch: 10})
	for i := range 3000 {
		c.Record(media.Access{Asset: asset(byte(i % 100)), At: time.Now(), Bytes: 1})
	}
	mustClose(t, c)
	if l.batches != 300 {
		t.Errorf("%d batches, want 300 of ten tallies", l.batches)
	}
	for i := range 100 {
		wantTotal(t, l, asset(byte(i)), 0, 30)
	}
}

func TestCrowdIsBounded(t *testing.T) {
	t.Parallel()
	l := newLedger()
	var log lines
	c := open(t, l, t.TempDir(), analytics.CounterOptions{MaxViews: 1280, Logger: slog.New(slog.NewJSONHandler(&log, nil))})
	const viewers = 20_000
	for i := range viewers {
		s := session(uint64(i) * 0x9e3779b97f4a7c15)
		c.Record(media.Access{Asset: asset(1), Session: s, At: time.Now(), View: true})
		c.Record(media.Access{Asset: asset(1), Session: s, At: time.Now(), View: true})
	}
	mustClose(t, c)
	wantTotal(t, l, asset(1), viewers, 0)
	if log.count("too many viewers") != 1 {
		t.Errorf("said %d times, want once: %s", log.count("too many viewers"), fmt.Sprint(log.all))
	}
}
