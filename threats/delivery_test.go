package threats_test

import (
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"sluice/internal/livetest"
)

func storedXSS(t *testing.T, a *arena) {
	const script = `<script>alert(1)</script>`
	for _, v := range []struct{ name, filetype, filename, data string }{
		{"HTML", "text/html", "x.html", "<!doctype html>" + script},
		{"HTML in capitals with a charset", "TEXT/HTML; charset=utf-7", "x.HTML", "<html>" + script},
		{"SVG", "image/svg+xml", "x.svg", `<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>`},
		{"XHTML", "application/xhtml+xml", "x.xhtml", `<html xmlns="http://www.w3.org/1999/xhtml">` + script + `</html>`},
		{"XML", "text/xml", "x.xml", `<?xml version="1.0"?><?xml-stylesheet href="data:,x"?><a/>`},
		{"RSS as audio", "audio/rss+xml", "x.rss", `<?xml version="1.0"?><rss/>`},
		{"JavaScript", "text/javascript", "x.js", "alert(1)"},
		{"a type that splits in two", "video/mp4, text/html", "x.mp4", script},
		{"a type with a line break", "video/mp4\r\nX-Evil: 1", "x.mp4", "x" + script},
		{"no type", "", "", "  " + script},
		{"an unknown type", "*/*", "x.bin", script},
		{"HTML as an image", "image/png", "x.png", "<html>" + script},
		{"HTML behind a GIF's head", "image/gif", "x.gif", "GIF89a" + script},
		{"HTML as plain text", "text/plain", "x.txt", "<html>" + script},
		{"PDF with a script before it", "application/pdf", "x.pdf", "%PDF-1.4\n" + script},
		{"multipart", "multipart/x-mixed-replace; boundary=a", "x", "--a\r\nContent-Type: text/html\r\n\r\n" + script},
	} {
		v.data += strings.Repeat("\n", 1000) // so that two ranges weigh less than the file
		pairs := []string{"isPublic", "true"}
		if v.filetype != "" {
			pairs = append(pairs, "filetype", v.filetype)
		}
		if v.filename != "" {
			pairs = append(pairs, "filename", v.filename)
		}
		up := a.do(t, "POST", "/files/", a.ada, v.data, tus, octets, fmt.Sprintf("Upload-Length: %d", len(v.data)), meta(pairs...))
		if up.status >= 400 {
			continue // refused is safe
		}
		if up.status != 201 {
			t.Errorf("%s: %v", v.name, up)
			continue
		}
		id := up.header.Get("Sluice-Media-Id")
		for _, target := range []string{"/m/" + id, "/m/" + id + "/original.html", a.link(t, a.ada, id, `{}`), "/api/media/" + id + "/content"} {
			etag := a.do(t, "HEAD", target, "", "").header.Get("Etag")
			for _, try := range []struct {
				header string
				want   int
			}{
				{"Accept: text/html", 200},
				{"Range: bytes=0-5", 206},
				{"Range: bytes=0-1,4-5", 206},
				{"Range: bytes=9999-", 416},
				{"If-None-Match: " + etag, 304},
				{`If-Match: "no"`, 412},
			} {
				got := a.do(t, "GET", target, "", "", try.header)
				if got.status != try.want {
					t.Errorf("%s: GET %s with %s = %d, want %d", v.name, target, try.header, got.status, try.want)
				}
				if got.status < 300 {
					harmless(t, v.name+" with "+try.header, got)
				}
			}
		}
	}
}

// harmless holds that a browser would show this as what it says, or keep it as a file.
func harmless(t *testing.T, what string, got answer) {
	t.Helper()
	kind := got.header.Get("Content-Type")
	if strings.HasPrefix(kind, "multipart/byteranges") {
		return // browsers show none
	}
	base, _, err := mime.ParseMediaType(kind)
	if err != nil {
		t.Errorf("%s: Content-Type %q cannot be read: %v", what, kind, err)
	}
	disposition, _, err := mime.ParseMediaType(got.header.Get("Content-Disposition"))
	if got.status == 200 && err != nil {
		t.Errorf("%s: Content-Disposition %q: %v", what, got.header.Get("Content-Disposition"), err)
	}
	inert := slices.Contains([]string{"image/png", "image/gif", "image/jpeg", "text/plain", "application/pdf", "video/mp4"}, base)
	boxed := strings.Contains(got.header.Get("Content-Security-Policy"), "sandbox")
	if !inert && disposition != "attachment" && !boxed {
		t.Errorf("%s: %s goes out as %q without a sandbox", what, kind, disposition)
	}
	if strings.Contains(kind, "html") && (disposition != "attachment" || !boxed) {
		t.Errorf("%s: HTML goes out as %q, sandboxed %v", what, disposition, boxed)
	}
}

func fileNames(t *testing.T, a *arena) {
	for _, name := range []string{
		"a\r\nSet-Cookie: evil=1", "a\nX-Evil: 1", "a\rX-Evil: 1", `quo"te.mp4`, `back\slash.mp4`, `end\`, `"; filename="evil.exe`, "a;filename*=UTF-8''evil.exe",
		"nul\x00.mp4", strings.Repeat("ü", 400) + ".mp4", strings.Repeat("x", 5000), "\u202egpj.exe", "\u2066x\u2069.mp4", "bad\xff\xfe.mp4", "../../evil.mp4",
		"C:\\evil.mp4", ".", "..", "", " ", "%0d%0aX-Evil: 1", "%41.mp4", "a\u2028b", "\x7f\x1b[2J", "emoji 🎬.mp4", "\u0085next", "x\ty",
	} {
		up := a.do(t, "POST", "/files/", a.ada, "some bytes", tus, octets, "Upload-Length: 10", meta("filename", name, "isPublic", "true"))
		if up.status == 201 {
			named(t, a, up.header.Get("Sluice-Media-Id"), name)
		} else if up.status >= 500 || up.status < 400 {
			t.Errorf("filename %.50q: %v", name, up)
		}
		if strings.Contains(up.head, "evil=1") || up.header.Get("X-Evil") != "" {
			t.Errorf("filename %q stands in a head: %v", name, up)
		}
	}
	f := a.put(t, a.ada, "to be renamed", "isPublic", "true")
	for _, name := range []string{`a\r\nX-Evil: 1`, `nul\u0000.mp4`, `..\/..\/evil`, `q\"uote`, `\ud800`, `\u202egpj.exe`, strings.Repeat(`\u00fc`, 400)} {
		got := a.json(t, "PATCH", "/api/media/"+f.id, a.ada, `{"filename":"`+name+`"}`, "If-Match: *")
		if got.status == 200 {
			named(t, a, f.id, name)
		}
		if name == `\ud800` && got.status != 400 {
			t.Errorf("half a surrogate pair: %v, want 400", got)
		}
	}
}

// named looks at how media goes out whose file name is hostile.
func named(t *testing.T, a *arena, id, name string) {
	t.Helper()
	for _, target := range []string{"/m/" + id, a.link(t, a.ada, id, `{"use":"download"}`)} {
		got := a.do(t, "GET", target, "", "")
		if got.status != 200 || got.header.Get("X-Evil") != "" || got.header.Get("Set-Cookie") != "" {
			t.Errorf("%.50q: %v", name, got)
			continue
		}
		line := got.header.Get("Content-Disposition")
		_, params, err := mime.ParseMediaType(line)
		if err != nil {
			t.Errorf("%.50q: Content-Disposition %q: %v", name, line, err)
		}
		shown := params["filename"]
		if strings.ContainsFunc(shown, func(r rune) bool {
			return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '/' || r == unicode.ReplacementChar
		}) {
			t.Errorf("%.50q is shown as %q", name, shown)
		}
		if len(line) > 4<<10 {
			t.Errorf("%.50q: the header has %d bytes", name, len(line))
		}
		if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("%.50q: the header %q is not ASCII", name, line)
		}
	}
}

func openRedirect(t *testing.T, a *arena) {
	f := a.put(t, a.ada, "no way out", "isPublic", "true")
	for _, target := range []string{
		"//evil.example", "//evil.example/%2f..", `/\evil.example`, "/%5cevil.example", "/%2f%2fevil.example", "/files//evil.example", "/files/../..//evil.example",
		"/api//evil.example", "/api/docs/..//evil.example", "/m/" + f.id + "//evil.example", "/m/" + f.id + "?redirect=//evil.example", "/play/" + f.id + "?grant=x&url=//evil.example",
		"http://evil.example/api/me", "/api/media/" + f.id + "/", "/api/docs?next=//evil.example", f.at + "?url=http://evil.example", "/files?return=http://evil.example",
		"//evil.example/files/", "/.//evil.example", "/m//evil.example",
	} {
		got := a.do(t, "GET", target, "", "")
		to := got.header.Get("Location")
		u, err := url.Parse(to)
		if err != nil || u.Host != "" || strings.Contains(to, "evil") || strings.HasPrefix(to, `/\`) {
			t.Errorf("GET %s leads to %q", target, to)
		}
	}
	for _, u := range []string{
		"javascript:alert(1)", "data:text/html,x", "//evil.example/x", "/etc/passwd", "file:///etc/passwd", `http:\\evil.example`, "http://user:pw@example.com/x",
		"http:///x", "http://a b/", "http://a/\r\nX-Evil: 1", "ftp://example.com/x", "http://", "HTTP:evil", " http://example.com/", "http://example.com/\x00",
	} {
		body, _ := json.Marshal(map[string]string{"url": u})
		if got := a.json(t, "POST", "/api/media", a.ada, string(body)); got.status != 400 {
			t.Errorf("media kept at %q: %v", u, got)
		}
	}
}

func crossOrigin(t *testing.T, a *arena) {
	f := a.put(t, a.ada, "for one origin", "isPublic", "true")
	targets := []struct{ method, target string }{
		{"GET", "/m/" + f.id},
		{"GET", a.link(t, a.ada, f.id, `{}`)},
		{"GET", "/api/media"},
		{"GET", "/api/media/" + f.id + "/content"},
		{"HEAD", f.at},
		{"POST", "/files/"},
		{"OPTIONS", "/files/"},
		{"OPTIONS", f.at},
		{"OPTIONS", "/m/" + f.id},
		{"OPTIONS", "/api/media"},
		{"OPTIONS", "/api/media/" + f.id + "/content"},
		{"GET", "/api/me"},
		{"GET", "/nothing"},
	}
	for _, at := range targets {
		for _, origin := range []string{
			"null", "https://evil-example.com", "https://lms.example.com.evil.com", "https://evillms.example.com", "http://lms.example.com", "https://lms.example.com:8443",
			"https://LMS.example.com", "https://lms.example.com/", "https://lms.example.com@evil.com", "https://evil.com#https://lms.example.com",
			"https://lms.example.com https://evil.com", "https://lmsxexample.com", "file://", "*", "https://lms.example.com%00.evil.com",
		} {
			got := a.do(t, at.method, at.target, "", "", tus, "Origin: "+origin, "Access-Control-Request-Method: PATCH", "Access-Control-Request-Headers: authorization")
			if v := got.header.Values("Access-Control-Allow-Origin"); len(v) > 0 {
				t.Errorf("%s %s tells origin %q: allowed %q", at.method, at.target, origin, v)
			}
			if got.header.Get("Access-Control-Allow-Credentials") != "" {
				t.Errorf("%s %s allows credentials", at.method, at.target)
			}
		}
		got := a.do(t, at.method, at.target, "", "", tus, "Origin: https://lms.example.com", "Access-Control-Request-Method: GET")
		if v := got.header.Get("Access-Control-Allow-Origin"); v != "https://lms.example.com" || got.header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s %s tells the listed origin %q", at.method, at.target, v)
		}
		if !strings.Contains(strings.Join(got.header.Values("Vary"), ","), "Origin") {
			t.Errorf("%s %s: Vary %q lacks Origin", at.method, at.target, got.header.Values("Vary"))
		}
		twice := a.do(t, at.method, at.target, "", "", tus, "Origin: https://lms.example.com", "Origin: https://evil.com")
		if v := twice.header.Get("Access-Control-Allow-Origin"); v != "" {
			t.Errorf("%s %s with two origins allows %q", at.method, at.target, v)
		}
	}
}

func forgedHost(t *testing.T, a *arena) {
	f := a.put(t, a.ada, "whose host", "isPublic", "true")
	forged := []string{
		"Host: evil.example", "X-Forwarded-Host: evil.example", "X-Forwarded-Proto: gopher", "X-Forwarded-For: 6.6.6.6", "Forwarded: for=6.6.6.6;host=evil.example",
		"X-Real-Ip: 6.6.6.6", "X-Original-Url: /api/me", "X-Rewrite-Url: /metrics", "X-Forwarded-Prefix: //evil.example", "True-Client-Ip: 6.6.6.6", "X-Forwarded-Port: 1",
	}
	for _, v := range []struct{ method, target, token, body string }{
		{"POST", "/files/", a.ada, ""},
		{"GET", f.at, "", ""},
		{"POST", "/api/media/" + f.id + "/links", a.ada, `{}`},
		{"GET", "/api/media/" + f.id, a.ada, ""},
		{"GET", "/api/uploads", a.ada, ""},
		{"POST", "/api/uploads", a.ada, `{}`},
		{"GET", "/api/openapi.json", "", ""},
		{"GET", "/api/docs", "", ""},
		{"GET", "/m/" + f.id, "", ""},
		{"GET", "/nothing", "", ""},
	} {
		headers := append([]string{tus, "Upload-Length: 3", "Content-Type: application/json"}, forged...)
		got := a.do(t, v.method, v.target, v.token, v.body, headers...)
		if strings.Contains(got.head+got.body, "evil.example") || strings.Contains(got.head+got.body, "gopher") || got.status >= 400 && v.target != "/nothing" {
			t.Errorf("%s %s with a forged host: %v", v.method, v.target, got)
		}
	}
	if strings.Contains(a.s.Output(), "6.6.6.6") {
		t.Error("a forged address stands in the log")
	}
	for _, host := range []string{"", "a b", "evil.example\r\nHost: b", "a/b", "[::1", strings.Repeat("h", 9000)} {
		a.do(t, "GET", "/livez", "", "", "Host: "+host)
	}
}

func rangeAmplification(t *testing.T, a *arena) {
	data := strings.Repeat("0123456789abcdef", 64<<10/16)
	f := a.put(t, a.ada, data, "isPublic", "true")
	many := func(spec string, n int) string { return "Range: bytes=" + strings.Repeat(spec+",", n-1) + spec }
	var every []string
	for i := range 2000 {
		every = append(every, fmt.Sprintf("%d-%d", i*20, i*20+1))
	}
	for _, header := range []string{
		many("0-", 1000), many("0-", 2), many("-65536", 16), many("0-65535", 100), many("1-", 16), many("0-0", 4000), many("5-60000,0-1", 8),
		"Range: bytes=" + strings.Join(every, ","), "Range: bytes=0-32768,1-32769", "Range: bytes=0-" + strings.Repeat("9", 400),
		"Range: bytes=" + strings.Repeat("9", 3000) + "-", many("0-40000", 2), "Range: bytes=0-1,0-1,0-1,0-1,0-1,0-1,0-1,0-1,0-1,0-1,0-1,0-1,0-1,0-1,0-1,0-1",
		"Range: bytes=0-9\r\nRange: bytes=10-19", "Range: lines=0-5", "Range: bytes=-0", "Range: bytes=a-b", "Range: bytes=5-1", "Range: bytes==0-", "Range: bytes=" + strings.Repeat(",", 5000),
	} {
		got := a.do(t, "GET", "/m/"+f.id, "", "", header)
		if len(got.body) > 2*len(data) {
			t.Errorf("%.60s brings %d bytes of %d", header, len(got.body), len(data))
		}
		if got.status == 200 && got.body != data {
			t.Errorf("%.60s: a wrong body", header)
		}
	}
	for _, tiny := range []string{"x", "0123456789", strings.Repeat("tiny", 50)} {
		f := a.put(t, a.ada, tiny, "isPublic", "true")
		for _, header := range []string{many("0-0", 16), many("-1", 2), "Range: bytes=0-0,2-2,4-4,6-6,8-8", "Range: bytes=0-0,9-9"} {
			if got := a.do(t, "GET", "/m/"+f.id, "", "", header); len(got.body) > 2*len(tiny) || got.status == 200 && got.body != tiny {
				t.Errorf("%.60s brings %d bytes of a file of %d", header, len(got.body), len(tiny))
			}
		}
	}
}

func operatorsOnly(t *testing.T, a *arena) {
	for _, target := range []string{
		"/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/profile?seconds=1", "/debug/vars", "/debug", "/debug/pprof/goroutine?debug=2", "/.env", "/sluice.yaml",
		"/data/keys/jwt-secret", "/admin", "/api/admin", "/api/config", "/server-status", "/.git/config", "/Metrics", "/metrics/", "//metrics", "/api/../metrics", "/%6detrics",
	} {
		for _, token := range []string{"", a.admin} {
			got := a.do(t, "GET", target, token, "")
			if target == "/%6detrics" && token != "" && got.status == 200 {
				continue // the same resource, escaped, for an admin
			}
			if got.status != 404 && got.status != 401 {
				t.Errorf("GET %s = %d, want 404", target, got.status)
			}
		}
	}
	for token, want := range map[string]int{"": 401, a.sam: 403, a.ada: 403, a.admin: 200, "nonsense": 401} {
		if got := a.do(t, "GET", "/metrics", token, ""); got.status != want {
			t.Errorf("GET /metrics = %d, want %d", got.status, want)
		}
	}
	for _, method := range []string{"TRACE", "CONNECT", "PROPFIND", "DEBUG"} {
		if got := a.do(t, method, "/api/me", a.ada, "", "X-Secret-Header: echoed?"); got.status < 400 || strings.Contains(got.body, "echoed?") {
			t.Errorf("%s = %v", method, got)
		}
	}
}

func idGuessing(t *testing.T, a *arena) {
	seen := map[string]bool{}
	var first file
	for i := range 20 {
		f := a.put(t, a.ada, "guess me")
		if i == 0 {
			first = f
		}
		tail := strings.ReplaceAll(f.id[15:], "-", "") // beyond the time: 12 + 62 random bits
		if seen[tail] || seen[f.at] {
			t.Errorf("an id comes twice: %v", f)
		}
		seen[tail], seen[f.at] = true, true
		if n := len(strings.TrimPrefix(f.at, "/files/")); n < 22 {
			t.Errorf("a capability has %d characters", n)
		}
	}
	// With a ticket that does not fit, media that is there and media that is not look alike.
	ticket := strings.Split(a.link(t, a.ada, first.id, `{}`), "/")[2]
	other := a.put(t, a.bob, "another's")
	for _, tail := range []string{"", "/content"} {
		there, gone := a.do(t, "GET", "/api/media/"+other.id+tail, "", ""), a.do(t, "GET", "/api/media/"+missing+tail, "", "")
		if there.same() != gone.same() || there.status != 404 || there.header.Get("WWW-Authenticate") != gone.header.Get("WWW-Authenticate") {
			t.Errorf("nobody is told living media from none: %v, %v", there, gone)
		}
	}
	for _, bad := range []string{ticket, strings.Repeat("A", 44), "x", "%41"} {
		there, gone := a.do(t, "GET", "/p/"+bad+"/"+other.id, "", ""), a.do(t, "GET", "/p/"+bad+"/"+missing, "", "")
		if there.same() != gone.same() || there.status < 400 {
			t.Errorf("ticket %q tells living media from none: %v, %v", bad, there, gone)
		}
	}
	// The id of the media is not its upload's capability.
	for _, target := range []string{"/files/" + first.id, "/files/" + strings.ReplaceAll(first.id, "-", "")} {
		if got := a.do(t, "HEAD", target, "", "", tus); got.status != 404 {
			t.Errorf("%s = %d", target, got.status)
		}
	}
}

func flips(t *testing.T, a *arena) {
	f := a.put(t, a.ada, "public for a while", "isPublic", "true")
	public := "/m/" + f.id
	strangers := map[string]string{"another instructor": a.link(t, a.bob, f.id, `{"expiresIn":600}`), "a student": a.link(t, a.sam, f.id, `{"expiresIn":600,"use":"download"}`)}
	own := a.link(t, a.ada, f.id, `{"expiresIn":600,"viewer":"a pupil"}`)
	got := a.do(t, "GET", public, "", "")
	etag := got.header.Get("Etag")
	if got.status != 200 || !strings.Contains(got.header.Get("Cache-Control"), "max-age=1,") {
		t.Errorf("public media: %v", got)
	}
	for range 3 {
		a.change(t, a.ada, f.id, `{"isPublic":false}`)
		start := time.Now()
		livetest.Until(t, 2*time.Second, "private is 404", func() bool { return a.do(t, "GET", public, "", "").status == 404 })
		if took := time.Since(start); took > time.Second {
			t.Errorf("a flip held after %v", took)
		}
		for _, header := range []string{"If-None-Match: " + etag, "Range: bytes=0-1", "If-Range: " + etag, "Cache-Control: only-if-cached"} {
			if got := a.do(t, "GET", public, "", "", header); got.status != 404 {
				t.Errorf("private media with %s: %v", header, got)
			}
		}
		for who, link := range strangers {
			if got := a.do(t, "GET", link, "", ""); got.status != 403 {
				t.Errorf("a link that %s took while the media was public opens it still: %v", who, got)
			}
		}
		if got := a.do(t, "GET", own, "", ""); got.status != 200 {
			t.Errorf("the owner's own link ended with the flip: %v", got)
		}
		if got := a.do(t, "GET", "/api/media/"+f.id+"/content", a.sam, ""); got.status != 404 {
			t.Errorf("content of private media: %v", got)
		}
		a.change(t, a.ada, f.id, `{"isPublic":true}`)
		if got := a.do(t, "GET", public, "", ""); got.status != 200 {
			t.Errorf("public again: %v", got)
		}
	}
	// What differs by the asker must not be kept for others.
	a.change(t, a.ada, f.id, `{"isPublic":false}`)
	got = a.do(t, "GET", "/api/media/"+f.id+"/content", a.ada, "")
	if cc := got.header.Get("Cache-Control"); got.status != 200 || !strings.Contains(cc, "private") && !strings.Contains(cc, "no-store") {
		t.Errorf("content by a login: %v", got)
	}
	for _, target := range []string{"/api/media/" + f.id, "/api/media", "/api/me", "/api/uploads"} {
		if cc := a.do(t, "GET", target, a.ada, "").header.Get("Cache-Control"); !strings.Contains(cc, "no-store") {
			t.Errorf("%s: Cache-Control %q", target, cc)
		}
	}
}

func deletions(t *testing.T, a *arena) {
	f := a.put(t, a.ada, "soon gone", "isPublic", "true")
	links := []string{
		"/m/" + f.id, a.link(t, a.ada, f.id, `{}`), a.link(t, a.sam, f.id, `{}`),
		a.do(t, "GET", f.at, "", "").header.Get("Location"), "/api/media/" + f.id, "/api/media/" + f.id + "/content",
	}
	etag := a.do(t, "HEAD", links[0], "", "").header.Get("Etag")
	revoked := a.put(t, a.ada, "revoked")
	old := a.link(t, a.ada, revoked.id, `{}`)
	if got := a.do(t, "DELETE", "/api/media/"+revoked.id+"/links", a.ada, ""); got.status != 204 {
		t.Fatal(got)
	}
	for _, header := range []string{"X: y", "Range: bytes=0-1", `If-None-Match: *`} {
		if got := a.do(t, "GET", old, "", "", header); got.status != 403 {
			t.Errorf("a revoked link with %s: %v", header, got)
		}
	}
	// A reader that began before the delete must not be able to go on with ranges after it.
	c := a.dial(t)
	defer c.Close()
	if _, err := io.WriteString(c, "GET "+links[1]+" HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if got := a.do(t, "DELETE", "/api/media/"+f.id, a.ada, "", "If-Match: *"); got.status != 204 {
		t.Fatal(got)
	}
	for _, target := range append(links, f.at) {
		for _, header := range []string{"X: y", "Range: bytes=0-1", "If-None-Match: " + etag, "If-Match: " + etag} {
			if got := a.do(t, "GET", target, "", "", header); got.status != 404 && got.status != 410 {
				t.Errorf("GET %s with %s after the delete: %v", target, header, got)
			}
		}
	}
	if got := a.do(t, "HEAD", f.at, "", "", tus); got.status != 404 && got.status != 410 {
		t.Errorf("HEAD on the upload after the delete: %v", got)
	}
	if got := a.do(t, "DELETE", "/api/media/"+f.id, a.ada, "", "If-Match: *"); got.status != 404 {
		t.Errorf("deleted twice: %v", got)
	}
}
