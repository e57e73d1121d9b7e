package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// examine runs the doctor on a data directory and gives its findings by check.
func examine(t *testing.T, dir string, want int) map[string]finding {
	t.Helper()
	code, out, errs := once(t, dir, nil, "doctor", "--json", "--set", "port=0")
	var list []finding
	if err := json.Unmarshal([]byte(out), &list); err != nil || code != want {
		t.Errorf("doctor = %d, %v, want %d: %s%s", code, err, want, out, errs)
	}
	found := map[string]finding{}
	for _, f := range list {
		found[f.Check] = f
	}
	return found
}

// served gives a folder in which a gateway has served a medium and was stopped.
func served(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	p := spawn(t, dir, nil)
	path, _ := file(t, dir, "x.bin", 1000)
	p.must("upload", path)
	if f := examine(t, dir, 0); !f["catalogue"].OK {
		t.Errorf("beside a running gateway: %+v", f)
	}
	if code, _ := p.end(syscall.SIGTERM); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	return dir
}

func TestTheDoctorFindsADamagedCatalogue(t *testing.T) {
	t.Parallel()
	dir := served(t)
	if f := examine(t, dir, 0); !strings.Contains(f["catalogue"].Saw, "every page is sound") {
		t.Errorf("a sound catalogue: %+v", f["catalogue"])
	}
	path := filepath.Join(dir, "data", "catalogue.db")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	last := (len(data) - 1) &^ 4095
	for _, from := range []int{last, 4096, 0} { // the last page, a page of the schema, the head of the file
		copy(data[from:], strings.Repeat("\xff", 64))
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if f := examine(t, dir, 1)["catalogue"]; f.OK || !strings.Contains(f.Fix, "restore") {
			t.Errorf("damaged from byte %d: %+v", from, f)
		}
	}
}

func TestTheDoctorSeesAClockThatWasSetBack(t *testing.T) {
	t.Parallel()
	dir := served(t)
	future := time.Now().Add(time.Hour)
	if err := os.Chtimes(filepath.Join(dir, "data", "catalogue.db"), future, future); err != nil {
		t.Fatal(err)
	}
	if f := examine(t, dir, 1)["clock"]; f.OK || !strings.Contains(f.Cause, "set back") || f.Fix == "" {
		t.Errorf("clock: %+v", f)
	}
}

func TestTheDoctorMakesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for check, f := range examine(t, dir, 0) {
		if !f.OK {
			t.Errorf("%s: %+v", check, f)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("it left %v, %v", left, err)
	}
}

func TestTheDoctorLooksWhereTheDataDirectoryWouldBeMade(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		prepare func(dir string) error
		ok      bool
		cause   string
	}{
		"folders that can be made": {func(string) error { return nil }, true, ""},
		"a file is in the way":     {func(dir string) error { return os.WriteFile(filepath.Join(dir, "a"), nil, 0o600) }, false, "not a folder"},
		"nobody may write there":   {func(dir string) error { return os.Symlink("/proc", filepath.Join(dir, "a")) }, false, "cannot be written"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := c.prepare(dir); err != nil {
				t.Fatal(err)
			}
			_, out, errs := once(t, dir, nil, "doctor", "--json", "--set", "port=0", "--set", "data_dir="+filepath.Join(dir, "a", "b", "c"))
			var list []finding
			if err := json.Unmarshal([]byte(out), &list); err != nil {
				t.Fatalf("%v: %s%s", err, out, errs)
			}
			for _, f := range list {
				if f.Check == "data directory" && (f.OK != c.ok || !strings.Contains(f.Cause, c.cause) || !c.ok && f.Fix == "") {
					t.Errorf("%+v, want %v, %q", f, c.ok, c.cause)
				}
				if f.Check == "free space" && c.ok && !strings.HasSuffix(f.Saw, " free") {
					t.Errorf("%+v", f)
				}
			}
		})
	}
}

func TestTheDoctorWarnsOfFewDescriptors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := command(t, dir, nil, "doctor", "--set", "port=0")
	self := filepath.Join(t.TempDir(), "sluice") // TestMain goes by the name
	if err := os.Symlink(c.Path, self); err != nil {
		t.Fatal(err)
	}
	sh := exec.CommandContext(t.Context(), "sh", append([]string{"-c", `ulimit -Sn 512 && ulimit -Hn 512 && exec "$0" "$@"`, self}, c.Args[1:]...)...)
	sh.Dir, sh.Env = c.Dir, c.Env
	out, err := sh.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "warn   descriptors") || !strings.Contains(string(out), "at most 512 ") || !strings.Contains(string(out), "fix: raise it") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestMigrateSaysThatThereIsNoDataDirectory(t *testing.T) {
	t.Parallel()
	for _, action := range []string{"status", "up"} {
		dir := t.TempDir()
		code, out, errs := once(t, dir, nil, "migrate", action)
		onlyCauseAndFix(t, code, out, errs, regexp.MustCompile("data directory .* is not there"))
	}
}

func TestTokenMintsNoLoginThatIsRefused(t *testing.T) {
	t.Parallel()
	env := []string{"JWT_SECRET=" + strings.Repeat("0123456789abcdef", 3)}
	code, out, errs := once(t, t.TempDir(), env, "token", "--subject", "key:lms")
	onlyCauseAndFix(t, code, out, errs, regexp.MustCompile("API key's subject"))
}
