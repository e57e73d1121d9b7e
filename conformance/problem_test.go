package conformance_test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

type problem struct {
	Type, Title, Detail, Code, RequestID string
	Status                               int
	Errors                               []struct{ Field, Detail string }
}

var problemCode = regexp.MustCompile(`^[a-z][a-z0-9_]+$`)

// checkProblem holds an answer to RFC 9457 and to the habits of this API. code "" is any.
func checkProblem(t testing.TB, a answer, status int, code string) problem {
	t.Helper()
	var p problem
	if err := json.Unmarshal([]byte(a.body), &p); err != nil {
		t.Errorf("%d is no JSON: %v: %.200s", a.status, err, a.body)
		return p
	}
	if a.status != status || p.Status != status || code != "" && p.Code != code {
		t.Errorf("got %d, %+v; want %d %s", a.status, p, status, code)
	}
	if a.get("Content-Type") != "application/problem+json" || a.get("X-Content-Type-Options") != "nosniff" || !strings.Contains(a.get("Cache-Control"), "no-store") {
		t.Errorf("headers of a problem: %v", a.header)
	}
	if p.Title != http.StatusText(status) || p.Detail == "" || !problemCode.MatchString(p.Code) || !strings.HasSuffix(p.Type, p.Code) || p.RequestID == "" || p.RequestID != a.get("X-Request-Id") {
		t.Errorf("shape of a problem: %s, request id %q", a.body, a.get("X-Request-Id"))
	}
	shown := strings.ReplaceAll(a.body, p.RequestID, "") // 20 random letters say anything, one day
	for _, secret := range []string{"/data", "/tmp", "sqlite", "SQL", "goroutine", ".go:"} {
		if strings.Contains(shown, secret) {
			t.Errorf("a problem shows %q: %s", secret, a.body)
		}
	}
	return p
}
