package conformance_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/internal/livetest"
)

// Every way to be refused is a problem of the same shape, with the status that HTTP has for it.
func TestEveryRefusalIsAProblem(t *testing.T) {
	t.Parallel()
	c := open(t, livetest.Options{})
	id, _ := c.put("hello", "filename", "x.mp4")
	m := "/api/media/" + id
	missing := "/api/media/0190f5fe-7c00-7a00-8000-000000000000"
	const anyVersion, form, patch = "If-Match: *", "Content-Type: application/json", "Content-Type: application/merge-patch+json"
	expired := "Authorization: Bearer " + c.s.Token("ann", "instructor", -time.Minute)
	bob, stu := "Authorization: "+c.as("bob", "instructor"), "Authorization: "+c.as("stu", "student")
	for _, r := range []struct {
		method, path, body string
		header             []string
		status             int
		code               string
	}{
		{"GET", "/", "", nil, 404, "no_such_route"},
		{"GET", "/api", "", nil, 404, "no_such_route"},
		{"GET", "/api/", "", nil, 404, ""},
		{"GET", "/api/nothing", "", nil, 404, "no_such_route"},
		{"GET", "/api/media/", "", nil, 404, ""},
		{"GET", m + "/", "", nil, 404, ""},
		{"GET", m + "/nothing", "", nil, 404, ""},
		{"GET", "//api/media", "", nil, 404, ""},
		{"GET", "/api/../api/media", "", nil, 404, ""},
		{"GET", "/API/media", "", nil, 404, ""},
		{"HEAD", "/api/nothing", "", nil, 404, ""},
		{"PUT", m, "{}", nil, 405, "method_not_allowed"},
		{"POST", m, "{}", nil, 405, ""},
		{"DELETE", "/api/media", "", nil, 405, ""},
		{"TRACE", "/api/media", "", nil, 405, ""},
		{"BREW", "/api/media", "", nil, 405, ""},
		{"GET", "/api/links", "", nil, 405, ""},
		{"POST", m + "/content", "", nil, 405, ""},
		{"POST", "/livez", "", nil, 405, ""},
		{"POST", "/api/openapi.json", "", nil, 405, ""},
		{"GET", m, "", []string{expired}, 401, "token_expired"},
		{"GET", m, "", []string{"Authorization: Bearer x.y.z"}, 401, ""},
		{"GET", m, "", []string{"Authorization: Basic YTpi"}, 401, ""},
		{"GET", m, "", []string{"X-API-Key: nothing"}, 401, ""},
		{"GET", "/api/me", "", []string{"Authorization:"}, 401, ""},
		{"POST", "/api/media", "{}", []string{"Authorization:", form}, 401, ""},
		{"GET", "/api/uploads", "", []string{"Authorization:"}, 401, ""},
		{"POST", "/api/uploads", "{}", []string{"Authorization:", form}, 401, ""},
		{"DELETE", m, "", []string{"Authorization:", anyVersion}, 401, ""},
		{"POST", m + "/access", "", []string{"Authorization:"}, 401, ""},
		{"GET", "/metrics", "", []string{"Authorization:"}, 401, ""},
		{"GET", "/metrics", "", nil, 403, ""},
		{"POST", "/api/media", `{"url":"https://x.example/a.mp4"}`, []string{stu, form}, 403, ""},
		{"POST", "/api/uploads", "{}", []string{stu, form}, 403, ""},
		{"GET", m, "", []string{bob}, 404, "not_found"},
		{"GET", m, "", []string{stu}, 404, ""},
		{"GET", missing, "", []string{bob}, 404, "not_found"},
		{"PATCH", m, `{"title":"x"}`, []string{bob, patch, anyVersion}, 404, ""},
		{"DELETE", m, "", []string{bob, anyVersion}, 404, ""},
		{"POST", m + "/links", "{}", []string{bob, form}, 404, ""},
		{"GET", "/api/analytics/media/" + id, "", []string{bob}, 404, ""},
		{"GET", m + "/content", "", []string{bob}, 404, ""},
		{"POST", m + "/access", "", []string{bob}, 404, ""},
		{"DELETE", m + "/links", "", []string{bob}, 404, ""},
		{"GET", "/api/media/x", "", nil, 400, "bad_id"},
		{"GET", "/api/media/" + strings.ToUpper(id), "", nil, 400, "bad_id"},
		{"GET", "/api/media/%00", "", nil, 400, ""},
		{"GET", "/api/media/' OR 1=1 --", "", nil, 400, ""},
		{"GET", "/api/media/{$gt:1}", "", nil, 400, ""},
		{"GET", "/api/media?limit=0", "", nil, 400, ""},
		{"GET", "/api/media?limit=-1", "", nil, 400, ""},
		{"GET", "/api/media?limit=9999999999999999999", "", nil, 400, ""},
		{"GET", "/api/media?sort=createdAt;drop", "", nil, 400, ""},
		{"GET", "/api/media?sort=title", "", nil, 400, ""},
		{"GET", "/api/media?isPublic=yes", "", nil, 400, ""},
		{"GET", "/api/media?uploadedBy=%00", "", nil, 400, ""},
		{"GET", "/api/media?cursor=x", "", nil, 400, "bad_cursor"},
		{"GET", "/api/media?state=x", "", nil, 400, ""},
		{"GET", "/api/media?mediaType=x", "", nil, 400, ""},
		{"GET", "/api/media?storageType=x", "", nil, 400, ""},
		{"GET", "/api/media?referenceType=x", "", nil, 400, ""},
		{"GET", "/api/media?mongoCourseId=x", "", nil, 400, ""},
		{"GET", "/api/media?nothing=1", "", nil, 400, ""},
		{"GET", "/api/media?limit=1&limit=2", "", nil, 400, ""},
		{"GET", "/api/media?%zz", "", nil, 400, ""},
		{"GET", "/api/media?mediaType[$ne]=x", "", nil, 400, ""},
		{"PATCH", m, "{", []string{patch, anyVersion}, 400, ""},
		{"PATCH", m, "[]", []string{patch, anyVersion}, 400, ""},
		{"PATCH", m, "", []string{patch, anyVersion}, 400, ""},
		{"PATCH", m, `{"nothing":1}`, []string{patch, anyVersion}, 400, ""},
		{"PATCH", m, `{"title":1}`, []string{patch, anyVersion}, 400, ""},
		{"PATCH", m, `{"kind":"x"}`, []string{patch, anyVersion}, 400, ""},
		{"PATCH", m, `{"mongoCourseId":"x"}`, []string{patch, anyVersion}, 400, ""},
		{"PATCH", m, "{\"title\":\"\xff\"}", []string{patch, anyVersion}, 400, ""},
		{"PATCH", m, `{"title":"` + strings.Repeat("x", 301) + `"}`, []string{patch, anyVersion}, 400, ""},
		{"PATCH", m, `{}`, []string{patch, "If-Match: v1"}, 400, "bad_if_match"},
		{"PATCH", m, `{"title":"x"} {}`, []string{patch, anyVersion}, 400, ""},
		{"PATCH", m, `{"title":"x"}`, []string{"Content-Type: text/plain", anyVersion}, 415, "unsupported_media_type"},
		{"POST", "/api/media", "<x/>", []string{"Content-Type: text/xml"}, 415, ""},
		{"PATCH", m, `{"title":"x"}`, []string{patch}, 428, "if_match_required"},
		{"DELETE", m, "", nil, 428, ""},
		{"PATCH", m, `{"title":"x"}`, []string{patch, `If-Match: "v99"`}, 412, ""},
		{"PATCH", m, `{"title":"x"}`, []string{patch, `If-Match: W/"v1"`}, 412, ""},
		{"DELETE", m, "", []string{`If-Match: "v99"`}, 412, ""},
		{"PATCH", m, `{"title":"` + strings.Repeat("x", 2<<20) + `"}`, []string{patch, anyVersion}, 413, "body_too_large"},
		{"POST", "/api/media", `{"url":"ftp://x"}`, []string{form}, 400, ""},
		{"POST", "/api/media", `{"url":"/x"}`, []string{form}, 400, ""},
		{"POST", "/api/media", `{}`, []string{form}, 400, ""},
		{"POST", "/api/media", `{"url":"https://u:p@x.example/"}`, []string{form}, 400, ""},
		{"POST", "/api/media", `{"url":"javascript:alert(1)"}`, []string{form}, 400, ""},
		{"POST", m + "/links", `{"expiresIn":0}`, []string{form}, 400, ""},
		{"POST", m + "/links", `{"use":"x"}`, []string{form}, 400, ""},
		{"POST", "/api/links", `{"items":[]}`, []string{form}, 400, ""},
		{"GET", "/api/analytics/media/" + id + "?bucket=x", "", nil, 400, ""},
		{"GET", "/api/analytics/media/" + id + "?from=x", "", nil, 400, "bad_time"},
		{"GET", "/api/analytics/media/" + id + "?from=2026-01-02&to=2026-01-01", "", nil, 400, "bad_period"},
	} {
		headers := []string{"Authorization", c.ann}
		for _, h := range r.header {
			name, v, _ := strings.Cut(h, ":")
			if name == "Authorization" || name == "X-API-Key" {
				headers = headers[2:]
			}
			if v = strings.TrimSpace(v); v != "" {
				headers = append(headers, name, v)
			}
		}
		path := strings.NewReplacer(" ", "%20", "'", "%27", "{", "%7B", "}", "%7D").Replace(r.path)
		a := c.send(r.method, path, r.body, headers...)
		where := fmt.Sprintf("%s %s %.40q %q", r.method, r.path, r.body, r.header)
		if r.method == http.MethodHead {
			if a.status != r.status || a.body != "" {
				t.Errorf("%s: %d", where, a.status)
			}
			continue
		}
		if a.status != r.status {
			t.Errorf("%s: got %d %.200s, want %d", where, a.status, a.body, r.status)
			continue
		}
		checkProblem(t, a, r.status, r.code)
		if r.status == 401 && a.get("Www-Authenticate") == "" || r.status == 405 && a.get("Allow") == "" {
			t.Errorf("%s: %v", where, a.header)
		}
	}
	var now struct{ Title, Filename string }
	if a := c.call(200, "GET", m, "", &now); a.get("Etag") != `"v1"` && now.Title != "" {
		t.Errorf("a refusal changed something: %s", a.body)
	}
}

func TestFieldNamesAreTheLMSs(t *testing.T) {
	t.Parallel()
	c := open(t, livetest.Options{})
	always := []string{
		"id", "state", "mediaType", "mimeType", "url", "storageType", "fileSize", "isPublic", "accessCount", "bytesServed", "uploadedBy", "createdAt", "updatedAt",
		"kind", "filename", "sha256",
	}
	for _, f := range []struct {
		meta []string
		more map[string]any
	}{
		{
			[]string{"filename", "a.jpg", "kind", "product-image", "mongoProductId", product, "altText", "Alt", "isMainImage", "true", "position", "2"},
			map[string]any{"kind": "product-image", "mongoProductId": product, "altText": "Alt", "isMainImage": true, "position": 2.0, "mediaType": "image"},
		},
		{
			[]string{"filename", "a.mp4", "kind", "course-video", "mongoCourseId", course, "mongoLessonId", lesson, "videoType", "lesson", "title", "T"},
			map[string]any{"kind": "course-video", "mongoCourseId": course, "mongoLessonId": lesson, "videoType": "lesson", "title": "T", "mediaType": "video"},
		},
		{
			[]string{"filename", "a.pdf", "kind", "course-resource", "mongoCourseId", course, "resourceName", "R", "resourceType", "pdf"},
			map[string]any{"kind": "course-resource", "mongoCourseId": course, "resourceName": "R", "resourceType": "pdf", "mediaType": "document"},
		},
		{
			[]string{"filename", "a.mp3", "referenceType", "review", "referenceId", lesson},
			map[string]any{"kind": "media", "referenceType": "review", "referenceId": lesson, "mediaType": "audio"},
		},
	} {
		id, _ := c.put("hello", f.meta...)
		var m map[string]any
		a := c.call(200, "GET", "/api/media/"+id, "", &m)
		want := slices.Sorted(maps.Keys(f.more))
		want = append(want, always...)
		slices.Sort(want)
		want = slices.Compact(want)
		if got := slices.Sorted(maps.Keys(m)); !slices.Equal(got, want) {
			t.Errorf("%v\ngot  %v\nwant %v", f.meta, got, want)
		}
		for k, v := range f.more {
			if m[k] != v {
				t.Errorf("%s = %v, want %v", k, m[k], v)
			}
		}
		for _, k := range []string{"createdAt", "updatedAt"} {
			at, err := time.Parse(time.RFC3339, fmt.Sprint(m[k]))
			if err != nil || !strings.HasSuffix(fmt.Sprint(m[k]), "Z") || time.Since(at).Abs() > time.Minute {
				t.Errorf("%s = %v, %v; want RFC 3339 in UTC, of now", k, m[k], err)
			}
		}
		if !uuid7.MatchString(fmt.Sprint(m["id"])) || m["storageType"] != "local" || m["fileSize"] != 5.0 || m["uploadedBy"] != "ann" || a.get("Etag") == "" || strings.HasPrefix(a.get("Etag"), "W/") {
			t.Errorf("%s %v", a.body, a.header)
		}
		c.want(200, "GET", fmt.Sprint(m["url"]), "", "Authorization", c.ann)
	}
}

type page struct {
	Items []struct {
		ID, Title string
		FileSize  int64
		CreatedAt time.Time
	}
	NextCursor string
}

// A list narrows to one uploader and to what is public; a login is asked for where one may help; a URL's extension is a type.
func TestListsByUploaderAndByWhatIsPublic(t *testing.T) {
	t.Parallel()
	c := open(t, livetest.Options{})
	for i, who := range []string{c.ann, c.ann, c.as("bob", "instructor")} {
		a := c.want(201, "POST", "/api/media", fmt.Sprintf(`{"url":"https://x.example/%d.mp4","fileSize":%d,"isPublic":%v}`, i, 3-i, i == 1), "Authorization", who, "Content-Type", "application/json")
		if !strings.Contains(a.body, `"mimeType":"video/mp4"`) || !strings.Contains(a.body, `"mediaType":"video"`) {
			t.Errorf("a type by the URL: %s", a.body)
		}
	}
	root := c.as("root", "admin")
	for _, l := range []struct{ query, token, want string }{
		{"", root, "0 1 2"},
		{"uploadedBy=ann", root, "0 1"},
		{"uploadedBy=ann", c.ann, "0 1"},
		{"uploadedBy=bob", c.ann, ""},
		{"uploadedBy=ann", c.as("stu", "student"), ""},
		{"isPublic=true", c.as("stu", "student"), "1"},
		{"isPublic=false", c.as("stu", "student"), ""},
		{"isPublic=false", root, "0 2"},
		{"isPublic=false&uploadedBy=bob", root, "2"},
		{"isPublic=true", c.as("bob", "instructor"), "1"},
	} {
		for sort, reversed := range map[string]bool{"-fileSize": false, "fileSize": true, "-size": false} {
			var p struct{ Items []struct{ URL string } }
			if err := json.Unmarshal([]byte(c.want(200, "GET", "/api/media?sort="+sort+"&"+l.query, "", "Authorization", l.token).body), &p); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, m := range p.Items {
				got = append(got, strings.TrimSuffix(strings.TrimPrefix(m.URL, "https://x.example/"), ".mp4"))
			}
			if reversed {
				slices.Reverse(got)
			}
			if strings.Join(got, " ") != l.want {
				t.Errorf("%s by %s: %v, want %s", l.query, sort, got, l.want)
			}
		}
	}
}

// A walk by cursor gives each of what was there exactly once and in order, whatever comes in between.
func TestAWalkOver500RowsWhileInserting(t *testing.T) {
	t.Parallel()
	c := open(t, livetest.Options{})
	add := func(title string, size int) string {
		var m struct{ ID string }
		c.call(201, "POST", "/api/media", fmt.Sprintf(`{"url":"https://x.example/%s","title":%[1]q,"fileSize":%d}`, title, size), &m)
		return m.ID
	}
	there := map[string]bool{}
	for i := range 500 {
		there[add(fmt.Sprint("row", i), 1+i%7)] = true
	}
	for _, sort := range []string{"", "-createdAt", "createdAt", "-size", "size", "-accessCount", "accessCount"} {
		seen, cursor, extra := map[string]int{}, "", 0
		var last *page
		for rounds := 0; rounds < 100; rounds++ {
			var p page
			path := "/api/media?limit=60&cursor=" + cursor
			if cursor == "" {
				path = "/api/media?limit=60"
			}
			if sort != "" {
				path += "&sort=" + sort
			}
			c.call(200, "GET", path, "", &p)
			if len(p.Items) > 60 {
				t.Fatalf("%d items on a page of 60", len(p.Items))
			}
			for i, m := range p.Items {
				seen[m.ID]++
				before := m
				if i > 0 {
					before = p.Items[i-1]
				} else if last != nil {
					before = last.Items[len(last.Items)-1]
				}
				if wrong := sort == "-size" && m.FileSize > before.FileSize || sort == "size" && m.FileSize < before.FileSize ||
					(sort == "" || sort == "-createdAt") && m.CreatedAt.After(before.CreatedAt) || sort == "createdAt" && m.CreatedAt.Before(before.CreatedAt); wrong {
					t.Fatalf("sort %q: %+v after %+v", sort, m, before)
				}
			}
			if p.NextCursor == "" {
				break
			}
			cursor, last = p.NextCursor, &p
			if extra < 4 {
				extra++
				add(fmt.Sprint("between", sort, extra), 1+extra)
			}
		}
		for id := range there {
			if seen[id] != 1 {
				t.Errorf("sort %q: a row that was there came %d times", sort, seen[id])
			}
		}
		for id, n := range seen {
			if n != 1 {
				t.Errorf("sort %q: %s came %d times", sort, id, n)
			}
		}
		// A cursor belongs to its list.
		if cursor != "" && sort != "size" {
			checkProblem(t, c.send("GET", "/api/media?sort=size&cursor="+cursor, "", "Authorization", c.ann), 400, "bad_cursor")
		}
	}
}

func TestFiltersGiveExactlyWhatTheySay(t *testing.T) {
	t.Parallel()
	c := open(t, livetest.Options{})
	rows := map[string]string{} // id: name
	put := func(name string, meta ...string) {
		id, _ := c.put("hello", meta...)
		rows[id] = name
	}
	put("image", "filename", "a.jpg", "kind", "product-image", "mongoProductId", product)
	put("video", "filename", "a.mp4", "kind", "course-video", "mongoCourseId", course, "videoType", "intro")
	put("lesson", "filename", "b.mp4", "kind", "course-video", "mongoCourseId", course, "mongoLessonId", lesson, "videoType", "lesson")
	put("pdf", "filename", "a.pdf", "kind", "course-resource", "mongoCourseId", course, "resourceType", "pdf")
	put("review", "filename", "c.jpg", "referenceType", "review", "referenceId", lesson)
	put("public", "filename", "a.mp3", "isPublic", "true")
	openID, _ := c.start(5, "filename", "o.mp4")
	rows[openID] = "open"
	var added struct{ ID string }
	c.call(201, "POST", "/api/media", `{"url":"https://x.example/a.mp4","mimeType":"video/mp4"}`, &added)
	rows[added.ID] = "elsewhere"
	ask := func(auth, query string) string {
		a := c.want(200, "GET", "/api/media?"+query, "", "Authorization", auth)
		var p page
		if err := json.Unmarshal([]byte(a.body), &p); err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, m := range p.Items {
			names = append(names, rows[m.ID])
		}
		slices.Sort(names)
		return strings.Join(names, " ")
	}
	for query, want := range map[string]string{
		"mongoProductId=" + product: "image", "mongoCourseId=" + course: "lesson pdf video", "mongoCourseId=" + course + "&videoType=intro": "video",
		"mongoLessonId=" + lesson: "lesson", "kind=course-video": "lesson video", "kind=course-resource&resourceType=pdf": "pdf", "kind=media&mediaType=image": "review",
		"referenceId=" + lesson + "&referenceType=review": "review", "referenceType=review": "review", "referenceId=" + lesson + "&referenceType=order": "",
		"referenceId=" + lesson + "&mediaType=image": "review", "mediaType=audio": "public", "mediaType=document": "pdf", "storageType=cloud": "elsewhere", "storageType=s3": "",
		"state=uploading": "open", "storageType=local&mediaType=video": "lesson open video",
	} {
		if got := ask(c.ann, query); got != want {
			t.Errorf("%s: got %q, want %q", query, got, want)
		}
	}
	if got := ask(c.as("bob", "instructor"), ""); got != "public" {
		t.Errorf("another instructor sees %q", got)
	}
	if got := ask(c.root, "mongoCourseId="+course); got != "lesson pdf video" {
		t.Errorf("an admin sees %q", got)
	}
}

// Of many changes with one version one is made; of many creations with one key one row.
func TestVersionsAndKeysHoldUnderParallelRequests(t *testing.T) {
	t.Parallel()
	c := open(t, livetest.Options{})
	id, _ := c.put("hello", "filename", "x.mp4")
	tag := c.call(200, "GET", "/api/media/"+id, "", nil).get("Etag")
	count := func(n int, do func(i int) (answer, error)) map[int]int {
		var mu sync.Mutex
		var wg sync.WaitGroup
		got := map[int]int{}
		for i := range n {
			wg.Go(func() {
				a, err := do(i)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				got[a.status]++
			})
		}
		wg.Wait()
		return got
	}
	got := count(20, func(i int) (answer, error) {
		return c.try("PATCH", "/api/media/"+id, fmt.Sprintf(`{"title":"t%d"}`, i), "Authorization", c.ann, "Content-Type", "application/merge-patch+json", "If-Match", tag)
	})
	// The hash may have come in between: then none has the version.
	if got[200] > 1 || got[200]+got[412] != 20 {
		t.Errorf("20 changes of one version: %v", got)
	}
	var mu sync.Mutex
	ids := map[string]bool{}
	got = count(20, func(int) (answer, error) {
		a, err := c.try("POST", "/api/media", `{"url":"https://x.example/once.mp4"}`, "Authorization", c.ann, "Content-Type", "application/json", "Idempotency-Key", "k")
		mu.Lock()
		defer mu.Unlock()
		ids[a.get("Location")] = true
		return a, err
	})
	if got[201] != 20 || len(ids) != 1 {
		t.Errorf("20 creations with one key: %v, %d rows", got, len(ids))
	}
	a := c.call(409, "POST", "/api/media", `{"url":"https://x.example/other.mp4"}`, nil, "Idempotency-Key", "k")
	checkProblem(t, a, 409, "idempotency_key_reused")
	c.want(201, "POST", "/api/media", `{"url":"https://x.example/other.mp4"}`, "Authorization", c.root, "Content-Type", "application/json", "Idempotency-Key", "k")
	got = count(20, func(int) (answer, error) {
		return c.try("DELETE", "/api/media/"+id, "", "Authorization", c.ann, "If-Match", "*")
	})
	if got[204] != 1 || got[404] != 19 {
		t.Errorf("20 deletions: %v", got)
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	c := open(t, livetest.Options{})
	for path, needle := range map[string]string{"/livez": `"ok"`, "/readyz": `"sqlite"`} {
		a := c.want(200, "GET", path, "")
		if a.get("Content-Type") != "application/json" || !strings.Contains(a.body, needle) || !strings.Contains(a.get("Cache-Control"), "no-store") {
			t.Errorf("%s: %v %s", path, a.header, a.body)
		}
		if h := c.want(200, "HEAD", path, ""); h.body != "" || h.get("Content-Type") != a.get("Content-Type") {
			t.Errorf("HEAD %s: %v", path, h.header)
		}
	}
	a := c.want(200, "GET", "/metrics", "", "Authorization", c.root)
	if !strings.HasPrefix(a.get("Content-Type"), "text/plain; version=0.0.4") || !strings.Contains(a.body, "# TYPE sluice_") {
		t.Errorf("metrics: %v %.300s", a.header, a.body)
	}
	for _, line := range strings.Split(a.body, "\n") {
		if strings.Contains(line, c.s.Secret) || strings.Contains(line, c.s.DataDir) {
			t.Errorf("metrics show %q", line)
		}
	}
	given := c.want(200, "GET", "/livez", "", "X-Request-Id", "mine-1.2_3", "Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	forged := c.want(200, "GET", "/livez", "", "X-Request-Id", "a b\tc")
	if given.get("X-Request-Id") != "mine-1.2_3" || forged.get("X-Request-Id") == "a b\tc" || forged.get("X-Request-Id") == "" {
		t.Errorf("request ids: %q, %q", given.get("X-Request-Id"), forged.get("X-Request-Id"))
	}
}

// Answers to an Idempotency-Key outlive a kill, and hold on every node.
func TestAnIdempotencyKeyHoldsOverNodesAndKills(t *testing.T) {
	t.Parallel()
	db := livetest.Postgres(t)
	env := []string{
		"DB_ENABLED=true", "DB_HOST=" + db.Host(), "DB_PORT=" + strconv.Itoa(db.Port()), "DB_NAME=" + db.NewDatabase(t), "DB_USER=" + db.User(), "DB_PASSWORD=" + db.Password(),
		"SLUICE_SIGNING_KEYS=1:sign:g5T2kP8wQ1zV7nM4xC6bY9rE3sF0hJuL",
	}
	embedded, here := open(t, livetest.Options{}), open(t, livetest.Options{Env: env})
	for name, nodes := range map[string][2]*site{"embedded": {embedded, embedded}, "two nodes": {here, open(t, livetest.Options{Env: env})}} {
		for target, body := range map[string]string{"/api/media": `{"url":"https://a.example/x.mp4"}`, "/api/uploads": `{"maxSize":1000}`} {
			ask := func(c *site, body string) answer {
				return c.send(http.MethodPost, target, body, "Authorization", c.ann, "Content-Type", "application/json", "Idempotency-Key", "key of "+target)
			}
			first := ask(nodes[0], body)
			nodes[0].s.Kill()
			nodes[0].s.Start()
			for _, c := range nodes {
				if a := ask(c, body); first.status != 201 || a.status != 201 || a.body != first.body || a.get("Idempotent-Replayed") != "true" {
					t.Errorf("%s, %s: got %d %s, then %d %s", name, target, first.status, first.body, a.status, a.body)
				}
			}
			other := map[string]string{"/api/media": `{"url":"https://b.example/x.mp4"}`, "/api/uploads": `{"maxSize":2000}`}[target]
			checkProblem(t, ask(nodes[1], other), http.StatusConflict, "idempotency_key_reused")
		}
	}
}
