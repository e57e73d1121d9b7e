package cataloguetest

import (
	"sync"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/media"
)

func (f *Fixture) deny(viewer string, life time.Duration) media.Denial {
	f.Helper()
	now := f.now()
	d := media.Denial{Viewer: viewer, Until: now.Add(life), By: "root", At: now}
	d.ID = d.DenialID()
	d, err := f.Deny(f.ctx(), d)
	f.must(err)
	return d
}

func (f *Fixture) denials() []media.Denial {
	f.Helper()
	list, err := f.Denials(f.ctx())
	f.must(err)
	return list
}

func denials() []Promise {
	return []Promise{
		{"denials come back field by field, oldest first", func(f *Fixture) {
			f.want("there are none at first", len(f.denials()) == 0)
			first := f.deny("ann", time.Hour)
			now := f.now().Truncate(time.Microsecond)
			second := media.Denial{Viewer: "böb", CourseID: entity(1), Asset: media.NewAssetID(now), Until: now.Add(time.Hour), By: "root", At: now}
			second.ID = second.DenialID()
			kept, err := f.Deny(f.ctx(), second)
			f.must(err)
			f.want("it is kept as it was given", cmp.Equal(second, kept))
			if d := cmp.Diff([]media.Denial{first, second}, f.denials()); d != "" {
				f.Fatal(d)
			}
		}},
		{"a denial of a key keeps its id, 0 too, and others have none", func(f *Fixture) {
			now := f.now().Truncate(time.Microsecond)
			var want []media.Denial
			for i, d := range []media.Denial{{OfKey: true}, {OfKey: true, Key: 255}, {Viewer: "ann"}} {
				d.Until, d.At, d.By, d.ID = now.Add(time.Hour), now.Add(time.Duration(i)*time.Second), "root", d.DenialID()
				kept, err := f.Deny(f.ctx(), d)
				f.must(err)
				f.want("it is kept as it was given", cmp.Equal(d, kept))
				want = append(want, d)
			}
			if d := cmp.Diff(want, f.denials()); d != "" {
				f.Fatal(d)
			}
			f.must(f.Lift(f.ctx(), want[0].ID))
			f.want("the others stay", cmp.Equal(want[1:], f.denials()))
		}},
		{"a denial made again is the one that is there, and never ends earlier", func(f *Fixture) {
			first := f.deny("ann", time.Hour)
			later, earlier := f.deny("ann", 2*time.Hour), f.deny("ann", time.Minute)
			f.want("a later end moves it", later.Until.After(first.Until) && later.At.Equal(first.At))
			f.want("an earlier one does not", cmp.Equal(earlier, later))
			f.want("it is one", len(f.denials()) == 1)
		}},
		{"a denial that is over is not listed, and dropped", func(f *Fixture) {
			old, lasting := f.deny("ann", time.Minute), f.deny("bob", time.Hour)
			f.clock.Add(int64(10 * time.Minute))
			f.want("only what lasts is listed", cmp.Equal([]media.Denial{lasting}, f.denials()))
			f.refuses(f.Lift(f.ctx(), old.ID), media.NotFound)
			f.must(f.DropDenials(f.ctx()))
			f.clock.Add(-int64(20 * time.Minute)) // a clock set back shows what is still there
			f.want("only what lasts is kept", cmp.Equal([]media.Denial{lasting}, f.denials()))
		}},
		{"a lifted denial is gone, once", func(f *Fixture) {
			d, other := f.deny("ann", time.Hour), f.deny("bob", time.Hour)
			var wg sync.WaitGroup
			errs := make([]error, 4)
			for i := range errs {
				wg.Go(func() { errs[i] = f.Lift(f.ctx(), d.ID) })
			}
			wg.Wait()
			done := 0
			for _, err := range errs {
				if err == nil {
					done++
				} else {
					f.refuses(err, media.NotFound)
				}
			}
			f.want("one lifted it", done == 1 && cmp.Equal([]media.Denial{other}, f.denials()))
		}},
		{"a denial of text that cannot be kept is refused", func(f *Fixture) {
			for _, viewer := range []string{"a\x00b", "\xff"} {
				_, err := f.Deny(f.ctx(), media.Denial{ID: "x", Viewer: viewer, Until: f.now().Add(time.Hour)})
				f.refuses(err, media.Invalid)
				f.mustNotLeak(err)
			}
			f.refuses(f.Lift(f.ctx(), "\x00"), media.Invalid)
		}},
	}
}
