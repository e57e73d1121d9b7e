package catalogue

import (
	"context"
	"errors"
	"fmt"

	"sluice/internal/crash"
	"sluice/media"
)

// Begin writes the row of a new upload before its bytes come, or of a stored one whose bytes came with its creation: then also where it
// belongs. A repeated Begin with the same id and owner, after an answer that was lost, gives the row that is there. See uploads.Ledger.
func (c *Catalogue) Begin(ctx context.Context, a media.Asset, quota int64) (media.Asset, bool, error) {
	if a.State != media.Uploading && !a.State.Finished() {
		return media.Asset{}, false, media.Errorf(media.Invalid, "an upload cannot begin as %q", string(a.State))
	}
	r, err := c.fresh(a)
	if err != nil {
		return media.Asset{}, false, err
	}
	if a.Upload.Final { // rare, and an earlier row must not be refused for want of quota
		if earlier, existed, err := c.refused(ctx, r, nil); err != nil || existed {
			return earlier, existed, err
		}
	}
	demoted, err := c.insert(ctx, r, quota)
	if errors.Is(err, ErrUnique) || errors.Is(err, media.TooLarge) {
		return c.refused(ctx, r, err)
	}
	if err != nil {
		return media.Asset{}, false, err
	}
	crash.At("catalogue: begin after commit")
	c.tell(demoted...)
	c.tell(r.ID)
	return r.Asset, false, nil
}

// refused gives the earlier row that an insert met, or why there is none.
func (c *Catalogue) refused(ctx context.Context, r *row, why error) (media.Asset, bool, error) {
	earlier, existed, err := c.begun(ctx, r.Asset)
	if err != nil || !earlier.ID.IsZero() {
		return earlier, existed, err
	}
	return media.Asset{}, false, why
}

// fresh makes the row of an asset that is new here. It is a pointer, as a thousand callers may wait for their commit with it on the stack.
func (c *Catalogue) fresh(a media.Asset) (*row, error) {
	if err := errors.Join(checkAsset(a), checkPlacement(a.Placement)); err != nil {
		return nil, err
	}
	now := c.stamp()
	a.Version = max(a.Version, 1)
	if a.CreatedAt.IsZero() {
		a.CreatedAt = now
	}
	a.CreatedAt, a.UpdatedAt, a.Upload.ExpiresAt = keep(a.CreatedAt), now, keep(a.Upload.ExpiresAt)
	a.StoredAt = keep(a.StoredAt)
	if a.State.Finished() && a.StoredAt.IsZero() {
		a.StoredAt = now
	}
	a.AccessCount, a.BytesServed = 0, 0
	a.ContentID, a.PlaceID, a.Also = media.AssetID{}, media.AssetID{}, nil
	a.LastAccessedAt = moment(0)
	if a.Type == "" {
		a.Type = media.TypeOf(a.MIMEType)
	}
	if a.Placement.Kind == "" {
		a.Placement.Kind = media.Generic
	}
	return &row{Asset: a, reserved: max(a.Size, 0)}, nil
}

const insertGrant = `INSERT INTO grants (grant_id, asset_id, used_at) VALUES ($1, $2, $3)`

// insert writes a new row, and where it belongs when its bytes are there. It answers the assets whose row changed along.
func (c *Catalogue) insert(ctx context.Context, r *row, quota int64) (also []media.AssetID, err error) {
	err = c.write(ctx, Ordinary, func(tx Tx) error {
		also = also[:0]
		w, s := c.work(tx), &standing{row: *r}
		if s.stands() {
			if err := w.lock(ctx, products(r.Placement)...); err != nil {
				return err
			}
		}
		if err := c.reserve(ctx, tx, r.Asset, r.reserved, quota); err != nil {
			return err
		}
		if err := tx.Later(ctx, insertAsset, r.values()...); err != nil {
			return err
		}
		if r.Upload.GrantID != "" {
			if err := tx.Later(ctx, insertGrant, r.Upload.GrantID, r.ID, micros(r.CreatedAt)); err != nil {
				return err
			}
		}
		if s.stands() {
			if err := w.put(ctx, s, spot{r.HomeID(), r.Placement}); err != nil {
				return err
			}
		}
		also = w.told
		crash.At("catalogue: begin before commit")
		return nil
	})
	return also, err
}

const (
	selectJoined = `SELECT ` + columns + ` FROM assets a WHERE a.join_key = $1 AND a.doomed_at = 0`
	selectGrant  = `SELECT asset_id FROM grants WHERE grant_id = $1`
)

// begun looks for the row that stands in the way of a new one. None: the zero Asset.
func (c *Catalogue) begun(ctx context.Context, a media.Asset) (earlier media.Asset, existed bool, err error) {
	err = c.engine.Read(ctx, func(q Querier) error {
		earlier, existed = media.Asset{}, false
		same, err := c.load(ctx, q, a.ID)
		if err == nil && same.Owner == a.Owner {
			earlier = same.Asset
			return nil
		}
		if err != nil && !errors.Is(err, media.NotFound) {
			return err
		}
		if key := joinKey(a); key != nil {
			found, err := c.loadRows(ctx, q, 1, selectJoined, key)
			if err != nil {
				return err
			}
			if len(found) > 0 {
				earlier, existed = found[0].Asset, true
				return nil
			}
		}
		if a.Upload.GrantID == "" {
			return nil
		}
		var user media.AssetID
		used, err := queryOne(ctx, q, selectGrant, []any{a.Upload.GrantID}, &user)
		if err == nil && used {
			first, err := c.load(ctx, q, user)
			if err == nil && sameRequest(first.Asset, a) {
				earlier, existed = first.Asset, true
				return nil
			}
			if err != nil && !errors.Is(err, media.NotFound) {
				return err
			}
			return &media.Error{Kind: media.Forbidden, Code: "grant_used", Detail: "this upload grant was used before"}
		}
		return err
	})
	return earlier, existed, err
}

// sameRequest tells whether the creation of a is that of earlier come again, after an answer that was lost: nothing of what its client
// said has changed, and neither has its bytes.
func sameRequest(earlier, a media.Asset) bool {
	return a.State == media.Uploading && earlier.State == media.Uploading && earlier.Owner == a.Owner && earlier.Size == a.Size &&
		earlier.Upload.Deferred == a.Upload.Deferred && earlier.Upload.Metadata == a.Upload.Metadata
}

const (
	addUsed = `INSERT INTO owners (owner, lane, used_bytes) VALUES ($1, $2, $3)
		ON CONFLICT (owner, lane) DO UPDATE SET used_bytes = owners.used_bytes + excluded.used_bytes`
	sumUsed = `SELECT CAST(COALESCE(SUM(used_bytes), 0) AS BIGINT) FROM owners WHERE owner = $1`
)

// reserve adds delta to what the owner of a holds, and refuses what leads over a positive quota. Under a quota all writers of one owner
// meet in lane 0 and see each other's sums; without one they spread over 16 lanes and do not wait.
func (c *Catalogue) reserve(ctx context.Context, tx Tx, a media.Asset, delta, quota int64) error {
	if delta == 0 {
		return nil
	}
	lane := int64(a.ID[15] & 15)
	if quota > 0 && delta > 0 {
		lane = 0
	}
	if err := tx.Later(ctx, addUsed, a.Owner, lane, delta); err != nil {
		return err
	}
	if quota <= 0 || delta < 0 {
		return nil
	}
	var used int64
	if _, err := queryOne(ctx, tx, sumUsed, []any{a.Owner}, &used); err != nil {
		return err
	}
	if used > quota {
		return &media.Error{
			Kind: media.TooLarge, Code: "quota_exceeded",
			Detail: fmt.Sprintf("this would take more than your quota of %d bytes", quota),
		}
	}
	return nil
}

// tell passes on which assets have changed.
func (c *Catalogue) tell(ids ...media.AssetID) {
	for _, id := range ids {
		c.changed(id)
	}
}
