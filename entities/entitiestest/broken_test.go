package entitiestest

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"sluice/entities"
	"sluice/media"
)

// broken is a driver broken on purpose, and promises that must fail on it.
type broken struct {
	name  string
	wrap  func(d entities.Driver) entities.Driver
	fails []string
}

// bent is a driver with some of its methods replaced.
type bent struct {
	entities.Driver
	get   func(ctx context.Context, k entities.Key) (entities.Document, error)
	find  func(ctx context.Context, q entities.Query) ([]entities.Document, error)
	write func(ctx context.Context, k entities.Key, change entities.Change) (entities.Document, error)
	name  *string

	trashed func(ctx context.Context, before time.Time, limit int) ([]media.Subject, error)
}

func (b *bent) Trashed(ctx context.Context, before time.Time, limit int) ([]media.Subject, error) {
	if b.trashed != nil {
		return b.trashed(ctx, before, limit)
	}
	return b.Driver.Trashed(ctx, before, limit)
}

func (b *bent) Get(ctx context.Context, k entities.Key) (entities.Document, error) {
	if b.get != nil {
		return b.get(ctx, k)
	}
	return b.Driver.Get(ctx, k)
}

func (b *bent) Find(ctx context.Context, q entities.Query) ([]entities.Document, error) {
	if b.find != nil {
		return b.find(ctx, q)
	}
	return b.Driver.Find(ctx, q)
}

func (b *bent) Write(ctx context.Context, k entities.Key, change entities.Change) (entities.Document, error) {
	if b.write != nil {
		return b.write(ctx, k, change)
	}
	return b.Driver.Write(ctx, k, change)
}

func (b *bent) Version(ctx context.Context) (string, error) {
	if b.name != nil {
		return *b.name, nil
	}
	return b.Driver.Version(ctx)
}

// driver breaks methods of the driver.
func driver(bend func(d entities.Driver, b *bent)) func(entities.Driver) entities.Driver {
	return func(d entities.Driver) entities.Driver {
		b := &bent{Driver: d}
		bend(d, b)
		return b
	}
}

// found breaks what Find gives, or what it is asked.
func found(bend func(q *entities.Query, docs []entities.Document) []entities.Document) func(entities.Driver) entities.Driver {
	return driver(func(d entities.Driver, b *bent) {
		b.find = func(ctx context.Context, q entities.Query) ([]entities.Document, error) {
			bend(&q, nil)
			docs, err := d.Find(ctx, q)
			return bend(&q, docs), err
		}
	})
}

// written breaks what a change makes.
func written(bend func(k entities.Key, there, next *entities.Document) *entities.Document) func(entities.Driver) entities.Driver {
	return driver(func(d entities.Driver, b *bent) {
		b.write = func(ctx context.Context, k entities.Key, change entities.Change) (entities.Document, error) {
			return d.Write(ctx, k, func(there *entities.Document) (*entities.Document, error) {
				next, err := change(there)
				if err != nil {
					return nil, err
				}
				return bend(k, there, next), nil
			})
		}
	})
}

// versioned breaks how versions are told.
func versioned(version func(d entities.Document) string) func(entities.Driver) entities.Driver {
	return driver(func(d entities.Driver, b *bent) {
		b.get = func(ctx context.Context, k entities.Key) (entities.Document, error) {
			doc, err := d.Get(ctx, k)
			doc.Version = version(doc)
			return doc, err
		}
		b.write = func(ctx context.Context, k entities.Key, change entities.Change) (entities.Document, error) {
			doc, err := d.Write(ctx, k, func(there *entities.Document) (*entities.Document, error) {
				if there != nil {
					there.Version = version(*there)
				}
				return change(there)
			})
			doc.Version = version(doc)
			return doc, err
		}
	})
}

func copied(d *entities.Document) *entities.Document {
	c := *d
	c.Fields = maps.Clone(d.Fields)
	return &c
}

func breaks() []broken {
	return slices.Concat(brokenReads(), brokenWrites(), brokenVersions(), brokenRaces(), brokenTrash(), brokenLists())
}

func brokenReads() []broken {
	none := ""
	return []broken{
		{"whole numbers lose their kind", driver(func(d entities.Driver, b *bent) {
			b.get = func(ctx context.Context, k entities.Key) (entities.Document, error) {
				doc, err := d.Get(ctx, k)
				for name, v := range doc.Fields {
					if f, ok := v.(float64); ok && f == float64(int64(f)) {
						doc.Fields[name] = int64(f)
					}
				}
				return doc, err
			}
		}), []string{"a record is read as it was created"}},
		{"what is missing is empty", driver(func(d entities.Driver, b *bent) {
			b.get = func(ctx context.Context, k entities.Key) (entities.Document, error) {
				doc, _ := d.Get(ctx, k)
				doc.ID = k.ID
				return doc, nil
			}
		}), []string{"what is missing is not found", "what is removed is gone; again is not found"}},
		{"all types share their ids", driver(func(d entities.Driver, b *bent) {
			one := func(k entities.Key) entities.Key { k.Type = media.Product; return k }
			b.get = func(ctx context.Context, k entities.Key) (entities.Document, error) { return d.Get(ctx, one(k)) }
			b.write = func(ctx context.Context, k entities.Key, change entities.Change) (entities.Document, error) {
				return d.Write(ctx, one(k), change)
			}
		}), []string{"each type keeps its own ids", "each of two with one id is buried by itself"}},
		{"reads are remembered for good", driver(func(d entities.Driver, b *bent) {
			var kept sync.Map
			b.get = func(ctx context.Context, k entities.Key) (entities.Document, error) {
				if doc, ok := kept.Load(k); ok {
					return doc.(entities.Document), nil
				}
				doc, err := d.Get(ctx, k)
				if err == nil {
					kept.Store(k, doc)
				}
				return doc, err
			}
		}), []string{"another process sees a write at once", "the version is another after each write, by whomever"}},
		{"what has no times is nothing", driver(func(d entities.Driver, b *bent) {
			b.get = func(ctx context.Context, k entities.Key) (entities.Document, error) {
				doc, err := d.Get(ctx, k)
				if err == nil && doc.Fields["createdAt"] == nil {
					err = media.NotFound
				}
				return doc, err
			}
		}), []string{"what a stranger makes is a record"}},
		{"nobody ever goes", driver(func(d entities.Driver, b *bent) {
			b.get = func(ctx context.Context, k entities.Key) (entities.Document, error) {
				return d.Get(context.WithoutCancel(ctx), k)
			}
		}), []string{"who has gone is told so, and nothing is written"}},
		{"it has no name", driver(func(_ entities.Driver, b *bent) { b.name = &none }), []string{"the database says what it is, and that it can be asked"}},
	}
}

func brokenWrites() []broken {
	return []broken{
		{"times are whole seconds", written(func(_ entities.Key, _, next *entities.Document) *entities.Document {
			if next != nil {
				next = copied(next)
				for _, k := range []string{"createdAt", "updatedAt"} {
					next.Fields[k] = entities.TimeOf(next.Fields[k]).Truncate(time.Second)
				}
			}
			return next
		}), []string{"a record has the times of its making", "the time of a change is after that of the one before"}},
		{"the time of making is that of the write", written(func(_ entities.Key, _, next *entities.Document) *entities.Document {
			if next != nil {
				next = copied(next)
				next.Fields["createdAt"] = next.Fields["updatedAt"]
			}
			return next
		}), []string{"a time of making that is given is kept"}},
		{"a change is asked about nothing", driver(func(d entities.Driver, b *bent) {
			b.write = func(ctx context.Context, k entities.Key, change entities.Change) (entities.Document, error) {
				return d.Write(ctx, k, func(*entities.Document) (*entities.Document, error) { return change(nil) })
			}
		}), []string{"an id that is there is a conflict"}},
		{"an error stops nothing", driver(func(d entities.Driver, b *bent) {
			b.write = func(ctx context.Context, k entities.Key, change entities.Change) (entities.Document, error) {
				var refused error
				doc, err := d.Write(ctx, k, func(there *entities.Document) (*entities.Document, error) {
					var next *entities.Document
					if next, refused = change(there); next == nil && refused != nil {
						next = there
					}
					return next, nil
				})
				if refused != nil {
					err = refused
				}
				return doc, err
			}
		}), []string{"an error of a change writes nothing"}},
		{"what is left is written", written(func(_ entities.Key, there, next *entities.Document) *entities.Document {
			if there != nil && next == there {
				next = copied(next)
				next.Fields["updatedAt"] = there.UpdatedAt().Add(time.Millisecond)
			}
			return next
		}), []string{"a document left as it is is not written"}},
		{"members that go stay", written(func(_ entities.Key, there, next *entities.Document) *entities.Document {
			if there == nil || next == nil || next == there {
				return next
			}
			next = copied(next)
			for k, v := range there.Fields {
				if _, ok := next.Fields[k]; !ok {
					next.Fields[k] = v
				}
			}
			return next
		}), []string{
			"a change sets fields, removes those set to nil, and leaves the others", "a record is put as it is given, whether it was there or not",
			"settling shows a record; again changes nothing, and what is gone is not found",
		}},
		{"nothing is pending", written(func(_ entities.Key, _, next *entities.Document) *entities.Document {
			if next != nil {
				next = copied(next)
				delete(next.Fields, entities.PendingMember)
			}
			return next
		}), []string{"a pending record is missing to every read", "only what is pending is withdrawn"}},
		{"what is pending is anybody's", written(func(_ entities.Key, _, next *entities.Document) *entities.Document {
			if next != nil && next.Fields[entities.PendingMember] != nil {
				next = copied(next)
				next.Fields[entities.PendingMember] = true
			}
			return next
		}), []string{"a record that is pending is its own work's", "settling shows a record; again changes nothing, and what is gone is not found"}},
		{"nothing is deleted", written(func(_ entities.Key, there, next *entities.Document) *entities.Document {
			if next == nil {
				return there
			}
			return next
		}), []string{"what is removed is gone; again is not found", "what is buried no read sees", "what is dropped is gone for good; again is nil", "raising puts back what was buried"}},
		{"an owner is not kept", written(func(_ entities.Key, _, next *entities.Document) *entities.Document {
			if next != nil {
				next = copied(next)
				delete(next.Fields, "user")
			}
			return next
		}), []string{"an owner that is given is read, and is found", "an order grants its user what it names, once it is paid for"}},
	}
}

func brokenVersions() []broken {
	var n atomic.Int64
	return []broken{
		{"all versions are one", versioned(func(entities.Document) string { return "v" }), []string{
			"a change of another version is refused", "a burial of another version is refused", "of several writers with one version one wins",
		}},
		{"a version is the time of the write", versioned(func(d entities.Document) string { return d.UpdatedAt().String() }), []string{
			"the version is another after each write, by whomever", "a version goes stale by a write that leaves updatedAt",
		}},
		{"a version is of the read", versioned(func(entities.Document) string { return strconv.FormatInt(n.Add(1), 10) }), []string{
			"the version stays while nobody writes",
		}},
	}
}

// meet lets those who wait go on together once there are enough of them, or nobody comes any more.
type meet struct {
	mu   sync.Mutex
	here int
	open chan struct{}
}

func (m *meet) wait() {
	m.mu.Lock()
	m.here++
	if m.here == writers {
		close(m.open)
	}
	m.mu.Unlock()
	timer := time.NewTimer(100 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-m.open:
	case <-timer.C:
	}
}

// blind reads, changes, and writes whatever is there by then.
func blind(d entities.Driver) entities.Driver {
	m := &meet{open: make(chan struct{})}
	b := &bent{Driver: d}
	b.write = func(ctx context.Context, k entities.Key, change entities.Change) (entities.Document, error) {
		var there *entities.Document
		if doc, err := d.Get(ctx, k); err == nil {
			there = &doc
		}
		next, err := change(there)
		if err != nil {
			return entities.Document{}, err
		}
		m.wait()
		return d.Write(ctx, k, func(*entities.Document) (*entities.Document, error) { return next, nil })
	}
	return b
}

func brokenRaces() []broken {
	return []broken{
		{"writes are blind", blind, []string{
			"of several writers with one version one wins", "writers that name no version lose nothing", "of several that create one record one does",
			"what is written between the read and the write of a change is not lost", "what is written between the read and a replacement is seen first",
			"what is written between the read and a removal is not removed unseen",
		}},
		{"deleting nothing is an error", driver(func(d entities.Driver, b *bent) {
			b.write = func(ctx context.Context, k entities.Key, change entities.Change) (entities.Document, error) {
				return d.Write(ctx, k, func(there *entities.Document) (*entities.Document, error) {
					next, err := change(there)
					if there == nil && next == nil && err == nil {
						err = media.NotFound
					}
					return next, err
				})
			}
		}), []string{"what is dropped is gone for good; again is nil"}},
		{"a burial takes one at a time, and the others fail", driver(func(d entities.Driver, b *bent) {
			b.get = func(ctx context.Context, k entities.Key) (entities.Document, error) {
				if k.Trash {
					return entities.Document{}, media.NotFound
				}
				return d.Get(ctx, k)
			}
		}), []string{"of several that bury one record all may say so", "what is buried may be buried again"}},
		{"a write comes in two steps", driver(func(d entities.Driver, b *bent) {
			b.write = func(ctx context.Context, k entities.Key, change entities.Change) (entities.Document, error) {
				_, err := d.Write(ctx, k, func(there *entities.Document) (*entities.Document, error) {
					next, err := change(there)
					if there != nil && next != nil && err == nil {
						next = copied(next)
						next.Fields["b"] = there.Fields["b"]
					}
					return next, err
				})
				if err != nil {
					return entities.Document{}, err
				}
				(&meet{open: make(chan struct{})}).wait()
				return d.Write(ctx, k, func(there *entities.Document) (*entities.Document, error) {
					next := copied(there)
					next.Fields["b"] = next.Fields["a"]
					return next, nil
				})
			}
		}), []string{"several read while others write"}},
	}
}

func brokenTrash() []broken {
	return []broken{
		{"the trash is never seen", driver(func(d entities.Driver, b *bent) {
			b.get = func(ctx context.Context, k entities.Key) (entities.Document, error) {
				if k.Trash {
					return entities.Document{}, media.NotFound
				}
				return d.Get(ctx, k)
			}
		}), []string{
			"what is buried may be buried again", "a burial that was cut off is completed by burying again", "a raising that was cut off is completed by raising again",
			"raising puts back what was buried",
		}},
		{"the trash is told to the end", driver(func(d entities.Driver, b *bent) {
			b.trashed = func(ctx context.Context, _ time.Time, limit int) ([]media.Subject, error) {
				return d.Trashed(ctx, time.Now().AddDate(100, 0, 0), limit)
			}
		}), []string{"what lies in the trash since before a time is told, the oldest first"}},
		{"the trash is listed from its bottom", found(func(q *entities.Query, l []entities.Document) []entities.Document {
			if q.Trash {
				slices.Reverse(l)
			}
			return l
		}), []string{"the trash is listed, the latest burial first, whole or of one owner"}},
		{"the trash keeps what came first", written(func(k entities.Key, there, next *entities.Document) *entities.Document {
			if k.Trash && there != nil && next != nil {
				return there
			}
			return next
		}), []string{"a burial that was cut off takes along what was written since"}},
		{"the trash keeps titles", written(func(k entities.Key, _, next *entities.Document) *entities.Document {
			if k.Trash && next != nil {
				return &entities.Document{Fields: fields{"title": next.Fields["title"]}}
			}
			return next
		}), []string{"raising puts back what was buried", "what is buried no read sees"}},
	}
}

func brokenLists() []broken {
	type docs = []entities.Document
	return []broken{
		{"lists are oldest first", found(func(_ *entities.Query, l docs) docs { slices.Reverse(l); return l }), []string{
			"a list is newest first, then by id, each record once", "a list has what one owner made, whichever member tells",
		}},
		{"the oldest are found", found(func(q *entities.Query, l docs) docs {
			if l == nil {
				q.Limit += 100
				return nil
			}
			q.Limit -= 100
			return l[max(0, len(l)-q.Limit):]
		}), []string{"of a user's orders the newest are looked at"}},
		{"pages begin anew", found(func(q *entities.Query, l docs) docs { q.After = nil; return l }), []string{"a list goes on where it was, whatever comes and goes"}},
		{"the last is found twice", found(func(_ *entities.Query, l docs) docs {
			if len(l) > 0 {
				l = append(l, l[len(l)-1])
			}
			return l
		}), []string{"the last page names no next one"}},
		{"a state hides", found(func(q *entities.Query, l docs) docs {
			return slices.DeleteFunc(l, func(d entities.Document) bool { return q.Listed && d.Fields["status"] != nil })
		}), []string{"a list has what everybody may see, and the rest when it is asked for"}},
		{"all lists are for all to see", found(func(q *entities.Query, l docs) docs { q.Listed = true; return l }), []string{"of orders a list has all"}},
		{"categories count for nothing", found(func(q *entities.Query, l docs) docs { q.Category = ""; return l }), []string{
			"a list has products of one category", "a list has courses of one category", "conditions are all to be met",
		}},
		{"no ids are all ids", found(func(q *entities.Query, l docs) docs {
			if len(q.IDs) == 0 {
				q.IDs = nil
			}
			return l
		}), []string{"conditions are all to be met"}},
		{"a lesson is in every course", found(func(q *entities.Query, l docs) docs { q.Lesson = ""; return l }), []string{
			"a lesson gives its course", "ids of nested objects stay ids in a change of the list they stand in",
		}},
		{"one title is enough", found(func(q *entities.Query, l docs) docs {
			if q.IDs != nil && len(l) > 1 {
				return l[:1]
			}
			return l
		}), []string{"titles are those of all that are there"}},
		{"members that are asked for are texts", found(func(q *entities.Query, l docs) docs {
			for _, d := range l {
				maps.DeleteFunc(d.Fields, func(_ string, v any) bool { _, text := v.(string); return q.Members != nil && !text })
			}
			return l
		}), []string{"members that are asked for are read"}},
	}
}
