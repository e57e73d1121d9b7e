package gateway

import (
	"context"
	"net/http"
	"time"

	"sluice/analytics"
	"sluice/curation"
	"sluice/media"
	"sluice/playback"
	"sluice/uploads"
)

// Curation is what the gateway asks of curation.Service.
type Curation interface {
	Find(ctx context.Context, p media.Principal, q media.Query) (media.Listing, error)
	Read(ctx context.Context, p media.Principal, id media.AssetID) (media.Asset, error)
	Glance(ctx context.Context, p media.Principal, id media.AssetID) (a media.Asset, known bool, err error)
	Current(ctx context.Context, p media.Principal, a media.Asset) (now media.Asset, same bool, err error)
	Change(ctx context.Context, p media.Principal, id media.AssetID, version int64, c media.Change) (media.Asset, error)
	Delete(ctx context.Context, p media.Principal, id media.AssetID, version int64) error
	Revoke(ctx context.Context, p media.Principal, id media.AssetID) (media.Asset, error)
	Add(ctx context.Context, p media.Principal, a media.Asset) (media.Asset, error)
}

// LMS is what the gateway asks of curation.LMS.
type LMS interface {
	View(ctx context.Context, p media.Principal, s media.Subject) (curation.View, error)
	List(ctx context.Context, p media.Principal, q media.PlaceQuery) (curation.View, error)
	Records(ctx context.Context, p media.Principal, q media.RecordQuery, mine bool) (media.RecordListing, error)
	Create(ctx context.Context, p media.Principal, n curation.NewRecord) (curation.View, error)
	Change(ctx context.Context, p media.Principal, s media.Subject, versions []string, set map[string]any) (curation.View, error)
	Delete(ctx context.Context, p media.Principal, s media.Subject, versions []string, forGood bool) error
	Restore(ctx context.Context, p media.Principal, s media.Subject) (curation.View, error)

	Attach(ctx context.Context, p media.Principal, a media.Attachment) (media.Place, error)
	Place(ctx context.Context, p media.Principal, kind media.PlacementKind, under media.Subject, id media.AssetID) (media.Place, error)
	ChangePlace(ctx context.Context, p media.Principal, kind media.PlacementKind, under media.Subject, id media.AssetID, version int64, e media.PlaceChange) (media.Place, error)
	Reorder(ctx context.Context, p media.Principal, q media.PlaceQuery, ids []media.AssetID) (curation.View, error)
	TakeAway(ctx context.Context, p media.Principal, kind media.PlacementKind, under media.Subject, id media.AssetID, version int64, forGood bool) error

	Trash(ctx context.Context, p media.Principal, limit int, cursor string) (items []media.Trashed, next string, err error)
	PutBack(ctx context.Context, p media.Principal, id media.AssetID) (media.Place, error)
	ThrowAway(ctx context.Context, p media.Principal, id media.AssetID) error

	Keep(ctx context.Context, p media.Principal, r media.Record) (media.Record, error)
	Look(ctx context.Context, p media.Principal, s media.Subject) (media.Record, error)
	Remove(ctx context.Context, p media.Principal, s media.Subject) error
}

// Playback serves bytes, mounted bare. Content serves them to somebody who was let in already.
type Playback interface {
	http.Handler
	Content(w http.ResponseWriter, r *http.Request, a media.Asset, viewer string)
}

// Links signs playback URLs.
type Links interface {
	Link(ctx context.Context, p media.Principal, id media.AssetID, lr playback.LinkRequest) (playback.Link, error)
}

// Revocations takes back links that were given to a viewer, for a course or with a key.
type Revocations interface {
	Deny(ctx context.Context, p media.Principal, q playback.DenialRequest) (media.Denial, error)
	Denials(ctx context.Context, p media.Principal) ([]media.Denial, error)
	Lift(ctx context.Context, p media.Principal, id string) error
}

// Grants is what the gateway asks of uploads.Service beside its handler.
type Grants interface {
	Open(ctx context.Context, p media.Principal) ([]uploads.OpenUpload, error)
	Grant(ctx context.Context, p media.Principal, g media.UploadGrant, ttl time.Duration) (token string, expires time.Time, err error)
}

// Counter takes accesses in. Flush settles what it holds, so that a count read next is exact.
type Counter interface {
	Record(a media.Access)
	Flush(ctx context.Context) error
}

// Answers keeps the answers to requests that came with an Idempotency-Key, for every node.
type Answers interface {
	// ClaimReplay takes a request for r.Claim to act on, and gives what is there then: that claim, or who came first with its answer once
	// there is one. A claim that is not answered within lease is free again, an answer after a day.
	ClaimReplay(ctx context.Context, r media.Replay, lease time.Duration) (media.Replay, error)

	// KeepReplay keeps the answer of r.Claim, if that still has the request.
	KeepReplay(ctx context.Context, r media.Replay) error

	// DropReplay gives a request free that r.Claim has and did not answer.
	DropReplay(ctx context.Context, r media.Replay) error
}

// Reports answers how often media were fetched.
type Reports interface {
	Media(ctx context.Context, p media.Principal, s media.Series) (analytics.Report, error)
}
