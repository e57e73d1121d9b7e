package uploads

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"

	"sluice/internal/crash"
	"sluice/media"
	"sluice/storage"
)

func keyOf(id media.AssetID) string { return storage.KeyFor(id) }

// oneShot takes a small file that comes whole with its creation: its bytes are durable first, then one row says so. The client was told
// nothing before, so a crash in between breaks no promise; bytes it leaves are swept.
func (s *Service) oneShot(w http.ResponseWriter, r *http.Request, c *call, buf []byte) error {
	s.active.Add(1)
	defer s.active.Add(-1)
	if err := s.fill(w, r, c, buf); err != nil {
		return err
	}
	a := c.draft
	if !a.Upload.Partial {
		mime, err := s.judge(a, buf[:min(len(buf), headSize)])
		if err != nil {
			return err
		}
		if a.MIMEType != mime {
			a.MIMEType, a.Type = mime, media.TypeOf(mime)
		}
		sum := sha256.Sum256(buf)
		a.SHA256 = sum[:]
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), finishPatience)
	defer cancel()
	crash.At("uploads: whole file, before commit")
	if _, err := s.store.Put(ctx, a.Backend, a.Key, buf); err != nil {
		return err
	}
	a.State, a.StoredAt = media.Stored, a.CreatedAt
	if a.SHA256 != nil {
		a.State = media.Ready // nothing is left to be learned: a second write of the row is spared
	}
	if !a.Upload.Partial {
		a.Upload.ExpiresAt = time.Time{}
	}
	crash.At("uploads: whole file, no row")
	row, _, err := s.ledger.Begin(ctx, *a, s.o.Quota)
	if err != nil {
		s.dropWhole(ctx, a, err)
		return err
	}
	crash.At("uploads: before answer")
	h := w.Header()
	h.Set(hOffset, strconv.Itoa(len(buf)))
	s.created(h, &row)
	w.WriteHeader(http.StatusCreated)
	return nil
}

// fill reads the body into buf. The deadline moves with each byte: slow clients are not cut, silent ones are.
func (s *Service) fill(w http.ResponseWriter, r *http.Request, c *call, buf []byte) error {
	if len(buf) == 0 {
		return nil
	}
	rc := http.NewResponseController(w)
	c.cancel = func(error) { _ = rc.SetReadDeadline(time.Unix(1, 0)) } // a connection without deadlines ends by itself
	c.asked.Store(true)
	s.calls.add(c)
	defer s.calls.remove(c)
	for n := 0; n < len(buf); {
		_ = rc.SetReadDeadline(time.Now().Add(s.o.Network))
		if c.stopped.Load() || s.closing.Load() {
			return errClosing()
		}
		m, err := r.Body.Read(buf[n:])
		n += m
		switch {
		case n == len(buf):
		case errors.Is(err, os.ErrDeadlineExceeded):
			w.Header().Set("Connection", "close")
			if c.stopped.Load() {
				return errClosing()
			}
			return &media.Error{Kind: media.Unavailable, Code: "body_timeout", Detail: "the body stopped coming", Err: err}
		case err != nil:
			w.Header().Set("Connection", "close")
			return &media.Error{Kind: media.Invalid, Code: "body_cut", Detail: "the body ended early", Err: err}
		}
	}
	return nil
}

// dropWhole drops the bytes of a row that was not written. When that cannot be known, the commit may have gone through, they stay: the
// sweeper asks again after the grace time.
func (s *Service) dropWhole(ctx context.Context, a *media.Asset, cause error) {
	if !refusal(cause) {
		if _, err := s.ledger.Asset(ctx, a.ID); !errors.Is(err, media.NotFound) {
			return
		}
	}
	if err := s.dropBytes(ctx, a.Backend, a.Key); err != nil {
		s.o.Logger.WarnContext(ctx, "bytes not dropped", "asset", a.ID.String(), "error", err)
	}
}

// hashOf computes the SHA-256 of an object, slowly while uploads are running: they need the processor more.
func (s *Service) hashOf(ctx context.Context, a media.Asset) ([]byte, error) {
	o, err := s.store.Stat(ctx, a.Backend, a.Key)
	if err != nil {
		return nil, err
	}
	h := sha256.New()
	if o.Size == 0 {
		return h.Sum(nil), nil
	}
	body, err := s.store.Read(ctx, a.Backend, o, 0, o.Size)
	if err != nil {
		return nil, err
	}
	buf := make([]byte, 256<<10)
	var n int64
	for err == nil {
		if n%hashSlice == 0 {
			if err = s.breathe(ctx); err != nil {
				break
			}
		}
		var m int64
		m, err = io.CopyBuffer(h, onlyReader{io.LimitReader(body, hashSlice)}, buf)
		if n += m; m == 0 {
			break
		}
	}
	if cerr := body.Close(); err == nil {
		err = cerr
	}
	if err == nil && n != o.Size {
		err = io.ErrUnexpectedEOF
	}
	return h.Sum(nil), err
}

// onlyReader hides WriterTo, which would pass the buffer by.
type onlyReader struct{ io.Reader }
