package uploads_test

import (
	"bytes"
	"cmp"
	"context"
	"iter"
	"slices"
	"sync"
	"time"

	"sluice/media"
	"sluice/uploads"
)

var _ uploads.Ledger = (*ledger)(nil)

// ledger is an honest catalogue in memory that can be away.
type ledger struct {
	mu     sync.Mutex
	rows   map[media.AssetID]media.Asset
	doomed map[media.AssetID]media.Asset
	grants map[string]bool
	away   bool
	stored map[media.AssetID]int // how often a row moved to stored
	asked  int                   // calls in all
	swept  int                   // walks over doomed rows: one in each sweep
}

func newLedger() *ledger {
	return &ledger{
		rows: map[media.AssetID]media.Asset{}, doomed: map[media.AssetID]media.Asset{}, grants: map[string]bool{},
		stored: map[media.AssetID]int{},
	}
}

func (l *ledger) setAway(v bool) {
	l.mu.Lock()
	l.away = v
	l.mu.Unlock()
}

func (l *ledger) calls() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asked
}

func (l *ledger) timesStored(id media.AssetID) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stored[id]
}

func (l *ledger) sweeps() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.swept
}

// enter takes the lock; the caller gives it back.
func (l *ledger) enter(ctx context.Context) error {
	l.mu.Lock()
	l.asked++
	if l.away {
		return media.Wrap(media.Unavailable, nil, "the catalogue is away")
	}
	return ctx.Err()
}

func (l *ledger) used(owner string, but media.AssetID) int64 {
	var n int64
	for _, a := range l.rows {
		if a.Owner == owner && a.ID != but && a.Size > 0 {
			n += a.Size
		}
	}
	return n
}

func (l *ledger) Begin(ctx context.Context, a media.Asset, quota int64) (media.Asset, bool, error) {
	err := l.enter(ctx)
	defer l.mu.Unlock()
	if err != nil {
		return a, false, err
	}
	if a.Upload.Final {
		for _, row := range l.rows {
			if row.Owner == a.Owner && row.Upload.Final && slices.Equal(row.Upload.Parts, a.Upload.Parts) {
				return row, true, nil
			}
		}
	}
	for _, row := range l.rows {
		if g := a.Upload.GrantID; g != "" && row.Upload.GrantID == g && a.State == media.Uploading && row.State == media.Uploading && row.Owner == a.Owner &&
			row.Size == a.Size && row.Upload.Deferred == a.Upload.Deferred && row.Upload.Metadata == a.Upload.Metadata {
			return row, true, nil
		}
	}
	if quota > 0 && l.used(a.Owner, a.ID)+max(a.Size, 0) > quota {
		return a, false, media.Errorf(media.TooLarge, "over the quota of %d bytes", quota)
	}
	if g := a.Upload.GrantID; g != "" {
		if l.grants[g] {
			return a, false, media.Errorf(media.Forbidden, "this grant was used")
		}
		l.grants[g] = true
	}
	if a.State == media.Stored {
		l.stored[a.ID]++
	}
	a.Version = 1
	l.rows[a.ID] = a
	return a, false, nil
}

func (l *ledger) Asset(ctx context.Context, id media.AssetID) (media.Asset, error) {
	err := l.enter(ctx)
	defer l.mu.Unlock()
	if err != nil {
		return media.Asset{}, err
	}
	a, ok := l.rows[id]
	if !ok {
		return a, media.Errorf(media.NotFound, "no such asset")
	}
	return a, nil
}

// change alters a row in state uploading.
func (l *ledger) change(ctx context.Context, id media.AssetID, f func(*media.Asset) error) error {
	err := l.enter(ctx)
	defer l.mu.Unlock()
	if err != nil {
		return err
	}
	a, ok := l.rows[id]
	if !ok {
		return media.Errorf(media.NotFound, "no such asset")
	}
	if err := f(&a); err != nil {
		return err
	}
	a.Version++
	l.rows[id] = a
	return nil
}

func (l *ledger) Declare(ctx context.Context, id media.AssetID, length, quota int64) error {
	return l.change(ctx, id, func(a *media.Asset) error {
		if !a.Upload.Deferred && a.Size != length {
			return media.Errorf(media.Conflict, "another length was declared")
		}
		if quota > 0 && l.used(a.Owner, id)+length > quota {
			return media.Errorf(media.TooLarge, "over the quota")
		}
		a.Size, a.Upload.Deferred = length, false
		return nil
	})
}

func (l *ledger) Reserve(ctx context.Context, id media.AssetID, total, quota int64) error {
	return l.change(ctx, id, func(a *media.Asset) error {
		if quota > 0 && l.used(a.Owner, id)+total > quota {
			return media.Errorf(media.TooLarge, "over the quota")
		}
		return nil
	})
}

func (l *ledger) Extend(ctx context.Context, id media.AssetID, expires time.Time) error {
	return l.change(ctx, id, func(a *media.Asset) error {
		a.Upload.ExpiresAt = expires
		return nil
	})
}

func (l *ledger) Stored(ctx context.Context, id media.AssetID, o media.Object, mime string, sum []byte) (row media.Asset, err error) {
	err = l.change(ctx, id, func(a *media.Asset) error {
		if a.State == media.Uploading {
			a.State, a.Size, a.SHA256, a.StoredAt = media.Stored, o.Size, bytes.Clone(sum), time.Now()
			if mime != "" {
				a.MIMEType, a.Type = mime, media.TypeOf(mime)
			}
			l.stored[id]++
		}
		row = *a
		return nil
	})
	return row, err
}

// unplace is uploads.Options.Unplace.
func (l *ledger) unplace(ctx context.Context, id media.AssetID) error {
	return l.change(ctx, id, func(a *media.Asset) error {
		if !a.State.Finished() {
			a.Placement = media.Placement{Kind: media.Generic}
		}
		return nil
	})
}

func (l *ledger) Settle(ctx context.Context, id, content media.AssetID, sum []byte) error {
	return l.change(ctx, id, func(a *media.Asset) error {
		if a.State == media.Stored && a.ContentID != content {
			return media.Errorf(media.Conflict, "its bytes are others by now")
		}
		if a.State == media.Stored {
			a.State, a.SHA256 = media.Ready, bytes.Clone(sum)
		}
		return nil
	})
}

func (l *ledger) walk(ctx context.Context, from func() map[media.AssetID]media.Asset, keep func(media.Asset) bool) iter.Seq2[media.Asset, error] {
	return func(yield func(media.Asset, error) bool) {
		err := l.enter(ctx)
		var rows []media.Asset
		for _, a := range from() {
			if keep(a) {
				rows = append(rows, a)
			}
		}
		l.mu.Unlock()
		if err != nil {
			yield(media.Asset{}, err)
			return
		}
		slices.SortFunc(rows, func(a, b media.Asset) int { return cmp.Compare(a.ID.String(), b.ID.String()) })
		for _, a := range rows {
			if !yield(a, nil) {
				return
			}
		}
	}
}

func (l *ledger) live() map[media.AssetID]media.Asset { return l.rows }

func (l *ledger) Unfinished(ctx context.Context, before time.Time) iter.Seq2[media.Asset, error] {
	return l.walk(ctx, l.live, func(a media.Asset) bool { return a.State == media.Uploading && a.CreatedAt.Before(before) })
}

func (l *ledger) Unsettled(ctx context.Context) iter.Seq2[media.Asset, error] {
	return l.walk(ctx, l.live, func(a media.Asset) bool { return a.State == media.Stored })
}

func (l *ledger) Open(ctx context.Context, owner string) iter.Seq2[media.Asset, error] {
	return l.walk(ctx, l.live, func(a media.Asset) bool { return a.State == media.Uploading && a.Owner == owner })
}

func (l *ledger) Doom(ctx context.Context, id media.AssetID) error {
	err := l.enter(ctx)
	defer l.mu.Unlock()
	if err != nil {
		return err
	}
	a, ok := l.rows[id]
	if !ok {
		return media.Errorf(media.NotFound, "no such asset")
	}
	delete(l.rows, id)
	l.doomed[id] = a
	return nil
}

func (l *ledger) Doomed(ctx context.Context) iter.Seq2[media.Asset, error] {
	l.mu.Lock()
	l.swept++
	l.mu.Unlock()
	return l.walk(ctx, func() map[media.AssetID]media.Asset { return l.doomed }, func(media.Asset) bool { return true })
}

func (l *ledger) Forget(ctx context.Context, id media.AssetID) error {
	err := l.enter(ctx)
	defer l.mu.Unlock()
	delete(l.doomed, id)
	return err
}

func (l *ledger) Oldest(ctx context.Context) (time.Time, error) {
	err := l.enter(ctx)
	defer l.mu.Unlock()
	var at time.Time
	for _, a := range l.rows {
		if !a.Upload.Partial && (at.IsZero() || a.CreatedAt.Before(at)) {
			at = a.CreatedAt
		}
	}
	return at, err
}

func (l *ledger) Keys(ctx context.Context, backend string, keys []string) (map[string]bool, error) {
	err := l.enter(ctx)
	defer l.mu.Unlock()
	owned := map[string]bool{}
	for _, m := range []map[media.AssetID]media.Asset{l.rows, l.doomed} {
		for _, a := range m {
			if a.Backend == backend && slices.Contains(keys, a.Key) {
				owned[a.Key] = true
			}
		}
	}
	return owned, err
}
