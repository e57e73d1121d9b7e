package curation_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/curation"
	"sluice/media"
)

// faults fails one call among those that go to either database: before it is done, or after, when nobody hears that it was.
type faults struct {
	at    int // which call from now on; 0: none
	after bool
	name  string // of the call that failed
}

func (f *faults) call(name string, do func() error) error {
	f.at--
	if f.at != 0 {
		return do()
	}
	f.name = name
	if f.after {
		if err := do(); err != nil {
			return err
		}
	}
	return &media.Error{Kind: media.Unavailable, Detail: "away"}
}

type faultyBooks struct {
	curation.Books
	f *faults
}

func (b faultyBooks) Intend(ctx context.Context, i media.Intent) error {
	return b.f.call("Intend", func() error { return b.Books.Intend(ctx, i) })
}

func (b faultyBooks) Undo(ctx context.Context, id string) error {
	return b.f.call("Undo", func() error { return b.Books.Undo(ctx, id) })
}

func (b faultyBooks) End(ctx context.Context, id string) error {
	return b.f.call("End", func() error { return b.Books.End(ctx, id) })
}

func (b faultyBooks) Attach(ctx context.Context, intent string, list []media.Attachment) (ps []media.Place, err error) {
	err = b.f.call("Attach", func() error { ps, err = b.Books.Attach(ctx, intent, list); return err })
	return ps, err
}

func (b faultyBooks) RemoveAll(ctx context.Context, s media.Subject, intent string, t media.Trashed) (gone []media.Asset, err error) {
	err = b.f.call("RemoveAll", func() error { gone, err = b.Books.RemoveAll(ctx, s, intent, t); return err })
	return gone, err
}

func (b faultyBooks) RestoreAll(ctx context.Context, s media.Subject, intent string) error {
	return b.f.call("RestoreAll", func() error { return b.Books.RestoreAll(ctx, s, intent) })
}

type faultyRecords struct {
	curation.Records
	f *faults
}

func (r faultyRecords) Create(ctx context.Context, e media.Record, work string) (made media.Record, err error) {
	err = r.f.call("Create", func() error { made, err = r.Records.Create(ctx, e, work); return err })
	return made, err
}

func (r faultyRecords) Settle(ctx context.Context, s media.Subject, work string) (settled media.Record, err error) {
	err = r.f.call("Settle", func() error { settled, err = r.Records.Settle(ctx, s, work); return err })
	return settled, err
}

func (r faultyRecords) Withdraw(ctx context.Context, s media.Subject, work string) error {
	return r.f.call("Withdraw", func() error { return r.Records.Withdraw(ctx, s, work) })
}

func (r faultyRecords) Bury(ctx context.Context, s media.Subject, version string) error {
	return r.f.call("Bury", func() error { return r.Records.Bury(ctx, s, version) })
}

func (r faultyRecords) Raise(ctx context.Context, s media.Subject) (up media.Record, err error) {
	err = r.f.call("Raise", func() error { up, err = r.Records.Raise(ctx, s); return err })
	return up, err
}

// Whichever call of whichever database fails, heard of or not, and whichever fails next while that is made good, a product is there with all
// of its images or not at all once the databases answer again.
func TestNoCallThatFailsLeavesHalfAProduct(t *testing.T) {
	t.Parallel()
	type work struct {
		name   string
		before func(*testing.T, *school) (media.Subject, media.AssetID)
		do     func(context.Context, *school, media.Subject, media.AssetID) (media.Subject, error)
	}
	ida := who("ida", media.Instructor)
	works := []work{
		{
			"create", func(t *testing.T, s *school) (media.Subject, media.AssetID) {
				return media.Subject{}, s.stored(t, "ida", false)
			},
			func(ctx context.Context, s *school, _ media.Subject, up media.AssetID) (media.Subject, error) {
				v, err := s.Create(ctx, ida, curation.NewRecord{
					Type: media.Product, Fields: map[string]any{"name": "Chair"}, Images: []media.Attachment{image(up), elsewhere("https://cdn.example.com/a.jpg")},
				})
				return v.Record.Subject, err
			},
		},
		{
			"delete", func(t *testing.T, s *school) (media.Subject, media.AssetID) { return s.product(t, "ida", nil) },
			func(ctx context.Context, s *school, on media.Subject, _ media.AssetID) (media.Subject, error) {
				return on, s.LMS.Delete(ctx, ida, on, nil, false)
			},
		},
		{
			"delete for good", func(t *testing.T, s *school) (media.Subject, media.AssetID) { return s.product(t, "ida", nil) },
			func(ctx context.Context, s *school, on media.Subject, _ media.AssetID) (media.Subject, error) {
				return on, s.LMS.Delete(ctx, ida, on, nil, true)
			},
		},
		{"restore", func(t *testing.T, s *school) (media.Subject, media.AssetID) {
			on, up := s.product(t, "ida", nil)
			if err := s.LMS.Delete(t.Context(), ida, on, nil, false); err != nil {
				t.Fatal(err)
			}
			return on, up
		}, func(ctx context.Context, s *school, on media.Subject, _ media.AssetID) (media.Subject, error) {
			_, err := s.Restore(ctx, ida, on)
			return on, err
		}},
	}
	for _, w := range works {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/after=%v", w.name, after), func(t *testing.T) {
				t.Parallel()
				calls := 0
				for n := 1; ; n++ {
					f := &faults{}
					s := enrol(t, curation.LMSOptions{Alone: true}, func(b curation.Books, r curation.Records) (curation.Books, curation.Records) {
						return faultyBooks{b, f}, faultyRecords{r, f}
					})
					on, up := w.before(t, s)
					*f = faults{at: n, after: after}
					told, err := w.do(t.Context(), s, on, up)
					if f.name == "" {
						if err != nil {
							t.Fatalf("without a fault: %v", err)
						}
						break
					}
					calls++
					if err != nil && !errors.Is(err, media.Unavailable) {
						t.Errorf("%s failed, and the answer is %v", f.name, err)
					}
					// The first sweep fails in its turn, call by call, before one goes through.
					for m := 1; m < 6; m++ {
						*f = faults{at: m, after: after}
						_ = s.Sweep(t.Context())
					}
					*f = faults{}
					if err := s.Sweep(t.Context()); err != nil {
						t.Errorf("sweep after %s failed: %v", f.name, err)
					}
					s.wantWhole(t, w.name+" with call "+fmt.Sprint(n)+" failing", up, err == nil, w.name, told)
				}
				if calls < 3 {
					t.Errorf("%d calls failed, want all there are", calls)
				}
			})
		}
	}
}

// wantWhole looks for products: none or one, with both images or with none hanging on it.
func (s *school) wantWhole(t *testing.T, what string, up media.AssetID, acknowledged bool, work string, told media.Subject) {
	t.Helper()
	ctx, root := t.Context(), who("root", media.Admin)
	if left, err := s.books.Intents(ctx); err != nil || len(left) != 0 {
		t.Errorf("%s: intents %v, %v are left", what, left, err)
	}
	page, err := s.Records(ctx, root, media.RecordQuery{Type: media.Product}, false)
	if err != nil || len(page.Items) > 1 {
		t.Fatalf("%s: %d products, %v", what, len(page.Items), err)
	}
	a, aerr := s.media.Read(ctx, root, up)
	if len(page.Items) == 1 {
		v, err := s.View(ctx, root, page.Items[0].Subject)
		if err != nil || len(v.Images) != 2 || aerr != nil || a.Placement.ProductID != v.Record.ID {
			t.Errorf("%s: the product has %d images, %v; its upload hangs on %q, %v", what, len(v.Images), err, a.Placement.ProductID, aerr)
		}
		if acknowledged && work != "create" && work != "restore" {
			t.Errorf("%s: it was deleted, and is there", what)
		}
		return
	}
	if acknowledged && (work == "create" || work == "restore") {
		t.Errorf("%s: %v was told, and is not there", what, told)
	}
	if aerr == nil && a.Placement.ProductID != "" {
		t.Errorf("%s: there is no product, and its upload hangs on %s", what, a.Placement.ProductID)
	}
	if work == "create" && aerr != nil {
		t.Errorf("%s: it was never made, and its upload is gone: %v", what, aerr)
	}
	if work == "delete for good" {
		if _, err := s.records.Buried(ctx, told); !errors.Is(err, media.NotFound) {
			t.Errorf("%s: the trash has it: %v", what, err)
		}
	}
}

// New titles and another order of modules leave what else the LMS says of them.
func TestModulesKeepWhatTheLMSSaysOfThem(t *testing.T) {
	t.Parallel()
	s, ida := enrol(t, curation.LMSOptions{}, nil), who("ida", media.Instructor)
	on := media.Subject{Type: media.Course, ID: media.NewRecordID(now)}
	const saws, rip, gone = "aaaaaaaaaaaaaaaaaaaaaaa1", "aaaaaaaaaaaaaaaaaaaaaaa2", "aaaaaaaaaaaaaaaaaaaaaaa3"
	_, err := s.records.Put(t.Context(), media.Record{Subject: on, Fields: map[string]any{
		"title": "Woodwork", "createdBy": "ida", "modules": []any{map[string]any{"id": saws, "title": "Saws", "order": int64(1), "lessons": []any{
			map[string]any{"id": rip, "title": "Rip saw", "content": "Along the grain."}, map[string]any{"id": gone, "title": "Gone", "content": "x"},
		}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	modules := curation.ModuleFields([]curation.Module{{Title: "New"}, {ID: saws, Title: "Hand saws", Lessons: []curation.Lesson{{ID: rip, Title: "The rip saw"}}}}, now)
	v, err := s.LMS.Change(t.Context(), ida, on, nil, map[string]any{"modules": modules})
	if err != nil {
		t.Fatal(err)
	}
	list, _ := v.Record.Fields["modules"].([]any)
	want := map[string]any{"id": saws, "title": "Hand saws", "order": int64(1), "lessons": []any{map[string]any{"id": rip, "title": "The rip saw", "content": "Along the grain."}}}
	if len(list) != 2 {
		t.Fatalf("%d modules", len(list))
	}
	if d := cmp.Diff(want, list[1]); d != "" {
		t.Error(d)
	}
}

// What refers to a lesson goes with its course, and comes back with it.
func TestALessonsMediaGoWithItsCourse(t *testing.T) {
	t.Parallel()
	s, ida := enrol(t, curation.LMSOptions{}, nil), who("ida", media.Instructor)
	modules := curation.ModuleFields([]curation.Module{{Title: "Saws", Lessons: []curation.Lesson{{Title: "Rip saw"}, {Title: "Back saw"}}}}, now)
	v, err := s.Create(t.Context(), ida, curation.NewRecord{Type: media.Course, Fields: map[string]any{"title": "Woodwork", "modules": modules}})
	if err != nil {
		t.Fatal(err)
	}
	var lesson string
	v.Record.Lessons(func(_, id string) bool { lesson = id; return true })
	made, err := s.media.Add(t.Context(), ida, media.Asset{
		ExternalURL: "https://cdn.example.com/notes.pdf", Placement: media.Placement{Kind: media.Generic, Reference: media.Subject{Type: media.Lesson, ID: lesson}},
	})
	if err != nil {
		t.Fatal(err)
	}
	there := func() bool {
		_, err := s.media.Read(t.Context(), ida, made.ID)
		return err == nil
	}
	if err := s.LMS.Delete(t.Context(), ida, v.Record.Subject, nil, false); err != nil || there() {
		t.Fatalf("deleted: %v, and the lesson's notes are there: %v", err, there())
	}
	if _, err := s.Restore(t.Context(), ida, v.Record.Subject); err != nil || !there() {
		t.Fatalf("restored: %v, and the lesson's notes are there: %v", err, there())
	}
	if err := s.LMS.Delete(t.Context(), ida, v.Record.Subject, nil, true); err != nil || there() {
		t.Errorf("deleted for good: %v, and the lesson's notes are there: %v", err, there())
	}
}

// The first image that is put on a product is its main image, the second is not.
func TestTheFirstImageIsTheMainImage(t *testing.T) {
	t.Parallel()
	s, ida := enrol(t, curation.LMSOptions{}, nil), who("ida", media.Instructor)
	v, err := s.Create(t.Context(), ida, curation.NewRecord{Type: media.Product, Fields: map[string]any{"name": "Chair"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []bool{true, false} {
		a := elsewhere("https://cdn.example.com/a.jpg")
		a.Placement = media.Placement{Kind: media.ProductImage, ProductID: v.Record.ID}
		if pl, err := s.Attach(t.Context(), ida, a); err != nil || pl.Placement.MainImage != want {
			t.Errorf("main %v, %v, want %v", pl.Placement.MainImage, err, want)
		}
	}
}

// Another node leaves work alone that may still be done, and undoes it once its lease is over.
func TestWorkOfAnotherNodeIsUndoneWhenItsLeaseIsOver(t *testing.T) {
	t.Parallel()
	s := enrol(t, curation.LMSOptions{Lease: 50 * time.Millisecond}, nil)
	subject := media.Subject{Type: media.Product, ID: media.NewRecordID(now)}
	i := media.Intent{ID: "theirs", Doing: media.Creating, Subject: subject, By: "ida", State: media.Begun, At: now.Add(-time.Hour)}
	if err := s.books.Intend(t.Context(), i); err != nil {
		t.Fatal(err)
	}
	if _, err := s.records.Create(t.Context(), media.Record{Subject: subject, Fields: map[string]any{"name": "Chair"}, Owner: "ida"}, i.ID); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if err := s.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		left, err := s.books.Intents(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(left) == 0 {
			break
		}
		<-tick.C
	}
	if took := time.Since(began); took < 50*time.Millisecond {
		t.Errorf("it was undone after %v", took)
	}
	late := image(s.stored(t, "ida", false))
	late.Placement = media.Placement{Kind: media.ProductImage, ProductID: subject.ID}
	if _, err := s.books.Attach(t.Context(), i.ID, []media.Attachment{late}); !errors.Is(err, media.Conflict) {
		t.Errorf("what was undone can be gone on with: %v", err)
	}
	if _, err := s.records.Create(t.Context(), media.Record{Subject: subject, Fields: map[string]any{"name": "Chair"}}, ""); err != nil {
		t.Errorf("the record is there still: %v", err)
	}
}
