package catalogue_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"sluice/analytics"
	"sluice/catalogue"
	"sluice/catalogue/cataloguetest"
	"sluice/catalogue/sqlite"
	"sluice/curation"
	"sluice/media"
	"sluice/playback"
	"sluice/uploads"
)

var (
	_ uploads.Ledger   = (*catalogue.Catalogue)(nil)
	_ playback.Assets  = (*catalogue.Catalogue)(nil)
	_ analytics.Counts = (*catalogue.Catalogue)(nil)
	_ curation.Shelf   = catalogue.Shelf{}
	_ curation.Places  = (*catalogue.Catalogue)(nil)
	_ curation.Intents = (*catalogue.Catalogue)(nil)
)

// broken is SQLite with a fault: what the suite must find out.
type broken struct {
	catalogue.Engine
	rewrite func(text string) string                                       // what becomes of a statement
	write   func(ctx context.Context, commit func() error, do error) error // what becomes of a write; nil: nothing
}

func (b *broken) Read(ctx context.Context, do func(catalogue.Querier) error) error {
	return b.Engine.Read(ctx, func(q catalogue.Querier) error { return do(reads{q, b}) })
}

func (b *broken) Write(ctx context.Context, m catalogue.Mode, do func(catalogue.Tx) error) error {
	return b.Engine.Write(ctx, m, func(tx catalogue.Tx) error {
		err := do(writes{tx, b})
		if b.write != nil {
			return b.write(ctx, func() error { return nil }, err)
		}
		return err
	})
}

func (b *broken) text(s string) string {
	if b.rewrite == nil {
		return s
	}
	return b.rewrite(s)
}

type reads struct {
	catalogue.Querier
	b *broken
}

func (r reads) Query(ctx context.Context, text string, args ...any) (catalogue.Rows, error) {
	return r.Querier.Query(ctx, r.b.text(text), args...)
}

type writes struct {
	catalogue.Tx
	b *broken
}

func (w writes) Query(ctx context.Context, text string, args ...any) (catalogue.Rows, error) {
	return w.Tx.Query(ctx, w.b.text(text), args...)
}

func (w writes) Exec(ctx context.Context, text string, args ...any) (int64, error) {
	return w.Tx.Exec(ctx, w.b.text(text), args...)
}

func (w writes) Later(ctx context.Context, text string, args ...any) error {
	return w.Tx.Later(ctx, w.b.text(text), args...)
}

func replace(old, now string) func(string) string {
	return func(s string) string { return strings.ReplaceAll(s, old, now) }
}

// verdict is a testing.TB that remembers whether the check failed.
type verdict struct {
	testing.TB
	mu     sync.Mutex
	failed bool
}

func (v *verdict) note() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.failed = true
}

func (v *verdict) Fatal(...any)          { v.note(); runtime.Goexit() }
func (v *verdict) Fatalf(string, ...any) { v.note(); runtime.Goexit() }
func (v *verdict) Error(...any)          { v.note() }
func (v *verdict) Errorf(string, ...any) { v.note() }

func TestTheSuiteFindsBrokenEngines(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		fault, promise string
		engine         broken
	}{
		{"writes are undone", "a row comes back field by field as it was begun", broken{write: func(_ context.Context, _ func() error, do error) error {
			return errors.Join(do, errors.New("undone"))
		}}},
		{"a refused write is committed", "begin over the quota writes nothing", broken{write: func(_ context.Context, _ func() error, _ error) error {
			return nil
		}}},
		{"doom does not hide", "doom hides a row from every read, and forget removes it", broken{rewrite: replace("a.doomed_at = 0", "a.doomed_at >= 0")}},
		{"partial uploads are listed", "a partial upload belongs nowhere and is never listed", broken{rewrite: replace("NOT a.partial", "TRUE")}},
		{"a replay is counted", "a replay counts nothing twice", broken{rewrite: replace("SELECT position FROM journals WHERE name = $1", "SELECT 0 WHERE $1 <> ''")}},
		{"hours are overwritten", "tallies are added to the asset and to its hours", broken{rewrite: replace("accesses.views + excluded.views", "excluded.views")}},
		{"the last access goes back", "tallies are added to the asset and to its hours", broken{rewrite: replace("MAX(last_accessed_at, t.last)", "t.last")}},
		{"views are not noted", "a view counts once in the window, whichever node comes first", broken{rewrite: replace("t.counted, $2 FROM", "t.counted, $2 FROM (SELECT 0 WHERE FALSE),")}},
		{"noted views are not asked for", "views offered in any order and any batches give one total", broken{rewrite: replace("v.viewed_at > t.at - $2", "v.viewed_at > t.at + $2 * 0")}},
		{"a view once noted stays decided", "an earlier view that comes late is counted in its own hour", broken{rewrite: replace("SET counted = excluded.counted", "SET counted = views.counted")}},
		{"views are forgotten at once", "a view is remembered for a day after it was noted, however old", broken{rewrite: replace("WHERE noted_at < $1", "WHERE noted_at < $1 + 100000000000")}},
		{"views are kept for ever", "a view is remembered for a day after it was noted, however old", broken{rewrite: replace("DELETE FROM views WHERE", "DELETE FROM views WHERE FALSE AND")}},
		{"key 0 is taken for none", "a denial of a key keeps its id, 0 too, and others have none", broken{rewrite: replace("$6, $7, $8)", "$6, $7, CASE $8 WHEN 0 THEN -1 ELSE $8 END)")}},
		{"a claim is taken over", "who claims a request first acts, and others are told so", broken{rewrite: replace("WHERE replays.made_at < $5 OR", "WHERE TRUE OR replays.made_at < $5 OR")}},
		{"answers are for ever", "an answer is kept byte for byte, for a day", broken{rewrite: replace("replays.made_at < $5 OR", "$5 < 0 OR")}},
		{"grants are forgotten", "an upload grant opens one upload, ever", broken{rewrite: replace("INSERT INTO grants", "INSERT OR REPLACE INTO grants")}},
		{"the next image is any", "deleting the main image promotes the next by position", broken{rewrite: replace("ORDER BY position, created_at, id", "ORDER BY created_at, id")}},
		{"pages overlap", "each sort pages through all, once, in order", broken{rewrite: replace("a.id) > (", "a.id) >= (")}},
		{"the id does not break ties", "each sort pages through all, once, in order", broken{rewrite: replace("a.size DESC, a.id DESC", "a.size DESC, a.id")}},
		{"room is not given back", "doom gives the room back, once", broken{rewrite: replace("owners.used_bytes + excluded.used_bytes", "owners.used_bytes + MAX(0, excluded.used_bytes)")}},
		{"stored forgets the key", "stored moves the row once and keeps what it was told", broken{rewrite: replace("object_key = $6", "object_key = substr($6, 1, 0)")}},
		{"the old main image stays", "an asset that is attached as the main image takes the place of the old one", broken{rewrite: replace("mongo_product_id = $1 AND is_main_image", "mongo_product_id = $1 AND FALSE")}},
		{"a further place is the home", "an asset that is attached as the main image takes the place of the old one", broken{rewrite: replace("CASE WHEN COALESCE(place_id, id) = $2 THEN", "CASE WHEN $2 = $2 THEN")}},
		{"a list has a place each", "an asset that stands twice in a table comes once in a list", broken{rewrite: replace("(a.also = '' OR", "(TRUE OR")}},
		{"a list looks at its own table only", "an asset that stands twice in a table comes once in a list", broken{rewrite: replace("o.id <> p.id", "FALSE")}},
		{"places are in any order", "places come main image first, then by position, time of creation and id", broken{rewrite: replace("p.is_main_image DESC, p.position", "p.position")}},
		{"counts are in another order", "place counts are those of the places, in their order", broken{rewrite: replace("a.last_accessed_at FROM product_images p JOIN assets a ON a.id = p.asset_id WHERE p.mongo_product_id = $1 AND a.doomed_at = 0 ORDER BY p.is_main_image DESC, p.position", "a.last_accessed_at FROM product_images p JOIN assets a ON a.id = p.asset_id WHERE p.mongo_product_id = $1 AND a.doomed_at = 0 ORDER BY p.created_at")}},
		{"a further place moves its home", "reorder gives the positions of the order", broken{rewrite: replace("position = CASE WHEN COALESCE(place_id, id) = $2 THEN", "position = CASE WHEN $2 = $2 THEN")}},
		{"replace forgets the places", "replace gives an asset the bytes of another, in every place", broken{rewrite: replace("updated_at = $5 WHERE asset_id = $1", "updated_at = $5 WHERE asset_id = $1 AND FALSE")}},
		{"what the trash keeps is swept", "an asset whose last place lies in the trash is hidden and kept", broken{rewrite: replace("a.doomed_at <> 0 AND NOT a.kept", "a.doomed_at <> 0")}},
		{"what the trash keeps is forgotten", "an asset whose last place lies in the trash is hidden and kept", broken{rewrite: replace("doomed_at <> 0 AND NOT kept", "doomed_at <> 0")}},
		{"doom leaves the trash", "doom takes all places of an asset, those in the trash too", broken{rewrite: replace("DELETE FROM trash WHERE asset_id = $1", "DELETE FROM trash WHERE asset_id = $1 AND FALSE")}},
		{"the trash is kept too long", "what is kept until a time is dropped then, and its room given back once", broken{rewrite: replace("keep_until <= $1", "keep_until < $1")}},
		{"emptying lets go of what is wanted", "emptying lets go of what nothing is left of", broken{rewrite: replace("SELECT DISTINCT asset_id FROM trash WHERE", "SELECT DISTINCT asset_id FROM trash WHERE FALSE AND")}},
		{"a page of the trash has ties in any order", "the trash is read newest first, of one or of everybody", broken{rewrite: replace("t.deleted_at DESC, t.id DESC", "t.deleted_at DESC, t.id")}},
		{"the trash is everybody's", "the trash is read newest first, of one or of everybody", broken{rewrite: replace("t.deleted_by = $1", "(t.deleted_by = $1 OR TRUE)")}},
		{"an intent is decided twice", "attach decides its intent, or does nothing", broken{rewrite: replace("WHERE id = $1 AND state = 'begun'", "WHERE id = $1")}},
		{"an intent outlives its work", "every place of an entity is removed with it", broken{rewrite: replace("DELETE FROM intents WHERE id = $1", "DELETE FROM intents WHERE id = $1 AND FALSE")}},
		{"settle takes any state", "settle makes a stored row ready, once, and no other", broken{rewrite: replace("AND state = 'stored' AND doomed_at = 0", "AND doomed_at = 0")}},
		{"keys of doomed rows are not owned", "keys knows every row's, doomed ones too, of that backend", broken{rewrite: replace("WHERE a.backend = $1", "WHERE a.doomed_at = 0 AND a.backend = $1")}},
	} {
		t.Run(c.fault, func(t *testing.T) {
			t.Parallel()
			v := &verdict{TB: t}
			done := make(chan struct{})
			go func() {
				defer close(done)
				cataloguetest.Check(v, func(t testing.TB, o catalogue.Options) *catalogue.Catalogue { return openBroken(t, c.engine, o) }, find(t, c.promise))
			}()
			<-done
			if !v.failed {
				t.Errorf("the promise %q holds although %s", c.promise, c.fault)
			}
		})
	}
}

func find(t *testing.T, name string) cataloguetest.Promise {
	for _, p := range cataloguetest.Promises() {
		if p.Name == name {
			return p
		}
	}
	t.Errorf("no promise is named %q", name)
	return cataloguetest.Promise{Name: name, Check: func(*cataloguetest.Fixture) {}}
}

func openBroken(t testing.TB, b broken, o catalogue.Options) *catalogue.Catalogue {
	e, err := sqlite.NewEngine(t.Context(), filepath.Join(t.TempDir(), "c.db"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	b.Engine = e
	c, err := catalogue.New(t.Context(), &b, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func TestTheSuiteMakesAtLeastFortyPromises(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	for _, p := range cataloguetest.Promises() {
		if names[p.Name] {
			t.Errorf("%q is promised twice", p.Name)
		}
		names[p.Name] = true
	}
	if len(names) < 40 {
		t.Errorf("got %d promises, want at least 40", len(names))
	}
}

// FuzzCursor: no cursor but one that a list gave out is taken, and none does harm.
func FuzzCursor(f *testing.F) {
	e, err := sqlite.NewEngine(context.Background(), filepath.Join(f.TempDir(), "c.db"), slog.New(slog.DiscardHandler))
	if err != nil {
		f.Fatal(err)
	}
	c, err := catalogue.New(context.Background(), e, catalogue.Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		if err := c.Close(); err != nil {
			f.Error(err)
		}
	})
	for i := range 3 {
		if _, err := c.Add(context.Background(), media.Asset{Owner: "u", Title: fmt.Sprint(i), Backend: "b"}); err != nil {
			f.Fatal(err)
		}
	}
	given := map[string]bool{"": true}
	q := media.Query{AnyOwner: true, Limit: 1}
	for range 2 {
		l, err := c.List(context.Background(), q)
		if err != nil {
			f.Fatal(err)
		}
		q.Cursor = l.NextCursor
		given[q.Cursor] = true
		f.Add(q.Cursor)
		f.Add(q.Cursor[1:])
	}
	f.Add("")
	f.Add("AAAA\n")
	f.Fuzz(func(t *testing.T, cursor string) {
		_, err := c.List(t.Context(), media.Query{AnyOwner: true, Limit: 1, Cursor: cursor})
		if err == nil && !given[cursor] {
			t.Errorf("the cursor %q was taken", cursor)
		}
		if err != nil && !errors.Is(err, media.Invalid) {
			t.Errorf("the cursor %q: got %v, want invalid", cursor, err)
		}
	})
}
