package playback_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/media"
	"sluice/playback"
)

// ledger is playback.Denials in memory, which all nodes share.
type ledger struct {
	mu      sync.Mutex
	list    []media.Denial
	err     error
	dropped int
	reading func() // called in the middle of a reading
}

func (l *ledger) Deny(_ context.Context, d media.Denial) (media.Denial, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return d, l.err
	}
	for i, o := range l.list {
		if o.ID == d.ID {
			if d.Until.After(o.Until) {
				l.list[i].Until = d.Until
			}
			return l.list[i], nil
		}
	}
	l.list = append(l.list, d)
	return d, nil
}

func (l *ledger) Denials(context.Context) ([]media.Denial, error) {
	l.mu.Lock()
	list, err := append([]media.Denial(nil), l.list...), l.err
	l.mu.Unlock()
	if l.reading != nil {
		l.reading()
	}
	return list, err
}

func (l *ledger) Lift(_ context.Context, id string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, d := range l.list {
		if d.ID == id {
			l.list = append(l.list[:i:i], l.list[i+1:]...)
			return nil
		}
	}
	return media.NotFound
}

func (l *ledger) DropDenials(context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dropped++
	return nil
}

func (l *ledger) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

const (
	course = "507f1f77bcf86cd799439011"
	other  = "507f1f77bcf86cd799439012"
)

func in(course string) func(*media.Asset) {
	return func(a *media.Asset) { a.Placement = media.Placement{Kind: media.CourseVideo, CourseID: course} }
}

func TestOthersAreToldOfADenialAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		source := &ledger{}
		var there *playback.Denylist
		told := 0
		here := playback.NewDenylist(source, playback.DenylistOptions{Tell: func(context.Context) { told++; there.Changed() }})
		there = playback.NewDenylist(source, playback.DenylistOptions{Every: time.Hour})
		ctx, end := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- there.Run(ctx) }()
		synctest.Wait() // its first reading is over
		d, err := here.Deny(t.Context(), admin, playback.DenialRequest{Viewer: "bob"})
		must(t, err)
		synctest.Wait()
		if list, err := there.Denials(ctx, admin); err != nil || len(list) != 1 {
			t.Errorf("the other node knows %v, %v, want the one", list, err)
		}
		must(t, here.Lift(t.Context(), admin, d.ID))
		synctest.Wait()
		if list, err := there.Denials(ctx, admin); err != nil || len(list) != 0 {
			t.Errorf("the other node knows %v, %v, want none", list, err)
		}
		if err := here.Lift(t.Context(), admin, d.ID); !errors.Is(err, media.NotFound) || told != 2 {
			t.Errorf("lifted twice: %v, told %d times, want not found and twice", err, told)
		}
		end()
		must(t, <-done)
	})
}

func TestWhatADenialCovers(t *testing.T) {
	t.Parallel()
	denied := playback.NewDenylist(&ledger{}, playback.DenylistOptions{})
	h := open(t, choices{Options: playback.Options{Denied: denied}})
	assets := []media.Asset{
		h.add(noise(9), in(course)), h.add(noise(9), in(course)), h.add(noise(9), in(other)), h.add(noise(9), nil),
		h.add(noise(9), func(a *media.Asset) { a.Placement.Reference = media.Subject{Type: media.Course, ID: course} }),
		h.add(noise(9), func(a *media.Asset) { a.Placement.Reference = media.Subject{Type: media.Lesson, ID: course} }),
		h.add(noise(9), func(a *media.Asset) { // by a further place
			a.Also = []media.Subject{{Type: media.Lesson, ID: course}, {Type: media.Course, ID: other}, {Type: media.Course, ID: course}}
		}),
		h.add(noise(9), func(a *media.Asset) { // not looked at yet
			a.Placement, a.Unchecked = media.Placement{Kind: media.CourseVideo, CourseID: course}, true
		}),
		h.add(noise(9), func(a *media.Asset) {
			a.Also = []media.Subject{{Type: media.Course}, {Type: media.Product, ID: course}}
		}),
	}
	inCourse := func(a int) bool { return a == 0 || a == 1 || a == 4 || a == 6 || a == 7 }
	viewers := []string{"bob", "sue", ""}
	for _, tt := range []struct {
		name string
		q    playback.DenialRequest
		hit  func(viewer string, asset int) bool
	}{
		{"a viewer, everywhere", playback.DenialRequest{Viewer: "bob"}, func(v string, _ int) bool { return v == "bob" }},
		{"a viewer, one media", playback.DenialRequest{Viewer: "bob", Asset: assets[2].ID}, func(v string, a int) bool { return v == "bob" && a == 2 }},
		{"a course, for everybody", playback.DenialRequest{CourseID: course}, func(_ string, a int) bool { return inCourse(a) }},
		{"another course, for everybody", playback.DenialRequest{CourseID: other}, func(_ string, a int) bool { return a == 2 || a == 6 }},
		{"a course, one media by a further place", playback.DenialRequest{CourseID: course, Asset: assets[6].ID}, func(_ string, a int) bool { return a == 6 }},
		{"a course, one media", playback.DenialRequest{CourseID: course, Asset: assets[0].ID}, func(_ string, a int) bool { return a == 0 }},
		{"a course, a media that is not in it", playback.DenialRequest{CourseID: course, Asset: assets[2].ID}, func(string, int) bool { return false }},
		{"a viewer in a course", playback.DenialRequest{Viewer: "sue", CourseID: course}, func(v string, a int) bool { return v == "sue" && inCourse(a) }},
	} {
		d, err := denied.Deny(t.Context(), admin, tt.q)
		must(t, err)
		for _, viewer := range viewers {
			for i, a := range assets {
				want := 206
				if tt.hit(viewer, i) {
					want = 403
				}
				u := h.ticket(a, func(t *media.Ticket) { t.Session = media.SessionOf(viewer) })
				got := h.do(http.MethodGet, u, "Range", "bytes=1-2")
				if got.status != want || want == 403 && (!strings.Contains(string(got.body), `"link_revoked"`) || got.header.Get("Cache-Control") != "no-store") {
					t.Errorf("%s: %q gets %d for media %d, want %d: %s", tt.name, viewer, got.status, i, want, got.body)
				}
				_, err := h.links.Link(t.Context(), admin, a.ID, playback.LinkRequest{Viewer: viewer})
				if errors.Is(err, media.Forbidden) != (want == 403) {
					t.Errorf("%s: a new link of media %d for %q: %v", tt.name, i, viewer, err)
				}
			}
		}
		must(t, denied.Lift(t.Context(), admin, d.ID))
	}
}

func TestADenialHoldsAgainstConditionsAndGrants(t *testing.T) {
	t.Parallel()
	denied := playback.NewDenylist(&ledger{}, playback.DenylistOptions{})
	var id media.AssetID
	h := open(t, choices{Options: playback.Options{Denied: denied, OpenPlayGrant: func(viewer string) (playback.PlayGrant, error) {
		return playback.PlayGrant{Asset: id, Use: media.Play, Viewer: viewer, Expires: time.Now().Add(time.Hour)}, nil
	}}})
	a := h.add(noise(9), public)
	id = a.ID
	u, grant := h.ticket(a, nil), h.server.URL+"/play/"+id.String()+"?grant=bob"
	for range 3 { // until it is hot
		if h.do(http.MethodGet, u).status != 200 || h.do(http.MethodGet, grant).status != 302 {
			t.Fatal("it does not play")
		}
	}
	tag := h.do(http.MethodHead, u).header.Get("Etag")
	_, err := denied.Deny(t.Context(), admin, playback.DenialRequest{Viewer: "bob"})
	must(t, err)
	for _, header := range [][]string{nil, {"If-None-Match", tag}, {"If-Match", `"x"`}, {"Range", "bytes=0-0"}, {"Range", "bytes=99-"}, {"Range", "bytes=0-0,2-3"}} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			if got := h.do(method, u, header...); got.status != 403 {
				t.Errorf("%s with %v: got %d, want 403", method, header, got.status)
			}
		}
	}
	if got := h.do(http.MethodGet, grant); got.status != 403 || got.header.Get("Location") != "" {
		t.Errorf("a grant of who is denied: got %d", got.status)
	}
	if h.do(http.MethodGet, strings.Replace(grant, "bob", "sue", 1)).status != 302 || h.do(http.MethodGet, h.public(a)).status != 200 {
		t.Error("others, or what is public, is denied too")
	}
	if _, err := h.links.Link(t.Context(), media.Principal{Subject: "bob", Roles: []media.Role{media.Student}}, id, playback.LinkRequest{}); !errors.Is(err, media.Forbidden) {
		t.Errorf("who is denied gets a link for himself: %v", err)
	}
}

func TestWhoMayDeny(t *testing.T) {
	t.Parallel()
	source := &ledger{}
	denied := playback.NewDenylist(source, playback.DenylistOptions{})
	for p, want := range map[*media.Principal]error{&nobody: media.Unauthenticated, &student: media.Forbidden, &ann: media.Forbidden, &admin: nil} {
		d, err := denied.Deny(t.Context(), *p, playback.DenialRequest{Viewer: "bob"})
		_, listed := denied.Denials(t.Context(), *p)
		lifted := denied.Lift(t.Context(), *p, d.ID)
		for _, err := range []error{err, listed, lifted} {
			if !errors.Is(err, want) {
				t.Errorf("%q: got %v, want %v", p.Subject, err, want)
			}
		}
	}
	if len(source.list) != 0 {
		t.Errorf("left: %+v", source.list)
	}
}

func TestWhatADenialMayBe(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0).UTC()
	const week = 7 * 24 * time.Hour
	denied := playback.NewDenylist(&ledger{}, playback.DenylistOptions{Now: func() time.Time { return now }, Limit: 3, Signer: signer(1)})
	for _, tt := range []struct {
		name string
		q    playback.DenialRequest
		want error
	}{
		{"nobody", playback.DenialRequest{}, media.Invalid},
		{"a media alone", playback.DenialRequest{Asset: media.NewAssetID(now)}, media.Invalid},
		{"a course by a name", playback.DenialRequest{CourseID: "go"}, media.Invalid},
		{"a viewer of control bytes", playback.DenialRequest{Viewer: "a\nb"}, media.Invalid},
		{"a viewer of no text", playback.DenialRequest{Viewer: "\xff"}, media.Invalid},
		{"a viewer too long", playback.DenialRequest{Viewer: strings.Repeat("v", 256)}, media.Invalid},
		{"a time that was", playback.DenialRequest{Viewer: "bob", ExpiresIn: -time.Second}, media.Invalid},
		{"more than a year", playback.DenialRequest{Viewer: "bob", ExpiresIn: 367 * 24 * time.Hour}, media.Invalid},
		{"the longest viewer", playback.DenialRequest{Viewer: strings.Repeat("v", 255)}, nil},
		{"a year", playback.DenialRequest{Viewer: "ann", ExpiresIn: 366 * 24 * time.Hour}, nil},
		{"no time given", playback.DenialRequest{Viewer: "bob"}, nil},
		{"a key and a viewer", playback.DenialRequest{OfKey: true, Key: 2, Viewer: "bob"}, media.Invalid},
		{"a key and a course", playback.DenialRequest{OfKey: true, Key: 2, CourseID: course}, media.Invalid},
		{"a key and a media", playback.DenialRequest{OfKey: true, Key: 2, Asset: media.NewAssetID(now)}, media.Invalid},
		{"the key that signs", playback.DenialRequest{OfKey: true, Key: 1}, media.Conflict},
		{"one too many", playback.DenialRequest{Viewer: "sue"}, media.Conflict},
		{"one that is there, of a full list", playback.DenialRequest{Viewer: "bob"}, nil},
	} {
		d, err := denied.Deny(t.Context(), admin, tt.q)
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
		// The longest link lives a quarter longer than asked, and the denial of it at least as long.
		if tt.want == nil && tt.q.ExpiresIn == 0 && d.Until.Before(now.Add(week+week/4)) {
			t.Errorf("%s: over at %v", tt.name, d.Until)
		}
	}
	now = now.Add(2 * week)
	if _, err := denied.Deny(t.Context(), admin, playback.DenialRequest{Viewer: "sue"}); err != nil {
		t.Errorf("what is over still takes room: %v", err)
	}
}

func TestADenialIsOverAtItsEnd(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	clock := func() time.Time { return now }
	denied := playback.NewDenylist(&ledger{}, playback.DenylistOptions{Now: clock})
	h := open(t, choices{Options: playback.Options{Denied: denied, Now: clock}})
	a := h.add(noise(9), func(a *media.Asset) { a.StoredAt = now.Add(-time.Hour) })
	u := h.ticket(a, func(t *media.Ticket) { t.Expires = now.Add(time.Hour) })
	for _, life := range []time.Duration{time.Minute, 2 * time.Minute, time.Minute} { // the later end holds
		_, err := denied.Deny(t.Context(), admin, playback.DenialRequest{Viewer: "bob", ExpiresIn: life})
		must(t, err)
	}
	for _, step := range []struct {
		after time.Duration
		want  int
	}{{0, 403}, {2*time.Minute - 1, 403}, {1, 200}} {
		now = now.Add(step.after)
		if got := h.do(http.MethodGet, u).status; got != step.want {
			t.Errorf("%v later: got %d, want %d", step.after, got, step.want)
		}
	}
	list, err := denied.Denials(t.Context(), admin)
	if err != nil || len(list) != 0 {
		t.Errorf("got %v, %v, want none in force", list, err)
	}
}

// Two nodes share a catalogue: each knows within half a second what the other was told, and goes on with what it knows without it.
func TestOtherNodesKnowWithinASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		source := &ledger{}
		here, there := playback.NewDenylist(source, playback.DenylistOptions{}), playback.NewDenylist(source, playback.DenylistOptions{})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- there.Run(ctx) }()
		known := func() string {
			<-time.After(510 * time.Millisecond)
			synctest.Wait()
			list, err := there.Denials(ctx, admin)
			must(t, err)
			names := ""
			for _, d := range list {
				names += d.Viewer + " "
			}
			return names
		}
		ann, err := here.Deny(ctx, admin, playback.DenialRequest{Viewer: "ann"})
		must(t, err)
		_, err = here.Deny(ctx, admin, playback.DenialRequest{Viewer: "bob"})
		must(t, err)
		if got := known(); got != "ann bob " {
			t.Errorf("got %q", got)
		}
		source.fail(media.Unavailable)
		if got := known(); got != "ann bob " {
			t.Errorf("with the catalogue away: got %q", got)
		}
		if _, err := there.Deny(ctx, admin, playback.DenialRequest{Viewer: "sue"}); !errors.Is(err, media.Unavailable) {
			t.Errorf("a denial that cannot be kept: %v", err)
		}
		source.fail(nil)
		must(t, here.Lift(ctx, admin, ann.ID))
		if got := known(); got != "bob " {
			t.Errorf("after a lift: got %q", got)
		}
		if err := there.Lift(ctx, admin, ann.ID); !errors.Is(err, media.NotFound) {
			t.Errorf("lifted twice: %v", err)
		}
		if source.dropped != 1 {
			t.Errorf("what is over was dropped %d times in two seconds, want once", source.dropped)
		}
		stop()
		must(t, <-done)
	})
}

// A reading that began before a denial must not take it back when it ends after it.
func TestAReadingUnderWayTakesNothingBack(t *testing.T) {
	t.Parallel()
	source := &ledger{}
	denied := playback.NewDenylist(source, playback.DenylistOptions{})
	begun, goOn := make(chan struct{}), make(chan struct{})
	source.reading = sync.OnceFunc(func() { close(begun); <-goOn })
	var both sync.WaitGroup
	both.Go(func() {
		if err := denied.Load(t.Context()); err != nil {
			t.Error(err)
		}
	})
	<-begun
	both.Go(func() {
		if _, err := denied.Deny(t.Context(), admin, playback.DenialRequest{Viewer: "bob"}); err != nil {
			t.Error(err)
		}
	})
	close(goOn)
	both.Wait()
	list, err := denied.Denials(t.Context(), admin)
	if err != nil || len(list) != 1 {
		t.Errorf("got %v, %v, want bob", list, err)
	}
}

func TestALoadedListIsInForce(t *testing.T) {
	t.Parallel()
	source := &ledger{}
	first := playback.NewDenylist(source, playback.DenylistOptions{})
	for i := range 50 {
		_, err := first.Deny(t.Context(), admin, playback.DenialRequest{Viewer: fmt.Sprint("v", i)})
		must(t, err)
	}
	again := playback.NewDenylist(source, playback.DenylistOptions{})
	must(t, again.Load(t.Context()))
	want, err := first.Denials(t.Context(), admin)
	must(t, err)
	got, err := again.Denials(t.Context(), admin)
	must(t, err)
	if d := cmp.Diff(want, got); d != "" || len(got) != 50 {
		t.Error(d)
	}
}
