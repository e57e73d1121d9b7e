package playback

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"sluice/media"
)

// Denylist is which tickets that were given are worth nothing any more: those of a viewer, for a course, or of a viewer in a course, each
// for all media or for one, and those that one key signed. An asset is of each course that one of its places names.
// It is asked at every request and lies in memory whole. What is changed here holds here at once; Run reads what others change, and when
// there is nothing to be read the last list known stays in force. A nil Denylist denies nothing.
type Denylist struct {
	source Denials
	o      DenylistOptions
	known  atomic.Pointer[denied] // never nil
	mu     sync.Mutex             // held from the reading or changing of source until known says so
	news   chan struct{}          // others have changed the list
}

// DenylistOptions are choices; the zero value works.
type DenylistOptions struct {
	MaxLink time.Duration // the longest link that is signed (LinkOptions.Max), which a denial outlives unless told otherwise; zero: 7 days
	Every   time.Duration // between readings; zero: 500 ms
	Limit   int           // denials at a time; zero: 10,000
	Signer  Signer        // whose key is not revoked while it signs; nil: nothing is signed here

	// Tell is called after each change made here, before it is answered, so that other nodes can be told to call Changed. nil: nobody is.
	Tell func(ctx context.Context)

	Now    func() time.Time // nil: time.Now
	Logger *slog.Logger     // nil: discards
}

// What DenylistOptions are by default, and bounds.
const (
	defaultEvery  = 500 * time.Millisecond
	defaultDenied = 10_000
	maxDenial     = 366 * 24 * time.Hour
	readWait      = 2 * time.Second // for one reading
	dropEvery     = time.Hour
	maxViewer     = 255
)

// denied is one state of the list. It never changes.
type denied struct {
	list   []media.Denial // oldest first
	until  map[whom]int64 // Unix nanoseconds
	shapes []shape        // of the keys in until
	keys   [256]int64     // Unix nanoseconds by the id of a signing key; 0: not denied
}

// whom is what a denial covers; what is zero covers all.
type whom struct {
	session media.Session
	course  string
	asset   media.AssetID
}

// shape says which parts of a whom are set, so that a ticket is looked up by those only that somebody has used.
type shape struct{ session, course, asset bool }

// NewDenylist makes a Denylist that knows of nothing yet: Load it before it is needed.
func NewDenylist(source Denials, o DenylistOptions) *Denylist {
	if o.MaxLink <= 0 {
		o.MaxLink = maxLinkLife
	}
	if o.Every <= 0 {
		o.Every = defaultEvery
	}
	if o.Limit <= 0 {
		o.Limit = defaultDenied
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Tell == nil {
		o.Tell = func(context.Context) {}
	}
	l := &Denylist{source: source, o: o, news: make(chan struct{}, 1)}
	l.known.Store(&denied{})
	return l
}

// Changed says that the list was changed elsewhere: Run reads it at once. It does not wait.
func (l *Denylist) Changed() {
	select {
	case l.news <- struct{}{}:
	default: // it is about to be read anyway
	}
}

// Load reads the list.
func (l *Denylist) Load(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readWait)
	defer cancel()
	l.mu.Lock()
	defer l.mu.Unlock()
	list, err := l.source.Denials(ctx)
	if err != nil {
		return err
	}
	l.keep(list)
	return nil
}

// Run reads the list again and again until ctx ends, and drops what is over.
func (l *Denylist) Run(ctx context.Context) error {
	tick := time.NewTicker(l.o.Every)
	defer tick.Stop()
	away, dropped := false, time.Time{}
	for {
		err := l.Load(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if (err != nil) != away {
			away = err != nil
			if away {
				l.o.Logger.WarnContext(ctx, "revocations cannot be read: the last ones known stay in force", slog.Any("error", err))
			} else {
				l.o.Logger.InfoContext(ctx, "revocations are read again")
			}
		}
		if now := l.o.Now(); !away && now.Sub(dropped) >= dropEvery {
			dropped = now
			if err := l.source.DropDenials(ctx); err != nil && ctx.Err() == nil {
				l.o.Logger.WarnContext(ctx, "revocations that are over were not removed", slog.Any("error", err))
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-l.news:
		case <-tick.C:
		}
	}
}

// keep makes list the one in force. Under mu.
func (l *Denylist) keep(list []media.Denial) {
	if slices.Equal(list, l.known.Load().list) {
		return
	}
	k := &denied{list: list, until: make(map[whom]int64, len(list))}
	for _, d := range list {
		if d.OfKey {
			k.keys[d.Key] = max(k.keys[d.Key], d.Until.UnixNano())
			continue
		}
		w := whom{session: media.SessionOf(d.Viewer), course: d.CourseID, asset: d.Asset}
		s := shape{session: w.session != media.Session{}, course: w.course != "", asset: !w.asset.IsZero()}
		if !s.session && !s.course {
			continue // not one of ours: it would cover everybody
		}
		if !slices.Contains(k.shapes, s) {
			k.shapes = append(k.shapes, s)
		}
		k.until[w] = max(k.until[w], d.Until.UnixNano())
	}
	silent := l.mayNotSign() != nil
	l.known.Store(k)
	if !silent && l.mayNotSign() != nil {
		l.o.Logger.Error("the key that signs here is revoked: no link is signed until another is configured", slog.Int("key", int(l.o.Signer.Signer())))
	}
}

// revoked reports whether a ticket that verified is denied.
func (l *Denylist) revoked(t *media.Ticket, a *media.Asset) error {
	if l == nil {
		return nil
	}
	if until := l.known.Load().keys[t.Key]; until != 0 && l.o.Now().UnixNano() < until {
		return &media.Error{Kind: media.Forbidden, Code: "link_revoked", Detail: "links like this one are revoked: ask for a new one"}
	}
	if l.covers(t.Session, a) {
		return errRevoked()
	}
	return nil
}

// mayNotSign says why nothing is to be signed here: the key that signs was revoked by a node that signs with another one, and what it
// signs would be refused everywhere.
func (l *Denylist) mayNotSign() error {
	if l == nil || l.o.Signer == nil || l.o.Now().UnixNano() >= l.known.Load().keys[l.o.Signer.Signer()] {
		return nil
	}
	return &media.Error{Kind: media.Unavailable, Code: "signing_key_revoked", Detail: "links cannot be signed here: the key that signs is revoked"}
}

// covers reports whether tickets of a viewer for an asset are denied.
func (l *Denylist) covers(session media.Session, a *media.Asset) bool {
	if l == nil {
		return false
	}
	k := l.known.Load()
	if len(k.shapes) == 0 {
		return false
	}
	now, home := l.o.Now().UnixNano(), homeCourse(a)
	for _, s := range k.shapes {
		if s.session && session == (media.Session{}) {
			continue
		}
		var w whom
		if s.session {
			w.session = session
		}
		if s.asset {
			w.asset = a.ID
		}
		if !s.course || home != "" {
			if s.course {
				w.course = home
			}
			if now < k.until[w] {
				return true
			}
		}
		for i := range a.Also {
			if w.course = a.Also[i].ID; s.course && w.course != "" && a.Also[i].Type == media.Course && now < k.until[w] {
				return true
			}
		}
	}
	return false
}

// homeCourse is the course an asset belongs to by its home, as its video or resource, or as media that refer to it. One that nobody could
// look for yet counts as well: here more is refused, not given.
func homeCourse(a *media.Asset) string {
	if a.Placement.CourseID == "" && a.Placement.Reference.Type == media.Course {
		return a.Placement.Reference.ID
	}
	return a.Placement.CourseID
}

func errRevoked() error {
	return &media.Error{Kind: media.Forbidden, Code: "link_revoked", Detail: "links of this viewer or to this media are revoked"}
}

// DenialRequest says which tickets shall be worth nothing. Viewer or CourseID is needed, and all that is set must fit; or OfKey alone.
type DenialRequest struct {
	OfKey     bool // of the key that has the id Key
	Key       uint8
	Viewer    string
	CourseID  string
	Asset     media.AssetID
	ExpiresIn time.Duration // zero: as long as a link signed now may live
}

// Deny denies from now on. Admins only: it reaches beyond what others own. Denied again, the later end holds. The key that signs is
// media.Conflict: every new link would be dead.
func (l *Denylist) Deny(ctx context.Context, p media.Principal, q DenialRequest) (media.Denial, error) {
	if err := adminsOnly(p); err != nil {
		return media.Denial{}, err
	}
	if err := l.settle(&q); err != nil {
		return media.Denial{}, err
	}
	now := l.o.Now().UTC().Truncate(time.Microsecond)
	d := media.Denial{OfKey: q.OfKey, Key: q.Key, Viewer: q.Viewer, CourseID: q.CourseID, Asset: q.Asset, Until: now.Add(q.ExpiresIn), By: p.Subject, At: now}
	d.ID = d.DenialID()
	d, err := l.deny(ctx, d, now)
	if err == nil {
		l.o.Tell(ctx)
	}
	return d, err
}

func (l *Denylist) deny(ctx context.Context, d media.Denial, now time.Time) (media.Denial, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	same := func(o media.Denial) bool { return o.ID == d.ID }
	list := slices.DeleteFunc(slices.Clone(l.known.Load().list), func(o media.Denial) bool { return !now.Before(o.Until) })
	if len(list) >= l.o.Limit && !slices.ContainsFunc(list, same) {
		return media.Denial{}, &media.Error{
			Kind: media.Conflict, Code: "too_many_revocations", Detail: "too many revocations are in force: revoke by course or media, or turn the signing key off",
		}
	}
	d, err := l.source.Deny(ctx, d)
	if err != nil {
		return media.Denial{}, err
	}
	l.keep(append(slices.DeleteFunc(list, same), d))
	return d, nil
}

func (l *Denylist) settle(q *DenialRequest) error {
	bad := func(code, field, detail string) error {
		return &media.Error{Kind: media.Invalid, Code: code, Field: field, Detail: detail}
	}
	switch {
	case q.OfKey && (q.Viewer != "" || q.CourseID != "" || !q.Asset.IsZero()):
		return bad("key_not_alone", "key", "a key is revoked by itself: everything it signed")
	case q.OfKey && l.o.Signer != nil && l.o.Signer.Signer() == q.Key:
		return &media.Error{
			Kind: media.Conflict, Code: "key_signs", Field: "key",
			Detail: fmt.Sprintf("key %d signs now: configure another key as sign first; key %d goes to verify", q.Key, q.Key),
		}
	case !q.OfKey && q.Viewer == "" && q.CourseID == "":
		return bad("nobody_named", "viewer", "a revocation names a viewer, a course or a key; links of one media are revoked by themselves")
	}
	if len(q.Viewer) > maxViewer || !utf8.ValidString(q.Viewer) || strings.ContainsFunc(q.Viewer, unicode.IsControl) {
		return bad("bad_viewer", "viewer", "a viewer has at most 255 bytes and no control characters")
	}
	if q.CourseID != "" && !media.ValidEntityID(q.CourseID) {
		return bad("bad_entity_id", "courseId", "a course id has 24 lower-case hex digits")
	}
	if q.ExpiresIn == 0 {
		q.ExpiresIn = min(l.o.MaxLink+l.o.MaxLink/4+time.Second, maxDenial) // the end of a link is rounded up by as much
	}
	if q.ExpiresIn < time.Second || q.ExpiresIn > maxDenial {
		return bad("bad_expiry", "expiresIn", "a revocation lasts between a second and 366 days")
	}
	return nil
}

// Denials gives those that are in force here, oldest first. Admins only.
func (l *Denylist) Denials(_ context.Context, p media.Principal) ([]media.Denial, error) {
	if err := adminsOnly(p); err != nil {
		return nil, err
	}
	now := l.o.Now()
	return slices.DeleteFunc(slices.Clone(l.known.Load().list), func(d media.Denial) bool { return !now.Before(d.Until) }), nil
}

// Lift ends a denial: tickets that are not over are good again. Admins only.
func (l *Denylist) Lift(ctx context.Context, p media.Principal, id string) error {
	if err := adminsOnly(p); err != nil {
		return err
	}
	err := l.lift(ctx, id)
	if err == nil {
		l.o.Tell(ctx)
	}
	return err
}

func (l *Denylist) lift(ctx context.Context, id string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.source.Lift(ctx, id)
	if err == nil || errors.Is(err, media.NotFound) {
		l.keep(slices.DeleteFunc(slices.Clone(l.known.Load().list), func(d media.Denial) bool { return d.ID == id }))
	}
	return err
}

func adminsOnly(p media.Principal) error {
	if p.Anonymous() {
		return &media.Error{Kind: media.Unauthenticated, Detail: "this needs a login"}
	}
	if !p.Has(media.Admin) {
		return &media.Error{Kind: media.Forbidden, Code: "admin_only", Detail: "revocations of viewers, courses and keys are for admins"}
	}
	return nil
}
