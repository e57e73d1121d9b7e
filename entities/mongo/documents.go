package mongo

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"sluice/entities"
	"sluice/media"
)

// Get reads a document by its id, in either form; one in the trash by the name it has there.
func (d *Driver) Get(ctx context.Context, k entities.Key) (entities.Document, error) {
	raw, at, err := d.read(ctx, k)
	if err != nil {
		return entities.Document{}, err
	}
	return shown(raw, at)
}

func shown(raw bson.Raw, buriedAt time.Time) (entities.Document, error) {
	doc, err := decode(raw)
	doc.BuriedAt = buriedAt
	if err != nil {
		return entities.Document{}, fmt.Errorf("entities mongo: a document cannot be read: %w", err)
	}
	return doc, nil
}

// read gives the LMS's document, out of its wrapping in the trash, and since when it lies there.
func (d *Driver) read(ctx context.Context, k entities.Key) (raw bson.Raw, at time.Time, err error) {
	names := forms(k.ID)
	if k.Trash {
		names = bson.A{trashID(k)}
	}
	for _, name := range names { // one after the other: a server looks one value of _id up faster than it plans for several
		err = d.ask(ctx, func(ctx context.Context) error {
			raw, err = d.collection(k).FindOne(ctx, is("_id", name)).Raw()
			return err
		})
		if !errors.Is(err, media.NotFound) {
			break
		}
	}
	if err != nil || !k.Trash {
		return raw, at, err
	}
	return unwrapped(raw)
}

// unwrapped gives the LMS's document out of its wrapping in the trash, and since when it lies there.
func unwrapped(lying bson.Raw) (doc bson.Raw, at time.Time, err error) {
	doc, ok := lying.Lookup("document").DocumentOK()
	if !ok {
		return nil, at, errors.New("entities mongo: what lies in the trash is no document of the LMS")
	}
	if t, ok := lying.Lookup("at").TimeOK(); ok {
		at = t.UTC()
	}
	return doc, at, nil
}

// Trashed reads the names of what lies in the trash.
func (d *Driver) Trashed(ctx context.Context, before time.Time, limit int) ([]media.Subject, error) {
	o := options.Find().SetSort(bson.D{{Key: "at", Value: 1}, {Key: "_id", Value: 1}}).SetLimit(int64(limit))
	o.SetProjection(bson.D{{Key: "type", Value: 1}, {Key: "id", Value: 1}})
	var lying []struct {
		Type media.SubjectType `bson:"type"`
		ID   string            `bson:"id"`
	}
	err := d.ask(ctx, func(ctx context.Context) error {
		cursor, err := d.db.Collection(d.o.Trash).Find(ctx, compare("at", "$lt", before), o)
		if err != nil {
			return err
		}
		lying = nil
		return cursor.All(ctx, &lying)
	})
	var found []media.Subject
	for _, l := range lying {
		found = append(found, media.Subject{Type: l.Type, ID: l.ID})
	}
	return found, err
}

// trashID names a document in the trash: there are documents of all types.
func trashID(k entities.Key) string { return string(k.Type) + ":" + k.ID }

// wrapped is a document as it lies in the trash.
func wrapped(k entities.Key, doc bson.Raw, at time.Time) bson.D {
	return bson.D{
		{Key: "_id", Value: trashID(k)}, {Key: "type", Value: string(k.Type)}, {Key: "id", Value: k.ID}, {Key: "at", Value: at}, {Key: "document", Value: doc},
	}
}

// lessonCourses is how many courses with one lesson are looked at. There should be one.
const lessonCourses = 16

// Find reads documents. What is found by ids or by a lesson is put in order here: a database that sorts might walk its newest documents
// for the few that fit.
func (d *Driver) Find(ctx context.Context, q entities.Query) ([]entities.Document, error) {
	if q.IDs != nil && len(q.IDs) == 0 {
		return nil, nil
	}
	where, o := matching(q), options.Find()
	switch {
	case q.Trash:
		where = buried(q)
		o.SetSort(bson.D{{Key: "at", Value: -1}, {Key: "_id", Value: -1}}).SetLimit(int64(q.Limit))
	case q.IDs != nil:
		o.SetLimit(int64(2 * len(q.IDs))) // either form of each
	case q.Lesson != "":
		o.SetLimit(lessonCourses)
	default:
		o.SetSort(order()).SetLimit(int64(q.Limit))
	}
	if q.Members != nil {
		o.SetProjection(projection(q))
	}
	var found []bson.Raw
	err := d.ask(ctx, func(ctx context.Context) error {
		cursor, err := d.collection(entities.Key{Subject: media.Subject{Type: q.Type}, Trash: q.Trash}).Find(ctx, where, o)
		if err != nil {
			return err
		}
		found = nil
		return cursor.All(ctx, &found)
	})
	if err != nil {
		return nil, err
	}
	docs := make([]entities.Document, 0, len(found))
	for _, raw := range found {
		var at time.Time
		if q.Trash {
			if raw, at, err = unwrapped(raw); err != nil {
				return nil, err
			}
		}
		doc, err := shown(raw, at)
		if err != nil {
			return nil, err
		}
		docs = append(docs, doc)
	}
	if q.IDs != nil || q.Lesson != "" {
		slices.SortFunc(docs, func(a, b entities.Document) int {
			return cmp.Or(b.CreatedAt().Compare(a.CreatedAt()), cmp.Compare(b.ID, a.ID))
		})
	}
	return docs[:min(len(docs), q.Limit)], nil
}

// Write reads, asks change, and writes under the condition that the document is still what was read.
func (d *Driver) Write(ctx context.Context, k entities.Key, change entities.Change) (entities.Document, error) {
	for {
		raw, at, err := d.read(ctx, k)
		if err != nil && !errors.Is(err, media.NotFound) {
			return entities.Document{}, err
		}
		var there *entities.Document
		if err == nil {
			doc, err := shown(raw, at)
			if err != nil {
				return entities.Document{}, err
			}
			there = &doc
		}
		next, err := change(there)
		if err != nil {
			return entities.Document{}, err
		}
		if next == there {
			if there == nil {
				return entities.Document{}, nil
			}
			return *there, nil
		}
		after, err := d.swap(ctx, k, raw, next)
		if errors.Is(err, errChanged) {
			continue
		}
		if err != nil || after == nil {
			return entities.Document{}, err
		}
		return shown(after, next.BuriedAt)
	}
}

// errChanged says that a document is not what was read any more.
var errChanged = errors.New("it has been changed meanwhile")

// swap puts next, or nothing, in the place of a document that was read, or of nothing.
func (d *Driver) swap(ctx context.Context, k entities.Key, was bson.Raw, next *entities.Document) (after bson.Raw, err error) {
	if next == nil {
		return nil, d.remove(ctx, k, was)
	}
	doc := *next
	doc.ID = k.ID
	if was == nil {
		return d.insert(ctx, k, doc)
	}
	if k.Trash {
		return d.lay(ctx, k, was, doc)
	}
	return d.update(ctx, k, was, doc)
}

func (d *Driver) remove(ctx context.Context, k entities.Key, was bson.Raw) error {
	filter := unchanged(was)
	if k.Trash {
		filter = lying(k, was)
	}
	return d.tell(ctx, func(ctx context.Context) error {
		result, err := d.collection(k).DeleteOne(ctx, filter)
		if err == nil && result.DeletedCount == 0 {
			return errChanged
		}
		return err
	})
}

// lying selects what lies in the trash as it was read.
func lying(k entities.Key, was bson.Raw) bson.D {
	return bson.D{{Key: "_id", Value: trashID(k)}, {Key: "document", Value: is("$eq", was)}}
}

func (d *Driver) insert(ctx context.Context, k entities.Key, doc entities.Document) (bson.Raw, error) {
	raw, err := encode(doc)
	if err != nil {
		return nil, fmt.Errorf("entities mongo: %w", err)
	}
	var whole any = raw
	if k.Trash {
		whole = wrapped(k, raw, doc.BuriedAt)
	}
	err = d.tell(ctx, func(ctx context.Context) error {
		_, err := d.collection(k).InsertOne(ctx, whole)
		return err
	})
	if errors.Is(err, media.Conflict) {
		// Either this id is taken by now, or another rule of the LMS's own says no.
		if _, _, missing := d.read(ctx, k); missing == nil {
			return nil, errChanged
		}
	}
	return raw, err
}

// lay replaces what lies in the trash.
func (d *Driver) lay(ctx context.Context, k entities.Key, was bson.Raw, doc entities.Document) (bson.Raw, error) {
	raw, err := encode(doc)
	if err != nil {
		return nil, fmt.Errorf("entities mongo: %w", err)
	}
	return raw, d.tell(ctx, func(ctx context.Context) error {
		result, err := d.collection(k).ReplaceOne(ctx, lying(k, was), wrapped(k, raw, doc.BuriedAt))
		if err == nil && result.MatchedCount == 0 {
			return errChanged
		}
		return err
	})
}

// update changes the members that differ: what others add meanwhile stays.
func (d *Driver) update(ctx context.Context, k entities.Key, was bson.Raw, doc entities.Document) (after bson.Raw, err error) {
	change, err := difference(was, doc)
	if err != nil {
		return nil, fmt.Errorf("entities mongo: %w", err)
	}
	if len(change) == 0 {
		return was, nil
	}
	err = d.tell(ctx, func(ctx context.Context) error {
		after, err = d.collection(k).FindOneAndUpdate(ctx, unchanged(was), change, options.FindOneAndUpdate().SetReturnDocument(options.After)).Raw()
		if errors.Is(err, mongo.ErrNoDocuments) {
			return errChanged
		}
		return err
	})
	return after, err
}

// difference is the update that makes a document into another.
func difference(was bson.Raw, doc entities.Document) (bson.D, error) {
	want, err := encode(doc)
	if err != nil {
		return nil, err
	}
	elements, err := want.Elements()
	if err != nil {
		return nil, err
	}
	old, err := was.Elements()
	if err != nil {
		return nil, err
	}
	set, unset, stays := bson.D{}, bson.D{}, map[string]bool{}
	for _, e := range elements {
		stays[e.Key()] = true
		v, is := e.Value(), was.Lookup(e.Key())
		if e.Key() != "_id" && plainName(e.Key()) && (is.Type != v.Type || !bytes.Equal(is.Value, v.Value)) {
			set = append(set, bson.E{Key: e.Key(), Value: v})
		}
	}
	for _, e := range old {
		if !stays[e.Key()] && plainName(e.Key()) && e.Key() != "_id" {
			unset = append(unset, bson.E{Key: e.Key(), Value: ""})
		}
	}
	var change bson.D
	if len(set) > 0 {
		change = append(change, bson.E{Key: "$set", Value: set})
	}
	if len(unset) > 0 {
		change = append(change, bson.E{Key: "$unset", Value: unset})
	}
	return change, nil
}
