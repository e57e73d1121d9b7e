package postgres_test

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"sluice/catalogue"
	"sluice/catalogue/cataloguetest"
	"sluice/catalogue/postgres"
	"sluice/internal/livetest"
	"sluice/media"
)

const manyRows = 100_000

// record gives a catalogue whose statements are remembered, and a connection to look at it from.
func record(t *testing.T, r *cataloguetest.Recorder) (*catalogue.Catalogue, *pgx.Conn) {
	t.Helper()
	s := livetest.SharedPostgres(t)
	database := s.NewDatabase(t)
	e, err := postgres.NewEngine(t.Context(), config(s, database), catalogue.Options{}.Log())
	if err != nil {
		t.Fatal(err)
	}
	r.Engine = e
	c, err := catalogue.New(t.Context(), r, catalogue.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	conn, err := pgx.Connect(t.Context(), s.URL(database))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return c, conn
}

// fill copies rows in: a quarter of each kind, in 10,000 products and 500 courses, over 50 owners. One in 20 stands in a second place, as
// many lie in the trash, a quarter have a place there, and some places were not looked at.
func fill(t *testing.T, conn *pgx.Conn, rebuild ...string) {
	t.Helper()
	kinds := []media.PlacementKind{media.ProductImage, media.CourseVideo, media.CourseResource, media.Generic}
	storages := []media.StorageType{media.Local, media.Local, media.Local, media.Local, media.Local, media.Local, media.S3, media.GCS}
	types := []media.Type{media.Image, media.Video, media.Document, media.Audio}
	states := []string{"uploading", "stored", "ready", "ready", "ready", "ready", "ready", "ready", "ready", "ready"}
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	columns := []string{
		"id", "state", "owner", "size", "media_type", "storage_type", "backend", "object_key", "is_public", "access_count", "kind",
		"product_id", "course_id", "lesson_id", "video_type", "resource_type", "is_main_image", "reference_type", "reference_id", "metadata", "parts",
		"created_at", "updated_at",
	}
	rows := pgx.CopyFromSlice(manyRows, func(i int) ([]any, error) {
		at := start.Add(time.Duration(i) * time.Second)
		id := media.NewAssetID(at)
		product, course := fmt.Sprintf("%024x", i/4%10_000), fmt.Sprintf("%024x", i/4%500)
		return []any{
			[16]byte(id), states[i/7%10], fmt.Sprintf("u%d", i%50), int64(i * 7919 % 1_000_003), string(types[i/5%3+b2i(i%200 == 3)*(3-i/5%3)]), string(storages[i/3%8]), "disk",
			id.String(), i%20 == 0, int64(i * 104_729 % 10_007), string(kinds[i%4]), product, course, fmt.Sprintf("%024x", i/4%5000),
			[]string{"intro", "lesson", "module"}[i%3], []string{"pdf", "code"}[b2i(i%200 == 2)], i/4 < 10_000 && i%4 == 0,
			[]string{"user", "page", "review", "order"}[i/4%4], fmt.Sprintf("%024x", i/4%5000),
			[]byte{},
			[]byte{},
			at.UnixMicro(), at.UnixMicro(),
		}, nil
	})
	if n, err := conn.CopyFrom(t.Context(), pgx.Identifier{"assets"}, columns, rows); err != nil || n != manyRows {
		t.Fatalf("copied %d rows: %v", n, err)
	}
	const shared = "id, asset_id, storage_type, file_size, mime_type, uploaded_by, created_at, updated_at, position"
	const from = " SELECT id, id, storage_type, size, mime_type, owner, created_at, updated_at, position, "
	for _, text := range append([]string{
		"INSERT INTO product_images (" + shared + ", mongo_product_id, alt_text, is_main_image)" + from + "product_id, '', is_main_image FROM assets WHERE kind = 'product-image'",
		"INSERT INTO course_videos (" + shared + ", mongo_course_id, mongo_lesson_id, mongo_module_id, video_type)" + from + "course_id, lesson_id, lesson_id, video_type FROM assets WHERE kind = 'course-video'",
		"INSERT INTO course_resources (" + shared + ", mongo_course_id, mongo_lesson_id, resource_name, resource_type)" + from + "course_id, lesson_id, '', resource_type FROM assets WHERE kind = 'course-resource'",
		"INSERT INTO media_storage (" + shared + ", reference_type, reference_id, media_type)" + from + "reference_type, reference_id, media_type FROM assets WHERE kind = 'media'",
		"UPDATE assets SET unchecked = TRUE WHERE kind = 'media' AND access_count % 500 = 7",
		"UPDATE assets SET kept = TRUE, doomed_at = updated_at WHERE kind = 'media' AND access_count % 5 = 1",
		"UPDATE assets SET doomed_at = updated_at WHERE kind = 'media' AND access_count % 500 = 2",
		"DELETE FROM media_storage USING assets a WHERE a.id = asset_id AND (a.doomed_at <> 0 OR a.unchecked)",
		"INSERT INTO trash SELECT id, id, kind, '{}', CASE WHEN size % 9 = 0 THEN 'course' ELSE '' END, CASE WHEN size % 9 = 0 THEN course_id ELSE '' END, owner, updated_at, updated_at + 1000000000 FROM assets WHERE kept",
		"INSERT INTO trash SELECT gen_random_uuid(), id, kind, '{\"course\":\"' || course_id || '\"}', '', '', owner, updated_at, updated_at + 1000000000 FROM assets WHERE kind = 'course-video'",
		"UPDATE assets SET also = '[\"course\",\"' || course_id || '\"]' WHERE kind = 'course-video' AND access_count % 5 = 0",
		"INSERT INTO course_videos (" + shared + ", mongo_course_id, mongo_lesson_id, mongo_module_id, video_type) SELECT gen_random_uuid(), id, storage_type, size, mime_type, owner, created_at, updated_at, position, course_id, '', '', 'module' FROM assets WHERE also <> ''",
		"INSERT INTO intents SELECT 'i' || i, 'create', 'product', lpad(to_hex(i), 24, '0'), 'u1', 'begun', 0, i FROM generate_series(1, 5000) AS i",
	}, append(rebuild, "ANALYZE")...) {
		if _, err := conn.Exec(t.Context(), text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
}

// unindex takes the secondary indexes and the checks of foreign keys away, so that the rows go in fast, and gives what makes the indexes again.
func unindex(t *testing.T, conn *pgx.Conn) (rebuild []string) {
	t.Helper()
	rows, err := conn.Query(t.Context(), `SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' AND indexname LIKE ANY
		(ARRAY['assets_%', 'product_images_%', 'course_%', 'media_storage_%']) AND indexname NOT LIKE '%_pkey' AND indexname NOT LIKE '%_key'`)
	if err != nil {
		t.Fatal(err)
	}
	drop := []string{"SET session_replication_role = replica"}
	var name, def string
	if _, err := pgx.ForEachRow(rows, []any{&name, &def}, func() error {
		drop, rebuild = append(drop, "DROP INDEX "+name), append(rebuild, def)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for _, text := range drop {
		if _, err := conn.Exec(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	return rebuild
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func explain(t *testing.T, conn *pgx.Conn, text string, args ...any) string {
	t.Helper()
	rows, err := conn.Query(t.Context(), "EXPLAIN "+text, args...)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return strings.Join(lines, "\n")
}

// purposes are what the LMS looks for, and the index that must serve it.
func purposes() []struct{ name, text, index string } {
	const e = "'000000000000000000000007'"
	const newest = " ORDER BY created_at DESC, asset_id DESC LIMIT 51"
	return []struct{ name, text, index string }{
		{"images by product", "SELECT * FROM product_images WHERE mongo_product_id = " + e, "product_images_product"},
		{"the main image of a product", "SELECT * FROM product_images WHERE mongo_product_id = " + e + " AND is_main_image", "product_images_main"},
		{"images by storage type", "SELECT * FROM product_images WHERE storage_type = 's3'" + newest, "product_images_storage_type"},
		{"images by created-at", "SELECT * FROM product_images WHERE true" + newest, "product_images_created"},
		{"videos by course", "SELECT * FROM course_videos WHERE mongo_course_id = " + e + newest, "course_videos_"},
		{"videos by course and lesson", "SELECT * FROM course_videos WHERE mongo_course_id = " + e + " AND mongo_lesson_id = " + e, "course_videos_lesson"},
		{"videos by course and type", "SELECT * FROM course_videos WHERE mongo_course_id = " + e + " AND video_type = 'intro'" + newest, "course_videos_type"},
		{"videos by storage type", "SELECT * FROM course_videos WHERE storage_type = 's3'" + newest, "course_videos_storage_type"},
		{"videos by created-at", "SELECT * FROM course_videos WHERE true" + newest, "course_videos_created"},
		{"resources by course", "SELECT * FROM course_resources WHERE mongo_course_id = " + e + newest, "course_resources_"},
		{"resources by course and lesson", "SELECT * FROM course_resources WHERE mongo_course_id = " + e + " AND mongo_lesson_id = " + e, "course_resources_lesson"},
		{"resources by type", "SELECT * FROM course_resources WHERE resource_type = 'code'" + newest, "course_resources_type"},
		{"resources by storage type", "SELECT * FROM course_resources WHERE storage_type = 's3'" + newest, "course_resources_storage_type"},
		{"resources by created-at", "SELECT * FROM course_resources WHERE true" + newest, "course_resources_created"},
		{"media by reference", "SELECT * FROM media_storage WHERE reference_id = " + e + " AND reference_id <> '' AND reference_type = 'order' AND media_type = 'image'", "media_storage_reference"},
		{"media by media type", "SELECT * FROM media_storage WHERE media_type = 'audio'" + newest, "media_storage_media_type"},
		{"media by storage type", "SELECT * FROM media_storage WHERE storage_type = 's3'" + newest, "media_storage_storage_type"},
		{"media by created-at", "SELECT * FROM media_storage WHERE true" + newest, "media_storage_created"},
		{"media by size", "SELECT * FROM media_storage ORDER BY file_size DESC, asset_id DESC LIMIT 51", "media_storage_size"},
		{"an object's owner", "SELECT id FROM assets WHERE backend = 'disk' AND object_key IN ('a', 'b')", "assets_object"},
		{"unfinished uploads", "SELECT id FROM assets WHERE state = 'uploading' AND doomed_at = 0 ORDER BY created_at, id LIMIT 200", "assets_unfinished"},
		{"unsettled uploads", "SELECT id FROM assets WHERE state = 'stored' AND doomed_at = 0 ORDER BY created_at, id LIMIT 200", "assets_unsettled"},
		{"doomed rows", "SELECT id FROM assets WHERE doomed_at <> 0 AND NOT kept ORDER BY created_at, id LIMIT 200", "assets_doomed"},
	}
}

// sorted finds the number of rows that a plan expects to sort.
var sorted = regexp.MustCompile(`Sort  \(cost=\S+ rows=(\d+)`)

// fault tells what is wrong with a plan: a table that is read as a whole, or a sort of more than an entity has.
func fault(plan string) string {
	if strings.Contains(plan, "Seq Scan") {
		return "reads a whole table"
	}
	for _, m := range sorted.FindAllStringSubmatch(plan, -1) {
		if n, err := strconv.Atoi(m[1]); err != nil || n > media.MaxPlaces {
			return "sorts " + m[1] + " rows"
		}
	}
	return ""
}

func TestQueriesStayOnAnIndexOver100000Rows(t *testing.T) {
	t.Parallel()
	r := &cataloguetest.Recorder{}
	c, conn := record(t, r)
	fill(t, conn, unindex(t, conn)...)
	for _, p := range purposes() {
		plan := explain(t, conn, p.text)
		if !strings.Contains(plan, p.index) || strings.Contains(plan, "Seq Scan") {
			t.Errorf("%s does not use %s:\n%s", p.name, p.index, plan)
		}
	}
	for name, q := range cataloguetest.Listings() {
		for _, sort := range []media.Sort{media.Newest, media.Oldest, media.Largest, media.Smallest, media.MostFetched, media.LeastFetched} {
			q.Sort, q.Cursor = sort, ""
			for range 2 { // the first page, and one behind a cursor
				r.Asked = nil
				page, err := c.List(t.Context(), q)
				if err != nil {
					t.Fatal(err)
				}
				for _, a := range r.Asked {
					if plan := explain(t, conn, a.Text, a.Args...); fault(plan) != "" {
						t.Errorf("a list of %s by %s %s:\n%s\n%s", name, sort, fault(plan), a.Text, plan)
					}
				}
				if q.Cursor = page.NextCursor; q.Cursor == "" {
					break
				}
			}
		}
	}
	for _, p := range cataloguetest.PlaceCalls() {
		r.Asked = nil
		if err := p.Call(t.Context(), c); err != nil {
			t.Errorf("%s: %v", p.Name, err)
		}
		for _, a := range r.Asked {
			if plan := explain(t, conn, a.Text, a.Args...); fault(plan) != "" {
				t.Errorf("%s %s:\n%s\n%s", p.Name, fault(plan), a.Text, plan)
			}
		}
	}
}
