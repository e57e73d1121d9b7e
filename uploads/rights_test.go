package uploads_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/media"
	"sluice/storage"
	"sluice/storage/memory"
	"sluice/uploads"
)

// lms is the LMS's database in a map, which may be away.
type lms struct {
	mu   sync.Mutex
	of   map[media.Subject]media.Record
	away bool
}

func (l *lms) Record(_ context.Context, s media.Subject) (media.Record, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.away {
		return media.Record{}, media.Wrap(media.Unavailable, errors.New("refused"), "")
	}
	e, ok := l.of[s]
	if !ok {
		return e, media.Errorf(media.NotFound, "no such record")
	}
	return e, nil
}

func (*lms) Entitled(context.Context, string, []media.Subject) (bool, error) { return false, nil }
func (*lms) Trusting(context.Context) bool                                   { return false }

func (l *lms) change(f func(l *lms)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f(l)
}

const (
	draft   = "507f1f77bcf86cd799439012" // another's, unpublished
	foreign = "507f1f77bcf86cd799439013" // another's, published
	absent  = "507f1f77bcf86cd799439014"
	lesson  = "507f1f77bcf86cd799439015" // of the teacher's course
)

func school() *lms {
	courses := func(id string) media.Subject { return media.Subject{Type: media.Course, ID: id} }
	modules := []any{map[string]any{"id": product, "lessons": []any{map[string]any{"id": lesson}}}}
	return &lms{of: map[media.Subject]media.Record{
		courses(course):                    {Owner: "teacher", Published: true, Fields: map[string]any{"modules": modules}},
		courses(draft):                     {Owner: "other"},
		courses(foreign):                   {Owner: "other", Published: true},
		{Type: media.Product, ID: course}:  {Owner: "teacher", Published: true},
		{Type: media.Product, ID: product}: {Published: true}, // of nobody
		{Type: media.Lesson, ID: foreign}:  {Owner: "other", Published: true},
		{Type: media.Review, ID: lesson}:   {Owner: "pupil"},
	}}
}

// lines is a log that is read.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func TestWhatAnUploadIsAttachedTo(t *testing.T) {
	t.Parallel()
	const root = "Bearer root/admin"
	for _, c := range []struct {
		name, token, meta string
		away              bool
		status            int
		field             string // what a refusal names
		unchecked         bool
	}{
		{name: "nothing", token: teacher, status: 201},
		{name: "its own course", token: teacher, meta: meta("mongoCourseId", course), status: 201},
		{name: "its own product", token: teacher, meta: meta("mongoProductId", course), status: 201},
		{name: "a lesson of its own course", token: teacher, meta: meta("mongoCourseId", course, "mongoLessonId", lesson), status: 201},
		{name: "a lesson that its course does not have", token: teacher, meta: meta("mongoCourseId", course, "mongoLessonId", foreign), status: 400, field: "mongoLessonId"},
		{name: "a module that its course does not have", token: teacher, meta: meta("mongoCourseId", course, "mongoModuleId", lesson), status: 400, field: "mongoModuleId"},
		{name: "another's course", token: teacher, meta: meta("mongoCourseId", foreign), status: 403, field: "mongoCourseId"},
		{name: "another's course by reference", token: teacher, meta: meta("referenceType", "course", "referenceId", foreign), status: 403, field: "referenceId"},
		{name: "another's lesson by reference", token: teacher, meta: meta("referenceType", "lesson", "referenceId", foreign), status: 403, field: "referenceId"},
		{name: "another's draft is none", token: teacher, meta: meta("mongoCourseId", draft), status: 400, field: "mongoCourseId"},
		{name: "no course", token: teacher, meta: meta("mongoCourseId", absent), status: 400, field: "mongoCourseId"},
		{name: "a product of nobody", token: teacher, meta: meta("mongoProductId", product), status: 403, field: "mongoProductId"},
		{name: "a review is open to staff", token: teacher, meta: meta("referenceType", "review", "referenceId", lesson), status: 201},
		{name: "a page is not looked for", token: teacher, meta: meta("referenceType", "page", "referenceId", "about"), status: 201},
		{name: "an admin, another's draft", token: root, meta: meta("mongoCourseId", draft), status: 201},
		{name: "an admin, no course", token: root, meta: meta("mongoCourseId", absent), status: 400, field: "mongoCourseId"},
		{name: "what cannot be asked for now goes on", token: teacher, meta: meta("mongoCourseId", foreign), away: true, status: 201, unchecked: true},
		{name: "nothing, whatever is away", token: teacher, away: true, status: 201},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := school()
			l.away = c.away
			b := start(t, uploads.Options{Rights: media.Rights{Records: l}}, nil)
			for way, send := range map[string]func(more ...string) reply{
				"later": func(more ...string) reply {
					return b.send(http.MethodPost, "/files", nil, append(more, "Upload-Length", "5", "Authorization", c.token, "Upload-Metadata", c.meta)...)
				},
				"whole": func(more ...string) reply {
					return b.send(http.MethodPost, "/files", strings.NewReader("hello"),
						append(more, "Upload-Length", "5", "Authorization", c.token, "Upload-Metadata", c.meta, "Content-Type", chunked)...)
				},
			} {
				rep := send()
				if rep.status != c.status || c.field != "" && !strings.Contains(rep.body, c.field) {
					t.Fatalf("%s: got %d %s, want %d naming %q", way, rep.status, rep.body, c.status, c.field)
				}
				if rep.status == http.StatusCreated && b.row(rep.header.Get("Location")).Unchecked != c.unchecked {
					t.Errorf("%s: unchecked is %v", way, !c.unchecked)
				}
				rep = send("Upload-Concat", "partial") // a part is refused alike, and belongs nowhere
				if rep.status != c.status || rep.status == http.StatusCreated && b.row(rep.header.Get("Location")).Unchecked {
					t.Errorf("%s, a part: got %d, want %d", way, rep.status, c.status)
				}
			}
		})
	}
}

func TestWhereGrantsMayPlace(t *testing.T) {
	t.Parallel()
	owner := media.Principal{Subject: "teacher", Roles: []media.Role{media.Instructor}}
	root := media.Principal{Subject: "root", Roles: []media.Role{media.Admin}}
	at := func(id string) *media.Placement { return &media.Placement{CourseID: id} }
	asAway := func(l *lms) { l.away = true }
	gone := func(l *lms) { delete(l.of, media.Subject{Type: media.Course, ID: course}) }
	moved := func(l *lms) {
		l.of[media.Subject{Type: media.Course, ID: course}] = media.Record{Owner: "other"}
	}
	for _, c := range []struct {
		name      string
		minter    media.Principal
		fixed     *media.Placement
		before    func(l *lms) // the minting
		kind      media.Kind   // of its refusal
		between   func(l *lms)
		meta      string // of the holder
		status    int
		unchecked bool
	}{
		{name: "for their own course", minter: owner, fixed: at(course), status: 201},
		{name: "for another's course", minter: owner, fixed: at(foreign), kind: media.Forbidden},
		{name: "for another's draft", minter: owner, fixed: at(draft), kind: media.Invalid},
		{name: "for no course", minter: owner, fixed: at(absent), kind: media.Invalid},
		{name: "for a lesson that is not there", minter: owner, fixed: &media.Placement{CourseID: course, LessonID: foreign}, kind: media.Invalid},
		{name: "when that cannot be known", minter: owner, fixed: at(course), before: asAway, kind: media.Unavailable},
		{name: "an admin, for another's draft", minter: root, fixed: at(draft), status: 201},
		{name: "an admin, for no course", minter: root, fixed: at(absent), kind: media.Invalid},
		{name: "an admin, when that cannot be known", minter: root, fixed: at(draft), before: asAway, status: 201, unchecked: true},
		{name: "gone before it was used", minter: owner, fixed: at(course), between: gone, status: 400},
		{name: "another's before it was used: it was minted", minter: owner, fixed: at(course), between: moved, status: 201},
		{name: "away when it is used", minter: owner, fixed: at(course), between: asAway, status: 201, unchecked: true},
		{name: "nowhere fixed, the minter's own course", minter: owner, meta: meta("mongoCourseId", course), status: 201},
		{name: "nowhere fixed, another's course", minter: owner, meta: meta("mongoCourseId", foreign), status: 403},
		{name: "nowhere fixed, another's draft", minter: owner, meta: meta("mongoCourseId", draft), status: 400},
		{name: "nowhere fixed, an admin's holder is no admin", minter: root, meta: meta("mongoCourseId", course), status: 403},
		{name: "nowhere fixed, away", minter: owner, between: asAway, meta: meta("mongoCourseId", foreign), status: 201, unchecked: true},
		{name: "nowhere fixed, nowhere named, away", minter: owner, before: asAway, status: 201},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := school()
			b := start(t, uploads.Options{Rights: media.Rights{Records: l}}, nil)
			if c.before != nil {
				l.change(c.before)
			}
			token, _, err := b.s.Grant(t.Context(), c.minter, media.UploadGrant{Placement: c.fixed}, time.Minute)
			if c.status == 0 {
				if media.KindOf(err) != c.kind || err == nil {
					t.Fatalf("got %v, want %v", err, c.kind)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if c.between != nil {
				l.change(c.between)
			}
			rep := b.send(http.MethodPost, "/files", nil, "Authorization", "", "Upload-Grant", token, "Upload-Length", "5", "Upload-Metadata", c.meta)
			if rep.status != c.status {
				t.Fatalf("got %d %s, want %d", rep.status, rep.body, c.status)
			}
			if rep.status == http.StatusCreated {
				if a := b.row(rep.header.Get("Location")); a.Unchecked != c.unchecked || a.Owner != c.minter.Subject {
					t.Errorf("got owner %s, unchecked %v", a.Owner, a.Unchecked)
				}
			}
		})
	}
}

func TestPlacesAreAskedForAgainAtTheFinish(t *testing.T) {
	t.Parallel()
	at := media.Subject{Type: media.Course, ID: course}
	gone := func(l *lms) { delete(l.of, at) }
	moved := func(l *lms) { l.of[at] = media.Record{Owner: "other", Published: true} }
	hidden := func(l *lms) { l.of[at] = media.Record{Owner: "other"} }
	away := func(l *lms) { l.away = true }
	for _, c := range []struct {
		name    string
		token   string // "": the teacher's
		grant   bool
		before  func(l *lms) // the creation
		between func(l *lms)
		restart bool
		noWay   bool // Options.Unplace is nil
		nowhere bool
	}{
		{name: "as it was"},
		{name: "gone", between: gone, nowhere: true},
		{name: "gone, after a restart", between: gone, restart: true, nowhere: true},
		{name: "gone, an admin's", token: "Bearer root/admin", between: gone, nowhere: true},
		{name: "gone, a grant's", grant: true, between: gone, nowhere: true},
		{name: "another's now", between: moved, nowhere: true},
		{name: "another's draft now", between: hidden, nowhere: true},
		{name: "another's now, after a restart", between: moved, restart: true, nowhere: true},
		{name: "another's all the time, an admin's", token: "Bearer root/admin", between: moved},
		{name: "another's now, a grant's that said where", grant: true, between: moved},
		{name: "not to be known now: it was known then", between: away},
		{name: "not to be known then: somebody else looks later", before: away, between: func(l *lms) { l.away = false; gone(l) }},
		{name: "gone, and nothing takes it away", between: gone, noWay: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l, log := school(), &lines{}
			b := start(t, uploads.Options{Rights: media.Rights{Records: l}, Logger: slog.New(slog.NewTextHandler(log, nil))}, nil)
			if !c.noWay {
				b.o.Unplace = b.ledger.unplace
				b.boot()
			}
			pairs := []string{"Upload-Length", "10", "Upload-Metadata", meta("mongoCourseId", course)}
			if c.grant {
				token, _, err := b.s.Grant(t.Context(), media.Principal{Subject: "teacher", Roles: []media.Role{media.Instructor}},
					media.UploadGrant{Placement: &media.Placement{CourseID: course}}, 0)
				if err != nil {
					t.Fatal(err)
				}
				pairs = append(pairs, "Authorization", "", "Upload-Grant", token)
			} else if c.token != "" {
				pairs = append(pairs, "Authorization", c.token)
			}
			if c.before != nil {
				l.change(c.before)
			}
			location := b.create(pairs...)
			owner := b.row(location).Owner
			b.patch(location, "0", "hello", "Authorization", "")
			if c.between != nil {
				l.change(c.between)
			}
			if c.restart {
				b.boot()
			}
			if rep := b.patch(location, "5", "world", "Authorization", ""); rep.status != http.StatusNoContent {
				t.Fatalf("the last PATCH: got %d %s, want 204", rep.status, rep.body)
			}
			if rep := b.send(http.MethodHead, location, nil, "Authorization", ""); rep.status != http.StatusOK || rep.header.Get("Upload-Offset") != "10" {
				t.Errorf("HEAD: got %d offset %q, want 200 and 10", rep.status, rep.header.Get("Upload-Offset"))
			}
			a := b.row(location)
			if nowhere := a.Placement.Subject().IsZero(); nowhere != c.nowhere || a.State != media.Stored || a.Owner != owner {
				t.Errorf("got %+v, state %s, owner %s, want nowhere %v", a.Placement, a.State, a.Owner, c.nowhere)
			}
			if told := strings.Contains(log.String(), "a finished upload"); told != (c.nowhere || c.noWay) {
				t.Errorf("the log says %s", log.String())
			}
			if b.content(location) != "helloworld" {
				t.Error("bytes are lost")
			}
		})
	}
}

func TestAPlaceIsTakenAwayWhenTheLedgerIsBack(t *testing.T) {
	t.Parallel()
	l := school()
	b := start(t, uploads.Options{Rights: media.Rights{Records: l}}, nil)
	b.o.Unplace = b.ledger.unplace
	b.boot()
	location := b.create("Upload-Length", "5", "Upload-Metadata", meta("mongoCourseId", course))
	l.change(func(l *lms) { clear(l.of) })
	b.ledger.setAway(true)
	if rep := b.patch(location, "0", "hello"); rep.status != http.StatusServiceUnavailable {
		t.Fatalf("got %d, want 503", rep.status)
	}
	b.run()
	b.ledger.setAway(false)
	eventually(t, 5*time.Second, "the row is stored", func() bool { return b.ledger.timesStored(b.id(location)) == 1 })
	if p := b.row(location).Placement; !p.Subject().IsZero() {
		t.Errorf("it stands at %+v", p)
	}
}

func TestAHashOfReplacedBytesIsNotKept(t *testing.T) {
	t.Parallel()
	swap := &swapping{Driver: memory.New()}
	b := start(t, uploads.Options{}, swap)
	location := b.create("Upload-Length", "5")
	b.patch(location, "0", "hello")
	other := b.create("Upload-Length", "5")
	b.patch(other, "0", "world")
	id, by := b.id(location), b.row(other)
	swap.during(func() { // its bytes are read to be hashed
		b.ledger.mu.Lock()
		defer b.ledger.mu.Unlock()
		a := b.ledger.rows[id]
		a.ContentID, a.Key = by.ID, by.Key
		b.ledger.rows[id] = a
		delete(b.ledger.rows, by.ID)
	}, b.row(location).Key)
	b.run()
	eventually(t, 5*time.Second, "it is settled", func() bool { return b.row(location).State == media.Ready })
	if got, want := b.row(location).SHA256, sha256.Sum256([]byte("world")); !bytes.Equal(got, want[:]) {
		t.Errorf("got the hash %x, want %x", got, want)
	}
}

// swapping is a memory store that does something once a key is read.
type swapping struct {
	storage.Driver
	mu  sync.Mutex
	key string
	do  func()
}

func (s *swapping) during(do func(), key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.do, s.key = do, key
}

func (s *swapping) Read(ctx context.Context, o media.Object, off, n int64) (io.ReadCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o.Key == s.key {
		s.key = ""
		s.do()
	}
	return s.Driver.Read(ctx, o, off, n)
}
