package curation

import (
	"context"
	"errors"
	"slices"
	"time"

	"sluice/media"
)

// Trash lists what was deleted and can be restored, newest first: one's own, and to admins all.
func (l *LMS) Trash(ctx context.Context, p media.Principal, limit int, cursor string) (items []media.Trashed, next string, err error) {
	switch {
	case p.Anonymous():
		return nil, "", nobody()
	case limit == 0:
		limit = usualLimit
	case limit < 1 || limit > maxLimit:
		return nil, "", invalid("limit", "limit is 1 to %d", maxLimit)
	}
	by := p.Subject
	if p.Has(media.Admin) {
		by = ""
	}
	return l.books.Trash(ctx, by, limit, cursor)
}

// trashed reads what p may restore: what they deleted, what is theirs, and what hung on their own.
func (l *LMS) trashed(ctx context.Context, p media.Principal, id media.AssetID) (media.Trashed, error) {
	if p.Anonymous() {
		return media.Trashed{}, nobody()
	}
	noSuch := &media.Error{Kind: media.NotFound, Detail: "the trash has no such thing"}
	t, err := l.books.Trashed(ctx, id)
	if errors.Is(err, media.NotFound) {
		return t, noSuch // to the letter as what is there, and somebody else's
	}
	if err != nil {
		return t, err
	}
	hung := t.Asset
	hung.Also = append([]media.Subject{t.Placement.Subject()}, hung.Also...)
	if p.Staff() && t.By == p.Subject || l.rights.Manages(ctx, p, hung) {
		return t, nil
	}
	return media.Trashed{}, noSuch
}

// PutBack restores one place. What it hung on must be there: one that was deleted is restored first, and brings all along.
func (l *LMS) PutBack(ctx context.Context, p media.Principal, id media.AssetID) (media.Place, error) {
	t, err := l.trashed(ctx, p, id)
	if err != nil {
		return media.Place{}, err
	}
	switch err := l.mayPlace(ctx, p, t.Placement); {
	case errors.Is(err, media.Invalid):
		s := t.Placement.Subject()
		return media.Place{}, &media.Error{Kind: media.Conflict, Code: "nothing_to_hang_on", Detail: "the " + string(s.Type) + " it hung on is not there: restore that first", Err: err}
	case err != nil:
		return media.Place{}, err
	}
	return l.books.Restore(ctx, id)
}

// ThrowAway drops one from the trash.
func (l *LMS) ThrowAway(ctx context.Context, p media.Principal, id media.AssetID) error {
	if _, err := l.trashed(ctx, p, id); err != nil {
		return err
	}
	a, last, err := l.books.Empty(ctx, id)
	if err == nil && last {
		l.media.drop(ctx, a)
	}
	return err
}

// Run finishes, or undoes, what was cut off, drops what was in the trash for long enough, and looks at places that could not be looked at
// before, until ctx ends. Several nodes may run it at once.
func (l *LMS) Run(ctx context.Context) error {
	again := time.NewTicker(l.o.Interval)
	defer again.Stop()
	for {
		if err := l.Sweep(ctx); err != nil && ctx.Err() == nil {
			l.media.o.Logger.DebugContext(ctx, "not all that was cut off could be finished; it is tried again", "error", err)
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// Sweep does once what Run does.
func (l *LMS) Sweep(ctx context.Context) error {
	return errors.Join(l.sweepIntents(ctx), l.sweepTrash(ctx), l.sweepUnchecked(ctx))
}

func (l *LMS) sweepIntents(ctx context.Context) error {
	intents, err := l.books.Intents(ctx)
	if err != nil {
		return err
	}
	var errs []error
	there := make(map[string]bool, len(intents))
	for _, i := range intents {
		there[i.ID] = true
		errs = append(errs, l.mend(ctx, i))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for id := range l.seen {
		if !there[id] {
			delete(l.seen, id)
		}
	}
	return errors.Join(errs...)
}

// abandoned reports whether whoever began an intent has had their time. It is counted from when this node saw it first: clocks of nodes differ.
func (l *LMS) abandoned(i media.Intent) bool {
	now := time.Now() // monotonic
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.mine[i.ID]:
		return false
	case l.o.Alone:
		return true
	}
	first, known := l.seen[i.ID]
	if !known {
		l.seen[i.ID] = now
		return false
	}
	return now.Sub(first) >= l.o.Lease
}

// atWork reports whether a request of this process is at work on an intent.
func (l *LMS) atWork(i media.Intent) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mine[i.ID]
}

// mend takes one intent to its end, as far as that is decided or nobody is at work on it any more.
func (l *LMS) mend(ctx context.Context, i media.Intent) error {
	if l.atWork(i) {
		return nil
	}
	abandoned := l.abandoned(i)
	switch i.Doing {
	case media.Creating:
		return l.mendCreating(ctx, i, abandoned)
	case media.Deleting:
		buried, err := l.records.Buried(ctx, i.Subject)
		if err != nil {
			return l.giveUp(ctx, i, abandoned, err)
		}
		err = l.records.Bury(ctx, i.Subject, buried.Version)
		switch {
		case errors.Is(err, media.PreconditionFailed):
			return l.books.End(ctx, i.ID) // it was restored since we looked
		case err != nil && !errors.Is(err, media.NotFound):
			return err
		}
		return l.clear(ctx, i)
	case media.Restoring:
		_, err := l.records.Record(ctx, i.Subject)
		if err == nil {
			if _, err = l.records.Raise(ctx, i.Subject); err != nil {
				return err
			}
			return l.books.RestoreAll(ctx, i.Subject, i.ID)
		}
		return l.giveUp(ctx, i, abandoned, err)
	}
	return nil
}

func (l *LMS) mendCreating(ctx context.Context, i media.Intent, abandoned bool) error {
	state := i.State
	if state == media.Begun {
		if !abandoned {
			return nil
		}
		if err := l.books.Undo(ctx, i.ID); err != nil {
			if errors.Is(err, media.Conflict) || errors.Is(err, media.NotFound) {
				return nil // decided, or ended meanwhile
			}
			return err
		}
		state = media.Undone
	}
	var err error
	var over media.Kind // it was written over, or removed, since: it is theirs
	if state == media.Undone {
		err, over = l.records.Withdraw(ctx, i.Subject, i.ID), media.Conflict
	} else {
		_, err = l.records.Settle(ctx, i.Subject, i.ID)
		over = media.NotFound
	}
	if err != nil && !errors.Is(err, over) {
		return err
	}
	return l.books.End(ctx, i.ID)
}

// giveUp ends an intent whose first step was never done.
func (l *LMS) giveUp(ctx context.Context, i media.Intent, abandoned bool, err error) error {
	if !errors.Is(err, media.NotFound) || !abandoned {
		if errors.Is(err, media.NotFound) {
			return nil
		}
		return err
	}
	return l.books.End(ctx, i.ID)
}

// leaving reports whether a record in the trash is on its way out: it goes for good, or has been there for long enough. The intent of the first was
// there before the record was, and is there until it is gone. Media of the second go by when the deletion began, and their record by when it was
// buried, which is a moment later.
func (l *LMS) leaving(ctx context.Context, s media.Subject) (bool, error) {
	intents, err := l.books.Intents(ctx)
	if err != nil {
		return false, err
	}
	for _, i := range intents {
		if i.Subject == s && i.Doing == media.Deleting && i.Until.IsZero() {
			return true, nil
		}
	}
	moment := min(stepsLimit, l.o.Trash/100)
	old, err := l.records.BuriedBefore(ctx, l.media.o.Now().Add(moment-l.o.Trash))
	return slices.Contains(old, s), err
}

// sweepTrash drops what has been kept long enough, records and media.
func (l *LMS) sweepTrash(ctx context.Context) error {
	now := l.media.o.Now().UTC()
	err := l.books.EmptyUntil(ctx, now)
	old, rerr := l.records.BuriedBefore(ctx, now.Add(-l.o.Trash))
	err = errors.Join(err, rerr)
	for _, s := range old {
		err = errors.Join(err, l.forget(ctx, s, now))
	}
	return err
}

// forget drops a record from the trash, and what was hung on it by somebody who had looked just before it was deleted. The record goes first: from
// then on nobody restores it.
func (l *LMS) forget(ctx context.Context, s media.Subject, now time.Time) error {
	if err := l.records.Drop(ctx, s); err != nil {
		return err
	}
	if _, err := l.records.Record(ctx, s); !errors.Is(err, media.NotFound) {
		return err // nil: it was restored meanwhile
	}
	gone, err := l.books.RemoveAll(ctx, s, "", media.Trashed{Of: s, At: now})
	for _, a := range gone {
		l.media.drop(ctx, a)
	}
	return err
}

// sweepUnchecked puts media in the places that uploads named while the LMS's database was away, as far as those exist and are open to their owners.
func (l *LMS) sweepUnchecked(ctx context.Context) error {
	for a, err := range l.books.Unchecked(ctx) {
		if err != nil {
			return err
		}
		checked, err := l.rights.MayPlace(ctx, a.Placer(), a.Placement)
		if !checked {
			return nil // still away
		}
		if err != nil {
			l.media.o.Logger.WarnContext(ctx, "media is not put where its upload said", "media_id", a.ID.String(), "error", err)
		}
		if err := l.books.Checked(ctx, a.ID, err == nil); err != nil && !errors.Is(err, media.NotFound) {
			return err
		}
	}
	return nil
}
