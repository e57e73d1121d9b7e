package conformance_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"sluice/internal/livetest"
	"sluice/playback/playertest"
)

// noise is n bytes that repeat nowhere near each other.
func noise(n int) []byte {
	b := make([]byte, n)
	x := uint32(2463534242)
	for i := range b {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		b[i] = byte(x)
	}
	return b
}

// bearer adds a login to each request.
type bearer struct {
	next http.RoundTripper
	auth string
}

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", b.auth)
	return b.next.RoundTrip(r)
}

// keeping is one way to keep media and to give them back.
type keeping struct {
	name      string
	options   livetest.Options
	redirects string // scheme and host that large videos are redirected to; "": they are streamed
}

// keepings all pass the same cases; a backend more is an entry more.
func keepings(t testing.TB) []keeping {
	server := livetest.S3(t)
	inBucket := func(name, delivery string) livetest.Options {
		return livetest.Options{Env: append(server.Env(server.URL(), server.NewBucket(t, name)), "SLUICE_S3_DELIVERY="+delivery)}
	}
	return []keeping{
		{name: "local files"},
		{name: "S3, streamed", options: inBucket("streamed", "proxy")},
		{name: "S3, redirected to", options: inBucket("redirected", "redirect"), redirects: server.URL()},
	}
}

func TestTheBinaryPassesThePlayersSuite(t *testing.T) {
	t.Parallel()
	for _, k := range keepings(t) {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			playersSuite(t, open(t, k.options))
		})
	}
}

// playersSuite puts the cases to small and large media by a ticket, in public and by a login. They are of a type that is never redirected.
func playersSuite(t *testing.T, c *site) {
	small, large := noise(5000), noise(700_000)
	put := func(b []byte, public string) string {
		id, _ := c.put(string(b), "filename", "x.bin", "isPublic", public)
		return id
	}
	none, nonePublic := put(nil, "false"), put(nil, "true")
	tr := &http.Transport{DisableCompression: true}
	t.Cleanup(tr.CloseIdleConnections)
	for name, body := range map[string][]byte{"small": small, "large": large} {
		for how, target := range map[string]playertest.Target{
			"by a ticket": {URL: c.s.URL + c.link(put(body, "false"), "v"), Empty: c.s.URL + c.link(none, "v")},
			"in public":   {URL: c.s.URL + "/m/" + put(body, "true") + "/", Empty: c.s.URL + "/m/" + nonePublic + "/"},
			"by a login": {
				URL: c.s.URL + "/api/media/" + put(body, "false") + "/content", Empty: c.s.URL + "/api/media/" + none + "/content",
				Client: &http.Client{Transport: bearer{tr, c.ann}},
			},
		} {
			target.Body = body
			t.Run(name+" "+how, func(t *testing.T) {
				t.Parallel()
				playertest.Run(t, target)
			})
		}
	}
}

// A large video is streamed or redirected as its backend says; whoever follows gets the same bytes either way, from one URL a window.
func TestAVideoIsDeliveredAsItsBackendSays(t *testing.T) {
	t.Parallel()
	for _, k := range keepings(t) {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			delivers(t, open(t, k.options), k.redirects)
		})
	}
}

func delivers(t *testing.T, c *site, redirects string) {
	body := noise(700_000)
	id, at := c.put(string(body), "filename", "x&y=z.mp4", "filetype", "video/mp4", "isPublic", "true")
	follow := http.Client{Transport: c.http.Transport, Timeout: time.Minute}
	for _, path := range []string{c.link(id, "v"), "/m/" + id + "/", at} {
		if redirects != "" && path != at {
			first, again := c.want(307, http.MethodGet, path, ""), c.want(307, http.MethodGet, path, "", "Range", "bytes=5-9")
			to := first.get("Location")
			if !strings.HasPrefix(to, redirects+"/") || again.get("Location") != to || first.get("Referrer-Policy") != "no-referrer" || first.body != "" {
				t.Errorf("%.4s: redirected to %q, then to %q: %v", path, to, again.get("Location"), first.header)
			}
		}
		if h := c.send(http.MethodHead, path, ""); path != at && (h.status != 200 || h.get("Content-Length") != fmt.Sprint(len(body))) {
			t.Errorf("%.4s: HEAD is %d %v", path, h.status, h.header)
		}
		for _, r := range []struct {
			field    string
			from, to int
		}{{"", 0, len(body)}, {"bytes=0-0", 0, 1}, {"bytes=100-199999", 100, 200_000}, {"bytes=-10", len(body) - 10, len(body)}, {"bytes=699990-", 699_990, len(body)}} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.s.URL+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			want := http.StatusOK
			if r.field != "" {
				req.Header.Set("Range", r.field)
				want = http.StatusPartialContent
			}
			resp, err := follow.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			_, params, _ := mime.ParseMediaType(resp.Header.Get("Content-Disposition"))
			if resp.StatusCode != want || err != nil || !bytes.Equal(got, body[r.from:r.to]) || resp.Header.Get("Content-Type") != "video/mp4" || params["filename"] != "x&y=z.mp4" {
				t.Errorf("%.4s %s: %d and %d bytes, %v %v", path, r.field, resp.StatusCode, len(got), err, resp.Header)
			}
		}
	}
}

// HEAD says what GET says, and 304 what 200 says (RFC 9110, sections 9.3.2 and 15.4.5).
func TestHeadAndNotModifiedAgreeWithGet(t *testing.T) {
	t.Parallel()
	c := open(t, livetest.Options{})
	body := noise(5000)
	id, _ := c.put(string(body), "filename", "x.mp4")
	u := c.link(id, "v")
	whole := c.want(200, http.MethodGet, u, "")
	for _, name := range []string{"Etag", "Last-Modified", "Accept-Ranges", "Content-Disposition", "X-Content-Type-Options", "Cache-Control", "Referrer-Policy", "Date", "Content-Type"} {
		if whole.get(name) == "" {
			t.Errorf("200 has no %s: %v", name, whole.header)
		}
	}
	tag, modified := whole.get("Etag"), whole.get("Last-Modified")
	for _, headers := range [][]string{
		{},
		{"If-None-Match", tag},
		{"If-None-Match", `"other"`},
		{"If-Match", tag},
		{"If-Match", `"other"`},
		{"If-Modified-Since", modified},
		{"If-Unmodified-Since", modified},
		{"If-Unmodified-Since", "Mon, 01 Jan 1990 00:00:00 GMT"},
		{"If-None-Match", `"other"`, "If-Modified-Since", modified},
		{"If-Match", `"other"`, "If-None-Match", tag},
	} {
		g, h := c.send(http.MethodGet, u, "", headers...), c.send(http.MethodHead, u, "", headers...)
		for _, volatile := range []string{"Date", "X-Request-Id"} {
			g.header.Del(volatile)
			h.header.Del(volatile)
		}
		// A refusal's length holds its request id, which is as long each time.
		if g.status != h.status || h.body != "" || fmt.Sprint(g.header) != fmt.Sprint(h.header) {
			t.Errorf("%v: GET %d %v\nHEAD %d %v", headers, g.status, g.header, h.status, h.header)
		}
		if g.status == http.StatusNotModified {
			for _, name := range []string{"Etag", "Cache-Control", "Vary", "Content-Location", "Expires"} {
				if g.get(name) != whole.get(name) {
					t.Errorf("304 says %s %q, 200 %q", name, g.get(name), whole.get(name))
				}
			}
			if g.body != "" || g.get("Content-Type") != "" {
				t.Errorf("304 with %v and %d bytes", g.header, len(g.body))
			}
		}
	}
	// Range means nothing to HEAD (RFC 9110, section 14.2).
	if h := c.send(http.MethodHead, u, "", "Range", "bytes=0-9"); h.status != 200 || h.get("Content-Length") != "5000" || h.get("Content-Range") != "" {
		t.Errorf("HEAD with Range: %d %v", h.status, h.header)
	}
}

// RFC 6266 and 8187: the name that comes out is the one that went in, and no name makes a header of its own.
func TestNamesInContentDisposition(t *testing.T) {
	t.Parallel()
	c := open(t, livetest.Options{})
	for _, n := range []struct{ sent, want string }{
		{"plain.mp4", "plain.mp4"},
		{`quo"te\back.mp4`, ""},
		{"semi;colon=equals.mp4", "semi;colon=equals.mp4"},
		{"spaces and 'quotes'.mp4", "spaces and 'quotes'.mp4"},
		{"über straße 日本語 🎬.mp4", "über straße 日本語 🎬.mp4"},
		{"100%41.mp4", "100%41.mp4"},
		{"a\r\nSet-Cookie: x=1\r\n.mp4", ""},
		{"nul\x00byte.mp4", "nulbyte.mp4"},
		{"bad\xff\xfeutf8.mp4", ""},
		{"../../etc/passwd", "passwd"},
		{`C:\Users\ann\film.mp4`, "film.mp4"},
		{strings.Repeat("ü", 400) + ".mp4", ""},
		{"\u202egpj.exe", ""},
		{"", ""},
	} {
		id, _ := c.put("x", "filename", n.sent)
		a := c.want(200, http.MethodGet, c.link(id, "v"), "")
		v := a.get("Content-Disposition")
		kind, params, err := mime.ParseMediaType(v)
		if err != nil || kind != "inline" && kind != "attachment" {
			t.Errorf("%q: Content-Disposition %q: %v", n.sent, v, err)
			continue
		}
		for _, r := range v {
			if r < ' ' || r > '~' {
				t.Errorf("%q: Content-Disposition holds %q", n.sent, r)
				break
			}
		}
		if n.want != "" && params["filename"] != n.want {
			t.Errorf("%q comes out as %q in %s", n.sent, params["filename"], v)
		}
		if !utf8.ValidString(params["filename"]) || strings.ContainsAny(params["filename"], "\r\n\x00/") || len(v) > 4000 || a.get("Set-Cookie") != "" {
			t.Errorf("%q comes out as %q, %d bytes", n.sent, params["filename"], len(v))
		}
	}
}

// What a browser could run is never shown in this origin's name.
func TestActiveContentIsHarmless(t *testing.T) {
	t.Parallel()
	c := open(t, livetest.Options{})
	for name, f := range map[string]struct{ kind, body string }{
		"x.svg":  {"image/svg+xml", `<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>`},
		"x.html": {"text/html", "<html><script>alert(1)</script></html>"},
		"x.xml":  {"text/xml", `<?xml version="1.0"?><x/>`},
		"x.js":   {"text/javascript", "alert(1)"},
		"x":      {"application/octet-stream", "<html><script>alert(1)</script></html>"},
	} {
		id, _ := c.put(f.body, "filename", name, "filetype", f.kind, "isPublic", "true")
		for _, u := range []string{c.link(id, "v"), "/m/" + id + "/"} {
			for _, headers := range [][]string{{}, {"Range", "bytes=0-3"}} {
				a := c.send(http.MethodGet, u, "", headers...)
				sandboxed := strings.Contains(a.get("Content-Security-Policy"), "sandbox") && !strings.Contains(a.get("Content-Security-Policy"), "allow-scripts")
				if a.status/100 != 2 || a.get("X-Content-Type-Options") != "nosniff" || !strings.HasPrefix(a.get("Content-Disposition"), "attachment") && !sandboxed {
					t.Errorf("%s by %s: %d %v", name, u[:3], a.status, a.header)
				}
			}
		}
	}
}

// Each way a link can be wrong has its answer, whatever else the request asks for.
func TestRefusalsOfLinks(t *testing.T) {
	t.Parallel()
	c := open(t, livetest.Options{})
	body := string(noise(1000))
	id, _ := c.put(body, "filename", "x.mp4")
	other, _ := c.put(body, "filename", "x.mp4")
	u := c.link(id, "v")
	tag := c.want(200, http.MethodGet, u, "").get("Etag")
	ticket := strings.Split(u, "/")[2]
	flip := func(i int) string {
		b := []byte(ticket)
		if b[i]++; b[i] == 'Z'+1 || b[i] == 'z'+1 || b[i] == '9'+1 {
			b[i] = 'A'
		}
		return string(b)
	}
	for _, r := range []struct {
		name, method, url string
		status            int
	}{
		{"another media", "GET", "/p/" + ticket + "/" + other + "/original.mp4", 403},
		{"a first byte changed", "GET", "/p/" + flip(0) + "/" + id + "/original.mp4", 403},
		{"a middle byte changed", "GET", "/p/" + flip(len(ticket)/2) + "/" + id + "/original.mp4", 403},
		{"a longer ticket", "GET", "/p/" + ticket + "A/" + id + "/original.mp4", 403},
		{"padding", "GET", "/p/" + ticket + "=/" + id + "/original.mp4", 403},
		{"no ticket", "GET", "/p/x/" + id + "/original.mp4", 403},
		{"private in public", "GET", "/m/" + id + "/original.mp4", 404},
		{"a POST", "POST", u, 405},
		{"a DELETE", "DELETE", u, 405},
	} {
		for _, headers := range [][]string{{}, {"If-None-Match", tag}, {"Range", "bytes=0-0"}, {"If-None-Match", "*"}, {"X-HTTP-Method-Override", "GET"}} {
			a := c.send(r.method, r.url, "", headers...)
			checkProblem(t, a, r.status, "")
			if r.status == 405 && (!strings.Contains(a.get("Allow"), "GET") || !strings.Contains(a.get("Allow"), "HEAD")) {
				t.Errorf("%s: Allow %q", r.name, a.get("Allow"))
			}
			if h := c.send(http.MethodHead, r.url, "", headers...); r.method == "GET" && (h.status != r.status || h.body != "") {
				t.Errorf("HEAD of %s: %d", r.name, h.status)
			}
		}
	}
	// Revoked at once, then gone at once.
	c.call(204, http.MethodDelete, "/api/media/"+id+"/links", "", nil)
	checkProblem(t, c.send(http.MethodGet, u, "", "If-None-Match", tag), 403, "")
	u = c.link(id, "v")
	c.call(204, http.MethodDelete, "/api/media/"+id, "", nil, "If-Match", "*")
	checkProblem(t, c.send(http.MethodGet, u, "", "If-None-Match", tag), 404, "")
	// A link for a second is over after it.
	var l struct {
		URL       string
		ExpiresAt time.Time
	}
	c.call(201, http.MethodPost, "/api/media/"+other+"/links", `{"expiresIn":1}`, &l)
	if until := time.Until(l.ExpiresAt); until > 2*time.Second {
		t.Errorf("a link for one second holds for %v", until)
	}
	livetest.Until(t, 10*time.Second, "the link is over", func() bool { return c.send(http.MethodGet, l.URL, "").status != 200 })
	checkProblem(t, c.send(http.MethodGet, l.URL, "", "Range", "bytes=0-0"), 410, "")
	checkProblem(t, c.send(http.MethodGet, l.URL, "", "If-None-Match", "*"), 410, "")
}

// A flip of isPublic holds for the next request.
func TestPublicEndsAtOnce(t *testing.T) {
	t.Parallel()
	c := open(t, livetest.Options{})
	id, _ := c.put("hello", "filename", "x.mp4", "isPublic", "true")
	for range 3 {
		c.want(200, http.MethodGet, "/m/"+id+"/", "")
		c.call(200, http.MethodPatch, "/api/media/"+id, `{"isPublic":false}`, nil, "If-Match", "*")
		c.want(404, http.MethodGet, "/m/"+id+"/", "")
		c.call(200, http.MethodPatch, "/api/media/"+id, `{"isPublic":true}`, nil, "If-Match", "*")
	}
}

// A file of more than 4 GiB, joined of parts without a copy, has its right bytes at every end.
func TestPositionsBeyond32Bits(t *testing.T) {
	t.Parallel()
	c := open(t, livetest.Options{})
	const size, times = 64 << 20, 65
	piece := noise(size)
	a := c.want(201, http.MethodPost, "/files/", string(piece), "Authorization", c.ann, "Tus-Resumable", "1.0.0", "Upload-Concat", "partial",
		"Upload-Length", fmt.Sprint(size), "Content-Type", chunkType)
	list := strings.TrimSpace(strings.Repeat(a.get("Location")+" ", times))
	a = c.want(201, http.MethodPost, "/files/", "", "Authorization", c.ann, "Tus-Resumable", "1.0.0", "Upload-Concat", "final;"+list)
	const total = int64(size) * times
	if h := c.want(200, http.MethodHead, a.get("Location"), "", "Tus-Resumable", "1.0.0"); h.get("Upload-Length") != fmt.Sprint(total) || h.get("Upload-Offset") != fmt.Sprint(total) {
		t.Errorf("the joined upload: %v", h.header)
	}
	var m struct{ FileSize int64 }
	c.call(200, http.MethodGet, "/api/media/"+a.get("Sluice-Media-Id"), "", &m)
	u := c.link(a.get("Sluice-Media-Id"), "v")
	if h := c.want(200, http.MethodHead, u, ""); m.FileSize != total || h.get("Content-Length") != fmt.Sprint(total) {
		t.Errorf("fileSize %d, Content-Length %s, want %d", m.FileSize, h.get("Content-Length"), total)
	}
	at := func(from, to int64) []byte {
		b := make([]byte, 0, to-from)
		for i := from; i < to; i++ {
			b = append(b, piece[i%size])
		}
		return b
	}
	for _, r := range []struct {
		field    string
		from, to int64
	}{
		{"bytes=-10", total - 10, total},
		{fmt.Sprintf("bytes=%d-", total-1), total - 1, total},
		{fmt.Sprintf("bytes=%d-%d", int64(1)<<32-5, int64(1)<<32+4), 1<<32 - 5, 1<<32 + 5},
		{fmt.Sprintf("bytes=%d-%d", int64(1)<<31-5, int64(1)<<31+4), 1<<31 - 5, 1<<31 + 5},
		{fmt.Sprintf("bytes=%d-%d", size-5, size+4), size - 5, size + 5},
		{fmt.Sprintf("bytes=%d-%d", total-10, total+1000), total - 10, total},
	} {
		p := c.want(206, http.MethodGet, u, "", "Range", r.field)
		if want := fmt.Sprintf("bytes %d-%d/%d", r.from, r.to-1, total); p.get("Content-Range") != want || !bytes.Equal([]byte(p.body), at(r.from, r.to)) {
			t.Errorf("%s: Content-Range %q, want %q; or the bytes differ", r.field, p.get("Content-Range"), want)
		}
	}
	if p := c.want(416, http.MethodGet, u, "", "Range", fmt.Sprintf("bytes=%d-", total)); p.get("Content-Range") != fmt.Sprintf("bytes */%d", total) {
		t.Errorf("416: %v", p.header)
	}
}

// Deleted while it is being read: the reader gets the right bytes or a short read, and everybody else a 404.
func TestDeletedInMidDownload(t *testing.T) {
	t.Parallel()
	c := open(t, livetest.Options{})
	body := noise(24 << 20)
	a := c.want(201, http.MethodPost, "/files/", string(body), "Authorization", c.ann, "Tus-Resumable", "1.0.0", "Upload-Length", fmt.Sprint(len(body)), "Content-Type", chunkType)
	id := a.get("Sluice-Media-Id")
	u := c.link(id, "v")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.s.URL+u, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	got := make([]byte, 1000, len(body)+1)
	if _, err := io.ReadFull(resp.Body, got); err != nil {
		t.Fatal(err)
	}
	c.call(204, http.MethodDelete, "/api/media/"+id, "", nil, "If-Match", "*")
	for _, path := range []string{u, a.get("Location")} {
		if g := c.send(http.MethodGet, path, ""); g.status != 404 && g.status != 410 {
			t.Errorf("GET %s after the deletion: %d", path, g.status)
		}
	}
	c.call(404, http.MethodGet, "/api/media/"+id, "", nil)
	if h := c.send(http.MethodHead, a.get("Location"), "", "Tus-Resumable", "1.0.0"); h.status != 404 && h.status != 410 {
		t.Errorf("HEAD of the upload after the deletion: %d", h.status)
	}
	rest, err := io.ReadAll(resp.Body)
	got = append(got, rest...)
	if !bytes.Equal(got, body[:min(len(got), len(body))]) || err == nil && len(got) != len(body) {
		t.Errorf("the reader got %d bytes, %v; not the file's", len(got), err)
	}
	var list struct{ Items []json.RawMessage }
	c.call(200, http.MethodGet, "/api/media", "", &list)
	if len(list.Items) != 0 {
		t.Errorf("a deleted media is listed: %s", list.Items)
	}
}
