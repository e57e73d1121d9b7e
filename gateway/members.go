package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
)

// maxNesting is far beyond every body of ours, and far below what would cost memory to follow.
const maxNesting = 100

var errTwice = errors.New("a member is given twice")

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
