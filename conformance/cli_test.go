package conformance_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/internal/livetest"
)

// ran is what a command has said, and how it ended.
type ran struct {
	out, err string
	code     int
}

func (c *site) sluice(env []string, args ...string) ran {
	c.t.Helper()
	cmd := c.s.Command(c.t.Context(), append([]string{"SLUICE_SERVER=" + c.s.URL, "SLUICE_TOKEN=" + strings.TrimPrefix(c.ann, "Bearer ")}, env...), args...)
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	err := cmd.Run()
	if _, ended := errors.AsType[*exec.ExitError](err); err != nil && !ended {
		c.t.Fatalf("sluice %q: %v", args, err)
	}
	return ran{out.String(), complaints.String(), cmd.ProcessState.ExitCode()}
}

// values reads JSON values that follow each other.
func values(t *testing.T, text string) (list []map[string]any) {
	t.Helper()
	for d := json.NewDecoder(strings.NewReader(text)); ; {
		var v map[string]any
		err := d.Decode(&v)
		if errors.Is(err, io.EOF) {
			return list
		}
		if err != nil {
			t.Fatalf("%v in %.300s", err, text)
		}
		list = append(list, v)
	}
}

// A mistake is told in one line with its cause and one with what to do, and ends with 1, or with 2 where the command line itself is wrong.
func TestMistakesOnTheCommandLine(t *testing.T) {
	t.Parallel()
	c := open(t, livetest.Options{})
	dir := t.TempDir()
	file := filepath.Join(dir, "a.txt")
	if err := os.WriteFile(file, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	expired := "SLUICE_TOKEN=" + c.s.Token("ann", "instructor", -time.Minute)
	student := "SLUICE_TOKEN=" + c.s.Token("stu", "student", time.Minute)
	const gone = "0190f5fe-7c00-7a00-8000-000000000000"
	for _, m := range []struct {
		env  string
		args []string
		code int
		says string
	}{
		{"", []string{"nonsense"}, 2, "nonsense"},
		{"", []string{"--nonsense"}, 2, "--nonsense"},
		{"", []string{"upload"}, 2, "file"},
		{"", []string{"link"}, 2, "id"},
		{"", []string{"link", gone, "--expires", "soon"}, 2, "duration"},
		{"", []string{"upload", file, "--video-type", "trailer"}, 2, "trailer"},
		{"", []string{"token"}, 2, "subject"},
		{"", []string{"token", "--subject", "x", "--role", "king"}, 2, "king"},
		{"", []string{"serve", "--port-of-call", "1"}, 2, "unknown flag"},
		{"", []string{"rm"}, 2, "id"},
		{"", []string{"upload", filepath.Join(dir, "nothing.mp4")}, 1, "no such file"},
		{"", []string{"upload", dir}, 1, "not an ordinary file"},
		{"", []string{"upload", file, "--course", "x"}, 1, "mongoCourseId"},
		{"", []string{"show", "x"}, 1, "UUIDv7"},
		{"", []string{"show", gone}, 1, "404"},
		{"", []string{"rm", gone}, 1, "404"},
		{"", []string{"link", gone}, 1, "404"},
		{"", []string{"ls", "--sort", "-colour"}, 1, "sort"},
		{"", []string{"ls", "--server", "http://127.0.0.1:1"}, 1, "cannot be reached"},
		{"", []string{"ls", "--server", "nonsense"}, 1, "not an http"},
		{expired, []string{"ls"}, 1, "expired"},
		{"SLUICE_TOKEN=x.y.z", []string{"ls"}, 1, "401"},
		{student, []string{"upload", file}, 1, "403"},
		{"", []string{"serve", "--listen", c.s.Addr, "--data-dir", filepath.Join(dir, "other")}, 1, "in use"},
		{"", []string{"serve", "--listen", "127.0.0.1:0", "--data-dir", c.s.DataDir}, 1, "another gateway runs"},
		{"", []string{"serve", "--config", filepath.Join(dir, "no.yaml")}, 1, "cannot be read"},
		{"", []string{"serve", "--set", "nonsense=1"}, 1, "unknown key"},
		{"PORT=abc", []string{"serve"}, 1, "PORT"},
		{"", []string{"token", "--subject", "x", "--ttl", "-1h"}, 1, "no use"},
		{"", []string{"serve", "--listen", "127.0.0.1:0", "--data-dir", file}, 1, ""},
	} {
		var env []string
		if m.env != "" {
			env = []string{m.env}
		}
		r := c.sluice(env, m.args...)
		first, rest, _ := strings.Cut(r.err, "\n")
		if r.code != m.code || !strings.HasPrefix(first, "sluice: ") || !strings.Contains(first, m.says) || !strings.HasPrefix(rest, "fix: ") || strings.Count(rest, "\n") != 1 {
			t.Errorf("%s sluice %q: exit %d\n%s%s", m.env, m.args, r.code, r.out, r.err)
		}
		if strings.Contains(r.out+r.err, "goroutine ") || strings.Contains(r.out+r.err, c.s.Secret) {
			t.Errorf("sluice %q shows too much:\n%s", m.args, r.err)
		}
	}
}

func TestHelpTeaches(t *testing.T) {
	t.Parallel()
	c := open(t, livetest.Options{Off: true})
	top := c.sluice(nil, "--help")
	for _, command := range []string{"serve", "token", "upload", "link", "revoke", "ls", "show", "rm", "migrate", "doctor", "health", "config", "version"} {
		r := c.sluice(nil, command, "--help")
		if !strings.Contains(top.out, "  "+command) || r.code != 0 || r.err != "" || !strings.HasPrefix(r.out, "Usage: sluice "+command) {
			t.Errorf("sluice %s --help: exit %d\n%.300s%s", command, r.code, r.out, r.err)
		}
	}
	if bare := c.sluice(nil); bare.code != 0 || bare.out != top.out {
		t.Errorf("sluice alone: exit %d\n%s", bare.code, bare.out)
	}
}

func TestJSONOutputsParse(t *testing.T) {
	t.Parallel()
	c := open(t, livetest.Options{})
	dir := t.TempDir()
	var files []string
	for _, f := range []struct{ name, body string }{{"a/same.txt", "one"}, {"b/same.txt", "two"}, {"empty.bin", ""}} {
		path := filepath.Join(dir, f.name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(f.body), 0o600)); err != nil {
			t.Fatal(err)
		}
		files = append(files, path)
	}
	r := c.sluice(nil, append([]string{"upload", "--json"}, files...)...)
	up := values(t, r.out)
	if n := strings.Count(r.out, "\n"); n != 3 {
		t.Errorf("upload --json of three files has %d lines, want one each:\n%s", n, r.out)
	}
	if r.code != 0 || len(up) != 3 || up[0]["id"] == up[1]["id"] {
		t.Fatalf("upload of three: exit %d\n%s%s", r.code, r.out, r.err)
	}
	for i, path := range files {
		body, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		id := fmt.Sprint(up[i]["id"])
		if up[i]["sha256"] != fmt.Sprintf("%x", sha256.Sum256(body)) || c.want(200, "GET", "/api/media/"+id+"/content", "", "Authorization", c.ann).body != string(body) {
			t.Errorf("%s: %v", path, up[i])
		}
		if l := values(t, c.sluice(nil, "link", id, "--json").out); len(l) != 1 || c.want(200, "GET", fmt.Sprint(l[0]["url"]), "").body != string(body) {
			t.Errorf("link of %s: %v", path, l)
		}
		if m := values(t, c.sluice(nil, "show", id).out); len(m) != 1 || m[0]["filename"] != filepath.Base(path) {
			t.Errorf("show: %v", m)
		}
	}
	if list := values(t, c.sluice(nil, "ls", "--json", "--limit", "0", "--sort", "-size").out); len(list) != 3 || list[2]["filename"] != "empty.bin" {
		t.Errorf("ls --json: %v", list)
	}
	if r := c.sluice(nil, "ls", "--json", "--state", "failed"); r.code != 0 || len(values(t, r.out)) != 0 {
		t.Errorf("an empty list: exit %d %q", r.code, r.out)
	}
	for _, args := range [][]string{{"config", "--json"}, {"doctor", "--json"}} {
		var list []map[string]any
		r := c.sluice([]string{"DATA_DIR=" + t.TempDir()}, args...)
		if err := json.Unmarshal([]byte(r.out), &list); err != nil || len(list) < 5 || strings.Contains(r.out, c.s.Secret) {
			t.Errorf("%q: %v\n%.500s", args, err, r.out)
		}
	}
	if v := values(t, c.sluice(nil, "version", "--json").out); len(v) != 1 || v[0]["version"] == "" {
		t.Errorf("version --json: %v", v)
	}
	id := fmt.Sprint(up[0]["id"])
	if r := c.sluice(nil, "rm", id); r.code != 0 || c.sluice(nil, "rm", id).code != 1 {
		t.Errorf("rm, twice: %+v", r)
	}
}

// Ctrl-C in the middle, then the same command again: it goes on, and the hash is the file's.
func TestCtrlCThenAgain(t *testing.T) {
	t.Parallel()
	c := open(t, livetest.Options{})
	path := filepath.Join(t.TempDir(), "huge.mp4")
	const size = 256 << 20
	if err := errors.Join(os.WriteFile(path, []byte("begin"), 0o600), os.Truncate(path, size)); err != nil {
		t.Fatal(err)
	}
	cmd := c.s.Command(t.Context(), []string{"SLUICE_SERVER=" + c.s.URL, "SLUICE_TOKEN=" + strings.TrimPrefix(c.ann, "Bearer ")}, "upload", path, "--chunk-size", "1MiB")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	livetest.Until(t, 20*time.Second, "some of it is there", func() bool {
		list := c.openUploads(c.ann)
		return len(list) == 1 && list[0].Offset > 0
	})
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // its code is looked at
	if cmd.ProcessState.ExitCode() != 130 || !strings.Contains(out.String(), "fix: run the same command again") {
		t.Errorf("after Ctrl-C: exit %d\n%s", cmd.ProcessState.ExitCode(), &out)
	}
	before := c.openUploads(c.ann)
	if len(before) != 1 {
		t.Fatalf("open uploads after Ctrl-C: %+v", before)
	}
	whole := sha256.New()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(whole, f); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	again := values(t, c.sluice(nil, "upload", path, "--json").out)
	if len(again) != 1 || again[0]["id"] != before[0].MediaID || again[0]["resumedFrom"] == 0.0 || again[0]["sha256"] != fmt.Sprintf("%x", whole.Sum(nil)) {
		t.Errorf("the same command again: %v, want %s to go on", again, before[0].MediaID)
	}
	// Another file under the name is another upload.
	if err := os.Truncate(path, 1<<20); err != nil {
		t.Fatal(err)
	}
	other := values(t, c.sluice(nil, "upload", path, "--json").out)
	if len(other) != 1 || other[0]["id"] == before[0].MediaID || other[0]["resumedFrom"] != 0.0 || other[0]["size"] != float64(1<<20) {
		t.Errorf("another file under the name: %v, want an upload of its own", other)
	}
}

// The doctor finds what is broken, and a secret is shown by nothing.
func TestTheDoctorAndTheConfiguration(t *testing.T) {
	t.Parallel()
	db := livetest.SharedPostgres(t)
	name := db.NewDatabase(t)
	c := open(t, livetest.Options{Off: true})
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	const wrong = "p@:/#% wrong"
	base := []string{"DATA_DIR=" + t.TempDir(), "DB_ENABLED=true", "DB_HOST=" + db.Host(), fmt.Sprint("DB_PORT=", db.Port()), "DB_USER=" + db.User(), "SLUICE_DB_CONNECT_WAIT=0s"}
	right := append(base, "DB_NAME="+name, "DB_PASSWORD="+db.Password())
	for _, d := range []struct {
		name  string
		env   []string
		check string
		says  string
	}{
		{"a wrong password", append(base, "DB_NAME="+name, "DB_PASSWORD="+wrong), "catalogue", "password"},
		{"a missing database", append(base, "DB_NAME=no such place", "DB_PASSWORD="+db.Password()), "catalogue", "no such place"},
		{"a file for a data directory", []string{"DATA_DIR=" + file}, "data directory", "not a folder"},
		{"a port that is none", []string{"PORT=99999"}, "configuration", "PORT"},
	} {
		r := c.sluice(d.env, "doctor", "--json")
		var list []struct {
			Check, Cause, Fix string
			OK                bool
		}
		if err := json.Unmarshal([]byte(r.out), &list); err != nil {
			t.Fatalf("%s: %v\n%s%s", d.name, err, r.out, r.err)
		}
		found := false
		for _, f := range list {
			found = found || f.Check == d.check && !f.OK && strings.Contains(f.Cause, d.says) && f.Fix != ""
		}
		if r.code != 1 || !found || strings.Contains(r.out+r.err, wrong) || strings.Contains(r.out+r.err, db.Password()) {
			t.Errorf("%s: exit %d\n%s%s", d.name, r.code, r.out, r.err)
		}
		if s := c.sluice(d.env, "serve", "--listen", "127.0.0.1:0"); d.check == "catalogue" && (s.code != 1 || !strings.Contains(s.err, "sluice: ") || !strings.Contains(s.err, "fix: ") || strings.Contains(s.out+s.err, wrong)) {
			t.Errorf("serve with %s: exit %d\n%s%s", d.name, s.code, s.out, s.err)
		}
	}
	r := c.sluice(right, "config")
	if r.code != 0 || !strings.Contains(r.out, name) || strings.Contains(r.out, db.Password()) || strings.Contains(r.out, c.s.Secret) {
		t.Errorf("config: exit %d\n%s", r.code, r.out)
	}
	if s := c.sluice(right, "migrate", "status"); s.code != 1 || !strings.Contains(s.out+s.err, "0") {
		t.Errorf("status of an empty database: %+v", s)
	}
	if s := c.sluice(right, "migrate", "up"); s.code != 0 {
		t.Errorf("migrate up: %+v", s)
	}
	if s := c.sluice(right, "migrate", "status"); s.code != 0 {
		t.Errorf("status afterwards: %+v", s)
	}
	if s := c.sluice(right, "doctor"); s.code != 0 {
		t.Errorf("doctor of what is right: %+v", s)
	}
}
