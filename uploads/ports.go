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

	// Settle moves a stored row to ready with its SHA-256; for a row that is past stored it changes nothing. A row whose bytes are
	// others by now than the ones summed up, those of Asset.ContentID, here content, is media.Conflict.
	Settle(ctx context.Context, id, content media.AssetID, sum []byte) error

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

// Locker gives one writer at a time an upload.
type Locker interface {
	// Lock waits until the upload is free, or its holder has stalled and was told to yield, and answers a media.Locked error when a
	// living holder keeps it. alive is asked for the time the holder last made progress; yield tells the holder to let go. unlock may be
	// called again; it reports false when somebody else has got the upload meanwhile: what was written must then not be acknowledged.
	Lock(ctx context.Context, id media.AssetID, alive func() time.Time, yield func()) (unlock func() bool, err error)

	// Try locks an upload that nobody has, and disturbs nobody who has it: ok is then false.
	Try(ctx context.Context, id media.AssetID, yield func()) (unlock func() bool, ok bool)
}

// Leases lends names to one node at a time, over a server that the nodes share. Every sentence here is a case of leasetest. It is safe for
// concurrent use. What it cannot know now, because the server is away or Run does not run, is media.Unavailable, within 300 ms.
type Leases interface {
	// Take lends a name that no node has; held is false when one has it, be it this one. lost is called, once and in time, when the lease
	// is no longer certain: the server gave it to another, forgot it, or could not be asked for so long that it may have. It must not block.
	// giveBack frees the name, and reports whether it was this node's until then; then lost is not called any more.
	Take(ctx context.Context, name string, lost func()) (giveBack func() bool, held bool, err error)

	// Ask tells whoever has the name that it is wanted. The asker hears when it is given back, at once when nobody has it. What ends
	// without being given back, by a crash, it hears nothing of.
	Ask(ctx context.Context, name string) error

	// Run keeps what is lent and hears the other nodes until ctx ends; then it gives everything back. It calls asked with a name that
	// another node wants and this one has, and freed with one that this node asked for. Neither may block.
	Run(ctx context.Context, asked, freed func(name string)) error
}

// Turns gives background work to one node at a time. SharedLocker is one.
type Turns interface {
	// Turn begins this node's turn at some work, unless another node has it or that cannot be known yet: ok is then false. wake is called when another node says that
	// there is work; stop when the turn has gone to another node. Neither may block. done ends the turn.
	Turn(ctx context.Context, work string, wake, stop func()) (done func(), ok bool)

	// Wake tells whoever has the turn that there is work.
	Wake(ctx context.Context, work string)
}
