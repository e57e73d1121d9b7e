package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"
	"github.com/gin-gonic/gin"

	"sluice/media"
)

// route makes the engine and every route of the control plane.
func (g *Gateway) route() error {
	gin.SetMode(gin.ReleaseMode) // gin keeps its mode in a package variable; it is set atomically, and to the same each time
	e := gin.New()
	if err := e.SetTrustedProxies(nil); err != nil {
		return err //nolint:wrapcheck // cannot happen for nil
	}
	e.HandleMethodNotAllowed = true
	e.RedirectTrailingSlash, e.RedirectFixedPath = false, false
	e.Use(g.observe)
	e.NoRoute(func(c *gin.Context) {
		g.n.Problems.Write(c.Writer, c.Request, &media.Error{Kind: media.NotFound, Code: "no_such_route", Detail: "there is nothing at this path"})
	})
	e.NoMethod(func(c *gin.Context) {
		h := c.Writer.Header()
		h.Set("Allow", allowed(h.Get("Allow")))
		if c.Request.Method == http.MethodOptions {
			c.Status(http.StatusNoContent)
			c.Writer.WriteHeaderNow()
			return
		}
		g.n.Problems.Write(c.Writer, c.Request, methodNotAllowed())
	})
	g.engine = e

	api := humagin.New(e, humaConfig())
	api.UseMiddleware(g.admit)
	g.routeMedia(api)
	g.routeReferences(api)
	g.routeProducts(api)
	g.routeCourses(api)
	g.routeTrash(api)
	g.routeRecords(api)
	g.routeLinks(api)
	g.routeRevocations(api)
	g.routeUploads(api)
	g.routeReports(api)
	g.routeHealth(api)
	describeBare(api.OpenAPI())
	e.GET("/metrics", g.serveMetrics)
	return g.routeDocs(api.OpenAPI())
}

// allowed adds to gin's list of routed methods the two that are answered beside it (RFC 9110, sections 9.3.2 and 9.3.7).
func allowed(routed string) string {
	return strings.Replace(routed, http.MethodGet, "GET, HEAD", 1) + ", " + http.MethodOptions
}

func humaConfig() huma.Config {
	format := huma.Format{Marshal: huma.DefaultJSONFormat.Marshal, Unmarshal: func(b []byte, v any) error {
		if !utf8.Valid(b) {
			return errors.New("not UTF-8") // encoding/json would put U+FFFD in its place
		}
		if err := errors.Join(wholeText(b), uniqueMembers(b)); err != nil {
			return err
		}
		return json.Unmarshal(b, v)
	}}
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title: "Sluice", Version: "1",
				Description: "Media in, out and counted. Uploads speak tus 1.0.0 at /files/; playback serves ranges at /p/ and /m/; this is everything else.",
			},
			Tags: []*huma.Tag{
				{Name: "media", Description: "What was uploaded, and what is kept elsewhere"},
				{Name: "products", Description: "Products of the LMS, and their images"},
				{Name: "courses", Description: "Courses of the LMS, their videos and resources"},
				{Name: "trash", Description: "What was deleted and can be restored"},
				{Name: "records", Description: "Records of the LMS as they are"},
				{Name: "links", Description: "Signed playback URLs"},
				{Name: "uploads", Description: "Uploads on their way, and grants for them"},
				{Name: "analytics", Description: "How often media were fetched"},
				{Name: "service", Description: "Health, metrics and this document"},
			},
			Components: &huma.Components{
				Schemas: huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer),
				SecuritySchemes: map[string]*huma.SecurityScheme{
					"bearer": {Type: "http", Scheme: "bearer", BearerFormat: "JWT", Description: "A JWT with sub, exp and role or roles (admin, instructor, student); an API key or an upload grant fits here as well."},
					"apiKey": {Type: "apiKey", In: "header", Name: "X-API-Key"},
				},
			},
		},
		Formats:                      map[string]huma.Format{"application/json": format, "json": format},
		DefaultFormat:                "application/json",
		RejectUnknownQueryParameters: true,
		Transformers:                 []huma.Transformer{translate},
		CreateHooks:                  nil, // no $schema links in answers
	}
}

// observe surrounds every request of the control plane: one log line, one count, and no panic beyond it.
func (g *Gateway) observe(c *gin.Context) {
	start := time.Now()
	pattern := ginPattern(c.FullPath())
	method := c.Request.Method
	done := g.metrics.begin(method, pattern)
	protect(c.Writer.Header())
	defer func() {
		p := recover()
		if p != nil && p != http.ErrAbortHandler { //nolint:errorlint // a panic's value is compared, as net/http does it
			g.logPanic(c.Request, pattern, p)
			if !c.Writer.Written() {
				g.n.Problems.Write(c.Writer, c.Request, errors.New("panic"))
				p = nil
			}
		}
		code := c.Writer.Status()
		done(statusText(code), time.Since(start))
		g.logAccess(c.Request, pattern, code, time.Since(start))
		if p != nil {
			panic(http.ErrAbortHandler)
		}
	}()
	c.Next()
}

// ginPattern writes gin's route in OpenAPI's way.
func ginPattern(full string) string {
	if full == "" {
		return "none"
	}
	parts := strings.Split(full, "/")
	for i, p := range parts {
		if strings.HasPrefix(p, ":") {
			parts[i] = "{" + p[1:] + "}"
		}
	}
	return strings.Join(parts, "/")
}

// edge is huma's context with one thing more: a refusal of huma's own goes out with the status of its Problem. This, and translate,
// stand in for huma.NewError, a package variable that two gateways in one process would write at once.
type edge struct {
	inner
	status int
}

// inner lets edge embed a type that has a method of its own name.
type inner huma.Context

func (e *edge) SetStatus(code int) {
	if e.status != 0 {
		code = e.status
	}
	e.inner.SetStatus(code)
}

// Unwrap lets humagin find its own context.
func (e *edge) Unwrap() huma.Context { return e.inner }

// translate turns huma's refusals into Problems.
func translate(ctx huma.Context, _ string, v any) (any, error) {
	m, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	p := problemOfHuma(m)
	p.RequestID, _ = ctx.Context().Value(keyRequestID).(string)
	if e, ok := ctx.(*edge); ok {
		e.status = p.Status
	}
	return p, nil
}

// admit stands before every operation: a query that reads two ways and credentials that are not good go no further.
func (g *Gateway) admit(ctx huma.Context, next func(huma.Context)) {
	c := humagin.Unwrap(ctx)
	if err := checkQuery(c.Request.URL.RawQuery); err != nil {
		g.n.Problems.Write(c.Writer, c.Request, err)
		return
	}
	if ctx.Operation().Metadata[open] == nil {
		p, err := g.n.Auth.Principal(c.Request)
		if err != nil {
			g.n.Problems.Write(c.Writer, c.Request, err)
			return
		}
		if p.Anonymous() && c.Request.Method != http.MethodGet {
			// Before the body is read: who is not known learns nothing from how it is checked.
			g.n.Problems.Write(c.Writer, c.Request, errLogin())
			return
		}
		ctx = huma.WithValue(ctx, keyPrincipal, p)
	}
	next(&edge{inner: ctx})
}

// open marks operations that look at no credentials.
const open = "open"

func principalOf(ctx context.Context) media.Principal {
	p, _ := ctx.Value(keyPrincipal).(media.Principal)
	return p
}

// known is the principal, or a refusal when nobody is known to ask.
func known(ctx context.Context) (media.Principal, error) {
	p := principalOf(ctx)
	if p.Anonymous() {
		return p, errLogin()
	}
	return p, nil
}

func errLogin() error { return &media.Error{Kind: media.Unauthenticated, Detail: "this needs a login"} }

// checkQuery refuses a query string that readers could understand differently: broken escapes, semicolons, control bytes, and a parameter
// given twice.
func checkQuery(raw string) error {
	if raw == "" {
		return nil
	}
	bad := func(field, detail string) error {
		return &media.Error{Kind: media.Invalid, Code: "bad_query", Field: field, Detail: detail}
	}
	q, err := url.ParseQuery(raw)
	if err != nil {
		return bad("query", "the query is malformed")
	}
	for name, vs := range q {
		field := "query." + clip(name, 50)
		if len(vs) > 1 {
			return bad(field, "the parameter is given twice")
		}
		if !utf8.ValidString(vs[0]) || strings.ContainsFunc(vs[0], func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return bad(field, "the parameter has control bytes")
		}
	}
	return nil
}

// add registers an operation. Whatever error its handler gives goes out as a Problem.
func add[I, O any](g *Gateway, api huma.API, op huma.Operation, handle func(context.Context, *I) (*O, error)) {
	op.MaxBodyBytes = g.o.MaxBody
	op.BodyReadTimeout = g.o.BodyTimeout
	if op.Metadata[open] == nil {
		op.Security = []map[string][]string{{"bearer": {}}, {"apiKey": {}}, {}}
	}
	schema := api.OpenAPI().Components.Schemas
	if op.Responses == nil {
		op.Responses = map[string]*huma.Response{}
	}
	op.Responses["default"] = problemResponse(schema)
	method := op.Method
	huma.Register(api, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := handle(ctx, in)
		if err != nil {
			p := problemOf(err)
			p.RequestID, _ = ctx.Value(keyRequestID).(string)
			g.n.Problems.log(ctx, method, p)
			return nil, p
		}
		return out, nil
	})
	// huma registers its own error model for every operation; none of ours answers with it.
	delete(schema.Map(), "ErrorModel")
	delete(schema.Map(), "ErrorDetail")
}
