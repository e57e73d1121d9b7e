package media

import (
	"crypto/rand"
	"encoding/hex"
	"time"
)

// AssetID names an asset: a UUIDv7 (RFC 9562 section 5.7), so that ids sort by time of creation.
type AssetID [16]byte

// NewAssetID makes an id for an asset created at now: 48 bits of Unix milliseconds and 74 random bits.
func NewAssetID(now time.Time) AssetID {
	var id AssetID
	_, _ = rand.Read(id[6:]) // crypto/rand.Read never fails: it crashes the program instead
	ms := now.UnixMilli()
	for i := range 6 {
		id[i] = byte(ms >> (40 - 8*i))
	}
	id[6] = id[6]&0x0f | 0x70
	id[8] = id[8]&0x3f | 0x80
	return id
}

// ParseAssetID reads the one canonical form: 36 characters, lower case, a version and variant that fit UUIDv7. Anything else is
// Invalid.
func ParseAssetID(s string) (AssetID, error) {
	var id AssetID
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return AssetID{}, errBadID()
	}
	n := 0
	for i := 0; i < 36; {
		if s[i] == '-' && (i == 8 || i == 13 || i == 18 || i == 23) {
			i++
			continue
		}
		hi, lo := hexValue(s[i]), hexValue(s[i+1])
		if hi > 15 || lo > 15 {
			return AssetID{}, errBadID()
		}
		id[n] = hi<<4 | lo
		n++
		i += 2
	}
	if id[6]>>4 != 7 || id[8]>>6 != 2 {
		return AssetID{}, errBadID()
	}
	return id, nil
}

func errBadID() error {
	return &Error{Kind: Invalid, Code: "bad_id", Detail: "a media id is a UUIDv7 in lower case"}
}

func hexValue(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	}
	return 0xff
}

// String gives the canonical form.
func (id AssetID) String() string {
	var b [36]byte
	hex.Encode(b[0:8], id[0:4])
	hex.Encode(b[9:13], id[4:6])
	hex.Encode(b[14:18], id[6:8])
	hex.Encode(b[19:23], id[8:10])
	hex.Encode(b[24:36], id[10:16])
	b[8], b[13], b[18], b[23] = '-', '-', '-', '-'
	return string(b[:])
}

// IsZero reports whether the id was never set.
func (id AssetID) IsZero() bool { return id == AssetID{} }

// Time gives the time of creation held in the id, to the millisecond.
func (id AssetID) Time() time.Time {
	var ms int64
	for i := range 6 {
		ms = ms<<8 | int64(id[i])
	}
	return time.UnixMilli(ms).UTC()
}

// MarshalText gives the canonical form, so that JSON shows it.
func (id AssetID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads the canonical form.
func (id *AssetID) UnmarshalText(b []byte) error {
	v, err := ParseAssetID(string(b))
	*id = v
	return err
}
