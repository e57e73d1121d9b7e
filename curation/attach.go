package curation

import (
	"context"
	"errors"
	"time"

	"sluice/media"
)

// Attach puts one media in a place: a finished upload, or what others keep, by its URL. Who does it manages both the media and what it is to hang on.
func (l *LMS) Attach(ctx context.Context, p media.Principal, a media.Attachment) (media.Place, error) {
	if _, err := l.managed(ctx, p, a.Placement.Subject()); err != nil && !(p.Staff() && l.onTrust(ctx, err)) {
		return media.Place{}, err
	}
	if err := l.checkAttachment(ctx, p, &a); err != nil {
		return media.Place{}, err
	}
	if err := l.mayPlace(ctx, p, a.Placement); err != nil {
		return media.Place{}, err
	}
	if pl := &a.Placement; pl.Kind == media.ProductImage && !pl.MainImage { // the first image of a product is its main image
		there, err := l.books.PlaceCounts(ctx, media.PlaceQuery{Kind: pl.Kind, ProductID: pl.ProductID})
		if err != nil {
			return media.Place{}, err
		}
		pl.MainImage = len(there) == 0
	}
	made, err := l.books.Attach(ctx, "", []media.Attachment{a})
	if err != nil {
		return media.Place{}, err
	}
	return made[0], nil
}

// onTrust reports that a record is only missing because nobody keeps records here: its id is taken on trust, as in uploads, and whose the
// media are decides.
func (l *LMS) onTrust(ctx context.Context, err error) bool {
	return errors.Is(err, media.NotFound) && l.records.Trusting(ctx)
}

// mayPlace is media.Rights.MayPlace for who can come back when the LMS's database does.
func (l *LMS) mayPlace(ctx context.Context, p media.Principal, pl media.Placement) error {
	return l.media.mayPlace(ctx, p, pl)
}

// checkAttachment checks what is to be put in a place, and completes what others keep.
func (l *LMS) checkAttachment(ctx context.Context, p media.Principal, a *media.Attachment) error {
	if err := checkPlacement(a.Placement); err != nil {
		return err
	}
	if a.Title != nil {
		if err := checkText("title", *a.Title, maxTitle); err != nil {
			return err
		}
	}
	if a.Asset.ID.IsZero() {
		a.Asset.Placement = a.Placement
		if a.Title != nil {
			a.Asset.Title = *a.Title
		}
		a.Asset.Public = a.Public != nil && *a.Public
		var err error
		a.Asset, err = l.media.external(p, a.Asset)
		return err
	}
	_, err := l.ownMedia(ctx, p, a.Asset.ID)
	return err
}

// ownMedia reads media that p manages and that is finished; what p may not see is Invalid, like what does not exist: it is named in a body.
func (l *LMS) ownMedia(ctx context.Context, p media.Principal, id media.AssetID) (media.Asset, error) {
	a, err := l.media.shelf.Asset(ctx, id)
	if err != nil && !errors.Is(err, media.NotFound) {
		return a, err
	}
	if err != nil || a.Upload.Partial || !l.rights.Manages(ctx, p, a) {
		return a, &media.Error{Kind: media.Invalid, Code: "unknown_media", Detail: "there is no such media of yours", Field: "mediaId"}
	}
	if !a.State.Finished() {
		return a, &media.Error{Kind: media.Conflict, Code: "not_finished", Detail: "the upload is not finished", Field: "mediaId"}
	}
	return a, nil
}

// Place reads one place. under is what it must hang on, zero for anything.
func (l *LMS) Place(ctx context.Context, p media.Principal, kind media.PlacementKind, under media.Subject, id media.AssetID) (media.Place, error) {
	pl, err := l.books.Place(ctx, kind, id)
	if err != nil {
		return pl, err
	}
	if !under.IsZero() && pl.Placement.Subject() != under || !l.rights.Sees(ctx, p, pl.Asset) || l.hides(ctx, p, pl) {
		return media.Place{}, missing()
	}
	return pl, nil
}

// hides reports whether a place hangs on a product or course that p may not know of: the media may be public, where they belong is not.
func (l *LMS) hides(ctx context.Context, p media.Principal, pl media.Place) bool {
	s := pl.Placement.Subject()
	if s.Type != media.Product && s.Type != media.Course || l.rights.Manages(ctx, p, pl.Asset) {
		return false
	}
	r, _, err := l.o.Records.Lookup(ctx, s)
	return err == nil && !l.rights.SeesRecord(ctx, p, r) // what cannot be known now is shown, as in lists
}

// toChange reads a place that p manages.
func (l *LMS) toChange(ctx context.Context, p media.Principal, kind media.PlacementKind, under media.Subject, id media.AssetID, version int64) (media.Place, error) {
	if p.Anonymous() {
		return media.Place{}, nobody()
	}
	pl, err := l.Place(ctx, p, kind, under, id)
	if err != nil {
		return pl, err
	}
	switch _, err := l.managed(ctx, p, pl.Placement.Subject()); {
	case err != nil && !l.onTrust(ctx, err):
		return pl, err
	case err != nil && !l.rights.Manages(ctx, p, pl.Asset):
		return pl, &media.Error{Kind: media.Forbidden, Code: "not_yours", Detail: "the media belongs to somebody else"}
	}
	if version != 0 && version != pl.Asset.Version {
		return pl, stale()
	}
	return pl, nil
}

// ChangePlace changes a place whose asset's Version is version, 0 for any. With new bytes its id, its counts and the media's URL stay: they are
// the same media's in every place it has.
func (l *LMS) ChangePlace(ctx context.Context, p media.Principal, kind media.PlacementKind, under media.Subject, id media.AssetID, version int64, e media.PlaceChange) (media.Place, error) {
	pl, err := l.toChange(ctx, p, kind, under, id, version)
	if err != nil {
		return pl, err
	}
	if err := l.checkEdit(ctx, p, pl, e); err != nil {
		return pl, err
	}
	switch {
	case e == (media.PlaceChange{}):
		return pl, nil
	case !e.By.IsZero() && !l.rights.Manages(ctx, p, pl.Asset): // it may hang here, and be somebody else's
		return pl, &media.Error{Kind: media.Forbidden, Code: "not_yours", Detail: "the media belongs to somebody else"}
	}
	return l.books.ChangePlace(ctx, kind, id, pl.Asset.Version, e)
}

func (l *LMS) checkEdit(ctx context.Context, p media.Principal, pl media.Place, e media.PlaceChange) error {
	if e.Title != nil {
		if err := checkText("title", *e.Title, maxTitle); err != nil {
			return err
		}
	}
	if e.Placement != nil {
		if err := checkPlacement(*e.Placement); err != nil {
			return err
		}
		if e.Placement.LessonID != pl.Placement.LessonID || e.Placement.ModuleID != pl.Placement.ModuleID {
			if err := l.mayPlace(ctx, p, *e.Placement); err != nil {
				return err
			}
		}
	}
	if e.By.IsZero() {
		return nil
	}
	_, err := l.ownMedia(ctx, p, e.By)
	return err
}

// Reorder puts all places that a query selects into an order.
func (l *LMS) Reorder(ctx context.Context, p media.Principal, q media.PlaceQuery, ids []media.AssetID) (View, error) {
	if _, err := l.managed(ctx, p, q.Subject()); err != nil {
		return View{}, err
	}
	if len(ids) > media.MaxPlaces {
		return View{}, invalid("ids", "at most %d ids", media.MaxPlaces)
	}
	if err := l.books.Reorder(ctx, q, ids); err != nil {
		return View{}, err
	}
	return l.List(ctx, p, q)
}

// TakeAway removes a place whose asset's Version is version, 0 for any; the media goes with its last place. It can be restored for
// LMSOptions.Trash, unless it is to be for good.
func (l *LMS) TakeAway(ctx context.Context, p media.Principal, kind media.PlacementKind, under media.Subject, id media.AssetID, version int64, forGood bool) error {
	pl, err := l.toChange(ctx, p, kind, under, id, version)
	if err != nil {
		return err
	}
	now := l.media.o.Now().UTC()
	t := media.Trashed{By: p.Subject, At: now, Until: now.Add(l.o.Trash)}
	if forGood {
		t.Until = time.Time{}
	}
	a, last, err := l.books.Remove(ctx, kind, pl.ID, version, t)
	if err != nil {
		return err
	}
	if last && forGood {
		l.media.drop(ctx, a)
	}
	return nil
}
