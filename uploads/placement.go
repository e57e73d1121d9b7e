package uploads

import (
	"mime"
	"path"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"sluice/media"
)

// Bounds on texts that metadata carries into a row.
const (
	maxName     = 255  // runes
	maxText     = 1000 // runes
	maxPosition = 1 << 30
)

func badValue(key, why string) error {
	return &media.Error{Kind: media.Invalid, Code: "bad_metadata", Detail: key + " " + why, Field: key}
}

// describe fills in what the metadata says of an asset: name, type and where it belongs.
func describe(a *media.Asset, m metadata) error {
	a.Filename = cleanName(m.first("filename", "name"))
	a.Title = cleanText(m.values["title"])
	if err := describeType(a, m); err != nil {
		return err
	}
	var err error
	if a.Public, err = flag(m, "isPublic"); err != nil {
		return err
	}
	a.Backend = m.values["storage"]
	return place(a, m)
}

func describeType(a *media.Asset, m metadata) error {
	key := "filetype"
	if m.values[key] == "" {
		key = "type"
	}
	if a.MIMEType = media.MIMEByName(a.Filename); a.MIMEType == "" {
		a.MIMEType = octetStream
	}
	if v := m.values[key]; v != "" {
		t, _, err := mime.ParseMediaType(v)
		switch {
		case err == nil && validType(t):
			if t != octetStream {
				a.MIMEType = t
			}
		case key == "filetype": // "type" is a word other clients use for other things
			return badValue(key, "is not a media type")
		}
	}
	a.Type = media.TypeOf(a.MIMEType)
	if v := m.values["mediaType"]; v != "" {
		switch t := media.Type(v); t {
		case media.Image, media.Video, media.Document, media.Audio:
			a.Type = t
		default:
			return badValue("mediaType", "is image, video, document or audio")
		}
	}
	return nil
}

// place reads where the asset belongs.
func place(a *media.Asset, m metadata) error {
	p := &a.Placement
	for key, to := range map[string]*string{
		"mongoProductId": &p.ProductID, "mongoCourseId": &p.CourseID, "mongoLessonId": &p.LessonID, "mongoModuleId": &p.ModuleID,
	} {
		v := m.values[key]
		if v != "" && !media.ValidEntityID(v) {
			return badValue(key, "is not 24 lower-case hex digits")
		}
		*to = v
	}
	var err error
	if p.MainImage, err = flag(m, "isMainImage"); err != nil {
		return err
	}
	if p.Position, err = position(m); err != nil {
		return err
	}
	if err := words(p, m); err != nil {
		return err
	}
	if p.Reference, err = reference(m); err != nil {
		return err
	}
	p.ResourceName, p.AltText = cleanText(m.values["resourceName"]), cleanText(m.values["altText"])
	if p.Kind == "" {
		p.Kind = kindOf(a)
	}
	return complete(a)
}

// checkPlace refuses a place that no upload could name by its metadata: whoever mints a grant learns of it, not who holds it.
func checkPlace(p media.Placement) error {
	m := metadata{values: map[string]string{
		"kind": string(p.Kind), "mongoProductId": p.ProductID, "mongoCourseId": p.CourseID, "mongoLessonId": p.LessonID,
		"mongoModuleId": p.ModuleID, "videoType": string(p.VideoType), "resourceType": string(p.ResourceType),
		"referenceType": string(p.Reference.Type), "referenceId": p.Reference.ID, "position": strconv.Itoa(p.Position),
	}}
	return place(&media.Asset{MIMEType: octetStream}, m)
}

// words reads the closed vocabularies.
func words(p *media.Placement, m metadata) error {
	p.Kind = media.PlacementKind(m.values["kind"])
	switch p.Kind {
	case "", media.ProductImage, media.CourseVideo, media.CourseResource, media.Generic:
	default:
		return badValue("kind", "is product-image, course-video, course-resource or media")
	}
	p.VideoType = media.VideoType(m.values["videoType"])
	switch p.VideoType {
	case "", media.IntroVideo, media.LessonVideo, media.ModuleVideo:
	default:
		return badValue("videoType", "is intro, lesson or module")
	}
	p.ResourceType = media.ResourceType(m.values["resourceType"])
	switch p.ResourceType {
	case "", media.ResourcePDF, media.ResourceDocument, media.ResourceImage, media.ResourceArchive, media.ResourceCode:
	default:
		return badValue("resourceType", "is pdf, document, image, archive or code")
	}
	return nil
}

func reference(m metadata) (media.Subject, error) {
	s := media.Subject{Type: media.SubjectType(m.values["referenceType"]), ID: m.values["referenceId"]}
	switch s.Type {
	case "", media.Product, media.Course, media.Lesson, media.User, media.Page, media.Review, media.Order:
	default:
		return s, badValue("referenceType", "is product, course, lesson, user, page, review or order")
	}
	switch {
	case s.IsZero():
		return s, nil
	case s.Type == "":
		return s, badValue("referenceType", "is needed beside referenceId")
	case s.ID == "":
		return s, badValue("referenceId", "is needed beside referenceType")
	case s.Type == media.Page && !validSlug(s.ID):
		return s, badValue("referenceId", "is not a page's slug: letters, digits, - _ . /")
	case s.Type != media.Page && !media.ValidEntityID(s.ID):
		return s, badValue("referenceId", "is not 24 lower-case hex digits")
	}
	return s, nil
}

// kindOf infers which table is meant from the ids that were given.
func kindOf(a *media.Asset) media.PlacementKind {
	p := a.Placement
	switch {
	case p.ProductID != "":
		return media.ProductImage
	case p.CourseID == "":
		return media.Generic
	case p.ResourceName != "" || p.ResourceType != "":
		return media.CourseResource
	case p.VideoType != "" || a.Type == media.Video:
		return media.CourseVideo
	}
	return media.CourseResource
}

// complete checks what a kind needs and fills in what follows from the rest.
func complete(a *media.Asset) error {
	p := &a.Placement
	switch p.Kind {
	case media.ProductImage:
		if p.ProductID == "" {
			return badValue("mongoProductId", "is needed for a product-image")
		}
	case media.CourseVideo:
		if p.CourseID == "" {
			return badValue("mongoCourseId", "is needed for a course-video")
		}
		if p.VideoType == "" {
			p.VideoType = media.IntroVideo
			if p.ModuleID != "" {
				p.VideoType = media.ModuleVideo
			}
			if p.LessonID != "" {
				p.VideoType = media.LessonVideo
			}
		}
	case media.CourseResource:
		if p.CourseID == "" {
			return badValue("mongoCourseId", "is needed for a course-resource")
		}
		if p.ResourceName == "" {
			p.ResourceName = a.Filename
		}
		if p.ResourceType == "" {
			p.ResourceType = resourceType(a.MIMEType)
		}
	case media.Generic:
	}
	return nil
}

func resourceType(t string) media.ResourceType {
	switch {
	case t == "application/pdf":
		return media.ResourcePDF
	case media.TypeOf(t) == media.Image:
		return media.ResourceImage
	case classOf(t) == archive:
		return media.ResourceArchive
	case classOf(t) == script:
		return media.ResourceCode
	}
	return media.ResourceDocument
}

func flag(m metadata, key string) (bool, error) {
	switch m.values[key] {
	case "", "false", "0":
		return false, nil
	case "true", "1":
		return true, nil
	}
	return false, badValue(key, "is true or false")
}

func position(m metadata) (int, error) {
	v := m.values["position"]
	if v == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 0 || n > maxPosition {
		return 0, badValue("position", "is not a small non-negative integer")
	}
	return n, nil
}

// cleanName takes the last element of a path in either system's writing, without control characters.
func cleanName(s string) string {
	s = path.Base(strings.ReplaceAll(cleanText(s), `\`, "/"))
	if s == "." || s == "/" || s == ".." {
		return ""
	}
	if utf8.RuneCountInString(s) > maxName {
		s = string([]rune(s)[:maxName])
	}
	return s
}

// cleanText makes a text fit for a row and a header: valid UTF-8, no control characters, bounded.
func cleanText(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	if utf8.RuneCountInString(s) > maxText {
		s = string([]rune(s)[:maxText])
	}
	return s
}

func validSlug(s string) bool {
	if len(s) > 200 || strings.Contains(s, "..") {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || strings.IndexByte("-_./", c) >= 0 {
			continue
		}
		return false
	}
	return true
}
