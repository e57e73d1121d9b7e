package uploads

import (
	"context"
	"time"

	"sluice/media"
)

// OpenUpload is an unfinished upload that its owner can go on with, from any device.
type OpenUpload struct {
	MediaID   media.AssetID `json:"mediaId"`
	UploadURL string        `json:"uploadUrl"`
	Filename  string        `json:"filename"`
	Size      *int64        `json:"size"` // bytes; null while the length is deferred
	Offset    int64         `json:"offset"`
	CreatedAt time.Time     `json:"createdAt"`
	ExpiresAt time.Time     `json:"expiresAt"`
}

// maxListed bounds a list of open uploads.
const maxListed = 200

// Open lists a principal's unfinished uploads, newest first: at most 200, without the parts of parallel ones.
func (s *Service) Open(ctx context.Context, p media.Principal) ([]OpenUpload, error) {
	if p.Anonymous() {
		return nil, media.Errorf(media.Unauthenticated, "a token is needed")
	}
	var rows []media.Asset
	for a, err := range s.ledger.Open(ctx, p.Subject) {
		if err != nil {
			return nil, err
		}
		if a.Upload.Partial || a.Upload.Final || s.expired(&a) {
			continue
		}
		if _, err := s.store.Backend(a.Backend); err != nil {
			continue // nobody can go on with it until its storage is configured again
		}
		if rows = append(rows, a); len(rows) == maxListed {
			break
		}
	}
	list := make([]OpenUpload, 0, len(rows))
	for _, a := range rows {
		off, ok, err := s.openOffset(ctx, a.ID)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		o := OpenUpload{
			MediaID: a.ID, UploadURL: s.url(a.ID), Filename: a.Filename, Offset: off, CreatedAt: a.CreatedAt, ExpiresAt: a.Upload.ExpiresAt,
		}
		if !a.Upload.Deferred {
			o.Size = &a.Size
		}
		list = append(list, o)
	}
	return list, nil
}

// openOffset tells where an open upload stands; ok is false when it is finished or gone by now, or only waits to be finished.
func (s *Service) openOffset(ctx context.Context, id media.AssetID) (off int64, ok bool, err error) {
	u, err := s.open(ctx, id)
	if err == nil {
		defer s.leave(u)
		var complete bool
		off, complete, err = s.offset(ctx, u)
		ok = err == nil && !complete
	}
	if k := media.KindOf(err); err != nil && (k == media.NotFound || k == media.Gone) {
		return 0, false, nil
	}
	return off, ok, err
}

// Bounds of a grant's life.
const (
	defaultGrantTTL = time.Hour
	maxGrantTTL     = 7 * 24 * time.Hour
)

// Grant mints an upload grant in the name of a member of staff: one use, no wider than g says. A ttl of 0 is an hour; the longest is a week.
// A place that g names must be one where p may put media; whoever holds the grant is not asked again.
func (s *Service) Grant(ctx context.Context, p media.Principal, g media.UploadGrant, ttl time.Duration) (string, time.Time, error) {
	fail := func(err error) (string, time.Time, error) { return "", time.Time{}, err }
	switch {
	case p.Anonymous():
		return fail(media.Errorf(media.Unauthenticated, "a token is needed"))
	case !p.Staff() || p.Grant != nil:
		return fail(media.Errorf(media.Forbidden, "only staff mint upload grants"))
	case s.o.SealGrant == nil:
		return fail(media.Errorf(media.Unavailable, "upload grants are not configured"))
	case ttl < 0 || ttl > maxGrantTTL:
		return fail(&media.Error{Kind: media.Invalid, Detail: "a grant lives at most a week", Field: "expiresIn"})
	case g.MaxSize < 0 || g.MaxSize > s.o.MaxSize:
		return fail(&media.Error{Kind: media.Invalid, Detail: "not a size this server accepts", Field: "maxSize"})
	}
	for _, t := range g.MIMETypes {
		if !validTypePattern(t) {
			return fail(&media.Error{Kind: media.Invalid, Detail: "types look like video/* or image/png", Field: "types"})
		}
	}
	if _, err := s.store.Choose(g.Backend); err != nil {
		return fail(err)
	}
	if g.Placement != nil {
		if err := s.mayFix(ctx, p, *g.Placement); err != nil {
			return fail(err)
		}
	}
	if ttl == 0 {
		ttl = defaultGrantTTL
	}
	now := s.o.Now().UTC()
	g.ID, g.Owner = media.NewAssetID(now).String(), p.Subject
	expires := now.Add(ttl).Truncate(time.Second)
	token, err := s.o.SealGrant(g, expires)
	if err != nil {
		return fail(err)
	}
	return token, expires, nil
}
