package signing

import (
	"crypto/hmac"
	"encoding/binary"
	"time"

	"sluice/media"
)

// A ticket is 33 bytes, 44 characters of base64url. 33 is a multiple of three on purpose: no character has spare bits, so one ticket has
// one spelling.
//
//	0     version, 1
//	1     key id
//	2     flags: bits 0-1 the use, bit 6 public, bit 7 own; the others zero
//	3-7   expiry, Unix seconds, big-endian
//	8-15  session
//	16-32 HMAC-SHA256 over label, bytes 0-15, media id and epoch, cut to 136 bits
//
// Media id and epoch are not in it: the URL names the one and the catalogue knows the other.
const (
	ticketVersion = 1
	ticketHead    = 16
	ticketSize    = 33
	tokenText     = 44 // characters of a ticket and of a capability
	ticketLabel   = "sluice ticket 1\x00"

	flagUse    = 0x03
	flagPublic = 0x40
	flagOwn    = 0x80

	maxExpiry = 1<<40 - 1
)

// Label, head, id and epoch are 52 bytes, which with SHA-256's own padding is still one block.
const ticketMessage = len(ticketLabel) + ticketHead + 16 + 4

// Sign makes the ticket's text with the key that signs, whatever t.Key is. The expiry is cut to whole seconds. A ticket with a Use other than media's three is signed, and opens
// nothing.
func (r *Ring) Sign(t media.Ticket) string {
	var raw [ticketSize]byte
	raw[0] = ticketVersion
	raw[1] = r.signer.id
	if t.Use <= media.Thumb {
		raw[2] = byte(t.Use)
	}
	if t.Own {
		raw[2] |= flagOwn
	}
	if t.Public {
		raw[2] |= flagPublic
	}
	var expiry [8]byte
	binary.BigEndian.PutUint64(expiry[:], uint64(min(max(t.Expires.Unix(), 0), maxExpiry))) //nolint:gosec // clamped
	copy(raw[3:8], expiry[3:])
	copy(raw[8:16], t.Session[:])
	st := r.signer.state()
	st.ticket(raw[:ticketHead], t.Asset, t.Epoch)
	copy(raw[ticketHead:], st.sum[:])
	r.signer.states.Put(st)
	return r.enc.EncodeToString(raw[:])
}

func (st *state) ticket(head []byte, id media.AssetID, epoch uint32) {
	m := st.msg[:ticketMessage]
	n := copy(m, ticketLabel)
	n += copy(m[n:], head)
	n += copy(m[n:], id[:])
	binary.BigEndian.PutUint32(m[n:], epoch)
	st.fill(m)
}

// Verify reads a ticket for one asset at its present epoch. A text that this ring did not sign for exactly these is media.Forbidden,
// whatever else is wrong with it; one that it did sign and that is over is media.Gone.
func (r *Ring) Verify(ticket string, asset media.AssetID, epoch uint32) (media.Ticket, error) {
	var raw [ticketSize]byte
	if !r.decode(raw[:], ticket) || raw[0] != ticketVersion {
		return media.Ticket{}, errTicket()
	}
	k := r.keys[raw[1]]
	if k == nil {
		return media.Ticket{}, errTicket()
	}
	st := k.state()
	st.ticket(raw[:ticketHead], asset, epoch)
	good := hmac.Equal(raw[ticketHead:], st.sum[:ticketSize-ticketHead])
	k.states.Put(st)
	if !good || raw[2]&^(flagUse|flagPublic|flagOwn) != 0 || raw[2]&flagUse == 0 {
		return media.Ticket{}, errTicket()
	}
	expires := time.Unix(int64(raw[3])<<32|int64(binary.BigEndian.Uint32(raw[4:8])), 0).UTC()
	if !r.now().Before(expires) {
		return media.Ticket{}, &media.Error{Kind: media.Gone, Code: "link_expired", Detail: "this link has expired"}
	}
	t := media.Ticket{
		Asset: asset, Epoch: epoch, Use: media.Use(raw[2] & flagUse), Expires: expires, Own: raw[2]&flagOwn != 0, Public: raw[2]&flagPublic != 0,
		Key: k.id,
	}
	copy(t.Session[:], raw[8:16])
	return t, nil
}

func errTicket() error {
	return &media.Error{Kind: media.Forbidden, Code: "bad_link", Detail: "this link does not open this media"}
}
