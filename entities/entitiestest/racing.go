package entitiestest

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"sluice/entities"
	"sluice/media"
)

const writers = 6

// together runs do in several goroutines, half of them with another process's driver.
func (f *fixture) together(do func(n int, r *entities.Records)) {
	f.Helper()
	other := f.records(f.Again(f))
	var all sync.WaitGroup
	for n := range writers {
		r := f.r
		if n%2 == 1 {
			r = other
		}
		all.Go(func() { do(n, r) })
	}
	all.Wait()
}

func racing() []promise {
	return []promise{
		{"of several writers with one version one wins", func(f *fixture) {
			version := f.create(product(1), fields{"n": int64(-1)}).Version
			var mu sync.Mutex
			won := []int{}
			f.together(func(n int, r *entities.Records) {
				_, err := r.Change(f.ctx(), product(1), version, fields{"n": int64(n)})
				if err != nil {
					f.is(err, media.PreconditionFailed)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				won = append(won, n)
			})
			if len(won) != 1 {
				f.Fatalf("%v won, want one", won)
			}
			f.same("n", f.read(product(1)).Fields["n"], any(int64(won[0])))
		}},
		{"writers that name no version lose nothing", func(f *fixture) {
			f.create(product(1), fields{"n": int64(0)})
			f.together(func(n int, r *entities.Records) {
				_, err := r.Change(f.ctx(), product(1), "", fields{fmt.Sprintf("by%d", n): true})
				if err != nil {
					f.Errorf("writer %d: %v", n, err)
				}
			})
			got := f.read(product(1))
			for n := range writers {
				f.same(fmt.Sprintf("field of writer %d", n), got.Fields[fmt.Sprintf("by%d", n)], any(true))
			}
		}},
		{"of several that create one record one does", func(f *fixture) {
			var mu sync.Mutex
			made := 0
			f.together(func(n int, r *entities.Records) {
				_, err := r.Create(f.ctx(), media.Record{Subject: product(1), Fields: fields{"n": int64(n)}}, "")
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					made++
				} else {
					f.is(err, media.Conflict)
				}
			})
			f.same("made", made, 1)
		}},
		{"of several that bury one record all may say so", func(f *fixture) {
			f.create(product(1), fields{"n": int64(1)})
			f.together(func(_ int, r *entities.Records) {
				if err := r.Bury(f.ctx(), product(1), ""); err != nil {
					f.Errorf("bury: %v", err)
				}
			})
			f.gone(product(1))
			_, err := f.r.Buried(f.ctx(), product(1))
			f.must(err)
		}},
		{"a burial while a record is raised leaves it in the trash", func(f *fixture) {
			f.create(product(1), fields{"n": int64(1)})
			f.bury(product(1), "")
			r := f.records(&before{Driver: f.Driver, trash: true, do: func() { f.bury(product(1), "") }})
			_, err := r.Raise(f.ctx(), product(1))
			f.must(err)
			f.gone(product(1))
			got, err := f.r.Buried(f.ctx(), product(1))
			f.must(err)
			f.same("n", got.Fields["n"], any(int64(1)))
		}},
		{"a burial that is completed while its record is raised loses nothing", func(f *fixture) {
			was := f.create(product(1), fields{"n": int64(1)})
			if err := f.cutOff(false).Bury(f.ctx(), product(1), was.Version); !errors.Is(err, errStop) {
				f.Fatalf("got %v, want it cut off", err)
			}
			r := f.records(&before{Driver: f.Driver, trash: true, do: func() { f.bury(product(1), "") }})
			_, err := r.Raise(f.ctx(), product(1))
			f.must(err)
			_, err = f.r.Buried(f.ctx(), product(1))
			f.must(err)
		}},
		{"a record that is raised while it is buried is somewhere", func(f *fixture) {
			was := f.create(product(1), fields{"n": int64(1)})
			r := f.records(&before{Driver: f.Driver, do: func() {
				_, err := f.r.Raise(f.ctx(), product(1))
				f.must(err)
			}})
			f.is(r.Bury(f.ctx(), product(1), was.Version), media.PreconditionFailed)
			f.same("n", f.read(product(1)).Fields["n"], any(int64(1)))
			_, err := f.r.Buried(f.ctx(), product(1))
			f.is(err, media.NotFound)
		}},
		{"what is written between the read and the write of a change is not lost", func(f *fixture) {
			f.create(product(1), fields{"mine": int64(1), "theirs": int64(1), "gone": "x"})
			f.meanwhile(fields{"theirs": int64(2), "gone": nil}, func(d *entities.Document) *entities.Document {
				next := *d
				next.Fields = fields{"mine": int64(2)}
				for k, v := range d.Fields {
					if k != "mine" {
						next.Fields[k] = v
					}
				}
				return &next
			})
			got := f.read(product(1)).Fields
			f.same("theirs", got["theirs"], any(int64(2)))
			f.same("mine", got["mine"], any(int64(2)))
			f.same("gone", got["gone"], any(nil))
		}},
		{"what is written between the read and a replacement is seen first", func(f *fixture) {
			f.create(product(1), fields{"n": int64(1)})
			f.meanwhile(fields{"n": int64(5)}, func(d *entities.Document) *entities.Document {
				n, _ := d.Fields["n"].(int64)
				return &entities.Document{ID: d.ID, Fields: fields{"n": n + 1}}
			})
			f.same("n", f.read(product(1)).Fields["n"], any(int64(6)))
		}},
		{"what is written between the read and a removal is not removed unseen", func(f *fixture) {
			f.create(product(1), fields{"n": int64(1)})
			f.meanwhile(fields{"n": int64(2)}, func(d *entities.Document) *entities.Document {
				if d.Fields["n"] == int64(2) {
					return d
				}
				return nil
			})
			f.same("n", f.read(product(1)).Fields["n"], any(int64(2)))
		}},
	}
}

// before is a driver that does something before its first write to the LMS's own documents, or to the trash.
type before struct {
	entities.Driver
	trash bool
	do    func()
	once  sync.Once
}

func (b *before) Write(ctx context.Context, k entities.Key, change entities.Change) (entities.Document, error) {
	if k.Trash == b.trash {
		b.once.Do(b.do)
	}
	return b.Driver.Write(ctx, k, change)
}

// meanwhile changes a product, writing as a stranger the first time that change is asked.
func (f *fixture) meanwhile(strangers fields, change func(d *entities.Document) *entities.Document) {
	f.Helper()
	asked := 0
	_, err := f.Driver.Write(f.ctx(), entities.Key{Subject: product(1)}, func(d *entities.Document) (*entities.Document, error) {
		if d == nil {
			return nil, errors.New("it is missing")
		}
		if asked++; asked == 1 {
			f.Foreign(f, entities.Key{Subject: product(1)}, strangers)
		}
		return change(d), nil
	})
	f.must(err)
}
