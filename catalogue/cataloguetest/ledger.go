package cataloguetest

import (
	"bytes"
	"errors"
	"sync"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/media"
)

// everything is an upload with each field set to something of its own.
func (f *Fixture) everything() media.Asset {
	return f.upload(func(a *media.Asset) {
		a.Title, a.Size, a.Duration, a.FailReason = "Über 日本", 5<<32, 1500*time.Millisecond, "because"
		a.ExternalURL, a.Public, a.Epoch, a.SHA256 = "https://x.example/y", true, 4_000_000_000, sum("x")
		a.Unchecked, a.Vouched = true, true
		a.Placement = media.Placement{
			Kind: media.CourseVideo, CourseID: entity(1), LessonID: entity(2), ModuleID: entity(3),
			VideoType: media.LessonVideo, ResourceName: "r", ResourceType: media.ResourcePDF, AltText: "alt", Position: 7,
			Reference: media.Subject{Type: media.Page, ID: "about"},
		}
		a.Upload = media.Upload{
			Metadata: "filename YQ==,\x00\xff\xfe binary", Parts: []media.AssetID{media.NewAssetID(f.now()), media.NewAssetID(f.now())},
			Final: true, ExpiresAt: f.now(), GrantID: "g",
		}
	})
}

func ledger() []Promise {
	return append(beginnings(), append(endings(), walks()...)...)
}

func beginnings() []Promise {
	return []Promise{
		{"a row comes back field by field as it was begun", func(f *Fixture) {
			want := f.everything()
			row, existed, err := f.Begin(f.ctx(), want, 0)
			f.must(err)
			f.want("it is new", !existed)
			want.Version, want.UpdatedAt = row.Version, row.UpdatedAt
			if d := cmp.Diff(want, row); d != "" {
				f.Fatal(d)
			}
			if d := cmp.Diff(want, f.read(want.ID)); d != "" {
				f.Fatal(d)
			}
		}},
		{"metadata holds any byte", func(f *Fixture) {
			var all bytes.Buffer
			for i := range 256 {
				_ = all.WriteByte(byte(i)) // a buffer never fails
			}
			a := f.begin(func(a *media.Asset) { a.Upload.Metadata = all.String() })
			f.want("metadata is the same", f.read(a.ID).Upload.Metadata == all.String())
		}},
		{"a text that is no text is refused, and says which", func(f *Fixture) {
			for _, bad := range []string{"a\x00b", "a\xffb"} {
				_, _, err := f.Begin(f.ctx(), f.upload(func(a *media.Asset) { a.Filename = bad }), 0)
				f.refuses(err, media.Invalid)
				f.mustNotLeak(err)
			}
		}},
		{"what nobody began is not found", func(f *Fixture) {
			_, err := f.Asset(f.ctx(), media.NewAssetID(f.now()))
			f.refuses(err, media.NotFound)
			f.mustNotLeak(err)
		}},
		{"a begin repeated with its id gives the one row", func(f *Fixture) {
			a := f.upload()
			_, _, err := f.Begin(f.ctx(), a, 0)
			f.must(err)
			row, existed, err := f.Begin(f.ctx(), a, 0)
			f.must(err)
			f.want("the row is the earlier one", row.ID == a.ID && !existed)
			f.want("there is one", len(f.list(media.Query{AnyOwner: true})) == 1)
		}},
		{"an id of another owner is a conflict", func(f *Fixture) {
			a := f.begin()
			a.Owner = "u2"
			_, _, err := f.Begin(f.ctx(), a, 0)
			f.refuses(err, media.Conflict)
			f.mustNotLeak(err)
		}},
		{"a final joined twice from the same parts is one row", func(f *Fixture) {
			p1, p2 := f.stored(partial), f.stored(partial)
			first := f.begin(final(p1.ID, p2.ID))
			row, existed, err := f.Begin(f.ctx(), f.upload(final(p1.ID, p2.ID)), 0)
			f.must(err)
			f.want("the earlier row is given back", existed && row.ID == first.ID)
		}},
		{"the order of parts and the owner make another final", func(f *Fixture) {
			p1, p2 := f.stored(partial), f.stored(partial)
			f.begin(final(p1.ID, p2.ID))
			_, existed, err := f.Begin(f.ctx(), f.upload(final(p2.ID, p1.ID)), 0)
			f.want("another order is another file", err == nil && !existed)
			_, existed, err = f.Begin(f.ctx(), f.upload(final(p1.ID, p2.ID), owner("u2")), 0)
			f.want("another owner's is another file", err == nil && !existed)
		}},
		{"a final can be joined again once the first is doomed", func(f *Fixture) {
			p := f.stored(partial)
			first := f.begin(final(p.ID))
			f.must(f.Doom(f.ctx(), first.ID))
			row, existed, err := f.Begin(f.ctx(), f.upload(final(p.ID)), 0)
			f.want("it is a new one", err == nil && !existed && row.ID != first.ID)
		}},
		{"finals begun by many at once are one row", func(f *Fixture) {
			p := f.stored(partial)
			var wg sync.WaitGroup
			ids := make([]media.AssetID, 8)
			errs := make([]error, 8)
			for i := range ids {
				a := f.upload(final(p.ID))
				wg.Go(func() {
					row, _, err := f.Begin(f.ctx(), a, 0)
					ids[i], errs[i] = row.ID, err
				})
			}
			wg.Wait()
			for i := range ids {
				f.must(errs[i])
				f.want("all got the same", ids[i] == ids[0])
			}
		}},
		{"an upload grant opens one upload, ever", func(f *Fixture) {
			grant := func(a *media.Asset) { a.Upload.GrantID = "grant1" }
			a := f.begin(grant)
			_, _, err := f.Begin(f.ctx(), f.upload(grant, size(101)), 0)
			f.refuses(err, media.Forbidden)
			f.must(f.Doom(f.ctx(), a.ID))
			f.must(f.Forget(f.ctx(), a.ID))
			_, _, err = f.Begin(f.ctx(), f.upload(grant), 0)
			f.refuses(err, media.Forbidden)
		}},
	}
}

func endings() []Promise {
	return append(repeats(), finishes()...)
}

func repeats() []Promise {
	grant := func(a *media.Asset) { a.Upload.GrantID, a.Upload.Metadata = "grant1", "filename YQ==" }
	return []Promise{
		{"an upload grant that comes again with the same request gives the same upload, while it is uploading", func(f *Fixture) {
			a := f.upload(grant)
			first, existed, err := f.Begin(f.ctx(), a, 100) // all of the quota
			f.must(err)
			f.want("it is new", !existed)
			again, existed, err := f.Begin(f.ctx(), f.upload(grant), 100)
			f.must(err)
			f.want("it is the first one", existed && again.ID == first.ID && again.Version == first.Version)
			f.want("there is one row", len(f.list(media.Query{AnyOwner: true})) == 1)
			f.must(f.Doom(f.ctx(), first.ID))
			_, _, err = f.Begin(f.ctx(), f.upload(grant), 100)
			f.refuses(err, media.Forbidden)
		}},
		{"an upload grant that comes again otherwise is refused", func(f *Fixture) {
			a := f.begin(grant)
			for _, other := range []func(*media.Asset){
				size(99), deferred, owner("u2"),
				func(a *media.Asset) { a.Upload.Metadata = "filename Yg==" },
				func(a *media.Asset) { a.State = media.Ready },
			} {
				_, _, err := f.Begin(f.ctx(), f.upload(grant, other), 0)
				f.refuses(err, media.Forbidden)
			}
			_, err := f.Stored(f.ctx(), a.ID, media.Object{Key: a.Key, Size: a.Size}, "", nil)
			f.must(err)
			_, _, err = f.Begin(f.ctx(), f.upload(grant), 0)
			f.refuses(err, media.Forbidden)
		}},
	}
}

func finishes() []Promise {
	return []Promise{
		{"stored moves the row once and keeps what it was told", func(f *Fixture) {
			a := f.begin()
			got, err := f.Stored(f.ctx(), a.ID, media.Object{Key: "other", Size: 101}, "audio/ogg", sum("x"))
			f.must(err)
			f.want("the answer says so", got.State == media.Stored && got.Size == 101 && got.Key == "other" && got.MIMEType == "audio/ogg" &&
				got.Type == media.Audio && bytes.Equal(got.SHA256, sum("x")) && got.Version == a.Version+1 && !got.StoredAt.IsZero())
			if d := cmp.Diff(got, f.read(a.ID)); d != "" {
				f.Fatal(d)
			}
			again, err := f.Stored(f.ctx(), a.ID, media.Object{Key: "third", Size: 5}, "text/plain", nil)
			f.must(err)
			if d := cmp.Diff(got, again); d != "" {
				f.Fatal(d)
			}
		}},
		{"stored by many at once places the asset once", func(f *Fixture) {
			a := f.begin()
			var wg sync.WaitGroup
			errs := make([]error, 8)
			for i := range errs {
				wg.Go(func() { _, errs[i] = f.Stored(f.ctx(), a.ID, media.Object{Key: a.Key, Size: 100}, "", nil) })
			}
			wg.Wait()
			f.must(errors.Join(errs...))
			f.want("its version moved once", f.read(a.ID).Version == a.Version+1)
		}},
		{"stored of what is missing or doomed is not found", func(f *Fixture) {
			a := f.begin()
			f.must(f.Doom(f.ctx(), a.ID))
			for _, id := range []media.AssetID{a.ID, media.NewAssetID(f.now())} {
				_, err := f.Stored(f.ctx(), id, media.Object{Size: 1}, "", nil)
				f.refuses(err, media.NotFound)
			}
		}},
		{"a whole file may begin as stored, with its place", func(f *Fixture) {
			a := f.begin(func(a *media.Asset) { a.State = media.Stored }, image(entity(1), true, 0))
			f.want("it is stored", a.State == media.Stored && !a.StoredAt.IsZero())
			f.want("it has its place", len(f.list(media.Query{AnyOwner: true, Placement: media.Placement{ProductID: entity(1)}})) == 1)
		}},
		{"a deferred length is declared once", func(f *Fixture) {
			a := f.begin(deferred)
			f.must(f.Declare(f.ctx(), a.ID, 42, 0))
			f.must(f.Declare(f.ctx(), a.ID, 42, 0))
			f.refuses(f.Declare(f.ctx(), a.ID, 43, 0), media.Conflict)
			got := f.read(a.ID)
			f.want("it is declared", got.Size == 42 && !got.Upload.Deferred)
		}},
		{"extend moves the expiry of an unfinished upload only", func(f *Fixture) {
			a, later := f.begin(), f.now().Add(time.Hour)
			f.must(f.Extend(f.ctx(), a.ID, later))
			f.want("it moved", f.read(a.ID).Upload.ExpiresAt.Equal(later))
			f.refuses(f.Extend(f.ctx(), media.NewAssetID(f.now()), later), media.NotFound)
		}},
		{"settle makes a stored row ready, once, and no other", func(f *Fixture) {
			a := f.begin()
			f.refuses(f.Settle(f.ctx(), a.ID, a.ContentID, sum("x")), media.Conflict)
			a = f.stored()
			f.must(f.Settle(f.ctx(), a.ID, a.ContentID, sum("x")))
			f.must(f.Settle(f.ctx(), a.ID, a.ContentID, sum("y")))
			got := f.read(a.ID)
			f.want("it is ready with the first sum", got.State == media.Ready && bytes.Equal(got.SHA256, sum("x")))
		}},
		{"a sum of bytes that were replaced meanwhile is not kept", func(f *Fixture) {
			a, by := f.stored(image(entity(1), false, 0)), f.stored()
			f.must(f.Settle(f.ctx(), a.ID, a.ContentID, sum("old")))
			_, err := f.replace(a, f.read(a.ID).Version, by.ID)
			f.must(err)
			f.refuses(f.Settle(f.ctx(), a.ID, media.AssetID{}, sum("old")), media.Conflict)
			f.want("the new ones wait for theirs", f.read(a.ID).State == media.Stored && f.read(a.ID).SHA256 == nil)
			f.must(f.Settle(f.ctx(), a.ID, by.ID, sum("new")))
			f.want("and have it", f.read(a.ID).State == media.Ready && bytes.Equal(f.read(a.ID).SHA256, sum("new")))
		}},
		{"who vouched for a place is remembered", func(f *Fixture) {
			vouched := func(a *media.Asset) { a.Vouched = true }
			a, b := f.stored(vouched, image(entity(1), true, 0)), f.begin(vouched, unchecked)
			f.want("both say so", f.read(a.ID).Vouched && f.read(b.ID).Vouched && !f.read(f.begin().ID).Vouched)
		}},
		{"doom hides a row from every read, and forget removes it", func(f *Fixture) {
			a := f.stored()
			f.refuses(f.Forget(f.ctx(), a.ID), media.Conflict)
			f.must(f.Doom(f.ctx(), a.ID))
			_, err := f.Asset(f.ctx(), a.ID)
			f.refuses(err, media.NotFound)
			f.refuses(f.Doom(f.ctx(), a.ID), media.NotFound)
			f.want("no list has it", len(f.list(media.Query{AnyOwner: true})) == 0)
			f.must(f.Forget(f.ctx(), a.ID))
			f.must(f.Forget(f.ctx(), a.ID))
			for a, err := range f.Doomed(f.ctx()) {
				f.Fatalf("a forgotten row is still there: %v, %v", a.ID, err)
			}
		}},
		{"each committed change is told", func(f *Fixture) {
			a := f.begin()
			before := f.told.Load()
			_, err := f.Stored(f.ctx(), a.ID, media.Object{Size: 100}, "", nil)
			f.must(err)
			f.must(f.Settle(f.ctx(), a.ID, a.ContentID, sum("x")))
			f.must(f.Doom(f.ctx(), a.ID))
			f.want("three changes were told", f.told.Load() == before+3)
			f.refuses(f.Doom(f.ctx(), a.ID), media.NotFound)
			f.want("what changed nothing is not", f.told.Load() == before+3)
		}},
	}
}

func walks() []Promise {
	return []Promise{
		{"unfinished walks old uploads, oldest first, past a page", func(f *Fixture) {
			var want []media.AssetID
			for range 205 {
				want = append(want, f.begin().ID)
			}
			limit := f.now()
			f.begin()
			f.stored()
			var got []media.AssetID
			for a, err := range f.Unfinished(f.ctx(), limit) {
				f.must(err)
				got = append(got, a.ID)
			}
			if d := cmp.Diff(want, got); d != "" {
				f.Fatal(d)
			}
		}},
		{"a walk may change what it walks", func(f *Fixture) {
			for range 3 {
				f.begin()
			}
			n := 0
			for a, err := range f.Unfinished(f.ctx(), f.now()) {
				f.must(err)
				f.must(f.Doom(f.ctx(), a.ID))
				n++
			}
			f.want("it met all three", n == 3)
			for a, err := range f.Doomed(f.ctx()) {
				f.must(err)
				f.must(f.Forget(f.ctx(), a.ID))
				n--
			}
			f.want("and met all doomed", n == 0)
		}},
		{"unsettled walks what is stored and not ready", func(f *Fixture) {
			a, b := f.stored(), f.stored()
			f.begin()
			f.must(f.Settle(f.ctx(), a.ID, a.ContentID, sum("x")))
			var got []media.AssetID
			for a, err := range f.Unsettled(f.ctx()) {
				f.must(err)
				got = append(got, a.ID)
			}
			f.want("it is the one", len(got) == 1 && got[0] == b.ID)
		}},
		{"open walks one owner's uploads, newest first", func(f *Fixture) {
			a, b := f.begin(), f.begin()
			f.begin(owner("u2"))
			f.stored()
			var got []media.AssetID
			for a, err := range f.Open(f.ctx(), "u1") {
				f.must(err)
				got = append(got, a.ID)
			}
			if d := cmp.Diff([]media.AssetID{b.ID, a.ID}, got); d != "" {
				f.Fatal(d)
			}
		}},
		{"keys knows every row's, doomed ones too, of that backend", func(f *Fixture) {
			a, b, c := f.begin(), f.stored(), f.stored(func(a *media.Asset) { a.Backend = "cloud" })
			f.must(f.Doom(f.ctx(), b.ID))
			got, err := f.Keys(f.ctx(), "disk", []string{a.Key, b.Key, c.Key, "none", "bad\x00", "bad\xff", "'\"\\"})
			f.must(err)
			if d := cmp.Diff(map[string]bool{a.Key: true, b.Key: true}, got); d != "" {
				f.Fatal(d)
			}
		}},
		{"oldest tells when the oldest row was created, and of none the zero time", func(f *Fixture) {
			at, err := f.Oldest(f.ctx())
			f.must(err)
			f.want("of no row the zero time", at.IsZero())
			a, b := f.begin(), f.stored()
			at, err = f.Oldest(f.ctx())
			f.must(err)
			f.want("the first one's", at.Equal(a.CreatedAt))
			f.must(f.Doom(f.ctx(), a.ID))
			at, err = f.Oldest(f.ctx())
			f.must(err)
			f.want("the second one's once the first is doomed", at.Equal(b.CreatedAt))
		}},
		{"backends counts the rows of each, doomed ones too, and those kept elsewhere not at all", func(f *Fixture) {
			f.begin()
			f.must(f.Doom(f.ctx(), f.stored().ID))
			f.stored(func(a *media.Asset) { a.Backend = "cloud" })
			_, err := f.Add(f.ctx(), media.Asset{Owner: "u1", StorageType: media.Cloud, ExternalURL: "https://x.example/v", MIMEType: "video/mp4"})
			f.must(err)
			got, err := f.Backends(f.ctx())
			f.must(err)
			if d := cmp.Diff(map[string]int64{"disk": 2, "cloud": 1}, got); d != "" {
				f.Fatal(d)
			}
		}},
	}
}

func quota() []Promise {
	return []Promise{
		{"begin over the quota writes nothing", func(f *Fixture) {
			f.begin(size(60))
			a := f.upload(size(41))
			_, _, err := f.Begin(f.ctx(), a, 100)
			f.refuses(err, media.TooLarge)
			f.mustNotLeak(err)
			_, err = f.Asset(f.ctx(), a.ID)
			f.refuses(err, media.NotFound)
			_, _, err = f.Begin(f.ctx(), f.upload(size(40)), 100)
			f.must(err)
		}},
		{"a quota is each owner's own", func(f *Fixture) {
			f.begin(size(100))
			_, _, err := f.Begin(f.ctx(), f.upload(size(100), owner("u2")), 100)
			f.must(err)
		}},
		{"many uploads at once never pass the quota", func(f *Fixture) {
			var wg sync.WaitGroup
			errs := make([]error, 24)
			for i := range errs {
				a := f.upload(size(10))
				wg.Go(func() { _, _, errs[i] = f.Begin(f.ctx(), a, 100) })
			}
			wg.Wait()
			through := 0
			for _, err := range errs {
				if err == nil {
					through++
				} else {
					f.refuses(err, media.TooLarge)
				}
			}
			f.want("ten went through", through == 10 && len(f.list(media.Query{AnyOwner: true})) == 10)
		}},
		{"doom gives the room back, once", func(f *Fixture) {
			a := f.begin(size(100))
			f.must(f.Doom(f.ctx(), a.ID))
			f.must(f.Forget(f.ctx(), a.ID))
			_, _, err := f.Begin(f.ctx(), f.upload(size(100)), 100)
			f.must(err)
			_, _, err = f.Begin(f.ctx(), f.upload(size(1)), 100)
			f.refuses(err, media.TooLarge)
		}},
		{"stored settles what is held to what is there", func(f *Fixture) {
			a := f.begin(deferred)
			f.must(f.Reserve(f.ctx(), a.ID, 100, 100))
			_, err := f.Stored(f.ctx(), a.ID, media.Object{Size: 30}, "", nil)
			f.must(err)
			_, _, err = f.Begin(f.ctx(), f.upload(size(70)), 100)
			f.must(err)
			_, _, err = f.Begin(f.ctx(), f.upload(size(1)), 100)
			f.refuses(err, media.TooLarge)
		}},
		{"reserve and declare ask the quota, and a refusal holds nothing", func(f *Fixture) {
			a := f.begin(deferred)
			f.must(f.Reserve(f.ctx(), a.ID, 50, 100))
			f.refuses(f.Reserve(f.ctx(), a.ID, 101, 100), media.TooLarge)
			f.refuses(f.Declare(f.ctx(), a.ID, 101, 100), media.TooLarge)
			f.want("it is still deferred", f.read(a.ID).Upload.Deferred)
			f.must(f.Declare(f.ctx(), a.ID, 100, 100))
			_, _, err := f.Begin(f.ctx(), f.upload(size(1)), 100)
			f.refuses(err, media.TooLarge)
		}},
		{"a begin repeated with its id holds its room once", func(f *Fixture) {
			a := f.upload(size(100))
			for range 2 {
				_, _, err := f.Begin(f.ctx(), a, 100)
				f.must(err)
			}
			f.must(f.Doom(f.ctx(), a.ID))
			_, _, err := f.Begin(f.ctx(), f.upload(size(100)), 100)
			f.must(err)
		}},
	}
}
