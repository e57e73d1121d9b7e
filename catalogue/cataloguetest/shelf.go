package cataloguetest

import (
	"sync"

	"github.com/google/go-cmp/cmp"

	"sluice/media"
)

func (f *Fixture) mains(product string) (main []media.AssetID) {
	f.Helper()
	for _, a := range f.list(media.Query{AnyOwner: true, Placement: media.Placement{ProductID: product}}) {
		if a.Placement.MainImage {
			main = append(main, a.ID)
		}
	}
	return main
}

func (f *Fixture) wantMain(product string, want ...media.AssetID) {
	f.Helper()
	if d := cmp.Diff(want, f.mains(product)); d != "" {
		f.Fatal("main images: " + d)
	}
}

func placements() []Promise {
	return []Promise{
		{"what is not stored belongs nowhere yet", func(f *Fixture) {
			f.begin(image(entity(1), true, 0))
			f.want("the product has none", len(f.list(media.Query{AnyOwner: true, Placement: media.Placement{ProductID: entity(1)}})) == 0)
		}},
		{"a partial upload belongs nowhere and is never listed", func(f *Fixture) {
			f.stored(partial, image(entity(1), true, 0))
			f.want("no list has it", len(f.list(media.Query{AnyOwner: true})) == 0)
			f.wantMain(entity(1))
		}},
		{"a new main image takes the place of the old one", func(f *Fixture) {
			a := f.stored(image(entity(1), true, 0))
			other := f.stored(image(entity(2), true, 0))
			b := f.stored(image(entity(1), true, 0))
			f.wantMain(entity(1), b.ID)
			f.wantMain(entity(2), other.ID)
			got := f.read(a.ID)
			f.want("the old one knows", !got.Placement.MainImage && got.Version == a.Version+1)
		}},
		{"deleting the main image promotes the next by position", func(f *Fixture) {
			a := f.stored(image(entity(1), true, 0))
			f.stored(image(entity(1), false, 9))
			b := f.stored(image(entity(1), false, 3))
			f.must(f.Doom(f.ctx(), a.ID))
			f.wantMain(entity(1), b.ID)
			f.must(f.Doom(f.ctx(), b.ID))
			f.want("one is left and main", len(f.mains(entity(1))) == 1)
		}},
		{"many main images at once leave one", func(f *Fixture) {
			var wg sync.WaitGroup
			errs := make([]error, 8)
			for i := range errs {
				a := f.begin(image(entity(1), true, 0))
				wg.Go(func() { _, errs[i] = f.Stored(f.ctx(), a.ID, media.Object{Size: 100}, "", nil) })
			}
			wg.Wait()
			for _, err := range errs {
				f.must(err)
			}
			f.want("there is one", len(f.mains(entity(1))) == 1)
		}},
		{"moving a main image to another product leaves both with one", func(f *Fixture) {
			a, b, c := f.stored(image(entity(1), true, 0)), f.stored(image(entity(1), false, 0)), f.stored(image(entity(2), true, 0))
			p := a.Placement
			p.ProductID = entity(2)
			_, err := f.Change(f.ctx(), a.ID, a.Version, media.Change{Placement: &p})
			f.must(err)
			f.wantMain(entity(1), b.ID)
			f.wantMain(entity(2), a.ID)
			f.want("the other was demoted", !f.read(c.ID).Placement.MainImage)
		}},
		{"a placement of another kind moves the asset to its table", func(f *Fixture) {
			a := f.stored(image(entity(1), false, 0))
			p := media.Placement{Kind: media.CourseResource, CourseID: entity(2), ResourceType: media.ResourcePDF, ResourceName: "n"}
			_, err := f.Change(f.ctx(), a.ID, a.Version, media.Change{Placement: &p})
			f.must(err)
			f.want("not there", len(f.list(media.Query{AnyOwner: true, Placement: media.Placement{ProductID: entity(1)}})) == 0)
			f.want("but here", len(f.list(media.Query{AnyOwner: true, Placement: media.Placement{CourseID: entity(2)}})) == 1)
		}},
	}
}

func shelf() []Promise {
	return []Promise{
		{"change changes what it names, and the version moves on", func(f *Fixture) {
			a := f.stored()
			title, public := "T", true
			got, err := f.Change(f.ctx(), a.ID, a.Version, media.Change{Title: &title, Public: &public})
			f.must(err)
			f.want("it says so", got.Title == "T" && got.Public && got.Filename == a.Filename && got.Version == a.Version+1)
			if d := cmp.Diff(got, f.read(a.ID)); d != "" {
				f.Fatal(d)
			}
		}},
		{"change and doom of a stale version are refused", func(f *Fixture) {
			a := f.stored()
			_, err := f.Change(f.ctx(), a.ID, a.Version-1, media.Change{})
			f.refuses(err, media.PreconditionFailed)
			f.refuses(f.Shelf().Doom(f.ctx(), a.ID, a.Version-1), media.PreconditionFailed)
			f.must(f.Shelf().Doom(f.ctx(), a.ID, a.Version))
			_, err = f.Change(f.ctx(), a.ID, a.Version, media.Change{})
			f.refuses(err, media.NotFound)
		}},
		{"of many changes of one version one is done", func(f *Fixture) {
			a := f.stored()
			var wg sync.WaitGroup
			errs := make([]error, 8)
			for i := range errs {
				wg.Go(func() { _, errs[i] = f.Change(f.ctx(), a.ID, a.Version, media.Change{Title: new("t")}) })
			}
			wg.Wait()
			done := 0
			for _, err := range errs {
				if err == nil {
					done++
				} else {
					f.refuses(err, media.PreconditionFailed)
				}
			}
			f.want("it is one", done == 1 && f.read(a.ID).Version == a.Version+1)
		}},
		{"revoke moves the epoch on", func(f *Fixture) {
			a := f.stored()
			got, err := f.Revoke(f.ctx(), a.ID)
			f.must(err)
			f.want("by one", got.Epoch == a.Epoch+1 && f.read(a.ID).Epoch == a.Epoch+1)
			_, err = f.Revoke(f.ctx(), media.NewAssetID(f.now()))
			f.refuses(err, media.NotFound)
		}},
		{"add writes a ready row with an id of its own", func(f *Fixture) {
			got, err := f.Add(f.ctx(), media.Asset{
				Owner: "u1", StorageType: media.Cloud, ExternalURL: "https://x.example/v", MIMEType: "video/mp4",
				Placement: media.Placement{Kind: media.Generic, Reference: media.Subject{Type: media.User, ID: entity(1)}},
			})
			f.must(err)
			f.want("it is ready", got.State == media.Ready && !got.ID.IsZero() && got.Type == media.Video)
			f.want("it is listed", len(f.list(media.Query{Owner: "u1", Reference: media.Subject{ID: entity(1)}})) == 1)
		}},
	}
}
