package cache

import (
	"context"
	"errors"
	"time"

	"sluice/media"
)

// RecordSource is the LMS's database, or what remembers for it; a Tier as well then.
type RecordSource interface {
	// Record gives an entity; that of a lesson is its course's. NotFound when there is none, Unavailable when that cannot be known now.
	Record(ctx context.Context, s media.Subject) (media.Record, error)

	// Granted gives the products and courses that a user's orders grant; none for a user that is not known.
	Granted(ctx context.Context, user string) ([]media.Subject, error)

	// Trusting reports that no LMS keeps its records here at all.
	Trusting(ctx context.Context) bool
}

// Records remembers the LMS's records, and what orders grant. What it gives is shared and must not be changed: the Fields of a record, and
// all maps and slices in them, are those of everybody.
type Records struct {
	source  RecordSource
	records *Lookups[media.Subject, media.Record]
	lessons *Lookups[media.Subject, lessonOf]
	grants  *Lookups[string, grants]
	noFor   time.Duration // how long it is believed that an order does not grant something
}

var _ media.Records = (*Records)(nil)

// lessonOf is where a lesson is. The course's record is remembered once, as the course's, so that a change to it holds for its lessons too.
type lessonOf struct {
	course  media.Subject
	version string // of the course in which the lesson was seen
}

// grants are the entities that a user's orders give. Who has none is remembered as NotFound, for as short.
type grants map[media.Subject]struct{}

const (
	// grantsStaleFor is how long grants hold while the LMS's database is away: who was watching can go on, who was refunded not for a day.
	grantsStaleFor = time.Hour

	manyLessons = 1 << 16 // remembered at most: 10 MB
	manyGrants  = 1 << 18 // the same, together for all users: 40 MB
)

// NewRecords makes a cache in front of a source. Options.Size is in KiB of records.
func NewRecords(source RecordSource, o Options) (*Records, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	c := &Records{source: source, noFor: o.MissFor}
	of, og := o, o
	of.Size, og.Size, og.StaleFor = manyLessons, manyGrants, min(o.StaleFor, grantsStaleFor)
	var err, errLessons, errGrants error
	c.records, err = NewLookups(behind(source, source.Record), Use[media.Subject, media.Record]{Name: "records", Weigh: weighRecord}, o)
	c.lessons, errLessons = NewLookups(Source[media.Subject, lessonOf](c.findLesson), Use[media.Subject, lessonOf]{Name: "lessons"}, of)
	c.grants, errGrants = NewLookups(Source[string, grants](c.findGrants), Use[string, grants]{Name: "grants", Weigh: weighGrants}, og)
	if err := errors.Join(err, errLessons, errGrants); err != nil {
		return nil, err
	}
	return c, nil
}

func weighGrants(_ string, g grants) int { return 1 + len(g) }

func weighRecord(_ media.Subject, r media.Record) int { return 1 + weigh(r.Fields)>>10 }

// weigh estimates the bytes that a value of a record takes: a map of Go's has room for eight entries at least.
func weigh(v any) int {
	const word, leastMap, entry = 16, 300, 50
	n := word
	switch v := v.(type) {
	case string:
		n += len(v)
	case []any:
		for _, e := range v {
			n += weigh(e)
		}
	case map[string]any:
		n += max(leastMap, entry*len(v))
		for k, e := range v {
			n += len(k) + weigh(e)
		}
	}
	return n
}

func (c *Records) findLesson(ctx context.Context, s media.Subject) (lessonOf, error) {
	r, err := c.source.Record(ctx, s)
	return lessonOf{r.Subject, r.Version}, err
}

func (c *Records) findGrants(ctx context.Context, user string) (grants, error) {
	list, err := c.source.Granted(ctx, user)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, media.Errorf(media.NotFound, "nothing is granted")
	}
	g := make(grants, len(list))
	for _, s := range list {
		g[s] = struct{}{}
	}
	return g, nil
}

// Record is Lookup without the word on what was known.
func (c *Records) Record(ctx context.Context, s media.Subject) (media.Record, error) {
	r, _, err := c.Lookup(ctx, s)
	return r, err
}

// Lookup gives a record as Lookups does.
func (c *Records) Lookup(ctx context.Context, s media.Subject) (r media.Record, known bool, err error) {
	if s.Type != media.Lesson {
		return c.records.Lookup(ctx, s)
	}
	l, found, err := c.lessons.Lookup(ctx, s)
	if err != nil {
		return r, found, err
	}
	r, known, err = c.records.Lookup(ctx, l.course)
	switch {
	case err == nil && (r.Version == l.version || r.HasLesson(s.ID)):
		return r, known && found, nil
	case err != nil && !errors.Is(err, media.NotFound):
		return r, false, err
	}
	c.lessons.Invalidate(s) // it has left the course, or come into it just now
	r, err = c.source.Record(ctx, s)
	return r, false, err
}

// Entitled reports whether an order gives a user one of these entities, or the course of one that is a lesson. Grants hold as other values
// do, an hour at most while the source is away; that something is not granted is believed for no longer than NotFound, so that what is
// bought shows within a second.
func (c *Records) Entitled(ctx context.Context, user string, subjects []media.Subject) (bool, error) {
	if user == "" || len(subjects) == 0 {
		return false, nil
	}
	now := c.grants.o.Now()
	e, ok := c.grants.hit(ctx, user, now)
	if ok {
		yes, err := c.grant(ctx, e.value, subjects)
		if yes || err != nil || now.Sub(e.loaded) < c.noFor {
			return yes, err
		}
	}
	g, _, err := c.grants.renew(ctx, user, e, now)
	if err != nil && !errors.Is(err, media.NotFound) {
		return false, err
	}
	return c.grant(ctx, g, subjects)
}

// grant reports whether one of the subjects is granted. A lesson whose course cannot be known now may be.
func (c *Records) grant(ctx context.Context, g grants, subjects []media.Subject) (bool, error) {
	if len(g) == 0 {
		return false, nil
	}
	var unknown error
	for _, s := range subjects {
		if _, yes := g[s]; yes {
			return true, nil
		}
		if s.Type != media.Lesson {
			continue
		}
		course, err := c.Record(ctx, s)
		if err != nil && !errors.Is(err, media.NotFound) {
			unknown = err
		}
		if _, yes := g[course.Subject]; yes && err == nil {
			return true, nil
		}
	}
	return false, unknown
}

// Trusting asks the source.
func (c *Records) Trusting(ctx context.Context) bool { return c.source.Trusting(ctx) }

// Invalidate forgets a record, and what is known by the ids of a course's lessons. A read that begins afterwards does not see what the
// source held before.
func (c *Records) Invalidate(s media.Subject) {
	switch s.Type {
	case media.Course:
		c.records.Invalidate(s)
		c.lessons.expireMissing() // a lesson that was there is seen by the course's record to be there still
	case media.Lesson:
		if e, ok := c.lessons.entries.Get(s); ok && e.err == nil {
			c.records.Invalidate(e.value.course)
		}
		c.lessons.Invalidate(s)
	default:
		c.records.Invalidate(s)
	}
}

// InvalidateGrants makes the source be asked again about everybody's grants: an order has changed. While the source is away those that are
// known hold on, as after Expire.
func (c *Records) InvalidateGrants() { c.grants.Expire() }

// Expire makes the source be asked again about everything, see Lookups.
func (c *Records) Expire() {
	c.records.Expire()
	c.lessons.Expire()
	c.grants.Expire()
}

// Knows reports whether something is remembered of an entity.
func (c *Records) Knows(s media.Subject) bool {
	if s.Type == media.Lesson {
		return c.lessons.Knows(s)
	}
	return c.records.Knows(s)
}

// Preload looks a record up behind everybody's back when nothing is remembered of it, see Lookups.
func (c *Records) Preload(ctx context.Context, s media.Subject) {
	if s.Type != media.Lesson {
		c.records.Preload(ctx, s)
		return
	}
	c.lessons.Preload(ctx, s)
	if e, ok := c.lessons.entries.Get(s); ok && e.err == nil {
		c.records.Preload(ctx, e.value.course)
	}
}

// Close waits for the questions under way. Reads afterwards go to the source.
func (c *Records) Close() error {
	return errors.Join(c.records.Close(), c.lessons.Close(), c.grants.Close())
}
