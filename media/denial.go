package media

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"time"
)

// Denial takes back tickets that were given already, until it is over: those that fit every one of Viewer, CourseID and Asset that is set,
// or all that one key signed. Viewer, CourseID or OfKey is always set: what takes back all tickets of one asset is its epoch.
type Denial struct {
	ID       string // see DenialID
	Viewer   string // as links name viewers; "": all of them
	CourseID string // what belongs to this course; "": whatever it belongs to
	Asset    AssetID
	OfKey    bool // of the key that has the id Key, which may be 0, and nothing else
	Key      uint8
	Until    time.Time
	By       string // who denied
	At       time.Time
}

// DenialID names what a denial covers, and nothing else of it: who denies the same again means the one that is there.
func (d Denial) DenialID() string {
	text := append([]byte("sluice denial 1\x00"), d.Asset[:]...)
	text = binary.BigEndian.AppendUint32(text, uint32(len(d.Viewer))) //nolint:gosec // names are short
	text = append(append(text, d.Viewer...), d.CourseID...)
	if d.OfKey {
		text = append(text, 0, d.Key) // no course's id holds a NUL
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16])
}
