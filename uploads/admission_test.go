package uploads_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/media"
	"sluice/storage"
	"sluice/uploads"
)

const (
	course  = "507f1f77bcf86cd799439011"
	product = "507f191e810c19729de860ea"
	chunked = "application/offset+octet-stream"
)

// meta builds an Upload-Metadata from keys and values in turn.
func meta(pairs ...string) string {
	var parts []string
	for i := 0; i < len(pairs); i += 2 {
		parts = append(parts, pairs[i]+" "+base64.StdEncoding.EncodeToString([]byte(pairs[i+1])))
	}
	return strings.Join(parts, ",")
}

func TestWhoMayCreate(t *testing.T) {
	t.Parallel()
	b := start(t, uploads.Options{}, nil)
	for _, c := range []struct {
		name, token string
		status      int
	}{
		{"an instructor may", teacher, 201},
		{"an admin may", "Bearer root/admin", 201},
		{"a student may not", "Bearer pupil/student", 403},
		{"nobody may not", "", 401},
		{"an expired token does not", "Bearer expired", 401},
		{"a method override changes nothing", "", 401},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			rep := b.send(http.MethodPost, "/files", nil, "Upload-Length", "5", "Authorization", c.token, "X-HTTP-Method-Override", http.MethodPost)
			if rep.status != c.status {
				t.Errorf("got %d %s, want %d", rep.status, rep.body, c.status)
			}
		})
	}
}

func TestTheCapabilityOutlivesTheLogin(t *testing.T) {
	t.Parallel()
	b := start(t, uploads.Options{}, nil)
	for name, token := range map[string]string{"no token": "", "expired": "Bearer expired", "its owner": teacher, "an admin": "Bearer root/admin"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			location := b.create("Upload-Length", "5")
			if rep := b.patch(location, "0", "hello", "Authorization", token); rep.status != http.StatusNoContent {
				t.Errorf("PATCH: got %d, want 204", rep.status)
			}
			if rep := b.send(http.MethodHead, location, nil, "Authorization", token); rep.status != http.StatusOK {
				t.Errorf("HEAD: got %d, want 200", rep.status)
			}
		})
	}
	location := b.create("Upload-Length", "5")
	other := b.send(http.MethodGet, location, nil, "Authorization", "Bearer other/instructor")
	missing := b.send(http.MethodGet, "/files/"+strings.Repeat("A", 48), nil)
	if other.status != http.StatusNotFound || other.body != missing.body {
		t.Errorf("another's: got %d %q; a missing one's: %d %q; want the same 404", other.status, other.body, missing.status, missing.body)
	}
}

func TestPlacement(t *testing.T) {
	t.Parallel()
	b := start(t, uploads.Options{}, nil)
	for _, c := range []struct {
		name, meta string
		field      string // refused, naming this
		want       media.Placement
	}{
		{name: "nothing is an unattached media", want: media.Placement{Kind: media.Generic}},
		{
			name: "a product's image", meta: meta("mongoProductId", product, "altText", "front", "isMainImage", "true", "position", "3"),
			want: media.Placement{Kind: media.ProductImage, ProductID: product, AltText: "front", MainImage: true, Position: 3},
		},
		{
			name: "a course's video", meta: meta("mongoCourseId", course, "mongoLessonId", product, "filetype", "video/mp4"),
			want: media.Placement{Kind: media.CourseVideo, CourseID: course, LessonID: product, VideoType: media.LessonVideo},
		},
		{
			name: "a course's resource", meta: meta("mongoCourseId", course, "filename", "notes.pdf"),
			want: media.Placement{Kind: media.CourseResource, CourseID: course, ResourceName: "notes.pdf", ResourceType: media.ResourcePDF},
		},
		{
			name: "a page's media", meta: meta("referenceType", "page", "referenceId", "about-us"),
			want: media.Placement{Kind: media.Generic, Reference: media.Subject{Type: media.Page, ID: "about-us"}},
		},
		{name: "upper-case ids are refused", meta: meta("mongoCourseId", strings.ToUpper(course)), field: "mongoCourseId"},
		{name: "a reference needs its type", meta: meta("referenceId", course), field: "referenceType"},
		{name: "a reference needs its id", meta: meta("referenceType", "course"), field: "referenceId"},
		{name: "a slug does not climb", meta: meta("referenceType", "page", "referenceId", "../x"), field: "referenceId"},
		{name: "a product-image needs a product", meta: meta("kind", "product-image"), field: "mongoProductId"},
		{name: "a course-video needs a course", meta: meta("kind", "course-video"), field: "mongoCourseId"},
		{name: "videoType is a word of the LMS", meta: meta("videoType", "trailer"), field: "videoType"},
		{name: "resourceType is a word of the LMS", meta: meta("resourceType", "exe"), field: "resourceType"},
		{name: "mediaType is a word of the LMS", meta: meta("mediaType", "smell"), field: "mediaType"},
		{name: "position is a number", meta: meta("position", "-1"), field: "position"},
		{name: "filetype is a media type", meta: meta("filetype", "a b"), field: "filetype"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			rep := b.send(http.MethodPost, "/files", nil, "Upload-Length", "5", "Upload-Metadata", c.meta)
			if c.field != "" {
				if rep.status != http.StatusBadRequest || !strings.Contains(rep.body, c.field) {
					t.Errorf("got %d %q, want 400 naming %s", rep.status, rep.body, c.field)
				}
				return
			}
			if got := b.row(rep.header.Get("Location")).Placement; got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestFilenames(t *testing.T) {
	t.Parallel()
	b := start(t, uploads.Options{}, nil)
	for sent, want := range map[string]string{
		"lecture one.mp4": "lecture one.mp4", "/etc/passwd": "passwd", `C:\temp\x.mp4`: "x.mp4", "a\r\nSet-Cookie: x.txt": "aSet-Cookie: x.txt",
		"..": "", "nul\x00l": "null", strings.Repeat("ü", 400): strings.Repeat("ü", 255),
	} {
		if got := b.row(b.create("Upload-Length", "5", "Upload-Metadata", meta("filename", sent))).Filename; got != want {
			t.Errorf("%q: got %q, want %q", sent, got, want)
		}
	}
}

func TestContentMustFitItsType(t *testing.T) {
	t.Parallel()
	b := start(t, uploads.Options{}, onDisk(t))
	pad := strings.Repeat("\x00", 8<<10)
	exe := "MZ" + pad
	html := "<!DOCTYPE html><html><script>alert(1)</script>" + strings.Repeat(" ", 8<<10)
	elf := "\x7fELF\x02\x01\x01" + pad
	mp4 := "\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom" + pad
	random := strings.Repeat("\x91\xd3\x07\xaa\x5c", 2000)
	for _, c := range []struct {
		name, meta, content string
		status              int
		mime                string
	}{
		{"a video is one", meta("filetype", "video/mp4"), mp4, 204, "video/mp4"},
		{"random bytes may be a video", meta("filetype", "video/mp4"), random, 204, "video/mp4"},
		{"an executable is no video", meta("filetype", "video/mp4"), exe, 415, ""},
		{"an executable is no video by name", meta("filename", "film.mp4"), elf, 415, ""},
		{"a vague type does not hide a name", meta("filename", "film.mp4", "filetype", "application/octet-stream"), elf, 415, ""},
		{"HTML is no image", meta("filetype", "image/png"), html, 415, ""},
		{"an archive is no video", meta("filetype", "video/mp4"), "PK\x03\x04" + pad, 415, ""},
		{"a script is no video", meta("filetype", "video/mp4"), "#!/bin/sh\nrm -rf /\n" + strings.Repeat("# x\n", 2000), 415, ""},
		{"a playlist is no video", meta("filetype", "video/mp4"), "#EXTM3U\n" + strings.Repeat("#EXTINF:1\nfile:///etc/passwd\n", 200), 415, ""},
		{"HTML is HTML", meta("filetype", "text/html"), html, 204, "text/html"},
		{"an executable is itself", "", exe, 204, "application/vnd.microsoft.portable-executable"},
		{"nothing declared is recognised", "", mp4, 204, "video/mp4"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			length := fmt.Sprint(len(c.content))
			location := b.create("Upload-Length", length, "Upload-Metadata", c.meta)
			rep := b.patch(location, "0", c.content)
			if rep.status != c.status {
				t.Fatalf("PATCH: got %d %s, want %d", rep.status, rep.body, c.status)
			}
			whole := b.send(http.MethodPost, "/files", strings.NewReader(c.content), "Upload-Length", length, "Upload-Metadata", c.meta, "Content-Type", chunked)
			if c.status == http.StatusNoContent {
				if got := b.row(location).MIMEType; got != c.mime {
					t.Errorf("type: got %q, want %q", got, c.mime)
				}
				if got := b.row(whole.header.Get("Location")).MIMEType; got != c.mime {
					t.Errorf("type of a whole: got %q, want %q", got, c.mime)
				}
				return
			}
			if rep := b.head(location); rep.status != http.StatusNotFound {
				t.Errorf("HEAD of what was refused: got %d, want 404", rep.status)
			}
			if whole.status != http.StatusUnsupportedMediaType {
				t.Errorf("whole in a creation: got %d, want 415", whole.status)
			}
		})
	}
}

func TestContentIsJudgedByManySmallChunks(t *testing.T) {
	t.Parallel()
	b := start(t, uploads.Options{}, onDisk(t))
	exe := "MZ" + strings.Repeat("\x00", 4094)
	for name, restart := range map[string]bool{"in one process": false, "with a restart between": true} {
		location := b.create("Upload-Length", fmt.Sprint(len(exe)), "Upload-Metadata", meta("filetype", "video/mp4"))
		last := 0
		for off := 0; off < len(exe) && last < 300; off += 1024 {
			last = b.patch(location, fmt.Sprint(off), exe[off:off+1024]).status
			if restart && off == 1024 {
				b.boot()
			}
		}
		if last != http.StatusUnsupportedMediaType {
			t.Errorf("%s: got %d, want 415", name, last)
		}
		if rep := b.head(location); rep.status != http.StatusNotFound {
			t.Errorf("%s: HEAD got %d, want 404", name, rep.status)
		}
	}
}

func TestAllowedTypes(t *testing.T) {
	t.Parallel()
	b := start(t, uploads.Options{AllowedTypes: []string{"video/*", "image/png"}}, nil)
	for m, status := range map[string]int{
		meta("filetype", "video/webm"): 201, meta("filename", "x.png"): 201, meta("filetype", "image/gif"): 415,
		meta("filename", "x.zip"): 415, "": 201,
	} {
		if rep := b.send(http.MethodPost, "/files", nil, "Upload-Length", "5", "Upload-Metadata", m); rep.status != status {
			t.Errorf("%q: got %d %s, want %d", m, rep.status, rep.body, status)
		}
	}
	location := b.create("Upload-Length", "5")
	if rep := b.patch(location, "0", "hello"); rep.status != http.StatusUnsupportedMediaType {
		t.Errorf("an undeclared type that is not allowed: got %d, want 415", rep.status)
	}
}

func TestGrants(t *testing.T) {
	t.Parallel()
	b := start(t, uploads.Options{}, nil)
	staff := media.Principal{Subject: "teacher", Roles: []media.Role{media.Instructor}}
	mint := func(g media.UploadGrant) string {
		token, _, err := b.s.Grant(t.Context(), staff, g, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	post := func(token string, pairs ...string) reply {
		return b.send(http.MethodPost, "/files", nil, append([]string{"Authorization", "", "Upload-Grant", token}, pairs...)...)
	}
	once := mint(media.UploadGrant{MaxSize: 10, MIMETypes: []string{"video/*"}, Placement: &media.Placement{Kind: media.CourseVideo, CourseID: course, VideoType: media.IntroVideo}})
	video := meta("filetype", "video/mp4")
	for _, c := range []struct {
		name   string
		pairs  []string
		status int
	}{
		{"too large", []string{"Upload-Length", "11", "Upload-Metadata", video}, 413},
		{"a deferred length would pass the limit", []string{"Upload-Defer-Length", "1", "Upload-Metadata", video}, 403},
		{"another type", []string{"Upload-Length", "5", "Upload-Metadata", meta("filetype", "image/png")}, 415},
		{"no type", []string{"Upload-Length", "5"}, 415},
		{"another course", []string{"Upload-Length", "5", "Upload-Metadata", video + "," + meta("mongoCourseId", product)}, 403},
		{"parts", []string{"Upload-Length", "5", "Upload-Concat", "partial", "Upload-Metadata", video}, 403},
		{"what it allows", []string{"Upload-Length", "5", "Upload-Metadata", video}, 201},
		{"a second time, with another length", []string{"Upload-Length", "6", "Upload-Metadata", video}, 403},
		{"a second time, with another name", []string{"Upload-Length", "5", "Upload-Metadata", video + "," + meta("filename", "x")}, 403},
	} {
		rep := post(once, c.pairs...)
		if rep.status != c.status {
			t.Fatalf("%s: got %d %s, want %d", c.name, rep.status, rep.body, c.status)
		}
		if rep.status == http.StatusCreated {
			a := b.row(rep.header.Get("Location"))
			if a.Owner != "teacher" || a.Placement.CourseID != course {
				t.Errorf("got owner %q, placement %+v", a.Owner, a.Placement)
			}
		}
	}
	byCourse := mint(media.UploadGrant{Placement: &media.Placement{CourseID: course}})
	rep := post(byCourse, "Upload-Length", "5", "Upload-Metadata", video)
	if rep.status != http.StatusCreated {
		t.Fatalf("a grant for a course: got %d %s, want 201", rep.status, rep.body)
	}
	if p := b.row(rep.header.Get("Location")).Placement; p.Kind != media.CourseVideo || p.VideoType != media.IntroVideo {
		t.Errorf("a video by a grant for a course: got placement %+v, want an intro video of it", p)
	}
	for field, p := range map[string]media.Placement{
		"mongoCourseId":  {CourseID: "xyz"},
		"mongoProductId": {Kind: media.ProductImage},
		"kind":           {Kind: "hologram"},
		"referenceType":  {Reference: media.Subject{ID: course}},
	} {
		_, _, err := b.s.Grant(t.Context(), staff, media.UploadGrant{Placement: &p}, 0)
		if e, ok := errors.AsType[*media.Error](err); !ok || e.Kind != media.Invalid || e.Field != field {
			t.Errorf("a grant for %+v: got %v, want invalid %s", p, err, field)
		}
	}
	if rep := post("forged", "Upload-Length", "5"); rep.status != http.StatusForbidden {
		t.Errorf("a forged grant: got %d, want 403", rep.status)
	}
	if _, _, err := b.s.Grant(t.Context(), media.Principal{Subject: "pupil", Roles: []media.Role{media.Student}}, media.UploadGrant{}, 0); media.KindOf(err) != media.Forbidden {
		t.Errorf("a student mints: got %v, want forbidden", err)
	}
}

func TestACreationByGrantWhoseAnswerWasLostMayBeRepeated(t *testing.T) {
	t.Parallel()
	staff := media.Principal{Subject: "teacher", Roles: []media.Role{media.Instructor}}
	for name, driver := range map[string]storage.Driver{"memory": nil, "disk": onDisk(t)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := start(t, uploads.Options{}, driver)
			token, _, err := b.s.Grant(t.Context(), staff, media.UploadGrant{}, 0)
			if err != nil {
				t.Fatal(err)
			}
			create := func(body io.Reader, pairs ...string) reply {
				t.Helper()
				return b.send(http.MethodPost, "/files", body, append([]string{"Authorization", "", "Upload-Grant", token, "Upload-Length", "2000000"}, pairs...)...)
			}
			first := create(nil)
			location := first.header.Get("Location")
			if first.status != http.StatusCreated {
				t.Fatalf("got %d %s", first.status, first.body)
			}
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					if rep := create(nil); rep.status != http.StatusCreated || rep.header.Get("Location") != location || rep.header.Get("Sluice-Media-Id") != first.header.Get("Sluice-Media-Id") {
						t.Errorf("repeated: got %d %s at %q, want 201 at %q", rep.status, rep.body, rep.header.Get("Location"), location)
					}
				})
			}
			wg.Wait()
			b.boot() // nor does it need the memory of a process
			if rep := create(nil); rep.status != http.StatusCreated || rep.header.Get("Location") != location {
				t.Errorf("after a restart: got %d %s", rep.status, rep.body)
			}
			if rep := create(strings.NewReader("hello"), "Content-Type", chunked); rep.status != http.StatusCreated || rep.header.Get("Location") != location || rep.header.Get("Upload-Offset") != "0" {
				t.Errorf("with bytes: got %d %s, offset %q, want 201 and 0", rep.status, rep.body, rep.header.Get("Upload-Offset"))
			}
			if rep := b.patch(location, "0", "hello"); rep.status != http.StatusNoContent {
				t.Errorf("PATCH: got %d %s", rep.status, rep.body)
			}
			if rep := create(nil); rep.status != http.StatusForbidden {
				t.Errorf("once bytes are there: got %d, want 403", rep.status)
			}
		})
	}
}

func TestOpenUploadsAreListed(t *testing.T) {
	t.Parallel()
	b := start(t, uploads.Options{}, nil)
	location := b.create("Upload-Length", "10", "Upload-Metadata", meta("filename", "a.bin"))
	b.patch(location, "0", "hello")
	b.create("Upload-Length", "10", "Authorization", "Bearer other/instructor")
	b.create("Upload-Length", "10", "Upload-Concat", "partial")
	b.patch(b.create("Upload-Length", "5"), "0", "hello")
	list, err := b.s.Open(t.Context(), media.Principal{Subject: "teacher", Roles: []media.Role{media.Instructor}})
	if err != nil || len(list) != 1 {
		t.Fatalf("got %v %v, want one", list, err)
	}
	if o := list[0]; o.UploadURL != location || o.Offset != 5 || *o.Size != 10 || o.Filename != "a.bin" || o.ExpiresAt.IsZero() {
		t.Errorf("got %+v", o)
	}
}

func TestGetFollowsAFinishedUpload(t *testing.T) {
	t.Parallel()
	b := start(t, uploads.Options{ContentURL: func(_ context.Context, a media.Asset) (string, error) { return "/p/x/" + a.ID.String(), nil }}, nil)
	location := b.create("Upload-Length", "5")
	if rep := b.send(http.MethodGet, location, nil); rep.status != http.StatusConflict || !strings.Contains(rep.body, "uploading") {
		t.Errorf("unfinished: got %d %q, want 409 naming the state", rep.status, rep.body)
	}
	b.patch(location, "0", "hello")
	rep := b.send(http.MethodGet, location, nil, "Tus-Resumable", "", "Authorization", "")
	if rep.status != http.StatusFound || rep.header.Get("Location") != "/p/x/"+b.id(location).String() || rep.header.Get("Cache-Control") != "no-store" {
		t.Errorf("finished: got %d %v", rep.status, rep.header)
	}
}

func TestErrorsSpeakTheClientsFormat(t *testing.T) {
	t.Parallel()
	b := start(t, uploads.Options{Problem: func(w http.ResponseWriter, _ *http.Request, err error) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = fmt.Fprintf(w, `{"detail":%q}`, err.Error())
	}}, nil)
	asked := b.send(http.MethodPost, "/files", nil, "Upload-Length", "-1", "Accept", "application/json, text/plain")
	if asked.header.Get("Content-Type") != "application/problem+json" || asked.header.Get("Tus-Resumable") != "1.0.0" {
		t.Errorf("got %v %q", asked.header, asked.body)
	}
	plain := b.send(http.MethodPost, "/files", nil, "Upload-Length", "-1")
	if plain.status != http.StatusBadRequest || !strings.HasPrefix(plain.header.Get("Content-Type"), "text/plain") {
		t.Errorf("got %d %v", plain.status, plain.header)
	}
}

func TestCORS(t *testing.T) {
	t.Parallel()
	b := start(t, uploads.Options{CORS: uploads.CORS{Origins: []string{"https://lms.example"}, Credentials: true}}, nil)
	for origin, want := range map[string]string{
		"https://lms.example": "https://lms.example", "https://lms.example.evil": "", "http://lms.example": "", "null": "", "https://evil.example": "",
	} {
		rep := b.send(http.MethodOptions, "/files", nil, "Origin", origin)
		if got := rep.header.Get("Access-Control-Allow-Origin"); got != want || rep.header.Get("Vary") != "Origin" {
			t.Errorf("%s: got %q, Vary %q; want %q", origin, got, rep.header.Get("Vary"), want)
		}
	}
	rep := b.send(http.MethodPost, "/files", nil, "Upload-Length", "5", "Origin", "https://lms.example")
	for _, h := range []string{"Location", "Sluice-Media-Id", "Upload-Offset", "Upload-Expires", "Tus-Resumable"} {
		if !strings.Contains(rep.header.Get("Access-Control-Expose-Headers"), h) {
			t.Errorf("%s is not exposed", h)
		}
	}
	for _, o := range []uploads.CORS{{Origins: []string{"*"}, Credentials: true}, {Origins: []string{"null"}}, {Origins: []string{"https://*.example"}}} {
		if _, err := uploads.New(b.ledger, b.store, b.ring, nil, uploads.Options{CORS: o}); err == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
}
