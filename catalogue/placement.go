package catalogue

import (
	"context"
	"slices"
	"strings"

	"sluice/media"
)

// spot is one place of an asset: a row of a table of placements.
type spot struct {
	id media.AssetID
	media.Placement
}

// kinds gives the kinds of placement, in the order in which their tables are read.
func kinds() []media.PlacementKind {
	return []media.PlacementKind{media.ProductImage, media.CourseVideo, media.CourseResource, media.Generic}
}

// table gives the table of each kind of placement.
func table(k media.PlacementKind) string {
	switch k {
	case media.ProductImage:
		return "product_images"
	case media.CourseVideo:
		return "course_videos"
	case media.CourseResource:
		return "course_resources"
	case media.Generic:
	}
	return "media_storage"
}

// fitting leaves of a placement what its table has columns for.
func fitting(p media.Placement) media.Placement {
	f := media.Placement{Kind: p.Kind, Position: p.Position}
	switch p.Kind {
	case media.ProductImage:
		f.ProductID, f.AltText, f.MainImage = p.ProductID, p.AltText, p.MainImage
	case media.CourseVideo:
		f.CourseID, f.LessonID, f.ModuleID, f.VideoType = p.CourseID, p.LessonID, p.ModuleID, p.VideoType
	case media.CourseResource:
		f.CourseID, f.LessonID, f.ResourceName, f.ResourceType = p.CourseID, p.LessonID, p.ResourceName, p.ResourceType
	case media.Generic:
		f.Reference = p.Reference
	}
	return f
}

// alike reports whether two placements are one place: an asset stands in it once.
func alike(p, q media.Placement) bool {
	p, q = fitting(p), fitting(q)
	return p.Kind == q.Kind && p.Subject() == q.Subject() && p.LessonID == q.LessonID && p.ModuleID == q.ModuleID && p.VideoType == q.VideoType
}

// loose reports whether a placement names no entity.
func loose(p media.Placement) bool { return p.Subject().IsZero() }

// spotColumns gives the columns of a place, alike for every table p.
func spotColumns(k media.PlacementKind) string {
	own := map[string]string{}
	switch k {
	case media.ProductImage:
		own = map[string]string{"product": "p.mongo_product_id", "alt": "p.alt_text", "main": "p.is_main_image"}
	case media.CourseVideo:
		own = map[string]string{"course": "p.mongo_course_id", "lesson": "p.mongo_lesson_id", "module": "p.mongo_module_id", "video": "p.video_type"}
	case media.CourseResource:
		own = map[string]string{"course": "p.mongo_course_id", "lesson": "p.mongo_lesson_id", "name": "p.resource_name", "type": "p.resource_type"}
	case media.Generic:
		own = map[string]string{"reftype": "p.reference_type", "ref": "p.reference_id"}
	}
	list := []string{"p.id", "p.asset_id", "p.updated_at", "p.position", "'" + string(k) + "' AS kind"}
	for _, name := range []string{"product", "course", "lesson", "module", "video", "name", "type", "alt", "reftype", "ref", "main"} {
		column, has := own[name]
		switch {
		case has:
		case name == "main":
			column = "FALSE"
		default:
			column = "''"
		}
		list = append(list, column+" AS "+name)
	}
	return strings.Join(list, ", ")
}

// found is a place as it is read.
type found struct {
	spot
	asset             media.AssetID
	updated, position int64
}

// into gives where the values of spotColumns go.
func (f *found) into() []any {
	p := &f.Placement
	return []any{
		&f.id, &f.asset, &f.updated, &f.position, (*string)(&p.Kind), &p.ProductID, &p.CourseID, &p.LessonID, &p.ModuleID, (*string)(&p.VideoType),
		&p.ResourceName, (*string)(&p.ResourceType), &p.AltText, (*string)(&p.Reference.Type), &p.Reference.ID, &p.MainImage,
	}
}

// selectSpots reads places out of all tables.
func selectSpots(where string) string {
	var arms []string
	for _, k := range kinds() {
		arms = append(arms, "SELECT "+spotColumns(k)+" FROM "+table(k)+" p WHERE "+where)
	}
	return strings.Join(arms, " UNION ALL ")
}

const (
	insertProductImage = `INSERT INTO product_images (id, asset_id, storage_type, file_size, mime_type, uploaded_by, created_at, updated_at,
		position, mongo_product_id, alt_text, is_main_image) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`
	insertCourseVideo = `INSERT INTO course_videos (id, asset_id, storage_type, file_size, mime_type, uploaded_by, created_at, updated_at,
		position, mongo_course_id, mongo_lesson_id, mongo_module_id, video_type) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`
	insertCourseResource = `INSERT INTO course_resources (id, asset_id, storage_type, file_size, mime_type, uploaded_by, created_at, updated_at,
		position, mongo_course_id, mongo_lesson_id, resource_name, resource_type) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`
	insertMedia = `INSERT INTO media_storage (id, asset_id, storage_type, file_size, mime_type, uploaded_by, created_at, updated_at,
		position, reference_type, reference_id, media_type) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`
)

// insertSpot writes the row of a place.
func (w *work) insertSpot(ctx context.Context, a media.Asset, at spot) error {
	p := at.Placement
	args := make([]any, 0, 13)
	args = append(args, at.id, a.ID, string(a.StorageType), a.Size, a.MIMEType, a.Owner, micros(a.CreatedAt), micros(w.now), int64(p.Position))
	switch p.Kind {
	case media.ProductImage:
		return w.tx.Later(ctx, insertProductImage, append(args, p.ProductID, p.AltText, p.MainImage)...)
	case media.CourseVideo:
		return w.tx.Later(ctx, insertCourseVideo, append(args, p.CourseID, p.LessonID, p.ModuleID, string(p.VideoType))...)
	case media.CourseResource:
		return w.tx.Later(ctx, insertCourseResource, append(args, p.CourseID, p.LessonID, p.ResourceName, string(p.ResourceType))...)
	case media.Generic:
	}
	return w.tx.Later(ctx, insertMedia, append(args, string(p.Reference.Type), p.Reference.ID, string(a.Type))...)
}

const (
	selectMain = `SELECT id, asset_id FROM product_images WHERE mongo_product_id = $1 AND is_main_image`
	selectNext = `SELECT id, asset_id FROM product_images WHERE mongo_product_id = $1 ORDER BY position, created_at, id LIMIT 1`
	markImage  = `UPDATE product_images SET is_main_image = $2, updated_at = $3 WHERE id = $1`
	// Whether the place is the asset's home is asked when its row is locked: it may have become that a moment ago.
	markAsset = `UPDATE assets SET is_main_image = CASE WHEN COALESCE(place_id, id) = $2 THEN $3 ELSE is_main_image END, updated_at = $4,
		version = version + 1 WHERE id = $1`
)

// demote takes from a product's main image that it is one. The product must be locked.
func (w *work) demote(ctx context.Context, product string) error {
	return w.mark(ctx, selectMain, product, false)
}

// promote makes the next image of a product its main one, by position.
func (w *work) promote(ctx context.Context, product string) error {
	return w.mark(ctx, selectNext, product, true)
}

// mark changes what a query finds of a product's images. An asset that is held is changed where it is held.
func (w *work) mark(ctx context.Context, text, product string, main bool) error {
	var place, asset media.AssetID
	there, err := queryOne(ctx, w.tx, text, []any{product}, &place, &asset)
	if err != nil || !there {
		return err
	}
	if err := w.tx.Later(ctx, markImage, place, main, micros(w.now)); err != nil {
		return err
	}
	if s := w.held[asset]; s != nil {
		if i := s.find(place); i >= 0 {
			s.places[i].MainImage, s.changed = main, true
		}
		return nil
	}
	w.told = append(w.told, asset)
	return w.tx.Later(ctx, markAsset, asset, place, main, micros(w.now))
}

// lock makes writers of these entities' places take turns until the commit.
func (w *work) lock(ctx context.Context, subjects ...media.Subject) error {
	if w.c.texts.Lock == "" {
		return nil
	}
	var names []string
	for _, s := range subjects {
		if !s.IsZero() {
			names = append(names, string(s.Type)+":"+s.ID)
		}
	}
	slices.Sort(names) // one order for all
	for _, name := range slices.Compact(names) {
		if err := w.tx.Later(ctx, w.c.texts.Lock, name); err != nil {
			return err
		}
	}
	return nil
}

// products gives those of the entities that have a main image, which must be locked where a place comes or goes.
func products(placements ...media.Placement) []media.Subject {
	var list []media.Subject
	for _, p := range placements {
		if p.Kind == media.ProductImage {
			list = append(list, p.Subject())
		}
	}
	return list
}
