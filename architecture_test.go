package sluice_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// mayImport says which packages of this module a folder may import, tests aside. "x/*" is every folder below x. What is not listed may
// import nothing of the module but internal/crash.
var mayImport = map[string][]string{
	"media":          {},
	"signing":        {"media"},
	"configs":        {},
	"console":        {},
	"storage":        {"media"},
	"storage/*":      {"media", "storage"},
	"catalogue":      {"media"},
	"catalogue/*":    {"media", "catalogue"},
	"entities":       {"media"},
	"entities/*":     {"media", "entities"},
	"cache":          {"media", "cache/memory"},
	"cache/*":        {"media", "cache"},
	"uploads":        {"media", "storage"},
	"uploads/*":      {"media", "uploads"},
	"playback":       {"media", "storage"},
	"playback/*":     {"media", "playback"},
	"processing":     {"media", "storage"},
	"analytics":      {"media", "storage"},
	"curation":       {"media", "storage"},
	"gateway":        {"media", "uploads", "playback", "curation", "analytics", "processing"},
	"internal/crash": {},
	"internal/demo":  {},
}

// homes gives each third-party library the one folder that may import it, tests aside. A prefix covers all below it.
var homes = map[string][]string{
	"github.com/gin-gonic/gin":      {"gateway"},
	"github.com/danielgtaylor/huma": {"gateway"},
	"github.com/tus/tusd":           {"uploads"},
	"github.com/aws/aws-sdk-go-v2":  {"storage/s3"},
	"github.com/jackc/pgx":          {"catalogue/postgres"},
	"modernc.org/sqlite":            {"catalogue/sqlite", "entities/embedded"},
	"go.mongodb.org/mongo-driver":   {"entities/mongo"},
	"github.com/redis/go-redis":     {"cache/redis", "uploads/redislock"},
	"github.com/maypok86/otter":     {"cache/memory"},
	"github.com/golang-jwt/jwt":     {"gateway", "cmd/sluice"},
	"github.com/alecthomas/kong":    {"cmd/sluice"},
	"github.com/goccy/go-yaml":      {"configs"},
	"golang.org/x/image":            {"internal/demo"}, // letters and smooth edges
}

func TestImportsPointAtMedia(t *testing.T) {
	t.Parallel()
	for dir, imports := range importsByFolder(t) {
		if strings.HasPrefix(dir, "cmd/") || strings.HasPrefix(dir, "internal/livetest") || strings.HasPrefix(dir, "bench") || dir == "." {
			continue // cmd wires everything; livetest and bench serve tests only
		}
		allowed, known := mayImport[dir]
		if !known {
			allowed, known = mayImport[path.Dir(dir)+"/*"]
		}
		if !known {
			t.Errorf("%s is not in the plan: give it a line in mayImport", dir)
			continue
		}
		for _, imp := range imports {
			own, ours := strings.CutPrefix(imp, "sluice/")
			if ours && own != "internal/crash" && !slices.Contains(allowed, own) {
				t.Errorf("%s imports %s; it may import %v", dir, own, allowed)
			}
		}
	}
}

func TestNothingImportsCmd(t *testing.T) {
	t.Parallel()
	for dir, imports := range importsByFolder(t) {
		for _, imp := range imports {
			if strings.HasPrefix(imp, "sluice/cmd") {
				t.Errorf("%s imports %s", dir, imp)
			}
		}
	}
}

func TestEachLibraryHasOneHome(t *testing.T) {
	t.Parallel()
	for dir, imports := range importsByFolder(t) {
		for _, imp := range imports {
			for library, folders := range homes {
				if imp != library && !strings.HasPrefix(imp, library+"/") {
					continue
				}
				if !slices.Contains(folders, dir) && !strings.HasPrefix(dir, "internal/livetest") && !strings.HasPrefix(dir, "bench") {
					t.Errorf("%s imports %s, whose home is %v", dir, imp, folders)
				}
			}
			standard := !strings.Contains(strings.SplitN(imp, "/", 2)[0], ".")
			if (dir == "media" || dir == "signing") && !standard {
				t.Errorf("%s imports %s; it may use the standard library only", dir, imp)
			}
		}
	}
}

// importsByFolder reads the imports of every non-test Go file.
func importsByFolder(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && file != "." && (strings.HasPrefix(d.Name(), ".") || slices.Contains([]string{"node_modules", "testdata", "data", "bin"}, d.Name())) {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		dir := filepath.ToSlash(filepath.Dir(file))
		for _, spec := range parsed.Imports {
			imp, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			found[dir] = append(found[dir], imp)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) < 5 {
		t.Fatalf("only %d folders with Go files were found", len(found))
	}
	return found
}
