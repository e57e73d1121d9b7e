package cataloguetest

import (
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/media"
)

func ids(assets []media.Asset) []media.AssetID {
	var out []media.AssetID
	for _, a := range assets {
		out = append(out, a.ID)
	}
	return out
}

// pages walks a list to its end, and gives up when it has none.
func (f *Fixture) pages(q media.Query, each func()) (all []media.AssetID) {
	f.Helper()
	for range 50 {
		l, err := f.Catalogue.List(f.ctx(), q)
		f.must(err)
		all = append(all, ids(l.Items)...)
		if l.NextCursor == "" {
			return all
		}
		f.want("a page with a next one is full", len(l.Items) == q.Limit)
		q.Cursor = l.NextCursor
		each()
	}
	f.Fatal("the list has no end")
	return nil
}

func limited(q media.Query, n int) media.Query {
	q.Limit = n
	return q
}

func lists() []Promise {
	return append(visibility(), append(filters(), paging()...)...)
}

func visibility() []Promise {
	return []Promise{
		{"a list for nobody is empty", func(f *Fixture) {
			f.stored(public)
			f.want("it is", len(f.list(media.Query{})) == 0)
		}},
		{"an owner's list has theirs, and public ones when asked", func(f *Fixture) {
			mine, theirs := f.stored(), f.stored(owner("u2"), public)
			f.stored(owner("u2"))
			mineToo := f.stored(public)
			if d := cmp.Diff([]media.AssetID{mineToo.ID, mine.ID}, ids(f.list(media.Query{Owner: "u1"}))); d != "" {
				f.Fatal(d)
			}
			if d := cmp.Diff([]media.AssetID{mineToo.ID, theirs.ID, mine.ID}, ids(f.list(media.Query{Owner: "u1", PublicToo: true}))); d != "" {
				f.Fatal(d)
			}
			f.want("the public alone", len(f.list(media.Query{PublicToo: true})) == 2)
			f.want("everybody's", len(f.list(media.Query{AnyOwner: true})) == 4)
		}},
	}
}

func filters() []Promise {
	return []Promise{
		{"a list filters by state, type and storage type", func(f *Fixture) {
			a := f.begin()
			b := f.stored(func(a *media.Asset) { a.MIMEType, a.Type, a.StorageType = "image/png", media.Image, media.S3 })
			for _, c := range []struct {
				q    media.Query
				want []media.AssetID
			}{
				{media.Query{States: []media.State{media.Uploading}}, []media.AssetID{a.ID}},
				{media.Query{States: []media.State{media.Uploading, media.Stored}}, []media.AssetID{b.ID, a.ID}},
				{media.Query{States: []media.State{media.Failed}}, nil},
				{media.Query{Type: media.Image}, []media.AssetID{b.ID}},
				{media.Query{StorageType: media.S3}, []media.AssetID{b.ID}},
				{media.Query{StorageType: media.S3, Type: media.Video}, nil},
			} {
				c.q.AnyOwner = true
				if d := cmp.Diff(c.want, ids(f.list(c.q))); d != "" {
					f.Fatalf("%+v: %s", c.q, d)
				}
			}
		}},
		{"a list filters by who uploaded, and by what is public", func(f *Fixture) {
			mine, mineToo, theirs, theirsToo := f.stored().ID, f.stored(public).ID, f.stored(owner("u2")).ID, f.stored(owner("u2"), public).ID
			yes, no := true, false
			for _, c := range []struct {
				q    media.Query
				want []media.AssetID
			}{
				{media.Query{AnyOwner: true, UploadedBy: "u2"}, []media.AssetID{theirsToo, theirs}},
				{media.Query{AnyOwner: true, UploadedBy: "u3"}, nil},
				{media.Query{AnyOwner: true, Public: &yes}, []media.AssetID{theirsToo, mineToo}},
				{media.Query{AnyOwner: true, Public: &no}, []media.AssetID{theirs, mine}},
				{media.Query{AnyOwner: true, UploadedBy: "u2", Public: &no}, []media.AssetID{theirs}},
				{media.Query{AnyOwner: true, UploadedBy: "u2", Public: &yes, Placement: media.Placement{Kind: media.Generic}}, []media.AssetID{theirsToo}},
				{media.Query{Owner: "u1", PublicToo: true, UploadedBy: "u1"}, []media.AssetID{mineToo, mine}},
				{media.Query{Owner: "u1", PublicToo: true, Public: &yes}, []media.AssetID{theirsToo, mineToo}},
				{media.Query{Owner: "u1", PublicToo: true, Public: &no}, []media.AssetID{mine}},
				{media.Query{PublicToo: true, UploadedBy: "u2"}, []media.AssetID{theirsToo}},
				{media.Query{PublicToo: true, Public: &no}, nil},
				{media.Query{UploadedBy: "u1", Public: &yes}, nil},
			} {
				if d := cmp.Diff(c.want, ids(f.list(c.q))); d != "" {
					f.Fatalf("%+v: %s", c.q, d)
				}
				if got := f.pages(limited(c.q, 1), func() {}); len(got) != len(c.want) {
					f.Fatalf("%+v: %d over pages, want %d", c.q, len(got), len(c.want))
				}
			}
			_, err := f.Catalogue.List(f.ctx(), media.Query{AnyOwner: true, UploadedBy: "\x00"})
			f.refuses(err, media.Invalid)
		}},
		{"a list filters by where media belong", func(f *Fixture) {
			img := f.stored(image(entity(1), false, 0)).ID
			vid := f.stored(place(media.Placement{Kind: media.CourseVideo, CourseID: entity(2), LessonID: entity(3), ModuleID: entity(4), VideoType: media.IntroVideo})).ID
			res := f.stored(place(media.Placement{Kind: media.CourseResource, CourseID: entity(2), LessonID: entity(3), ResourceType: media.ResourcePDF})).ID
			gen := f.stored(place(media.Placement{Reference: media.Subject{Type: media.User, ID: entity(5)}})).ID
			loose := f.stored().ID
			for _, c := range []struct {
				p    media.Placement
				ref  media.Subject
				want []media.AssetID
			}{
				{p: media.Placement{ProductID: entity(1)}, want: []media.AssetID{img}},
				{p: media.Placement{CourseID: entity(2)}, want: []media.AssetID{res, vid}},
				{p: media.Placement{LessonID: entity(3)}, want: []media.AssetID{res, vid}},
				{p: media.Placement{CourseID: entity(2), Kind: media.CourseVideo}, want: []media.AssetID{vid}},
				{p: media.Placement{ModuleID: entity(4)}, want: []media.AssetID{vid}},
				{p: media.Placement{VideoType: media.IntroVideo}, want: []media.AssetID{vid}},
				{p: media.Placement{ResourceType: media.ResourcePDF}, want: []media.AssetID{res}},
				{p: media.Placement{ResourceType: media.ResourceCode}},
				{p: media.Placement{ProductID: entity(1), CourseID: entity(2)}},
				{p: media.Placement{Kind: media.Generic}, want: []media.AssetID{loose, gen}},
				{ref: media.Subject{Type: media.User}, want: []media.AssetID{gen}},
				{ref: media.Subject{ID: entity(5)}, want: []media.AssetID{gen}},
				{ref: media.Subject{Type: media.Page, ID: entity(5)}},
			} {
				q := media.Query{AnyOwner: true, Placement: c.p, Reference: c.ref}
				if d := cmp.Diff(c.want, ids(f.list(q))); d != "" {
					f.Fatalf("%+v: %s", q, d)
				}
			}
		}},
		{"limits and sorts that are none are refused", func(f *Fixture) {
			for _, q := range []media.Query{{Limit: -1}, {Limit: 201}, {Sort: "id"}, {Sort: "-created_at; DROP TABLE assets"}, {Owner: "\x00"}} {
				_, err := f.Catalogue.List(f.ctx(), q)
				f.refuses(err, media.Invalid)
				f.mustNotLeak(err)
			}
		}},
	}
}

func paging() []Promise {
	return []Promise{
		{"each sort pages through all, once, in order", func(f *Fixture) {
			at := f.now()
			for i := range 23 {
				a := f.stored(size(int64(i/4)), func(a *media.Asset) { a.CreatedAt = at.Add(time.Duration(i/3) * time.Second) })
				f.must(f.Count(f.ctx(), "j", media.Batch{From: int64(i), To: int64(i) + 1, Tallies: []media.Tally{{Asset: a.ID, Hour: at, Views: int64(i / 5), Last: at}}}))
			}
			for _, s := range []media.Sort{media.Newest, media.Oldest, media.Largest, media.Smallest, media.MostFetched, media.LeastFetched} {
				for _, p := range []media.Placement{{}, {Kind: media.Generic}} {
					whole := ids(f.list(media.Query{AnyOwner: true, Sort: s, Limit: 200, Placement: p}))
					got := f.pages(media.Query{AnyOwner: true, Sort: s, Limit: 4, Placement: p}, func() {})
					f.want("all are there", len(whole) == 23)
					if d := cmp.Diff(whole, got); d != "" {
						f.Fatalf("%s: %s", s, d)
					}
				}
			}
			up, down := ids(f.list(media.Query{AnyOwner: true, Sort: media.Smallest})), ids(f.list(media.Query{AnyOwner: true, Sort: media.Largest}))
			slices.Reverse(down)
			f.want("down is up reversed", slices.Equal(up, down))
		}},
		{"pages stay whole while others insert and delete", func(f *Fixture) {
			var want []media.AssetID
			for range 20 {
				want = append(want, f.stored().ID)
			}
			slices.Reverse(want)
			got := f.pages(media.Query{AnyOwner: true, Limit: 3}, func() {
				f.stored()
			})
			if d := cmp.Diff(want, got); d != "" {
				f.Fatal(d)
			}
		}},
		{"a list of mine and the public pages as one", func(f *Fixture) {
			var want []media.AssetID
			for i := range 12 {
				who := []string{"u1", "u2"}[i%2]
				want = append(want, f.stored(owner(who), public).ID)
			}
			slices.Reverse(want)
			if d := cmp.Diff(want, f.pages(media.Query{Owner: "u1", PublicToo: true, Limit: 5}, func() {})); d != "" {
				f.Fatal(d)
			}
		}},
		{"a cursor that does not fit is refused", func(f *Fixture) {
			f.stored()
			f.stored()
			l, err := f.Catalogue.List(f.ctx(), media.Query{AnyOwner: true, Limit: 1})
			f.must(err)
			c := l.NextCursor
			flipped := []byte(c)
			flipped[3] ^= 1
			for _, bad := range []string{c + "A", c[1:], string(flipped), "x", "../..", "\x00"} {
				_, err := f.Catalogue.List(f.ctx(), media.Query{AnyOwner: true, Cursor: bad})
				f.refuses(err, media.Invalid)
			}
			_, err = f.Catalogue.List(f.ctx(), media.Query{AnyOwner: true, Cursor: c, Sort: media.Oldest})
			f.refuses(err, media.Invalid)
			_, err = f.Catalogue.List(f.ctx(), media.Query{AnyOwner: true, Cursor: c, Sort: media.Newest})
			f.must(err)
		}},
		{"a page holds 50 unless told", func(f *Fixture) {
			for range 51 {
				f.stored()
			}
			f.want("it does", len(f.list(media.Query{AnyOwner: true})) == 50)
		}},
	}
}
