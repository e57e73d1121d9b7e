package playback_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/media"
	"sluice/playback"
)

// lms is an LMS where tom owns a course that sue has bought.
type lms struct {
	away  atomic.Bool
	asked atomic.Int64
}

func (l *lms) Record(_ context.Context, s media.Subject) (media.Record, error) {
	l.asked.Add(1)
	if l.away.Load() {
		return media.Record{}, media.Unavailable
	}
	if s != (media.Subject{Type: media.Course, ID: course}) {
		return media.Record{}, media.NotFound
	}
	return media.Record{Subject: s, Owner: "tom"}, nil
}

func (l *lms) Entitled(_ context.Context, user string, subjects []media.Subject) (bool, error) {
	l.asked.Add(1)
	if l.away.Load() {
		return false, media.Unavailable
	}
	for _, s := range subjects {
		if user == "sue" && s == (media.Subject{Type: media.Course, ID: course}) {
			return true, nil
		}
	}
	return false, nil
}

func (*lms) Trusting(context.Context) bool { return false }

func TestLinksAreGivenByRights(t *testing.T) {
	t.Parallel()
	school := &lms{}
	h := open(t, choices{rights: media.Rights{Records: school}})
	bob := media.Principal{Subject: "bob", Roles: []media.Role{media.Student}}
	principals := map[string]media.Principal{"admin": admin, "owner": ann, "course's owner": teacher, "buyer": student, "other": bob, "nobody": nobody}
	missing := h.add(noise(9), nil)
	h.shelf.drop(missing.ID)
	also := func(a *media.Asset) { a.Also = []media.Subject{{Type: media.Course, ID: course}} }
	for _, tt := range []struct {
		name   string
		change func(*media.Asset)
		away   bool
		names  map[string]string // whoever gets a link, and the viewer in it when "eve" is asked for
		ends   string            // whose ends when the asset is private
	}{
		{
			name: "private, in the course", change: in(course),
			names: map[string]string{"admin": "eve", "owner": "eve", "course's owner": "eve", "buyer": "sue"},
		},
		{
			name: "private, in the course by a further place", change: also,
			names: map[string]string{"admin": "eve", "owner": "eve", "course's owner": "eve", "buyer": "sue"},
		},
		{name: "private, elsewhere", change: in(other), names: map[string]string{"admin": "eve", "owner": "eve"}},
		{name: "private, the LMS away", change: in(course), away: true, names: map[string]string{"admin": "eve", "owner": "eve"}},
		{
			name: "public", change: func(a *media.Asset) { in(course)(a); a.Public = true },
			names: map[string]string{"admin": "eve", "owner": "eve", "course's owner": "eve", "buyer": "sue", "other": "bob", "nobody": ""},
			ends:  "buyer other nobody",
		},
		{
			name: "public, the LMS away", change: func(a *media.Asset) { in(course)(a); a.Public = true }, away: true,
			names: map[string]string{"admin": "eve", "owner": "eve", "course's owner": "tom", "buyer": "sue", "other": "bob", "nobody": ""},
			ends:  "course's owner buyer other nobody",
		},
		{
			name: "not finished", change: func(a *media.Asset) { in(course)(a); a.State = media.Uploading },
			names: map[string]string{},
		},
	} {
		school.away.Store(tt.away)
		a := h.add(noise(9), tt.change)
		got, links := map[string]string{}, map[string]string{}
		for name, p := range principals {
			link, err := h.links.Link(t.Context(), p, a.ID, playback.LinkRequest{Viewer: "eve"})
			if err != nil {
				_, none := h.links.Link(t.Context(), p, missing.ID, playback.LinkRequest{Viewer: "eve"})
				manages := name == "admin" || name == "owner" || name == "course's owner"
				if diff := cmp.Diff(none, err); diff != "" && !(errors.Is(err, media.Conflict) && manages) {
					t.Errorf("%s, %s: not as for a missing one (-want +got):\n%s", tt.name, name, diff)
				}
				continue
			}
			links[name] = h.server.URL + link.URL
			ticket, err := h.ring.Verify(strings.Split(link.URL, "/")[2], a.ID, 0)
			must(t, err)
			for _, viewer := range []string{"eve", "sue", "bob", "tom", ""} {
				if ticket.Session == media.SessionOf(viewer) {
					got[name] = viewer
				}
			}
		}
		if diff := cmp.Diff(tt.names, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
		a.Public = false
		h.shelf.put(a)
		for name, link := range links {
			want := http.StatusOK
			if strings.Contains(tt.ends, name) && name != "owner" {
				want = http.StatusForbidden
			}
			if got := h.do(http.MethodGet, link).status; got != want {
				t.Errorf("%s, %s: got %d once it is private, want %d", tt.name, name, got, want)
			}
		}
	}
}

func TestStrangersLinksToPublicMediaNeedNoLMS(t *testing.T) {
	t.Parallel()
	school := &lms{}
	h := open(t, choices{rights: media.Rights{Records: school}})
	a := h.add(noise(9), func(a *media.Asset) { in(course)(a); a.Public = true })
	for name, p := range map[string]media.Principal{"a student": student, "nobody": nobody} {
		if _, err := h.links.Link(t.Context(), p, a.ID, playback.LinkRequest{}); err != nil || school.asked.Load() != 0 {
			t.Errorf("%s: %v, and the LMS was asked %d times", name, err, school.asked.Load())
		}
	}
}

func TestABuyerWhoIsDeniedGetsNoLink(t *testing.T) {
	t.Parallel()
	denied := playback.NewDenylist(&ledger{}, playback.DenylistOptions{})
	h := open(t, choices{rights: media.Rights{Records: &lms{}}, Options: playback.Options{Denied: denied}})
	a := h.add(noise(9), in(course))
	link, err := h.links.Link(t.Context(), student, a.ID, playback.LinkRequest{})
	must(t, err)
	_, err = denied.Deny(t.Context(), admin, playback.DenialRequest{Viewer: "sue", CourseID: course})
	must(t, err)
	if got := h.do(http.MethodGet, h.server.URL+link.URL).status; got != http.StatusForbidden {
		t.Errorf("the link answers %d", got)
	}
	if _, err := h.links.Link(t.Context(), student, a.ID, playback.LinkRequest{Viewer: "eve"}); !errors.Is(err, media.Forbidden) {
		t.Errorf("a new one: %v", err)
	}
}
