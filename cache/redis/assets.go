package redis

import (
	"context"

	"sluice/cache"
	"sluice/media"
)

// Media is the kind under which assets are kept, "media:<id>", and the topic under which their changes are told.
const Media = "media"

// Assets remembers the assets of a source for every node. Those that are still uploading are not kept.
type Assets struct {
	tier   *Tier
	source cache.AssetSource
}

var _ cache.Tier[media.AssetID, media.Asset] = (*Assets)(nil)

// Assets puts the tier in front of a source of assets.
func (t *Tier) Assets(source cache.AssetSource) *Assets { return &Assets{tier: t, source: source} }

// Asset gives an asset from Redis or from the source.
func (a *Assets) Asset(ctx context.Context, id media.AssetID) (media.Asset, error) {
	v, _, err := a.Lookup(ctx, id)
	return v, err
}

// Lookup is Asset, and tells whether Redis knew.
func (a *Assets) Lookup(ctx context.Context, id media.AssetID) (media.Asset, bool, error) {
	return lookup(ctx, a.tier, Media+":"+id.String(), assetCoder(), func(ctx context.Context) (media.Asset, error) {
		return a.source.Asset(ctx, id)
	})
}

func assetCoder() coder[media.Asset] {
	return coder[media.Asset]{
		none:   "no such media",
		keep:   func(a media.Asset) bool { return a.State != media.Uploading },
		encode: encodeAsset, decode: decodeAsset,
	}
}
