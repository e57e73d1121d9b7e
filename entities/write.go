package entities

import (
	"context"
	"maps"
	"time"

	"sluice/media"
)

// write is one Write of the driver: every one of Records goes through it.
func (r *Records) write(ctx context.Context, doing string, k Key, change Change) (media.Record, error) {
	d, err := r.driver.Write(ctx, k, change)
	switch media.KindOf(err) {
	case media.Invalid, media.NotFound, media.Conflict, media.PreconditionFailed, media.TooLarge:
		// refused: nothing was written
	default:
		r.o.Changed(k.Subject)
	}
	if err != nil {
		return media.Record{}, wrap(doing, err)
	}
	return record(k.Type, d), nil
}

// now is the time of a write over what is there: later than that in any case, to the millisecond.
func (r *Records) now(there *Document) time.Time {
	now := r.o.Now().UTC().Truncate(time.Millisecond)
	if there != nil {
		if after := there.UpdatedAt().Add(time.Millisecond); now.Before(after) {
			return after
		}
	}
	return now
}

// next is a document to be written over another.
func (r *Records) next(there *Document) *Document {
	d := *there
	d.Fields = maps.Clone(there.Fields)
	d.Fields["updatedAt"] = r.now(there)
	return &d
}

// Create writes a new record. Its owner is kept as createdBy (of reviews and orders, user) unless its fields tell one. Published is what
// its fields tell. One for a work is pending: it is missing to every read here until Settle for that work. An id that is there is
// media.Conflict, unless it is pending for the same work.
func (r *Records) Create(ctx context.Context, e media.Record, work string) (media.Record, error) {
	k, err := key(e.Subject)
	if err != nil {
		return media.Record{}, err
	}
	fields, err := fresh(e)
	if err != nil {
		return media.Record{}, err
	}
	if work != "" {
		fields[PendingMember] = work
	}
	return r.write(ctx, "create", k, func(there *Document) (*Document, error) {
		switch {
		case pendingFor(there, work):
			return there, nil // it was written, and the answer was lost
		case there != nil:
			return nil, &media.Error{Kind: media.Conflict, Code: "exists", Detail: "there is such a " + string(e.Type) + " already"}
		}
		now := r.now(nil)
		fields["createdAt"], fields["updatedAt"] = now, now
		if !e.CreatedAt.IsZero() {
			fields["createdAt"] = e.CreatedAt.UTC().Truncate(time.Millisecond)
		}
		return &Document{ID: e.ID, Fields: fields}, nil
	})
}

// fresh gives the fields of a record to be kept.
func fresh(e media.Record) (map[string]any, error) {
	given, err := clean(e.ID, e.Fields)
	if err != nil {
		return nil, err
	}
	fields := make(map[string]any, len(given)+4)
	for k, v := range given {
		fields[k] = restored(v, nil)
	}
	if members := OwnerFields(e.Type); e.Owner != "" && len(members) > 0 && OwnerOf(e.Type, Document{Fields: fields}) != e.Owner {
		fields[members[0]] = e.Owner
	}
	return fields, nil
}

// Settle ends the pending of a record for a work, and gives the record as it is then; what is not pending for that stays as it is.
// media.NotFound when it is not there, or pending for another.
func (r *Records) Settle(ctx context.Context, s media.Subject, work string) (media.Record, error) {
	k, err := key(s)
	if err != nil {
		return media.Record{}, err
	}
	return r.write(ctx, "settle", k, func(there *Document) (*Document, error) {
		if !pendingFor(there, work) {
			return there, same(s.Type, there, "")
		}
		d := r.next(there)
		delete(d.Fields, PendingMember)
		return d, nil
	})
}

// Withdraw removes a record that is pending for a work; nil when it is gone, or pending for another, media.Conflict when it is settled.
func (r *Records) Withdraw(ctx context.Context, s media.Subject, work string) error {
	k, err := key(s)
	if err != nil {
		return err
	}
	_, err = r.write(ctx, "withdraw", k, func(there *Document) (*Document, error) {
		switch {
		case there != nil && !pending(*there):
			return nil, &media.Error{Kind: media.Conflict, Code: "settled", Detail: "it is there for all to see already"}
		case !pendingFor(there, work):
			return there, nil
		}
		return nil, nil
	})
	return err
}

// Change sets fields, nil removes one, of a record whose Version is version ("" for any); media.PreconditionFailed when it is another.
func (r *Records) Change(ctx context.Context, s media.Subject, version string, set map[string]any) (media.Record, error) {
	k, err := key(s)
	if err != nil {
		return media.Record{}, err
	}
	fields, err := clean(s.ID, set)
	if err != nil {
		return media.Record{}, err
	}
	return r.write(ctx, "change", k, func(there *Document) (*Document, error) {
		if err := same(s.Type, there, version); err != nil {
			return nil, err
		}
		d := r.next(there)
		for k, v := range fields {
			if v == nil {
				delete(d.Fields, k)
			} else {
				d.Fields[k] = restored(v, there.Fields[k])
			}
		}
		return d, publish(d, there, fields["published"])
	})
}

// publish says in the LMS's own words that a record is published, or not: where it keeps isPublished, both would contradict each other
// once the LMS changes its own. A status that hides is the LMS's to lift: it may stand for a moderator's no.
func publish(d, there *Document, asked any) error {
	published, said := asked.(bool)
	if !said {
		return nil
	}
	if _, own := there.Fields["isPublished"].(bool); own {
		if _, both := there.Fields["published"]; !both {
			delete(d.Fields, "published")
		}
		d.Fields["isPublished"] = published
	}
	if published && !Published(*d) {
		return &media.Error{Kind: media.Conflict, Code: "status_hides", Detail: "its status in the LMS keeps it from being published", Field: "published"}
	}
	return nil
}

// same refuses what is not there, or not of a version.
func same(t media.SubjectType, there *Document, version string) error {
	switch {
	case there == nil || pending(*there):
		return missing(t)
	case version != "" && there.Version != version:
		return stale()
	}
	return nil
}

// Put writes a record as it is given, whether it was there or not. Its UpdatedAt is now; what of a record there is hidden stays.
func (r *Records) Put(ctx context.Context, e media.Record) (media.Record, error) {
	k, err := key(e.Subject)
	if err != nil {
		return media.Record{}, err
	}
	fields, err := fresh(e)
	if err != nil {
		return media.Record{}, err
	}
	return r.write(ctx, "put", k, func(there *Document) (*Document, error) {
		now := r.now(there)
		d := &Document{ID: e.ID, Fields: maps.Clone(fields)}
		d.Fields["createdAt"], d.Fields["updatedAt"] = now, now
		if there != nil {
			d.Raw = there.Raw
			for k, v := range fields {
				d.Fields[k] = restored(v, there.Fields[k])
			}
			for k, v := range there.Fields {
				if k != PendingMember && (hidden(k) || k == "createdAt") {
					d.Fields[k] = v
				}
			}
		}
		if !e.CreatedAt.IsZero() {
			d.Fields["createdAt"] = e.CreatedAt.UTC().Truncate(time.Millisecond)
		}
		return d, nil
	})
}

// Remove removes a record; media.NotFound.
func (r *Records) Remove(ctx context.Context, s media.Subject) error {
	k, err := key(s)
	if err != nil {
		return err
	}
	_, err = r.write(ctx, "remove", k, func(there *Document) (*Document, error) { return nil, same(s.Type, there, "") })
	return err
}
