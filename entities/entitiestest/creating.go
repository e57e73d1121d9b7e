package entitiestest

import (
	"errors"
	"time"

	"sluice/entities"
	"sluice/media"
)

func creating() []promise {
	return []promise{
		{"a record is read as it was created", func(f *fixture) {
			with := fields{
				"name": "Lamp", "price": 12.5, "whole": 3.0, "stock": int64(7), "large": int64(1) << 40, "new": true, "none": nil, "text": "a\"b\\ü\n",
				"tags": []any{"a", int64(1), nil, fields{"x": []any{}}}, "size": fields{"w": 1.5, "deep": fields{"a": "b"}}, "empty": fields{},
			}
			made := f.create(product(1), with)
			got := f.read(product(1))
			f.same("what create gave", got, made)
			f.same("fields", without(got.Fields), with)
			f.same("subject", got.Subject, product(1))
		}},
		{"a record has the times of its making", func(f *fixture) {
			f.later(123456 * time.Microsecond)
			f.create(product(1), nil)
			got := f.read(product(1))
			want := f.time().Truncate(time.Millisecond)
			if !got.CreatedAt.Equal(want) || !got.UpdatedAt.Equal(want) || got.CreatedAt.Location() != time.UTC {
				f.Errorf("got %v and %v, want %v", got.CreatedAt, got.UpdatedAt, want)
			}
			f.same("in its fields", got.Fields["createdAt"], any("2026-03-01T12:00:00.123Z"))
		}},
		{"an id that is there is a conflict", func(f *fixture) {
			f.create(product(1), fields{"name": "first"})
			_, err := f.r.Create(f.ctx(), media.Record{Subject: product(1), Fields: fields{"name": "second"}}, "")
			f.is(err, media.Conflict)
			f.same("name", f.read(product(1)).Fields["name"], any("first"))
			f.pending(product(2), nil)
			_, err = f.r.Create(f.ctx(), media.Record{Subject: product(2)}, "")
			f.is(err, media.Conflict)
		}},
		{"each type keeps its own ids", func(f *fixture) {
			f.create(product(1), fields{"name": "a lamp"})
			f.create(course(1), fields{"title": "a course"})
			f.same("product", f.read(product(1)).Title(), "a lamp")
			f.same("course", f.read(course(1)).Title(), "a course")
			f.gone(order(1))
		}},
		{"an owner that is given is read, and is found", func(f *fixture) {
			for n, s := range []media.Subject{product(1), course(2), order(3)} {
				_, err := f.r.Create(f.ctx(), media.Record{Subject: s, Owner: id(100)}, "")
				f.must(err)
				f.same("owner", f.read(s).Owner, id(100))
				f.same("found", f.ids(media.RecordQuery{Type: s.Type, Owner: id(100)}), ids(n+1))
			}
		}},
		{"what is missing is not found", func(f *fixture) {
			f.gone(product(1))
			f.gone(lesson(1))
			_, err := f.r.Change(f.ctx(), product(1), "", fields{"a": "b"})
			f.is(err, media.NotFound)
			f.is(f.r.Remove(f.ctx(), product(1)), media.NotFound)
			f.is(f.r.Bury(f.ctx(), product(1), ""), media.NotFound)
			_, err = f.r.Buried(f.ctx(), product(1))
			f.is(err, media.NotFound)
			_, err = f.r.Raise(f.ctx(), product(1))
			f.is(err, media.NotFound)
		}},
		{"an error of a change writes nothing", func(f *fixture) {
			f.create(product(1), fields{"name": "a"})
			was := f.read(product(1))
			_, err := f.Driver.Write(f.ctx(), entities.Key{Subject: product(1)}, func(d *entities.Document) (*entities.Document, error) {
				return &entities.Document{ID: d.ID, Fields: fields{"name": "b"}}, errStop
			})
			if !errors.Is(err, errStop) {
				f.Errorf("got %v, want the change's own error", err)
			}
			f.same("record", f.read(product(1)), was)
		}},
		{"a document left as it is is not written", func(f *fixture) {
			f.create(product(1), fields{"name": "a"})
			was := f.read(product(1))
			got, err := f.Driver.Write(f.ctx(), entities.Key{Subject: product(1)}, func(d *entities.Document) (*entities.Document, error) { return d, nil })
			f.must(err)
			f.same("version", got.Version, was.Version)
			f.same("record", f.read(product(1)), was)
			none, err := f.Driver.Write(f.ctx(), entities.Key{Subject: product(2)}, func(d *entities.Document) (*entities.Document, error) { return d, nil })
			f.must(err)
			f.same("of nothing", none, entities.Document{})
			f.gone(product(2))
		}},
	}
}

func settling() []promise {
	return []promise{
		{"a pending record is missing to every read", func(f *fixture) {
			f.pending(product(1), fields{"name": "a", "createdBy": "u"})
			f.pending(course(2), fields{"title": "a", "modules": []any{fields{"id": id(3), "lessons": []any{fields{"id": id(4)}}}}})
			f.pending(order(5), fields{"user": "u", "status": "paid", "courseId": id(2)})
			f.gone(product(1))
			f.gone(lesson(4))
			f.same("list", f.ids(media.RecordQuery{Type: media.Product, Unlisted: true}), []string(nil))
			f.same("by owner", f.ids(media.RecordQuery{Type: media.Product, Owner: "u", Unlisted: true}), []string(nil))
			titles, err := f.r.Titles(f.ctx(), []media.Subject{product(1), course(2)})
			f.must(err)
			f.same("titles", titles, map[media.Subject]string{})
			granted, err := f.r.Granted(f.ctx(), "u")
			f.must(err)
			f.same("granted", granted, []media.Subject(nil))
			_, err = f.r.Change(f.ctx(), product(1), "", fields{"a": "b"})
			f.is(err, media.NotFound)
			f.is(f.r.Bury(f.ctx(), product(1), ""), media.NotFound)
			f.is(f.r.Remove(f.ctx(), product(1)), media.NotFound)
		}},
		{"settling shows a record; again changes nothing, and what is gone is not found", func(f *fixture) {
			f.pending(product(1), fields{"name": "a"})
			for range 2 {
				settled, err := f.r.Settle(f.ctx(), product(1), work)
				f.must(err)
				f.same("record", f.read(product(1)), settled)
				f.same("fields", without(settled.Fields), fields{"name": "a"})
			}
			f.same("list", f.ids(media.RecordQuery{Type: media.Product}), ids(1))
			_, err := f.r.Settle(f.ctx(), product(2), work)
			f.is(err, media.NotFound)
			f.gone(product(2))
		}},
		{"only what is pending is withdrawn", func(f *fixture) {
			f.pending(product(1), nil)
			f.must(f.r.Withdraw(f.ctx(), product(1), work))
			f.must(f.r.Withdraw(f.ctx(), product(1), work))
			f.create(product(1), nil) // its id is free
			f.is(f.r.Withdraw(f.ctx(), product(1), work), media.Conflict)
			f.read(product(1))
		}},
		{"a record that is pending is its own work's", func(f *fixture) {
			f.pending(product(1), fields{"name": "a"})
			f.pending(product(1), fields{"name": "a"}) // whose answer was lost
			_, err := f.r.Create(f.ctx(), media.Record{Subject: product(1)}, "another")
			f.is(err, media.Conflict)
			_, err = f.r.Settle(f.ctx(), product(1), "another")
			f.is(err, media.NotFound)
			f.must(f.r.Withdraw(f.ctx(), product(1), "another"))
			f.gone(product(1))
			_, err = f.r.Settle(f.ctx(), product(1), work)
			f.must(err)
			f.same("name", f.read(product(1)).Fields["name"], any("a"))
			f.is(f.r.Withdraw(f.ctx(), product(1), "another"), media.Conflict)
			_, err = f.r.Create(f.ctx(), media.Record{Subject: product(1)}, work)
			f.is(err, media.Conflict)
		}},
	}
}

func changing() []promise {
	return []promise{
		{"a change sets fields, removes those set to nil, and leaves the others", func(f *fixture) {
			f.create(product(1), fields{"name": "a", "price": 1.5, "old": "x", "size": fields{"w": 1.5}})
			got := f.change(product(1), "", fields{"name": "b", "old": nil, "new": []any{"y"}, "never": nil})
			f.same("what change gave", got, f.read(product(1)))
			f.same("fields", without(got.Fields), fields{"name": "b", "price": 1.5, "size": fields{"w": 1.5}, "new": []any{"y"}})
		}},
		{"a change of another version is refused", func(f *fixture) {
			first := f.create(product(1), fields{"n": int64(1)})
			second := f.change(product(1), first.Version, fields{"n": int64(2)})
			_, err := f.r.Change(f.ctx(), product(1), first.Version, fields{"n": int64(3)})
			f.is(err, media.PreconditionFailed)
			f.same("record", f.read(product(1)), second)
			f.change(product(1), second.Version, fields{"n": int64(4)})
		}},
		{"the time of a change is after that of the one before", func(f *fixture) {
			last := f.create(product(1), nil).UpdatedAt
			f.later(-time.Hour) // as clocks of other nodes may be
			for range 3 {
				got := f.change(product(1), "", fields{"n": int64(1)})
				if !got.UpdatedAt.After(last) {
					f.Errorf("got %v after %v", got.UpdatedAt, last)
				}
				last = got.UpdatedAt
			}
			f.later(2 * time.Hour)
			f.same("with a clock that goes on", f.change(product(1), "", fields{"n": int64(2)}).UpdatedAt, f.time())
		}},
		{"the version is another after each write, by whomever", func(f *fixture) {
			seen := map[string]bool{}
			look := func(by string) {
				f.Helper()
				v := f.read(product(1)).Version
				if v == "" || seen[v] {
					f.Errorf("after %s: the version %q is not new", by, v)
				}
				seen[v] = true
			}
			f.create(product(1), fields{"n": int64(1)})
			look("create")
			f.change(product(1), "", fields{"n": int64(1)})
			look("a change to the same")
			f.Foreign(f, entities.Key{Subject: product(1)}, fields{"n": int64(2)})
			look("a write that leaves updatedAt")
			f.Foreign(f, entities.Key{Subject: product(1)}, fields{"m": "x"})
			look("a member that is new")
			f.Foreign(f, entities.Key{Subject: product(1)}, fields{"m": nil})
			f.change(product(1), "", fields{"n": nil})
			look("a member that is gone")
		}},
		{"the version stays while nobody writes", func(f *fixture) {
			made := f.create(product(1), fields{"a": fields{"b": []any{1.5}}, "c": "d", "e": int64(1)})
			for range 3 {
				f.same("version", f.read(product(1)).Version, made.Version)
			}
			f.same("in a list", f.page(media.RecordQuery{Type: media.Product}).Items[0].Version, made.Version)
		}},
		{"a version goes stale by a write that leaves updatedAt", func(f *fixture) {
			made := f.create(product(1), fields{"n": int64(1)})
			f.Foreign(f, entities.Key{Subject: product(1)}, fields{"n": int64(2)})
			_, err := f.r.Change(f.ctx(), product(1), made.Version, fields{"n": int64(3)})
			f.is(err, media.PreconditionFailed)
			f.is(f.r.Bury(f.ctx(), product(1), made.Version), media.PreconditionFailed)
			f.same("n", f.read(product(1)).Fields["n"], any(int64(2)))
		}},
		{"ids of nested objects stay ids in a change of the list they stand in", func(f *fixture) {
			module := func(lessons ...any) []any { return []any{fields{"id": id(10), "name": "m", "lessons": lessons}} }
			f.create(course(1), fields{"modules": module(fields{"id": id(11)})})
			got := f.read(course(1))
			f.same("modules", got.Fields["modules"], any(module(fields{"id": id(11)})))
			f.change(course(1), "", fields{"modules": module(fields{"id": id(12), "title": "new"}, fields{"id": id(11)})})
			for _, n := range []int{11, 12} {
				f.same("course of the lesson", f.read(lesson(n)).Subject, course(1))
			}
			f.change(course(1), "", fields{"modules": module(fields{"id": id(12)})})
			f.gone(lesson(11))
		}},
		{"a write is told of, and so is one through another way in", func(f *fixture) {
			f.create(product(1), nil)
			f.change(product(1), "", fields{"a": "b"})
			f.bury(product(1), "")
			_, err := f.r.Raise(f.ctx(), product(1))
			f.must(err)
			f.must(f.r.Remove(f.ctx(), product(1)))
			f.mu.Lock()
			defer f.mu.Unlock()
			if len(f.told) < 5 {
				f.Errorf("told %d times, want 5 or more", len(f.told))
			}
			for _, s := range f.told {
				f.same("told", s, product(1))
			}
		}},
	}
}
