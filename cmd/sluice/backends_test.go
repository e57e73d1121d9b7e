package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/configs"
	"sluice/internal/livetest"
	"sluice/media"
)

// kept counts the objects in a folder of local storage.
func kept(t *testing.T, folder string) int {
	t.Helper()
	n := 0
	err := filepath.WalkDir(filepath.Join(folder, "objects"), func(_ string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			n++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

const course = "507f1f77bcf86cd799439011"

func TestUploadsLandWhereTheRulesSay(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	big, cold := filepath.Join(home, "big"), filepath.Join(home, "cold")
	s := livetest.Sluice(t, livetest.Options{
		DataDir: filepath.Join(home, "data"),
		Config: fmt.Sprintf("storage:\n  rules:\n    - kind=course-video size>=1MiB -> big\n    - type=image/* -> local\n    - course=%s -> cold\n  backends:\n"+
			"    big: {type: local, path: %s}\n    cold: {type: local, path: %s}\n", course, big, cold),
		Env: []string{"SLUICE_TOKEN="}, Off: true,
	})
	s.Start()
	folders := map[string]string{"local": filepath.Join(home, "data", "files"), "big": big, "cold": cold}
	film, sum := file(t, home, "film.mp4", 1<<20)
	clip, _ := file(t, home, "clip.mp4", 1000)
	logo, _ := file(t, home, "logo.png", 1000)
	send := func(args ...string) (string, error) {
		c := s.Command(t.Context(), []string{"SLUICE_SERVER=" + s.URL, "SLUICE_TOKEN=" + s.Token("ada", "instructor", time.Hour)}, append([]string{"upload"}, args...)...)
		out, err := c.CombinedOutput()
		return string(out), err
	}
	wants := 0
	for _, c := range []struct {
		args []string
		to   string
	}{
		{[]string{film, "--course", course, "--video-type", "intro"}, "big"},
		{[]string{clip, "--course", course, "--video-type", "intro"}, "cold"},
		{[]string{logo, "--course", course}, "local"},
		{[]string{clip}, "local"},
		{[]string{film, "--course", course, "--storage", "local"}, "local"},
		{[]string{logo, "--storage", "cold", "--name", "again.png"}, "cold"},
	} {
		before := kept(t, folders[c.to])
		if out, err := send(c.args...); err != nil {
			t.Fatalf("upload %v: %v: %s", c.args, err, out)
		}
		wants++
		if after := kept(t, folders[c.to]); after != before+1 {
			t.Errorf("upload %v: %s keeps %d objects, %d before", c.args[1:], c.to, after, before)
		}
	}
	if n := kept(t, folders["local"]) + kept(t, big) + kept(t, cold); n != wants {
		t.Errorf("%d objects are kept, want %d", n, wants)
	}
	if out, err := send(clip, "--storage", "cellar"); err == nil || !strings.Contains(out, "no such storage is configured") {
		t.Errorf("a storage that is none: %v, %s", err, out)
	}
	body, _ := ask(t, s, http.MethodGet, "/readyz", "", nil)
	for _, want := range []string{`{"name":"storage","status":"up","critical":true`, `{"name":"storage big","status":"up","critical":false`, `{"name":"storage cold","status":"up","critical":false`} {
		if !strings.Contains(body, want) {
			t.Errorf("/readyz says %s, want in it %s", body, want)
		}
	}
	// What is elsewhere plays as what is here.
	var list struct {
		Items []struct{ ID, SHA256, Filename string }
	}
	body, _ = ask(t, s, http.MethodGet, "/api/media?storageType=local&sort=-size&limit=1", s.Token("ada", "instructor", time.Hour), nil)
	if err := json.Unmarshal([]byte(body), &list); err != nil || len(list.Items) != 1 {
		t.Fatalf("%v: %s", err, body)
	}
	link := s.Command(t.Context(), []string{"SLUICE_SERVER=" + s.URL, "SLUICE_TOKEN=" + s.Token("ada", "instructor", time.Hour)}, "link", list.Items[0].ID)
	out, err := link.Output()
	if err != nil {
		t.Fatal(err)
	}
	if got := fetch(t, strings.TrimSpace(string(out))); got != sum {
		t.Errorf("the film plays with hash %s, want %s", got, sum)
	}
}

// ask makes a request of a gateway and reads its answer; redirects are not followed.
func ask(t *testing.T, s *livetest.Server, method, path, token string, body any) (string, *http.Response) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var in io.Reader = http.NoBody
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		in = strings.NewReader(string(text))
	}
	req, err := http.NewRequestWithContext(ctx, method, s.URL+path, in)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text), resp
}

// A backend that was taken out of the configuration: its media answer 503 and say why, the rest goes on, and operators are told.
func TestMediaOfABackendThatIsNoLongerConfigured(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeFile(t, dir, "two.yaml", "storage: {backends: {archive: {type: local, path: archive}}}\n")
	two := spawn(t, dir, nil, "--port", "0", "--config", "two.yaml")
	lost, _ := file(t, dir, "lost.bin", 1000)
	stays, sum := file(t, dir, "stays.bin", 1000)
	lostID, staysID := two.must("upload", lost, "--storage", "archive"), two.must("upload", stays)
	if code, _ := two.end(syscall.SIGTERM); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	p := spawn(t, dir, nil)
	if got := fetch(t, p.must("link", staysID)); got != sum {
		t.Errorf("what stays plays with hash %s, want %s", got, sum)
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get(p.must("link", lostID))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || resp.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(body), `"storage_not_configured"`) || strings.Contains(string(body), "archive") || resp.Header.Get("Retry-After") == "" {
		t.Errorf("GET of what is lost: %d %s, %v", resp.StatusCode, body, err)
	}
	livetest.Until(t, 5*time.Second, "the log warns", func() bool {
		return strings.Contains(p.log.String(), `"media are kept by a backend that is not configured","backend":"archive","media":1`)
	})
	f := examine(t, dir, 0)["backends"]
	if !f.OK || !f.Warning || !strings.Contains(f.Cause, "archive (1 media)") || !strings.Contains(f.Fix, "storage.backends") {
		t.Errorf("the doctor says %+v", f)
	}
}

func TestStartErrorsOfBackends(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		yaml  string
		env   []string
		setup func(t *testing.T, dir string)
		cause string
	}{
		"a rule to nowhere":         {yaml: "storage: {rules: ['type=video -> vidoes']}", cause: `"type=video -> vidoes" sends to "vidoes", which is no backend`},
		"a condition that is none":  {env: []string{"SLUICE_STORAGE_RULES=knd=media -> local"}, cause: `there is no condition "knd"`},
		"a default that is none":    {env: []string{"SLUICE_STORAGE=videos"}, cause: `names "videos", which is no backend`},
		"a bucket that is missing":  {env: []string{"SLUICE_S3_REGION=eu"}, cause: "the backend s3: its bucket is missing"},
		"two backends in one place": {yaml: "storage: {backends: {a: {type: local, path: ./data/files}}}", cause: "keep their bytes in one place"},
		"two through a link": {
			yaml: "storage: {backends: {a: {type: local, path: x}, b: {type: local, path: y}}}",
			setup: func(t *testing.T, dir string) {
				if err := os.MkdirAll(filepath.Join(dir, "x"), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.Symlink("x", filepath.Join(dir, "y")); err != nil {
					t.Fatal(err)
				}
			},
			cause: "the backends a and b keep their bytes in one place",
		},
		"two through a link to what is not there yet": {
			yaml: "storage: {backends: {a: {type: local, path: x}, b: {type: local, path: y}}}",
			setup: func(t *testing.T, dir string) {
				if err := os.Symlink("x", filepath.Join(dir, "y")); err != nil {
					t.Fatal(err)
				}
			},
			cause: "the backends a and b keep their bytes in one folder",
		},
		"a folder that is a file": {
			yaml:  "storage: {backends: {a: {type: local, path: x}}}",
			setup: func(t *testing.T, dir string) { writeFile(t, dir, "x", "") },
			cause: "the backend a: the folder x cannot be used: not a directory",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if c.setup != nil {
				c.setup(t, dir)
			}
			args := []string{"--set", "port=0"}
			if c.yaml != "" {
				args = append(args, "--config", writeFile(t, dir, "c.yaml", c.yaml))
			}
			code, out, errs := once(t, dir, c.env, append([]string{"serve"}, args...)...)
			onlyCauseAndFix(t, code, out, errs, regexp.MustCompile(regexp.QuoteMeta(c.cause)))
			// By now the start has made what the link goes to.
			if code, out, _ = once(t, dir, c.env, append([]string{"doctor"}, args...)...); code != exitFailure || !strings.Contains(out, "WRONG") {
				t.Errorf("doctor = %d: %s", code, out)
			}
		})
	}
}

func TestTheDoctorTriesEveryBackend(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := writeFile(t, dir, "c.yaml", "storage: {backends: {archive: {type: local, path: archive}, new: {type: local, path: new}}}\n")
	look := func() map[string]finding {
		t.Helper()
		code, out, errs := once(t, dir, nil, "doctor", "--json", "--set", "port=0", "--config", config)
		var list []finding
		if err := json.Unmarshal([]byte(out), &list); code != 0 || err != nil {
			t.Fatalf("doctor = %d, %v: %s%s", code, err, out, errs)
		}
		found := map[string]finding{}
		for _, f := range list {
			found[f.Check] = f
		}
		return found
	}
	for _, check := range []string{"storage local", "storage archive", "storage new"} {
		if f := look()[check]; !strings.HasSuffix(f.Saw, "is not there yet; the first start makes it") {
			t.Errorf("before the first start: %+v", f)
		}
	}
	p := spawn(t, dir, nil, "--port", "0", "--config", config)
	path, _ := file(t, dir, "x.bin", 1000)
	p.must("upload", path, "--storage", "archive")
	found := look()
	for check, where := range map[string]string{"storage local": "data/files", "storage archive": "archive", "storage new": "new"} {
		if f := found[check]; !f.OK || f.Saw != where+": an object was put, read and deleted" {
			t.Errorf("beside a running gateway: %+v", f)
		}
	}
	if n := kept(t, filepath.Join(dir, "archive")); n != 1 || kept(t, filepath.Join(dir, "new")) != 0 {
		t.Errorf("the doctor left objects: %d in archive", n)
	}
	if f := found["backends"]; f.Saw != "local (0 media), archive (1 media), new (0 media)" {
		t.Errorf("backends: %+v", f)
	}
	if code, _ := p.end(syscall.SIGTERM); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	if err := os.RemoveAll(filepath.Join(dir, "new")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "new"), 0o700); err != nil {
		t.Fatal(err)
	}
	if f := look()["storage new"]; f.Saw != "new can be written; the first start lays it out" {
		t.Errorf("an empty folder: %+v", f)
	}
	if left, err := os.ReadDir(filepath.Join(dir, "new")); err != nil || len(left) != 0 {
		t.Errorf("the doctor left %v in it, %v", left, err)
	}
	code, out, _ := once(t, dir, nil, "doctor", "--set", "port=0", "--config", config)
	if code != 0 || !regexp.MustCompile(`(?m)^ok     storage archive archive: an object`).MatchString(out) {
		t.Errorf("for people: %d\n%s", code, out)
	}
}

// Every word that a rule may hold is one that uploads know, and the other way round.
func TestRulesKnowTheWordsOfUploads(t *testing.T) {
	t.Parallel()
	var rules []string
	for _, k := range []media.PlacementKind{media.ProductImage, media.CourseVideo, media.CourseResource, media.Generic} {
		rules = append(rules, "kind="+string(k))
	}
	for _, k := range []media.Type{media.Image, media.Video, media.Document, media.Audio} {
		rules = append(rules, "type="+string(k))
	}
	for _, k := range []media.SubjectType{media.Product, media.Course, media.Lesson, media.User, media.Page, media.Review, media.Order} {
		rules = append(rules, "reference="+string(k))
	}
	rules = append(rules, "type=video/*", "size>=1MiB size<2MiB", "product="+course, "course="+course, "lesson="+course, "reference=user:"+course, "public=true")
	var parsed []configs.Rule
	for _, text := range rules {
		r, err := configs.ParseRule(text + " -> local")
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, r)
	}
	for i, r := range routes(parsed) {
		zero := r
		zero.Backend = ""
		if fmt.Sprintf("%+v", zero) == fmt.Sprintf("%+v", routes([]configs.Rule{{}})[0]) || r.Backend != "local" {
			t.Errorf("%s: the condition was lost: %+v", rules[i], r)
		}
	}
}

// Media kept elsewhere, on the built binary: added, linked, sent on, counted.
func TestMediaKeptElsewhereRedirectsAndCounts(t *testing.T) {
	t.Parallel()
	s := livetest.Sluice(t, livetest.Options{})
	token := s.Token("ada", "instructor", time.Hour)
	const there = "https://videos.example/lecture.mp4?a=b&c=d"
	body, resp := ask(t, s, http.MethodPost, "/api/media", token, map[string]any{
		"url": there, "title": "Elsewhere", "mimeType": "video/mp4", "kind": "course-video", "mongoCourseId": course, "videoType": "intro", "duration": 61000,
	})
	var m struct {
		ID, State, URL, StorageType, MediaType string
		AccessCount                            int64
	}
	if err := json.Unmarshal([]byte(body), &m); err != nil || resp.StatusCode != http.StatusCreated || m.StorageType != "cloud" || m.URL != there || m.State != "ready" || m.MediaType != "video" {
		t.Fatalf("POST /api/media = %d %s, %v", resp.StatusCode, body, err)
	}
	body, resp = ask(t, s, http.MethodPost, "/api/media/"+m.ID+"/links", token, map[string]any{"expiresIn": 600, "viewer": "v1"})
	var link struct{ URL string }
	if err := json.Unmarshal([]byte(body), &link); err != nil || resp.StatusCode != http.StatusCreated {
		t.Fatalf("POST links = %d %s, %v", resp.StatusCode, body, err)
	}
	path := strings.TrimPrefix(link.URL, s.URL)
	for range 2 { // one viewer, one view in half an hour
		if _, resp = ask(t, s, http.MethodGet, path, "", nil); resp.StatusCode != http.StatusFound || resp.Header.Get("Location") != there || !strings.Contains(resp.Header.Get("Cache-Control"), "no-store") {
			t.Errorf("GET = %d to %q, %q", resp.StatusCode, resp.Header.Get("Location"), resp.Header.Get("Cache-Control"))
		}
	}
	if _, resp = ask(t, s, http.MethodHead, path, "", nil); resp.StatusCode != http.StatusFound {
		t.Errorf("HEAD = %d", resp.StatusCode)
	}
	livetest.Until(t, 5*time.Second, "the view is counted, once", func() bool {
		body, _ = ask(t, s, http.MethodGet, "/api/media/"+m.ID, token, nil)
		return json.Unmarshal([]byte(body), &m) == nil && m.AccessCount == 1
	})
	for query, want := range map[string]bool{"storageType=cloud": true, "storageType=local": false, "kind=course-video&mongoCourseId=" + course: true} {
		if body, _ = ask(t, s, http.MethodGet, "/api/media?"+query, token, nil); strings.Contains(body, m.ID) != want {
			t.Errorf("GET ?%s lists it: %v, want %v: %s", query, !want, want, body)
		}
	}
	cmd := s.Command(t.Context(), []string{"SLUICE_SERVER=" + s.URL, "SLUICE_TOKEN=" + token}, "ls", "--storage-type", "cloud")
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), m.ID) {
		t.Errorf("ls --storage-type cloud: %v: %s", err, out)
	}
	_, resp = ask(t, s, http.MethodGet, "/api/media/"+m.ID, token, nil)
	etag := resp.Header.Get("ETag")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, s.URL+"/api/media/"+m.ID, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("If-Match", etag)
	del, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	del.Body.Close()
	if _, resp = ask(t, s, http.MethodGet, path, "", nil); del.StatusCode != http.StatusNoContent || resp.StatusCode != http.StatusNotFound {
		t.Errorf("DELETE = %d, GET of its link after that = %d", del.StatusCode, resp.StatusCode)
	}
}
