package playback

import (
	"net/http"
	"strings"
	"time"
)

// verdict is what the preconditions of a request come to.
type verdict uint8

const (
	proceed     verdict = iota
	notModified         // 304
	failed              // 412
)

// judge evaluates preconditions in the order of RFC 9110 section 13.2.2. modified is zero when the asset shows no Last-Modified; changed is when
// its bytes became what they are, or later.
func judge(h http.Header, etag string, modified, changed, now time.Time) verdict {
	if match := h["If-Match"]; match != nil {
		if !anyTag(match, etag, true) {
			return failed
		}
	} else if t, ok := single(h["If-Unmodified-Since"], now); ok && !changed.IsZero() && changed.After(t) {
		return failed
	}
	if none := h["If-None-Match"]; none != nil {
		if anyTag(none, etag, false) {
			return notModified
		}
	} else if t, ok := single(h["If-Modified-Since"], now); ok && !modified.IsZero() && !modified.After(t) {
		return notModified
	}
	return proceed
}

// inRange evaluates If-Range (section 13.1.5): may the Range be answered as one?
func inRange(h http.Header, etag string, modified, now time.Time) bool {
	fields := h["If-Range"]
	if len(fields) == 0 {
		return true
	}
	if len(fields) > 1 {
		return false
	}
	field := strings.Trim(fields[0], " \t")
	if tag, rest, ok := scanTag(field); ok {
		return rest == "" && tag == etag // strong comparison: a weak tag has its W/ and cannot be equal
	}
	// What shows a date has the bytes it came with, so that its date is a strong validator, also in the first minute (section 8.8.2.2). It
	// must be the very date.
	t, ok := parseDate(field, now)
	return ok && !modified.IsZero() && t.Equal(modified)
}

// anyTag looks for etag in the lists of If-Match (strong) or If-None-Match (weak comparison). "*" matches, as there is something to match.
// A list is read up to where it breaks.
func anyTag(fields []string, etag string, strong bool) bool {
	for _, f := range fields {
		f = strings.Trim(f, " \t")
		if f == "*" {
			return true
		}
		for f != "" {
			if f[0] == ',' || f[0] == ' ' || f[0] == '\t' {
				f = f[1:]
				continue
			}
			tag, rest, ok := scanTag(f)
			if !ok {
				break
			}
			if !strong {
				tag = strings.TrimPrefix(tag, "W/")
			}
			f = strings.TrimLeft(rest, " \t")
			if f != "" && f[0] != ',' {
				break // two tags with nothing between them are neither
			}
			if tag == etag {
				return true
			}
		}
	}
	return false
}

// scanTag cuts an entity-tag (section 8.8.3) off the front.
func scanTag(s string) (tag, rest string, ok bool) {
	start := 0
	if strings.HasPrefix(s, "W/") {
		start = 2
	}
	if start >= len(s) || s[start] != '"' {
		return "", s, false
	}
	for i := start + 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return s[:i+1], s[i+1:], true
		case c <= ' ', c == 0x7f:
			return "", s, false
		}
	}
	return "", s, false
}

// single reads a date field. Sections 13.1.3 and 13.1.4 have it ignored when it is no date or more than one.
func single(fields []string, now time.Time) (time.Time, bool) {
	if len(fields) != 1 {
		return time.Time{}, false
	}
	return parseDate(strings.Trim(fields[0], " \t"), now)
}

// parseDate reads the three forms of HTTP-date (section 5.6.7). The two-digit year of the second means the nearest one that is not more
// than 50 years ahead, where Go's fixed window ends in 2068.
func parseDate(s string, now time.Time) (time.Time, bool) {
	if s == "" {
		return time.Time{}, false
	}
	t, err := http.ParseTime(s)
	if err != nil {
		return time.Time{}, false
	}
	if strings.Count(s, "-") == 2 && strings.HasSuffix(s, " GMT") {
		for t.After(now.AddDate(50, 0, 0)) {
			t = t.AddDate(-100, 0, 0)
		}
		for next := t.AddDate(100, 0, 0); !next.After(now.AddDate(50, 0, 0)); next = t.AddDate(100, 0, 0) {
			t = next
		}
	}
	return t, true
}

// byDate reports whether the outcome of a request hangs on a date: no tag is named that would come before it in section 13.2.2.
func byDate(h http.Header) bool {
	if h["If-Match"] == nil && h["If-Unmodified-Since"] != nil || h["If-None-Match"] == nil && h["If-Modified-Since"] != nil {
		return true
	}
	for _, f := range h["If-Range"] {
		if _, _, ok := scanTag(strings.Trim(f, " \t")); !ok {
			return true
		}
	}
	return false
}
