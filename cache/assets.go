package cache

import (
	"context"

	"sluice/media"
)

// AssetSource keeps assets; media.NotFound when one is missing or deleted. One that remembers them is a Tier as well.
type AssetSource interface {
	Asset(ctx context.Context, id media.AssetID) (media.Asset, error)
}

// Assets remembers assets, but those that are still uploading.
type Assets struct {
	*Lookups[media.AssetID, media.Asset]
}

// NewAssets makes a cache in front of a source.
func NewAssets(source AssetSource, o Options) (*Assets, error) {
	kept := func(a media.Asset) bool { return a.State != media.Uploading }
	c, err := NewLookups(behind(source, source.Asset), Use[media.AssetID, media.Asset]{Name: "assets", Keep: kept}, o)
	if err != nil {
		return nil, err
	}
	return &Assets{c}, nil
}

// Asset is Lookup without the word on what was known.
func (a *Assets) Asset(ctx context.Context, id media.AssetID) (media.Asset, error) {
	now := a.o.Now()
	e, ok := a.hit(ctx, id, now)
	if ok {
		return e.value, e.err
	}
	v, _, err := a.renew(ctx, id, e, now)
	return v, err
}
