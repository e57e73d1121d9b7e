package media_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/media"
)

func TestTitleOfARecord(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fields map[string]any
		want   string
	}{
		"a title":             {map[string]any{"title": "Go", "name": "x"}, "Go"},
		"a name":              {map[string]any{"title": "", "name": "Cup"}, "Cup"},
		"a user's name":       {map[string]any{"displayName": "Sue"}, "Sue"},
		"a title of no text":  {map[string]any{"title": 4.0, "name": []any{}, "displayName": "Sue"}, "Sue"},
		"nothing of the kind": {map[string]any{"price": 4.0}, ""},
		"no fields":           {nil, ""},
	} {
		if got := (media.Record{Fields: c.fields}).Title(); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func TestLessonsOfACourse(t *testing.T) {
	t.Parallel()
	doc := func(id any, lessons ...any) map[string]any { return map[string]any{"id": id, "lessons": lessons} }
	c := media.Record{Fields: map[string]any{"modules": []any{
		doc("m1", doc("l1"), doc("l2")), doc("m2"), "odd", doc(nil, doc("l3"), nil, map[string]any{"_id": "l4"}), map[string]any{"_id": "m4", "lessons": 5.0},
	}}}
	want := [][2]string{{"m1", "l1"}, {"m1", "l2"}, {"m2", ""}, {"", "l3"}, {"", "l4"}, {"m4", ""}}
	for stop := 1; stop <= len(want); stop++ {
		var got [][2]string
		c.Lessons(func(module, lesson string) bool {
			got = append(got, [2]string{module, lesson})
			return len(got) < stop
		})
		if diff := cmp.Diff(want[:stop], got); diff != "" {
			t.Errorf("stopped after %d (-want +got):\n%s", stop, diff)
		}
	}
	for id, has := range map[string][2]bool{ // as a lesson, as a module
		"l1": {true, false}, "l2": {true, false}, "l4": {true, false}, "m1": {false, true}, "m2": {false, true}, "m4": {false, true},
		"": {false, false}, "m3": {false, false}, "odd": {false, false},
	} {
		if got := [2]bool{c.HasLesson(id), c.HasModule(id)}; got != has {
			t.Errorf("%q: got %v as lesson and module, want %v", id, got, has)
		}
	}
	for _, none := range []media.Record{{}, {Fields: map[string]any{"modules": "x"}}} {
		none.Lessons(func(module, lesson string) bool {
			t.Errorf("%v has %q, %q", none.Fields, module, lesson)
			return true
		})
	}
}

func TestHomeOfAnAsset(t *testing.T) {
	t.Parallel()
	id, other := media.NewAssetID(time.Now()), media.NewAssetID(time.Now())
	first := media.Asset{ID: id, Placement: of(annsCourse)}
	moved := media.Asset{ID: id, PlaceID: other, Placement: of(annsCourse)}
	for _, c := range []struct {
		name string
		p    media.Place
		home bool
	}{
		{"the place an upload named", media.Place{ID: id, Asset: first}, true},
		{"a further one", media.Place{ID: other, Asset: first}, false},
		{"one that has become the home", media.Place{ID: other, Asset: moved}, true},
		{"the first, once another is the home", media.Place{ID: id, Asset: moved}, false},
	} {
		if got := c.p.Home(); got != c.home {
			t.Errorf("%s: got %v", c.name, got)
		}
	}
}

func TestEntityOfAPlaceQuery(t *testing.T) {
	t.Parallel()
	all := media.PlaceQuery{ProductID: "p", CourseID: "c", LessonID: "l", Reference: review}
	for kind, want := range map[media.PlacementKind]media.Subject{
		media.ProductImage: {Type: media.Product, ID: "p"}, media.CourseVideo: {Type: media.Course, ID: "c"},
		media.CourseResource: {Type: media.Course, ID: "c"}, media.Generic: review,
	} {
		q := all
		q.Kind = kind
		if got := q.Subject(); got != want {
			t.Errorf("%s: got %v, want %v", kind, got, want)
		}
	}
}
