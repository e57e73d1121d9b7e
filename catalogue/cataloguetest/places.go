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
