package gateway

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"sluice/media"
)

func (g *Gateway) routeMedia(api huma.API) {
	add(g, api, huma.Operation{
		OperationID: "list-media", Method: http.MethodGet, Path: "/api/media", Tags: []string{"media"}, Summary: "List media",
		Description: "Admins see all, instructors their own and what is public, everybody else what is public. Pages follow each other by cursor.",
	}, g.listMedia)
	add(g, api, huma.Operation{
		OperationID: "add-media", Method: http.MethodPost, Path: "/api/media", Tags: []string{"media"}, DefaultStatus: http.StatusCreated,
		Summary: "Add media that is kept elsewhere", Description: "By its absolute http or https URL. Files are uploaded over tus at /files/.",
	}, g.addMedia)
	add(g, api, huma.Operation{
		OperationID: "read-media", Method: http.MethodGet, Path: "/api/media/{id}", Tags: []string{"media"}, Summary: "Read one media",
		Description: "Counts are exact up to this moment. X-Cache says hit when the rest came from memory, checked to be of the current version. HEAD answers the same without a body.",
	}, g.readMedia)
	add(g, api, huma.Operation{
		OperationID: "change-media", Method: http.MethodPatch, Path: "/api/media/{id}", Tags: []string{"media"}, Summary: "Change media",
		Description: "A JSON merge patch (RFC 7396). If-Match names the version to change: 428 without, 412 when it is stale.",
	}, g.changeMedia)
	add(g, api, huma.Operation{
		OperationID: "delete-media", Method: http.MethodDelete, Path: "/api/media/{id}", Tags: []string{"media"}, DefaultStatus: http.StatusNoContent,
		Summary: "Delete media", Description: "Row, bytes and links go at once. If-Match as for PATCH.",
	}, g.deleteMedia)
	add(g, api, huma.Operation{
		OperationID: "count-access", Method: http.MethodPost, Path: "/api/media/{id}/access", Tags: []string{"media"}, DefaultStatus: http.StatusAccepted,
		Summary: "Count an access by hand", Description: "Each call counts. What is delivered here counts by itself.",
	}, g.countAccess)
}

type listInput struct {
	ReferenceID   string   `query:"referenceId" maxLength:"128"`
	ReferenceType string   `query:"referenceType" enum:"product,course,lesson,user,page,review,order"`
	MediaType     string   `query:"mediaType" enum:"image,video,document,audio"`
	StorageType   string   `query:"storageType" enum:"local,gdrive,s3,gcs,azure,cloud"`
	State         []string `query:"state" enum:"uploading,stored,processing,ready,failed" doc:"One or several, by commas"`
	Kind          string   `query:"kind" enum:"media,product-image,course-video,course-resource"`
	ProductID     string   `query:"mongoProductId" maxLength:"24"`
	CourseID      string   `query:"mongoCourseId" maxLength:"24"`
	LessonID      string   `query:"mongoLessonId" maxLength:"24"`
	ModuleID      string   `query:"mongoModuleId" maxLength:"24"`
	VideoType     string   `query:"videoType" enum:"intro,lesson,module"`
	ResourceType  string   `query:"resourceType" enum:"pdf,document,image,archive,code"`
	IsPublic      string   `query:"isPublic" enum:"true,false"`
	UploadedBy    string   `query:"uploadedBy" maxLength:"255" doc:"A subject; all but admins get only their own"`
	Sort          string   `query:"sort" enum:"-createdAt,createdAt,-fileSize,fileSize,-size,size,-accessCount,accessCount" doc:"Default: newest first; size is fileSize"`
	Limit         int      `query:"limit" minimum:"1" maximum:"200" default:"50"`
	Cursor        string   `query:"cursor" maxLength:"512" doc:"nextCursor of the page before"`
}

// Listing is a page of media.
type Listing struct {
	Items      []Media `json:"items" nullable:"false"`
	NextCursor string  `json:"nextCursor,omitempty" doc:"Absent on the last page"`
}

type listOutput struct{ Body Listing }

func (g *Gateway) listMedia(ctx context.Context, in *listInput) (*listOutput, error) {
	q := media.Query{
		Reference: media.Subject{Type: media.SubjectType(in.ReferenceType), ID: in.ReferenceID},
		Placement: media.Placement{
			Kind: media.PlacementKind(in.Kind), ProductID: in.ProductID, CourseID: in.CourseID, LessonID: in.LessonID, ModuleID: in.ModuleID,
			VideoType: media.VideoType(in.VideoType), ResourceType: media.ResourceType(in.ResourceType),
		},
		UploadedBy: in.UploadedBy, Type: media.Type(in.MediaType), StorageType: media.StorageType(in.StorageType),
		Sort: media.Sort(strings.Replace(in.Sort, "fileSize", "size", 1)), Limit: in.Limit, Cursor: in.Cursor,
	}
	for _, s := range in.State {
		q.States = append(q.States, media.State(s))
	}
	if in.IsPublic != "" {
		public := in.IsPublic == "true"
		q.Public = &public
	}
	if in.Cursor == "" && (q.Sort == media.MostFetched || q.Sort == media.LeastFetched) {
		g.settle(ctx) // for the first page: those behind it go on in its order
	}
	page, err := g.n.Media.Find(ctx, principalOf(ctx), q)
	if err != nil {
		return nil, err
	}
	out := &listOutput{Body: Listing{Items: make([]Media, len(page.Items)), NextCursor: page.NextCursor}}
	for i, a := range page.Items {
		out.Body.Items[i] = g.mediaJSON(a)
	}
	return out, nil
}

// NewMedia is media kept elsewhere, to be added.
type NewMedia struct {
	URL       string `json:"url" minLength:"1" maxLength:"2048" doc:"Absolute http or https URL without credentials"`
	Title     string `json:"title,omitempty" maxLength:"300"`
	Filename  string `json:"filename,omitempty" maxLength:"255"`
	MIMEType  string `json:"mimeType,omitempty" maxLength:"127"`
	MediaType string `json:"mediaType,omitempty" enum:"image,video,document,audio" doc:"Default: what mimeType says"`
	FileSize  int64  `json:"fileSize,omitempty" minimum:"0" doc:"Bytes"`
	Duration  int64  `json:"duration,omitempty" minimum:"0" maximum:"31622400000" doc:"Milliseconds"`
	IsPublic  bool   `json:"isPublic,omitempty"`
	PlacementJSON
}

// Idempotent is the header of requests that may be repeated; exported as IDInput is.
type Idempotent struct {
	Key string `header:"Idempotency-Key" maxLength:"255" doc:"The same key with the same body gets the same answer for a day, with another body 409"`
}

// replayed tells that an answer is an earlier one's.
func replayed(again bool) string {
	if again {
		return "true"
	}
	return ""
}

type addInput struct {
	Idempotent
	Body NewMedia
}

type mediaOutput struct {
	ETag     string `header:"ETag"`
	Location string `header:"Location"`
	Replayed string `header:"Idempotent-Replayed"`
	Body     Media
}

func (g *Gateway) addMedia(ctx context.Context, in *addInput) (*mediaOutput, error) {
	a, again, err := once(ctx, g, "add-media", in.Key, in.Body, func() (media.Asset, error) {
		b := in.Body
		return g.n.Media.Add(ctx, principalOf(ctx), media.Asset{
			ExternalURL: b.URL, Title: b.Title, Filename: b.Filename, MIMEType: b.MIMEType, Type: media.Type(b.MediaType),
			Size: b.FileSize, Duration: time.Duration(b.Duration) * time.Millisecond, Public: b.IsPublic, Placement: b.placement(),
		})
	})
	if err != nil {
		return nil, err
	}
	return &mediaOutput{ETag: etagOf(a), Location: "/api/media/" + a.ID.String(), Replayed: replayed(again), Body: g.mediaJSON(a)}, nil
}

// once acts, or repeats the answer to an earlier request of the same principal with the same key.
func once[T any](ctx context.Context, g *Gateway, operation, key string, body any, act func() (T, error)) (answer T, again bool, err error) {
	if key == "" {
		answer, err = act()
		return answer, false, err
	}
	p, err := known(ctx)
	if err != nil {
		return answer, false, err
	}
	request, err := json.Marshal(body)
	if err != nil {
		return answer, false, err
	}
	scope := strings.Join([]string{operation, p.Subject, key}, "\x00") // no subject holds a NUL
	v, again, err := g.replays.do(ctx, []byte(scope), request, func() (any, error) { return shared(ctx, g, scope, request, act) })
	if err != nil {
		return answer, false, err
	}
	s, _ := v.(settled[T])
	return s.answer, again || s.again, nil
}

// IDInput is the id in a path; exported, since huma passes over what it cannot set.
type IDInput struct {
	ID string `path:"id" maxLength:"64" doc:"UUIDv7"`
}

type readOutput struct {
	ETag  string `header:"ETag"`
	Cache string `header:"X-Cache" enum:"hit,miss" doc:"hit: the row was remembered; its counts never are"`
	Body  Media
}

// readMedia takes the row from memory where it can. What is asked of the catalogue each time is the counts, and by them whether the row is
// still the one remembered: a read here never shows less than what was answered before it, by whichever node.
func (g *Gateway) readMedia(ctx context.Context, in *IDInput) (*readOutput, error) {
	id, err := media.ParseAssetID(in.ID)
	if err != nil {
		return nil, err
	}
	p := principalOf(ctx)
	a, known, err := g.n.Media.Glance(ctx, p, id)
	if err != nil {
		return nil, hidden(p, err) // before any work is done for a stranger
	}
	g.settle(ctx)
	a, same, err := g.n.Media.Current(ctx, p, a)
	if err != nil {
		return nil, err
	}
	out := &readOutput{ETag: etagOf(a), Cache: "miss", Body: g.mediaJSON(a)}
	if known && same {
		out.Cache = "hit"
	}
	return out, nil
}

// hidden tells somebody who shows no credentials that some might help: the same of what is private and of what is not there.
func hidden(p media.Principal, err error) error {
	if media.KindOf(err) != media.NotFound || !p.Anonymous() || p.Grant != nil {
		return err
	}
	problem := problemOf(&media.Error{Kind: media.NotFound, Detail: "not found, or a login is needed"})
	problem.challenge = true
	return problem
}

// settle moves waiting counts to where they are read, for a bounded time: slow counting makes a number late and never an answer.
func (g *Gateway) settle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, g.o.FlushTimeout)
	defer cancel()
	if err := g.n.Counter.Flush(ctx); err != nil {
		g.o.Logger.DebugContext(ctx, "counts not settled before a read", "error", err)
	}
}

// MediaPatch is what of media may be changed. An absent member stays, null clears.
type MediaPatch struct {
	Title         patched[string] `json:"title,omitempty"`
	Filename      patched[string] `json:"filename,omitempty"`
	IsPublic      patched[bool]   `json:"isPublic,omitempty"`
	Kind          patched[string] `json:"kind,omitempty"`
	ReferenceID   patched[string] `json:"referenceId,omitempty"`
	ReferenceType patched[string] `json:"referenceType,omitempty"`
	ProductID     patched[string] `json:"mongoProductId,omitempty"`
	CourseID      patched[string] `json:"mongoCourseId,omitempty"`
	LessonID      patched[string] `json:"mongoLessonId,omitempty"`
	ModuleID      patched[string] `json:"mongoModuleId,omitempty"`
	VideoType     patched[string] `json:"videoType,omitempty"`
	ResourceName  patched[string] `json:"resourceName,omitempty"`
	ResourceType  patched[string] `json:"resourceType,omitempty"`
	AltText       patched[string] `json:"altText,omitempty"`
	IsMainImage   patched[bool]   `json:"isMainImage,omitempty"`
	Position      patched[int]    `json:"position,omitempty"`
}

// over gives the change that the patch makes to an asset.
func (m MediaPatch) over(a media.Asset) media.Change {
	var c media.Change
	if m.Title.sent {
		c.Title = &m.Title.value
	}
	if m.Filename.sent {
		c.Filename = &m.Filename.value
	}
	if m.IsPublic.sent {
		c.Public = &m.IsPublic.value
	}
	j := placementJSON(a.Placement)
	m.Kind.set(&j.Kind)
	m.ReferenceID.set(&j.ReferenceID)
	m.ReferenceType.set(&j.ReferenceType)
	m.ProductID.set(&j.ProductID)
	m.CourseID.set(&j.CourseID)
	m.LessonID.set(&j.LessonID)
	m.ModuleID.set(&j.ModuleID)
	m.VideoType.set(&j.VideoType)
	m.ResourceName.set(&j.ResourceName)
	m.ResourceType.set(&j.ResourceType)
	m.AltText.set(&j.AltText)
	m.IsMainImage.set(&j.IsMainImage)
	m.Position.set(&j.Position)
	if j.Kind == "" {
		j.Kind = string(media.Generic)
	}
	if j != placementJSON(a.Placement) {
		p := j.placement()
		c.Placement = &p
	}
	return c
}

type changeInput struct {
	IDInput
	IfMatch string     `header:"If-Match" maxLength:"1024" doc:"The media's ETag, or *"`
	Body    MediaPatch `contentType:"application/merge-patch+json"`
}

func (g *Gateway) changeMedia(ctx context.Context, in *changeInput) (*mediaOutput, error) {
	id, version, a, err := g.toChange(ctx, in.ID, in.IfMatch)
	if err != nil {
		return nil, err
	}
	c := in.Body.over(a)
	if version == 0 && c.Placement != nil {
		version = a.Version // the placement was merged into this one; another must not be overwritten with it
	}
	a, err = g.n.Media.Change(ctx, principalOf(ctx), id, version, c)
	if err != nil {
		return nil, err
	}
	return &mediaOutput{ETag: etagOf(a), Body: g.mediaJSON(a)}, nil
}

// staleVersion is a version no row has. A stale If-Match is handed on as this one, so that curation says first whether the principal may
// change the media at all.
const staleVersion = -1

// toChange reads what is to be changed, and the version that If-Match allows; 0 is any.
func (g *Gateway) toChange(ctx context.Context, rawID, match string) (id media.AssetID, version int64, a media.Asset, err error) {
	p, err := known(ctx)
	if err != nil {
		return id, 0, a, err
	}
	if id, err = media.ParseAssetID(rawID); err != nil {
		return id, 0, a, err
	}
	m, err := parseIfMatch(match)
	if err != nil {
		return id, 0, a, err
	}
	if a, err = g.n.Media.Read(ctx, p, id); err != nil {
		return id, 0, a, err
	}
	if !m.matches(a) {
		return id, staleVersion, a, nil
	}
	if m.any {
		return id, 0, a, nil
	}
	return id, a.Version, a, nil
}

type deleteInput struct {
	IDInput
	IfMatch string `header:"If-Match" maxLength:"1024" doc:"The media's ETag, or *"`
}

type nothing struct{}

func (g *Gateway) deleteMedia(ctx context.Context, in *deleteInput) (*nothing, error) {
	id, version, _, err := g.toChange(ctx, in.ID, in.IfMatch)
	if err != nil {
		return nil, err
	}
	return nil, g.n.Media.Delete(ctx, principalOf(ctx), id, version)
}

type accessInput struct {
	IDInput
	Idempotent
}

type accessOutput struct {
	Replayed string `header:"Idempotent-Replayed"`
}

func (g *Gateway) countAccess(ctx context.Context, in *accessInput) (*accessOutput, error) {
	p, err := known(ctx)
	if err != nil {
		return nil, err
	}
	id, err := media.ParseAssetID(in.ID)
	if err != nil {
		return nil, err
	}
	_, again, err := once(ctx, g, "count-access", in.Key, in.ID, func() (bool, error) {
		if _, err := g.n.Media.Read(ctx, p, id); err != nil {
			return false, err
		}
		g.n.Counter.Record(media.Access{Asset: id, At: g.o.Now(), View: true, Manual: true})
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	return &accessOutput{Replayed: replayed(again)}, nil
}

// contentID finds the id in a path /api/media/{id}/content.
func contentID(path string) (string, bool) {
	rest, ok := strings.CutPrefix(path, "/api/media/")
	if !ok {
		return "", false
	}
	id, ok := strings.CutSuffix(rest, "/content")
	return id, ok && id != "" && !strings.Contains(id, "/")
}

func isContent(path string) bool {
	_, ok := contentID(path)
	return ok
}

// content serves the bytes to whoever may read the media by a login. It stands outside gin, whose writer hides sendfile.
func (g *Gateway) content(w http.ResponseWriter, r *http.Request) {
	if g.cors.handle(w, r) {
		return
	}
	if r.Method == http.MethodOptions {
		w.Header().Set("Allow", "GET, HEAD, OPTIONS")
		w.WriteHeader(http.StatusNoContent)
		return
	}
	a, viewer, err := g.contentOf(r)
	if err != nil {
		if p, ok := err.(*Problem); ok && p.Status == http.StatusMethodNotAllowed { //nolint:errorlint // made below, never wrapped
			w.Header().Set("Allow", "GET, HEAD, OPTIONS")
		}
		g.n.Problems.Write(w, r, err)
		return
	}
	w.Header().Set("Referrer-Policy", "no-referrer")
	g.n.Playback.Content(w, r, a, viewer)
}

func (g *Gateway) contentOf(r *http.Request) (a media.Asset, viewer string, err error) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return a, "", methodNotAllowed()
	}
	if err := checkQuery(r.URL.RawQuery); err != nil {
		return a, "", err
	}
	p, err := g.n.Auth.Principal(r)
	if err != nil {
		return a, "", err
	}
	raw, _ := contentID(r.URL.Path)
	id, err := media.ParseAssetID(raw)
	if err != nil {
		return a, "", err
	}
	if a, err = g.n.Media.Read(r.Context(), p, id); err != nil {
		return a, "", hidden(p, err)
	}
	return a, p.Subject, nil
}
