package analytics_test

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"sluice/analytics"
	"sluice/media"
)

var errDriver = errors.New("driver: connection reset")

// ledger keeps the contract of analytics.Counts in memory, and fails on demand.
type ledger struct {
	mu        sync.Mutex
	positions map[string]int64
	hours     map[hourKey]media.Bucket
	last      map[media.AssetID]time.Time
	views     map[viewer][]time.Time
	batches   int

	// fault is asked before each call: "position", "before" and "after" (committed, but the caller is not told).
	fault func(place string) error
}

type hourKey struct {
	asset media.AssetID
	hour  time.Time
}

type viewer struct {
	asset   media.AssetID
	session media.Session
}

var _ analytics.Counts = (*ledger)(nil)

func newLedger() *ledger {
	return &ledger{positions: map[string]int64{}, hours: map[hourKey]media.Bucket{}, last: map[media.AssetID]time.Time{}, views: map[viewer][]time.Time{}}
}

func (l *ledger) fail(f func(string) error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fault = f
}

func (l *ledger) broken(place string) error {
	if l.fault == nil {
		return nil
	}
	return l.fault(place)
}

func (l *ledger) Count(ctx context.Context, journal string, b media.Batch) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := cmp.Or(ctx.Err(), l.broken("before")); err != nil {
		return err
	}
	switch at := l.positions[journal]; {
	case at >= b.To:
		return nil
	case at != b.From:
		return media.Errorf(media.Conflict, "the journal is elsewhere")
	}
	if !slices.IsSortedFunc(b.Tallies, func(a, b media.Tally) int {
		return cmp.Or(slices.Compare(a.Asset[:], b.Asset[:]), a.Hour.Compare(b.Hour))
	}) {
		return media.Errorf(media.Invalid, "tallies are not sorted")
	}
	l.batches++
	l.positions[journal] = b.To
	for _, t := range b.Tallies {
		l.add(t)
		if t.Last.After(l.last[t.Asset]) {
			l.last[t.Asset] = t.Last
		}
	}
	for _, v := range b.Views {
		l.view(v, b.Window)
	}
	return l.broken("after")
}

func (l *ledger) add(t media.Tally) {
	k := hourKey{t.Asset, t.Hour}
	b := l.hours[k]
	l.hours[k] = media.Bucket{Start: t.Hour, Views: b.Views + t.Views, Bytes: b.Bytes + t.Bytes}
}

// view takes back all that a viewer's views counted, and counts them anew with one more.
func (l *ledger) view(v media.View, window time.Duration) {
	k := viewer{v.Asset, v.Session}
	for add := range int64(2) {
		for _, at := range counted(l.views[k], window) {
			l.add(media.Tally{Asset: v.Asset, Hour: at.Truncate(time.Hour), Views: 2*add - 1})
		}
		if add == 0 {
			l.views[k] = append(l.views[k], v.At)
		}
	}
}

// counted is the rule: in the order of their times, those that are at least the window after the last that counts.
func counted(at []time.Time, window time.Duration) (counted []time.Time) {
	for _, t := range slices.SortedFunc(slices.Values(at), time.Time.Compare) {
		if n := len(counted); n == 0 || t.Sub(counted[n-1]) >= window {
			counted = append(counted, t)
		}
	}
	return counted
}

func (l *ledger) Position(ctx context.Context, journal string) (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := cmp.Or(ctx.Err(), l.broken("position")); err != nil {
		return 0, err
	}
	return l.positions[journal], nil
}

func (l *ledger) Series(_ context.Context, s media.Series) ([]media.Bucket, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	sums := map[time.Time]media.Bucket{}
	for k, b := range l.hours {
		if k.asset != s.Asset || k.hour.Before(s.From) || !k.hour.Before(s.To) {
			continue
		}
		start := k.hour.Truncate(s.Bucket)
		sum := sums[start]
		sums[start] = media.Bucket{Start: start, Views: sum.Views + b.Views, Bytes: sum.Bytes + b.Bytes}
	}
	return slices.SortedFunc(maps.Values(sums), func(a, b media.Bucket) int { return a.Start.Compare(b.Start) }), nil
}

// total sums an asset's hours.
func (l *ledger) total(id media.AssetID) (views, bytes int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for k, b := range l.hours {
		if k.asset == id {
			views, bytes = views+b.Views, bytes+b.Bytes
		}
	}
	return views, bytes
}

func unavailable(string) error {
	return media.Wrap(media.Unavailable, errDriver, "the catalogue is away")
}

// open makes a counter that ends with the test.
func open(t *testing.T, counts analytics.Counts, dir string, o analytics.CounterOptions) *analytics.Counter {
	t.Helper()
	if o.SegmentSize == 0 {
		o.SegmentSize = 64 << 10 // 1024 records, so that tests roll
	}
	c, err := analytics.NewCounter(counts, dir, o)
	if err != nil {
		t.Fatalf("NewCounter: %v", err)
	}
	return c
}

func flush(t *testing.T, c *analytics.Counter) {
	t.Helper()
	if err := c.Flush(t.Context()); err != nil {
		t.Fatalf("Flush: %v", err)
	}
}

func mustClose(t *testing.T, c *analytics.Counter) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
}

func wantTotal(t *testing.T, l *ledger, id media.AssetID, views, bytes int64) {
	t.Helper()
	if v, b := l.total(id); v != views || b != bytes {
		t.Errorf("counted %d views and %d bytes, want %d and %d", v, b, views, bytes)
	}
}

func asset(n byte) media.AssetID { return media.AssetID{15: n} }

func session(n uint64) (s media.Session) {
	for i := range s {
		s[i] = byte(n >> (8 * i))
	}
	return s
}
