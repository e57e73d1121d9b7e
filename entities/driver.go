package entities

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"time"

	"sluice/media"
)

// Driver is a database that keeps documents of the LMS, shared with programs that know nothing of Sluice. Keys are of a type that has
// records, ids are valid. It tells media.Unavailable within two seconds when it cannot be asked.
type Driver interface {
	// Get reads a document, one with PendingMember too; media.NotFound.
	Get(ctx context.Context, k Key) (Document, error)

	// Find reads the documents that fit all of a query, newest first: by createdAt, then by id, at most q.Limit. It never finds what has
	// PendingMember, nor what is in the trash. With q.Trash it reads that: what was buried last comes first.
	Find(ctx context.Context, q Query) ([]Document, error)

	// Write hands the document of a key to change, nil when there is none, and makes it what change gives: nil deletes it, the same pointer
	// leaves it, anything else is kept in its place. When anybody else wrote in between, nothing is written and change is asked again about
	// what is there now. An error of change ends it; nothing is written. Write gives what is there afterwards, and zero when nothing is.
	// What a rule of the database's own refuses, such as a name that is unique, is media.Conflict or media.Invalid.
	Write(ctx context.Context, k Key, change Change) (Document, error)

	// Trashed names what lies in the trash since before a time, the oldest first, at most limit.
	Trashed(ctx context.Context, before time.Time, limit int) ([]media.Subject, error)

	// Ping reports whether the database can be asked now.
	Ping(ctx context.Context) error

	// Version names the database in a few words.
	Version(ctx context.Context) (string, error)

	Close() error
}

// Watcher is a Driver that may hear what other programs write.
type Watcher interface {
	// Watch tells each change until ctx ends or the database is away; errors.ErrUnsupported where it tells none. Called again it tells what
	// happened meanwhile, when the database still knows that.
	Watch(ctx context.Context, changed func(media.Subject)) error
}

// Untouched is a Driver that keeps no LMS until something is written to it.
type Untouched interface {
	// Untouched reports whether no document was ever written. False is for good.
	Untouched(ctx context.Context) (bool, error)
}

// Key names a document: an entity's own, or its copy in the trash.
type Key struct {
	media.Subject
	Trash bool
}

// Change makes a document of what is there; nil stands for none. It may be called several times and must not keep what it is given.
type Change func(there *Document) (*Document, error)

// PendingMember is the member of a document that is not there yet: the name of the work that makes it.
const PendingMember = "sluicePending"

// Document is one document of the LMS's database.
type Document struct {
	ID string

	// Fields are its members but _id: nil, bool, int64, float64, string, time.Time, []any and map[string]any. What the database keeps
	// besides, such as binary, is left out, and kept in a document that has the same Raw.
	Fields map[string]any

	// BuriedAt is since when a document lies in the trash, to the millisecond; zero of others. It is not part of the version.
	BuriedAt time.Time

	Version  string   // of the whole document, see VersionOf
	Position Position // in lists
	Raw      any      // the database's own form of it; a document written with it keeps what Fields cannot tell
}

// Position is where a document stands in the order of lists.
type Position struct {
	CreatedAt any // its createdAt as it is kept: time.Time, string, int64 or float64, nil
	ID        string
	Text      bool // the database keeps the id as a text, not in a form of its own
}

// Query selects documents of one type. Zero fields select nothing out.
type Query struct {
	Type     media.SubjectType
	IDs      []string // those with one of these ids
	Lesson   string   // courses with a module that has this lesson: modules.lessons._id
	Owner    string   // those whose OwnerOf is this text
	Listed   bool     // those that are Published
	Category string   // those with this text as category
	After    *Position
	Limit    int
	Members  []string // which members are read; nil: all. Of others nothing can be told, nor of the version
	Trash    bool     // those in the trash. Only Owner, After and Limit go with it; After.CreatedAt is the time of a burial
}

// VersionOf makes a version of when a document was written and of its bytes: one that no two contents share.
func VersionOf(updated time.Time, content []byte) string {
	sum := sha256.Sum256(content)
	return strconv.FormatInt(max(0, updated.UnixMilli()), 36) + "-" + hex.EncodeToString(sum[:12])
}

// CreatedAt is when the document was made: its member createdAt, or what its id tells (a MongoDB id begins with the Unix second).
func (d Document) CreatedAt() time.Time {
	if t := TimeOf(d.Fields["createdAt"]); !t.IsZero() {
		return t
	}
	if !media.ValidEntityID(d.ID) {
		return time.Time{}
	}
	seconds, err := strconv.ParseInt(d.ID[:8], 16, 64)
	if err != nil {
		return time.Time{}
	}
	return time.Unix(seconds, 0).UTC()
}

// UpdatedAt is when the document was written: its member updatedAt, or createdAt.
func (d Document) UpdatedAt() time.Time {
	if t := TimeOf(d.Fields["updatedAt"]); !t.IsZero() {
		return t
	}
	return d.CreatedAt()
}

// TimeOf reads a time as programs keep it: as such, as an RFC 3339 text, or in Unix milliseconds. Zero when it is none.
func TimeOf(v any) time.Time {
	switch v := v.(type) {
	case time.Time:
		return v.UTC().Truncate(time.Millisecond)
	case string:
		if t, err := time.Parse(time.RFC3339, v); err == nil {
			return t.UTC().Truncate(time.Millisecond)
		}
	case int64:
		return millis(v)
	case float64:
		if v > 0 && v < lastMilli {
			return millis(int64(v))
		}
	}
	return time.Time{}
}

// Numbers between are Unix milliseconds of 1973 to 9999; smaller ones may be anything.
const (
	firstMilli = 1e11
	lastMilli  = 253402300800000
)

func millis(n int64) time.Time {
	if n < firstMilli || n >= lastMilli {
		return time.Time{}
	}
	return time.UnixMilli(n).UTC()
}
