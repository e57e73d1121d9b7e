package uploads

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"sluice/media"
)

// headPatience bounds how long a HEAD looks at others: the client waits for it before it can go on.
const headPatience = 2 * time.Second

// head tells where an upload stands. It takes no lock, so that asking never disturbs a request that brings bytes.
func (s *Service) head(w http.ResponseWriter, r *http.Request, p media.Principal, part string) error {
	ctx, cancel := context.WithTimeout(r.Context(), headPatience)
	defer cancel()
	u, err := s.find(ctx, p, part)
	if err != nil {
		return err
	}
	defer s.leave(u)
	off, complete, err := s.offset(ctx, u)
	if err != nil {
		return err
	}
	if row := u.asset(); complete && !row.State.Finished() {
		if err := s.finishNow(ctx, u); err != nil {
			return err
		}
		off = row.Size
	} else if s.expired(row) {
		return errExpired()
	}
	s.describeHead(w.Header(), u.asset(), off)
	w.WriteHeader(http.StatusOK)
	return nil
}

func (s *Service) describeHead(h http.Header, row *media.Asset, off int64) {
	h.Set("Cache-Control", "no-store")
	h.Set(hOffset, strconv.FormatInt(off, 10))
	if row.Upload.Deferred {
		h.Set(hDefer, "1")
	} else {
		h.Set(hLength, strconv.FormatInt(row.Size, 10))
	}
	if row.Upload.Metadata != "" {
		h.Set(hMetadata, row.Upload.Metadata)
	}
	setExpires(h, row)
	switch {
	case row.Upload.Partial:
		h.Set(hConcat, "partial")
	case row.Upload.Final:
		urls := make([]string, len(row.Upload.Parts))
		for i, id := range row.Upload.Parts {
			urls[i] = s.url(id)
		}
		h.Set(hConcat, "final;"+strings.Join(urls, " "))
	}
	h.Set("Sluice-Media-Id", row.ID.String())
}

// finishNow finishes an upload that has all its bytes, unless somebody is at it: the full offset is not shown before that.
func (s *Service) finishNow(ctx context.Context, u *upload) error {
	u.mu.Lock()
	busy := u.writing
	u.mu.Unlock()
	pending := &media.Error{Kind: media.Locked, Code: "finish_pending", Detail: "the upload is being finished", RetryAfter: time.Second}
	if busy || !u.finishing.TryLock() {
		return s.unlessFinished(ctx, u, pending)
	}
	defer u.finishing.Unlock()
	if s.o.Shared { // another node may be at it
		unlock, ok := s.locker.Try(ctx, u.id, func() {})
		if !ok {
			return s.unlessFinished(ctx, u, pending)
		}
		defer unlock()
	}
	if err := s.finishLocked(ctx, u); err != nil {
		if refusal(err) {
			return &media.Error{Kind: media.Gone, Code: "upload_refused", Detail: "this upload was refused", Err: err}
		}
		pending.Err = err
		return pending
	}
	return nil
}

// unlessFinished gives err, or nil when the row says that whoever is at the upload has finished it already.
func (s *Service) unlessFinished(ctx context.Context, u *upload, err error) error {
	row, lerr := s.ledger.Asset(ctx, u.id)
	if lerr != nil || !row.State.Finished() {
		return err
	}
	u.set(&row)
	return nil
}

func (s *Service) url(id media.AssetID) string { return root + "/" + s.caps.Capability(id) }

// get sends whoever holds the URL of a finished upload to its content.
func (s *Service) get(w http.ResponseWriter, r *http.Request, p media.Principal, part string) error {
	w.Header().Set("Cache-Control", "no-store")
	u, err := s.find(r.Context(), p, part)
	if err != nil {
		return err
	}
	defer s.leave(u)
	row := u.asset()
	switch {
	case s.expired(row):
		return errExpired()
	case row.Upload.Partial:
		return &media.Error{Kind: media.Conflict, Code: "partial_upload", Detail: "this is one part of an upload, state " + string(row.State)}
	case !row.State.Finished():
		return &media.Error{Kind: media.Conflict, Code: "not_finished", Detail: "this upload is not finished, state " + string(row.State)}
	case s.o.ContentURL == nil:
		return &media.Error{Kind: media.Conflict, Code: "no_delivery", Detail: "finished, but nothing is delivered here, state " + string(row.State)}
	}
	to, err := s.o.ContentURL(r.Context(), *row)
	if err != nil {
		return err
	}
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusFound)
	return nil
}
