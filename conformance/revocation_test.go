package conformance_test

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"sluice/internal/livetest"
)

// deny revokes by the API, as an admin, and gives the revocation's id.
func (c *site) deny(body string) string {
	c.t.Helper()
	a := c.want(http.StatusCreated, http.MethodPost, "/api/revocations", body, "Authorization", c.root, "Content-Type", "application/json")
	var r struct{ ID string }
	if err := json.Unmarshal([]byte(a.body), &r); err != nil || r.ID == "" {
		c.t.Fatalf("%v in %s", err, a.body)
	}
	return r.ID
}

// One viewer, or one course, is taken out in the middle of playing: the next range is 403, of nobody else, also after a stop and a kill.
func TestADeniedViewerAndCourseStopAtTheNextRange(t *testing.T) {
	t.Parallel()
	c := open(t, livetest.Options{})
	body := string(noise(1 << 20))
	first, _ := c.put(body, "filename", "a.mp4", "kind", "course-video", "mongoCourseId", course, "videoType", "lesson", "mongoLessonId", lesson)
	second, _ := c.put(body, "filename", "b.mp4", "isPublic", "true")
	links := map[string]string{"v1 first": c.link(first, "v1"), "v1 second": c.link(second, "v1"), "v2 first": c.link(first, "v2"), "v2 second": c.link(second, "v2")}
	position := 0
	plays := func(when, want string) {
		t.Helper()
		position += 1000
		for name, u := range links {
			a := c.send(http.MethodGet, u, "", "Range", "bytes="+strconv.Itoa(position)+"-"+strconv.Itoa(position+999))
			if strings.Contains(want, name) {
				if a.status != http.StatusPartialContent || a.body != body[position:position+1000] {
					t.Errorf("%s: %s gets %d, want it to play", when, name, a.status)
				}
				continue
			}
			checkProblem(t, a, http.StatusForbidden, "link_revoked")
		}
	}
	all := "v1 first, v1 second, v2 first, v2 second"
	plays("at first", all)
	viewer := c.deny(`{"viewer":"v1"}`)
	plays("v1 denied", "v2 first, v2 second")
	checkProblem(t, c.send(http.MethodPost, "/api/media/"+first+"/links", `{"viewer":"v1"}`, "Authorization", c.ann, "Content-Type", "application/json"), 403, "link_revoked")
	c.want(http.StatusOK, http.MethodGet, "/m/"+second+"/", "") // what is public is
	c.s.Stop()
	c.s.Start()
	plays("v1 denied, after a stop", "v2 first, v2 second")
	c.deny(`{"courseId":"` + course + `","expiresIn":3600}`)
	c.s.Kill()
	c.s.Start()
	plays("v1 and the course denied, after a kill", "v2 second")
	c.want(http.StatusNoContent, http.MethodDelete, "/api/revocations/"+viewer, "", "Authorization", c.root)
	plays("v1 lifted", "v1 second, v2 second")
	if r := c.sluice([]string{"SLUICE_TOKEN="}, "revoke", "--list", "--json"); r.code != 0 || len(values(t, r.out)) != 1 || values(t, r.out)[0]["courseId"] != course {
		t.Errorf("sluice revoke --list: %+v", r)
	}
	short := c.deny(`{"viewer":"v2","mediaId":"` + second + `","expiresIn":1}`)
	plays("v2 denied one media", "v1 second")
	livetest.Until(t, 5*time.Second, "a denial of a second is over", func() bool { return c.send(http.MethodHead, links["v2 second"], "").status == 200 })
	checkProblem(t, c.send(http.MethodDelete, "/api/revocations/"+short, "", "Authorization", c.root), 404, "revocation_not_found")
}

func TestRevokingOnTheCommandLine(t *testing.T) {
	t.Parallel()
	c := open(t, livetest.Options{})
	id, _ := c.put("hello")
	u, other := c.link(id, "v1"), c.link(id, "v2")
	asAdmin := []string{"SLUICE_TOKEN="} // the gateway's own secret is at hand
	for _, args := range [][]string{
		{},
		{"--list", "--lift", "x"},
		{"--viewer", "v1", "--list"},
		{"--media", id, "--for", "1h"},
		{"--viewer", "v1", "--for", "1ms"},
		{"--lift", "x"},
		{"--course", "x"},
		{"--key", "1", "--viewer", "v1"},
		{"--key", "1", "--media", id},
		{"--key", "1", "--list"},
	} {
		if r := c.sluice(asAdmin, append([]string{"revoke"}, args...)...); r.code != 1 || r.out != "" || !strings.Contains(r.err, "\nfix: ") {
			t.Errorf("revoke %q: %+v", args, r)
		}
	}
	if r := c.sluice(nil, "revoke", "--viewer", "v1"); r.code != 1 || !strings.Contains(r.err, "admin_only") { // as Ann
		t.Errorf("by an instructor: %+v", r)
	}
	c.want(200, http.MethodGet, u, "")
	r := c.sluice(asAdmin, "revoke", "--viewer", "v1", "--media", id, "--for", "2h", "--json")
	made := values(t, r.out)
	if r.code != 0 || len(made) != 1 || made[0]["mediaId"] != id {
		t.Fatalf("revoke --viewer: %+v", r)
	}
	c.want(403, http.MethodGet, u, "")
	if r := c.sluice(nil, "link", id, "--viewer", "v1"); r.code != 1 || !strings.Contains(r.err, "sluice revoke --list") {
		t.Errorf("a link for who is denied: %+v", r)
	}
	if r := c.sluice(asAdmin, "revoke", "--list"); r.code != 0 || !strings.Contains(r.out, "v1 ") || strings.Count(r.out, "\n") != 2 {
		t.Errorf("revoke --list: %+v", r)
	}
	lifted, _ := made[0]["id"].(string)
	if r := c.sluice(asAdmin, "revoke", "--lift", lifted); r.code != 0 {
		t.Errorf("revoke --lift: %+v", r)
	}
	c.want(200, http.MethodGet, u, "")
	if r := c.sluice(nil, "revoke", "--media", id); r.code != 0 {
		t.Errorf("revoke --media by its owner: %+v", r)
	}
	c.want(403, http.MethodGet, u, "")
	c.want(403, http.MethodGet, other, "")
	c.want(200, http.MethodGet, c.link(id, "v1"), "")
}

// Two gateways over one PostgreSQL: what one is told holds on the other within a second, and on both while the database is away.
func TestADenialReachesAnotherNodeAndOutlivesTheCatalogue(t *testing.T) {
	t.Parallel()
	db := livetest.Postgres(t)
	env := []string{
		"DB_ENABLED=true", "DB_HOST=" + db.Host(), "DB_PORT=" + strconv.Itoa(db.Port()), "DB_NAME=" + db.NewDatabase(t), "DB_USER=" + db.User(), "DB_PASSWORD=" + db.Password(),
		"SLUICE_SIGNING_KEYS=1:sign:g5T2kP8wQ1zV7nM4xC6bY9rE3sF0hJuL",
	}
	here := open(t, livetest.Options{Env: env})
	there := open(t, livetest.Options{Env: env})
	id, _ := here.put("hello")
	denied, allowed := here.link(id, "v1"), here.link(id, "v2")
	// A HEAD needs the row and no bytes, which only one of them has.
	both := func(when string, want1, want2 int) {
		t.Helper()
		for _, c := range []*site{here, there} {
			if a, b := c.send(http.MethodHead, denied, "").status, c.send(http.MethodHead, allowed, "").status; a != want1 || b != want2 {
				t.Errorf("%s: got %d and %d, want %d and %d", when, a, b, want1, want2)
			}
		}
	}
	both("at first", 200, 200)
	here.deny(`{"viewer":"v1"}`)
	since := time.Now()
	livetest.Until(t, time.Second, "the other node refuses", func() bool { return there.send(http.MethodHead, denied, "").status == 403 })
	t.Logf("the other node refused after %v", time.Since(since))
	both("denied", 403, 200)
	db.Stop(t)
	livetest.Until(t, 10*time.Second, "a denial that cannot be kept is 503", func() bool {
		return here.send(http.MethodPost, "/api/revocations", `{"viewer":"v2"}`, "Authorization", here.root, "Content-Type", "application/json").status == 503
	})
	livetest.Until(t, 10*time.Second, "the other node has missed a reading", func() bool {
		return strings.Contains(there.s.Output(), "revocations cannot be read")
	})
	both("the catalogue is away", 403, 200)
	db.Start(t)
	livetest.Until(t, 20*time.Second, "the other node reads again", func() bool { return strings.Contains(there.s.Output(), "revocations are read again") })
	both("it is back", 403, 200)
}

// Two gateways of one ring, and a third that was not told yet that another key signs: what the old key signed is 403 on all of them within
// a second, what the new one signs plays, and nobody can take out the key that signs.
func TestADeniedKeyReachesEveryNode(t *testing.T) {
	t.Parallel()
	db := livetest.Postgres(t)
	env := []string{
		"DB_ENABLED=true", "DB_HOST=" + db.Host(), "DB_PORT=" + strconv.Itoa(db.Port()), "DB_NAME=" + db.NewDatabase(t), "DB_USER=" + db.User(), "DB_PASSWORD=" + db.Password(),
	}
	const first, second = "g5T2kP8wQ1zV7nM4xC6bY9rE3sF0hJuL", "A4d7Gj2Lm9Qr5Tw8Zx1Cv6Bn3Mk0PsYe"
	old := open(t, livetest.Options{Env: append(env[:6:6], "SLUICE_SIGNING_KEYS=0:sign:"+first)})
	env = append(env[:6:6], "SLUICE_SIGNING_KEYS=1:sign:"+second+",0:verify:"+first)
	here, there := open(t, livetest.Options{Env: env}), open(t, livetest.Options{Env: env})
	a := here.want(http.StatusCreated, http.MethodPost, "/api/media", `{"url":"https://videos.example/a.mp4","mimeType":"video/mp4"}`, "Authorization", here.ann, "Content-Type", "application/json")
	var made struct{ ID string }
	if err := json.Unmarshal([]byte(a.body), &made); err != nil {
		t.Fatal(err)
	}
	before, after := old.link(made.ID, "v1"), here.link(made.ID, "v1")
	for _, c := range []*site{here, there} {
		c.want(http.StatusFound, http.MethodGet, before, "")
		c.want(http.StatusFound, http.MethodGet, after, "")
	}
	asAdmin := []string{"SLUICE_TOKEN="}
	if r := here.sluice(asAdmin, "revoke", "--key", "1"); r.code != 1 || !strings.Contains(r.err, "key_signs") || !strings.Contains(r.err, "another key as sign first") {
		t.Errorf("the key that signs: %+v", r)
	}
	if r := here.sluice(nil, "revoke", "--key", "0"); r.code != 1 || !strings.Contains(r.err, "admin_only") {
		t.Errorf("by an instructor: %+v", r)
	}
	r := here.sluice(asAdmin, "revoke", "--key", "0", "--json")
	since := time.Now()
	if r.code != 0 || len(values(t, r.out)) != 1 || values(t, r.out)[0]["key"] != 0.0 {
		t.Fatalf("revoke --key: %+v", r)
	}
	checkProblem(t, here.send(http.MethodGet, before, ""), http.StatusForbidden, "link_revoked")
	for _, c := range []*site{there, old} {
		livetest.Until(t, time.Second, "another node refuses", func() bool { return c.send(http.MethodGet, before, "").status == http.StatusForbidden })
	}
	t.Logf("the other nodes refused after %v", time.Since(since))
	here.want(http.StatusFound, http.MethodGet, after, "")
	there.want(http.StatusFound, http.MethodGet, after, "")
	checkProblem(t, old.send(http.MethodPost, "/api/media/"+made.ID+"/links", `{"viewer":"v2"}`, "Authorization", old.ann, "Content-Type", "application/json"), 503, "signing_key_revoked")
	if r := there.sluice(asAdmin, "revoke", "--list"); r.code != 0 || !strings.Contains(r.out, "KEY") || strings.Count(r.out, "\n") != 2 || !strings.HasSuffix(r.out, " 0\n") {
		t.Errorf("revoke --list: %+v", r)
	}
	there.s.Kill()
	db.Stop(t)
	db.Start(t)
	there.s.Start()
	checkProblem(t, there.send(http.MethodGet, before, ""), http.StatusForbidden, "link_revoked")
	id, _ := values(t, r.out)[0]["id"].(string)
	if r := there.sluice(asAdmin, "revoke", "--lift", id); r.code != 0 {
		t.Errorf("revoke --lift: %+v", r)
	}
	there.want(http.StatusFound, http.MethodGet, before, "")
}
