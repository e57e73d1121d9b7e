package playback_test

import (
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/media"
	"sluice/playback"
	"sluice/storage"
)

func TestASignedURLOpensOneObjectAsItWasSigned(t *testing.T) {
	t.Parallel()
	h := open(t, choices{delivery: storage.Redirect})
	a, other := h.add(noise(large), nil), h.add(noise(large), nil)
	u := h.location(h.ticket(a, nil))
	edit := func(change func(*url.URL, url.Values)) string {
		parsed, err := url.Parse(u)
		must(t, err)
		q := parsed.Query()
		signature := q.Get("signature")
		q.Del("signature")
		change(parsed, q)
		parsed.RawQuery = q.Encode() + "&signature=" + signature
		return parsed.String()
	}
	for name, tt := range map[string]struct {
		url  string
		want int
	}{
		"as it is":            {edit(func(*url.URL, url.Values) {}), 200},
		"another object":      {edit(func(u *url.URL, _ url.Values) { u.Path = "/" + other.Key }), 403},
		"a longer life":       {edit(func(_ *url.URL, q url.Values) { q.Set("life", "604800") }), 403},
		"another type":        {edit(func(_ *url.URL, q url.Values) { q.Set("response-content-type", "text/html") }), 403},
		"another disposition": {edit(func(_ *url.URL, q url.Values) { q.Set("response-content-disposition", "inline") }), 403},
		"no type":             {edit(func(_ *url.URL, q url.Values) { q.Del("response-content-type") }), 403},
		"one type more":       {edit(func(_ *url.URL, q url.Values) { q.Add("response-content-type", "text/html") }), 403},
	} {
		if got := h.do(http.MethodGet, tt.url); got.status != tt.want {
			t.Errorf("%s: got %d, want %d", name, got.status, tt.want)
		}
	}
}

// Threat: whatever a file or a request is called, the host is the configured one, and the query has the parameters that we give it.
func TestNoNameLeadsElsewhere(t *testing.T) {
	t.Parallel()
	h := open(t, choices{delivery: storage.Redirect})
	for _, name := range []string{
		"a.mp4&response-content-type=text/html", "a.mp4#fragment", "a?b=c&signature=x", "%26response-content-type%3Dtext/html", "x\r\nLocation: https://evil.example", "//evil.example/a.mp4",
		`a"; filename="evil.html`, "a;response-content-type=text/html", "\u202egpj.exe", strings.Repeat("ü&", 400), "@evil.example", `\\evil.example\a`,
	} {
		a := h.add(noise(large), func(a *media.Asset) { a.Filename = name; a.Public = true })
		for _, header := range [][]string{nil, {"X-Forwarded-Host", "evil.example"}, {"Forwarded", "host=evil.example"}, {"Referer", "https://evil.example/"}} {
			for _, link := range []string{h.public(a) + "?response-content-type=text/html&next=//evil.example", h.ticket(a, nil)} {
				got := h.do(http.MethodGet, link, header...)
				u, err := url.Parse(got.header.Get("Location"))
				if err != nil || got.status != 307 || u.Scheme+"://"+u.Host != h.far.URL || u.Path != "/"+a.Key || u.User != nil || u.Fragment != "" {
					t.Fatalf("%q: got %d to %v, %v", name, got.status, u, err)
				}
				q, err := url.ParseQuery(u.RawQuery)
				must(t, err)
				names := make([]string, 0, len(q))
				for n, values := range q {
					if names = append(names, n); len(values) != 1 {
						t.Errorf("%q: %s is there %d times", name, n, len(values))
					}
				}
				slices.Sort(names)
				if want := []string{"issued", "life", "response-cache-control", "response-content-disposition", "response-content-type", "signature"}; !slices.Equal(names, want) {
					t.Errorf("%q: the query has %v", name, names)
				}
				if q.Get("response-content-type") != "video/mp4" || strings.ContainsAny(q.Get("response-content-disposition"), "\r\n\x00") {
					t.Errorf("%q: presented as %q, %q", name, q.Get("response-content-type"), q.Get("response-content-disposition"))
				}
			}
		}
		if got := h.follow(h.public(a)); got.header.Get("Content-Type") != "video/mp4" || !strings.HasPrefix(got.header.Get("Content-Disposition"), "inline; filename=") {
			t.Errorf("%q: the backend says %v", name, got.header)
		}
	}
}

// Threat: a bad link is refused before anything is signed.
func TestRefusedLinksAreNotSigned(t *testing.T) {
	t.Parallel()
	h := open(t, choices{delivery: storage.Redirect})
	a, other := h.add(noise(large), nil), h.add(noise(large), nil)
	uploading := h.add(noise(large), func(a *media.Asset) { a.State = media.Uploading })
	good := h.ticket(a, nil)
	ticket := strings.Split(good, "/")[4]
	for name, tt := range map[string]struct {
		url  string
		want int
	}{
		"another media":     {h.server.URL + "/p/" + ticket + "/" + other.ID.String() + "/", 403},
		"a changed ticket":  {strings.Replace(good, ticket, ticket[:10]+"x"+ticket[11:], 1), 403},
		"an expired ticket": {h.ticket(a, func(t *media.Ticket) { t.Expires = time.Now().Add(-time.Second) }), 410},
		"an earlier epoch":  {h.ticket(a, func(t *media.Ticket) { t.Epoch = 7 }), 403},
		"private in public": {h.public(a), 404},
		"not ready":         {h.ticket(uploading, nil), 409},
		"another rendition": {strings.Replace(good, "original.mp4", "720p.m3u8", 1), 404},
	} {
		for _, header := range [][]string{nil, {"If-None-Match", "*"}, {"Range", "bytes=0-9"}} {
			got := h.do(http.MethodGet, tt.url, header...)
			if got.status != tt.want || got.header.Get("Location") != "" {
				t.Errorf("%s, %v: got %d to %q, want %d", name, header, got.status, got.header.Get("Location"), tt.want)
			}
			wantProblem(t, got)
		}
	}
	if seen := h.tally.take(); len(seen) > 0 {
		t.Errorf("counted: %v", seen)
	}
}

// Threat: a signed URL is a credential, and shows in no log and no problem.
func TestSignedURLsAreNotLogged(t *testing.T) {
	t.Parallel()
	var log safeBuffer
	h := open(t, choices{delivery: storage.Redirect, Options: playback.Options{Logger: slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))}})
	a := h.add(noise(large), nil)
	u := h.location(h.ticket(a, nil))
	h.far.Refuse(errors.New("sign " + u))
	b := h.add(noise(large), nil)
	if got := h.do(http.MethodGet, h.ticket(b, nil)); got.status != 500 || strings.Contains(string(got.body), "signature") {
		t.Errorf("got %d %s", got.status, got.body)
	}
	must(t, h.store.Delete(t.Context(), a.Backend, a.Key))
	h.do(http.MethodGet, h.ticket(a, nil), "Range", "bytes=0-9,20-29") // streamed, and gone
	if text := log.String(); strings.Contains(text, "signature") || strings.Contains(text, h.far.URL) {
		t.Errorf("the log shows %s", text)
	}
}

func TestABadURLOfABackendIsNotSent(t *testing.T) {
	t.Parallel()
	for _, u := range []string{"", "/relative", "//host/x", "javascript:alert(1)", "ftp://x/", "https://x/\r\nSet-Cookie: a=b", "https://x/ y", "https://x/ü"} {
		h := open(t, choices{delivery: storage.Redirect, signed: func() string { return u }})
		got := h.do(http.MethodGet, h.ticket(h.add(noise(large), nil), nil))
		if got.status != 500 || got.header.Get("Location") != "" || got.header.Get("Set-Cookie") != "" {
			t.Errorf("%q: got %d %v", u, got.status, got.header)
		}
	}
}
