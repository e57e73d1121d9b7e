package media

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"time"
)

// Denial takes back tickets that were given already: those that fit every one of Viewer, CourseID and Asset that is set, whoever signed
// them, until it is over. Viewer or CourseID is always set: what takes back all tickets of one asset is its epoch.
type Denial struct {
	ID       string // see DenialID
	Viewer   string // as links name viewers; "": all of them
	CourseID string // what belongs to this course; "": whatever it belongs to
	Asset    AssetID
	Until    time.Time
	By       string // who denied
	At       time.Time
}

// DenialID names what a denial covers, and nothing else of it: who denies the same again means the one that is there.
func (d Denial) DenialID() string {
	text := append([]byte("sluice denial 1\x00"), d.Asset[:]...)
	text = binary.BigEndian.AppendUint32(text, uint32(len(d.Viewer))) //nolint:gosec // names are short
	text = append(append(text, d.Viewer...), d.CourseID...)
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16])
}
