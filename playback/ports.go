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

// Signer tells the id of the key that signs tickets: the signing.Ring.
type Signer interface{ Signer() uint8 }

// Denials keeps who may no longer use tickets that were given, for every node.
type Denials interface {
	// Deny keeps a denial by its ID; one that is there already keeps the later end. It gives what is kept.
	Deny(ctx context.Context, d media.Denial) (media.Denial, error)

	// Denials gives those that are not over, oldest first.
	Denials(ctx context.Context) ([]media.Denial, error)

	// Lift removes one; media.NotFound when it is not there, or over.
	Lift(ctx context.Context, id string) error

	// DropDenials removes those that are over.
	DropDenials(ctx context.Context) error
}
