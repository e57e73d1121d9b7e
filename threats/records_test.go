package threats_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"
)

// recordOperators tries what a MongoDB would run, and what an object of JavaScript would take over.
func recordOperators(t *testing.T, s *school) {
	operators := []string{
		`{"$ne":null}`, `{"$ne":1}`, `{"$gt":""}`, `{"$where":"sleep(10000)"}`, `{"$regex":".*"}`, `{"$in":["x"]}`, `{"$function":{"body":"x","args":[],"lang":"js"}}`,
		`{"$oid":"65a000000000000000000001"}`, `[{"$ne":1}]`, `{"a":{"$set":{"published":true}}}`,
	}
	record := "/api/records/user/65a0000000000000000000b1"
	for _, v := range operators {
		start := time.Now()
		for _, try := range []answer{
			s.json(t, "POST", "/api/products", s.ada, `{"name":`+v+`}`),
			s.json(t, "POST", "/api/products", s.ada, `{"name":"x","category":`+v+`}`),
			s.json(t, "POST", "/api/products", s.ada, `{"name":"x","tags":[`+v+`]}`),
			s.json(t, "POST", "/api/products", s.ada, `{"name":"x","images":[`+v+`]}`),
			s.json(t, "POST", "/api/courses", s.ada, `{"title":`+v+`}`),
			s.json(t, "POST", "/api/courses", s.ada, `{"title":"x","modules":[{"id":`+v+`,"title":"m"}]}`),
			s.json(t, "PATCH", "/api/products/"+s.open.product, s.ada, `{"price":`+v+`}`, "If-Match: *"),
			s.json(t, "PATCH", "/api/courses/"+s.open.course, s.ada, `{"published":`+v+`}`, "If-Match: *"),
			s.json(t, "PUT", "/api/products/"+s.open.product+"/images/order", s.ada, `{"ids":`+v+`}`),
			s.json(t, "PUT", "/api/products/"+s.open.product+"/images/order", s.ada, `{"ids":[`+v+`]}`),
			s.json(t, "POST", "/api/courses/"+s.open.course+"/videos", s.ada, `{"url":"https://cdn.example.com/a.mp4","videoType":"lesson","mongoLessonId":`+v+`}`),
			s.json(t, "PATCH", "/api/resources/"+s.open.resource, s.ada, `{"mongoLessonId":`+v+`}`, "If-Match: *"),
			s.json(t, "PUT", record, s.admin, `{"name":`+v+`}`),
			s.json(t, "PUT", record, s.admin, `{"a":[1,{"b":`+v+`}]}`),
			s.do(t, "GET", "/api/products/"+url.PathEscape(v), s.ada, ""),
			s.do(t, "GET", "/api/records/product/"+url.PathEscape(v), s.admin, ""),
			s.do(t, "GET", "/api/records/"+url.PathEscape(v)+"/65a0000000000000000000b1", s.admin, ""),
			s.do(t, "GET", "/api/courses/"+s.open.course+"/lessons/"+url.PathEscape(v)+"/videos", s.ada, ""),
			s.do(t, "GET", "/api/courses/"+s.open.course+"/videos?videoType="+url.QueryEscape(v), s.ada, ""),
			s.do(t, "GET", "/api/products?cursor="+url.QueryEscape(v), s.ada, ""),
			s.do(t, "GET", "/api/trash?cursor="+url.QueryEscape(v), s.ada, ""),
		} {
			if try.status < 400 {
				t.Errorf("%s is taken: %v", v, try)
			}
		}
		// A category is a text like any other: there is no product of this one.
		if got := s.do(t, "GET", "/api/products?category="+url.QueryEscape(v), s.admin, ""); got.status != 200 || !strings.Contains(got.body, `"items":[]`) {
			t.Errorf("category=%s = %v, want nothing", v, got)
		}
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("%s took %v", v, took)
		}
	}
	for _, name := range []string{"category[$ne]", "category[]", "category.$ne", "$where", "mine[$gt]", "filter", "projection", "createdBy", "published", "__proto__", "constructor[prototype][x]"} {
		for _, list := range []string{"/api/products", "/api/courses", "/api/trash"} {
			if got := s.do(t, "GET", list+"?"+url.QueryEscape(name)+"=1", s.ada, ""); got.status != 400 {
				t.Errorf("%s?%s=1 = %v, want 400", list, name, got)
			}
		}
	}
	for _, body := range []string{
		`{"$set":{"name":"x"}}`, `{"$unset":{"name":1}}`, `{"$rename":{"a":"b"}}`, `{"a.b":1}`, `{"":1}`, `{"a":{"b.c":1}}`, `{"a\u0000b":1}`, `{"a":"\u0000"}`, `{"_id":{"$ne":1}}`, `{"_id":"65a0000000000000000000b2"}`,
		`{"id":"65a0000000000000000000b2"}`, `{"sluicePending":true}`, `{"sluiceTrash":1}`, `{"a":{"sluicePending":true}}`, `{"__v":5}`, `{"password":"x"}`, `{"PassWordHash":"x"}`, `{"reset_token":"x"}`,
	} {
		if got := s.json(t, "PUT", record, s.admin, body); got.status != 400 {
			t.Errorf("PUT %s = %v, want 400", body, got)
		}
	}
	for _, member := range []string{`"createdBy":"bob"`, `"id":"65a0000000000000000000b2"`, `"_id":"x"`, `"createdAt":"2020-01-01T00:00:00Z"`, `"sluicePending":true`, `"__proto__":{"published":true}`, `"constructor":1`, `"$set":{}`} {
		for _, got := range []answer{
			s.json(t, "PATCH", "/api/products/"+s.open.product, s.ada, `{`+member+`}`, "If-Match: *"), s.json(t, "PATCH", "/api/courses/"+s.open.course, s.ada, `{`+member+`}`, "If-Match: *"),
			s.json(t, "POST", "/api/products", s.ada, `{"name":"x",`+member+`}`), s.json(t, "POST", "/api/courses", s.ada, `{"title":"x",`+member+`}`),
		} {
			if got.status != 400 {
				t.Errorf("%s = %v, want 400", member, got)
			}
		}
	}
	// Where any member is the LMS's own, such a name is a name.
	got := s.json(t, "PUT", record, s.admin, `{"name":"Mo","__proto__":{"role":"admin"},"constructor":{"prototype":{"x":1}}}`)
	if got.status != 200 || strings.Contains(s.do(t, "GET", record, s.admin, "").body, `"role"`) && !strings.Contains(got.body, "__proto__") {
		t.Errorf("a prototype in a record: %v", got)
	}
}

// document reads which routes take a body, as the gateway says itself.
func (s *school) document(t *testing.T) (routes []struct{ method, path, operation string }) {
	t.Helper()
	var doc struct {
		Paths map[string]map[string]struct {
			OperationID string
			RequestBody *struct{ Content map[string]any }
		}
	}
	if err := json.Unmarshal([]byte(s.do(t, "GET", "/api/openapi.json", "", "").body), &doc); err != nil {
		t.Fatal(err)
	}
	for path, item := range doc.Paths {
		for method, op := range item {
			if op.RequestBody == nil || op.RequestBody.Content["application/json"] == nil && op.RequestBody.Content["application/merge-patch+json"] == nil {
				continue
			}
			routes = append(routes, struct{ method, path, operation string }{strings.ToUpper(method), path, op.OperationID})
		}
	}
	return routes
}

// junkOnEveryRoute finds the routes in the document, so that none is forgotten.
func junkOnEveryRoute(t *testing.T, s *school) {
	routes := s.document(t)
	if len(routes) < 18 {
		t.Fatalf("the document has %d routes that take JSON", len(routes))
	}
	junk := map[string]string{
		"no JSON": "hello", "half of it": `{"a":`, "more behind it": `{}{}`, "a number": "1", "true": "true", "100,000 brackets": strings.Repeat("[", 100_000),
		"100,000 braces": strings.Repeat(`{"a":`, 100_000), "20,000 braces, closed": strings.Repeat(`{"a":`, 20_000) + "1" + strings.Repeat("}", 20_000),
		"a member twice": `{"a":1,"a":2}`, "a member twice, once escaped": `{"a":1,"\u0061":2}`, "1e400": `{"a":1e400}`, "NaN": `{"a":NaN}`, "invalid UTF-8": "{\"a\":\"\xff\xfe\"}",
		"half a surrogate pair": `{"a":"\ud800"}`, "a bare NUL": "{\"a\":\"\x00\"}", "a byte order mark": "\xef\xbb\xbf{}", "comments": `/* x */{"a":1}`, "single quotes": `{'a':1}`,
		"a trailing comma": `{"a":1,}`, "2 MiB of spaces": strings.Repeat(" ", 2<<20) + "{}", "2 MiB in a member": `{"a":"` + strings.Repeat("a", 2<<20) + `"}`,
		"a list": `[{"a":1}]`, "a form": "a=b&c=d", "an XML entity": `<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>`,
	}
	unknown := map[string]string{
		"an unknown member": `{"evil":1}`, "a prototype": `{"__proto__":{"admin":true}}`, "100,000 members": "{" + strings.Repeat(`"a":1,`, 100_000) + `"b":1}`,
	}
	for _, r := range routes {
		who, of := s.ada, s.open.product
		switch {
		case strings.HasPrefix(r.path, "/api/records"), strings.HasPrefix(r.path, "/api/revocations"):
			who = s.admin
		case strings.HasPrefix(r.path, "/api/courses"):
			of = s.open.course
		case strings.HasPrefix(r.path, "/api/resources"), strings.HasPrefix(r.path, "/api/media"):
			of = s.open.resource
		}
		target := strings.NewReplacer("{id}", of, "{type}", "product", "{imageId}", s.open.image, "{videoId}", s.open.video, "{lessonId}", s.open.lesson).Replace(r.path)
		try := func(name, body, kind string) {
			got := s.do(t, r.method, target, who, body, "Content-Type: "+kind, "If-Match: *")
			if got.status < 400 || len(got.body) > 4<<10 {
				t.Errorf("%s %s with %s = %v, want a short 4xx", r.method, r.path, name, got)
			}
		}
		for name, body := range junk {
			try(name, body, "application/json")
		}
		for name, body := range unknown {
			if r.operation != "keep-record" || name == "100,000 members" {
				try(name, body, "application/json")
			}
		}
		for _, kind := range []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/xml", "*/*", "application/jsonp"} {
			try(kind, `{"name":"x"}`, kind)
		}
	}
}

func foreignURLs(t *testing.T, s *school) {
	for _, u := range []string{
		"javascript:alert(1)", "JaVaScRiPt:alert(1)", "data:text/html,x", "data:image/png;base64,AAAA", "file:///etc/passwd", "//evil.example/x", "/etc/passwd", "../x", `http:\\evil.example`,
		"http://user:pw@example.com/x", "https://token@example.com/x", "http:///x", "http://a b/", "http://a/\r\nX-Evil: 1", "http://a/\nx", "ftp://example.com/x", "gopher://x", "blob:https://x", "http://",
		" https://example.com/", "https://example.com/\x00", "view-source:https://example.com", "mongodb://example.com/x",
	} {
		q := quote(u)
		for _, got := range []answer{
			s.json(t, "POST", "/api/products", s.ada, `{"name":"x","images":[`+q+`]}`),
			s.json(t, "POST", "/api/products", s.ada, `{"name":"x","images":[{"url":`+q+`}]}`),
			s.json(t, "POST", "/api/products/"+s.open.product+"/images", s.ada, q),
			s.json(t, "POST", "/api/products/"+s.open.product+"/images", s.ada, `{"url":`+q+`}`),
			s.json(t, "POST", "/api/courses/"+s.open.course+"/videos", s.ada, `{"videoType":"intro","url":`+q+`}`),
			s.json(t, "POST", "/api/courses/"+s.open.course+"/resources", s.ada, `{"resourceName":"x","url":`+q+`}`),
		} {
			if got.status != 400 || strings.Contains(got.body, "evil") || strings.Contains(got.body, "pw@") {
				t.Errorf("what is kept at %q: %v", u, got)
			}
		}
	}
}

// recordXSS keeps texts that a page would run, and looks for them where a browser might read them as anything but JSON.
func recordXSS(t *testing.T, s *school) {
	for i, text := range []string{
		`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `</title><svg/onload=alert(1)>`, `{{constructor.constructor('alert(1)')()}}`, "\u2028alert(1)", `javascript:alert(1)`, `<!--#exec cmd="id"-->`, "=cmd|' /C calc'!A0",
	} {
		q := quote(text)
		id := s.make(t, "/api/products", `{"name":`+q+`,"category":`+q+`,"description":`+q+`,"brand":`+q+`,"tags":[`+q+`]}`)
		image := s.make(t, "/api/products/"+id+"/images", `{"url":"https://cdn.example.com/a.png","altText":`+q+`,"title":`+q+`}`)
		course := s.make(t, "/api/courses", `{"title":`+q+`,"modules":[{"title":`+q+`,"lessons":[{"title":`+q+`}]}]}`)
		resource := s.make(t, "/api/courses/"+course+"/resources", `{"url":"https://cdn.example.com/a.pdf","resourceName":`+q+`}`)
		record := fmt.Sprintf("/api/records/review/65a000000000000000000c%02x", i)
		name := quote(strings.NewReplacer(`"`, "", ".", "").Replace(text)) // FerretDB, which stands for MongoDB here, makes no document with a quotation mark in a name
		if got := s.json(t, "PUT", record, s.admin, `{"text":`+q+`,`+name+`:1}`); got.status != 200 {
			t.Errorf("the LMS keeps %q: %v", text, got)
		}
		for _, target := range []string{
			"/api/products/" + id, "/api/products?limit=200", "/api/products?category=" + url.QueryEscape(text), "/api/products/" + id + "/images", "/api/products/" + id + "/images/" + image,
			"/api/courses/" + course, "/api/resources/" + resource, record, "/api/products/" + url.PathEscape(text), "/api/products?" + url.QueryEscape(text) + "=1",
		} {
			for _, accept := range []string{"text/html", "application/xhtml+xml,*/*;q=0.1", "image/svg+xml"} {
				got := s.do(t, "GET", target, s.admin, "", "Accept: "+accept)
				kind, policy := got.header.Get("Content-Type"), got.header.Get("Content-Security-Policy")
				plain := got.status >= 400 && kind == "text/plain; charset=utf-8" // a refusal for people
				if !plain && kind != "application/json" && kind != "application/problem+json" || !strings.Contains(policy, "sandbox") {
					t.Errorf("GET %s as %s is %q under %q", target, accept, kind, policy)
				}
			}
		}
		s.remove(t, "/api/products/"+id+"?purge=true")
		s.remove(t, "/api/courses/"+course+"?purge=true")
	}
}
