package conformance_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sluice/internal/livetest"
)

var (
	testName = regexp.MustCompile(`\bTest[A-Z]\w+`)
	testFunc = regexp.MustCompile(`(?m)^func (Test[A-Z]\w+)\(`)
	caseName = regexp.MustCompile(`"([^"\n]+)"`)
	codeFile = regexp.MustCompile("`([a-z]+(?:/[a-z]+)*\\.go)`")
	heading  = regexp.MustCompile(`(?m)^\*\*([A-Z]\d)\. `)
)

// docs/promises.md names what shows each promise: every name in it is there, and every promise of one node is in it.
func TestThePromisesPageIsTrue(t *testing.T) {
	t.Parallel()
	root, err := livetest.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(root, "docs", "promises.md"))
	if err != nil {
		t.Fatal(err)
	}
	page := string(raw)
	tests, suites := map[string]bool{}, ""
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
			return err
		}
		suite := strings.HasSuffix(filepath.Base(filepath.Dir(path)), "test")
		if !suite && !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(path)
		for _, m := range testFunc.FindAllSubmatch(text, -1) {
			tests[string(m[1])] = true
		}
		if suite {
			suites += string(text)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range testName.FindAllString(page, -1) {
		if !tests[name] {
			t.Errorf("no test is named %s", name)
		}
	}
	for _, m := range caseName.FindAllStringSubmatch(page, -1) {
		if !strings.Contains(suites, m[0]) {
			t.Errorf("no suite promises %s", m[0])
		}
	}
	for _, m := range codeFile.FindAllStringSubmatch(page, -1) {
		if _, err := os.Stat(filepath.Join(root, m[1])); err != nil {
			t.Errorf("no file is named %s", m[1])
		}
	}
	var named []string
	for _, m := range heading.FindAllStringSubmatch(page, -1) {
		named = append(named, m[1])
	}
	if got, want := strings.Join(named, " "), "U1 U2 U3 U4 U5 U6 C1 C2 C3 C4 K1 K2 G1 G2 D1 D2 A1"; got != want {
		t.Errorf("the page has %s, want %s", got, want)
	}
}
