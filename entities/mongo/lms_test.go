package mongo_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"sluice/entities"
	"sluice/entities/mongo"
	"sluice/internal/livetest"
	"sluice/media"
)

// lms is a database as an LMS keeps it, and records over it.
type lms struct {
	t  *testing.T
	db *driver.Database
	d  *mongo.Driver
	r  *entities.Records
}

func newLMS(t *testing.T) *lms {
	t.Helper()
	uri := livetest.Mongo(t).URI("lms")
	d := open(t, uri)
	return &lms{t: t, db: database(t, uri), d: d, r: records(t, d)}
}

func (l *lms) insert(collection string, doc bson.D) {
	l.t.Helper()
	if _, err := l.db.Collection(collection).InsertOne(l.t.Context(), doc); err != nil {
		l.t.Fatal(err)
	}
}

// raw reads a document as the LMS does.
func (l *lms) raw(collection string, id any) bson.Raw {
	l.t.Helper()
	raw, err := l.db.Collection(collection).FindOne(l.t.Context(), bson.M{"_id": id}).Raw()
	if err != nil {
		l.t.Fatal(err)
	}
	return raw
}

func oid(n int) bson.ObjectID {
	o, err := bson.ObjectIDFromHex(fmt.Sprintf("65a0000000000000%08x", n))
	if err != nil {
		panic(err) // 24 digits
	}
	return o
}

func (l *lms) course() bson.D {
	return bson.D{
		{Key: "_id", Value: oid(1)},
		{Key: "title", Value: "Light"},
		{Key: "instructor", Value: oid(9)},
		{Key: "price", Value: 10.0},
		{Key: "seats", Value: int32(20)},
		{Key: "secret", Value: bson.Binary{Data: []byte{1, 2}}},
		{Key: "startsAt", Value: time.UnixMilli(1700000000123).UTC()},
		{Key: "isPublished", Value: true},
		{Key: "modules", Value: bson.A{bson.D{
			{Key: "_id", Value: oid(2)},
			{Key: "title", Value: "One"},
			{Key: "lessons", Value: bson.A{bson.D{{Key: "_id", Value: oid(3)}, {Key: "title", Value: "Intro"}, {Key: "key", Value: bson.Binary{Data: []byte{3}}}}}},
		}}},
		{Key: "createdAt", Value: time.UnixMilli(1600000000000).UTC()},
		{Key: "updatedAt", Value: time.UnixMilli(1600000001000).UTC()},
		{Key: "__v", Value: int32(3)},
	}
}

var aCourse = media.Subject{Type: media.Course, ID: oid(1).Hex()}

func TestADocumentOfTheLMSIsPassedOn(t *testing.T) {
	t.Parallel()
	l := newLMS(t)
	l.insert("courses", l.course())
	got, err := l.r.Record(t.Context(), aCourse)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"title": "Light", "instructor": oid(9).Hex(), "price": 10.0, "seats": int64(20), "startsAt": "2023-11-14T22:13:20.123Z", "isPublished": true,
		"modules":   []any{map[string]any{"id": oid(2).Hex(), "title": "One", "lessons": []any{map[string]any{"id": oid(3).Hex(), "title": "Intro"}}}},
		"createdAt": "2020-09-13T12:26:40.000Z", "updatedAt": "2020-09-13T12:26:41.000Z",
	}
	if d := cmp.Diff(want, got.Fields); d != "" {
		t.Errorf("fields (-want +got):\n%s", d)
	}
	if got.Owner != oid(9).Hex() || !got.Published || got.CreatedAt.UnixMilli() != 1600000000000 || !got.HasLesson(oid(3).Hex()) || !got.HasModule(oid(2).Hex()) {
		t.Errorf("got %+v", got)
	}
}

func TestAChangeKeepsTheLMSsTypes(t *testing.T) {
	t.Parallel()
	l := newLMS(t)
	l.insert("courses", l.course())
	read, err := l.r.Record(t.Context(), aCourse)
	if err != nil {
		t.Fatal(err)
	}
	modules, ok := read.Fields["modules"].([]any)
	if !ok {
		t.Fatal("no modules")
	}
	lesson := map[string]any{"id": oid(4).Hex(), "title": "Second"}
	modules[0].(map[string]any)["lessons"] = append([]any{lesson}, modules[0].(map[string]any)["lessons"].([]any)...)
	changed, err := l.r.Change(t.Context(), aCourse, read.Version, map[string]any{
		"title": "Lights", "instructor": oid(8).Hex(), "price": int64(12), "seats": int64(21), "startsAt": "2024-01-01T00:00:00Z", "modules": modules, "isPublished": nil,
		"level": "beginner",
	})
	if err != nil {
		t.Fatal(err)
	}
	raw := l.raw("courses", oid(1))
	for name, want := range map[string]bson.Type{
		"title": bson.TypeString, "instructor": bson.TypeObjectID, "price": bson.TypeDouble, "seats": bson.TypeInt32, "startsAt": bson.TypeDateTime,
		"createdAt": bson.TypeDateTime, "updatedAt": bson.TypeDateTime, "secret": bson.TypeBinary, "__v": bson.TypeInt32, "level": bson.TypeString,
	} {
		if got := raw.Lookup(name).Type; got != want {
			t.Errorf("%s has become %v, want %v", name, got, want)
		}
	}
	lessons, err := raw.Lookup("modules", "0", "lessons").Array().Values()
	if err != nil || len(lessons) != 2 {
		t.Fatalf("got %d lessons, %v", len(lessons), err)
	}
	for i, want := range []bson.ObjectID{oid(4), oid(3)} {
		if got, ok := lessons[i].Document().Lookup("_id").ObjectIDOK(); !ok || got != want {
			t.Errorf("lesson %d has the id %v, want %v", i, got, want)
		}
	}
	if got := lessons[1].Document().Lookup("key").Type; got != bson.TypeBinary {
		t.Errorf("what JSON cannot tell of a lesson has become %v", got)
	}
	if _, err := raw.LookupErr("isPublished"); err == nil {
		t.Error("a member set to nil is still there")
	}
	if !changed.UpdatedAt.After(read.UpdatedAt) || changed.Version == read.Version {
		t.Errorf("changed at %v as %q", changed.UpdatedAt, changed.Version)
	}
	if again, err := l.r.Record(t.Context(), aCourse); err != nil || again.Version != changed.Version {
		t.Errorf("the version that change gave is %q, that of a read %q, %v", changed.Version, again.Version, err)
	}
}

func TestWhatIsRaisedIsWhatWasBuried(t *testing.T) {
	t.Parallel()
	l := newLMS(t)
	l.insert("courses", l.course())
	was := l.raw("courses", oid(1))
	if err := l.r.Bury(t.Context(), aCourse, ""); err != nil {
		t.Fatal(err)
	}
	if n, err := l.db.Collection("courses").CountDocuments(t.Context(), bson.M{}); n != 0 || err != nil {
		t.Errorf("the LMS still sees %d courses, %v", n, err)
	}
	lies := l.raw("sluice_trash", "course:"+aCourse.ID)
	if got := lies.Lookup("document").Document(); !slices.Equal(got, was) {
		t.Errorf("in the trash lies %v, want %v", got, was)
	}
	if _, ok := lies.Lookup("at").TimeOK(); !ok {
		t.Error("the trash does not say since when")
	}
	if _, err := l.r.Raise(t.Context(), aCourse); err != nil {
		t.Fatal(err)
	}
	got, err := l.raw("courses", oid(1)).Elements()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range got {
		if e.Key() != "updatedAt" && !e.Value().Equal(was.Lookup(e.Key())) {
			t.Errorf("%s came back as %v, was %v", e.Key(), e.Value(), was.Lookup(e.Key()))
		}
	}
	if all, _ := was.Elements(); len(got) != len(all) {
		t.Errorf("%d members came back, there were %d", len(got), len(all))
	}
}

func TestWhatIsCreatedIsAsAnLMSWouldHaveMadeIt(t *testing.T) {
	t.Parallel()
	l := newLMS(t)
	_, err := l.r.Create(t.Context(), media.Record{Subject: aCourse, Owner: oid(9).Hex(), Fields: map[string]any{
		"title": "Light", "seats": int64(20), "large": int64(1) << 40, "modules": []any{map[string]any{"id": oid(2).Hex(), "lessons": []any{map[string]any{"id": oid(3).Hex()}}}},
	}}, "work 1")
	if err != nil {
		t.Fatal(err)
	}
	if got := l.raw("courses", oid(1)).Lookup(entities.PendingMember).StringValue(); got != "work 1" {
		t.Errorf("what is pending is marked %q", got)
	}
	if _, err := l.r.Settle(t.Context(), aCourse, "work 1"); err != nil {
		t.Fatal(err)
	}
	raw := l.raw("courses", oid(1))
	if strings.Contains(raw.String(), "sluice") {
		t.Errorf("a mark of ours is left: %v", raw)
	}
	for path, want := range map[string]bson.Type{
		"createdBy": bson.TypeObjectID, "seats": bson.TypeInt32, "large": bson.TypeInt64, "createdAt": bson.TypeDateTime, "updatedAt": bson.TypeDateTime,
		"modules.0._id": bson.TypeObjectID, "modules.0.lessons.0._id": bson.TypeObjectID,
	} {
		if got := raw.Lookup(strings.Split(path, ".")...).Type; got != want {
			t.Errorf("%s is %v, want %v", path, got, want)
		}
	}
}

func TestOwnersAndUsersAreFoundInEveryForm(t *testing.T) {
	t.Parallel()
	l := newLMS(t)
	user := oid(9)
	for n, with := range []bson.E{
		{Key: "createdBy", Value: user},
		{Key: "createdBy", Value: user.Hex()},
		{Key: "instructor", Value: bson.D{{Key: "_id", Value: user}, {Key: "name", Value: "Ann"}}},
		{Key: "seller", Value: bson.D{{Key: "id", Value: user.Hex()}}},
		{Key: "user", Value: user},
	} {
		l.insert("products", bson.D{{Key: "_id", Value: oid(n)}, with})
	}
	l.insert("products", bson.D{{Key: "_id", Value: oid(90)}, {Key: "createdBy", Value: oid(8)}, {Key: "user", Value: user}})
	got, err := l.r.List(t.Context(), media.RecordQuery{Type: media.Product, Owner: user.Hex()})
	if err != nil || len(got.Items) != 5 {
		t.Errorf("got %d products, %v, want 5", len(got.Items), err)
	}
	for n, with := range []bson.E{
		{Key: "user", Value: user}, {Key: "userId", Value: user.Hex()}, {Key: "buyer", Value: bson.D{{Key: "_id", Value: user}}}, {Key: "buyer", Value: oid(8)},
	} {
		l.insert("orders", bson.D{{Key: "_id", Value: oid(n)}, with, {Key: "isPaid", Value: true}, {Key: "items", Value: bson.A{bson.D{{Key: "course", Value: oid(50 + n)}}}}})
	}
	granted, err := l.r.Granted(t.Context(), user.Hex())
	if err != nil {
		t.Fatal(err)
	}
	var want []media.Subject
	for _, n := range []int{52, 51, 50} {
		want = append(want, media.Subject{Type: media.Course, ID: oid(n).Hex()})
	}
	if d := cmp.Diff(want, granted); d != "" {
		t.Errorf("granted (-want +got):\n%s", d)
	}
}

func TestIDsThatAreTexts(t *testing.T) {
	t.Parallel()
	l := newLMS(t)
	s := media.Subject{Type: media.Course, ID: oid(1).Hex()}
	l.insert("courses", bson.D{{Key: "_id", Value: s.ID}, {Key: "title", Value: "Light"}, {Key: "modules", Value: bson.A{bson.D{{Key: "lessons", Value: bson.A{bson.D{{Key: "_id", Value: oid(3).Hex()}}}}}}}})
	read, err := l.r.Record(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := l.r.Record(t.Context(), media.Subject{Type: media.Lesson, ID: oid(3).Hex()}); err != nil || got.Subject != s {
		t.Errorf("the lesson's course: got %v, %v", got.Subject, err)
	}
	if _, err := l.r.Create(t.Context(), media.Record{Subject: s}, ""); !errors.Is(err, media.Conflict) {
		t.Errorf("create over it: got %v, want conflict", err)
	}
	if _, err := l.r.Change(t.Context(), s, read.Version, map[string]any{"title": "Lights"}); err != nil {
		t.Fatal(err)
	}
	if err := l.r.Bury(t.Context(), s, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := l.r.Raise(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if got := l.raw("courses", s.ID).Lookup("title").StringValue(); got != "Lights" {
		t.Errorf("it came back as %q", got)
	}
}

// TestListsOfMixedDocuments pages through ids and times of every kind an LMS may have mixed.
func TestListsOfMixedDocuments(t *testing.T) {
	t.Parallel()
	l := newLMS(t)
	at := time.UnixMilli(1700000000000).UTC()
	var want []string
	for n, created := range []any{nil, nil, "2026-01-01", "2026-01-02", "2026-01-02", int32(5), 7.5, at, at, at.Add(time.Second)} {
		for _, id := range []any{oid(n), oid(100 + n).Hex()} {
			doc := bson.D{{Key: "_id", Value: id}}
			if created != nil {
				doc = append(doc, bson.E{Key: "createdAt", Value: created})
			}
			l.insert("products", doc)
		}
	}
	l.insert("products", bson.D{{Key: "_id", Value: int32(5)}}) // no id of an entity
	l.insert("products", bson.D{{Key: "_id", Value: "lamp"}})
	all, err := l.r.List(t.Context(), media.RecordQuery{Type: media.Product, Limit: 100})
	if err != nil || len(all.Items) != 20 {
		t.Fatalf("got %d products, %v, want 20", len(all.Items), err)
	}
	for _, e := range all.Items {
		want = append(want, e.ID)
	}
	if want[0] != oid(9).Hex() || want[1] != oid(109).Hex() {
		t.Errorf("the newest are %v", want[:2])
	}
	for limit := 1; limit < 5; limit++ {
		var got []string
		for q := (media.RecordQuery{Type: media.Product, Limit: limit}); ; {
			page, err := l.r.List(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range page.Items {
				got = append(got, e.ID)
			}
			if q.Cursor = page.NextCursor; q.Cursor == "" {
				break
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("pages of %d (-want +got):\n%s", limit, d)
		}
	}
}

func TestARuleOfTheLMSsOwnIsAConflict(t *testing.T) {
	t.Parallel()
	l := newLMS(t)
	l.insert("products", bson.D{{Key: "_id", Value: oid(1)}, {Key: "name", Value: "lamp"}})
	_, err := l.db.Collection("products").Indexes().CreateOne(t.Context(), driver.IndexModel{Keys: bson.D{{Key: "name", Value: 1}}, Options: options.Index().SetUnique(true)})
	if err != nil {
		t.Fatal(err)
	}
	_, err = l.r.Create(t.Context(), media.Record{Subject: product(oid(2).Hex()), Fields: map[string]any{"name": "lamp"}}, "")
	if e, ok := errors.AsType[*media.Error](err); !ok || e.Kind != media.Conflict || e.Code != "not_unique" {
		t.Errorf("got %v, want a conflict", err)
	}
}

func TestIndexesAreMadeAndThenTheServerIsHeard(t *testing.T) {
	t.Parallel()
	l := newLMS(t)
	if err := l.d.Watch(t.Context(), func(media.Subject) {}); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a server without change streams: got %v, want unsupported", err)
	}
	for collection, want := range map[string][]string{
		"products":     {"createdAt_-1__id_-1", "category_1_createdAt_-1__id_-1", "createdBy_1_createdAt_-1__id_-1"},
		"courses":      {"createdAt_-1__id_-1", "modules._id_1", "modules.lessons._id_1"},
		"orders":       {"user_1_createdAt_-1__id_-1", "userId_1_createdAt_-1__id_-1", "buyer_1_createdAt_-1__id_-1"},
		"sluice_trash": {"at_1__id_1"},
		"reviews":      {"user_1_createdAt_-1__id_-1"},
	} {
		specs, err := l.db.Collection(collection).Indexes().ListSpecifications(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, s := range specs {
			got = append(got, s.Name)
		}
		for _, name := range want {
			if !slices.Contains(got, name) {
				t.Errorf("%s has no index %s, only %v", collection, name, got)
			}
		}
	}
}

func TestCollectionsByOtherNames(t *testing.T) {
	t.Parallel()
	uri := livetest.Mongo(t).URI("lms")
	d, err := mongo.Open(t.Context(), uri, mongo.Options{Collections: map[media.SubjectType]string{media.Product: "items"}, Trash: "bin"})
	if err != nil {
		t.Fatal(err)
	}
	r := records(t, d)
	t.Cleanup(func() { _ = r.Close() })
	if _, err := r.Create(t.Context(), media.Record{Subject: product(hex)}, ""); err != nil {
		t.Fatal(err)
	}
	if err := r.Bury(t.Context(), product(hex), ""); err != nil {
		t.Fatal(err)
	}
	names, err := database(t, uri).ListCollectionNames(t.Context(), bson.M{})
	if slices.Sort(names); err != nil || !slices.Equal(names, []string{"bin", "items"}) {
		t.Errorf("got %v, %v", names, err)
	}
	if _, err := mongo.Open(t.Context(), uri, mongo.Options{Collections: map[media.SubjectType]string{media.Page: "pages"}}); err == nil {
		t.Error("a collection of a type without records is accepted")
	}
}
