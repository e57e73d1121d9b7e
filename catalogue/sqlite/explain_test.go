package sqlite_test

import (
	"database/sql"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"sluice/catalogue"
	"sluice/catalogue/cataloguetest"
	"sluice/catalogue/sqlite"
	"sluice/media"
)

// whole finds a table that is read from end to end, or sorted, without an index. Pages and JSON are short.
var whole = regexp.MustCompile(`SCAN (a|p|o|t|b|assets|trash|intents|views|product_images|course_videos|course_resources|media_storage)\b(?: USING (?:COVERING )?INDEX)?`)

func fault(plan string) string {
	for _, m := range whole.FindAllString(plan, -1) {
		if !strings.Contains(m, "INDEX") {
			return m
		}
	}
	return ""
}

// TestQueriesStayOnAnIndex: SQLite chooses by what the tables are like, so few rows do.
func TestQueriesStayOnAnIndex(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "c.db")
	e, err := sqlite.NewEngine(t.Context(), path, catalogue.Options{}.Log())
	if err != nil {
		t.Fatal(err)
	}
	r := &cataloguetest.Recorder{Engine: e}
	c, err := catalogue.New(t.Context(), r, catalogue.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	seed(t, c)
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	look := func(what string) {
		for _, a := range r.Asked {
			if plan := explain(t, db, a); fault(plan) != "" {
				t.Errorf("%s: %s\n%s\n%s", what, fault(plan), a.Text, plan)
			}
		}
		r.Asked = nil
	}
	r.Asked = nil
	for name, q := range cataloguetest.Listings() {
		for _, sort := range []media.Sort{media.Newest, media.Oldest, media.Largest, media.Smallest, media.MostFetched, media.LeastFetched} {
			q.Sort = sort
			if _, err := c.List(t.Context(), q); err != nil {
				t.Fatal(err)
			}
			look(name + " by " + string(sort))
		}
	}
	for _, p := range cataloguetest.PlaceCalls() {
		if err := p.Call(t.Context(), c); err != nil {
			t.Errorf("%s: %v", p.Name, err)
		}
		look(p.Name)
	}
}

func explain(t *testing.T, db *sql.DB, a cataloguetest.Asked) string {
	t.Helper()
	args := a.Args
	for i, v := range args {
		if id, ok := v.(media.AssetID); ok {
			args[i] = id[:]
		}
	}
	rows, err := db.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+a.Text, args...)
	if err != nil {
		t.Fatalf("%s: %v", a.Text, err)
	}
	defer rows.Close()
	var plan strings.Builder
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		plan.WriteString(detail + "\n")
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return plan.String()
}

// seed puts something in each place that the calls ask for.
func seed(t *testing.T, c *catalogue.Catalogue) {
	t.Helper()
	const e = "000000000000000000000007"
	var list []media.Attachment
	for range 12 {
		for _, p := range []media.Placement{
			{Kind: media.ProductImage, ProductID: e},
			{Kind: media.CourseVideo, CourseID: e, LessonID: e, VideoType: media.IntroVideo},
			{Kind: media.CourseResource, CourseID: e, LessonID: e},
			{Kind: media.Generic, Reference: media.Subject{Type: media.Order, ID: e}},
			{Kind: media.Generic, Reference: media.Subject{Type: media.User, ID: e}},
		} {
			list = append(list, media.Attachment{Asset: media.Asset{Owner: "u1", ExternalURL: "https://x.example"}, Placement: p})
		}
	}
	if _, err := c.Attach(t.Context(), "", list); err != nil {
		t.Fatal(err)
	}
	if _, err := c.RemoveAll(t.Context(), media.Subject{Type: media.User, ID: e}, "", media.Trashed{By: "u1", Until: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	for _, a := range []media.Asset{{State: media.Ready, Owner: "u1"}, {State: media.Ready, Owner: "u1", Unchecked: true}} {
		a.ID = media.NewAssetID(time.Now())
		if _, _, err := c.Begin(t.Context(), a, 0); err != nil {
			t.Fatal(err)
		}
		if !a.Unchecked {
			if err := c.Doom(t.Context(), a.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
}
