package catalogue

import (
	"context"
	"slices"

	"sluice/media"
)

// tables gives the table of each kind of placement.
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

const (
	insertProductImage = `INSERT INTO product_images (asset_id, storage_type, file_size, mime_type, uploaded_by, created_at, updated_at,
		position, mongo_product_id, alt_text, is_main_image) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`
	insertCourseVideo = `INSERT INTO course_videos (asset_id, storage_type, file_size, mime_type, uploaded_by, created_at, updated_at,
		position, mongo_course_id, mongo_lesson_id, mongo_module_id, video_type) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`
	insertCourseResource = `INSERT INTO course_resources (asset_id, storage_type, file_size, mime_type, uploaded_by, created_at, updated_at,
		position, mongo_course_id, mongo_lesson_id, resource_name, resource_type) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`
	insertMedia = `INSERT INTO media_storage (asset_id, storage_type, file_size, mime_type, uploaded_by, created_at, updated_at,
		position, reference_type, reference_id, media_type) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`
)

// place writes where an asset belongs. A new main image takes the place of the old one, whose id is answered. The product must be locked.
func (c *Catalogue) place(ctx context.Context, tx Tx, a media.Asset) (demoted []media.AssetID, err error) {
	p := a.Placement
	args := make([]any, 0, 12)
	args = append(args, a.ID, string(a.StorageType), a.Size, a.MIMEType, a.Owner, micros(a.CreatedAt), micros(a.UpdatedAt), int64(p.Position))
	switch p.Kind {
	case media.ProductImage:
		if p.MainImage {
			if demoted, err = c.demote(ctx, tx, a); err != nil {
				return nil, err
			}
		}
		return demoted, tx.Later(ctx, insertProductImage, append(args, p.ProductID, p.AltText, p.MainImage)...)
	case media.CourseVideo:
		return nil, tx.Later(ctx, insertCourseVideo, append(args, p.CourseID, p.LessonID, p.ModuleID, string(p.VideoType))...)
	case media.CourseResource:
		return nil, tx.Later(ctx, insertCourseResource, append(args, p.CourseID, p.LessonID, p.ResourceName, string(p.ResourceType))...)
	case media.Generic:
	}
	return nil, tx.Later(ctx, insertMedia, append(args, string(p.Reference.Type), p.Reference.ID, string(a.Type))...)
}

// displace removes where an asset belonged. When it was its product's main image the next one takes its place and is answered.
func (c *Catalogue) displace(ctx context.Context, tx Tx, a media.Asset) (promoted []media.AssetID, err error) {
	if !a.State.Finished() || a.Upload.Partial {
		return nil, nil
	}
	err = tx.Later(ctx, `DELETE FROM `+table(a.Placement.Kind)+` WHERE asset_id = $1`, a.ID)
	if err != nil || a.Placement.Kind != media.ProductImage || !a.Placement.MainImage {
		return nil, err
	}
	return c.promote(ctx, tx, a)
}

const (
	selectMain = `SELECT asset_id FROM product_images WHERE mongo_product_id = $1 AND is_main_image`
	selectNext = `SELECT asset_id FROM product_images WHERE mongo_product_id = $1 AND asset_id <> $2 ORDER BY position, created_at, asset_id LIMIT 1`
	markImage  = `UPDATE product_images SET is_main_image = $2, updated_at = $3 WHERE asset_id = $1`
	markAsset  = `UPDATE assets SET is_main_image = $2, updated_at = $3, version = version + 1 WHERE id = $1`
)

func (c *Catalogue) demote(ctx context.Context, tx Tx, a media.Asset) ([]media.AssetID, error) {
	var old media.AssetID
	found, err := queryOne(ctx, tx, selectMain, []any{a.Placement.ProductID}, &old)
	if err != nil || !found {
		return nil, err
	}
	return []media.AssetID{old}, c.mark(ctx, tx, old, false)
}

func (c *Catalogue) promote(ctx context.Context, tx Tx, a media.Asset) ([]media.AssetID, error) {
	var next media.AssetID
	found, err := queryOne(ctx, tx, selectNext, []any{a.Placement.ProductID, a.ID}, &next)
	if err != nil || !found {
		return nil, err
	}
	return []media.AssetID{next}, c.mark(ctx, tx, next, true)
}

func (c *Catalogue) mark(ctx context.Context, tx Tx, id media.AssetID, main bool) error {
	now := micros(c.stamp())
	if err := tx.Later(ctx, markImage, id, main, now); err != nil {
		return err
	}
	return tx.Later(ctx, markAsset, id, main, now)
}

// lockProducts makes writers of one product's images take turns, so that two new main images do not meet in the unique index.
func (c *Catalogue) lockProducts(ctx context.Context, tx Tx, placements ...media.Placement) error {
	if c.texts.Lock == "" {
		return nil
	}
	var names []string
	for _, p := range placements {
		if p.Kind == media.ProductImage {
			names = append(names, "product:"+p.ProductID)
		}
	}
	slices.Sort(names) // one order for all
	for _, name := range slices.Compact(names) {
		if err := tx.Later(ctx, c.texts.Lock, name); err != nil {
			return err
		}
	}
	return nil
}
