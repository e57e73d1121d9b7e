package catalogue

import (
	"context"
	"strconv"
	"strings"

	"sluice/media"
)

// order is a sort in SQL: the column of assets, and the one of a table of placements where it holds the same.
type order struct {
	asset, placed string
	descending    bool
	value         func(media.Asset) int64
}

func orderOf(s media.Sort) (order, bool) {
	created := func(a media.Asset) int64 { return micros(a.CreatedAt) }
	size := func(a media.Asset) int64 { return a.Size }
	fetched := func(a media.Asset) int64 { return a.AccessCount }
	switch s {
	case media.Newest:
		return order{"a.created_at", "p.created_at", true, created}, true
	case media.Oldest:
		return order{"a.created_at", "p.created_at", false, created}, true
	case media.Largest:
		return order{"a.size", "p.file_size", true, size}, true
	case media.Smallest:
		return order{"a.size", "p.file_size", false, size}, true
	case media.MostFetched:
		return order{"a.access_count", "a.access_count", true, fetched}, true
	case media.LeastFetched:
		return order{"a.access_count", "a.access_count", false, fetched}, true
	}
	return order{}, false
}

// List reads one page. What is not finished belongs nowhere yet, so a list by placement or reference holds finished media only. See
// curation.Shelf.
func (c *Catalogue) List(ctx context.Context, q media.Query) (media.Listing, error) {
	l, err := newList(q)
	if err != nil {
		return media.Listing{}, err
	}
	l.build()
	if len(l.arms) == 0 {
		return media.Listing{}, nil
	}
	var page []row
	err = c.engine.Read(ctx, func(db Querier) error {
		var err error
		page, err = c.loadRows(ctx, db, l.limit+1, l.text(), l.args...)
		return err
	})
	if err != nil {
		return media.Listing{}, err
	}
	var out media.Listing
	if len(page) > l.limit {
		page = page[:l.limit]
		last := page[l.limit-1].Asset
		out.NextCursor = cursor{value: l.order.value(last), id: last.ID}.text(l.sort)
	}
	out.Items = make([]media.Asset, len(page))
	for i := range page {
		out.Items[i] = page[i].Asset
	}
	return out, nil
}

// list is a query on its way to SQL. Each arm gives the sort's value and the id of up to limit+1 rows from one index: "mine or public"
// and "videos or resources of a course" are two arms, since an OR would make the engine leave the index.
type list struct {
	q     media.Query
	sort  media.Sort
	order order
	limit int
	after *cursor
	arms  []string
	args  []any
	bound map[any]string
}

func newList(q media.Query) (*list, error) {
	l := &list{q: q, sort: q.Sort, limit: q.Limit, bound: map[any]string{}}
	if l.sort == "" {
		l.sort = media.Newest
	}
	var known bool
	if l.order, known = orderOf(l.sort); !known {
		return nil, &media.Error{Kind: media.Invalid, Code: "bad_sort", Field: "sort", Detail: "there is no such sort"}
	}
	if l.limit == 0 {
		l.limit = 50
	}
	if l.limit < 1 || l.limit > 200 {
		return nil, &media.Error{Kind: media.Invalid, Code: "bad_limit", Field: "limit", Detail: "a page holds 1 to 200 items"}
	}
	if q.Cursor != "" {
		after, err := parseCursor(q.Cursor, l.sort)
		if err != nil {
			return nil, err
		}
		l.after = &after
	}
	if err := checkTexts("owner", q.Owner, "uploadedBy", q.UploadedBy, "mediaType", string(q.Type), "storageType", string(q.StorageType), "referenceType",
		string(q.Reference.Type), "referenceId", q.Reference.ID); err != nil {
		return nil, err
	}
	for _, s := range q.States {
		if err := checkTexts("state", string(s)); err != nil {
			return nil, err
		}
	}
	return l, checkPlacement(q.Placement)
}

// bind gives the place of an argument; the same value gets the same place.
func (l *list) bind(v any) string {
	if place, known := l.bound[v]; known {
		return place
	}
	l.args = append(l.args, v)
	l.bound[v] = "$" + strconv.Itoa(len(l.args))
	return l.bound[v]
}

func (l *list) build() {
	var visible [][]string
	private := l.q.Public != nil && !*l.q.Public // then no arm of public ones can hold any
	switch {
	case l.q.AnyOwner:
		visible = [][]string{{}}
	case l.q.Owner != "":
		visible = [][]string{{"a.owner = " + l.bind(l.q.Owner)}}
		if l.q.PublicToo && !private {
			visible = append(visible, []string{"a.is_public", "a.owner <> " + l.bind(l.q.Owner)})
		}
	case l.q.PublicToo && !private:
		visible = [][]string{{"a.is_public"}}
	}
	sources := l.sources()
	for _, who := range visible {
		for i := range sources {
			l.arms = append(l.arms, l.arm(sources[:i], sources[i], who))
		}
	}
}

// sources gives the tables to look in: assets, or those tables of placements that have all the columns asked for.
func (l *list) sources() []string {
	p := l.q.Placement
	if l.q.Reference.IsZero() && p.Kind == "" && p.ProductID == "" && p.CourseID == "" && p.LessonID == "" && p.ModuleID == "" &&
		p.VideoType == "" && p.ResourceType == "" {
		return []string{"assets"}
	}
	var found []string
	for _, k := range []media.PlacementKind{media.ProductImage, media.CourseVideo, media.CourseResource, media.Generic} {
		image, video, resource := k == media.ProductImage, k == media.CourseVideo, k == media.CourseResource
		fits := (p.Kind == "" || p.Kind == k) &&
			(p.ProductID == "" || image) &&
			(p.CourseID == "" && p.LessonID == "" || video || resource) &&
			(p.ModuleID == "" && p.VideoType == "" || video) &&
			(p.ResourceType == "" || resource) &&
			(l.q.Reference.IsZero() || k == media.Generic)
		if fits {
			found = append(found, table(k))
		}
	}
	return found
}

// arm reads one source. Those before it have given what stands there too.
func (l *list) arm(before []string, from string, who []string) string {
	where := append([]string{}, who...)
	key, id := l.order.asset, "a.id"
	source := "assets a"
	storage, coarse := "a.storage_type", "a.media_type"
	switch {
	case from == "assets":
		where = append(where, "a.doomed_at = 0", "NOT a.partial")
	case l.order.asset == l.order.placed && !l.named(): // the order is that of assets alone, and much of them fits
		where = append(where, "a.doomed_at = 0", "NOT a.partial", l.there(from))
	default:
		key, id, storage = l.order.placed, "p.asset_id", "p.storage_type"
		source = from + " p JOIN assets a ON a.id = p.asset_id"
		where = append(append(where, l.placed("p.")...), l.once(before, from))
		if from == "media_storage" {
			coarse = "p.media_type"
		}
	}
	if l.q.UploadedBy != "" {
		where = append(where, "a.owner = "+l.bind(l.q.UploadedBy))
	}
	if l.q.Public != nil {
		not := ""
		if !*l.q.Public {
			not = "NOT "
		}
		where = append(where, not+"a.is_public")
	}
	if l.q.Type != "" {
		where = append(where, coarse+" = "+l.bind(string(l.q.Type)))
	}
	if l.q.StorageType != "" {
		where = append(where, storage+" = "+l.bind(string(l.q.StorageType)))
	}
	if len(l.q.States) > 0 {
		places := make([]string, len(l.q.States))
		for i, s := range l.q.States {
			places[i] = l.bind(string(s))
		}
		where = append(where, "a.state IN ("+strings.Join(places, ", ")+")")
	}
	if l.after != nil {
		compare := ") > ("
		if l.order.descending {
			compare = ") < ("
		}
		where = append(where, "("+key+", "+id+compare+l.bind(l.after.value)+", "+l.bind(l.after.id)+")")
	}
	if len(where) == 0 {
		where = []string{"TRUE"}
	}
	return "SELECT " + key + " AS k, " + id + " AS id FROM " + source + " WHERE " + strings.Join(where, " AND ") + l.tail(key, id)
}

// there asks of an asset whether it has a place that fits. What the place repeats of it is asked too, where it is rare that finds it.
func (l *list) there(from string) string {
	where := append([]string{"p.asset_id = a.id"}, l.placed("p.")...)
	if l.q.StorageType != "" {
		where = append(where, "p.storage_type = "+l.bind(string(l.q.StorageType)))
	}
	if l.q.Type != "" && from == "media_storage" {
		where = append(where, "p.media_type = "+l.bind(string(l.q.Type)))
	}
	return "EXISTS (SELECT 1 FROM " + from + " p WHERE " + strings.Join(where, " AND ") + ")"
}

// named reports whether a list is of one entity, which has few media.
func (l *list) named() bool {
	p := l.q.Placement
	return p.ProductID != "" || p.CourseID != "" || p.LessonID != "" || p.ModuleID != "" || l.q.Reference.ID != ""
}

// once lets an asset with several places through at one of them: where it has none that fits in a table before, nor an older one in this.
// The comparison of ids also keeps PostgreSQL from reading a table as a whole to hash it.
func (l *list) once(before []string, from string) string {
	var others []string
	for _, t := range append(before[:len(before):len(before)], from) {
		compare := "o.id <> p.id"
		if t == from {
			compare = "o.id < p.id"
		}
		others = append(others, "NOT EXISTS (SELECT 1 FROM "+t+" o WHERE "+
			strings.Join(append([]string{"o.asset_id = p.asset_id", compare}, l.placed("o.")...), " AND ")+")")
	}
	return "(a.also = '' OR " + strings.Join(others, " AND ") + ")"
}

// placed gives the conditions on a table of placements. Not all of them fit every table: sources has left out those they do not fit.
func (l *list) placed(of string) []string {
	var where []string
	for _, c := range []struct{ column, value string }{
		{"mongo_product_id", l.q.Placement.ProductID},
		{"mongo_course_id", l.q.Placement.CourseID},
		{"mongo_lesson_id", l.q.Placement.LessonID},
		{"mongo_module_id", l.q.Placement.ModuleID},
		{"video_type", string(l.q.Placement.VideoType)},
		{"resource_type", string(l.q.Placement.ResourceType)},
		{"reference_id", l.q.Reference.ID},
		{"reference_type", string(l.q.Reference.Type)},
	} {
		if c.value == "" {
			continue
		}
		where = append(where, of+c.column+" = "+l.bind(c.value))
		if c.column == "mongo_lesson_id" || c.column == "mongo_module_id" || c.column == "reference_id" || c.column == "reference_type" {
			where = append(where, of+c.column+" <> ''") // says again what the partial index says, for the planner
		}
	}
	return where
}

func (l *list) tail(key, id string) string {
	direction := ""
	if l.order.descending {
		direction = " DESC"
	}
	return " ORDER BY " + key + direction + ", " + id + direction + " LIMIT " + strconv.Itoa(l.limit+1)
}

// text joins the arms, and only then fetches the wide rows of what is on the page.
func (l *list) text() string {
	keys := l.arms[0]
	if len(l.arms) > 1 {
		parts := make([]string, len(l.arms))
		for i, arm := range l.arms {
			parts[i] = "SELECT k, id FROM (" + arm + ") AS arm" + strconv.Itoa(i)
		}
		keys = strings.Join(parts, " UNION ALL ") + l.tail("k", "id")
	}
	return "SELECT " + columns + " FROM (" + keys + ") AS page JOIN assets a ON a.id = page.id" + strings.TrimSuffix(l.tail("page.k", "page.id"),
		" LIMIT "+strconv.Itoa(l.limit+1))
}
