package gateway

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"sluice/curation"
	"sluice/media"
)

func (g *Gateway) routeProducts(api huma.API) {
	tags := []string{"products"}
	add(g, api, huma.Operation{
		OperationID: "create-product", Method: http.MethodPost, Path: "/api/products", Tags: tags, DefaultStatus: http.StatusCreated,
		Summary: "Create a product with images", Description: "Images are URLs or finished uploads. Either all of it comes to be, or nothing.",
	}, g.createProduct)
	add(g, api, huma.Operation{
		OperationID: "list-products", Method: http.MethodGet, Path: "/api/products", Tags: tags, Summary: "List products",
		Description: "Newest first: what is published, to admins all; with mine one's own.",
	}, g.listRecords(media.Product))
	add(g, api, huma.Operation{
		OperationID: "read-product", Method: http.MethodGet, Path: "/api/products/{id}", Tags: tags, Summary: "Read a product with its images",
		Description: "From both databases, side by side.",
	}, g.readProduct)
	add(g, api, huma.Operation{
		OperationID: "change-product", Method: http.MethodPatch, Path: "/api/products/{id}", Tags: tags, Summary: "Change, publish or unpublish a product",
		Description: "A JSON merge patch (RFC 7396). If-Match names the version to change: 428 without, 412 when it is stale.",
	}, g.changeProduct)
	add(g, api, huma.Operation{
		OperationID: "delete-product", Method: http.MethodDelete, Path: "/api/products/{id}", Tags: tags, DefaultStatus: http.StatusNoContent,
		Summary: "Delete a product with its images", Description: "It can be restored for a day. If-Match as for PATCH.",
	}, g.deleteRecord(media.Product))
	add(g, api, huma.Operation{
		OperationID: "restore-product", Method: http.MethodPost, Path: "/api/products/{id}/restore", Tags: tags, Summary: "Restore a deleted product with its images",
		Description: "What is back already is answered alike.",
	}, g.restoreProduct)
	g.routeImages(api, tags)
}

func (g *Gateway) routeImages(api huma.API, tags []string) {
	const one = "/api/products/{id}/images/{imageId}"
	add(g, api, huma.Operation{
		OperationID: "list-images", Method: http.MethodGet, Path: "/api/products/{id}/images", Tags: tags, Summary: "List the images of a product", Description: "The main image first, then by position.",
	}, g.listImages)
	add(g, api, huma.Operation{
		OperationID: "add-image", Method: http.MethodPost, Path: "/api/products/{id}/images", Tags: tags, DefaultStatus: http.StatusCreated, Summary: "Add an image to a product",
		Description: "A URL, or a finished upload. A new main image takes the place of the old one.",
	}, g.addImage)
	add(g, api, huma.Operation{
		OperationID: "order-images", Method: http.MethodPut, Path: "/api/products/{id}/images/order", Tags: tags, Summary: "Put all images of a product in order",
	}, g.orderImages)
	add(g, api, huma.Operation{
		OperationID: "read-image", Method: http.MethodGet, Path: one, Tags: tags, Summary: "Read one image of a product",
	}, g.readImage)
	add(g, api, huma.Operation{
		OperationID: "change-image", Method: http.MethodPatch, Path: one, Tags: tags, Summary: "Change an image of a product",
		Description: "A JSON merge patch (RFC 7396). If-Match names the version to change: 428 without, 412 when it is stale.",
	}, g.changeImage)
	add(g, api, huma.Operation{
		OperationID: "delete-image", Method: http.MethodDelete, Path: one, Tags: tags, DefaultStatus: http.StatusNoContent, Summary: "Delete an image of a product",
		Description: "It can be restored for a day. The main image is followed by the next. If-Match as for PATCH.",
	}, g.deleteImage)
}

// NewProduct is a product to be made.
type NewProduct struct {
	Name        string     `json:"name" minLength:"1" maxLength:"300"`
	Price       *float64   `json:"price,omitempty" minimum:"0" maximum:"1000000000000"`
	Category    *string    `json:"category,omitempty" maxLength:"300"`
	Description *string    `json:"description,omitempty" maxLength:"20000"`
	Brand       *string    `json:"brand,omitempty" maxLength:"300"`
	Stock       *int64     `json:"stock,omitempty" minimum:"0"`
	Tags        []string   `json:"tags,omitempty" maxItems:"50"`
	Published   *bool      `json:"published,omitempty" doc:"Default: true"`
	Images      []NewImage `json:"images,omitempty" maxItems:"100" doc:"Each a URL, the id of a finished upload, or an object"`
}

// fields are those of its record.
func (n NewProduct) fields() map[string]any {
	f := map[string]any{"name": n.Name}
	setIf(f, "price", n.Price)
	setIf(f, "category", n.Category)
	setIf(f, "description", n.Description)
	setIf(f, "brand", n.Brand)
	setIf(f, "stock", n.Stock)
	setIf(f, "published", n.Published)
	if n.Tags != nil {
		f["tags"] = anyOf(n.Tags)
	}
	return f
}

// setIf sets a field that was given.
func setIf[T any](f map[string]any, name string, v *T) {
	if v != nil {
		f[name] = *v
	}
}

// change notes a member of a merge patch as a field to set, null as one to remove.
func (f patched[T]) change(set map[string]any, name string) {
	switch {
	case f.null:
		set[name] = nil
	case f.sent:
		set[name] = f.value
	}
}

func anyOf(texts []string) []any {
	out := make([]any, len(texts))
	for i, t := range texts {
		out[i] = t
	}
	return out
}

// ProductView is a product with its images.
type ProductView struct {
	Product *Record `json:"product" nullable:"true" doc:"null: the LMS's database is away, see X-Degraded"`
	Images  []Image `json:"images" nullable:"false" doc:"The main image first, then by position; those the asker may see"`
}

func (g *Gateway) productView(v curation.View) ProductView {
	return ProductView{Product: recordOf(v), Images: each(v.Images, g.imageJSON)}
}

type createProductInput struct {
	Idempotent
	Body NewProduct
}

type productOutput struct {
	Known
	ETag     string `header:"ETag"`
	Location string `header:"Location"`
	Replayed string `header:"Idempotent-Replayed"`
	Body     ProductView
}

func (g *Gateway) productOutput(v curation.View) *productOutput {
	return &productOutput{Known: knownOf(v), ETag: etagOfView(v), Body: g.productView(v)}
}

func (g *Gateway) createProduct(ctx context.Context, in *createProductInput) (*productOutput, error) {
	images, err := attachments(in.Body.Images)
	if err != nil {
		return nil, err
	}
	v, again, err := once(ctx, g, "create-product", in.Key, in.Body, func() (curation.View, error) {
		return g.n.LMS.Create(ctx, principalOf(ctx), curation.NewRecord{Type: media.Product, Fields: in.Body.fields(), Images: images, Key: in.Key})
	})
	if err != nil {
		return nil, err
	}
	out := g.productOutput(v)
	out.Location, out.Replayed = "/api/products/"+v.Record.ID, replayed(again)
	return out, nil
}

func (g *Gateway) readProduct(ctx context.Context, in *RecordID) (*productOutput, error) {
	g.settle(ctx)
	v, err := g.n.LMS.View(ctx, principalOf(ctx), media.Subject{Type: media.Product, ID: in.ID})
	if err != nil {
		return nil, hidden(principalOf(ctx), err)
	}
	return g.productOutput(v), nil
}

// ProductPatch is what of a product may be changed. An absent member stays, null clears.
type ProductPatch struct {
	Name        patched[string]   `json:"name,omitempty"`
	Price       patched[float64]  `json:"price,omitempty"`
	Category    patched[string]   `json:"category,omitempty"`
	Description patched[string]   `json:"description,omitempty"`
	Brand       patched[string]   `json:"brand,omitempty"`
	Stock       patched[int64]    `json:"stock,omitempty"`
	Tags        patched[[]string] `json:"tags,omitempty"`
	Published   patched[bool]     `json:"published,omitempty"`
}

func (m ProductPatch) fields() map[string]any {
	set := map[string]any{}
	m.Name.change(set, "name")
	m.Price.change(set, "price")
	m.Category.change(set, "category")
	m.Description.change(set, "description")
	m.Brand.change(set, "brand")
	m.Stock.change(set, "stock")
	m.Published.change(set, "published")
	if m.Tags.change(set, "tags"); set["tags"] != nil {
		set["tags"] = anyOf(m.Tags.value)
	}
	return set
}

type changeProductInput struct {
	RecordID
	IfMatch string       `header:"If-Match" maxLength:"1024" doc:"The product's ETag, or *"`
	Body    ProductPatch `contentType:"application/merge-patch+json"`
}

func (g *Gateway) changeProduct(ctx context.Context, in *changeProductInput) (*productOutput, error) {
	v, err := g.changeRecord(ctx, media.Subject{Type: media.Product, ID: in.ID}, in.IfMatch, in.Body.fields())
	if err != nil {
		return nil, err
	}
	return g.productOutput(v), nil
}

func (g *Gateway) changeRecord(ctx context.Context, s media.Subject, match string, set map[string]any) (curation.View, error) {
	p, err := known(ctx)
	if err != nil {
		return curation.View{}, err
	}
	versions, err := versionsOf(match)
	if err != nil {
		return curation.View{}, err
	}
	return g.n.LMS.Change(ctx, p, s, versions, set)
}

func (g *Gateway) restoreProduct(ctx context.Context, in *RecordID) (*productOutput, error) {
	p, err := known(ctx)
	if err != nil {
		return nil, err
	}
	v, err := g.n.LMS.Restore(ctx, p, media.Subject{Type: media.Product, ID: in.ID})
	if err != nil {
		return nil, err
	}
	return g.productOutput(v), nil
}

type imagesOutput struct {
	Known
	Body struct {
		Items []Image `json:"items" nullable:"false"`
	} `nameHint:"Images"`
}

func (g *Gateway) imagesOutput(v curation.View) *imagesOutput {
	out := &imagesOutput{Known: knownOf(v)}
	out.Body.Items = each(v.Images, g.imageJSON)
	return out
}

func (g *Gateway) listImages(ctx context.Context, in *RecordID) (*imagesOutput, error) {
	g.settle(ctx)
	v, err := g.n.LMS.List(ctx, principalOf(ctx), media.PlaceQuery{Kind: media.ProductImage, ProductID: in.ID})
	if err != nil {
		return nil, hidden(principalOf(ctx), err)
	}
	return g.imagesOutput(v), nil
}

type orderInput struct {
	RecordID
	Body Order
}

func (g *Gateway) orderImages(ctx context.Context, in *orderInput) (*imagesOutput, error) {
	v, err := g.reorder(ctx, in, media.PlaceQuery{Kind: media.ProductImage, ProductID: in.ID})
	if err != nil {
		return nil, err
	}
	return g.imagesOutput(v), nil
}

func (g *Gateway) reorder(ctx context.Context, in *orderInput, q media.PlaceQuery) (curation.View, error) {
	p, err := known(ctx)
	if err != nil {
		return curation.View{}, err
	}
	ids, err := parseIDs(in.Body.IDs)
	if err != nil {
		return curation.View{}, err
	}
	return g.n.LMS.Reorder(ctx, p, q, ids)
}

type addImageInput struct {
	RecordID
	Idempotent
	Body NewImage
}

type imageOutput struct {
	ETag     string `header:"ETag"`
	Location string `header:"Location"`
	Replayed string `header:"Idempotent-Replayed"`
	Body     Image
}

func (g *Gateway) addImage(ctx context.Context, in *addImageInput) (*imageOutput, error) {
	a, err := in.Body.attachment(in.ID)
	if err != nil {
		return nil, err
	}
	pl, again, err := g.attach(ctx, "add-image", in.Key, in.Body, a)
	if err != nil {
		return nil, err
	}
	at := "/api/products/" + in.ID + "/images/" + pl.ID.String()
	return &imageOutput{ETag: etagOf(pl.Asset), Location: at, Replayed: replayed(again), Body: g.imageJSON(pl)}, nil
}

// attach puts media in a place, once for each Idempotency-Key.
func (g *Gateway) attach(ctx context.Context, operation, key string, body any, a media.Attachment) (media.Place, bool, error) {
	request := struct {
		Subject media.Subject
		Body    any
	}{a.Placement.Subject(), body}
	return once(ctx, g, operation, key, request, func() (media.Place, error) { return g.n.LMS.Attach(ctx, principalOf(ctx), a) })
}

// ImageID names an image of a product in a path; exported, as IDInput is.
type ImageID struct {
	RecordID
	ImageID string `path:"imageId" maxLength:"64" doc:"UUIDv7"`
}

func (in ImageID) place(match string) placeInput {
	return placeInput{kind: media.ProductImage, under: media.Subject{Type: media.Product, ID: in.ID}, id: in.ImageID, match: match}
}

func (g *Gateway) readImage(ctx context.Context, in *ImageID) (*imageOutput, error) {
	pl, err := g.readPlace(ctx, in.place(""))
	if err != nil {
		return nil, err
	}
	return &imageOutput{ETag: etagOf(pl.Asset), Body: g.imageJSON(pl)}, nil
}

// ImagePatch is what of an image may be changed. An absent member stays, null clears.
type ImagePatch struct {
	PlacePatch
	AltText     patched[string] `json:"altText,omitempty"`
	IsMainImage patched[bool]   `json:"isMainImage,omitempty"`
}

type changeImageInput struct {
	ImageID
	IfMatch string     `header:"If-Match" maxLength:"1024" doc:"The image's ETag, or *"`
	Body    ImagePatch `contentType:"application/merge-patch+json"`
}

func (g *Gateway) changeImage(ctx context.Context, in *changeImageInput) (*imageOutput, error) {
	pl, err := g.changePlace(ctx, in.place(in.IfMatch), in.Body.PlacePatch, func(to *media.Placement) {
		in.Body.AltText.set(&to.AltText)
		in.Body.IsMainImage.set(&to.MainImage)
	})
	if err != nil {
		return nil, err
	}
	return &imageOutput{ETag: etagOf(pl.Asset), Body: g.imageJSON(pl)}, nil
}

type deleteImageInput struct {
	ImageID
	IfMatch string `header:"If-Match" maxLength:"1024" doc:"The image's ETag, or *"`
	Purge   string `query:"purge" enum:"true,false" doc:"true: for good, past the trash"`
}

func (g *Gateway) deleteImage(ctx context.Context, in *deleteImageInput) (*nothing, error) {
	return nil, g.takeAway(ctx, in.place(in.IfMatch), in.Purge)
}
