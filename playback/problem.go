package playback

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"sluice/media"
)

// problem answers an error. Nothing of an error is ever kept by a cache: it may be over in a second.
func (h *Handler) problem(w http.ResponseWriter, r *http.Request, err error) {
	head := w.Header()
	head["Cache-Control"] = h.ages.noStore
	head["Content-Security-Policy"] = h.safe.sandbox
	h.o.Problem(w, r, err)
}

// notAllowed and unsatisfied answer what has a status of HTTP's own and no media.Kind.
func notAllowed(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Allow", "GET, HEAD, OPTIONS")
	w.Header().Set("Cache-Control", "no-store")
	writeProblem(w, http.StatusMethodNotAllowed, "method_not_allowed", "media can only be read here", 0)
}

func unsatisfied(w http.ResponseWriter, size int64) {
	w.Header().Set("Content-Range", "bytes */"+strconv.FormatInt(size, 10))
	w.Header().Set("Accept-Ranges", "bytes")
	w.Header().Set("Cache-Control", "no-store")
	writeProblem(w, http.StatusRequestedRangeNotSatisfiable, "range_not_satisfiable", "the media has no such bytes", 0)
}

// plainProblem is the Problem of a Handler that was given none.
func plainProblem(w http.ResponseWriter, _ *http.Request, err error) {
	code, detail, retry := "", "", 0
	if e, ok := errors.AsType[*media.Error](err); ok {
		code, detail = e.Code, e.Detail
		retry = int(e.RetryAfter.Seconds())
	}
	if code == "" {
		code = strings.ReplaceAll(media.KindOf(err).Error(), " ", "_")
	}
	status := http.StatusInternalServerError
	switch media.KindOf(err) {
	case media.Invalid:
		status = http.StatusBadRequest
	case media.Unauthenticated:
		status = http.StatusUnauthorized
	case media.Forbidden:
		status = http.StatusForbidden
	case media.NotFound:
		status = http.StatusNotFound
	case media.Conflict:
		status = http.StatusConflict
	case media.Gone:
		status = http.StatusGone
	case media.PreconditionFailed:
		status = http.StatusPreconditionFailed
	case media.Unavailable:
		status, retry = http.StatusServiceUnavailable, max(retry, 1)
	default:
		code, detail = "internal", ""
	}
	writeProblem(w, status, code, detail, retry)
}

// writeProblem keeps to the shape that the gateway gives all others, with an id of its own where the request has got none.
func writeProblem(w http.ResponseWriter, status int, code, detail string, retry int) {
	if w.Header().Get("X-Request-Id") == "" {
		w.Header().Set("X-Request-Id", rand.Text()[:20])
	}
	body, err := json.Marshal(struct {
		Type      string `json:"type"`
		Title     string `json:"title"`
		Status    int    `json:"status"`
		Code      string `json:"code,omitempty"`
		Detail    string `json:"detail,omitempty"`
		RequestID string `json:"requestId,omitempty"`
	}{"urn:sluice:problem:" + code, http.StatusText(status), status, code, detail, w.Header().Get("X-Request-Id")})
	if err != nil {
		body = nil // strings and a number always marshal
	}
	if retry > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(retry))
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that has left needs no problem
}
