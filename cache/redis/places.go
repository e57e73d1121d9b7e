package redis

import (
	"context"

	"sluice/cache"
	"sluice/media"
)

// Places remembers the images of products, and the videos and resources of courses, for every node: "images:<id>", "videos:<id>",
// "resources:<id>". Queries for a part of those, and for other media, go straight to the source.
type Places struct {
	tier   *Tier
	source cache.PlaceSource
}

var (
	_ cache.PlaceSource                           = (*Places)(nil)
	_ cache.Tier[media.PlaceQuery, []media.Place] = (*Places)(nil)
)

// Places puts the tier in front of a source of places.
func (t *Tier) Places(source cache.PlaceSource) *Places { return &Places{t, source} }

// Places gives a list from Redis or from the source.
func (p *Places) Places(ctx context.Context, q media.PlaceQuery) ([]media.Place, error) {
	v, _, err := p.Lookup(ctx, q)
	return v, err
}

// Lookup is Places, and tells whether Redis knew.
func (p *Places) Lookup(ctx context.Context, q media.PlaceQuery) ([]media.Place, bool, error) {
	kind, id, whole := cache.PlaceKey(q)
	if !whole || !kept(kind, id) {
		v, err := p.source.Places(ctx, q)
		return v, false, err
	}
	return lookup(ctx, p.tier, kind+":"+id, placesCoder(), func(ctx context.Context) ([]media.Place, error) {
		return p.source.Places(ctx, q)
	})
}

func placesCoder() coder[[]media.Place] {
	return coder[[]media.Place]{
		none:   "no such entity",
		keep:   func([]media.Place) bool { return true },
		encode: encodePlaces, decode: decodePlaces,
	}
}
