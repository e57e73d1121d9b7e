package catalogue

import (
	"context"
	"slices"
	"strings"

	"sluice/internal/crash"
	"sluice/media"
)

// Remove takes away a place. See curation.Places. An asset that goes on being kept for the sake of a place removed before is not the last.
func (c *Catalogue) Remove(ctx context.Context, kind media.PlacementKind, id media.AssetID, version int64, t media.Trashed) (a media.Asset, last bool, err error) {
	if err := checkTexts("by", t.By, "type", string(t.Of.Type), "id", t.Of.ID); err != nil {
		return media.Asset{}, false, err
	}
	err = c.rework(ctx, Freeing, func(w *work) error {
		last = false
		s, i, err := w.holdPlace(ctx, kind, id, media.AssetID{})
		if err != nil {
			return err
		}
		if version != 0 && s.Version != version {
			return stale()
		}
		if err := w.discard(ctx, s, s.places[i], t); err != nil {
			return err
		}
		if err := w.take(ctx, s, i); err != nil {
			return err
		}
		kept := false
		if s.ends() {
			if kept, err = w.end(ctx, s, t); err != nil {
				return err
			}
			last = !kept || !t.Until.IsZero()
		} else if err := w.save(ctx, s); err != nil {
			return err
		}
		a = s.Asset
		crash.At("lms: remove before commit")
		return nil
	})
	if err != nil {
		return media.Asset{}, false, err
	}
	crash.At("lms: remove after commit")
	return a, last, nil
}

// ends reports whether nothing is left of an asset: no place, and none that it waits for.
func (s *standing) ends() bool { return len(s.places) == 0 && !s.Unchecked }

// end dooms an asset that has lost its last place, and tells whether the trash keeps it.
func (w *work) end(ctx context.Context, s *standing, t media.Trashed) (kept bool, err error) {
	kept = !t.Until.IsZero()
	if !kept {
		wanted, err := w.wanted(ctx, s.ID)
		if err != nil {
			return false, err
		}
		kept = wanted[s.ID]
	}
	return kept, w.doom(ctx, s, kept)
}

// RemoveAll takes away every place of an entity: of a product its images, of a course its videos and resources, and of any the media that
// refer to it. See curation.Places.
func (c *Catalogue) RemoveAll(ctx context.Context, of media.Subject, intent string, t media.Trashed) (gone []media.Asset, err error) {
	if of.ID == "" || of.Type == "" {
		return nil, &media.Error{Kind: media.Invalid, Code: "no_entity", Detail: "whose places are to go is not named"}
	}
	if t.Of.IsZero() {
		t.Of = of
	}
	if err := checkTexts("type", string(of.Type), "id", of.ID, "by", t.By, "type", string(t.Of.Type), "id", t.Of.ID, "intent", intent); err != nil {
		return nil, err
	}
	err = c.rework(ctx, Freeing, func(w *work) error {
		gone = nil
		if err := w.lock(ctx, of); err != nil {
			return err
		}
		ids, err := w.standingAt(ctx, of)
		if err != nil {
			return err
		}
		if err := w.hold(ctx, ids...); err != nil {
			return err
		}
		if gone, err = w.clear(ctx, of, t); err != nil {
			return err
		}
		if intent != "" {
			err = w.tx.Later(ctx, endIntent, intent)
		}
		crash.At("lms: remove all before commit")
		return err
	})
	if err != nil {
		return nil, err
	}
	crash.At("lms: remove all after commit")
	return gone, nil
}

// standingAt gives the assets that have a place of an entity.
func (w *work) standingAt(ctx context.Context, of media.Subject) ([]media.AssetID, error) {
	arms := []string{`SELECT asset_id FROM media_storage WHERE reference_id = $1 AND reference_id <> '' AND reference_type = $2`}
	switch of.Type { //nolint:exhaustive // to all others media only refer
	case media.Product:
		arms = append(arms, `SELECT asset_id FROM product_images WHERE mongo_product_id = $1`)
	case media.Course:
		arms = append(arms, `SELECT asset_id FROM course_videos WHERE mongo_course_id = $1`,
			`SELECT asset_id FROM course_resources WHERE mongo_course_id = $1`)
	}
	return readAll(ctx, w.tx, strings.Join(arms, " UNION "), []any{of.ID, string(of.Type)}, scanID)
}

// clear takes away what is held of an entity's places, and gives the assets that are doomed and not kept. No image of a product is promoted
// meanwhile: all of them go.
func (w *work) clear(ctx context.Context, of media.Subject, t media.Trashed) (gone []media.Asset, err error) {
	wanted := map[media.AssetID]bool{}
	if t.Until.IsZero() {
		ids := make([]media.AssetID, 0, len(w.held))
		for id := range w.held {
			ids = append(ids, id)
		}
		if wanted, err = w.wanted(ctx, ids...); err != nil {
			return nil, err
		}
	}
	for _, s := range w.held {
		for i := len(s.places) - 1; i >= 0; i-- {
			if s.places[i].Subject() != of {
				continue
			}
			if err := w.discard(ctx, s, s.places[i], t); err != nil {
				return nil, err
			}
			if err := w.drop(ctx, s, i); err != nil {
				return nil, err
			}
		}
		if !s.changed || !s.ends() {
			continue
		}
		kept := !t.Until.IsZero() || wanted[s.ID]
		if err := w.doom(ctx, s, kept); err != nil {
			return nil, err
		}
		if !kept {
			gone = append(gone, s.Asset)
		}
	}
	slices.SortFunc(gone, func(x, y media.Asset) int { return compareIDs(x.ID, y.ID) })
	return gone, nil
}

// Doom hides a row from every read and gives back what it held of the quota; its bytes can then go, whatever the trash has of it.
// media.NotFound when it is missing or doomed before, media.Conflict when it lies in the trash. See uploads.Ledger.
func (c *Catalogue) Doom(ctx context.Context, id media.AssetID) error { return c.doom(ctx, id, 0) }

func (c *Catalogue) doom(ctx context.Context, id media.AssetID, version int64) error {
	return c.rework(ctx, Freeing, func(w *work) error {
		seen, err := c.load(ctx, w.tx, id)
		if err != nil {
			return c.inTrash(ctx, w.tx, id, err)
		}
		subjects := imaged(seen.Asset)
		if err := w.lock(ctx, subjects...); err != nil {
			return err
		}
		s, err := w.one(ctx, id)
		if err != nil {
			return err
		}
		if version != 0 && s.Version != version {
			return stale()
		}
		for _, of := range imaged(s.Asset) {
			if !slices.Contains(subjects, of) {
				return errAgain // it came to a product that is not locked
			}
		}
		return w.destroy(ctx, s)
	})
}

// imaged gives the products among the entities an asset belongs to.
func imaged(a media.Asset) []media.Subject {
	return slices.DeleteFunc(append(slices.Clone(a.Also), a.Placement.Subject()), func(s media.Subject) bool { return s.Type != media.Product })
}

// destroy dooms an asset with all its places, those in the trash too.
func (w *work) destroy(ctx context.Context, s *standing) error {
	for i := len(s.places) - 1; i >= 0; i-- {
		if err := w.take(ctx, s, i); err != nil {
			return err
		}
	}
	if err := w.tx.Later(ctx, dropTrash, s.ID); err != nil {
		return err
	}
	return w.doom(ctx, s, false)
}

// inTrash says of what is not found that it lies in the trash: whoever takes not found for gone must leave its bytes alone.
func (c *Catalogue) inTrash(ctx context.Context, q Querier, id media.AssetID, err error) error {
	var there media.AssetID
	found, qerr := queryOne(ctx, q, `SELECT id FROM assets WHERE id = $1 AND kept`, []any{id}, &there)
	if qerr != nil {
		return qerr
	}
	if found {
		return &media.Error{Kind: media.Conflict, Code: "in_trash", Detail: "the media lies in the trash"}
	}
	return err
}
