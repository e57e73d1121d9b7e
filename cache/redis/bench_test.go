package redis_test

import (
	"context"
	"testing"

	"sluice/cache/redis"
	"sluice/internal/livetest"
	"sluice/media"
)

// BenchmarkRedisHit is a lookup that memory does not know and Redis does.
func BenchmarkRedisHit(b *testing.B) {
	n := newNode(b, livetest.Redis(b).URL(), newCatalogue(256), patient)
	behind := n.tier.Assets(newCatalogue(256))
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			if _, _, err := behind.Lookup(b.Context(), idOf(i%256)); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkRedisMiss is a lookup that takes a lease, loads and keeps the value; the source costs nothing.
func BenchmarkRedisMiss(b *testing.B) {
	n := newNode(b, livetest.Redis(b).URL(), newCatalogue(1), patient)
	behind := n.tier.Assets(everything{})
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, _, err := behind.Lookup(b.Context(), idOf(i)); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkForget is what a change costs who makes it.
func BenchmarkForget(b *testing.B) {
	n := newNode(b, livetest.Redis(b).URL(), newCatalogue(1), patient)
	id := idOf(0).String()
	b.ReportAllocs()
	for b.Loop() {
		if err := n.tier.Forget(b.Context(), redis.Media, id); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAway is a lookup while Redis is away; the source costs nothing.
func BenchmarkAway(b *testing.B) {
	s := livetest.Redis(b)
	n := newNode(b, s.URL(), newCatalogue(1), redis.Options{})
	s.Kill()
	behind := n.tier.Assets(everything{})
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, _, err := behind.Lookup(b.Context(), idOf(i)); err != nil {
			b.Fatal(err)
		}
	}
}

// everything has every asset.
type everything struct{}

func (everything) Asset(_ context.Context, id media.AssetID) (media.Asset, error) {
	return media.Asset{ID: id, State: media.Ready, Owner: "ida", Filename: "lecture.mp4", MIMEType: "video/mp4", Version: 3}, nil
}
