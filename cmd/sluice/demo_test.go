package main

import (
	"bytes"
	"context"
	"encoding/json"
	"image"
	_ "image/jpeg"
	_ "image/png"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// visitor reads a gateway's API with a token, or none.
type visitor struct {
	t     *testing.T
	url   string
	token string
}

// get reads JSON and gives the status.
func (v visitor) get(path string, out any) int {
	v.t.Helper()
	if !strings.HasPrefix(path, "http") {
		path = v.url + path
	}
	req, err := http.NewRequestWithContext(v.t.Context(), http.MethodGet, path, nil)
	if err != nil {
		v.t.Fatal(err)
	}
	if v.token != "" {
		req.Header.Set("Authorization", "Bearer "+v.token)
	}
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := c.Do(req)
	if err != nil {
		v.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	if out != nil && resp.StatusCode == http.StatusOK {
		if err := json.Unmarshal(b, out); err != nil {
			v.t.Fatalf("GET %s: %v: %s", path, err, b)
		}
	}
	return resp.StatusCode
}

// counts of what somebody sees.
type seen struct{ Products, Courses, Intro, Modules, Lessons, Resources int }

func (v visitor) sees(course string) (s seen) {
	v.t.Helper()
	var list struct {
		Items []any `json:"items"`
	}
	if status := v.get("/api/products", &list); status != http.StatusOK {
		v.t.Fatalf("products = %d", status)
	}
	s.Products = len(list.Items)
	if status := v.get("/api/courses", &list); status != http.StatusOK {
		v.t.Fatalf("courses = %d", status)
	}
	s.Courses = len(list.Items)
	var c demoCourse
	if v.get("/api/courses/"+course, &c) == http.StatusOK {
		s.Intro, s.Modules, s.Lessons, s.Resources = len(c.Videos.Intro), len(c.Videos.Modules), len(c.Videos.Lessons), len(c.Resources)
	}
	return s
}

func TestTheDemo(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		env    []string
		films  string
		rounds int // what was removed can be made again
	}{
		"with ffmpeg":    {nil, "ffmpeg", 1},
		"without ffmpeg": {[]string{"PATH=/nonexistent"}, "embedded", 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := spawn(t, t.TempDir(), nil)
			run := func(args ...string) (int, string, string) {
				return once(t, p.dir, append([]string{"SLUICE_SERVER=" + p.url}, c.env...), args...)
			}
			for range c.rounds {
				code, out, errs := run("demo", "--json")
				var made demoResult
				if err := json.Unmarshal([]byte(out), &made); code != exitOK || err != nil || errs != "" {
					t.Fatalf("demo = %d, %v: %s%s", code, err, out, errs)
				}
				if made.Films != c.films {
					t.Errorf("films are %q, want %q: %s", made.Films, c.films, made.Why)
				}
				checkDemo(t, p, made)
				code, _, errs = run("demo")
				if code != exitFailure || !strings.Contains(errs, "the demo is here already") || !strings.Contains(errs, "\nfix: sluice demo --remove") {
					t.Errorf("demo again = %d, %q, want %d and how to remove it", code, errs, exitFailure)
				}
				if code, out, errs = run("demo", "--remove", "--json"); code != exitOK {
					t.Fatalf("remove = %d: %s", code, errs)
				}
				if want := `{"removed":{"products":4,"courses":1,"records":2,"media":0}}`; strings.Join(strings.Fields(out), "") != want {
					t.Errorf("removed %s, want %s", out, want)
				}
				checkGone(t, p, made)
			}
			if code, out, errs := run("demo", "--remove"); code != exitOK || out != "there is no demo here\n" {
				t.Errorf("remove again = %d, %q, %s", code, out, errs)
			}
		})
	}
}

func checkDemo(t *testing.T, p *process, made demoResult) {
	t.Helper()
	token := func(subject, role string) string { return p.must("token", "--subject", subject, "--role", role) }
	course := made.Course.ID
	for name, c := range map[string]struct {
		token string
		want  seen
	}{
		"nobody":      {"", seen{3, 1, 1, 0, 0, 1}},
		"a stranger":  {token("somebody", "student"), seen{3, 1, 1, 0, 0, 1}},
		"the student": {token(made.UserID, "student"), seen{3, 1, 1, 1, 5, 2}},
		"an admin":    {token("other", "admin"), seen{4, 1, 1, 1, 5, 2}},
	} {
		v := visitor{t, p.url, c.token}
		if diff := cmp.Diff(c.want, v.sees(course)); diff != "" {
			t.Errorf("%s sees (-want +got):\n%s", name, diff)
		}
		private := http.StatusNotFound
		if c.want.Lessons > 0 {
			private = http.StatusOK
		}
		for _, video := range made.Videos {
			want := private
			if video.VideoType == "intro" {
				want = http.StatusOK
			}
			if got := v.get("/api/media/"+video.MediaID+"/content", nil); got != want && !(c.token == "" && want != http.StatusOK && got == http.StatusUnauthorized) {
				t.Errorf("%s fetches %q: %d, want %d", name, video.Title, got, want)
			}
		}
	}
	checkImages(t, made)
	standing := map[string]int{}
	for _, video := range made.Videos {
		standing[video.MediaID]++
	}
	twice := 0
	for _, n := range standing {
		if n == 2 {
			twice++
		}
	}
	if len(made.Videos) != 7 || len(standing) != 6 || twice != 1 || len(made.Resources) != 2 {
		t.Errorf("%d videos of %d media, %d in two places, %d resources, want 7, 6, 1, 2", len(made.Videos), len(standing), twice, len(made.Resources))
	}
	fetch(t, made.Links.Intro)
	fetch(t, made.Links.Lesson)
	fetch(t, made.Links.Docs)
}

func checkImages(t *testing.T, made demoResult) {
	t.Helper()
	images := 0
	for _, product := range made.Products {
		for _, i := range product.Images {
			images++
			if strings.HasPrefix(i.ImageURL, "https://example.com/") {
				continue
			}
			resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get(i.ImageURL)
			if err != nil {
				t.Fatal(err)
			}
			if img, _, err := image.Decode(resp.Body); err != nil || img.Bounds().Dx() != 800 {
				t.Errorf("GET %s = %d, %v, want a picture for everybody", i.ImageURL, resp.StatusCode, err)
			}
			resp.Body.Close()
		}
	}
	if images != 10 || len(made.Products) != 4 {
		t.Errorf("%d products with %d images, want 4 with 10", len(made.Products), images)
	}
}

func checkGone(t *testing.T, p *process, made demoResult) {
	t.Helper()
	admin := visitor{t, p.url, p.must("token", "--subject", "other", "--role", "admin")}
	if diff := cmp.Diff(seen{}, admin.sees(made.Course.ID)); diff != "" {
		t.Errorf("an admin still sees (-want +got):\n%s", diff)
	}
	for _, path := range []string{"/api/records/order/" + made.OrderID, "/api/records/user/" + made.UserID, "/api/media/" + made.Videos[0].MediaID} {
		if status := admin.get(path, nil); status != http.StatusNotFound {
			t.Errorf("%s is still there: %d", path, status)
		}
	}
	for _, path := range []string{"/api/trash", "/api/media"} {
		var list struct {
			Items []any `json:"items"`
		}
		if status := admin.get(path, &list); status != http.StatusOK || len(list.Items) > 0 {
			t.Errorf("%s = %d, %d items, want none", path, status, len(list.Items))
		}
	}
}

// TestADemoThatIsCutAgainAndAgain cuts every run a few requests after the last one: before a request, or when only its answer is missing.
func TestADemoThatIsCutAgainAndAgain(t *testing.T) {
	t.Parallel()
	g := serve(t)
	code, out, errs, runs := exitInterrupted, "", "", 0
	for ; code != exitOK; runs++ {
		if runs == 60 {
			t.Fatalf("not complete after %d runs: %s", runs, errs)
		}
		ctx, interrupt := context.WithCancel(t.Context())
		left, lost := 2, runs%2 == 0
		at := before(t, g.url, func(_ http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodGet || r.Method == http.MethodHead || strings.HasSuffix(r.URL.Path, "/links") {
				return true
			}
			if left--; left >= 0 {
				return true
			}
			if left == -1 && lost && r.Method != http.MethodPut { // after the last PUT the demo is complete, and another run refuses
				httputilForward(g.url, r)
			}
			interrupt()
			return false
		})
		code, out, errs = g.sluice(ctx, at, "demo", "--json")
		interrupt()
		if code != exitOK && (code != exitInterrupted || !strings.Contains(errs, "goes on where it was")) {
			t.Fatalf("run %d = %d: %s", runs, code, errs)
		}
	}
	if runs < 10 {
		t.Errorf("complete after %d runs: was it cut?", runs)
	}
	var made demoResult
	if err := json.Unmarshal([]byte(out), &made); err != nil {
		t.Fatal(err)
	}
	admin := visitor{t, g.url, g.must("token", "--subject", "other", "--role", "admin")}
	if diff := cmp.Diff(seen{4, 1, 1, 1, 5, 2}, admin.sees(made.Course.ID)); diff != "" {
		t.Errorf("an admin sees (-want +got):\n%s", diff)
	}
	checkImages(t, made)
	all := strings.Split(g.must("ls", "--json", "--limit", "0", "--state", "stored,processing,ready,failed"), "\n")
	if len(all) != 18 {
		t.Errorf("%d media, want 18: 17 files and one kept elsewhere", len(all))
	}
	g.must("demo", "--remove")
	if left := g.must("ls", "--json", "--limit", "0"); left != "" {
		t.Errorf("after --remove: %s", left)
	}
}

func TestDemoRefusals(t *testing.T) {
	t.Parallel()
	g := serve(t)
	instructor := g.must("token", "--subject", "ida", "--role", "instructor")
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no gateway":        {[]string{"--server", "http://127.0.0.1:1"}, "cannot be reached"},
		"a stranger":        {[]string{"--token", "x.y.z"}, "401"},
		"an instructor":     {[]string{"--token", instructor}, "needs an admin"},
		"both ways at once": {[]string{"--again", "--remove"}, "--again adds a demo, --remove deletes it"},
	} {
		code, out, errs := g.sluice(t.Context(), g.url, append([]string{"demo"}, c.args...)...)
		if lines := strings.Split(strings.TrimSpace(errs), "\n"); code != exitFailure || out != "" || len(lines) != 2 || !strings.Contains(lines[0], c.want) || !strings.HasPrefix(lines[1], "fix: ") {
			t.Errorf("%s: demo = %d, %q, %q, want a cause with %q and a fix", name, code, out, errs, c.want)
		}
	}
	if left := g.must("ls", "--json", "--limit", "0"); left != "" {
		t.Errorf("refused, and yet made %s", left)
	}
}

func TestADemoBesideOtherProducts(t *testing.T) {
	t.Parallel()
	g := serve(t)
	admin := g.must("token", "--subject", "other", "--role", "admin")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.url+"/api/products", strings.NewReader(`{"name":"Chair","tags":["sluice-demo","x/1/y"]}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+admin)
	req.Header.Set("Content-Type", "application/json")
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil || resp.StatusCode != http.StatusCreated {
		t.Fatalf("POST = %v, %v", resp, err)
	}
	resp.Body.Close()
	if code, _, errs := g.sluice(t.Context(), g.url, "demo"); code != exitFailure || !strings.Contains(errs, "there are products or courses here already\nfix: sluice demo --again") {
		t.Errorf("demo = %d, %q", code, errs)
	}
	courses := map[string]bool{}
	for set := 1; set <= 2; set++ {
		var made demoResult
		if err := json.Unmarshal([]byte(g.must("demo", "--again", "--json")), &made); err != nil || made.Set != set {
			t.Fatalf("demo --again: set %d, %v, want %d", made.Set, err, set)
		}
		courses[made.Course.ID] = true
	}
	v := visitor{t, g.url, admin}
	if got, want := v.sees(""), (seen{Products: 9, Courses: 2}); got != want || len(courses) != 2 {
		t.Errorf("there are %+v, want %+v", got, want)
	}
	g.must("demo", "--remove")
	if got, want := v.sees(""), (seen{Products: 1}); got != want {
		t.Errorf("removed: there are %+v, want %+v", got, want)
	}
}

func TestWhatTheDemoSays(t *testing.T) {
	t.Parallel()
	g := serve(t)
	code, out, errs := g.sluice(t.Context(), g.url, "demo", "--data-dir", filepath.Join(g.dir, "data"))
	if code != exitOK {
		t.Fatalf("demo = %d: %s", code, errs)
	}
	for _, want := range []string{
		"4 products with 10 images", "7 videos and 2 resources", "there is no ffmpeg on the PATH", "\ncurl " + g.url + "/api/products\n",
		"\nffplay " + g.url + "/m/", "\nffplay " + g.url + "/p/", "/api/docs\n",
		"--role student --data-dir " + filepath.Join(g.dir, "data") + ")\n", "sluice demo --remove",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("it does not say %q:\n%s", want, out)
		}
	}
	if lines := strings.Count(errs, "\n"); lines != 17+4+1+7+2+1 {
		t.Errorf("%d lines of progress, want one for each thing made:\n%s", lines, errs)
	}
	var bar bytes.Buffer
	code = execute(t.Context(), []string{"demo", "--again"}, surroundings{environ: append([]string{"SLUICE_SERVER=" + g.url}, g.env...), stdout: io.Discard, stderr: &bar, terminal: true})
	if code != exitOK || !strings.Contains(bar.String(), "(32/32)") || strings.Contains(bar.String(), "uploaded") {
		t.Errorf("on a terminal: demo = %d, want a bar of 32 steps: %q", code, bar.String())
	}
}

// TestTheDemosScriptUploads runs what the course hands out as code.
func TestTheDemosScriptUploads(t *testing.T) {
	t.Parallel()
	g := serve(t)
	var made demoResult
	if err := json.Unmarshal([]byte(g.must("demo", "--json")), &made); err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(g.dir, "upload.sh")
	for _, r := range made.Resources {
		if strings.HasPrefix(r.ResourceName, "upload.sh") {
			out, err := exec.CommandContext(t.Context(), "curl", "-fsS", "-o", script, r.ResourceURL).CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
		}
	}
	path, sum := file(t, g.dir, "a file's name.bin", 100_000)
	cmd := exec.CommandContext(t.Context(), "bash", script, path, g.url)
	cmd.Env = append(os.Environ(), "SLUICE_TOKEN="+g.must("token", "--subject", "ida"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var a asset
	if err := json.Unmarshal([]byte(g.must("ls", "--json", "--limit", "1")), &a); err != nil || a.Filename != "a file's name.bin" {
		t.Fatalf("the newest media is %+v, %v", a, err)
	}
	if got := fetch(t, g.must("link", a.ID)); got != sum {
		t.Errorf("it plays %s, want %s", got, sum)
	}
}

func TestADemoInterruptedWhileFFmpegRuns(t *testing.T) {
	t.Parallel()
	p := spawn(t, t.TempDir(), nil)
	bin := t.TempDir()
	fifo := filepath.Join(bin, "runs")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bin, "ffmpeg"), []byte("#!/bin/sh\necho runs > "+fifo+"\nexec sleep 600\n"), 0o700); err != nil { //nolint:gosec // it is to be run
		t.Fatal(err)
	}
	cmd := command(t, p.dir, []string{"SLUICE_SERVER=" + p.url, "PATH=" + bin + ":" + os.Getenv("PATH")}, "demo")
	errs := newOutput()
	cmd.Stderr = errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pipe, err := os.OpenFile(fifo, os.O_RDWR|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	if err := pipe.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := pipe.Read(make([]byte, 8)); err != nil {
		t.Fatalf("ffmpeg was not started: %v: %s", err, errs)
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // its outcome stands in ProcessState
	if code := cmd.ProcessState.ExitCode(); code != exitInterrupted || !strings.Contains(errs.String(), "interrupted: the demo is not complete\nfix: run the same command again") {
		t.Errorf("demo = %d, %q, want %d", code, errs.String(), exitInterrupted)
	}
	code, _, said := p.sluice("demo") // with the real one
	if code != exitOK || !strings.Contains(said, "sluice-demo-lamp-off.jpg is here already") {
		t.Errorf("demo again = %d, %q", code, said)
	}
}
