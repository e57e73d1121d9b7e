package storage

import (
	"strings"

	"sluice/media"
)

// Rule sends uploads to a backend: those that meet every condition it has. A zero condition is none.
type Rule struct {
	Kind      media.PlacementKind
	MIME      string // "image/png", "video/*"
	Type      media.Type
	Size      *Sizes // never met by a length that is not known
	Product   string // ids: of where the upload belongs, or of what it refers to
	Course    string
	Lesson    string
	Reference media.Subject // without an ID: any of that type
	Public    *bool

	Backend string
}

// Sizes is a span of sizes in bytes, both ends included.
type Sizes struct{ Least, Most int64 }

// Route decides where an upload goes. A final upload stays with its parts; any other goes to the backend that it, or its grant, names,
// else to that of the first rule whose conditions it meets, else to the default. A name that no backend has is media.Invalid.
//
// Rules see what an upload declares, before its first byte. Of a part that is nothing unless its own metadata say it: what is assumed for
// an upload without metadata (kind media, not public, a document) meets no condition, and neither does a part's size, which is not the
// file's. So all parts of a file go one way, and can be joined.
func (s *Store) Route(a *media.Asset) (Backend, error) {
	switch {
	case a.Upload.Final:
		return s.Backend(a.Backend)
	case a.Backend != "":
		return s.Choose(a.Backend)
	}
	for i := range s.rules {
		if s.rules[i].matches(a) {
			return s.backends[s.rules[i].Backend], nil
		}
	}
	return s.Choose("")
}

func (r *Rule) matches(a *media.Asset) bool {
	p, part := &a.Placement, a.Upload.Partial
	switch {
	case r.Kind != "" && (r.Kind != p.Kind || part && r.Kind == media.Generic):
	case r.MIME != "" && !matchesMIME(r.MIME, a.MIMEType, part):
	case r.Type != "" && (r.Type != a.Type || part && r.Type == media.Document && a.MIMEType == anyType):
	case r.Size != nil && (part || a.Size < r.Size.Least || a.Size > r.Size.Most): // an unknown length is below every range
	case r.Product != "" && !names(r.Product, p.ProductID, media.Product, p.Reference):
	case r.Course != "" && !names(r.Course, p.CourseID, media.Course, p.Reference):
	case r.Lesson != "" && !names(r.Lesson, p.LessonID, media.Lesson, p.Reference):
	case r.Reference.Type != "" && r.Reference.Type != p.Reference.Type:
	case r.Reference.ID != "" && r.Reference.ID != p.Reference.ID:
	case r.Public != nil && (*r.Public != a.Public || part && !a.Public):
	default:
		return true
	}
	return false
}

// anyType is the MIME type of an upload that says none.
const anyType = "application/octet-stream"

func matchesMIME(pattern, mime string, part bool) bool {
	if part && mime == anyType {
		return false
	}
	if class, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(mime, class)
	}
	return pattern == mime
}

// names reports whether an upload belongs to an entity, or refers to it.
func names(id, own string, t media.SubjectType, ref media.Subject) bool {
	return id == own || ref == media.Subject{Type: t, ID: id}
}
