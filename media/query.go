package media

import "time"

// Query selects assets for a list. Zero fields do not restrict. Partial uploads and deleted assets are never listed.
type Query struct {
	Owner     string // only this subject's; "" with AnyOwner false selects nothing
	AnyOwner  bool   // admins: everybody's
	PublicToo bool   // beside Owner's, public ones

	UploadedBy  string // of those, only this subject's
	Public      *bool  // of those, only public ones, or only private ones
	States      []State
	Reference   Subject   // either half alone also restricts
	Placement   Placement // Kind, ProductID, CourseID, LessonID, ModuleID, VideoType, ResourceType restrict when set
	Type        Type
	StorageType StorageType

	Sort   Sort
	Limit  int    // 1..200
	Cursor string // NextCursor of the page before; a cursor of another sort is Invalid
}

// Sort is a column and a direction: "-createdAt" is newest first.
type Sort string

// The sorts.
const (
	Newest       Sort = "-createdAt" // the default
	Oldest       Sort = "createdAt"
	Largest      Sort = "-size"
	Smallest     Sort = "size"
	MostFetched  Sort = "-accessCount"
	LeastFetched Sort = "accessCount"
)

// Listing is one page of a list.
type Listing struct {
	Items      []Asset
	NextCursor string // "": this was the last
}

// Change is what staff may change of an asset; nil fields stay.
type Change struct {
	Title     *string
	Filename  *string
	Public    *bool
	Placement *Placement
}

// Series asks for the accesses of one asset.
type Series struct {
	Asset    AssetID
	From, To time.Time     // From included, To excluded
	Bucket   time.Duration // a whole number of hours
}
