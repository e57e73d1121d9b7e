package playback_test

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/media"
	"sluice/playback"
	"sluice/playback/playertest"
	"sluice/storage"
)

const large = 70_000 // more than is streamed for being small

// location asks for an asset and gives where it is redirected to.
func (h *house) location(url string, header ...string) string {
	h.tb.Helper()
	got := h.do(http.MethodGet, url, header...)
	if got.status != http.StatusTemporaryRedirect {
		h.tb.Fatalf("got %d, want a redirect", got.status)
	}
	return got.header.Get("Location")
}

// follow is a client that follows redirects as net/http does.
func (h *house) follow(url string, header ...string) answer {
	h.tb.Helper()
	req, err := http.NewRequestWithContext(h.tb.Context(), http.MethodGet, url, nil)
	must(h.tb, err)
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	resp, err := h.server.Client().Do(req)
	must(h.tb, err)
	defer resp.Body.Close()
	var body bytes.Buffer
	_, err = body.ReadFrom(resp.Body)
	return answer{resp.StatusCode, resp.Header, body.Bytes(), err}
}

func TestWhatIsRedirected(t *testing.T) {
	t.Parallel()
	h := open(t, choices{delivery: storage.Redirect})
	kind := func(mime, name string) func(*media.Asset) {
		return func(a *media.Asset) { a.MIMEType, a.Filename, a.Type = mime, name, media.TypeOf(mime) }
	}
	thumb := func(t *media.Ticket) { t.Use = media.Thumb }
	download := func(t *media.Ticket) { t.Use = media.Download }
	tests := []struct {
		name   string
		method string
		size   int
		change func(*media.Asset)
		ticket func(*media.Ticket)
		header []string
		want   int // 307, or what a streamed answer is
	}{
		{"a video", "GET", large, nil, nil, nil, 307},
		{"a video to be kept", "GET", large, nil, download, nil, 307},
		{"a video of one's own", "GET", large, nil, func(t *media.Ticket) { t.Own = true }, nil, 307},
		{"a range of a video", "GET", large, nil, nil, []string{"Range", "bytes=10-19"}, 307},
		{"a range that cannot be", "GET", large, nil, nil, []string{"Range", "bytes=70000-"}, 307},
		{"several ranges", "GET", large, nil, nil, []string{"Range", "bytes=0-9,20-29"}, 206},
		{"several ranges in two lines", "GET", large, nil, nil, []string{"Range", "bytes=0-9", "Range", "bytes=0-1,2-3"}, 200},
		{"a request with a login", "GET", large, nil, nil, []string{"Authorization", "Bearer x"}, 200},
		{"a ticket about to end", "GET", large, nil, func(t *media.Ticket) { t.Expires = time.Now().Add(4 * time.Second) }, nil, 200},
		{"an audio", "GET", large, kind("audio/mpeg", "a.mp3"), nil, nil, 307},
		{"an image", "GET", large, kind("image/png", "a.png"), nil, nil, 307},
		{"a large thumbnail", "GET", large, kind("image/png", "a.png"), thumb, nil, 307},
		{"a PDF", "GET", large, kind("application/pdf", "a.pdf"), nil, nil, 307},
		{"a file of 64 KiB", "GET", 64 << 10, nil, nil, nil, 200},
		{"a file of a byte more", "GET", 64<<10 + 1, nil, nil, nil, 307},
		{"an empty file", "GET", 0, nil, nil, nil, 200},
		{"HTML", "GET", large, kind("text/html", "a.html"), nil, nil, 200},
		{"HTML to be kept", "GET", large, kind("text/html", "a.html"), download, nil, 200},
		{"SVG", "GET", large, kind("image/svg+xml", "a.svg"), nil, nil, 200},
		{"XML", "GET", large, kind("application/xml", "a.xml"), nil, nil, 200},
		{"a script", "GET", large, kind("text/javascript", "a.js"), nil, nil, 200},
		{"plain text, which could be taken for a script", "GET", large, kind("text/plain; charset=utf-8", "a.txt"), nil, nil, 200},
		{"subtitles", "GET", large, kind("text/vtt", "a.vtt"), nil, nil, 200},
		{"an archive", "GET", large, kind("application/zip", "a.zip"), nil, nil, 200},
		{"a playlist, whose names are relative", "GET", large, kind("application/vnd.apple.mpegurl", "a.m3u8"), nil, nil, 200},
		{"a type that is none", "GET", large, kind("video/mp4\r\nX: y", "a.mp4"), nil, nil, 200},
		{"HEAD", "HEAD", large, nil, nil, nil, 200},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			content := noise(tt.size)
			a := h.add(content, tt.change)
			for _, link := range []string{h.ticket(a, tt.ticket), ""} {
				if link == "" {
					if tt.ticket != nil {
						continue
					}
					a.Public = true
					h.shelf.put(a)
					link = h.public(a)
				}
				got := h.do(tt.method, link, tt.header...)
				location := got.header.Get("Location")
				if got.status != tt.want || strings.HasPrefix(location, h.far.URL+"/") != (tt.want == 307) {
					t.Errorf("%s: got %d to %q, want %d", link[len(h.server.URL):][:3], got.status, location, tt.want)
				}
				if tt.want == 307 && len(got.body) > 0 {
					t.Errorf("the redirect has a body: %q", got.body)
				}
				if whole := h.follow(link); whole.status != 200 || !bytes.Equal(whole.body, content) {
					t.Errorf("followed: got %d and %d bytes, or others", whole.status, len(whole.body))
				}
			}
		})
	}
}

func TestARedirectSaysWhatTheBackendIsToSay(t *testing.T) {
	t.Parallel()
	h := open(t, choices{delivery: storage.Redirect, ttl: 10 * time.Minute})
	a := h.add(noise(large), func(a *media.Asset) { a.Filename = "Übung 1.mp4" })
	for use, want := range map[media.Use]string{media.Play: "inline", media.Download: "attachment"} {
		got := h.follow(h.ticket(a, func(t *media.Ticket) { t.Use = use }))
		for name, want := range map[string]string{
			"Content-Type": "video/mp4", "Content-Disposition": want + `; filename="_bung 1.mp4"; filename*=UTF-8''%C3%9Cbung%201.mp4`,
			"Cache-Control": "max-age=300, s-maxage=0",
		} {
			if have := got.header.Get(name); have != want {
				t.Errorf("%s: got %q, want %q", name, have, want)
			}
		}
	}
}

// The answers that a client gets by following redirects are the backend's, ranges and conditions and all: what fails of the suite, the
// backend fails by itself. Several ranges at once and HEAD are answered here, under a tag of ours; they are in the suite below.
func TestRedirectedAnswersAreTheBackends(t *testing.T) {
	t.Parallel()
	h := open(t, choices{delivery: storage.Redirect})
	content := noise(large)
	target := playertest.Target{URL: h.ticket(h.add(content, nil), nil), Body: content, Type: "video/mp4"}
	through, err := playertest.Check(t.Context(), target)
	must(t, err)
	target.URL = h.location(target.URL)
	alone, err := playertest.Check(t.Context(), target)
	must(t, err)
	played := 0
	for _, c := range playertest.Cases() {
		if c.Empty || c.Method != "" || slices.ContainsFunc(c.Header, func(line string) bool {
			return strings.HasPrefix(line, "Range:") && strings.Contains(line, ",")
		}) {
			continue
		}
		played++
		if through[c.Name] != nil && alone[c.Name] == nil {
			t.Errorf("%s: %v", c.Name, through[c.Name])
		}
	}
	if played < 80 || len(alone) > played/2 {
		t.Errorf("%d cases were played, the backend fails %d", played, len(alone))
	}
}

func TestRFC9110OnWhatIsStreamedOfARedirectingBackend(t *testing.T) {
	t.Parallel()
	h := open(t, choices{delivery: storage.Redirect})
	transport := withLogin{h.server.Client().Transport}
	for _, size := range []int{5000, 300_000} {
		content := noise(size)
		playertest.Run(t, playertest.Target{
			URL: h.ticket(h.add(content, nil), nil), Body: content, Type: "video/mp4", Empty: h.ticket(h.add(nil, nil), nil), Client: &http.Client{Transport: transport},
		})
	}
}

// withLogin makes every request one that is streamed.
type withLogin struct{ next http.RoundTripper }

func (l withLogin) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer x")
	return l.next.RoundTrip(r)
}

func TestEverybodyOfAWindowIsSentToOneURL(t *testing.T) {
	t.Parallel()
	const ttl = 10 * time.Minute
	now := time.Unix(1_700_000_000, 0)
	h := open(t, choices{delivery: storage.Redirect, ttl: ttl, Options: playback.Options{Now: func() time.Time { return now }}})
	a := h.add(noise(large), public)
	other := h.add(noise(large), public)
	seen := map[string][]time.Time{}
	var order []string
	for range 400 { // 40 minutes in steps of six seconds
		for _, viewer := range []string{"bob", "eve"} {
			in := h.location(h.ticket(a, func(t *media.Ticket) { t.Expires, t.Session = now.Add(time.Hour), media.SessionOf(viewer) }))
			if by := h.location(h.public(a)); by != in {
				t.Fatalf("%v: %s by ticket, %s in public", now, in, by)
			}
			if len(seen[in]) == 0 {
				order = append(order, in)
			}
			seen[in] = append(seen[in], now)
		}
		now = now.Add(6 * time.Second)
	}
	if len(order) < 8 || len(order) > 9 {
		t.Errorf("%d URLs in 40 minutes, want one for each five", len(order))
	}
	for _, u := range order {
		issued, ends := lifeOf(t, u)
		for _, at := range seen[u] {
			if at.Before(issued) || ends.Sub(at) < ttl/2 || ends.Sub(at) > ttl {
				t.Errorf("given at %v, it holds from %v to %v", at, issued, ends)
			}
		}
	}
	// Another node, with a memory of its own, gives the same.
	again, err := playback.New(h.shelf, h.store, h.ring, h.tally, playback.Options{Now: func() time.Time { return now }})
	must(t, err)
	w := httptest.NewRecorder()
	again.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, strings.TrimPrefix(h.public(a), h.server.URL), nil))
	if got, want := w.Header().Get("Location"), h.location(h.public(a)); got != want {
		t.Errorf("another node: got %q, want %q", got, want)
	}
	if own, theirs := mustQuery(t, h.location(h.public(a))), mustQuery(t, h.location(h.public(other))); own.Get("issued") == theirs.Get("issued") {
		t.Errorf("two media have their windows at one time: %v", own)
	}
}

func mustQuery(t *testing.T, u string) url.Values {
	t.Helper()
	parsed, err := url.Parse(u)
	must(t, err)
	return parsed.Query()
}

// lifeOf reads when a signed URL holds.
func lifeOf(t *testing.T, u string) (issued, ends time.Time) {
	t.Helper()
	q := mustQuery(t, u)
	at, err := time.ParseDuration(q.Get("issued") + "s")
	must(t, err)
	life, err := time.ParseDuration(q.Get("life") + "s")
	must(t, err)
	issued = time.Unix(int64(at/time.Second), 0)
	return issued, issued.Add(life)
}

func TestAURLEndsWithItsTicket(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	h := open(t, choices{delivery: storage.Redirect, ttl: 10 * time.Minute, Options: playback.Options{Now: func() time.Time { return now }}})
	a := h.add(noise(large), nil)
	expires := now.Add(30 * time.Minute)
	link := h.ticket(a, func(t *media.Ticket) { t.Expires = expires })
	for ; now.Before(expires); now = now.Add(time.Second) {
		got := h.do(http.MethodGet, link)
		if expires.Sub(now) < 5*time.Second {
			if got.status != 200 {
				t.Fatalf("%v before the end: got %d, want the bytes", expires.Sub(now), got.status)
			}
			continue
		}
		if _, ends := lifeOf(t, got.header.Get("Location")); ends.After(expires) || ends.Before(now.Add(5*time.Second)) {
			t.Fatalf("%v before the end: the URL holds until %v, the ticket until %v", expires.Sub(now), ends, expires)
		}
	}
	if got := h.do(http.MethodGet, link); got.status != http.StatusGone || got.header.Get("Location") != "" {
		t.Errorf("over: got %d to %q", got.status, got.header.Get("Location"))
	}
}

func TestARedirectOutlivesNoRevocationByMoreThanItsTTL(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	h := open(t, choices{delivery: storage.Redirect, ttl: time.Minute, Options: playback.Options{Now: func() time.Time { return now }, MaxAge: time.Hour}})
	a := h.add(noise(large), public)
	link := h.ticket(a, func(t *media.Ticket) { t.Expires = now.Add(time.Hour) })
	location := h.location(link)
	hidden := a
	hidden.Epoch++
	hidden.Public = false
	h.shelf.put(hidden)
	if by, in := h.do(http.MethodGet, link), h.do(http.MethodGet, h.public(a)); by.status != 403 || in.status != 404 {
		t.Errorf("revoked: got %d and %d, want 403 and 404 at once", by.status, in.status)
	}
	now = now.Add(time.Minute)
	if got := h.do(http.MethodGet, location); got.status != http.StatusForbidden {
		t.Errorf("the backend still answers %d after RedirectTTL", got.status)
	}
}

func TestRedirectsAreFreshForLessThanTheirURLs(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	at := choices{delivery: storage.Redirect, ttl: 10 * time.Minute, Options: playback.Options{Now: func() time.Time { return now }}}
	short := open(t, at)
	a := short.add(noise(large), public)
	if got := short.do(http.MethodGet, short.public(a)).header.Get("Cache-Control"); got != "public, max-age=1, must-revalidate" {
		t.Errorf("by default: got %q", got)
	}
	at.MaxAge = 24 * time.Hour // whoever set this has a cache in front
	h := open(t, at)
	a = h.add(noise(large), public)
	for range 100 {
		got := h.do(http.MethodGet, h.public(a))
		age, err := time.ParseDuration(strings.TrimSuffix(strings.TrimPrefix(got.header.Get("Cache-Control"), "public, max-age="), ", must-revalidate") + "s")
		must(t, err)
		if _, ends := lifeOf(t, got.header.Get("Location")); now.Add(age).After(ends.Add(-2*time.Minute)) || age < 2*time.Minute {
			t.Fatalf("fresh for %v, and the URL holds for %v", age, ends.Sub(now))
		}
		now = now.Add(7 * time.Second)
	}
}

func TestConditionsOfARedirect(t *testing.T) {
	t.Parallel()
	h := open(t, choices{delivery: storage.Redirect})
	a := h.add(noise(large), nil)
	link := h.ticket(a, nil)
	ours := `"` + strings.ReplaceAll(a.ID.String(), "-", "") + `"`
	theirs := h.follow(link).header.Get("ETag")
	if theirs == "" || theirs == ours {
		t.Fatalf("the backend's tag is %s, ours %s", theirs, ours)
	}
	past, future := time.Now().Add(-24*time.Hour).UTC().Format(http.TimeFormat), time.Now().UTC().Format(http.TimeFormat)
	for _, tt := range []struct {
		name   string
		header []string
		want   int
	}{
		{"our tag", []string{"If-None-Match", ours}, 304},
		{"our tag among others", []string{"If-None-Match", `"x", W/` + ours}, 304},
		{"our tag with a range", []string{"If-None-Match", ours, "Range", "bytes=0-9"}, 304},
		{"the backend's tag", []string{"If-None-Match", theirs}, 307},
		{"a star", []string{"If-None-Match", "*"}, 307},
		{"a date", []string{"If-Modified-Since", future}, 307},
		{"the backend's tag to match", []string{"If-Match", theirs}, 307},
		{"our tag, and another to match", []string{"If-None-Match", ours, "If-Match", theirs}, 307},
		{"an earlier date to be unmodified since", []string{"If-Unmodified-Since", past}, 307},
		{"a range if it is the backend's tag", []string{"Range", "bytes=0-9", "If-Range", theirs}, 307},
	} {
		got := h.do(http.MethodGet, link, tt.header...)
		if got.status != tt.want || (got.header.Get("ETag") == ours) != (tt.want == 304) {
			t.Errorf("%s: got %d with the tag %q, want %d", tt.name, got.status, got.header.Get("ETag"), tt.want)
		}
	}
	if got := h.follow(link, "Range", "bytes=0-9", "If-Range", theirs); got.status != 206 {
		t.Errorf("a range of what the client has: got %d", got.status)
	}
	if got := h.follow(link, "If-None-Match", theirs); got.status != 304 {
		t.Errorf("a cache that asks again: got %d", got.status)
	}
}

func TestHeadOfWhatIsRedirectedIsAnsweredHere(t *testing.T) {
	t.Parallel()
	h := open(t, choices{delivery: storage.Redirect})
	a := h.add(noise(large), nil)
	link := h.ticket(a, nil)
	got := h.do(http.MethodHead, link, "Range", "bytes=0-9")
	for name, want := range map[string]string{
		"Content-Length": "70000", "Content-Type": "video/mp4", "Accept-Ranges": "bytes", "Content-Disposition": `inline; filename="lecture.mp4"`,
		"ETag": "", "Last-Modified": "", "Location": "",
	} {
		if have := got.header.Get(name); have != want {
			t.Errorf("%s: got %q, want %q", name, have, want)
		}
	}
	if got.status != 200 || got.header.Get("Repr-Digest") == "" {
		t.Errorf("got %d %v", got.status, got.header)
	}
	if asked, visits := h.far.Asked(), h.far.Visits(); len(asked) > 0 || visits > 0 {
		t.Errorf("the backend was asked: %v, %d", asked, visits)
	}
}

func TestARedirectIsCountedAsAView(t *testing.T) {
	t.Parallel()
	h := open(t, choices{delivery: storage.Redirect})
	a := h.add(noise(large), public)
	image := h.add(noise(large), func(a *media.Asset) { a.MIMEType, a.Type = "image/png", media.Image })
	refused := h.add(noise(large), nil)
	for _, tt := range []struct {
		name   string
		url    string
		method string
		header []string
		want   int
	}{
		{"a GET", h.ticket(a, nil), "GET", nil, 1},
		{"a GET in public", h.public(a), "GET", nil, 1},
		{"a range", h.ticket(a, nil), "GET", []string{"Range", "bytes=5-9"}, 1},
		{"HEAD", h.ticket(a, nil), "HEAD", nil, 0},
		{"what the asker has already", h.ticket(a, nil), "GET", []string{"If-None-Match", `"` + strings.ReplaceAll(a.ID.String(), "-", "") + `"`}, 0},
		{"the owner's own", h.ticket(a, func(t *media.Ticket) { t.Own = true }), "GET", nil, 0},
		{"a thumbnail", h.ticket(image, func(t *media.Ticket) { t.Use = media.Thumb }), "GET", nil, 0},
	} {
		h.do(tt.method, tt.url, tt.header...)
		seen := h.tally.take() // the view is counted before the answer goes out
		if len(seen) != tt.want || slices.ContainsFunc(seen, func(a media.Access) bool { return !a.View || a.Bytes != 0 }) {
			t.Errorf("%s: got %v, want %d views", tt.name, seen, tt.want)
		}
	}
	h.far.Refuse(media.Wrap(media.Unavailable, errors.New("no credentials at https://169.254.169.254/?token=x"), "the storage is away"))
	got := h.do(http.MethodGet, h.ticket(refused, nil))
	if seen := h.tally.take(); got.status != 503 || len(seen) > 0 || strings.Contains(string(got.body), "169.254") {
		t.Errorf("a backend that cannot sign: got %d %s, counted %v", got.status, got.body, seen)
	}
	wantProblem(t, got)
}

func TestRedirectsKeepTheSafeHeaders(t *testing.T) {
	t.Parallel()
	h := open(t, choices{delivery: storage.Redirect, Options: playback.Options{AllowedOrigins: []string{"https://lms.example"}}})
	got := h.do(http.MethodGet, h.public(h.add(noise(large), public)), "Origin", "https://lms.example")
	for name, want := range map[string]string{
		"Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff", "Cross-Origin-Resource-Policy": "cross-origin",
		"Access-Control-Allow-Origin": "https://lms.example", "Vary": "Origin", "Content-Length": "0", "Content-Type": "", "ETag": "",
	} {
		if have := got.header.Get(name); have != want {
			t.Errorf("%s: got %q, want %q", name, have, want)
		}
	}
}

func TestBytesByALoginAreNeverRedirected(t *testing.T) {
	t.Parallel()
	h := open(t, choices{delivery: storage.Redirect})
	content := noise(large)
	a := h.add(content, public)
	r, w := newRecorded(t)
	r.Header.Set("X-Api-Key", "a key that a client would send on")
	h.handler.Content(w, r, a, "")
	if got := w.Result(); got.StatusCode != 200 || !bytes.Equal(w.Body.Bytes(), content) {
		t.Errorf("got %d to %q", got.StatusCode, got.Header.Get("Location"))
	}
}

func TestTheSenderOfAFinishedUploadGetsItByARedirect(t *testing.T) {
	t.Parallel()
	h := open(t, choices{delivery: storage.Redirect})
	content := noise(large)
	a := h.add(content, nil)
	link, err := h.links.ContentURL(t.Context(), a)
	must(t, err)
	if got := h.do(http.MethodGet, h.server.URL+link); got.status != 307 {
		t.Errorf("got %d", got.status)
	}
	if got := h.follow(h.server.URL + link); got.status != 200 || !bytes.Equal(got.body, content) {
		t.Errorf("followed: got %d and %d bytes, or others", got.status, len(got.body))
	}
	if seen := h.tally.take(); len(seen) > 0 {
		t.Errorf("the owner's own is counted: %v", seen)
	}
}
