package mongo

import (
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"sluice/entities"
	"sluice/media"
)

// Filters are made of typed values alone: no text of a stranger's ever stands where an operator or a name could.

func is(name string, value any) bson.D            { return bson.D{{Key: name, Value: value}} }
func compare(name, operator string, v any) bson.D { return is(name, is(operator, v)) }
func in(name string, values bson.A) bson.D        { return compare(name, "$in", values) }
func all(conditions ...any) bson.D                { return is("$and", bson.A(conditions)) }
func either(conditions ...any) bson.D             { return is("$or", bson.A(conditions)) }
func of(name string, types ...string) bson.D      { return compare(name, "$type", types) }
func forms(ids ...string) bson.A {
	var found bson.A
	for _, id := range ids {
		if o, ok := native(id); ok {
			found = append(found, o)
		}
		found = append(found, id)
	}
	return found
}

// native gives an id in MongoDB's own form.
func native(id string) (bson.ObjectID, bool) {
	if !media.ValidEntityID(id) {
		return bson.ObjectID{}, false
	}
	o, err := bson.ObjectIDFromHex(id)
	return o, err == nil
}

// matching is the filter of a query.
func matching(q entities.Query) bson.D {
	where := bson.A{compare(entities.PendingMember, "$exists", false)}
	if q.IDs != nil {
		where = append(where, in("_id", forms(q.IDs...)))
	} else {
		where = append(where, of("_id", "objectId", "string"))
	}
	if q.Lesson != "" {
		where = append(where, in("modules.lessons._id", forms(q.Lesson)))
	}
	if q.Owner != "" {
		where = append(where, owned(entities.OwnerFields(q.Type), q.Owner))
	}
	if q.Category != "" {
		where = append(where, in("category", forms(q.Category)))
	}
	if q.Listed {
		where = append(where, compare("published", "$ne", false), compare("isPublished", "$ne", false), compare("status", "$nin", entities.HiddenStates()))
	}
	if q.After != nil {
		where = append(where, after(*q.After))
	}
	return all(where...)
}

// buried is the filter of a query of the trash.
func buried(q entities.Query) bson.D {
	where := bson.A{is("type", string(q.Type))}
	if members := entities.OwnerFields(q.Type); q.Owner != "" && len(members) > 0 {
		for i, m := range members {
			members[i] = "document." + m
		}
		where = append(where, owned(members, q.Owner))
	} else if q.Owner != "" {
		where = append(where, is("id", q.Owner)) // a user is their own
	}
	if q.After != nil {
		at := q.After.CreatedAt
		tie := compare("_id", "$lt", trashID(entities.Key{Subject: media.Subject{Type: q.Type, ID: q.After.ID}}))
		where = append(where, either(compare("at", "$lt", at), all(is("at", at), tie)))
	}
	return all(where...)
}

// owned is entities.OwnerOf as a condition. Each of its parts begins with the strongest member, so that one index on that serves them all:
// a record that has it is found at once, and only those without are looked through for the weaker ones.
func owned(members []string, owner string) bson.D {
	if len(members) == 0 {
		return in("_id", forms(owner)) // a user is their own
	}
	name, ids := members[0], forms(owner)
	parts := []any{
		in(name, ids),
		all(of(name, "object"), either(in(name+"._id", ids), all(is(name+"._id", nil), in(name+".id", ids)))),
	}
	if len(members) > 1 {
		parts = append(parts, all(in(name, bson.A{nil, ""}), owned(members[1:], owner)))
	}
	return either(parts...)
}

// order is how lists are sorted.
func order() bson.D { return bson.D{{Key: "createdAt", Value: -1}, {Key: "_id", Value: -1}} }

// after selects what comes later in lists than a position. Comparisons in MongoDB stay within a type; between types its order, downwards,
// is times, texts, numbers, nothing.
func after(p entities.Position) bson.D {
	var tie any
	if p.Text {
		tie = compare("_id", "$lt", p.ID)
	} else {
		o, _ := native(p.ID)
		tie = either(compare("_id", "$lt", o), of("_id", "string"))
	}
	var lower any
	switch p.CreatedAt.(type) {
	case nil:
		return all(is("createdAt", nil), tie)
	case time.Time:
		lower = compare("createdAt", "$not", is("$type", "date"))
	case string:
		lower = either(of("createdAt", "number"), is("createdAt", nil))
	default:
		lower = is("createdAt", nil)
	}
	return either(compare("createdAt", "$lt", p.CreatedAt), all(is("createdAt", p.CreatedAt), tie), lower)
}

// unchanged selects a document as it was read: each of its members holds what it held. A member that is new since then does not count, and
// is not touched by what is written.
func unchanged(was bson.Raw) bson.D {
	elements, err := was.Elements()
	if err != nil {
		return is("_id", bson.A{}) // never: it was decoded before
	}
	filter := bson.D{}
	for _, e := range elements {
		switch name := e.Key(); {
		case name == "_id":
			filter = append(filter, bson.E{Key: name, Value: e.Value()})
		case plainName(name) && e.Value().Type != bson.TypeUndefined: // which no condition may name
			filter = append(filter, bson.E{Key: name, Value: is("$eq", e.Value())})
		}
	}
	return filter
}

// plainName reports whether a name means itself in filters and updates; others may stand in documents since MongoDB 5.
func plainName(name string) bool {
	return name != "" && !strings.HasPrefix(name, "$") && !strings.Contains(name, ".")
}

// projection is which members are read.
func projection(q entities.Query) bson.D {
	p := bson.D{}
	for _, m := range slices.Compact(slices.Sorted(slices.Values(append([]string{"createdAt"}, q.Members...)))) {
		p = append(p, bson.E{Key: m, Value: 1})
	}
	return p
}
