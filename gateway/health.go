package gateway

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"sluice/media"
)

func (g *Gateway) routeHealth(api huma.API) {
	add(g, api, huma.Operation{
		OperationID: "livez", Method: http.MethodGet, Path: "/livez", Tags: []string{"service"}, Metadata: map[string]any{open: true},
		Summary: "The process runs",
	}, func(context.Context, *nothing) (*liveOutput, error) {
		return &liveOutput{Body: Live{Status: "ok", Version: g.o.Version}}, nil
	})
	schema := api.OpenAPI().Components.Schemas
	add(g, api, huma.Operation{
		OperationID: "readyz", Method: http.MethodGet, Path: "/readyz", Tags: []string{"service"}, Metadata: map[string]any{open: true},
		Summary: "Requests are served", Description: "Names each dependency. 503 while shutting down, or when a critical one is down.",
		Responses: map[string]*huma.Response{"503": {
			Description: "Not now", Content: map[string]*huma.MediaType{"application/json": {Schema: schema.Schema(typeOf[Readiness](), true, "")}},
		}},
	}, g.readyz)
}

// Live says that the process runs.
type Live struct {
	Status  string `json:"status" enum:"ok"`
	Version string `json:"version,omitempty"`
}

type liveOutput struct{ Body Live }

type readyOutput struct {
	Status int
	Retry  string `header:"Retry-After"`
	Body   Readiness
}

func (g *Gateway) readyz(ctx context.Context, _ *nothing) (*readyOutput, error) {
	if g.draining.Load() {
		return &readyOutput{Status: http.StatusServiceUnavailable, Retry: "1", Body: Readiness{Status: "draining", Checks: []CheckResult{}}}, nil
	}
	r := g.checks.ask(ctx)
	if r.Status == "unavailable" {
		return &readyOutput{Status: http.StatusServiceUnavailable, Retry: "1", Body: r}, nil
	}
	return &readyOutput{Status: http.StatusOK, Body: r}, nil
}

// Metrics shows all metrics to whoever asks: for a listener that strangers do not reach.
func (g *Gateway) Metrics() http.Handler {
	return promhttp.HandlerFor(g.o.Registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
}

// serveMetrics shows them on the public listener, to admins only.
func (g *Gateway) serveMetrics(c *gin.Context) {
	p, err := g.n.Auth.Principal(c.Request)
	switch {
	case err != nil:
	case p.Anonymous():
		err = &media.Error{Kind: media.Unauthenticated, Detail: "this needs a login"}
	case !p.Has(media.Admin):
		err = &media.Error{Kind: media.Forbidden, Code: "admin_only", Detail: "metrics are for admins"}
	}
	if err != nil {
		g.n.Problems.Write(c.Writer, c.Request, err)
		return
	}
	g.Metrics().ServeHTTP(c.Writer, c.Request)
}
