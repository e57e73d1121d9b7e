package entities

import (
	"context"
	"errors"
	"time"

	"sluice/media"
)

// Bury moves a record whose Version is version ("" for any) to the trash, where no read sees it, and no program that reads the LMS's
// database; nil when it is there already. First a copy is put in the trash, then the record is deleted as it was copied. What is cut off
// between is completed by burying again: once there is the copy of a version, that version is to go.
func (r *Records) Bury(ctx context.Context, s media.Subject, version string) error {
	live, err := key(s)
	if err != nil {
		return err
	}
	trash := Key{Subject: s, Trash: true}
	for {
		there, err := r.driver.Get(ctx, live)
		gone := errors.Is(err, media.NotFound)
		if err != nil && !gone {
			return wrap("bury", err)
		}
		copied, err := r.copyOf(ctx, trash)
		if err != nil {
			return err
		}
		if gone && copied != nil {
			r.o.Changed(s) // its burial may have been cut off before that was told
			return nil
		}
		if gone || pending(there) {
			return missing(s.Type)
		}
		if version != "" && there.Version != version && (copied == nil || copied.Version != version) {
			return stale()
		}
		done, err := r.inter(ctx, live, trash, there)
		if done || err != nil {
			return err
		}
	}
}

func (r *Records) copyOf(ctx context.Context, trash Key) (*Document, error) {
	d, err := r.driver.Get(ctx, trash)
	if errors.Is(err, media.NotFound) {
		return nil, nil
	}
	return &d, wrap("look in the trash", err)
}

// inter copies a document to the trash, and deletes it as long as it is still that. When somebody was faster the copy is taken back, unless
// it is another's by now, and done is false.
func (r *Records) inter(ctx context.Context, live, trash Key, d Document) (done bool, err error) {
	d.BuriedAt = r.now(nil)
	if _, err := r.driver.Write(ctx, trash, func(*Document) (*Document, error) { return &d, nil }); err != nil {
		return false, wrap("bury", err)
	}
	_, err = r.write(ctx, "bury", live, func(there *Document) (*Document, error) {
		if there != nil && there.Version != d.Version {
			return nil, stale()
		}
		return nil, nil
	})
	if !errors.Is(err, media.PreconditionFailed) {
		return err == nil, err
	}
	_, err = r.driver.Write(ctx, trash, func(copied *Document) (*Document, error) {
		if copied == nil || copied.Version != d.Version {
			return copied, nil
		}
		return nil, nil
	})
	return false, wrap("bury", err)
}

// Buried reads a record in the trash; media.NotFound.
func (r *Records) Buried(ctx context.Context, s media.Subject) (media.Record, error) {
	if _, err := key(s); err != nil {
		return media.Record{}, err
	}
	d, err := r.copyOf(ctx, Key{Subject: s, Trash: true})
	switch {
	case err != nil:
		return media.Record{}, err
	case d == nil:
		return media.Record{}, missing(s.Type)
	}
	return record(s.Type, *d), nil
}

// maxBuried is how many BuriedBefore gives.
const maxBuried = 1000

// BuriedBefore gives those that were moved to the trash before a time, oldest first, at most 1,000.
func (r *Records) BuriedBefore(ctx context.Context, t time.Time) ([]media.Subject, error) {
	found, err := r.driver.Trashed(ctx, t, maxBuried)
	return found, wrap("look through the trash", err)
}

// Raise moves a record back from the trash; nil when it is back already, media.NotFound when it is nowhere. One that is buried meanwhile is
// left in the trash as that burial put it there: somebody's deletion is not to end in nothing being anywhere.
func (r *Records) Raise(ctx context.Context, s media.Subject) (media.Record, error) {
	live, err := key(s)
	if err != nil {
		return media.Record{}, err
	}
	trash := Key{Subject: s, Trash: true}
	copied, err := r.copyOf(ctx, trash)
	if err != nil {
		return media.Record{}, err
	}
	back, err := r.write(ctx, "raise", live, func(there *Document) (*Document, error) {
		switch {
		case there != nil && pending(*there):
			return nil, &media.Error{Kind: media.Conflict, Code: "exists", Detail: "another one is about to take its place"}
		case there != nil && copied != nil && there.Version == copied.Version:
			return r.next(there), nil // a burial may be about to delete this version, for the sake of the copy
		case there != nil:
			return there, nil
		case copied == nil:
			return nil, missing(s.Type)
		}
		back := r.next(copied)
		back.BuriedAt = time.Time{}
		return back, nil
	})
	if err != nil || copied == nil {
		return back, err
	}
	_, err = r.driver.Write(ctx, trash, func(there *Document) (*Document, error) {
		if there != nil && there.Version != copied.Version {
			return there, nil // buried again by now
		}
		return nil, nil
	})
	return back, wrap("raise", err)
}

// Drop removes a record from the trash; nil when it is gone.
func (r *Records) Drop(ctx context.Context, s media.Subject) error {
	if _, err := key(s); err != nil {
		return err
	}
	_, err := r.driver.Write(ctx, Key{Subject: s, Trash: true}, func(*Document) (*Document, error) { return nil, nil })
	return wrap("drop", err)
}
