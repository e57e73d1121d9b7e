package playback

import "net/http"

// What a page may send and read. Range is safelisted for simple ranges only, so it stands here for the rest.
const (
	corsMethods = "GET, HEAD, OPTIONS"
	corsHeaders = "Range, If-Range, If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since"
	corsExposed = "Accept-Ranges, Content-Disposition, Content-Length, Content-Range, ETag, Repr-Digest"
	corsMaxAge  = "7200" // seconds; Chromium's own ceiling
)

// cors answers the Fetch standard's question whether a page of this origin may read the answer.
func (h *Handler) cors(head http.Header, r *http.Request) {
	if !h.anyone && len(h.origins) == 0 {
		return
	}
	allowed := []string{"*"}
	if !h.anyone {
		head["Vary"] = append(head["Vary"], "Origin")
		origin := r.Header["Origin"]
		if len(origin) != 1 || h.origins[origin[0]] == nil {
			return
		}
		allowed = h.origins[origin[0]]
	}
	head["Access-Control-Allow-Origin"] = allowed
	head["Access-Control-Expose-Headers"] = []string{corsExposed}
}

// preflight answers OPTIONS. It looks at no ticket: what may be sent is no secret.
func (h *Handler) preflight(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	head.Set("Allow", corsMethods)
	if head["Access-Control-Allow-Origin"] != nil && r.Header.Get("Access-Control-Request-Method") != "" {
		head.Set("Access-Control-Allow-Methods", corsMethods)
		head.Set("Access-Control-Allow-Headers", corsHeaders)
		head.Set("Access-Control-Max-Age", corsMaxAge)
	}
	w.WriteHeader(http.StatusNoContent)
}
