package threats_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"sluice/internal/livetest"
)

// school is an arena in which ada sells and teaches. Its fields are ids, of what bob and sam may see and of what they may not.
type school struct {
	*arena
	open, closed, gone, none premises
}

// premises are a product and a course with what hangs on them.
type premises struct{ product, image, course, lesson, video, resource, trashed string }

func (s *school) ids(text string, p premises) string {
	return strings.NewReplacer("{product}", p.product, "{image}", p.image, "{course}", p.course, "{lesson}", p.lesson, "{video}", p.video, "{resource}", p.resource, "{trashed}", p.trashed).Replace(text)
}

// make does something as ada, and gives the id in the answer.
func (s *school) make(t *testing.T, target, body string) string {
	t.Helper()
	got := s.json(t, "POST", target, s.ada, body)
	var made struct {
		ID              string
		Product, Course struct{ ID string }
	}
	if err := json.Unmarshal([]byte(got.body), &made); err != nil || got.status != 201 {
		t.Fatalf("POST %s: %v", target, got)
	}
	return made.ID + made.Product.ID + made.Course.ID
}

func (s *school) remove(t *testing.T, target string) {
	t.Helper()
	if got := s.do(t, "DELETE", target, s.ada, "", "If-Match: *"); got.status != 204 {
		t.Fatalf("DELETE %s: %v", target, got)
	}
}

func (s *school) found(t *testing.T, name string, published bool) (p premises) {
	t.Helper()
	p.lesson = fmt.Sprintf("65a0000000000000%08x", len(name))
	p.product = s.make(t, "/api/products", fmt.Sprintf(`{"name":%q,"published":%v}`, name+" product", published))
	p.image = s.make(t, "/api/products/"+p.product+"/images", `{"mediaId":"`+s.put(t, s.ada, name+" image").id+`","altText":"hers"}`)
	p.trashed = s.make(t, "/api/products/"+p.product+"/images", `{"mediaId":"`+s.put(t, s.ada, name+" in the trash").id+`"}`)
	s.remove(t, "/api/products/"+p.product+"/images/"+p.trashed)
	p.course = s.make(t, "/api/courses", fmt.Sprintf(`{"title":%q,"published":%v,"modules":[{"title":"m","lessons":[{"id":%q,"title":"l"}]}]}`, name+" course", published, p.lesson))
	p.video = s.make(t, "/api/courses/"+p.course+"/videos", `{"mediaId":"`+s.put(t, s.ada, name+" video").id+`","videoType":"lesson","mongoLessonId":"`+p.lesson+`"}`)
	p.resource = s.make(t, "/api/courses/"+p.course+"/resources", `{"mediaId":"`+s.put(t, s.ada, name+" resource").id+`","resourceName":"hers"}`)
	return p
}

// everything is what ada sees of all that is hers.
func (s *school) everything(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for _, target := range []string{"/api/products/" + s.open.product, "/api/courses/" + s.open.course, "/api/products/" + s.closed.product, "/api/courses/" + s.closed.course, "/api/trash?limit=200"} {
		got := s.do(t, "GET", target, s.ada, "")
		if got.status != 200 {
			t.Errorf("GET %s by ada: %v", target, got)
		}
		b.WriteString(got.body + "\n")
	}
	return b.String()
}

// TestLMSThreats attacks what the LMS has, over each database that may keep it.
func TestLMSThreats(t *testing.T) {
	t.Parallel()
	for name, mongo := range map[string]bool{"embedded": false, "MongoDB": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := []string{"SLUICE_LOG_LEVEL=debug", "SLUICE_SIGNING_KEYS=1:sign:" + signingKey}
			var server *livetest.MongoServer
			if mongo {
				server = livetest.MongoWithPassword(t)
				env = append(env, "MONGODB_URI="+server.URI("lms"))
			}
			s := &school{arena: newArena(t, livetest.Options{Env: env})}
			if mongo {
				s.keep("the password of MongoDB", server.Password)
				s.keep("the URI of MongoDB", strings.TrimPrefix(server.URI("lms"), "mongodb://"))
				s.keep("the password of MongoDB as it is written", "p%40ss%3Aword%2Fof%23tests")
			}
			s.open, s.closed, s.gone = s.found(t, "open", true), s.found(t, "a closed", false), s.found(t, "deleted", true)
			s.remove(t, "/api/products/"+s.gone.product)
			s.remove(t, "/api/courses/"+s.gone.course)
			const no = "ffffffffffffffffffffffff"
			s.none = premises{no, missing, no, no, missing, missing, missing}
			before := s.everything(t)
			for _, threat := range []struct {
				name string
				try  func(*testing.T, *school)
			}{
				{"threat: another owner's products and courses by every route", foreignRecords},
				{"threat: role confusion before the LMS's records", roleConfusion},
				{"threat: operators and paths in what the LMS keeps", recordOperators},
				{"threat: junk on every route of the document", junkOnEveryRoute},
				{"threat: URLs that others keep, in every place", foreignURLs},
				{"threat: stored XSS by texts of the LMS", recordXSS},
			} {
				t.Run(threat.name, func(t *testing.T) { threat.try(t, s) })
			}
			if after := s.everything(t); after != before {
				t.Errorf("after the attacks ada sees\n%s\nwant\n%s", after, before)
			}
			if mongo {
				t.Run("threat: what a database that is away gives away", func(t *testing.T) { awayTellsNothing(t, s, server) })
			}
			t.Run("threat: secrets and paths in the log of an LMS", func(t *testing.T) { cleanLog(t, s.arena) })
		})
	}
}

// attempt is one request at somebody else's.
type attempt struct {
	method, target, body string
	open                 int // what is answered by what everybody may see, to a login; 0: what is not seen either
}

func attempts() []attempt {
	const external = `"url":"https://evil.example/a.png"`
	return []attempt{
		{"GET", "/api/products/{product}", "", 200},
		{"HEAD", "/api/products/{product}", "", 200},
		{"PATCH", "/api/products/{product}", `{"name":"mine"}`, 403},
		{"PATCH", "/api/products/{product}", `{"published":true}`, 403},
		{"DELETE", "/api/products/{product}", "", 403},
		{"DELETE", "/api/products/{product}?purge=true", "", 403},
		{"POST", "/api/products/{product}/restore", "", 0},
		{"GET", "/api/products/{product}/images", "", 200},
		{"POST", "/api/products/{product}/images", `{` + external + `}`, 403},
		{"PUT", "/api/products/{product}/images/order", `{"ids":["` + missing + `"]}`, 403},
		{"GET", "/api/products/{product}/images/{image}", "", 200},
		{"PATCH", "/api/products/{product}/images/{image}", `{"altText":"mine"}`, 403},
		{"PATCH", "/api/products/{product}/images/{image}", `{"mediaId":"` + missing + `"}`, 403},
		{"DELETE", "/api/products/{product}/images/{image}", "", 403},
		{"DELETE", "/api/products/{product}/images/{image}?purge=true", "", 403},
		{"GET", "/api/courses/{course}", "", 200},
		{"HEAD", "/api/courses/{course}", "", 200},
		{"PATCH", "/api/courses/{course}", `{"title":"mine"}`, 403},
		{"PATCH", "/api/courses/{course}", `{"modules":[]}`, 403},
		{"DELETE", "/api/courses/{course}", "", 403},
		{"DELETE", "/api/courses/{course}?purge=true", "", 403},
		{"POST", "/api/courses/{course}/restore", "", 0},
		{"GET", "/api/courses/{course}/videos", "", 200},
		{"POST", "/api/courses/{course}/videos", `{` + external + `,"videoType":"intro"}`, 403},
		{"PUT", "/api/courses/{course}/videos/order", `{"ids":["` + missing + `"]}`, 403},
		{"GET", "/api/courses/{course}/videos/{video}", "", 0},
		{"PATCH", "/api/courses/{course}/videos/{video}", `{"isPublic":true}`, 0},
		{"DELETE", "/api/courses/{course}/videos/{video}", "", 0},
		{"GET", "/api/courses/{course}/lessons/{lesson}/videos", "", 200},
		{"GET", "/api/courses/{course}/resources", "", 200},
		{"POST", "/api/courses/{course}/resources", `{` + external + `,"resourceName":"mine"}`, 403},
		{"PUT", "/api/courses/{course}/resources/order", `{"ids":["` + missing + `"]}`, 403},
		{"GET", "/api/courses/{course}/lessons/{lesson}/resources", "", 200},
		{"GET", "/api/resources/{resource}", "", 0},
		{"PATCH", "/api/resources/{resource}", `{"isPublic":true}`, 0},
		{"DELETE", "/api/resources/{resource}", "", 0},
		{"POST", "/api/trash/{trashed}/restore", "", 0},
		{"DELETE", "/api/trash/{trashed}", "", 0},
		{"POST", "/api/trash/{image}/restore", "", 0},
		{"DELETE", "/api/trash/{image}", "", 0},
		{"GET", "/api/media/{video}", "", 0},
		{"GET", "/api/media/{video}/content", "", 0},
		{"PATCH", "/api/media/{resource}", `{"isPublic":true}`, 0},
		{"DELETE", "/api/media/{video}", "", 0},
		{"POST", "/api/media/{video}/links", `{}`, 0},
	}
}

// lists are those that may not name what is hidden.
func lists(p premises) []string {
	return []string{
		"/api/products?limit=200", "/api/courses?limit=200", "/api/products?mine=true", "/api/courses?mine=true", "/api/trash", "/api/media?limit=200",
		"/api/lessons/" + p.lesson + "/media", "/api/products/" + p.product + "/media", "/api/courses/" + p.course + "/media",
	}
}

// everyRouteIsTried holds the attempts against the document.
func everyRouteIsTried(t *testing.T, s *school) {
	t.Helper()
	name := regexp.MustCompile(`\{\w+\}`)
	tried := map[string]bool{}
	for _, a := range attempts() {
		bare, _, _ := strings.Cut(a.target, "?")
		tried[a.method+" "+name.ReplaceAllString(bare, "{}")] = true
	}
	for _, target := range lists(premises{product: "{id}", course: "{id}", lesson: "{id}"}) {
		bare, _, _ := strings.Cut(target, "?")
		tried["GET "+name.ReplaceAllString(bare, "{}")] = true
	}
	var doc struct{ Paths map[string]map[string]any }
	if err := json.Unmarshal([]byte(s.do(t, "GET", "/api/openapi.json", "", "").body), &doc); err != nil {
		t.Fatal(err)
	}
	for path, item := range doc.Paths {
		if !regexp.MustCompile(`^/api/(products|courses|resources|trash|lessons)\b`).MatchString(path) {
			continue
		}
		for method := range item {
			route := strings.ToUpper(method) + " " + name.ReplaceAllString(path, "{}")
			if !tried[route] && route != "POST /api/products" && route != "POST /api/courses" {
				t.Errorf("%s is not tried", route)
			}
		}
	}
}

func foreignRecords(t *testing.T, s *school) {
	everyRouteIsTried(t, s)
	for _, who := range []struct{ name, token string }{{"another instructor", s.bob}, {"a student", s.sam}, {"nobody", ""}} {
		for _, try := range attempts() {
			ask := func(p premises) answer {
				return s.json(t, try.method, s.ids(try.target, p), who.token, s.ids(try.body, p), "If-Match: *")
			}
			none := ask(s.none)
			hidden := 404
			if who.token == "" && try.method != "GET" && try.method != "HEAD" {
				hidden = 401
			}
			for what, p := range map[string]premises{"a draft": s.closed, "what is deleted": s.gone} {
				if got := ask(p); got.status != hidden || got.same() != none.same() {
					t.Errorf("%s %s of %s by %s = %v, want %d, as for none at all: %v", try.method, try.target, what, who.name, got, hidden, none)
				}
			}
			got := ask(s.open)
			switch want := try.open; {
			case want == 0 || hidden == 401:
				if got.status != hidden || got.same() != none.same() {
					t.Errorf("%s %s by %s = %v, want %d, as for none at all: %v", try.method, try.target, who.name, got, hidden, none)
				}
			case got.status != want:
				t.Errorf("%s %s by %s = %v, want %d", try.method, try.target, who.name, got, want)
			case want == 200 && (strings.Contains(got.body, s.open.video) || strings.Contains(got.body, s.open.resource) || strings.Contains(got.body, s.closed.product)):
				t.Errorf("%s %s shows %s what is private: %v", try.method, try.target, who.name, got)
			}
		}
		for _, list := range lists(s.closed) {
			got := s.do(t, "GET", list, who.token, "")
			for _, p := range []premises{s.closed, s.gone} {
				for _, id := range []string{p.product, p.course, p.video, p.resource, p.trashed} {
					public := id == p.product && strings.HasPrefix(list, "/api/media") // of an image that is public, and tells where it belongs
					if !public && strings.Contains(got.body, id) {
						t.Errorf("GET %s shows %s what is hidden: %v", list, who.name, got)
					}
				}
			}
		}
	}
}

func roleConfusion(t *testing.T, s *school) {
	with := func(claims string) string {
		token := signed(hs256, fmt.Sprintf(`{%s,"exp":%d}`, claims, later), s.s.Secret, sha256.New)
		s.keep("a token", token)
		return token
	}
	order := `{"user":"sam","status":"paid","items":[{"product":"` + s.closed.product + `","course":"` + s.closed.course + `"}]}`
	for name, token := range map[string]string{
		"nobody": "", "a student": s.sam, "an instructor": s.bob, "ada herself": s.ada,
		"ada as a student":               with(`"sub":"ada","role":"student"`),
		"ada without a role":             with(`"sub":"ada"`),
		"a role in other letters":        with(`"sub":"ada","role":"Admin"`),
		"two roles in one word":          with(`"sub":"ada","role":"student,admin"`),
		"a role with a space":            with(`"sub":"ada","roles":["admin "]`),
		"a role that is true":            with(`"sub":"ada","admin":true,"isAdmin":true`),
		"roles of roles":                 with(`"sub":"ada","roles":[["admin"]]`),
		"a role that is an object":       with(`"sub":"ada","role":{"admin":true}`),
		"a role named by another member": with(`"sub":"ada","ROLE":"admin","Role":"admin"`),
		"a subject that is an operator":  with(`"sub":"{\"$ne\":null}","role":"student"`),
	} {
		path := "/api/records/order/65a0000000000000000000aa"
		for _, got := range []answer{
			s.json(t, "PUT", path, token, order), s.do(t, "GET", path, token, ""), s.do(t, "DELETE", path, token, "", "If-Match: *"),
			s.json(t, "PUT", "/api/records/user/65a0000000000000000000ab", token, `{"role":"admin"}`), s.json(t, "PUT", "/api/records/product/"+s.open.product, token, `{"createdBy":"bob"}`),
		} {
			if got.status != 401 && got.status != 403 {
				t.Errorf("a record is within reach of %s: %v", name, got)
			}
		}
		if name == "ada herself" || name == "an instructor" {
			continue
		}
		for _, got := range []answer{
			s.json(t, "POST", "/api/products", token, `{"name":"mine"}`), s.json(t, "POST", "/api/courses", token, `{"title":"mine"}`),
			s.json(t, "PATCH", "/api/products/"+s.open.product, token, `{"name":"mine"}`, "If-Match: *"), s.do(t, "DELETE", "/api/products/"+s.open.product, token, "", "If-Match: *"),
			s.do(t, "POST", "/api/trash/"+s.open.trashed+"/restore", token, ""), s.do(t, "DELETE", "/api/trash/"+s.open.trashed, token, ""),
		} {
			if got.status != 401 && got.status != 403 && got.status != 404 {
				t.Errorf("%s writes: %v", name, got)
			}
		}
		if got := s.do(t, "GET", "/api/products/"+s.closed.product, token, ""); got.status != 404 && got.status != 401 {
			t.Errorf("%s reads a draft: %v", name, got)
		}
	}
	// Orders of others, and such as name no one, or anyone, grant nothing.
	for i, body := range []string{
		`{"user":"bob","status":"paid"`, `{"user":{"_id":"bob"},"status":"paid"`, `{"user":["sam"],"status":"paid"`, `{"user":true,"status":"paid"`, `{"user":null,"status":"paid"`, `{"user":"","status":"paid"`,
		`{"user":"*","status":"paid"`, `{"user":".*","status":"paid"`, `{"user":"SAM","status":"paid"`, `{"user":"sam ","status":"paid"`, `{"user":"sam","status":"unpaid"`, `{"user":"sam","status":"paid","refundedAt":"2026-01-01"`,
		`{"user":"sam","status":["paid"]`, `{"user":"sam","isPaid":"true"`,
	} {
		path := fmt.Sprintf("/api/records/order/65a00000000000000000%04x", i)
		if got := s.json(t, "PUT", path, s.admin, body+`,"items":[{"product":"`+s.closed.product+`"}]}`); got.status != 200 {
			t.Errorf("the LMS keeps %s: %v", body, got)
		}
		if got := s.do(t, "GET", "/api/products/"+s.closed.product, s.sam, ""); got.status != 404 {
			t.Errorf("%s lets sam read a draft: %v", body, got)
		}
	}
}

// awayTellsNothing takes the database away: what it is and where is no stranger's business.
func awayTellsNothing(t *testing.T, s *school, server *livetest.MongoServer) {
	server.Kill()
	for _, try := range attempts() {
		got := s.rough(t, try.method, s.ids(try.target, s.none), s.bob, s.ids(try.body, s.none), "Content-Type: application/json", "If-Match: *")
		text := got.head + got.body
		for _, word := range []string{server.Addr(), "127.0.0.1", "mongo:", "mongodb://", "topology", "server selection", "p@ss", "dial tcp"} {
			if strings.Contains(text, word) {
				t.Errorf("%s %s tells %q: %v", try.method, try.target, word, got)
			}
		}
		if got.status >= 500 && (got.status != 503 || got.header.Get("Retry-After") == "") || got.leaks(s.s.DataDir) != "" {
			t.Errorf("%s %s without MongoDB: %v", try.method, try.target, got)
		}
	}
	if got := s.rough(t, "GET", "/readyz", "", ""); strings.Contains(got.body, "127.0.0.1") || !strings.Contains(got.body, `"name":"mongodb"`) {
		t.Errorf("/readyz without MongoDB: %v", got)
	}
}
