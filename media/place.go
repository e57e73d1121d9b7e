package media

import "time"

// Place is one row of the LMS's tables: an asset, and where it belongs. An asset may stand in several places; it is the same asset in each:
// its bytes, counts, state and links are shared.
type Place struct {
	ID        AssetID // of the row. The place an upload named has its asset's id, every other one an id of its own
	Asset     Asset
	Placement Placement
	UpdatedAt time.Time
}

// Home reports whether it is the place that the asset itself tells (Asset.Placement).
func (p Place) Home() bool { return p.ID == p.Asset.HomeID() }

// PlaceQuery selects places: those of one entity of the LMS, at most MaxPlaces. Kind says which table, and with it which of the others count.
type PlaceQuery struct {
	Kind      PlacementKind
	ProductID string    // ProductImage
	CourseID  string    // CourseVideo, CourseResource
	LessonID  string    // CourseVideo, CourseResource: only this lesson's; "": all
	VideoType VideoType // CourseVideo: only these; "": all
	Reference Subject   // Generic: both halves
}

// MaxPlaces is how many places of one kind an entity has at most.
const MaxPlaces = 1000

// Subject is the entity whose places are asked for.
func (q PlaceQuery) Subject() Subject {
	return Placement{Kind: q.Kind, ProductID: q.ProductID, CourseID: q.CourseID, Reference: q.Reference}.Subject()
}

// PlaceCount is what of a place changes by being watched, and the version of its asset: who remembers the rest sees by it whether that holds.
type PlaceCount struct {
	ID     AssetID // of the place
	Counts         // of its asset
}

// PlaceChange is what may be changed of one place and its asset; nil fields stay.
type PlaceChange struct {
	Placement *Placement
	Title     *string
	Public    *bool
	By        AssetID // the asset whose bytes take the place of the old ones, in every place; zero: they stay
}

// Attachment puts an asset in a place. The first place of an asset that belongs nowhere is its home.
type Attachment struct {
	Asset     Asset // what is there already, named by its ID alone; or one that others keep, with an ExternalURL, to be added along
	Placement Placement
	Public    *bool // nil: as it is
	Title     *string
}

// Trashed is a place that was taken away and may be put back until a time. The bytes of an asset whose last place it was are kept until then.
type Trashed struct {
	ID        AssetID // of the place
	Asset     Asset   // as it was
	Placement Placement
	Of        Subject // the entity that was deleted with all that hung on it; zero: this place alone was
	By        string  // subject of who deleted
	At, Until time.Time
}

// Doing names a piece of work on both databases.
type Doing string

// What is done on both databases.
const (
	Creating  Doing = "create"  // an entity with media: decided once its media stand in the catalogue, undone before
	Deleting  Doing = "delete"  // an entity and what hangs on it: decided once the entity is gone
	Restoring Doing = "restore" // an entity and what hung on it: decided once the entity is back
)

// Intent is work on both databases that was begun. It is kept in the catalogue from before the first step until after the last, so that
// what a crash cuts off is finished, or undone, by whoever finds it.
type Intent struct {
	ID      string // rand.Text
	Doing   Doing
	Subject Subject
	By      string // who acts
	State   IntentState
	Until   time.Time // Deleting: how long the trash keeps it
	At      time.Time // of its beginning, by the clock of the node
}

// IntentState says how far work on both databases has come.
type IntentState string

// The states of an Intent. Both moves are a compare-and-set: what was undone is not done any more.
const (
	Begun   IntentState = "begun"
	Decided IntentState = "decided" // to be finished
	Undone  IntentState = "undone"  // to be cleared away
)
