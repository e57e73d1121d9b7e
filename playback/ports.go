package playback

import (
	"context"

	"sluice/media"
)

// Assets looks an asset up, from memory where it can. A deleted or missing one is media.NotFound.
type Assets interface {
	Asset(ctx context.Context, id media.AssetID) (media.Asset, error)
}

// Accesses counts what was served. It never blocks and never fails. Count takes a view (before the first body byte) and the bytes (after
// the last) as separate accesses.
type Accesses interface {
	Record(a media.Access)
}
