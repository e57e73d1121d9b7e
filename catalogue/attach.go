package catalogue

import (
	"context"

	"sluice/internal/crash"
	"sluice/media"
)

// attaching is an Attachment on its way into its place.
type attaching struct {
	media.Attachment
	row   *row // of an asset that is added along
	place media.AssetID
}

// Attach puts assets in places. See curation.Places.
func (c *Catalogue) Attach(ctx context.Context, intent string, list []media.Attachment) ([]media.Place, error) {
	all, err := c.attaching(list)
	if err != nil {
		return nil, err
	}
	if err := checkTexts("intent", intent); err != nil {
		return nil, err
	}
	var places []media.Place
	err = c.rework(ctx, Ordinary, func(w *work) error {
		places = places[:0]
		if intent != "" {
			if err := w.decide(ctx, intent); err != nil {
				return err
			}
		}
		if err := w.attachAll(ctx, all); err != nil {
			return err
		}
		if err := w.finish(ctx); err != nil {
			return err
		}
		for _, t := range all {
			s := w.held[t.Asset.ID]
			places = append(places, s.place(s.find(t.place)))
		}
		crash.At("lms: attach before commit")
		return nil
	})
	if err != nil {
		return nil, err
	}
	crash.At("lms: attach after commit")
	return places, nil
}

// attaching checks attachments, and makes the rows of those that are added along.
func (c *Catalogue) attaching(list []media.Attachment) ([]attaching, error) {
	all := make([]attaching, len(list))
	var last media.AssetID
	for i, t := range list {
		t.Placement.Kind = kindOf(t.Placement.Kind)
		if err := checkPlace(t.Placement); err != nil {
			return nil, err
		}
		t.Placement = fitting(t.Placement)
		if t.Title != nil {
			if err := checkTexts("title", *t.Title); err != nil {
				return nil, err
			}
		}
		last = nextID(c.now(), last)
		all[i] = attaching{Attachment: t, place: last}
		if t.Asset.ExternalURL == "" {
			continue
		}
		a := t.Asset
		if a.ID.IsZero() {
			a.ID = last
		}
		a.State, a.Placement, a.Unchecked = media.Ready, t.Placement, false
		if t.Title != nil {
			a.Title = *t.Title
		}
		if t.Public != nil {
			a.Public = *t.Public
		}
		var err error
		if all[i].row, err = c.fresh(a); err != nil {
			return nil, err
		}
		all[i].Asset.ID, all[i].place = a.ID, a.ID
	}
	return all, nil
}

func (w *work) attachAll(ctx context.Context, all []attaching) error {
	var subjects []media.Subject
	var ids []media.AssetID
	for _, t := range all {
		subjects = append(subjects, t.Placement.Subject())
		if t.row == nil {
			ids = append(ids, t.Asset.ID)
		}
	}
	if err := w.lock(ctx, subjects...); err != nil {
		return err
	}
	if err := w.hold(ctx, ids...); err != nil {
		return err
	}
	for i := range all {
		if err := w.attach(ctx, &all[i]); err != nil {
			return err
		}
	}
	return w.fits(ctx, all)
}

// attach puts one asset in its place. One that belongs nowhere gets its home there, under the id its home had.
func (w *work) attach(ctx context.Context, t *attaching) error {
	if t.row != nil {
		return w.add(ctx, t)
	}
	s, err := w.alive(t.Asset.ID)
	if err != nil {
		return err
	}
	switch {
	case !s.State.Finished() || s.Upload.Partial:
		return &media.Error{Kind: media.Conflict, Code: "not_finished", Detail: "the media is not finished yet"}
	case s.alike(t.Placement, media.AssetID{}) >= 0:
		return standsThere()
	}
	if t.Title != nil {
		s.Title = *t.Title
	}
	if t.Public != nil {
		s.Public = *t.Public
	}
	if s.loose() {
		t.place = s.HomeID()
		if err := w.drop(ctx, s, 0); err != nil {
			return err
		}
	}
	return w.put(ctx, s, spot{t.place, t.Placement})
}

// add writes the row of an asset that others keep, and its home.
func (w *work) add(ctx context.Context, t *attaching) error {
	if w.held[t.Asset.ID] != nil {
		return standsThere()
	}
	r := *t.row
	if err := w.c.reserve(ctx, w.tx, r.Asset, r.reserved, 0); err != nil {
		return err
	}
	if err := w.tx.Later(ctx, insertAsset, r.values()...); err != nil {
		return err
	}
	s := &standing{row: r}
	w.held[r.ID] = s
	if err := w.put(ctx, s, spot{r.ID, r.Placement}); err != nil {
		return err
	}
	s.changed = false // its row says so already
	w.told = append(w.told, r.ID)
	return nil
}

// fits refuses what leads an entity over the number of places it may have. Whoever attaches there has locked it.
func (w *work) fits(ctx context.Context, all []attaching) error {
	type target struct {
		kind media.PlacementKind
		of   media.Subject
	}
	asked := map[target]bool{}
	for _, t := range all {
		to := target{t.Placement.Kind, t.Placement.Subject()}
		if asked[to] {
			continue
		}
		asked[to] = true
		l, err := selectPlaces(media.PlaceQuery{
			Kind: to.kind, ProductID: t.Placement.ProductID, CourseID: t.Placement.CourseID, Reference: t.Placement.Reference,
		})
		if err != nil {
			return err
		}
		var n int64
		if _, err := queryOne(ctx, w.tx, l.count(to.kind), l.args, &n); err != nil {
			return err
		}
		if n > media.MaxPlaces {
			return &media.Error{Kind: media.Conflict, Code: "too_many_places", Detail: "there are as many media as one entity may have"}
		}
	}
	return nil
}
