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

// Change changes a row whose Version is version, and with its placement its home. See curation.Shelf.
func (c *Catalogue) Change(ctx context.Context, id media.AssetID, version int64, ch media.Change) (media.Asset, error) {
	var after media.Asset
	err := c.rework(ctx, Ordinary, func(w *work) error {
		seen, err := c.load(ctx, w.tx, id)
		if err != nil {
			return err
		}
		if seen.Version != version {
			return stale()
		}
		to := seen.Asset
		if err := apply(&to, ch); err != nil {
			return err
		}
		if err := w.lock(ctx, products(seen.Placement, to.Placement)...); err != nil {
			return err
		}
		s, err := w.one(ctx, id)
		if err != nil {
			return err
		}
		if s.Version != version {
			return stale()
		}
		s.Title, s.Filename, s.Public, s.changed = to.Title, to.Filename, to.Public, true
		if s.Placement != to.Placement {
			if err := w.rehome(ctx, s, to.Placement); err != nil {
				return err
			}
		}
		if err := w.save(ctx, s); err != nil {
			return err
		}
		after = s.Asset
		return nil
	})
	return after, err
}

// rehome moves an asset's home. Who names a place for one that waits to be looked at has looked. One that is to belong nowhere there, and
// has further places, has the oldest of those for its home.
func (w *work) rehome(ctx context.Context, s *standing, p media.Placement) error {
	home := s.find(s.HomeID())
	further := len(s.places) > 1 || home < 0 && len(s.places) > 0
	s.Placement, s.Unchecked = p, false
	switch {
	case !s.stands() || home < 0 && loose(p) && further:
		return nil
	case home >= 0 && loose(p) && further:
		return w.take(ctx, s, home)
	case home >= 0:
		return w.move(ctx, s, home, p)
	case s.alike(p, media.AssetID{}) >= 0:
		return standsThere()
	}
	return w.put(ctx, s, spot{s.HomeID(), p})
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

const forget = `DELETE FROM assets WHERE id = $1 AND doomed_at <> 0 AND NOT kept`

// Forget removes a doomed row; nil when it has gone before. A row that is not doomed, or is kept by the trash, is media.Conflict: its bytes
// may still be wanted.
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
