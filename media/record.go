package media

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"time"
)

// Record is an entity of the LMS as its database has it. Sluice knows a few of its fields and passes on the others.
type Record struct {
	Subject                // Product, Course, User, Review or Order
	Fields  map[string]any // as in JSON: string, float64, int64, bool, nil, []any, map[string]any; times are RFC 3339 texts. Without the id

	Owner     string // subject of who made it; "": only admins manage it
	Published bool   // false: only who manages it sees it
	Version   string // of this content: strong, printable, changes with each write by whomever
	CreatedAt time.Time
	UpdatedAt time.Time
	DeletedAt time.Time // since when it lies in the trash; zero: it does not
}

// NewRecordID makes the id of a record created at now, as MongoDB does: 32 bits of Unix seconds, and 64 random ones.
func NewRecordID(now time.Time) string {
	var id [12]byte
	binary.BigEndian.PutUint32(id[:4], uint32(now.Unix())) //nolint:gosec // wraps in 2106, as ObjectIDs do
	_, _ = rand.Read(id[4:])                               // never fails, see NewAssetID
	return hex.EncodeToString(id[:])
}

// Title is what people call it: the first text of title, name and displayName.
func (r Record) Title() string {
	for _, k := range []string{"title", "name", "displayName"} {
		if s, ok := r.Fields[k].(string); ok && s != "" {
			return s
		}
	}
	return ""
}

// Lessons walks the lessons of a course by module, in the course's order, until yield says stop. A module without any comes once, with lesson
// "". Either id may be "" where the LMS gave none.
func (r Record) Lessons(yield func(module, lesson string) bool) {
	for _, m := range maps(r.Fields["modules"]) {
		id := idOf(m)
		lessons := maps(m["lessons"])
		if len(lessons) == 0 && !yield(id, "") {
			return
		}
		for _, l := range lessons {
			if !yield(id, idOf(l)) {
				return
			}
		}
	}
}

// HasLesson reports whether a course has a lesson; HasModule, a module.
func (r Record) HasLesson(id string) bool {
	found := false
	r.Lessons(func(_, lesson string) bool { found = lesson == id; return !found })
	return found && id != ""
}

// HasModule reports whether a course has a module.
func (r Record) HasModule(id string) bool {
	found := false
	r.Lessons(func(module, _ string) bool { found = module == id; return !found })
	return found && id != ""
}

// refers reports whether a course only names modules: what lessons they have is kept elsewhere.
func (r Record) refers() bool {
	list, _ := r.Fields["modules"].([]any)
	return slices.ContainsFunc(list, func(m any) bool { id, _ := m.(string); return ValidEntityID(id) })
}

func maps(v any) []map[string]any {
	list, _ := v.([]any)
	out := make([]map[string]any, 0, len(list))
	for _, e := range list {
		switch e := e.(type) {
		case map[string]any:
			out = append(out, e)
		case string:
			if ValidEntityID(e) { // kept elsewhere, as Mongoose refers to documents
				out = append(out, map[string]any{"id": e})
			}
		}
	}
	return out
}

// idOf gives the id of a document inside another; MongoDB's own name for it is _id.
func idOf(m map[string]any) string {
	for _, k := range []string{"id", "_id"} {
		if s, ok := m[k].(string); ok && s != "" {
			return s
		}
	}
	return ""
}

// RecordQuery selects records for a list, newest first; of the trash, what was deleted last.
type RecordQuery struct {
	Type     SubjectType // Product or Course; of the others, all
	Owner    string      // "": everybody's
	Unlisted bool        // also what is not published; with Owner set, of that owner only
	Category string      // products or courses of this category; "": all
	Deleted  bool        // what lies in the trash instead, by Owner alone
	Limit    int         // 1..200
	Cursor   string      // NextCursor of the page before
}

// RecordListing is one page of records.
type RecordListing struct {
	Items      []Record
	NextCursor string // "": this was the last
}
