package gateway_test

import (
	"context"

	"sluice/gateway"
	"sluice/media"
)

type reports struct{ shelf *shelf }

func (r reports) Media(ctx context.Context, p media.Principal, s media.Series) (gateway.Report, error) {
	a, err := r.shelf.Asset(ctx, s.Asset)
	if err != nil {
		return gateway.Report{}, err
	}
	if !p.Manages(a.Owner) {
		return gateway.Report{}, media.Errorf(media.NotFound, "no such media")
	}
	return gateway.Report{Buckets: []media.Bucket{{Start: s.From, Views: 3, Bytes: 4096}}, CountedUntil: now}, nil
}
