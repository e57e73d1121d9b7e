package curation_test

import (
	"context"
	"path/filepath"
	"testing"

	"sluice/catalogue"
	"sluice/catalogue/sqlite"
	"sluice/curation"
	"sluice/entities"
	"sluice/entities/embedded"
	"sluice/media"
)

// school is an LMS over real embedded databases.
type school struct {
	*curation.LMS
	media   *curation.Service
	books   *catalogue.Catalogue
	records *entities.Records
	dropped []string // keys of bytes that were let go
}

// Delete lets bytes go.
func (s *school) Delete(_ context.Context, _, key string) error {
	s.dropped = append(s.dropped, key)
	return nil
}

// enrol makes a school; wrap puts something between it and its databases.
func enrol(t *testing.T, o curation.LMSOptions, wrap func(curation.Books, curation.Records) (curation.Books, curation.Records)) *school {
	t.Helper()
	dir := t.TempDir()
	s := &school{}
	touch := func() {
		if s.LMS != nil {
			s.Touch()
		}
	}
	books, err := sqlite.Open(t.Context(), filepath.Join(dir, "catalogue.db"), catalogue.Options{Changed: func(media.AssetID) { touch() }, Counted: touch})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = books.Close() })
	driver, err := embedded.Open(t.Context(), filepath.Join(dir, "entities.db"), embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	records, err := entities.New(t.Context(), driver, entities.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = records.Close() })
	s.books, s.records = books, records
	b, r := curation.Books(books), curation.Records(records)
	if wrap != nil {
		b, r = wrap(b, r)
	}
	s.media = curation.New(books.Shelf(), s, curation.Options{Rights: media.Rights{Records: r}})
	s.LMS = curation.NewLMS(s.media, b, r, o)
	return s
}

// stored puts a finished upload of an owner into the catalogue.
func (s *school) stored(t *testing.T, owner string, public bool) media.AssetID {
	t.Helper()
	id := media.NewAssetID(now)
	a := media.Asset{
		ID: id, State: media.Ready, Owner: owner, Size: 10, Filename: "a.png", MIMEType: "image/png", Type: media.Image, StorageType: media.Local, Backend: "local",
		Key: "k/" + id.String(), SHA256: make([]byte, 32), Public: public,
	}
	if _, _, err := s.books.Begin(t.Context(), a, 0); err != nil {
		t.Fatal(err)
	}
	return id
}

func image(id media.AssetID) media.Attachment { return media.Attachment{Asset: media.Asset{ID: id}} }

func elsewhere(url string) media.Attachment {
	return media.Attachment{Asset: media.Asset{ExternalURL: url}}
}

// product makes a product of an owner with an image that was uploaded and one by its URL.
func (s *school) product(t *testing.T, owner string, fields map[string]any) (media.Subject, media.AssetID) {
	t.Helper()
	up := s.stored(t, owner, false)
	if fields == nil {
		fields = map[string]any{"name": "Chair"}
	}
	v, err := s.Create(t.Context(), who(owner, media.Instructor), curation.NewRecord{
		Type: media.Product, Fields: fields, Images: []media.Attachment{image(up), elsewhere("https://cdn.example.com/a.jpg")},
	})
	if err != nil {
		t.Fatal(err)
	}
	return v.Record.Subject, up
}
