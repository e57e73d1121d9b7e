package playback_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/media"
	"sluice/playback"
)

func TestRefusals(t *testing.T) {
	t.Parallel()
	h := open(t, choices{})
	a, other := h.add(noise(100), nil), h.add(noise(100), nil)
	uploading := h.add(noise(100), func(a *media.Asset) { a.State, a.Public = media.Uploading, true })
	hidden := h.add(noise(100), func(a *media.Asset) { a.State = media.Uploading })
	part := h.add(noise(100), func(a *media.Asset) { a.Upload.Partial, a.Public = true, true })
	revoked := h.add(noise(100), func(a *media.Asset) { a.Epoch = 1 })
	deleted := h.add(noise(100), public)
	gone := h.ticket(deleted, nil)
	h.shelf.drop(deleted.ID)
	good := h.ticket(a, nil)
	text := strings.Split(good, "/")[4]
	at := func(ticket, rest string) string { return h.server.URL + "/p/" + ticket + "/" + rest }
	expired := h.ticket(a, func(t *media.Ticket) { t.Expires = time.Now().Add(-time.Minute) })
	unknown := media.NewAssetID(time.Now()).String()

	tests := []struct {
		name, url string
		header    []string
		want      int
	}{
		{"a good ticket opens", good, nil, 200},
		{"a ticket that is none is forbidden", at("x", a.ID.String()+"/"), nil, 403},
		{"a ticket for another media is forbidden", at(text, other.ID.String()+"/"), nil, 403},
		{"a ticket with an escape is forbidden", at("%"+hexOf(text[0])+text[1:], a.ID.String()+"/"), nil, 403},
		{"a media id with an escape is unknown", at(text, "%3"+a.ID.String()[:1]+a.ID.String()[1:]), nil, 404},
		{"a media id in capitals is unknown", at(text, strings.ToUpper(a.ID.String())+"/"), nil, 404},
		{"a ticket of an earlier epoch is forbidden", h.ticket(revoked, func(t *media.Ticket) { t.Epoch = 0 }), nil, 403},
		{"an expired ticket is gone", expired, nil, 410},
		{"an expired ticket with a range is gone", expired, []string{"Range", "bytes=0-9"}, 410},
		{"an expired ticket with If-None-Match is gone", expired, []string{"If-None-Match", "*"}, 410},
		{"an uploading media is a conflict", h.ticket(uploading, nil), nil, 409},
		{"an uploading public media is a conflict", h.public(uploading), nil, 409},
		{"a part of a later whole is unknown", h.ticket(part, nil), nil, 404},
		{"a public part of a later whole is unknown", h.public(part), nil, 404},
		{"a deleted media is unknown to who has a ticket", gone, nil, 404},
		{"a deleted public media is unknown", h.public(deleted), nil, 404},
		{"an unknown media looks like a bad ticket", at(text, unknown+"/"), nil, 403},
		{"an unknown public media is unknown", h.server.URL + "/m/" + unknown, nil, 404},
		{"a private media is unknown without a ticket", h.public(a), nil, 404},
		{"a private media is unknown also while uploading", h.public(hidden), nil, 404},
		{"a malformed id is unknown", h.server.URL + "/m/..%2f..%2fetc", nil, 404},
		{"an id cut short is unknown", h.server.URL + "/m/" + unknown[:35], nil, 404},
		{"no id is unknown", h.server.URL + "/m/", nil, 404},
		{"another rendition is unknown", at(text, a.ID.String()+"/720p/seg1.ts"), nil, 404},
		{"a play grant without an exchange is unknown", h.server.URL + "/play/" + a.ID.String() + "?grant=x", nil, 404},
		{"a thumbnail ticket does not open a video", h.ticket(a, func(t *media.Ticket) { t.Use = media.Thumb }), nil, 403},
		{"queries are ignored", good + "?ticket=x&ticket=y", nil, 200},
	}
	t.Cleanup(func() {
		if n := len(h.tally.take()); n > 4 {
			t.Errorf("refusals were counted: %d accesses, want the 4 of the good ones at most", n)
		}
	})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := h.do(http.MethodGet, tt.url, tt.header...)
			if got.status != tt.want {
				t.Fatalf("got %d, want %d", got.status, tt.want)
			}
			if tt.want != 200 {
				wantProblem(t, got)
			}
		})
	}
}

func hexOf(c byte) string { const d = "0123456789ABCDEF"; return string([]byte{d[c>>4], d[c&15]}) }

func wantProblem(t *testing.T, got answer) {
	t.Helper()
	var p struct {
		Status int
		Code   string
	}
	if err := json.Unmarshal(got.body, &p); err != nil || p.Status != got.status || p.Code == "" {
		t.Errorf("the body is %q, want a problem with the status and a code", got.body)
	}
	for name, want := range map[string]string{
		"Content-Type": "application/problem+json", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
	} {
		if have := got.header.Get(name); have != want {
			t.Errorf("%s: got %q, want %q", name, have, want)
		}
	}
}

func TestNotReadyNamesTheState(t *testing.T) {
	t.Parallel()
	h := open(t, choices{})
	a := h.add(noise(10), func(a *media.Asset) { a.State = media.Uploading })
	if got := h.do(http.MethodGet, h.ticket(a, nil)); got.status != 409 || !strings.Contains(string(got.body), "uploading") {
		t.Errorf("got %d %s, want 409 and the state", got.status, got.body)
	}
	for _, state := range []media.State{media.Stored, media.Processing, media.Ready, media.Failed} {
		a.State = state
		h.shelf.put(a)
		if got := h.do(http.MethodGet, h.ticket(a, nil)); got.status != 200 {
			t.Errorf("%s: got %d, want 200", state, got.status)
		}
	}
}

func TestNamesOfTheOriginal(t *testing.T) {
	t.Parallel()
	h := open(t, choices{})
	a := h.add(noise(10), func(a *media.Asset) { a.Public, a.Filename = true, "Übung 1.mp4" })
	for name, want := range map[string]int{
		"": 200, "/": 200, "/original": 200, "/original.mp4": 200, "/original.webm": 200, "/" + url.PathEscape("Übung 1.mp4"): 200,
		"/other.mp4": 404, "/original.": 404, "/original.m4/x": 404, "/originals": 404, "/original.verylongext": 404, "/original/": 404, "/original.m%34": 404,
	} {
		if got := h.do(http.MethodGet, h.server.URL+"/m/"+a.ID.String()+name); got.status != want {
			t.Errorf("%q: got %d, want %d", name, got.status, want)
		}
	}
}

func TestSafeHeaders(t *testing.T) {
	t.Parallel()
	h := open(t, choices{})
	tests := []struct {
		name, mime, filename string
		active               bool
	}{
		{"a video is shown", "video/mp4", "a.mp4", false},
		{"an image is shown", "image/png", "a.png", false},
		{"a PDF is shown", "application/pdf", "a.pdf", false},
		{"plain text is shown", "text/plain; charset=utf-8", "a.txt", false},
		{"HTML is kept in a sandbox", "text/html", "a.html", true},
		{"HTML in capitals is kept in a sandbox", "TEXT/HTML; charset=utf-7", "a.html", true},
		{"SVG is kept in a sandbox", "image/svg+xml", "a.svg", true},
		{"XML is kept in a sandbox", "application/xml", "a.xml", true},
		{"a script is kept in a sandbox", "text/javascript", "a.js", true},
		{"what is unknown is kept in a sandbox", "application/x-new", "a", true},
		{"what is no type at all is kept in a sandbox", "video/mp4\r\nSet-Cookie: a=b", "a", true},
		{"no type is kept in a sandbox", "", "a", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := h.add(noise(1000), func(a *media.Asset) { a.MIMEType, a.Filename, a.Type = tt.mime, tt.filename, media.TypeOf(tt.mime) })
			for _, header := range [][]string{nil, {"Range", "bytes=0-9"}, {"Range", "bytes=0-9,20-29"}} {
				got := h.do(http.MethodGet, h.ticket(a, nil), header...)
				if got.header.Get("X-Content-Type-Options") != "nosniff" || got.header.Get("Referrer-Policy") != "no-referrer" || got.header.Get("Cross-Origin-Resource-Policy") != "cross-origin" {
					t.Errorf("%v: got %v, want the safe headers", header, got.header)
				}
				if got.header.Get("Set-Cookie") != "" {
					t.Errorf("a type became a header: %v", got.header)
				}
				kind, _, _ := strings.Cut(got.header.Get("Content-Disposition"), ";")
				sandboxed := strings.Contains(got.header.Get("Content-Security-Policy"), "sandbox")
				if (kind == "attachment") != tt.active || sandboxed != tt.active {
					t.Errorf("%v: got %q, sandbox %v; active is %v", header, kind, sandboxed, tt.active)
				}
			}
			download := h.ticket(a, func(t *media.Ticket) { t.Use = media.Download })
			if got := h.do(http.MethodGet, download).header.Get("Content-Disposition"); !strings.HasPrefix(got, "attachment") {
				t.Errorf("a download ticket: got %q, want an attachment", got)
			}
		})
	}
}

func TestCaching(t *testing.T) {
	t.Parallel()
	now := time.Now().Truncate(time.Second)
	h := open(t, choices{Options: playback.Options{MaxAge: time.Minute, Now: func() time.Time { return now }}})
	a := h.add(noise(10), public)
	in := func(d time.Duration) string {
		return h.ticket(a, func(t *media.Ticket) { t.Expires = now.Add(d) })
	}
	for _, tt := range []struct{ name, url, want string }{
		{"a ticket with time left", in(time.Hour), "public, max-age=60, must-revalidate"},
		{"a ticket about to end", in(20 * time.Second), "public, max-age=20, must-revalidate"},
		{"public media", h.public(a), "public, max-age=60, must-revalidate"},
	} {
		for _, header := range [][]string{nil, {"If-None-Match", "*"}, {"Range", "bytes=0-0"}} {
			if got := h.do(http.MethodGet, tt.url, header...).header.Get("Cache-Control"); got != tt.want {
				t.Errorf("%s, %v: got %q, want %q", tt.name, header, got, tt.want)
			}
		}
	}
}

func TestDigestAppearsOnceKnown(t *testing.T) {
	t.Parallel()
	h := open(t, choices{})
	a := h.add([]byte("hello"), nil)
	sum := a.SHA256
	a.SHA256 = nil
	h.shelf.put(a)
	before := h.do(http.MethodHead, h.ticket(a, nil)).header
	a.SHA256, a.Version = sum, 2
	h.shelf.put(a)
	after := h.do(http.MethodHead, h.ticket(a, nil)).header
	if got := before.Get("Repr-Digest"); got != "" {
		t.Errorf("before: got %q", got)
	}
	if got, want := after.Get("Repr-Digest"), "sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if before.Get("ETag") != after.Get("ETag") {
		t.Errorf("the ETag moved from %s to %s", before.Get("ETag"), after.Get("ETag"))
	}
}

func TestCounting(t *testing.T) {
	t.Parallel()
	h := open(t, choices{})
	a := h.add(noise(1000), public)
	image := h.add(noise(1000), func(a *media.Asset) { a.Type, a.MIMEType = media.Image, "image/png" })
	empty := h.add(nil, nil)
	bob := media.SessionOf("bob")
	view, n := media.Access{Asset: a.ID, Session: bob, View: true}, func(n int64) media.Access { return media.Access{Asset: a.ID, Session: bob, Bytes: n} }
	tests := []struct {
		name   string
		method string
		url    string
		header []string
		want   []media.Access
	}{
		{"a whole GET is a view, then bytes", "GET", h.ticket(a, nil), nil, []media.Access{view, n(1000)}},
		{"a range is a view, then its bytes", "GET", h.ticket(a, nil), []string{"Range", "bytes=0-99"}, []media.Access{view, n(100)}},
		{"ranges count the media's bytes alone", "GET", h.ticket(a, nil), []string{"Range", "bytes=0-99,200-209"}, []media.Access{view, n(110)}},
		{"an empty file is a view", "GET", h.ticket(empty, nil), nil, []media.Access{{Asset: empty.ID, Session: bob, View: true}}},
		{"HEAD is nothing", "HEAD", h.ticket(a, nil), nil, nil},
		{"304 is nothing", "GET", h.ticket(a, nil), []string{"If-None-Match", "*"}, nil},
		{"412 is nothing", "GET", h.ticket(a, nil), []string{"If-Match", `"x"`}, nil},
		{"416 is nothing", "GET", h.ticket(a, nil), []string{"Range", "bytes=5000-"}, nil},
		{"the owner's own is nothing", "GET", h.ticket(a, func(t *media.Ticket) { t.Own = true }), nil, nil},
		{"a thumbnail is bytes", "GET", h.ticket(image, func(t *media.Ticket) { t.Use = media.Thumb }), nil, []media.Access{{Asset: image.ID, Session: bob, Bytes: 1000}}},
	}
	for _, tt := range tests {
		h.do(tt.method, tt.url, tt.header...)
		got := h.settled(len(tt.want))
		for i := range got {
			got[i].At = time.Time{}
		}
		if d := cmp.Diff(tt.want, got); d != "" {
			t.Errorf("%s: -want +got:\n%s", tt.name, d)
		}
	}
	sessions := map[media.Session]bool{}
	for _, agent := range []string{"firefox", "chrome", "firefox"} {
		h.do("GET", h.public(a), "User-Agent", agent)
		for _, x := range h.settled(2) {
			sessions[x.Session] = true
		}
	}
	if len(sessions) != 2 || sessions[media.Session{}] {
		t.Errorf("public media: got sessions %v, want one for each of two browsers", sessions)
	}
}

// settled waits for n accesses: the bytes are counted after the client has them. One more request passes through first where none are
// expected, so that a late one would be seen.
func (h *house) settled(n int) []media.Access {
	if n == 0 {
		return h.tally.take()
	}
	var got []media.Access
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	limit := time.After(5 * time.Second)
	for len(got) < n {
		got = append(got, h.tally.take()...)
		select {
		case <-tick.C:
		case <-limit:
			return got
		}
	}
	return got
}

func TestExternalMedia(t *testing.T) {
	t.Parallel()
	h := open(t, choices{})
	elsewhere := func(u string) media.Asset {
		return h.add(nil, func(a *media.Asset) { a.StorageType, a.ExternalURL = media.Cloud, u })
	}
	a := elsewhere("https://videos.example/x?y=z")
	got := h.do(http.MethodGet, h.ticket(a, nil))
	if got.status != http.StatusFound || got.header.Get("Location") != "https://videos.example/x?y=z" || got.header.Get("Cache-Control") != "no-store" {
		t.Errorf("got %d %v", got.status, got.header)
	}
	if seen := h.tally.take(); len(seen) != 1 || !seen[0].View {
		t.Errorf("got %v, want one view", seen)
	}
	h.do(http.MethodHead, h.ticket(a, nil))
	if seen := h.tally.take(); len(seen) != 0 {
		t.Errorf("HEAD: got %v, want nothing", seen)
	}
	for _, bad := range []string{"", "javascript:alert(1)", "//evil.example", "https://", "file:///etc/passwd", "https://a.example/\r\nX: y"} {
		if got := h.do(http.MethodGet, h.ticket(elsewhere(bad), nil)); got.status != 404 || got.header.Get("Location") != "" {
			t.Errorf("%q: got %d to %q, want 404", bad, got.status, got.header.Get("Location"))
		}
	}
}

func TestPlayGrant(t *testing.T) {
	t.Parallel()
	var h *house
	var a, other media.Asset
	until := time.Now().Add(time.Hour).Truncate(time.Second).UTC()
	h = open(t, choices{Options: playback.Options{OpenPlayGrant: func(token string) (playback.PlayGrant, error) {
		switch token {
		case "good":
			return playback.PlayGrant{Asset: a.ID, Use: media.Download, Viewer: "bob", Expires: until}, nil
		case "ann's":
			return playback.PlayGrant{Asset: a.ID, Use: media.Play, Viewer: "ann", Expires: until}, nil
		case "over":
			return playback.PlayGrant{Asset: a.ID, Use: media.Play, Expires: time.Now().Add(-time.Second)}, nil
		case "other":
			return playback.PlayGrant{Asset: other.ID, Use: media.Play, Expires: until}, nil
		case "useless":
			return playback.PlayGrant{Asset: a.ID, Expires: until}, nil
		}
		return playback.PlayGrant{}, media.Errorf(media.Forbidden, "no")
	}}})
	a, other = h.add(noise(10), nil), h.add(noise(10), nil)
	for query, want := range map[string]int{
		"?grant=good": 302, "?grant=ann%27s": 302, "?grant=over": 410, "?grant=other": 403, "?grant=useless": 403, "?grant=bad": 403,
		"": 401, "?grant=good&grant=good": 401, "/original?grant=good": 404,
	} {
		got := h.do(http.MethodGet, h.server.URL+"/play/"+a.ID.String()+query)
		if got.status != want {
			t.Errorf("%q: got %d, want %d", query, got.status, want)
		}
		location := got.header.Get("Location")
		if want != 302 {
			continue
		}
		ticket, err := h.ring.Verify(strings.Split(location, "/")[2], a.ID, 0)
		must(t, err)
		if own := strings.Contains(query, "ann"); ticket.Own != own || !ticket.Expires.Equal(until) {
			t.Errorf("%q: got %+v, want own %v until %v", query, ticket, own, until)
		}
		if got := h.do(http.MethodGet, h.server.URL+location); got.status != 200 {
			t.Errorf("%q: the ticket gives %d, want 200", query, got.status)
		}
	}
}

func TestMethodsAndCORS(t *testing.T) {
	t.Parallel()
	h := open(t, choices{Options: playback.Options{AllowedOrigins: []string{"https://lms.example"}}})
	a := h.add(noise(10), public)
	for origin, want := range map[string]string{
		"https://lms.example": "https://lms.example", "https://lms.example.evil.example": "", "http://lms.example": "", "null": "", "": "",
	} {
		got := h.do(http.MethodGet, h.public(a), "Origin", origin)
		if have := got.header.Get("Access-Control-Allow-Origin"); have != want || got.header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%q: got %q, want %q", origin, have, want)
		}
		if !strings.Contains(got.header.Get("Vary"), "Origin") {
			t.Errorf("%q: no Vary: Origin", origin)
		}
		pre := h.do(http.MethodOptions, h.public(a), "Origin", origin, "Access-Control-Request-Method", "GET")
		if allowed := strings.Contains(pre.header.Get("Access-Control-Allow-Headers"), "Range"); pre.status != 204 || allowed != (want != "") {
			t.Errorf("preflight of %q: got %d %v", origin, pre.status, pre.header)
		}
	}
	if got := h.do(http.MethodPost, h.public(a)); got.status != 405 || got.header.Get("Allow") == "" {
		t.Errorf("POST: got %d %v", got.status, got.header)
	}
	for _, o := range []playback.Options{
		{AllowedOrigins: []string{"null"}}, {AllowedOrigins: []string{"https://*.example"}}, {ResourcePolicy: "none"}, {AllowedOrigins: []string{"https://a.example/"}}, {MaxAge: -1},
	} {
		if _, err := playback.New(h.shelf, h.store, h.ring, h.tally, o); err == nil {
			t.Errorf("%+v: New takes it, want an error", o)
		}
	}
}

func TestContent(t *testing.T) {
	t.Parallel()
	h := open(t, choices{})
	content := noise(1000)
	a := h.add(content, nil)
	for _, own := range []bool{true, false} {
		r, w := newRecorded(t)
		h.handler.Content(w, r, a, map[bool]string{true: a.Owner, false: "somebody"}[own])
		if got := w.Result(); got.StatusCode != 200 || got.Header.Get("Cache-Control") != "private, no-cache" || !bytes.Equal(w.Body.Bytes(), content) {
			t.Errorf("got %d %v", got.StatusCode, got.Header)
		}
		if n := len(h.tally.take()); (n == 0) != own {
			t.Errorf("own %v: %d accesses", own, n)
		}
	}
}

func TestALookupThatFailsIsAProblem(t *testing.T) {
	t.Parallel()
	h := open(t, choices{})
	a := h.add(noise(10), public)
	h.shelf.err = media.Wrap(media.Unavailable, errors.New("dial tcp 10.1.2.3"), "the catalogue is away")
	got := h.do(http.MethodGet, h.public(a))
	if got.status != 503 || got.header.Get("Retry-After") == "" || strings.Contains(string(got.body), "10.1") {
		t.Errorf("got %d %s", got.status, got.body)
	}
	h.shelf.err = errors.New("sql: connection to 10.1.2.3 broke")
	if got := h.do(http.MethodGet, h.public(a)); got.status != 500 || strings.Contains(string(got.body), "10.1") {
		t.Errorf("got %d %s", got.status, got.body)
	}
}
