package curation_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"sluice/curation"
	"sluice/media"
)

// pausedBooks does something once, just before a call.
type pausedBooks struct {
	curation.Books
	done      atomic.Bool
	removeAll func()
}

func (b *pausedBooks) RemoveAll(ctx context.Context, s media.Subject, intent string, t media.Trashed) ([]media.Asset, error) {
	if b.removeAll != nil && !b.done.Swap(true) {
		b.removeAll()
	}
	return b.Books.RemoveAll(ctx, s, intent, t)
}

// pausedRecords does something once, just before a record is buried.
type pausedRecords struct {
	curation.Records
	done atomic.Bool
	bury func()
}

func (r *pausedRecords) Bury(ctx context.Context, s media.Subject, version string) error {
	if r.bury != nil && !r.done.Swap(true) {
		r.bury()
	}
	return r.Records.Bury(ctx, s, version)
}

// paused makes a school whose databases can be held up.
func paused(t *testing.T) (*school, *pausedBooks, *pausedRecords) {
	t.Helper()
	var books *pausedBooks
	var records *pausedRecords
	s := enrol(t, curation.LMSOptions{Alone: true}, func(b curation.Books, r curation.Records) (curation.Books, curation.Records) {
		books, records = &pausedBooks{Books: b}, &pausedRecords{Records: r}
		return books, records
	})
	return s, books, records
}

func TestAProductThatIsRestoredWhileItIsDeletedHasItsImages(t *testing.T) {
	t.Parallel()
	s, books, _ := paused(t)
	ida := who("ida", media.Instructor)
	on, _ := s.product(t, "ida", nil)
	books.removeAll = func() {
		if _, err := s.Restore(t.Context(), ida, on); err != nil {
			t.Errorf("restore: %v", err)
		}
	}
	if err := s.LMS.Delete(t.Context(), ida, on, nil, false); err != nil {
		t.Fatal(err)
	}
	if err := s.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if v, err := s.View(t.Context(), ida, on); err != nil || len(v.Images) != 2 {
		t.Errorf("got %d images, %v, want both", len(v.Images), err)
	}
}

// What is on its way out for good takes its images along: nobody gets the one back without the others.
func TestAProductThatGoesForGoodIsNotRestored(t *testing.T) {
	t.Parallel()
	s, books, _ := paused(t)
	ida := who("ida", media.Instructor)
	on, _ := s.product(t, "ida", nil)
	books.removeAll = func() {
		if _, err := s.Restore(t.Context(), ida, on); !errors.Is(err, media.NotFound) {
			t.Errorf("restore of what goes for good: %v, want not found", err)
		}
	}
	if err := s.LMS.Delete(t.Context(), ida, on, nil, true); err != nil {
		t.Fatal(err)
	}
	if _, err := s.View(t.Context(), ida, on); !errors.Is(err, media.NotFound) {
		t.Errorf("got %v, want it gone", err)
	}
	if left, err := s.books.Intents(t.Context()); err != nil || len(left) != 0 {
		t.Errorf("intents %v, %v are left", left, err)
	}
}

func TestASweeperThatIsLateDoesNotDeleteWhatWasRestored(t *testing.T) {
	t.Parallel()
	s, _, records := paused(t)
	ida := who("ida", media.Instructor)
	on, _ := s.product(t, "ida", nil)
	cut := media.Intent{ID: "cut off", Doing: media.Deleting, Subject: on, By: "ida", State: media.Begun, At: now, Until: now.AddDate(10, 0, 0)}
	if err := s.books.Intend(t.Context(), cut); err != nil {
		t.Fatal(err)
	}
	if err := s.records.Bury(t.Context(), on, ""); err != nil {
		t.Fatal(err)
	}
	records.bury = func() { // the sweeper has seen it in the trash
		if _, err := s.Restore(t.Context(), ida, on); err != nil {
			t.Errorf("restore: %v", err)
		}
	}
	for range 2 {
		if err := s.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if v, err := s.View(t.Context(), ida, on); err != nil || len(v.Images) != 2 {
		t.Errorf("got %d images, %v, want both", len(v.Images), err)
	}
	if left, err := s.books.Intents(t.Context()); err != nil || len(left) != 0 {
		t.Errorf("intents %v, %v are left", left, err)
	}
}

// The sweeper leaves alone what a request of this process is at work on.
func TestASweeperLeavesLivingRequestsAlone(t *testing.T) {
	t.Parallel()
	s, books, _ := paused(t)
	on, _ := s.product(t, "ida", nil)
	calls := 0
	books.removeAll = func() {
		calls++
		if err := s.Sweep(t.Context()); err != nil {
			t.Errorf("sweep: %v", err)
		}
		if v, err := s.books.Places(t.Context(), media.PlaceQuery{Kind: media.ProductImage, ProductID: on.ID}); err != nil || len(v) != 2 {
			t.Errorf("the sweeper did what the request was about to do: %d images, %v", len(v), err)
		}
	}
	if err := s.LMS.Delete(t.Context(), who("ida", media.Instructor), on, nil, false); err != nil || calls != 1 {
		t.Fatal(calls, err)
	}
}

// A request that is sent twice makes one record at two nodes: the one that was cut off undoes nothing of the other's.
func TestWorkThatIsCutOffLeavesTheSameByAnother(t *testing.T) {
	t.Parallel()
	s, _, _ := paused(t)
	on := media.Subject{Type: media.Product, ID: media.NewRecordID(now)}
	cut := media.Intent{ID: "cut off", Doing: media.Creating, Subject: on, By: "ida", State: media.Begun, At: now}
	if err := s.books.Intend(t.Context(), cut); err != nil {
		t.Fatal(err)
	}
	if _, err := s.records.Create(t.Context(), media.Record{Subject: on, Fields: map[string]any{"name": "Chair", "published": true}}, "at work"); err != nil {
		t.Fatal(err)
	}
	if err := s.Sweep(t.Context()); err != nil {
		t.Errorf("sweep: %v", err)
	}
	if left, err := s.books.Intents(t.Context()); err != nil || len(left) != 0 {
		t.Errorf("intents %v, %v are left", left, err)
	}
	if _, err := s.records.Settle(t.Context(), on, "at work"); err != nil {
		t.Fatal(err)
	}
	if v, err := s.View(t.Context(), media.Principal{}, on); err != nil || v.Record.Title() != "Chair" {
		t.Errorf("got %v, %v", v.Record, err)
	}
}

// Who did not hear the answer restores again, and gets all of it, also when the first time was cut off.
func TestWhatIsRestoredAgainIsThere(t *testing.T) {
	t.Parallel()
	s, _, _ := paused(t)
	ida := who("ida", media.Instructor)
	on, _ := s.product(t, "ida", nil)
	if err := s.LMS.Delete(t.Context(), ida, on, nil, false); err != nil {
		t.Fatal(err)
	}
	if _, err := s.records.Raise(t.Context(), on); err != nil { // and then that gateway died
		t.Fatal(err)
	}
	for range 2 {
		if v, err := s.Restore(t.Context(), ida, on); err != nil || v.Record.ID != on.ID || len(v.Images) != 2 {
			t.Errorf("got %q with %d images, %v", v.Record.ID, len(v.Images), err)
		}
	}
	if _, err := s.Restore(t.Context(), who("ivo", media.Instructor), on); !errors.Is(err, media.NotFound) {
		t.Errorf("somebody else's: %v, want not found", err)
	}
}

// A record that the LMS itself has written over one that was being made is the LMS's: the work on it is over.
func TestARecordThatIsWrittenOverWhileItIsMadeEndsTheWork(t *testing.T) {
	t.Parallel()
	s, _, _ := paused(t)
	on := media.Subject{Type: media.Product, ID: media.NewRecordID(now)}
	i := media.Intent{ID: "cut off", Doing: media.Creating, Subject: on, By: "ida", State: media.Begun, At: now}
	if err := s.books.Intend(t.Context(), i); err != nil {
		t.Fatal(err)
	}
	if _, err := s.records.Create(t.Context(), media.Record{Subject: on, Fields: map[string]any{"name": "Chair"}}, i.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Keep(t.Context(), who("root", media.Admin), media.Record{Subject: on, Fields: map[string]any{"name": "Stool"}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Sweep(t.Context()); err != nil {
		t.Errorf("sweep: %v", err)
	}
	if left, err := s.books.Intents(t.Context()); err != nil || len(left) != 0 {
		t.Errorf("intents %v, %v are left", left, err)
	}
	if v, err := s.View(t.Context(), media.Principal{}, on); err != nil || v.Record.Title() != "Stool" {
		t.Errorf("got %v, %v", v.Record, err)
	}
}
