package uploads

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"sluice/media"
)

// The headers of tus 1.0.0, in the form net/http keeps them.
const (
	hResumable = "Tus-Resumable"
	hOffset    = "Upload-Offset"
	hLength    = "Upload-Length"
	hDefer     = "Upload-Defer-Length"
	hMetadata  = "Upload-Metadata"
	hConcat    = "Upload-Concat"
	hExpires   = "Upload-Expires"
	hOverride  = "X-Http-Method-Override"

	tusVersion = "1.0.0"
	chunkType  = "application/offset+octet-stream"
)

// Bounds on what a client may send in a header.
const (
	maxMetadata = 16 << 10
	maxParts    = 1000
)

func badHeader(name, why string) error {
	return &media.Error{Kind: media.Invalid, Code: "bad_header", Detail: name + " " + why, Field: name}
}

// one gives the value of a header that may stand once.
func one(h http.Header, name string) (value string, present bool, err error) {
	switch v := h[name]; len(v) {
	case 0:
		return "", false, nil
	case 1:
		return v[0], true, nil
	default:
		return "", true, badHeader(name, "is given more than once")
	}
}

// number reads a non-negative integer: decimal digits and nothing else.
func number(name, v string) (int64, error) {
	if v == "" {
		return 0, badHeader(name, "is empty")
	}
	for i := range len(v) {
		if v[i] < '0' || v[i] > '9' {
			return 0, badHeader(name, "is not a non-negative integer")
		}
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		return 0, badHeader(name, "is too large")
	}
	return n, nil
}

// length reads Upload-Length and Upload-Defer-Length of a creation.
func length(h http.Header) (int64, error) {
	l, haveLength, err := one(h, hLength)
	if err != nil {
		return 0, err
	}
	d, haveDefer, err := one(h, hDefer)
	if err != nil {
		return 0, err
	}
	switch {
	case haveLength && haveDefer:
		return 0, badHeader(hDefer, "cannot stand beside "+hLength)
	case haveDefer && d != "1":
		return 0, badHeader(hDefer, "is 1 or absent")
	case haveDefer:
		return media.UnknownLength, nil
	case !haveLength:
		return 0, &media.Error{Kind: media.Invalid, Code: "length_required", Detail: "Upload-Length or Upload-Defer-Length is needed", Field: hLength}
	}
	return number(hLength, l)
}

// isChunk reports whether the body is said to be upload bytes. Media types compare without case (RFC 9110 section 8.3.1).
func isChunk(h http.Header) bool {
	v := h["Content-Type"]
	if len(v) != 1 {
		return false
	}
	t, _, _ := strings.Cut(v[0], ";")
	return strings.EqualFold(strings.TrimSpace(t), chunkType)
}

// concat is what Upload-Concat says.
type concat struct {
	partial bool
	final   bool
	parts   []string // capabilities, in order
}

// parseConcat reads Upload-Concat: "partial", or "final;" and a list of upload URLs, absolute or relative, parted by spaces.
func parseConcat(v string) (concat, error) {
	if v == "partial" {
		return concat{partial: true}, nil
	}
	list, ok := strings.CutPrefix(v, "final;")
	if !ok {
		return concat{}, badHeader(hConcat, "is neither partial nor final")
	}
	c := concat{final: true}
	for u := range strings.FieldsFuncSeq(list, func(r rune) bool { return r == ' ' }) {
		part, err := partOf(u)
		if err != nil {
			return concat{}, err
		}
		if c.parts = append(c.parts, part); len(c.parts) > maxParts {
			return concat{}, badHeader(hConcat, fmt.Sprintf("names more than %d uploads", maxParts))
		}
	}
	if len(c.parts) == 0 {
		return concat{}, badHeader(hConcat, "names no upload")
	}
	return c, nil
}

// partOf finds the capability at the end of an upload URL. Scheme and host say nothing: a proxy may have changed them.
func partOf(u string) (string, error) {
	path := u
	if scheme, rest, ok := strings.Cut(u, "://"); ok {
		if scheme != "http" && scheme != "https" {
			return "", badHeader(hConcat, "holds an URL that is not http")
		}
		i := strings.IndexByte(rest, '/')
		if i < 0 {
			return "", badHeader(hConcat, "holds an URL that is no upload")
		}
		path = rest[i:]
	}
	part, ok := strings.CutPrefix(path, root+"/")
	if !ok || !plainCapability(part) {
		return "", badHeader(hConcat, "holds an URL that is no upload")
	}
	return part, nil
}

// plainCapability reports whether s can be a capability at all: one short path segment of unreserved characters (RFC 3986).
func plainCapability(s string) bool {
	if s == "" || len(s) > 256 || s == "." || s == ".." {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.' || c == '~' {
			continue
		}
		return false
	}
	return true
}
