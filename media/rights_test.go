package media_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/media"
)

// records is the LMS's database in maps.
type records struct {
	of       map[media.Subject]media.Record
	granted  map[media.Subject]string // to which user
	err      error                    // of every answer
	trusting bool
	asked    []media.Subject // by Entitled
}

func (r *records) Record(_ context.Context, s media.Subject) (media.Record, error) {
	if r.err != nil {
		return media.Record{}, r.err
	}
	e, ok := r.of[s]
	if !ok {
		return e, media.Errorf(media.NotFound, "no such record")
	}
	return e, nil
}

func (r *records) Entitled(_ context.Context, user string, subjects []media.Subject) (bool, error) {
	r.asked = subjects
	if r.err != nil {
		return true, r.err // an answer beside an error is none
	}
	for _, s := range subjects {
		if r.granted[s] == user {
			return true, nil
		}
	}
	return false, nil
}

func (r *records) Trusting(context.Context) bool { return r.trusting }

func id24(c string) string { return strings.Repeat(c, 24) }

var (
	annsCourse  = media.Subject{Type: media.Course, ID: id24("a")}
	annsDraft   = media.Subject{Type: media.Course, ID: id24("b")}
	tomsCourse  = media.Subject{Type: media.Course, ID: id24("c")}
	annsProduct = media.Subject{Type: media.Product, ID: id24("d")}
	noOnes      = media.Subject{Type: media.Product, ID: id24("e")}
	lesson      = media.Subject{Type: media.Lesson, ID: id24("1")}
	review      = media.Subject{Type: media.Review, ID: id24("2")}
	page        = media.Subject{Type: media.Page, ID: "about-us"}

	admin    = media.Principal{Subject: "root", Roles: []media.Role{media.Admin}}
	ann      = media.Principal{Subject: "ann", Roles: []media.Role{media.Instructor}}
	tom      = media.Principal{Subject: "tom", Roles: []media.Role{media.Instructor}}
	sue      = media.Principal{Subject: "sue", Roles: []media.Role{media.Student}}
	bob      = media.Principal{Subject: "bob", Roles: []media.Role{media.Student}}
	nobody   = media.Principal{}
	nameless = media.Principal{Roles: []media.Role{media.Instructor}}
	holder   = media.Principal{Grant: &media.UploadGrant{ID: "g", Owner: "ann"}}
)

// lms knows four courses and products of ann and tom; sue has bought ann's draft and the lesson.
func lms() *records {
	modules := []any{map[string]any{"id": id24("9"), "lessons": []any{map[string]any{"id": lesson.ID}}}}
	rec := func(s media.Subject, owner string, published bool) media.Record {
		return media.Record{Subject: s, Owner: owner, Published: published, Fields: map[string]any{"modules": modules}}
	}
	return &records{
		of: map[media.Subject]media.Record{
			annsCourse: rec(annsCourse, "ann", true), annsDraft: rec(annsDraft, "ann", false), tomsCourse: rec(tomsCourse, "tom", true),
			annsProduct: rec(annsProduct, "ann", true), noOnes: rec(noOnes, "", true), lesson: rec(annsCourse, "ann", true),
			review: {Subject: review, Owner: "sue"},
		},
		granted: map[media.Subject]string{annsDraft: "sue", lesson: "sue"},
	}
}

// of is where a subject's media stand.
func of(s media.Subject) media.Placement {
	switch s.Type {
	case media.Product:
		return media.Placement{Kind: media.ProductImage, ProductID: s.ID}
	case media.Course:
		return media.Placement{Kind: media.CourseVideo, CourseID: s.ID}
	default:
		return media.Placement{Kind: media.Generic, Reference: s}
	}
}

func TestWhoSeesAndManagesAnAsset(t *testing.T) {
	t.Parallel()
	away := media.Wrap(media.Unavailable, errors.New("refused"), "")
	type asset struct {
		owner                       string
		at                          media.Subject
		also                        []media.Subject
		public, unfinished, partial bool
		unchecked                   bool
	}
	// Who manages sees. The others: a admin, i ann, t tom, s sue who bought the draft and the lesson, b bob who bought nothing, n nobody,
	// x an instructor without a name, g the holder of an upload grant of ann's.
	who := []struct {
		letter string
		p      media.Principal
	}{{"a", admin}, {"i", ann}, {"t", tom}, {"s", sue}, {"b", bob}, {"n", nobody}, {"x", nameless}, {"g", holder}}
	for _, c := range []struct {
		name          string
		a             asset
		change        func(*records) *records // nil: as it is
		manages, sees string
	}{
		{name: "private, unattached", a: asset{owner: "ann"}, manages: "ai", sees: "ai"},
		{name: "public, unattached", a: asset{owner: "ann", public: true}, manages: "ai", sees: "aitsbnxg"},
		{name: "public and not finished", a: asset{owner: "ann", public: true, unfinished: true}, manages: "ai", sees: "ai"},
		{name: "a public part of a file", a: asset{owner: "ann", public: true, partial: true}, manages: "ai", sees: "ai"},
		{name: "of nobody", a: asset{}, manages: "a", sees: "a"},
		{name: "a student's own, whatever the name", a: asset{owner: "sue"}, manages: "a", sees: "a"},
		{name: "on the own course", a: asset{owner: "ann", at: annsCourse}, manages: "ai", sees: "ai"},
		{name: "on another's course: that one manages it as well", a: asset{owner: "ann", at: tomsCourse}, manages: "ait", sees: "ait"},
		{name: "an admin's on a product", a: asset{owner: "root", at: annsProduct}, manages: "ai", sees: "ai"},
		{name: "an admin's on a lesson: the course's owner manages it, who bought it sees it", a: asset{owner: "root", at: lesson}, manages: "ai", sees: "ais"},
		{name: "on a product of nobody", a: asset{owner: "tom", at: noOnes}, manages: "at", sees: "at"},
		{name: "on a course that an order grants, be it unpublished", a: asset{owner: "tom", at: annsDraft}, manages: "ait", sees: "aits"},
		{name: "granted and not finished", a: asset{owner: "ann", at: annsDraft, unfinished: true}, manages: "ai", sees: "ai"},
		{name: "granted, a part of a file", a: asset{owner: "ann", at: annsDraft, partial: true}, manages: "ai", sees: "ai"},
		{name: "on a course that is gone", a: asset{owner: "ann", at: media.Subject{Type: media.Course, ID: id24("f")}}, manages: "ai", sees: "ai"},
		{name: "a review's: who wrote it manages no media", a: asset{owner: "root", at: review}, manages: "a", sees: "a"},
		{name: "a page's", a: asset{owner: "ann", at: page}, manages: "ai", sees: "ai"},
		{name: "by a further place", a: asset{owner: "root", also: []media.Subject{review, tomsCourse}}, manages: "at", sees: "at"},
		{name: "by a further place that an order grants", a: asset{owner: "tom", at: tomsCourse, also: []media.Subject{page, annsDraft}}, manages: "ait", sees: "aits"},
		{name: "a place not checked grants nothing", a: asset{owner: "tom", at: annsDraft, unchecked: true}, manages: "at", sees: "at"},
		{name: "not checked, but further places are", a: asset{owner: "tom", at: tomsCourse, also: []media.Subject{annsDraft}, unchecked: true}, manages: "ait", sees: "aits"},
		{name: "a course without an id", a: asset{owner: "tom", at: media.Subject{Type: media.Course}}, manages: "at", sees: "at"},
		{
			name: "records away: owners, admins and what is public", a: asset{owner: "tom", at: annsDraft}, manages: "at", sees: "at",
			change: func(r *records) *records { r.err = away; return r },
		},
		{
			name: "records away, public", a: asset{owner: "tom", at: annsDraft, public: true}, manages: "at", sees: "aitsbnxg",
			change: func(r *records) *records { r.err = away; return r },
		},
		{
			name: "records that fail without a kind", a: asset{owner: "tom", at: annsDraft}, manages: "at", sees: "at",
			change: func(r *records) *records { r.err = errors.New("odd"); return r },
		},
		{
			name: "no LMS keeps records here", a: asset{owner: "tom", at: annsDraft}, manages: "at", sees: "at",
			change: func(*records) *records { return &records{trusting: true} },
		},
		{name: "no records", a: asset{owner: "tom", at: annsDraft}, manages: "at", sees: "at", change: func(*records) *records { return nil }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := lms()
			// An instructor without a name who owns what has no owner, and an order of nobody, must not be.
			r.granted[tomsCourse] = ""
			if c.change != nil {
				r = c.change(r)
			}
			rights := media.Rights{}
			if r != nil {
				rights.Records = r
			}
			a := media.Asset{Owner: c.a.owner, State: media.Ready, Public: c.a.public, Also: c.a.also, Unchecked: c.a.unchecked, Placement: of(c.a.at)}
			if c.a.unfinished {
				a.State = media.Uploading
			}
			a.Upload.Partial = c.a.partial
			var manages, sees string
			for _, w := range who {
				if rights.Manages(t.Context(), w.p, a) {
					manages += w.letter
				}
				if rights.Sees(t.Context(), w.p, a) {
					sees += w.letter
				}
			}
			if manages != c.manages || sees != c.sees {
				t.Errorf("managed by %q, seen by %q, want %q and %q", manages, sees, c.manages, c.sees)
			}
		})
	}
}

func TestGrantedTellsOnlyOfOrders(t *testing.T) {
	t.Parallel()
	r := lms()
	rights := media.Rights{Records: r}
	a := media.Asset{
		Owner: "ann", State: media.Stored, Public: true, Placement: of(annsDraft), Also: []media.Subject{page, {Type: media.Course}, lesson, review},
	}
	for name, c := range map[string]struct {
		p    media.Principal
		want bool
	}{
		"who bought it": {sue, true}, "who did not": {bob, false}, "an admin": {admin, false}, "the owner": {ann, false}, "nobody": {nobody, false},
	} {
		if got := rights.Granted(t.Context(), c.p, a); got != c.want {
			t.Errorf("%s: got %v", name, got)
		}
	}
	if diff := cmp.Diff([]media.Subject{annsDraft, lesson, review}, r.asked); diff != "" {
		t.Errorf("orders are asked for what no record names (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]media.Subject{page, {Type: media.Course}, lesson, review}, a.Also); diff != "" {
		t.Errorf("the asset was changed (-want +got):\n%s", diff)
	}
}

func TestWhoSeesARecord(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		p    media.Principal
		s    media.Subject
		away bool
		want bool
	}{
		{"what is published, everybody", nobody, annsCourse, false, true},
		{"a draft, its owner", ann, annsDraft, false, true},
		{"a draft, an admin", admin, annsDraft, false, true},
		{"a draft, who bought it", sue, annsDraft, false, true},
		{"a draft, another instructor", tom, annsDraft, false, false},
		{"a draft, a student", bob, annsDraft, false, false},
		{"a draft, nobody", nobody, annsDraft, false, false},
		{"a draft of nobody's, an instructor without a name", nameless, annsDraft, false, false},
		{"a draft, who bought it, orders away", sue, annsDraft, true, false},
		{"a draft, its owner, orders away", ann, annsDraft, true, true},
	} {
		r := lms()
		e := r.of[c.s]
		if c.away {
			r.err = media.Unavailable
		}
		if got := (media.Rights{Records: r}).SeesRecord(t.Context(), c.p, e); got != c.want {
			t.Errorf("%s: got %v", c.name, got)
		}
	}
	if (media.Rights{}).SeesRecord(t.Context(), sue, media.Record{Subject: annsDraft}) {
		t.Error("without records an order grants something")
	}
}

func TestWhereOneMayPlace(t *testing.T) {
	t.Parallel()
	const unchecked = "unchecked"
	in := func(pl media.Placement, lesson, module string) media.Placement {
		pl.LessonID, pl.ModuleID = lesson, module
		return pl
	}
	missing := media.Subject{Type: media.Course, ID: id24("f")}
	for _, c := range []struct {
		name string
		p    media.Principal
		pl   media.Placement
		err  error  // of the records
		want string // "": yes; unchecked; or kind, code and field
	}{
		{"nowhere", nobody, media.Placement{}, nil, ""},
		{"nowhere, records away", ann, media.Placement{}, media.Unavailable, ""},
		{"a page", tom, of(page), nil, ""},
		{"a page, records away", tom, of(page), media.Unavailable, ""},
		{"the own course", ann, of(annsCourse), nil, ""},
		{"the own draft", ann, of(annsDraft), nil, ""},
		{"the own product", ann, of(annsProduct), nil, ""},
		{"a lesson of the own course", ann, of(lesson), nil, ""},
		{"an admin, anybody's draft", admin, of(annsDraft), nil, ""},
		{"an admin, what nobody owns", admin, of(noOnes), nil, ""},
		{"a review, whoever wrote it", tom, of(review), nil, ""},
		{"another's published course", tom, of(annsCourse), nil, "forbidden not_yours mongoCourseId"},
		{"another's lesson", tom, of(lesson), nil, "forbidden not_yours referenceId"},
		{"another's draft must not be known of", tom, of(annsDraft), nil, "invalid unknown_course mongoCourseId"},
		{"another's draft by reference", tom, media.Placement{Kind: media.Generic, Reference: annsDraft}, nil, "invalid unknown_course referenceId"},
		{"what nobody owns", ann, of(noOnes), nil, "forbidden not_yours mongoProductId"},
		{"what nobody owns, without a name", nameless, of(noOnes), nil, "forbidden not_yours mongoProductId"},
		{"a student who has the owner's name", media.Principal{Subject: "ann", Roles: []media.Role{media.Student}}, of(annsCourse), nil, "forbidden not_yours mongoCourseId"},
		{"what is not there", ann, of(missing), nil, "invalid unknown_course mongoCourseId"},
		{"what is not there, an admin", admin, of(missing), nil, "invalid unknown_course mongoCourseId"},
		{"a draft and what is not there look alike", tom, of(missing), nil, "invalid unknown_course mongoCourseId"},
		{"a review that is not there", ann, media.Placement{Reference: media.Subject{Type: media.Review, ID: id24("f")}}, nil, "invalid unknown_review referenceId"},
		{"a lesson and a module of the course", ann, in(of(annsCourse), lesson.ID, id24("9")), nil, ""},
		{"a lesson that the course does not have", ann, in(of(annsCourse), id24("8"), ""), nil, "invalid unknown_lesson mongoLessonId"},
		{"a module that the course does not have", ann, in(of(annsCourse), "", id24("8")), nil, "invalid unknown_module mongoModuleId"},
		{"a lesson alone", ann, media.Placement{Kind: media.Generic, LessonID: lesson.ID}, nil, ""},
		{"a lesson alone that is not there", ann, media.Placement{Kind: media.Generic, LessonID: id24("8")}, nil, "invalid unknown_lesson mongoLessonId"},
		{"the own product, and another's course beside", ann, media.Placement{Kind: media.ProductImage, ProductID: annsProduct.ID, CourseID: tomsCourse.ID}, nil, "forbidden not_yours mongoCourseId"},
		{"the own course, and a reference to another's", ann, media.Placement{Kind: media.CourseVideo, CourseID: annsCourse.ID, Reference: tomsCourse}, nil, "forbidden not_yours referenceId"},
		{"records away", tom, of(annsCourse), media.Wrap(media.Unavailable, errors.New("refused"), ""), unchecked},
		{"records away, whatever they wrap", tom, of(annsCourse), media.Wrap(media.Unavailable, media.NotFound, ""), unchecked},
		{"records that fail without a kind", tom, of(annsCourse), errors.New("odd"), unchecked},
		{"records away, an admin", admin, of(annsCourse), media.Unavailable, unchecked},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := lms()
			r.err = c.err
			checked, err := media.Rights{Records: r}.MayPlace(t.Context(), c.p, c.pl)
			got := ""
			if e, ok := errors.AsType[*media.Error](err); ok {
				got = fmt.Sprint(e.Kind, " ", e.Code, " ", e.Field)
			} else if !checked {
				got = unchecked
			}
			if got != c.want || err != nil && !checked {
				t.Errorf("got %q (%v, checked %v), want %q", got, err, checked, c.want)
			}
			for name, free := range map[string]media.Rights{"without records": {}, "on trust": {Records: &records{trusting: true}}} {
				if checked, err := free.MayPlace(t.Context(), c.p, c.pl); !checked || err != nil {
					t.Errorf("%s: got %v, %v", name, checked, err)
				}
			}
		})
	}
}

// partly is away for one entity.
type partly struct {
	*records
	away media.Subject
}

func (p partly) Record(ctx context.Context, s media.Subject) (media.Record, error) {
	if s == p.away {
		return media.Record{}, media.Unavailable
	}
	return p.records.Record(ctx, s)
}

func TestWhatIsKnownRefusesAlsoBesideWhatIsNot(t *testing.T) {
	t.Parallel()
	r := media.Rights{Records: partly{lms(), annsProduct}}
	pl := media.Placement{Kind: media.ProductImage, ProductID: annsProduct.ID, CourseID: tomsCourse.ID}
	if checked, err := r.MayPlace(t.Context(), ann, pl); !checked || !errors.Is(err, media.Forbidden) {
		t.Errorf("another's course: got %v, %v, want forbidden", checked, err)
	}
	pl.CourseID = annsCourse.ID
	if checked, err := r.MayPlace(t.Context(), ann, pl); checked || err != nil {
		t.Errorf("the own course: got %v, %v, want unchecked", checked, err)
	}
}

func TestOddDocumentsOfACourse(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		modules any
		want    error // of a placement in a lesson
	}{
		"none: they are kept elsewhere": {nil, nil},
		"an empty list":                 {[]any{}, media.Invalid},
		"a text":                        {"x", media.Invalid},
		"a number":                      {4.0, media.Invalid},
		"a document":                    {map[string]any{"id": id24("9")}, media.Invalid},
		"a list of odd things":          {[]any{nil, 4.0, "x", []any{}, map[string]any{}}, media.Invalid},
		"lessons that are a text":       {[]any{map[string]any{"id": 5.0, "lessons": "x"}}, media.Invalid},
		"lessons that are odd":          {[]any{map[string]any{"lessons": []any{nil, "x", map[string]any{"id": nil}}}}, media.Invalid},
		"a typed nil":                   {map[string]any(nil), media.Invalid},
		"modules by their ids":          {[]any{id24("9")}, nil}, // their lessons are kept elsewhere
		"lessons by their ids":          {[]any{map[string]any{"id": id24("9"), "lessons": []any{id24("8"), lesson.ID}}}, nil},
		"lessons by other ids":          {[]any{map[string]any{"id": id24("9"), "lessons": []any{id24("8")}}}, media.Invalid},
		"by MongoDB's name of an id":    {[]any{map[string]any{"lessons": []any{map[string]any{"_id": lesson.ID}}}}, nil},
	} {
		r := lms()
		r.of[annsCourse] = media.Record{Subject: annsCourse, Owner: "ann", Fields: map[string]any{"modules": c.modules}}
		pl := of(annsCourse)
		pl.LessonID = lesson.ID
		if checked, err := (media.Rights{Records: r}).MayPlace(t.Context(), ann, pl); !checked || !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, %v, want %v", name, checked, err, c.want)
		}
	}
	r := lms()
	r.of[annsCourse] = media.Record{Subject: annsCourse, Owner: "ann", Fields: map[string]any{"modules": []any{id24("9")}}}
	for module, want := range map[string]error{id24("9"): nil, id24("8"): media.Invalid} {
		pl := of(annsCourse)
		pl.ModuleID = module
		if _, err := (media.Rights{Records: r}).MayPlace(t.Context(), ann, pl); !errors.Is(err, want) {
			t.Errorf("module %s of a list of ids: got %v, want %v", module, err, want)
		}
	}
	r = lms()
	r.of[annsCourse] = media.Record{Subject: annsCourse, Owner: "ann"} // no fields at all
	if checked, err := (media.Rights{Records: r}).MayPlace(t.Context(), ann, of(annsCourse)); !checked || err != nil {
		t.Errorf("no fields: got %v, %v", checked, err)
	}
}
