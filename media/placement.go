package media

// PlacementKind says which of the LMS's tables an asset stands in.
type PlacementKind string

// The kinds of placement, as the metadata key "kind" names them.
const (
	ProductImage   PlacementKind = "product-image"
	CourseVideo    PlacementKind = "course-video"
	CourseResource PlacementKind = "course-resource"
	Generic        PlacementKind = "media" // the default
)

// Placement is where an asset belongs: one row of product_images, course_videos, course_resources or media_storage. Ids of entities are
// MongoDB's, 24 lower-case hex digits.
type Placement struct {
	Kind PlacementKind

	ProductID string // ProductImage
	CourseID  string // CourseVideo, CourseResource
	LessonID  string
	ModuleID  string

	VideoType    VideoType    // CourseVideo
	ResourceName string       // CourseResource
	ResourceType ResourceType // CourseResource
	AltText      string       // ProductImage
	MainImage    bool         // ProductImage
	Position     int          // order among its siblings

	Reference Subject // Generic: the entity it refers to; zero when unattached
}

// Subject is the entity of the LMS that the placement names: a product, a course, or what is referred to; zero for none.
func (p Placement) Subject() Subject {
	switch p.Kind {
	case ProductImage:
		return Subject{Type: Product, ID: p.ProductID}
	case CourseVideo, CourseResource:
		return Subject{Type: Course, ID: p.CourseID}
	case Generic:
	}
	return p.Reference
}

// VideoType is the role of a course video.
type VideoType string

// The roles of course videos.
const (
	IntroVideo  VideoType = "intro"
	LessonVideo VideoType = "lesson"
	ModuleVideo VideoType = "module"
)

// ResourceType is the kind of a course resource.
type ResourceType string

// The kinds of course resources.
const (
	ResourcePDF      ResourceType = "pdf"
	ResourceDocument ResourceType = "document"
	ResourceImage    ResourceType = "image"
	ResourceArchive  ResourceType = "archive"
	ResourceCode     ResourceType = "code"
)

// SubjectType is the kind of an entity in the LMS.
type SubjectType string

// The kinds of entities.
const (
	Product SubjectType = "product"
	Course  SubjectType = "course"
	Lesson  SubjectType = "lesson"
	User    SubjectType = "user"
	Page    SubjectType = "page"
	Review  SubjectType = "review"
	Order   SubjectType = "order"
)

// Subject is an entity of the LMS: a product, a course and so on. Pages are named by a slug, all others by 24 hex digits.
type Subject struct {
	Type SubjectType
	ID   string
}

// Named reports whether the LMS keeps a record of such entities: a page is only a slug.
func (s Subject) Named() bool { return s.ID != "" && s.Type != "" && s.Type != Page }

// IsZero reports whether no entity is meant.
func (s Subject) IsZero() bool { return s == Subject{} }

// ValidEntityID reports whether s is a MongoDB id in text: 24 lower-case hex digits.
func ValidEntityID(s string) bool {
	if len(s) != 24 {
		return false
	}
	for i := range len(s) {
		if hexValue(s[i]) > 15 {
			return false
		}
	}
	return true
}
