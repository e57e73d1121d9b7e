package gateway

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// logAccess writes the one line of a request. Paths are logged as their routes: the path itself may hold a ticket or a capability, and
// the query a grant. A status of 0 is one that could not be seen without wrapping the writer.
func (g *Gateway) logAccess(r *http.Request, pattern string, code int, took time.Duration) {
	ctx := r.Context()
	if !g.o.Logger.Enabled(ctx, slog.LevelInfo) {
		return
	}
	attrs := make([]slog.Attr, 0, 8)
	attrs = append(attrs, slog.String("method", clip(r.Method, 16)), slog.String("route", pattern))
	if code != 0 {
		attrs = append(attrs, slog.Int("status", code))
	}
	attrs = append(attrs, slog.Int64("took_us", took.Microseconds()), slog.String("client", g.o.ClientIP(r)))
	if id, ok := ctx.Value(keyRequestID).(string); ok {
		attrs = append(attrs, slog.String("request_id", id))
	}
	if t, ok := ctx.Value(keyTrace).(string); ok {
		attrs = append(attrs, slog.String("trace_id", t))
	}
	g.o.Logger.LogAttrs(ctx, slog.LevelInfo, "request", attrs...)
}

func (g *Gateway) logPanic(r *http.Request, pattern string, p any) {
	g.o.Logger.LogAttrs(r.Context(), slog.LevelError, "panic", slog.String("method", clip(r.Method, 16)), slog.String("route", pattern),
		slog.String("request_id", requestID(r)), slog.String("panic", fmt.Sprint(p)), slog.String("stack", string(debug.Stack())))
}

// metrics are counted by route, never by path: their number stays bounded whatever is asked for.
type metrics struct {
	requests *prometheus.CounterVec
	took     *prometheus.HistogramVec
	running  *prometheus.GaugeVec
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_http_requests_total", Help: "Requests answered; status is empty where bytes go out by sendfile.",
		}, []string{"method", "route", "status"}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "sluice_http_request_seconds", Help: "From the head of a request to the end of its answer.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10, 60, 600},
		}, []string{"method", "route"}),
		running: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "sluice_http_requests_running", Help: "Requests being served."}, []string{"route"}),
	}
	cs := []prometheus.Collector{m.requests, m.took, m.running, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})}
	for _, c := range cs {
		if err := reg.Register(c); err != nil {
			return nil, err //nolint:wrapcheck // New says what it was for
		}
	}
	return m, nil
}

// begin notes a request; what it returns notes its end.
func (m *metrics) begin(method, route string) func(status string, took time.Duration) {
	method = knownMethod(method)
	running := m.running.WithLabelValues(route)
	running.Inc()
	return func(status string, took time.Duration) {
		running.Dec()
		m.requests.WithLabelValues(method, route, status).Inc()
		m.took.WithLabelValues(method, route).Observe(took.Seconds())
	}
}

// knownMethod keeps invented methods from becoming labels.
func knownMethod(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPatch, http.MethodPut, http.MethodDelete, http.MethodOptions:
		return m
	}
	return "other"
}

func statusText(code int) string { return strconv.Itoa(code) }
