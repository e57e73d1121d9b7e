package uploads

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"sluice/media"
)

var _ http.ResponseWriter = (*answer)(nil)

// answer takes down what tusd answers without sending it: of an error only the code is kept, its text may hold a path.
type answer struct {
	w      http.ResponseWriter
	header http.Header
	status int
	code   string
}

func (a *answer) Header() http.Header { return a.header }

func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

func (a *answer) Write(b []byte) (int, error) {
	if a.code == "" {
		code, _, _ := strings.Cut(string(b[:min(len(b), 64)]), ":")
		a.code = code
	}
	return len(b), nil
}

// Unwrap lets an http.ResponseController reach the connection's deadlines.
func (a *answer) Unwrap() http.ResponseWriter { return a.w }

func (a *answer) failed() bool { return a.status >= http.StatusBadRequest || a.status == 0 }

// cut reports whether the body was not read to its end because it was cut, by the client or by us.
func (a *answer) cut() bool {
	switch a.code {
	case "ERR_UPLOAD_INTERRUPTED", "ERR_SERVER_SHUTDOWN", "ERR_READ_TIMEOUT", "ERR_CONNECTION_RESET", "ERR_UNEXPECTED_EOF":
		return true
	}
	return false
}

// problem says in our words what tusd refused.
func (a *answer) problem() error {
	switch a.code {
	case "ERR_MISMATCHED_OFFSET":
		return &media.Error{Kind: media.Conflict, Code: "offset_mismatch", Detail: "Upload-Offset is not where the upload stands", Field: hOffset}
	case "ERR_UPLOAD_INTERRUPTED":
		return errTakenOver()
	case "ERR_SERVER_SHUTDOWN":
		return errClosing()
	case "ERR_READ_TIMEOUT", "ERR_CONNECTION_RESET":
		return &media.Error{Kind: media.Unavailable, Code: "body_timeout", Detail: "the body stopped coming; what came is kept"}
	case "ERR_UNEXPECTED_EOF":
		return &media.Error{Kind: media.Invalid, Code: "body_cut", Detail: "the body ended early; what came is kept"}
	case "ERR_UPLOAD_SIZE_EXCEEDED", "ERR_MAX_SIZE_EXCEEDED":
		return &media.Error{Kind: media.TooLarge, Code: "upload_size_exceeded", Detail: "more bytes than Upload-Length, or than are accepted"}
	}
	switch a.status {
	case http.StatusBadRequest:
		return media.Errorf(media.Invalid, "the request is not valid tus 1.0.0")
	case http.StatusForbidden:
		return media.Errorf(media.Forbidden, "not allowed")
	case http.StatusNotFound:
		return errMissing()
	case http.StatusLocked:
		return errLocked()
	}
	return media.Wrap(media.Internal, errors.New("tusd answered "+strconv.Itoa(a.status)+" "+a.code), "")
}

func errTakenOver() error {
	return &media.Error{Kind: media.Conflict, Code: "upload_taken_over", Detail: "a newer request goes on with this upload"}
}

// fail answers an error: by Options.Problem to a client that reads JSON, in a line of text to others. Status and headers are the same.
func (s *Service) fail(w http.ResponseWriter, r *http.Request, method string, err error) {
	kind := media.KindOf(err)
	if method == http.MethodHead && headRetries(kind) {
		// A HEAD that is neither 2xx nor 423 makes clients forget the upload and start again.
		s.o.Logger.WarnContext(r.Context(), "status unknown", "error", err)
		err = &media.Error{Kind: media.Locked, Code: "status_unknown", Detail: "the state of this upload is not known now", RetryAfter: time.Second, Err: err}
		kind = media.Locked
	}
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	var wait time.Duration
	detail := kind.Error()
	if e, ok := errors.AsType[*media.Error](err); ok && kind != media.Internal {
		wait = e.RetryAfter
		if e.Detail != "" {
			detail = e.Detail
		}
		if e.Field != "" {
			detail += " (" + e.Field + ")"
		}
	}
	if kind == media.Locked || kind == media.Unavailable || kind == media.TooMany {
		h.Set("Retry-After", strconv.Itoa(max(1, int((wait+time.Second-1)/time.Second))))
	}
	if kind == media.Unauthenticated {
		h.Set("WWW-Authenticate", "Bearer")
	}
	if s.o.Problem != nil && method != http.MethodHead && acceptsJSON(r) {
		s.o.Problem(w, r, err)
		return
	}
	if kind == media.Internal {
		s.o.Logger.ErrorContext(r.Context(), "upload request failed", "error", err)
	}
	s.plain(w, method, statusOf(kind), detail)
}

func headRetries(k media.Kind) bool {
	switch k {
	case media.Internal, media.Unavailable, media.Full, media.Conflict, media.TooMany:
		return true
	default:
		return false
	}
}

func acceptsJSON(r *http.Request) bool {
	for _, v := range r.Header["Accept"] {
		if strings.Contains(v, "json") {
			return true
		}
	}
	return false
}

func (s *Service) plain(w http.ResponseWriter, method string, status int, text string) {
	if method == http.MethodHead {
		w.WriteHeader(status)
		return
	}
	text += "\n"
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text)) // a client that is gone needs no answer
}

// statusOf gives the HTTP status of a kind, the same as the gateway's problems.
func statusOf(k media.Kind) int {
	switch k {
	case media.Invalid:
		return http.StatusBadRequest
	case media.Unauthenticated:
		return http.StatusUnauthorized
	case media.Forbidden:
		return http.StatusForbidden
	case media.NotFound:
		return http.StatusNotFound
	case media.Conflict:
		return http.StatusConflict
	case media.Gone:
		return http.StatusGone
	case media.PreconditionFailed:
		return http.StatusPreconditionFailed
	case media.TooLarge:
		return http.StatusRequestEntityTooLarge
	case media.Unsupported:
		return http.StatusUnsupportedMediaType
	case media.Locked:
		return http.StatusLocked
	case media.PreconditionRequired:
		return http.StatusPreconditionRequired
	case media.TooMany:
		return http.StatusTooManyRequests
	case media.Unavailable:
		return http.StatusServiceUnavailable
	case media.Full:
		return http.StatusInsufficientStorage
	case media.Internal:
	}
	return http.StatusInternalServerError
}

// setExpires says when an upload ends by itself: an unfinished one, and a part until it is joined and after, since parts are swept.
func setExpires(h http.Header, a *media.Asset) {
	if at := a.Upload.ExpiresAt; !at.IsZero() && (a.Upload.Partial || !a.State.Finished()) {
		h.Set(hExpires, at.UTC().Format(http.TimeFormat))
	}
}
