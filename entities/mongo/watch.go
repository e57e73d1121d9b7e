package mongo

import (
	"context"
	"errors"
	"log/slog"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"sluice/media"
)

// Watch makes the indexes that are missing, the first time it is called, and follows the change stream where the server has one: replica
// sets and sharded clusters do.
func (d *Driver) Watch(ctx context.Context, changed func(media.Subject)) error {
	var hello struct {
		Set string `bson:"setName"`
		Msg string `bson:"msg"`
	}
	err := d.ask(ctx, func(ctx context.Context) error {
		return d.db.RunCommand(ctx, bson.D{{Key: "hello", Value: 1}}).Decode(&hello)
	})
	if err != nil {
		return err
	}
	if !d.indexed.Load() { // after a question that is bounded: making an index may take long, and waits for a server that is away
		if err := d.index(ctx); err != nil {
			return err
		}
		d.indexed.Store(true)
	}
	if hello.Set == "" && hello.Msg != "isdbgrid" {
		return errors.ErrUnsupported
	}
	return d.follow(ctx, changed)
}

// follow tells each change. It goes on after the last one that was told, as long as the server remembers that.
func (d *Driver) follow(ctx context.Context, changed func(media.Subject)) error {
	types := map[string]media.SubjectType{}
	names := bson.A{}
	for t, name := range d.o.Collections {
		types[name] = t
		names = append(names, name)
	}
	pipeline := mongo.Pipeline{
		is("$match", all(in("ns.coll", names), in("operationType", bson.A{"insert", "update", "replace", "delete"}))),
		is("$project", bson.D{{Key: "documentKey", Value: 1}, {Key: "ns", Value: 1}, {Key: "operationType", Value: 1}}),
	}
	o := options.ChangeStream()
	if token := d.resumeAt(nil, false); token != nil {
		o.SetResumeAfter(token)
	}
	stream, err := d.db.Watch(ctx, pipeline, o)
	if err != nil {
		return d.lost(err)
	}
	defer stream.Close(context.WithoutCancel(ctx)) //nolint:errcheck // the server drops it by itself
	for stream.Next(ctx) {
		if s, ok := subjectOf(types, stream.Current); ok {
			changed(s)
		}
		d.resumeAt(stream.ResumeToken(), true)
	}
	return d.lost(stream.Err())
}

// lost tells what the end of a stream means. Codes: a stage or a command that the server does not have; a history that it has forgotten.
func (d *Driver) lost(err error) error {
	switch {
	case err == nil:
		return unavailable(errors.New("the change stream has ended"))
	case hasCode(err, 40573, 40324, 59, 238, 115, 9):
		return errors.ErrUnsupported
	case hasCode(err, 286, 280, 260):
		d.resumeAt(nil, true)
	}
	return translate(err)
}

func (d *Driver) resumeAt(token bson.Raw, set bool) bson.Raw {
	d.mu.Lock()
	defer d.mu.Unlock()
	if set {
		d.resume = token
	}
	return d.resume
}

// subjectOf reads which record an event of a change stream is about.
func subjectOf(types map[string]media.SubjectType, event bson.Raw) (media.Subject, bool) {
	name, _ := event.Lookup("ns", "coll").StringValueOK()
	id := event.Lookup("documentKey", "_id")
	s := media.Subject{Type: types[name]}
	s.ID, _ = id.StringValueOK()
	if o, ok := id.ObjectIDOK(); ok {
		s.ID = o.Hex()
	}
	return s, s.Type != "" && media.ValidEntityID(s.ID)
}

// index makes the indexes by which records are found here. One that exists under another name, and those the login may not make, are left:
// without them a search takes longer.
func (d *Driver) index(ctx context.Context) error {
	wanted := map[string][]bson.D{d.o.Trash: {{{Key: "at", Value: 1}, {Key: "_id", Value: 1}}}}
	for t, name := range d.o.Collections {
		wanted[name] = indexes(t)
	}
	for name, all := range wanted {
		for _, keys := range all {
			_, err := d.db.Collection(name).Indexes().CreateOne(ctx, mongo.IndexModel{Keys: keys})
			if err == nil || hasCode(err, 85, 86) { // IndexOptionsConflict, IndexKeySpecsConflict
				continue
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err := translate(err); errors.Is(err, media.Unavailable) && !hasCode(err, 13) {
				return err
			}
			d.o.Logger.Warn("an index on the LMS's database cannot be made", slog.String("collection", name), slog.Any("error", err))
		}
	}
	return nil
}

func indexes(t media.SubjectType) []bson.D {
	newest := func(first string) bson.D {
		return bson.D{{Key: first, Value: 1}, {Key: "createdAt", Value: -1}, {Key: "_id", Value: -1}}
	}
	listed := []bson.D{order(), newest("category"), newest("createdBy")}
	switch t {
	case media.Product:
		return listed
	case media.Course:
		return append(listed, bson.D{{Key: "modules._id", Value: 1}}, bson.D{{Key: "modules.lessons._id", Value: 1}})
	case media.Order, media.Review:
		return []bson.D{newest("user"), newest("userId"), newest("buyer")}
	case media.User, media.Lesson, media.Page:
	}
	return nil
}
