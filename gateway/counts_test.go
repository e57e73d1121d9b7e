package gateway_test

import (
	"context"

	"sluice/media"
)

type counts struct{}

func (counts) Count(context.Context, string, int64, int64, []media.Tally) error { return nil }

func (counts) Position(context.Context, string) (int64, error) { return 0, nil }

func (counts) Series(_ context.Context, s media.Series) ([]media.Bucket, error) {
	return []media.Bucket{{Start: s.From, Views: 3, Bytes: 4096}}, nil
}
