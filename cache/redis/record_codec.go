package redis

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"sluice/media"
)

// recordVersion is in each written record. It moves with each change of what is written, so that nodes of two versions side by side take
// each other's values for nothing.
const recordVersion = 1

var errNoRecord = errors.New("not this record in this version")

// recordText is a record as JSON.
type recordText struct {
	Format    int               `json:"format"`
	Type      media.SubjectType `json:"type"`
	ID        string            `json:"id"`
	Owner     string            `json:"owner"`
	Published bool              `json:"published"`
	Version   string            `json:"version"`
	CreatedAt time.Time         `json:"createdAt"`
	UpdatedAt time.Time         `json:"updatedAt"`
	Fields    any               `json:"fields"`
}

// encodeRecord writes a record as JSON in which a number with a point or an exponent is a float64 and every other one an int64. It gives nil
// for one that would not come back as it is: with a number that is none, or a text that is not UTF-8.
func encodeRecord(r media.Record) []byte {
	t := recordText{
		Format: recordVersion, Type: r.Type, ID: r.ID, Owner: r.Owner, Published: r.Published, Version: r.Version,
		CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(),
	}
	for _, s := range []string{string(r.Type), r.ID, r.Owner, r.Version} {
		if !utf8.ValidString(s) {
			return nil
		}
	}
	if r.Fields != nil {
		fields, ok := written(r.Fields)
		if !ok {
			return nil
		}
		t.Fields = fields
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(t) != nil {
		return nil // a time beyond the year 9999
	}
	return b.Bytes()
}

// written gives a value of a record as it is to be written; not ok: it would not come back as it is.
func written(v any) (_ any, ok bool) {
	switch v := v.(type) {
	case nil, bool, int64:
		return v, true
	case string:
		return v, utf8.ValidString(v)
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, false
		}
		n := strconv.FormatFloat(v, 'g', -1, 64)
		if !strings.ContainsAny(n, ".e") {
			n += ".0"
		}
		return json.Number(n), true
	case []any:
		if v == nil {
			return nil, true // JSON has one null for both
		}
		list := make([]any, len(v))
		for i, e := range v {
			if list[i], ok = written(e); !ok {
				return nil, false
			}
		}
		return list, true
	case map[string]any:
		if v == nil {
			return nil, true
		}
		fields := make(map[string]any, len(v))
		for k, e := range v {
			if fields[k], ok = written(e); !ok || !utf8.ValidString(k) {
				return nil, false
			}
		}
		return fields, true
	}
	return nil, false
}

func decodeRecord(b []byte) (media.Record, error) {
	var t recordText
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if d.Decode(&t) != nil || t.Format != recordVersion || len(bytes.TrimSpace(b[d.InputOffset():])) > 0 {
		return media.Record{}, errNoRecord
	}
	fields, ok := read(t.Fields)
	r := media.Record{
		Subject: media.Subject{Type: t.Type, ID: t.ID}, Owner: t.Owner, Published: t.Published, Version: t.Version,
		CreatedAt: t.CreatedAt, UpdatedAt: t.UpdatedAt,
	}
	if r.Fields, _ = fields.(map[string]any); !ok || r.Fields == nil && fields != nil {
		return media.Record{}, errNoRecord
	}
	return r, nil
}

// read turns the numbers of what was decoded into what they were, in place.
func read(v any) (_ any, ok bool) {
	switch v := v.(type) {
	case json.Number:
		if strings.ContainsAny(v.String(), ".eE") {
			f, err := v.Float64()
			return f, err == nil
		}
		n, err := v.Int64()
		return n, err == nil
	case []any:
		for i, e := range v {
			if v[i], ok = read(e); !ok {
				return nil, false
			}
		}
	case map[string]any:
		for k, e := range v {
			if v[k], ok = read(e); !ok {
				return nil, false
			}
		}
	}
	return v, true
}
