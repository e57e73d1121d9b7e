package curation_test

import (
	"errors"
	"testing"
	"time"

	"sluice/curation"
	"sluice/media"
)

// A record and its media leave the trash one after the other, in two databases. In between nobody gets back the one without the others.
func TestWhatHasBeenInTheTrashForLongEnoughIsNotRestored(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		later time.Duration
		want  error
	}{
		"in time":  {59 * time.Minute, nil},
		"too late": {61 * time.Minute, media.NotFound},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := enrol(t, curation.LMSOptions{}, nil)
			at := time.Now()
			s.media = curation.New(s.books.Shelf(), s, curation.Options{Now: func() time.Time { return at }, Rights: media.Rights{Records: s.records}})
			s.LMS = curation.NewLMS(s.media, s.books, s.records, curation.LMSOptions{Trash: time.Hour})
			ida := who("ida", media.Instructor)
			on, _ := s.product(t, "ida", nil)
			if err := s.LMS.Delete(t.Context(), ida, on, nil, false); err != nil {
				t.Fatal(err)
			}
			at = at.Add(c.later)
			if err := s.books.EmptyUntil(t.Context(), at); err != nil { // the first half of what the sweeper does
				t.Fatal(err)
			}
			v, err := s.Restore(t.Context(), ida, on)
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if err == nil && len(v.Images) != 2 {
				t.Errorf("got %d images, want both", len(v.Images))
			}
		})
	}
}
