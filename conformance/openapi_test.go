package conformance_test

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sluice/internal/livetest"
)

type operation struct {
	OperationID, Summary string
	Tags                 []string
	Parameters           []struct {
		Name, In string
		Required bool
		Schema   map[string]any
	}
	RequestBody map[string]any
	Responses   map[string]map[string]any
	Security    *[]map[string][]string
}

type document struct {
	OpenAPI    string
	Info       struct{ Title, Version string }
	Paths      map[string]map[string]json.RawMessage
	Components struct {
		Schemas         map[string]any
		SecuritySchemes map[string]any
	}
}

var inBraces = regexp.MustCompile(`\{([^}]+)\}`)

// refs gives every $ref below a value.
func refs(v any) (list []string) {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			if s, ok := e.(string); ok && k == "$ref" {
				list = append(list, s)
			}
			list = append(list, refs(e)...)
		}
	case []any:
		for _, e := range v {
			list = append(list, refs(e)...)
		}
	}
	return list
}

// The document is OpenAPI 3.1, complete in itself, and says nothing that the server does not do.
func TestTheOpenAPIDocument(t *testing.T) {
	t.Parallel()
	c := open(t, livetest.Options{})
	a := c.want(200, "GET", "/api/openapi.json", "")
	if !strings.Contains(a.get("Content-Type"), "json") {
		t.Errorf("Content-Type %q", a.get("Content-Type"))
	}
	var doc document
	var tree any
	for _, into := range []any{&doc, &tree} {
		if err := json.Unmarshal([]byte(a.body), into); err != nil {
			t.Fatal(err)
		}
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.1.") || doc.Info.Title == "" || doc.Info.Version == "" || len(doc.Components.SecuritySchemes) == 0 {
		t.Errorf("openapi %q, info %+v, security schemes %v", doc.OpenAPI, doc.Info, doc.Components.SecuritySchemes)
	}
	for _, ref := range refs(tree) {
		name, ok := strings.CutPrefix(ref, "#/components/schemas/")
		if _, there := doc.Components.Schemas[name]; !ok || !there {
			t.Errorf("$ref %s leads nowhere", ref)
		}
	}
	ids := map[string]bool{}
	for path, item := range doc.Paths {
		for method, raw := range item {
			if method == "parameters" || method == "summary" || method == "description" {
				continue
			}
			var op operation
			if err := json.Unmarshal(raw, &op); err != nil {
				t.Fatalf("%s %s: %v", method, path, err)
			}
			checkOperation(t, method, path, op, ids)
			checkRouted(c, method, path, op)
		}
	}
	for _, want := range []string{
		"/files/", "/files/{capability}", "/p/{ticket}/{id}/{rendition}", "/m/{id}/{rendition}", "/api/media", "/api/media/{id}", "/api/media/{id}/content",
		"/api/media/{id}/links", "/api/links", "/api/uploads", "/api/analytics/media/{id}", "/api/media/{id}/access", "/livez", "/readyz", "/metrics",
	} {
		if doc.Paths[want] == nil && doc.Paths[strings.TrimSuffix(want, "/")] == nil && !strings.Contains(want, "rendition") {
			t.Errorf("%s is not described; there are %v", want, slices.Sorted(maps.Keys(doc.Paths)))
		}
	}
}

func checkOperation(t *testing.T, method, path string, op operation, ids map[string]bool) {
	t.Helper()
	where := method + " " + path
	if op.Summary == "" || op.OperationID == "" || ids[op.OperationID] || len(op.Tags) == 0 {
		t.Errorf("%s: summary %q, operationId %q, tags %v", where, op.Summary, op.OperationID, op.Tags)
	}
	ids[op.OperationID] = true
	good := false
	for status, r := range op.Responses {
		good = good || status[0] == '2' || status[0] == '3' || status == "101"
		if r["description"] == "" || r["description"] == nil {
			t.Errorf("%s: %s has no description", where, status)
		}
	}
	if !good {
		t.Errorf("%s has no answer of success", where)
	}
	problems := false
	for _, r := range op.Responses {
		content, _ := r["content"].(map[string]any)
		media, _ := content["application/problem+json"].(map[string]any)
		problems = problems || len(refs(media)) > 0
	}
	if !problems && (strings.HasPrefix(path, "/api/media") || strings.HasPrefix(path, "/api/links") || strings.HasPrefix(path, "/files") || strings.HasPrefix(path, "/p/")) {
		t.Errorf("%s has no problem with a schema", where)
	}
	declared := map[string]bool{}
	for _, p := range op.Parameters {
		if p.In == "path" {
			declared[p.Name] = true
			if !p.Required {
				t.Errorf("%s: path parameter %s is not required", where, p.Name)
			}
		}
		if p.Schema == nil {
			t.Errorf("%s: parameter %s has no schema", where, p.Name)
		}
	}
	for _, m := range inBraces.FindAllStringSubmatch(path, -1) {
		if !declared[m[1]] {
			t.Errorf("%s: {%s} is not declared", where, m[1])
		}
		delete(declared, m[1])
	}
	if len(declared) > 0 {
		t.Errorf("%s: declares %v, which are not in its path", where, declared)
	}
	if strings.HasPrefix(path, "/api/media") && op.Security == nil {
		t.Errorf("%s says nothing of security", where)
	}
}

// checkRouted asks the server: an operation that is described is there.
func checkRouted(c *site, method, path string, op operation) {
	c.t.Helper()
	real := inBraces.ReplaceAllString(path, "0190f5fe-7c00-7a00-8000-000000000000")
	a := c.send(strings.ToUpper(method), real, "", "Authorization", c.root, "Tus-Resumable", "1.0.0")
	if a.status == 405 || strings.Contains(a.body, "no_such_route") {
		c.t.Errorf("%s %s (%s) is described and not there: %d", method, path, op.OperationID, a.status)
	}
}

var elsewhere = regexp.MustCompile(`(?i)(?:src|href|url|action)\s*[=(]\s*["']?((?:https?:)?//[^"') ]+)`)

// The page for people needs nothing from any other host, and no script from anywhere.
func TestTheDocsPageStandsAlone(t *testing.T) {
	t.Parallel()
	c := open(t, livetest.Options{})
	a := c.want(200, "GET", "/api/docs", "")
	if !strings.HasPrefix(a.get("Content-Type"), "text/html") || a.get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("headers: %v", a.header)
	}
	if found := elsewhere.FindAllStringSubmatch(a.body, -1); found != nil {
		t.Errorf("the page asks elsewhere: %q", found)
	}
	for _, text := range []string{"/api/media", "/files/", "/api/media/{id}/links", "Bearer"} {
		if !strings.Contains(a.body, text) {
			t.Errorf("the page says nothing of %s", text)
		}
	}
	if csp := a.get("Content-Security-Policy"); strings.Contains(a.body, "<script") && !strings.Contains(csp, "script-src") || strings.Contains(a.body, "<style") && !strings.Contains(csp, "style-src") {
		t.Errorf("the page is at odds with its policy %q", csp)
	}
}
