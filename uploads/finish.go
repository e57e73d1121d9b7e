package uploads

import (
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"sluice/internal/crash"
	"sluice/media"
)

// finish makes a complete upload durable and tells the ledger, in this order; it may be repeated after a failure at any step, and by
// another process. When it cannot be done now it is noted, and runFinisher repeats it.
func (s *Service) finish(ctx context.Context, u *upload) error {
	u.finishing.Lock()
	defer u.finishing.Unlock()
	return s.finishLocked(ctx, u)
}

func (s *Service) finishLocked(ctx context.Context, u *upload) error {
	row := u.asset()
	if row.State.Finished() {
		return nil
	}
	// A client that leaves now must not stop half-way what it has paid for with all its bytes.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishPatience)
	defer cancel()
	err := s.settleBytes(ctx, u, row)
	switch {
	case err == nil:
		return nil
	case refusal(err):
		now, lerr := s.ledger.Asset(ctx, u.id)
		if lerr == nil && now.State.Finished() { // another node was faster
			u.set(&now)
			return nil
		}
		if lerr != nil && media.KindOf(lerr) != media.NotFound { // whether it was cannot be known now
			break
		}
		if rerr := s.remove(ctx, u); rerr != nil {
			s.postpone(u, true)
		}
		return err
	}
	s.postpone(u, false)
	s.o.Logger.WarnContext(ctx, "finish postponed", "asset", u.id.String(), "error", err)
	return finishPending(err)
}

// refusal reports whether trying again would end the same way.
func refusal(err error) bool {
	switch media.KindOf(err) {
	case media.NotFound, media.Gone, media.Unsupported, media.TooLarge, media.Forbidden:
		return true
	default:
		return false
	}
}

func finishPending(err error) error {
	if media.KindOf(err) == media.Full {
		return err
	}
	return &media.Error{
		Kind: media.Unavailable, Code: "finish_pending", Detail: "every byte is here; the upload is being finished",
		RetryAfter: time.Second, Err: err,
	}
}

// settleBytes commits the object, looks at its first bytes once more if nobody has yet, and commits the row.
func (s *Service) settleBytes(ctx context.Context, u *upload, row *media.Asset) error {
	o, err := s.commit(ctx, u, row)
	if err != nil {
		return err
	}
	if row.Size >= 0 && o.Size != row.Size {
		return media.Errorf(media.Internal, "stored %d bytes of %d", o.Size, row.Size)
	}
	mime, err := s.typeOf(ctx, u, row, o)
	if err != nil {
		return err
	}
	if err := s.placeAgain(ctx, row); err != nil {
		return err
	}
	if mime == row.MIMEType { // said already, and the client may have said more of it: mediaType
		mime = ""
	}
	crash.At("uploads: before ledger stored")
	stored, err := s.ledger.Stored(ctx, u.id, o, mime, nil)
	if err != nil {
		return err
	}
	crash.At("uploads: after ledger stored")
	u.set(&stored)
	u.close()
	s.pending.done(u.id)
	s.wakeHasher()
	return nil
}

func (s *Service) commit(ctx context.Context, u *upload, row *media.Asset) (media.Object, error) {
	if row.Upload.Final {
		crash.At("uploads: before concat")
		o, err := s.join(ctx, row)
		crash.At("uploads: after concat, before stored")
		return o, err
	}
	w, err := s.handle(ctx, u)
	if err != nil {
		return media.Object{}, err
	}
	crash.At("uploads: before commit")
	o, err := w.Commit(ctx)
	crash.At("uploads: after commit")
	return o, err
}

// join makes the parts of a final upload one object.
func (s *Service) join(ctx context.Context, row *media.Asset) (media.Object, error) {
	keys := make([]string, len(row.Upload.Parts))
	for i, id := range row.Upload.Parts {
		part, err := s.ledger.Asset(ctx, id)
		if err != nil {
			return media.Object{}, err
		}
		keys[i] = part.Key
	}
	return s.store.Concat(ctx, row.Backend, row.Key, keys)
}

// typeOf gives the type to keep. An upload whose first bytes were not judged while they came in (a restart between them, a joined one) is
// judged now, before anybody can fetch it.
func (s *Service) typeOf(ctx context.Context, u *upload, row *media.Asset, o media.Object) (string, error) {
	u.mu.Lock()
	judged, mime := u.judged, u.mime
	u.mu.Unlock()
	if judged || row.Upload.Partial {
		return mime, nil
	}
	var head []byte
	if o.Size > 0 {
		body, err := s.store.Read(ctx, row.Backend, o, 0, min(headSize, o.Size))
		if err != nil {
			return "", err
		}
		head, err = io.ReadAll(body)
		if cerr := body.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return "", err
		}
	}
	mime, err := s.judge(row, head)
	if err == nil {
		u.mu.Lock()
		u.judged, u.mime = true, mime
		u.mu.Unlock()
	}
	return mime, err
}

// task is what is to be done with an upload.
type task struct {
	backend string
	remove  bool // else finish
}

// pending is what could not be finished or removed because something was away.
type pending struct {
	mu   sync.Mutex
	m    map[media.AssetID]task
	wake chan struct{}
}

func newPending() pending {
	return pending{m: map[media.AssetID]task{}, wake: make(chan struct{}, 1)}
}

// postpone leaves an upload to be finished, or removed, to the finisher.
func (s *Service) postpone(u *upload, remove bool) {
	s.pending.add(u.id, task{u.asset().Backend, remove})
}

// add wakes the finisher for what is new only: its own failures come by here too, and must wait for the next round.
func (p *pending) add(id media.AssetID, t task) {
	p.mu.Lock()
	was, known := p.m[id]
	p.m[id] = task{t.backend, was.remove || t.remove}
	p.mu.Unlock()
	if known && (was.remove || !t.remove) {
		return
	}
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *pending) done(id media.AssetID) {
	p.mu.Lock()
	delete(p.m, id)
	p.mu.Unlock()
}

// tried ends what was noted, unless a failed finish has made a removal of it meanwhile.
func (p *pending) tried(id media.AssetID, remove bool) {
	p.mu.Lock()
	if p.m[id].remove == remove {
		delete(p.m, id)
	}
	p.mu.Unlock()
}

func (p *pending) all() map[media.AssetID]task {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.m)
}

// Retries of what is pending: quick at first, and never further apart than keeps recovery within a second.
const (
	firstRetry = 50 * time.Millisecond
	lastRetry  = 400 * time.Millisecond
)

// runFinisher repeats what is pending until it is done.
func (s *Service) runFinisher(ctx context.Context) {
	wait := firstRetry
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.pending.wake:
		case <-timer.C:
		}
		if s.retryPending(ctx) {
			wait = firstRetry
		} else {
			wait = min(2*wait, lastRetry)
			timer.Reset(wait)
		}
	}
}

// retryPending tries everything once, and reports whether nothing is left. One that finds its dependency away ends the round for its
// backend: what the others keep is not held up by it.
func (s *Service) retryPending(ctx context.Context) bool {
	todo := s.pending.all()
	groups := map[string][]media.AssetID{}
	for id, t := range todo {
		groups[t.backend] = append(groups[t.backend], id)
	}
	_ = each(slices.Collect(maps.Keys(groups)), func(backend string) error { // what fails is tried again
		for _, id := range groups[backend] {
			err := s.retry(ctx, id, todo[id].remove)
			switch {
			case err == nil || refusal(err):
				s.pending.tried(id, todo[id].remove)
			case ctx.Err() != nil || media.KindOf(err) == media.Unavailable:
				return errAway
			}
		}
		return nil
	})
	return len(s.pending.all()) == 0
}

func (s *Service) retry(ctx context.Context, id media.AssetID, remove bool) error {
	u, err := s.open(ctx, id)
	if err != nil {
		return err
	}
	defer s.leave(u)
	u.mu.Lock()
	busy := u.writing
	u.mu.Unlock()
	switch {
	case remove && busy: // the bytes go when they have stopped coming
		return errLocked()
	case remove:
		return s.remove(ctx, u)
	case busy: // whoever writes will finish
		return nil
	}
	_, complete, err := s.offset(ctx, u)
	if err != nil || !complete {
		return err
	}
	return s.finish(ctx, u)
}

// remove dooms an upload, drops its bytes and forgets it. It may be repeated; a crash between the steps is made up for by the sweeper. What is doomed
// already is left to that: its bytes may have taken the place of another asset's.
func (s *Service) remove(ctx context.Context, u *upload) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), ledgerPatience)
	defer cancel()
	err := s.ledger.Doom(ctx, u.id)
	if err != nil && media.KindOf(err) != media.NotFound {
		return err
	}
	crash.At("uploads: after doom")
	u.mu.Lock()
	u.gone = true
	row := u.row
	u.mu.Unlock()
	u.close()
	s.pending.done(u.id)
	if err != nil {
		return nil // it is gone, and that was wanted
	}
	return s.erase(ctx, row)
}

// erase drops the bytes of a doomed row, committed or not, and then the row.
func (s *Service) erase(ctx context.Context, row *media.Asset) error {
	if err := s.dropBytes(ctx, row.Backend, row.Key); err != nil {
		return err
	}
	crash.At("uploads: after bytes dropped")
	if err := s.ledger.Forget(ctx, row.ID); err != nil && media.KindOf(err) != media.NotFound {
		return err
	}
	return nil
}

// dropBytes removes what stands under a key. What is not there is removed.
func (s *Service) dropBytes(ctx context.Context, backend, key string) error {
	err := s.store.Delete(ctx, backend, key)
	if err == nil {
		return nil
	}
	if !errors.Is(err, media.NotFound) {
		return err
	}
	w, err := s.store.Resume(ctx, backend, key)
	if errors.Is(err, media.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	err = w.Abort(ctx)
	if cerr := w.Close(); err == nil {
		err = cerr
	}
	return err
}
