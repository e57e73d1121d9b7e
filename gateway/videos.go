package gateway

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"sluice/curation"
	"sluice/media"
)

func (g *Gateway) routeVideos(api huma.API, tags []string) {
	const one = "/api/courses/{id}/videos/{videoId}"
	add(g, api, huma.Operation{
		OperationID: "list-videos", Method: http.MethodGet, Path: "/api/courses/{id}/videos", Tags: tags, Summary: "List the videos of a course", Description: "By position.",
	}, g.listVideos)
	add(g, api, huma.Operation{
		OperationID: "list-lesson-videos", Method: http.MethodGet, Path: "/api/courses/{id}/lessons/{lessonId}/videos", Tags: tags, Summary: "List the videos of a lesson",
	}, g.listLessonVideos)
	add(g, api, huma.Operation{
		OperationID: "add-video", Method: http.MethodPost, Path: "/api/courses/{id}/videos", Tags: tags, DefaultStatus: http.StatusCreated,
		Summary: "Add an intro, module or lesson video to a course", Description: "A URL, or a finished upload, which may stand in several places.",
	}, g.addVideo)
	add(g, api, huma.Operation{
		OperationID: "order-videos", Method: http.MethodPut, Path: "/api/courses/{id}/videos/order", Tags: tags, Summary: "Put all videos of a course in order",
	}, g.orderVideos)
	add(g, api, huma.Operation{
		OperationID: "read-video", Method: http.MethodGet, Path: one, Tags: tags, Summary: "Read one video of a course",
	}, g.readVideo)
	add(g, api, huma.Operation{
		OperationID: "change-video", Method: http.MethodPatch, Path: one, Tags: tags, Summary: "Change or replace a video of a course",
		Description: "A JSON merge patch (RFC 7396); mediaId replaces the bytes and leaves id and URL. If-Match names the version to change: 428 without, 412 when it is stale.",
	}, g.changeVideo)
	add(g, api, huma.Operation{
		OperationID: "delete-video", Method: http.MethodDelete, Path: one, Tags: tags, DefaultStatus: http.StatusNoContent, Summary: "Delete a video of a course",
		Description: "It can be restored for a day; the media goes with its last place. If-Match as for PATCH.",
	}, g.deleteVideo)
}

type videosInput struct {
	RecordID
	VideoType string `query:"videoType" enum:"intro,lesson,module"`
}

type videosOutput struct {
	Known
	Body struct {
		Items []Video `json:"items" nullable:"false"`
	} `nameHint:"Videos"`
}

func (g *Gateway) videosOutput(v curation.View) *videosOutput {
	out := &videosOutput{Known: knownOf(v)}
	out.Body.Items = each(v.Videos, g.videoJSON)
	return out
}

func (g *Gateway) videos(ctx context.Context, q media.PlaceQuery) (*videosOutput, error) {
	g.settle(ctx)
	q.Kind = media.CourseVideo
	v, err := g.n.LMS.List(ctx, principalOf(ctx), q)
	if err != nil {
		return nil, hidden(principalOf(ctx), err)
	}
	return g.videosOutput(v), nil
}

func (g *Gateway) listVideos(ctx context.Context, in *videosInput) (*videosOutput, error) {
	return g.videos(ctx, media.PlaceQuery{CourseID: in.ID, VideoType: media.VideoType(in.VideoType)})
}

// LessonID names a lesson of a course in a path; exported, as IDInput is.
type LessonID struct {
	RecordID
	LessonID string `path:"lessonId" maxLength:"64" doc:"24 lower-case hex digits"`
}

func (in LessonID) check() error {
	if !media.ValidEntityID(in.LessonID) {
		return &media.Error{Kind: media.Invalid, Code: "bad_id", Field: "path.lessonId", Detail: "the id of a lesson is 24 lower-case hex digits"}
	}
	return nil
}

func (g *Gateway) listLessonVideos(ctx context.Context, in *LessonID) (*videosOutput, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	return g.videos(ctx, media.PlaceQuery{CourseID: in.ID, LessonID: in.LessonID})
}

func (g *Gateway) orderVideos(ctx context.Context, in *orderInput) (*videosOutput, error) {
	v, err := g.reorder(ctx, in, media.PlaceQuery{Kind: media.CourseVideo, CourseID: in.ID})
	if err != nil {
		return nil, err
	}
	return g.videosOutput(v), nil
}

// NewVideo is a video to be put in a course.
type NewVideo struct {
	MediaRef
	VideoType string `json:"videoType" enum:"intro,lesson,module"`
	LessonID  string `json:"mongoLessonId,omitempty" maxLength:"24"`
	ModuleID  string `json:"mongoModuleId,omitempty" maxLength:"24"`
}

type addVideoInput struct {
	RecordID
	Idempotent
	Body NewVideo
}

type videoOutput struct {
	ETag     string `header:"ETag"`
	Location string `header:"Location"`
	Replayed string `header:"Idempotent-Replayed"`
	Body     Video
}

func (g *Gateway) addVideo(ctx context.Context, in *addVideoInput) (*videoOutput, error) {
	b := in.Body
	a, err := b.attachment(media.Placement{
		Kind: media.CourseVideo, CourseID: in.ID, LessonID: b.LessonID, ModuleID: b.ModuleID, VideoType: media.VideoType(b.VideoType),
	})
	if err != nil {
		return nil, err
	}
	pl, again, err := g.attach(ctx, "add-video", in.Key, in.Body, a)
	if err != nil {
		return nil, err
	}
	at := "/api/courses/" + in.ID + "/videos/" + pl.ID.String()
	return &videoOutput{ETag: etagOf(pl.Asset), Location: at, Replayed: replayed(again), Body: g.videoJSON(pl)}, nil
}

// VideoID names a video of a course in a path; exported, as IDInput is.
type VideoID struct {
	RecordID
	VideoID string `path:"videoId" maxLength:"64" doc:"UUIDv7"`
}

func (in VideoID) place(match string) placeInput {
	return placeInput{kind: media.CourseVideo, under: media.Subject{Type: media.Course, ID: in.ID}, id: in.VideoID, match: match}
}

func (g *Gateway) readVideo(ctx context.Context, in *VideoID) (*videoOutput, error) {
	pl, err := g.readPlace(ctx, in.place(""))
	if err != nil {
		return nil, err
	}
	return &videoOutput{ETag: etagOf(pl.Asset), Body: g.videoJSON(pl)}, nil
}

// VideoPatch is what of a course's video may be changed. An absent member stays, null clears.
type VideoPatch struct {
	PlacePatch
	VideoType patched[string] `json:"videoType,omitempty"`
	LessonID  patched[string] `json:"mongoLessonId,omitempty"`
	ModuleID  patched[string] `json:"mongoModuleId,omitempty"`
}

type changeVideoInput struct {
	VideoID
	IfMatch string     `header:"If-Match" maxLength:"1024" doc:"The video's ETag, or *"`
	Body    VideoPatch `contentType:"application/merge-patch+json"`
}

func (g *Gateway) changeVideo(ctx context.Context, in *changeVideoInput) (*videoOutput, error) {
	pl, err := g.changePlace(ctx, in.place(in.IfMatch), in.Body.PlacePatch, func(to *media.Placement) {
		in.Body.VideoType.set((*string)(&to.VideoType))
		in.Body.LessonID.set(&to.LessonID)
		in.Body.ModuleID.set(&to.ModuleID)
	})
	if err != nil {
		return nil, err
	}
	return &videoOutput{ETag: etagOf(pl.Asset), Body: g.videoJSON(pl)}, nil
}

type deleteVideoInput struct {
	VideoID
	IfMatch string `header:"If-Match" maxLength:"1024" doc:"The video's ETag, or *"`
	Purge   string `query:"purge" enum:"true,false" doc:"true: for good, past the trash"`
}

func (g *Gateway) deleteVideo(ctx context.Context, in *deleteVideoInput) (*nothing, error) {
	return nil, g.takeAway(ctx, in.place(in.IfMatch), in.Purge)
}
