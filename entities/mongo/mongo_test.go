package mongo_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"sluice/entities"
	"sluice/entities/entitiestest"
	"sluice/entities/mongo"
	"sluice/internal/livetest"
	"sluice/media"
)

func TestContract(t *testing.T) {
	t.Parallel()
	server := livetest.Mongo(t)
	var n atomic.Int64
	entitiestest.Run(t, func(t testing.TB) entitiestest.Place {
		uri := server.URI(fmt.Sprintf("lms%d", n.Add(1)))
		return entitiestest.Place{
			Driver:  open(t, uri),
			Again:   func(t testing.TB) entities.Driver { return open(t, uri) },
			Foreign: func(t testing.TB, k entities.Key, set map[string]any) { foreign(t, uri, k, set) },
		}
	})
}

func open(t testing.TB, uri string) *mongo.Driver {
	t.Helper()
	d, err := mongo.Open(t.Context(), uri, mongo.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return d
}

// database is the LMS's own way in.
func database(t testing.TB, uri string) *driver.Database {
	t.Helper()
	client, err := driver.Connect(options.Client().ApplyURI(uri))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Disconnect(t.Context()) })
	name := uri[strings.LastIndex(uri, "/")+1:]
	name, _, _ = strings.Cut(name, "?")
	return client.Database(name)
}

var collections = map[media.SubjectType]string{
	media.Product: "products", media.Course: "courses", media.User: "users", media.Review: "reviews", media.Order: "orders",
}

func foreign(t testing.TB, uri string, k entities.Key, set map[string]any) {
	t.Helper()
	id, err := bson.ObjectIDFromHex(k.ID)
	if err != nil {
		t.Fatal(err)
	}
	update := bson.M{}
	for name, v := range set {
		op := "$set"
		if v == nil {
			op = "$unset"
		}
		if update[op] == nil {
			update[op] = bson.M{}
		}
		update[op].(bson.M)[name] = v
	}
	_, err = database(t, uri).Collection(collections[k.Type]).UpdateOne(t.Context(), bson.M{"_id": id}, update, options.UpdateOne().SetUpsert(true))
	if err != nil {
		t.Fatal(err)
	}
}
