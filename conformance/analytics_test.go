package conformance_test

import (
	"encoding/csv"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"sluice/internal/livetest"
)

type report struct {
	MediaID, Bucket          string
	From, To                 time.Time
	AccessCount, BytesServed int64
	LastAccessedAt           *time.Time
	Buckets                  []struct {
		Start        time.Time
		Views, Bytes int64
	}
}

// A view is one per viewer, media and half hour, however many ranges; bytes are what was sent; HEAD, 304 and the owner's own count nothing.
func TestTheNumbersAreExact(t *testing.T) {
	t.Parallel()
	c := open(t, livetest.Options{})
	id, _ := c.put(string(noise(10_000)), "filename", "x.mp4")
	var bytes int64
	tag := ""
	for _, viewer := range []string{"v1", "v2", "v3"} {
		u := c.link(id, viewer)
		for _, r := range []string{"bytes=0-99", "bytes=100-299", "bytes=-1", ""} {
			headers := []string{}
			if r != "" {
				headers = []string{"Range", r}
			}
			a := c.send(http.MethodGet, u, "", headers...)
			if a.status/100 != 2 {
				t.Fatalf("%s: %d", r, a.status)
			}
			bytes, tag = bytes+int64(len(a.body)), a.get("Etag")
		}
		c.want(200, http.MethodHead, u, "")
		c.want(304, http.MethodGet, u, "", "If-None-Match", tag)
		c.want(416, http.MethodGet, u, "", "Range", "bytes=10000-")
	}
	onlyHead := c.link(id, "v4")
	c.want(200, http.MethodHead, onlyHead, "")
	c.want(200, http.MethodGet, "/api/media/"+id+"/content", "", "Authorization", c.ann)
	c.call(202, "POST", "/api/media/"+id+"/access", "", nil)
	const views = 4 // three viewers, one by hand
	check := func(when string) {
		t.Helper()
		var m struct {
			AccessCount, BytesServed int64
			LastAccessedAt           time.Time
		}
		a := c.call(200, "GET", "/api/media/"+id, "", &m)
		if m.AccessCount != views || time.Since(m.LastAccessedAt).Abs() > time.Minute || !strings.Contains(a.body, `Z"`) {
			t.Errorf("%s: %s", when, a.body)
		}
		for _, bucket := range []string{"", "hour", "day", "week"} {
			var r report
			path := "/api/analytics/media/" + id
			if bucket != "" {
				path += "?bucket=" + bucket
			}
			a := c.call(200, "GET", path, "", &r)
			var v, b int64
			for i, s := range r.Buckets {
				v, b = v+s.Views, b+s.Bytes
				if i > 0 && !s.Start.After(r.Buckets[i-1].Start) || s.Start.Before(r.From) || !s.Start.Before(r.To) {
					t.Errorf("%s, %s: bucket %v is out of line", when, bucket, s.Start)
				}
			}
			if r.MediaID != id || v != views || r.AccessCount != views || b != r.BytesServed || b < bytes || b > bytes+10_000 {
				t.Errorf("%s, by %q: %d views and %d bytes, want %d and %d: %.300s", when, r.Bucket, v, b, views, bytes, a.body)
			}
			sheet := c.want(200, "GET", path, "", "Authorization", c.ann, "Accept", "text/csv")
			rows, err := csv.NewReader(strings.NewReader(sheet.body)).ReadAll()
			if err != nil || len(rows) != len(r.Buckets)+1 || !strings.HasPrefix(sheet.get("Content-Type"), "text/csv") {
				t.Fatalf("%s: CSV of %d rows, %v, %v; want %d", when, len(rows), err, sheet.header, len(r.Buckets)+1)
			}
			for i, s := range r.Buckets {
				if want := []string{s.Start.UTC().Format(time.RFC3339), fmt.Sprint(s.Views), fmt.Sprint(s.Bytes)}; fmt.Sprint(rows[i+1]) != fmt.Sprint(want) {
					t.Errorf("%s: CSV says %v, JSON %v", when, rows[i+1], want)
				}
			}
		}
	}
	check("running")
	c.s.Kill()
	c.s.Start()
	check("after a kill")
	c.s.Stop()
	c.s.Start()
	check("after a stop")
}
