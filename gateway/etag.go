package gateway

import (
	"strconv"
	"strings"

	"sluice/media"
)

// etagOf is the strong entity tag of a row's version. Counts are no part of the version: else nobody could change a video while it is
// being watched. They are never compared through the tag, since answers of the API are not kept by anybody (no-store) and never 304.
func etagOf(a media.Asset) string { return `"v` + strconv.FormatInt(a.Version, 10) + `"` }

// ifMatch is an If-Match field (RFC 9110 section 13.1.1).
type ifMatch struct {
	any  bool
	tags []string // strong ones, with their quotes; weak ones never match
}

// parseIfMatch reads an If-Match field: "*", or a list of entity tags. Absent it is media.PreconditionRequired.
func parseIfMatch(s string) (ifMatch, error) {
	if s == "" {
		return ifMatch{}, &media.Error{
			Kind: media.PreconditionRequired, Code: "if_match_required", Field: "header.If-Match", Detail: "name the version to change, by its ETag in If-Match",
		}
	}
	bad := &media.Error{Kind: media.Invalid, Code: "bad_if_match", Field: "header.If-Match", Detail: "If-Match is * or a list of entity tags"}
	rest := strings.Trim(s, " \t")
	if rest == "*" {
		return ifMatch{any: true}, nil
	}
	var m ifMatch
	for some := false; ; some = true {
		rest = strings.TrimLeft(rest, " \t,") // empty elements are allowed, RFC 9110 section 5.6.1.2
		if rest == "" {
			if !some {
				return ifMatch{}, bad
			}
			return m, nil
		}
		weak := strings.HasPrefix(rest, "W/")
		tag := strings.TrimPrefix(rest, "W/")
		end := tagEnd(tag)
		if end < 0 || len(m.tags) > 100 {
			return ifMatch{}, bad
		}
		if !weak {
			m.tags = append(m.tags, tag[:end])
		}
		rest = strings.TrimLeft(tag[end:], " \t")
		if rest != "" && !strings.HasPrefix(rest, ",") {
			return ifMatch{}, bad
		}
	}
}

// tagEnd gives the length of the opaque-tag that s begins with, or -1.
func tagEnd(s string) int {
	if s == "" || s[0] != '"' {
		return -1
	}
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return i + 1
		case c <= ' ' || c == 0x7f:
			return -1
		}
	}
	return -1
}

func (m ifMatch) matches(a media.Asset) bool {
	if m.any {
		return true
	}
	want := etagOf(a)
	for _, t := range m.tags {
		if t == want {
			return true
		}
	}
	return false
}
