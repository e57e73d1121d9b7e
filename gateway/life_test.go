package gateway_test

import (
	"errors"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/gateway"
	"sluice/media"
)

func TestLifeOfMedia(t *testing.T) {
	t.Parallel()
	w := setup(t, nil)
	w.furnish()
	me, one := as("ida", "instructor"), "/api/media/"+idOf(1).String()
	for range 3 {
		if resp, body := w.do("POST", one+"/access", "", me); resp.StatusCode != 202 {
			t.Fatalf("got %d %s", resp.StatusCode, body)
		}
	}
	for range 3 {
		w.do("POST", one+"/access", "", me, "Idempotency-Key: once")
	}
	resp, body := w.do("GET", one, "", me)
	if !strings.Contains(body, `"accessCount":4,`) || !strings.Contains(body, `"lastAccessedAt":"2026-03-14T15:09:26Z"`) {
		t.Errorf("counts are not exact: %s", body)
	}
	tag := resp.Header.Get("ETag")
	head, _ := w.do("HEAD", one, "", me)
	if head.StatusCode != 200 || head.Header.Get("ETag") != tag || head.Header.Get("Content-Length") != resp.Header.Get("Content-Length") {
		t.Errorf("HEAD differs: %v", head.Header)
	}
	patch := `{"title":"Lektion 1","position":2,"altText":null,"isPublic":true}`
	resp, body = w.do("PATCH", one, patch, me, "If-Match: "+tag, "Content-Type: application/merge-patch+json")
	if resp.StatusCode != 200 || resp.Header.Get("ETag") == tag || !strings.Contains(body, `"mongoCourseId":"`+hex24) || !strings.Contains(body, `"url":"/m/`) {
		t.Errorf("got %d %s", resp.StatusCode, body)
	}
	if resp, _ := w.do("PATCH", one, patch, me, "If-Match: "+tag); resp.StatusCode != 412 {
		t.Errorf("the old tag: got %d", resp.StatusCode)
	}
	if resp, body := w.do("PATCH", one, `{"videoType":null}`, me, "If-Match: *"); resp.StatusCode != 200 || strings.Contains(body, "videoType") {
		t.Errorf("null does not clear: %d %s", resp.StatusCode, body)
	}
	if resp, _ := w.do("DELETE", one+"/links", "", me); resp.StatusCode != 204 || w.shelf.rows[idOf(1)].Epoch != 1 {
		t.Errorf("revoke: got %d", resp.StatusCode)
	}
	if resp, body := w.do("DELETE", one, "", me, "If-Match: *"); resp.StatusCode != 204 || body != "" {
		t.Errorf("delete: got %d %s", resp.StatusCode, body)
	}
	if resp, _ := w.do("DELETE", one, "", me, "If-Match: *"); resp.StatusCode != 404 {
		t.Errorf("second delete: got %d", resp.StatusCode)
	}
}

func TestIdempotencyKey(t *testing.T) {
	t.Parallel()
	w := setup(t, nil)
	me := as("ida", "instructor")
	first, a := w.do("POST", "/api/media", `{"url":"https://a.example/"}`, me, "Idempotency-Key: k1")
	again, b := w.do("POST", "/api/media", `{"url":"https://a.example/"}`, me, "Idempotency-Key: k1")
	if first.StatusCode != 201 || again.StatusCode != 201 || a != b || again.Header.Get("Idempotent-Replayed") != "true" || first.Header.Get("Location") != again.Header.Get("Location") {
		t.Errorf("got %s and %s", a, b)
	}
	if resp, body := w.do("POST", "/api/media", `{"url":"https://b.example/"}`, me, "Idempotency-Key: k1"); resp.StatusCode != 409 || !strings.Contains(body, "idempotency_key_reused") {
		t.Errorf("another body: got %d %s", resp.StatusCode, body)
	}
	if resp, other := w.do("POST", "/api/media", `{"url":"https://b.example/"}`, as("ivo", "instructor"), "Idempotency-Key: k1"); resp.StatusCode != 201 || other == a {
		t.Errorf("another's key: got %d %s", resp.StatusCode, other)
	}
	if len(w.shelf.rows) != 2 {
		t.Errorf("made %d media", len(w.shelf.rows))
	}
}

func TestReplays(t *testing.T) {
	t.Parallel()
	t.Run("many at once act once", func(t *testing.T) {
		t.Parallel()
		do := gateway.Replays(10, time.Now)
		var acts atomic.Int64
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				got, _, err := do("k", "r", func() (any, error) { return acts.Add(1), nil })
				if err != nil || got != int64(1) {
					t.Errorf("got %v, %v", got, err)
				}
			})
		}
		wg.Wait()
	})
	t.Run("a failure may be tried again", func(t *testing.T) {
		t.Parallel()
		do := gateway.Replays(10, time.Now)
		if _, _, err := do("k", "r", func() (any, error) { return nil, media.Unavailable }); !errors.Is(err, media.Unavailable) {
			t.Fatal(err)
		}
		if got, again, err := do("k", "r", func() (any, error) { return 1, nil }); err != nil || again || got != 1 {
			t.Errorf("got %v, %v, %v", got, again, err)
		}
	})
	t.Run("they are bounded in number and age", func(t *testing.T) {
		t.Parallel()
		at := now
		do := gateway.Replays(2, func() time.Time { return at })
		act := func() (any, error) { return 1, nil }
		for _, k := range []string{"a", "b", "c"} {
			_, _, _ = do(k, "r", act)
		}
		if _, again, _ := do("a", "r", act); again {
			t.Error("the oldest of three is kept by a memory of two")
		}
		at = now.Add(25 * time.Hour)
		if _, again, _ := do("c", "r", act); again {
			t.Error("an answer is kept for more than a day")
		}
	})
}

func TestAbsoluteURLs(t *testing.T) {
	t.Parallel()
	w := setup(t, func(o *gateway.Options) { o.PublicURL = "https://media.example.com/" })
	w.furnish()
	_, body := w.do("POST", "/api/media/"+idOf(1).String()+"/links", `{}`, as("ida", "instructor"), "Host: evil.example", "X-Forwarded-Host: evil.example")
	if !strings.Contains(body, `"url":"https://media.example.com/p/`) || strings.Contains(body, "evil") {
		t.Errorf("got %s", body)
	}
}

func TestCSV(t *testing.T) {
	t.Parallel()
	w := setup(t, nil)
	w.furnish()
	for accept, csv := range map[string]bool{
		"text/csv": true, "text/csv, application/json;q=0.5": true, "application/json, text/csv;q=0.9": false, "*/*": false, "text/csv;q=0": false, "": false,
	} {
		resp, body := w.do("GET", "/api/analytics/media/"+idOf(1).String()+"?from=2026-03-01&to=2026-03-02&bucket=day", "", as("ida", "instructor"), "Accept: "+accept)
		if got := strings.HasPrefix(resp.Header.Get("Content-Type"), "text/csv"); resp.StatusCode != 200 || got != csv {
			t.Errorf("%q: got %d %s", accept, resp.StatusCode, resp.Header.Get("Content-Type"))
		} else if csv && body != "start,views,bytes\n2026-03-01T00:00:00Z,3,4096\n" {
			t.Errorf("got %q", body)
		}
	}
}

func TestIfMatch(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{
		`*`: "yes", ` * `: "yes", `"v1"`: "yes", `"v0", "v1"`: "yes", `"v0","v1"`: "yes", `,"v1",,`: "yes", `W/"v0", "v1"`: "yes",
		`"v2"`: "no", `W/"v1"`: "no", `"v1 "`: "bad", `"V1"`: "no", `"a,b"`: "no",
		``: "absent", `v1`: "bad", `"v1`: "bad", `"v1""v2"`: "bad", `"v1" x`: "bad", `w/"v1"`: "bad", `*, "v1"`: "bad", `,`: "bad", "\"v\x001\"": "bad",
	} {
		got := "no"
		match, err := gateway.ParseIfMatch(s, 1)
		switch {
		case errors.Is(err, media.PreconditionRequired):
			got = "absent"
		case err != nil:
			got = "bad"
		case match:
			got = "yes"
		}
		if got != want {
			t.Errorf("%q: got %s, want %s", s, got, want)
		}
	}
}

// FuzzIfMatch holds that nothing matches but a field that holds the tag, or a star.
func FuzzIfMatch(f *testing.F) {
	for _, s := range []string{`*`, `"v1"`, `W/"v1", "v2"`, `"`, `,,`, `"v1`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		match, err := gateway.ParseIfMatch(s, 1)
		if match && (err != nil || !strings.Contains(s, `"v1"`) && strings.Trim(s, " \t") != "*") {
			t.Errorf("%q matches", s)
		}
	})
}

// FuzzQuery holds that what passes reads one way.
func FuzzQuery(f *testing.F) {
	for _, s := range []string{"a=1&b=2", "a=1&a=2", "a=1;b", "%zz", "a=%00", "a=%ff", "&&", "a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if err := gateway.CheckQuery(s); err != nil {
			if media.KindOf(err) != media.Invalid {
				t.Fatal(err)
			}
			return
		}
		q, err := url.ParseQuery(s)
		if err != nil {
			t.Fatalf("%q passed: %v", s, err)
		}
		for k, vs := range q {
			if len(vs) != 1 || strings.ContainsAny(vs[0], "\x00\r\n") {
				t.Errorf("%q passed with %s=%q", s, k, vs)
			}
		}
	})
}
