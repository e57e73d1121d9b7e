package curation_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/curation"
	"sluice/media"
)

var now = time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC)

// TestWhoMayDoWhat goes through every operation, role and ownership.
func TestWhoMayDoWhat(t *testing.T) {
	t.Parallel()
	const ok, missing, nobody, no = "yes", "not found", "unauthenticated", "forbidden"
	people := []struct {
		name string
		p    media.Principal
	}{
		{"admin", who("root", media.Admin)},
		{"owner", who("ida", media.Instructor)},
		{"other instructor", who("ivo", media.Instructor)},
		{"student", who("sam", media.Student)},
		{"owner now a student", who("ida", media.Student)},
		{"no role", who("ida")},
		{"upload grant", media.Principal{Grant: &media.UploadGrant{Owner: "ida"}}},
		{"anonymous", media.Principal{}},
	}
	title := "t"
	seen := map[string][]string{
		"private": {ok, ok, missing, missing, missing, missing, missing, missing},
		"public":  {ok, ok, ok, ok, ok, ok, ok, ok},
		"unready": {ok, ok, missing, missing, missing, missing, missing, missing},
		"partial": {missing, missing, missing, missing, missing, missing, missing, missing},
		"absent":  {missing, missing, missing, missing, missing, missing, missing, missing},
	}
	operations := []struct {
		name string
		do   func(*curation.Service, media.Principal, media.AssetID) error
		want map[string][]string // per visibility: admin, owner, other instructor, student, owner now a student, no role, grant, anonymous
	}{
		{"read", func(s *curation.Service, p media.Principal, id media.AssetID) error {
			_, err := s.Read(t.Context(), p, id)
			return err
		}, seen},
		{"glance", func(s *curation.Service, p media.Principal, id media.AssetID) error {
			_, _, err := s.Glance(t.Context(), p, id)
			return err
		}, seen},
		{"change", func(s *curation.Service, p media.Principal, id media.AssetID) error {
			_, err := s.Change(t.Context(), p, id, 3, media.Change{Title: &title})
			return err
		}, managed(ok, missing, nobody)},
		{"revoke", func(s *curation.Service, p media.Principal, id media.AssetID) error {
			_, err := s.Revoke(t.Context(), p, id)
			return err
		}, managed(ok, missing, nobody)},
		{"delete", func(s *curation.Service, p media.Principal, id media.AssetID) error {
			return s.Delete(t.Context(), p, id, 3)
		}, managed(ok, missing, nobody)},
		{"add", func(s *curation.Service, p media.Principal, _ media.AssetID) error {
			_, err := s.Add(t.Context(), p, media.Asset{ExternalURL: "https://cdn.example.com/a.mp4"})
			return err
		}, map[string][]string{"private": {ok, ok, ok, no, no, no, nobody, nobody}}},
	}
	for _, op := range operations {
		for visibility, want := range op.want {
			for i, person := range people {
				t.Run(op.name+"/"+visibility+"/"+person.name, func(t *testing.T) {
					t.Parallel()
					s, sh := setup()
					var id media.AssetID
					switch visibility {
					case "private":
						id = sh.put(1, "ida", false, media.Ready)
					case "public":
						id = sh.put(1, "ida", true, media.Ready)
					case "unready":
						id = sh.put(1, "ida", true, media.Uploading)
					case "partial":
						id = sh.put(1, "ida", true, media.Ready)
						a := sh.rows[id]
						a.Upload.Partial = true
						sh.rows[id] = a
					case "absent":
						id = idOf(9)
					}
					err := op.do(s, person.p, id)
					got := ok
					if err != nil {
						got = media.KindOf(err).Error()
					}
					if got != want[i] {
						t.Errorf("got %s (%v), want %s", got, err, want[i])
					}
					if want[i] != ok && len(sh.did) > 0 {
						t.Errorf("refused, and yet did %v", sh.did)
					}
				})
			}
		}
	}
}

// remembered is a memory that nobody tells of changes.
type remembered map[media.AssetID]media.Asset

func (m remembered) Lookup(_ context.Context, id media.AssetID) (media.Asset, bool, error) {
	a, ok := m[id]
	if !ok {
		return a, true, media.NotFound
	}
	return a, true, nil
}

func TestMemoryRefusesNobodyAndShowsNothingOld(t *testing.T) {
	t.Parallel()
	_, sh := setup()
	old := remembered{}
	s := curation.New(sh, sh, curation.Options{Memory: old})
	anyone := media.Principal{}
	opened, closed, gone, grown, made := sh.put(1, "ida", true, media.Ready), sh.put(2, "ida", false, media.Ready), sh.put(3, "ida", true, media.Ready), sh.put(4, "ida", true, media.Ready), sh.put(5, "ida", true, media.Ready)
	for id, change := range map[media.AssetID]func(*media.Asset){
		opened: func(a *media.Asset) { a.Public = false },
		closed: func(a *media.Asset) { a.Public = true },
		gone:   func(*media.Asset) {},
		grown:  func(*media.Asset) {},
	} {
		a := sh.rows[id]
		if id == opened || id == closed {
			a.Version--
		}
		change(&a)
		old[id] = a
	}
	delete(sh.rows, gone)
	a := sh.rows[grown]
	a.AccessCount, a.BytesServed = 7, 1<<40
	sh.rows[grown] = a
	look := func(id media.AssetID) (media.Asset, bool, error) {
		a, known, err := s.Glance(t.Context(), anyone, id)
		if err != nil {
			return a, known, err
		}
		a, same, err := s.Current(t.Context(), anyone, a)
		return a, known && same, err
	}
	for name, c := range map[string]struct {
		id     media.AssetID
		err    error
		known  bool
		counts int64
	}{
		"private in memory, public now":      {opened, nil, false, 0},
		"public in memory, private now":      {closed, media.NotFound, false, 0},
		"in memory, deleted now":             {gone, media.NotFound, false, 0},
		"fetched since":                      {grown, nil, true, 7},
		"missing in memory, there since now": {made, nil, false, 0},
	} {
		if a, known, err := look(c.id); !errors.Is(err, c.err) || known != c.known || a.AccessCount != c.counts {
			t.Errorf("%s: %v, known %v, %d views; want %v, %v, %d", name, err, known, a.AccessCount, c.err, c.known, c.counts)
		}
	}
}

func managed(ok, missing, nobody string) map[string][]string {
	mine := []string{ok, ok, missing, missing, missing, missing, nobody, nobody}
	none := []string{missing, missing, missing, missing, missing, missing, nobody, nobody}
	return map[string][]string{"private": mine, "public": mine, "unready": mine, "partial": none, "absent": none}
}

func TestFindIsScoped(t *testing.T) {
	t.Parallel()
	finished := []media.State{media.Stored, media.Processing, media.Ready, media.Failed}
	for _, c := range []struct {
		name   string
		p      media.Principal
		states []media.State
		want   media.Query
		listed bool
	}{
		{"an admin sees everybody's", who("root", media.Admin), nil, media.Query{AnyOwner: true, PublicToo: true, Limit: 50}, true},
		{"an instructor sees their own and public ones", who("ida", media.Instructor), nil, media.Query{Owner: "ida", PublicToo: true, Limit: 50}, true},
		{"a student sees finished public ones", who("sam", media.Student), nil, media.Query{PublicToo: true, States: finished, Limit: 50}, true},
		{"nobody sees finished public ones", media.Principal{}, []media.State{media.Ready, media.Uploading}, media.Query{PublicToo: true, States: []media.State{media.Ready}, Limit: 50}, true},
		{"a stranger sees no uploads on their way", media.Principal{}, []media.State{media.Uploading}, media.Query{}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, sh := setup()
			_, err := s.Find(t.Context(), c.p, media.Query{Owner: "victim", AnyOwner: true, States: c.states})
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, sh.query); d != "" {
				t.Error(d)
			}
			if got := len(sh.did) == 1; got != c.listed {
				t.Errorf("listed %v, want %v", got, c.listed)
			}
		})
	}
}

func TestFindByUploaderIsForAdminsAndOneself(t *testing.T) {
	t.Parallel()
	no := false
	finished := []media.State{media.Stored, media.Processing, media.Ready, media.Failed}
	for _, c := range []struct {
		name, by string
		p        media.Principal
		want     media.Query
		listed   bool
	}{
		{"an admin asks for anybody's", "ida", who("root", media.Admin), media.Query{AnyOwner: true, PublicToo: true, UploadedBy: "ida", Public: &no, Limit: 50}, true},
		{"an instructor asks for their own", "ida", who("ida", media.Instructor), media.Query{Owner: "ida", PublicToo: true, UploadedBy: "ida", Public: &no, Limit: 50}, true},
		{"an instructor asks for another's", "ivo", who("ida", media.Instructor), media.Query{}, false},
		{"a student asks for their own", "sam", who("sam", media.Student), media.Query{PublicToo: true, UploadedBy: "sam", Public: &no, States: finished, Limit: 50}, true},
		{"a student asks for another's", "ida", who("sam", media.Student), media.Query{}, false},
		{"nobody asks", "ida", media.Principal{}, media.Query{}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, sh := setup()
			l, err := s.Find(t.Context(), c.p, media.Query{UploadedBy: c.by, Public: &no})
			if err != nil || len(l.Items) > 0 {
				t.Fatalf("got %v, %v", l, err)
			}
			if d := cmp.Diff(c.want, sh.query); d != "" {
				t.Error(d)
			}
			if got := len(sh.did) == 1; got != c.listed {
				t.Errorf("listed %v, want %v", got, c.listed)
			}
		})
	}
}

func TestAddGuessesTheTypeByTheName(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]media.Asset{
		"https://cdn.example.com/a.mp4":           {MIMEType: "video/mp4", Type: media.Video},
		"https://cdn.example.com/A.PNG?x=.mp4#.c": {MIMEType: "image/png", Type: media.Image},
		"https://cdn.example.com/a%2Emp3":         {MIMEType: "audio/mpeg", Type: media.Audio},
		"https://cdn.example.com/a":               {MIMEType: "application/octet-stream", Type: media.Document},
		"https://cdn.mp4/":                        {MIMEType: "application/octet-stream", Type: media.Document},
	} {
		s, _ := setup()
		got, err := s.Add(t.Context(), who("ida", media.Instructor), media.Asset{ExternalURL: url})
		if err != nil || got.MIMEType != want.MIMEType || got.Type != want.Type {
			t.Errorf("%s: got %s, %s, %v, want %s, %s", url, got.MIMEType, got.Type, err, want.MIMEType, want.Type)
		}
	}
	s, _ := setup()
	if got, err := s.Add(t.Context(), who("ida", media.Instructor), media.Asset{ExternalURL: "https://x.example/watch", Filename: "a.webm"}); err != nil || got.MIMEType != "video/webm" {
		t.Errorf("by the file name: %v, %v", got.MIMEType, err)
	}
	if got, err := s.Add(t.Context(), who("ida", media.Instructor), media.Asset{ExternalURL: "https://x.example/a.mp4", MIMEType: "audio/mp4"}); err != nil || got.MIMEType != "audio/mp4" {
		t.Errorf("what was said: %v, %v", got.MIMEType, err)
	}
}

func TestFindRefusesWhatNoListKnows(t *testing.T) {
	t.Parallel()
	for field, q := range map[string]media.Query{
		"limit":          {Limit: 201},
		"uploadedBy":     {UploadedBy: "a\nb"},
		"state":          {States: []media.State{"gone"}},
		"sort":           {Sort: "createdAt; drop table assets"},
		"storageType":    {StorageType: "tape"},
		"mediaType":      {Type: "smell"},
		"referenceType":  {Reference: media.Subject{Type: "planet"}},
		"referenceId":    {Reference: media.Subject{ID: `{"$gt":""}`}},
		"mongoProductId": {Placement: media.Placement{ProductID: "507F1F77BCF86CD799439011"}},
		"mongoCourseId":  {Placement: media.Placement{CourseID: "1"}},
		"kind":           {Placement: media.Placement{Kind: "x"}},
		"videoType":      {Placement: media.Placement{VideoType: "x"}},
		"resourceType":   {Placement: media.Placement{ResourceType: "x"}},
	} {
		t.Run(field, func(t *testing.T) {
			t.Parallel()
			s, sh := setup()
			_, err := s.Find(t.Context(), who("root", media.Admin), q)
			wantInvalid(t, err, field)
			if len(sh.did) > 0 {
				t.Errorf("did %v", sh.did)
			}
		})
	}
}

func wantInvalid(t *testing.T, err error, field string) {
	t.Helper()
	e, ok := errors.AsType[*media.Error](err)
	if !ok || e.Kind != media.Invalid || e.Field != field {
		t.Errorf("got %v, want Invalid for %s", err, field)
	}
}

func TestChangeRefusesBadText(t *testing.T) {
	t.Parallel()
	str := func(s string) *string { return &s }
	place := func(p media.Placement) media.Change { return media.Change{Placement: &p} }
	const hex = "507f1f77bcf86cd799439011"
	for name, c := range map[string]struct {
		field string
		c     media.Change
	}{
		"a title with a line break":        {"title", media.Change{Title: str("a\r\nb")}},
		"a title of 301 characters":        {"title", media.Change{Title: str(strings.Repeat("ü", 301))}},
		"a title that is not UTF-8":        {"title", media.Change{Title: str("\xff")}},
		"a title with a C1 control":        {"title", media.Change{Title: str("\u0085")}},
		"a file name with NUL":             {"filename", media.Change{Filename: str("a\x00.mp4")}},
		"a file name with a path":          {"filename", media.Change{Filename: str("../../etc/passwd")}},
		"a file name with a Windows path":  {"filename", media.Change{Filename: str(`c:\a`)}},
		"dots for a file name":             {"filename", media.Change{Filename: str("..")}},
		"a file name of 256 characters":    {"filename", media.Change{Filename: str(strings.Repeat("ü", 256))}},
		"an unknown kind":                  {"kind", place(media.Placement{Kind: "x"})},
		"a product image of no product":    {"mongoProductId", place(media.Placement{Kind: media.ProductImage})},
		"a video of no course":             {"mongoCourseId", place(media.Placement{Kind: media.CourseVideo})},
		"a lesson id that is none":         {"mongoLessonId", place(media.Placement{Kind: media.CourseVideo, CourseID: hex, LessonID: hex + "0"})},
		"a module id that is none":         {"mongoModuleId", place(media.Placement{Kind: media.CourseVideo, CourseID: hex, ModuleID: "$ne"})},
		"an alternative text with an ESC":  {"altText", place(media.Placement{AltText: "\x1b[31m"})},
		"a resource name that is too long": {"resourceName", place(media.Placement{ResourceName: strings.Repeat("a", 301)})},
		"a negative position":              {"position", place(media.Placement{Position: -1})},
		"a reference without a type":       {"referenceType", place(media.Placement{Reference: media.Subject{ID: hex}})},
		"a reference without an id":        {"referenceId", place(media.Placement{Reference: media.Subject{Type: media.Course}})},
		"a slug for a course":              {"referenceId", place(media.Placement{Reference: media.Subject{Type: media.Course, ID: "about-us"}})},
		"a slug that climbs":               {"referenceId", place(media.Placement{Reference: media.Subject{Type: media.Page, ID: "a/../b"}})},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, sh := setup()
			id := sh.put(1, "ida", false, media.Ready)
			_, err := s.Change(t.Context(), who("ida", media.Instructor), id, 3, c.c)
			wantInvalid(t, err, c.field)
			if len(sh.did) > 0 {
				t.Errorf("did %v", sh.did)
			}
		})
	}
}

func TestChange(t *testing.T) {
	t.Parallel()
	ida := who("ida", media.Instructor)
	title := strings.Repeat("ü", 300)
	page := media.Placement{Kind: media.Generic, Reference: media.Subject{Type: media.Page, ID: "about/us-2"}}
	t.Run("a stale version is a failed precondition", func(t *testing.T) {
		t.Parallel()
		s, sh := setup()
		id := sh.put(1, "ida", false, media.Ready)
		if _, err := s.Change(t.Context(), ida, id, 2, media.Change{Title: &title}); !errors.Is(err, media.PreconditionFailed) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("version 0 changes whatever it is, and watchers are told", func(t *testing.T) {
		t.Parallel()
		s, sh := setup()
		id := sh.put(1, "ida", false, media.Ready)
		a, err := s.Change(t.Context(), ida, id, 0, media.Change{Title: &title, Placement: &page})
		if err != nil || a.Title != title || a.Version != 4 {
			t.Errorf("got %+v, %v", a, err)
		}
		if d := cmp.Diff([]string{"change"}, sh.did); d != "" {
			t.Error(d)
		}
	})
	t.Run("nothing to change makes no new version", func(t *testing.T) {
		t.Parallel()
		s, sh := setup()
		id := sh.put(1, "ida", false, media.Ready)
		if a, err := s.Change(t.Context(), ida, id, 3, media.Change{}); err != nil || a.Version != 3 || len(sh.did) > 0 {
			t.Errorf("got %+v, %v, did %v", a, err, sh.did)
		}
	})
}
