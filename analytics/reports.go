package analytics

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"sluice/media"
)

const (
	week = 7 * 24 * time.Hour
	day  = 24 * time.Hour

	maxBuckets  = 10_000
	defaultDays = 30
)

// ReportOptions are choices of Reports. The zero value works.
type ReportOptions struct {
	Rights    media.Rights  // who manages an asset reads its numbers; the zero value: its owner and admins
	Titles    Titles        // names what media belong to; nil: nothing is named
	FlushWait time.Duration // how long a report waits for accesses still being counted; 0: 2 seconds
	Now       func() time.Time
}

// Flusher brings what was recorded into the catalogue: the Counter.
type Flusher interface {
	Flush(ctx context.Context) error
	CountedUntil() time.Time
}

// Reports answers how often media was fetched, to those who may know.
type Reports struct {
	counts  Counts
	assets  Assets
	flusher Flusher
	o       ReportOptions
}

// NewReports needs assets from the catalogue itself: a cached one shows older totals.
func NewReports(counts Counts, assets Assets, flusher Flusher, o ReportOptions) *Reports {
	setDefault(&o.FlushWait, 2*time.Second)
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Reports{counts: counts, assets: assets, flusher: flusher, o: o}
}

// Report is the accesses of one asset. The totals are of all time, the buckets of the time asked for.
type Report struct {
	MediaID        media.AssetID `json:"mediaId"`
	From           time.Time     `json:"from"` // included; the start of a bucket
	To             time.Time     `json:"to"`   // excluded; the end of a bucket
	Bucket         string        `json:"bucket"`
	CountedUntil   time.Time     `json:"countedUntil,omitzero"` // every access to this node until then is in the numbers; absent: not known
	AccessCount    int64         `json:"accessCount"`
	BytesServed    int64         `json:"bytesServed"`
	LastAccessedAt time.Time     `json:"lastAccessedAt,omitzero"`
	BelongsTo      []Belonging   `json:"belongsTo,omitempty"`
	TitlesAway     bool          `json:"titlesAway,omitempty"` // the LMS's database is away: no title is known now
	Buckets        []Bucket      `json:"buckets"`
}

// Belonging is an entity that media belong to. Title is "" where there is none, or none is known.
type Belonging struct {
	media.Subject
	Title string `json:"title"`
}

// Bucket is one step of a report.
type Bucket struct {
	Start time.Time `json:"start"`
	Views int64     `json:"views"`
	Bytes int64     `json:"bytes"`
}

// ParseBucket reads the name of a bucket: hour, day or week; "" is day. Anything else is media.Invalid.
func ParseBucket(s string) (time.Duration, error) {
	switch s {
	case "hour":
		return time.Hour, nil
	case "", "day":
		return day, nil
	case "week":
		return week, nil
	}
	return 0, &media.Error{Kind: media.Invalid, Code: "bad_bucket", Field: "bucket", Detail: "bucket is hour, day or week"}
}

// Media reports on one asset, to who manages it by ReportOptions.Rights; to others it is media.NotFound like a missing one. From and To are widened to
// whole buckets in UTC, weeks begin on Monday; without them it is the last 30 days by day. Accesses recorded before the call are in it,
// or CountedUntil says since when they are not.
func (r *Reports) Media(ctx context.Context, p media.Principal, s media.Series) (Report, error) {
	s, name, err := complete(s, r.o.Now())
	if err != nil {
		return Report{}, err
	}
	if _, err := r.asset(ctx, p, s.Asset); err != nil {
		return Report{}, err
	}
	wait, cancel := context.WithTimeout(ctx, r.o.FlushWait)
	_ = r.flusher.Flush(wait) // when it cannot, CountedUntil tells
	cancel()
	until := r.flusher.CountedUntil()
	a, err := r.asset(ctx, p, s.Asset)
	if err != nil {
		return Report{}, err
	}
	step := s
	step.Bucket = min(s.Bucket, day) // weeks are summed here: where one begins is nobody else's business
	var found []media.Bucket
	var named titled
	g, both := errgroup.WithContext(ctx)
	g.Go(func() error {
		named = r.titles(both, a.Subjects())
		return nil
	})
	g.Go(func() (err error) {
		found, err = r.counts.Series(both, step)
		return err
	})
	if err := g.Wait(); err != nil {
		return Report{}, fmt.Errorf("analytics: series of %s: %w", s.Asset, err)
	}
	return Report{
		MediaID: a.ID, From: s.From, To: s.To, Bucket: name, CountedUntil: until, AccessCount: a.AccessCount, BytesServed: a.BytesServed,
		LastAccessedAt: a.LastAccessedAt, Buckets: spread(s, found), BelongsTo: named.list, TitlesAway: named.away,
	}, nil
}

type titled struct {
	list []Belonging
	away bool
}

// titlesWait bounds how long numbers wait for names.
const titlesWait = time.Second

// titles names what media belong to. Numbers are worth something without names: what is not known is left out, and said.
func (r *Reports) titles(ctx context.Context, subjects []media.Subject) titled {
	t := titled{list: make([]Belonging, len(subjects))}
	for i, s := range subjects {
		t.list[i].Subject = s
	}
	if r.o.Titles == nil || len(subjects) == 0 {
		return t
	}
	ctx, cancel := context.WithTimeout(ctx, titlesWait)
	defer cancel()
	names, err := r.o.Titles.Titles(ctx, subjects)
	t.away = errors.Is(err, media.Unavailable) || errors.Is(err, context.DeadlineExceeded)
	for i, s := range subjects {
		t.list[i].Title = names[s]
	}
	return t
}

// asset reads an asset that p may see the numbers of.
func (r *Reports) asset(ctx context.Context, p media.Principal, id media.AssetID) (media.Asset, error) {
	a, err := r.assets.Asset(ctx, id)
	if err != nil && media.KindOf(err) != media.NotFound {
		return media.Asset{}, fmt.Errorf("analytics: asset %s: %w", id, err)
	}
	if err != nil || !r.o.Rights.Manages(ctx, p, a) {
		return media.Asset{}, media.Errorf(media.NotFound, "no such media")
	}
	return a, nil
}

// complete checks what was asked and fills in what was not.
func complete(s media.Series, now time.Time) (_ media.Series, name string, err error) {
	switch s.Bucket {
	case 0, day:
		s.Bucket, name = day, "day"
	case time.Hour:
		name = "hour"
	case week:
		name = "week"
	default:
		_, err := ParseBucket("another")
		return s, "", err
	}
	if s.To.IsZero() {
		s.To = now
	}
	if s.From.IsZero() {
		s.From = s.To.Add(-defaultDays * day)
		if s.To.Equal(now) {
			s.From = s.From.Add(s.Bucket) // with the bucket that is not over yet it makes thirty days
		}
	}
	invalid := func(field, detail string) error {
		return &media.Error{Kind: media.Invalid, Code: "bad_period", Field: field, Detail: detail}
	}
	for field, at := range map[string]time.Time{"from": s.From, "to": s.To} {
		if y := at.UTC().Year(); y < 1970 || y > 9999 {
			return s, "", invalid(field, "the year is between 1970 and 9999")
		}
	}
	if !s.From.Before(s.To) {
		return s, "", invalid("from", "from is before to")
	}
	s.From, s.To = floor(s.From, s.Bucket), floor(s.To.Add(s.Bucket-1), s.Bucket)
	if (s.To.Unix()-s.From.Unix())/int64(s.Bucket/time.Second) > maxBuckets {
		return s, "", invalid("bucket", "at most 10,000 buckets; take a shorter time or a larger bucket")
	}
	return s, name, nil
}

// floor gives the start of the bucket t lies in. Truncate counts from the year 1, whose first day was a Monday.
func floor(t time.Time, bucket time.Duration) time.Time { return t.UTC().Truncate(bucket) }

// spread puts what was found into the buckets asked for, zero where nothing was.
func spread(s media.Series, found []media.Bucket) []Bucket {
	out := make([]Bucket, (s.To.Unix()-s.From.Unix())/int64(s.Bucket/time.Second))
	for i := range out {
		out[i].Start = s.From.Add(time.Duration(i) * s.Bucket)
	}
	for _, b := range found {
		if b.Start.Before(s.From) || !b.Start.Before(s.To) {
			continue
		}
		o := &out[b.Start.Sub(s.From)/s.Bucket]
		o.Views += b.Views
		o.Bytes += b.Bytes
	}
	return out
}
