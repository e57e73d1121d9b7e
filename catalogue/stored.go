package catalogue

import (
	"context"
	"time"

	"sluice/internal/crash"
	"sluice/media"
)

const declare = `UPDATE assets SET size = $2, deferred = FALSE, reserved_bytes = $2, version = version + 1, updated_at = $3
	WHERE id = $1 AND deferred AND reserved_bytes = $4 AND doomed_at = 0`

// Declare sets the length that was deferred, once. See uploads.Ledger.
func (c *Catalogue) Declare(ctx context.Context, id media.AssetID, length, quota int64) error {
	if length < 0 {
		return media.Errorf(media.Invalid, "a length is not negative")
	}
	changed := false
	err := c.write(ctx, Ordinary, func(tx Tx) error {
		changed = false
		r, err := c.load(ctx, tx, id)
		if err != nil {
			return err
		}
		if !r.Upload.Deferred {
			if r.Size == length {
				return nil
			}
			return &media.Error{Kind: media.Conflict, Code: "length_declared", Detail: "another length was declared before"}
		}
		changed = true
		if err := c.swap(ctx, tx, declare, id, length, micros(c.stamp()), r.reserved); err != nil {
			return err
		}
		return c.reserve(ctx, tx, r.Asset, length-r.reserved, quota)
	})
	if err == nil && changed {
		c.tell(id)
	}
	return err
}

const reserve = `UPDATE assets SET reserved_bytes = $2 WHERE id = $1 AND reserved_bytes = $3 AND doomed_at = 0`

// Reserve holds room for total bytes of an upload whose length is still deferred; it never gives room back. See uploads.Ledger.
func (c *Catalogue) Reserve(ctx context.Context, id media.AssetID, total, quota int64) error {
	return c.write(ctx, Ordinary, func(tx Tx) error {
		r, err := c.load(ctx, tx, id)
		if err != nil || total <= r.reserved || r.State != media.Uploading {
			return err
		}
		if err := c.swap(ctx, tx, reserve, id, total, r.reserved); err != nil {
			return err
		}
		return c.reserve(ctx, tx, r.Asset, total-r.reserved, quota)
	})
}

const extend = `UPDATE assets SET expires_at = $2 WHERE id = $1 AND state = 'uploading' AND doomed_at = 0`

// Extend moves the expiry of an unfinished upload. See uploads.Ledger.
func (c *Catalogue) Extend(ctx context.Context, id media.AssetID, expires time.Time) error {
	err := c.write(ctx, Ordinary, func(tx Tx) error {
		n, err := tx.Exec(ctx, extend, id, micros(expires))
		if err != nil || n > 0 {
			return err
		}
		_, err = c.load(ctx, tx, id) // finished meanwhile: nothing to extend
		return err
	})
	if err == nil {
		c.tell(id)
	}
	return err
}

const storedUpdate = `UPDATE assets SET state = 'stored', size = $2, mime_type = $3, media_type = $4, sha256 = $5, object_key = $6,
	deferred = FALSE, reserved_bytes = $2, version = version + 1, updated_at = $7, stored_at = $7, is_main_image = $8
	WHERE id = $1 AND state = 'uploading' AND version = $9 AND reserved_bytes = $10 AND doomed_at = 0`

// Stored moves a row from uploading to stored, and writes where it belongs, in one transaction. See uploads.Ledger.
func (c *Catalogue) Stored(ctx context.Context, id media.AssetID, o media.Object, mime string, sum []byte) (media.Asset, error) {
	if err := checkTexts("mimeType", mime, "key", o.Key); err != nil {
		return media.Asset{}, err
	}
	var r row
	var also []media.AssetID
	moved := false
	err := c.write(ctx, Ordinary, func(tx Tx) error {
		also, moved = nil, false
		var err error
		if r, err = c.load(ctx, tx, id); err != nil || r.State != media.Uploading {
			return err
		}
		before, w := r, c.work(tx)
		r.stored(o, mime, sum, w.now)
		if err := w.settleStored(ctx, before, r); err != nil {
			return err
		}
		if s := (&standing{row: r}); s.stands() {
			if err := w.put(ctx, s, spot{r.HomeID(), r.Placement}); err != nil {
				return err
			}
		}
		also, moved = w.told, true
		crash.At("catalogue: stored before commit")
		return nil
	})
	if err != nil {
		return media.Asset{}, err
	}
	crash.At("catalogue: stored after commit")
	if moved {
		c.tell(also...)
		c.tell(id)
	}
	return r.Asset, nil
}

// stored makes of an uploading row what it is once its bytes are there.
func (r *row) stored(o media.Object, mime string, sum []byte, now time.Time) {
	r.State, r.Size, r.Upload.Deferred, r.reserved = media.Stored, o.Size, false, o.Size
	r.Version++
	r.UpdatedAt, r.StoredAt = now, now
	if mime != "" {
		r.MIMEType, r.Type = mime, media.TypeOf(mime)
	}
	if o.Key != "" {
		r.Key = o.Key
	}
	if sum != nil {
		r.SHA256 = sum
	}
}

// settleStored writes the row and what it holds of the quota. The bytes are there: the quota was asked before, not now.
func (w *work) settleStored(ctx context.Context, before, r row) error {
	if err := w.lock(ctx, products(r.Placement)...); err != nil {
		return err
	}
	err := w.c.swap(ctx, w.tx, storedUpdate, r.ID, r.Size, r.MIMEType, string(r.Type), r.SHA256, r.Key, micros(r.UpdatedAt),
		r.Placement.MainImage, before.Version, before.reserved)
	if err != nil {
		return err
	}
	return w.c.reserve(ctx, w.tx, r.Asset, r.reserved-before.reserved, 0)
}

const settle = `UPDATE assets SET state = 'ready', sha256 = $2, version = version + 1, updated_at = $3
	WHERE id = $1 AND state = 'stored' AND doomed_at = 0 AND COALESCE(content_id, id) = $4`

// Settle moves a stored row to ready with the SHA-256 of the bytes that content names. See uploads.Ledger.
func (c *Catalogue) Settle(ctx context.Context, id, content media.AssetID, sum []byte) error {
	if content.IsZero() {
		content = id
	}
	moved := false
	err := c.write(ctx, Ordinary, func(tx Tx) error {
		n, err := tx.Exec(ctx, settle, id, sum, micros(c.stamp()), content)
		if moved = n > 0; err != nil || moved {
			return err
		}
		r, err := c.load(ctx, tx, id)
		switch {
		case err == nil && r.State == media.Uploading:
			return media.Errorf(media.Conflict, "the upload is not stored yet")
		case err == nil && r.State == media.Stored:
			return media.Errorf(media.Conflict, "its bytes are others by now")
		}
		return err
	})
	if err == nil && moved {
		c.tell(id)
	}
	return err
}

// swap runs an UPDATE guarded by what was read before; errAgain when the row has moved.
func (c *Catalogue) swap(ctx context.Context, tx Tx, text string, args ...any) error {
	n, err := tx.Exec(ctx, text, args...)
	if err == nil && n == 0 {
		return errAgain
	}
	return err
}
