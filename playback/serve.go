package playback

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"sluice/media"
)

// serving is one asset to be given to somebody who may have it.
type serving struct {
	asset    media.Asset
	expires  time.Time // of the ticket; zero: none
	session  media.Session
	ticketed bool
	private  bool // by the asker's own right: for no shared cache
	download bool
	view     bool // counts as one
	bytes    bool // are summed
	renewed  bool // the asset was read again, see transfer.refuse
}

// serve answers GET or HEAD for what name means of the asset.
func (h *Handler) serve(w http.ResponseWriter, r *http.Request, s serving, name string) {
	a := &s.asset
	if err := playable(*a); err != nil {
		h.problem(w, r, err)
		return
	}
	if !isOriginal(name, a) {
		h.problem(w, r, errNoMedia())
		return
	}
	now := h.o.Now()
	if a.StorageType == media.Cloud {
		h.external(w, r, &s, now)
		return
	}
	f := h.faces.of(a)
	if ttl := h.redirectTTL(r, &s, f, now); ttl > 0 {
		h.redirect(w, r, &s, f, ttl, now)
		return
	}
	modified := f.modified
	if modified.After(now) {
		modified = time.Time{} // a clock was set back: section 8.8.2.1 forbids a Last-Modified later than Date
	}
	changed := modified
	if replaced(a) {
		changed = a.UpdatedAt
	}
	switch judge(r.Header, f.etag[0], modified, changed, now) {
	case failed:
		h.problem(w, r, &media.Error{Kind: media.PreconditionFailed, Code: "precondition_failed", Detail: "the media is not the one the request names"})
		return
	case notModified:
		// Section 15.4.5: what a 200 would have said to a cache, and no more.
		w.Header()["Etag"] = f.etag
		h.caching(w.Header(), &s, now)
		w.WriteHeader(http.StatusNotModified)
		return
	case proceed:
	}
	if r.Method == http.MethodHead {
		f.set(w.Header(), s.download, !modified.IsZero(), h.safe.sandbox)
		h.caching(w.Header(), &s, now)
		w.Header()["Content-Length"] = f.length
		w.WriteHeader(http.StatusOK)
		return
	}
	var few [2]span
	spans, kind := few[:0], whole
	if fields := r.Header["Range"]; len(fields) == 1 && inRange(r.Header, f.etag[0], modified, now) {
		spans, kind = parseRange(spans, fields[0], a.Size)
	}
	switch kind {
	case unsatisfiable:
		unsatisfied(w, a.Size)
		return
	case whole:
		spans = append(few[:0], span{0, a.Size})
	case partial:
	}
	t := transfer{h: h, w: w, r: r, s: &s, f: f, name: name, now: now, dated: !modified.IsZero()}
	if len(spans) > 1 {
		t.parts(spans)
		return
	}
	t.one(spans[0], kind == partial)
}

// external sends the asker to where others keep the bytes. Cached, the next view would be invisible here.
func (h *Handler) external(w http.ResponseWriter, r *http.Request, s *serving, now time.Time) {
	u, err := url.Parse(s.asset.ExternalURL)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		h.problem(w, r, errNoMedia())
		return
	}
	if r.Method == http.MethodGet {
		h.countView(r, s, now)
	}
	head := w.Header()
	head["Cache-Control"] = h.ages.noStore
	head["Location"] = []string{u.String()}
	w.WriteHeader(http.StatusFound)
}

func (h *Handler) caching(head http.Header, s *serving, now time.Time) {
	switch {
	case s.private:
		head["Cache-Control"] = h.ages.private
		head["Vary"] = append(head["Vary"], "Authorization")
	case s.ticketed:
		head["Cache-Control"] = h.ages.until(s.expires, now)
	default:
		head["Cache-Control"] = h.ages.full
	}
}

// countView and countBytes record one access, by the rule of contracts section 2 and ADR 5: the view before the first byte, so that a
// kill after the answer has begun still finds it in the journal; the bytes after the last.
func (h *Handler) countView(r *http.Request, s *serving, now time.Time) {
	if s.view {
		h.accesses.Record(media.Access{Asset: s.asset.ID, At: now, Session: h.sessionFor(r, s), View: true})
	}
}

func (h *Handler) countBytes(r *http.Request, s *serving, now time.Time, n int64) {
	if s.bytes && n > 0 {
		h.accesses.Record(media.Access{Asset: s.asset.ID, At: now, Session: h.sessionFor(r, s), Bytes: n})
	}
}

// sessionFor tells viewers apart that no ticket names, so that a public video seen from two browsers is two views.
func (h *Handler) sessionFor(r *http.Request, s *serving) media.Session {
	if s.session == (media.Session{}) {
		s.session = media.SessionOf(h.o.ClientIP(r) + "\x00" + r.UserAgent())
	}
	return s.session
}

// contentRange gives "bytes first-last/size".
func contentRange(s span, size int64) string {
	b := make([]byte, 0, 64)
	b = append(b, "bytes "...)
	b = strconv.AppendInt(b, s.off, 10)
	b = append(b, '-')
	b = strconv.AppendInt(b, s.end(), 10)
	b = append(b, '/')
	b = strconv.AppendInt(b, size, 10)
	return string(b)
}

// boundary is random, so that nobody can upload a file that ends its own part.
func boundary() string { return rand.Text() }
