package cataloguetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/media"
)

func restores() []Promise {
	return []Promise{
		{"a place that is put back is what it was", func(f *Fixture) {
			a := f.stored(image(entity(1), true, 3), func(a *media.Asset) { a.Placement.AltText = "alt" }, size(60))
			before := f.places(imagesOf(1))[0]
			removed, _ := f.remove(media.ProductImage, a.ID, f.binned("ann"))
			told := f.told.Load()
			got, err := f.Restore(f.ctx(), a.ID)
			f.must(err)
			f.want("its version moved on", got.Asset.Version > removed.Version && removed.Version > before.Asset.Version && f.told.Load() == told+1)
			if d := cmp.Diff(f.places(imagesOf(1)), []media.Place{got}); d != "" {
				f.Fatal(d)
			}
			before.Asset.Version, before.Asset.UpdatedAt, before.UpdatedAt = got.Asset.Version, got.Asset.UpdatedAt, got.UpdatedAt
			if d := cmp.Diff(before, got); d != "" {
				f.Fatal(d)
			}
			_, err = f.Restore(f.ctx(), a.ID)
			f.refuses(err, media.NotFound)
			f.want("the trash is empty", len(f.trash("")) == 0)
			f.room("u1", 100, 40)
			f.sound(imagesOf(1))
		}},
		{"each kind of place comes back field by field", func(f *Fixture) {
			a := f.stored(place(referTo(media.User, 1)))
			for _, p := range []media.Placement{imageOf(1, true, 5), videoOf(1, 2), resourceOf(2), referTo(media.Page, 3)} {
				at := f.attach(existing(a.ID, p))[0]
				f.remove(p.Kind, at.ID, f.binned("ann"))
				got, err := f.Restore(f.ctx(), at.ID)
				f.must(err)
				f.want(fmt.Sprintf("%+v is %+v", got.Placement, p), got.Placement == p && got.ID == at.ID && !got.Home())
			}
			f.want("the asset knows all", len(f.read(a.ID).Also) == 4)
		}},
		{"a place of an asset that lives on is put back beside its home", func(f *Fixture) {
			a := f.stored(image(entity(1), true, 0))
			p := f.attach(existing(a.ID, videoOf(1, 1)))[0]
			f.remove(media.ProductImage, a.ID, f.binned("ann"))
			got, err := f.Restore(f.ctx(), a.ID)
			f.must(err)
			f.want("its home stays", got.Asset.PlaceID == p.ID && !got.Home() && cmp.Equal(got.Asset.Also, []media.Subject{product(1)}))
			f.sound(imagesOf(1), videosOf(1))
			f.remove(media.CourseVideo, p.ID, f.binned("ann"))
			f.want("until that goes", f.read(a.ID).PlaceID.IsZero() && f.read(a.ID).Placement == a.Placement)
		}},
		{"a main image comes back as main unless there is another", func(f *Fixture) {
			a := f.stored(image(entity(1), true, 0))
			f.remove(media.ProductImage, a.ID, f.binned("ann"))
			p, err := f.Restore(f.ctx(), a.ID)
			f.want("it is main", err == nil && p.Placement.MainImage)
			f.remove(media.ProductImage, a.ID, f.binned("ann"))
			b := f.stored(image(entity(1), true, 0))
			p, err = f.Restore(f.ctx(), a.ID)
			f.want("it is not", err == nil && !p.Placement.MainImage && !p.Asset.Placement.MainImage)
			f.wantMain(entity(1), b.ID)
			f.sound(imagesOf(1))
		}},
		{"a place that its asset has got again is not put back twice", func(f *Fixture) {
			a := f.stored(image(entity(1), true, 0))
			p := f.attach(existing(a.ID, videoOf(1, 1)))[0]
			f.remove(media.CourseVideo, p.ID, f.binned("ann"))
			again := f.attach(existing(a.ID, videoOf(1, 1)))[0]
			got, err := f.Restore(f.ctx(), p.ID)
			f.want("it is the one that is there", err == nil && got.ID == again.ID)
			f.want("once", len(f.places(videosOf(1))) == 1 && len(f.trash("")) == 0)
		}},
		{"of many that put a place back one does", func(f *Fixture) {
			a := f.stored(image(entity(1), true, 0))
			f.remove(media.ProductImage, a.ID, f.binned("ann"))
			f.oneOf(6, media.NotFound, func() error {
				_, err := f.Restore(f.ctx(), a.ID)
				return err
			})
			f.sound(imagesOf(1))
		}},
		{"what belongs nowhere is removed and put back, and gives way to a place", func(f *Fixture) {
			a := f.stored(image(entity(1), true, 0))
			p := f.attach(existing(a.ID, videoOf(1, 1)))[0]
			f.remove(media.CourseVideo, p.ID, f.binned("ann"))
			_, err := f.Change(f.ctx(), a.ID, f.read(a.ID).Version, media.Change{Placement: &media.Placement{Kind: media.Generic}})
			f.must(err)
			f.remove(media.Generic, a.ID, f.binned("ann"))
			back, err := f.Restore(f.ctx(), a.ID)
			f.want("it belongs nowhere", err == nil && back.Home() && back.Asset.Subjects() == nil)
			got, err := f.Restore(f.ctx(), p.ID)
			f.want("then it is at home there", err == nil && got.Home() && got.Asset.Also == nil && got.Asset.PlaceID == p.ID)
			f.want("and loose no more", len(f.list(media.Query{AnyOwner: true, Placement: media.Placement{Kind: media.Generic}})) == 0)
			f.sound(videosOf(1))
		}},
	}
}

func restoresOfAll() []Promise {
	return []Promise{
		{"what was removed with an entity is put back with it", func(f *Fixture) {
			a, b, c := f.stored(image(entity(1), true, 0)), f.stored(image(entity(1), false, 1)), f.stored(image(entity(1), false, 2))
			f.attach(existing(a.ID, videoOf(1, 1)), existing(b.ID, imageOf(2, true, 0)))
			ref := f.stored(place(referTo(media.Product, 1)))
			f.remove(media.ProductImage, c.ID, f.binned("bob"))
			before := f.places(imagesOf(1))
			_, err := f.RemoveAll(f.ctx(), product(1), "", f.binned("ann"))
			f.must(err)
			f.intend("i", time.Second)
			f.must(f.RestoreAll(f.ctx(), product(1), "i"))
			after := f.places(imagesOf(1))
			f.want("they are those", cmp.Equal(placeIDs(before), placeIDs(after)) && after[0].Placement == before[0].Placement)
			f.want("the reference too", f.read(ref.ID).Placement == ref.Placement)
			f.want("what was removed alone is not", len(f.trash("")) == 1 && f.trash("")[0].ID == c.ID)
			f.want("the intent is over", f.state("i") == "")
			f.sound(imagesOf(1), imagesOf(2), videosOf(1))
			f.must(f.RestoreAll(f.ctx(), product(1), "i"))
			f.want("a second time there is nothing", f.read(ref.ID).Version == ref.Version+2)
		}},
		{"an asset gets the home back that it had", func(f *Fixture) {
			a := f.stored(place(videoOf(1, 1)))
			p := f.attach(existing(a.ID, videoOf(1, 2)), existing(a.ID, resourceOf(1)))
			f.remove(media.CourseVideo, a.ID, f.binned("ann"))
			f.attach(existing(a.ID, videoOf(1, 1)))
			_, err := f.RemoveAll(f.ctx(), course(1), "", f.binned("ann"))
			f.must(err)
			f.must(f.RestoreAll(f.ctx(), course(1), ""))
			got := f.read(a.ID)
			f.want("it is the one that had become it", got.PlaceID == p[0].ID && got.Placement == videoOf(1, 2) && cmp.Equal(got.Also, []media.Subject{course(1)}))
			f.sound(videosOf(1), media.PlaceQuery{Kind: media.CourseResource, CourseID: entity(1)})
		}},
		{"of an entity that is removed and put back at once all places stand or lie", func(f *Fixture) {
			var list []media.Attachment
			for i := range 10 {
				list = append(list, external(imageOf(1, i == 0, i)))
			}
			f.attach(list...)
			var wg sync.WaitGroup
			errs := make([]error, 8)
			for i := range errs {
				wg.Go(func() {
					if i%2 == 0 {
						_, errs[i] = f.RemoveAll(f.ctx(), product(1), "", f.binned("ann"))
					} else {
						errs[i] = f.RestoreAll(f.ctx(), product(1), "")
					}
				})
			}
			wg.Wait()
			f.must(errors.Join(errs...))
			n := len(f.places(imagesOf(1)))
			f.want("all or none", (n == 0 || n == 10) && n+len(f.trash("")) == 10)
			f.must(f.RestoreAll(f.ctx(), product(1), ""))
			f.want("all", len(f.places(imagesOf(1))) == 10)
			f.sound(imagesOf(1))
		}},
	}
}

func bins() []Promise {
	return []Promise{
		{"the trash is read newest first, of one or of everybody", func(f *Fixture) {
			var all, anns []media.AssetID
			for i := range 11 {
				a := f.stored(place(videoOf(i, 1)))
				who := []string{"ann", "bob"}[i%2]
				t := f.binned(who)
				if i > 7 { // at the same time
					t.At = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
				}
				f.remove(media.CourseVideo, a.ID, t)
				all = append(all, a.ID)
				if who == "ann" {
					anns = append(anns, a.ID)
				}
			}
			slices.Reverse(all)
			slices.Reverse(anns)
			for who, want := range map[string][]media.AssetID{"": all, "ann": anns, "eve": nil} {
				var got []media.AssetID
				for cursor, more := "", true; more; more = cursor != "" {
					items, next, err := f.Trash(f.ctx(), who, 2, cursor)
					f.must(err)
					for _, t := range items {
						got = append(got, t.ID)
					}
					cursor = next
				}
				if d := cmp.Diff(want, got); d != "" {
					f.Fatalf("%q: %s", who, d)
				}
			}
			for _, limit := range []int{-1, 201} {
				_, _, err := f.Trash(f.ctx(), "", limit, "")
				f.refuses(err, media.Invalid)
			}
			list, err := f.Catalogue.List(f.ctx(), media.Query{AnyOwner: true, Limit: 1})
			f.must(err)
			for _, bad := range []string{"x", list.NextCursor + "x"} {
				_, _, err = f.Trash(f.ctx(), "", 2, bad)
				f.refuses(err, media.Invalid)
			}
		}},
		{"emptying lets go of what nothing is left of", func(f *Fixture) {
			a := f.stored(image(entity(1), true, 0), size(60))
			p := f.attach(existing(a.ID, videoOf(1, 1)))[0]
			f.remove(media.ProductImage, a.ID, f.binned("ann"))
			f.remove(media.CourseVideo, p.ID, f.binned("ann"))
			got, last, err := f.Empty(f.ctx(), a.ID)
			f.want("something is left", err == nil && !last && got.ID == a.ID && len(f.doomed()) == 0)
			f.room("u1", 100, 40)
			got, last, err = f.Empty(f.ctx(), p.ID)
			f.want("nothing is left", err == nil && last && got.ID == a.ID && got.Key == a.Key && len(f.doomed()) == 1)
			f.room("u1", 100, 100)
			for _, id := range []media.AssetID{a.ID, p.ID} {
				_, _, err = f.Empty(f.ctx(), id)
				f.refuses(err, media.NotFound)
				_, err = f.Trashed(f.ctx(), id)
				f.refuses(err, media.NotFound)
				_, err = f.Restore(f.ctx(), id)
				f.refuses(err, media.NotFound)
			}
			f.must(f.Forget(f.ctx(), a.ID))
			f.room("u1", 100, 100)
		}},
		{"emptying a place of an asset that lives on leaves that alone", func(f *Fixture) {
			a := f.stored(image(entity(1), true, 0))
			p := f.attach(existing(a.ID, videoOf(1, 1)))[0]
			f.remove(media.CourseVideo, p.ID, f.binned("ann"))
			version := f.read(a.ID).Version
			_, last, err := f.Empty(f.ctx(), p.ID)
			f.want("it does", err == nil && !last && f.read(a.ID).Version == version)
		}},
		{"what is kept until a time is dropped then, and its room given back once", func(f *Fixture) {
			at := f.now()
			var gone []media.AssetID
			for i := range 205 {
				a := f.stored(place(videoOf(i, 1)), size(1))
				t := f.binned("ann")
				if t.Until = at.Add(time.Duration(i) * time.Second); i < 203 {
					gone = append(gone, a.ID)
				}
				f.remove(media.CourseVideo, a.ID, t)
			}
			alive := f.stored(place(videoOf(1000, 1)), size(1))
			p := f.attach(existing(alive.ID, videoOf(1001, 1)))[0]
			f.remove(media.CourseVideo, p.ID, media.Trashed{Until: at})
			var wg sync.WaitGroup
			errs := make([]error, 3)
			for i := range errs {
				wg.Go(func() { errs[i] = f.EmptyUntil(f.ctx(), at.Add(202*time.Second)) })
			}
			wg.Wait()
			f.must(errors.Join(errs...))
			if d := cmp.Diff(gone, ids(f.doomed())); d != "" {
				f.Fatal(d)
			}
			f.want("two are kept", len(f.trash("")) == 2)
			f.room("u1", 1000, 997)
			f.want("what lives on is not touched", f.read(alive.ID).ID == alive.ID)
		}},
		{"of emptying and putting back one wins", func(f *Fixture) {
			for i := range 8 {
				a := f.stored(image(entity(i), true, 0), size(1))
				f.remove(media.ProductImage, a.ID, f.binned("ann"))
				var wg sync.WaitGroup
				var restored, emptied error
				wg.Go(func() { _, restored = f.Restore(f.ctx(), a.ID) })
				wg.Go(func() { emptied = f.EmptyUntil(f.ctx(), f.now().Add(24*time.Hour)) })
				wg.Wait()
				f.must(emptied)
				if restored == nil {
					f.want("it stands", len(f.places(imagesOf(i))) == 1 && f.read(a.ID).ID == a.ID)
					continue
				}
				f.refuses(restored, media.NotFound)
				f.want("it is gone", len(f.places(imagesOf(i))) == 0 && slices.Contains(ids(f.doomed()), a.ID))
			}
		}},
	}
}

func checks() []Promise {
	walked := func(f *Fixture) (got []media.AssetID) {
		for a, err := range f.Unchecked(f.ctx()) {
			f.must(err)
			f.want("it waits", a.Unchecked && len(a.Subjects()) == 0)
			got = append(got, a.ID)
		}
		return got
	}
	return []Promise{
		{"what was not looked at stands nowhere until it is", func(f *Fixture) {
			main := f.stored(image(entity(1), true, 0))
			a, b, open := f.stored(unchecked, image(entity(1), true, 0)), f.begin(unchecked, image(entity(1), false, 0)), f.begin(unchecked, image(entity(1), true, 0))
			whole := f.begin(unchecked, place(videoOf(1, 1)), func(a *media.Asset) { a.State = media.Ready })
			if d := cmp.Diff([]media.AssetID{a.ID, b.ID, open.ID, whole.ID}, walked(f)); d != "" {
				f.Fatal(d)
			}
			f.want("they are not there", len(f.places(imagesOf(1))) == 1 && len(f.places(videosOf(1))) == 0 && len(f.list(media.Query{AnyOwner: true, Placement: media.Placement{ProductID: entity(1)}})) == 1)
			told := f.told.Load()
			f.must(f.Checked(f.ctx(), a.ID, true))
			f.want("one is, and main", f.told.Load() == told+2 && f.read(a.ID).Version == a.Version+1)
			f.wantMain(entity(1), a.ID)
			f.want("the old one is not", !f.read(main.ID).Placement.MainImage)
			f.must(f.Checked(f.ctx(), a.ID, true))
			f.must(f.Checked(f.ctx(), a.ID, false))
			f.want("once", f.read(a.ID).Version == a.Version+1 && !f.read(a.ID).Unchecked)
			f.must(f.Checked(f.ctx(), open.ID, true))
			_, err := f.Stored(f.ctx(), open.ID, media.Object{Key: open.Key, Size: 1}, "", nil)
			f.must(err)
			f.wantMain(entity(1), open.ID)
			f.sound(imagesOf(1))
			f.want("the others still wait", cmp.Equal([]media.AssetID{b.ID, whole.ID}, walked(f)))
			f.refuses(f.Checked(f.ctx(), media.NewAssetID(f.now()), true), media.NotFound)
		}},
		{"what was named a place that is none belongs nowhere", func(f *Fixture) {
			a, open := f.stored(unchecked, image(entity(1), true, 0)), f.begin(unchecked, image(entity(1), true, 0))
			for _, id := range []media.AssetID{a.ID, open.ID} {
				f.must(f.Checked(f.ctx(), id, false))
				f.want("it says so", f.read(id).Placement == media.Placement{Kind: media.Generic} && !f.read(id).Unchecked)
			}
			_, err := f.Stored(f.ctx(), open.ID, media.Object{Key: open.Key, Size: 1}, "", nil)
			f.must(err)
			loose := f.list(media.Query{AnyOwner: true, Placement: media.Placement{Kind: media.Generic}})
			f.want("both are loose", cmp.Equal(ids(loose), []media.AssetID{open.ID, a.ID}) && len(f.places(imagesOf(1))) == 0 && len(walked(f)) == 0)
		}},
		{"what waits may be attached elsewhere meanwhile, and is at home where it is known to be", func(f *Fixture) {
			yes, no, same := f.stored(unchecked, image(entity(1), true, 0)), f.stored(unchecked, image(entity(1), true, 0)), f.stored(unchecked, place(videoOf(1, 1)))
			for _, a := range []media.Asset{yes, no, same} {
				f.attach(existing(a.ID, videoOf(1, 1)))
				f.must(f.Checked(f.ctx(), a.ID, a.ID != no.ID))
			}
			f.want("its own place is the home", f.read(yes.ID).Placement == yes.Placement && cmp.Equal(f.read(yes.ID).Also, []media.Subject{course(1)}))
			for _, id := range []media.AssetID{no.ID, same.ID} {
				f.want("or the other", f.read(id).Placement == videoOf(1, 1) && f.read(id).Also == nil && !f.read(id).PlaceID.IsZero())
			}
			f.sound(imagesOf(1), videosOf(1))
			waits := f.stored(unchecked, image(entity(2), true, 0))
			p := f.attach(existing(waits.ID, videoOf(2, 1)))[0]
			_, last := f.remove(media.CourseVideo, p.ID, f.binned("ann"))
			f.want("it still waits when that is removed", !last && f.read(waits.ID).Unchecked)
		}},
		{"who changes the place of what waits has looked", func(f *Fixture) {
			a := f.stored(unchecked, image(entity(1), true, 0))
			title := "T"
			a, err := f.Change(f.ctx(), a.ID, a.Version, media.Change{Title: &title})
			f.want("a title leaves it waiting", err == nil && a.Unchecked)
			to := imageOf(2, true, 0)
			a, err = f.Change(f.ctx(), a.ID, a.Version, media.Change{Placement: &to})
			f.want("it is there", err == nil && !a.Unchecked && f.places(imagesOf(2))[0].ID == a.ID)
			f.sound(imagesOf(2))
		}},
	}
}
