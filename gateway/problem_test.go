package gateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sluice/gateway"
	"sluice/media"
)

func TestEveryKindIsAProblem(t *testing.T) {
	t.Parallel()
	want := map[media.Kind]struct {
		status int
		code   string
		retry  string
		auth   bool
	}{
		media.Internal:             {500, "internal", "", false},
		media.Invalid:              {400, "invalid", "", false},
		media.Unauthenticated:      {401, "unauthenticated", "", true},
		media.Forbidden:            {403, "forbidden", "", false},
		media.NotFound:             {404, "not_found", "", false},
		media.Conflict:             {409, "conflict", "", false},
		media.Gone:                 {410, "gone", "", false},
		media.PreconditionFailed:   {412, "precondition_failed", "", false},
		media.TooLarge:             {413, "too_large", "", false},
		media.Unsupported:          {415, "unsupported_media_type", "", false},
		media.Locked:               {423, "locked", "1", false},
		media.PreconditionRequired: {428, "precondition_required", "", false},
		media.TooMany:              {429, "too_many_requests", "10", false},
		media.Unavailable:          {503, "unavailable", "1", false},
		media.Full:                 {507, "insufficient_storage", "", false},
	}
	for k := media.Internal; k <= media.Full; k++ {
		t.Run(k.Error(), func(t *testing.T) {
			t.Parallel()
			w, ok := want[k]
			if !ok {
				t.Fatal("a kind without an expectation")
			}
			for _, err := range []error{
				fmt.Errorf("doing: %w", k),
				fmt.Errorf("doing: %w", media.Wrap(k, errors.New("/var/lib/secret.db: SELECT"), "a detail")),
			} {
				rec := httptest.NewRecorder()
				gateway.NewProblems(nil).Write(rec, httptest.NewRequest("GET", "/", nil), err)
				var p gateway.Problem
				if err := json.Unmarshal(rec.Body.Bytes(), &p); err != nil {
					t.Fatal(err)
				}
				h := rec.Header()
				if rec.Code != w.status || p.Status != w.status || p.Code != w.code || p.Type != "urn:sluice:problem:"+w.code || p.Title == "" || p.RequestID == "" {
					t.Errorf("got %d %+v", rec.Code, p)
				}
				if h.Get("Retry-After") != w.retry || (h.Get("Www-Authenticate") != "") != w.auth || h.Get("Content-Type") != "application/problem+json" ||
					h.Get("X-Content-Type-Options") != "nosniff" || h.Get("X-Request-Id") != p.RequestID || h.Get("Cache-Control") != "no-store" {
					t.Errorf("got header %v", h)
				}
				if strings.Contains(rec.Body.String(), "secret") || strings.Contains(rec.Body.String(), "SELECT") {
					t.Errorf("the cause reached the client: %s", rec.Body)
				}
				if e, ok := errors.AsType[*media.Error](err); ok && (p.Detail == e.Detail) != (k != media.Internal) {
					t.Errorf("got detail %q", p.Detail)
				}
			}
		})
	}
}

func TestProblemForms(t *testing.T) {
	t.Parallel()
	rich := &media.Error{Kind: media.Locked, Code: "finish_pending", Detail: "wait", Field: "x", RetryAfter: 1500 * time.Millisecond}
	t.Run("code, field and delay of the error are kept, the delay rounded up", func(t *testing.T) {
		t.Parallel()
		rec := httptest.NewRecorder()
		gateway.NewProblems(nil).Write(rec, httptest.NewRequest("GET", "/", nil), rich)
		if rec.Header().Get("Retry-After") != "2" || !strings.Contains(rec.Body.String(), `"code":"finish_pending"`) || !strings.Contains(rec.Body.String(), `"field":"x"`) {
			t.Errorf("got %v %s", rec.Header(), rec.Body)
		}
	})
	t.Run("a client without JSON gets one line of text", func(t *testing.T) {
		t.Parallel()
		rec := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Accept", "text/plain")
		r.Header.Set("X-Request-Id", "mine-1")
		gateway.NewProblems(nil).Write(rec, r, rich)
		if got := rec.Body.String(); got != "wait (finish_pending, request mine-1)\n" {
			t.Errorf("got %q", got)
		}
	})
	t.Run("HEAD has no body", func(t *testing.T) {
		t.Parallel()
		rec := httptest.NewRecorder()
		gateway.NewProblems(nil).Write(rec, httptest.NewRequest("HEAD", "/", nil), rich)
		if rec.Code != 423 || rec.Body.Len() != 0 {
			t.Errorf("got %d %q", rec.Code, rec.Body)
		}
	})
	t.Run("a deadline that passed is 503", func(t *testing.T) {
		t.Parallel()
		rec := httptest.NewRecorder()
		gateway.NewProblems(nil).Write(rec, httptest.NewRequest("GET", "/", nil), fmt.Errorf("query: %w", context.DeadlineExceeded))
		if rec.Code != 503 {
			t.Errorf("got %d", rec.Code)
		}
	})
	t.Run("our own failures are logged with their cause, once, refusals only at debug", func(t *testing.T) {
		t.Parallel()
		var log lockedBuffer
		ps := gateway.NewProblems(slog.New(slog.NewJSONHandler(&log, nil)))
		ps.Write(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil), errors.New("disk on fire"))
		ps.Write(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil), media.NotFound)
		if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "disk on fire") || !strings.Contains(got, "request_id") {
			t.Errorf("got %s", got)
		}
	})
}
