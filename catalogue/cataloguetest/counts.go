package cataloguetest

import (
	"errors"
	"sync"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/media"
)

func counts() []Promise {
	hour := time.Date(2026, 3, 14, 22, 0, 0, 0, time.UTC)
	return []Promise{
		{"tallies are added to the asset and to its hours", func(f *Fixture) {
			a := f.stored()
			last := hour.Add(90*time.Minute + 123456*time.Microsecond)
			f.must(f.Count(f.ctx(), "j", media.Batch{To: 10, Tallies: []media.Tally{
				{Asset: a.ID, Hour: hour.Add(time.Hour), Views: 2, Bytes: 5 << 40, Last: last},
				{Asset: a.ID, Hour: hour, Views: 1, Bytes: 10, Last: hour},
				{Asset: a.ID, Hour: hour, Views: 1, Bytes: 1, Last: hour},
			}}))
			f.must(f.Count(f.ctx(), "j", media.Batch{From: 10, To: 20, Tallies: []media.Tally{{Asset: a.ID, Hour: hour, Views: 1, Last: hour}}}))
			got := f.read(a.ID)
			f.want("the asset has the sums", got.AccessCount == 5 && got.BytesServed == 5<<40+11 && got.LastAccessedAt.Equal(last))
			f.want("its version stays", got.Version == a.Version)
			series, err := f.Series(f.ctx(), media.Series{Asset: a.ID, From: hour, To: hour.Add(24 * time.Hour), Bucket: time.Hour})
			f.must(err)
			want := []media.Bucket{{Start: hour, Views: 3, Bytes: 11}, {Start: hour.Add(time.Hour), Views: 2, Bytes: 5 << 40}}
			if d := cmp.Diff(want, series); d != "" {
				f.Fatal(d)
			}
		}},
		{"counts are those of the row, and name its version", func(f *Fixture) {
			a := f.stored()
			f.must(f.Count(f.ctx(), "j", media.Batch{To: 10, Tallies: []media.Tally{{Asset: a.ID, Hour: hour, Views: 2, Bytes: 5 << 40, Last: hour}}}))
			a, err := f.Revoke(f.ctx(), a.ID)
			f.must(err)
			got, err := f.Counts(f.ctx(), a.ID)
			f.must(err)
			if d := cmp.Diff(media.Counts{Version: a.Version, AccessCount: 2, BytesServed: 5 << 40, LastAccessedAt: hour}, got); d != "" {
				f.Fatal(d)
			}
			f.must(f.Doom(f.ctx(), a.ID))
			_, err = f.Counts(f.ctx(), a.ID)
			f.refuses(err, media.NotFound)
		}},
		{"a replay counts nothing twice", func(f *Fixture) {
			a := f.stored()
			tallies := []media.Tally{{Asset: a.ID, Hour: hour, Views: 1, Bytes: 1, Last: hour}}
			f.must(f.Count(f.ctx(), "j", media.Batch{To: 10, Tallies: tallies}))
			f.must(f.Count(f.ctx(), "j", media.Batch{To: 10, Tallies: tallies}))
			f.must(f.Count(f.ctx(), "j", media.Batch{To: 5, Tallies: tallies}))
			f.want("one view", f.read(a.ID).AccessCount == 1)
			at, err := f.Position(f.ctx(), "j")
			f.want("the position is where it was moved", err == nil && at == 10)
		}},
		{"a gap in the journal is a conflict and changes nothing", func(f *Fixture) {
			a := f.stored()
			tallies := []media.Tally{{Asset: a.ID, Hour: hour, Views: 1, Last: hour}}
			f.refuses(f.Count(f.ctx(), "j", media.Batch{From: 5, To: 10, Tallies: tallies}), media.Conflict)
			f.must(f.Count(f.ctx(), "j", media.Batch{To: 10, Tallies: tallies}))
			f.refuses(f.Count(f.ctx(), "j", media.Batch{From: 5, To: 20, Tallies: tallies}), media.Conflict)
			f.want("one view", f.read(a.ID).AccessCount == 1)
		}},
		{"journals do not know of each other", func(f *Fixture) {
			f.must(f.Count(f.ctx(), "j1", media.Batch{To: 10}))
			at, err := f.Position(f.ctx(), "j2")
			f.want("the other is new", err == nil && at == 0)
		}},
		{"a batch counted by many at once counts once", func(f *Fixture) {
			a := f.stored()
			var wg sync.WaitGroup
			errs := make([]error, 8)
			for i := range errs {
				wg.Go(func() {
					errs[i] = f.Count(f.ctx(), "j", media.Batch{To: 10, Tallies: []media.Tally{{Asset: a.ID, Hour: hour, Views: 1, Last: hour}}})
				})
			}
			wg.Wait()
			f.must(errors.Join(errs...))
			f.want("one view", f.read(a.ID).AccessCount == 1)
		}},
		{"tallies of what is gone are dropped, the others counted", func(f *Fixture) {
			a, b := f.stored(), f.stored()
			f.must(f.Doom(f.ctx(), b.ID))
			f.must(f.Count(f.ctx(), "j", media.Batch{To: 1, Tallies: []media.Tally{
				{Asset: media.NewAssetID(hour), Hour: hour, Views: 1, Last: hour},
				{Asset: b.ID, Hour: hour, Views: 1, Last: hour},
				{Asset: a.ID, Hour: hour, Views: 1, Last: hour},
			}}))
			f.want("it was counted", f.read(a.ID).AccessCount == 1)
			f.must(f.Forget(f.ctx(), b.ID))
		}},
		{"a series is cut at its ends and summed by day", func(f *Fixture) {
			a := f.stored()
			for i := range 30 {
				f.must(f.Count(f.ctx(), "j", media.Batch{From: int64(i), To: int64(i) + 1, Tallies: []media.Tally{{Asset: a.ID, Hour: hour.Add(time.Duration(i) * time.Hour), Views: 1, Last: hour}}}))
			}
			day := time.Date(2026, 3, 15, 0, 0, 0, 0, time.UTC)
			got, err := f.Series(f.ctx(), media.Series{Asset: a.ID, From: day, To: day.Add(27 * time.Hour), Bucket: 24 * time.Hour})
			f.must(err)
			if d := cmp.Diff([]media.Bucket{{Start: day, Views: 24}, {Start: day.Add(24 * time.Hour), Views: 3}}, got); d != "" {
				f.Fatal(d)
			}
			_, err = f.Series(f.ctx(), media.Series{Asset: a.ID, From: day, To: day, Bucket: time.Minute})
			f.refuses(err, media.Invalid)
		}},
		{"a thousand tallies are one batch", func(f *Fixture) {
			a := f.stored()
			var tallies []media.Tally
			for i := range 1000 {
				tallies = append(tallies, media.Tally{Asset: a.ID, Hour: hour.Add(time.Duration(i) * time.Hour), Views: 1, Bytes: 2, Last: hour})
			}
			f.must(f.Count(f.ctx(), "j", media.Batch{To: 1000, Tallies: tallies}))
			got := f.read(a.ID)
			f.want("all were counted", got.AccessCount == 1000 && got.BytesServed == 2000)
		}},
	}
}
