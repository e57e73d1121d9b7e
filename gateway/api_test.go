package gateway_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/gateway"
	"sluice/media"
)

// A flag has to be a package variable.
var update = flag.Bool("update", false, "rewrite testdata/exchanges and openapi.json")

const hex24 = "507f1f77bcf86cd799439011"

// furnish puts what the exchanges speak of.
func (w *world) furnish() {
	w.shelf.put(media.Asset{ID: idOf(1), Owner: "ida", Title: "Lecture 1", Duration: 90 * time.Second, SHA256: bytes.Repeat([]byte{0xab}, 32), Placement: media.Placement{
		Kind: media.CourseVideo, CourseID: hex24, VideoType: media.IntroVideo,
	}})
	w.shelf.put(media.Asset{ID: idOf(2), Owner: "ivo", Public: true})
	w.shelf.put(media.Asset{ID: idOf(3), Owner: "ivo"})
	w.shelf.put(media.Asset{
		ID: idOf(4), Owner: "ida", State: media.Uploading, MIMEType: "application/octet-stream", Type: media.Document, StorageType: media.Local, Size: media.UnknownLength,
	})
}

// TestExchanges replays testdata/exchanges: a request, a line of dashes, and the answer it must get.
func TestExchanges(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/exchanges/*.http")
	if err != nil || len(files) < 20 {
		t.Fatalf("found %d exchanges, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".http"), func(t *testing.T) {
			t.Parallel()
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			ask, want, _ := strings.Cut(string(raw), "\n----------\n")
			w := setup(t, nil)
			w.furnish()
			got := shown(w.ask(ask))
			if *update {
				if err := os.WriteFile(file, []byte(ask+"\n----------\n"+got), 0o644); err != nil { //nolint:gosec // a test's own file
					t.Fatal(err)
				}
				return
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// ask sends a request as an exchange has it: its line and header, an empty line, its body.
func (w *world) ask(text string) (*http.Response, string) {
	w.t.Helper()
	head, body, _ := strings.Cut(text, "\n\n")
	lines := strings.Split(head, "\n")
	method, path, _ := strings.Cut(lines[0], " ")
	for i, l := range lines[1:] {
		if subject, role, ok := strings.Cut(strings.TrimPrefix(l, "Authorization: Bearer "), " as "); ok {
			lines[i+1] = as(subject, role)
		}
	}
	return w.do(method, path, strings.TrimSpace(body), lines[1:]...)
}

var requestIDs = regexp.MustCompile(`"requestId":"[A-Z0-9]{20}"`)

// shown writes an answer without what differs each time.
func shown(resp *http.Response, body string) string {
	var b strings.Builder
	fmt.Fprintln(&b, resp.StatusCode)
	names := make([]string, 0, len(resp.Header))
	for n := range resp.Header {
		if n != "Date" && n != "Content-Length" && n != "X-Request-Id" {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	for _, n := range names {
		fmt.Fprintf(&b, "%s: %s\n", n, strings.Join(resp.Header[n], ", "))
	}
	body = requestIDs.ReplaceAllString(body, `"requestId":"-"`)
	var indented bytes.Buffer
	if strings.Contains(resp.Header.Get("Content-Type"), "json") && json.Indent(&indented, []byte(body), "", "  ") == nil {
		body = indented.String()
	}
	return b.String() + "\n" + body
}

func TestDocument(t *testing.T) {
	t.Parallel()
	w := setupSchool(t, nil)
	resp, got := w.do("GET", "/api/openapi.json", "")
	if resp.StatusCode != 200 {
		t.Fatal(resp.StatusCode)
	}
	if *update {
		if err := os.WriteFile("openapi.json", []byte(got), 0o644); err != nil { //nolint:gosec // committed
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("openapi.json is not what is served; go test -update\n%s", d)
	}
	var doc struct {
		OpenAPI string
		Info    struct{ Title, Version string }
		Paths   map[string]map[string]struct {
			OperationID string
			Responses   map[string]struct{ Description string }
			Parameters  []struct {
				Name, In string
				Required bool
			}
		}
		Components struct{ Schemas map[string]any }
	}
	if err := json.Unmarshal([]byte(got), &doc); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.1.") || doc.Info.Title == "" || doc.Info.Version == "" {
		t.Errorf("got %+v", doc.Info)
	}
	documented := map[string]bool{}
	ids := map[string]bool{}
	for path, item := range doc.Paths {
		for method, op := range item {
			route := strings.ToUpper(method) + " " + path
			documented[route] = true
			if op.OperationID == "" || ids[op.OperationID] || len(op.Responses) < 2 {
				t.Errorf("%s: no id of its own, or too few answers", route)
			}
			ids[op.OperationID] = true
			for code, r := range op.Responses {
				if r.Description == "" {
					t.Errorf("%s: answer %s says nothing", route, code)
				}
			}
			for _, name := range regexp.MustCompile(`\{(\w+)\}`).FindAllStringSubmatch(path, -1) {
				if !slices.ContainsFunc(op.Parameters, func(p struct {
					Name, In string
					Required bool
				},
				) bool {
					return p.Name == name[1] && p.In == "path" && p.Required
				}) {
					t.Errorf("%s: {%s} is not described", route, name[1])
				}
			}
			real := strings.NewReplacer("{type}", "product", "{imageId}", idOf(1).String(), "{videoId}", idOf(1).String(), "{lessonId}", hex24, "{id}", idOf(1).String(), "{ticket}", "x", "{name}", "original", "{capability}", "x").Replace(path)
			resp, body := w.do(strings.ToUpper(method), real, "", as("ida", "instructor"))
			if strings.Contains(body, "no_such_route") || resp.StatusCode == http.StatusMethodNotAllowed {
				t.Errorf("%s is documented, and not served: %d", route, resp.StatusCode)
			}
			if resp.StatusCode >= http.StatusInternalServerError {
				t.Errorf("%s = %d: %s", route, resp.StatusCode, body)
			}
		}
	}
	for _, route := range w.g.Routes() {
		if !documented[route] {
			t.Errorf("%s is served, and not documented", route)
		}
	}
	for _, ref := range regexp.MustCompile(`#/components/schemas/(\w+)`).FindAllStringSubmatch(got, -1) {
		if doc.Components.Schemas[ref[1]] == nil {
			t.Errorf("%s is referred to, and missing", ref[1])
		}
	}
}

func TestDocsPage(t *testing.T) {
	t.Parallel()
	w := setup(t, nil)
	resp, body := w.do("GET", "/api/docs", "")
	policy := resp.Header.Get("Content-Security-Policy")
	if resp.StatusCode != 200 || !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") {
		t.Errorf("got %d %s", resp.StatusCode, policy)
	}
	style := body[strings.Index(body, "<style>")+7 : strings.Index(body, "</style>")]
	if !strings.Contains(policy, hashOf(style)) {
		t.Error("the policy does not let the page's own style in")
	}
	if strings.Contains(body, "<script") || strings.Contains(body, "src=") || !strings.Contains(body, "/api/media/{id}") {
		t.Error("the page loads something, or says nothing")
	}
}

// TestBadInput holds that whatever is malformed is a 4xx problem, and changes nothing.
func TestBadInput(t *testing.T) {
	t.Parallel()
	one := "/api/media/" + idOf(1).String()
	me, root, fresh := as("ida", "instructor"), as("root", "admin"), `If-Match: "v1"`
	for name, c := range map[string]struct {
		method, path, body string
		head               []string
		want               int
	}{
		"an id in upper case":               {"GET", "/api/media/" + strings.ToUpper(idOf(1).String()), "", []string{me}, 400},
		"an id that is a path":              {"GET", "/api/media/..%2f..%2fetc", "", []string{me}, 404},
		"an id of NUL":                      {"GET", "/api/media/%00", "", []string{me}, 400},
		"an id of version 4":                {"GET", "/api/media/9f3c1f7e-5b52-4f0e-8f3e-2f6d5f0f6a11", "", []string{me}, 400},
		"an id too long":                    {"GET", "/api/media/" + strings.Repeat("a", 5000), "", []string{me}, 400},
		"an unknown query parameter":        {"GET", "/api/media?where=1", "", []string{me}, 400},
		"a query parameter twice":           {"GET", "/api/media?limit=1&limit=2", "", []string{me}, 400},
		"a broken escape":                   {"GET", "/api/media?cursor=%zz", "", []string{me}, 400},
		"a semicolon":                       {"GET", "/api/media?limit=1;sort=size", "", []string{me}, 400},
		"a control byte":                    {"GET", "/api/media?cursor=%00", "", []string{me}, 400},
		"bytes that are not UTF-8":          {"GET", "/api/media?cursor=%ff", "", []string{me}, 400},
		"a limit of words":                  {"GET", "/api/media?limit=all", "", []string{me}, 400},
		"a limit of 0":                      {"GET", "/api/media?limit=0", "", []string{me}, 400},
		"a sort of SQL":                     {"GET", "/api/media?sort=id;drop", "", []string{me}, 400},
		"an operator for an id":             {"GET", "/api/media?mongoCourseId[$gt]=", "", []string{me}, 400},
		"an operator in an id":              {"GET", "/api/media?mongoCourseId=" + url.QueryEscape(`{"$gt":""}`), "", []string{me}, 400},
		"an unknown state":                  {"GET", "/api/media?state=ready,gone", "", []string{me}, 400},
		"a bucket of minutes":               {"GET", "/api/analytics/media/" + idOf(1).String() + "?bucket=5m", "", []string{me}, 400},
		"a time of words":                   {"GET", "/api/analytics/media/" + idOf(1).String() + "?from=yesterday", "", []string{me}, 400},
		"a span backwards":                  {"GET", "/api/analytics/media/" + idOf(1).String() + "?from=2026-02-01&to=2026-01-01", "", []string{me}, 400},
		"an unknown upload state":           {"GET", "/api/uploads?state=closed", "", []string{me}, 400},
		"no If-Match":                       {"PATCH", one, `{"title":"x"}`, []string{me}, 428},
		"a stale If-Match":                  {"PATCH", one, `{"title":"x"}`, []string{me, `If-Match: "v0"`}, 412},
		"a weak If-Match":                   {"PATCH", one, `{"title":"x"}`, []string{me, `If-Match: W/"v1"`}, 412},
		"an If-Match without quotes":        {"PATCH", one, `{"title":"x"}`, []string{me, `If-Match: v1`}, 400},
		"delete without If-Match":           {"DELETE", one, "", []string{me}, 428},
		"delete with a stale one":           {"DELETE", one, "", []string{me, `If-Match: "v9"`}, 412},
		"a patch that is no JSON":           {"PATCH", one, `{"title":`, []string{me, fresh}, 400},
		"a patch that is not UTF-8":         {"PATCH", one, "{\"title\":\"\xff\"}", []string{me, fresh}, 400},
		"a patch that is a list":            {"PATCH", one, `[]`, []string{me, fresh}, 400},
		"a patch with an unknown field":     {"PATCH", one, `{"owner":"ivo"}`, []string{me, fresh}, 400},
		"a patch of the state":              {"PATCH", one, `{"state":"ready"}`, []string{me, fresh}, 400},
		"a patch of the wrong type":         {"PATCH", one, `{"title":7}`, []string{me, fresh}, 400},
		"a patch with a position of 1e9":    {"PATCH", one, `{"position":1000000000}`, []string{me, fresh}, 400},
		"a patch with a line break":         {"PATCH", one, `{"title":"a\r\nb"}`, []string{me, fresh}, 400},
		"a patch with a bad reference":      {"PATCH", one, `{"referenceType":"course","referenceId":"{}"}`, []string{me, fresh}, 400},
		"a patch without a body":            {"PATCH", one, "", []string{me, fresh}, 400},
		"a patch in XML":                    {"PATCH", one, `<a/>`, []string{me, fresh, "Content-Type: application/xml"}, 415},
		"a body of 2 MiB":                   {"PATCH", one, `{"title":"` + strings.Repeat("a", 2<<20) + `"}`, []string{me, fresh}, 413},
		"deep JSON":                         {"PATCH", one, `{"title":` + strings.Repeat("[", 100_000), []string{me, fresh}, 400},
		"media without a URL":               {"POST", "/api/media", `{"title":"x"}`, []string{me}, 400},
		"media with a script for URL":       {"POST", "/api/media", `{"url":"javascript:alert(1)"}`, []string{me}, 400},
		"media with a negative size":        {"POST", "/api/media", `{"url":"https://a.example/","fileSize":-1}`, []string{me}, 400},
		"media with a size beyond 64 bit":   {"POST", "/api/media", `{"url":"https://a.example/","fileSize":1e30}`, []string{me}, 400},
		"an Idempotency-Key too long":       {"POST", "/api/media", `{"url":"https://a.example/"}`, []string{me, "Idempotency-Key: " + strings.Repeat("k", 256)}, 400},
		"a link for ever":                   {"POST", one + "/links", `{"expiresIn":99999999999}`, []string{me}, 400},
		"a link that ended":                 {"POST", one + "/links", `{"expiresIn":-1}`, []string{me}, 400},
		"a link to steal":                   {"POST", one + "/links", `{"use":"steal"}`, []string{me}, 400},
		"an empty batch":                    {"POST", "/api/links", `{"items":[]}`, []string{me}, 400},
		"a batch of null":                   {"POST", "/api/links", `{"items":null}`, []string{me}, 400},
		"a bad token":                       {"PATCH", one, `{"title":"x"}`, []string{"Authorization: Bearer x.y.z", fresh}, 401},
		"nobody changes":                    {"PATCH", one, `{"title":"x"}`, []string{fresh}, 401},
		"a stranger changes":                {"PATCH", one, `{"title":"x"}`, []string{as("ivo", "instructor"), fresh}, 404},
		"a stranger deletes what is public": {"DELETE", "/api/media/" + idOf(2).String(), "", []string{me, "If-Match: *"}, 404},
		"a student adds":                    {"POST", "/api/media", `{"url":"https://a.example/"}`, []string{as("sam", "student")}, 403},
		"a student mints":                   {"POST", "/api/uploads", `{}`, []string{as("sam", "student")}, 403},
		"nobody counts":                     {"POST", "/api/media/" + idOf(2).String() + "/access", "", nil, 401},
		"a stranger counts":                 {"POST", "/api/media/" + idOf(3).String() + "/access", "", []string{me}, 404},
		"a stranger revokes":                {"DELETE", "/api/media/" + idOf(3).String() + "/links", "", []string{me}, 404},
		"a revocation of nobody":            {"POST", "/api/revocations", `{}`, []string{root}, 400},
		"a revocation of a media alone":     {"POST", "/api/revocations", `{"mediaId":"` + idOf(1).String() + `"}`, []string{root}, 400},
		"a revocation of an odd course":     {"POST", "/api/revocations", `{"courseId":"{}"}`, []string{root}, 400},
		"a revocation of an odd media":      {"POST", "/api/revocations", `{"viewer":"u1","mediaId":"x"}`, []string{root}, 400},
		"a revocation of a line break":      {"POST", "/api/revocations", `{"viewer":"a\nb"}`, []string{root}, 400},
		"a revocation of a viewer too long": {"POST", "/api/revocations", `{"viewer":"` + strings.Repeat("v", 256) + `"}`, []string{root}, 400},
		"a revocation for ever":             {"POST", "/api/revocations", `{"viewer":"u1","expiresIn":99999999999}`, []string{root}, 400},
		"a revocation with unknown fields":  {"POST", "/api/revocations", `{"viewer":"u1","session":"x"}`, []string{root}, 400},
		"a revocation without a body":       {"POST", "/api/revocations", "", []string{root}, 400},
		"an instructor revokes a viewer":    {"POST", "/api/revocations", `{"viewer":"u1"}`, []string{me}, 403},
		"nobody revokes a viewer":           {"POST", "/api/revocations", `{"viewer":"u1"}`, nil, 401},
		"a lift of what is not there":       {"DELETE", "/api/revocations/x", "", []string{root}, 404},
		"a lift of NUL":                     {"DELETE", "/api/revocations/%00", "", []string{root}, 404},
		"a trailing slash":                  {"GET", one + "/", "", []string{me}, 404},
		"two slashes":                       {"GET", "//api/media", "", []string{me}, 404},
		"PUT":                               {"PUT", one, `{}`, []string{me}, 405},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := setup(t, nil)
			w.furnish()
			before := w.snapshot()
			resp, body := w.do(c.method, c.path, c.body, c.head...)
			if resp.StatusCode != c.want {
				t.Errorf("got %d, want %d: %s", resp.StatusCode, c.want, body)
			}
			var p gateway.Problem
			if err := json.Unmarshal([]byte(body), &p); err != nil || p.Status != resp.StatusCode || p.Code == "" || p.RequestID != resp.Header.Get("X-Request-Id") ||
				resp.Header.Get("Content-Type") != "application/problem+json" || resp.Header.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("not a problem: %s %v", body, resp.Header)
			}
			if d := cmp.Diff(before, w.snapshot()); d != "" {
				t.Errorf("it changed something: %s", d)
			}
			if c.want == 405 && resp.Header.Get("Allow") == "" {
				t.Error("405 without Allow")
			}
		})
	}
}

func (w *world) snapshot() map[string]media.Asset {
	_ = w.counter.Flush(w.t.Context())
	w.shelf.mu.Lock()
	defer w.shelf.mu.Unlock()
	m := map[string]media.Asset{}
	for id, a := range w.shelf.rows {
		m[id.String()] = a
	}
	return m
}

func TestCatalogueAway(t *testing.T) {
	t.Parallel()
	w := setup(t, nil)
	w.furnish()
	w.shelf.err = media.Wrap(media.Unavailable, errors.New("dial tcp db.internal:5432"), "the catalogue is away")
	resp, body := w.do("GET", "/api/media/"+idOf(1).String(), "", as("ida", "instructor"))
	if resp.StatusCode != 503 || resp.Header.Get("Retry-After") != "1" || strings.Contains(body, "5432") {
		t.Errorf("got %d %s", resp.StatusCode, body)
	}
}
