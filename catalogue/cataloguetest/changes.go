package cataloguetest

import (
	"fmt"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/media"
)

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
			got, err := f.replace(a, a.Version, by.ID)
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
		{"what is still hashed is replaced by what was, and keeps that hash", func(f *Fixture) {
			a, by := f.stored(), f.settled()
			got, err := f.replace(a, a.Version, by.ID)
			f.must(err)
			f.must(f.Settle(f.ctx(), a.ID, a.ContentID, sum("old bytes")))
			f.want("it is the other's", got.State == media.Ready && cmp.Equal(f.read(a.ID).SHA256, by.SHA256))
		}},
		{"what was replaced is replaced again, and its content is the last one's", func(f *Fixture) {
			a := f.settled()
			for range 3 {
				by := f.settled()
				got, err := f.replace(a, f.read(a.ID).Version, by.ID)
				f.must(err)
				f.want("it has the other's content", got.ContentID == by.ID && got.Key == by.Key)
			}
			f.want("three went", len(f.doomed()) == 3)
		}},
		{"what others keep replaces bytes, and bytes it", func(f *Fixture) {
			a := f.settled(image(entity(1), true, 0))
			cloud, err := f.Add(f.ctx(), media.Asset{Owner: "u1", StorageType: media.Cloud, ExternalURL: "https://x.example/v", MIMEType: "video/mp4"})
			f.must(err)
			got, err := f.replace(a, a.Version, cloud.ID)
			f.must(err)
			f.want("it is elsewhere", got.StorageType == media.Cloud && got.ExternalURL == cloud.ExternalURL && got.Key == "" && got.Backend == "")
			by := f.settled()
			got, err = f.replace(a, got.Version, by.ID)
			f.must(err)
			f.want("it is here again", got.StorageType == media.Local && got.ExternalURL == "" && got.Key == by.Key)
			f.sound(imagesOf(1))
		}},
		{"replace holds of each owner's quota what they keep", func(f *Fixture) {
			a, by := f.settled(size(60)), f.settled(size(90), owner("u2"))
			_, err := f.replace(a, a.Version, by.ID)
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
				_, err := f.replace(a, a.Version, by.ID)
				if media.KindOf(err) != media.Conflict {
					f.Fatalf("%s: got %v", what, err)
				}
			}
			by := f.settled()
			_, err := f.replace(a, a.Version-1, by.ID)
			f.refuses(err, media.PreconditionFailed)
			_, err = f.replace(a, a.Version, media.NewAssetID(f.now()))
			f.refuses(err, media.NotFound)
			open := f.begin()
			_, err = f.replace(open, open.Version, by.ID)
			f.refuses(err, media.NotFound)
			f.want("nothing was changed", f.read(a.ID).Version == a.Version && f.read(by.ID).Version == by.Version)
		}},
		{"a change of bytes and place is done as a whole", func(f *Fixture) {
			list := f.attach(external(videoOf(1, 1)))
			p, by := list[0], f.settled(byWhat)
			f.attach(existing(p.Asset.ID, imageOf(1, true, 0)))
			a, title := f.read(p.Asset.ID), "new"
			taken := imageOf(1, true, 0)
			_, err := f.ChangePlace(f.ctx(), media.CourseVideo, p.ID, a.Version, media.PlaceChange{By: by.ID, Title: &title, Placement: &taken})
			f.refuses(err, media.Conflict)
			f.want("nothing was changed", cmp.Equal(a, f.read(a.ID)) && cmp.Equal(by, f.read(by.ID)))
			free := imageOf(2, true, 0)
			got, err := f.ChangePlace(f.ctx(), media.CourseVideo, p.ID, a.Version, media.PlaceChange{By: by.ID, Title: &title, Placement: &free})
			f.must(err)
			after := f.read(a.ID)
			f.want("all was, once", cmp.Equal(got.Asset, after) && after.Version == a.Version+1 && after.Title == title && after.Key == by.Key && got.Placement == free)
			f.sound(imagesOf(1), imagesOf(2))
			f.want("lists have the new bytes", len(f.list(media.Query{AnyOwner: true, StorageType: media.S3, Placement: media.Placement{ProductID: entity(2)}})) == 1)
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
				_, err := f.replace(a, a.Version, by.ID)
				return err
			})
		}},
	}
}

// replace gives an asset the bytes of another, by its home.
func (f *Fixture) replace(a media.Asset, version int64, by media.AssetID) (media.Asset, error) {
	p, err := f.ChangePlace(f.ctx(), a.Placement.Kind, a.HomeID(), version, media.PlaceChange{By: by})
	return p.Asset, err
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
