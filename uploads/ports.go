package uploads

import (
	"context"
	"iter"
	"time"

	"sluice/media"
)

// Ledger remembers uploads before, while and after their bytes come in. The catalogue keeps it.
type Ledger interface {
	// Begin writes the row of a new upload, in state uploading, or stored or ready when the whole file came with its creation. When quota is
	// positive and the owner's bytes, reserved ones included, would exceed it, the answer is media.TooLarge and nothing is written. A
	// final upload whose owner joined the same parts before gives the earlier row back and existed true; so does an upload by a grant
	// whose earlier upload is still uploading with the same owner, length and metadata. A grant used before is otherwise media.Forbidden.
	Begin(ctx context.Context, a media.Asset, quota int64) (row media.Asset, existed bool, err error)

	// Asset reads a row in any state; media.NotFound when missing or deleted.
	Asset(ctx context.Context, id media.AssetID) (media.Asset, error)

	// Declare sets the length that was deferred, once: another length later is media.Conflict. Quota as in Begin.
	Declare(ctx context.Context, id media.AssetID, length, quota int64) error

	// Reserve holds room for total bytes of an upload whose length is still deferred. Quota as in Begin.
	Reserve(ctx context.Context, id media.AssetID, total, quota int64) error

	// Extend moves the expiry of an unfinished upload.
	Extend(ctx context.Context, id media.AssetID, expires time.Time) error

	// Stored moves a row from uploading to stored with its size, writes where it belongs, and commits; for a row that is past
	// uploading it changes nothing and answers the row. sum is the SHA-256 or nil when it is not computed yet.
	Stored(ctx context.Context, id media.AssetID, o media.Object, mime string, sum []byte) (media.Asset, error)

	// Settle moves a stored row to ready with its SHA-256; for a row that is past stored it changes nothing.
	Settle(ctx context.Context, id media.AssetID, sum []byte) error

	// Unfinished walks rows in state uploading that were created before a time, oldest first.
	Unfinished(ctx context.Context, before time.Time) iter.Seq2[media.Asset, error]

	// Unsettled walks rows in state stored, oldest first.
	Unsettled(ctx context.Context) iter.Seq2[media.Asset, error]

	// Open walks one owner's uploads in state uploading, newest first.
	Open(ctx context.Context, owner string) iter.Seq2[media.Asset, error]

	// Doom hides a row from every read; its bytes can then go. Doomed walks such rows, Forget removes one.
	Doom(ctx context.Context, id media.AssetID) error
	Doomed(ctx context.Context) iter.Seq2[media.Asset, error]
	Forget(ctx context.Context, id media.AssetID) error

	// Keys tells which of these keys of a backend belong to a row, doomed ones included, for the sweep of bytes nobody owns.
	Keys(ctx context.Context, backend string, keys []string) (map[string]bool, error)

	// Oldest tells when the oldest row was created, the zero time when there is none: the ledger knows nothing of what is older.
	Oldest(ctx context.Context) (time.Time, error)
}

// Capabilities turns an asset's id into the unguessable last part of its upload URL and back. signing.Ring is one.
type Capabilities interface {
	Capability(id media.AssetID) string
	ParseCapability(s string) (media.AssetID, error)
}

// Subjects tells whether an entity of the LMS exists and who owns it; media.NotFound when it does not, media.Unavailable when that cannot
// be known now.
type Subjects interface {
	Exists(ctx context.Context, s media.Subject) (owner string, err error)
}

// Locker gives one writer at a time an upload.
type Locker interface {
	// Lock waits until the upload is free, or its holder has stalled and was told to yield, and answers a media.Locked error when a
	// living holder keeps it. alive is asked for the time the holder last made progress; yield tells the holder to let go.
	Lock(ctx context.Context, id media.AssetID, alive func() time.Time, yield func()) (unlock func(), err error)
}
