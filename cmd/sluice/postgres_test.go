package main

import (
	"encoding/json"
	"fmt"
	"net"
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
)

// awkward are a name and a password as the LMS has them, and worse.
const (
	awkwardDatabase = "ebay lms"
	awkwardPassword = `p@ss:w/o#rd%20?&='"\x`
)

// lms gives a server with a user and a database of awkward names, and the lines of a .env file that reach them.
func lms(t *testing.T) (pg *livetest.PostgresServer, dotenv map[string]string) {
	t.Helper()
	pg = livetest.SharedPostgres(t)
	user := "lms_" + filepath.Base(pg.NewDatabase(t))
	database := awkwardDatabase + " " + user
	pg.Exec(t, "postgres",
		fmt.Sprintf(`CREATE ROLE %s LOGIN PASSWORD E'%s'`, user, strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(awkwardPassword)),
		fmt.Sprintf(`CREATE DATABASE "%s" OWNER %s`, database, user))
	return pg, map[string]string{
		"DB_ENABLED": "true", "DB_NAME": database, "DB_USER": user, "DB_PASSWORD": awkwardPassword, "DB_HOST": pg.Host(), "DB_PORT": fmt.Sprint(pg.Port()),
		"SLUICE_DB_CONNECT_WAIT": "0s",
	}
}

func writeDotenv(t *testing.T, dir string, vars map[string]string, but ...string) {
	t.Helper()
	var b strings.Builder
	for k, v := range vars {
		for i := 0; i < len(but); i += 2 {
			if but[i] == k {
				v = but[i+1]
			}
		}
		fmt.Fprintf(&b, "%s=%s   # of the shop\n", k, v)
	}
	writeFile(t, dir, ".env", b.String())
}

func TestAStartThatPostgreSQLRefusesSaysWhyAndWhatToDo(t *testing.T) {
	t.Parallel()
	_, vars := lms(t)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, deaf, err := net.SplitHostPort(free.Addr().String()) // accepts and says nothing
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = free.Close() })
	for name, c := range map[string]struct {
		but        []string
		cause, fix string
	}{
		"a wrong password":           {[]string{"DB_PASSWORD", "hunter2hunter2"}, "wrong password", "DB_PASSWORD"},
		"no such user":               {[]string{"DB_USER", "nobody here"}, "refuses user .*nobody here", "DB_USER"},
		"a missing database":         {[]string{"DB_NAME", "no such place"}, `no database .*no such place`, "CREATE DATABASE"},
		"nobody at the port":         {[]string{"DB_PORT", "1"}, "does not answer at 127.0.0.1:1", "DB_HOST"},
		"a server that says nothing": {[]string{"DB_PORT", deaf}, "does not answer at 127.0.0.1:" + deaf, "DB_HOST"},
		"a host that is none":        {[]string{"DB_HOST", "nosuch.invalid"}, "does not answer at nosuch.invalid", "DB_HOST"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			writeDotenv(t, dir, vars, c.but...)
			code, out, errs := once(t, dir, nil, "serve", "--port", "0")
			onlyCauseAndFix(t, code, out, errs, regexp.MustCompile(c.cause))
			if !strings.Contains(errs[strings.Index(errs, "\n"):], c.fix) {
				t.Errorf("the fix in %q does not name %s", errs, c.fix)
			}
			code, doctor, doctorErrs := once(t, dir, nil, "doctor", "--set", "port=0")
			if code != exitFailure || !regexp.MustCompile(`WRONG +catalogue .*`+c.cause).MatchString(doctor) || doctorErrs != "" {
				t.Errorf("doctor = %d, %s%s, want 1 and the same cause", code, doctor, doctorErrs)
			}
			if said := out + errs + doctor; strings.Contains(said, "p@ss") || strings.Contains(said, "hunter2") {
				t.Errorf("the password is printed: %s", said)
			}
		})
	}
}

func TestTheMainJobOverPostgreSQL(t *testing.T) {
	t.Parallel()
	_, vars := lms(t)
	dir := t.TempDir()
	writeDotenv(t, dir, vars)
	if code, out, errs := once(t, dir, nil, "migrate"); code != exitFailure || !strings.HasPrefix(out, "postgres: version 0 of ") || !strings.Contains(errs, "fix: run sluice migrate up") {
		t.Errorf("migrate on an empty database = %d, %q, %q, want 1 and what to do", code, out, errs)
	}
	if code, out, errs := once(t, dir, nil, "migrate", "up"); code != 0 || errs != "" {
		t.Errorf("migrate up = %d, %q, %q, want 0", code, out, errs)
	}
	if code, out, errs := once(t, dir, nil, "migrate"); code != 0 || errs != "" {
		t.Errorf("migrate afterwards = %d, %q, %q, want 0", code, out, errs)
	}
	p := spawn(t, dir, nil)
	inOrder := regexp.MustCompile(`^MongoDB not configured \(records are kept in entities.db\)\nPostgreSQL connected successfully\nPostgreSQL models synchronized\nServer running on port \d+\n`)
	if !inOrder.MatchString(p.out.String()) {
		t.Errorf("the start says %q, want the lines of the contract in their order", p.out)
	}
	path, sum := file(t, dir, "lecture.mp4", 2<<20)
	id := p.must("upload", path, "--course", "507f1f77bcf86cd799439011", "--video-type", "intro")
	if got := fetch(t, p.must("link", id, "--expires", "2h", "--viewer", "v1")); got != sum {
		t.Errorf("the link plays %s, want %s", got, sum)
	}
	var a struct {
		AccessCount int64 `json:"accessCount"`
	}
	livetest.Until(t, 10*time.Second, "the access is counted", func() bool {
		return json.Unmarshal([]byte(p.must("show", id)), &a) == nil && a.AccessCount == 1
	})
	if code, out, errs := once(t, dir, nil, "doctor", "--set", "port=0"); code != 0 || !regexp.MustCompile(`ok +catalogue +postgres, schema version (\d+) of \d+\n`).MatchString(out) {
		t.Errorf("doctor = %d, %s%s, want 0 and the schema's version", code, out, errs)
	}
	if code, _ := p.end(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d after SIGTERM, want 0: %s", code, p.log)
	}
	again := spawn(t, dir, nil)
	if again.must("show", id); strings.Contains(again.log.String()+p.log.String()+p.out.String(), "p@ss") {
		t.Error("the password stands in the log")
	}
}

func TestTheProductionExampleStartsOnceItIsFilledIn(t *testing.T) {
	t.Parallel()
	_, vars := lms(t)
	dir := t.TempDir()
	// What an operator edits in the file: names of machines and places.
	text := strings.NewReplacer(
		"0.0.0.0:5000", "127.0.0.1:0", "/var/lib/sluice", filepath.Join(dir, "data"), "127.0.0.1:9090", freeAddress(t),
		"name: lms", fmt.Sprintf("name: %q", vars["DB_NAME"]), "user: sluice", "user: "+vars["DB_USER"], "db.internal", vars["DB_HOST"]+"\n  port: "+vars["DB_PORT"],
		"verify-full", "disable",
	).Replace(configs.ProductionYAML)
	writeFile(t, dir, "production.yaml", text)
	// What an operator keeps out of it, as its head says.
	writeFile(t, dir, ".env", "DB_PASSWORD="+awkwardPassword+"\nJWT_SECRET=q8Z1vN4sK7yB2mX5cR9tW3eH6uJ0pLaD\nSLUICE_SIGNING_KEYS=\"1:sign:g5T2kP8wQ1zV7nM4xC6bY9rE3sF0hJuL\"\n")
	p := spawn(t, dir, nil, "--config", "production.yaml")
	if code, _ := status(t, http.MethodGet, p.url+"/readyz", nil); code != http.StatusOK {
		t.Errorf("/readyz = %d, want 200: %s", code, p.log)
	}
	if strings.Contains(p.out.String(), "SLUICE_TOKEN") {
		t.Errorf("production shows a token: %s", p.out)
	}
	if _, err := os.Stat(filepath.Join(dir, "data", "keys")); err == nil {
		t.Error("production makes keys of its own")
	}
}
