package catalogue

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"sluice/media"
)

// trashedPlacement is a placement in JSON, under names that do not follow those of the code.
type trashedPlacement struct {
	ProductID     string `json:"product,omitempty"`
	CourseID      string `json:"course,omitempty"`
	LessonID      string `json:"lesson,omitempty"`
	ModuleID      string `json:"module,omitempty"`
	VideoType     string `json:"videoType,omitempty"`
	ResourceName  string `json:"name,omitempty"`
	ResourceType  string `json:"resourceType,omitempty"`
	AltText       string `json:"alt,omitempty"`
	MainImage     bool   `json:"main,omitempty"`
	Position      int    `json:"position,omitempty"`
	ReferenceType string `json:"referenceType,omitempty"`
	ReferenceID   string `json:"reference,omitempty"`
}

func placementText(p media.Placement) (string, error) {
	text, err := json.Marshal(trashedPlacement{
		ProductID: p.ProductID, CourseID: p.CourseID, LessonID: p.LessonID, ModuleID: p.ModuleID, VideoType: string(p.VideoType),
		ResourceName: p.ResourceName, ResourceType: string(p.ResourceType), AltText: p.AltText, MainImage: p.MainImage, Position: p.Position,
		ReferenceType: string(p.Reference.Type), ReferenceID: p.Reference.ID,
	})
	return string(text), err
}

func parsePlacement(k media.PlacementKind, text string) (media.Placement, error) {
	var t trashedPlacement
	if err := json.Unmarshal([]byte(text), &t); err != nil {
		return media.Placement{}, fmt.Errorf("catalogue: a place in the trash: %w", err)
	}
	return media.Placement{
		Kind: k, ProductID: t.ProductID, CourseID: t.CourseID, LessonID: t.LessonID, ModuleID: t.ModuleID, VideoType: media.VideoType(t.VideoType),
		ResourceName: t.ResourceName, ResourceType: media.ResourceType(t.ResourceType), AltText: t.AltText, MainImage: t.MainImage, Position: t.Position,
		Reference: media.Subject{Type: media.SubjectType(t.ReferenceType), ID: t.ReferenceID},
	}, nil
}

const insertTrash = `INSERT INTO trash (id, asset_id, kind, placement, of_type, of_id, deleted_by, deleted_at, keep_until)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`

// discard notes a place that is taken away, when it is to be kept.
func (w *work) discard(ctx context.Context, s *standing, at spot, t media.Trashed) error {
	if t.Until.IsZero() {
		return nil
	}
	text, err := placementText(at.Placement)
	if err != nil {
		return err
	}
	if t.At.IsZero() {
		t.At = w.now
	}
	return w.tx.Later(ctx, insertTrash, at.id, s.ID, string(at.Kind), text, string(t.Of.Type), t.Of.ID, t.By, micros(t.At), micros(t.Until))
}

const (
	trashColumns = `t.id, t.kind, t.placement, t.of_type, t.of_id, t.deleted_by, t.deleted_at, t.keep_until`
	selectTrash  = `SELECT ` + columns + `, ` + trashColumns + ` FROM trash t JOIN assets a ON a.id = t.asset_id`
)

func scanTrashed(rows Rows) (t media.Trashed, err error) {
	var r row
	var kind, text string
	var at, until int64
	if err := r.scan(rows, &t.ID, &kind, &text, (*string)(&t.Of.Type), &t.Of.ID, &t.By, &at, &until); err != nil {
		return media.Trashed{}, err
	}
	t.Asset, t.At, t.Until = r.Asset, moment(at), moment(until)
	t.Placement, err = parsePlacement(media.PlacementKind(kind), text)
	return t, err
}

func readTrashed(ctx context.Context, q Querier, id media.AssetID) (media.Trashed, error) {
	found, err := readAll(ctx, q, selectTrash+` WHERE t.id = $1`, []any{id}, scanTrashed)
	if err != nil || len(found) == 0 {
		return media.Trashed{}, orNotFound(err)
	}
	return found[0], nil
}

// Trashed reads one place of the trash. See curation.Places.
func (c *Catalogue) Trashed(ctx context.Context, id media.AssetID) (t media.Trashed, err error) {
	err = c.engine.Read(ctx, func(q Querier) error {
		t, err = readTrashed(ctx, q, id)
		return err
	})
	return t, err
}

// trashOrder binds cursors of the trash to it.
const trashOrder media.Sort = "trash"

// Trash reads a page of the trash, newest first. See curation.Places.
func (c *Catalogue) Trash(ctx context.Context, by string, limit int, at string) (items []media.Trashed, next string, err error) {
	if limit == 0 {
		limit = 50
	}
	if limit < 1 || limit > 200 {
		return nil, "", &media.Error{Kind: media.Invalid, Code: "bad_limit", Field: "limit", Detail: "a page holds 1 to 200 items"}
	}
	if err := checkTexts("by", by); err != nil {
		return nil, "", err
	}
	text, args := selectTrash+` WHERE TRUE`, []any(nil)
	if by != "" {
		args = append(args, by)
		text += ` AND t.deleted_by = $1`
	}
	if at != "" {
		after, err := parseCursor(at, trashOrder)
		if err != nil {
			return nil, "", err
		}
		args = append(args, after.value, after.id)
		text += ` AND (t.deleted_at, t.id) < ($` + strconv.Itoa(len(args)-1) + `, $` + strconv.Itoa(len(args)) + `)`
	}
	text += ` ORDER BY t.deleted_at DESC, t.id DESC LIMIT ` + strconv.Itoa(limit+1)
	err = c.engine.Read(ctx, func(q Querier) error {
		items, err = readAll(ctx, q, text, args, scanTrashed)
		return err
	})
	if err == nil && len(items) > limit {
		items = items[:limit]
		next = cursor{value: micros(items[limit-1].At), id: items[limit-1].ID}.text(trashOrder)
	}
	return items, next, err
}

// Restore puts a place back. See curation.Places.
func (c *Catalogue) Restore(ctx context.Context, id media.AssetID) (p media.Place, err error) {
	err = c.rework(ctx, Ordinary, func(w *work) error {
		t, err := readTrashed(ctx, w.tx, id)
		if err != nil {
			return err
		}
		if err := w.lock(ctx, products(t.Placement)...); err != nil {
			return err
		}
		if err := w.hold(ctx, t.Asset.ID); err != nil {
			return err
		}
		at, err := w.restore(ctx, t)
		if err != nil {
			return err
		}
		s := w.held[t.Asset.ID]
		if s.changed {
			if err := w.save(ctx, s); err != nil {
				return err
			}
		}
		p = s.place(s.find(at))
		return nil
	})
	return p, err
}

// restore puts a place of an asset that is held back, and gives its id: that of another when the asset stands there again by now.
func (w *work) restore(ctx context.Context, t media.Trashed) (media.AssetID, error) {
	n, err := w.tx.Exec(ctx, `DELETE FROM trash WHERE id = $1`, t.ID)
	s := w.held[t.Asset.ID]
	if err == nil && (n == 0 || s == nil) {
		err = notFound() // another has been quicker
	}
	if err != nil {
		return media.AssetID{}, err
	}
	if i := s.alike(t.Placement, media.AssetID{}); i >= 0 {
		return s.places[i].id, nil
	}
	if loose(t.Placement) && len(s.places) > 0 { // it belongs somewhere by now
		return s.HomeID(), nil
	}
	if s.loose() {
		if err := w.drop(ctx, s, 0); err != nil {
			return media.AssetID{}, err
		}
	}
	if t.Placement.Kind == media.ProductImage && t.Placement.MainImage {
		var place, asset media.AssetID
		taken, err := queryOne(ctx, w.tx, selectMain, []any{t.Placement.ProductID}, &place, &asset)
		if err != nil {
			return media.AssetID{}, err
		}
		t.Placement.MainImage = !taken
	}
	s.kept = false
	return t.ID, w.put(ctx, s, spot{t.ID, t.Placement})
}

// RestoreAll puts back what was removed with an entity. See curation.Places.
func (c *Catalogue) RestoreAll(ctx context.Context, of media.Subject, intent string) error {
	if err := checkTexts("type", string(of.Type), "id", of.ID, "intent", intent); err != nil {
		return err
	}
	return c.rework(ctx, Ordinary, func(w *work) error {
		if err := w.lock(ctx, of); err != nil {
			return err
		}
		all, err := readAll(ctx, w.tx, selectTrash+` WHERE t.of_id = $1 AND t.of_id <> '' AND t.of_type = $2`, []any{of.ID, string(of.Type)}, scanTrashed)
		if err != nil {
			return err
		}
		ids := make([]media.AssetID, len(all))
		placements := make([]media.Placement, len(all))
		for i, t := range all {
			ids[i], placements[i] = t.Asset.ID, t.Placement
		}
		if err := w.lock(ctx, products(placements...)...); err != nil {
			return err
		}
		if err := w.hold(ctx, ids...); err != nil {
			return err
		}
		slices.SortFunc(all, homesFirst)
		for _, t := range all {
			if _, err := w.restore(ctx, t); err != nil && media.KindOf(err) != media.NotFound {
				return err
			}
		}
		if intent == "" {
			return nil
		}
		return w.tx.Later(ctx, endIntent, intent)
	})
}

// homesFirst orders places so that an asset gets the home back that it had; the others follow as they were made.
func homesFirst(x, y media.Trashed) int {
	rank := func(t media.Trashed) int {
		if t.ID == t.Asset.HomeID() {
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(rank(x), rank(y)), compareIDs(x.ID, y.ID))
}

func compareIDs(x, y media.AssetID) int { return bytes.Compare(x[:], y[:]) }

// wanted tells of which assets the trash has a place.
func (w *work) wanted(ctx context.Context, ids ...media.AssetID) (map[media.AssetID]bool, error) {
	found, err := readAll(ctx, w.tx, w.c.texts.wanted, []any{idJSON(ids)}, scanID)
	wanted := make(map[media.AssetID]bool, len(found))
	for _, id := range found {
		wanted[id] = true
	}
	return wanted, err
}

func scanID(rows Rows) (id media.AssetID, err error) {
	err = rows.Scan(&id)
	return id, err
}

// Empty drops one place from the trash. See curation.Places.
func (c *Catalogue) Empty(ctx context.Context, id media.AssetID) (a media.Asset, last bool, err error) {
	err = c.rework(ctx, Freeing, func(w *work) error {
		t, err := readTrashed(ctx, w.tx, id)
		if err != nil {
			return err
		}
		gone, err := w.empty(ctx, t.Until, []media.AssetID{t.ID}, []media.AssetID{t.Asset.ID})
		a, last = t.Asset, len(gone) > 0
		return err
	})
	if err != nil {
		return media.Asset{}, false, err
	}
	return a, last, nil
}

// emptied is how many places leave the trash in one transaction.
const emptied = 200

const selectDue = `SELECT id, asset_id FROM trash WHERE keep_until <= $1 ORDER BY keep_until, id LIMIT 200`

// EmptyUntil drops what is kept until a time or shorter. Where nothing is due, which is nearly always, it only reads. See curation.Places.
func (c *Catalogue) EmptyUntil(ctx context.Context, now time.Time) error {
	for {
		var places, assets []media.AssetID
		err := c.engine.Read(ctx, func(q Querier) error {
			due, err := readAll(ctx, q, selectDue, []any{micros(now)}, func(rows Rows) (f found, err error) {
				err = rows.Scan(&f.id, &f.asset)
				return f, err
			})
			places, assets = make([]media.AssetID, len(due)), make([]media.AssetID, len(due))
			for i, f := range due {
				places[i], assets[i] = f.id, f.asset
			}
			return err
		})
		if err != nil || len(places) == 0 {
			return err
		}
		err = c.rework(ctx, Freeing, func(w *work) error {
			_, err := w.empty(ctx, now, places, assets)
			return err
		})
		if err != nil || len(places) < emptied {
			return err
		}
	}
}

const letGo = `UPDATE assets SET kept = FALSE WHERE id = $1`

// empty drops places that are kept until a time or shorter from the trash, and gives the assets it let go: those whose last place it kept.
// What they held of the quota is given back.
func (w *work) empty(ctx context.Context, until time.Time, places, assets []media.AssetID) (gone []media.AssetID, err error) {
	if err := w.hold(ctx, assets...); err != nil {
		return nil, err
	}
	if err := w.tx.Later(ctx, w.c.texts.empty, idJSON(places), micros(until)); err != nil {
		return nil, err
	}
	wanted, err := w.wanted(ctx, assets...)
	if err != nil {
		return nil, err
	}
	for id, s := range w.held {
		if !s.kept || wanted[id] {
			continue
		}
		gone = append(gone, id)
		if err := w.tx.Later(ctx, letGo, id); err != nil {
			return nil, err
		}
		if err := w.c.reserve(ctx, w.tx, s.Asset, -s.reserved, 0); err != nil {
			return nil, err
		}
	}
	return gone, nil
}
