package gateway_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/catalogue"
	"sluice/catalogue/sqlite"
	"sluice/curation"
	"sluice/entities"
	"sluice/entities/embedded"
	"sluice/gateway"
	"sluice/media"
)

// Records of the school, by what they are.
const (
	chair, draft, lamp  = "507f1f77bcf86cd799439011", "507f1f77bcf86cd799439012", "507f1f77bcf86cd799439013"
	optics, module      = "507f1f77bcf86cd799439021", "507f1f77bcf86cd799439022"
	lesson1, lesson2    = "507f1f77bcf86cd799439023", "507f1f77bcf86cd799439024"
	user, review, order = "507f1f77bcf86cd799439031", "507f1f77bcf86cd799439032", "507f1f77bcf86cd799439033"
)

// setupSchool is a world whose media and LMS are over real embedded databases, without anything in them.
func setupSchool(t *testing.T, change func(*gateway.Options)) *world {
	t.Helper()
	w, _, _ := school(t, t.TempDir(), change)
	return w
}

func school(t *testing.T, dir string, change func(*gateway.Options)) (*world, *catalogue.Catalogue, *entities.Records) {
	t.Helper()
	books, err := sqlite.Open(t.Context(), filepath.Join(dir, "catalogue.db"), catalogue.Options{Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = books.Close() })
	driver, err := embedded.Open(t.Context(), filepath.Join(dir, "entities.db"), embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	records, err := entities.New(t.Context(), driver, entities.Options{Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = records.Close() })
	w := setupOver(t, change, func(n *gateway.Needs) {
		service := curation.New(books.Shelf(), noBytes{}, curation.Options{Now: clock, Rights: media.Rights{Records: records}})
		n.Media, n.LMS = service, curation.NewLMS(service, books, records, curation.LMSOptions{})
	})
	return w, books, records
}

// furnishSchool gives a folder with the databases of a school at work: ida and ivo teach and sell, eve has bought ida's course.
func furnishSchool(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	w, books, records := school(t, dir, nil)
	for _, r := range []media.Record{
		{Subject: media.Subject{Type: media.Product, ID: chair}, Owner: "ida", Fields: map[string]any{"name": "Chair", "price": 120.5, "category": "furniture", "stock": int64(9007199254740993)}},
		{Subject: media.Subject{Type: media.Product, ID: draft}, Owner: "ida", Fields: map[string]any{"name": "Stool", "published": false}},
		{Subject: media.Subject{Type: media.Product, ID: lamp}, Owner: "ivo", Fields: map[string]any{"name": "Lamp", "maker": map[string]any{"name": "Lux", "since": int64(1911)}}},
		{Subject: media.Subject{Type: media.Course, ID: optics}, Owner: "ida", Fields: map[string]any{"title": "Optics", "modules": []any{map[string]any{
			"id": module, "title": "Light", "lessons": []any{map[string]any{"id": lesson1, "title": "Rays"}, map[string]any{"id": lesson2, "title": "Waves"}},
		}}}},
		{Subject: media.Subject{Type: media.User, ID: user}, Fields: map[string]any{"name": "Eve", "email": "eve@example.com"}},
		{Subject: media.Subject{Type: media.Review, ID: review}, Owner: "eve", Fields: map[string]any{"stars": int64(5)}},
		{Subject: media.Subject{Type: media.Order, ID: order}, Owner: "eve", Fields: map[string]any{"status": "paid", "items": []any{map[string]any{"course": optics}}}},
	} {
		if _, err := records.Put(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	image := func(position int, main bool) media.Placement {
		return media.Placement{Kind: media.ProductImage, ProductID: chair, Position: position, MainImage: main}
	}
	refers := func(to media.SubjectType, id string) media.Placement {
		return media.Placement{Kind: media.Generic, Reference: media.Subject{Type: to, ID: id}}
	}
	for n, a := range map[byte]media.Asset{
		11: {Owner: "ida", Placement: image(0, true), Public: true},
		12: {Owner: "ida", Placement: image(1, false)},
		21: {Owner: "ida", Placement: media.Placement{Kind: media.CourseVideo, CourseID: optics, VideoType: media.IntroVideo}, Public: true},
		22: {Owner: "ida", Placement: media.Placement{Kind: media.CourseVideo, CourseID: optics, LessonID: lesson1, VideoType: media.LessonVideo}},
		31: {Owner: "ida", Placement: media.Placement{Kind: media.CourseResource, CourseID: optics, LessonID: lesson1, ResourceName: "Notes", ResourceType: media.ResourcePDF}},
		41: {Owner: "ida"},
		42: {Owner: "ida", State: media.Uploading, Size: media.UnknownLength},
		43: {Owner: "ivo"},
		51: {Owner: "ida", Placement: image(2, false)},
		52: {Owner: "ida", Placement: image(3, false)},
		53: {Owner: "ida", Placement: image(4, false)},
		61: {Owner: "ida", Placement: refers(media.User, user)},
		62: {Owner: "ida", Placement: refers(media.Review, review)},
		63: {Owner: "ida", Placement: refers(media.Order, order)},
		64: {Owner: "ida", Placement: refers(media.Lesson, lesson1)},
		65: {Owner: "ida", Placement: refers(media.Product, chair)},
		66: {Owner: "ida", Placement: refers(media.Course, optics)},
		67: {Owner: "ida", Placement: refers(media.Page, "about-us"), Public: true},
	} {
		a.ID = idOf(n)
		if a.State == "" {
			a.State, a.SHA256, a.Size = media.Ready, make([]byte, 32), 1000
		}
		a.MIMEType, a.Type, a.StorageType, a.Backend, a.Key, a.Filename = "image/png", media.Image, media.Local, "main", fmt.Sprintf("k/%d", n), fmt.Sprintf("%d.png", n)
		if _, _, err := books.Begin(t.Context(), a, 0); err != nil {
			t.Fatalf("%d: %v", n, err)
		}
	}
	for _, n := range []byte{51, 52, 53} {
		resp, body := w.do(http.MethodDelete, "/api/products/"+chair+"/images/"+idOf(n).String(), "", as("ida", "instructor"), "If-Match: *")
		if resp.StatusCode != http.StatusNoContent {
			t.Fatal(resp.StatusCode, body)
		}
	}
	if err := errors.Join(books.Close(), records.Close()); err != nil {
		t.Fatal(err)
	}
	return dir
}

// enter opens a copy of a furnished school.
func enter(t *testing.T, furnished string, change func(*gateway.Options)) *world {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(furnished)); err != nil {
		t.Fatal(err)
	}
	w, _, _ := school(t, dir, change)
	return w
}

var (
	newUUID  = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}`)
	newHex   = regexp.MustCompile(`69b5[0-9a-f]{20}`) // ids of records begin with the time
	versions = regexp.MustCompile(`"[0-9a-z]{8,9}-[0-9a-f]{24}"`)
)

// TestLMSExchanges replays testdata/exchanges/lms, as TestExchanges does, against a copy of a school each. What is new has no name: {new}.
func TestLMSExchanges(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/exchanges/lms/*.http")
	if err != nil || len(files) < 50 {
		t.Fatalf("found %d exchanges, %v", len(files), err)
	}
	furnished := furnishSchool(t)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".http"), func(t *testing.T) {
			t.Parallel()
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			ask, want, _ := strings.Cut(string(raw), "\n----------\n")
			got := shown(enter(t, furnished, nil).ask(ask))
			got = newUUID.ReplaceAllStringFunc(got, func(id string) string {
				if strings.HasPrefix(id, idOf(0).String()[:20]) {
					return id
				}
				return "{new}"
			})
			got = versions.ReplaceAllString(newHex.ReplaceAllString(got, "{new}"), `"{version}"`)
			if *update {
				if err := os.WriteFile(file, []byte(ask+"\n----------\n"+got), 0o644); err != nil { //nolint:gosec // a test's own file
					t.Fatal(err)
				}
				return
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// What is too much is refused before anything is written, and what is just enough is taken.
func TestLimitsOfTheLMSsBodies(t *testing.T) {
	t.Parallel()
	furnished := furnishSchool(t)
	list := func(n int, item string) string {
		return "[" + strings.TrimSuffix(strings.Repeat(item+",", n), ",") + "]"
	}
	deep := func(n int) string { return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) }
	urls := func(n int) string {
		var all []string
		for i := range n {
			all = append(all, fmt.Sprintf(`"https://cdn.example.com/%d.png"`, i))
		}
		return "[" + strings.Join(all, ",") + "]"
	}
	text := func(n int) string { return `"` + strings.Repeat("e", n) + `"` }
	ids := func(n int) string { return list(n, `"`+idOf(11).String()+`"`) }
	const put = "PUT /api/records/product/" + chair
	for name, c := range map[string]struct {
		route, body string
		want        int
	}{
		"a body of more than 1 MiB":                 {put, `{"a":"` + strings.Repeat("a", 1<<20) + `"}`, http.StatusRequestEntityTooLarge},
		"one just below":                            {put, `{"a":"` + strings.Repeat("a", 1<<20-9) + `"}`, http.StatusOK},
		"a product of more than 1 MiB":              {"POST /api/products", `{"name":"x","description":"` + strings.Repeat("a", 1<<20) + `"}`, http.StatusRequestEntityTooLarge},
		"fields 33 deep":                            {put, deep(33), http.StatusBadRequest},
		"fields 32 deep":                            {put, deep(32), http.StatusOK},
		"fields 100,000 deep":                       {put, deep(100_000), http.StatusBadRequest},
		"a name of 301 letters":                     {"POST /api/products", `{"name":` + text(301) + `}`, http.StatusBadRequest},
		"a name of 300 letters":                     {"POST /api/products", `{"name":` + text(300) + `}`, http.StatusCreated},
		"a description of 20,001 letters":           {"POST /api/products", `{"name":"x","description":` + text(20_001) + `}`, http.StatusBadRequest},
		"a description of 20,000 letters":           {"POST /api/courses", `{"title":"x","description":` + text(20_000) + `}`, http.StatusCreated},
		"51 tags":                                   {"POST /api/products", `{"name":"x","tags":` + list(51, `"t"`) + `}`, http.StatusBadRequest},
		"a tag of 101 letters":                      {"POST /api/products", `{"name":"x","tags":[` + text(101) + `]}`, http.StatusBadRequest},
		"101 images":                                {"POST /api/products", `{"name":"x","images":` + urls(101) + `}`, http.StatusBadRequest},
		"100 images":                                {"POST /api/products", `{"name":"x","images":` + urls(100) + `}`, http.StatusCreated},
		"an image's URL of 2,049 bytes":             {"POST /api/products/" + chair + "/images", `"https://cdn.example.com/` + strings.Repeat("a", 2049-24) + `"`, http.StatusBadRequest},
		"an alternative text of 1,001 letters":      {"POST /api/products/" + chair + "/images", `{"url":"https://cdn.example.com/a.png","altText":` + text(1001) + `}`, http.StatusBadRequest},
		"201 modules":                               {"POST /api/courses", `{"title":"x","modules":` + list(201, `{"title":"m"}`) + `}`, http.StatusBadRequest},
		"200 modules":                               {"POST /api/courses", `{"title":"x","modules":` + list(200, `{"title":"m"}`) + `}`, http.StatusCreated},
		"2,001 lessons":                             {"POST /api/courses", `{"title":"x","modules":[{"title":"m","lessons":` + list(2001, `{"title":"l"}`) + `}]}`, http.StatusBadRequest},
		"2,000 lessons in two modules and one more": {"POST /api/courses", `{"title":"x","modules":[{"title":"m","lessons":` + list(2000, `{"title":"l"}`) + `},{"title":"m","lessons":[{"title":"l"}]}]}`, http.StatusBadRequest},
		"an order of 1,001":                         {"PUT /api/products/" + chair + "/images/order", `{"ids":` + ids(1001) + `}`, http.StatusBadRequest},
		"an order of 1,000 that are one":            {"PUT /api/products/" + chair + "/images/order", `{"ids":` + ids(1000) + `}`, http.StatusConflict},
		"a price of 10^12 and one":                  {"POST /api/products", `{"name":"x","price":1000000000001}`, http.StatusBadRequest},
		"a duration of more than a year":            {"POST /api/courses/" + optics + "/videos", `{"url":"https://cdn.example.com/a.mp4","videoType":"intro","duration":31622400001}`, http.StatusBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := enter(t, furnished, nil)
			who := as("ida", "instructor")
			if strings.HasPrefix(c.route, put) {
				who = as("root", "admin")
			}
			method, path, _ := strings.Cut(c.route, " ")
			_, before := w.do(http.MethodGet, "/api/products", "", as("root", "admin"))
			resp, body := w.do(method, path, c.body, who)
			if resp.StatusCode != c.want {
				t.Errorf("%s = %d %.300s, want %d", c.route, resp.StatusCode, body, c.want)
			}
			_, after := w.do(http.MethodGet, "/api/products", "", as("root", "admin"))
			if resp.StatusCode >= http.StatusBadRequest && (len(body) > 4<<10 || before != after) {
				t.Errorf("a refusal of %d bytes, and then: %.500s", len(body), after)
			}
		})
	}
}
