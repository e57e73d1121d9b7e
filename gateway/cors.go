package gateway

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// origins is who may call /api from a browser. Answers never allow credentials: a bearer token is set by the page itself, so that no
// cookie of ours could be ridden.
type origins struct {
	all   bool
	exact []string
}

// newOrigins takes exact origins, or the single "*". A star inside an origin is refused: uploads and playback compare as well, and one page
// is either let in everywhere or nowhere.
func newOrigins(list []string) (origins, error) {
	var o origins
	for _, s := range list {
		if s == "*" {
			if len(list) > 1 {
				return origins{}, fmt.Errorf("cors: %q stands alone", s)
			}
			o.all = true
			continue
		}
		u, err := url.Parse(s)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.Scheme+"://"+u.Host != s || s != strings.ToLower(s) {
			return origins{}, fmt.Errorf("cors: %q is not an origin such as https://app.example.com", s)
		}
		if strings.Contains(s, "*") {
			return origins{}, fmt.Errorf("cors: %q has a star: origins are exact, or * stands alone", s)
		}
		o.exact = append(o.exact, s)
	}
	return o, nil
}

// handle sets what a browser needs, and answers a preflight itself. An origin that is not on the list gets nothing, which is a no.
func (o origins) handle(w http.ResponseWriter, r *http.Request) (done bool) {
	if !o.all && len(o.exact) == 0 {
		return false
	}
	h := w.Header()
	if !o.all {
		h.Add("Vary", "Origin")
	}
	from := r.Header["Origin"]
	if len(from) != 1 {
		return false
	}
	switch {
	case o.all:
		h.Set("Access-Control-Allow-Origin", "*")
	case slices.Contains(o.exact, from[0]):
		h.Set("Access-Control-Allow-Origin", from[0])
	default:
		return false
	}
	h.Set("Access-Control-Expose-Headers", "ETag, Location, Retry-After, X-Request-Id, Idempotent-Replayed, X-Cache, X-Degraded")
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	h.Set("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE")
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, If-Match, Idempotency-Key, Range, X-API-Key, X-Request-Id, Traceparent")
	h.Set("Access-Control-Max-Age", "600")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
	return true
}
