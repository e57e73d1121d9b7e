package redis_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/cache"
	"sluice/cache/redis"
	"sluice/internal/livetest"
	"sluice/media"
)

// source is everything that is remembered.
type source interface {
	cache.AssetSource
	cache.RecordSource
	cache.PlaceSource
}

// use is what a node does with one kind of what it remembers.
type use struct {
	unkept  bool // Redis does not keep it
	read    func(ctx context.Context, n *node, k int) (version int64, err error)
	changed func(ctx context.Context, n *node, k int) error // what a node does after its commit
}

// each runs a test for each use.
func each(t *testing.T, test func(t *testing.T, u use)) {
	t.Helper()
	for name, u := range map[string]use{
		"assets": {
			read: func(ctx context.Context, n *node, k int) (int64, error) {
				a, err := n.Asset(ctx, idOf(k))
				if err == nil && a.ID != idOf(k) {
					err = fmt.Errorf("the asset %v for %v", a.ID, idOf(k))
				}
				return a.Version, err
			},
			changed: func(ctx context.Context, n *node, k int) error { return n.changed(ctx, idOf(k)) },
		},
		"records": {
			read: func(ctx context.Context, n *node, k int) (int64, error) {
				return readRecord(ctx, n, entityOf(k), entityOf(k))
			},
			changed: changeRecord,
		},
		"lessons": {
			unkept: true,
			read: func(ctx context.Context, n *node, k int) (int64, error) {
				s := entityOf(k)
				if s.Type == media.Course {
					s.Type = media.Lesson
				}
				return readRecord(ctx, n, s, entityOf(k))
			},
			changed: changeRecord,
		},
		"places": {
			read: func(ctx context.Context, n *node, k int) (int64, error) {
				list, _, err := n.places.Lookup(ctx, listOf(k))
				if err != nil {
					return 0, err
				}
				if len(list) != 3 || list[2].Placement.Subject() != entityOf(k) {
					return 0, fmt.Errorf("the places %v for %v", list, listOf(k))
				}
				return list[2].Asset.Version, nil
			},
			changed: func(ctx context.Context, n *node, k int) error {
				n.places.Forget(ctx, listOf(k))
				return n.unsent.Swap(nil).err()
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, u)
		})
	}
}

func readRecord(ctx context.Context, n *node, s, want media.Subject) (int64, error) {
	r, err := n.records.Record(ctx, s)
	if err != nil {
		return 0, err
	}
	version, ok := r.Fields["stock"].(int64)
	if r.Subject != want || !ok || r.Version != strconv.FormatInt(version, 10) {
		return 0, fmt.Errorf("the record %v for %v", r, want)
	}
	return version, nil
}

func changeRecord(ctx context.Context, n *node, k int) error {
	s := entityOf(k)
	n.records.Invalidate(s)
	err := n.tier.Forget(ctx, string(s.Type), s.ID)
	n.records.Invalidate(s)
	return err
}

// entityOf is a product, and each other time a course. The ids of its lessons are its own.
func entityOf(k int) media.Subject {
	return media.Subject{Type: []media.SubjectType{media.Product, media.Course}[k%2], ID: fmt.Sprintf("%024x", k)}
}

func listOf(k int) media.PlaceQuery {
	s := entityOf(k)
	if s.Type == media.Product {
		return media.PlaceQuery{Kind: media.ProductImage, ProductID: s.ID}
	}
	return media.PlaceQuery{Kind: []media.PlacementKind{media.CourseVideo, media.CourseResource}[k/2%2], CourseID: s.ID}
}

func numberOf(id string) int {
	k, err := strconv.ParseInt(id, 16, 64)
	if err != nil {
		return -1
	}
	return int(k)
}

func (c *catalogue) Record(ctx context.Context, s media.Subject) (media.Record, error) {
	v, err := c.load(ctx, numberOf(s.ID))
	if s.Type == media.Lesson {
		s.Type = media.Course
	}
	return media.Record{Subject: s, Version: strconv.FormatInt(v, 10), Fields: map[string]any{"stock": v}}, err
}

func (*catalogue) Granted(context.Context, string) ([]media.Subject, error) { return nil, nil }

func (*catalogue) Trusting(context.Context) bool { return false }

func (c *catalogue) Places(ctx context.Context, q media.PlaceQuery) ([]media.Place, error) {
	k := numberOf(q.ProductID + q.CourseID)
	v, err := c.load(ctx, k)
	p := media.Place{ID: idOf(k), Asset: media.Asset{ID: idOf(k), Version: v}, Placement: media.Placement{Kind: q.Kind, ProductID: q.ProductID, CourseID: q.CourseID}}
	return []media.Place{{}, {}, p}, err
}

// failing has nothing.
type failing struct{}

func (failing) Asset(context.Context, media.AssetID) (media.Asset, error) {
	return media.Asset{}, media.Unavailable
}

func (failing) Record(context.Context, media.Subject) (media.Record, error) {
	return media.Record{}, media.Unavailable
}

func (failing) Granted(context.Context, string) ([]media.Subject, error) {
	return nil, media.Unavailable
}
func (failing) Trusting(context.Context) bool { return false }

func (failing) Places(context.Context, media.PlaceQuery) ([]media.Place, error) {
	return nil, media.Unavailable
}

// failure is what became of a message that could not be sent; nil: it was.
type failure struct{ error }

func (f *failure) err() error {
	if f == nil {
		return nil
	}
	return f.error
}

// remember gives a node memory of everything, in front of Redis.
func (n *node) remember(t testing.TB, s source) {
	t.Helper()
	tell := func(ctx context.Context, kind, id string) {
		if err := n.tier.Forget(ctx, kind, id); err != nil {
			n.unsent.Store(&failure{err})
		}
	}
	o := cache.Options{Hears: n.tier.Hears}
	var errs [3]error
	n.Assets, errs[0] = cache.NewAssets(n.tier.Assets(s), o)
	n.records, errs[1] = cache.NewRecords(n.tier.Records(s), o)
	n.places, errs[2] = cache.NewPlaces(n.tier.Places(s), tell, o)
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
}

// hear follows what other nodes say.
func (n *node) hear() {
	n.tier.Subscribe(redis.Media, func(text string) {
		if id, err := media.ParseAssetID(text); err == nil {
			n.Invalidate(id)
		}
		n.told.Add(1)
	}, func() { n.expire(); n.gaps.Add(1) })
	for _, kind := range []media.SubjectType{media.Product, media.Course, media.Order} {
		n.tier.Subscribe(string(kind), func(id string) {
			n.records.Invalidate(media.Subject{Type: kind, ID: id})
			n.told.Add(1)
		}, func() {})
	}
	for _, kind := range []string{cache.Images, cache.Videos, cache.Resources} {
		n.tier.Subscribe(kind, func(id string) {
			n.places.Invalidate(cache.PlaceQueryOf(kind, id))
			n.told.Add(1)
		}, func() {})
	}
}

func (n *node) expire() {
	n.Expire()
	n.records.Expire()
	n.places.Expire()
}

func (n *node) forget(t testing.TB) {
	t.Helper()
	if err := errors.Join(n.Assets.Close(), n.records.Close(), n.places.Close()); err != nil {
		t.Error(err)
	}
}

func TestWhatIsNotKeptIsAskedForAnew(t *testing.T) {
	t.Parallel()
	s := livetest.Redis(t)
	c := newCatalogue(4)
	n := newNode(t, s.URL(), c, patient)
	behindRecords, behindPlaces := n.tier.Records(c), n.tier.Places(c)
	id := entityOf(1).ID
	t.Cleanup(func() {
		if got := s.Do(t, "EXISTS", "user:"+id, "order:"+id, "lesson:"+id, "review:"+id); got != ":0" {
			t.Errorf("%s of what is never kept is there", got)
		}
	})
	record := func(typ media.SubjectType) func(ctx context.Context) (bool, error) {
		return func(ctx context.Context) (bool, error) {
			_, known, err := behindRecords.Lookup(ctx, media.Subject{Type: typ, ID: id})
			return known, err
		}
	}
	list := func(q media.PlaceQuery) func(ctx context.Context) (bool, error) {
		return func(ctx context.Context) (bool, error) {
			_, known, err := behindPlaces.Lookup(ctx, q)
			return known, err
		}
	}
	for name, c := range map[string]struct {
		look func(ctx context.Context) (known bool, err error)
		key  string // under which it is kept; "": it is not
	}{
		"product":                 {record(media.Product), "product:" + id},
		"course":                  {record(media.Course), "course:" + id},
		"lesson":                  {record(media.Lesson), ""},
		"user":                    {record(media.User), ""},
		"review":                  {record(media.Review), ""},
		"order":                   {record(media.Order), ""},
		"images":                  {list(media.PlaceQuery{Kind: media.ProductImage, ProductID: id}), "images:" + id},
		"videos":                  {list(media.PlaceQuery{Kind: media.CourseVideo, CourseID: id}), "videos:" + id},
		"resources":               {list(media.PlaceQuery{Kind: media.CourseResource, CourseID: id}), "resources:" + id},
		"videos of a lesson":      {list(media.PlaceQuery{Kind: media.CourseVideo, CourseID: id, LessonID: id}), ""},
		"videos of a type":        {list(media.PlaceQuery{Kind: media.CourseVideo, CourseID: id, VideoType: media.IntroVideo}), ""},
		"media of other entities": {list(media.PlaceQuery{Kind: media.Generic, ProductID: id, Reference: media.Subject{Type: media.User, ID: id}}), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for i, want := range []bool{false, c.key != ""} {
				if known, err := c.look(t.Context()); known != want || err != nil {
					t.Errorf("lookup %d: known %v, %v, want %v", i, known, err, want)
				}
			}
			if c.key == "" {
				return
			}
			if got := s.Do(t, "EXISTS", c.key); got != ":1" {
				t.Errorf("EXISTS %s = %s", c.key, got)
			}
			kind, of, _ := strings.Cut(c.key, ":")
			if err := n.tier.Forget(t.Context(), kind, of); err != nil {
				t.Error(err)
			}
			if known, err := c.look(t.Context()); known || err != nil {
				t.Errorf("after Forget: known %v, %v", known, err)
			}
		})
	}
}

func TestWhatTheLMSKeepsUnderItsOwnNamesStays(t *testing.T) {
	t.Parallel()
	s := livetest.Redis(t)
	c := newCatalogue(2)
	writer, reader := newNode(t, s.URL(), c, patient), newNode(t, s.URL(), c, patient)
	order := media.Subject{Type: media.Order, ID: entityOf(1).ID}
	for i, of := range []media.Subject{order, {Type: media.Product, ID: "all"}} {
		key := string(of.Type) + ":" + of.ID
		s.Do(t, "SET", key, "its-own")
		_, _ = writer.records.Record(t.Context(), of)
		if err := writer.tier.Forget(t.Context(), string(of.Type), of.ID); err != nil {
			t.Fatal(err)
		}
		livetest.Until(t, 5*time.Second, "the other node is told", func() bool { return reader.told.Load() == int64(i+1) })
		if got := s.Do(t, "STRLEN", key); got != ":7" {
			t.Errorf("STRLEN %s = %s, want 7", key, got)
		}
	}
	images := media.PlaceQuery{Kind: media.ProductImage, ProductID: "all"}
	s.Do(t, "SET", "images:all", "its-own")
	_, _, _ = writer.places.Lookup(t.Context(), images)
	writer.places.Forget(t.Context(), images)
	if got := s.Do(t, "STRLEN", "images:all"); got != ":7" {
		t.Errorf("STRLEN images:all = %s, want 7", got)
	}
}

func TestALongListIsShared(t *testing.T) {
	t.Parallel()
	s := livetest.Redis(t)
	c := &archive{}
	one, two := newNode(t, s.URL(), c, patient), newNode(t, s.URL(), c, patient)
	q := media.PlaceQuery{Kind: media.CourseVideo, CourseID: entityOf(1).ID}
	want, _, err := one.places.Lookup(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	got, known, err := two.places.Lookup(t.Context(), q)
	if d := cmp.Diff(want, got); d != "" || !known || err != nil || len(got) != media.MaxPlaces {
		t.Errorf("%d places, known %v, %v: %s", len(got), known, err, d)
	}
}

// archive has courses with as many videos as there may be.
type archive struct{ catalogue }

func (*archive) Places(_ context.Context, q media.PlaceQuery) ([]media.Place, error) {
	list := make([]media.Place, media.MaxPlaces)
	for i := range list {
		pl := media.Placement{Kind: q.Kind, CourseID: q.CourseID, Position: i}
		list[i] = media.Place{ID: idOf(i), Asset: media.Asset{ID: idOf(i), Filename: strings.Repeat("x", 200), Placement: pl}, Placement: pl}
	}
	return list, nil
}
