package playback_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sluice/media"
	"sluice/playback"
)

func newRecorded(t *testing.T) (*http.Request, *httptest.ResponseRecorder) {
	t.Helper()
	return httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/media/x/content", nil), httptest.NewRecorder()
}

var (
	admin   = media.Principal{Subject: "root", Roles: []media.Role{media.Admin}}
	ann     = media.Principal{Subject: "ann", Roles: []media.Role{media.Instructor}}
	teacher = media.Principal{Subject: "tom", Roles: []media.Role{media.Instructor}}
	student = media.Principal{Subject: "sue", Roles: []media.Role{media.Student}}
	nobody  = media.Principal{}
)

func TestWhoMayHaveALink(t *testing.T) {
	t.Parallel()
	h := open(t, choices{})
	private, open, unfinished := h.add(noise(9), nil), h.add(noise(9), public), h.add(noise(9), func(a *media.Asset) { a.State = media.Uploading })
	tests := []struct {
		name string
		p    media.Principal
		id   media.AssetID
		q    playback.LinkRequest
		want error
	}{
		{"an admin gets every link", admin, private.ID, playback.LinkRequest{}, nil},
		{"an owner gets a link to their own", ann, private.ID, playback.LinkRequest{}, nil},
		{"another instructor learns nothing", teacher, private.ID, playback.LinkRequest{}, media.NotFound},
		{"a student learns nothing of what is private", student, private.ID, playback.LinkRequest{}, media.NotFound},
		{"a student gets a link to what is public", student, open.ID, playback.LinkRequest{}, nil},
		{"nobody in particular gets a link to what is public", nobody, open.ID, playback.LinkRequest{}, nil},
		{"a student who calls herself the owner is still a student", media.Principal{Subject: "ann", Roles: []media.Role{media.Student}}, private.ID, playback.LinkRequest{}, media.NotFound},
		{"a missing media is not found", admin, media.NewAssetID(time.Now()), playback.LinkRequest{}, media.NotFound},
		{"an unfinished one is a conflict", ann, unfinished.ID, playback.LinkRequest{}, media.Conflict},
		{"an unfinished one of others is not found", teacher, unfinished.ID, playback.LinkRequest{}, media.NotFound},
		{"a second is long enough", admin, private.ID, playback.LinkRequest{ExpiresIn: time.Second}, nil},
		{"less than a second is invalid", admin, private.ID, playback.LinkRequest{ExpiresIn: time.Second - 1}, media.Invalid},
		{"a negative life is invalid", admin, private.ID, playback.LinkRequest{ExpiresIn: -time.Hour}, media.Invalid},
		{"seven days are short enough", admin, private.ID, playback.LinkRequest{ExpiresIn: 7 * 24 * time.Hour}, nil},
		{"more than seven days are invalid", admin, private.ID, playback.LinkRequest{ExpiresIn: 7*24*time.Hour + 1}, media.Invalid},
		{"an unknown use is invalid", admin, private.ID, playback.LinkRequest{Use: 4}, media.Invalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			link, err := h.links.Link(t.Context(), tt.p, tt.id, tt.q)
			if !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			if err == nil && h.do(http.MethodGet, h.server.URL+link.URL).status != 200 {
				t.Errorf("%s does not play", link.URL)
			}
		})
	}
}

func TestWhoseALinkIs(t *testing.T) {
	t.Parallel()
	h := open(t, choices{})
	a := h.add(noise(9), public)
	for _, tt := range []struct {
		name    string
		p       media.Principal
		viewer  string
		own     bool
		session string
	}{
		{"the owner, for the owner", ann, "ann", true, "ann"},
		{"the owner, for nobody in particular: it is for others", ann, "", false, ""},
		{"the owner, for a student", ann, "sue", false, "sue"},
		{"an admin, for the owner", admin, "ann", true, "ann"},
		{"a student who names the owner gets one for herself", student, "ann", false, "sue"},
		{"nobody who names the owner gets one for nobody", nobody, "ann", false, ""},
	} {
		link, err := h.links.Link(t.Context(), tt.p, a.ID, playback.LinkRequest{Viewer: tt.viewer})
		must(t, err)
		ticket, err := h.ring.Verify(strings.Split(link.URL, "/")[2], a.ID, 0)
		must(t, err)
		if ticket.Own != tt.own || ticket.Session != media.SessionOf(tt.session) || !ticket.Expires.Equal(link.ExpiresAt) {
			t.Errorf("%s: got %+v", tt.name, ticket)
		}
	}
}

func TestExpiryIsQuantised(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	h := open(t, choices{Options: playback.Options{Now: func() time.Time { return now }}})
	a := h.add(noise(9), func(a *media.Asset) { a.StoredAt = now.Add(-time.Hour) })
	rapid.Check(t, func(rt *rapid.T) {
		life := time.Duration(rapid.Int64Range(int64(time.Second), int64(7*24*time.Hour)).Draw(rt, "life"))
		now = time.Unix(1_800_000_000, rapid.Int64Range(0, int64(40*24*time.Hour)).Draw(rt, "now"))
		link, err := h.links.Link(t.Context(), ann, a.ID, playback.LinkRequest{ExpiresIn: life})
		if err != nil {
			rt.Fatal(err)
		}
		over := link.ExpiresAt.Sub(now) - life
		if over < 0 || over > max(life/4, time.Second)+time.Second {
			rt.Fatalf("a life of %v is %v longer", life, over)
		}
		// Asked again within what is over, it is the same.
		now = now.Add(over)
		again, err := h.links.Link(t.Context(), ann, a.ID, playback.LinkRequest{ExpiresIn: life})
		if err != nil || again != link {
			rt.Fatalf("got %v, %v, want %v again", again, err, link)
		}
	})
}

func TestABatchAnswersEachByItself(t *testing.T) {
	t.Parallel()
	h := open(t, choices{})
	a, b := h.add(noise(9), nil), h.add(noise(9), func(a *media.Asset) { a.Owner = "tom" })
	got, err := h.links.Links(t.Context(), ann, []playback.LinkFor{{Asset: a.ID}, {Asset: b.ID}, {Asset: a.ID, LinkRequest: playback.LinkRequest{Use: 9}}})
	must(t, err)
	if len(got) != 3 || got[0].Err != nil || got[0].Link.URL == "" || !errors.Is(got[1].Err, media.NotFound) || !errors.Is(got[2].Err, media.Invalid) {
		t.Errorf("got %+v", got)
	}
	if _, err := h.links.Links(t.Context(), ann, make([]playback.LinkFor, 201)); !errors.Is(err, media.Invalid) {
		t.Errorf("got %v, want invalid", err)
	}
}

func TestURLsEndInAnExtension(t *testing.T) {
	t.Parallel()
	h := open(t, choices{})
	for filename, want := range map[string]string{
		"lecture.MP4": "/original.mp4", "": "/original.mp4", "a.b/c": "/original.mp4", "archive.tar.gz": "/original.gz", "x.\"\r\n": "/original.mp4",
		"no-extension": "/original.mp4",
	} {
		a := h.add(noise(9), func(a *media.Asset) { a.Filename, a.Public = filename, true })
		link, err := h.links.Link(t.Context(), ann, a.ID, playback.LinkRequest{})
		must(t, err)
		for _, u := range []string{link.URL, playback.PublicURL(a)} {
			if !strings.HasSuffix(u, want) || h.do(http.MethodGet, h.server.URL+u).status != 200 {
				t.Errorf("%q: got %s, want %s at its end, and that it plays", filename, u, want)
			}
		}
	}
	if u := playback.PublicURL(h.add(noise(9), nil)); u != "" {
		t.Errorf("a private media has the public URL %s", u)
	}
}

func TestContentURLIsTheSendersOwn(t *testing.T) {
	t.Parallel()
	h := open(t, choices{})
	a := h.add(noise(9), nil)
	u, err := h.links.ContentURL(t.Context(), a)
	must(t, err)
	if got := h.do(http.MethodGet, h.server.URL+u); got.status != 200 {
		t.Errorf("got %d", got.status)
	}
	if seen := h.tally.take(); len(seen) != 0 {
		t.Errorf("got %v, want nothing counted", seen)
	}
	a.State = media.Uploading
	if _, err := h.links.ContentURL(t.Context(), a); !errors.Is(err, media.Conflict) {
		t.Errorf("got %v, want a conflict", err)
	}
}
