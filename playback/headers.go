package playback

import (
	"encoding/base64"
	"encoding/hex"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sluice/media"
)

// Header values are made once and shared between answers: the map of a response is written to directly, under canonical names, which
// spares the hot path a canonicalisation and a slice for each of a dozen fields. Nobody may change an element of these slices.

// safeHeaders stand on every answer, errors included.
type safeHeaders struct{ noSniff, noReferrer, policy, sandbox, empty []string }

func newSafeHeaders(policy string) safeHeaders {
	return safeHeaders{
		noSniff:    []string{"nosniff"},
		noReferrer: []string{"no-referrer"}, // the ticket stands in the path
		policy:     []string{policy},
		sandbox:    []string{"sandbox; default-src 'none'"},
		empty:      []string{"0"}, // the Content-Length of a redirect
	}
}

func (s *safeHeaders) set(h http.Header) {
	h["X-Content-Type-Options"] = s.noSniff
	h["Referrer-Policy"] = s.noReferrer
	h["Cross-Origin-Resource-Policy"] = s.policy
}

// ages are the values of Cache-Control. Signed and public URLs alike may be kept by shared caches: the URL is the whole key, and whoever
// can ask a cache for it holds the ticket already. What must not happen is that a cache goes on after a revocation. So an answer is
// fresh for a moment only (Options.MaxAge, and never beyond the ticket), and after that a cache asks with If-None-Match: a node refuses
// or says 304, and no byte moves twice either way.
type ages struct {
	max              time.Duration
	full             []string
	private, noStore []string
}

func newAges(maxAge time.Duration) ages {
	return ages{max: maxAge, full: ageOf(maxAge), private: []string{"private, no-cache"}, noStore: []string{"no-store"}}
}

func ageOf(d time.Duration) []string {
	return []string{"public, max-age=" + strconv.FormatInt(int64(d/time.Second), 10) + ", must-revalidate"}
}

// until gives the value for a ticket that ends at expires; zero is never.
func (a *ages) until(expires, now time.Time) []string {
	if rest := expires.Sub(now); !expires.IsZero() && rest < a.max {
		return ageOf(max(rest, 0))
	}
	return a.full
}

// face is how one asset shows itself in headers.
type face struct {
	// What it was made of.
	id, content    media.AssetID
	backend, key   string
	filename, mime string
	stored         time.Time
	sum            string
	size           int64

	etag         []string
	modified     time.Time // StoredAt in whole seconds; zero when unknown, or no date of these bytes
	lastModified []string
	contentType  []string
	length       []string
	inline       []string // Content-Disposition for Play
	attachment   []string // and for Download
	digest       []string // nil: not known yet
	active       bool     // not on the list of inline types: an attachment in a sandbox
	ours         bool     // needs the headers of our own answers, see redirectTTL
	ranges       []string

	bytes atomic.Pointer[[]byte] // the whole file, if it is small and asked for often
	asked atomic.Bool            // before
	used  atomic.Bool            // bytes were, since keep looked last

	inlineAt, attachmentAt atomic.Pointer[place] // the backend's own URLs of this window
}

// faces keeps the face of an asset ready: a fixed table read without locks, in which each asset has two slots it may stand in.
type faces struct {
	slots  [faceSlots]atomic.Pointer[face]
	budget int64 // for the bytes of small files

	mu   sync.Mutex // orders changes of slots and of bytes
	held int64      // bytes kept
	hand int        // where keep looks next for what may go
}

// pair gives the slots of an asset.
func (f *faces) pair(id media.AssetID) []atomic.Pointer[face] {
	i := (uint(id[15]) | uint(id[14])<<8) % (faceSlots / 2) * 2
	return f.slots[i : i+2]
}

func (f *faces) of(a *media.Asset) *face {
	pair := f.pair(a.ID)
	for i := range pair {
		if p := pair[i].Load(); p != nil && p.shows(a) {
			return p
		}
	}
	p := newFace(a)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.drop(roomFor(a.ID, pair).Swap(p))
	return p
}

// roomFor picks the slot for a new face: the asset's own, an empty one, or else one without bytes.
func roomFor(id media.AssetID, pair []atomic.Pointer[face]) *atomic.Pointer[face] {
	rank := func(p *face) int {
		switch {
		case p == nil:
			return 2
		case p.id == id:
			return 3
		case p.bytes.Load() == nil:
			return 1
		}
		return 0
	}
	if rank(pair[1].Load()) > rank(pair[0].Load()) {
		return &pair[1]
	}
	return &pair[0]
}

// shows reports whether a face is still that of its asset, and what is kept with it of the asset's bytes: a row whose bytes are others, or
// lie elsewhere, has another face.
func (p *face) shows(a *media.Asset) bool {
	return p.id == a.ID && p.content == a.ContentID && p.key == a.Key && p.backend == a.Backend && p.size == a.Size &&
		p.filename == a.Filename && p.mime == a.MIMEType && p.sum == string(a.SHA256) && p.stored.Equal(a.StoredAt)
}

func newFace(a *media.Asset) *face {
	p := &face{
		id: a.ID, content: a.ContentID, backend: a.Backend, key: a.Key, filename: a.Filename, mime: a.MIMEType, stored: a.StoredAt,
		sum: string(a.SHA256), size: a.Size,
	}
	p.etag = []string{entityTag(a)}
	if !a.StoredAt.IsZero() && !replaced(a) {
		p.modified = a.StoredAt.UTC().Truncate(time.Second)
		p.lastModified = []string{p.modified.Format(http.TimeFormat)}
	}
	kind := contentType(a.MIMEType)
	p.contentType = []string{kind}
	p.length = []string{strconv.FormatInt(a.Size, 10)}
	p.active = !inlineSafe(kind)
	p.ours = p.active || strings.HasPrefix(baseType(kind), "text/")
	name := a.Filename
	if name == "" {
		name = a.ID.String() + extension(a)
	}
	p.attachment = []string{disposition("attachment", name)}
	p.inline = p.attachment
	if !p.active {
		p.inline = []string{disposition("inline", name)}
	}
	if len(a.SHA256) == 32 {
		p.digest = []string{"sha-256=:" + base64.StdEncoding.EncodeToString(a.SHA256) + ":"}
	}
	p.ranges = []string{"bytes"}
	return p
}

// entityTag is the strong validator of the bytes. They change by being replaced only, and each content has an id of its own.
func entityTag(a *media.Asset) string {
	tag := hex.EncodeToString(a.ID[:])
	if replaced(a) {
		tag += hex.EncodeToString(a.ContentID[:])
	}
	return `"` + tag + `"`
}

// replaced reports whether an asset has other bytes than it came with. No date tells such bytes from those before: they may have been
// uploaded earlier, or within the same second. So they show no Last-Modified, and a date in a condition is never theirs.
func replaced(a *media.Asset) bool { return !a.ContentID.IsZero() }

// set writes what 200 and 206 have in common.
func (p *face) set(h http.Header, download, dated bool, sandbox []string) {
	h["Etag"] = p.etag
	h["Accept-Ranges"] = p.ranges
	h["Content-Type"] = p.contentType
	if dated {
		h["Last-Modified"] = p.lastModified
	}
	if p.digest != nil {
		h["Repr-Digest"] = p.digest
	}
	if download {
		h["Content-Disposition"] = p.attachment
	} else {
		h["Content-Disposition"] = p.inline
	}
	if p.active {
		h["Content-Security-Policy"] = sandbox
	}
}

const octets = "application/octet-stream"

// contentType gives the type as it was told, when it is one.
func contentType(s string) string {
	if len(s) > 255 {
		return octets
	}
	for _, c := range []byte(s) {
		if c < ' ' || c > '~' {
			return octets
		}
	}
	if t, _, err := mime.ParseMediaType(s); err != nil || !strings.Contains(t, "/") || strings.HasPrefix(t, "multipart/") {
		return octets
	}
	return s
}

// baseType is a type without its parameters, in lower case.
func baseType(s string) string {
	s, _, _ = strings.Cut(s, ";")
	return strings.ToLower(strings.TrimSpace(s))
}

// inlineSafe reports whether browsers show a type and never run it. All others are handed over as attachments in a sandbox: HTML, SVG,
// XML, scripts, and whatever is invented next.
func inlineSafe(kind string) bool {
	t := baseType(kind)
	switch t {
	case "image/png", "image/jpeg", "image/gif", "image/webp", "image/avif", "image/bmp", "image/x-icon",
		"application/pdf", "application/ogg", "text/plain", "text/vtt":
		return true
	}
	return (strings.HasPrefix(t, "video/") || strings.HasPrefix(t, "audio/")) && !strings.Contains(t, "xml")
}
