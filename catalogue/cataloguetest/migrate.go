package cataloguetest

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/catalogue"
	"sluice/media"
)

// Schema moves the schema of the catalogue that open opens, without changing it, to a version.
type Schema func(ctx context.Context, version int64) error

// beforePlaces is the last schema in which an asset had one place, under its own id.
const beforePlaces = 3

// Migrations checks that what was written before places had ids is found after, and that the way back keeps of each asset its home.
func Migrations(t *testing.T, open Open, to Schema, exec func(ctx context.Context, text string) error) {
	t.Helper()
	f := &Fixture{TB: t}
	f.clock.Store(time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC).UnixNano())
	f.must(to(f.ctx(), beforePlaces))
	for _, text := range old() {
		f.must(exec(f.ctx(), text))
	}
	f.must(to(f.ctx(), beforePlaces+1))
	f.Catalogue = open(t, catalogue.Options{Now: f.now, SkipMigrate: true})
	images, videos := f.places(imagesOf(1)), f.places(videosOf(1))
	f.want("the old places are there, under the ids of their assets", len(images) == 2 && len(videos) == 1 && images[0].Home() && images[0].ID == images[0].Asset.ID &&
		images[0].Placement.MainImage && videos[0].Placement.VideoType == media.IntroVideo)
	f.sound(imagesOf(1), videosOf(1))
	f.want("what was doomed is", len(f.doomed()) == 1)

	moved := f.attach(existing(images[0].Asset.ID, videoOf(2, 1)))[0]
	f.remove(media.ProductImage, images[0].ID, f.binned("ann"))
	further := f.attach(existing(images[1].Asset.ID, videoOf(1, 1)))[0]
	f.remove(media.CourseVideo, videos[0].ID, f.binned("ann"))
	waits := f.stored(unchecked, image(entity(3), true, 0))
	f.intend("i", time.Hour)

	f.must(to(f.ctx(), beforePlaces))
	f.must(to(f.ctx(), beforePlaces+1))
	f.want("homes stay, under the ids of their assets", cmp.Equal(placeIDs(f.places(videosOf(2))), []media.AssetID{moved.Asset.ID}) &&
		cmp.Equal(placeIDs(f.places(imagesOf(1))), []media.AssetID{images[1].ID}))
	f.want("further places do not", len(f.places(videosOf(1))) == 0 && f.read(further.Asset.ID).Also == nil)
	f.want("what waited belongs nowhere", f.read(waits.ID).Placement == media.Placement{Kind: media.Generic} &&
		cmp.Equal(ids(f.list(media.Query{AnyOwner: true, Placement: media.Placement{Kind: media.Generic}})), []media.AssetID{waits.ID}))
	f.want("what lay in the trash is doomed, and nothing is left there", len(f.doomed()) == 2 && len(f.trash("")) == 0 && len(f.intents()) == 0)
	f.room("u1", 1000, 1000-2*100-100) // two homes, and what waited
	f.sound(imagesOf(1), videosOf(2))
}

// old are rows of four assets of 100 bytes, one of them doomed, as they were written before places had ids.
func old() []string {
	const asset = `INSERT INTO assets (id, state, owner, size, media_type, storage_type, kind, product_id, course_id, video_type, is_main_image, metadata, parts,
		created_at, updated_at, stored_at, reserved_bytes, doomed_at) VALUES `
	const rest = `, '', '', 1, 1, 1, 100, `
	id := func(n string) string { return `'0190000000007000800000000000000` + n + `'` }
	e := `'` + entity(1) + `'`
	return []string{
		asset + `(` + id("1") + `, 'ready', 'u1', 100, 'image', 'local', 'product-image', ` + e + `, '', '', TRUE` + rest + `0)`,
		asset + `(` + id("2") + `, 'ready', 'u1', 100, 'image', 'local', 'product-image', ` + e + `, '', '', FALSE` + rest + `0)`,
		asset + `(` + id("3") + `, 'ready', 'u1', 100, 'video', 'local', 'course-video', '', ` + e + `, 'intro', FALSE` + rest + `0)`,
		asset + `(` + id("4") + `, 'ready', 'u1', 100, 'video', 'local', 'media', '', '', '', FALSE` + rest + `5)`,
		`INSERT INTO product_images (asset_id, mongo_product_id, alt_text, is_main_image, position, storage_type, file_size, mime_type, uploaded_by, created_at, updated_at)
			SELECT id, product_id, '', is_main_image, 0, storage_type, size, mime_type, owner, created_at, updated_at FROM assets WHERE kind = 'product-image'`,
		`INSERT INTO course_videos (asset_id, mongo_course_id, mongo_lesson_id, mongo_module_id, video_type, position, storage_type, file_size, mime_type, uploaded_by,
			created_at, updated_at) SELECT id, course_id, '', '', video_type, 0, storage_type, size, mime_type, owner, created_at, updated_at FROM assets WHERE kind = 'course-video'`,
		`INSERT INTO owners (owner, lane, used_bytes) VALUES ('u1', 3, 300)`,
	}
}
