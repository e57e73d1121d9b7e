package curation

import (
	"context"

	"sluice/media"
)

// Shelf is what staff look through and change. The catalogue keeps it.
type Shelf interface {
	// Asset reads a row in any state; media.NotFound when missing or deleted.
	Asset(ctx context.Context, id media.AssetID) (media.Asset, error)

	// Counts reads how often an asset was fetched, with the version of its row; media.NotFound when missing or deleted.
	Counts(ctx context.Context, id media.AssetID) (media.Counts, error)

	// List reads one page in a stable order; a cursor that does not fit is media.Invalid.
	List(ctx context.Context, q media.Query) (media.Listing, error)

	// Add writes a row for media kept elsewhere (StorageType Cloud with an ExternalURL), in state ready.
	Add(ctx context.Context, a media.Asset) (media.Asset, error)

	// Change changes a row whose Version is version; media.PreconditionFailed when it is another.
	Change(ctx context.Context, id media.AssetID, version int64, c media.Change) (media.Asset, error)

	// Revoke moves the token epoch on: every ticket signed before is refused.
	Revoke(ctx context.Context, id media.AssetID) (media.Asset, error)

	// Doom hides a row from every read when its Version is version (0: whatever it is); its bytes can then go. Forget removes the row.
	Doom(ctx context.Context, id media.AssetID, version int64) error
	Forget(ctx context.Context, id media.AssetID) error
}

// Memory gives rows from memory where it can, which may be behind by a moment. known: it did, and nobody else was asked.
type Memory interface {
	Lookup(ctx context.Context, id media.AssetID) (a media.Asset, known bool, err error)
}

// Bytes drops what a backend keeps.
type Bytes interface {
	Delete(ctx context.Context, backend, key string) error
}
