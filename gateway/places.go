package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"sluice/media"
)

// Placed is what images, videos and resources have in common.
type Placed struct {
	ID          string `json:"id" format:"uuid" doc:"Of this place"`
	MediaID     string `json:"mediaId" format:"uuid" doc:"Of the media; it may stand in several places"`
	Title       string `json:"title,omitempty"`
	StorageType string `json:"storageType" enum:"local,gdrive,s3,gcs,azure,cloud"`
	FileSize    int64  `json:"fileSize" doc:"Bytes; 0 when others keep it and have not said"`
	MIMEType    string `json:"mimeType" example:"video/mp4"`
	IsPublic    bool   `json:"isPublic"`
	AccessCount int64  `json:"accessCount"`
	Position    int    `json:"position"`
	UploadedBy  string `json:"uploadedBy"`
	CreatedAt   string `json:"createdAt" format:"date-time"`
	UpdatedAt   string `json:"updatedAt" format:"date-time"`
	ETag        string `json:"etag" doc:"For If-Match"`
}

// Image is a row of product_images.
type Image struct {
	Placed
	ProductID   string `json:"mongoProductId"`
	URL         string `json:"imageUrl" doc:"Where the bytes are: here, or elsewhere when storageType is cloud"`
	AltText     string `json:"altText"`
	IsMainImage bool   `json:"isMainImage"`
}

// Video is a row of course_videos.
type Video struct {
	Placed
	CourseID  string `json:"mongoCourseId"`
	LessonID  string `json:"mongoLessonId,omitempty"`
	ModuleID  string `json:"mongoModuleId,omitempty"`
	VideoType string `json:"videoType,omitempty" enum:"intro,lesson,module"`
	URL       string `json:"videoUrl" doc:"Where the bytes are: here, or elsewhere when storageType is cloud"`
	Duration  int64  `json:"duration" doc:"Milliseconds; 0 when not known"`
	Status    string `json:"processingStatus" enum:"pending,processing,ready,failed"`
}

// Resource is a row of course_resources.
type Resource struct {
	Placed
	CourseID     string `json:"mongoCourseId"`
	LessonID     string `json:"mongoLessonId,omitempty"`
	ResourceName string `json:"resourceName"`
	URL          string `json:"resourceUrl" doc:"Where the bytes are: here, or elsewhere when storageType is cloud"`
	ResourceType string `json:"resourceType,omitempty" enum:"pdf,document,image,archive,code"`
}

func placedJSON(pl media.Place) Placed {
	a := pl.Asset
	return Placed{
		ID: pl.ID.String(), MediaID: a.ID.String(), Title: a.Title, StorageType: string(a.StorageType), FileSize: max(a.Size, 0), MIMEType: a.MIMEType,
		IsPublic: a.Public, AccessCount: a.AccessCount, Position: pl.Placement.Position, UploadedBy: a.Owner,
		CreatedAt: stamp(a.CreatedAt), UpdatedAt: stamp(pl.UpdatedAt), ETag: etagOf(a),
	}
}

// stamp writes a time as time.Time's own MarshalJSON does, which takes a third of all that a large course costs.
func stamp(t time.Time) string { return utc(t).Format(time.RFC3339Nano) }

func (g *Gateway) imageJSON(pl media.Place) Image {
	p := pl.Placement
	return Image{Placed: placedJSON(pl), ProductID: p.ProductID, URL: g.urlOf(pl.Asset), AltText: p.AltText, IsMainImage: p.MainImage}
}

func (g *Gateway) videoJSON(pl media.Place) Video {
	p := pl.Placement
	return Video{
		Placed: placedJSON(pl), CourseID: p.CourseID, LessonID: p.LessonID, ModuleID: p.ModuleID, VideoType: string(p.VideoType), URL: g.urlOf(pl.Asset),
		Duration: pl.Asset.Duration.Milliseconds(), Status: processing(pl.Asset.State),
	}
}

func (g *Gateway) resourceJSON(pl media.Place) Resource {
	p := pl.Placement
	name := p.ResourceName
	if name == "" {
		name = pl.Asset.Filename
	}
	return Resource{Placed: placedJSON(pl), CourseID: p.CourseID, LessonID: p.LessonID, ResourceName: name, URL: g.urlOf(pl.Asset), ResourceType: string(p.ResourceType)}
}

// processing says a state in the LMS's words. What is stored plays, and waits for what is to be derived.
func processing(s media.State) string {
	switch s {
	case media.Processing, media.Ready, media.Failed:
		return string(s)
	case media.Uploading, media.Stored:
	}
	return "pending"
}

func each[J any](places []media.Place, shape func(media.Place) J) []J {
	out := make([]J, len(places))
	for i, pl := range places {
		out[i] = shape(pl)
	}
	return out
}

// MediaRef names media in a body: a finished upload of one's own, or what others keep.
type MediaRef struct {
	URL      string `json:"url,omitempty" maxLength:"2048" doc:"Absolute http or https URL without credentials"`
	MediaID  string `json:"mediaId,omitempty" maxLength:"64" doc:"Of a finished upload"`
	Title    string `json:"title,omitempty" maxLength:"300"`
	IsPublic *bool  `json:"isPublic,omitempty" doc:"Default: as it is"`
	MIMEType string `json:"mimeType,omitempty" maxLength:"127" doc:"Of what others keep; default: what the URL's ending says"`
	FileSize int64  `json:"fileSize,omitempty" minimum:"0" doc:"Bytes, of what others keep"`
	Duration int64  `json:"duration,omitempty" minimum:"0" maximum:"31622400000" doc:"Milliseconds, of what others keep"`
	Position int    `json:"position,omitempty" minimum:"0" maximum:"1000000"`
}

// attachment is the media, in a place.
func (m MediaRef) attachment(pl media.Placement) (media.Attachment, error) {
	if (m.URL == "") == (m.MediaID == "") {
		return media.Attachment{}, &media.Error{Kind: media.Invalid, Code: "url_or_media", Detail: "give either url or mediaId", Field: "url"}
	}
	pl.Position = m.Position
	a := media.Attachment{Placement: pl, Public: m.IsPublic}
	if m.Title != "" {
		a.Title = &m.Title
	}
	if m.URL != "" {
		a.Asset = media.Asset{ExternalURL: m.URL, MIMEType: m.MIMEType, Size: m.FileSize, Duration: time.Duration(m.Duration) * time.Millisecond}
		return a, nil
	}
	id, err := media.ParseAssetID(m.MediaID)
	if err != nil {
		return a, &media.Error{Kind: media.Invalid, Code: "bad_id", Detail: "a media id is a UUIDv7 in lower case", Field: "mediaId"}
	}
	a.Asset.ID = id
	return a, nil
}

// NewImage is an image to be put on a product: an object, or its URL or media id alone.
type NewImage struct {
	MediaRef
	AltText     string `json:"altText,omitempty" maxLength:"1000"`
	IsMainImage bool   `json:"isMainImage,omitempty"`
}

// UnmarshalJSON takes a text as well.
func (n *NewImage) UnmarshalJSON(b []byte) error {
	var text string
	if json.Unmarshal(b, &text) == nil {
		*n = NewImage{}
		if _, err := media.ParseAssetID(text); err == nil {
			n.MediaID = text
		} else {
			n.URL = text
		}
		return nil
	}
	type plain NewImage
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()    // huma's check of "one of" does not say which member is unknown
	return d.Decode((*plain)(n)) //nolint:wrapcheck // huma makes a problem of it
}

// Schema is a text or an object.
func (NewImage) Schema(r huma.Registry) *huma.Schema {
	return &huma.Schema{OneOf: []*huma.Schema{
		{Type: huma.TypeString, Description: "A URL, or the id of a finished upload", MaxLength: new(2048), MinLength: new(1)},
		newImageObject(r),
	}}
}

func newImageObject(r huma.Registry) *huma.Schema {
	text := func(limit int) *huma.Schema { return &huma.Schema{Type: huma.TypeString, MaxLength: &limit} }
	return &huma.Schema{
		Type: huma.TypeObject, AdditionalProperties: false,
		Properties: map[string]*huma.Schema{
			"url": text(2048), "mediaId": text(64), "title": text(300), "altText": text(1000), "mimeType": text(127),
			"isPublic": {Type: huma.TypeBoolean}, "isMainImage": {Type: huma.TypeBoolean},
			"fileSize": {Type: huma.TypeInteger, Minimum: new(0.0)}, "duration": {Type: huma.TypeInteger, Minimum: new(0.0), Maximum: new(31622400000.0)},
			"position": {Type: huma.TypeInteger, Minimum: new(0.0), Maximum: new(1e6)},
		},
	}
}

// attachment is the image, in its product. Who sees the product sees its images: they are public unless it is said that they are not.
func (n NewImage) attachment(product string) (media.Attachment, error) {
	if n.IsPublic == nil {
		n.IsPublic = new(true)
	}
	return n.MediaRef.attachment(media.Placement{Kind: media.ProductImage, ProductID: product, AltText: n.AltText, MainImage: n.IsMainImage})
}

// attachments are those that come with a product.
func attachments(images []NewImage) ([]media.Attachment, error) {
	out := make([]media.Attachment, len(images))
	for i, n := range images {
		var err error
		if out[i], err = n.attachment(""); err != nil {
			if e, ok := errors.AsType[*media.Error](err); ok {
				e.Field = fmt.Sprintf("images[%d].%s", i, e.Field)
			}
			return nil, err
		}
		if n.Position == 0 {
			out[i].Placement.Position = i // as they were given
		}
	}
	return out, nil
}

// PlacePatch is what may be changed of any place.
type PlacePatch struct {
	Title    patched[string] `json:"title,omitempty"`
	IsPublic patched[bool]   `json:"isPublic,omitempty"`
	Position patched[int]    `json:"position,omitempty"`
	MediaID  patched[string] `json:"mediaId,omitempty" doc:"A finished upload whose bytes take the place of the old ones; ids and URLs stay"`
}

// edit is the change over a place; set changes what only its kind has.
func (m PlacePatch) edit(pl media.Place, set func(*media.Placement)) (e media.PlaceChange, err error) {
	if m.Title.sent {
		e.Title = &m.Title.value
	}
	if m.IsPublic.sent {
		e.Public = &m.IsPublic.value
	}
	to := pl.Placement
	m.Position.set(&to.Position)
	set(&to)
	if to != pl.Placement {
		e.Placement = &to
	}
	if m.MediaID.sent {
		if e.By, err = media.ParseAssetID(m.MediaID.value); err != nil {
			err = &media.Error{Kind: media.Invalid, Code: "bad_id", Detail: "a media id is a UUIDv7 in lower case", Field: "mediaId"}
		}
	}
	return e, err
}

// placeInput is where a request says which place it means.
type placeInput struct {
	kind  media.PlacementKind
	under media.Subject // zero: anything
	id    string
	match string
}

// place reads the place that a request means, and the version that its If-Match allows.
func (g *Gateway) place(ctx context.Context, in placeInput) (pl media.Place, version int64, err error) {
	p, err := known(ctx)
	if err != nil {
		return pl, 0, err
	}
	id, err := media.ParseAssetID(in.id)
	if err != nil {
		return pl, 0, err
	}
	m, err := parseIfMatch(in.match)
	if err != nil {
		return pl, 0, err
	}
	if pl, err = g.n.LMS.Place(ctx, p, in.kind, in.under, id); err != nil {
		return pl, 0, err
	}
	switch {
	case !m.matches(pl.Asset):
		return pl, staleVersion, nil
	case m.any:
		return pl, 0, nil
	}
	return pl, pl.Asset.Version, nil
}

// changePlace changes the place that a request means.
func (g *Gateway) changePlace(ctx context.Context, in placeInput, patch PlacePatch, set func(*media.Placement)) (media.Place, error) {
	pl, version, err := g.place(ctx, in)
	if err != nil {
		return pl, err
	}
	e, err := patch.edit(pl, set)
	if err != nil {
		return pl, err
	}
	if version == 0 && e.Placement != nil {
		version = pl.Asset.Version // it was merged into this one
	}
	return g.n.LMS.ChangePlace(ctx, principalOf(ctx), in.kind, in.under, pl.ID, version, e)
}

func (g *Gateway) takeAway(ctx context.Context, in placeInput, purge string) error {
	pl, version, err := g.place(ctx, in)
	if err != nil {
		return err
	}
	return g.n.LMS.TakeAway(ctx, principalOf(ctx), in.kind, in.under, pl.ID, version, purge == "true")
}

// readPlace reads one place, for whoever may see it.
func (g *Gateway) readPlace(ctx context.Context, in placeInput) (media.Place, error) {
	id, err := media.ParseAssetID(in.id)
	if err != nil {
		return media.Place{}, err
	}
	p := principalOf(ctx)
	g.settle(ctx)
	pl, err := g.n.LMS.Place(ctx, p, in.kind, in.under, id)
	if err != nil {
		return pl, hidden(p, err)
	}
	return pl, nil
}

// parseIDs reads the ids of places in a new order.
func parseIDs(texts []string) ([]media.AssetID, error) {
	ids := make([]media.AssetID, len(texts))
	for i, t := range texts {
		var err error
		if ids[i], err = media.ParseAssetID(t); err != nil {
			return nil, &media.Error{Kind: media.Invalid, Code: "bad_id", Detail: "an id is a UUIDv7 in lower case", Field: fmt.Sprintf("ids[%d]", i)}
		}
	}
	return ids, nil
}

// Order is a new order of all there is.
type Order struct {
	IDs []string `json:"ids" maxItems:"1000" nullable:"false" doc:"All of them, as they shall come"`
}
