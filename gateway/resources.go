package gateway

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"sluice/curation"
	"sluice/media"
)

func (g *Gateway) routeResources(api huma.API, tags []string) {
	const one = "/api/resources/{id}"
	add(g, api, huma.Operation{
		OperationID: "list-resources", Method: http.MethodGet, Path: "/api/courses/{id}/resources", Tags: tags, Summary: "List the resources of a course", Description: "By position.",
	}, g.listResources)
	add(g, api, huma.Operation{
		OperationID: "list-lesson-resources", Method: http.MethodGet, Path: "/api/courses/{id}/lessons/{lessonId}/resources", Tags: tags, Summary: "List the resources of a lesson",
	}, g.listLessonResources)
	add(g, api, huma.Operation{
		OperationID: "add-resource", Method: http.MethodPost, Path: "/api/courses/{id}/resources", Tags: tags, DefaultStatus: http.StatusCreated,
		Summary: "Add a resource to a course", Description: "A URL, or a finished upload, which may stand in several places.",
	}, g.addResource)
	add(g, api, huma.Operation{
		OperationID: "order-resources", Method: http.MethodPut, Path: "/api/courses/{id}/resources/order", Tags: tags, Summary: "Put all resources of a course in order",
	}, g.orderResources)
	add(g, api, huma.Operation{
		OperationID: "read-resource", Method: http.MethodGet, Path: one, Tags: tags, Summary: "Read one resource",
	}, g.readResource)
	add(g, api, huma.Operation{
		OperationID: "change-resource", Method: http.MethodPatch, Path: one, Tags: tags, Summary: "Change or replace a resource",
		Description: "A JSON merge patch (RFC 7396); mediaId replaces the bytes and leaves id and URL. If-Match names the version to change: 428 without, 412 when it is stale.",
	}, g.changeResource)
	add(g, api, huma.Operation{
		OperationID: "delete-resource", Method: http.MethodDelete, Path: one, Tags: tags, DefaultStatus: http.StatusNoContent, Summary: "Delete a resource",
		Description: "It can be restored for a day; the media goes with its last place. If-Match as for PATCH.",
	}, g.deleteResource)
}

type resourcesOutput struct {
	Known
	Body struct {
		Items []Resource `json:"items" nullable:"false"`
	} `nameHint:"Resources"`
}

func (g *Gateway) resourcesOutput(v curation.View) *resourcesOutput {
	out := &resourcesOutput{Known: knownOf(v)}
	out.Body.Items = each(v.Resources, g.resourceJSON)
	return out
}

func (g *Gateway) resources(ctx context.Context, q media.PlaceQuery) (*resourcesOutput, error) {
	g.settle(ctx)
	q.Kind = media.CourseResource
	v, err := g.n.LMS.List(ctx, principalOf(ctx), q)
	if err != nil {
		return nil, hidden(principalOf(ctx), err)
	}
	return g.resourcesOutput(v), nil
}

func (g *Gateway) listResources(ctx context.Context, in *RecordID) (*resourcesOutput, error) {
	return g.resources(ctx, media.PlaceQuery{CourseID: in.ID})
}

func (g *Gateway) listLessonResources(ctx context.Context, in *LessonID) (*resourcesOutput, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	return g.resources(ctx, media.PlaceQuery{CourseID: in.ID, LessonID: in.LessonID})
}

func (g *Gateway) orderResources(ctx context.Context, in *orderInput) (*resourcesOutput, error) {
	v, err := g.reorder(ctx, in, media.PlaceQuery{Kind: media.CourseResource, CourseID: in.ID})
	if err != nil {
		return nil, err
	}
	return g.resourcesOutput(v), nil
}

// NewResource is a resource to be put in a course.
type NewResource struct {
	MediaRef
	ResourceName string `json:"resourceName,omitempty" maxLength:"300" doc:"Default: the file's own name"`
	ResourceType string `json:"resourceType,omitempty" enum:"pdf,document,image,archive,code"`
	LessonID     string `json:"mongoLessonId,omitempty" maxLength:"24"`
}

type addResourceInput struct {
	RecordID
	Idempotent
	Body NewResource
}

type resourceOutput struct {
	ETag     string `header:"ETag"`
	Location string `header:"Location"`
	Replayed string `header:"Idempotent-Replayed"`
	Body     Resource
}

func (g *Gateway) addResource(ctx context.Context, in *addResourceInput) (*resourceOutput, error) {
	b := in.Body
	a, err := b.attachment(media.Placement{
		Kind: media.CourseResource, CourseID: in.ID, LessonID: b.LessonID, ResourceName: b.ResourceName, ResourceType: media.ResourceType(b.ResourceType),
	})
	if err != nil {
		return nil, err
	}
	pl, again, err := g.attach(ctx, "add-resource", in.Key, in.Body, a)
	if err != nil {
		return nil, err
	}
	return &resourceOutput{ETag: etagOf(pl.Asset), Location: "/api/resources/" + pl.ID.String(), Replayed: replayed(again), Body: g.resourceJSON(pl)}, nil
}

func (g *Gateway) readResource(ctx context.Context, in *IDInput) (*resourceOutput, error) {
	pl, err := g.readPlace(ctx, placeInput{kind: media.CourseResource, id: in.ID})
	if err != nil {
		return nil, err
	}
	return &resourceOutput{ETag: etagOf(pl.Asset), Body: g.resourceJSON(pl)}, nil
}

// ResourcePatch is what of a resource may be changed. An absent member stays, null clears.
type ResourcePatch struct {
	PlacePatch
	ResourceName patched[string] `json:"resourceName,omitempty"`
	ResourceType patched[string] `json:"resourceType,omitempty"`
	LessonID     patched[string] `json:"mongoLessonId,omitempty"`
}

type changeResourceInput struct {
	IDInput
	IfMatch string        `header:"If-Match" maxLength:"1024" doc:"The resource's ETag, or *"`
	Body    ResourcePatch `contentType:"application/merge-patch+json"`
}

func (g *Gateway) changeResource(ctx context.Context, in *changeResourceInput) (*resourceOutput, error) {
	at := placeInput{kind: media.CourseResource, id: in.ID, match: in.IfMatch}
	pl, err := g.changePlace(ctx, at, in.Body.PlacePatch, func(to *media.Placement) {
		in.Body.ResourceName.set(&to.ResourceName)
		in.Body.ResourceType.set((*string)(&to.ResourceType))
		in.Body.LessonID.set(&to.LessonID)
	})
	if err != nil {
		return nil, err
	}
	return &resourceOutput{ETag: etagOf(pl.Asset), Body: g.resourceJSON(pl)}, nil
}

type deleteResourceInput struct {
	IDInput
	IfMatch string `header:"If-Match" maxLength:"1024" doc:"The resource's ETag, or *"`
	Purge   string `query:"purge" enum:"true,false" doc:"true: for good, past the trash"`
}

func (g *Gateway) deleteResource(ctx context.Context, in *deleteResourceInput) (*nothing, error) {
	return nil, g.takeAway(ctx, placeInput{kind: media.CourseResource, id: in.ID, match: in.IfMatch}, in.Purge)
}
