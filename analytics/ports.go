package analytics

import (
	"context"

	"sluice/media"
)

// Counts is where tallies end: the catalogue.
type Counts interface {
	// Count adds tallies to their assets and hours, and moves the journal's position from from to to, in one transaction. When the
	// journal's position is already to or beyond, it changes nothing: a replay. When it is elsewhere than from, media.Conflict.
	// Tallies of assets that are gone are dropped.
	Count(ctx context.Context, journal string, from, to int64, tallies []media.Tally) error

	// Position tells how far a journal has been counted; 0 for a new one.
	Position(ctx context.Context, journal string) (int64, error)

	// Series reads buckets of one asset, empty ones left out, oldest first.
	Series(ctx context.Context, s media.Series) ([]media.Bucket, error)
}

// Assets looks an asset up; media.NotFound when missing or deleted.
type Assets interface {
	Asset(ctx context.Context, id media.AssetID) (media.Asset, error)
}
