package mongo_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"sluice/entities/mongo"
	"sluice/internal/livetest"
	"sluice/media"
)

func decimal(t testing.TB, text string) bson.Decimal128 {
	t.Helper()
	d, err := bson.ParseDecimal128(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func marshal(t testing.TB, doc bson.D) bson.Raw {
	t.Helper()
	raw, err := bson.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestValues(t *testing.T) {
	t.Parallel()
	at := time.UnixMilli(1700000000123).UTC()
	type nothing struct{}
	for _, c := range []struct {
		name string
		kept any
		want any
	}{
		{"a decimal that is a number", decimal(t, "12.50"), 12.5},
		{"a decimal of money", decimal(t, "19.99"), 19.99},
		{"a decimal that is whole", decimal(t, "7"), 7.0},
		{"a decimal with an exponent", decimal(t, "1E+3"), 1000.0},
		{"a decimal below zero", decimal(t, "-0.1"), -0.1},
		{"a decimal of more digits", decimal(t, "0.1234567890123456789"), "0.1234567890123456789"},
		{"a decimal too large", decimal(t, "1E+400"), "1E+400"},
		{"a decimal that is none", decimal(t, "NaN"), "NaN"},
		{"a decimal without end", decimal(t, "-Infinity"), "-Infinity"},
		{"a small whole number", int32(-7), int64(-7)},
		{"a large whole number", int64(math.MaxInt64), int64(math.MaxInt64)},
		{"a number", 1.5, 1.5},
		{"true", true, true},
		{"null", nil, nil},
		{"undefined", bson.Undefined{}, nil},
		{"a text", "x", "x"},
		{"a symbol", bson.Symbol("x"), "x"},
		{"an id", oid(1), oid(1).Hex()},
		{"a time", at, at},
		{"binary", bson.Binary{Data: []byte{1}}, nothing{}},
		{"a UUID", bson.Binary{Subtype: 4, Data: make([]byte, 16)}, nothing{}},
		{"a pattern", bson.Regex{Pattern: "x"}, nothing{}},
		{"code", bson.JavaScript("x"), nothing{}},
		{"a timestamp of replication", bson.Timestamp{T: 1}, nothing{}},
		{"the smallest key", bson.MinKey{}, nothing{}},
		{"a list keeps its places", bson.A{int32(1), bson.Binary{}, "x"}, []any{int64(1), nil, "x"}},
		{"an object without what cannot be told", bson.D{{Key: "a", Value: bson.Binary{}}, {Key: "_id", Value: oid(1)}}, map[string]any{"_id": oid(1).Hex()}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			raw := marshal(t, bson.D{{Key: "_id", Value: oid(5)}, {Key: "v", Value: c.kept}})
			d, err := mongo.Decode(raw)
			if err != nil {
				t.Fatal(err)
			}
			got, there := d.Fields["v"]
			if _, none := c.want.(nothing); none {
				if there {
					t.Errorf("got %v, want nothing", got)
				}
			} else if diff := cmp.Diff(c.want, got); diff != "" || !there {
				t.Errorf("there: %t, (-want +got):\n%s", there, diff)
			}
			again, err := mongo.Encode(d)
			if err != nil || !slices.Equal(again, raw) {
				t.Errorf("written again it is %v, %v, was %v", again, err, raw)
			}
		})
	}
}

func TestAValueTakesTheTypeOfTheOneBefore(t *testing.T) {
	t.Parallel()
	at := time.UnixMilli(1700000000123).UTC()
	for _, c := range []struct {
		name      string
		kept, set any
		want      any
	}{
		{"a number for a decimal", decimal(t, "12.50"), 13.25, decimal(t, "13.25")},
		{"a whole number for a decimal", decimal(t, "12.50"), int64(13), decimal(t, "13")},
		{"a text for a decimal", decimal(t, "1E+400"), "2E+400", decimal(t, "2E+400")},
		{"words for a decimal", decimal(t, "1"), "free", "free"},
		{"a whole number for a number", 1.5, int64(2), 2.0},
		{"a whole number for a large one", int64(5), int64(6), int64(6)},
		{"a whole number for a text", "5", int64(6), int32(6)},
		{"a number for a whole one", int32(5), 5.5, 5.5},
		{"an id for an id", oid(1), oid(2).Hex(), oid(2)},
		{"a name for an id", oid(1), "ann", "ann"},
		{"an id for a text", "x", oid(2).Hex(), oid(2).Hex()},
		{"a time for a time", at, "2023-11-14T22:13:20.123+00:00", at},
		{"words for a time", at, "soon", "soon"},
		{"a time for a text", "x", "2023-11-14T22:13:20Z", "2023-11-14T22:13:20Z"},
		{"ids for ids", bson.A{oid(1)}, []any{oid(2).Hex(), oid(3).Hex()}, bson.A{oid(2), oid(3)}},
		{"null for anything", oid(1), nil, nil},
		{
			"an object for an object",
			bson.D{{Key: "z", Value: oid(1)}, {Key: "bin", Value: bson.Binary{Data: []byte{1}}}, {Key: "gone", Value: "x"}},
			map[string]any{"a": "new", "z": oid(2).Hex()},
			bson.D{{Key: "z", Value: oid(2)}, {Key: "bin", Value: bson.Binary{Data: []byte{1}}}, {Key: "a", Value: "new"}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d, err := mongo.Decode(marshal(t, bson.D{{Key: "_id", Value: oid(5)}, {Key: "v", Value: c.kept}}))
			if err != nil {
				t.Fatal(err)
			}
			d.Fields["v"] = c.set
			got, err := mongo.Encode(d)
			want := marshal(t, bson.D{{Key: "_id", Value: oid(5)}, {Key: "v", Value: c.want}})
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("got %v, %v, want %v", got, err, want)
			}
		})
	}
}

func TestOnlyWhatDiffersIsWritten(t *testing.T) {
	t.Parallel()
	raw := marshal(t, bson.D{{Key: "_id", Value: oid(5)}, {Key: "a", Value: "x"}, {Key: "b", Value: bson.Binary{}}, {Key: "c", Value: int32(1)}, {Key: "d.e", Value: "y"}, {Key: "$f", Value: "z"}})
	d, err := mongo.Decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := mongo.Difference(raw, d); err != nil || got != nil {
		t.Errorf("of nothing: got %v, %v", got, err)
	}
	d.Fields["a"], d.Fields["n"] = "y", true
	delete(d.Fields, "c")
	delete(d.Fields, "d.e")
	got, err := mongo.Difference(raw, d)
	want := bson.D{{Key: "$set", Value: bson.D{{Key: "a", Value: "y"}, {Key: "n", Value: true}}}, {Key: "$unset", Value: bson.D{{Key: "c", Value: ""}}}}
	if err != nil || fmt.Sprint(marshal(t, got)) != fmt.Sprint(marshal(t, want)) {
		t.Errorf("got %v, %v, want %v", marshal(t, got), err, marshal(t, want))
	}
	for _, e := range mongo.Unchanged(raw) { // names that would be paths or operators in a filter
		if e.Key == "d.e" || e.Key == "$f" {
			t.Errorf("the condition has %s", e.Key)
		}
	}
}

func TestTranslation(t *testing.T) {
	t.Parallel()
	code := func(n int32) error { return driver.CommandError{Code: n, Message: "mongodb://u:s3cret@h"} }
	for _, c := range []struct {
		name string
		err  error
		want media.Kind
	}{
		{"no document", driver.ErrNoDocuments, media.NotFound},
		{"a duplicate", driver.WriteException{WriteErrors: driver.WriteErrors{{Code: 11000}}}, media.Conflict},
		{"a duplicate of an update", code(11000), media.Conflict},
		{"a validator", driver.WriteException{WriteErrors: driver.WriteErrors{{Code: 121}}}, media.Invalid},
		{"a document too large", code(10334), media.TooLarge},
		{"not primary", code(10107), media.Unavailable},
		{"shutting down", code(91), media.Unavailable},
		{"too slow", code(50), media.Unavailable},
		{"login refused", code(18), media.Unavailable},
		{"not authorized", code(13), media.Unavailable},
		{"agreed on by too few", driver.WriteException{WriteConcernError: &driver.WriteConcernError{Code: 64}}, media.Unavailable},
		{"refused", &net.OpError{Op: "dial", Err: errors.New("refused")}, media.Unavailable},
		{"ended", io.EOF, media.Unavailable},
		{"late", context.DeadlineExceeded, media.Unavailable},
		{"closed", driver.ErrClientDisconnected, media.Unavailable},
		{"unexplained", code(2), media.Internal},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			err := mongo.Translate(fmt.Errorf("wrapped: %w", c.err))
			if got := media.KindOf(err); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
			if e, ok := errors.AsType[*media.Error](err); ok && (e.Detail == "" || e.Kind == media.Unavailable && e.RetryAfter == 0) {
				t.Errorf("it says too little: %+v", e)
			}
		})
	}
	for n, want := range map[int32]mongo.Cause{18: mongo.WrongPassword, 8000: mongo.WrongPassword, 13: mongo.WrongPassword, 91: mongo.Unreachable, 2: mongo.OtherCause} {
		if e, ok := errors.AsType[*mongo.StartError](mongo.Explain(mongo.Translate(code(n)))); !ok || e.Cause != want {
			t.Errorf("code %d at a start: got %+v, want cause %d", n, e, want)
		}
	}
	for n, unsupported := range map[int32]bool{40573: true, 40324: true, 59: true, 286: false, 91: false} {
		if err := mongo.Lost(code(n)); errors.Is(err, errors.ErrUnsupported) != unsupported {
			t.Errorf("a stream that ends with code %d: got %v", n, err)
		}
	}
}

func TestDatabaseOfAURI(t *testing.T) {
	t.Parallel()
	for uri, want := range map[string]string{
		"mongodb://h": "lms", "mongodb://h/": "lms", "mongodb://h/?w=1": "lms", "mongodb://h/shop": "shop", "mongodb://u:p%2Fq@h:1,i:2/my-shop?x=/y": "my-shop",
		"mongodb+srv://h/sh%6Fp": "shop", "mongodb://h/a%20b": "", "mongodb://h/a/b": "", "mongodb://h/%": "",
	} {
		if got, err := mongo.Database(uri); got != want || (err != nil) != (want == "") {
			t.Errorf("%s: got %q, %v, want %q", uri, got, err, want)
		}
	}
}

func TestSubjectOfAnEvent(t *testing.T) {
	t.Parallel()
	event := func(collection string, id any) bson.Raw {
		return marshal(t, bson.D{
			{Key: "operationType", Value: "update"},
			{Key: "ns", Value: bson.D{{Key: "db", Value: "lms"}, {Key: "coll", Value: collection}}},
			{Key: "documentKey", Value: bson.D{{Key: "_id", Value: id}}},
		})
	}
	for _, id := range []any{oid(1), oid(1).Hex()} {
		if got, ok := mongo.SubjectOf(event("products", id)); !ok || got != product(oid(1).Hex()) {
			t.Errorf("got %v, %t", got, ok)
		}
	}
	for _, e := range []bson.Raw{event("carts", oid(1)), event("products", "lamp"), event("products", int32(1)), marshal(t, bson.D{{Key: "operationType", Value: "drop"}})} {
		if got, ok := mongo.SubjectOf(e); ok {
			t.Errorf("%v: got %v, want nothing", e, got)
		}
	}
}

func BenchmarkRecord(b *testing.B) {
	r := records(b, open(b, filled(b)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Record(b.Context(), product(oid(50).Hex())); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGranted(b *testing.B) {
	r := records(b, open(b, filled(b)))
	b.ReportAllocs()
	for b.Loop() {
		if got, err := r.Granted(b.Context(), oid(7).Hex()); err != nil || len(got) != 10 {
			b.Fatal(got, err)
		}
	}
}

// filled has 100 products, and 10 users with 10 orders each. FerretDB reads all of a collection for most questions.
func filled(b *testing.B) string {
	b.Helper()
	uri := livetest.Mongo(b).URI("lms")
	var products, orders []any
	for n := range 100 {
		products = append(products, bson.D{{Key: "_id", Value: oid(n)}, {Key: "name", Value: "A lamp"}, {Key: "price", Value: 12.5}, {Key: "createdAt", Value: time.Now()}})
		orders = append(orders, bson.D{{Key: "_id", Value: oid(n)}, {Key: "user", Value: oid(n % 10)}, {Key: "isPaid", Value: true}, {Key: "productId", Value: oid(n)}})
	}
	for name, docs := range map[string][]any{"products": products, "orders": orders} {
		if _, err := database(b, uri).Collection(name).InsertMany(b.Context(), docs); err != nil {
			b.Fatal(err)
		}
	}
	return uri
}
