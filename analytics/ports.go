package analytics

import (
	"context"

	"sluice/media"
)

// Counts is where tallies end: the catalogue.
type Counts interface {
	// Count adds a batch to its assets and hours, and moves the journal's position from b.From to b.To, in one transaction. When the
	// position is already b.To or beyond, it changes nothing: a replay. When it is elsewhere than b.From, media.Conflict. What belongs
	// to assets that are gone is dropped.
	//
	// Of all views of one session and asset, whichever journals they come from and in whatever order, those count that are at least
	// b.Window after the last one that counts, in the order of their times. It holds for journals that are counted within a day of each
	// other.
	Count(ctx context.Context, journal string, b media.Batch) error

	// Position tells how far a journal has been counted; 0 for a new one.
	Position(ctx context.Context, journal string) (int64, error)

	// Series reads buckets of one asset, empty ones left out, oldest first.
	Series(ctx context.Context, s media.Series) ([]media.Bucket, error)
}

// Titles tells what people call entities of the LMS; those without a title, and those that are gone, are left out. media.Unavailable while the LMS's
// database is away. entities.Records are some.
type Titles interface {
	Titles(ctx context.Context, subjects []media.Subject) (map[media.Subject]string, error)
}

// Assets looks an asset up; media.NotFound when missing or deleted.
type Assets interface {
	Asset(ctx context.Context, id media.AssetID) (media.Asset, error)
}
