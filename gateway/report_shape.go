package gateway

import (
	"time"

	"sluice/media"
)

type Report struct {
	Buckets      []media.Bucket
	CountedUntil time.Time
}

func reportJSON(s media.Series, r Report) MediaReport {
	out := MediaReport{ID: s.Asset.String(), From: utc(s.From), To: utc(s.To), BucketSeconds: int64(s.Bucket / time.Second), CountedUntil: utc(r.CountedUntil), Buckets: make([]ReportBucket, len(r.Buckets))}
	for i, b := range r.Buckets {
		out.Buckets[i] = ReportBucket{Start: utc(b.Start), Views: b.Views, Bytes: b.Bytes}
		out.Views += b.Views
		out.Bytes += b.Bytes
	}
	return out
}
