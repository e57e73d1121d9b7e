package curation

import (
	"context"
	"sync"
	"time"

	"sluice/media"
)

// Books is what the catalogue keeps for the LMS.
type Books interface {
	Places
	Intents
}

// RecordMemory gives records from memory where it can, which may be behind by a moment. known: it did, and nobody else was asked.
type RecordMemory interface {
	Lookup(ctx context.Context, s media.Subject) (r media.Record, known bool, err error)
}

// PlaceMemory gives an entity's places from memory where it can; Forget makes the next Lookup ask the catalogue.
type PlaceMemory interface {
	Lookup(ctx context.Context, q media.PlaceQuery) (places []media.Place, known bool, err error)
	Forget(ctx context.Context, q media.PlaceQuery)
}

// LMSOptions are the choices of an LMS. The zero value works.
type LMSOptions struct {
	Records  RecordMemory  // nil: the records themselves
	Places   PlaceMemory   // nil: the catalogue
	Trash    time.Duration // how long what is deleted can be restored; 0: 24 h
	Lease    time.Duration // how long work on both databases may take before others undo it; 0: 12 s
	Alone    bool          // no other node works on these databases: what nobody here is at work on is abandoned at once
	Interval time.Duration // between looks at what was cut off; 0: 1 s
}

// LMS is what staff and students do with products and courses and the media that hang on them. Records are in one database and media in
// another: both are asked side by side, and what is written to both is finished, or undone, whatever happens in between.
type LMS struct {
	media   *Service
	books   Books
	records Records
	o       LMSOptions
	rights  media.Rights

	compared compared

	mu   sync.Mutex
	mine map[string]bool      // intents that this process is at work on
	seen map[string]time.Time // when an unfinished intent was first seen here: a lease by this node's clock alone
}

// NewLMS makes an LMS. It shares with media the shelf, the bytes, the clock and who may.
func NewLMS(m *Service, books Books, records Records, o LMSOptions) *LMS {
	if o.Records == nil {
		o.Records = straightRecords{records}
	}
	if o.Places == nil {
		o.Places = straightPlaces{books}
	}
	for d, usual := range map[*time.Duration]time.Duration{&o.Trash: 24 * time.Hour, &o.Lease: 12 * time.Second, &o.Interval: time.Second} {
		if *d <= 0 {
			*d = usual
		}
	}
	return &LMS{media: m, books: books, records: records, o: o, rights: m.o.Rights, mine: map[string]bool{}, seen: map[string]time.Time{}}
}

type straightRecords struct{ Records }

func (s straightRecords) Lookup(ctx context.Context, x media.Subject) (media.Record, bool, error) {
	r, err := s.Record(ctx, x)
	return r, false, err
}

type straightPlaces struct{ Places }

func (s straightPlaces) Lookup(ctx context.Context, q media.PlaceQuery) ([]media.Place, bool, error) {
	ps, err := s.Places.Places(ctx, q)
	return ps, false, err
}

func (straightPlaces) Forget(context.Context, media.PlaceQuery) {}
