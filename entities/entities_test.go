package entities_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/curation"
	"sluice/entities"
	"sluice/entities/embedded"
	"sluice/media"
)

var _ curation.Records = (*entities.Records)(nil)

// untouchable is a driver that must not be asked.
type untouchable struct {
	entities.Driver
	t testing.TB
}

func (u untouchable) Get(context.Context, entities.Key) (entities.Document, error) {
	u.t.Error("the driver was asked to get")
	return entities.Document{}, media.NotFound
}

func (u untouchable) Find(context.Context, entities.Query) ([]entities.Document, error) {
	u.t.Error("the driver was asked to find")
	return nil, nil
}

func (u untouchable) Write(context.Context, entities.Key, entities.Change) (entities.Document, error) {
	u.t.Error("the driver was asked to write")
	return entities.Document{}, nil
}

// answering is a driver with one document, or one error.
type answering struct {
	entities.Driver
	doc   entities.Document
	err   error
	found []entities.Document
	asked *entities.Query
}

func (a answering) Get(context.Context, entities.Key) (entities.Document, error) { return a.doc, a.err }

func (a answering) Find(_ context.Context, q entities.Query) ([]entities.Document, error) {
	if a.asked != nil {
		*a.asked = q
	}
	return a.found, a.err
}

func (a answering) Write(context.Context, entities.Key, entities.Change) (entities.Document, error) {
	return a.doc, a.err
}

func records(t testing.TB, d entities.Driver, o entities.Options) *entities.Records {
	t.Helper()
	r, err := entities.New(t.Context(), d, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func file(t testing.TB) *embedded.Driver {
	t.Helper()
	d, err := embedded.Open(t.Context(), filepath.Join(t.TempDir(), "entities.db"), embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

const hex = "65a000000000000000000001"

func product(id string) media.Subject { return media.Subject{Type: media.Product, ID: id} }

func TestIDsThatAreNoneReachNoDriver(t *testing.T) {
	t.Parallel()
	r := records(t, untouchable{t: t}, entities.Options{})
	for _, id := range []string{
		"", "1", "65A000000000000000000001", hex + "0", hex[1:], "65a00000000000000000000g", `{"$ne":null}`, "65a00000000000000000000\x00", "' OR 1=1 --             ",
	} {
		s := product(id)
		for name, do := range map[string]func() error{
			"record":   func() error { _, err := r.Record(t.Context(), s); return err },
			"lesson":   func() error { _, err := r.Record(t.Context(), media.Subject{Type: media.Lesson, ID: id}); return err },
			"titles":   func() error { _, err := r.Titles(t.Context(), []media.Subject{s}); return err },
			"create":   func() error { _, err := r.Create(t.Context(), media.Record{Subject: s}, ""); return err },
			"settle":   func() error { _, err := r.Settle(t.Context(), s, "w"); return err },
			"withdraw": func() error { return r.Withdraw(t.Context(), s, "w") },
			"change":   func() error { _, err := r.Change(t.Context(), s, "", nil); return err },
			"bury":     func() error { return r.Bury(t.Context(), s, "") },
			"buried":   func() error { _, err := r.Buried(t.Context(), s); return err },
			"raise":    func() error { _, err := r.Raise(t.Context(), s); return err },
			"drop":     func() error { return r.Drop(t.Context(), s) },
			"put":      func() error { _, err := r.Put(t.Context(), media.Record{Subject: s}); return err },
			"remove":   func() error { return r.Remove(t.Context(), s) },
		} {
			err := do()
			if e, ok := errors.AsType[*media.Error](err); !ok || e.Kind != media.Invalid || e.Code != "bad_id" {
				t.Errorf("%s %q: got %v, want invalid, bad_id", name, id, err)
			}
		}
	}
}

func TestTypesWithoutRecords(t *testing.T) {
	t.Parallel()
	r := records(t, untouchable{t: t}, entities.Options{})
	if _, err := r.Record(t.Context(), media.Subject{Type: media.Page, ID: "about-us"}); !errors.Is(err, media.NotFound) {
		t.Errorf("a page: got %v, want not found", err)
	}
	for _, typ := range []media.SubjectType{"", media.Page, media.Lesson, "$where", "users; drop"} {
		if _, err := r.List(t.Context(), media.RecordQuery{Type: typ}); !errors.Is(err, media.Invalid) {
			t.Errorf("list %q: got %v, want invalid", typ, err)
		}
		if _, err := r.Create(t.Context(), media.Record{Subject: media.Subject{Type: typ, ID: hex}}, ""); !errors.Is(err, media.Invalid) {
			t.Errorf("create %q: got %v, want invalid", typ, err)
		}
	}
}

func TestFieldsThatAreRefused(t *testing.T) {
	t.Parallel()
	deep := any("x")
	for range 40 {
		deep = []any{deep}
	}
	wide := make([]any, 0, 1<<16)
	for range 1 << 16 {
		wide = append(wide, strings.Repeat("x", 64))
	}
	r := records(t, untouchable{t: t}, entities.Options{})
	for _, c := range []struct {
		name  string
		set   map[string]any
		field string
		kind  media.Kind
	}{
		{"an operator", map[string]any{"$set": "x"}, "$set", media.Invalid},
		{"an operator as a value", map[string]any{"name": map[string]any{"$ne": nil}}, "name", media.Invalid},
		{"an operator deep inside", map[string]any{"a": []any{map[string]any{"b": map[string]any{"$where": "1"}}}}, "a", media.Invalid},
		{"a path", map[string]any{"a.b": "x"}, "a.b", media.Invalid},
		{"a path deep inside", map[string]any{"a": map[string]any{"b.c": "x"}}, "a", media.Invalid},
		{"a name with a zero byte", map[string]any{"a\x00b": "x"}, "ab", media.Invalid},
		{"an empty name", map[string]any{"": "x"}, "", media.Invalid},
		{"a text with a zero byte", map[string]any{"a": "x\x00"}, "a", media.Invalid},
		{"a text that is none", map[string]any{"a": "\xff"}, "a", media.Invalid},
		{"another id", map[string]any{"id": "65a000000000000000000002"}, "id", media.Invalid},
		{"another native id", map[string]any{"_id": "x"}, "_id", media.Invalid},
		{"a mark of Sluice's", map[string]any{entities.PendingMember: nil}, entities.PendingMember, media.Invalid},
		{"a mark of mongoose's", map[string]any{"__v": int64(1)}, "__v", media.Invalid},
		{"a secret", map[string]any{"password": "x"}, "password", media.Invalid},
		{"a secret inside", map[string]any{"user": map[string]any{"passwordHash": "x"}}, "user", media.Invalid},
		{"what JSON has not", map[string]any{"a": struct{}{}}, "a", media.Invalid},
		{"a number without end", map[string]any{"a": math.Inf(1)}, "a", media.Invalid},
		{"too deep", map[string]any{"a": deep}, "a", media.Invalid},
		{"too large", map[string]any{"a": wide}, "a", media.TooLarge},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := r.Change(t.Context(), product(hex), "", c.set)
			e, ok := errors.AsType[*media.Error](err)
			if !ok || e.Kind != c.kind || e.Field != c.field {
				t.Errorf("change: got %v, field %q, want %v of field %q", err, fieldOf(e), c.kind, c.field)
			}
			if _, ok := c.set[entities.PendingMember]; ok {
				return
			}
			if _, err := r.Create(t.Context(), media.Record{Subject: product(hex), Fields: c.set}, ""); !errors.Is(err, c.kind) {
				t.Errorf("create: got %v, want %v", err, c.kind)
			}
			if _, err := r.Put(t.Context(), media.Record{Subject: product(hex), Fields: c.set}); !errors.Is(err, c.kind) {
				t.Errorf("put: got %v, want %v", err, c.kind)
			}
		})
	}
}

func fieldOf(e *media.Error) string {
	if e == nil {
		return ""
	}
	return e.Field
}

func TestWhatAStrangerNeverSees(t *testing.T) {
	t.Parallel()
	doc := entities.Document{ID: hex, Fields: map[string]any{
		"name": "Ann", "role": "instructor", "email": "ann@example.org", "password": "x", "hash": "x", "sluicePending2": "x", "__v": int64(3), "id": "mine",
		"buyer":  map[string]any{"_id": "b", "id": "other", "name": "Bob", "passwordHash": "x", "Reset_Token": "x", "salt": "x", "__v": int64(1)},
		"list":   []any{map[string]any{"_id": "c", "apiKey": "x"}, "y"},
		"soldAt": time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.FixedZone("", 3600)),
	}}
	r := records(t, answering{doc: doc}, entities.Options{})
	for _, c := range []struct {
		name string
		s    media.Subject
		want map[string]any
	}{
		{"of a user four members", media.Subject{Type: media.User, ID: hex}, map[string]any{"name": "Ann", "role": "instructor"}},
		{"of others all but secrets and marks", media.Subject{Type: media.Order, ID: hex}, map[string]any{
			"name": "Ann", "role": "instructor", "email": "ann@example.org", "hash": "x", "buyer": map[string]any{"id": "b", "name": "Bob"},
			"list": []any{map[string]any{"id": "c"}, "y"}, "soldAt": "2026-01-02T02:04:05.678Z",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := r.Record(t.Context(), c.s)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, got.Fields); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestHiddenMembersSurviveAChangeAndAPut(t *testing.T) {
	t.Parallel()
	d := file(t)
	r := records(t, d, entities.Options{})
	k := entities.Key{Subject: product(hex)}
	_, err := d.Write(t.Context(), k, func(*entities.Document) (*entities.Document, error) {
		return &entities.Document{Fields: map[string]any{"__v": int64(2), "seller": map[string]any{"_id": hex, "name": "a", "password": "x"}, "plain": "p"}}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	seller := map[string]any{"id": hex, "name": "b"}
	want := map[string]any{"_id": hex, "name": "b", "password": "x"}
	if _, err := r.Change(t.Context(), product(hex), "", map[string]any{"seller": seller}); err != nil {
		t.Fatal(err)
	}
	check := func(after string) {
		t.Helper()
		got, err := d.Get(t.Context(), k)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got.Fields["seller"]); d != "" || got.Fields["__v"] != int64(2) {
			t.Errorf("after %s: __v is %v, seller (-want +got):\n%s", after, got.Fields["__v"], d)
		}
	}
	check("a change")
	put, err := r.Put(t.Context(), media.Record{Subject: product(hex), Fields: map[string]any{"seller": seller}})
	if err != nil {
		t.Fatal(err)
	}
	check("a put")
	if put.Fields["plain"] != nil || put.Owner != hex {
		t.Errorf("put left %v, of owner %q", put.Fields, put.Owner)
	}
}

func TestTrustingEndsWithTheFirstDocument(t *testing.T) {
	t.Parallel()
	d := file(t)
	r := records(t, d, entities.Options{})
	if !r.Trusting(t.Context()) {
		t.Fatal("an empty store of the gateway's own is not trusted")
	}
	if err := r.Withdraw(t.Context(), product(hex), "w"); err != nil {
		t.Fatal(err)
	}
	if !r.Trusting(t.Context()) {
		t.Error("a write of nothing ends trust")
	}
	if _, err := r.Put(t.Context(), media.Record{Subject: product(hex)}); err != nil {
		t.Fatal(err)
	}
	if r.Trusting(t.Context()) {
		t.Error("trusting with a record")
	}
	if err := r.Remove(t.Context(), product(hex)); err != nil {
		t.Fatal(err)
	}
	if r.Trusting(t.Context()) || records(t, d, entities.Options{}).Trusting(t.Context()) {
		t.Error("trusting again when the last record is gone")
	}
	if records(t, untouchable{t: t}, entities.Options{}).Trusting(t.Context()) {
		t.Error("a database that may be the LMS's is trusted")
	}
}

func TestTrustDoesNotOutliveTheStore(t *testing.T) {
	t.Parallel()
	r := records(t, file(t), entities.Options{})
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if r.Trusting(t.Context()) {
		t.Error("trusting what cannot be asked")
	}
}

// watching is a driver that tells, then fails some times, then has nothing more to tell.
type watching struct {
	entities.Driver
	calls *atomic.Int64
}

func (w watching) Watch(ctx context.Context, changed func(media.Subject)) error {
	switch w.calls.Add(1) {
	case 1:
		changed(product(hex))
		return media.Errorf(media.Unavailable, "away")
	case 2:
		changed(product(hex))
		return errors.ErrUnsupported
	}
	return errors.New("asked too often")
}

func TestRunHearsUntilItIsToldToStop(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var calls atomic.Int64
	told := make(chan media.Subject, 9)
	r := records(t, watching{calls: &calls}, entities.Options{Changed: func(s media.Subject) { told <- s }})
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	for range 2 {
		if s := <-told; s != product(hex) {
			t.Errorf("told %v", s)
		}
	}
	cancel()
	if err := <-done; err != nil || calls.Load() != 2 {
		t.Errorf("got %v after %d calls", err, calls.Load())
	}
}

func TestAWriteThatMayHaveComeThroughIsToldOf(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		told int
	}{
		{nil, 1},
		{media.Errorf(media.Unavailable, "away"), 1},
		{context.DeadlineExceeded, 1},
		{media.Errorf(media.Conflict, "there"), 0},
		{media.Errorf(media.PreconditionFailed, "stale"), 0},
	} {
		t.Run(fmt.Sprint(c.err), func(t *testing.T) {
			t.Parallel()
			told := 0
			r := records(t, answering{err: c.err}, entities.Options{Changed: func(media.Subject) { told++ }})
			if _, err := r.Change(t.Context(), product(hex), "", nil); !errors.Is(err, c.err) {
				t.Errorf("got %v, want %v", err, c.err)
			}
			if told != c.told {
				t.Errorf("told %d times, want %d", told, c.told)
			}
		})
	}
}

func TestWhatCannotBeKnownIsUnavailable(t *testing.T) {
	t.Parallel()
	away := &media.Error{Kind: media.Unavailable, RetryAfter: time.Second, Err: errors.New("dial")}
	r := records(t, answering{err: away}, entities.Options{})
	_, err := r.Record(t.Context(), product(hex))
	_, titles := r.Titles(t.Context(), []media.Subject{product(hex)})
	_, entitled := r.Entitled(t.Context(), "u", []media.Subject{product(hex)})
	_, listed := r.List(t.Context(), media.RecordQuery{Type: media.Course})
	for name, err := range map[string]error{"record": err, "titles": titles, "entitled": entitled, "list": listed, "bury": r.Bury(t.Context(), product(hex), "")} {
		if e, ok := errors.AsType[*media.Error](err); !ok || e.Kind != media.Unavailable || e.RetryAfter != time.Second {
			t.Errorf("%s: got %v, want unavailable", name, err)
		}
	}
}

func TestListBoundsItsPages(t *testing.T) {
	t.Parallel()
	for limit, want := range map[int]int{-1: 51, 0: 51, 1: 2, 200: 201, 9999: 201} {
		var asked entities.Query
		r := records(t, answering{asked: &asked}, entities.Options{})
		if _, err := r.List(t.Context(), media.RecordQuery{Type: media.Product, Limit: limit}); err != nil || asked.Limit != want {
			t.Errorf("limit %d: asked for %d, %v, want %d", limit, asked.Limit, err, want)
		}
	}
	r := records(t, untouchable{t: t}, entities.Options{})
	if _, err := r.List(t.Context(), media.RecordQuery{Type: media.Product, Category: strings.Repeat("x", 1201)}); !errors.Is(err, media.Invalid) {
		t.Errorf("a category of 600 bytes: got %v", err)
	}
	if _, err := r.Titles(t.Context(), make([]media.Subject, 1001)); !errors.Is(err, media.Invalid) {
		t.Errorf("1,001 titles: got %v", err)
	}
}

func TestListShowsNothingThatADriverShouldNotHaveFound(t *testing.T) {
	t.Parallel()
	found := []entities.Document{
		{ID: hex, Fields: map[string]any{"status": "draft"}},
		{ID: hex, Fields: map[string]any{entities.PendingMember: "w"}},
		{ID: "a-slug", Fields: map[string]any{}},
		{ID: hex, Fields: map[string]any{"createdBy": "other"}},
		{ID: hex, Fields: map[string]any{"createdBy": "u"}},
	}
	r := records(t, answering{found: found}, entities.Options{})
	got, err := r.List(t.Context(), media.RecordQuery{Type: media.Course, Owner: "u"})
	if err != nil || len(got.Items) != 1 || got.Items[0].Owner != "u" {
		t.Errorf("got %v, %v, want the last", got.Items, err)
	}
}

func TestCursorsKeepEveryKindOfTime(t *testing.T) {
	t.Parallel()
	for _, at := range []any{nil, time.UnixMilli(1700000000123).UTC(), "2026-01-01", 17.5} {
		for _, text := range []bool{false, true} {
			p := entities.Position{CreatedAt: at, ID: hex, Text: text}
			var asked entities.Query
			r := records(t, answering{asked: &asked, found: []entities.Document{{ID: hex, Position: p}, {ID: hex}}}, entities.Options{})
			l, err := r.List(t.Context(), media.RecordQuery{Type: media.Product, Limit: 1})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := r.List(t.Context(), media.RecordQuery{Type: media.Product, Limit: 1, Cursor: l.NextCursor}); err != nil || asked.After == nil {
				t.Fatalf("got %v, %v", asked.After, err)
			}
			if d := cmp.Diff(p, *asked.After); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		}
	}
}

func TestTimesOfADocument(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC)
	for name, c := range map[string]struct {
		fields           map[string]any
		created, updated time.Time
	}{
		"as times":       {map[string]any{"createdAt": at, "updatedAt": at.Add(time.Hour)}, at, at.Add(time.Hour)},
		"as texts":       {map[string]any{"createdAt": "2026-01-02T03:04:05.006Z", "updatedAt": "2026-01-02T05:04:05.006+01:00"}, at, at.Add(time.Hour)},
		"in millis":      {map[string]any{"createdAt": at.UnixMilli(), "updatedAt": float64(at.UnixMilli())}, at, at},
		"by the id":      {nil, time.Date(2024, 1, 11, 14, 49, 36, 0, time.UTC), time.Date(2024, 1, 11, 14, 49, 36, 0, time.UTC)},
		"of nothing new": {map[string]any{"createdAt": at, "updatedAt": "soon"}, at, at},
	} {
		d := entities.Document{ID: "65a000000000000000000001", Fields: c.fields}
		if !d.CreatedAt().Equal(c.created) || !d.UpdatedAt().Equal(c.updated) {
			t.Errorf("%s: got %v and %v, want %v and %v", name, d.CreatedAt(), d.UpdatedAt(), c.created, c.updated)
		}
	}
}
