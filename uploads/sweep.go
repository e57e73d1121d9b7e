package uploads

import (
	"context"
	"errors"
	"iter"
	"strings"
	"time"

	"sluice/media"
	"sluice/storage"
)

// thorough is how many sweeps pass between two that also look at the bytes of every open upload and every object.
const thorough = 60

// runSweeper sweeps at once, and again in intervals. A sweep that finds its ledger away is soon repeated.
func (s *Service) runSweeper(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for round := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		s.desk.closeIdle(time.Now(), s.o.IdleTimeout)
		err := s.Sweep(ctx, round%thorough == 0)
		if err != nil {
			if ctx.Err() == nil {
				s.o.Logger.WarnContext(ctx, "sweep cut short", "error", err)
			}
			timer.Reset(min(lastRetry, s.o.SweepInterval))
			continue
		}
		round++
		timer.Reset(s.o.SweepInterval)
	}
}

// Sweep removes expired uploads and what is doomed. With all set it also finishes uploads that have all their bytes, and removes bytes
// that no row owns. Run calls it; it may be called beside it.
func (s *Service) Sweep(ctx context.Context, all bool) error {
	if err := s.sweepUnfinished(ctx, all); err != nil {
		return err
	}
	if err := s.sweepParts(ctx); err != nil {
		return err
	}
	if err := s.sweepDoomed(ctx); err != nil {
		return err
	}
	if !all {
		return nil
	}
	return s.sweepOrphans(ctx)
}

// collect reads rows from the ledger before anything is done with them, so that no query stays open meanwhile.
func collect(rows iter.Seq2[media.Asset, error], keep func(media.Asset) bool) ([]media.Asset, error) {
	var as []media.Asset
	for a, err := range rows {
		if err != nil {
			return nil, err
		}
		if keep(a) {
			as = append(as, a)
		}
	}
	return as, nil
}

func (s *Service) sweepUnfinished(ctx context.Context, all bool) error {
	now := s.o.Now()
	rows, err := collect(s.ledger.Unfinished(ctx, now), func(a media.Asset) bool { return all || s.expired(&a) })
	if err != nil {
		return err
	}
	for _, a := range rows {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !s.desk.holds(a.ID) { // whoever uses it now decides
			s.sweepOne(ctx, a)
		}
	}
	return nil
}

// sweepOne finishes, removes or leaves one unfinished upload.
func (s *Service) sweepOne(ctx context.Context, a media.Asset) {
	unlock, err := s.locker.Lock(ctx, a.ID, time.Now, func() {})
	if err != nil {
		return
	}
	defer unlock()
	u, err := s.open(ctx, a.ID)
	if err != nil {
		return // gone meanwhile, or asked again by the next sweep
	}
	defer s.desk.release(u) // there may be a hundred thousand
	row := u.asset()
	if row.State.Finished() {
		return
	}
	_, complete, err := s.offset(ctx, u)
	switch lost := errors.Is(err, media.Gone); {
	case complete:
		err = s.finish(ctx, u)
	case lost && s.o.Now().Sub(row.CreatedAt) > s.o.Grace: // a row without bytes
		err = s.remove(ctx, u)
	case s.expired(row) && (err == nil || lost):
		err = s.remove(ctx, u)
	}
	if err != nil && ctx.Err() == nil {
		s.o.Logger.WarnContext(ctx, "upload not swept", "asset", a.ID.String(), "error", err)
	}
}

// sweepParts removes finished parts past their time. A final upload keeps its bytes: see storage.Concatenator.
func (s *Service) sweepParts(ctx context.Context) error {
	rows, err := collect(s.ledger.Unsettled(ctx), func(a media.Asset) bool {
		at := a.Upload.ExpiresAt
		if at.IsZero() {
			at = a.CreatedAt.Add(s.o.Expiry)
		}
		return a.Upload.Partial && !s.o.Now().Before(at)
	})
	if err != nil {
		return err
	}
	for _, a := range rows {
		if err := s.ledger.Doom(ctx, a.ID); err != nil && media.KindOf(err) != media.NotFound {
			return err
		}
	}
	return nil
}

func (s *Service) sweepDoomed(ctx context.Context) error {
	rows, err := collect(s.ledger.Doomed(ctx), func(media.Asset) bool { return true })
	if err != nil {
		return err
	}
	for _, a := range rows {
		if a.Backend == "" { // kept elsewhere: no bytes here
			err = s.ledger.Forget(ctx, a.ID)
		} else {
			err = s.erase(ctx, &a)
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case media.KindOf(err) == media.Unavailable:
			return err
		case err != nil:
			s.o.Logger.WarnContext(ctx, "bytes not dropped", "asset", a.ID.String(), "error", err)
		}
	}
	return nil
}

// batch is how many keys the ledger is asked about at once.
const batch = 500

// sweepOrphans removes bytes that no row owns and that are older than the grace time. Bytes are listed before the ledger is asked, so a row
// that is written meanwhile is seen; bytes whose row is not written yet are younger than any request lasts.
func (s *Service) sweepOrphans(ctx context.Context) error {
	for _, name := range s.backendNames() {
		for _, list := range []iter.Seq2[media.Object, error]{s.store.Unfinished(ctx, name), s.store.List(ctx, name, "")} {
			if err := s.sweepList(ctx, name, list); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Service) backendNames() []string {
	if len(s.o.Backends) > 0 {
		return s.o.Backends
	}
	b, err := s.store.Backend("")
	if err != nil {
		return nil
	}
	return []string{b.Name}
}

func (s *Service) sweepList(ctx context.Context, backend string, list iter.Seq2[media.Object, error]) error {
	var keys []string
	flush := func() error {
		if len(keys) == 0 {
			return nil
		}
		owned, err := s.ledger.Keys(ctx, backend, keys)
		if err != nil {
			return err
		}
		for _, k := range keys {
			if owned[k] {
				continue
			}
			if err := s.dropBytes(ctx, backend, k); err != nil {
				s.o.Logger.WarnContext(ctx, "orphan not dropped", "error", err)
			}
		}
		keys = keys[:0]
		return nil
	}
	for o, err := range list {
		if err != nil {
			return err
		}
		if !s.stale(o) {
			continue
		}
		if keys = append(keys, o.Key); len(keys) == batch {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// stale reports whether an object is an original of ours that is older than the grace time, by its id and by its last change. What others
// keep beside the originals is not ours to judge.
func (s *Service) stale(o media.Object) bool {
	id, err := media.ParseAssetID(o.Key[strings.LastIndexByte(o.Key, '/')+1:])
	if err != nil || storage.KeyFor(id) != o.Key {
		return false
	}
	before := s.o.Now().Add(-s.o.Grace)
	return id.Time().Before(before) && o.ModTime.Before(before)
}
