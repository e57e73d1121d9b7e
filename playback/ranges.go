package playback

import (
	"math"
	"strings"
)

// span is n bytes from off, inside the file.
type span struct{ off, n int64 }

// end is the last byte's position, as Content-Range counts.
func (s span) end() int64 { return s.off + s.n - 1 }

// maxSpans bounds the parts of one answer (RFC 9110 section 17.15).
const maxSpans = 16

// ranges is what a Range header asks of a file.
type ranges uint8

const (
	whole         ranges = iota // no Range, or one to be ignored: 200
	partial                     // 206
	unsatisfiable               // 416
)

// parseRange reads a Range field for a file of size bytes (RFC 9110 section 14). Spans come in the order asked for, appended to dst.
//
// The field is ignored, which section 14.2 allows for each of these, when its unit is not bytes, when any part of it breaks the grammar,
// when it asks for more than 16 ranges, or for more bytes than the file has: those ranges must overlap, and answering them is how a small
// request is made a large answer. Numbers beyond 64 bits are numbers all the same.
func parseRange(dst []span, field string, size int64) ([]span, ranges) {
	const unit = "bytes="
	if len(field) < len(unit) || !strings.EqualFold(field[:len(unit)], unit) {
		return nil, whole
	}
	var total int64
	specs, all := 0, false
	for rest, more := field[len(unit):], true; more; {
		var spec string
		spec, rest, more = strings.Cut(rest, ",")
		spec = strings.Trim(spec, " \t")
		if spec == "" {
			continue // an empty list element: section 5.6.1.2 has recipients skip it
		}
		specs++
		s, ok := parseSpec(spec, size)
		if !ok || specs > maxSpans {
			return nil, whole
		}
		switch {
		case s.n > 0:
			dst = append(dst, s)
			if s.n > size-total {
				all = true // keep reading: a later part may break the grammar, but the answer is the same
			} else {
				total += s.n
			}
		case s.off < 0:
			all = true // a suffix of an empty file: satisfiable (section 14.1.2), and the whole of it
		}
	}
	switch {
	case specs == 0, all:
		return nil, whole
	case len(dst) == 0:
		return nil, unsatisfiable
	}
	return dst, partial
}

// parseSpec reads "first-last", "first-" or "-suffix". A range that cannot be satisfied has n zero; so has the suffix of an empty file,
// with off negative.
func parseSpec(spec string, size int64) (s span, ok bool) {
	a, b, found := strings.Cut(spec, "-")
	if !found {
		return span{}, false
	}
	if a == "" {
		n, ok := parseDigits(b)
		switch {
		case !ok:
			return span{}, false
		case n == 0:
			return span{}, true
		case size == 0:
			return span{off: -1}, true
		}
		n = min(n, size)
		return span{size - n, n}, true
	}
	first, ok := parseDigits(a)
	if !ok {
		return span{}, false
	}
	last := int64(math.MaxInt64)
	if b != "" {
		if last, ok = parseDigits(b); !ok || less(b, a) {
			return span{}, false
		}
	}
	if first >= size {
		return span{}, true
	}
	return span{first, min(last, size-1) - first + 1}, true
}

// parseDigits reads 1*DIGIT, and gives the largest int64 for what is larger.
func parseDigits(s string) (int64, bool) {
	if s == "" {
		return 0, false
	}
	var n int64
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return 0, false
		}
		if d := int64(c - '0'); n > (math.MaxInt64-d)/10 {
			n = math.MaxInt64
		} else {
			n = n*10 + d
		}
	}
	return n, true
}

// less compares two runs of digits as numbers, however long.
func less(a, b string) bool {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	if len(a) != len(b) {
		return len(a) < len(b)
	}
	return a < b
}
