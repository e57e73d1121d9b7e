package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"sluice/internal/livetest"
)

// twins are gateways with one catalogue and one set of keys.
type twins struct {
	t     *testing.T
	nodes [2]*process
	token string
}

func newTwins(t *testing.T, redisURLs ...string) *twins {
	t.Helper()
	return newTwinsOver(t, "", redisURLs...)
}

// newTwinsOver gives them a MongoDB as well.
func newTwinsOver(t *testing.T, mongoURI string, redisURLs ...string) *twins {
	t.Helper()
	_, vars := lms(t)
	maps.Copy(vars, map[string]string{
		"JWT_SECRET": "q8Z1vN4sK7yB2mX5cR9tW3eH6uJ0pLaD", "SLUICE_SIGNING_KEYS": `"1:sign:g5T2kP8wQ1zV7nM4xC6bY9rE3sF0hJuL"`, "SLUICE_LOG_FORMAT": "json",
	})
	w := &twins{t: t}
	for i := range w.nodes {
		dir := t.TempDir()
		writeDotenv(t, dir, vars)
		var env []string
		if len(redisURLs) > i {
			env = append(env, "REDIS_URL="+redisURLs[i])
		}
		if mongoURI != "" {
			env = append(env, "MONGODB_URI="+mongoURI)
		}
		w.nodes[i] = spawn(t, dir, env)
	}
	w.token = w.nodes[0].must("token", "--subject", "root", "--role", "admin")
	return w
}

// call asks one node as an admin, and gives status, header and body.
func (w *twins) call(node int, method, path, body string) (int, http.Header, string) {
	w.t.Helper()
	return w.callAs(w.token, node, method, path, body)
}

func (w *twins) callAs(token string, node int, method, path, body string) (int, http.Header, string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.nodes[node].url+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	if strings.HasPrefix(path, "/api/") {
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("If-Match", "*")
		if body != "" {
			req.Header.Set("Content-Type", "application/json")
		}
		if method == http.MethodPatch {
			req.Header.Set("Content-Type", "application/merge-patch+json")
		}
	}
	c := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer c.CloseIdleConnections()
	resp, err := c.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(b)
}

func (w *twins) must(node int, want int, method, path, body string) (http.Header, string) {
	w.t.Helper()
	code, head, answer := w.call(node, method, path, body)
	if code != want {
		w.t.Fatalf("%s %s on node %d = %d %s, want %d", method, path, node, code, answer, want)
	}
	return head, answer
}

// within checks that a node comes to answer so in time.
func (w *twins) within(limit time.Duration, node, want int, path string) {
	w.t.Helper()
	begin := time.Now()
	livetest.Until(w.t, 10*time.Second, fmt.Sprintf("%s on node %d is %d", path, node, want), func() bool {
		code, _, _ := w.call(node, http.MethodGet, path, "")
		return code == want
	})
	if took := time.Since(begin); took > limit {
		w.t.Errorf("node %d answers %s with %d after %v, want within %v", node, path, want, took, limit)
	}
}

// add gives media that are kept elsewhere, which play as a redirect, and a link to them.
func (w *twins) add(public bool) (id, link string) {
	w.t.Helper()
	var made struct{ ID, URL string }
	_, body := w.must(0, http.StatusCreated, http.MethodPost, "/api/media", fmt.Sprintf(`{"url":"https://cdn.example.com/a.mp4","isPublic":%v}`, public))
	if err := json.Unmarshal([]byte(body), &made); err != nil {
		w.t.Fatal(err)
	}
	id = made.ID
	_, body = w.must(0, http.StatusCreated, http.MethodPost, "/api/media/"+id+"/links", `{"viewer":"v1"}`)
	if err := json.Unmarshal([]byte(body), &made); err != nil {
		w.t.Fatal(err)
	}
	return id, made.URL[strings.Index(made.URL, "/p/"):]
}

// walk changes things on one node and looks at the other, where they lie in memory.
func (w *twins) walk(limit time.Duration) {
	w.t.Helper()
	id, link := w.add(true)
	media := "/api/media/" + id
	known := func() {
		w.t.Helper()
		for range 2 {
			w.must(1, http.StatusFound, http.MethodGet, link, "")
		}
	}
	known()
	w.must(1, http.StatusFound, http.MethodGet, "/m/"+id+"/", "")
	w.must(0, http.StatusOK, http.MethodPatch, media, `{"isPublic":false}`)
	w.within(limit, 1, http.StatusNotFound, "/m/"+id+"/")
	known()
	w.must(0, http.StatusNoContent, http.MethodDelete, media+"/links", "")
	w.within(limit, 1, http.StatusForbidden, link)

	id, link = w.add(false)
	known()
	_, body := w.must(0, http.StatusCreated, http.MethodPost, "/api/revocations", `{"viewer":"v1","mediaId":"`+id+`"}`)
	w.within(limit, 1, http.StatusForbidden, link)
	var denial struct{ ID string }
	if err := json.Unmarshal([]byte(body), &denial); err != nil {
		w.t.Fatal(err)
	}
	w.must(0, http.StatusNoContent, http.MethodDelete, "/api/revocations/"+denial.ID, "")
	w.within(limit, 1, http.StatusFound, link)
	w.must(0, http.StatusNoContent, http.MethodDelete, "/api/media/"+id, "")
	w.within(limit, 1, http.StatusNotFound, link)
	if code, _, _ := w.call(1, http.MethodGet, "/api/media/"+id, ""); code != http.StatusNotFound {
		w.t.Errorf("deleted on one node, read on the other: %d", code)
	}
}

func (w *twins) ready(node int) string {
	w.t.Helper()
	_, body := w.must(node, http.StatusOK, http.MethodGet, "/readyz", "")
	return body
}

func TestTwoNodesOverRedis(t *testing.T) {
	t.Parallel()
	s := livetest.Redis(t)
	w := newTwins(t, s.URL(), s.URL())
	w.walk(500 * time.Millisecond)
	inOrder := regexp.MustCompile(`^MongoDB not configured \(records are kept in entities.db\)\nRedis connected\nPostgreSQL connected successfully\n`)
	if out := w.nodes[1].out.String(); !inOrder.MatchString(out) {
		t.Errorf("the start says %q", out)
	}
	if body := w.ready(1); !strings.Contains(body, `"name":"redis","status":"up","critical":false`) {
		t.Errorf("/readyz = %s", body)
	}
	id, _ := w.add(false)
	var seen []string
	for range 2 {
		head, _ := w.must(1, http.StatusOK, http.MethodGet, "/api/media/"+id, "")
		seen = append(seen, head.Get("X-Cache"))
	}
	if seen[1] != "hit" {
		t.Errorf("X-Cache %v, want a hit", seen)
	}
	if got := s.Do(t, "EXISTS", "media:"+id); got != ":1" {
		t.Errorf("Redis has media:%s: %s, want :1", id, got)
	}
	for i := range w.nodes {
		if log := w.nodes[i].log.String(); strings.Contains(log, `"level":"WARN"`) || strings.Contains(log, `"level":"ERROR"`) {
			t.Errorf("node %d complains: %s", i, log)
		}
	}
}

func TestTwoNodesOverPostgreSQLAlone(t *testing.T) {
	t.Parallel()
	w := newTwins(t)
	w.walk(500 * time.Millisecond)
	if body := w.ready(0); strings.Contains(body, "redis") {
		t.Errorf("/readyz = %s", body)
	}
}

// One node is cut off from Redis: it tells the other by the database, which drops what Redis holds.
func TestANodeCutOffFromRedisTellsByTheDatabase(t *testing.T) {
	t.Parallel()
	s := livetest.Redis(t)
	w := newTwins(t, "redis://127.0.0.1:1/0", s.URL())
	w.walk(time.Second)
	if n := strings.Count(w.nodes[0].log.String(), `"Redis not reachable: `); n != 1 {
		t.Errorf("said %d times that Redis is not reachable, want once: %s", n, w.nodes[0].log)
	}
	if strings.Contains(w.nodes[0].out.String(), "Redis connected") {
		t.Errorf("the start says %q", w.nodes[0].out)
	}
}

func TestRedisGoesAndComesBackUnderTwoNodes(t *testing.T) {
	t.Parallel()
	s := livetest.Redis(t)
	w := newTwins(t, s.URL(), s.URL())
	w.walk(500 * time.Millisecond)
	for _, fault := range []struct {
		name       string
		begin, end func()
	}{
		{"killed", s.Kill, func() { s.Start(t) }},
		{"paused", func() { s.Pause(t) }, func() { s.Continue(t) }},
	} {
		fault.begin()
		w.walk(1500 * time.Millisecond)
		livetest.Until(t, 5*time.Second, "/readyz names it, "+fault.name, func() bool {
			body := w.ready(1)
			return strings.Contains(body, `"status":"degraded"`) && strings.Contains(body, `"name":"redis","status":"down"`)
		})
		fault.end()
		for i := range w.nodes {
			livetest.Until(t, 3*time.Second, "it is back", func() bool { return strings.Contains(w.ready(i), `"status":"ready"`) })
		}
		w.walk(500 * time.Millisecond)
	}
	for i, n := range w.nodes {
		left, back := strings.Count(n.log.String(), `"Redis not reachable: `), strings.Count(n.log.String(), `"Redis is back"`)
		if left != 2 || back != 2 {
			t.Errorf("node %d said %d times that it is away and %d times that it is back, want twice each: %s", i, left, back, n.log)
		}
	}
}

func TestTheDoctorLooksAtRedis(t *testing.T) {
	t.Parallel()
	locked := livetest.Redis(t)
	locked.Do(t, "CONFIG", "SET", "requirepass", "hunter2hunter2")
	open := livetest.Redis(t)
	web, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.NotFoundHandler(), ReadHeaderTimeout: time.Second}
	go func() { _ = srv.Serve(web) }()
	t.Cleanup(func() { _ = srv.Close() })
	for name, c := range map[string]struct {
		url, want string
		code      int
	}{
		"none":                     {"", `ok +redis +none`, exitOK},
		"there":                    {open.URL(), `ok +redis +Redis \d+\.\d+\S* at 127\.0\.0\.1:\d+`, exitOK},
		"with its password":        {"redis://:hunter2hunter2@" + locked.Addr() + "/0", `ok +redis +Redis`, exitOK},
		"nobody there":             {"redis://:hunter2hunter2@127.0.0.1:1/0", `WRONG +redis +Redis does not answer at 127\.0\.0\.1:1\n +fix: start it`, exitFailure},
		"without its password":     {locked.URL(), `WRONG +redis +Redis at \S+ refuses the login.*\n +fix: set REDIS_URL`, exitFailure},
		"with a wrong password":    {"redis://:hunter2hunter3@" + locked.Addr() + "/0", `WRONG +redis +Redis at \S+ refuses the login.*\n +fix: set REDIS_URL`, exitFailure},
		"something else":           {"redis://" + web.Addr().String() + "/0", `WRONG +redis +what answers at \S+ is not a Redis\n +fix: `, exitFailure},
		"a URL that cannot be one": {"redis://:hunter2hunter2@[::/0", `WRONG +redis +REDIS_URL cannot be read\n +fix: `, exitFailure},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, out, errs := once(t, t.TempDir(), []string{"REDIS_URL=" + c.url}, "doctor", "--set", "port=0")
			if code != c.code || !regexp.MustCompile(c.want).MatchString(out) || errs != "" {
				t.Errorf("doctor = %d, want %d and %s:\n%s%s", code, c.code, c.want, out, errs)
			}
			if strings.Contains(out+errs, "hunter") {
				t.Errorf("the password is printed: %s%s", out, errs)
			}
		})
	}
}

func TestARedisURLThatCannotBeOneStopsTheStart(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"redis://:hunter2hunter2@[::/0", "http://:hunter2hunter2@localhost", "hunter2hunter2"} {
		code, out, errs := once(t, t.TempDir(), []string{"REDIS_URL=" + url}, "serve", "--port", "0")
		onlyCauseAndFix(t, code, out, errs, regexp.MustCompile("REDIS_URL cannot be read"))
		if strings.Contains(out+errs, "hunter2") {
			t.Errorf("the password is printed: %s%s", out, errs)
		}
	}
}
