package curation

import (
	"context"
	"iter"
	"time"

	"sluice/media"
)

// Places is where media belong, and the trash. The catalogue keeps it.
type Places interface {
	// Places reads all places of an entity, at most media.MaxPlaces: the main image first, then by position, time of creation and id.
	Places(ctx context.Context, q media.PlaceQuery) ([]media.Place, error)

	// PlaceCounts reads of the same places, in the same order, what changes by being watched, and the versions.
	PlaceCounts(ctx context.Context, q media.PlaceQuery) ([]media.PlaceCount, error)

	// Place reads one place of a kind; media.NotFound.
	Place(ctx context.Context, kind media.PlacementKind, id media.AssetID) (media.Place, error)

	// Attach puts assets in places, all or none, in the order given. With an intent it moves that from begun to decided in the same commit;
	// when it is not begun any more that is media.Conflict, and nothing is written. An asset that is missing is media.NotFound; one
	// that is not finished, is partial, or stands there already (kind, entity, lesson, module and video type alike), and an entity that
	// would have more than media.MaxPlaces, is media.Conflict. An asset that belongs nowhere, or is added, gets its home there.
	Attach(ctx context.Context, intent string, list []media.Attachment) ([]media.Place, error)

	// ChangePlace changes a place whose asset's Version is version: all of it, or nothing. A main image takes the place of the old one; one that
	// stops being it promotes the next. By gives the asset the bytes of another, and all that follows from them (size, type, hash, duration,
	// storage, state), in every place it has. Its id, counts, links and places stay; its ContentID is the other's, which is doomed with the
	// old bytes as its own. media.Conflict when the other is not finished, is partial, or belongs to an entity.
	ChangePlace(ctx context.Context, kind media.PlacementKind, id media.AssetID, version int64, c media.PlaceChange) (media.Place, error)

	// Reorder gives the places selected the positions 0, 1 and so on in the order of ids, which must name exactly those that are there, or it is
	// media.Conflict.
	Reorder(ctx context.Context, q media.PlaceQuery, ids []media.AssetID) error

	// Remove takes away a place whose asset's Version is version, 0 for any. Until keeps it in the trash; zero does not. Of the asset's
	// further places the oldest becomes its home; an asset without any is doomed (last), and kept for as long as the trash has a place
	// of it. A main image promotes the next.
	Remove(ctx context.Context, kind media.PlacementKind, id media.AssetID, version int64, t media.Trashed) (a media.Asset, last bool, err error)

	// RemoveAll does so with every place of an entity, and ends the intent, if any, in the same commit. It gives the assets that are doomed and not kept.
	RemoveAll(ctx context.Context, s media.Subject, intent string, t media.Trashed) ([]media.Asset, error)

	// Restore puts a place back; media.NotFound when the trash does not have it. A main image comes back as main unless there is another.
	Restore(ctx context.Context, id media.AssetID) (media.Place, error)

	// RestoreAll puts back every place that was removed with an entity, and ends the intent, if any, in the same commit.
	RestoreAll(ctx context.Context, s media.Subject, intent string) error

	// Trash reads a page of what may be restored, newest first: of one who deleted, or of everybody ("").
	Trash(ctx context.Context, by string, limit int, cursor string) (items []media.Trashed, next string, err error)

	// Trashed reads one; media.NotFound.
	Trashed(ctx context.Context, id media.AssetID) (media.Trashed, error)

	// Empty drops one from the trash, and gives its asset when nothing of that is left (last): its bytes can go.
	Empty(ctx context.Context, id media.AssetID) (a media.Asset, last bool, err error)

	// EmptyUntil drops what is kept until a time or shorter; uploads.Ledger's Doomed gives what is left of it.
	EmptyUntil(ctx context.Context, now time.Time) error

	// Unchecked walks assets whose place was not looked at, oldest first. Checked puts one in its place (ok), or in none.
	Unchecked(ctx context.Context) iter.Seq2[media.Asset, error]
	Checked(ctx context.Context, id media.AssetID, ok bool) error
}

// Intents keeps what was begun on both databases. The catalogue does.
type Intents interface {
	// Intend keeps a new intent in state begun.
	Intend(ctx context.Context, i media.Intent) error

	// Undo moves an intent from begun to undone; media.Conflict when it is decided, media.NotFound when it has ended.
	Undo(ctx context.Context, id string) error

	// End forgets an intent; nil when it is gone.
	End(ctx context.Context, id string) error

	// Intents gives those that are kept, oldest first, at most 1,000.
	Intents(ctx context.Context) ([]media.Intent, error)
}

// Records is the LMS's own database.
type Records interface {
	media.Records

	// List reads one page, newest first; a cursor that does not fit is media.Invalid.
	List(ctx context.Context, q media.RecordQuery) (media.RecordListing, error)

	// Create writes a new record. One for a work (the id of an intent) is pending: missing to every read here until Settle for that
	// work. An id that is there is media.Conflict, unless it is pending for the same work; what the LMS's own rules refuse (a unique name, a
	// validator) is media.Conflict or media.Invalid.
	Create(ctx context.Context, r media.Record, work string) (media.Record, error)

	// Settle ends the pending of a record for a work, and gives the record as it is then; what is not pending for that stays as it is.
	// media.NotFound when it is not there, or pending for another. Withdraw removes a record that is pending for a work; nil when it is gone, or
	// pending for another, media.Conflict when it is settled.
	Settle(ctx context.Context, s media.Subject, work string) (media.Record, error)
	Withdraw(ctx context.Context, s media.Subject, work string) error

	// Change sets fields, nil removes one, of a record whose Version is version ("" for any); media.PreconditionFailed when it is another.
	Change(ctx context.Context, s media.Subject, version string, set map[string]any) (media.Record, error)

	// Bury moves a record whose Version is version ("" for any) to the trash, where no read sees it; nil when it is there already. Buried
	// reads it there; media.NotFound. Raise moves it back; nil when it is back already. Drop removes it from the trash; nil when it is gone.
	Bury(ctx context.Context, s media.Subject, version string) error
	Buried(ctx context.Context, s media.Subject) (media.Record, error)
	Raise(ctx context.Context, s media.Subject) (media.Record, error)
	Drop(ctx context.Context, s media.Subject) error

	// BuriedBefore gives those that were moved to the trash before a time, oldest first, at most 1,000.
	BuriedBefore(ctx context.Context, t time.Time) ([]media.Subject, error)

	// Put writes a record as it is given, whether it was there or not. Remove removes one; media.NotFound.
	Put(ctx context.Context, r media.Record) (media.Record, error)
	Remove(ctx context.Context, s media.Subject) error
}
