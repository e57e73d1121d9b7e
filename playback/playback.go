// Package playback gives media back: a link in, bytes and one counted access out. It issues the links too. It speaks RFC 9110 for itself,
// ranges and conditions to the letter, and knows neither JWTs nor how an asset is looked up, signed for, stored or counted.
package playback

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"sluice/media"
	"sluice/storage"
)

// Tickets signs and checks tickets. signing.Ring is one.
type Tickets interface {
	Sign(t media.Ticket) string

	// Verify answers media.Forbidden for what was not signed for this asset at this epoch, media.Gone for what is over.
	Verify(ticket string, asset media.AssetID, epoch uint32) (media.Ticket, error)
}

// PlayGrant is what the LMS's own signature says somebody may do with one asset.
type PlayGrant struct {
	Asset   media.AssetID
	Use     media.Use
	Viewer  string // "" is nobody in particular
	Expires time.Time
}

// Options are choices; the zero value works.
type Options struct {
	// Problem writes an error as RFC 9457 says. nil: a plain one of this package. 405 and 416 have no media.Kind and are always ours.
	Problem func(w http.ResponseWriter, r *http.Request, err error)

	// OpenPlayGrant checks a grant signed by the LMS. nil: /play/ is 404.
	OpenPlayGrant func(token string) (PlayGrant, error)

	// ClientIP tells viewers without a session apart. nil: the host of RemoteAddr; no proxy is believed.
	ClientIP func(r *http.Request) string

	// Denied is whose tickets are worth nothing although they verify. nil: nobody's.
	Denied *Denylist

	// AllowedOrigins may read over CORS: exact origins ("https://lms.example"), or the one entry "*". Never with credentials: the ticket is
	// the credential, and stands in the path.
	AllowedOrigins []string

	// ResourcePolicy is Cross-Origin-Resource-Policy. "": cross-origin, as the LMS's pages embed media from here.
	ResourcePolicy string

	// MaxAge is how long a cache may reuse an answer without asking. Zero: one second, the time in which a revocation or a flip of isPublic
	// must hold. See docs/decisions/0017.
	MaxAge time.Duration

	// StallTimeout is how long a client may take nothing at all before it is dropped. Zero: 40 s. There is no limit to the whole.
	StallTimeout time.Duration

	// BackendStall is how long a backend that is read over a network may give nothing at all: 503 before the first byte of an answer, a cut
	// after it. Zero: 30 s.
	BackendStall time.Duration

	// HotBytes is how much memory may hold small files that are asked for often. Zero: 16 MiB; below zero: none.
	HotBytes int64

	Now    func() time.Time // nil: time.Now
	Logger *slog.Logger     // nil: discards
}

// Defaults and bounds.
const (
	defaultMaxAge = time.Second
	defaultStall  = 40 * time.Second
	defaultSilent = 30 * time.Second
	defaultPolicy = "cross-origin"
	maxMaxAge     = 365 * 24 * time.Hour
	smallBody     = 64 << 10 // bytes that go out by pread and one Write
	sliceSize     = 1 << 20  // bytes handed to sendfile at a time
	defaultHot    = 16 << 20
	faceSlots     = 4096 // assets whose headers are kept ready
	triedEpochs   = 8    // see Handler.absent
)

// Handler serves /p/, /m/ and /play/. Mount it bare: a ResponseWriter that hides io.ReaderFrom costs four times the CPU.
type Handler struct {
	assets   Assets
	store    *storage.Store
	tickets  Tickets
	accesses Accesses

	o       Options
	origins map[string][]string // the allowed origin as a header value
	anyone  bool                // "*" is allowed
	safe    safeHeaders
	ages    ages
	faces   faces
	buffers sync.Pool // of *[smallBody]byte
	large   largeBuffers
}

// New makes a Handler.
func New(assets Assets, store *storage.Store, tickets Tickets, accesses Accesses, o Options) (*Handler, error) {
	if assets == nil || store == nil || tickets == nil || accesses == nil {
		return nil, errors.New("playback: assets, store, tickets and accesses are needed")
	}
	h := &Handler{
		assets: assets, store: store, tickets: tickets, accesses: accesses, origins: map[string][]string{},
		buffers: sync.Pool{New: func() any { return new([smallBody]byte) }},
	}
	if err := o.settle(); err != nil {
		return nil, err
	}
	h.o = o
	for _, origin := range o.AllowedOrigins {
		if origin == "*" {
			h.anyone = true
			continue
		}
		h.origins[origin] = []string{origin}
	}
	h.safe = newSafeHeaders(o.ResourcePolicy)
	h.ages = newAges(o.MaxAge)
	h.faces.budget = o.HotBytes
	return h, nil
}

// settle checks the choices and fills the defaults in.
func (o *Options) settle() error {
	for _, origin := range o.AllowedOrigins {
		if u, err := url.Parse(origin); origin != "*" && (err != nil || (u.Scheme != "http" && u.Scheme != "https") || strings.Contains(origin, "*") || origin != u.Scheme+"://"+u.Host) {
			return fmt.Errorf("playback: allowed origin %q: want scheme://host[:port] or *", origin)
		}
	}
	switch o.ResourcePolicy {
	case "":
		o.ResourcePolicy = defaultPolicy
	case defaultPolicy, "same-site", "same-origin":
	default:
		return fmt.Errorf("playback: resource policy %q: want cross-origin, same-site or same-origin", o.ResourcePolicy)
	}
	if o.MaxAge < 0 || o.MaxAge > maxMaxAge || o.StallTimeout < 0 || o.BackendStall < 0 {
		return errors.New("playback: max age and stall timeouts must not be negative or beyond a year")
	}
	if o.MaxAge == 0 {
		o.MaxAge = defaultMaxAge
	}
	if o.HotBytes == 0 {
		o.HotBytes = defaultHot
	}
	if o.StallTimeout == 0 {
		o.StallTimeout = defaultStall
	}
	if o.BackendStall == 0 {
		o.BackendStall = defaultSilent
	}
	if o.Problem == nil {
		o.Problem = plainProblem
	}
	if o.ClientIP == nil {
		o.ClientIP = remoteHost
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.AllowedOrigins = slices.Clone(o.AllowedOrigins)
	return nil
}

func remoteHost(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// ServeHTTP answers GET, HEAD and OPTIONS below /p/, /m/ and /play/. Query strings are ignored, but for the grant of /play/.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.safe.set(w.Header())
	h.cors(w.Header(), r)
	switch r.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodOptions:
		h.preflight(w, r)
		return
	default:
		notAllowed(w, r)
		return
	}
	// The raw path, so that one resource has one name: /p/%54icket is not /p/Ticket.
	path := r.URL.EscapedPath()
	switch {
	case strings.HasPrefix(path, signedPrefix):
		h.signed(w, r, path[len(signedPrefix):])
	case strings.HasPrefix(path, publicPrefix):
		h.public(w, r, path[len(publicPrefix):])
	case strings.HasPrefix(path, playPrefix) && h.o.OpenPlayGrant != nil:
		h.exchange(w, r, path[len(playPrefix):])
	default:
		h.problem(w, r, errNoMedia())
	}
}

// signed serves {ticket}/{mediaId}/….
func (h *Handler) signed(w http.ResponseWriter, r *http.Request, rest string) {
	ticket, rest, _ := strings.Cut(rest, "/")
	id, name, err := splitMedia(rest)
	if err != nil {
		h.problem(w, r, err)
		return
	}
	a, err := h.assets.Asset(r.Context(), id)
	if err != nil {
		if errors.Is(err, media.NotFound) {
			err = h.absent(ticket, id)
		}
		h.problem(w, r, err)
		return
	}
	t, err := h.tickets.Verify(ticket, id, a.Epoch)
	if err != nil {
		h.problem(w, r, err)
		return
	}
	if err := h.o.Denied.revoked(&t, &a); err != nil {
		h.problem(w, r, err)
		return
	}
	if t.Public && !a.Public {
		h.problem(w, r, &media.Error{Kind: media.Forbidden, Code: "bad_link", Detail: "this link does not open this media"})
		return
	}
	if t.Use == media.Thumb && a.Type != media.Image {
		h.problem(w, r, &media.Error{Kind: media.Forbidden, Code: "thumb_only", Detail: "this link opens thumbnails only"})
		return
	}
	s := serving{asset: a, ticketed: true, expires: t.Expires, download: t.Use == media.Download, view: !t.Own && t.Use != media.Thumb, bytes: !t.Own, session: t.Session}
	h.serve(w, r, s, name) //nolint:contextcheck // the request carries the context
}

// absent tells a deleted asset from a ticket that never was one. Whoever holds a genuine ticket learns that the media is gone; everybody
// else gets the answer that a bad ticket for a living asset gets, so that ids cannot be probed for. The epoch of a row that is gone is not
// known any more, so the first few are tried.
func (h *Handler) absent(ticket string, id media.AssetID) error {
	var first error
	for epoch := range uint32(triedEpochs) {
		_, err := h.tickets.Verify(ticket, id, epoch)
		if err == nil || errors.Is(err, media.Gone) {
			return errNoMedia()
		}
		if first == nil {
			first = err
		}
	}
	return first
}

// public serves {mediaId}/… of public media. A private one looks like none at all.
func (h *Handler) public(w http.ResponseWriter, r *http.Request, rest string) {
	id, name, err := splitMedia(rest)
	if err != nil {
		h.problem(w, r, err)
		return
	}
	a, err := h.assets.Asset(r.Context(), id)
	if err == nil && !a.Public || errors.Is(err, media.NotFound) { // to the letter alike: ids cannot be probed for
		err = errNoMedia()
	}
	if err != nil {
		h.problem(w, r, err)
		return
	}
	h.serve(w, r, serving{asset: a, view: true, bytes: true}, name) //nolint:contextcheck // the request carries the context
}

// Content serves an asset to a viewer whose right to it was checked before, by other means than a ticket; "" is nobody in particular. Of the
// owner nothing is counted, of others the one view that their links count as well. The answer is for the asker's own cache only.
func (h *Handler) Content(w http.ResponseWriter, r *http.Request, a media.Asset, viewer string) {
	h.safe.set(w.Header())
	h.cors(w.Header(), r)
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		notAllowed(w, r)
		return
	}
	own := viewer != "" && viewer == a.Owner
	h.serve(w, r, serving{asset: a, private: true, view: !own, bytes: !own, session: media.SessionOf(viewer)}, "")
}

// exchange turns a grant of the LMS into a ticket: {mediaId}?grant=….
func (h *Handler) exchange(w http.ResponseWriter, r *http.Request, rest string) {
	id, name, err := splitMedia(rest)
	if err == nil && name != "" {
		err = errNoMedia()
	}
	if err != nil {
		h.problem(w, r, err)
		return
	}
	grants := r.URL.Query()["grant"]
	if len(grants) != 1 {
		h.problem(w, r, &media.Error{Kind: media.Unauthenticated, Code: "grant_required", Detail: "one grant is needed", Field: "grant"})
		return
	}
	g, err := h.o.OpenPlayGrant(grants[0])
	if err == nil && g.Asset != id {
		err = &media.Error{Kind: media.Forbidden, Code: "bad_grant", Detail: "this grant is for another media"}
	}
	if err == nil && !h.o.Now().Before(g.Expires) {
		err = &media.Error{Kind: media.Gone, Code: "grant_expired", Detail: "this grant has expired"}
	}
	if err == nil && !validUse(g.Use) {
		err = &media.Error{Kind: media.Forbidden, Code: "bad_grant", Detail: "this grant allows nothing known here"}
	}
	if err != nil {
		h.problem(w, r, err)
		return
	}
	a, err := h.assets.Asset(r.Context(), id)
	if err == nil {
		err = playable(a)
	}
	if err != nil {
		h.problem(w, r, err)
		return
	}
	session := media.SessionOf(g.Viewer)
	if h.o.Denied.covers(session, &a) {
		err = errRevoked()
	} else {
		err = h.o.Denied.mayNotSign()
	}
	if err != nil {
		h.problem(w, r, err)
		return
	}
	// The ticket ends with the grant, to the second: the same grant gives the same URL, and never more time than the LMS gave.
	t := media.Ticket{
		Asset: id, Epoch: a.Epoch, Use: g.Use, Expires: g.Expires, Session: session, Own: g.Viewer != "" && g.Viewer == a.Owner,
	}
	head := w.Header()
	head["Cache-Control"] = h.ages.noStore
	head["Location"] = []string{signedPath(h.tickets.Sign(t), a)}
	w.WriteHeader(http.StatusFound)
}

// playable refuses what has no bytes to give yet, or never will.
func playable(a media.Asset) error {
	if a.Upload.Partial {
		return errNoMedia()
	}
	if !a.State.Finished() {
		return &media.Error{Kind: media.Conflict, Code: "not_ready", Detail: "this media is not ready: it is " + string(a.State)}
	}
	return nil
}

func validUse(u media.Use) bool { return u == media.Play || u == media.Download || u == media.Thumb }

func errNoMedia() error {
	return &media.Error{Kind: media.NotFound, Code: "media_not_found", Detail: "no such media"}
}
