package cataloguetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/media"
)

const window = 30 * time.Minute

// offer counts views of one viewer as a batch of a journal of its own.
func (f *Fixture) offer(journal string, views ...media.View) {
	f.Helper()
	at, err := f.Position(f.ctx(), journal)
	f.must(err)
	f.must(f.Count(f.ctx(), journal, media.Batch{From: at, To: at + 1, Views: views, Window: window}))
}

// counted is what the rule says: in the order of their times, each view of a viewer that is at least the window after the last counted.
func counted(at []time.Time) (n int64) {
	var last time.Time
	for i, t := range slices.SortedFunc(slices.Values(at), time.Time.Compare) {
		if i == 0 || t.Sub(last) >= window {
			n, last = n+1, t
		}
	}
	return n
}

func views() []Promise {
	start := time.Date(2026, 3, 14, 22, 50, 0, 0, time.UTC)
	minute := func(n int) time.Time { return start.Add(time.Duration(n) * time.Minute) }
	viewer := func(n byte) media.Session { return media.Session{0xff, 7: n} } // negative as a number
	return []Promise{
		{"a view counts once in the window, whichever node comes first", func(f *Fixture) {
			for _, order := range [][2]int{{0, 29}, {29, 0}, {0, 0}} {
				a := f.stored()
				f.offer("j1", media.View{Asset: a.ID, Session: viewer(1), At: minute(order[0])})
				f.offer("j2", media.View{Asset: a.ID, Session: viewer(1), At: minute(order[1])})
				f.want(fmt.Sprint("one view of ", order), f.read(a.ID).AccessCount == 1)
				f.offer("j1", media.View{Asset: a.ID, Session: viewer(1), At: minute(30)})
				f.want("and another after half an hour", f.read(a.ID).AccessCount == 2)
			}
		}},
		{"sessions and assets do not hide each other's views", func(f *Fixture) {
			a, b := f.stored(), f.stored()
			f.offer("j1", media.View{Asset: a.ID, Session: viewer(1), At: minute(0)}, media.View{Asset: b.ID, Session: viewer(1), At: minute(0)})
			f.offer("j2", media.View{Asset: a.ID, Session: viewer(2), At: minute(0)}, media.View{Asset: a.ID, Session: media.Session{}, At: minute(0)})
			f.want("three and one", f.read(a.ID).AccessCount == 3 && f.read(b.ID).AccessCount == 1)
		}},
		{"an earlier view that comes late is counted in its own hour", func(f *Fixture) {
			a := f.stored()
			series := func() []media.Bucket {
				s, err := f.Series(f.ctx(), media.Series{Asset: a.ID, From: start.Add(-24 * time.Hour), To: start.Add(24 * time.Hour), Bucket: time.Hour})
				f.must(err)
				return s
			}
			hour := start.Truncate(time.Hour)
			f.offer("j1", media.View{Asset: a.ID, Session: viewer(1), At: minute(20)})
			f.want("the later counts at first", cmp.Equal(series(), []media.Bucket{{Start: hour.Add(time.Hour), Views: 1}}))
			f.offer("j2", media.View{Asset: a.ID, Session: viewer(1), At: minute(0)})
			f.want("then the earlier in its place", cmp.Equal(series(), []media.Bucket{{Start: hour, Views: 1}}))
			f.offer("j3", media.View{Asset: a.ID, Session: viewer(1), At: minute(40)})
			f.want("and the one that is far enough from it", cmp.Equal(series(), []media.Bucket{{Start: hour, Views: 1}, {Start: hour.Add(time.Hour), Views: 1}}))
			got := f.read(a.ID)
			f.want("the asset has the sum", got.AccessCount == 2 && got.LastAccessedAt.Equal(minute(40)))
		}},
		{"views offered in any order and any batches give one total", func(f *Fixture) {
			draw := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a test repeats
			for range 30 {
				a := f.stored()
				at := map[byte][]time.Time{}
				var all []media.View
				for range 1 + draw.IntN(30) {
					n := byte(draw.IntN(3))
					v := media.View{Asset: a.ID, Session: viewer(n), At: minute(draw.IntN(240)).Add(time.Duration(draw.IntN(3)) * time.Microsecond)}
					at[n], all = append(at[n], v.At), append(all, v)
				}
				var want int64
				for _, times := range at {
					want += counted(times)
				}
				for len(all) > 0 {
					n := 1 + draw.IntN(min(len(all), 4))
					f.offer(fmt.Sprint("j", draw.IntN(3)), all[:n]...)
					all = all[n:]
				}
				got := f.read(a.ID).AccessCount
				f.want(fmt.Sprintf("%d views, not %d, of %v", want, got, at), got == want)
			}
		}},
		{"a replay of views counts nothing twice", func(f *Fixture) {
			a := f.stored()
			b := media.Batch{
				To: 5, Views: []media.View{{Asset: a.ID, Session: viewer(1), At: minute(0)}}, Window: window,
				Tallies: []media.Tally{{Asset: a.ID, Hour: start.Truncate(time.Hour), Views: 1, Bytes: 7, Last: minute(0)}},
			}
			f.must(f.Count(f.ctx(), "j", b))
			f.must(f.Count(f.ctx(), "j", b))
			got := f.read(a.ID)
			f.want("the view and the tally, once", got.AccessCount == 2 && got.BytesServed == 7)
		}},
		{"nodes that offer one view at the same time count it once", func(f *Fixture) {
			var assets []media.Asset
			for range 20 {
				assets = append(assets, f.stored())
			}
			var wg sync.WaitGroup
			errs := make([]error, 8)
			for node := range errs {
				wg.Go(func() {
					b := media.Batch{Window: window}
					for i := range assets { // each in another order, with bytes of all
						a := assets[(i*7+node*3)%len(assets)]
						b.Views = append(b.Views, media.View{Asset: a.ID, Session: viewer(1), At: minute(node)})
						b.Tallies = append(b.Tallies, media.Tally{Asset: a.ID, Hour: start.Truncate(time.Hour), Bytes: 1, Last: minute(node)})
					}
					for round := range int64(5) {
						b.From, b.To = round, round+1
						errs[node] = errors.Join(errs[node], f.Count(f.ctx(), fmt.Sprint("j", node), b))
					}
				})
			}
			wg.Wait()
			f.must(errors.Join(errs...))
			for _, a := range assets {
				got := f.read(a.ID)
				f.want(fmt.Sprintf("one view and 40 bytes, not %d and %d", got.AccessCount, got.BytesServed), got.AccessCount == 1 && got.BytesServed == 40)
			}
		}},
		{"views of what is gone are dropped", func(f *Fixture) {
			a, b := f.stored(), f.stored()
			f.must(f.Doom(f.ctx(), b.ID))
			f.offer("j", media.View{Asset: media.NewAssetID(start), Session: viewer(1), At: minute(0)},
				media.View{Asset: b.ID, Session: viewer(1), At: minute(0)}, media.View{Asset: a.ID, Session: viewer(1), At: minute(0)})
			f.want("the other was counted", f.read(a.ID).AccessCount == 1)
			f.must(f.Forget(f.ctx(), b.ID))
		}},
		{"a view is remembered for a day after it was noted, however old", func(f *Fixture) {
			a := f.stored()
			v := media.View{Asset: a.ID, Session: viewer(1), At: minute(0).AddDate(0, -1, 0)} // an outage of a month
			f.offer("j1", v)
			f.clock.Add(int64(23 * time.Hour))
			f.offer("j2", media.View{Asset: a.ID, Session: viewer(2), At: minute(0)}) // takes out what is over
			f.offer("j2", v)
			f.want("one view of each", f.read(a.ID).AccessCount == 2)
			f.clock.Add(int64(2 * time.Hour))
			f.offer("j2", media.View{Asset: a.ID, Session: viewer(2), At: minute(1)})
			f.offer("j2", v)
			f.want("the first is forgotten, and nothing else", f.read(a.ID).AccessCount == 3)
		}},
		{"views need a window", func(f *Fixture) {
			f.refuses(f.Count(f.ctx(), "j", media.Batch{To: 1, Views: []media.View{{Asset: media.NewAssetID(start), At: start}}}), media.Invalid)
		}},
	}
}
