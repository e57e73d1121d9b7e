package catalogue

import (
	"context"
	"iter"

	"sluice/media"
)

// Unchecked walks assets whose place was not looked at, uploads among them that are not finished. See curation.Places.
func (c *Catalogue) Unchecked(ctx context.Context) iter.Seq2[media.Asset, error] {
	return c.walk(ctx, `a.unchecked AND a.doomed_at = 0 AND NOT a.partial`, false)
}

// Checked puts an asset whose place was looked at there, or nowhere; nil when that was done before. See curation.Places.
func (c *Catalogue) Checked(ctx context.Context, id media.AssetID, ok bool) error {
	return c.rework(ctx, Ordinary, func(w *work) error {
		seen, err := c.load(ctx, w.tx, id)
		if err != nil || !seen.Unchecked {
			return err
		}
		if err := w.lock(ctx, products(seen.Placement)...); err != nil {
			return err
		}
		s, err := w.one(ctx, id)
		if err != nil || !s.Unchecked {
			return err
		}
		if s.Placement.Subject() != seen.Placement.Subject() {
			return errAgain
		}
		if !ok || s.alike(s.Placement, media.AssetID{}) >= 0 {
			s.Placement = media.Placement{Kind: media.Generic}
		}
		s.Unchecked, s.changed = false, true
		if !s.stands() || loose(s.Placement) && len(s.places) > 0 {
			return nil
		}
		return w.put(ctx, s, spot{s.HomeID(), s.Placement})
	})
}
