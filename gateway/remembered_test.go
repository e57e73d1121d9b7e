package gateway_test

import (
	"net/http"
	"strings"
	"testing"

	"sluice/gateway"
	"sluice/media"
)

func TestAReadTellsWhetherItWasRemembered(t *testing.T) {
	t.Parallel()
	w := setup(t, nil)
	w.furnish()
	path, ida := "/api/media/"+idOf(1).String(), as("ida", "instructor")
	read := func(want string, parts ...string) {
		t.Helper()
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			resp, body := w.do(method, path, "", ida)
			if got := resp.Header.Get("X-Cache"); resp.StatusCode != http.StatusOK || got != want {
				t.Errorf("%s: %d, X-Cache %q, want 200 and %q", method, resp.StatusCode, got, want)
			}
			for _, part := range parts {
				if method == http.MethodGet && !strings.Contains(body, part) {
					t.Errorf("the answer has no %s: %s", part, body)
				}
			}
		}
	}
	if resp, _ := w.do(http.MethodGet, path, "", ida); resp.Header.Get("X-Cache") != "miss" {
		t.Errorf("the first read: X-Cache %q, want miss", resp.Header.Get("X-Cache"))
	}
	read("hit", `"accessCount":0`)
	w.counter.Record(media.Access{Asset: idOf(1), At: now, View: true})
	read("hit", `"accessCount":1`) // counts are never remembered
	title := "Another"
	if _, err := w.shelf.Change(t.Context(), idOf(1), 1, media.Change{Title: &title}); err != nil {
		t.Fatal(err)
	}
	read("miss", `"title":"Another"`, `"accessCount":1`) // what others changed is seen at once
	if resp, _ := w.do(http.MethodGet, "/api/media/"+idOf(99).String(), "", ida); resp.Header.Get("X-Cache") != "" {
		t.Error("what is not there has an X-Cache")
	}
}

func TestRightsAreThoseOfNow(t *testing.T) {
	t.Parallel()
	w := setup(t, nil)
	w.furnish()
	path := "/api/media/" + idOf(2).String()
	public := func(yes bool) {
		t.Helper()
		a, err := w.shelf.Asset(t.Context(), idOf(2))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.shelf.Change(t.Context(), a.ID, a.Version, media.Change{Public: &yes}); err != nil {
			t.Fatal(err)
		}
	}
	for _, yes := range []bool{true, false, true} {
		public(yes)
		want := http.StatusNotFound
		if yes {
			want = http.StatusOK
		}
		for range 2 {
			if resp, body := w.do(http.MethodGet, path, ""); resp.StatusCode != want {
				t.Errorf("public=%v: %d %s, want %d", yes, resp.StatusCode, body, want)
			}
		}
	}
	if err := w.shelf.Doom(t.Context(), idOf(2), 0); err != nil {
		t.Fatal(err)
	}
	if resp, _ := w.do(http.MethodGet, path, ""); resp.StatusCode != http.StatusNotFound {
		t.Errorf("deleted: %d", resp.StatusCode)
	}
}

func TestXCacheIsExposedToPages(t *testing.T) {
	t.Parallel()
	w := setup(t, func(o *gateway.Options) { o.CORSOrigins = []string{"https://app.example.com"} })
	w.furnish()
	resp, _ := w.do(http.MethodGet, "/api/media/"+idOf(2).String(), "", "Origin: https://app.example.com")
	if got := resp.Header.Get("Access-Control-Expose-Headers"); !strings.Contains(got, "X-Cache") {
		t.Errorf("exposed are %q", got)
	}
}
