package cataloguetest

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"sluice/catalogue"
	"sluice/media"
)

// Bench measures what is hot: a read by id, one of the counts alone, those of an entity's places, an upload's two writes from 16 callers, and
// a flush of 500 tallies.
func Bench(b *testing.B, open Open) {
	b.Helper()
	asset := func() media.Asset {
		now := time.Now()
		id := media.NewAssetID(now)
		return media.Asset{
			ID: id, State: media.Uploading, Owner: "u1", Size: 100, Filename: "a.bin", MIMEType: "video/mp4", Type: media.Video,
			StorageType: media.Local, Backend: "disk", Key: id.String(), CreatedAt: now,
		}
	}
	b.Run("asset by id", func(b *testing.B) {
		c := open(b, catalogue.Options{})
		a, _, err := c.Begin(b.Context(), asset(), 0)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			if _, err := c.Asset(b.Context(), a.ID); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("counts by id", func(b *testing.B) {
		c := open(b, catalogue.Options{})
		a, _, err := c.Begin(b.Context(), asset(), 0)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			if _, err := c.Counts(b.Context(), a.ID); err != nil {
				b.Fatal(err)
			}
		}
	})
	benchPlaces(b, open)
	for name, state := range map[string]media.State{"begin and stored by 16": media.Uploading, "begin as stored by 16": media.Stored} {
		b.Run(name, func(b *testing.B) {
			c := open(b, catalogue.Options{})
			b.SetParallelism(8) // two cores: 16 callers
			var writes atomic.Int64
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					a := asset()
					a.State = state
					if _, _, err := c.Begin(b.Context(), a, 0); err != nil {
						b.Error(err)
					}
					writes.Add(1)
					if state != media.Uploading {
						continue
					}
					if _, err := c.Stored(b.Context(), a.ID, media.Object{Key: a.Key, Size: 100}, "", nil); err != nil {
						b.Error(err)
					}
					writes.Add(1)
				}
			})
			b.ReportMetric(float64(writes.Load())/b.Elapsed().Seconds(), "writes/s")
		})
	}
	hour := time.Now().UTC().Truncate(time.Hour)
	for name, views := range map[string]func(round, i int64) media.View{
		"count 500 tallies":   nil,
		"count 500 new views": func(round, i int64) media.View { return media.View{Session: number(round<<16 + i), At: hour} },
		"count 500 repeated views": func(round, i int64) media.View {
			return media.View{Session: number(i), At: hour.Add(time.Duration(round))}
		},
	} {
		b.Run(name, func(b *testing.B) {
			c := open(b, catalogue.Options{})
			batch := media.Batch{Tallies: make([]media.Tally, 500), Window: window}
			for i := range batch.Tallies {
				a, _, err := c.Begin(b.Context(), asset(), 0)
				if err != nil {
					b.Fatal(err)
				}
				batch.Tallies[i] = media.Tally{Asset: a.ID, Hour: hour, Views: 1, Bytes: 1 << 20, Last: hour}
			}
			for b.Loop() {
				batch.Views = batch.Views[:0]
				for i := range batch.Tallies {
					if views == nil {
						break
					}
					v := views(batch.From, int64(i))
					v.Asset, batch.Tallies[i].Views = batch.Tallies[i].Asset, 0
					batch.Views = append(batch.Views, v)
				}
				batch.To = batch.From + 1
				if err := c.Count(b.Context(), "j", batch); err != nil {
					b.Fatal(err)
				}
				batch.From = batch.To
			}
		})
	}
}

// benchPlaces measures reads of few and many places of one product, and an image that comes and goes.
func benchPlaces(b *testing.B, open Open) {
	b.Helper()
	for _, n := range []int{5, 200} {
		c := open(b, catalogue.Options{})
		list := make([]media.Attachment, n)
		for i := range list {
			list[i] = external(imageOf(1, i == 0, i))
		}
		if _, err := c.Attach(b.Context(), "", list); err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("counts of %d places", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if got, err := c.PlaceCounts(b.Context(), imagesOf(1)); err != nil || len(got) != n {
					b.Fatal(len(got), err)
				}
			}
		})
		b.Run(fmt.Sprintf("%d places", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if got, err := c.Places(b.Context(), imagesOf(1)); err != nil || len(got) != n {
					b.Fatal(len(got), err)
				}
			}
		})
		b.Run(fmt.Sprintf("a main image comes to %d, and goes", n), func(b *testing.B) {
			for b.Loop() {
				p, err := c.Attach(b.Context(), "", []media.Attachment{external(imageOf(1, true, 0))})
				if err != nil {
					b.Fatal(err)
				}
				if _, _, err := c.Remove(b.Context(), media.ProductImage, p[0].ID, 0, media.Trashed{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// number makes a session that is spread like a real one's.
func number(n int64) (s media.Session) {
	binary.BigEndian.PutUint64(s[:], uint64(n)*0x9e3779b97f4a7c15) //nolint:gosec // any bits do
	return s
}
