package main

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"sluice/internal/livetest"
)

// collection is one of the LMS's own, as the LMS has it open.
func collection(t *testing.T, uri, name string) *mongo.Collection {
	t.Helper()
	client, err := mongo.Connect(options.Client().ApplyURI(uri))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Disconnect(t.Context()) })
	return client.Database("lms").Collection(name)
}

func insert(t *testing.T, c *mongo.Collection, doc bson.D) {
	t.Helper()
	if _, err := c.InsertOne(t.Context(), doc); err != nil {
		t.Fatal(err)
	}
}

func TestAStartOverAllServersNamesThemInTheirOrder(t *testing.T) {
	t.Parallel()
	records, redis := livetest.MongoWithPassword(t), livetest.Redis(t)
	_, vars := lms(t)
	dir := t.TempDir()
	writeDotenv(t, dir, vars)
	p := spawn(t, dir, []string{"MONGODB_URI=" + records.URI("lms"), "REDIS_URL=" + redis.URL(), "SLUICE_LOG_FORMAT=json"})
	inOrder := regexp.MustCompile(`^MongoDB connected\nRedis connected\nPostgreSQL connected successfully\nPostgreSQL models synchronized\nServer running on port \d+\n`)
	if !inOrder.MatchString(p.out.String()) {
		t.Errorf("the start says %q, want the lines of the contract in their order", p.out)
	}
	code, doctor, errs := p.sluice("doctor", "--set", "port=0")
	saw := `ok +records +\w+ \S+ at ` + regexp.QuoteMeta(records.Addr()) + `, database lms: 0 products, 0 courses, 0 users, 0 reviews, 0 orders\n`
	if code != exitOK || errs != "" || !regexp.MustCompile(saw).MatchString(doctor) {
		t.Errorf("doctor = %d, %s%s, want 0 and %s", code, doctor, errs, saw)
	}
	if _, err := os.Stat(filepath.Join(dir, "data", recordsFile)); err == nil {
		t.Error("it makes a file for records beside MongoDB")
	}
	if code, _ := p.end(syscall.SIGTERM); code != exitOK {
		t.Errorf("exit code %d after SIGTERM, want 0: %s", code, p.log)
	}
	said := p.out.String() + p.log.String() + doctor
	if strings.Contains(said, "p@ss:word") || strings.Contains(said, "p%40ss") || strings.Contains(said, `"level":"ERROR"`) {
		t.Errorf("a password or an error is printed: %s", said)
	}
}

func TestAStartThatMongoDBRefusesSaysWhyAndWhatToDo(t *testing.T) {
	t.Parallel()
	locked := livetest.MongoWithPassword(t)
	for name, c := range map[string]struct{ uri, cause, fix string }{
		"a wrong password": {"mongodb://tests:hunter2hunter2@" + locked.Addr() + "/lms?authSource=admin", "refuses the login", "MONGODB_URI"},
		"no such user":     {"mongodb://nobody:hunter2hunter2@" + locked.Addr() + "/lms?authSource=admin", "refuses the login", "MONGODB_URI"},
		"another scheme":   {"http://tests:hunter2hunter2@" + locked.Addr() + "/lms", "MONGODB_URI cannot be read", "mongodb://user:password@host:27017/lms"},
		"a bare password":  {"hunter2hunter2", "MONGODB_URI cannot be read", "mongodb://"},
		"a password that is not escaped": {
			"mongodb://tests:hunter2/hunter2@" + locked.Addr() + "/lms", "MONGODB_URI cannot be read", "%40",
		},
		"an option that is none": {"mongodb://tests:hunter2hunter2@h/lms?tls=perhaps", "MONGODB_URI cannot be read", "mongodb://"},
		"a database that cannot be one": {
			"mongodb://tests:hunter2hunter2@h/hunter2.lms", "MONGODB_URI cannot be read", "mongodb://",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := []string{"MONGODB_URI=" + c.uri}
			code, out, errs := once(t, t.TempDir(), env, "serve", "--port", "0")
			onlyCauseAndFix(t, code, out, errs, regexp.MustCompile(c.cause))
			if !strings.Contains(errs[strings.Index(errs, "\n"):], c.fix) {
				t.Errorf("the fix in %q does not name %s", errs, c.fix)
			}
			code, doctor, doctorErrs := once(t, t.TempDir(), env, "doctor", "--set", "port=0")
			if code != exitFailure || !regexp.MustCompile(`WRONG +records .*`+c.cause+`.*\n +fix: `).MatchString(doctor) || doctorErrs != "" {
				t.Errorf("doctor = %d, %s%s, want 1 and the same cause", code, doctor, doctorErrs)
			}
			if said := out + errs + doctor; strings.Contains(said, "hunter2") {
				t.Errorf("the password is printed: %s", said)
			}
		})
	}
}

func TestAMongoDBThatIsAwayIsSaidAndWaitedFor(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts and says nothing
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	for name, at := range map[string]string{"nobody at the port": "127.0.0.1:1", "a server that says nothing": silent.Addr().String()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			p := spawn(t, t.TempDir(), []string{"MONGODB_URI=mongodb://lms:hunter2hunter2@" + at + "/lms", "SLUICE_LOG_FORMAT=json"})
			if took := time.Since(began); took > 8*time.Second {
				t.Errorf("the start took %v", took)
			}
			if first := "MongoDB away (media only until it is back)\nSQLite catalogue opened "; !strings.HasPrefix(p.out.String(), first) {
				t.Errorf("the start says %q, want first %q", p.out, first)
			}
			if code, _ := status(t, http.MethodGet, p.url+"/readyz", nil); code != http.StatusOK {
				t.Errorf("/readyz = %d, want 200: media are served", code)
			}
			path, sum := file(t, p.dir, "lecture.mp4", 100_000)
			if got := fetch(t, p.must("link", p.must("upload", path), "--expires", "2h")); got != sum {
				t.Errorf("the link plays %s, want %s", got, sum)
			}
			code, doctor, errs := p.sluice("doctor", "--set", "port=0")
			want := regexp.MustCompile(`WRONG +records +MongoDB does not answer at ` + regexp.QuoteMeta(at) + `\n +fix: start it, or set MONGODB_URI`)
			if code != exitFailure || !want.MatchString(doctor) || errs != "" {
				t.Errorf("doctor = %d, %s%s, want 1 and %s", code, doctor, errs, want)
			}
			if said := p.out.String() + p.log.String() + doctor; strings.Contains(said, "hunter2") || strings.Count(said, "MongoDB is not reachable: ") != 1 {
				t.Errorf("a password is printed, or not once that MongoDB is away: %s", said)
			}
		})
	}
}

// recordsOf gives the data directory of a gateway that has kept some records in its own file and was stopped.
func recordsOf(t *testing.T) (dir, path string) {
	t.Helper()
	dir = t.TempDir()
	g := newGuest(t, spawn(t, dir, nil))
	for i := range 50 {
		g.must(http.StatusCreated, http.MethodPost, "/api/products", fmt.Sprintf(`{"name":"Lamp %d","description":%q}`, i, strings.Repeat("light ", 200)))
	}
	if code, _ := g.p.end(syscall.SIGTERM); code != exitOK {
		t.Fatalf("exit code %d: %s", code, g.p.log)
	}
	return dir, filepath.Join(dir, "data", recordsFile)
}

func TestRecordsThatCannotBeOpenedSayWhyAndWhatToDo(t *testing.T) {
	t.Parallel()
	spoil := func(from int) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			copy(data[from:], strings.Repeat("\xff", 64))
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, c := range map[string]struct {
		harm       func(t *testing.T, path string)
		cause, fix string
		serves     bool // a page that no start reads
	}{
		"the head of the file is gone": {spoil(0), "embedded records .*" + recordsFile + " are damaged", "restore", false},
		"the schema is gone":           {spoil(100), "embedded records .*" + recordsFile + " are damaged", "restore", false},
		"a page of rows is gone":       {spoil(10 * 4096), "embedded records .*" + recordsFile + " are damaged", "restore", true},
		"a folder in its place": {func(t *testing.T, path string) { // root may write what others may not, and no folder
			t.Helper()
			if err := os.Rename(path, path+".old"); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, "embedded records .*" + recordsFile + " cannot be opened", "let the process write its data directory", false},
		"written by a newer program": {func(t *testing.T, path string) {
			t.Helper()
			db, err := sql.Open("sqlite", path)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if _, err := db.ExecContext(t.Context(), "PRAGMA user_version = 99"); err != nil {
				t.Fatal(err)
			}
		}, "it was written by a newer one", "backup", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, path := recordsOf(t)
			if f := examine(t, dir, exitOK)["records"]; !strings.Contains(f.Saw, "every page is sound") {
				t.Errorf("sound records: %+v", f)
			}
			c.harm(t, path)
			f := examine(t, dir, exitFailure)["records"]
			if f.OK || !regexp.MustCompile(c.cause).MatchString(f.Cause) || !strings.Contains(f.Fix, c.fix) {
				t.Errorf("doctor: %+v, want %s and %s", f, c.cause, c.fix)
			}
			if c.serves {
				return
			}
			code, out, errs := once(t, dir, nil, "serve", "--port", "0")
			onlyCauseAndFix(t, code, out, errs, regexp.MustCompile(c.cause))
			if !strings.Contains(errs[strings.Index(errs, "\n"):], c.fix) {
				t.Errorf("the fix in %q does not say %s", errs, c.fix)
			}
		})
	}
}

// guest is an admin who asks one gateway.
type guest struct {
	*twins
	p *process
}

func newGuest(t *testing.T, p *process) *guest {
	t.Helper()
	return &guest{&twins{t: t, nodes: [2]*process{p, p}, token: p.must("token", "--subject", "root", "--role", "admin")}, p}
}

// must asks, and reads what of the answer these tests look at.
func (g *guest) must(want int, method, path, body string) (a struct {
	ID      string
	Product map[string]any
	Course  map[string]any
	Items   []map[string]any
	Videos  struct{ Intro, Modules, Lessons []map[string]any }
},
) {
	g.t.Helper()
	_, text := g.twins.must(0, want, method, path, body)
	if text != "" {
		if err := json.Unmarshal([]byte(text), &a); err != nil {
			g.t.Fatalf("%s %s: %v in %s", method, path, err, text)
		}
	}
	return a
}

// With DB_ENABLED=false and nothing else said, the gateway is the whole LMS.
func TestEmbeddedStoresServeEveryRouteOfTheLMS(t *testing.T) {
	t.Parallel()
	p := spawn(t, t.TempDir(), []string{"DB_ENABLED=false"})
	g := newGuest(t, p)
	asked := map[string]bool{}
	ids := map[string]string{}
	// ask sends a request to a route, its {names} filled from ids, and keeps an id of the answer as the name of into.
	ask := func(want int, route, body, into string) {
		t.Helper()
		method, path, _ := strings.Cut(route, " ")
		bare, _, _ := strings.Cut(route, "?")
		asked[bare] = true
		for name, id := range ids {
			path, body = strings.ReplaceAll(path, "{"+name+"}", id), strings.ReplaceAll(body, "{"+name+"}", id)
		}
		a := g.must(want, method, path, body)
		switch {
		case into == "":
		case a.Product != nil:
			ids[into], _ = a.Product["id"].(string)
		case a.Course != nil:
			ids[into], _ = a.Course["id"].(string)
		case len(a.Items) > 0:
			ids[into], _ = a.Items[0]["id"].(string)
		default:
			ids[into] = a.ID
		}
	}
	const lamp, mp4, pdf = `"https://cdn.example.com/lamp.jpg"`, `"url":"https://cdn.example.com/a.mp4"`, `"url":"https://cdn.example.com/a.pdf"`
	ids["lessonId"], ids["user"] = "65a000000000000000000003", "65a000000000000000000009"
	ask(201, "POST /api/products", `{"name":"Lamp","images":[`+lamp+`]}`, "id")
	ask(200, "GET /api/products?limit=5", "", "id")
	ask(200, "GET /api/products/{id}", "", "")
	ask(200, "PATCH /api/products/{id}", `{"price":5}`, "")
	ask(201, "POST /api/products/{id}/images", lamp, "imageId")
	ask(200, "GET /api/products/{id}/images/{imageId}", "", "")
	ask(200, "PATCH /api/products/{id}/images/{imageId}", `{"isMainImage":true}`, "")
	ask(204, "DELETE /api/products/{id}/images/{imageId}", "", "")
	ask(200, "GET /api/trash", "", "imageId")
	ids["trashed"], ids["id"], ids["product"] = ids["id"], ids["imageId"], ids["id"]
	ask(200, "POST /api/trash/{id}/restore", "", "")
	ids["id"] = ids["product"]
	ask(200, "GET /api/products/{id}/images", "", "imageId")
	ask(204, "DELETE /api/products/{id}/images/{imageId}", "", "")
	ids["id"] = ids["imageId"]
	ask(204, "DELETE /api/trash/{id}", "", "")
	ids["id"] = ids["product"]
	ask(200, "GET /api/products/{id}/images", "", "imageId")
	ask(200, "PUT /api/products/{id}/images/order", `{"ids":["{imageId}"]}`, "")
	ask(200, "GET /api/products/{id}/media", "", "")
	ask(204, "DELETE /api/products/{id}", "", "")
	ask(200, "POST /api/products/{id}/restore", "", "")

	ask(201, "POST /api/courses", `{"title":"Light","modules":[{"title":"One","lessons":[{"id":"{lessonId}","title":"Intro"}]}]}`, "id")
	ask(200, "GET /api/courses", "", "id")
	ask(200, "GET /api/courses/{id}", "", "")
	ask(200, "PATCH /api/courses/{id}", `{"price":5}`, "")
	ask(201, "POST /api/courses/{id}/videos", `{`+mp4+`,"videoType":"lesson","mongoLessonId":"{lessonId}"}`, "videoId")
	ask(200, "GET /api/courses/{id}/videos/{videoId}", "", "")
	ask(200, "PATCH /api/courses/{id}/videos/{videoId}", `{"title":"Take two"}`, "")
	ask(200, "GET /api/courses/{id}/videos?videoType=lesson", "", "videoId")
	ask(200, "PUT /api/courses/{id}/videos/order", `{"ids":["{videoId}"]}`, "")
	ask(200, "GET /api/courses/{id}/lessons/{lessonId}/videos", "", "")
	ask(204, "DELETE /api/courses/{id}/videos/{videoId}", "", "")
	ask(201, "POST /api/courses/{id}/resources", `{`+pdf+`,"resourceName":"Notes","mongoLessonId":"{lessonId}"}`, "resource")
	ask(200, "GET /api/courses/{id}/resources", "", "resource")
	ask(200, "PUT /api/courses/{id}/resources/order", `{"ids":["{resource}"]}`, "")
	ask(200, "GET /api/courses/{id}/lessons/{lessonId}/resources", "", "")
	ask(200, "GET /api/courses/{id}/media", "", "")
	ids["course"], ids["id"] = ids["id"], ids["resource"]
	ask(200, "GET /api/resources/{id}", "", "")
	ask(200, "PATCH /api/resources/{id}", `{"resourceName":"More notes"}`, "")
	ask(204, "DELETE /api/resources/{id}", "", "")
	ids["id"] = ids["course"]
	ask(204, "DELETE /api/courses/{id}", "", "")
	ask(200, "POST /api/courses/{id}/restore", "", "")
	ids["id"] = ids["lessonId"]
	ask(200, "GET /api/lessons/{id}/media", "", "")
	ids["id"], ids["type"] = ids["user"], "user"
	ask(200, "PUT /api/records/{type}/{id}", `{"name":"Eve"}`, "")
	ask(200, "GET /api/records/{type}/{id}", "", "")
	ask(200, "GET /api/users/{id}/media", "", "")
	ask(204, "DELETE /api/records/{type}/{id}", "", "")
	for _, kind := range []string{"reviews", "orders", "pages"} {
		if kind != "pages" {
			ids["type"] = strings.TrimSuffix(kind, "s")
			ask(200, "PUT /api/records/{type}/{id}", `{"user":"eve"}`, "")
		}
		ask(200, "GET /api/"+kind+"/{id}/media", "", "")
	}

	_, text := g.twins.must(0, http.StatusOK, http.MethodGet, "/api/openapi.json", "")
	var doc struct {
		Paths map[string]map[string]struct{ Tags []string }
	}
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatal(err)
	}
	ofTheLMS := regexp.MustCompile(`^/api/(products|courses|resources|trash|records|users|reviews|orders|lessons|pages)\b`)
	routes := 0
	for path, item := range doc.Paths {
		if !ofTheLMS.MatchString(path) {
			continue
		}
		for method := range item {
			routes++
			if route := strings.ToUpper(method) + " " + path; !asked[route] {
				t.Errorf("%s was not asked", route)
			}
		}
	}
	if routes < 40 {
		t.Errorf("the document has %d routes of the LMS", routes)
	}
}

func TestEmbeddedRecordsOutliveAKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	g := newGuest(t, spawn(t, dir, nil))
	var ids []string
	for i := range 20 {
		a := g.must(http.StatusCreated, http.MethodPost, "/api/products", fmt.Sprintf(`{"name":"Lamp %d","images":["https://cdn.example.com/%d.jpg"]}`, i, i))
		ids = append(ids, fmt.Sprint(a.Product["id"]))
	}
	g.must(http.StatusOK, http.MethodPut, "/api/records/order/65a0000000000000000000aa", `{"user":"eve","status":"paid","items":[]}`)
	g.must(http.StatusNoContent, http.MethodDelete, "/api/products/"+ids[0], "")
	if code, _ := g.p.end(syscall.SIGKILL); code == exitOK {
		t.Fatal("it ended by itself")
	}
	again := newGuest(t, spawn(t, dir, nil))
	for i, id := range ids[1:] {
		if a := again.must(http.StatusOK, http.MethodGet, "/api/products/"+id, ""); a.Product["name"] != fmt.Sprintf("Lamp %d", i+1) {
			t.Errorf("product %d is %v", i+1, a.Product)
		}
		if a := again.must(http.StatusOK, http.MethodGet, "/api/products/"+id+"/images", ""); len(a.Items) != 1 {
			t.Errorf("product %d has the images %v", i+1, a.Items)
		}
	}
	again.must(http.StatusNotFound, http.MethodGet, "/api/products/"+ids[0], "")
	again.must(http.StatusOK, http.MethodPost, "/api/products/"+ids[0]+"/restore", "")
	again.must(http.StatusOK, http.MethodGet, "/api/records/order/65a0000000000000000000aa", "")
}

// heard is how long a node may take to show what the LMS itself wrote, where MongoDB tells of no changes: cache.Options.TTL, and some for the answer.
const heard = 6 * time.Second

func TestTheLMSsOwnDocumentsShowByTheNamesOfItsCollections(t *testing.T) {
	t.Parallel()
	uri := livetest.Mongo(t).URI("lms")
	items := collection(t, uri, "items")
	id, seller := bson.NewObjectID(), bson.NewObjectID()
	insert(t, items, bson.D{
		{Key: "_id", Value: id},
		{Key: "name", Value: "Lamp"},
		{Key: "seller", Value: seller},
		{Key: "sku", Value: int64(9007199254740993)}, // what a float64 cannot hold
		{Key: "launched", Value: time.UnixMilli(1700000000123)},
		{Key: "size", Value: bson.D{{Key: "unit", Value: "cm"}, {Key: "of", Value: bson.A{int32(3), 4.5, bson.D{{Key: "deep", Value: true}}}}}},
		{Key: "passwordHash", Value: "hunter2hunter2"},
		{Key: "createdAt", Value: time.UnixMilli(1600000000000)},
		{Key: "__v", Value: int32(3)},
	})
	env := []string{"MONGODB_URI=" + uri, "SLUICE_MONGODB_COLLECTIONS=product=items, order=sales"}
	g := newGuest(t, spawn(t, t.TempDir(), env))
	if out := g.p.out.String(); !strings.HasPrefix(out, "MongoDB connected\nSQLite catalogue opened (embedded; DB_ENABLED=false)\nSQLite models synchronized\n") {
		t.Errorf("the start says %q", out)
	}
	path := "/api/products/" + id.Hex()
	_, text := g.twins.must(0, http.StatusOK, http.MethodGet, path, "")
	for _, want := range []string{
		`"id":"` + id.Hex() + `"`, `"name":"Lamp"`, `"createdBy":"` + seller.Hex() + `"`, `"seller":"` + seller.Hex() + `"`, `"sku":9007199254740993`,
		`"launched":"2023-11-14T22:13:20.123Z"`, `"size":{"of":[3,4.5,{"deep":true}],"unit":"cm"}`, `"createdAt":"2020-09-13T12:26:40Z"`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("GET %s = %s, want %s", path, text, want)
		}
	}
	if strings.Contains(text, "hunter2") || strings.Contains(text, "__v") {
		t.Errorf("GET %s shows what the LMS keeps to itself: %s", path, text)
	}

	// The LMS writes beside the gateway, which remembers the product, and that there is no such order.
	eve := g.p.must("token", "--subject", "eve", "--role", "student")
	draft := bson.NewObjectID()
	insert(t, items, bson.D{{Key: "_id", Value: draft}, {Key: "name", Value: "Draft"}, {Key: "published", Value: false}})
	if code, _, _ := g.callAs(eve, 0, http.MethodGet, "/api/products/"+draft.Hex(), ""); code != http.StatusNotFound {
		t.Errorf("a draft of others = %d, want 404", code)
	}
	if _, err := items.UpdateByID(t.Context(), id, bson.D{{Key: "$set", Value: bson.D{{Key: "name", Value: "Lantern"}}}}); err != nil {
		t.Fatal(err)
	}
	insert(t, collection(t, uri, "sales"), bson.D{{Key: "_id", Value: bson.NewObjectID()}, {Key: "user", Value: "eve"}, {Key: "isPaid", Value: true}, {Key: "items", Value: bson.A{bson.D{{Key: "product", Value: draft}}}}})
	began := time.Now()
	livetest.Until(t, 2*heard, "what the LMS wrote shows", func() bool {
		bought, _, _ := g.callAs(eve, 0, http.MethodGet, "/api/products/"+draft.Hex(), "")
		return bought == http.StatusOK && g.must(http.StatusOK, http.MethodGet, path, "").Product["name"] == "Lantern"
	})
	if took := time.Since(began); took > heard {
		t.Errorf("it took %v, want %v at most", took, heard)
	}

	// What the gateway writes, the LMS finds in its own collection and in its own types.
	made := g.must(http.StatusCreated, http.MethodPost, "/api/products", `{"name":"Chair","price":5}`)
	of, err := bson.ObjectIDFromHex(fmt.Sprint(made.Product["id"]))
	if err != nil {
		t.Fatal(err)
	}
	var chair struct{ Name string }
	if err := items.FindOne(t.Context(), bson.M{"_id": of}).Decode(&chair); err != nil || chair.Name != "Chair" {
		t.Errorf("the LMS reads %+v, %v", chair, err)
	}
	code, doctor, errs := g.p.sluice("doctor", "--set", "port=0")
	if saw := "database lms: 3 items, 0 courses, 0 users, 0 reviews, 1 sales\n"; code != exitOK || !strings.Contains(doctor, saw) {
		t.Errorf("doctor = %d, %s%s, want %s", code, doctor, errs, saw)
	}
}

func TestACollectionOfNoRecordStopsTheStart(t *testing.T) {
	t.Parallel()
	for _, c := range []string{"items", "lesson=items", "product=", "product=items,product=goods", "product=it$ms"} {
		code, out, errs := once(t, t.TempDir(), []string{"MONGODB_URI=mongodb://127.0.0.1:1/lms", "SLUICE_MONGODB_COLLECTIONS=" + c}, "serve", "--port", "0")
		onlyCauseAndFix(t, code, out, errs, regexp.MustCompile(`SLUICE_MONGODB_COLLECTIONS`))
	}
}

func TestTheDoctorWarnsOfRecordsThatOneNodeKeepsForItself(t *testing.T) {
	t.Parallel()
	_, vars := lms(t)
	dir := t.TempDir()
	writeDotenv(t, dir, vars)
	code, doctor, errs := once(t, dir, nil, "doctor", "--set", "port=0")
	want := regexp.MustCompile(`warn +records +no MongoDB: records are kept in \S*` + recordsFile + `, which is this node's own\n +fix: set MONGODB_URI`)
	if code != exitOK || !want.MatchString(doctor) || errs != "" {
		t.Errorf("doctor = %d, %s%s, want 0 and %s", code, doctor, errs, want)
	}
	if _, err := os.Stat(filepath.Join(dir, "data")); err == nil {
		t.Error("the doctor makes the data directory")
	}
}
