package embedded_test

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/entities"
	"sluice/entities/embedded"
	"sluice/media"
)

// child is set in a process that a test starts to be killed: the file it writes to.
const child = "ENTITIES_EMBEDDED_CHILD"

func TestMain(m *testing.M) {
	if path := os.Getenv(child); path != "" {
		fmt.Fprintln(os.Stderr, write(context.Background(), path))
		os.Exit(1) // only a signal ends it
	}
	os.Exit(m.Run())
}

// write creates records without end, and prints the id of each once that is answered.
func write(ctx context.Context, path string) error {
	d, err := embedded.Open(ctx, path, embedded.Options{})
	if err != nil {
		return err
	}
	r, err := entities.New(ctx, d, entities.Options{})
	if err != nil {
		return err
	}
	for n := 0; ; n++ {
		s := media.Subject{Type: media.Product, ID: fmt.Sprintf("%024x", n)}
		if _, err := r.Create(ctx, media.Record{Subject: s, Fields: map[string]any{"n": int64(n)}}, ""); err != nil {
			return err
		}
		if _, err := os.Stdout.WriteString(s.ID + "\n"); err != nil {
			return err
		}
	}
}

func TestWhatWasAnsweredSurvivesAKill(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "entities.db")
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), child+"="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var answered []string
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		answered = append(answered, lines.Text())
		if len(answered) == 200 {
			_ = cmd.Process.Kill() // SIGKILL, in the midst of the next
		}
	}
	_ = cmd.Wait() // killed
	if len(answered) < 200 {
		t.Fatalf("only %d were answered", len(answered))
	}
	if len(answered[len(answered)-1]) != 24 {
		answered = answered[:len(answered)-1] // half a line
	}
	d := driver(t, path)
	for n, id := range answered {
		doc, err := d.Get(t.Context(), entities.Key{Subject: media.Subject{Type: media.Product, ID: id}})
		if err != nil || doc.Fields["n"] != int64(n) {
			t.Fatalf("record %d of %d that were answered: got %v, %v", n, len(answered), doc.Fields, err)
		}
	}
}

func TestEverySearchHasItsIndex(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "entities.db")
	driver(t, path)
	db := raw(t, path)
	at := &entities.Position{CreatedAt: time.UnixMilli(1), ID: "x"}
	for _, c := range []struct {
		name, index string
		q           entities.Query
	}{
		{"newest", "records_newest", entities.Query{Type: media.Product, Limit: 9}},
		{"newest that are published", "records_newest", entities.Query{Type: media.Product, Listed: true, Limit: 9}},
		{"the next page", "records_newest (type=? AND (created_at,id)<(?,?)", entities.Query{Type: media.Product, After: at, Limit: 9}},
		{"of an owner", "records_owner", entities.Query{Type: media.Order, Owner: "u", Limit: 9}},
		{"of an owner, the next page", "records_owner (type=? AND owner=? AND (created_at,id)<(?,?)", entities.Query{Type: media.Order, Owner: "u", After: at, Limit: 9}},
		{"of a category", "records_category", entities.Query{Type: media.Product, Category: "c", Limit: 9}},
	} {
		if plan := explain(t, db, c.q); !strings.Contains(plan, c.index) || strings.Contains(plan, "TEMP B-TREE") || strings.Contains(plan, "SCAN records") {
			t.Errorf("%s: %s", c.name, plan)
		}
	}
	for _, q := range []entities.Query{{Type: media.Course, Lesson: "x", Limit: 1}, {Type: media.Product, IDs: []string{"x"}, Limit: 1}} {
		if plan := explain(t, db, q); strings.Contains(plan, "SCAN records") || !strings.Contains(plan, "id=?") {
			t.Errorf("%+v: %s", q, plan)
		}
	}
	if got, want := plan(t, db, embedded.TrashedText, 1, 1), "SEARCH records USING COVERING INDEX records_trash (buried_at<?)"; got != want {
		t.Errorf("the trash: %s, want %s", got, want)
	}
}

func explain(t *testing.T, db *sql.DB, q entities.Query) string {
	t.Helper()
	text, args, err := embedded.Text(q)
	if err != nil {
		t.Fatal(err)
	}
	return plan(t, db, text, args...)
}

func plan(t *testing.T, db *sql.DB, text string, args ...any) string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+text, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var steps []string
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		steps = append(steps, detail)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return strings.Join(steps, "; ")
}

func raw(t testing.TB, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_busy_timeout=5000")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func TestAFileOfANewerProgramIsLeftAlone(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "entities.db")
	if _, err := raw(t, path).ExecContext(t.Context(), "PRAGMA user_version = 99"); err != nil {
		t.Fatal(err)
	}
	if _, err := embedded.Open(t.Context(), path, embedded.Options{}); err == nil || !strings.Contains(err.Error(), "newer") {
		t.Errorf("got %v, want a word about a newer program", err)
	}
}

func TestAFileIsForItsOwnerAlone(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "entities.db")
	driver(t, path)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o600 {
		t.Errorf("mode %o, want 600: records name users", got)
	}
}

func TestAWriteWaitsForAnotherProcessAndNoLonger(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "entities.db")
	d := driver(t, path)
	tx, err := raw(t, path).BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(t.Context(), "INSERT INTO touched VALUES (1)"); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	_, err = d.Write(t.Context(), entities.Key{Subject: media.Subject{Type: media.Product, ID: "65a000000000000000000001"}},
		func(*entities.Document) (*entities.Document, error) {
			return &entities.Document{Fields: map[string]any{}}, nil
		})
	if e, ok := errors.AsType[*media.Error](err); !ok || e.Kind != media.Unavailable || e.RetryAfter == 0 {
		t.Errorf("got %v, want unavailable", err)
	}
	if took := time.Since(start); took > 2500*time.Millisecond {
		t.Errorf("that took %v", took)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
}

func BenchmarkRecord(b *testing.B) {
	r := filled(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Record(b.Context(), media.Subject{Type: media.Course, ID: fmt.Sprintf("%024x", 500)}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGranted(b *testing.B) {
	r := filled(b)
	b.ReportAllocs()
	for b.Loop() {
		if got, err := r.Granted(b.Context(), "u7"); err != nil || len(got) != 20 {
			b.Fatal(got, err)
		}
	}
}

func BenchmarkChange(b *testing.B) {
	r := filled(b)
	for b.Loop() {
		if _, err := r.Change(b.Context(), media.Subject{Type: media.Course, ID: fmt.Sprintf("%024x", 500)}, "", map[string]any{"n": int64(1)}); err != nil {
			b.Fatal(err)
		}
	}
}

// filled has 1,000 courses of 10 lessons, and 50 users with 20 orders each.
func filled(b *testing.B) *entities.Records {
	b.Helper()
	r, err := entities.New(b.Context(), driver(b, filepath.Join(b.TempDir(), "entities.db")), entities.Options{})
	if err != nil {
		b.Fatal(err)
	}
	for n := range 1000 {
		lessons := make([]any, 10)
		for i := range lessons {
			lessons[i] = map[string]any{"id": fmt.Sprintf("%023x%x", n, i), "title": "A lesson", "duration": int64(600)}
		}
		c := fmt.Sprintf("%024x", n)
		for s, with := range map[media.SubjectType]map[string]any{
			media.Course: {"title": "A course", "modules": []any{map[string]any{"lessons": lessons}}},
			media.Order:  {"user": fmt.Sprintf("u%d", n%50), "status": "paid", "courseId": c},
		} {
			if _, err := r.Put(b.Context(), media.Record{Subject: media.Subject{Type: s, ID: c}, Fields: with}); err != nil {
				b.Fatal(err)
			}
		}
	}
	return r
}
