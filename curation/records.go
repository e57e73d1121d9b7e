package curation

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"sluice/internal/crash"
	"sluice/media"
)

// Bounds of a record.
const (
	maxDescription = 20_000
	maxTags        = 50
	maxTag         = 100
	maxModules     = 200
	maxLessons     = 2000
	maxAttached    = 100 // media that come with their product
)

// stepsLimit bounds work on both databases. It is under LMSOptions.Lease, so that nobody undoes what somebody still does.
const stepsLimit = 8 * time.Second

// NewRecord is a product or course to be made, with the media that come along.
type NewRecord struct {
	Type   media.SubjectType // Product or Course
	Fields map[string]any    // see media.Record; modules and lessons without an id are given one
	Images []media.Attachment
	Key    string // names the request: the same one by the same principal makes one record; "": each makes another
}

// Create makes a product, with images, or a course. Either all of it comes to be, or nothing: what fails or dies on the way is undone, or finished
// when all media stand. Errors about an image name it in their Field, "images[2]".
func (l *LMS) Create(ctx context.Context, p media.Principal, n NewRecord) (View, error) {
	switch {
	case p.Anonymous():
		return View{}, nobody()
	case !p.Staff():
		return View{}, &media.Error{Kind: media.Forbidden, Code: "staff_only", Detail: "only instructors and admins make products and courses"}
	}
	now := l.media.o.Now().UTC()
	s := media.Subject{Type: n.Type, ID: recordID(p, n, now)}
	if err := checkRecord(s.Type, n.Fields, true); err != nil {
		return View{}, err
	}
	if err := l.checkImages(ctx, p, s, n.Images); err != nil {
		return View{}, err
	}
	r := media.Record{Subject: s, Fields: n.Fields, Owner: p.Subject, Published: published(n.Fields), CreatedAt: now, UpdatedAt: now}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stepsLimit) // who hangs up leaves nothing half done
	defer cancel()
	var made media.Record
	var err error
	if len(n.Images) == 0 {
		made, err = l.records.Create(ctx, r, "")
	} else {
		made, err = l.createWith(ctx, p, r, n.Images)
	}
	if errors.Is(err, media.Conflict) && n.Key != "" {
		return l.madeBefore(ctx, p, s, err)
	}
	if err != nil {
		return View{}, err
	}
	return l.viewOf(ctx, p, made)
}

// recordID is random, or follows from the request's name.
func recordID(p media.Principal, n NewRecord, now time.Time) string {
	if n.Key == "" {
		return media.NewRecordID(now)
	}
	sum := sha256.Sum256([]byte(strings.Join([]string{"sluice record 1", string(n.Type), p.Subject, n.Key}, "\x00")))
	return hex.EncodeToString(sum[:12])
}

// madeBefore gives what an earlier request of the same name has made.
func (l *LMS) madeBefore(ctx context.Context, p media.Principal, s media.Subject, conflict error) (View, error) {
	r, err := l.records.Record(ctx, s)
	switch {
	case errors.Is(err, media.NotFound):
		return View{}, &media.Error{Kind: media.Unavailable, Code: "being_made", Detail: "an earlier request is still making it", RetryAfter: time.Second}
	case err != nil:
		return View{}, err
	case r.Owner != p.Subject:
		return View{}, conflict
	}
	return l.viewOf(ctx, p, r)
}

// createWith makes a record and the media on it. See docs/decisions/0038.
func (l *LMS) createWith(ctx context.Context, p media.Principal, r media.Record, images []media.Attachment) (made media.Record, err error) {
	i := media.Intent{ID: media.NewAssetID(r.CreatedAt).String(), Doing: media.Creating, Subject: r.Subject, By: p.Subject, State: media.Begun, At: r.CreatedAt}
	defer l.work(i)()
	if err := l.books.Intend(ctx, i); err != nil {
		return made, err
	}
	crash.At("lms: intent kept")
	if _, err := l.records.Create(ctx, r, i.ID); err != nil {
		l.undo(ctx, i, !errors.Is(err, media.Conflict) && !errors.Is(err, media.Invalid))
		return made, err
	}
	crash.At("lms: record made")
	if _, err := l.books.Attach(ctx, i.ID, images); err != nil {
		if decided := l.undo(ctx, i, true); !decided {
			return made, err
		}
	}
	crash.At("lms: media attached")
	if made, err = l.records.Settle(ctx, r.Subject, i.ID); err != nil {
		return made, &media.Error{Kind: media.Unavailable, Code: "being_made", Detail: "it is made, and shows as soon as the database of the LMS is back", RetryAfter: time.Second, Err: err}
	}
	crash.At("lms: record settled")
	l.end(ctx, i)
	return made, nil
}

// undo takes back a creation, and reports that it cannot because it is decided. What it does not get done is left to the sweeper.
func (l *LMS) undo(ctx context.Context, i media.Intent, made bool) (decided bool) {
	err := l.books.Undo(ctx, i.ID)
	if errors.Is(err, media.Conflict) {
		return true
	}
	if err == nil && made {
		err = l.records.Withdraw(ctx, i.Subject, i.ID)
	}
	if err == nil {
		err = l.books.End(ctx, i.ID)
	}
	if err != nil {
		l.media.o.Logger.WarnContext(ctx, "a record that could not be made is left to the sweeper", "type", string(i.Subject.Type), "record_id", i.Subject.ID, "error", err)
	}
	return false
}

// end forgets an intent whose work is done. The sweeper does it when this fails.
func (l *LMS) end(ctx context.Context, i media.Intent) {
	if err := l.books.End(ctx, i.ID); err != nil {
		l.media.o.Logger.DebugContext(ctx, "an intent is left to the sweeper", "doing", string(i.Doing), "record_id", i.Subject.ID, "error", err)
	}
}

// checkImages checks what comes with a product, and makes the first its main image when none is.
func (l *LMS) checkImages(ctx context.Context, p media.Principal, s media.Subject, images []media.Attachment) error {
	if len(images) > 0 && s.Type != media.Product {
		return invalid("images", "images come with products")
	}
	if len(images) > maxAttached {
		return invalid("images", "a product comes with at most %d images; more are added afterwards", maxAttached)
	}
	mains := 0
	for i := range images {
		a := &images[i]
		a.Placement.Kind, a.Placement.ProductID = media.ProductImage, s.ID
		field := fmt.Sprintf("images[%d]", i)
		if err := l.checkAttachment(ctx, p, a); err != nil {
			return within(err, field)
		}
		if !a.Asset.ID.IsZero() && slices.ContainsFunc(images[:i], func(b media.Attachment) bool { return b.Asset.ID == a.Asset.ID }) {
			return invalid(field, "the same media is named twice")
		}
		if a.Placement.MainImage {
			mains++
		}
	}
	if mains > 1 {
		return invalid("images", "one image is the main image")
	}
	if mains == 0 && len(images) > 0 {
		images[0].Placement.MainImage = true
	}
	return nil
}

// within puts the name of the input that an error is about before the member it names.
func within(err error, field string) error {
	e, ok := errors.AsType[*media.Error](err)
	if !ok {
		return err
	}
	named := *e
	if named.Field != "" {
		field += "." + named.Field
	}
	named.Field = field
	return &named
}

// Change changes a product or course whose Version is one of versions, nil for any. A nil field is removed.
func (l *LMS) Change(ctx context.Context, p media.Principal, s media.Subject, versions []string, set map[string]any) (View, error) {
	r, err := l.managed(ctx, p, s)
	if err != nil {
		return View{}, err
	}
	if versions != nil && !slices.Contains(versions, r.Version) {
		return View{}, staleRecord()
	}
	if err := checkRecord(s.Type, set, false); err != nil {
		return View{}, err
	}
	if set["modules"] != nil {
		set["modules"] = keptFields(r.Fields["modules"], set["modules"])
	}
	if len(set) > 0 {
		if r, err = l.records.Change(ctx, s, r.Version, set); err != nil {
			return View{}, err
		}
	}
	return l.viewOf(ctx, p, r)
}

func staleRecord() error {
	return &media.Error{Kind: media.PreconditionFailed, Code: "stale_version", Detail: "it has changed since that version"}
}

// Delete deletes a product or course whose Version is one of versions, nil for any, and all media that hang on nothing else. It can be restored for
// LMSOptions.Trash, unless it is to be for good.
func (l *LMS) Delete(ctx context.Context, p media.Principal, s media.Subject, versions []string, forGood bool) error {
	r, err := l.managed(ctx, p, s)
	if err != nil {
		return err
	}
	if versions != nil && !slices.Contains(versions, r.Version) {
		return staleRecord()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stepsLimit)
	defer cancel()
	i := l.intent(p, s, media.Deleting)
	if forGood {
		i.Until = time.Time{}
	}
	defer l.work(i)()
	if err := l.books.Intend(ctx, i); err != nil {
		return err
	}
	crash.At("lms: intent kept")
	if err := l.records.Bury(ctx, s, r.Version); err != nil {
		if !errors.Is(err, media.Unavailable) { // else it may have been done: the sweeper looks
			l.end(ctx, i)
		}
		return err
	}
	crash.At("lms: record buried")
	return l.clear(ctx, i)
}

// work notes that this process is at work on an intent, until done is called.
func (l *LMS) work(i media.Intent) (done func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mine[i.ID] = true
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.mine, i.ID)
	}
}

// intent makes an intent of now that keeps what it deletes as long as usual.
func (l *LMS) intent(p media.Principal, s media.Subject, d media.Doing) media.Intent {
	now := l.media.o.Now().UTC()
	return media.Intent{ID: media.NewAssetID(now).String(), Doing: d, Subject: s, By: p.Subject, State: media.Begun, At: now, Until: now.Add(l.o.Trash)}
}

// clear removes what hangs on a record that is buried, and ends the intent.
func (l *LMS) clear(ctx context.Context, i media.Intent) error {
	t := media.Trashed{Of: i.Subject, By: i.By, At: i.At, Until: i.Until}
	late, err := l.clearLessons(ctx, i.Subject, t)
	if err != nil {
		return err
	}
	if !i.Until.IsZero() {
		if _, err := l.books.RemoveAll(ctx, i.Subject, i.ID, t); err != nil {
			return err
		}
		crash.At("lms: media in the trash")
		if _, err := l.records.Record(ctx, i.Subject); err != nil {
			return nil //nolint:nilerr // it is gone, as it shall be; or that cannot be known, and the deletion is done
		}
		return l.books.RestoreAll(ctx, i.Subject, "") // it was restored meanwhile, when the trash did not have its media yet
	}
	gone, err := l.books.RemoveAll(ctx, i.Subject, "", t) // the record is still to go from the trash
	if err != nil {
		return err
	}
	crash.At("lms: media removed")
	for _, a := range slices.Concat(late, gone) {
		l.media.drop(ctx, a)
	}
	if err := l.records.Drop(ctx, i.Subject); err != nil {
		return err
	}
	return l.books.End(ctx, i.ID)
}

// clearLessons removes what refers to the lessons of a course that is buried: the catalogue does not know whose they are. It goes under the name of
// the course, and comes back with it.
func (l *LMS) clearLessons(ctx context.Context, s media.Subject, t media.Trashed) (gone []media.Asset, err error) {
	if s.Type != media.Course {
		return nil, nil
	}
	r, err := l.records.Buried(ctx, s)
	if err != nil {
		if errors.Is(err, media.NotFound) {
			return nil, nil // restored, or dropped, meanwhile
		}
		return nil, err
	}
	r.Lessons(func(_, id string) bool {
		lesson := media.Subject{Type: media.Lesson, ID: id}
		if !media.ValidEntityID(id) {
			return true
		}
		var there []media.PlaceCount
		if there, err = l.books.PlaceCounts(ctx, media.PlaceQuery{Kind: media.Generic, Reference: lesson}); err != nil || len(there) == 0 {
			return err == nil
		}
		var more []media.Asset
		more, err = l.books.RemoveAll(ctx, lesson, "", t)
		gone = append(gone, more...)
		return err == nil
	})
	return gone, err
}

// Restore puts a deleted product or course back, with what hung on it. Of one that is back already it gives the View: who asks again may not have
// heard the answer.
func (l *LMS) Restore(ctx context.Context, p media.Principal, s media.Subject) (View, error) {
	if p.Anonymous() {
		return View{}, nobody()
	}
	if !media.ValidEntityID(s.ID) {
		return View{}, badRecordID()
	}
	r, err := l.records.Buried(ctx, s)
	back := errors.Is(err, media.NotFound)
	if back {
		r, err = l.records.Record(ctx, s)
	}
	switch {
	case errors.Is(err, media.NotFound) || err == nil && !p.Manages(r.Owner):
		return View{}, noRecord(s.Type)
	case err != nil:
		return View{}, err
	case back:
		if err := l.books.RestoreAll(ctx, s, ""); err != nil { // the record is back before its media are
			return View{}, err
		}
		return l.viewOf(ctx, p, r)
	}
	switch leaving, err := l.leaving(ctx, s); { // and its media may have gone already
	case err != nil:
		return View{}, err
	case leaving:
		return View{}, noRecord(s.Type)
	}
	after, cancel := context.WithTimeout(context.WithoutCancel(ctx), stepsLimit)
	defer cancel()
	i := l.intent(p, s, media.Restoring)
	defer l.work(i)()
	if err := l.books.Intend(after, i); err != nil {
		return View{}, err
	}
	crash.At("lms: intent kept")
	if r, err = l.records.Raise(after, s); err != nil {
		if !errors.Is(err, media.Unavailable) {
			l.end(after, i)
		}
		return View{}, err
	}
	crash.At("lms: record raised")
	if err := l.books.RestoreAll(after, s, i.ID); err != nil {
		return View{}, err
	}
	crash.At("lms: media restored")
	return l.viewOf(ctx, p, r)
}

// Admins write any record: the LMS itself does, where it has no MongoDB of its own.

// Keep writes a record as it is given.
func (l *LMS) Keep(ctx context.Context, p media.Principal, r media.Record) (media.Record, error) {
	if err := l.recordKeeper(p, r.Subject); err != nil {
		return media.Record{}, err
	}
	return l.records.Put(ctx, r)
}

// Look reads a record as it is kept.
func (l *LMS) Look(ctx context.Context, p media.Principal, s media.Subject) (media.Record, error) {
	if err := l.recordKeeper(p, s); err != nil {
		return media.Record{}, err
	}
	r, err := l.records.Record(ctx, s)
	if errors.Is(err, media.NotFound) {
		return r, noRecord(s.Type)
	}
	return r, err
}

// Remove removes a user, a review or an order. Products and courses are deleted with what hangs on them: see Delete.
func (l *LMS) Remove(ctx context.Context, p media.Principal, s media.Subject) error {
	if err := l.recordKeeper(p, s); err != nil {
		return err
	}
	if s.Type == media.Product || s.Type == media.Course {
		return l.Delete(ctx, p, s, nil, false)
	}
	err := l.records.Remove(ctx, s)
	if errors.Is(err, media.NotFound) {
		return noRecord(s.Type)
	}
	return err
}

func (l *LMS) recordKeeper(p media.Principal, s media.Subject) error {
	switch {
	case p.Anonymous():
		return nobody()
	case !p.Has(media.Admin):
		return &media.Error{Kind: media.Forbidden, Code: "admin_only", Detail: "only admins read and write records as they are"}
	case !media.ValidEntityID(s.ID):
		return badRecordID()
	}
	switch s.Type {
	case media.Product, media.Course, media.User, media.Review, media.Order:
		return nil
	case media.Lesson, media.Page:
	}
	return invalid("type", "type is product, course, user, review or order")
}
