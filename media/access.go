package media

import (
	"crypto/sha256"
	"time"
)

// Access is one thing to count: a view, or bytes served to one.
type Access struct {
	Asset   AssetID
	At      time.Time
	Session Session // who watches; views are counted once per session, asset and half hour
	Bytes   int64   // body bytes served
	View    bool    // false: bytes only (a HEAD, the uploader's own)
	Manual  bool    // told by the LMS; counted each time, whatever the session
}

// Session is a viewer in a ticket: a truncated hash of the viewer's name, so that a ticket tells nobody who watches. Zero: unnamed.
type Session [8]byte

const sessionLabel = "sluice session 1\x00"

// SessionOf gives the session of a viewer: 64 bits of a hash, so that a ticket does not carry the name itself. The empty name is the
// zero session, and no other name is.
func SessionOf(viewer string) Session {
	var s Session
	if viewer == "" {
		return s
	}
	sum := sha256.Sum256([]byte(sessionLabel + viewer))
	copy(s[:], sum[:])
	if s == (Session{}) {
		s[7] = 1
	}
	return s
}

// Tally is what a batch of accesses adds to one asset in one hour.
type Tally struct {
	Asset AssetID
	Hour  time.Time // start of the hour, UTC
	Views int64
	Bytes int64
	Last  time.Time // latest access among them
}

// View is a view that a node takes for new. Whether it counts is decided where every node's are known.
type View struct {
	Asset   AssetID
	Session Session
	At      time.Time
}

// Batch is what a journal of accesses holds between two positions.
type Batch struct {
	From, To int64
	Tallies  []Tally       // bytes of all accesses, and views that count whatever others did
	Views    []View        // those that count once per session, asset and Window
	Window   time.Duration // from a view that counts to the next that may
}

// Counts is how often one asset was fetched, and which version of its row that stands in.
type Counts struct {
	Version        int64
	AccessCount    int64
	BytesServed    int64
	LastAccessedAt time.Time // zero: never
}

// Bucket is one step of a series of accesses.
type Bucket struct {
	Start time.Time
	Views int64
	Bytes int64
}
