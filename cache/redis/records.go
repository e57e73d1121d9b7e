package redis

import (
	"context"
	"time"

	"sluice/cache"
	"sluice/media"
)

// Records remembers the products and courses of a source for every node, "product:<id>" and "course:<id>". All other records go straight to
// the source: they are asked for rarely, and are about people.
type Records struct {
	cache.RecordSource
	tier *Tier
}

var (
	_ cache.RecordSource                      = (*Records)(nil)
	_ cache.Tier[media.Subject, media.Record] = (*Records)(nil)
)

// Records puts the tier in front of a source of records.
func (t *Tier) Records(source cache.RecordSource) *Records { return &Records{source, t} }

// Record gives a record from Redis or from the source.
func (r *Records) Record(ctx context.Context, s media.Subject) (media.Record, error) {
	v, _, err := r.Lookup(ctx, s)
	return v, err
}

// Lookup is Record, and tells whether Redis knew.
func (r *Records) Lookup(ctx context.Context, s media.Subject) (media.Record, bool, error) {
	if !kept(string(s.Type), s.ID) {
		v, err := r.RecordSource.Record(ctx, s)
		return v, false, err
	}
	return lookup(ctx, r.tier, string(s.Type)+":"+s.ID, recordCoder(s), func(ctx context.Context) (media.Record, error) {
		return r.RecordSource.Record(ctx, s)
	})
}

// recordsFor is how long a record is kept at most: the LMS changes records by itself, and tells nobody.
const recordsFor = 10 * time.Second

func recordCoder(s media.Subject) coder[media.Record] {
	return coder[media.Record]{
		none:   "no such " + string(s.Type),
		most:   recordsFor,
		keep:   func(r media.Record) bool { return r.Subject == s },
		encode: encodeRecord,
		decode: func(b []byte) (media.Record, error) {
			r, err := decodeRecord(b)
			if err == nil && r.Subject != s {
				err = errNoRecord
			}
			return r, err
		},
	}
}
