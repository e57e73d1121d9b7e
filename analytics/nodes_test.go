package analytics_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sluice/analytics"
	"sluice/catalogue"
	"sluice/catalogue/postgres"
	"sluice/catalogue/sqlite"
	"sluice/internal/livetest"
	"sluice/media"
)

const window = 30 * time.Minute

// flaky is a catalogue that fails before or after it has counted.
type flaky struct {
	*catalogue.Catalogue
	before, after error
}

func (f *flaky) Count(ctx context.Context, journal string, b media.Batch) error {
	if f.before != nil {
		return f.before
	}
	return errors.Join(f.Catalogue.Count(ctx, journal, b), f.after)
}

// addAsset puts a row there to be counted for.
func addAsset(t interface{ Fatal(...any) }, ctx context.Context, db *catalogue.Catalogue) media.AssetID {
	now := time.Now()
	a := media.Asset{
		ID: media.NewAssetID(now), State: media.Uploading, Owner: "u1", Size: 1, MIMEType: "video/mp4", Type: media.Video,
		StorageType: media.Local, Backend: "disk", Key: "k", Placement: media.Placement{Kind: media.Generic}, CreatedAt: now, UpdatedAt: now,
	}
	if _, _, err := db.Begin(ctx, a, 0); err != nil {
		t.Fatal(err)
	}
	return a.ID
}

// node is a counter and the model of its memory: who it took for a new view, and when.
type node struct {
	*analytics.Counter
	counts  *flaky
	dir     string
	clock   time.Duration // its clock is off by
	offered map[viewer]time.Time
}

// TestNodesCountExactlyTogether drives several counters over one catalogue and a model of the rule: of all views that the nodes take for
// new, in the order of their times, those count that are half an hour after the last one that does. Flushes come in any order, or late.
func TestNodesCountExactlyTogether(t *testing.T) {
	t.Parallel()
	db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "catalogue.db"), catalogue.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	root, runs := t.TempDir(), 0
	rapid.Check(t, func(t *rapid.T) {
		runs++
		now := time.Now().Round(0)
		assets := []media.AssetID{addAsset(t, context.Background(), db), addAsset(t, context.Background(), db)}
		views, manual, bytes := map[viewer][]time.Time{}, map[media.AssetID]int64{}, map[media.AssetID]int64{}
		nodes := make([]*node, rapid.IntRange(2, 4).Draw(t, "nodes"))
		start := func(n *node) {
			n.Counter, err = analytics.NewCounter(n.counts, n.dir, analytics.CounterOptions{
				SegmentSize: 64 << 10, Batch: 3, Now: func() time.Time { return now.Add(n.clock) },
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		for i := range nodes {
			nodes[i] = &node{counts: &flaky{Catalogue: db}, dir: fmt.Sprintf("%s/%d-%d", root, runs, i), offered: map[viewer]time.Time{}}
			nodes[i].clock = time.Duration(rapid.IntRange(-90, 90).Draw(t, "clock")) * time.Second
			start(nodes[i])
			defer func() { _ = nodes[i].Close() }()
		}
		any := func(t *rapid.T) *node { return nodes[rapid.IntRange(0, len(nodes)-1).Draw(t, "node")] }
		check := func(exact bool) {
			for _, a := range assets {
				want := manual[a]
				for k, at := range views {
					if k.asset == a {
						want += int64(len(counted(at, window)))
					}
				}
				got, err := db.Asset(context.Background(), a)
				if err != nil {
					t.Fatal(err)
				}
				if got.AccessCount > want || exact && (got.AccessCount != want || got.BytesServed != bytes[a]) {
					t.Fatalf("counted %d views and %d bytes, want %d and %d of %v", got.AccessCount, got.BytesServed, want, bytes[a], views)
				}
			}
		}
		flush := func(n *node) {
			n.counts.before, n.counts.after = nil, nil
			if err := n.Flush(context.Background()); err != nil {
				now = now.Add(2 * time.Second) // past the back-off
				if err := n.Flush(context.Background()); err != nil {
					t.Fatal(err)
				}
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"view": func(t *rapid.T) {
				for range rapid.SampledFrom([]int{1, 3, 30}).Draw(t, "times") {
					n, k := any(t), viewer{asset: rapid.SampledFrom(assets).Draw(t, "asset"), session: session(rapid.Uint64Range(0, 2).Draw(t, "session"))}
					at := now.Add(n.clock)
					n.Record(media.Access{Asset: k.asset, Session: k.session, At: at, View: true, Bytes: 5})
					bytes[k.asset] += 5
					if last, ok := n.offered[k]; !ok || at.Sub(last).Abs() >= window {
						n.offered[k] = at
						views[k] = append(views[k], at.Truncate(time.Microsecond))
					}
					now = now.Add(time.Duration(rapid.IntRange(0, 300).Draw(t, "seconds")) * time.Second)
				}
			},
			"by hand": func(t *rapid.T) {
				a := rapid.SampledFrom(assets).Draw(t, "asset")
				any(t).Record(media.Access{Asset: a, At: now, Manual: true})
				manual[a]++
			},
			"time passes": func(t *rapid.T) { now = now.Add(time.Duration(rapid.IntRange(1, 40).Draw(t, "minutes")) * time.Minute) },
			"flush":       func(t *rapid.T) { flush(any(t)); check(false) },
			"failed flush": func(t *rapid.T) {
				n := any(t)
				if rapid.Bool().Draw(t, "committed") {
					n.counts.after = errDriver
				} else {
					n.counts.before = errDriver
				}
				_ = n.Flush(context.Background())
				n.counts.before, n.counts.after = nil, nil
			},
			"kill": func(t *rapid.T) {
				n := any(t)
				n.Abandon()
				start(n)
			},
			"all": func(*rapid.T) {
				for _, n := range nodes {
					flush(n)
				}
				check(true)
			},
		})
		for _, n := range nodes {
			flush(n)
		}
		check(true)
	})
}

// TestTwoNodesCountAHundredThousandAccesses spreads viewers over two counters and PostgreSQL, one of them killed and the server too.
func TestTwoNodesCountAHundredThousandAccesses(t *testing.T) {
	t.Parallel()
	const viewers, each, workers = 5000, 20, 8
	s := livetest.Postgres(t)
	config := postgres.Config{Host: s.Host(), Port: s.Port(), Database: s.NewDatabase(t), User: s.User(), Password: s.Password(), SSLMode: "disable"}
	var assets [10]media.AssetID
	var dbs [2]*catalogue.Catalogue
	for i := range dbs {
		db, err := postgres.Open(t.Context(), config, catalogue.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = db.Close() }()
		dbs[i] = db
	}
	for i := range assets {
		assets[i] = addAsset(t, t.Context(), dbs[0])
	}
	dirs := [2]string{t.TempDir(), t.TempDir()}
	var nodes [2]*analytics.Counter
	start := func(i int) {
		nodes[i] = open(t, dbs[i], dirs[i], analytics.CounterOptions{SegmentSize: 1 << 20, Every: 20 * time.Millisecond})
	}
	start(0)
	start(1)
	now := time.Now()
	record := func(from, to int) { // of each viewer's accesses: half on each node, all within half an hour
		var wg sync.WaitGroup
		for w := range workers {
			wg.Go(func() {
				for i := from; i < to; i++ {
					for v := w; v < viewers; v += workers {
						nodes[(i+v)%2].Record(media.Access{
							Asset: assets[v%len(assets)], Session: session(uint64(v) * 0x9e3779b97f4a7c15), At: now.Add(time.Duration((i*37+v)%1740) * time.Second), View: true, Bytes: 3,
						})
					}
				}
			})
		}
		wg.Wait()
	}
	ctx, cancel := context.WithCancel(t.Context())
	run := func(i int) chan error {
		ended := make(chan error, 1)
		go func() { ended <- nodes[i].Run(ctx) }()
		return ended
	}
	first := run(0) // the other is late by all of this
	record(0, 8)
	s.Kill(t)
	record(8, 12)
	nodes[1].Abandon()
	start(1)
	s.Start(t)
	second := run(1)
	record(12, each)
	cancel()
	for _, ended := range []chan error{first, second} {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	for _, n := range nodes {
		livetest.Until(t, 20*time.Second, "all is counted", func() bool { return n.Flush(t.Context()) == nil })
		mustClose(t, n)
	}
	for _, id := range assets {
		a, err := dbs[0].Asset(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if want := int64(viewers / len(assets)); a.AccessCount != want || a.BytesServed != want*each*3 {
			t.Errorf("counted %d views and %d bytes, want %d and %d", a.AccessCount, a.BytesServed, want, want*each*3)
		}
	}
}
