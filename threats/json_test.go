package threats_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"
)

func sqlInjection(t *testing.T, a *arena) {
	f := a.put(t, a.ada, "in a table")
	evil := []string{
		"' OR '1'='1", "1; DROP TABLE assets", "') UNION SELECT * FROM assets--", "createdAt; DELETE FROM assets", "(SELECT pg_sleep(10))", "size/**/desc", "%", "_", "\\", "-",
		"--", "owner", "-owner", "createdAt,size", "id", "CASE WHEN 1=1 THEN size ELSE id END", "$1", "?1", ":id", "null", "NaN", "1e3", "0x10", "-1", "0", "201", " 1", "1 ",
		"9223372036854775808", "99999999999999999999999", "１", "true", "[]", "{}", strings.Repeat("9", 600), "randomblob(1000000000)",
	}
	for _, name := range []string{
		"sort", "limit", "cursor", "state", "kind", "mediaType", "storageType", "referenceType", "referenceId", "mongoProductId", "mongoCourseId", "mongoLessonId", "mongoModuleId",
		"videoType", "resourceType", "uploadedBy",
	} {
		for _, v := range evil {
			start := time.Now()
			got := a.do(t, "GET", "/api/media?"+name+"="+url.QueryEscape(v), a.ada, "")
			if got.status != 400 && (name != "referenceId" && name != "uploadedBy" || got.status != 200) {
				t.Errorf("%s=%.40q = %v, want 400", name, v, got)
			}
			if took := time.Since(start); took > 5*time.Second { // 1 s on a machine of its own
				t.Errorf("%s=%.40q took %v", name, v, took)
			}
			if strings.Contains(got.body, f.id) && name != "referenceId" {
				t.Errorf("%s=%.40q lists media", name, v)
			}
		}
	}
	for _, v := range evil {
		for _, name := range []string{"from", "to", "bucket"} {
			if got := a.do(t, "GET", "/api/analytics/media/"+f.id+"?"+name+"="+url.QueryEscape(v), a.ada, ""); got.status != 400 {
				t.Errorf("analytics %s=%.40q = %v, want 400", name, v, got)
			}
		}
		got := a.do(t, "GET", "/api/uploads?state="+url.QueryEscape(v), a.ada, "")
		if got.status != 400 {
			t.Errorf("uploads state=%.40q = %v, want 400", v, got)
		}
		if got := a.json(t, "PATCH", "/api/media/"+f.id, a.ada, `{"title":`+quote(v)+`}`, "If-Match: *"); got.status != 200 && got.status != 400 {
			t.Errorf("title %.40q: %v", v, got)
		}
	}
	// A cursor is opaque, and one bent or made for another list is refused, not run.
	for range 3 {
		a.put(t, a.ada, "a row for pages")
	}
	var page struct{ NextCursor string }
	if err := json.Unmarshal([]byte(a.do(t, "GET", "/api/media?limit=1", a.ada, "").body), &page); err != nil || page.NextCursor == "" {
		t.Fatalf("no cursor: %v", err)
	}
	c := page.NextCursor
	for i := 0; i < len(c); i += 3 {
		bent := c[:i] + "!" + c[i+1:]
		if got := a.do(t, "GET", "/api/media?limit=1&cursor="+url.QueryEscape(bent), a.ada, ""); got.status != 400 {
			t.Errorf("a bent cursor: %v", got)
		}
	}
	if got := a.do(t, "GET", "/api/media?limit=1&sort=size&cursor="+url.QueryEscape(c), a.ada, ""); got.status != 400 {
		t.Errorf("the cursor of another order: %v", got)
	}
	got := a.do(t, "GET", "/api/media?limit=200&cursor="+url.QueryEscape(c), a.bob, "")
	if strings.Contains(got.body, f.id) {
		t.Errorf("a cursor of ada's shows bob what is hers: %v", got)
	}
	if got := a.do(t, "GET", "/api/media/"+f.id, a.ada, ""); got.status != 200 {
		t.Errorf("after the attacks: %v", got)
	}
}

func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		return `""`
	}
	return string(b)
}

func mongoOperators(t *testing.T, a *arena) {
	f := a.put(t, a.ada, "beside a document")
	for _, v := range []string{
		`{"$ne":null}`, `{"$gt":""}`, `{"$where":"sleep(10000)"}`, `["507f1f77bcf86cd799439011"]`, `1`, `true`, `{"$oid":"507f1f77bcf86cd799439011"}`, `"$ne"`,
		`"507F1F77BCF86CD799439011"`, `"507f1f77bcf86cd79943901"`, `"507f1f77bcf86cd7994390111"`, `"507f1f77bcf86cd79943901\u0000"`, `"' || 1==1"`, `"../507f1f77bcf86cd799439"`,
	} {
		for _, name := range []string{"mongoProductId", "mongoCourseId", "mongoLessonId", "mongoModuleId"} {
			start := time.Now()
			for _, try := range []answer{
				a.json(t, "PATCH", "/api/media/"+f.id, a.ada, fmt.Sprintf(`{%q:%s}`, name, v), "If-Match: *"),
				a.json(t, "POST", "/api/media", a.ada, fmt.Sprintf(`{"url":"https://example.com/x",%q:%s}`, name, v)),
				a.json(t, "POST", "/api/uploads", a.ada, fmt.Sprintf(`{%q:%s}`, name, v)),
				a.do(t, "GET", "/api/media?"+name+"="+url.QueryEscape(v), a.ada, ""),
				a.do(t, "GET", "/api/media?"+name+"[$ne]=x", a.ada, ""),
				a.do(t, "GET", "/api/media?"+name+"[]=x", a.ada, ""),
				a.do(t, "POST", "/files/", a.ada, "", tus, "Upload-Length: 1", meta(name, strings.Trim(v, `"`))),
			} {
				if try.status != 400 && try.status != 422 {
					t.Errorf("%s as %s: %v, want 400", v, name, try)
				}
			}
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("%s as %s took %v", v, name, took)
			}
		}
	}
	for _, v := range []string{`{"$set":{"isPublic":true}}`, `{"isPublic":{"$ne":false}}`, `{"__proto__":{"isPublic":true}}`, `{"constructor":1}`, `{"uploadedBy":"bob"}`, `{"state":"ready"}`, `{"fileSize":1}`, `{"id":"` + missing + `"}`, `{"sha256":"x"}`, `{"accessCount":9}`, `{"url":"https://evil.example"}`, `{"storageType":"cloud"}`} {
		if got := a.json(t, "PATCH", "/api/media/"+f.id, a.ada, v, "If-Match: *"); got.status != 400 {
			t.Errorf("PATCH %s: %v, want 400", v, got)
		}
	}
	got := a.do(t, "GET", "/api/media/"+f.id, a.ada, "")
	if !strings.Contains(got.body, `"isPublic":false`) || !strings.Contains(got.body, `"uploadedBy":"ada"`) {
		t.Errorf("after the attacks: %v", got)
	}
}

// routes are all that take a JSON body, each with one that is good.
func routes(id string) []struct{ method, target, good string } {
	return []struct{ method, target, good string }{
		{"PATCH", "/api/media/" + id, `{"title":"x"}`},
		{"POST", "/api/media", `{"url":"https://example.com/x"}`},
		{"POST", "/api/media/" + id + "/links", `{"expiresIn":60}`},
		{"POST", "/api/links", `{"items":[{"id":"` + id + `"}]}`},
		{"POST", "/api/uploads", `{"maxSize":5}`},
		{"POST", "/api/revocations", `{"viewer":"nobody at all"}`}, // an admin's
		{"POST", "/api/revocations", `{"key":255}`},
	}
}

func junkJSON(t *testing.T, a *arena) {
	f := a.put(t, a.ada, "a target of junk", "title", "as it was")
	for _, r := range routes(f.id) {
		who := a.ada
		if r.target == "/api/revocations" {
			who = a.admin
		}
		key, value, _ := strings.Cut(strings.Trim(r.good, "{}"), ":")
		if r.target == "/api/links" {
			key, value = `"items"`, `[{"id":"`+f.id+`"}]`
		}
		for name, body := range map[string]string{
			"no JSON":                        "hello",
			"half of it":                     r.good[:len(r.good)-1],
			"more behind it":                 r.good + "{}",
			"two values":                     r.good + r.good,
			"a list":                         "[" + r.good + "]",
			"a string":                       `"x"`,
			"a number":                       "1",
			"true":                           "true",
			"100,000 brackets":               strings.Repeat("[", 100_000),
			"100,000 braces":                 strings.Repeat(`{"a":`, 100_000),
			"20,000 brackets, closed":        "{" + key + ":" + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + "}",
			"an unknown member":              "{" + key + ":" + value + `,"evil":1}`,
			"a member twice":                 "{" + key + ":" + value + "," + key + ":" + value + "}",
			"a member twice, once escaped":   "{" + key + ":" + value + `,"\u00` + fmt.Sprintf("%02x", key[1]) + key[2:] + ":" + value + "}",
			"a member that is an object":     "{" + key + `:{"a":1}}`,
			"a member that is a list":        "{" + key + `:[[]]}`,
			"1e400":                          "{" + key + `:1e400}`,
			"a number of 10,000 digits":      "{" + key + ":" + strings.Repeat("9", 10_000) + "}",
			"2^63":                           "{" + key + `:9223372036854775808}`,
			"-2^63-1":                        "{" + key + `:-9223372036854775809}`,
			"a fraction":                     "{" + key + `:0.5}`,
			"NaN":                            "{" + key + `:NaN}`,
			"invalid UTF-8":                  "{" + key + ":\"\xff\xfe\"}",
			"half a surrogate pair":          "{" + key + `:"\ud800"}`,
			"a NUL":                          "{" + key + `:"\u0000"}`,
			"a bare NUL":                     "{" + key + ":\"\x00\"}",
			"a byte order mark":              "\xef\xbb\xbf" + r.good,
			"UTF-16":                         "\xff\xfe{\x00}\x00",
			"comments":                       "/* x */" + r.good,
			"single quotes":                  strings.ReplaceAll(r.good, `"`, "'"),
			"a trailing comma":               r.good[:len(r.good)-1] + ",}",
			"2 MiB of spaces":                strings.Repeat(" ", 2<<20) + r.good,
			"2 MiB in a member":              "{" + key + `:"` + strings.Repeat("a", 2<<20) + `"}`,
			"100,000 members":                "{" + strings.Repeat(`"a":1,`, 100_000) + `"b":1}`,
			"an XML entity":                  `<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>`,
			"an empty key":                   `{"":1}`,
			"a prototype":                    `{"__proto__":{"admin":true}}`,
			"a gzip head":                    "\x1f\x8b\x08\x00\x00",
			"a form":                         "a=b&c=d",
			"a member in other letter cases": "{" + strings.ToUpper(key) + ":" + value + `,"evil":1}`,
		} {
			got := a.json(t, r.method, r.target, who, body, "If-Match: *")
			if got.status < 400 {
				t.Errorf("%s %s with %s = %v, want 4xx", r.method, r.target, name, got)
			}
			if len(got.body) > 4<<10 {
				t.Errorf("%s %s with %s: the refusal has %d bytes", r.method, r.target, name, len(got.body))
			}
		}
		for _, kind := range []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/xml", "application/cbor", "image/png", "application/jsonp", "*/*", "a", "application/json, text/html"} {
			got := a.do(t, r.method, r.target, who, r.good, "Content-Type: "+kind, "If-Match: *")
			if got.status != 415 && got.status != 400 {
				t.Errorf("%s %s as %s = %d, want 415", r.method, r.target, kind, got.status)
			}
		}
		if got := a.do(t, r.method, r.target, who, r.good, "Content-Type: application/json", "Content-Encoding: gzip", "If-Match: *"); got.status >= 500 {
			t.Errorf("%s %s said to be gzip: %v", r.method, r.target, got)
		}
		got := a.json(t, r.method, r.target, who, "", "If-Match: *", "Content-Length: 0")
		if optional := strings.HasSuffix(r.target, "/links") || r.target == "/api/uploads"; got.status < 400 && (!optional || r.target == "/api/links") {
			t.Errorf("%s %s with an empty body: %v", r.method, r.target, got)
		}
		if got := a.json(t, r.method, r.target, who, r.good, "If-Match: *"); got.status >= 300 {
			t.Errorf("%s %s with a good body: %v", r.method, r.target, got)
		}
	}
	for _, v := range []string{``, `"`, `v1`, `W/"x"`, `"x", `, `"x" "y"`, strings.Repeat(`"x",`, 900), "*, *", "\"\xff\""} {
		if got := a.json(t, "PATCH", "/api/media/"+f.id, a.ada, `{"title":"y"}`, "If-Match: "+v); got.status < 400 {
			t.Errorf("If-Match %.40q: %v", v, got)
		}
	}
	if got := a.json(t, "DELETE", "/api/media/"+f.id, a.ada, ""); got.status != 428 {
		t.Errorf("DELETE without If-Match: %v", got)
	}
}

func junkHeaders(t *testing.T, a *arena) {
	f := a.put(t, a.ada, "a target of headers", "isPublic", "true")
	up, _ := a.begin(t, a.ada, "Upload-Length: 100")
	huge := strings.Repeat("a", 40<<10)
	for _, target := range []string{"/livez", "/m/" + f.id, "/api/media", up.at} {
		for name, header := range map[string]string{
			"a value of 40 KiB": "X-A: " + huge, "a name of 40 KiB": huge + ": x", "a thousand lines": strings.TrimSuffix(strings.Repeat("X-A: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n", 1000), "\r\n"),
			"a NUL": "X-A: a\x00b", "a name with a space": "X A: b", "an escape": "X-A: \x1b[31m", "high bytes": "X-A: \xff\xfe", "a cookie of 30 KiB": "Cookie: " + huge[:30<<10],
		} {
			got := a.do(t, "GET", target, "", "", header)
			if strings.HasSuffix(name, "40 KiB") && got.status != 431 {
				t.Errorf("%s on %s = %d, want 431", name, target, got.status)
			}
		}
		if got := a.do(t, "GET", target+"?"+huge, "", ""); got.status != 431 && got.status != 414 && got.status != 400 {
			t.Errorf("a query of 40 KiB on %s = %d", target, got.status)
		}
	}
	numbers := []string{"-1", "+1", "1.0", "1e3", "0x1", " ", "", "9223372036854775808", strings.Repeat("9", 400), "１", "NaN", "1 2", "1,2", "null", "true", "\t", "1;q=1"}
	for _, n := range numbers {
		for _, h := range []string{"Upload-Length: ", "Upload-Defer-Length: "} {
			if _, got := a.begin(t, a.ada, h+n); got.status != 400 && got.status != 413 {
				t.Errorf("%s%.30q = %v, want 400", h, n, got)
			}
		}
		got := a.do(t, "PATCH", up.at, "", "x", tus, octets, "Upload-Offset: "+n)
		if got.status != 400 && got.status != 409 {
			t.Errorf("Upload-Offset: %.30q = %v, want 400", n, got)
		}
	}
	for _, lines := range [][]string{
		{"Upload-Length: 5", "Upload-Length: 6"},
		{"Upload-Length: 5", "Upload-Defer-Length: 1"},
		{"Upload-Length: 5", "Upload-Concat: final;" + up.at},
		{"Upload-Length: 5", "Upload-Metadata: a !!!"},
		{"Upload-Length: 5", "Upload-Metadata: a YQ==,a Yg=="},
		{"Upload-Length: 5", "Upload-Metadata: ,"},
		{"Upload-Length: 5", "Upload-Metadata: filename " + strings.Repeat("YQ", 9000)},
		{"Upload-Length: 5", "Upload-Metadata: a YR=="},
		{"Upload-Length: 5", "Upload-Metadata: é YQ=="},
		{"Upload-Length: 5", "Upload-Metadata: isPublic bWF5YmU="},
		{"Upload-Concat: final;"},
		{"Upload-Concat: FINAL;" + up.at},
		{"Upload-Concat: partial", "Upload-Concat: final;" + up.at},
		{"Upload-Concat: final;" + strings.Repeat(up.at+" ", 200)},
	} {
		if _, got := a.begin(t, a.ada, lines...); got.status < 400 {
			t.Errorf("%.60q = %v, want 4xx", lines, got)
		}
	}
	for _, lines := range [][]string{
		{octets, "Upload-Offset: 0"},
		{"Tus-Resumable: 2.0.0", octets, "Upload-Offset: 0"},
		{tus, tus, octets, "Upload-Offset: 0"},
		{tus, octets},
		{tus, "Upload-Offset: 0"},
		{tus, "Content-Type: text/html", "Upload-Offset: 0"},
		{tus, octets, "Upload-Offset: 0", "Upload-Offset: 0"},
		{tus, octets, "Upload-Offset: 50"},
		{tus, octets, "Upload-Offset: 0", "Upload-Length: 99"},
		{tus, octets, octets, "Upload-Offset: 0"},
	} {
		if got := a.do(t, "PATCH", up.at, "", "junk", lines...); got.status < 400 {
			t.Errorf("PATCH with %q = %v, want 4xx", lines, got)
		}
	}
	if off := a.offset(t, up.at); off != 0 {
		t.Errorf("junk moved the offset to %d", off)
	}
}
