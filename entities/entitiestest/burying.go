package entitiestest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sluice/entities"
	"sluice/media"
)

// cut is a driver whose writes to the LMS's own documents, or to the trash, end as in a crash: not at all.
type cut struct {
	entities.Driver
	trash bool
}

func (c cut) Write(ctx context.Context, k entities.Key, change entities.Change) (entities.Document, error) {
	if k.Trash == c.trash {
		return entities.Document{}, errStop
	}
	return c.Driver.Write(ctx, k, change)
}

// cutOff gives records whose writes of one kind never come through.
func (f *fixture) cutOff(trash bool) *entities.Records {
	f.Helper()
	return f.records(cut{f.Driver, trash})
}

// buried reads a record in the trash, as it was before it was buried.
func (f *fixture) buried(s media.Subject) media.Record {
	f.Helper()
	r, err := f.r.Buried(f.ctx(), s)
	f.must(err)
	f.same("buried at", r.DeletedAt, f.time().Truncate(time.Millisecond))
	r.DeletedAt = time.Time{}
	return r
}

func burying() []promise {
	return []promise{
		{"what is buried no read sees", func(f *fixture) {
			f.create(course(1), fields{"title": "a", "createdBy": "u", "modules": []any{fields{"id": id(2), "lessons": []any{fields{"id": id(3)}}}}})
			was := f.read(course(1))
			f.bury(course(1), was.Version)
			f.gone(course(1))
			f.gone(lesson(3))
			f.same("list", f.ids(media.RecordQuery{Type: media.Course, Unlisted: true}), []string(nil))
			f.same("by owner", f.ids(media.RecordQuery{Type: media.Course, Owner: "u"}), []string(nil))
			titles, err := f.r.Titles(f.ctx(), []media.Subject{course(1)})
			f.must(err)
			f.same("titles", titles, map[media.Subject]string{})
			f.same("buried", f.buried(course(1)), was)
			if _, err := f.Driver.Get(f.ctx(), entities.Key{Subject: course(1)}); !errors.Is(err, media.NotFound) {
				f.Errorf("the LMS's own document: got %v, want it deleted", err)
			}
		}},
		{"a burial of another version is refused", func(f *fixture) {
			old := f.create(product(1), fields{"n": int64(1)}).Version
			was := f.change(product(1), "", fields{"n": int64(2)})
			f.is(f.r.Bury(f.ctx(), product(1), old), media.PreconditionFailed)
			f.same("record", f.read(product(1)), was)
			_, err := f.r.Buried(f.ctx(), product(1))
			f.is(err, media.NotFound)
		}},
		{"what is buried may be buried again", func(f *fixture) {
			version := f.create(product(1), nil).Version
			f.bury(product(1), version)
			f.bury(product(1), version)
			f.bury(product(1), "")
		}},
		{"a burial that was cut off is completed by burying again", func(f *fixture) {
			was := f.create(product(1), fields{"n": int64(1)})
			if err := f.cutOff(false).Bury(f.ctx(), product(1), was.Version); !errors.Is(err, errStop) {
				f.Fatalf("got %v, want it cut off", err)
			}
			f.read(product(1)) // the copy alone hides nothing
			f.bury(product(1), was.Version)
			f.gone(product(1))
			f.same("buried", f.buried(product(1)), was)
		}},
		{"a burial that was cut off takes along what was written since", func(f *fixture) {
			was := f.create(product(1), fields{"n": int64(1)})
			if err := f.cutOff(false).Bury(f.ctx(), product(1), was.Version); !errors.Is(err, errStop) {
				f.Fatalf("got %v, want it cut off", err)
			}
			f.change(product(1), "", fields{"n": int64(2)})
			f.bury(product(1), was.Version)
			f.gone(product(1))
			got, err := f.r.Buried(f.ctx(), product(1))
			f.must(err)
			f.same("n", got.Fields["n"], any(int64(2)))
		}},
		{"raising puts back what was buried", func(f *fixture) {
			f.create(course(1), fields{"title": "a", "modules": []any{fields{"id": id(2), "lessons": []any{fields{"id": id(3), "n": int64(1)}}}}})
			was := f.read(course(1))
			f.bury(course(1), "")
			got, err := f.r.Raise(f.ctx(), course(1))
			f.must(err)
			f.same("what raise gave", got, f.read(course(1)))
			f.same("fields", without(got.Fields), without(was.Fields))
			f.same("created", got.CreatedAt, was.CreatedAt)
			f.same("course of the lesson", f.read(lesson(3)).Subject, course(1))
			if !got.UpdatedAt.After(was.UpdatedAt) {
				f.Errorf("raised at %v, written at %v before", got.UpdatedAt, was.UpdatedAt)
			}
			_, err = f.r.Buried(f.ctx(), course(1))
			f.is(err, media.NotFound)
			again, err := f.r.Raise(f.ctx(), course(1))
			f.must(err)
			f.same("raised again", again, got)
		}},
		{"a raising that was cut off is completed by raising again", func(f *fixture) {
			f.create(product(1), fields{"n": int64(1)})
			f.bury(product(1), "")
			if _, err := f.cutOff(true).Raise(f.ctx(), product(1)); !errors.Is(err, errStop) {
				f.Fatalf("got %v, want it cut off", err)
			}
			_, err := f.r.Raise(f.ctx(), product(1))
			f.must(err)
			f.same("n", f.read(product(1)).Fields["n"], any(int64(1)))
			_, err = f.r.Buried(f.ctx(), product(1))
			f.is(err, media.NotFound)
		}},
		{"what is dropped is gone for good; again is nil", func(f *fixture) {
			f.create(product(1), nil)
			f.bury(product(1), "")
			f.must(f.r.Drop(f.ctx(), product(1)))
			f.must(f.r.Drop(f.ctx(), product(1)))
			_, err := f.r.Raise(f.ctx(), product(1))
			f.is(err, media.NotFound)
			_, err = f.r.Buried(f.ctx(), product(1))
			f.is(err, media.NotFound)
		}},
		{"what lies in the trash since before a time is told, the oldest first", func(f *fixture) {
			began := f.time()
			for n := range 6 {
				f.create(product(n), nil)
			}
			for _, n := range []int{3, 1, 2, 4, 0} {
				f.bury(product(n), "")
				f.later(time.Second)
			}
			_, err := f.r.Raise(f.ctx(), product(1))
			f.must(err)
			f.must(f.r.Drop(f.ctx(), product(2)))
			for before, want := range map[time.Duration][]media.Subject{
				0: nil, time.Millisecond: {product(3)}, 3 * time.Second: {product(3)}, 3001 * time.Millisecond: {product(3), product(4)},
				time.Hour: {product(3), product(4), product(0)},
			} {
				got, err := f.r.BuriedBefore(f.ctx(), began.Add(before))
				f.must(err)
				f.same(fmt.Sprintf("before %v", before), got, want)
			}
			two, err := f.Driver.Trashed(f.ctx(), f.time(), 2)
			f.must(err)
			f.same("two of them", two, []media.Subject{product(3), product(4)})
		}},
		{"the trash is listed, the latest burial first, whole or of one owner", func(f *fixture) {
			for n := range 6 {
				f.create(product(n), fields{"name": "p", "createdBy": []string{"u", "v"}[n%2], "published": n > 3})
			}
			f.create(product(6), fields{"name": "p", "seller": fields{"id": "u"}})
			f.create(course(7), fields{"title": "c", "createdBy": "u"})
			f.create(order(8), fields{"user": "u"})
			began := f.time()
			for _, n := range []int{3, 1, 2, 4, 0} {
				f.bury(product(n), "")
				f.later(time.Second)
			}
			f.bury(product(6), "") // these three at one time
			f.bury(course(7), "")
			f.bury(order(8), "")
			_, err := f.r.Raise(f.ctx(), product(1))
			f.must(err)
			all := media.RecordQuery{Type: media.Product, Deleted: true}
			f.same("all", f.ids(all), ids(6, 0, 4, 2, 3))
			all.Owner = "u"
			f.same("of one", f.ids(all), ids(6, 0, 4, 2))
			f.same("courses", f.ids(media.RecordQuery{Type: media.Course, Deleted: true}), ids(7))
			f.same("orders", f.ids(media.RecordQuery{Type: media.Order, Owner: "u", Deleted: true}), ids(8))
			f.same("what is left", f.ids(media.RecordQuery{Type: media.Product, Unlisted: true}), ids(5, 1))
			var paged []string
			all.Limit = 1
			for {
				page := f.page(all)
				for _, r := range page.Items {
					paged = append(paged, r.ID)
					f.same("name", r.Title(), map[bool]string{true: "p"}[r.Type == media.Product])
				}
				if all.Cursor = page.NextCursor; all.Cursor == "" {
					break
				}
			}
			f.same("page by page", paged, ids(6, 0, 4, 2))
			f.same("since when", f.page(media.RecordQuery{Type: media.Product, Owner: "v", Deleted: true}).Items[0].DeletedAt, began)
			all.Cursor = f.page(all).NextCursor
			all.Deleted = false
			_, err = f.r.List(f.ctx(), all)
			f.is(err, media.Invalid) // it is not a cursor of this list
		}},
		{"each of two with one id is buried by itself", func(f *fixture) {
			f.create(product(1), fields{"name": "lamp"})
			f.create(course(1), fields{"title": "light"})
			f.bury(product(1), "")
			f.bury(course(1), "")
			_, err := f.r.Raise(f.ctx(), course(1))
			f.must(err)
			f.same("course", f.read(course(1)).Title(), "light")
			f.gone(product(1))
		}},
	}
}

func putting() []promise {
	return []promise{
		{"a record is put as it is given, whether it was there or not", func(f *fixture) {
			put := func(with fields) media.Record {
				e, err := f.r.Put(f.ctx(), media.Record{Subject: product(1), Owner: "u", Fields: with})
				f.must(err)
				return e
			}
			first := put(fields{"name": "a", "price": 1.5})
			f.same("what put gave", first, f.read(product(1)))
			f.same("fields", without(first.Fields), fields{"name": "a", "price": 1.5, "createdBy": "u"})
			second := put(fields{"name": "b"})
			f.same("what put gave", second, f.read(product(1)))
			f.same("fields", without(second.Fields), fields{"name": "b", "createdBy": "u"})
			f.same("created", second.CreatedAt, first.CreatedAt)
			if !second.UpdatedAt.After(first.UpdatedAt) || second.Version == first.Version {
				f.Errorf("put at %v as %q, after %v as %q", second.UpdatedAt, second.Version, first.UpdatedAt, first.Version)
			}
		}},
		{"a time of making that is given is kept", func(f *fixture) {
			made := f.time().AddDate(-1, 0, 0)
			_, err := f.r.Put(f.ctx(), media.Record{Subject: product(1), CreatedAt: made})
			f.must(err)
			f.same("created", f.read(product(1)).CreatedAt, made)
		}},
		{"what is removed is gone; again is not found", func(f *fixture) {
			f.create(course(1), fields{"modules": []any{fields{"lessons": []any{fields{"id": id(2)}}}}})
			f.must(f.r.Remove(f.ctx(), course(1)))
			f.gone(course(1))
			f.gone(lesson(2))
			f.is(f.r.Remove(f.ctx(), course(1)), media.NotFound)
		}},
	}
}
