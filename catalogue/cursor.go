package catalogue

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"

	"sluice/media"
)

// cursor is where a page of a list ended: the sort's value and the id of its last row.
type cursor struct {
	value int64
	id    media.AssetID
}

// A cursor's text is base64url over value (8), id (16) and a check (8) that binds it to its sort. The check finds damage and mistakes; a
// forged cursor would show its forger nothing more than a list does.
const cursorSize = 8 + 16 + 8

func (c cursor) text(s media.Sort) string {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, cursorSize), uint64(c.value))
	b = append(b, c.id[:]...)
	return base64.RawURLEncoding.EncodeToString(append(b, cursorCheck(b, s)...))
}

func parseCursor(text string, s media.Sort) (cursor, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) != cursorSize || subtle.ConstantTimeCompare(b[24:], cursorCheck(b[:24], s)) != 1 {
		return cursor{}, &media.Error{Kind: media.Invalid, Code: "bad_cursor", Field: "cursor", Detail: "the cursor does not belong to this list"}
	}
	return cursor{value: int64(binary.BigEndian.Uint64(b)), id: media.AssetID(b[8:24])}, nil
}

func cursorCheck(b []byte, s media.Sort) []byte {
	label := append([]byte("sluice list cursor v1\x00"+string(s)+"\x00"), b...)
	sum := sha256.Sum256(label)
	return sum[:8]
}
