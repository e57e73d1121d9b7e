package entitiestest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"sluice/entities"
	"sluice/media"
)

func listing() []promise {
	return []promise{
		{"a list is newest first, then by id, each record once", func(f *fixture) {
			for _, n := range []int{3, 1, 2, 5, 4} { // 3 is the oldest; 1, 2, 5 and 4 are of one time
				f.create(product(n), nil)
				if n == 3 {
					f.later(time.Second)
				}
			}
			f.create(course(9), nil)
			for limit := 1; limit <= 6; limit++ {
				f.same(fmt.Sprintf("pages of %d", limit), f.ids(media.RecordQuery{Type: media.Product, Limit: limit}), ids(5, 4, 2, 1, 3))
			}
		}},
		{"a list goes on where it was, whatever comes and goes", func(f *fixture) {
			for n := range 6 {
				f.create(product(n), nil)
				f.later(time.Second)
			}
			first := f.page(media.RecordQuery{Type: media.Product, Limit: 2})
			f.create(product(7), nil)
			f.must(f.r.Remove(f.ctx(), product(4))) // where the first page ended
			f.same("rest", f.ids(media.RecordQuery{Type: media.Product, Limit: 2, Cursor: first.NextCursor}), ids(3, 2, 1, 0))
		}},
		{"the last page names no next one", func(f *fixture) {
			for n := range 4 {
				f.create(product(n), nil)
			}
			l := f.page(media.RecordQuery{Type: media.Product, Limit: 4})
			f.same("next", l.NextCursor, "")
			f.same("of nothing", f.page(media.RecordQuery{Type: media.Order}).NextCursor, "")
		}},
		{"a cursor that does not fit is invalid", func(f *fixture) {
			for n := range 3 {
				f.create(product(n), nil)
			}
			good := f.page(media.RecordQuery{Type: media.Product, Limit: 1}).NextCursor
			for _, q := range []media.RecordQuery{
				{Type: media.Product, Cursor: "nonsense"}, {Type: media.Product, Cursor: good[1:]}, {Type: media.Course, Cursor: good}, {Type: media.Product, Cursor: "e30"},
			} {
				_, err := f.r.List(f.ctx(), q)
				f.is(err, media.Invalid)
			}
		}},
		{"a list has what one owner made, whichever member tells", func(f *fixture) {
			want := map[string][]string{}
			for n, with := range owners() {
				f.create(product(n), with)
				f.later(time.Second)
			}
			for n := range owners() {
				owner := f.read(product(n)).Owner
				want[owner] = append([]string{id(n)}, want[owner]...)
			}
			for _, owner := range []string{"u", id(100)} {
				got := f.ids(media.RecordQuery{Type: media.Product, Owner: owner, Unlisted: true, Limit: 2})
				f.same("of "+owner, got, want[owner])
				docs, err := f.Driver.Find(f.ctx(), entities.Query{Type: media.Product, Owner: owner, Limit: 99})
				f.must(err)
				f.same("found of "+owner, positions(docs), want[owner])
				if len(got) < 5 {
					f.Errorf("only %d records are of %s", len(got), owner)
				}
			}
			f.same("of nobody known", f.ids(media.RecordQuery{Type: media.Product, Owner: "nobody"}), []string(nil))
		}},
		{"a list has what everybody may see, and the rest when it is asked for", func(f *fixture) {
			var want, all []string
			for n, with := range states() {
				with["createdBy"] = "u"
				f.create(product(n), with)
				f.later(time.Second)
				all = append([]string{id(n)}, all...)
				if f.read(product(n)).Published {
					want = append([]string{id(n)}, want...)
				}
			}
			f.same("listed", f.ids(media.RecordQuery{Type: media.Product, Limit: 3}), want)
			f.same("listed of the owner", f.ids(media.RecordQuery{Type: media.Product, Owner: "u"}), want)
			f.same("all", f.ids(media.RecordQuery{Type: media.Product, Unlisted: true}), all)
			f.same("all of the owner", f.ids(media.RecordQuery{Type: media.Product, Unlisted: true, Owner: "u"}), all)
			if len(want) < 4 || len(all)-len(want) < 4 {
				f.Errorf("%d of %d are published", len(want), len(all))
			}
		}},
		{"of orders a list has all", func(f *fixture) {
			f.create(order(1), fields{"status": "pending", "published": false})
			f.same("orders", f.ids(media.RecordQuery{Type: media.Order, Category: "none"}), ids(1))
		}},
		{"a list has courses of one category", func(f *fixture) {
			f.create(course(1), fields{"category": "light"})
			f.create(course(2), fields{"category": "dark"})
			f.create(course(3), nil)
			f.same("light", f.ids(media.RecordQuery{Type: media.Course, Category: "light"}), ids(1))
		}},
		{"a list has products of one category", func(f *fixture) {
			f.create(product(1), fields{"category": "light"})
			f.create(product(2), fields{"category": "Light"})
			f.create(product(3), nil)
			f.create(product(4), fields{"category": "light", "published": false})
			f.same("light", f.ids(media.RecordQuery{Type: media.Product, Category: "light"}), ids(1))
			f.same("light, all", f.ids(media.RecordQuery{Type: media.Product, Category: "light", Unlisted: true}), ids(4, 1))
		}},
	}
}

// owners are ways to tell who made a record; who that is Records tells.
func owners() []fields {
	return []fields{
		{"createdBy": "u"},
		{"instructor": "u"},
		{"seller": "u"},
		{"owner": "u"},
		{"userId": "u"},
		{"user": "u"},
		{"createdBy": id(100)},
		{"instructor": id(100)},
		{"seller": fields{"id": id(100), "name": "x"}},
		{"user": fields{"id": id(100)}},
		{"owner": fields{"id": "u"}},
		{"createdBy": "other", "instructor": "u"},
		{"createdBy": nil, "instructor": "u"},
		{"createdBy": "", "user": id(100)},
		{"instructor": id(100), "user": "u"},
		{"createdBy": int64(7), "user": "u"},
		{"createdBy": fields{"name": "x"}, "user": "u"},
		{},
		{"name": "u"},
	}
}

// states are ways to tell whether everybody may see a record; which may Records tells.
func states() []fields {
	return []fields{
		{},
		{"published": true},
		{"published": false},
		{"isPublished": true},
		{"isPublished": false},
		{"status": "published"},
		{"status": "draft"},
		{"status": "Draft"},
		{"status": "archived"},
		{"status": "in_stock"},
		{"status": "draft", "published": true},
		{"status": "published", "isPublished": false},
		{"status": int64(1)},
		{"published": nil, "status": nil},
		{"published": "no"},
	}
}

func finding() []promise {
	return []promise{
		{"a lesson gives its course", func(f *fixture) {
			lessons := func(ns ...int) fields {
				var all []any
				for _, n := range ns {
					all = append(all, fields{"id": id(n), "title": "x"})
				}
				return fields{"id": id(1000 + ns[0]), "lessons": all}
			}
			f.create(course(1), fields{"modules": []any{lessons(11, 12), lessons(13)}})
			f.create(course(2), fields{"modules": []any{lessons(21)}})
			f.create(course(3), fields{"modules": "none"})
			for n, want := range map[int]int{11: 1, 12: 1, 13: 1, 21: 2} {
				f.same(fmt.Sprintf("course of lesson %d", n), f.read(lesson(n)).Subject, course(want))
			}
			f.gone(lesson(1))    // a course
			f.gone(lesson(1011)) // a module
		}},
		{"titles are those of all that are there", func(f *fixture) {
			user := media.Subject{Type: media.User, ID: id(4)}
			f.create(product(1), fields{"name": "lamp", "size": "x"})
			f.create(course(1), fields{"title": "light", "name": "y"})
			f.create(product(2), nil)
			f.create(user, fields{"displayName": "Ann"})
			got, err := f.r.Titles(f.ctx(), []media.Subject{product(1), course(1), product(2), product(3), user, product(1), {Type: media.Page, ID: "home"}})
			f.must(err)
			f.same("titles", got, map[media.Subject]string{product(1): "lamp", course(1): "light", user: "Ann"})
		}},
		{"an order grants its user what it names, once it is paid for", func(f *fixture) {
			for n, with := range []fields{
				{"user": "u", "status": "paid", "items": []any{fields{"courseId": id(11)}, fields{"product": fields{"id": id(12)}}}},
				{"userId": "u", "isPaid": true, "courses": []any{id(13)}},
				{"buyer": "u", "status": "completed", "productId": id(14)},
				{"user": fields{"id": "u"}, "status": "paid", "courseId": id(15)},
				{"user": "u", "status": "pending", "courseId": id(16)},
				{"user": "other", "buyer": "u", "status": "paid", "courseId": id(17)},
				{"user": "u", "status": "paid", "refundedAt": "2026-01-01T00:00:00Z", "courseId": id(18)},
			} {
				f.create(order(n), with)
				f.later(time.Second)
			}
			got, err := f.r.Granted(f.ctx(), "u")
			f.must(err)
			f.same("granted", got, []media.Subject{course(15), product(14), course(13), course(11), product(12)})
			f.create(course(11), fields{"modules": []any{fields{"lessons": []any{fields{"id": id(50)}}}}})
			for s, want := range map[media.Subject]bool{course(11): true, product(12): true, course(16): false, product(11): false, lesson(50): true, lesson(51): false} {
				ok, err := f.r.Entitled(f.ctx(), "u", []media.Subject{order(1), s})
				f.must(err)
				f.same(fmt.Sprint(s), ok, want)
			}
		}},
		{"of a user's orders the newest are looked at", func(f *fixture) {
			for n := range 3 {
				f.create(order(n), fields{"user": "u"})
				f.later(time.Second)
			}
			got, err := f.Driver.Find(f.ctx(), entities.Query{Type: media.Order, Owner: "u", Limit: 2})
			f.must(err)
			f.same("found", positions(got), ids(2, 1))
		}},
		{"conditions are all to be met", func(f *fixture) {
			f.create(product(1), fields{"category": "a", "createdBy": "u"})
			f.create(product(2), fields{"category": "b", "createdBy": "u"})
			f.create(product(3), fields{"category": "a", "createdBy": "v"})
			f.create(product(4), fields{"category": "a", "createdBy": "u", "published": false})
			got, err := f.Driver.Find(f.ctx(), entities.Query{Type: media.Product, Owner: "u", Category: "a", Listed: true, IDs: ids(1, 2, 3, 4), Limit: 9})
			f.must(err)
			f.same("found", positions(got), ids(1))
			got, err = f.Driver.Find(f.ctx(), entities.Query{Type: media.Product, IDs: []string{}, Limit: 9})
			f.must(err)
			f.same("of no ids", positions(got), []string(nil))
		}},
		{"members that are asked for are read", func(f *fixture) {
			f.create(product(1), fields{"name": "a", "size": fields{"w": int64(1)}, "other": "x"})
			got, err := f.Driver.Find(f.ctx(), entities.Query{Type: media.Product, IDs: ids(1), Limit: 1, Members: []string{"name", "size"}})
			f.must(err)
			if len(got) != 1 || got[0].ID != id(1) {
				f.Fatalf("got %v", got)
			}
			f.same("name", got[0].Fields["name"], any("a"))
			f.same("size", got[0].Fields["size"], any(fields{"w": int64(1)}))
		}},
	}
}

func positions(docs []entities.Document) []string {
	var all []string
	for _, d := range docs {
		all = append(all, d.ID)
	}
	return all
}

func sharing() []promise {
	return []promise{
		{"another process sees a write at once", func(f *fixture) {
			other := f.records(f.Again(f))
			made := f.create(product(1), fields{"name": "a"})
			got, err := other.Record(f.ctx(), product(1))
			f.must(err)
			f.same("record", got, made)
			f.same("read here", f.read(product(1)), made)
			changed, err := other.Change(f.ctx(), product(1), made.Version, fields{"name": "b"})
			f.must(err)
			f.same("record", f.read(product(1)), changed)
		}},
		{"what a stranger makes is a record", func(f *fixture) {
			f.Foreign(f, entities.Key{Subject: product(1)}, fields{"name": "a", "price": 1.5})
			got := f.read(product(1))
			f.same("fields", without(got.Fields), fields{"name": "a", "price": 1.5})
			f.same("published", got.Published, true)
			f.same("list", f.ids(media.RecordQuery{Type: media.Product}), ids(1))
			changed := f.change(product(1), got.Version, fields{"name": "b"})
			f.same("updated", changed.UpdatedAt, f.time())
			f.bury(product(1), changed.Version)
			f.gone(product(1))
		}},
		{"the database says what it is, and that it can be asked", func(f *fixture) {
			f.must(f.r.Ping(f.ctx()))
			name, err := f.r.Version(f.ctx())
			f.must(err)
			if name == "" {
				f.Error("it has no name")
			}
		}},
		{"who has gone is told so, and nothing is written", func(f *fixture) {
			ctx, cancel := context.WithCancel(f.ctx())
			cancel()
			if _, err := f.r.Record(ctx, product(1)); !errors.Is(err, context.Canceled) {
				f.Errorf("read: got %v, want canceled", err)
			}
			if _, err := f.r.Create(ctx, media.Record{Subject: product(1)}, ""); !errors.Is(err, context.Canceled) {
				f.Errorf("create: got %v, want canceled", err)
			}
			f.gone(product(1))
		}},
		{"hearing ends when it is told to", func(f *fixture) {
			ctx, cancel := context.WithCancel(f.ctx())
			cancel()
			f.must(f.r.Run(ctx))
		}},
		{"several read while others write", func(f *fixture) {
			f.create(product(1), fields{"a": int64(0), "b": int64(0)})
			var busy sync.WaitGroup
			busy.Add(2)
			done := make(chan struct{})
			go func() { busy.Wait(); close(done) }()
			f.together(func(n int, r *entities.Records) {
				if n < 2 {
					defer busy.Done()
					for i := range 10 {
						if _, err := r.Change(f.ctx(), product(1), "", fields{"a": int64(i), "b": int64(i)}); err != nil {
							f.Errorf("write: %v", err)
						}
					}
					return
				}
				for {
					got, err := r.Record(f.ctx(), product(1))
					if err != nil {
						f.Errorf("read: %v", err)
						return
					}
					if got.Fields["a"] != got.Fields["b"] {
						f.Errorf("half a write was read: %v", got.Fields)
					}
					select {
					case <-done:
						return
					default:
					}
				}
			})
		}},
	}
}

// Promises names what Run shows, in order.
func Promises() []string {
	var all []string
	for _, p := range promises() {
		all = append(all, p.name)
	}
	return slices.Clip(all)
}
