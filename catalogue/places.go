package catalogue

import (
	"context"
	"strconv"
	"strings"

	"sluice/media"
)

// selection is a media.PlaceQuery in SQL: the table p, what restricts it and the order.
type selection struct {
	where string
	order string
	args  []any
}

func selectPlaces(q media.PlaceQuery) (selection, error) {
	if q.Kind == "" {
		q.Kind = media.Generic
	}
	if s := q.Subject(); s.ID == "" || s.Type == "" || checkKind(q.Kind) != nil {
		return selection{}, &media.Error{Kind: media.Invalid, Code: "no_entity", Detail: "places are asked for by their kind and entity"}
	}
	var l selection
	var where []string
	add := func(column, value string) {
		if value != "" {
			l.args = append(l.args, value)
			where = append(where, "p."+column+" = $"+strconv.Itoa(len(l.args)))
		}
	}
	l.order = "p.position, p.created_at, p.id"
	switch q.Kind {
	case media.ProductImage:
		add("mongo_product_id", q.ProductID)
		l.order = "p.is_main_image DESC, " + l.order
	case media.CourseVideo:
		add("mongo_course_id", q.CourseID)
		add("mongo_lesson_id", q.LessonID)
		add("video_type", string(q.VideoType))
	case media.CourseResource:
		add("mongo_course_id", q.CourseID)
		add("mongo_lesson_id", q.LessonID)
	case media.Generic:
		add("reference_id", q.Reference.ID)
		where = append(where, "p.reference_id <> ''") // says again what the partial index says, for the planner
		add("reference_type", string(q.Reference.Type))
	}
	l.where = " WHERE " + strings.Join(where, " AND ")
	return l, checkTexts("id", q.Subject().ID, "mongoLessonId", q.LessonID, "videoType", string(q.VideoType), "referenceType", string(q.Subject().Type))
}

func (l selection) text(columns string, k media.PlacementKind) string {
	return "SELECT " + columns + " FROM " + table(k) + " p JOIN assets a ON a.id = p.asset_id" + l.where + " AND a.doomed_at = 0 ORDER BY " + l.order +
		" LIMIT " + strconv.Itoa(media.MaxPlaces)
}

// count counts them, up to one more than there may be.
func (l selection) count(k media.PlacementKind) string {
	return "SELECT COUNT(*) FROM (SELECT 1 FROM " + table(k) + " p" + l.where + " LIMIT " +
		strconv.Itoa(media.MaxPlaces+1) + ") AS n"
}

// Places reads all places of an entity. See curation.Places.
func (c *Catalogue) Places(ctx context.Context, q media.PlaceQuery) ([]media.Place, error) {
	l, err := selectPlaces(q)
	if err != nil {
		return nil, err
	}
	var places []media.Place
	err = c.engine.Read(ctx, func(db Querier) error {
		var err error
		places, err = readAll(ctx, db, l.text(columns+", "+spotColumns(kindOf(q.Kind)), q.Kind), l.args, scanPlace)
		return err
	})
	return places, err
}

// scanPlace reads columns and spotColumns. What the home says beyond its table's columns stands in its asset.
func scanPlace(rows Rows) (media.Place, error) {
	var r row
	var f found
	if err := r.scan(rows, f.into()...); err != nil {
		return media.Place{}, err
	}
	f.Position = int(f.position)
	p := media.Place{ID: f.id, Asset: r.Asset, Placement: f.Placement, UpdatedAt: moment(f.updated)}
	if p.Home() {
		p.Placement = r.Placement
	}
	return p, nil
}

const countColumns = `p.id, a.version, a.access_count, a.bytes_served, a.last_accessed_at`

// PlaceCounts reads what changes of an entity's places by being watched. See curation.Places.
func (c *Catalogue) PlaceCounts(ctx context.Context, q media.PlaceQuery) ([]media.PlaceCount, error) {
	l, err := selectPlaces(q)
	if err != nil {
		return nil, err
	}
	var counts []media.PlaceCount
	err = c.engine.Read(ctx, func(db Querier) error {
		var err error
		counts, err = readAll(ctx, db, l.text(countColumns, q.Kind), l.args, func(rows Rows) (n media.PlaceCount, err error) {
			var last int64
			err = rows.Scan(&n.ID, &n.Version, &n.AccessCount, &n.BytesServed, &last)
			n.LastAccessedAt = moment(last)
			return n, err
		})
		return err
	})
	return counts, err
}

// Place reads one place. See curation.Places.
func (c *Catalogue) Place(ctx context.Context, kind media.PlacementKind, id media.AssetID) (p media.Place, err error) {
	kind = kindOf(kind)
	if err := checkKind(kind); err != nil {
		return media.Place{}, err
	}
	err = c.engine.Read(ctx, func(q Querier) error {
		p, err = readPlace(ctx, q, kind, id)
		return err
	})
	return p, err
}

func readPlace(ctx context.Context, q Querier, kind media.PlacementKind, id media.AssetID) (media.Place, error) {
	places, err := readAll(ctx, q, "SELECT "+columns+", "+spotColumns(kind)+" FROM "+table(kind)+
		" p JOIN assets a ON a.id = p.asset_id WHERE p.id = $1 AND a.doomed_at = 0", []any{id}, scanPlace)
	if err != nil || len(places) == 0 {
		return media.Place{}, orNotFound(err)
	}
	return places[0], nil
}

func orNotFound(err error) error {
	if err == nil {
		return notFound()
	}
	return err
}

// holdPlace locks a place's product and its asset, and with it what is to be moved to, or replaced by, and finds it there. The first look tells
// what to lock.
func (w *work) holdPlace(ctx context.Context, kind media.PlacementKind, id, by media.AssetID, to ...media.Placement) (*standing, int, error) {
	kind = kindOf(kind)
	if err := checkKind(kind); err != nil {
		return nil, 0, err
	}
	seen, err := readPlace(ctx, w.tx, kind, id)
	if err != nil {
		return nil, 0, err
	}
	if err := w.lock(ctx, products(append(to, seen.Placement)...)...); err != nil {
		return nil, 0, err
	}
	ids := []media.AssetID{seen.Asset.ID}
	if !by.IsZero() {
		ids = append(ids, by)
	}
	if err := w.hold(ctx, ids...); err != nil {
		return nil, 0, err
	}
	s, err := w.alive(seen.Asset.ID)
	if err != nil {
		return nil, 0, err
	}
	i := s.find(id)
	switch {
	case i < 0 || s.places[i].Kind != kind:
		return nil, 0, notFound()
	case s.places[i].Subject() != seen.Placement.Subject():
		return nil, 0, errAgain // it was moved to an entity that is not locked
	}
	return s, i, nil
}

// ChangePlace changes a place and its asset. See curation.Places.
func (c *Catalogue) ChangePlace(ctx context.Context, kind media.PlacementKind, id media.AssetID, version int64, ch media.PlaceChange) (media.Place, error) {
	var to []media.Placement
	if ch.Placement != nil {
		p := *ch.Placement
		if p.Kind == "" {
			p.Kind = kindOf(kind)
		}
		if err := checkPlace(p); err != nil {
			return media.Place{}, err
		}
		to = append(to, fitting(p))
	}
	var after media.Place
	err := c.rework(ctx, Ordinary, func(w *work) error {
		s, i, err := w.holdPlace(ctx, kind, id, ch.By, to...)
		if err != nil {
			return err
		}
		if s.Version != version {
			return stale()
		}
		if !ch.By.IsZero() {
			if err := w.replace(ctx, s, ch.By); err != nil {
				return err
			}
		}
		if err := apply(&s.Asset, media.Change{Title: ch.Title, Public: ch.Public}); err != nil {
			return err
		}
		s.changed = true
		if len(to) > 0 && to[0] != s.places[i].Placement {
			if err := w.move(ctx, s, i, to[0]); err != nil {
				return err
			}
		}
		if err := w.save(ctx, s); err != nil {
			return err
		}
		after = s.place(s.find(id))
		return nil
	})
	return after, err
}

const moveAsset = `UPDATE assets SET position = CASE WHEN COALESCE(place_id, id) = $2 THEN $3 ELSE position END, updated_at = $4,
	version = version + 1 WHERE id = $1`

// Reorder gives places the positions 0, 1 and so on. See curation.Places.
func (c *Catalogue) Reorder(ctx context.Context, q media.PlaceQuery, ids []media.AssetID) error {
	l, err := selectPlaces(q)
	if err != nil {
		return err
	}
	return c.rework(ctx, Ordinary, func(w *work) error {
		if err := w.lock(ctx, q.Subject()); err != nil {
			return err
		}
		there, err := w.positions(ctx, q.Kind, l)
		if err != nil {
			return err
		}
		var moved []media.AssetID
		for i, id := range ids {
			if f, known := there[id]; known && f.position != int64(i) {
				moved = append(moved, f.asset)
			}
		}
		if err := w.hold(ctx, moved...); err != nil {
			return err
		}
		for i, id := range ids {
			f, known := there[id]
			if !known {
				return otherPlaces()
			}
			delete(there, id) // one that is named twice is not there any more
			if f.position == int64(i) {
				continue
			}
			if err := w.reposition(ctx, f, int64(i)); err != nil {
				return err
			}
		}
		if len(there) > 0 {
			return otherPlaces()
		}
		return nil
	})
}

func (w *work) positions(ctx context.Context, kind media.PlacementKind, l selection) (map[media.AssetID]found, error) {
	all, err := readAll(ctx, w.tx, l.text("p.id, p.asset_id, p.position", kind), l.args, func(rows Rows) (f found, err error) {
		f.Kind = kind
		return f, rows.Scan(&f.id, &f.asset, &f.position)
	})
	there := make(map[media.AssetID]found, len(all))
	for _, f := range all {
		there[f.id] = f
	}
	return there, err
}

func (w *work) reposition(ctx context.Context, f found, to int64) error {
	w.told = append(w.told, f.asset)
	if err := w.tx.Later(ctx, `UPDATE `+table(f.Kind)+` SET position = $2, updated_at = $3 WHERE id = $1`, f.id, to, micros(w.now)); err != nil {
		return err
	}
	return w.tx.Later(ctx, moveAsset, f.asset, f.id, to, micros(w.now))
}

func otherPlaces() error {
	return &media.Error{Kind: media.Conflict, Code: "other_places", Detail: "these are not exactly the media that are there: read them again"}
}

func kindOf(k media.PlacementKind) media.PlacementKind {
	if k == "" {
		return media.Generic
	}
	return k
}

func checkKind(k media.PlacementKind) error {
	for _, known := range kinds() {
		if k == known {
			return nil
		}
	}
	return &media.Error{Kind: media.Invalid, Code: "bad_kind", Field: "kind", Detail: "there is no such kind of place"}
}

// checkPlace refuses a place that no row can be written for.
func checkPlace(p media.Placement) error {
	if err := checkKind(p.Kind); err != nil {
		return err
	}
	if s := p.Subject(); s.ID == "" || s.Type == "" {
		return &media.Error{Kind: media.Invalid, Code: "no_entity", Detail: "a place names its entity"}
	}
	return checkPlacement(p)
}
