package storage

import (
	"strings"

	"sluice/media"
)

// MaxKey is the longest key in bytes: with a suffix it must fit the 255 bytes of a file name.
const MaxKey = 200

// KeyFor gives the key of an asset's original: sharded by the id's last byte, which is random.
func KeyFor(id media.AssetID) string {
	s := id.String()
	return s[34:] + "/" + s
}

// CheckKey refuses, as media.Invalid, what is not a key on every backend: 1 to MaxKey bytes of a-z, 0-9, '-', '_', '.', in segments
// parted by '/', each beginning with a letter or a digit. So there is no "..", no hidden or absolute name, no empty segment, and no two
// keys that a file system which folds case or Unicode would take for one.
func CheckKey(key string) error {
	if key == "" || len(key) > MaxKey {
		return errKey()
	}
	start := true // at the first byte of a segment
	for i := range len(key) {
		c := key[i]
		if start && !alphanumeric(c) || !start && !inKey(c) {
			return errKey()
		}
		start = c == '/'
	}
	if start {
		return errKey()
	}
	return nil
}

// checkPrefix takes whatever a key may begin with, and "".
func checkPrefix(prefix string) error {
	if prefix == "" {
		return nil
	}
	return CheckKey(strings.TrimSuffix(prefix, "/"))
}

func alphanumeric(c byte) bool { return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' }

func inKey(c byte) bool { return alphanumeric(c) || c == '-' || c == '_' || c == '.' || c == '/' }

func errKey() error {
	return &media.Error{Kind: media.Invalid, Code: "bad_key", Detail: "this is not a storage key"}
}

// checkRange holds 0 <= off, 0 < n, off+n <= size, in a form that cannot overflow.
func checkRange(size, off, n int64) error {
	if off < 0 || n <= 0 || off > size || n > size-off {
		return &media.Error{Kind: media.Invalid, Code: "bad_range", Detail: "the range does not lie inside the object"}
	}
	return nil
}
