package cache

import (
	"context"

	"sluice/media"
)

// PlaceSource keeps places, or remembers them; a Tier as well then.
type PlaceSource interface {
	// Places reads all places of an entity, at most media.MaxPlaces.
	Places(ctx context.Context, q media.PlaceQuery) ([]media.Place, error)
}

// The kinds of lists that are remembered. A list is named "<kind>:<id of the entity>" in what nodes share, and its kind is the topic under
// which they tell each other that it has changed.
const (
	Images    = "images"    // of a product
	Videos    = "videos"    // of a course
	Resources = "resources" // of a course
)

// PlaceKey gives the kind of the list that a query selects from, and the id of its entity. whole: it selects all of it, and the list is one
// to remember. Other lists have no kind: "".
func PlaceKey(q media.PlaceQuery) (kind, id string, whole bool) {
	switch q.Kind {
	case media.ProductImage:
		kind, id = Images, q.ProductID
	case media.CourseVideo:
		kind, id = Videos, q.CourseID
	case media.CourseResource:
		kind, id = Resources, q.CourseID
	case media.Generic:
	}
	return kind, id, id != "" && q.LessonID == "" && q.VideoType == ""
}

// PlaceQueryOf gives the query that selects all of a list; the zero value when there is no such kind.
func PlaceQueryOf(kind, id string) media.PlaceQuery {
	switch kind {
	case Images:
		return media.PlaceQuery{Kind: media.ProductImage, ProductID: id}
	case Videos:
		return media.PlaceQuery{Kind: media.CourseVideo, CourseID: id}
	case Resources:
		return media.PlaceQuery{Kind: media.CourseResource, CourseID: id}
	}
	return media.PlaceQuery{}
}

// Places remembers the images of products, and the videos and resources of courses: whole lists only. Who asks for a part of one, or for
// other media of an entity, asks the source: what is validated by a narrow query gains little by it, and there would be more to forget.
// What it gives is shared and must not be changed.
type Places struct {
	source PlaceSource
	lists  *Lookups[media.PlaceQuery, []media.Place]
	tell   func(ctx context.Context, kind, id string)
}

// NewPlaces makes a cache in front of a source. Options.Size is in places, not in lists: a list has none or a thousand, while places are
// much alike, 1.1 KB with their asset, and are counted at no cost. Tell makes what nodes share forget a list, and then the other nodes;
// nil when there are none.
func NewPlaces(source PlaceSource, tell func(ctx context.Context, kind, id string), o Options) (*Places, error) {
	lists, err := NewLookups(behind(source, source.Places), Use[media.PlaceQuery, []media.Place]{
		Name: "places", Weigh: func(_ media.PlaceQuery, list []media.Place) int { return 1 + len(list) },
	}, o)
	if err != nil {
		return nil, err
	}
	if tell == nil {
		tell = func(context.Context, string, string) {}
	}
	return &Places{source: source, lists: lists, tell: tell}, nil
}

// Lookup gives places as Lookups does. Those that were known may have changed since: whoever shows them asks for their media.PlaceCount.
func (c *Places) Lookup(ctx context.Context, q media.PlaceQuery) (places []media.Place, known bool, err error) {
	kind, id, whole := PlaceKey(q)
	if !whole {
		places, err = c.source.Places(ctx, q)
		return places, false, err
	}
	return c.lists.Lookup(ctx, PlaceQueryOf(kind, id))
}

// Forget makes this node forget the list that a query selects from before it returns, and the others as soon as they hear of it. The next
// Lookup loads it anew.
func (c *Places) Forget(ctx context.Context, q media.PlaceQuery) {
	kind, id, _ := PlaceKey(q)
	if kind == "" {
		return
	}
	c.Invalidate(q)
	c.tell(ctx, kind, id)
	c.Invalidate(q) // a Lookup may have found it in what is shared just before that was told
}

// Invalidate forgets here the list that a query selects from. A Lookup that begins afterwards does not see what the source held before.
func (c *Places) Invalidate(q media.PlaceQuery) {
	if kind, id, _ := PlaceKey(q); kind != "" {
		c.lists.Invalidate(PlaceQueryOf(kind, id))
	}
}

// Expire makes the source be asked again about everything, see Lookups.
func (c *Places) Expire() { c.lists.Expire() }

// Close waits for the questions under way. Reads afterwards go to the source.
func (c *Places) Close() error { return c.lists.Close() }
