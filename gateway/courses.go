package gateway

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"sluice/curation"
	"sluice/media"
)

func (g *Gateway) routeCourses(api huma.API) {
	tags := []string{"courses"}
	add(g, api, huma.Operation{
		OperationID: "create-course", Method: http.MethodPost, Path: "/api/courses", Tags: tags, DefaultStatus: http.StatusCreated,
		Summary: "Create a course", Description: "With modules and lessons; those without an id are given one.",
	}, g.createCourse)
	add(g, api, huma.Operation{
		OperationID: "list-courses", Method: http.MethodGet, Path: "/api/courses", Tags: tags, Summary: "List courses",
		Description: "Newest first: what is published, to admins all; with mine one's own.",
	}, g.listRecords(media.Course))
	add(g, api, huma.Operation{
		OperationID: "read-course", Method: http.MethodGet, Path: "/api/courses/{id}", Tags: tags, Summary: "Read a course with all of its media",
		Description: "From both databases, side by side, in a fixed number of queries.",
	}, g.readCourse)
	add(g, api, huma.Operation{
		OperationID: "change-course", Method: http.MethodPatch, Path: "/api/courses/{id}", Tags: tags, Summary: "Change, publish or unpublish a course",
		Description: "A JSON merge patch (RFC 7396). If-Match names the version to change: 428 without, 412 when it is stale.",
	}, g.changeCourse)
	add(g, api, huma.Operation{
		OperationID: "delete-course", Method: http.MethodDelete, Path: "/api/courses/{id}", Tags: tags, DefaultStatus: http.StatusNoContent,
		Summary: "Delete a course with its media", Description: "It can be restored for a day. If-Match as for PATCH.",
	}, g.deleteRecord(media.Course))
	add(g, api, huma.Operation{
		OperationID: "restore-course", Method: http.MethodPost, Path: "/api/courses/{id}/restore", Tags: tags, Summary: "Restore a deleted course with its media",
		Description: "What is back already is answered alike.",
	}, g.restoreCourse)
	g.routeVideos(api, tags)
	g.routeResources(api, tags)
}

// NewCourse is a course to be made.
type NewCourse struct {
	Title       string      `json:"title" minLength:"1" maxLength:"300"`
	Description *string     `json:"description,omitempty" maxLength:"20000"`
	Category    *string     `json:"category,omitempty" maxLength:"300"`
	Price       *float64    `json:"price,omitempty" minimum:"0" maximum:"1000000000000"`
	Tags        []string    `json:"tags,omitempty" maxItems:"50"`
	Published   *bool       `json:"published,omitempty" doc:"Default: true"`
	Modules     []NewModule `json:"modules,omitempty" maxItems:"200"`
}

// NewModule is a module of a course.
type NewModule struct {
	ID      string      `json:"id,omitempty" maxLength:"24" doc:"Absent: it is given one"`
	Title   string      `json:"title" minLength:"1" maxLength:"300"`
	Lessons []NewLesson `json:"lessons,omitempty" maxItems:"2000"`
}

// NewLesson is a lesson of a module.
type NewLesson struct {
	ID    string `json:"id,omitempty" maxLength:"24" doc:"Absent: it is given one"`
	Title string `json:"title" minLength:"1" maxLength:"300"`
}

func (g *Gateway) modules(in []NewModule) []any {
	ms := make([]curation.Module, len(in))
	for i, m := range in {
		ms[i] = curation.Module{ID: m.ID, Title: m.Title, Lessons: make([]curation.Lesson, len(m.Lessons))}
		for j, l := range m.Lessons {
			ms[i].Lessons[j] = curation.Lesson{ID: l.ID, Title: l.Title}
		}
	}
	return curation.ModuleFields(ms, g.o.Now())
}

func (g *Gateway) courseFields(n NewCourse) map[string]any {
	f := map[string]any{"title": n.Title, "modules": g.modules(n.Modules)}
	setIf(f, "description", n.Description)
	setIf(f, "category", n.Category)
	setIf(f, "price", n.Price)
	setIf(f, "published", n.Published)
	if n.Tags != nil {
		f["tags"] = anyOf(n.Tags)
	}
	return f
}

// CourseView is a course with all of its media.
type CourseView struct {
	Course    *Record      `json:"course" nullable:"true" doc:"null: the LMS's database is away, see X-Degraded"`
	Videos    CourseVideos `json:"videos"`
	Resources []Resource   `json:"resources" nullable:"false"`
}

// CourseVideos are the videos of a course by their type, in order; those the asker may see.
type CourseVideos struct {
	Intro   []Video `json:"intro" nullable:"false"`
	Modules []Video `json:"modules" nullable:"false"`
	Lessons []Video `json:"lessons" nullable:"false" doc:"Those without a type as well"`
}

func (g *Gateway) courseView(v curation.View) CourseView {
	out := CourseView{
		Course: recordOf(v), Resources: each(v.Resources, g.resourceJSON), Videos: CourseVideos{Intro: []Video{}, Modules: []Video{}, Lessons: make([]Video, 0, len(v.Videos))},
	}
	for _, pl := range v.Videos {
		to := &out.Videos.Lessons
		switch pl.Placement.VideoType {
		case media.IntroVideo:
			to = &out.Videos.Intro
		case media.ModuleVideo:
			to = &out.Videos.Modules
		case media.LessonVideo:
		}
		*to = append(*to, g.videoJSON(pl))
	}
	return out
}

type createCourseInput struct {
	Idempotent
	Body NewCourse
}

type courseOutput struct {
	Known
	ETag     string `header:"ETag"`
	Location string `header:"Location"`
	Replayed string `header:"Idempotent-Replayed"`
	Body     CourseView
}

func (g *Gateway) courseOutput(v curation.View) *courseOutput {
	return &courseOutput{Known: knownOf(v), ETag: etagOfView(v), Body: g.courseView(v)}
}

func (g *Gateway) createCourse(ctx context.Context, in *createCourseInput) (*courseOutput, error) {
	v, again, err := once(ctx, g, "create-course", in.Key, in.Body, func() (curation.View, error) {
		return g.n.LMS.Create(ctx, principalOf(ctx), curation.NewRecord{Type: media.Course, Fields: g.courseFields(in.Body), Key: in.Key})
	})
	if err != nil {
		return nil, err
	}
	out := g.courseOutput(v)
	out.Location, out.Replayed = "/api/courses/"+v.Record.ID, replayed(again)
	return out, nil
}

func (g *Gateway) readCourse(ctx context.Context, in *RecordID) (*courseOutput, error) {
	g.settle(ctx)
	v, err := g.n.LMS.View(ctx, principalOf(ctx), media.Subject{Type: media.Course, ID: in.ID})
	if err != nil {
		return nil, hidden(principalOf(ctx), err)
	}
	return g.courseOutput(v), nil
}

// CoursePatch is what of a course may be changed. An absent member stays, null clears; modules come as a whole.
type CoursePatch struct {
	Title       patched[string]      `json:"title,omitempty"`
	Description patched[string]      `json:"description,omitempty"`
	Category    patched[string]      `json:"category,omitempty"`
	Price       patched[float64]     `json:"price,omitempty"`
	Tags        patched[[]string]    `json:"tags,omitempty"`
	Published   patched[bool]        `json:"published,omitempty"`
	Modules     patched[[]NewModule] `json:"modules,omitempty"`
}

type changeCourseInput struct {
	RecordID
	IfMatch string      `header:"If-Match" maxLength:"1024" doc:"The course's ETag, or *"`
	Body    CoursePatch `contentType:"application/merge-patch+json"`
}

func (g *Gateway) changeCourse(ctx context.Context, in *changeCourseInput) (*courseOutput, error) {
	set := map[string]any{}
	m := in.Body
	m.Title.change(set, "title")
	m.Description.change(set, "description")
	m.Category.change(set, "category")
	m.Price.change(set, "price")
	m.Published.change(set, "published")
	if m.Tags.change(set, "tags"); set["tags"] != nil {
		set["tags"] = anyOf(m.Tags.value)
	}
	if m.Modules.change(set, "modules"); set["modules"] != nil {
		set["modules"] = g.modules(m.Modules.value)
	}
	v, err := g.changeRecord(ctx, media.Subject{Type: media.Course, ID: in.ID}, in.IfMatch, set)
	if err != nil {
		return nil, err
	}
	return g.courseOutput(v), nil
}

func (g *Gateway) restoreCourse(ctx context.Context, in *RecordID) (*courseOutput, error) {
	p, err := known(ctx)
	if err != nil {
		return nil, err
	}
	v, err := g.n.LMS.Restore(ctx, p, media.Subject{Type: media.Course, ID: in.ID})
	if err != nil {
		return nil, err
	}
	return g.courseOutput(v), nil
}
