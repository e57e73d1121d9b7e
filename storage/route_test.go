package storage_test

import (
	"errors"
	"math"
	"testing"

	"pgregory.net/rapid"

	"sluice/media"
	"sluice/storage"
	"sluice/storage/memory"
)

const (
	courseID = "507f1f77bcf86cd799439011"
	otherID  = "507f1f77bcf86cd799439012"
)

// routing gives a store with the backends first, a and b, and rules.
func routing(t testing.TB, rules ...storage.Rule) *storage.Store {
	t.Helper()
	s, err := storage.New([]storage.Backend{{Name: "first", Driver: memory.New()}, {Name: "a", Driver: memory.New()}, {Name: "b", Driver: memory.New()}}, rules...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestRoute(t *testing.T) {
	t.Parallel()
	yes, no := true, false
	video := media.Asset{
		MIMEType: "video/mp4", Type: media.Video, Size: 100,
		Placement: media.Placement{Kind: media.CourseVideo, CourseID: courseID, LessonID: otherID},
	}
	plain := media.Asset{MIMEType: "application/octet-stream", Type: media.Document, Size: 100, Placement: media.Placement{Kind: media.Generic}}
	with := func(a media.Asset, change func(*media.Asset)) media.Asset { change(&a); return a }
	part := func(a media.Asset) media.Asset {
		return with(a, func(a *media.Asset) { a.Upload.Partial = true })
	}
	about := func(s media.Subject) media.Asset {
		return with(plain, func(a *media.Asset) { a.Placement.Reference = s })
	}
	for name, c := range map[string]struct {
		rule storage.Rule
		a    media.Asset
		want bool
	}{
		"kind":                                  {storage.Rule{Kind: media.CourseVideo}, video, true},
		"another kind":                          {storage.Rule{Kind: media.ProductImage}, video, false},
		"a class of types":                      {storage.Rule{MIME: "video/*"}, video, true},
		"another class":                         {storage.Rule{MIME: "image/*"}, video, false},
		"one type":                              {storage.Rule{MIME: "video/mp4"}, video, true},
		"another type":                          {storage.Rule{MIME: "video/mp"}, video, false},
		"a coarse type":                         {storage.Rule{Type: media.Video}, video, true},
		"another coarse type":                   {storage.Rule{Type: media.Audio}, video, false},
		"a size at the lower end":               {storage.Rule{Size: &storage.Sizes{Least: 100, Most: math.MaxInt64}}, video, true},
		"a size below":                          {storage.Rule{Size: &storage.Sizes{Least: 101, Most: math.MaxInt64}}, video, false},
		"a size at the upper end":               {storage.Rule{Size: &storage.Sizes{Most: 100}}, video, true},
		"a size above":                          {storage.Rule{Size: &storage.Sizes{Most: 99}}, video, false},
		"an unknown length has no size":         {storage.Rule{Size: &storage.Sizes{Most: math.MaxInt64}}, with(video, func(a *media.Asset) { a.Size = media.UnknownLength }), false},
		"a course":                              {storage.Rule{Course: courseID}, video, true},
		"another course":                        {storage.Rule{Course: otherID}, video, false},
		"a course referred to":                  {storage.Rule{Course: courseID}, about(media.Subject{Type: media.Course, ID: courseID}), true},
		"a product with the course's id":        {storage.Rule{Course: courseID}, about(media.Subject{Type: media.Product, ID: courseID}), false},
		"a lesson":                              {storage.Rule{Lesson: otherID}, video, true},
		"a product":                             {storage.Rule{Product: otherID}, with(plain, func(a *media.Asset) { a.Placement.ProductID = otherID }), true},
		"any user":                              {storage.Rule{Reference: media.Subject{Type: media.User}}, about(media.Subject{Type: media.User, ID: otherID}), true},
		"one user":                              {storage.Rule{Reference: media.Subject{Type: media.User, ID: courseID}}, about(media.Subject{Type: media.User, ID: otherID}), false},
		"no reference":                          {storage.Rule{Reference: media.Subject{Type: media.User}}, plain, false},
		"public":                                {storage.Rule{Public: &yes}, with(plain, func(a *media.Asset) { a.Public = true }), true},
		"not public":                            {storage.Rule{Public: &no}, plain, true},
		"all conditions":                        {storage.Rule{Kind: media.CourseVideo, MIME: "video/*", Course: courseID, Public: &no}, video, true},
		"all but one":                           {storage.Rule{Kind: media.CourseVideo, MIME: "video/*", Course: courseID, Public: &yes}, video, false},
		"what a part says":                      {storage.Rule{Kind: media.CourseVideo, MIME: "video/*", Type: media.Video, Course: courseID}, part(video), true},
		"the size of a part":                    {storage.Rule{Size: &storage.Sizes{Most: math.MaxInt64}}, part(video), false},
		"a part without metadata: kind":         {storage.Rule{Kind: media.Generic}, part(plain), false},
		"a part without metadata: type":         {storage.Rule{MIME: "application/octet-stream"}, part(plain), false},
		"a part without metadata: coarse type":  {storage.Rule{Type: media.Document}, part(plain), false},
		"a part without metadata: public=false": {storage.Rule{Public: &no}, part(plain), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.rule.Backend = "a"
			b, err := routing(t, c.rule, storage.Rule{Size: &storage.Sizes{Least: 1 << 40, Most: math.MaxInt64}, Backend: "b"}).Route(&c.a)
			if err != nil || (b.Name == "a") != c.want || b.Name == "b" {
				t.Errorf("got %q, %v, want a: %v", b.Name, err, c.want)
			}
		})
	}
}

func TestTheFirstRuleWinsAndAWishComesBeforeAll(t *testing.T) {
	t.Parallel()
	s := routing(t, storage.Rule{MIME: "video/*", Backend: "a"}, storage.Rule{Type: media.Video, Backend: "b"})
	video := media.Asset{MIMEType: "video/mp4", Type: media.Video}
	if b, err := s.Route(&video); err != nil || b.Name != "a" {
		t.Errorf("the first rule: got %q, %v", b.Name, err)
	}
	video.Backend = "first"
	if b, err := s.Route(&video); err != nil || b.Name != "first" {
		t.Errorf("asked for: got %q, %v", b.Name, err)
	}
	video.Backend = "nowhere"
	if b, err := s.Route(&video); !errors.Is(err, media.Invalid) {
		t.Errorf("asked for nowhere: got %q, %v, want Invalid", b.Name, err)
	}
	video.Upload.Final = true
	if b, err := s.Route(&video); !errors.Is(err, media.Unavailable) {
		t.Errorf("parts on a backend that is gone: got %q, %v, want Unavailable", b.Name, err)
	}
	if _, err := storage.New([]storage.Backend{{Name: "a", Driver: memory.New()}}, storage.Rule{Backend: "b"}); err == nil {
		t.Error("a rule to nowhere is taken")
	}
}

// However a file is cut, and whatever its parts' metadata say, as long as all say the same: its parts go one way.
func TestPartsOfOneFileGoOneWay(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var rules []storage.Rule
		for range rapid.IntRange(0, 4).Draw(t, "rules") {
			r := storage.Rule{Backend: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "to")}
			if rapid.Bool().Draw(t, "sized") {
				r.Size = &storage.Sizes{Least: rapid.Int64Range(0, 100).Draw(t, "least"), Most: rapid.Int64Range(0, 200).Draw(t, "most")}
			}
			r.Kind = rapid.SampledFrom([]media.PlacementKind{"", media.Generic, media.CourseVideo}).Draw(t, "kind")
			rules = append(rules, r)
		}
		s, err := storage.New([]storage.Backend{{Name: "first", Driver: memory.New()}, {Name: "a", Driver: memory.New()}, {Name: "b", Driver: memory.New()}}, rules...)
		if err != nil {
			t.Fatal(err)
		}
		a := media.Asset{MIMEType: "video/mp4", Type: media.Video, Placement: media.Placement{Kind: rapid.SampledFrom([]media.PlacementKind{media.Generic, media.CourseVideo}).Draw(t, "said")}}
		a.Upload.Partial = true
		way := ""
		for _, size := range rapid.SliceOfN(rapid.Int64Range(-1, 300), 1, 5).Draw(t, "sizes") {
			a.Size = size
			b, err := s.Route(&a)
			if err != nil || way != "" && b.Name != way {
				t.Fatalf("a part of %d bytes goes to %q (%v), one before to %q", size, b.Name, err, way)
			}
			way = b.Name
		}
	})
}
