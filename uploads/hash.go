package uploads

import (
	"context"
	"errors"
	"maps"
	"time"

	"sluice/media"
)

// The pace of background hashing.
const (
	hashSlice  = 4 << 20
	hashPause  = 40 * time.Millisecond  // between slices while uploads run
	hashQuiet  = 100 * time.Millisecond // after the last of a burst of small files, so that settling does not slow them
	hashLatest = 2 * time.Second        // after the first of them
	hashBatch  = 256
)

func (s *Service) wakeHasher() { token(s.hashing) }

// runHasher settles stored uploads: it computes the SHA-256 that is missing and moves the row to ready.
func (s *Service) runHasher(ctx context.Context) {
	bad := map[media.AssetID]time.Time{} // could not be read: not again before that time
	var first time.Time                  // since when something waits to be settled; zero: nothing does
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.hashing:
			if first.IsZero() {
				first = time.Now()
			}
			timer.Reset(max(0, min(hashQuiet, hashLatest-time.Since(first))))
			continue
		case <-timer.C:
		}
		first = time.Time{}
		more, err := s.settleSome(ctx, bad)
		switch {
		case err != nil && ctx.Err() == nil:
			s.o.Logger.WarnContext(ctx, "hashing postponed", "error", err)
			timer.Reset(lastRetry)
		case more:
			timer.Reset(0)
		default:
			timer.Reset(s.o.SweepInterval)
		}
	}
}

// settleSome settles up to a batch of rows, and reports whether there may be more.
func (s *Service) settleSome(ctx context.Context, bad map[media.AssetID]time.Time) (more bool, err error) {
	maps.DeleteFunc(bad, func(_ media.AssetID, until time.Time) bool { return time.Now().After(until) })
	var rows []media.Asset
	for a, err := range s.ledger.Unsettled(ctx) {
		if err != nil {
			return false, err
		}
		if a.Upload.Partial || a.State != media.Stored || a.StorageType == media.Cloud || !bad[a.ID].IsZero() {
			continue
		}
		if rows = append(rows, a); len(rows) == hashBatch {
			more = true
			break
		}
	}
	away := map[string]bool{}
	for _, a := range rows {
		if away[a.Backend] {
			bad[a.ID] = time.Now().Add(s.o.SweepInterval)
			continue
		}
		sum, err := s.hashOf(ctx, a)
		if err != nil {
			if ctx.Err() != nil {
				return false, ctx.Err()
			}
			away[a.Backend] = media.KindOf(err) == media.Unavailable
			bad[a.ID] = time.Now().Add(s.o.SweepInterval)
			s.o.Logger.WarnContext(ctx, "asset not hashed", "asset", a.ID.String(), "error", err)
			continue
		}
		err = s.ledger.Settle(ctx, a.ID, a.ContentID, sum)
		if errors.Is(err, media.Conflict) { // replaced meanwhile: the new bytes are next
			more = true
			continue
		}
		if err != nil && media.KindOf(err) != media.NotFound {
			return false, err
		}
	}
	return more, nil
}

// breathe waits a moment while uploads run.
func (s *Service) breathe(ctx context.Context) error {
	if s.active.Load() == 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(hashPause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
