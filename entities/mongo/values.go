package mongo

import (
	"maps"
	"math"
	"math/big"
	"reflect"
	"slices"
	"strconv"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"sluice/entities"
)

// decode gives a document. content is what its version is of.
func decode(raw bson.Raw) (entities.Document, error) {
	elements, err := raw.Elements()
	if err != nil {
		return entities.Document{}, err
	}
	d := entities.Document{Fields: make(map[string]any, len(elements)), Raw: raw}
	for _, e := range elements {
		v := e.Value()
		if e.Key() == "_id" {
			d.ID, d.Position.Text = v.StringValueOK()
			if o, ok := v.ObjectIDOK(); ok {
				d.ID = o.Hex()
			}
			continue
		}
		if shown, ok := value(v); ok {
			d.Fields[e.Key()] = shown
		}
	}
	switch at := d.Fields["createdAt"].(type) {
	case time.Time, string, int64, float64:
		d.Position.CreatedAt = at
	}
	d.Position.ID = d.ID
	d.Version = entities.VersionOf(d.UpdatedAt(), raw)
	return d, nil
}

// value gives what JSON can tell of a value; ok is false when it can tell nothing.
func value(v bson.RawValue) (shown any, ok bool) {
	switch v.Type {
	case bson.TypeNull, bson.TypeUndefined:
		return nil, true
	case bson.TypeBoolean:
		return v.Boolean(), true
	case bson.TypeInt32:
		return int64(v.Int32()), true
	case bson.TypeInt64:
		return v.Int64(), true
	case bson.TypeDouble:
		return v.Double(), true
	case bson.TypeDecimal128:
		return number(v.Decimal128().String()), true
	case bson.TypeString:
		return v.StringValue(), true
	case bson.TypeSymbol:
		return v.Symbol(), true
	case bson.TypeObjectID:
		return v.ObjectID().Hex(), true
	case bson.TypeDateTime:
		return v.Time().UTC(), true
	case bson.TypeEmbeddedDocument:
		elements, err := v.Document().Elements()
		if err != nil {
			return nil, false
		}
		m := make(map[string]any, len(elements))
		for _, e := range elements {
			if shown, ok := value(e.Value()); ok {
				m[e.Key()] = shown
			}
		}
		return m, true
	case bson.TypeArray:
		elements, err := v.Array().Values()
		if err != nil {
			return nil, false
		}
		list := make([]any, len(elements))
		for i, e := range elements {
			list[i], _ = value(e) // null in the place of what cannot be told: the others keep theirs
		}
		return list, true
	default: // binary, code, patterns, timestamps of replication
		return nil, false
	}
}

// number gives a decimal as a number when that has the same digits, else as the text.
func number(text string) any {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		return text
	}
	exact, ok := new(big.Rat).SetString(text)
	shortest, also := new(big.Rat).SetString(strconv.FormatFloat(f, 'g', -1, 64))
	if !ok || !also || exact.Cmp(shortest) != 0 {
		return text
	}
	return f
}

// encode makes the document that d is. What it has in common with the one it was made from keeps its bytes.
func encode(d entities.Document) (bson.Raw, error) {
	out := bson.D{}
	var was []bson.RawElement
	if base, ok := d.Raw.(bson.Raw); ok {
		var err error
		if was, err = base.Elements(); err != nil {
			return nil, err
		}
	}
	known := map[string]bool{}
	for _, e := range was {
		known[e.Key()] = true
		if v, stays := next(d.Fields, e); stays || e.Key() == "_id" {
			out = append(out, bson.E{Key: e.Key(), Value: v})
		}
	}
	if !known["_id"] {
		out = append(bson.D{{Key: "_id", Value: asID(d.ID)}}, out...)
	}
	for _, k := range slices.Sorted(maps.Keys(d.Fields)) {
		if !known[k] {
			out = append(out, bson.E{Key: k, Value: first(k, d.Fields[k])})
		}
	}
	return bson.Marshal(out)
}

// next gives what a member is to hold: as it is, when nothing of it changed or nothing of it can be told; stays is false when it is to go.
func next(fields map[string]any, e bson.RawElement) (v any, stays bool) {
	was := e.Value()
	shown, ok := value(was)
	if !ok || e.Key() == "_id" {
		return was, true
	}
	now, stays := fields[e.Key()]
	if !stays {
		return nil, false
	}
	if reflect.DeepEqual(now, shown) {
		return was, true
	}
	return like(now, was, true), true
}

// asID gives an id in MongoDB's own form where it has one.
func asID(id string) any {
	if o, ok := native(id); ok {
		return o
	}
	return id
}

// first gives a value for a member that was not there. Who owns a record is kept as the id it is, as LMSs do.
func first(name string, v any) any {
	if s, ok := v.(string); ok && slices.Contains([]string{"createdBy", "instructor", "seller", "owner", "userId", "user", "buyer"}, name) {
		return asID(s)
	}
	return like(v, bson.RawValue{}, false)
}

// like gives a value in the type of the one in whose place it stands, where it can be told in that. With carry, what of that JSON could
// not tell stays in it.
func like(v any, was bson.RawValue, carry bool) any {
	switch v := v.(type) {
	case string:
		return likeText(v, was)
	case int64:
		switch {
		case was.Type == bson.TypeDouble:
			return float64(v)
		case was.Type == bson.TypeDecimal128:
			return decimal(strconv.FormatInt(v, 10), v)
		case was.Type != bson.TypeInt64 && v >= math.MinInt32 && v <= math.MaxInt32:
			return int32(v) // as JavaScript's driver writes it
		}
		return v
	case float64:
		if was.Type == bson.TypeDecimal128 {
			return decimal(strconv.FormatFloat(v, 'g', -1, 64), v)
		}
		return v
	case []any:
		return likeList(v, was, carry)
	case map[string]any:
		return likeObject(v, was, carry)
	}
	return v // nil, bool, time.Time
}

func likeText(v string, was bson.RawValue) any {
	switch was.Type {
	case bson.TypeObjectID:
		return asID(v)
	case bson.TypeDateTime:
		if t := entities.TimeOf(v); !t.IsZero() {
			return t
		}
	case bson.TypeDecimal128:
		return decimal(v, v)
	default:
	}
	return v
}

// decimal reads a decimal; otherwise when it is none.
func decimal(text string, otherwise any) any {
	d, err := bson.ParseDecimal128(text)
	if err != nil {
		return otherwise
	}
	return d
}

// likeList makes a list in the place of another: an object is like the one with its id, anything else like the first.
func likeList(list []any, was bson.RawValue, carry bool) bson.A {
	var old []bson.RawValue
	if a, ok := was.ArrayOK(); ok {
		old, _ = a.Values() // decoded before
	}
	out := make(bson.A, len(list))
	for i, v := range list {
		var pattern bson.RawValue
		if len(old) > 0 {
			pattern = old[0]
		}
		same := false
		if m, ok := v.(map[string]any); ok && m["_id"] != nil {
			for _, o := range old {
				if shown, _ := value(o); idIn(shown) == m["_id"] {
					pattern, same = o, true
				}
			}
		}
		out[i] = like(v, pattern, carry && same)
	}
	return out
}

func idIn(v any) any {
	m, _ := v.(map[string]any)
	return m["_id"]
}

// likeObject makes an object in the place of another, its members in the order they had.
func likeObject(m map[string]any, was bson.RawValue, carry bool) bson.D {
	var old []bson.RawElement
	if d, ok := was.DocumentOK(); ok {
		old, _ = d.Elements() // decoded before
	}
	out := bson.D{}
	known := map[string]bool{}
	for _, e := range old {
		known[e.Key()] = true
		if carry {
			if v, stays := next(m, e); stays && (e.Key() != "_id" || m["_id"] != nil) {
				out = append(out, bson.E{Key: e.Key(), Value: v})
			}
		} else if v, stays := m[e.Key()]; stays {
			out = append(out, bson.E{Key: e.Key(), Value: like(v, e.Value(), false)})
		}
	}
	for _, k := range slices.Sorted(maps.Keys(m)) { // _id is before letters
		if known[k] {
			continue
		}
		if s, ok := m[k].(string); ok && k == "_id" {
			out = append(out, bson.E{Key: k, Value: asID(s)})
			continue
		}
		out = append(out, bson.E{Key: k, Value: like(m[k], bson.RawValue{}, false)})
	}
	return out
}
