package curation

import (
	"fmt"
	"mime"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"sluice/media"
)

// Bounds of what staff may write: texts in characters, as OpenAPI's maxLength is, so that no script gets less; maxURL and maxSlug in bytes.
const (
	maxTitle    = 300
	maxFilename = 255
	maxAltText  = 1000
	maxURL      = 2048
	maxSlug     = 128
	maxSubject  = 255
	maxPosition = 1_000_000
	maxLimit    = 200
	usualLimit  = 50
)

func invalid(field, format string, args ...any) error {
	return &media.Error{Kind: media.Invalid, Code: "invalid_field", Field: field, Detail: fmt.Sprintf(format, args...)}
}

// checkQuery refuses what no list knows, and fills in the usual limit.
func checkQuery(q *media.Query) error {
	switch {
	case q.Limit == 0:
		q.Limit = usualLimit
	case q.Limit < 1 || q.Limit > maxLimit:
		return invalid("limit", "limit is 1 to %d", maxLimit)
	}
	for _, st := range q.States {
		if !slices.Contains([]media.State{media.Uploading, media.Stored, media.Processing, media.Ready, media.Failed}, st) {
			return invalid("state", "no such state")
		}
	}
	switch q.Sort {
	case "", media.Newest, media.Oldest, media.Largest, media.Smallest, media.MostFetched, media.LeastFetched:
	default:
		return invalid("sort", "no such sort")
	}
	switch q.StorageType {
	case "", media.Local, media.S3, media.GCS, media.Azure, media.GoogleDrive, media.Cloud:
	default:
		return invalid("storageType", "no such storage type")
	}
	if err := checkType(q.Type); err != nil {
		return err
	}
	if q.Reference.Type != "" {
		if err := checkReferenceType(q.Reference.Type); err != nil {
			return err
		}
	}
	if q.Reference.ID != "" && !media.ValidEntityID(q.Reference.ID) && !validSlug(q.Reference.ID) {
		return invalid("referenceId", "an id is 24 lower-case hex digits, or the slug of a page")
	}
	if err := checkText("uploadedBy", q.UploadedBy, maxSubject); err != nil {
		return err
	}
	return checkPlacementFields(q.Placement)
}

func checkType(t media.Type) error {
	switch t {
	case "", media.Image, media.Video, media.Document, media.Audio:
		return nil
	}
	return invalid("mediaType", "mediaType is image, video, document or audio")
}

func checkChange(c media.Change) error {
	if c.Title != nil {
		if err := checkText("title", *c.Title, maxTitle); err != nil {
			return err
		}
	}
	if c.Filename != nil {
		if err := checkFilename(*c.Filename); err != nil {
			return err
		}
	}
	if c.Placement != nil {
		return checkPlacement(*c.Placement)
	}
	return nil
}

func checkExternal(a media.Asset) error {
	if err := checkURL(a.ExternalURL); err != nil {
		return err
	}
	if err := checkText("title", a.Title, maxTitle); err != nil {
		return err
	}
	if err := checkFilename(a.Filename); err != nil {
		return err
	}
	if a.MIMEType != "" {
		// Media types are ASCII tokens; parameters have no use here and would travel into Content-Type.
		t, params, err := mime.ParseMediaType(a.MIMEType)
		if err != nil || len(params) > 0 || t != a.MIMEType || strings.Count(t, "/") != 1 || len(t) > 127 {
			return invalid("mimeType", "mimeType is a lower-case media type without parameters")
		}
	}
	if err := checkType(a.Type); err != nil {
		return err
	}
	if a.Size < 0 {
		return invalid("fileSize", "fileSize is a number of bytes")
	}
	if a.Duration < 0 {
		return invalid("duration", "duration is a number of milliseconds")
	}
	return checkPlacement(a.Placement)
}

// checkURL takes absolute http and https URLs only, and none that carries a password, since everybody who sees the media sees the URL.
func checkURL(s string) error {
	if s == "" {
		return invalid("url", "url is missing")
	}
	if len(s) > maxURL || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f || r == utf8.RuneError || r == '\\' }) {
		return invalid("url", "url is at most %d bytes without spaces and control bytes", maxURL)
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Opaque != "" || u.Hostname() == "" {
		return invalid("url", "url is an absolute http or https URL")
	}
	if u.User != nil {
		return invalid("url", "url must not carry credentials")
	}
	return nil
}

func checkText(field, s string, limit int) error {
	if utf8.RuneCountInString(s) > limit {
		return invalid(field, "%s is at most %d characters", field, limit)
	}
	if !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
		return invalid(field, "%s must be text without control characters", field)
	}
	return nil
}

func checkFilename(s string) error {
	if err := checkText("filename", s, maxFilename); err != nil {
		return err
	}
	if strings.ContainsAny(s, `/\`) || s == "." || s == ".." {
		return invalid("filename", "filename is a name without a path")
	}
	return nil
}

// checkPlacement refuses a placement whose table could not hold it.
func checkPlacement(p media.Placement) error {
	switch p.Kind {
	case "", media.Generic:
	case media.ProductImage:
		if p.ProductID == "" {
			return invalid("mongoProductId", "a product image belongs to a product")
		}
	case media.CourseVideo, media.CourseResource:
		if p.CourseID == "" {
			return invalid("mongoCourseId", "course media belongs to a course")
		}
	default:
		return invalid("kind", "kind is media, product-image, course-video or course-resource")
	}
	if err := checkPlacementFields(p); err != nil {
		return err
	}
	if err := checkText("altText", p.AltText, maxAltText); err != nil {
		return err
	}
	if err := checkText("resourceName", p.ResourceName, maxTitle); err != nil {
		return err
	}
	if p.Position < 0 || p.Position > maxPosition {
		return invalid("position", "position is 0 to %d", maxPosition)
	}
	return checkReference(p.Reference)
}

// checkPlacementFields checks the forms of what is set, not whether all that is needed is there: filters name any subset.
func checkPlacementFields(p media.Placement) error {
	for _, f := range []struct{ name, id string }{
		{"mongoProductId", p.ProductID},
		{"mongoCourseId", p.CourseID},
		{"mongoLessonId", p.LessonID},
		{"mongoModuleId", p.ModuleID},
	} {
		if f.id != "" && !media.ValidEntityID(f.id) {
			return invalid(f.name, "%s is 24 lower-case hex digits", f.name)
		}
	}
	switch p.Kind {
	case "", media.Generic, media.ProductImage, media.CourseVideo, media.CourseResource:
	default:
		return invalid("kind", "kind is media, product-image, course-video or course-resource")
	}
	switch p.VideoType {
	case "", media.IntroVideo, media.LessonVideo, media.ModuleVideo:
	default:
		return invalid("videoType", "videoType is intro, lesson or module")
	}
	switch p.ResourceType {
	case "", media.ResourcePDF, media.ResourceDocument, media.ResourceImage, media.ResourceArchive, media.ResourceCode:
	default:
		return invalid("resourceType", "resourceType is pdf, document, image, archive or code")
	}
	return nil
}

func checkReferenceType(t media.SubjectType) error {
	switch t {
	case media.Product, media.Course, media.Lesson, media.User, media.Page, media.Review, media.Order:
		return nil
	}
	return invalid("referenceType", "referenceType is product, course, lesson, user, page, review or order")
}

func checkReference(s media.Subject) error {
	if s.IsZero() {
		return nil
	}
	if err := checkReferenceType(s.Type); err != nil {
		return err
	}
	if s.Type == media.Page && validSlug(s.ID) || media.ValidEntityID(s.ID) {
		return nil
	}
	return invalid("referenceId", "an id is 24 lower-case hex digits, or the slug of a page")
}

// validSlug reports whether s names a page: lower-case words, digits, and - _ / between them.
func validSlug(s string) bool {
	if s == "" || len(s) > maxSlug {
		return false
	}
	for i := range len(s) {
		c := s[i]
		word := 'a' <= c && c <= 'z' || '0' <= c && c <= '9'
		if !word && (i == 0 || c != '-' && c != '_' && c != '/') {
			return false
		}
	}
	return true
}
