package analytics_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/analytics"
	"sluice/media"
)

// shelf holds assets.
type shelf map[media.AssetID]media.Asset

func (s shelf) Asset(_ context.Context, id media.AssetID) (media.Asset, error) {
	if a, ok := s[id]; ok {
		return a, nil
	}
	return media.Asset{}, media.NotFound
}

var (
	admin   = media.Principal{Subject: "root", Roles: []media.Role{media.Admin}}
	teacher = media.Principal{Subject: "u1", Roles: []media.Role{media.Instructor}}
)

func TestReportAuthorisation(t *testing.T) {
	t.Parallel()
	l := newLedger()
	c := open(t, l, t.TempDir(), analytics.CounterOptions{})
	defer mustClose(t, c)
	r := analytics.NewReports(l, shelf{asset(1): {ID: asset(1), Owner: "u1"}}, c, analytics.ReportOptions{})
	_, missing := r.Media(t.Context(), admin, media.Series{Asset: asset(9)})
	for _, c := range []struct {
		name string
		p    media.Principal
		ok   bool
	}{
		{"an admin reads any", admin, true},
		{"an instructor reads their own", teacher, true},
		{"not another's", media.Principal{Subject: "u2", Roles: []media.Role{media.Instructor}}, false},
		{"a student reads none, their own neither", media.Principal{Subject: "u1", Roles: []media.Role{media.Student}}, false},
		{"nobody reads none", media.Principal{}, false},
	} {
		_, err := r.Media(t.Context(), c.p, media.Series{Asset: asset(1)})
		if c.ok != (err == nil) || !c.ok && (!errors.Is(err, media.NotFound) || err.Error() != missing.Error()) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// lms is an LMS where u2 owns a course that u3 has bought. nil: it is away.
type lms map[media.Subject]media.Record

func (l lms) Record(_ context.Context, s media.Subject) (media.Record, error) {
	if l == nil {
		return media.Record{}, media.Unavailable
	}
	if e, ok := l[s]; ok {
		return e, nil
	}
	return media.Record{}, media.NotFound
}

func (l lms) Entitled(_ context.Context, user string, _ []media.Subject) (bool, error) {
	return user == "u3", nil
}

func (lms) Trusting(context.Context) bool { return false }

func (l lms) Titles(_ context.Context, subjects []media.Subject) (map[media.Subject]string, error) {
	if l == nil {
		return nil, media.Unavailable
	}
	names := map[media.Subject]string{}
	for _, s := range subjects {
		if name := l[s].Title(); name != "" {
			names[s] = name
		}
	}
	return names, nil
}

func TestReportsNameWhatMediaBelongTo(t *testing.T) {
	t.Parallel()
	l := newLedger()
	c := open(t, l, t.TempDir(), analytics.CounterOptions{})
	defer mustClose(t, c)
	course, gone := media.Subject{Type: media.Course, ID: "507f1f77bcf86cd799439011"}, media.Subject{Type: media.Product, ID: "507f1f77bcf86cd799439012"}
	a := media.Asset{
		ID: asset(1), Owner: "u1", AccessCount: 7, State: media.Ready, Also: []media.Subject{gone},
		Placement: media.Placement{Kind: media.CourseVideo, CourseID: course.ID},
	}
	known := lms{course: {Subject: course, Fields: map[string]any{"title": "Woodwork"}}}
	for name, c2 := range map[string]struct {
		titles analytics.Titles
		title  string
		away   bool
	}{"known": {known, "Woodwork", false}, "away": {lms(nil), "", true}, "nobody to ask": {nil, "", false}} {
		r := analytics.NewReports(l, shelf{asset(1): a}, c, analytics.ReportOptions{Titles: c2.titles})
		got, err := r.Media(t.Context(), admin, media.Series{Asset: asset(1)})
		want := []analytics.Belonging{{Subject: course, Title: c2.title}, {Subject: gone}}
		if err != nil || !slices.Equal(got.BelongsTo, want) || got.TitlesAway != c2.away || got.AccessCount != 7 {
			t.Errorf("%s: %+v, away %v, %v, want %+v", name, got.BelongsTo, got.TitlesAway, err, want)
		}
	}
}

func TestReportsGoToWhoManages(t *testing.T) {
	t.Parallel()
	l := newLedger()
	c := open(t, l, t.TempDir(), analytics.CounterOptions{})
	defer mustClose(t, c)
	course := media.Subject{Type: media.Course, ID: "507f1f77bcf86cd799439011"}
	assets := shelf{asset(1): {ID: asset(1), Owner: "u1", State: media.Ready, Public: true, Also: []media.Subject{course}}}
	school := lms{course: {Owner: "u2", Published: true}}
	for _, tt := range []struct {
		name    string
		records media.Records
		p       media.Principal
		ok      bool
	}{
		{"the course's owner", school, media.Principal{Subject: "u2", Roles: []media.Role{media.Instructor}}, true},
		{"the owner", school, teacher, true},
		{"the course's owner as a student", school, media.Principal{Subject: "u2", Roles: []media.Role{media.Student}}, false},
		{"who bought it", school, media.Principal{Subject: "u3", Roles: []media.Role{media.Student}}, false},
		{"another instructor, public as it is", school, media.Principal{Subject: "u4", Roles: []media.Role{media.Instructor}}, false},
		{"the course's owner, the LMS away", lms(nil), media.Principal{Subject: "u2", Roles: []media.Role{media.Instructor}}, false},
		{"the owner, the LMS away", lms(nil), teacher, true},
		{"the course's owner, without an LMS", nil, media.Principal{Subject: "u2", Roles: []media.Role{media.Instructor}}, false},
	} {
		r := analytics.NewReports(l, assets, c, analytics.ReportOptions{Rights: media.Rights{Records: tt.records}})
		_, err := r.Media(t.Context(), tt.p, media.Series{Asset: asset(1)})
		if tt.ok != (err == nil) || !tt.ok && !errors.Is(err, media.NotFound) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestReport(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 20, 13, 30, 0, 0, time.UTC) // a Wednesday
	l := newLedger()
	c := open(t, l, t.TempDir(), analytics.CounterOptions{Now: func() time.Time { return now }})
	defer mustClose(t, c)
	r := analytics.NewReports(l, shelf{asset(1): {ID: asset(1), Owner: "u1", AccessCount: 7}}, c, analytics.ReportOptions{Now: func() time.Time { return now }})
	for i := range 40 {
		c.Record(media.Access{Asset: asset(1), At: now.Add(-time.Duration(i) * 24 * time.Hour), Manual: true, Bytes: 2})
	}
	for _, tc := range []struct {
		name        string
		s           media.Series
		from        time.Time
		n           int
		views       int64
		first, last int64
	}{
		{"the last 30 days by day", media.Series{}, now.AddDate(0, 0, -29), 30, 30, 1, 1},
		{"by hour, empty ones filled in", media.Series{From: now.Add(-24 * time.Hour), Bucket: time.Hour}, now.Add(-24 * time.Hour), 25, 2, 1, 1},
		{"weeks begin on Monday", media.Series{From: now.AddDate(0, 0, -9), Bucket: 7 * 24 * time.Hour}, now.AddDate(0, 0, -9), 2, 10, 7, 3},
		{"the end is excluded", media.Series{From: now.AddDate(0, 0, -2), To: now.Truncate(24 * time.Hour)}, now.AddDate(0, 0, -2), 2, 2, 1, 1},
	} {
		tc.s.Asset = asset(1)
		got, err := r.Media(t.Context(), teacher, tc.s)
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		var views int64
		for i, b := range got.Buckets {
			views += b.Views
			if i > 0 && !b.Start.After(got.Buckets[i-1].Start) || b.Bytes != 2*b.Views {
				t.Errorf("%s: bucket %d is %+v", tc.name, i, b)
			}
		}
		if n := len(got.Buckets); n != tc.n || views != tc.views || got.Buckets[0].Views != tc.first || got.Buckets[n-1].Views != tc.last {
			t.Errorf("%s: %d buckets, %d views: %+v", tc.name, n, views, got)
		}
		if got.From.After(tc.from) || !got.CountedUntil.Equal(now) || got.AccessCount != 7 {
			t.Errorf("%s: %+v", tc.name, got)
		}
	}
}

func TestReportRefusesBadParameters(t *testing.T) {
	t.Parallel()
	now := time.Now()
	l := newLedger()
	c := open(t, l, t.TempDir(), analytics.CounterOptions{})
	defer mustClose(t, c)
	r := analytics.NewReports(l, shelf{asset(1): {ID: asset(1), Owner: "u1"}}, c, analytics.ReportOptions{})
	for name, s := range map[string]media.Series{
		"from after to":         {From: now, To: now.Add(-time.Hour)},
		"from equal to":         {From: now, To: now},
		"from in the future":    {From: now.Add(time.Hour)},
		"half an hour":          {Bucket: 30 * time.Minute},
		"a negative bucket":     {Bucket: -time.Hour},
		"too many buckets":      {From: now.AddDate(-2, 0, 0), Bucket: time.Hour},
		"before 1970":           {From: time.Date(1, 1, 1, 1, 0, 0, 0, time.UTC)},
		"a time out of reason":  {From: now, To: time.Date(250_000, 1, 1, 0, 0, 0, 0, time.UTC)},
		"days of eight hundred": {From: time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC), To: time.Date(2770, 1, 1, 0, 0, 0, 0, time.UTC)},
	} {
		s.Asset = asset(1)
		if _, err := r.Media(t.Context(), teacher, s); !errors.Is(err, media.Invalid) {
			t.Errorf("%s: %v, want Invalid", name, err)
		}
	}
	for name, want := range map[string]time.Duration{"": 24 * time.Hour, "day": 24 * time.Hour, "hour": time.Hour, "week": 168 * time.Hour} {
		if got, err := analytics.ParseBucket(name); got != want || err != nil {
			t.Errorf("ParseBucket(%q) = %v, %v", name, got, err)
		}
	}
	if _, err := analytics.ParseBucket("month"); !errors.Is(err, media.Invalid) {
		t.Errorf("ParseBucket(month): %v", err)
	}
}

func TestReportSaysUntilWhenItHasCounted(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 20, 13, 30, 0, 0, time.UTC)
	l := newLedger()
	c := open(t, l, t.TempDir(), analytics.CounterOptions{Now: func() time.Time { return now }})
	defer mustClose(t, c)
	flush(t, c)
	counted := now
	c.Record(media.Access{Asset: asset(1), At: now, Manual: true})
	flush(t, c)
	now = now.Add(time.Hour)
	c.Record(media.Access{Asset: asset(1), At: now, Manual: true})
	l.fail(unavailable)
	r := analytics.NewReports(l, shelf{asset(1): {ID: asset(1), Owner: "u1"}}, c, analytics.ReportOptions{Now: func() time.Time { return now }})
	got, err := r.Media(t.Context(), teacher, media.Series{Asset: asset(1)})
	if err != nil || !got.CountedUntil.Equal(counted) || got.Buckets[29].Views != 1 {
		t.Errorf("%+v, %v, want counted until %v", got, err, counted)
	}
	l.fail(nil)
}

func TestReportAsJSONAndCSV(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 5, 20, 0, 0, 0, 0, time.UTC)
	r := analytics.Report{
		MediaID: asset(1), From: at, To: at.Add(24 * time.Hour), Bucket: "day", AccessCount: 3, BytesServed: 9,
		Buckets: []analytics.Bucket{{Start: at, Views: 3, Bytes: 9}, {Start: at, Views: -1}},
	}
	got, err := json.Marshal(r)
	want := `{"mediaId":"00000000-0000-0000-0000-000000000001","from":"2026-05-20T00:00:00Z","to":"2026-05-21T00:00:00Z","bucket":"day",` +
		`"accessCount":3,"bytesServed":9,"buckets":[{"start":"2026-05-20T00:00:00Z","views":3,"bytes":9},{"start":"2026-05-20T00:00:00Z","views":-1,"bytes":0}]}`
	if err != nil || string(got) != want {
		t.Errorf("JSON is\n%s, %v, want\n%s", got, err, want)
	}
	var b bytes.Buffer
	if err := analytics.WriteCSV(&b, r); err != nil {
		t.Fatal(err)
	}
	if want := "mediaId,start,views,bytes\r\n00000000-0000-0000-0000-000000000001,2026-05-20T00:00:00Z,3,9\r\n"; !strings.HasPrefix(b.String(), want) {
		t.Errorf("CSV is %q", b.String())
	}
	for line := range strings.Lines(b.String()) {
		for cell := range strings.SplitSeq(strings.TrimSpace(line), ",") {
			if strings.ContainsAny(cell[:1], "=+-@\t") {
				t.Errorf("the cell %q begins a formula", cell)
			}
		}
	}
}
