package cataloguetest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"sluice/catalogue"
	"sluice/media"
)

// Recorder is an Engine that remembers what it was asked, so that the plans can be looked at.
type Recorder struct {
	catalogue.Engine
	Asked []Asked
}

// Asked is one statement.
type Asked struct {
	Text string
	Args []any
}

func (r *Recorder) note(text string, args []any) {
	r.Asked = append(r.Asked, Asked{text, append([]any(nil), args...)})
}

// Read reads.
func (r *Recorder) Read(ctx context.Context, do func(catalogue.Querier) error) error {
	return r.Engine.Read(ctx, func(q catalogue.Querier) error { return do(recorded{q, r}) })
}

// Write writes.
func (r *Recorder) Write(ctx context.Context, m catalogue.Mode, do func(catalogue.Tx) error) error {
	return r.Engine.Write(ctx, m, func(tx catalogue.Tx) error { return do(recordedTx{tx, r}) })
}

type recorded struct {
	catalogue.Querier
	r *Recorder
}

func (q recorded) Query(ctx context.Context, text string, args ...any) (catalogue.Rows, error) {
	q.r.note(text, args)
	return q.Querier.Query(ctx, text, args...)
}

type recordedTx struct {
	catalogue.Tx
	r *Recorder
}

func (t recordedTx) Query(ctx context.Context, text string, args ...any) (catalogue.Rows, error) {
	t.r.note(text, args)
	return t.Tx.Query(ctx, text, args...)
}

func (t recordedTx) Exec(ctx context.Context, text string, args ...any) (int64, error) {
	t.r.note(text, args)
	return t.Tx.Exec(ctx, text, args...)
}

func (t recordedTx) Later(ctx context.Context, text string, args ...any) error {
	t.r.note(text, args)
	return t.Tx.Later(ctx, text, args...)
}

// Listings are lists of every kind, by what they are of.
func Listings() map[string]media.Query {
	const e = "000000000000000000000007"
	yes, no := true, false
	return map[string]media.Query{
		"what one uploaded":    {AnyOwner: true, UploadedBy: "u7"},
		"one's public ones":    {AnyOwner: true, UploadedBy: "u7", Public: &yes},
		"public ones":          {AnyOwner: true, Public: &yes},
		"private ones":         {AnyOwner: true, Public: &no},
		"mine, private":        {Owner: "u7", PublicToo: true, Public: &no},
		"mine, or public":      {Owner: "u7", PublicToo: true, Public: &yes},
		"a public course":      {AnyOwner: true, Public: &yes, Placement: media.Placement{CourseID: e}},
		"everything":           {AnyOwner: true},
		"mine":                 {Owner: "u7"},
		"mine and public":      {Owner: "u7", PublicToo: true},
		"ready ones":           {AnyOwner: true, States: []media.State{media.Ready}},
		"a type":               {AnyOwner: true, Type: media.Image},
		"a storage type":       {AnyOwner: true, StorageType: media.S3},
		"a product":            {AnyOwner: true, Placement: media.Placement{ProductID: e}},
		"a course":             {AnyOwner: true, Placement: media.Placement{CourseID: e}},
		"a lesson":             {AnyOwner: true, Placement: media.Placement{LessonID: e}},
		"a course's intros":    {AnyOwner: true, Placement: media.Placement{CourseID: e, VideoType: media.IntroVideo}},
		"a reference":          {AnyOwner: true, Reference: media.Subject{Type: media.Order, ID: e}},
		"a reference's type":   {AnyOwner: true, Type: media.Image, Reference: media.Subject{Type: media.Order, ID: e}},
		"references to orders": {AnyOwner: true, Reference: media.Subject{Type: media.Order}},
		"a course's lesson":    {AnyOwner: true, Placement: media.Placement{CourseID: e, LessonID: e}},
		"a course's resources": {AnyOwner: true, Placement: media.Placement{Kind: media.CourseResource, CourseID: e}},
		"a module":             {AnyOwner: true, Placement: media.Placement{ModuleID: e}},
		"intros":               {AnyOwner: true, Placement: media.Placement{VideoType: media.IntroVideo}},
		"code":                 {AnyOwner: true, Placement: media.Placement{ResourceType: media.ResourceCode}},
		"images":               {AnyOwner: true, Placement: media.Placement{Kind: media.ProductImage}},
		"videos":               {AnyOwner: true, Placement: media.Placement{Kind: media.CourseVideo}},
		"resources":            {AnyOwner: true, Placement: media.Placement{Kind: media.CourseResource}},
		"generic media":        {AnyOwner: true, Placement: media.Placement{Kind: media.Generic}},
		"videos on s3":         {AnyOwner: true, StorageType: media.S3, Placement: media.Placement{Kind: media.CourseVideo}},
		"generic audio":        {AnyOwner: true, Type: media.Audio, Placement: media.Placement{Kind: media.Generic}},
	}
}

// Call is something that is asked of a catalogue.
type Call struct {
	Name string
	Call func(context.Context, *catalogue.Catalogue) error
}

// PlaceCalls are what is asked of places, the trash and intents, where there are some: of what has the id e, of u1, and of what waits.
func PlaceCalls() []Call {
	type call = func(context.Context, *catalogue.Catalogue) error
	const e = "000000000000000000000007"
	course, product := media.Subject{Type: media.Course, ID: e}, media.Subject{Type: media.Product, ID: e}
	image := media.Placement{Kind: media.ProductImage, ProductID: e, MainImage: true}
	places := func(q media.PlaceQuery) call {
		return func(ctx context.Context, c *catalogue.Catalogue) error {
			list, err := c.Places(ctx, q)
			if err != nil || len(list) == 0 {
				return fmt.Errorf("%d places: %w", len(list), err)
			}
			counts, err := c.PlaceCounts(ctx, q)
			if err == nil && len(counts) != len(list) {
				err = fmt.Errorf("%d counts of %d", len(counts), len(list))
			}
			return err
		}
	}
	return []Call{
		{"images of a product", places(media.PlaceQuery{Kind: media.ProductImage, ProductID: e})},
		{"videos of a course", places(media.PlaceQuery{Kind: media.CourseVideo, CourseID: e})},
		{"intros of a course", places(media.PlaceQuery{Kind: media.CourseVideo, CourseID: e, VideoType: media.IntroVideo})},
		{"videos of a lesson", places(media.PlaceQuery{Kind: media.CourseVideo, CourseID: e, LessonID: e})},
		{"intros of a lesson", places(media.PlaceQuery{Kind: media.CourseVideo, CourseID: e, LessonID: e, VideoType: media.IntroVideo})},
		{"resources of a course", places(media.PlaceQuery{Kind: media.CourseResource, CourseID: e})},
		{"resources of a lesson", places(media.PlaceQuery{Kind: media.CourseResource, CourseID: e, LessonID: e})},
		{"media of an order", places(media.PlaceQuery{Kind: media.Generic, Reference: media.Subject{Type: media.Order, ID: e}})},
		{"an image that is attached, replaced, removed, and put back", func(ctx context.Context, c *catalogue.Catalogue) error {
			list, err := c.Attach(ctx, "", []media.Attachment{
				{Asset: media.Asset{Owner: "u", ExternalURL: "https://x.example/1"}, Placement: image},
				{Asset: media.Asset{Owner: "u", ExternalURL: "https://x.example/2"}, Placement: image},
			})
			if err != nil {
				return err
			}
			again, err := c.Attach(ctx, "", []media.Attachment{{Asset: media.Asset{ID: list[1].Asset.ID}, Placement: media.Placement{Kind: media.CourseVideo, CourseID: e}}})
			if err != nil {
				return err
			}
			by, err := c.Add(ctx, media.Asset{Owner: "u", ExternalURL: "https://x.example/3"})
			if err != nil {
				return err
			}
			change := media.PlaceChange{By: by.ID, Placement: &media.Placement{ProductID: e}}
			if _, err := c.ChangePlace(ctx, media.ProductImage, list[1].ID, again[0].Asset.Version, change); err != nil {
				return err
			}
			if _, _, err := c.Remove(ctx, media.ProductImage, list[1].ID, 0, media.Trashed{Until: time.Now().Add(time.Hour)}); err != nil {
				return err
			}
			if _, err := c.Restore(ctx, list[1].ID); err != nil {
				return err
			}
			return c.Doom(ctx, list[1].Asset.ID)
		}},
		{"an order of images", func(ctx context.Context, c *catalogue.Catalogue) error {
			q := media.PlaceQuery{Kind: media.ProductImage, ProductID: e}
			counts, err := c.PlaceCounts(ctx, q)
			if err != nil {
				return err
			}
			var ids []media.AssetID
			for i := range counts {
				ids = append(ids, counts[len(counts)-1-i].ID)
			}
			return c.Reorder(ctx, q, ids)
		}},
		{"a product and a course that are removed and put back", func(ctx context.Context, c *catalogue.Catalogue) error {
			for _, of := range []media.Subject{product, course, {Type: media.Order, ID: e}} {
				if _, err := c.RemoveAll(ctx, of, "i1", media.Trashed{Until: time.Now().Add(time.Hour)}); err != nil {
					return err
				}
				if err := c.RestoreAll(ctx, of, "i2"); err != nil {
					return err
				}
			}
			_, err := c.RemoveAll(ctx, product, "", media.Trashed{})
			return err
		}},
		{"the trash", func(ctx context.Context, c *catalogue.Catalogue) error {
			for _, by := range []string{"", "u1"} {
				items, next, err := c.Trash(ctx, by, 10, "")
				if err != nil || len(items) != 10 {
					return fmt.Errorf("%d items: %w", len(items), err)
				}
				if _, _, err := c.Trash(ctx, by, 10, next); err != nil {
					return err
				}
				if _, err := c.Trashed(ctx, items[0].ID); err != nil {
					return err
				}
				if _, _, err := c.Empty(ctx, items[0].ID); err != nil {
					return err
				}
			}
			return c.EmptyUntil(ctx, time.Date(2026, 1, 1, 2, 0, 0, 0, time.UTC))
		}},
		{"intents", func(ctx context.Context, c *catalogue.Catalogue) error {
			if _, err := c.Intents(ctx); err != nil {
				return err
			}
			return errors.Join(c.Intend(ctx, media.Intent{ID: "i"}), c.Undo(ctx, "i"), c.End(ctx, "i"))
		}},
		{"walks", func(ctx context.Context, c *catalogue.Catalogue) error {
			for _, walk := range []iter.Seq2[media.Asset, error]{c.Unchecked(ctx), c.Doomed(ctx)} {
				n := 0
				for a, err := range walk {
					if err != nil {
						return err
					}
					if n++; a.Unchecked && n == 1 {
						if err := c.Checked(ctx, a.ID, true); err != nil {
							return err
						}
					}
				}
				if n == 0 {
					return errors.New("there was nothing to walk")
				}
			}
			return nil
		}},
	}
}
