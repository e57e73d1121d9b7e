package playback_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/media"
	"sluice/playback"
)

func TestAStrangersLinkEndsWithIsPublic(t *testing.T) {
	t.Parallel()
	h := open(t, choices{})
	a := h.add(noise(9), public)
	links := map[string]string{}
	for name, p := range map[string]media.Principal{"the owner": ann, "an admin": admin, "another instructor": teacher, "a student": student} {
		link, err := h.links.Link(t.Context(), p, a.ID, playback.LinkRequest{Viewer: "v"})
		must(t, err)
		links[name] = h.server.URL + link.URL
	}
	statuses := func() map[string]int {
		got := map[string]int{}
		for name, link := range links {
			got[name] = h.do("GET", link).status
		}
		return got
	}
	if diff := cmp.Diff(map[string]int{"the owner": 200, "an admin": 200, "another instructor": 200, "a student": 200}, statuses()); diff != "" {
		t.Errorf("while it is public (-want +got):\n%s", diff)
	}
	a.Public = false
	h.shelf.put(a)
	if diff := cmp.Diff(map[string]int{"the owner": 200, "an admin": 200, "another instructor": 403, "a student": 403}, statuses()); diff != "" {
		t.Errorf("private again (-want +got):\n%s", diff)
	}
}

func TestPrivateAndMissingMediaLookAlike(t *testing.T) {
	t.Parallel()
	h := open(t, choices{})
	private, missing := h.add(noise(9), nil), h.add(noise(9), nil)
	h.shelf.drop(missing.ID)
	want, got := h.do("GET", h.public(missing)), h.do("GET", h.public(private))
	told := func(a answer) string {
		text, _, _ := strings.Cut(string(a.body), `,"requestId"`)
		return text
	}
	if got.status != 404 || want.status != 404 || told(got) != told(want) {
		t.Errorf("on /m/: got %d %s, want %d %s", got.status, got.body, want.status, want.body)
	}
	_, none := h.links.Link(t.Context(), teacher, missing.ID, playback.LinkRequest{})
	_, hidden := h.links.Link(t.Context(), teacher, private.ID, playback.LinkRequest{})
	if diff := cmp.Diff(none, hidden); diff != "" {
		t.Errorf("links (-missing +private):\n%s", diff)
	}
}
