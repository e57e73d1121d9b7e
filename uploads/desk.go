package uploads

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"sluice/media"
	"sluice/storage"
)

// Bounds on waiting for others.
const (
	ledgerPatience = 5 * time.Second  // one ledger call in a request
	knownPatience  = time.Second      // one for a row that is remembered, among nodes; and for how long none is made after one that failed
	finishPatience = 30 * time.Second // commit and row together; a 5 TiB multipart completion takes long
)

// upload is one asset on its way in, as this process knows it: its row, and the handle that its bytes go through.
type upload struct {
	id        media.AssetID
	loading   sync.Mutex // one load of the row at a time
	finishing sync.Mutex // one finish at a time

	mu      sync.Mutex
	row     *media.Asset // never changed in place, so that it is handed out without a copy: of a thousand waiting requests each held four
	loaded  bool
	write   storage.Write // nil: not open now
	writing bool          // a request appends
	gone    bool          // doomed
	stale   bool          // somebody changed the row: it is read again before it is believed
	head    []byte        // the first bytes while they are too few to judge
	judged  bool
	mime    string // the type to keep, once judged

	users int // guarded by desk.mu, as is used
	used  time.Time
}

// desk is the open uploads in memory, so that a PATCH asks the ledger for nothing and an absent ledger stops no running upload.
type desk struct {
	mu sync.Mutex
	m  map[media.AssetID]*upload
}

// take gives the upload of an id, with one more user.
func (d *desk) take(id media.AssetID) *upload {
	d.mu.Lock()
	defer d.mu.Unlock()
	u := d.m[id]
	if u == nil {
		u = &upload{id: id, row: new(media.Asset)}
		d.m[id] = u
	}
	u.users++
	return u
}

// holds reports whether somebody uses an upload now.
func (d *desk) holds(id media.AssetID) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	u := d.m[id]
	return u != nil && u.users > 0
}

// put starts an upload that was created just now, with one user.
func (d *desk) put(row *media.Asset) *upload {
	d.mu.Lock()
	defer d.mu.Unlock()
	u := d.m[row.ID]
	if u == nil {
		u = &upload{id: row.ID}
		d.m[row.ID] = u
	}
	u.users++
	u.mu.Lock()
	u.row, u.loaded = row, true
	u.mu.Unlock()
	return u
}

// leave ends a use. What is finished or gone is forgotten at once: the ledger answers for it from then on.
func (d *desk) leave(u *upload, limit int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	u.users--
	u.used = time.Now()
	if u.users > 0 {
		return
	}
	u.mu.Lock()
	over := u.gone || !u.loaded || u.row.State.Finished()
	u.mu.Unlock()
	if over {
		d.drop(u)
	} else if len(d.m) > limit {
		d.evict(len(d.m) - limit + limit/8)
	}
}

// release ends a use that was a look and no more: unless others use it, the upload is closed again.
func (d *desk) release(u *upload) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if u.users--; u.users == 0 {
		d.drop(u)
	}
}

// drop forgets an upload nobody uses. Called with the lock held, so that nobody opens the same bytes before they are closed.
func (d *desk) drop(u *upload) {
	if d.m[u.id] == u {
		delete(d.m, u.id)
	}
	u.close()
}

// evict drops the n uploads that were idle for the longest.
func (d *desk) evict(n int) {
	idle := make([]*upload, 0, len(d.m))
	for _, u := range d.m {
		if u.users == 0 {
			idle = append(idle, u)
		}
	}
	slices.SortFunc(idle, func(a, b *upload) int { return a.used.Compare(b.used) })
	for _, u := range idle[:min(n, len(idle))] {
		d.drop(u)
	}
}

// closeIdle drops what was not used since a time; the zero time: everything nobody uses.
func (d *desk) closeIdle(now time.Time, idle time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, u := range d.m {
		if u.users == 0 && (now.IsZero() || now.Sub(u.used) >= idle) {
			d.drop(u)
		}
	}
}

// close gives up the handle; the bytes stay for a later Resume. It waits for whoever works with the handle, and keeps the row free.
func (u *upload) close() {
	u.mu.Lock()
	w := u.write
	u.write = nil
	u.mu.Unlock()
	if w != nil {
		_ = w.Close() // every kept byte is in the file already: Close has nothing left that could be lost
	}
}

// asset gives the row as it is known here, to be read only.
func (u *upload) asset() *media.Asset {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.row
}

func (u *upload) set(row *media.Asset) {
	u.mu.Lock()
	u.row, u.loaded = row, true
	u.mu.Unlock()
}

// open takes an upload and sees that its row is known. The row of a finished one is read each time: its media may be deleted by others.
// The caller leaves it.
func (s *Service) open(ctx context.Context, id media.AssetID) (*upload, error) {
	u := s.desk.take(id)
	if err := s.load(ctx, u); err != nil {
		s.leave(u)
		return nil, err
	}
	return u, nil
}

func (s *Service) leave(u *upload) { s.desk.leave(u, s.o.MaxOpen) }

func (s *Service) load(ctx context.Context, u *upload) error {
	u.loading.Lock()
	defer u.loading.Unlock()
	u.mu.Lock()
	open, stale, gone := u.loaded && !u.row.State.Finished(), u.stale, u.gone
	u.stale = false
	u.mu.Unlock()
	if gone {
		return errMissing()
	}
	believed := !stale
	if s.o.Shared { // other nodes finish, remove and declare
		believed = s.ledgerSilent()
	}
	if open && believed {
		return nil
	}
	wait := ledgerPatience
	if s.o.Shared && open {
		wait = knownPatience
	}
	bounded, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	row, err := s.ledger.Asset(bounded, u.id)
	switch {
	case err == nil:
		u.set(&row)
		return nil
	case !open:
		return err
	}
	if media.KindOf(err) == media.Unavailable || bounded.Err() != nil && ctx.Err() == nil {
		s.silent.Store(int64(time.Since(s.begun) + knownPatience))
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if media.KindOf(err) == media.NotFound {
		u.gone = true
		return errMissing()
	}
	u.stale = true // the upload goes on while the ledger is away
	return nil
}

// ledgerSilent reports whether the ledger failed to answer just now: rows that are known are then believed for a moment, so that requests
// do not wait for it one by one.
func (s *Service) ledgerSilent() bool { return int64(time.Since(s.begun)) < s.silent.Load() }

// Changed says that a row was changed, by whomever. It costs nothing when the asset is no open upload. catalogue.Options.Changed calls it.
func (s *Service) Changed(id media.AssetID) {
	s.desk.mu.Lock()
	u := s.desk.m[id]
	s.desk.mu.Unlock()
	if u != nil {
		u.mu.Lock()
		u.stale = true
		u.mu.Unlock()
	}
}

// ChangedAll says that changes may have been missed: every open upload is read again before it is believed.
func (s *Service) ChangedAll() {
	s.desk.mu.Lock()
	open := make([]*upload, 0, len(s.desk.m))
	for _, u := range s.desk.m {
		open = append(open, u)
	}
	s.desk.mu.Unlock()
	for _, u := range open {
		u.mu.Lock()
		u.stale = true
		u.mu.Unlock()
	}
}

// handle opens the bytes of an upload, or gives the handle that is open.
func (s *Service) handle(ctx context.Context, u *upload) (storage.Write, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.gone {
		return nil, errMissing()
	}
	if u.write != nil {
		return u.write, nil
	}
	w, err := s.store.Resume(ctx, u.row.Backend, u.row.Key)
	if errors.Is(err, media.NotFound) {
		return nil, &media.Error{Kind: media.Gone, Code: "upload_gone", Detail: "the bytes of this upload are gone", Err: err}
	}
	if err != nil {
		return nil, err
	}
	u.write = w
	return w, nil
}

// offset tells how many bytes of an unfinished upload are kept, and whether that is all of them.
func (s *Service) offset(ctx context.Context, u *upload) (n int64, complete bool, err error) {
	row := u.asset()
	if row.State.Finished() {
		return row.Size, true, nil
	}
	if row.Upload.Final { // joined in one step, no bytes of its own come in
		return 0, true, nil
	}
	w, err := s.handle(ctx, u)
	if err != nil {
		return 0, false, err
	}
	n, err = w.Offset(ctx)
	if err != nil {
		if row := u.asset(); row.State.Finished() { // a finish has closed the handle in between
			return row.Size, true, nil
		}
	}
	return n, err == nil && !row.Upload.Deferred && n == row.Size, err
}

// recalls reports whether the open handle of an unfinished upload has its end at off, as far as it knows without asking another machine:
// bytes that come for off then need no look before. Should others have gone on with it the storage refuses them.
func (u *upload) recalls(off int64) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	r, ok := u.write.(storage.Recaller)
	if !ok || off < 0 || u.gone || u.row.State.Finished() || off == u.row.Size && !u.row.Upload.Deferred {
		return false
	}
	at, known := r.Recall()
	return known && at == off
}

func errMissing() error {
	return &media.Error{Kind: media.NotFound, Code: "upload_not_found", Detail: "no such upload"}
}

// expired reports whether an unfinished upload is past its time.
func (s *Service) expired(a *media.Asset) bool {
	at := a.Upload.ExpiresAt
	return !at.IsZero() && !s.o.Now().Before(at) && !a.State.Finished()
}
