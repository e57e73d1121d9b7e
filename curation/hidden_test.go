package curation_test

import (
	"testing"

	"sluice/curation"
	"sluice/media"
)

// A draft's public image can be seen as media; that it is the draft's cannot.
func TestAPlaceIsHiddenWithWhatItHangsOn(t *testing.T) {
	t.Parallel()
	s := enrol(t, curation.LMSOptions{}, nil)
	product, _ := s.product(t, "ida", map[string]any{"name": "Chair", "published": false})
	public := true
	pl, err := s.Attach(t.Context(), who("ida", media.Instructor), media.Attachment{
		Asset: media.Asset{ID: s.stored(t, "ida", false)}, Public: &public, Placement: media.Placement{Kind: media.ProductImage, ProductID: product.ID},
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		p    media.Principal
		sees bool
	}{
		"its owner": {who("ida", media.Instructor), true}, "an admin": {who("root", media.Admin), true},
		"another instructor": {who("ivo", media.Instructor), false}, "a student": {who("eve", media.Student), false}, "nobody": {media.Principal{}, false},
	} {
		if _, err := s.Place(t.Context(), c.p, media.ProductImage, product, pl.ID); (err == nil) != c.sees || !c.sees && media.KindOf(err) != media.NotFound {
			t.Errorf("%s reads the image of a draft: %v", name, err)
		}
	}
	if _, err := s.media.Read(t.Context(), media.Principal{}, pl.Asset.ID); err != nil {
		t.Errorf("public media: %v", err)
	}
}

func TestTheTrashOfOthersLooksEmpty(t *testing.T) {
	t.Parallel()
	s := enrol(t, curation.LMSOptions{}, nil)
	product, up := s.product(t, "ida", nil)
	if err := s.TakeAway(t.Context(), who("ida", media.Instructor), media.ProductImage, product, up, 0, false); err != nil {
		t.Fatal(err)
	}
	ivo := who("ivo", media.Instructor)
	for name, do := range map[string]func(media.AssetID) error{
		"restoring":     func(id media.AssetID) error { _, err := s.PutBack(t.Context(), ivo, id); return err },
		"throwing away": func(id media.AssetID) error { return s.ThrowAway(t.Context(), ivo, id) },
	} {
		hers, none := do(up), do(media.NewAssetID(now))
		if media.KindOf(hers) != media.NotFound || hers.Error() != none.Error() {
			t.Errorf("%s what is hers: %v, and what is not there: %v", name, hers, none)
		}
	}
	if _, err := s.PutBack(t.Context(), who("ida", media.Instructor), up); err != nil {
		t.Errorf("ida restores it: %v", err)
	}
}
