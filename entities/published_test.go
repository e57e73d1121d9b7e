package entities_test

import (
	"errors"
	"path/filepath"
	"testing"

	"sluice/entities"
	"sluice/entities/embedded"
	"sluice/media"
)

// What is published through here is published in the LMS's own words, or refused: never answered with yes and left as it was.
func TestPublishingInTheWordsOfTheLMS(t *testing.T) {
	t.Parallel()
	type fields = map[string]any
	for name, c := range map[string]struct {
		was  fields
		set  fields
		kind error
		want fields // of published, isPublished and status
	}{
		"nothing said":                {fields{}, fields{"published": false}, nil, fields{"published": false}},
		"isPublished: published":      {fields{"isPublished": false}, fields{"published": true}, nil, fields{"isPublished": true}},
		"isPublished: unpublished":    {fields{"isPublished": true}, fields{"published": false}, nil, fields{"isPublished": false}},
		"both":                        {fields{"isPublished": false, "published": false}, fields{"published": true}, nil, fields{"isPublished": true, "published": true}},
		"by the LMS itself":           {fields{"isPublished": false}, fields{"isPublished": true}, nil, fields{"isPublished": true}},
		"a status that hides":         {fields{"status": "suspended"}, fields{"published": true}, media.Conflict, fields{"status": "suspended"}},
		"a status that hides anyway":  {fields{"status": "draft"}, fields{"published": false}, nil, fields{"status": "draft", "published": false}},
		"a status that hides nothing": {fields{"status": "live", "published": false}, fields{"published": true}, nil, fields{"status": "live", "published": true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, err := embedded.Open(t.Context(), filepath.Join(t.TempDir(), "entities.db"), embedded.Options{})
			if err != nil {
				t.Fatal(err)
			}
			r, err := entities.New(t.Context(), d, entities.Options{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = r.Close() })
			on := media.Subject{Type: media.Course, ID: "65a000000000000000000001"}
			if _, err := r.Create(t.Context(), media.Record{Subject: on, Fields: c.was}, ""); err != nil {
				t.Fatal(err)
			}
			if _, err := r.Change(t.Context(), on, "", c.set); !errors.Is(err, c.kind) {
				t.Fatalf("got %v, want %v", err, c.kind)
			}
			got, err := r.Record(t.Context(), on)
			if err != nil {
				t.Fatal(err)
			}
			for _, k := range []string{"published", "isPublished", "status"} {
				if got.Fields[k] != c.want[k] {
					t.Errorf("%s: got %v, want %v", k, got.Fields[k], c.want[k])
				}
			}
			if want, said := c.set["published"].(bool); said && c.kind == nil && got.Published != want {
				t.Errorf("published is %v, want %v", got.Published, want)
			}
		})
	}
}
