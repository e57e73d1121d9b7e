package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"unicode"
	"unicode/utf16"
)

// maxNesting is far beyond every body of ours, and far below what would cost memory to follow.
const maxNesting = 100

var errTwice = errors.New("a member is given twice")

// wholeText refuses an escaped half of a UTF-16 pair that stands alone (RFC 8259 section 8.2): encoding/json would put U+FFFD in its place,
// and what is stored would not be what was sent. Backslashes stand in strings only, or else the decoder refuses.
func wholeText(b []byte) error {
	for i := 0; i+1 < len(b); i++ {
		if b[i] != '\\' {
			continue
		}
		unit, ok := escapedUnit(b[i:])
		if !ok {
			i++ // another escape, or none for the decoder to refuse
			continue
		}
		i += 5
		if !utf16.IsSurrogate(unit) {
			continue
		}
		low, ok := escapedUnit(b[i+1:])
		if !ok || utf16.DecodeRune(unit, low) == unicode.ReplacementChar {
			return errors.New("half a surrogate pair")
		}
		i += 6
	}
	return nil
}

// escapedUnit reads \u and four hex digits.
func escapedUnit(b []byte) (rune, bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(b[2:6]), 16, 16)
	return rune(n), err == nil
}

// uniqueMembers refuses JSON in which an object names a member twice. Readers differ in which of the two they take (RFC 8259 section 4),
// so what a proxy checks might not be what is done here. What is no JSON at all is left to the decoder to refuse.
func uniqueMembers(b []byte) error {
	d := json.NewDecoder(bytes.NewReader(b))
	var open []map[string]bool // of each object around; nil for a list
	key := false               // the next string names a member
	for {
		t, err := d.Token()
		if err != nil {
			return nil //nolint:nilerr // the end, or the decoder's to say
		}
		switch v := t.(type) {
		case json.Delim:
			if v == '}' || v == ']' {
				open = open[:len(open)-1]
				break
			}
			if len(open) == maxNesting {
				return errors.New("nested too deeply")
			}
			var members map[string]bool
			if v == '{' {
				members = map[string]bool{}
			}
			open = append(open, members)
		case string:
			if key {
				if open[len(open)-1][v] {
					return errTwice
				}
				open[len(open)-1][v] = true
				key = false
				continue
			}
		}
		key = len(open) > 0 && open[len(open)-1] != nil
	}
}
