package catalogue

import (
	"context"

	"sluice/media"
)

// Shelf is the Catalogue as curation sees it: Doom there names the version it has seen.
type Shelf struct{ *Catalogue }

// Shelf gives the view for curation.
func (c *Catalogue) Shelf() Shelf { return Shelf{c} }

// Doom hides a row from every read when its Version is version; 0 is any.
func (s Shelf) Doom(ctx context.Context, id media.AssetID, version int64) error {
	return s.doom(ctx, id, version)
}

// Add writes a row for media kept elsewhere, in state ready. The id is made here when there is none. See curation.Shelf.
func (c *Catalogue) Add(ctx context.Context, a media.Asset) (media.Asset, error) {
	if a.ID.IsZero() {
		a.ID = media.NewAssetID(c.now())
	}
	a.State = media.Ready
	row, _, err := c.Begin(ctx, a, 0)
	return row, err
}

const change = `UPDATE assets SET title = $3, filename = $4, is_public = $5, kind = $6, product_id = $7, course_id = $8, lesson_id = $9,
	module_id = $10, video_type = $11, resource_name = $12, resource_type = $13, alt_text = $14, is_main_image = $15, position = $16,
	reference_type = $17, reference_id = $18, updated_at = $19, version = version + 1 WHERE id = $1 AND version = $2 AND doomed_at = 0`

// Change changes a row whose Version is version. See curation.Shelf.
func (c *Catalogue) Change(ctx context.Context, id media.AssetID, version int64, ch media.Change) (media.Asset, error) {
	var r row
	var also []media.AssetID
	err := c.write(ctx, Ordinary, func(tx Tx) error {
		var err error
		if r, err = c.load(ctx, tx, id); err != nil {
			return err
		}
		if r.Version != version {
			return stale()
		}
		before := r.Asset
		if err := apply(&r.Asset, ch); err != nil {
			return err
		}
		r.Version, r.UpdatedAt = r.Version+1, c.stamp()
		if err := c.lockProducts(ctx, tx, before.Placement, r.Placement); err != nil {
			return err
		}
		p := r.Placement
		err = c.swap(ctx, tx, change, id, version, r.Title, r.Filename, r.Public, string(p.Kind), p.ProductID, p.CourseID, p.LessonID,
			p.ModuleID, string(p.VideoType), p.ResourceName, string(p.ResourceType), p.AltText, p.MainImage, int64(p.Position),
			string(p.Reference.Type), p.Reference.ID, micros(r.UpdatedAt))
		if err != nil {
			return err
		}
		also, err = c.replace(ctx, tx, before, r.Asset)
		return err
	})
	if err != nil {
		return media.Asset{}, err
	}
	c.tell(also...)
	c.tell(id)
	return r.Asset, nil
}

func apply(a *media.Asset, ch media.Change) error {
	if ch.Title != nil {
		a.Title = *ch.Title
	}
	if ch.Filename != nil {
		a.Filename = *ch.Filename
	}
	if ch.Public != nil {
		a.Public = *ch.Public
	}
	if ch.Placement != nil {
		a.Placement = *ch.Placement
		if a.Placement.Kind == "" {
			a.Placement.Kind = media.Generic
		}
		if err := checkPlacement(a.Placement); err != nil {
			return err
		}
	}
	return checkAsset(*a)
}

// replace moves an asset from where it belonged to where it belongs now.
func (c *Catalogue) replace(ctx context.Context, tx Tx, before, a media.Asset) ([]media.AssetID, error) {
	if before.Placement == a.Placement || !a.State.Finished() || a.Upload.Partial {
		return nil, nil
	}
	promoted, err := []media.AssetID(nil), error(nil)
	if before.Placement.Kind == a.Placement.Kind && before.Placement.ProductID == a.Placement.ProductID && before.Placement.MainImage == a.Placement.MainImage {
		err = tx.Later(ctx, `DELETE FROM `+table(a.Placement.Kind)+` WHERE asset_id = $1`, a.ID)
	} else {
		promoted, err = c.displace(ctx, tx, before)
	}
	if err != nil {
		return nil, err
	}
	demoted, err := c.place(ctx, tx, a)
	return append(promoted, demoted...), err
}

const revoke = `UPDATE assets SET epoch = epoch + 1, version = version + 1, updated_at = $2 WHERE id = $1 AND doomed_at = 0`

// Revoke moves the token epoch on. See curation.Shelf.
func (c *Catalogue) Revoke(ctx context.Context, id media.AssetID) (media.Asset, error) {
	var r row
	err := c.write(ctx, Ordinary, func(tx Tx) error {
		if _, err := tx.Exec(ctx, revoke, id, micros(c.stamp())); err != nil {
			return err
		}
		var err error
		r, err = c.load(ctx, tx, id)
		return err
	})
	if err != nil {
		return media.Asset{}, err
	}
	c.tell(id)
	return r.Asset, nil
}

// Doom hides a row from every read and gives back what it held of the quota; its bytes can then go. media.NotFound when it is missing or
// doomed before. See uploads.Ledger.
func (c *Catalogue) Doom(ctx context.Context, id media.AssetID) error { return c.doom(ctx, id, 0) }

const doom = `UPDATE assets SET doomed_at = $2, updated_at = $2, join_key = NULL, version = version + 1
	WHERE id = $1 AND version = $3 AND reserved_bytes = $4 AND doomed_at = 0`

func (c *Catalogue) doom(ctx context.Context, id media.AssetID, version int64) error {
	var also []media.AssetID
	err := c.write(ctx, Freeing, func(tx Tx) error {
		r, err := c.load(ctx, tx, id)
		if err != nil {
			return err
		}
		if version != 0 && r.Version != version {
			return stale()
		}
		if err := c.lockProducts(ctx, tx, r.Placement); err != nil {
			return err
		}
		if err := c.swap(ctx, tx, doom, id, micros(c.stamp()), r.Version, r.reserved); err != nil {
			return err
		}
		if err := c.reserve(ctx, tx, r.Asset, -r.reserved, 0); err != nil {
			return err
		}
		also, err = c.displace(ctx, tx, r.Asset)
		return err
	})
	if err == nil {
		c.tell(also...)
		c.tell(id)
	}
	return err
}

const forget = `DELETE FROM assets WHERE id = $1 AND doomed_at <> 0`

// Forget removes a doomed row; nil when it has gone before. A row that is not doomed is media.Conflict: its bytes may still be wanted.
func (c *Catalogue) Forget(ctx context.Context, id media.AssetID) error {
	return c.write(ctx, Freeing, func(tx Tx) error {
		n, err := tx.Exec(ctx, forget, id)
		if err != nil || n > 0 {
			return err
		}
		var there media.AssetID
		found, err := queryOne(ctx, tx, `SELECT id FROM assets WHERE id = $1`, []any{id}, &there)
		if err == nil && found {
			return media.Errorf(media.Conflict, "the media must be doomed before it is forgotten")
		}
		return err
	})
}

func stale() error {
	return &media.Error{Kind: media.PreconditionFailed, Detail: "the media was changed meanwhile: read it again"}
}
