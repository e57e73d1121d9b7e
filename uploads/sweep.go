package uploads

import (
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"sluice/media"
	"sluice/storage"
)

// thorough is how many sweeps pass between two that also look at the bytes of every open upload and every object.
const thorough = 60

// runIdle closes what this node has open for nobody.
func (s *Service) runIdle(ctx context.Context) {
	tick := time.NewTicker(s.o.SweepInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.desk.closeIdle(time.Now(), s.o.IdleTimeout)
		}
	}
}

// runSweeper sweeps at once, and again in intervals. A sweep that finds its ledger away is soon repeated.
func (s *Service) runSweeper(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var seen *activity
	if s.o.Shared {
		seen = newActivity(s.backendNames(), min(finishPatience, s.o.SweepInterval))
	}
	for round := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		err := s.sweep(ctx, round%thorough == 0, seen)
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
func (s *Service) Sweep(ctx context.Context, all bool) error { return s.sweep(ctx, all, nil) }

// sweep also looks at what is suspicious by seen, when that is given.
func (s *Service) sweep(ctx context.Context, all bool, seen *activity) error {
	if err := s.sweepUnfinished(ctx, all, seen); err != nil {
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

func (s *Service) sweepUnfinished(ctx context.Context, all bool, seen *activity) error {
	now := s.o.Now()
	if err := seen.look(ctx, s.store, now, all); err != nil && ctx.Err() == nil {
		s.o.Logger.WarnContext(ctx, "unfinished writes not listed", "error", err) // the next round makes up for it
	}
	rows, err := collect(s.ledger.Unfinished(ctx, now), func(a media.Asset) bool { return all || s.expired(&a) || seen.suspects(&a) })
	if err != nil {
		return err
	}
	err = s.byBackend(ctx, rows, func(ctx context.Context, a *media.Asset) error { return s.sweepOne(ctx, a, seen) })
	if err == nil {
		seen.looked()
	}
	return err
}

// errAway ends the work on one backend's rows until the next sweep.
var errAway = errors.New("uploads: the backend is away")

// byBackend works on rows: those of each backend in their order, beside the others', so that a backend that hangs or is away holds up its
// own only. An error ends the work on its backend, and unless it is errAway, which was logged, it is given back.
func (s *Service) byBackend(ctx context.Context, rows []media.Asset, work func(context.Context, *media.Asset) error) error {
	groups := map[string][]media.Asset{}
	for _, a := range rows {
		groups[a.Backend] = append(groups[a.Backend], a)
	}
	return each(slices.Collect(maps.Keys(groups)), func(name string) error {
		for i := range groups[name] {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := work(ctx, &groups[name][i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// each works on backends side by side, as byBackend says.
func each(names []string, work func(name string) error) error {
	errs := make([]error, len(names))
	var wg sync.WaitGroup
	for i, name := range names {
		wg.Go(func() {
			if err := work(name); !errors.Is(err, errAway) {
				errs[i] = err
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// away notes that a backend did not answer.
func (s *Service) away(ctx context.Context, backend string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	s.o.Logger.WarnContext(ctx, "backend not swept", "backend", backend, "error", err)
	return errAway
}

// sweepOne finishes, removes or leaves one unfinished upload.
func (s *Service) sweepOne(ctx context.Context, a *media.Asset, seen *activity) error {
	if s.desk.holds(a.ID) { // whoever uses it now decides
		seen.inUse(a.ID)
		return nil
	}
	unlock, ok := s.locker.Try(ctx, a.ID, func() {})
	if !ok {
		seen.inUse(a.ID)
		return nil // somebody works on it
	}
	defer unlock()
	u, err := s.open(ctx, a.ID)
	if err != nil {
		if media.KindOf(err) != media.NotFound {
			seen.inUse(a.ID) // asked again by the next sweep
		}
		return nil
	}
	defer s.desk.release(u) // there may be a hundred thousand
	row := u.asset()
	if row.State.Finished() {
		return nil
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
	if media.KindOf(err) == media.Unavailable && err != nil {
		return s.away(ctx, row.Backend, err)
	}
	if err != nil && ctx.Err() == nil {
		s.o.Logger.WarnContext(ctx, "upload not swept", "asset", a.ID.String(), "error", err)
	}
	return nil
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
	return s.byBackend(ctx, rows, s.sweepDoomedOne)
}

func (s *Service) sweepDoomedOne(ctx context.Context, a *media.Asset) error {
	if a.Backend != "" { // else kept elsewhere: no bytes here
		err := s.dropBytes(ctx, a.Backend, a.Key)
		switch {
		case err == nil:
		case media.KindOf(err) == media.Unavailable:
			return s.away(ctx, a.Backend, err)
		default:
			if ctx.Err() == nil {
				s.o.Logger.WarnContext(ctx, "bytes not dropped", "asset", a.ID.String(), "error", err)
			}
			return ctx.Err()
		}
	}
	if err := s.ledger.Forget(ctx, a.ID); err != nil && media.KindOf(err) != media.NotFound {
		return err
	}
	return nil
}

// batch is how many keys the ledger is asked about at once.
const batch = 500

// sweepOrphans removes bytes that no row owns and that are older than the grace time. Bytes are listed before the ledger is asked, so a row
// that is written meanwhile is seen; bytes whose row is not written yet are younger than any request lasts.
//
// A ledger judges nothing that is older than its oldest row: a bucket outlives the container whose catalogue was lost with it, and an empty
// catalogue must not empty the bucket.
func (s *Service) sweepOrphans(ctx context.Context) error {
	oldest, err := s.ledger.Oldest(ctx)
	if err != nil || oldest.IsZero() {
		return err
	}
	return each(s.backendNames(), func(name string) error {
		for _, list := range []iter.Seq2[media.Object, error]{s.store.Unfinished(ctx, name), s.store.List(ctx, name, "")} {
			if err := s.sweepList(ctx, name, list, oldest.Truncate(time.Millisecond)); err != nil {
				return err
			}
		}
		return s.store.Tidy(ctx, name)
	})
}

func (s *Service) backendNames() []string {
	if len(s.o.Backends) > 0 {
		return s.o.Backends
	}
	return s.store.Names()
}

func (s *Service) sweepList(ctx context.Context, backend string, list iter.Seq2[media.Object, error], oldest time.Time) error {
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
			return s.away(ctx, backend, err)
		}
		if !s.stale(o, oldest) {
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

// stale reports whether an object is an original of ours that is older than the grace time, by its id and by its last change, and not older
// than the ledger. What others keep beside the originals is not ours to judge.
func (s *Service) stale(o media.Object, oldest time.Time) bool {
	id, err := media.ParseAssetID(o.Key[strings.LastIndexByte(o.Key, '/')+1:])
	if err != nil || storage.KeyFor(id) != o.Key {
		return false
	}
	before := s.o.Now().Add(-s.o.Grace)
	return id.Time().Before(before) && o.ModTime.Before(before) && !id.Time().Before(oldest)
}
