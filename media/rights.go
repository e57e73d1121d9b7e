package media

import "context"

// Records tells what the LMS's database knows.
type Records interface {
	// Record gives an entity; that of a lesson is its course's. NotFound when there is none, Unavailable when that cannot be known now.
	Record(ctx context.Context, s Subject) (Record, error)

	// Entitled reports whether an order gives a user one of these entities; Unavailable as above.
	Entitled(ctx context.Context, user string, subjects []Subject) (bool, error)

	// Trusting reports that no LMS keeps its records here at all, so that ids of entities are taken on trust.
	Trusting(ctx context.Context) bool
}

// Rights decides who may see and manage assets: admins all; instructors their own, and what hangs on their own products and courses;
// everybody what is public and what an order grants them. What cannot be known now is not granted; without Records nobody has a right but by
// being the owner or an admin, or because an asset is public.
type Rights struct{ Records Records }

// Manages reports whether p may read and change an asset.
func (r Rights) Manages(ctx context.Context, p Principal, a Asset) bool {
	if p.Manages(a.Owner) {
		return true
	}
	if r.Records == nil || !p.Has(Instructor) || p.Subject == "" {
		return false
	}
	for _, s := range a.Subjects() {
		if owned(s) && s.Named() {
			if e, err := r.Records.Record(ctx, s); err == nil && p.Manages(e.Owner) {
				return true
			}
		}
	}
	return false
}

// Sees reports whether p may read an asset and its bytes.
func (r Rights) Sees(ctx context.Context, p Principal, a Asset) bool {
	return p.Manages(a.Owner) || a.Public && shown(a) || r.Manages(ctx, p, a) || r.Granted(ctx, p, a)
}

// Granted reports whether an order gives p an asset, whatever else does.
func (r Rights) Granted(ctx context.Context, p Principal, a Asset) bool {
	return shown(a) && r.granted(ctx, p, a.Subjects())
}

// shown reports whether there is something to be seen by others than who manages an asset: not what is still coming in, nor a part of a file.
func shown(a Asset) bool { return a.State.Finished() && !a.Upload.Partial }

// SeesRecord reports whether p may read an entity: what is published, what is their own, and what an order grants.
func (r Rights) SeesRecord(ctx context.Context, p Principal, e Record) bool {
	return e.Published || p.Manages(e.Owner) || r.granted(ctx, p, []Subject{e.Subject})
}

func (r Rights) granted(ctx context.Context, p Principal, subjects []Subject) bool {
	named := make([]Subject, 0, len(subjects))
	for _, s := range subjects {
		if s.Named() {
			named = append(named, s)
		}
	}
	if r.Records == nil || p.Subject == "" || len(named) == 0 {
		return false
	}
	ok, err := r.Records.Entitled(ctx, p.Subject, named)
	return err == nil && ok
}

// owned reports whether only its owner puts media on such an entity.
func owned(s Subject) bool { return s.Type == Product || s.Type == Course || s.Type == Lesson }

// MayPlace decides whether p may put an asset where a placement says. checked is false when the LMS's database is away: the place is to be
// looked at again when it is back. What does not exist, and what p must not know of, is Invalid; what others own and everybody may see is Forbidden.
func (r Rights) MayPlace(ctx context.Context, p Principal, pl Placement) (checked bool, err error) {
	checked = true
	if r.Records == nil || r.Records.Trusting(ctx) {
		return checked, nil
	}
	for _, l := range pl.links() {
		e, err := r.Records.Record(ctx, l.Subject)
		switch {
		case err != nil && KindOf(err) == NotFound:
			return true, l.unknown()
		case err != nil:
			checked = false
		case owned(l.Subject) && !p.Manages(e.Owner):
			if !e.Published {
				return true, l.unknown()
			}
			return true, &Error{Kind: Forbidden, Code: "not_yours", Detail: "this " + string(l.Type) + " belongs to somebody else", Field: l.field}
		case l.Type == Course:
			if err := pl.within(e); err != nil {
				return true, err
			}
		}
	}
	return checked, nil
}

// link is an entity that a placement names, and the member that names it.
type link struct {
	Subject
	field string
}

func (l link) unknown() error {
	return &Error{Kind: Invalid, Code: "unknown_" + string(l.Type), Detail: "there is no such " + string(l.Type), Field: l.field}
}

func (p Placement) links() []link {
	var ls []link
	add := func(t SubjectType, id, field string) {
		if s := (Subject{Type: t, ID: id}); s.Named() {
			ls = append(ls, link{s, field})
		}
	}
	add(Product, p.ProductID, "mongoProductId")
	add(Course, p.CourseID, "mongoCourseId")
	if p.CourseID == "" {
		add(Lesson, p.LessonID, "mongoLessonId") // one beside its course is looked for in that, see within
	}
	add(p.Reference.Type, p.Reference.ID, "referenceId")
	return ls
}

// within refuses a lesson or module that the course does not have. A course without any keeps them elsewhere.
func (p Placement) within(course Record) error {
	if course.Fields["modules"] == nil {
		return nil
	}
	if p.LessonID != "" && !course.HasLesson(p.LessonID) && !course.refers() {
		return link{Subject{Type: Lesson}, "mongoLessonId"}.unknown()
	}
	if p.ModuleID != "" && !course.HasModule(p.ModuleID) {
		return &Error{Kind: Invalid, Code: "unknown_module", Detail: "there is no such module in the course", Field: "mongoModuleId"}
	}
	return nil
}
