package analytics_test

import (
	"sync/atomic"
	"testing"
	"time"

	"sluice/analytics"
	"sluice/media"
)

func benchCounter(b *testing.B) *analytics.Counter {
	b.Helper()
	c, err := analytics.NewCounter(newLedger(), b.TempDir(), analytics.CounterOptions{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := c.Close(); err != nil {
			b.Error(err)
		}
	})
	return c
}

func BenchmarkRecord(b *testing.B) {
	at := time.Now()
	for name, a := range map[string]func(i uint64) media.Access{
		"bytes": func(uint64) media.Access { return media.Access{Asset: asset(1), At: at, Bytes: 1} },
		"known": func(i uint64) media.Access {
			return media.Access{Asset: asset(1), At: at, Session: session(i & 1023), View: true}
		},
		"new views": func(i uint64) media.Access {
			return media.Access{Asset: asset(1), At: at, Session: session(i), View: true}
		},
	} {
		b.Run("serial "+name, func(b *testing.B) {
			c := benchCounter(b)
			b.ReportAllocs()
			for i := uint64(0); b.Loop(); i++ {
				c.Record(a(i))
			}
		})
		b.Run("parallel "+name, func(b *testing.B) {
			c := benchCounter(b)
			var n atomic.Uint64
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for i := n.Add(1 << 32); pb.Next(); i++ {
					c.Record(a(i))
				}
			})
		})
	}
}

// BenchmarkFlush counts 100,000 records of 1,000 assets, recording included.
func BenchmarkFlush(b *testing.B) {
	c := benchCounter(b)
	at := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		for i := range 100_000 {
			c.Record(media.Access{Asset: media.AssetID{14: byte(i % 1000 >> 8), 15: byte(i % 1000)}, At: at, Bytes: 1})
		}
		if err := c.Flush(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100_000, "ns/access")
}
