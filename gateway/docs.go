package gateway

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // of the page
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"
)

//go:embed docs.html
var docsPage string

//go:embed docs.css
var docsStyle string

func typeOf[T any]() reflect.Type { return reflect.TypeFor[T]() }

func problemResponse(r huma.Registry) *huma.Response {
	return &huma.Response{
		Description: "A problem (RFC 9457)",
		Content:     map[string]*huma.MediaType{"application/problem+json": {Schema: r.Schema(typeOf[Problem](), true, "")}},
	}
}

// describeBare documents what is mounted beside gin.
func describeBare(doc *huma.OpenAPI) {
	problem := problemResponse(doc.Components.Schemas)
	param := func(name, about string) *huma.Param {
		return &huma.Param{Name: name, In: "path", Required: true, Description: about, Schema: &huma.Schema{Type: huma.TypeString}}
	}
	id := param("id", "UUIDv7")
	put := func(method, path, opID, tag, summary, ok string, params ...*huma.Param) {
		doc.AddOperation(&huma.Operation{
			Method: method, Path: path, OperationID: opID, Tags: []string{tag}, Summary: summary, Parameters: params,
			Responses: map[string]*huma.Response{ok: {Description: http.StatusText(codeOf(ok))}, "default": problem}, Security: bareSecurity(method, path),
		})
	}
	header := func(name string, required bool, about string) *huma.Param {
		return &huma.Param{Name: name, In: "header", Required: required, Description: about, Schema: &huma.Schema{Type: huma.TypeString}}
	}
	version, ranges := header("Tus-Resumable", true, "1.0.0"), header("Range", false, "bytes=0-1023, bytes=-500, bytes=1000-, or several by commas")
	capability := param("capability", "The last part of the Location that the creation answered")
	put(http.MethodHead, "/api/media/{id}", "head-media", "media", "As GET, without the body", "200", id)
	put(http.MethodGet, "/api/media/{id}/content", "media-content", "media", "The bytes, for whoever may read the media; ranges as in playback", "200", id, ranges)
	put(http.MethodHead, "/api/media/{id}/content", "head-media-content", "media", "As GET, without the body", "200", id)
	put(http.MethodOptions, "/files/", "tus-options", "uploads", "What of tus 1.0.0 is spoken here", "204")
	put(http.MethodPost, "/files/", "tus-create", "uploads", "Create an upload (tus 1.0.0)", "201", version,
		header("Upload-Length", false, "Bytes; or Upload-Defer-Length, or Upload-Concat: final"), header("Upload-Defer-Length", false, "1"),
		header("Upload-Metadata", false, "key base64, by commas: filename, filetype, title, kind, mongoCourseId and so on"), header("Upload-Concat", false, "partial, or final; and URLs"))
	put(http.MethodHead, "/files/{capability}", "tus-offset", "uploads", "How far an upload is (tus 1.0.0)", "200", capability, version)
	put(http.MethodPatch, "/files/{capability}", "tus-append", "uploads", "Send bytes (tus 1.0.0)", "204", capability, version,
		header("Upload-Offset", true, "Where they begin"), header("Upload-Length", false, "Declares a deferred length"))
	doc.Paths["/files/{capability}"].Patch.RequestBody = &huma.RequestBody{
		Required: true, Content: map[string]*huma.MediaType{"application/offset+octet-stream": {}},
	}
	put(http.MethodDelete, "/files/{capability}", "tus-terminate", "uploads", "Give an upload up (tus 1.0.0)", "204", capability, version)
	put(http.MethodGet, "/files/{capability}", "tus-content", "uploads", "To the bytes of a finished upload", "302", capability)
	for _, m := range []string{http.MethodGet, http.MethodHead} {
		verb := strings.ToLower(m)
		put(m, "/p/{ticket}/{id}/{name}", verb+"-signed", "links", "Play by a ticket", "200", param("ticket", "From a link"), id, param("name", "original, or original.mp4 and so on"), ranges)
		put(m, "/m/{id}/{name}", verb+"-public", "links", "Play what is public", "200", id, param("name", "original, or original.mp4 and so on"))
		put(m, "/play/{id}", verb+"-play", "links", "Exchange a grant signed by the LMS for a ticket", "302", id)
	}
	for _, path := range []string{"/p/{ticket}/{id}/{name}", "/m/{id}/{name}"} {
		doc.Paths[path].Get.Responses["307"] = &huma.Response{
			Description: "To the bytes where they are stored, if that storage delivers by redirect. Location is a credential that is good for a " +
				"limited time, also after the link is revoked: fetch it at once, and ask here again for more. Range belongs to both requests.",
		}
	}
	put(http.MethodGet, "/metrics", "metrics", "service", "Metrics for Prometheus, for admins", "200")
	put(http.MethodGet, "/api/openapi.json", "openapi", "service", "This document", "200")
	put(http.MethodGet, "/api/docs", "docs", "service", "This document as a page", "200")
}

// bareSecurity says what opens a path beside gin: a login, a login or nothing, or what stands in the path.
func bareSecurity(method, path string) []map[string][]string {
	login := []map[string][]string{{"bearer": {}}, {"apiKey": {}}}
	switch {
	case strings.HasPrefix(path, "/api/media"):
		return append(login, map[string][]string{})
	case path == "/metrics", path == "/files/" && method == http.MethodPost:
		return login
	}
	return []map[string][]string{}
}

func codeOf(s string) int {
	var n int
	_, _ = fmt.Sscan(s, &n)
	return n
}

// routeDocs makes the document and its page once, and serves both.
func (g *Gateway) routeDocs(doc *huma.OpenAPI) error {
	raw, err := json.Marshal(doc)
	if err != nil {
		return fmt.Errorf("openapi: %w", err)
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, raw, "", "  "); err != nil {
		return fmt.Errorf("openapi: %w", err)
	}
	indented.WriteByte('\n')
	g.document = indented.Bytes()
	page, err := docsOf(doc)
	if err != nil {
		return fmt.Errorf("docs: %w", err)
	}
	sum := sha256.Sum256([]byte(docsStyle))
	policy := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	g.engine.GET("/api/openapi.json", func(c *gin.Context) {
		c.Data(http.StatusOK, "application/vnd.oai.openapi+json;version=3.1", g.document)
	})
	g.engine.GET("/api/docs", func(c *gin.Context) {
		c.Header("Content-Security-Policy", policy)
		c.Data(http.StatusOK, "text/html; charset=utf-8", page)
	})
	return nil
}

type docsGroup struct {
	Name, About string
	Routes      []docsRoute
}

type docsRoute struct {
	Method, Path, ID, Summary, About string
	Params                           []docsParam
	Body, Answer                     string
}

type docsParam struct{ Name, In, About string }

// docsOf writes the page for people, without a line of script.
func docsOf(doc *huma.OpenAPI) ([]byte, error) {
	groups := make([]docsGroup, len(doc.Tags))
	for i, t := range doc.Tags {
		groups[i] = docsGroup{Name: t.Name, About: t.Description}
	}
	paths := make([]string, 0, len(doc.Paths))
	for p := range doc.Paths {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	for _, p := range paths {
		for _, m := range methodsOf(doc.Paths[p]) {
			for i := range groups {
				if slices.Contains(m.Tags, groups[i].Name) {
					groups[i].Routes = append(groups[i].Routes, docsRouteOf(p, m))
				}
			}
		}
	}
	t, err := template.New("docs").Parse(docsPage)
	if err != nil {
		return nil, err //nolint:wrapcheck // said by the caller
	}
	var b bytes.Buffer
	err = t.Execute(&b, map[string]any{"Info": doc.Info, "Groups": groups, "Style": template.CSS(docsStyle)}) //nolint:gosec // our own file
	return b.Bytes(), err                                                                                     //nolint:wrapcheck // said by the caller
}

func methodsOf(item *huma.PathItem) []*huma.Operation {
	var ops []*huma.Operation
	for _, op := range []*huma.Operation{item.Get, item.Head, item.Post, item.Put, item.Patch, item.Delete, item.Options} {
		if op != nil {
			ops = append(ops, op)
		}
	}
	return ops
}

func docsRouteOf(path string, op *huma.Operation) docsRoute {
	r := docsRoute{Method: op.Method, Path: path, ID: op.OperationID, Summary: op.Summary, About: op.Description}
	for _, p := range op.Parameters {
		about := p.Description
		if p.Schema != nil && len(p.Schema.Enum) > 0 {
			about = strings.TrimSpace(fmt.Sprintf("%s %v", about, p.Schema.Enum))
		}
		r.Params = append(r.Params, docsParam{p.Name, p.In, about})
	}
	if op.RequestBody != nil {
		for ct, m := range op.RequestBody.Content {
			r.Body = ct + " " + schemaName(m)
		}
	}
	codes := make([]string, 0, len(op.Responses))
	for c := range op.Responses {
		codes = append(codes, c)
	}
	slices.Sort(codes)
	r.Answer = strings.Join(codes, ", ")
	return r
}

func schemaName(m *huma.MediaType) string {
	if m.Schema == nil {
		return ""
	}
	return m.Schema.Ref[strings.LastIndexByte(m.Schema.Ref, '/')+1:]
}
