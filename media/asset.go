package media

import "time"

// UnknownLength stands for a length the client has deferred (tus, creation-defer-length).
const UnknownLength = -1

// Asset is one uploaded file: what is stored, where, whose it is, and how often it was fetched.
type Asset struct {
	ID      AssetID
	State   State
	Owner   string // subject of the principal that created it
	Version int64  // grows with each change of the row; the If-Match of PATCH and DELETE

	// What it is.
	Filename   string // the client's own name for it, without a path; may be empty
	Title      string
	MIMEType   string        // "video/mp4"; application/octet-stream when nothing better is known
	Type       Type          // coarse: image, video, document, audio
	Size       int64         // bytes; while uploading the declared length, or UnknownLength
	SHA256     []byte        // 32 bytes, or nil while not computed yet
	Duration   time.Duration // zero when unknown or without one
	FailReason string        // why the state is Failed

	// Where the bytes are.
	StorageType StorageType
	Backend     string  // name of the configured backend; "" for Cloud
	Key         string  // the object's key there
	ExternalURL string  // for Cloud: where others keep it
	ContentID   AssetID `json:",omitzero"` // names the bytes: zero for those it came with, else the id of the upload that replaced them

	// Who may see it, and how often it was fetched.
	Public         bool
	Epoch          uint32 // token epoch: tickets signed for an earlier one are refused
	AccessCount    int64
	BytesServed    int64
	LastAccessedAt time.Time // zero: never

	Placement Placement // where it belongs, as the upload said: its home
	PlaceID   AssetID   `json:",omitzero"` // of the home's row when another place has become the home; zero: the asset's own id
	Also      []Subject // the entities of its further places, each once
	Unchecked bool      // the LMS's database was away when the upload named its place: it stands there only once that is known to exist
	Vouched   bool      // an admin placed it, or a grant that was checked when it was minted: it stands there whosever the entity is
	Upload    Upload    // how it came in

	CreatedAt time.Time
	UpdatedAt time.Time
	StoredAt  time.Time // zero while uploading
}

// HomeID is the id of the place that Placement tells.
func (a Asset) HomeID() AssetID {
	if a.PlaceID.IsZero() {
		return a.ID
	}
	return a.PlaceID
}

// Placer is who put it where it belongs, as far as that is asked again.
func (a Asset) Placer() Principal {
	if a.Vouched {
		return Principal{Subject: a.Owner, Roles: []Role{Admin}}
	}
	return Principal{Subject: a.Owner, Roles: []Role{Instructor}}
}

// Subjects gives the entities it belongs to, its home's first. What is not checked yet belongs nowhere.
func (a Asset) Subjects() []Subject {
	home := a.Placement.Subject()
	if home.IsZero() || a.Unchecked {
		return a.Also
	}
	return append([]Subject{home}, a.Also...)
}

// Upload is how an asset comes in over tus.
type Upload struct {
	Metadata  string    // Upload-Metadata as the client sent it, byte for byte
	Deferred  bool      // the length is not declared yet
	Partial   bool      // one part of a later concatenation; never listed, never played
	Final     bool      // joined from Parts
	Parts     []AssetID // of a final upload, in order
	ExpiresAt time.Time // when an unfinished upload may be swept; zero: never
	GrantID   string    // the upload grant that allowed it, used once; empty when a JWT did
}

// StorageType names where bytes are kept, in the LMS's words.
type StorageType string

// The storage types.
const (
	Local       StorageType = "local"
	S3          StorageType = "s3"
	GCS         StorageType = "gcs"
	Azure       StorageType = "azure"
	GoogleDrive StorageType = "gdrive"
	Cloud       StorageType = "cloud" // may be an external URL with no bytes here
)

// Type is the coarse kind of content, in the LMS's words ("mediaType").
type Type string

// The media types.
const (
	Image    Type = "image"
	Video    Type = "video"
	Document Type = "document"
	Audio    Type = "audio"
)

// TypeOf derives the coarse type from a MIME type: what is neither image, video nor audio is a document.
func TypeOf(mime string) Type {
	for _, t := range []Type{Image, Video, Audio} {
		if len(mime) > len(t) && mime[:len(t)] == string(t) && mime[len(t)] == '/' {
			return t
		}
	}
	return Document
}

// Object is what a storage backend knows of one stored object.
type Object struct {
	Key     string
	Size    int64 // bytes
	ModTime time.Time
}
