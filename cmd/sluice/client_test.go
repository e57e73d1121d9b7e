package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// An answer that ends early is told from one that is none of Sluice's, and a user who ends a command within an answer ended it.
func TestAnAnswerThatIsCut(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status    int
		body      string
		cut, user bool // the connection is cut; the user ends the command
		code      int
		says      string
	}{
		"by the network":                     {200, `{"items":[`, true, false, exitFailure, "its answer was cut"},
		"by the user":                        {200, `{"items":[`, false, true, exitInterrupted, "interrupted"},
		"by the user, while it tells a need": {503, `{"status":503,`, false, true, exitInterrupted, "interrupted"},
		"not at all, and no JSON":            {200, `<html>`, false, false, exitFailure, "is it a Sluice gateway?"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, interrupt := context.WithCancel(t.Context())
			defer interrupt()
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if c.cut || c.user {
					w.Header().Set("Content-Length", "100")
				}
				w.WriteHeader(c.status)
				_, _ = w.Write([]byte(c.body))
				_ = http.NewResponseController(w).Flush()
				if c.user {
					interrupt()
					<-r.Context().Done()
				}
			}))
			defer s.Close()
			g := &testGateway{t: t, url: s.URL, env: []string{"SLUICE_TOKEN=any"}}
			code, _, errs := g.sluice(ctx, s.URL, "ls")
			if code != c.code || !strings.Contains(errs, c.says) || !strings.Contains(errs, "\nfix: ") {
				t.Errorf("ls = %d, %q; want %d and %q", code, errs, c.code, c.says)
			}
		})
	}
}
