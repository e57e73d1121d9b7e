package cataloguetest

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/media"
)

// binned is a deletion that is kept for an hour.
func (f *Fixture) binned(by string) media.Trashed {
	at := f.now().Truncate(time.Microsecond)
	return media.Trashed{By: by, At: at, Until: at.Add(time.Hour)}
}

func (f *Fixture) remove(kind media.PlacementKind, id media.AssetID, t media.Trashed) (media.Asset, bool) {
	f.Helper()
	a, last, err := f.Remove(f.ctx(), kind, id, 0, t)
	f.must(err)
	return a, last
}

func (f *Fixture) trash(by string) []media.Trashed {
	f.Helper()
	items, next, err := f.Trash(f.ctx(), by, 200, "")
	f.must(err)
	f.want("it is one page", next == "")
	return items
}

func course(n int) media.Subject  { return media.Subject{Type: media.Course, ID: entity(n)} }
func product(n int) media.Subject { return media.Subject{Type: media.Product, ID: entity(n)} }

func videosOf(n int) media.PlaceQuery {
	return media.PlaceQuery{Kind: media.CourseVideo, CourseID: entity(n)}
}

func trash() []Promise {
	return slices.Concat(removals(), removalsOfAll(), restores(), restoresOfAll(), bins(), checks())
}

func removals() []Promise {
	return []Promise{
		{"of an asset's further places the oldest becomes its home", func(f *Fixture) {
			a := f.stored(image(entity(1), true, 0))
			next := f.stored(image(entity(1), false, 0))
			p := f.attach(existing(a.ID, videoOf(1, 1)), existing(a.ID, imageOf(2, true, 0)), existing(a.ID, videoOf(1, 2)))
			told := f.told.Load()
			got, last := f.remove(media.ProductImage, a.ID, media.Trashed{})
			f.want("it lives on", !last && got.Version == p[0].Asset.Version+1 && got.PlaceID == p[0].ID && got.Placement == videoOf(1, 1))
			f.want("it has two others", cmp.Equal(got.Also, []media.Subject{product(2), course(1)}))
			if d := cmp.Diff(f.read(a.ID), got); d != "" {
				f.Fatal(d)
			}
			f.want("it and the promoted one were told", f.told.Load() == told+2)
			f.wantMain(entity(1), next.ID)
			f.sound(imagesOf(1), imagesOf(2), videosOf(1))
			got, _ = f.remove(media.CourseVideo, p[0].ID, media.Trashed{})
			f.want("then the next", got.PlaceID == p[1].ID && got.Placement.MainImage && cmp.Equal(got.Also, []media.Subject{course(1)}))
			got, _ = f.remove(media.CourseVideo, p[2].ID, media.Trashed{})
			f.want("one is left", got.Also == nil && got.PlaceID == p[1].ID)
			f.sound(imagesOf(1), imagesOf(2), videosOf(1))
			gone, last := f.remove(media.ProductImage, p[1].ID, media.Trashed{})
			f.want("the last one dooms it", last && gone.ID == a.ID && len(f.doomed()) == 1)
			_, err := f.Asset(f.ctx(), a.ID)
			f.refuses(err, media.NotFound)
		}},
		{"a place is removed at its version, once", func(f *Fixture) {
			a := f.stored(image(entity(1), true, 0))
			p := f.attach(existing(a.ID, videoOf(1, 1)))[0]
			_, _, err := f.Remove(f.ctx(), media.CourseVideo, p.ID, p.Asset.Version-1, media.Trashed{})
			f.refuses(err, media.PreconditionFailed)
			_, _, err = f.Remove(f.ctx(), media.CourseResource, p.ID, 0, media.Trashed{})
			f.refuses(err, media.NotFound)
			_, _, err = f.Remove(f.ctx(), media.CourseVideo, p.ID, p.Asset.Version, media.Trashed{})
			f.must(err)
			_, _, err = f.Remove(f.ctx(), media.CourseVideo, p.ID, 0, media.Trashed{})
			f.refuses(err, media.NotFound)
			f.sound(imagesOf(1), videosOf(1))
		}},
		{"an asset whose last place lies in the trash is hidden and kept", func(f *Fixture) {
			a := f.stored(image(entity(1), true, 0), size(60))
			t := f.binned("ann")
			_, last := f.remove(media.ProductImage, a.ID, t)
			_, err := f.Asset(f.ctx(), a.ID)
			f.refuses(err, media.NotFound)
			f.want("no list has it", last && len(f.list(media.Query{AnyOwner: true})) == 0 && len(f.places(imagesOf(1))) == 0)
			f.want("nobody drops its bytes", len(f.doomed()) == 0)
			f.refuses(f.Forget(f.ctx(), a.ID), media.Conflict)
			f.refuses(f.Doom(f.ctx(), a.ID), media.Conflict)
			owned, err := f.Keys(f.ctx(), a.Backend, []string{a.Key})
			f.want("its object is wanted", err == nil && owned[a.Key])
			f.room("u1", 100, 40)
			got, err := f.Trashed(f.ctx(), a.ID)
			f.must(err)
			f.want("the trash says what it was", got.Asset.ID == a.ID && got.Asset.Title == a.Title && got.Asset.Placement == a.Placement)
			got.Asset = media.Asset{}
			t.ID, t.Placement = a.ID, a.Placement
			if d := cmp.Diff(t, got); d != "" {
				f.Fatal(d)
			}
		}},
		{"an asset without a place is kept for an earlier one in the trash", func(f *Fixture) {
			a := f.stored(image(entity(1), true, 0))
			p := f.attach(existing(a.ID, videoOf(1, 1)))[0]
			f.remove(media.ProductImage, a.ID, f.binned("ann"))
			_, last := f.remove(media.CourseVideo, p.ID, media.Trashed{})
			f.want("its bytes cannot go", !last && len(f.doomed()) == 0)
			back, err := f.Restore(f.ctx(), a.ID)
			f.must(err)
			f.want("it is back at home", back.Home() && back.Asset.PlaceID.IsZero() && back.Asset.Also == nil)
		}},
		{"many main images removed at once leave one, or none", func(f *Fixture) {
			var list []media.Place
			for i := range 10 {
				a := f.stored(image(entity(2), true, i))
				list = append(list, f.attach(existing(a.ID, imageOf(1, true, i)))...)
			}
			for _, some := range [][]media.Place{list[2:], list[:2]} {
				var wg sync.WaitGroup
				errs := make([]error, 2*len(some))
				for i, p := range some {
					wg.Go(func() { _, _, errs[2*i] = f.Remove(f.ctx(), media.ProductImage, p.ID, 0, f.binned("ann")) })
					wg.Go(func() { _, _, errs[2*i+1] = f.Remove(f.ctx(), media.ProductImage, p.Asset.ID, 0, media.Trashed{}) })
				}
				wg.Wait()
				f.must(errors.Join(errs...))
				f.sound(imagesOf(1), imagesOf(2))
			}
			f.want("none is left", len(f.places(imagesOf(1)))+len(f.places(imagesOf(2))) == 0 && len(f.trash("")) == 10)
		}},
		{"the main image that is left is marked, whoever removes the others", func(f *Fixture) {
			var list []media.AssetID
			for i := range 8 {
				list = append(list, f.stored(image(entity(1), i == 0, i)).ID)
			}
			var wg sync.WaitGroup
			for _, id := range list[:7] {
				wg.Go(func() { _, _, _ = f.Remove(f.ctx(), media.ProductImage, id, 0, media.Trashed{}) })
			}
			wg.Wait()
			f.wantMain(entity(1), list[7])
		}},
		{"doom takes all places of an asset, those in the trash too", func(f *Fixture) {
			a := f.stored(image(entity(1), true, 0), size(60))
			next := f.stored(image(entity(2), false, 0), size(1))
			p := f.attach(existing(a.ID, imageOf(2, true, 0)), existing(a.ID, videoOf(1, 1)))
			f.remove(media.CourseVideo, p[1].ID, f.binned("ann"))
			f.must(f.Doom(f.ctx(), a.ID))
			f.want("no place is left", len(f.places(imagesOf(1)))+len(f.places(videosOf(1))) == 0 && len(f.trash("")) == 0)
			f.wantMain(entity(2), next.ID)
			f.want("its bytes can go", len(f.doomed()) == 1)
			f.must(f.Forget(f.ctx(), a.ID))
			f.room("u1", 100, 99)
		}},
	}
}

func removalsOfAll() []Promise {
	return []Promise{
		{"every place of an entity is removed with it", func(f *Fixture) {
			alone, both := f.stored(place(videoOf(1, 1))), f.stored(place(videoOf(1, 1)))
			f.attach(existing(both.ID, videoOf(1, 2)), existing(both.ID, resourceOf(1)), existing(both.ID, imageOf(1, true, 0)), existing(alone.ID, resourceOf(1)))
			ref, other, lesson := f.stored(place(referTo(media.Course, 1))), f.stored(place(referTo(media.Product, 1))), f.stored(place(referTo(media.Lesson, 1)))
			f.intend("i", time.Second)
			told := f.told.Load()
			gone, err := f.RemoveAll(f.ctx(), course(1), "i", media.Trashed{By: "ann"})
			f.must(err)
			if d := cmp.Diff([]media.AssetID{alone.ID, ref.ID}, ids(gone)); d != "" {
				f.Fatal(d)
			}
			f.want("all three were told", f.told.Load() == told+3)
			f.want("nothing of it is left", len(f.places(videosOf(1)))+len(f.list(media.Query{AnyOwner: true, Placement: media.Placement{CourseID: entity(1)}})) == 0)
			got := f.read(both.ID)
			f.want("what stands elsewhere lives on there", got.Placement == imageOf(1, true, 0) && got.Also == nil)
			f.want("others are others'", f.read(other.ID).Version == other.Version && f.read(lesson.ID).Version == lesson.Version)
			f.want("the trash has nothing, and the intent is over", len(f.trash("")) == 0 && f.state("i") == "")
			f.sound(imagesOf(1))
			gone, err = f.RemoveAll(f.ctx(), course(1), "i", media.Trashed{})
			f.want("a second time there is nothing", err == nil && len(gone) == 0)
			f.must(func() error { _, err := f.RemoveAll(f.ctx(), product(1), "", media.Trashed{}); return err }())
			f.want("of a product too", len(f.list(media.Query{AnyOwner: true})) == 1)
			for _, of := range []media.Subject{{}, {Type: media.Course}, {ID: entity(1)}} {
				_, err = f.RemoveAll(f.ctx(), of, "", media.Trashed{})
				f.refuses(err, media.Invalid)
			}
		}},
		{"what is removed with an entity is kept, and says with which", func(f *Fixture) {
			a, b := f.stored(place(videoOf(1, 1))), f.stored(image(entity(1), true, 0))
			p := f.attach(existing(b.ID, resourceOf(1)))[0]
			gone, err := f.RemoveAll(f.ctx(), course(1), "", f.binned("ann"))
			f.want("nothing can go", err == nil && len(gone) == 0 && len(f.doomed()) == 0)
			for _, id := range []media.AssetID{a.ID, p.ID} {
				t, err := f.Trashed(f.ctx(), id)
				f.want("it was of the course", err == nil && t.Of == course(1) && t.By == "ann")
			}
			t := f.binned("ann")
			t.Of = product(1)
			_, err = f.RemoveAll(f.ctx(), media.Subject{Type: media.Lesson, ID: entity(1)}, "", t)
			f.must(err)
		}},
		{"an entity that is removed while its media are changed is empty at the end", func(f *Fixture) {
			var list []media.Place
			for i := range 6 {
				a := f.stored(image(entity(2), true, i))
				list = append(list, f.attach(existing(a.ID, imageOf(1, true, i)))...)
			}
			var wg sync.WaitGroup
			errs := make([]error, 3)
			wg.Go(func() { _, errs[0] = f.RemoveAll(f.ctx(), product(1), "", f.binned("ann")) })
			wg.Go(func() { _, errs[1] = f.RemoveAll(f.ctx(), product(2), "", f.binned("ann")) })
			for _, p := range list {
				wg.Go(func() { _, _, _ = f.Remove(f.ctx(), media.ProductImage, p.ID, 0, f.binned("ann")) })
			}
			wg.Wait()
			f.must(errors.Join(errs...))
			f.want("both are", len(f.places(imagesOf(1)))+len(f.places(imagesOf(2))) == 0)
			f.want("each place lies in the trash once", len(f.trash("")) == 12 && len(f.doomed()) == 0)
		}},
	}
}
