package catalogue

import (
	"bytes"
	"context"
	"slices"
	"time"

	"sluice/media"
)

// work is what one transaction does to the places of assets. The rows of those it holds are locked, so that what was read of them stays so,
// and are written once, at the end.
type work struct {
	c    *Catalogue
	tx   Tx
	now  time.Time
	held map[media.AssetID]*standing
	told []media.AssetID // the assets that were changed
}

// standing is an asset that is held, and its places, the oldest first. What is not finished, is not checked or lies in the trash has none.
type standing struct {
	row
	places  []spot
	changed bool
}

func (c *Catalogue) work(tx Tx) *work {
	return &work{c: c, tx: tx, now: c.stamp(), held: map[media.AssetID]*standing{}}
}

// rework runs do in one transaction, and tells which assets it has changed.
func (c *Catalogue) rework(ctx context.Context, m Mode, do func(*work) error) error {
	var told []media.AssetID
	err := c.write(ctx, m, func(tx Tx) error {
		w := c.work(tx)
		if err := do(w); err != nil {
			return err
		}
		err := w.finish(ctx)
		told = w.told
		return err
	})
	if err == nil {
		c.tell(told...)
	}
	return err
}

// hold locks the rows of assets, in one order for all, and then reads them. What is missing or doomed is not held, what the trash keeps is.
func (w *work) hold(ctx context.Context, ids ...media.AssetID) error {
	list := idJSON(ids)
	if w.c.texts.Hold != "" {
		if err := w.tx.Later(ctx, w.c.texts.Hold, list); err != nil {
			return err
		}
	}
	found, err := w.c.loadRows(ctx, w.tx, len(ids), w.c.texts.held, list)
	if err != nil {
		return err
	}
	further := false
	for _, r := range found {
		s := &standing{row: r}
		w.held[r.ID] = s
		if further = further || len(r.Also) > 0 && !r.kept; s.stands() {
			s.places = []spot{{r.HomeID(), r.Placement}}
		}
	}
	if further {
		return w.further(ctx, list)
	}
	return nil
}

// further reads the places of what is held beside the homes.
func (w *work) further(ctx context.Context, list string) error {
	all, err := readAll(ctx, w.tx, w.c.texts.spots, []any{list}, func(rows Rows) (f found, err error) {
		err = rows.Scan(f.into()...)
		f.Position = int(f.position)
		return f, err
	})
	if err != nil {
		return err
	}
	for _, f := range all {
		if s := w.held[f.asset]; s != nil && f.id != s.HomeID() {
			s.places = append(s.places, f.spot)
		}
	}
	for _, s := range w.held {
		s.sort()
	}
	return nil
}

// one holds one asset; media.NotFound when it is missing or doomed.
func (w *work) one(ctx context.Context, id media.AssetID) (*standing, error) {
	if err := w.hold(ctx, id); err != nil {
		return nil, err
	}
	return w.alive(id)
}

func (w *work) alive(id media.AssetID) (*standing, error) {
	if s := w.held[id]; s != nil && !s.kept {
		return s, nil
	}
	return nil, notFound()
}

// stands reports whether the home is a row in its table.
func (s *standing) stands() bool {
	return s.State.Finished() && !s.Upload.Partial && !s.Unchecked && !s.kept
}

func (s *standing) find(id media.AssetID) int {
	return slices.IndexFunc(s.places, func(at spot) bool { return at.id == id })
}

// loose reports whether the asset is finished and belongs nowhere: its next place becomes its home.
func (s *standing) loose() bool { return len(s.places) == 1 && loose(s.places[0].Placement) }

// alike finds a place that is one with a placement, but for that of an id.
func (s *standing) alike(p media.Placement, but media.AssetID) int {
	return slices.IndexFunc(s.places, func(at spot) bool { return at.id != but && alike(at.Placement, p) })
}

func (s *standing) sort() {
	slices.SortFunc(s.places, func(x, y spot) int { return bytes.Compare(x.id[:], y.id[:]) })
}

// put writes a place. A main image takes the place of the old one.
func (w *work) put(ctx context.Context, s *standing, at spot) error {
	if at.Kind == media.ProductImage && at.MainImage {
		if err := w.demote(ctx, at.ProductID); err != nil {
			return err
		}
	}
	s.places, s.changed = append(s.places, at), true
	s.sort()
	return w.insertSpot(ctx, s.Asset, at)
}

// drop removes the row of a place.
func (w *work) drop(ctx context.Context, s *standing, i int) error {
	at := s.places[i]
	s.places, s.changed = slices.Delete(s.places, i, i+1), true
	return w.tx.Later(ctx, `DELETE FROM `+table(at.Kind)+` WHERE id = $1`, at.id)
}

// take removes a place. When it was its product's main image the next one is.
func (w *work) take(ctx context.Context, s *standing, i int) error {
	at := s.places[i]
	if err := w.drop(ctx, s, i); err != nil || at.Kind != media.ProductImage || !at.MainImage {
		return err
	}
	return w.promote(ctx, at.ProductID)
}

// move puts an asset from one place into another, which keeps the id.
func (w *work) move(ctx context.Context, s *standing, i int, p media.Placement) error {
	at := s.places[i]
	if s.alike(p, at.id) >= 0 {
		return standsThere()
	}
	stays := at.ProductID == p.ProductID && at.MainImage && p.MainImage
	remove := w.take
	if at.Kind == p.Kind && stays {
		remove = w.drop // nobody takes its turn
	}
	if err := remove(ctx, s, i); err != nil {
		return err
	}
	return w.put(ctx, s, spot{at.id, p})
}

// settle brings what an asset's own row says of its places up to date.
func (s *standing) settle() {
	if len(s.places) > 0 && !s.Unchecked && s.find(s.HomeID()) < 0 {
		s.PlaceID = unlessOwn(s.places[0].id, s.ID)
	}
	s.Also = nil
	for _, at := range s.places {
		switch {
		case at.id == s.HomeID():
			s.Placement = at.Placement
		case !slices.Contains(s.Also, at.Subject()):
			s.Also = append(s.Also, at.Subject())
		}
	}
}

const saveAsset = `UPDATE assets SET title = $2, filename = $3, is_public = $4, kind = $5, product_id = $6, course_id = $7, lesson_id = $8,
	module_id = $9, video_type = $10, resource_name = $11, resource_type = $12, alt_text = $13, is_main_image = $14, position = $15,
	reference_type = $16, reference_id = $17, place_id = $18, also = $19, unchecked = $20, version = $21, updated_at = $22, doomed_at = 0,
	kept = FALSE WHERE id = $1`

// finish writes the rows of the assets that were changed.
func (w *work) finish(ctx context.Context) error {
	for _, s := range w.held {
		if s.changed {
			if err := w.save(ctx, s); err != nil {
				return err
			}
		}
	}
	return nil
}

// save writes the row of an asset that lives on, or lives again.
func (w *work) save(ctx context.Context, s *standing) error {
	s.settle()
	s.Version, s.UpdatedAt, s.changed, s.kept = s.Version+1, w.now, false, false
	also, err := subjectsText(s.Also)
	if err != nil {
		return err
	}
	w.told = append(w.told, s.ID)
	p := s.Placement
	return w.tx.Later(ctx, saveAsset, s.ID, s.Title, s.Filename, s.Public, string(p.Kind), p.ProductID, p.CourseID, p.LessonID, p.ModuleID,
		string(p.VideoType), p.ResourceName, string(p.ResourceType), p.AltText, p.MainImage, int64(p.Position), string(p.Reference.Type),
		p.Reference.ID, orNull(s.PlaceID), also, s.Unchecked, s.Version, micros(s.UpdatedAt))
}

// place gives one of the places of what is held, once it is saved.
func (s *standing) place(i int) media.Place {
	return media.Place{ID: s.places[i].id, Asset: s.Asset, Placement: s.places[i].Placement, UpdatedAt: s.UpdatedAt}
}

const (
	doom = `UPDATE assets SET doomed_at = $2, updated_at = $2, join_key = NULL, kept = $3, version = version + 1
		WHERE id = $1 AND doomed_at = 0`
	dropTrash = `DELETE FROM trash WHERE asset_id = $1`
)

// doom hides an asset without places from every read. What the trash keeps goes on holding its room; else that is given back.
func (w *work) doom(ctx context.Context, s *standing, kept bool) error {
	w.told, s.changed = append(w.told, s.ID), false
	s.Version, s.UpdatedAt, s.kept = s.Version+1, w.now, kept
	if err := w.tx.Later(ctx, doom, s.ID, micros(w.now), kept); err != nil || kept {
		return err
	}
	return w.c.reserve(ctx, w.tx, s.Asset, -s.reserved, 0)
}

// nextID gives an id that is newer than the last one given, also within a millisecond, so that the order of ids is that of their making.
func nextID(now time.Time, last media.AssetID) media.AssetID {
	id := media.NewAssetID(now)
	if bytes.Compare(id[:], last[:]) > 0 {
		return id
	}
	id = last
	for i := len(id) - 1; i > 8; i-- { // the version and the variant stay
		if id[i]++; id[i] != 0 {
			break
		}
	}
	return id
}

func standsThere() error {
	return &media.Error{Kind: media.Conflict, Code: "stands_there", Detail: "the media stands there already"}
}
