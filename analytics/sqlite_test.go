package analytics_test

import (
	"path/filepath"
	"testing"
	"time"

	"sluice/analytics"
	"sluice/catalogue"
	"sluice/catalogue/sqlite"
	"sluice/media"
)

func TestExactOverSQLite(t *testing.T) {
	t.Parallel()
	db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "catalogue.db"), catalogue.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	now, dir := time.Now(), t.TempDir()
	a := media.Asset{
		ID: media.NewAssetID(now), State: media.Uploading, Owner: "u1", Size: 1, MIMEType: "video/mp4", Type: media.Video,
		StorageType: media.Local, Backend: "disk", Key: "k", Placement: media.Placement{Kind: media.Generic}, CreatedAt: now, UpdatedAt: now,
	}
	if _, _, err := db.Begin(t.Context(), a, 0); err != nil {
		t.Fatal(err)
	}
	for run := range 4 {
		c := open(t, db, dir, analytics.CounterOptions{})
		for i := range 3000 {
			c.Record(media.Access{Asset: a.ID, At: now, Session: session(uint64(run*2000 + i)), View: true, Bytes: 2})
		}
		if run%2 == 0 {
			flush(t, c)
		}
		c.Abandon()
	}
	c := open(t, db, dir, analytics.CounterOptions{})
	defer mustClose(t, c)
	got, err := analytics.NewReports(db, db, c, analytics.ReportOptions{}).Media(t.Context(), teacher, media.Series{Asset: a.ID})
	if err != nil {
		t.Fatal(err)
	}
	const views, bytes = 9000, 24_000
	if got.AccessCount != views || got.BytesServed != bytes || got.LastAccessedAt.Sub(now).Abs() > time.Millisecond {
		t.Errorf("%d views, %d bytes, last %v, want %d, %d, %v", got.AccessCount, got.BytesServed, got.LastAccessedAt, views, bytes, now)
	}
	var sum int64
	for _, b := range got.Buckets {
		sum += b.Views
	}
	if sum != views {
		t.Errorf("the buckets hold %d views, want %d", sum, views)
	}
}
