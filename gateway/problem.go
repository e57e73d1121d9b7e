package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"sluice/media"
)

// Problem is an RFC 9457 problem detail, the shape of every refusal.
type Problem struct {
	Type      string       `json:"type" doc:"URN of the problem's code" example:"urn:sluice:problem:not_found"`
	Title     string       `json:"title" doc:"What the status means" example:"Not Found"`
	Status    int          `json:"status" doc:"The HTTP status" example:"404"`
	Detail    string       `json:"detail,omitempty" doc:"What is wrong this time" example:"no such media"`
	Code      string       `json:"code" doc:"Stable, for programs" example:"not_found"`
	RequestID string       `json:"requestId,omitempty" doc:"Names this request in the logs"`
	Errors    []FieldError `json:"errors,omitempty" doc:"The inputs at fault"`

	retry     time.Duration
	challenge bool // a login may help
	cause     error
}

// FieldError is one input at fault.
type FieldError struct {
	Field  string `json:"field" doc:"Where: body.title, query.limit, header.If-Match" example:"query.limit"`
	Detail string `json:"detail" doc:"What is wrong with it" example:"limit is 1 to 200"`
}

// Error gives the detail, so that huma takes a Problem for an error.
func (p *Problem) Error() string { return p.Title + ": " + p.Detail }

// Unwrap gives the cause.
func (p *Problem) Unwrap() error { return p.cause }

// GetStatus is what huma answers with.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType makes huma say what a Problem is.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// GetHeaders gives the header fields that belong to the status.
func (p *Problem) GetHeaders() http.Header {
	h := http.Header{}
	p.headers(h)
	return h
}

func (p *Problem) headers(h http.Header) {
	if p.Status == http.StatusUnauthorized || p.challenge {
		h.Set("WWW-Authenticate", `Bearer realm="sluice"`)
	}
	switch p.Status {
	case http.StatusLocked, http.StatusTooManyRequests, http.StatusServiceUnavailable:
		h.Set("Retry-After", strconv.FormatInt(int64((p.retry+time.Second-1)/time.Second), 10))
	}
}

// status is the one place that maps a Kind to HTTP. An unknown one is Internal.
func status(k media.Kind) (status int, code string, retry time.Duration) {
	switch k {
	case media.Internal:
	case media.Invalid:
		return http.StatusBadRequest, "invalid", 0
	case media.Unauthenticated:
		return http.StatusUnauthorized, "unauthenticated", 0
	case media.Forbidden:
		return http.StatusForbidden, "forbidden", 0
	case media.NotFound:
		return http.StatusNotFound, "not_found", 0
	case media.Conflict:
		return http.StatusConflict, "conflict", 0
	case media.Gone:
		return http.StatusGone, "gone", 0
	case media.PreconditionFailed:
		return http.StatusPreconditionFailed, "precondition_failed", 0
	case media.TooLarge:
		return http.StatusRequestEntityTooLarge, "too_large", 0
	case media.Unsupported:
		return http.StatusUnsupportedMediaType, "unsupported_media_type", 0
	case media.Locked:
		return http.StatusLocked, "locked", time.Second
	case media.PreconditionRequired:
		return http.StatusPreconditionRequired, "precondition_required", 0
	case media.TooMany:
		return http.StatusTooManyRequests, "too_many_requests", 10 * time.Second
	case media.Unavailable:
		return http.StatusServiceUnavailable, "unavailable", time.Second
	case media.Full:
		return http.StatusInsufficientStorage, "insufficient_storage", 0
	}
	return http.StatusInternalServerError, "internal", 0
}

// problemOf turns an error into its Problem. What has no kind is Internal, and shows nothing of itself.
func problemOf(err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	kind := media.KindOf(err)
	e, _ := errors.AsType[*media.Error](err)
	if kind == media.Internal && (errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)) {
		kind, e = media.Unavailable, &media.Error{Kind: media.Unavailable, Code: "timeout", Detail: "this took too long"}
	}
	st, code, retry := status(kind)
	p := &Problem{Status: st, Title: http.StatusText(st), Code: code, Detail: kind.Error(), retry: retry, cause: err}
	if e != nil && kind != media.Internal {
		if e.Code != "" {
			p.Code = e.Code
		}
		if e.Detail != "" {
			p.Detail = e.Detail
		}
		if e.RetryAfter > 0 {
			p.retry = e.RetryAfter
		}
		if e.Field != "" {
			p.Errors = []FieldError{{Field: e.Field, Detail: p.Detail}}
		}
	}
	p.Type = "urn:sluice:problem:" + p.Code
	return p
}

// methodNotAllowed has no Kind: no use-case knows of methods. Allow is for the caller to set.
func methodNotAllowed() *Problem {
	return &Problem{
		Type: "urn:sluice:problem:method_not_allowed", Code: "method_not_allowed", Status: http.StatusMethodNotAllowed,
		Title: http.StatusText(http.StatusMethodNotAllowed), Detail: "this path has no such method; see Allow",
	}
}

// problemOfHuma turns huma's own refusal (a body that does not fit its schema, a parameter that does not parse) into a Problem. The
// values at fault are not repeated: they may be anything, and whoever sent them has them.
func problemOfHuma(m *huma.ErrorModel) *Problem {
	code := "invalid"
	kind := media.Invalid
	switch m.Status {
	case http.StatusRequestEntityTooLarge:
		kind, code = media.TooLarge, "body_too_large"
	case http.StatusUnsupportedMediaType:
		kind, code = media.Unsupported, "unsupported_media_type"
	case http.StatusRequestTimeout:
		return &Problem{
			Type: "urn:sluice:problem:body_timeout", Code: "body_timeout", Status: m.Status, Title: http.StatusText(m.Status),
			Detail: "the body did not arrive in time",
		}
	case http.StatusInternalServerError:
		// Our own failures are Problems already: huma's one is a body that broke off.
		return problemOf(&media.Error{Kind: media.Invalid, Code: "body_broken", Detail: "the body broke off"})
	}
	p := problemOf(&media.Error{Kind: kind, Code: code, Detail: kind.Error()})
	p.Detail = "the request is malformed"
	if kind == media.TooLarge {
		p.Detail = "the body is too large"
		return p
	}
	for _, d := range m.Errors {
		if d == nil {
			continue
		}
		msg := d.Message
		if d.Location == "body" && !strings.HasPrefix(msg, "expected") {
			msg = "not valid JSON" // the decoder's words quote what was sent
			if kind == media.Unsupported {
				msg = "a JSON body is needed"
			}
		}
		p.Errors = append(p.Errors, FieldError{Field: clip(d.Location, 100), Detail: clip(msg, 200)})
		if len(p.Errors) == 10 {
			break // enough to see what is wrong; a hostile body could name thousands
		}
	}
	if len(p.Errors) == 1 {
		p.Detail = p.Errors[0].Field + ": " + p.Errors[0].Detail
	}
	return p
}

func clip(s string, n int) string {
	if len(s) > n {
		s = strings.ToValidUTF8(s[:n], "")
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, s)
}

// Problems writes refusals, for gin, uploads and playback alike, and logs the ones that are our fault.
type Problems struct{ logger *slog.Logger }

// NewProblems makes a writer of problems; a nil logger is silent.
func NewProblems(logger *slog.Logger) *Problems {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &Problems{logger: logger}
}

// Write answers err as a problem: JSON, or one line of text to a client that accepts no JSON. It must come before anything else was
// written.
func (ps *Problems) Write(w http.ResponseWriter, r *http.Request, err error) {
	p := problemOf(err)
	p.RequestID = requestID(r)
	ps.log(r.Context(), r.Method, p)
	h := w.Header()
	// What a handler had prepared for a body it then did not send would describe this one.
	for _, name := range []string{"Content-Encoding", "Content-Range", "Content-Disposition", "ETag", "Last-Modified", "Repr-Digest", "Accept-Ranges"} {
		h.Del(name)
	}
	p.headers(h)
	protect(h)
	h.Set("X-Request-Id", p.RequestID)
	var body []byte
	if acceptsJSON(r.Header["Accept"]) {
		h.Set("Content-Type", p.ContentType(""))
		body, _ = json.Marshal(p) // a struct of strings and numbers
		body = append(body, '\n')
	} else {
		h.Set("Content-Type", "text/plain; charset=utf-8")
		body = fmt.Appendf(nil, "%s (%s, request %s)\n", p.Detail, p.Code, p.RequestID)
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(p.Status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // a client that is gone does not read it
	}
}

// log tells of a failure once. Refusals are the client's business and stay at debug.
func (ps *Problems) log(ctx context.Context, method string, p *Problem) {
	level := slog.LevelDebug
	switch {
	case ctx.Err() != nil: // the client has gone, and took what was done for it along
	case p.Status == http.StatusInternalServerError:
		level = slog.LevelError
	case p.Status >= 500:
		level = slog.LevelWarn
	}
	if !ps.logger.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{slog.String("request_id", p.RequestID), slog.String("method", clip(method, 16)), slog.Int("status", p.Status), slog.String("code", p.Code)}
	if p.cause != nil {
		attrs = append(attrs, slog.Any("error", p.cause))
	}
	if t, ok := ctx.Value(keyTrace).(string); ok {
		attrs = append(attrs, slog.String("trace_id", t))
	}
	ps.logger.LogAttrs(ctx, level, "request refused", attrs...)
}

// protect sets what every answer of ours carries: it is data, not a page, and nobody keeps it.
func protect(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; sandbox")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
}

// acceptsJSON reads Accept roughly: a problem goes out in the form most likely understood, never as a 406.
func acceptsJSON(accept []string) bool {
	if len(accept) == 0 {
		return true
	}
	for _, v := range accept {
		if v == "" || strings.Contains(v, "json") || strings.Contains(v, "*/*") || strings.Contains(v, "application/*") {
			return true
		}
	}
	return false
}
