package media

import "time"

// Use is what a ticket allows.
type Use uint8

// The uses.
const (
	Play     Use = 1 // inline
	Download Use = 2 // as an attachment
	Thumb    Use = 3 // poster and thumbnails only
)

// Ticket is what a signed playback URL says: it opens one asset's directory, for one viewer, until it expires.
type Ticket struct {
	Asset   AssetID
	Epoch   uint32 // the asset's token epoch when it was signed
	Use     Use
	Expires time.Time // to the second
	Session Session   // who watches
	Own     bool      // the viewer owns the asset: not counted
	Public  bool      // given to a stranger: holds while the asset is public
	Key     uint8     // the id of the key that signed it, as whoever verified it says
}
