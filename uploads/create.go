package uploads

import (
	"context"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"sluice/internal/crash"
	"sluice/media"
)

// create is POST: everything is checked before a byte is read, then the upload is made, by one write where the whole file came with it.
func (s *Service) create(w http.ResponseWriter, r *http.Request, p media.Principal) error {
	if s.closing.Load() {
		return errClosing()
	}
	a, parts, err := s.admit(r, p)
	if err != nil {
		return err
	}
	chunk := isChunk(r.Header)
	c := s.newCall(r)
	c.fresh, c.draft = true, a
	if n := a.Size; !a.Upload.Final && n >= 0 && n <= defaultOneShot && (n == 0 || chunk && r.ContentLength == n) {
		if buf := s.buffers.get(n); buf != nil {
			defer s.buffers.put(buf)
			return s.oneShot(w, r, c, buf)
		}
	}
	if !a.Upload.Final && !chunk {
		return s.createEmpty(w, r, c)
	}
	h := http.Header{hResumable: {tusVersion}}
	switch {
	case a.Upload.Final:
		h.Set(hConcat, "final;"+root+"/"+strings.Join(parts, " "+root+"/"))
	case a.Upload.Deferred:
		h.Set(hDefer, "1")
	default:
		h.Set(hLength, strconv.FormatInt(a.Size, 10))
	}
	if a.Upload.Partial {
		h.Set(hConcat, "partial")
	}
	if chunk {
		h.Set("Content-Type", chunkType)
	}
	ans := s.pass(w, r, c, http.MethodPost, "/", h)
	if c.up != nil {
		defer s.leave(c.up)
	}
	if c.again != nil {
		defer s.leave(c.again)
		w.Header().Set(hOffset, "0")
		w.Header().Set("Connection", "close") // of the body nothing was read
		s.created(w.Header(), c.again.asset())
		w.WriteHeader(http.StatusCreated)
		return nil
	}
	if ans.failed() {
		s.discard(r.Context(), c, ans)
		return s.problemOf(w, c, ans)
	}
	crash.At("uploads: before answer")
	out := w.Header()
	if offset := ans.header[hOffset]; offset != nil {
		out[hOffset] = offset
	}
	s.created(out, c.up.asset())
	w.WriteHeader(http.StatusCreated)
	return nil
}

// createEmpty makes an upload whose bytes come later. All was checked, and no body is read: tusd would add two goroutines and 2 KiB of
// stack to each of a thousand creations that wait for one commit.
func (s *Service) createEmpty(w http.ResponseWriter, r *http.Request, c *call) error {
	u, _, err := s.begin(context.WithoutCancel(r.Context()), c)
	if err != nil {
		return s.limitNamed(err)
	}
	defer s.leave(u)
	crash.At("uploads: before answer")
	s.created(w.Header(), u.asset())
	w.WriteHeader(http.StatusCreated)
	return nil
}

// created writes what a 201 says beside the offset.
func (s *Service) created(h http.Header, a *media.Asset) {
	h.Set("Location", s.url(a.ID))
	h.Set("Sluice-Media-Id", a.ID.String())
	setExpires(h, a)
}

// discard removes what a refused creation has made: its client was told no URL and will come again. What a cut body left stays until it
// expires, for the list of open uploads shows it.
func (s *Service) discard(ctx context.Context, c *call, ans *answer) {
	if c.up == nil || c.draft.Upload.Final && !refusal(c.err) || ans.cut() {
		return
	}
	if err := s.remove(ctx, c.up); err != nil {
		s.postpone(c.up, true)
	}
}

// admit checks a creation and gives the row it will write, and the capabilities of its parts when it is a final upload.
func (s *Service) admit(r *http.Request, p media.Principal) (*media.Asset, []string, error) {
	a := new(media.Asset)
	if err := mayCreate(p); err != nil {
		return a, nil, err
	}
	join, err := s.shape(r, a)
	if err != nil {
		return a, nil, err
	}
	a.Upload.Metadata = metadataHeader(r.Header)
	m, err := parseMetadata(a.Upload.Metadata)
	if err != nil {
		return a, nil, err
	}
	if err := describe(a, m); err != nil {
		return a, nil, err
	}
	now := s.o.Now().UTC()
	a.ID, a.State, a.Owner, a.CreatedAt, a.UpdatedAt = media.NewAssetID(now), media.Uploading, p.Subject, now, now
	a.Upload.ExpiresAt = now.Add(s.o.Expiry).Truncate(time.Second) // the header says whole seconds
	if p.Grant != nil {
		if err := applyGrant(a, *p.Grant); err != nil {
			return a, nil, err
		}
	}
	if join.final {
		if err := s.gather(r.Context(), a, p, join.parts); err != nil {
			return a, nil, err
		}
	}
	return a, join.parts, s.admitAsset(r.Context(), a, p)
}

// mayCreate: staff and holders of a grant upload.
func mayCreate(p media.Principal) error {
	switch {
	case p.Grant != nil, p.Staff() && !p.Anonymous():
		return nil
	case p.Anonymous():
		return &media.Error{Kind: media.Unauthenticated, Code: "login_required", Detail: "a token or an upload grant is needed"}
	}
	return &media.Error{Kind: media.Forbidden, Code: "staff_only", Detail: "only staff and holders of an upload grant upload"}
}

// shape reads the headers that say what kind of upload is to be made, and how long.
func (s *Service) shape(r *http.Request, a *media.Asset) (concat, error) {
	var join concat
	v, present, err := one(r.Header, hConcat)
	if err != nil {
		return join, err
	}
	if present {
		if join, err = parseConcat(v); err != nil {
			return join, err
		}
	}
	a.Upload.Partial, a.Upload.Final = join.partial, join.final
	if join.final {
		switch {
		case r.Header[hLength] != nil, r.Header[hDefer] != nil:
			return join, badHeader(hLength, "cannot stand beside Upload-Concat: final")
		case isChunk(r.Header) && r.ContentLength != 0:
			return join, &media.Error{Kind: media.Forbidden, Code: "final_upload", Detail: "a final upload takes no bytes of its own"}
		}
		return join, nil
	}
	a.Size, err = length(r.Header)
	if err != nil {
		return join, err
	}
	a.Upload.Deferred = a.Size == media.UnknownLength
	limit := s.o.MaxSize
	switch {
	case a.Size > limit, isChunk(r.Header) && r.ContentLength > limit:
		return join, tooLarge(limit)
	case isChunk(r.Header) && !a.Upload.Deferred && r.ContentLength > a.Size:
		return join, &media.Error{Kind: media.TooLarge, Code: "upload_size_exceeded", Detail: "the body is longer than Upload-Length", Field: hLength}
	}
	return join, nil
}

// applyGrant narrows an upload to what its grant allows.
func applyGrant(a *media.Asset, g media.UploadGrant) error {
	refuse := func(field, why string) error {
		return &media.Error{Kind: media.Forbidden, Code: "grant_refuses", Detail: "the upload grant " + why, Field: field}
	}
	switch {
	case a.Upload.Partial || a.Upload.Final:
		return refuse(hConcat, "allows one upload, not parts of one")
	case g.MaxSize > 0 && a.Upload.Deferred:
		return refuse(hDefer, "limits the size, so the length must be declared")
	case g.MaxSize > 0 && a.Size > g.MaxSize:
		return tooLarge(g.MaxSize)
	case len(g.MIMETypes) > 0 && (a.MIMEType == octetStream || !allowed(a.MIMEType, g.MIMETypes)):
		return &media.Error{Kind: media.Unsupported, Code: "type_not_allowed", Detail: "the upload grant does not allow this type", Field: "filetype"}
	case g.Backend != "" && a.Backend != "" && a.Backend != g.Backend:
		return refuse("storage", "names another storage")
	}
	if g.Backend != "" {
		a.Backend = g.Backend
	}
	if g.Placement != nil {
		if !samePlace(a.Placement, *g.Placement) {
			return refuse("kind", "says another place for the upload")
		}
		a.Placement = *g.Placement
		if a.Placement.Kind == "" {
			a.Placement.Kind = kindOf(a)
		}
		if err := complete(a); err != nil {
			return err
		}
	}
	a.Owner, a.Upload.GrantID = g.Owner, g.ID
	return nil
}

// samePlace reports whether the client asked for nothing beside what the grant gives.
func samePlace(asked, given media.Placement) bool {
	same := func(a, b string) bool { return a == "" || a == b }
	return (asked.Kind == media.Generic || given.Kind == "" || asked.Kind == given.Kind) && same(asked.ProductID, given.ProductID) &&
		same(asked.CourseID, given.CourseID) && same(asked.LessonID, given.LessonID) && same(asked.ModuleID, given.ModuleID) &&
		(asked.Reference.IsZero() || asked.Reference == given.Reference)
}

// gather finds the parts of a final upload: finished, partial, the same owner's, on one storage.
func (s *Service) gather(ctx context.Context, a *media.Asset, p media.Principal, caps []string) error {
	ctx, cancel := context.WithTimeout(ctx, ledgerPatience)
	defer cancel()
	for _, part := range caps {
		id, err := s.caps.ParseCapability(part)
		if err != nil {
			return errMissing()
		}
		row, err := s.ledger.Asset(ctx, id)
		switch {
		case err != nil && media.KindOf(err) != media.NotFound:
			return err
		case err != nil, row.Owner != p.Subject && !p.Has(media.Admin):
			return errMissing()
		case !row.Upload.Partial:
			return badHeader(hConcat, "names an upload that is not partial")
		case !row.State.Finished():
			return &media.Error{Kind: media.Conflict, Code: "part_unfinished", Detail: "a part is not finished", Field: hConcat}
		case len(a.Upload.Parts) > 0 && a.Backend != row.Backend:
			return badHeader(hConcat, "names parts on different storages")
		case a.Backend != "" && a.Backend != row.Backend:
			return badHeader(hConcat, "names parts on another storage than the one asked for")
		case row.Size > math.MaxInt64-a.Size || a.Size+row.Size > s.o.MaxSize:
			return tooLarge(s.o.MaxSize)
		}
		a.Backend, a.Size = row.Backend, a.Size+row.Size
		a.Upload.Parts = append(a.Upload.Parts, id)
	}
	return nil
}

// admitAsset checks what needs more than the request: storage, types, and what the upload is to be attached to.
func (s *Service) admitAsset(ctx context.Context, a *media.Asset, p media.Principal) error {
	b, err := s.store.Route(a)
	if err != nil {
		return err
	}
	a.Backend, a.StorageType, a.Key = b.Name, b.Type, keyOf(a.ID)
	if !a.Upload.Partial && a.MIMEType != octetStream && !allowed(a.MIMEType, s.o.AllowedTypes) {
		return typeRefused(a.MIMEType)
	}
	return s.admitPlace(ctx, a, p)
}
