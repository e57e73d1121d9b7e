package uploads

import (
	"encoding/base64"
	"net/http"
	"strings"

	"sluice/media"
)

// metadata is a parsed Upload-Metadata: unique keys in the client's order.
type metadata struct {
	keys   []string
	values map[string]string
}

func badMetadata(key, why string) error {
	return &media.Error{Kind: media.Invalid, Code: "bad_metadata", Detail: "Upload-Metadata: " + why, Field: key}
}

// metadataHeader gives the header as it came; several lines are one list (RFC 9110 section 5.3).
func metadataHeader(h http.Header) string {
	switch v := h[hMetadata]; len(v) {
	case 0:
		return ""
	case 1:
		return v[0]
	default:
		return strings.Join(v, ",")
	}
}

// parseMetadata reads "key base64,key base64,key": keys are unique, not empty, and hold no space; a value may be absent.
func parseMetadata(header string) (metadata, error) {
	m := metadata{values: map[string]string{}}
	if header == "" {
		return m, nil
	}
	if len(header) > maxMetadata {
		return m, badMetadata(hMetadata, "more than 16 KiB")
	}
	for pair := range strings.SplitSeq(header, ",") {
		key, value, _ := strings.Cut(strings.Trim(pair, " \t"), " ")
		if key == "" {
			return m, badMetadata(hMetadata, "a key is empty")
		}
		if !plainKey(key) {
			return m, badMetadata(hMetadata, "a key holds a character other than visible ASCII")
		}
		if _, twice := m.values[key]; twice {
			return m, badMetadata(key, "the key stands twice")
		}
		text, err := base64.StdEncoding.Strict().DecodeString(value)
		if err != nil || strings.ContainsAny(value, "\r\n") {
			return m, badMetadata(key, "the value is not base64")
		}
		m.keys = append(m.keys, key)
		m.values[key] = string(text)
	}
	return m, nil
}

func plainKey(k string) bool {
	for i := range len(k) {
		if k[i] <= ' ' || k[i] >= 0x7f {
			return false
		}
	}
	return true
}

// first gives the first of some keys that has a value.
func (m metadata) first(keys ...string) string {
	for _, k := range keys {
		if v := m.values[k]; v != "" {
			return v
		}
	}
	return ""
}
