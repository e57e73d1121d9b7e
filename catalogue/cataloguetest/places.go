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

// The places that tests put media in.
func imageOf(product int, main bool, position int) media.Placement {
	return media.Placement{Kind: media.ProductImage, ProductID: entity(product), MainImage: main, Position: position, AltText: "alt"}
}

func videoOf(course, lesson int) media.Placement {
	return media.Placement{Kind: media.CourseVideo, CourseID: entity(course), LessonID: entity(lesson), ModuleID: entity(99), VideoType: media.LessonVideo}
}

func resourceOf(course int) media.Placement {
	return media.Placement{Kind: media.CourseResource, CourseID: entity(course), LessonID: entity(98), ResourceName: "name", ResourceType: media.ResourcePDF, Position: 3}
}

func referTo(t media.SubjectType, id int) media.Placement {
	return media.Placement{Kind: media.Generic, Reference: media.Subject{Type: t, ID: entity(id)}}
}

func imagesOf(product int) media.PlaceQuery {
	return media.PlaceQuery{Kind: media.ProductImage, ProductID: entity(product)}
}

func existing(id media.AssetID, p media.Placement) media.Attachment {
	return media.Attachment{Asset: media.Asset{ID: id}, Placement: p}
}

func external(p media.Placement) media.Attachment {
	return media.Attachment{Asset: media.Asset{Owner: "u1", StorageType: media.Cloud, ExternalURL: "https://x.example/y", MIMEType: "image/png"}, Placement: p}
}

func (f *Fixture) attach(list ...media.Attachment) []media.Place {
	f.Helper()
	places, err := f.Attach(f.ctx(), "", list)
	f.must(err)
	return places
}

func (f *Fixture) places(q media.PlaceQuery) []media.Place {
	f.Helper()
	list, err := f.Places(f.ctx(), q)
	f.must(err)
	return list
}

func placeIDs(list []media.Place) (out []media.AssetID) {
	for _, p := range list {
		out = append(out, p.ID)
	}
	return out
}

// sound checks what must always be so: each place is one that its asset tells of, and repeats what that is.
func (f *Fixture) sound(queries ...media.PlaceQuery) {
	f.Helper()
	for _, q := range queries {
		mains := 0
		for _, p := range f.places(q) {
			a := f.read(p.Asset.ID)
			if d := cmp.Diff(a, p.Asset); d != "" {
				f.Fatal("a place has another asset: " + d)
			}
			of := p.Placement.Subject()
			if p.Home() {
				f.want("the home is what its asset says", p.Placement == a.Placement)
			} else {
				f.want("a further place is told by its asset", slices.Contains(a.Also, of))
			}
			if p.Placement.MainImage {
				mains++
			}
			f.want("the asset says that it belongs there", slices.Contains(a.Subjects(), of))
			one, err := f.Place(f.ctx(), q.Kind, p.ID)
			f.must(err)
			if d := cmp.Diff(p, one); d != "" {
				f.Fatal("one place is read otherwise than all: " + d)
			}
		}
		f.want("there is at most one main image", mains <= 1)
	}
}

func places() []Promise {
	return slices.Concat(placeReads(), attachments(), attachRefusals(), placeChanges(), orders(), replacements())
}

func placeReads() []Promise {
	return []Promise{
		{"places come main image first, then by position, time of creation and id", func(f *Fixture) {
			at := f.now()
			made := func(a *media.Asset) { a.CreatedAt = at }
			late, first := f.stored(image(entity(1), false, 1)), f.stored(image(entity(1), false, 0))
			twin, main := f.stored(image(entity(1), false, 2), made), f.stored(image(entity(1), true, 9))
			other := f.stored(image(entity(1), false, 2), made)
			early := f.stored(image(entity(1), false, 1), made)
			f.stored(image(entity(2), true, 0))
			want := []media.AssetID{main.ID, first.ID, early.ID, late.ID, twin.ID, other.ID}
			if d := cmp.Diff(want, placeIDs(f.places(imagesOf(1)))); d != "" {
				f.Fatal(d)
			}
			f.sound(imagesOf(1), imagesOf(2))
		}},
		{"place counts are those of the places, in their order", func(f *Fixture) {
			f.attach(external(imageOf(1, false, 2)), external(imageOf(1, false, 1)), external(imageOf(1, true, 3)))
			a := f.stored(image(entity(1), false, 0))
			f.must(f.Count(f.ctx(), "j", media.Batch{To: 1, Tallies: []media.Tally{{Asset: a.ID, Hour: f.now(), Views: 3, Bytes: 9, Last: f.now()}}}))
			var want []media.PlaceCount
			for _, p := range f.places(imagesOf(1)) {
				want = append(want, media.PlaceCount{ID: p.ID, Counts: media.Counts{
					Version: p.Asset.Version, AccessCount: p.Asset.AccessCount, BytesServed: p.Asset.BytesServed, LastAccessedAt: p.Asset.LastAccessedAt,
				}})
			}
			got, err := f.PlaceCounts(f.ctx(), imagesOf(1))
			f.must(err)
			if d := cmp.Diff(want, got); d != "" || len(got) != 4 || got[1].AccessCount != 3 {
				f.Fatal(d)
			}
		}},
		{"places are of one kind, entity, lesson and type", func(f *Fixture) {
			id := func(p media.Placement) media.AssetID { return f.attach(external(p))[0].ID }
			intro := media.Placement{Kind: media.CourseVideo, CourseID: entity(1), LessonID: entity(2), VideoType: media.IntroVideo}
			v1, v2, v3, r := id(videoOf(1, 1)), id(videoOf(1, 2)), id(intro), id(resourceOf(1))
			ref, user := id(referTo(media.Course, 1)), id(referTo(media.User, 1))
			id(videoOf(2, 1))
			course := media.PlaceQuery{Kind: media.CourseVideo, CourseID: entity(1)}
			lesson, typed := course, course
			lesson.LessonID, typed.VideoType = entity(2), media.IntroVideo
			both := lesson
			both.VideoType = media.LessonVideo
			for _, c := range []struct {
				q    media.PlaceQuery
				want []media.AssetID
			}{
				{course, []media.AssetID{v1, v2, v3}},
				{lesson, []media.AssetID{v2, v3}},
				{typed, []media.AssetID{v3}},
				{both, []media.AssetID{v2}},
				{media.PlaceQuery{Kind: media.CourseResource, CourseID: entity(1)}, []media.AssetID{r}},
				{media.PlaceQuery{Kind: media.CourseResource, CourseID: entity(1), LessonID: entity(98)}, []media.AssetID{r}},
				{media.PlaceQuery{Kind: media.CourseResource, CourseID: entity(1), LessonID: entity(1)}, nil},
				{media.PlaceQuery{Kind: media.Generic, Reference: media.Subject{Type: media.Course, ID: entity(1)}}, []media.AssetID{ref}},
				{media.PlaceQuery{Reference: media.Subject{Type: media.User, ID: entity(1)}}, []media.AssetID{user}},
				{imagesOf(1), nil},
			} {
				if d := cmp.Diff(c.want, placeIDs(f.places(c.q))); d != "" {
					f.Fatalf("%+v: %s", c.q, d)
				}
			}
		}},
		{"places of no entity, and of no kind, are refused", func(f *Fixture) {
			for _, q := range []media.PlaceQuery{
				{},
				{Kind: media.ProductImage},
				{Kind: media.CourseVideo, ProductID: entity(1)},
				{Kind: "shelf", ProductID: entity(1)},
				{Reference: media.Subject{ID: entity(1)}},
				{Reference: media.Subject{Type: media.User}},
				{Kind: media.ProductImage, ProductID: "\x00"},
			} {
				_, err := f.Places(f.ctx(), q)
				f.refuses(err, media.Invalid)
				_, err = f.PlaceCounts(f.ctx(), q)
				f.refuses(err, media.Invalid)
				f.refuses(f.Reorder(f.ctx(), q, nil), media.Invalid)
				f.mustNotLeak(err)
			}
		}},
		{"a place is found by its kind and id", func(f *Fixture) {
			a := f.stored(image(entity(1), true, 0))
			p, err := f.Place(f.ctx(), media.ProductImage, a.ID)
			f.must(err)
			if d := cmp.Diff(media.Place{ID: a.ID, Asset: f.read(a.ID), Placement: a.Placement, UpdatedAt: p.UpdatedAt}, p); d != "" {
				f.Fatal(d)
			}
			_, err = f.Place(f.ctx(), media.CourseVideo, a.ID)
			f.refuses(err, media.NotFound)
			_, err = f.Place(f.ctx(), media.ProductImage, media.NewAssetID(f.now()))
			f.refuses(err, media.NotFound)
			_, err = f.Place(f.ctx(), "shelf", a.ID)
			f.refuses(err, media.Invalid)
		}},
	}
}

func attachments() []Promise {
	return []Promise{
		{"an asset that belongs nowhere gets its home, and then further places", func(f *Fixture) {
			a := f.stored()
			title, public := "T", true
			home := f.attach(media.Attachment{Asset: media.Asset{ID: a.ID}, Placement: imageOf(1, true, 4), Title: &title, Public: &public})[0]
			got := f.read(a.ID)
			f.want("it is at home there", home.Home() && home.ID == a.ID && got.Placement == imageOf(1, true, 4) && got.Also == nil)
			f.want("it was changed along", got.Version == a.Version+1 && got.Title == title && got.Public)
			f.want("it is loose no more", len(f.list(media.Query{AnyOwner: true, Placement: media.Placement{Kind: media.Generic}})) == 0)
			told := f.told.Load()
			further := f.attach(existing(a.ID, videoOf(2, 1)), existing(a.ID, videoOf(2, 2)), existing(a.ID, resourceOf(3)), existing(a.ID, referTo(media.Page, 4)))
			got = f.read(a.ID)
			want := []media.Subject{{Type: media.Course, ID: entity(2)}, {Type: media.Course, ID: entity(3)}, {Type: media.Page, ID: entity(4)}}
			if d := cmp.Diff(want, got.Also); d != "" {
				f.Fatal(d)
			}
			f.want("its home, version and title are what they were to be", got.Placement == home.Placement && got.Version == a.Version+2 && got.Title == title)
			f.want("the change was told, once", f.told.Load() == told+1)
			for i, p := range []media.Placement{videoOf(2, 1), videoOf(2, 2), resourceOf(3), referTo(media.Page, 4)} {
				one, err := f.Place(f.ctx(), p.Kind, further[i].ID)
				f.must(err)
				f.want("each place is what was asked for", one.Placement == p && !one.Home() && one.ID != a.ID)
				if d := cmp.Diff(one, further[i]); d != "" {
					f.Fatal(d)
				}
			}
			f.sound(imagesOf(1), media.PlaceQuery{Kind: media.CourseVideo, CourseID: entity(2)}, media.PlaceQuery{Kind: media.CourseResource, CourseID: entity(3)})
		}},
		{"what others keep is added along, in the order given", func(f *Fixture) {
			var list []media.Attachment
			for i := range 20 {
				t := external(imageOf(1, i%7 == 0, 0))
				t.Title = new(fmt.Sprint(i))
				list = append(list, t)
			}
			got := f.attach(list...)
			titles := []string{}
			for _, p := range got {
				titles = append(titles, p.Asset.Title)
				f.want("it is ready", p.Asset.State == media.Ready && p.Asset.StorageType == media.Cloud && p.Home() && p.ID == p.Asset.ID)
			}
			f.want("they are answered in order", titles[0] == "0" && titles[19] == "19")
			there := f.places(imagesOf(1))
			f.want("the last main image is main", len(there) == 20 && there[0].Asset.Title == "14" && there[1].Asset.Title == "0" && there[19].Asset.Title == "19")
			for i, p := range got {
				if d := cmp.Diff(f.read(p.Asset.ID), p.Asset); d != "" {
					f.Fatalf("%d is answered otherwise than it is: %s", i, d)
				}
			}
			f.sound(imagesOf(1))
		}},
		{"an asset that is attached as the main image takes the place of the old one", func(f *Fixture) {
			old := f.stored(image(entity(1), true, 0))
			a := f.stored(image(entity(2), true, 0))
			p := f.attach(existing(a.ID, imageOf(1, true, 0)))[0]
			there := f.places(imagesOf(1))
			f.want("it is main", there[0].ID == p.ID && there[0].Placement.MainImage && !there[1].Placement.MainImage)
			f.want("the old one knows", !f.read(old.ID).Placement.MainImage && f.read(old.ID).Version == old.Version+1)
			f.want("it is main at home too", f.read(a.ID).Placement.MainImage)
			b := f.stored(image(entity(1), true, 0))
			f.want("a further place is demoted alone", f.read(a.ID).Placement.MainImage && f.read(a.ID).Version == p.Asset.Version+1)
			f.want("the new one is main", f.places(imagesOf(1))[0].ID == b.ID)
			f.sound(imagesOf(1), imagesOf(2))
		}},
		{"an asset that stands twice in a table comes once in a list", func(f *Fixture) {
			var want []media.AssetID
			for i := range 9 {
				a := f.stored(place(videoOf(1, 0)), size(int64(i)))
				want = append(want, a.ID)
				f.attach(existing(a.ID, videoOf(1, 1)), existing(a.ID, videoOf(1, 2)), existing(a.ID, videoOf(2, 2)), existing(a.ID, resourceOf(1)), existing(a.ID, imageOf(1, false, 0)))
			}
			slices.Reverse(want)
			yes := true
			for _, q := range []media.Query{
				{Placement: media.Placement{CourseID: entity(1)}},
				{Placement: media.Placement{CourseID: entity(2)}},
				{Placement: media.Placement{LessonID: entity(2)}},
				{Placement: media.Placement{Kind: media.CourseVideo}},
				{Placement: media.Placement{Kind: media.CourseResource}},
				{Placement: media.Placement{ProductID: entity(1)}},
				{Placement: media.Placement{VideoType: media.LessonVideo}},
				{Placement: media.Placement{ModuleID: entity(99)}},
				{},
			} {
				for _, sort := range []media.Sort{media.Newest, media.Largest, media.MostFetched} {
					q.AnyOwner, q.Sort, q.Limit = true, sort, 4
					if d := cmp.Diff(want, f.pages(q, func() {})); d != "" {
						f.Fatalf("%+v: %s", q, d)
					}
				}
			}
			f.want("a list of public ones has none", len(f.list(media.Query{AnyOwner: true, Public: &yes, Placement: media.Placement{CourseID: entity(1)}})) == 0)
		}},
		{"many main images attached at once leave one", func(f *Fixture) {
			var wg sync.WaitGroup
			errs := make([]error, 8)
			for i := range errs {
				a, b := f.stored(image(entity(7), true, 0)), f.stored()
				wg.Go(func() {
					_, errs[i] = f.Attach(f.ctx(), "", []media.Attachment{existing(a.ID, imageOf(1, true, 0)), existing(b.ID, imageOf(1, true, 0)), external(imageOf(1, true, 0))})
				})
			}
			wg.Wait()
			f.must(errors.Join(errs...))
			f.want("all are there", len(f.places(imagesOf(1))) == 24)
			f.sound(imagesOf(1), imagesOf(7))
		}},
		{"of many that attach an asset to one place one does", func(f *Fixture) {
			a := f.stored()
			f.oneOf(8, media.Conflict, func() error {
				_, err := f.Attach(f.ctx(), "", []media.Attachment{existing(a.ID, imageOf(1, true, 0))})
				return err
			})
			f.want("it stands there", len(f.places(imagesOf(1))) == 1)
			f.sound(imagesOf(1))
		}},
	}
}

// oneOf runs do n times at once; one must succeed, the others be refused.
func (f *Fixture) oneOf(n int, refusal media.Kind, do func() error) {
	f.Helper()
	var wg sync.WaitGroup
	errs := make([]error, n)
	for i := range errs {
		wg.Go(func() { errs[i] = do() })
	}
	wg.Wait()
	done := 0
	for _, err := range errs {
		if err == nil {
			done++
		} else {
			f.refuses(err, refusal)
		}
	}
	f.want(fmt.Sprintf("one of %d, not %d", n, done), done == 1)
}

func attachRefusals() []Promise {
	return []Promise{
		{"attach does all or nothing", func(f *Fixture) {
			a, open, part, there := f.stored(), f.begin(), f.stored(partial), f.stored(place(videoOf(1, 1)))
			named := videoOf(1, 1)
			named.ResourceName, named.Position = "another", 9
			for what, c := range map[string]struct {
				bad  media.Attachment
				want media.Kind
			}{
				"missing":      {existing(media.NewAssetID(f.now()), imageOf(1, true, 0)), media.NotFound},
				"not finished": {existing(open.ID, imageOf(1, true, 0)), media.Conflict},
				"partial":      {existing(part.ID, imageOf(1, true, 0)), media.Conflict},
				"there":        {existing(there.ID, named), media.Conflict},
				"twice":        {existing(a.ID, imageOf(1, true, 0)), media.Conflict},
				"nowhere":      {existing(there.ID, media.Placement{Kind: media.Generic}), media.Invalid},
				"of no kind":   {existing(there.ID, media.Placement{Kind: "shelf", ProductID: entity(1)}), media.Invalid},
				"no text":      {existing(there.ID, media.Placement{Kind: media.ProductImage, ProductID: "\xff"}), media.Invalid},
				"its id taken": {media.Attachment{Asset: media.Asset{ID: a.ID, Owner: "u1", ExternalURL: "https://x.example"}, Placement: videoOf(3, 3)}, media.Conflict},
			} {
				_, err := f.Attach(f.ctx(), "", []media.Attachment{existing(a.ID, imageOf(1, false, 0)), external(imageOf(1, true, 0)), c.bad})
				if media.KindOf(err) != c.want {
					f.Fatalf("%s: got %v, want %v", what, err, c.want)
				}
				f.mustNotLeak(err)
			}
			f.want("nothing was written", len(f.places(imagesOf(1))) == 0 && f.read(a.ID).Version == a.Version && len(f.list(media.Query{AnyOwner: true})) == 3)
			f.want("another lesson is another place", len(f.attach(existing(there.ID, videoOf(1, 2)))) == 1)
		}},
		{"an entity has at most 1,000 places", func(f *Fixture) {
			list := make([]media.Attachment, media.MaxPlaces)
			for i := range list {
				list[i] = external(imageOf(1, false, i))
			}
			f.attach(list...)
			_, err := f.Attach(f.ctx(), "", []media.Attachment{external(imageOf(1, false, 0))})
			f.refuses(err, media.Conflict)
			f.attach(external(imageOf(2, false, 0)), external(videoOf(1, 1)))
			f.stored(image(entity(1), true, 0))
			f.want("and no more are read", len(f.places(imagesOf(1))) == media.MaxPlaces)
		}},
		{"attach decides its intent, or does nothing", func(f *Fixture) {
			f.intend("i1", time.Second)
			a := f.stored()
			_, err := f.Attach(f.ctx(), "i1", []media.Attachment{existing(media.NewAssetID(f.now()), imageOf(1, true, 0))})
			f.refuses(err, media.NotFound)
			f.want("what failed decided nothing", f.state("i1") == media.Begun)
			_, err = f.Attach(f.ctx(), "i1", []media.Attachment{existing(a.ID, imageOf(1, true, 0))})
			f.must(err)
			f.want("it is decided", f.state("i1") == media.Decided)
			f.intend("i2", time.Second)
			f.must(f.Undo(f.ctx(), "i2"))
			for _, id := range []string{"i1", "i2", "none"} {
				_, err = f.Attach(f.ctx(), id, []media.Attachment{external(imageOf(1, true, 0))})
				f.refuses(err, media.Conflict)
			}
			f.want("nothing was written", len(f.places(imagesOf(1))) == 1 && f.state("i2") == media.Undone)
		}},
		{"of an attach and the undo of its intent one wins", func(f *Fixture) {
			for i := range 10 {
				id := fmt.Sprint("i", i)
				f.intend(id, time.Second)
				a := f.stored()
				f.oneOf(2, media.Conflict, func() func() error {
					var once sync.Once
					return func() (err error) {
						err = errors.New("the other")
						once.Do(func() { err = nil })
						if err == nil {
							_, err = f.Attach(f.ctx(), id, []media.Attachment{existing(a.ID, imageOf(i, true, 0))})
							return err
						}
						return f.Undo(f.ctx(), id)
					}
				}())
				f.want("the places are what the intent says", (len(f.places(imagesOf(i))) == 1) == (f.state(id) == media.Decided))
			}
		}},
	}
}

func placeChanges() []Promise {
	return []Promise{
		{"a place is changed with its asset", func(f *Fixture) {
			a := f.stored(image(entity(1), true, 0))
			p := f.attach(existing(a.ID, videoOf(1, 1)))[0]
			to, title, public := videoOf(2, 2), "T", true
			to.Position = 5
			told := f.told.Load()
			got, err := f.ChangePlace(f.ctx(), media.CourseVideo, p.ID, p.Asset.Version, media.PlaceChange{Placement: &to, Title: &title, Public: &public})
			f.must(err)
			f.want("it is there under its id", got.ID == p.ID && got.Placement == to)
			f.want("its asset knows", got.Asset.Title == title && got.Asset.Public && got.Asset.Version == p.Asset.Version+1 &&
				cmp.Equal(got.Asset.Also, []media.Subject{{Type: media.Course, ID: entity(2)}}) && got.Asset.Placement == a.Placement)
			f.want("it was told", f.told.Load() == told+1)
			f.want("it is not where it was", len(f.places(media.PlaceQuery{Kind: media.CourseVideo, CourseID: entity(1)})) == 0)
			f.sound(media.PlaceQuery{Kind: media.CourseVideo, CourseID: entity(2)}, imagesOf(1))
			_, err = f.ChangePlace(f.ctx(), media.CourseVideo, p.ID, p.Asset.Version, media.PlaceChange{Title: &title})
			f.refuses(err, media.PreconditionFailed)
			home := imageOf(3, false, 1)
			after, err := f.ChangePlace(f.ctx(), media.ProductImage, a.ID, got.Asset.Version, media.PlaceChange{Placement: &home})
			f.must(err)
			f.want("a home is told by its asset", after.Asset.Placement == home && f.read(a.ID).Placement == home)
			f.sound(imagesOf(3), media.PlaceQuery{Kind: media.CourseVideo, CourseID: entity(2)})
		}},
		{"a place cannot be changed into one that is there, or none", func(f *Fixture) {
			a := f.stored(place(videoOf(1, 1)))
			p := f.attach(existing(a.ID, videoOf(1, 2)))[0]
			for _, c := range []struct {
				to   media.Placement
				want media.Kind
			}{
				{videoOf(1, 1), media.Conflict}, {media.Placement{Kind: media.Generic}, media.Invalid}, {media.Placement{Kind: media.CourseVideo}, media.Invalid},
			} {
				_, err := f.ChangePlace(f.ctx(), media.CourseVideo, p.ID, p.Asset.Version, media.PlaceChange{Placement: &c.to})
				f.refuses(err, c.want)
			}
			to := videoOf(1, 2)
			_, err := f.Change(f.ctx(), a.ID, p.Asset.Version, media.Change{Placement: &to})
			f.refuses(err, media.Conflict)
			_, err = f.ChangePlace(f.ctx(), media.ProductImage, p.ID, p.Asset.Version, media.PlaceChange{})
			f.refuses(err, media.NotFound)
			f.want("nothing was changed", f.read(a.ID).Version == p.Asset.Version)
		}},
		{"a place that becomes the main image demotes the old, and one that stops promotes the next", func(f *Fixture) {
			main, next := f.stored(image(entity(1), true, 0)), f.stored(image(entity(1), false, 1))
			p := f.attach(existing(f.stored(place(videoOf(1, 1))).ID, imageOf(1, false, 2)))[0]
			set := func(p media.Place, main bool) media.Place {
				to := p.Placement
				to.MainImage = main
				p, err := f.ChangePlace(f.ctx(), media.ProductImage, p.ID, f.read(p.Asset.ID).Version, media.PlaceChange{Placement: &to})
				f.must(err)
				f.sound(imagesOf(1))
				return p
			}
			f.want("it is main", set(p, true).Placement.MainImage && f.places(imagesOf(1))[0].ID == p.ID)
			f.want("the old is not", !f.read(main.ID).Placement.MainImage)
			f.want("it is not any more", !set(p, false).Placement.MainImage)
			f.want("the next by position is", f.read(main.ID).Placement.MainImage && !f.read(next.ID).Placement.MainImage)
		}},
		{"an asset with further places that is to belong nowhere is at home in the oldest", func(f *Fixture) {
			a := f.stored(image(entity(1), true, 0))
			b := f.stored(image(entity(1), false, 0))
			p := f.attach(existing(a.ID, videoOf(1, 1)), existing(a.ID, videoOf(2, 1)))
			got, err := f.Change(f.ctx(), a.ID, p[1].Asset.Version, media.Change{Placement: &media.Placement{Kind: media.Generic}})
			f.must(err)
			f.want("it is", got.PlaceID == p[0].ID && got.Placement == videoOf(1, 1) && cmp.Equal(got.Also, []media.Subject{{Type: media.Course, ID: entity(2)}}))
			f.wantMain(entity(1), b.ID)
			f.sound(imagesOf(1), media.PlaceQuery{Kind: media.CourseVideo, CourseID: entity(1)}, media.PlaceQuery{Kind: media.CourseVideo, CourseID: entity(2)})
		}},
	}
}

func orders() []Promise {
	return []Promise{
		{"reorder gives the positions of the order", func(f *Fixture) {
			a := f.stored(place(videoOf(9, 9)), func(a *media.Asset) { a.Placement.Position = 7 })
			list := f.attach(external(imageOf(1, false, 7)), existing(a.ID, imageOf(1, true, 1)), external(imageOf(1, false, 1)))
			ids := []media.AssetID{list[2].ID, list[1].ID, list[0].ID}
			told := f.told.Load()
			f.must(f.Reorder(f.ctx(), imagesOf(1), ids))
			f.want("what stays where it is was not changed", f.read(a.ID).Version == list[1].Asset.Version && f.told.Load() == told+2)
			f.want("what moves was", f.read(list[0].Asset.ID).Version == list[0].Asset.Version+1 && f.read(list[0].Asset.ID).Placement.Position == 2)
			got := f.places(imagesOf(1))
			f.want("they follow each other", cmp.Equal(placeIDs(got), []media.AssetID{list[1].ID, list[2].ID, list[0].ID}))
			f.sound(imagesOf(1))
			f.must(f.Reorder(f.ctx(), imagesOf(1), []media.AssetID{list[1].ID, list[0].ID, list[2].ID}))
			f.want("a further place moves alone", f.places(imagesOf(1))[0].Placement.Position == 0 && f.read(a.ID).Placement == a.Placement)
			f.sound(imagesOf(1))
		}},
		{"reorder names exactly what is there", func(f *Fixture) {
			list := f.attach(external(imageOf(1, false, 0)), external(imageOf(1, false, 0)), external(imageOf(2, false, 0)))
			a, b, c := list[0].ID, list[1].ID, list[2].ID
			for _, ids := range [][]media.AssetID{{a}, {a, b, c}, {a, a}, {a, b, a}, {a, c}, nil} {
				f.refuses(f.Reorder(f.ctx(), imagesOf(1), ids), media.Conflict)
			}
			f.want("nothing was changed", f.read(b).Version == list[1].Asset.Version)
			f.must(f.Reorder(f.ctx(), imagesOf(3), nil))
		}},
	}
}

func replacements() []Promise {
	byWhat := func(a *media.Asset) {
		a.Filename, a.MIMEType, a.Type, a.StorageType, a.Backend, a.Duration, a.Size = "new.ogg", "audio/ogg", media.Audio, media.S3, "cloud", 3*time.Second, 30
	}
	return []Promise{
		{"replace gives an asset the bytes of another, in every place", func(f *Fixture) {
			a := f.settled(place(referTo(media.User, 1)), public)
			f.attach(existing(a.ID, videoOf(1, 1)), existing(a.ID, imageOf(1, true, 0)))
			f.must(f.Count(f.ctx(), "j", media.Batch{To: 1, Tallies: []media.Tally{{Asset: a.ID, Hour: f.now(), Views: 3, Bytes: 9, Last: f.now()}}}))
			a, by := f.read(a.ID), f.settled(byWhat, owner("u2"))
			told := f.told.Load()
			got, err := f.Replace(f.ctx(), a.ID, a.Version, by.ID)
			f.must(err)
			want := a
			want.State, want.Size, want.SHA256, want.MIMEType, want.Type, want.Duration = by.State, by.Size, by.SHA256, by.MIMEType, by.Type, by.Duration
			want.StorageType, want.Backend, want.Key, want.ExternalURL, want.Filename, want.StoredAt = by.StorageType, by.Backend, by.Key, by.ExternalURL, by.Filename, by.StoredAt
			want.ContentID, want.Version, want.UpdatedAt = by.ID, a.Version+1, got.UpdatedAt
			if d := cmp.Diff(want, got); d != "" {
				f.Fatal(d)
			}
			if d := cmp.Diff(got, f.read(a.ID)); d != "" {
				f.Fatal(d)
			}
			f.want("both were told", f.told.Load() == told+2)
			f.sound(imagesOf(1), media.PlaceQuery{Kind: media.CourseVideo, CourseID: entity(1)}, media.PlaceQuery{Reference: media.Subject{Type: media.User, ID: entity(1)}})
			for _, q := range []media.Query{
				{StorageType: media.S3, Placement: media.Placement{CourseID: entity(1)}},
				{StorageType: media.S3, Placement: media.Placement{ProductID: entity(1)}},
				{Type: media.Audio, Reference: media.Subject{ID: entity(1)}},
			} {
				q.AnyOwner = true
				f.want(fmt.Sprintf("%+v finds it", q), cmp.Equal(ids(f.list(q)), []media.AssetID{a.ID}))
			}
			_, err = f.Asset(f.ctx(), by.ID)
			f.refuses(err, media.NotFound)
			doomed := f.doomed()
			f.want("the other is doomed with the old bytes", len(doomed) == 1 && doomed[0].ID == by.ID && doomed[0].Key == a.Key && doomed[0].Backend == a.Backend && doomed[0].ContentID == a.ID)
		}},
		{"what was replaced is replaced again, and its content is the last one's", func(f *Fixture) {
			a := f.settled()
			for range 3 {
				by := f.settled()
				got, err := f.Replace(f.ctx(), a.ID, f.read(a.ID).Version, by.ID)
				f.must(err)
				f.want("it has the other's content", got.ContentID == by.ID && got.Key == by.Key)
			}
			f.want("three went", len(f.doomed()) == 3)
		}},
		{"what others keep replaces bytes, and bytes it", func(f *Fixture) {
			a := f.settled(image(entity(1), true, 0))
			cloud, err := f.Add(f.ctx(), media.Asset{Owner: "u1", StorageType: media.Cloud, ExternalURL: "https://x.example/v", MIMEType: "video/mp4"})
			f.must(err)
			got, err := f.Replace(f.ctx(), a.ID, a.Version, cloud.ID)
			f.must(err)
			f.want("it is elsewhere", got.StorageType == media.Cloud && got.ExternalURL == cloud.ExternalURL && got.Key == "" && got.Backend == "")
			by := f.settled()
			got, err = f.Replace(f.ctx(), a.ID, got.Version, by.ID)
			f.must(err)
			f.want("it is here again", got.StorageType == media.Local && got.ExternalURL == "" && got.Key == by.Key)
			f.sound(imagesOf(1))
		}},
		{"replace holds of each owner's quota what they keep", func(f *Fixture) {
			a, by := f.settled(size(60)), f.settled(size(90), owner("u2"))
			_, err := f.Replace(f.ctx(), a.ID, a.Version, by.ID)
			f.must(err)
			f.room("u1", 100, 10)
			f.room("u2", 100, 100)
			for _, d := range f.doomed() {
				f.must(f.Forget(f.ctx(), d.ID))
			}
			f.room("u1", 100, 10)
			f.must(f.Doom(f.ctx(), a.ID))
			f.room("u1", 100, 100)
		}},
		{"replace by what is not finished, is partial, or belongs somewhere is refused", func(f *Fixture) {
			a := f.settled()
			waiting := f.stored(unchecked, image(entity(1), true, 0))
			for what, by := range map[string]media.Asset{
				"not finished": f.begin(), "partial": f.stored(partial), "belongs": f.stored(image(entity(1), true, 0)), "itself": a, "waits": waiting,
			} {
				_, err := f.Replace(f.ctx(), a.ID, a.Version, by.ID)
				if media.KindOf(err) != media.Conflict {
					f.Fatalf("%s: got %v", what, err)
				}
			}
			by := f.settled()
			_, err := f.Replace(f.ctx(), a.ID, a.Version-1, by.ID)
			f.refuses(err, media.PreconditionFailed)
			_, err = f.Replace(f.ctx(), a.ID, a.Version, media.NewAssetID(f.now()))
			f.refuses(err, media.NotFound)
			open, hashing := f.begin(), f.stored()
			_, err = f.Replace(f.ctx(), open.ID, open.Version, by.ID)
			f.refuses(err, media.Conflict)
			_, err = f.Replace(f.ctx(), hashing.ID, hashing.Version, by.ID)
			f.refuses(err, media.Locked)
			f.want("nothing was changed", f.read(a.ID).Version == a.Version && f.read(by.ID).Version == by.Version)
		}},
		{"an asset replaces one of many", func(f *Fixture) {
			by := f.settled()
			var targets []media.Asset
			for range 6 {
				targets = append(targets, f.settled())
			}
			next := make(chan media.Asset, len(targets))
			for _, a := range targets {
				next <- a
			}
			f.oneOf(len(targets), media.NotFound, func() error {
				a := <-next
				_, err := f.Replace(f.ctx(), a.ID, a.Version, by.ID)
				return err
			})
		}},
	}
}

// settled is a stored upload that has been looked at.
func (f *Fixture) settled(change ...func(*media.Asset)) media.Asset {
	f.Helper()
	a := f.stored(change...)
	f.must(f.Settle(f.ctx(), a.ID, a.ContentID, sum(a.ID.String())))
	return f.read(a.ID)
}

func (f *Fixture) doomed() (all []media.Asset) {
	f.Helper()
	for a, err := range f.Doomed(f.ctx()) {
		f.must(err)
		all = append(all, a)
	}
	return all
}

// room checks how much an owner has left of a quota.
func (f *Fixture) room(who string, quota, want int64) {
	f.Helper()
	a := f.upload(owner(who), size(want+1))
	_, _, err := f.Begin(f.ctx(), a, quota)
	f.refuses(err, media.TooLarge)
	if want == 0 {
		return
	}
	a = f.upload(owner(who), size(want))
	_, _, err = f.Begin(f.ctx(), a, quota)
	f.must(err)
	f.must(f.Doom(f.ctx(), a.ID))
	f.must(f.Forget(f.ctx(), a.ID))
}

func unchecked(a *media.Asset) { a.Unchecked = true }
