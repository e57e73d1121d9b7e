package mongo

import (
	"go.mongodb.org/mongo-driver/v2/bson"

	"sluice/entities"
	"sluice/media"
)

// What tests look at without a server.

func Decode(raw bson.Raw) (entities.Document, error) { return decode(raw) }
func Encode(d entities.Document) (bson.Raw, error)   { return encode(d) }
func Translate(err error) error                      { return translate(err) }
func Explain(err error) error                        { return explain("host:27017", err) }
func Lost(err error) error                           { return (&Driver{}).lost(err) }
func Database(uri string) (string, error)            { return databaseOf(uri) }
func Difference(was bson.Raw, d entities.Document) (bson.D, error) {
	return difference(was, d)
}
func Unchanged(was bson.Raw) bson.D { return unchanged(was) }
func SubjectOf(event bson.Raw) (media.Subject, bool) {
	return subjectOf(map[string]media.SubjectType{"products": media.Product}, event)
}
