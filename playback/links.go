package playback

import (
	"context"
	"errors"
	"time"

	"sluice/media"
)

// LinkOptions are choices; the zero value works.
type LinkOptions struct {
	Default time.Duration // of a link that names no lifetime; zero: 1 h
	Max     time.Duration // the longest that may be asked for; zero: 7 days
	Batch   int           // links of one call of Links; zero: 200

	Rights media.Rights     // the zero value: by owner and isPublic alone
	Denied *Denylist        // as in Options
	Now    func() time.Time // nil: time.Now
}

// LinkRequest is what a link shall allow. The zero value plays for an hour, for nobody in particular.
type LinkRequest struct {
	ExpiresIn time.Duration // 0: the default; else 1 s to LinkOptions.Max
	Use       media.Use     // 0: media.Play
	Viewer    string        // who will watch; "" is nobody in particular
}

// Link is a URL without a host that opens one asset.
type Link struct {
	URL       string
	ExpiresAt time.Time // when it really does
}

// LinkFor is one request of a batch.
type LinkFor struct {
	Asset media.AssetID
	LinkRequest
}

// LinkResult is one answer of a batch: a link or an error.
type LinkResult struct {
	Asset media.AssetID
	Link  Link
	Err   error
}

// Links issues links, and decides who may have one.
type Links struct {
	assets  Assets
	tickets Tickets
	o       LinkOptions
}

// What LinkOptions are by default.
const (
	defaultLinkLife = time.Hour
	maxLinkLife     = 7 * 24 * time.Hour
	minLinkLife     = time.Second
	defaultBatch    = 200
	ownLinkLife     = 5 * time.Minute
)

// NewLinks makes Links.
func NewLinks(assets Assets, tickets Tickets, o LinkOptions) *Links {
	if o.Max <= 0 {
		o.Max = maxLinkLife
	}
	if o.Default <= 0 {
		o.Default = min(defaultLinkLife, o.Max)
	}
	if o.Batch <= 0 {
		o.Batch = defaultBatch
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Links{assets: assets, tickets: tickets, o: o}
}

// Link signs a link to one asset, to those who may see it by LinkOptions.Rights; to all others it is media.NotFound, as what does not exist
// is. A lifetime out of bounds or an unknown use is media.Invalid, an unfinished asset media.Conflict. Only who manages the asset names the
// viewer: others get links for themselves. Who is denied is media.Forbidden.
//
// A link to what is public ends with that, and needs no order looked up: it is signed with the LMS's database away. What an order grants
// stays private, and such a link holds until its end: an order that is undone takes it back by a denial (see Denylist).
func (l *Links) Link(ctx context.Context, p media.Principal, id media.AssetID, q LinkRequest) (Link, error) {
	if err := l.settle(&q); err != nil {
		return Link{}, err
	}
	a, err := l.assets.Asset(ctx, id)
	if errors.Is(err, media.NotFound) {
		return Link{}, errNoMedia() // to the letter what a private one is
	}
	if err != nil {
		return Link{}, err
	}
	manages := l.o.Rights.Manages(ctx, p, a)
	if !manages && !a.Public && !l.o.Rights.Granted(ctx, p, a) {
		return Link{}, errNoMedia()
	}
	if err := playable(a); err != nil {
		return Link{}, err
	}
	if !manages {
		q.Viewer = p.Subject
	}
	if l.o.Denied.covers(media.SessionOf(q.Viewer), &a) {
		return Link{}, errRevoked()
	}
	if err := l.o.Denied.mayNotSign(); err != nil {
		return Link{}, err
	}
	return l.sign(a, q, !manages && a.Public), nil
}

// Links signs a batch: one result for each request, in order. More than LinkOptions.Batch at once are media.Invalid.
func (l *Links) Links(ctx context.Context, p media.Principal, requests []LinkFor) ([]LinkResult, error) {
	if len(requests) > l.o.Batch {
		return nil, &media.Error{Kind: media.Invalid, Code: "too_many_links", Detail: "too many links are asked for at once"}
	}
	results := make([]LinkResult, len(requests))
	for i, q := range requests {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		link, err := l.Link(ctx, p, q.Asset, q.LinkRequest)
		results[i] = LinkResult{Asset: q.Asset, Link: link, Err: err}
	}
	return results, nil
}

// ContentURL gives the sender of a finished upload a short link to it. Nothing fetched by it is counted.
func (l *Links) ContentURL(_ context.Context, a media.Asset) (string, error) {
	if err := playable(a); err != nil {
		return "", err
	}
	if err := l.o.Denied.mayNotSign(); err != nil {
		return "", err
	}
	viewer := a.Owner
	t := media.Ticket{Asset: a.ID, Epoch: a.Epoch, Use: media.Play, Expires: quantised(l.o.Now(), ownLinkLife), Session: media.SessionOf(viewer), Own: true}
	return signedPath(l.tickets.Sign(t), a), nil
}

func (l *Links) settle(q *LinkRequest) error {
	if q.Use == 0 {
		q.Use = media.Play
	}
	if !validUse(q.Use) {
		return &media.Error{Kind: media.Invalid, Code: "bad_use", Detail: "use is play, download or thumb", Field: "use"}
	}
	if q.ExpiresIn == 0 {
		q.ExpiresIn = l.o.Default
	}
	if q.ExpiresIn < minLinkLife || q.ExpiresIn > l.o.Max {
		return &media.Error{
			Kind: media.Invalid, Code: "bad_expiry", Detail: "a link lives between 1s and " + l.o.Max.String(), Field: "expiresIn",
		}
	}
	return nil
}

// sign makes the link. A stranger is who may have it for no other reason than that the asset is public: what is private again must not stay
// open to them for a week.
func (l *Links) sign(a media.Asset, q LinkRequest, stranger bool) Link {
	t := media.Ticket{
		Asset: a.ID, Epoch: a.Epoch, Use: q.Use, Expires: quantised(l.o.Now(), q.ExpiresIn), Session: media.SessionOf(q.Viewer),
		// A link for nobody in particular is for others, also when its owner asks for it.
		Own: q.Viewer != "" && q.Viewer == a.Owner, Public: stranger,
	}
	return Link{URL: signedPath(l.tickets.Sign(t), a), ExpiresAt: t.Expires}
}

// quantised rounds an expiry up to a multiple of a quarter of the lifetime, a second at the least, so that everybody who asks the same
// within that time is given the same URL, and caches hit. A link is never shorter than asked, and longer by a quarter at most (short ones
// by a second).
func quantised(now time.Time, life time.Duration) time.Time {
	quantum := max(int64(life/4/time.Second), 1)
	at := now.Add(life)
	seconds := at.Unix()
	if at.Nanosecond() > 0 {
		seconds++
	}
	if over := seconds % quantum; over > 0 {
		seconds += quantum - over
	}
	return time.Unix(seconds, 0).UTC()
}
