package gateway

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"sluice/media"
	"sluice/playback"
)

// Media is an asset in JSON, in the LMS's words. What is not known, or does not apply, is absent.
type Media struct {
	ID           string     `json:"id" format:"uuid" doc:"UUIDv7"`
	State        string     `json:"state" enum:"uploading,stored,processing,ready,failed"`
	Title        string     `json:"title,omitempty"`
	Filename     string     `json:"filename,omitempty" doc:"The client's own name for it"`
	MediaType    string     `json:"mediaType" enum:"image,video,document,audio"`
	MIMEType     string     `json:"mimeType" example:"video/mp4"`
	URL          string     `json:"url" doc:"Where the bytes are: here, or elsewhere when storageType is cloud"`
	StorageType  string     `json:"storageType" enum:"local,gdrive,s3,gcs,azure,cloud"`
	FileSize     *int64     `json:"fileSize,omitempty" doc:"Bytes; absent while the length is not declared"`
	SHA256       string     `json:"sha256,omitempty" doc:"Hex; absent while it is being computed"`
	Duration     int64      `json:"duration,omitempty" doc:"Milliseconds"`
	FailReason   string     `json:"failReason,omitempty"`
	IsPublic     bool       `json:"isPublic"`
	AccessCount  int64      `json:"accessCount"`
	BytesServed  int64      `json:"bytesServed"`
	LastAccessed *time.Time `json:"lastAccessedAt,omitempty" doc:"Absent when it never was"`
	UploadedBy   string     `json:"uploadedBy"`
	CreatedAt    time.Time  `json:"createdAt"`
	UpdatedAt    time.Time  `json:"updatedAt"`
	PlacementJSON
}

// PlacementJSON is where media belong.
type PlacementJSON struct {
	Kind          string `json:"kind,omitempty" enum:"media,product-image,course-video,course-resource" doc:"Which of the LMS's tables it stands in"`
	ReferenceID   string `json:"referenceId,omitempty" maxLength:"128" example:"507f1f77bcf86cd799439011"`
	ReferenceType string `json:"referenceType,omitempty" enum:"product,course,lesson,user,page,review,order"`
	ProductID     string `json:"mongoProductId,omitempty" maxLength:"24"`
	CourseID      string `json:"mongoCourseId,omitempty" maxLength:"24"`
	LessonID      string `json:"mongoLessonId,omitempty" maxLength:"24"`
	ModuleID      string `json:"mongoModuleId,omitempty" maxLength:"24"`
	VideoType     string `json:"videoType,omitempty" enum:"intro,lesson,module"`
	ResourceName  string `json:"resourceName,omitempty" maxLength:"300"`
	ResourceType  string `json:"resourceType,omitempty" enum:"pdf,document,image,archive,code"`
	AltText       string `json:"altText,omitempty" maxLength:"1000"`
	IsMainImage   bool   `json:"isMainImage,omitempty"`
	Position      int    `json:"position,omitempty" minimum:"0" maximum:"1000000"`
}

func placementJSON(p media.Placement) PlacementJSON {
	kind := p.Kind
	if kind == "" {
		kind = media.Generic
	}
	return PlacementJSON{
		Kind: string(kind), ReferenceID: p.Reference.ID, ReferenceType: string(p.Reference.Type),
		ProductID: p.ProductID, CourseID: p.CourseID, LessonID: p.LessonID, ModuleID: p.ModuleID,
		VideoType: string(p.VideoType), ResourceName: p.ResourceName, ResourceType: string(p.ResourceType),
		AltText: p.AltText, IsMainImage: p.MainImage, Position: p.Position,
	}
}

func (j PlacementJSON) placement() media.Placement {
	return media.Placement{
		Kind: media.PlacementKind(j.Kind), Reference: media.Subject{Type: media.SubjectType(j.ReferenceType), ID: j.ReferenceID},
		ProductID: j.ProductID, CourseID: j.CourseID, LessonID: j.LessonID, ModuleID: j.ModuleID,
		VideoType: media.VideoType(j.VideoType), ResourceName: j.ResourceName, ResourceType: media.ResourceType(j.ResourceType),
		AltText: j.AltText, MainImage: j.IsMainImage, Position: j.Position,
	}
}

func (g *Gateway) mediaJSON(a media.Asset) Media {
	m := Media{
		ID: a.ID.String(), State: string(a.State), Title: a.Title, Filename: a.Filename,
		MediaType: string(a.Type), MIMEType: a.MIMEType, URL: g.urlOf(a), StorageType: string(a.StorageType),
		SHA256: hex.EncodeToString(a.SHA256), Duration: a.Duration.Milliseconds(), FailReason: a.FailReason,
		IsPublic: a.Public, AccessCount: a.AccessCount, BytesServed: a.BytesServed, LastAccessed: timeOrAbsent(a.LastAccessedAt), UploadedBy: a.Owner,
		CreatedAt: utc(a.CreatedAt), UpdatedAt: utc(a.UpdatedAt), PlacementJSON: placementJSON(a.Placement),
	}
	if a.Size != media.UnknownLength && (a.StorageType != media.Cloud || a.Size > 0) {
		m.FileSize = &a.Size
	}
	return m
}

// utc is a time as JSON shows it: UTC, to the millisecond.
func utc(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

func timeOrAbsent(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = utc(t)
	return &t
}

// urlOf is where the bytes are: public media play without a ticket, all other bytes need a login or a link.
func (g *Gateway) urlOf(a media.Asset) string {
	switch {
	case a.StorageType == media.Cloud && a.ExternalURL != "":
		return a.ExternalURL
	case a.Public:
		return g.absolute(playback.PublicURL(a))
	}
	return g.absolute("/api/media/" + a.ID.String() + "/content")
}

// absolute puts the public URL, when there is one, before a path of ours.
func (g *Gateway) absolute(path string) string {
	if len(path) > 0 && path[0] == '/' {
		return g.o.PublicURL + path
	}
	return path
}

// patched is a member of a JSON merge patch (RFC 7396): absent leaves, null clears, a value sets.
type patched[T any] struct {
	sent  bool
	null  bool
	value T
}

// UnmarshalJSON notes that the member was there.
func (f *patched[T]) UnmarshalJSON(b []byte) error {
	f.sent = true
	if f.null = bytes.Equal(b, []byte("null")); f.null {
		return nil
	}
	return json.Unmarshal(b, &f.value) //nolint:wrapcheck // huma makes a problem of it
}

// Schema is that of the value, or null.
func (patched[T]) Schema(r huma.Registry) *huma.Schema {
	s := *r.Schema(reflect.TypeFor[T](), true, "")
	s.Nullable = true
	return &s
}

func (f patched[T]) set(to *T) {
	if f.sent {
		*to = f.value
	}
}
