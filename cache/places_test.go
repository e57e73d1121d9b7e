package cache_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/cache"
	"sluice/cache/cachetest"
	"sluice/internal/livetest"
	"sluice/media"
)

// placeSource is the suite's source as one of places.
type placeSource struct {
	*cachetest.Source[media.PlaceQuery, []media.Place]
}

func (s placeSource) Places(ctx context.Context, q media.PlaceQuery) ([]media.Place, error) {
	return s.Load(ctx, q)
}

// places is a cache of places for the suite.
type places struct{ *cache.Places }

func (c places) Read(ctx context.Context, q media.PlaceQuery) ([]media.Place, error) {
	list, _, err := c.Lookup(ctx, q)
	return list, err
}

func TestPlacesKeepTheContract(t *testing.T) {
	t.Parallel()
	cachetest.Run(t, cachetest.Places(), func(t testing.TB, s *cachetest.Source[media.PlaceQuery, []media.Place], o cachetest.Settings) cachetest.Cache[media.PlaceQuery, []media.Place] {
		c, err := cache.NewPlaces(placeSource{s}, nil, options(o))
		if err != nil {
			t.Fatal(err)
		}
		return places{c}
	})
}

// shelf has so many places of everything.
type shelf struct{ places int }

func (s *shelf) Places(context.Context, media.PlaceQuery) ([]media.Place, error) {
	return make([]media.Place, s.places), nil
}

func TestWholeListsAreRemembered(t *testing.T) {
	t.Parallel()
	images := media.PlaceQuery{Kind: media.ProductImage, ProductID: "p"}
	for name, c := range map[string]struct {
		q     media.PlaceQuery
		known bool
		told  string // by Forget
	}{
		"images":                {images, true, "images p"},
		"videos":                {media.PlaceQuery{Kind: media.CourseVideo, CourseID: "c"}, true, "videos c"},
		"resources":             {media.PlaceQuery{Kind: media.CourseResource, CourseID: "c"}, true, "resources c"},
		"what does not count":   {media.PlaceQuery{Kind: media.ProductImage, ProductID: "p", CourseID: "c"}, true, "images p"},
		"videos of a lesson":    {media.PlaceQuery{Kind: media.CourseVideo, CourseID: "c", LessonID: "l"}, false, "videos c"},
		"videos of a type":      {media.PlaceQuery{Kind: media.CourseVideo, CourseID: "c", VideoType: media.IntroVideo}, false, "videos c"},
		"resources of a lesson": {media.PlaceQuery{Kind: media.CourseResource, CourseID: "c", LessonID: "l"}, false, "resources c"},
		"media of a user":       {media.PlaceQuery{Kind: media.Generic, Reference: media.Subject{Type: media.User, ID: "u"}}, false, ""},
		"images of nothing":     {media.PlaceQuery{Kind: media.ProductImage}, false, "images "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &shelf{places: 2}
			var told []string
			places, err := cache.NewPlaces(s, func(_ context.Context, kind, id string) { told = append(told, kind+" "+id) }, cache.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = places.Close() }()
			for i, want := range []bool{false, c.known} {
				if list, known, err := places.Lookup(t.Context(), c.q); len(list) != 2 || known != want || err != nil {
					t.Errorf("Lookup %d = %d places, known %v, %v, want known %v", i, len(list), known, err, want)
				}
			}
			places.Forget(t.Context(), c.q)
			if _, known, err := places.Lookup(t.Context(), c.q); known || err != nil {
				t.Errorf("after Forget: known %v, %v", known, err)
			}
			var want []string
			if c.told != "" {
				want = []string{c.told}
			}
			if d := cmp.Diff(want, told); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestAPartMakesTheWholeForgotten(t *testing.T) {
	t.Parallel()
	c, err := cache.NewPlaces(&shelf{places: 1}, nil, cache.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	whole := media.PlaceQuery{Kind: media.CourseVideo, CourseID: "c"}
	part := whole
	part.LessonID = "l"
	if _, _, err := c.Lookup(t.Context(), whole); err != nil {
		t.Fatal(err)
	}
	c.Forget(t.Context(), part)
	if _, known, err := c.Lookup(t.Context(), whole); known || err != nil {
		t.Errorf("known %v, %v", known, err)
	}
}

func TestKindsNameTheirQueries(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{cache.Images, cache.Videos, cache.Resources} {
		if k, id, whole := cache.PlaceKey(cache.PlaceQueryOf(kind, "x")); k != kind || id != "x" || !whole {
			t.Errorf("%s comes back as %s %s, whole %v", kind, k, id, whole)
		}
	}
	if q := cache.PlaceQueryOf("media", "x"); q != (media.PlaceQuery{}) {
		t.Errorf("media: %+v", q)
	}
}

func TestPlacesAreBoundedByTheirNumber(t *testing.T) {
	t.Parallel()
	c, err := cache.NewPlaces(&shelf{places: media.MaxPlaces}, nil, cache.Options{Size: 4 * (media.MaxPlaces + 1), TTL: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	course := func(n int) media.PlaceQuery {
		return media.PlaceQuery{Kind: media.CourseVideo, CourseID: fmt.Sprint(n)}
	}
	readAll := func() (known int) {
		for n := range 100 {
			_, k, err := c.Lookup(t.Context(), course(n))
			if err != nil {
				t.Fatal(err)
			}
			if k {
				known++
			}
		}
		return known
	}
	readAll()
	livetest.Until(t, 5*time.Second, "no more is kept than there is room for, which is 4 lists", func() bool { return readAll() <= 4 })
	livetest.Until(t, 5*time.Second, "the longest list there is is not too long to be kept", func() bool {
		_, known, err := c.Lookup(t.Context(), course(99))
		return known && err == nil
	})
}

func BenchmarkPlacesHit(b *testing.B) {
	c, err := cache.NewPlaces(&shelf{places: 20}, nil, cache.Options{TTL: time.Hour})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	q := media.PlaceQuery{Kind: media.ProductImage, ProductID: "507f1f77bcf86cd799439011"}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := c.Lookup(b.Context(), q); err != nil {
			b.Fatal(err)
		}
	}
}
