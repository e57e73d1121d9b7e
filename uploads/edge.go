package uploads

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"sluice/internal/crash"
	"sluice/media"
)

// extensions is what OPTIONS lists, and all that is supported.
const extensions = "creation,creation-with-upload,creation-defer-length,termination,concatenation,expiration"

// ServeHTTP answers /files (creation) and /files/{capability}.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set(hResumable, tusVersion)
	h.Set("X-Content-Type-Options", "nosniff")
	s.cors(h, r)
	method := r.Method
	if v, present, err := one(r.Header, hOverride); err != nil {
		s.fail(w, r, method, err)
		return
	} else if present && v != "" {
		method = v
	}
	part, ok := strings.CutPrefix(r.URL.Path, root)
	part = strings.TrimPrefix(part, "/")
	if !ok || part != "" && !plainCapability(part) {
		s.fail(w, r, method, errMissing())
		return
	}
	if method == http.MethodOptions {
		s.options(w)
		return
	}
	allow := "GET, HEAD, PATCH, DELETE, OPTIONS"
	if part == "" {
		allow = "POST, OPTIONS"
	}
	if !slices.Contains(strings.Split(allow, ", "), method) {
		h.Set("Allow", allow)
		s.plain(w, method, http.StatusMethodNotAllowed, "method not allowed")
		return
	}
	// A browser follows an upload's URL without the header, and GET is no method of tus.
	if v := r.Header[hResumable]; method != http.MethodGet && (len(v) != 1 || v[0] != tusVersion) {
		h.Set("Tus-Version", tusVersion)
		s.fail(w, r, method, &media.Error{
			Kind: media.PreconditionFailed, Code: "tus_version", Detail: "Tus-Resumable must be 1.0.0", Field: hResumable,
		})
		return
	}
	s.dispatch(w, r, method, part)
}

// dispatch knows who asks before it acts, and acts by the overriding method: there is no way to be judged as one and run as the other.
func (s *Service) dispatch(w http.ResponseWriter, r *http.Request, method, part string) {
	p, err := s.principal(r)
	if method == http.MethodPost {
		if err == nil {
			err = s.create(w, r, p)
		}
		if err != nil {
			s.fail(w, r, method, err)
		}
		return
	}
	if err != nil { // an expired or strange token: the capability suffices
		p = media.Principal{}
	}
	switch method {
	case http.MethodHead:
		err = s.head(w, r, p, part)
	case http.MethodGet:
		err = s.get(w, r, p, part)
	default:
		err = s.change(w, r, method, p, part)
	}
	if err != nil {
		s.fail(w, r, method, err)
	}
}

func (s *Service) principal(r *http.Request) (media.Principal, error) {
	var p media.Principal
	if s.o.Authenticate != nil {
		var err error
		if p, err = s.o.Authenticate(r); err != nil {
			return media.Principal{}, err
		}
	}
	if token := r.Header.Get("Upload-Grant"); token != "" && s.o.OpenGrant != nil && p.Anonymous() && p.Grant == nil {
		g, err := s.o.OpenGrant(token)
		if err != nil {
			return media.Principal{}, err
		}
		p.Grant = &g
	}
	return p, nil
}

// find opens the upload a URL names, for whoever may see it. Somebody else who is known is told the same as for a missing one.
func (s *Service) find(ctx context.Context, p media.Principal, part string) (*upload, error) {
	id, err := s.caps.ParseCapability(part)
	if err != nil {
		return nil, errMissing()
	}
	u, err := s.open(ctx, id)
	if err != nil {
		if media.KindOf(err) == media.NotFound {
			return nil, errMissing()
		}
		return nil, err
	}
	if !p.Anonymous() && p.Grant == nil && p.Subject != u.asset().Owner && !p.Has(media.Admin) {
		s.leave(u)
		return nil, errMissing()
	}
	return u, nil
}

// change is PATCH and DELETE.
func (s *Service) change(w http.ResponseWriter, r *http.Request, method string, p media.Principal, part string) error {
	if s.closing.Load() {
		return errClosing()
	}
	h := http.Header{hResumable: {tusVersion}}
	if method == http.MethodPatch {
		if err := patchHeaders(r.Header, h); err != nil {
			return err
		}
	}
	u, err := s.find(r.Context(), p, part)
	if err != nil {
		return err
	}
	defer s.leave(u)
	row := u.asset()
	if method == http.MethodPatch {
		if err := s.admitPatch(r, u, h); err != nil {
			return err
		}
	}
	c := s.newCall(r)
	c.up = u
	if off, err := number(hOffset, h.Get(hOffset)); err == nil {
		c.want = off
	}
	a := s.pass(w, r, c, method, "/"+part, h)
	if a.failed() {
		return s.problemOf(w, c, a)
	}
	if c.lost && method == http.MethodPatch && !u.asset().State.Finished() {
		// Another node may have gone on from an offset before these bytes: only it can tell where the upload stands.
		return errTakenOver()
	}
	crash.At("uploads: before answer")
	out := w.Header()
	if method == http.MethodPatch {
		out[hOffset] = a.header[hOffset]
		setExpires(out, u.asset())
	}
	out.Set("Sluice-Media-Id", row.ID.String())
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// patchHeaders checks the headers of a PATCH and gives tusd the ones it reads.
func patchHeaders(in, h http.Header) error {
	if !isChunk(in) {
		return &media.Error{Kind: media.Unsupported, Code: "bad_content_type", Detail: "Content-Type must be " + chunkType, Field: "Content-Type"}
	}
	v, present, err := one(in, hOffset)
	if err != nil {
		return err
	}
	if !present {
		return badHeader(hOffset, "is needed")
	}
	off, err := number(hOffset, v)
	if err != nil {
		return err
	}
	v, present, err = one(in, hLength)
	if err != nil {
		return err
	}
	if present {
		n, err := number(hLength, v)
		if err != nil {
			return err
		}
		if n < off {
			return badHeader(hLength, "is less than the offset")
		}
		h.Set(hLength, v)
	}
	h.Set("Content-Type", chunkType)
	h.Set(hOffset, strconv.FormatInt(off, 10))
	return nil
}

// admitPatch refuses what tusd would answer wrongly.
func (s *Service) admitPatch(r *http.Request, u *upload, h http.Header) error {
	row := u.asset()
	if row.Upload.Final {
		return &media.Error{Kind: media.Forbidden, Code: "final_upload", Detail: "a final upload cannot be changed"}
	}
	if s.expired(row) {
		if _, complete, err := s.offset(r.Context(), u); err != nil || !complete {
			return errExpired()
		}
	}
	if v := h.Get(hLength); v != "" {
		n, err := number(hLength, v)
		switch {
		case err != nil:
			return err
		case !row.Upload.Deferred && n != row.Size:
			return badHeader(hLength, "was declared before and cannot change")
		case !row.Upload.Deferred: // a repeated request, its first answer was lost
			h.Del(hLength)
		case n > s.o.MaxSize:
			return tooLarge(s.o.MaxSize)
		}
	}
	off, err := number(hOffset, h.Get(hOffset))
	if err != nil {
		return err
	}
	if row.Upload.Deferred && r.ContentLength > 0 && off > s.o.MaxSize-r.ContentLength {
		return tooLarge(s.o.MaxSize)
	}
	return nil
}

func errExpired() error {
	return &media.Error{Kind: media.Gone, Code: "upload_expired", Detail: "this upload has expired"}
}

func errClosing() error {
	return &media.Error{Kind: media.Unavailable, Code: "shutting_down", Detail: "the server is stopping", RetryAfter: time.Second}
}

func tooLarge(limit int64) error {
	return &media.Error{
		Kind: media.TooLarge, Code: "max_size_exceeded", Detail: "at most " + strconv.FormatInt(limit, 10) + " bytes are accepted", Field: hLength,
	}
}

func (s *Service) newCall(r *http.Request) *call {
	return &call{s: s, length: r.ContentLength, want: -1, begun: time.Now()}
}

// pass runs a request through tusd's handler and gives its answer, unsent: the lock is free again before the client knows.
func (s *Service) pass(w http.ResponseWriter, r *http.Request, c *call, method, path string, h http.Header) *answer {
	ctx, cancel := context.WithCancelCause(context.WithValue(r.Context(), callKey{}, c))
	defer cancel(nil)
	c.cancel = cancel
	s.calls.add(c)
	s.active.Add(1)
	defer func() {
		s.active.Add(-1)
		s.calls.remove(c)
	}()
	if s.closing.Load() {
		c.stop()
	}
	inner := r.WithContext(ctx)
	inner.Method, inner.Header, inner.URL = method, h, &url.URL{Path: path}
	inner.Body = body{r.Body, c}
	a := &answer{w: w, header: http.Header{}}
	s.tus.ServeHTTP(a, inner)
	return a
}

// problemOf gives the error behind an answer of tusd's.
func (s *Service) problemOf(w http.ResponseWriter, c *call, a *answer) error {
	err := c.err
	if err == nil {
		err = a.problem()
	}
	if a.cut() {
		w.Header().Set("Connection", "close") // the rest of the body is of no use to anybody
	}
	return s.limitNamed(err)
}

// limitNamed says what the limit is where a refusal does not.
func (s *Service) limitNamed(err error) error {
	if e, ok := errors.AsType[*media.Error](err); ok && e.Kind == media.TooLarge && e.Code == "" {
		return &media.Error{Kind: e.Kind, Code: "max_size_exceeded", Detail: tooLarge(s.o.MaxSize).Error(), Err: err}
	}
	return err
}

func (s *Service) options(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Tus-Version", tusVersion)
	h.Set("Tus-Extension", extensions)
	h.Set("Tus-Max-Size", strconv.FormatInt(s.o.MaxSize, 10))
	w.WriteHeader(http.StatusNoContent)
}

const (
	corsMethods = "POST, GET, HEAD, PATCH, DELETE, OPTIONS"
	corsAllow   = "Authorization, Content-Type, Tus-Resumable, Upload-Length, Upload-Defer-Length, Upload-Offset, Upload-Metadata, Upload-Concat, " +
		"Upload-Grant, X-HTTP-Method-Override, X-Request-Id, X-Requested-With, Idempotency-Key, Traceparent"
	corsExpose = "Location, Sluice-Media-Id, Tus-Resumable, Tus-Version, Tus-Extension, Tus-Max-Size, Upload-Offset, Upload-Length, " +
		"Upload-Defer-Length, Upload-Metadata, Upload-Concat, Upload-Expires, Retry-After, X-Request-Id"
)

// cors answers the browser's question whether a page of another origin may see this. Only listed origins are repeated.
func (s *Service) cors(h http.Header, r *http.Request) {
	if len(s.o.CORS.Origins) == 0 {
		return
	}
	h.Add("Vary", "Origin")
	origin := r.Header["Origin"]
	if len(origin) != 1 {
		return
	}
	switch {
	case slices.Contains(s.o.CORS.Origins, "*"):
		h.Set("Access-Control-Allow-Origin", "*")
	case slices.Contains(s.o.CORS.Origins, origin[0]):
		h.Set("Access-Control-Allow-Origin", origin[0])
		if s.o.CORS.Credentials {
			h.Set("Access-Control-Allow-Credentials", "true")
		}
	default:
		return
	}
	if r.Method == http.MethodOptions {
		h.Set("Access-Control-Allow-Methods", corsMethods)
		h.Set("Access-Control-Allow-Headers", corsAllow)
		h.Set("Access-Control-Max-Age", strconv.Itoa(int(s.o.CORS.MaxAge/time.Second)))
		return
	}
	h.Set("Access-Control-Expose-Headers", corsExpose)
}
