package gateway

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"sluice/media"
)

func (g *Gateway) routeTrash(api huma.API) {
	tags := []string{"trash"}
	add(g, api, huma.Operation{
		OperationID: "list-trash", Method: http.MethodGet, Path: "/api/trash", Tags: tags, Summary: "List what can be restored",
		Description: "Newest first: what one deleted oneself, to admins all.",
	}, g.listTrash)
	add(g, api, huma.Operation{
		OperationID: "restore", Method: http.MethodPost, Path: "/api/trash/{id}/restore", Tags: tags, Summary: "Restore one media to its place",
		Description: "409 while the product or course it hung on is deleted: restore that, it brings all along.",
	}, g.restore)
	add(g, api, huma.Operation{
		OperationID: "throw-away", Method: http.MethodDelete, Path: "/api/trash/{id}", Tags: tags, DefaultStatus: http.StatusNoContent, Summary: "Delete for good",
		Description: "The bytes go when no other place has them.",
	}, g.throwAway)
}

// Trashed is a place that can be restored.
type Trashed struct {
	ID        string    `json:"id" format:"uuid" doc:"Of the place"`
	MediaID   string    `json:"mediaId" format:"uuid"`
	Title     string    `json:"title,omitempty"`
	Filename  string    `json:"filename,omitempty"`
	MIMEType  string    `json:"mimeType"`
	FileSize  int64     `json:"fileSize" doc:"Bytes"`
	Of        string    `json:"of,omitempty" doc:"The product or course it was deleted with: product/507f1f77bcf86cd799439011"`
	DeletedBy string    `json:"deletedBy"`
	DeletedAt time.Time `json:"deletedAt"`
	Until     time.Time `json:"until" doc:"It can be restored until then"`
	PlacementJSON
}

type trashInput struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
	Cursor string `query:"cursor" maxLength:"512" doc:"nextCursor of the page before"`
}

type trashOutput struct {
	Body struct {
		Items      []Trashed `json:"items" nullable:"false"`
		NextCursor string    `json:"nextCursor,omitempty" doc:"Absent on the last page"`
	} `nameHint:"Trash"`
}

func (g *Gateway) listTrash(ctx context.Context, in *trashInput) (*trashOutput, error) {
	p, err := known(ctx)
	if err != nil {
		return nil, err
	}
	items, next, err := g.n.LMS.Trash(ctx, p, in.Limit, in.Cursor)
	if err != nil {
		return nil, err
	}
	out := &trashOutput{}
	out.Body.NextCursor = next
	out.Body.Items = make([]Trashed, len(items))
	for i, t := range items {
		out.Body.Items[i] = trashedJSON(t)
	}
	return out, nil
}

func trashedJSON(t media.Trashed) Trashed {
	j := Trashed{
		ID: t.ID.String(), MediaID: t.Asset.ID.String(), Title: t.Asset.Title, Filename: t.Asset.Filename, MIMEType: t.Asset.MIMEType,
		FileSize: max(t.Asset.Size, 0), DeletedBy: t.By, DeletedAt: utc(t.At), Until: utc(t.Until), PlacementJSON: placementJSON(t.Placement),
	}
	if !t.Of.IsZero() {
		j.Of = string(t.Of.Type) + "/" + t.Of.ID
	}
	return j
}

func (g *Gateway) restore(ctx context.Context, in *IDInput) (*mediaOutput, error) {
	p, id, err := trashedID(ctx, in)
	if err != nil {
		return nil, err
	}
	pl, err := g.n.LMS.PutBack(ctx, p, id)
	if err != nil {
		return nil, err
	}
	return &mediaOutput{ETag: etagOf(pl.Asset), Location: "/api/media/" + pl.Asset.ID.String(), Body: g.mediaJSON(pl.Asset)}, nil
}

func (g *Gateway) throwAway(ctx context.Context, in *IDInput) (*nothing, error) {
	p, id, err := trashedID(ctx, in)
	if err != nil {
		return nil, err
	}
	return nil, g.n.LMS.ThrowAway(ctx, p, id)
}

func trashedID(ctx context.Context, in *IDInput) (p media.Principal, id media.AssetID, err error) {
	if p, err = known(ctx); err == nil {
		id, err = media.ParseAssetID(in.ID)
	}
	return p, id, err
}

// routeReferences lists the media of the LMS's other records.
func (g *Gateway) routeReferences(api huma.API) {
	for _, t := range []media.SubjectType{media.User, media.Review, media.Order, media.Lesson, media.Product, media.Course, media.Page} {
		add(g, api, huma.Operation{
			OperationID: "list-" + string(t) + "-media", Method: http.MethodGet, Path: "/api/" + string(t) + "s/{id}/media", Tags: []string{"media"},
			Summary: "List the media that refer to a " + string(t), Description: "As /api/media with referenceType and referenceId.",
		}, g.listReferences(t))
	}
}

type referencesInput struct {
	ID          string `path:"id" maxLength:"128" doc:"24 lower-case hex digits, or the slug of a page"`
	MediaType   string `query:"mediaType" enum:"image,video,document,audio"`
	StorageType string `query:"storageType" enum:"local,gdrive,s3,gcs,azure,cloud"`
	Sort        string `query:"sort" enum:"-createdAt,createdAt,-fileSize,fileSize,-size,size,-accessCount,accessCount" doc:"Default: newest first; size is fileSize"`
	Limit       int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
	Cursor      string `query:"cursor" maxLength:"512" doc:"nextCursor of the page before"`
}

func (g *Gateway) listReferences(t media.SubjectType) func(context.Context, *referencesInput) (*listOutput, error) {
	return func(ctx context.Context, in *referencesInput) (*listOutput, error) {
		if t != media.Page && !media.ValidEntityID(in.ID) {
			return nil, &media.Error{Kind: media.Invalid, Code: "bad_id", Field: "path.id", Detail: "the id of a record is 24 lower-case hex digits"}
		}
		return g.listMedia(ctx, &listInput{
			ReferenceType: string(t), ReferenceID: in.ID, MediaType: in.MediaType, StorageType: in.StorageType, Sort: in.Sort, Limit: in.Limit, Cursor: in.Cursor,
		})
	}
}
