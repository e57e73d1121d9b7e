package curation

import (
	"context"
	"errors"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"sluice/media"
)

// View is a record with the media that hang on it, as far as the asker may see them.
type View struct {
	Record    media.Record
	Images    []media.Place
	Videos    []media.Place
	Resources []media.Place

	Known       bool // all of it was remembered; what was, was checked to be of the current version
	RecordsAway bool // Record is not known: the LMS's database is away, or nobody keeps records here
	BooksAway   bool // the catalogue is away: media and counts are as they were last seen
}

// View reads a product or a course, and its media, side by side. What the asker may not see is media.NotFound, as what does not exist.
func (l *LMS) View(ctx context.Context, p media.Principal, s media.Subject) (View, error) {
	return l.view(ctx, p, s, l.o.Records.Lookup, allPlaces(s)...)
}

// viewOf is the View of a record as it was just written: who wrote it is told so, also when its database has gone since.
func (l *LMS) viewOf(ctx context.Context, p media.Principal, r media.Record) (View, error) {
	written := func(context.Context, media.Subject) (media.Record, bool, error) { return r, false, nil }
	return l.view(ctx, p, r.Subject, written, allPlaces(r.Subject)...)
}

func allPlaces(s media.Subject) []media.PlaceQuery {
	if s.Type == media.Course {
		return []media.PlaceQuery{{Kind: media.CourseVideo, CourseID: s.ID}, {Kind: media.CourseResource, CourseID: s.ID}}
	}
	return []media.PlaceQuery{{Kind: media.ProductImage, ProductID: s.ID}}
}

// List reads the places that a query selects, with the record they hang on. See View.
func (l *LMS) List(ctx context.Context, p media.Principal, q media.PlaceQuery) (View, error) {
	return l.view(ctx, p, q.Subject(), l.o.Records.Lookup, q)
}

type recordLookup func(ctx context.Context, s media.Subject) (r media.Record, known bool, err error)

func (l *LMS) view(ctx context.Context, p media.Principal, s media.Subject, lookup recordLookup, qs ...media.PlaceQuery) (View, error) {
	if !media.ValidEntityID(s.ID) {
		return View{}, badRecordID()
	}
	var v View
	var recordErr error
	var known bool
	found := make([]remembered, len(qs))
	g, both := errgroup.WithContext(ctx)
	g.Go(func() error {
		v.Record, known, recordErr = lookup(both, s)
		if errors.Is(recordErr, media.Unavailable) || errors.Is(recordErr, media.NotFound) && l.records.Trusting(both) {
			return nil // media only
		}
		return recordErr
	})
	for i, q := range qs {
		g.Go(func() (err error) {
			found[i], err = l.places(both, q)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		if errors.Is(err, media.NotFound) {
			err = noRecord(s.Type)
		}
		return View{}, err
	}
	v.Known, v.RecordsAway = known, recordErr != nil
	if v.RecordsAway {
		v.Record = media.Record{}
	} else if !l.rights.SeesRecord(ctx, p, v.Record) {
		return View{}, noRecord(s.Type)
	}
	all := !v.RecordsAway && (p.Manages(v.Record.Owner) || l.granted(ctx, p, s))
	for i, q := range qs {
		v.Known, v.BooksAway = v.Known && found[i].known, v.BooksAway || found[i].away
		ps := visible(p, found[i].places, all)
		switch q.Kind {
		case media.ProductImage:
			v.Images = ps
		case media.CourseVideo:
			v.Videos = ps
		case media.CourseResource:
			v.Resources = ps
		case media.Generic:
		}
	}
	return v, nil
}

// granted reports whether an order gives p a record.
func (l *LMS) granted(ctx context.Context, p media.Principal, s media.Subject) bool {
	return l.rights.SeesRecord(ctx, p, media.Record{Subject: s})
}

// visible keeps what p may see: all, or what is public and their own.
func visible(p media.Principal, places []media.Place, all bool) []media.Place {
	if all {
		return places
	}
	kept := make([]media.Place, 0, len(places))
	for _, pl := range places {
		if p.Manages(pl.Asset.Owner) || pl.Asset.Public && pl.Asset.State.Finished() {
			kept = append(kept, pl)
		}
	}
	return kept
}

type remembered struct {
	places []media.Place
	known  bool
	away   bool
}

// places reads what a query selects. What is remembered is compared with what the catalogue says of versions, and takes its counts from
// there, unless that was done just now and nothing is heard of a change since. With the catalogue away it is what was last seen.
func (l *LMS) places(ctx context.Context, q media.PlaceQuery) (remembered, error) {
	whole := q
	whole.LessonID, whole.VideoType = "", ""
	if ps, ok := l.compared.get(whole); ok {
		return remembered{places: narrowed(ps, q), known: true}, nil
	}
	at, era := time.Now(), l.compared.now()
	ps, known, err := l.o.Places.Lookup(ctx, whole)
	if err != nil {
		return remembered{}, err
	}
	counts, err := l.books.PlaceCounts(ctx, whole)
	if errors.Is(err, media.Unavailable) {
		return remembered{places: narrowed(ps, q), known: known, away: true}, nil
	}
	if err != nil {
		return remembered{}, err
	}
	now, same := overlaid(ps, counts)
	if !same {
		l.o.Places.Forget(ctx, whole)
		if now, _, err = l.o.Places.Lookup(ctx, whole); err != nil { // loaded anew, and remembered for when the catalogue is away
			return remembered{}, err
		}
	}
	l.compared.put(whole, now, at, era)
	return remembered{places: narrowed(now, q), known: known && same}, nil
}

// overlaid gives places with the counts of now; same: they are the same ones, of the same versions, in the same order. What is remembered is shared, so
// it is copied.
func overlaid(ps []media.Place, counts []media.PlaceCount) (now []media.Place, same bool) {
	if len(ps) != len(counts) {
		return nil, false
	}
	now = slices.Clone(ps)
	for i, n := range counts {
		a := &now[i].Asset
		if now[i].ID != n.ID || a.Version != n.Version {
			return nil, false
		}
		a.AccessCount, a.BytesServed, a.LastAccessedAt = n.AccessCount, n.BytesServed, n.LastAccessedAt
	}
	return now, true
}

// narrowed keeps the places of a lesson, or of a type.
func narrowed(ps []media.Place, q media.PlaceQuery) []media.Place {
	if q.LessonID == "" && q.VideoType == "" {
		return ps
	}
	var kept []media.Place
	for _, pl := range ps {
		if (q.LessonID == "" || pl.Placement.LessonID == q.LessonID) && (q.VideoType == "" || pl.Placement.VideoType == q.VideoType) {
			kept = append(kept, pl)
		}
	}
	return kept
}

// Records lists products or courses, newest first: with mine those of p's own, published or not; else what is published, and to admins all. What is
// Deleted and can be restored is listed to its owner, and to admins.
func (l *LMS) Records(ctx context.Context, p media.Principal, q media.RecordQuery, mine bool) (media.RecordListing, error) {
	switch {
	case q.Limit == 0:
		q.Limit = usualLimit
	case q.Limit < 1 || q.Limit > maxLimit:
		return media.RecordListing{}, invalid("limit", "limit is 1 to %d", maxLimit)
	}
	if err := checkText("category", q.Category, maxTitle); err != nil {
		return media.RecordListing{}, err
	}
	q.Owner, q.Unlisted = "", p.Has(media.Admin)
	if mine || q.Deleted {
		if p.Anonymous() {
			return media.RecordListing{}, nobody()
		}
		if mine || !q.Unlisted {
			q.Owner, q.Unlisted = p.Subject, true
		}
	}
	return l.records.List(ctx, q)
}

// managed reads the record of a product or course that p may change, from the database itself.
func (l *LMS) managed(ctx context.Context, p media.Principal, s media.Subject) (media.Record, error) {
	if p.Anonymous() {
		return media.Record{}, nobody()
	}
	if !media.ValidEntityID(s.ID) {
		return media.Record{}, badRecordID()
	}
	r, err := l.records.Record(ctx, s)
	switch {
	case errors.Is(err, media.NotFound) && p.Has(media.Admin) && l.records.Trusting(ctx):
		return media.Record{Subject: s, Published: true}, nil
	case errors.Is(err, media.NotFound):
		return r, noRecord(s.Type)
	case err != nil:
		return r, err
	case p.Manages(r.Owner):
		return r, nil
	case l.rights.SeesRecord(ctx, p, r):
		return media.Record{}, &media.Error{Kind: media.Forbidden, Code: "not_yours", Detail: "this " + string(s.Type) + " belongs to somebody else"}
	}
	return media.Record{}, noRecord(s.Type)
}

func noRecord(t media.SubjectType) error {
	return &media.Error{Kind: media.NotFound, Detail: "no such " + string(t)}
}

func badRecordID() error {
	return &media.Error{Kind: media.Invalid, Code: "bad_id", Detail: "the id of a record is 24 lower-case hex digits"}
}
