package curation_test

import (
	"errors"
	"testing"

	"sluice/curation"
	"sluice/media"
)

// Where no LMS keeps records the ids of products are taken on trust, as in uploads: who has put media on one goes on managing them there, and
// nobody manages those of others.
func TestWhereIdsAreTrustedOnesOwnMediaAreManaged(t *testing.T) {
	t.Parallel()
	s := enrol(t, curation.LMSOptions{}, nil)
	ida, bob, sam := who("ida", media.Instructor), who("bob", media.Instructor), who("sam", media.Student)
	on := media.Subject{Type: media.Product, ID: media.NewRecordID(now)}
	hung := func(owner string, public bool) media.Attachment {
		a := image(s.stored(t, owner, public))
		a.Placement = media.Placement{Kind: media.ProductImage, ProductID: on.ID}
		return a
	}
	pl, err := s.Attach(t.Context(), ida, hung("ida", true))
	if err != nil {
		t.Fatalf("attach one's own: %v", err)
	}
	if _, err := s.Attach(t.Context(), bob, hung("ida", true)); !errors.Is(err, media.Invalid) {
		t.Errorf("attach another's: %v, want invalid", err)
	}
	if _, err := s.Attach(t.Context(), sam, hung("sam", true)); !errors.Is(err, media.NotFound) {
		t.Errorf("a student attaches: %v, want not found", err)
	}
	to := pl.Placement
	to.AltText = "A chair"
	change := func(p media.Principal) error {
		_, err := s.ChangePlace(t.Context(), p, media.ProductImage, on, pl.ID, 0, media.PlaceChange{Placement: &to})
		return err
	}
	for name, p := range map[string]media.Principal{"another instructor": bob, "a student": sam} {
		if err := change(p); !errors.Is(err, media.Forbidden) {
			t.Errorf("%s changes: %v, want forbidden", name, err)
		}
		if err := s.TakeAway(t.Context(), p, media.ProductImage, on, pl.ID, 0, false); !errors.Is(err, media.Forbidden) {
			t.Errorf("%s deletes: %v, want forbidden", name, err)
		}
	}
	if _, err := s.Reorder(t.Context(), bob, media.PlaceQuery{Kind: media.ProductImage, ProductID: on.ID}, []media.AssetID{pl.ID}); !errors.Is(err, media.NotFound) {
		t.Errorf("another orders them: %v, want not found", err)
	}
	if err := change(ida); err != nil {
		t.Errorf("change one's own: %v", err)
	}
	if err := s.TakeAway(t.Context(), ida, media.ProductImage, on, pl.ID, 0, false); err != nil {
		t.Errorf("delete one's own: %v", err)
	}
	// Once there are records, what is not among them is not there.
	if _, err := s.Keep(t.Context(), who("root", media.Admin), media.Record{Subject: media.Subject{Type: media.User, ID: on.ID}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Attach(t.Context(), ida, hung("ida", true)); !errors.Is(err, media.NotFound) {
		t.Errorf("attach to what does not exist: %v, want not found", err)
	}
}
