// Package gateway is the HTTP edge: it mounts uploads and playback bare, serves the JSON control plane through gin and huma, learns who
// asks from tokens and keys, and turns every refusal into an RFC 9457 problem. It decides nothing about media, and refuses to know how
// they are stored.
package gateway

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"sluice/media"
)

// Needs are what the gateway stands in front of. All of them are required.
type Needs struct {
	Media       Curation
	LMS         LMS
	Links       Links
	Counter     Counter
	Reports     Reports
	Grants      Grants
	Revocations Revocations
	Answers     Answers      // nil: the answers to an Idempotency-Key last as long as this process
	Uploads     http.Handler // mounted bare at /files and /files/
	Playback    Playback     // mounted bare at /p/, /m/ and /play/
	Auth        *Authenticator
	Problems    *Problems
}

// Options are the choices of a Gateway. The zero value works.
type Options struct {
	PublicURL   string                     // "https://media.example.com": prefix of the links handed out; "": links are relative
	Checks      []Check                    // what /readyz names
	CORSOrigins []string                   // who may call /api from a browser: exact origins, or "*" alone
	Registry    *prometheus.Registry       // nil: one of its own
	Logger      *slog.Logger               // nil: silent
	LogPlayback bool                       // one line for each request to playback as well
	ClientIP    func(*http.Request) string // nil: the peer's address, no proxy trusted
	Version     string                     // shown by /livez

	MaxBody       int64         // bytes of a JSON body; 0: 1 MiB
	BodyTimeout   time.Duration // to read a JSON body; 0: 10 s
	AnswerTimeout time.Duration // to write a JSON answer; 0: 30 s
	FlushTimeout  time.Duration // how long a read waits for its counts to be settled; 0: 500 ms
	ShutdownGrace time.Duration // how long running requests may go on after a stop; 0: 10 s
	Replays       int           // answers remembered for Idempotency-Key; 0: 10,000
	ReplayLease   time.Duration // how long others leave a claimed Idempotency-Key to who claimed it; 0: a minute. 1 µs where no other process acts
	Now           func() time.Time
}

// Gateway is the HTTP edge. It may serve many requests at once.
type Gateway struct {
	n        Needs
	o        Options
	engine   *gin.Engine
	cors     origins
	metrics  *metrics
	replays  *replays
	lost     sync.Map // by claim: what this process acted on in vain and could not give up
	checks   *readiness
	document []byte // openapi.json, made once
	draining atomic.Bool
}

// New makes a Gateway. Options that cannot hold are an error.
func New(n Needs, o Options) (*Gateway, error) {
	if n.Media == nil || n.Links == nil || n.Counter == nil || n.Reports == nil || n.Grants == nil || n.Revocations == nil || n.Uploads == nil || n.Playback == nil ||
		n.Auth == nil || n.Problems == nil {
		return nil, errors.New("gateway: something it stands in front of is missing")
	}
	o.fill()
	cors, err := newOrigins(o.CORSOrigins)
	if err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	public, err := publicURL(o.PublicURL)
	if err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	o.PublicURL = public
	g := &Gateway{n: n, o: o, cors: cors, replays: newReplays(o.Replays, o.Now), checks: newReadiness(o)}
	if g.metrics, err = newMetrics(o.Registry); err != nil {
		return nil, fmt.Errorf("gateway: metrics: %w", err)
	}
	if err := g.route(); err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	return g, nil
}

func (o *Options) fill() {
	if o.Registry == nil {
		o.Registry = prometheus.NewRegistry()
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.ClientIP == nil {
		o.ClientIP = peerIP
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.MaxBody <= 0 {
		o.MaxBody = 1 << 20
	}
	if o.Replays <= 0 {
		o.Replays = 10_000
	}
	for _, d := range []struct {
		v     *time.Duration
		usual time.Duration
	}{
		{&o.BodyTimeout, 10 * time.Second},
		{&o.AnswerTimeout, 30 * time.Second},
		{&o.FlushTimeout, 500 * time.Millisecond},
		{&o.ShutdownGrace, 10 * time.Second},
		{&o.ReplayLease, replayLease},
	} {
		if *d.v <= 0 {
			*d.v = d.usual
		}
	}
}

// Handler is the whole of the gateway.
func (g *Gateway) Handler() http.Handler { return http.HandlerFunc(g.serve) }

// Drain makes /readyz answer 503, so that no new traffic is sent here.
func (g *Gateway) Drain() { g.draining.Store(true) }

// serve sends a request where it belongs. It looks at the path alone and rewrites nothing: what net/http's mux would redirect or clean
// is for the handlers to refuse. Playback gets the connection's own writer, since any wrapper hides io.ReaderFrom, and with it sendfile
// (three times the CPU per byte).
func (g *Gateway) serve(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength != 0 {
		// net/http waits for the rest of a body that no handler reads, and without this for ever. Whoever reads one sets a deadline of
		// its own. An error means a writer without deadlines, such as a test's recorder.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(g.o.BodyTimeout))
	}
	if ambiguous(r) {
		w.Header().Set("Connection", "close")
		g.n.Problems.Write(w, r, &media.Error{Kind: media.Invalid, Code: "ambiguous_length", Detail: "a request has a Content-Length or a Transfer-Encoding, not both"})
		return
	}
	path := r.URL.Path
	switch {
	case strings.HasPrefix(path, "/p/"):
		g.bare(w, r, "/p/{ticket}/{id}", g.n.Playback, g.o.LogPlayback)
	case strings.HasPrefix(path, "/m/"):
		g.bare(w, r, "/m/{id}", g.n.Playback, g.o.LogPlayback)
	case strings.HasPrefix(path, "/play/"):
		g.bare(w, r, "/play/{id}", g.n.Playback, g.o.LogPlayback)
	case path == "*" && r.Method == http.MethodOptions: // asks about the whole server (RFC 9110 section 9.3.7): it is here
		w.WriteHeader(http.StatusNoContent)
	case path == "/files":
		g.bare(w, g.withID(w, r), "/files", g.n.Uploads, true)
	case strings.HasPrefix(path, "/files/"):
		pattern := "/files/{capability}"
		if len(path) == len("/files/") {
			pattern = "/files/"
		}
		g.bare(w, g.withID(w, r), pattern, g.n.Uploads, true)
	case isContent(path):
		g.bare(w, g.withID(w, r), "/api/media/{id}/content", http.HandlerFunc(g.content), true)
	default:
		g.control(w, r)
	}
}

// bare serves with the connection's own writer. Nothing can be known of the answer here, so its line says who asked for what and for how
// long; a panic cannot be answered, since the head may be on its way: the connection is cut.
func (g *Gateway) bare(w http.ResponseWriter, r *http.Request, pattern string, h http.Handler, logged bool) {
	start := time.Now()
	done := g.metrics.begin(r.Method, pattern)
	defer func() {
		took := time.Since(start)
		done("", took)
		if p := recover(); p != nil {
			if p != http.ErrAbortHandler { //nolint:errorlint // a panic's value is compared, as net/http does it
				g.logPanic(r, pattern, p)
			}
			panic(http.ErrAbortHandler)
		}
		if logged {
			g.logAccess(r, pattern, 0, took)
		}
	}()
	// The deadline of an answer of the API would outlive it on a kept connection: net/http resets only those it set itself.
	if c, ok := w.(interface{ SetWriteDeadline(t time.Time) error }); ok {
		_ = c.SetWriteDeadline(time.Time{})
	}
	h.ServeHTTP(w, r)
}

// control serves the JSON control plane. A HEAD is a GET whose body net/http drops (RFC 9110 section 9.3.2).
func (g *Gateway) control(w http.ResponseWriter, r *http.Request) {
	r = g.withID(w, r)
	if g.cors.handle(w, r) {
		return
	}
	rc := http.NewResponseController(w)
	// Errors mean a writer without deadlines, such as a test's recorder.
	_ = rc.SetWriteDeadline(time.Now().Add(g.o.AnswerTimeout))
	if r.Body != nil && r.Body != http.NoBody {
		_ = rc.SetReadDeadline(time.Now().Add(g.o.BodyTimeout))
		r.Body = http.MaxBytesReader(w, r.Body, g.o.MaxBody)
	}
	if r.Method == http.MethodHead {
		r.Method = http.MethodGet // r is withID's own copy
	}
	g.engine.ServeHTTP(w, r)
}

type contextKey int

const (
	keyRequestID contextKey = iota
	keyTrace
	keyPrincipal
	keyConn
)

// withID gives the request its id, in the context and in the answer.
func (g *Gateway) withID(w http.ResponseWriter, r *http.Request) *http.Request {
	id := incomingID(r)
	if id == "" {
		id = newID()
	}
	w.Header().Set("X-Request-Id", id)
	ctx := context.WithValue(r.Context(), keyRequestID, id)
	if t := traceOf(r.Header); t != "" {
		ctx = context.WithValue(ctx, keyTrace, t)
	}
	return r.WithContext(ctx)
}

// requestID finds the id that withID gave; bare playback gets none in advance, since most of its requests never show one.
func requestID(r *http.Request) string {
	if id, ok := r.Context().Value(keyRequestID).(string); ok {
		return id
	}
	if id := incomingID(r); id != "" {
		return id
	}
	return newID()
}

func incomingID(r *http.Request) string {
	vs := r.Header["X-Request-Id"]
	if len(vs) != 1 || len(vs[0]) == 0 || len(vs[0]) > 64 {
		return ""
	}
	for i := range len(vs[0]) {
		c := vs[0][i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '.' || c == '_' || c == '-') {
			return ""
		}
	}
	return vs[0]
}

func newID() string { return rand.Text()[:20] }

// traceOf gives the trace id of a valid traceparent (W3C Trace Context, section 3.2), or nothing.
func traceOf(h http.Header) string {
	vs := h["Traceparent"]
	if len(vs) != 1 {
		return ""
	}
	s := vs[0]
	if len(s) < 55 || s[2] != '-' || s[35] != '-' || s[52] != '-' || s[:2] == "ff" || s[:2] == "00" && len(s) != 55 || len(s) > 55 && s[55] != '-' {
		return ""
	}
	for i := range 55 {
		c := s[i]
		if i != 2 && i != 35 && i != 52 && !('0' <= c && c <= '9' || 'a' <= c && c <= 'f') {
			return ""
		}
	}
	trace, parent := s[3:35], s[36:52]
	if strings.Trim(trace, "0") == "" || strings.Trim(parent, "0") == "" {
		return ""
	}
	return trace
}
