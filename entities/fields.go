package entities

import (
	"encoding/json"
	"math"
	"strings"
	"unicode/utf8"

	"sluice/media"
)

// What a record may hold, well under MongoDB's own limits of 16 MiB and 100 levels.
const (
	maxBytes = 4 << 20
	maxDepth = 32
)

// clean checks and copies fields that somebody wants written. Times of the record and an id that is its own are dropped: they are kept here.
func clean(id string, fields map[string]any) (map[string]any, error) {
	out := make(map[string]any, len(fields))
	c := cleaner{}
	for k, v := range fields {
		switch k {
		case "createdAt", "updatedAt":
			continue
		case "id", "_id":
			if v == id {
				continue
			}
			return nil, badField(k, "the id of a record stays as it is")
		}
		if err := c.name(k); err != nil {
			return nil, badField(k, err.Detail)
		}
		v, err := c.value(v, 1)
		if err != nil {
			if err.Field == "" {
				err.Field = k
			}
			return nil, err
		}
		out[k] = v
	}
	return out, nil
}

func badField(name, detail string) *media.Error {
	return &media.Error{Kind: media.Invalid, Code: "bad_field", Detail: detail, Field: strings.ToValidUTF8(strings.ReplaceAll(name, "\x00", ""), "")}
}

// cleaner counts what one record is about to hold.
type cleaner struct{ bytes int }

// name checks the name of a member: MongoDB would take some for operators and paths.
func (c *cleaner) name(k string) *media.Error {
	c.bytes += len(k) + 8
	switch {
	case k == "" || strings.HasPrefix(k, "$") || strings.ContainsAny(k, ".\x00") || !utf8.ValidString(k):
		return badField("", "a name of a field is a text without $ at its start, dots and zero bytes")
	case hidden(k):
		return badField("", "the LMS keeps this field to itself")
	}
	return nil
}

func (c *cleaner) value(v any, depth int) (any, *media.Error) {
	if depth > maxDepth {
		return nil, badField("", "the fields are nested too deeply")
	}
	if c.bytes += 8; c.bytes > maxBytes {
		return nil, &media.Error{Kind: media.TooLarge, Detail: "a record holds 4 MiB at most"}
	}
	switch v := v.(type) {
	case nil, bool, int64:
		return v, nil
	case int:
		return int64(v), nil
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, badField("", "a number is finite")
		}
		return v, nil
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n, nil
		}
		n, err := v.Float64()
		if err != nil {
			return nil, badField("", "a number is finite")
		}
		return n, nil
	case string:
		// One that begins with $ is a text like any other: no filter and no update is built of what it says.
		if c.bytes += len(v); strings.Contains(v, "\x00") || !utf8.ValidString(v) {
			return nil, badField("", "a text is UTF-8 without zero bytes")
		}
		return v, nil
	}
	return c.nested(v, depth)
}

func (c *cleaner) nested(v any, depth int) (any, *media.Error) {
	switch v := v.(type) {
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			var err *media.Error
			if out[i], err = c.value(e, depth+1); err != nil {
				return nil, err
			}
		}
		return out, nil
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			err := c.name(k)
			if err == nil {
				out[k], err = c.value(e, depth+1)
			}
			if err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	return nil, badField("", "a field holds what JSON can")
}

// restored turns a value that was shown back into one that is kept, in the place of another: id of a nested object is _id again, and what
// is hidden of the old one stays.
func restored(v, old any) any {
	switch v := v.(type) {
	case []any:
		was, _ := old.([]any)
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = restored(e, twin(e, was))
		}
		return out
	case map[string]any:
		was, _ := old.(map[string]any)
		out := make(map[string]any, len(v))
		for k, e := range v {
			_, named := was["id"]
			_, native := was["_id"]
			if s, ok := e.(string); k == "id" && (native || !named && ok && media.ValidEntityID(s)) {
				k = "_id"
			}
			out[k] = restored(e, was[k])
		}
		for k, e := range was {
			if hidden(k) {
				out[k] = e
			}
		}
		return out
	}
	return v
}

// twin finds the object with the same id in the list that was there.
func twin(v any, was []any) any {
	if _, ok := v.(map[string]any); !ok {
		return nil
	}
	if id := idOf(v); id != "" {
		for _, old := range was {
			if _, is := old.(map[string]any); is && idOf(old) == id {
				return old
			}
		}
	}
	return nil
}
