package playback

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"sluice/media"
	"sluice/storage"
)

// A backend whose delivery is storage.Redirect is asked by the client itself, with a URL signed here. Every check of a link comes first, as
// for bytes of our own. What cannot be taken back is the URL, so that a revocation holds after RedirectTTL at the latest. Decision 32.

const (
	defaultRedirectTTL = 15 * time.Minute
	leastLife          = 5 * time.Second // of a signed URL: a slow client must be able to follow
)

// place is where the backend has an asset's bytes, for one window.
type place struct {
	issued, ends time.Time
	url          []string // a header's value
}

// redirectTTL gives how long a signed URL to these bytes may hold; zero has them streamed. That is so for
//   - bytes by the asker's own right: the login stands in a header, and clients send on most headers when they follow a redirect;
//   - requests with an Authorization of whatever kind, which a backend takes for an attempt to sign them twice;
//   - active types, which need the sandbox of our headers, and texts, which need nosniff so as not to be taken for a script;
//   - files of up to 64 KiB, hot ones of which are in memory: a second round trip costs everybody more than the bytes;
//   - several ranges at once, which S3 does not answer;
//   - media whose bytes were replaced, asked for under a date: the backend's date of the new ones may be the older;
//   - tickets about to end.
func (h *Handler) redirectTTL(r *http.Request, s *serving, f *face, now time.Time) time.Duration {
	b, err := h.store.Backend(s.asset.Backend)
	if err != nil || b.Delivery != storage.Redirect || s.private || f.size <= smallBody || f.ours || r.Header["Authorization"] != nil {
		return 0
	}
	if !s.expires.IsZero() && s.expires.Sub(now) < leastLife || replaced(&s.asset) && byDate(r.Header) {
		return 0
	}
	for _, field := range r.Header["Range"] {
		if strings.Contains(field, ",") {
			return 0
		}
	}
	if b.RedirectTTL <= 0 {
		return defaultRedirectTTL
	}
	return max(b.RedirectTTL.Truncate(time.Second), 2*time.Second) // signed in whole seconds, in windows of half of it
}

// redirect sends the asker to the backend. Conditions and ranges are the backend's to judge, by validators of its own that its answers have
// shown; RFC 9110 section 13.2.1 has them ignored for a redirect anyway. But who names our tag has the bytes from here, and needs no others.
// HEAD is answered here: the method is part of an S3 signature, so that a URL for GET is of no use to it.
func (h *Handler) redirect(w http.ResponseWriter, r *http.Request, s *serving, f *face, ttl time.Duration, now time.Time) {
	head := w.Header()
	if hasOurs(r.Header, f.etag[0]) {
		head["Etag"] = f.etag
		h.caching(head, s, now)
		w.WriteHeader(http.StatusNotModified)
		return
	}
	if r.Method == http.MethodHead {
		f.set(head, s.download, false, h.safe.sandbox)
		delete(head, "Etag") // those of GET are the backend's
		h.caching(head, s, now)
		head["Content-Length"] = f.length
		w.WriteHeader(http.StatusOK)
		return
	}
	p, err := h.placeOf(r.Context(), s, f, ttl, now)
	if err != nil {
		h.problem(w, r, err)
		return
	}
	// Whoever keeps this answer must still find the URL alive at the end of its freshness. A ticket never ends before its URL does.
	head["Cache-Control"] = h.ages.until(now.Add(p.ends.Sub(now)/2), now)
	head["Location"] = p.url
	head["Content-Length"] = h.safe.empty // a text would hold the URL once more
	h.countView(r, s, now)
	w.WriteHeader(http.StatusTemporaryRedirect)
}

// hasOurs reports whether the asker shows our tag as that of bytes it has.
func hasOurs(h http.Header, etag string) bool {
	none := h["If-None-Match"]
	if none == nil || h["If-Match"] != nil || h["If-Unmodified-Since"] != nil {
		return false // whichever comes before If-None-Match in section 13.2.2 is the backend's to judge
	}
	for _, field := range none {
		if strings.Trim(field, " \t") == "*" {
			return false
		}
	}
	return anyTag(none, etag, false)
}

// placeOf gives the URL for this window. It ends with its ticket at the latest.
func (h *Handler) placeOf(ctx context.Context, s *serving, f *face, ttl time.Duration, now time.Time) (*place, error) {
	window := ttl / 2
	p := place{issued: windowStart(s.asset.ID, window, now)}
	p.ends = p.issued.Add(ttl)
	slot := &f.inlineAt
	if s.download {
		slot = &f.attachmentAt
	}
	if !s.expires.IsZero() && s.expires.Before(p.ends) {
		p.ends, slot = s.expires.Truncate(time.Second), nil
	} else if kept := slot.Load(); kept != nil && kept.issued.Equal(p.issued) {
		return kept, nil
	}
	o := media.Object{Key: s.asset.Key, Size: s.asset.Size, ModTime: s.asset.StoredAt}
	u, err := h.store.Presign(ctx, s.asset.Backend, o, f.presentation(s.download, window), p.issued, p.ends.Sub(p.issued))
	if err == nil && !plainURL(u) {
		err = errors.New("the backend signs no URL that could be a header")
	}
	if err != nil {
		return nil, fmt.Errorf("playback: sign for the backend: %w", err)
	}
	p.url = []string{u}
	if slot != nil {
		slot.Store(&p)
	}
	return &p, nil
}

// windowStart is when the window began that now lies in: everybody who asks within it is sent to the same URL, so that caches of the
// backend hit. Each asset has windows of its own, lest all caches miss at the same moment.
func windowStart(id media.AssetID, window time.Duration, now time.Time) time.Time {
	n := int64(window / time.Second)
	phase := int64(binary.BigEndian.Uint32(id[12:])) % n
	at := now.Unix()
	return time.Unix(at-(at-phase)%n, 0).UTC()
}

// presentation is what the backend's answer says of the bytes. A browser may keep them for a window: it has seen them. A shared cache asks
// the backend each time, which refuses once the URL is over.
func (p *face) presentation(download bool, window time.Duration) storage.Presentation {
	said := p.inline
	if download {
		said = p.attachment
	}
	return storage.Presentation{
		ContentType: p.contentType[0], ContentDisposition: said[0],
		CacheControl: "max-age=" + strconv.FormatInt(int64(window/time.Second), 10) + ", s-maxage=0",
	}
}

// plainURL holds a signed URL to be absolute, and of the letters that a header and a URL may have.
func plainURL(u string) bool {
	if !strings.HasPrefix(u, "https://") && !strings.HasPrefix(u, "http://") {
		return false
	}
	for i := range len(u) {
		if u[i] <= ' ' || u[i] > '~' {
			return false
		}
	}
	return true
}
