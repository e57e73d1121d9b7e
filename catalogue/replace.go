package catalogue

import (
	"context"

	"sluice/media"
)

const (
	swapObject = `UPDATE assets SET state = $2, size = $3, sha256 = $4, mime_type = $5, media_type = $6, duration_ms = $7, fail_reason = $8,
		storage_type = $9, backend = $10, object_key = $11, external_url = $12, stored_at = $13, filename = $14, content_id = $15,
		reserved_bytes = $16 WHERE id = $1`
	swapPlaced = ` SET storage_type = $2, file_size = $3, mime_type = $4, updated_at = $5 WHERE asset_id = $1`
	swapType   = `UPDATE media_storage SET media_type = $2 WHERE asset_id = $1`
)

// replace gives an asset the bytes of another, which is held, in every place, and dooms that with the old ones. See curation.Places. A hash that is
// still being computed of the old ones is not taken for that of the new: see Settle.
func (w *work) replace(ctx context.Context, s *standing, other media.AssetID) error {
	if s.ID == other {
		return media.Errorf(media.Conflict, "media are replaced by others")
	}
	by, err := w.alive(other)
	if err != nil {
		return err
	}
	switch {
	case !by.State.Finished() || by.Upload.Partial:
		return &media.Error{Kind: media.Conflict, Code: "not_finished", Detail: "the media to replace it by is not finished"}
	case len(by.Also) > 0 || !loose(by.Placement):
		return &media.Error{Kind: media.Conflict, Code: "belongs", Detail: "the media to replace it by belongs to something itself"}
	}
	if err := w.destroy(ctx, by); err != nil {
		return err
	}
	if err := w.c.reserve(ctx, w.tx, s.Asset, by.reserved-s.reserved, 0); err != nil {
		return err
	}
	old := s.row
	s.become(by.row)
	by.become(old)
	for _, one := range []*standing{s, by} {
		if err := w.saveObject(ctx, one); err != nil {
			return err
		}
	}
	told := map[media.PlacementKind]bool{}
	for _, at := range s.places {
		if told[at.Kind] {
			continue
		}
		told[at.Kind] = true
		if err := w.tx.Later(ctx, `UPDATE `+table(at.Kind)+swapPlaced, s.ID, string(s.StorageType), s.Size, s.MIMEType, micros(w.now)); err != nil {
			return err
		}
	}
	if told[media.Generic] {
		if err := w.tx.Later(ctx, swapType, s.ID, string(s.Type)); err != nil {
			return err
		}
	}
	s.changed = true
	return nil
}

// become takes over what another row says of its bytes.
func (r *row) become(o row) {
	content := o.ContentID
	if content.IsZero() {
		content = o.ID
	}
	r.ContentID = unlessOwn(content, r.ID)
	r.State, r.Size, r.SHA256, r.MIMEType, r.Type, r.Duration, r.FailReason = o.State, o.Size, o.SHA256, o.MIMEType, o.Type, o.Duration, o.FailReason
	r.StorageType, r.Backend, r.Key, r.ExternalURL = o.StorageType, o.Backend, o.Key, o.ExternalURL
	r.StoredAt, r.Filename, r.reserved = o.StoredAt, o.Filename, o.reserved
}

func (w *work) saveObject(ctx context.Context, s *standing) error {
	return w.tx.Later(ctx, swapObject, s.ID, string(s.State), s.Size, s.SHA256, s.MIMEType, string(s.Type), s.Duration.Milliseconds(), s.FailReason,
		string(s.StorageType), s.Backend, s.Key, s.ExternalURL, micros(s.StoredAt), s.Filename, orNull(s.ContentID), s.reserved)
}
