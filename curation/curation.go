// Package curation is what people do with media that is already here: find it, read about it, change, revoke and delete it, and add media
// that is kept elsewhere. It decides who may do what, and refuses to know HTTP, SQL and backends.
package curation

import (
	"context"
	"log/slog"
	"net/url"
	"time"

	"sluice/internal/crash"
	"sluice/media"
)

// Options are the choices of a Service. The zero value works.
type Options struct {
	Now          func() time.Time // nil: time.Now
	Logger       *slog.Logger     // nil: silent
	Memory       Memory           // what Glance looks at; nil: the shelf
	Rights       media.Rights     // who may what; without records, owners and admins
	BytesTimeout time.Duration    // how long a delete may take to drop the bytes; 0: 10 s
}

// Service curates media. It may be used from many goroutines.
type Service struct {
	shelf Shelf
	bytes Bytes
	o     Options
}

// New makes a Service over a shelf of rows and the bytes behind them.
func New(shelf Shelf, bytes Bytes, o Options) *Service {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.BytesTimeout <= 0 {
		o.BytesTimeout = 10 * time.Second
	}
	if o.Memory == nil {
		o.Memory = forgetful{shelf}
	}
	return &Service{shelf: shelf, bytes: bytes, o: o}
}

// Find lists what the principal may see: admins everything, instructors their own and what is public, everybody else what is public and
// finished. Asked for what one subject uploaded, all but admins get only their own. A filter, sort or limit that does not exist is media.Invalid.
func (s *Service) Find(ctx context.Context, p media.Principal, q media.Query) (media.Listing, error) {
	if err := checkQuery(&q); err != nil {
		return media.Listing{}, err
	}
	q.Owner, q.AnyOwner, q.PublicToo = "", false, true
	if q.UploadedBy != "" && q.UploadedBy != p.Subject && !p.Has(media.Admin) {
		return media.Listing{}, nil // who else uploads here is no one's business but an admin's
	}
	on := hangsOn(q)
	switch {
	case p.Has(media.Admin), s.ownsRecord(ctx, p, on):
		q.AnyOwner = true
	case !on.IsZero() && s.o.Rights.SeesRecord(ctx, p, media.Record{Subject: on}): // an order grants it
		q.AnyOwner = true
		if q.States = finishedOf(q.States); len(q.States) == 0 {
			return media.Listing{}, nil
		}
	case p.Has(media.Instructor):
		q.Owner = p.Subject
	default:
		if q.States = finishedOf(q.States); len(q.States) == 0 {
			return media.Listing{}, nil
		}
	}
	return s.shelf.List(ctx, q)
}

// hangsOn is the record that all of what a query asks for hangs on; zero when that is not said.
func hangsOn(q media.Query) media.Subject {
	pl := q.Placement
	switch {
	case pl.ProductID != "":
		return media.Subject{Type: media.Product, ID: pl.ProductID}
	case pl.CourseID != "":
		return media.Subject{Type: media.Course, ID: pl.CourseID}
	case q.Reference.Named():
		return q.Reference
	}
	return media.Subject{}
}

// ownsRecord reports whether p is an instructor whose product or course it is.
func (s *Service) ownsRecord(ctx context.Context, p media.Principal, on media.Subject) bool {
	if on.IsZero() || s.o.Rights.Records == nil || !p.Has(media.Instructor) {
		return false
	}
	if on.Type != media.Product && on.Type != media.Course && on.Type != media.Lesson {
		return false
	}
	r, err := s.o.Rights.Records.Record(ctx, on)
	return err == nil && p.Manages(r.Owner)
}

// finishedOf keeps the finished ones of states; none given means all finished ones.
func finishedOf(states []media.State) []media.State {
	if len(states) == 0 {
		return []media.State{media.Stored, media.Processing, media.Ready, media.Failed}
	}
	var kept []media.State
	for _, st := range states {
		if st.Finished() {
			kept = append(kept, st)
		}
	}
	return kept
}

// Read gives one asset. What the principal may not see is media.NotFound, like what does not exist.
func (s *Service) Read(ctx context.Context, p media.Principal, id media.AssetID) (media.Asset, error) {
	a, err := s.shelf.Asset(ctx, id)
	if err != nil {
		return media.Asset{}, err
	}
	if a.Upload.Partial || !s.o.Rights.Sees(ctx, p, a) {
		return media.Asset{}, missing()
	}
	return a, nil
}

// Glance is Read of a row that may be remembered (known), and so be behind by what was changed a moment ago: Current makes up for that.
// Nobody is refused by memory alone.
func (s *Service) Glance(ctx context.Context, p media.Principal, id media.AssetID) (a media.Asset, known bool, err error) {
	a, known, err = s.o.Memory.Lookup(ctx, id)
	if err == nil && !a.Upload.Partial && s.o.Rights.Sees(ctx, p, a) {
		return a, known, nil
	}
	if known {
		a, err = s.Read(ctx, p, id)
		return a, false, err
	}
	if err == nil {
		err = missing()
	}
	return media.Asset{}, false, err
}

// Current gives an asset that Glance gave as it is now. Its counts are read anew, and with them the row's version: one that has changed
// meanwhile is read whole (same: it has not), so that what is answered is never older than the question.
func (s *Service) Current(ctx context.Context, p media.Principal, a media.Asset) (_ media.Asset, same bool, err error) {
	n, err := s.shelf.Counts(ctx, a.ID)
	if err != nil {
		return media.Asset{}, false, err
	}
	if n.Version != a.Version {
		a, err = s.Read(ctx, p, a.ID)
		return a, false, err
	}
	a.AccessCount, a.BytesServed, a.LastAccessedAt = n.AccessCount, n.BytesServed, n.LastAccessedAt
	return a, true, nil
}

// forgetful asks the shelf each time.
type forgetful struct{ shelf Shelf }

func (f forgetful) Lookup(ctx context.Context, id media.AssetID) (media.Asset, bool, error) {
	a, err := f.shelf.Asset(ctx, id)
	return a, false, err
}

// managed reads an asset that the principal may change. A stranger learns nothing from the answer: an anonymous one is
// media.Unauthenticated whatever the id, any other one media.NotFound.
func (s *Service) managed(ctx context.Context, p media.Principal, id media.AssetID) (media.Asset, error) {
	if p.Anonymous() {
		return media.Asset{}, nobody()
	}
	a, err := s.shelf.Asset(ctx, id)
	if err != nil {
		return media.Asset{}, err
	}
	if a.Upload.Partial || !s.o.Rights.Manages(ctx, p, a) {
		return media.Asset{}, missing()
	}
	return a, nil
}

// Change changes an asset whose Version is version, or whatever it is when version is 0; media.PreconditionFailed when it is another.
func (s *Service) Change(ctx context.Context, p media.Principal, id media.AssetID, version int64, c media.Change) (media.Asset, error) {
	a, err := s.managed(ctx, p, id)
	if err != nil {
		return media.Asset{}, err
	}
	if version == 0 {
		version = a.Version
	}
	if version != a.Version {
		return media.Asset{}, stale()
	}
	if err := checkChange(c); err != nil {
		return media.Asset{}, err
	}
	if c == (media.Change{}) {
		return a, nil // nothing to do makes no new version
	}
	if c.Placement != nil {
		if err := s.mayMove(ctx, p, a, *c.Placement); err != nil {
			return media.Asset{}, err
		}
	}
	return s.shelf.Change(ctx, id, version, c)
}

// Revoke makes every ticket signed for the asset so far worthless.
func (s *Service) Revoke(ctx context.Context, p media.Principal, id media.AssetID) (media.Asset, error) {
	if _, err := s.managed(ctx, p, id); err != nil {
		return media.Asset{}, err
	}
	return s.shelf.Revoke(ctx, id)
}

// Delete deletes an asset whose Version is version, or whatever it is when version is 0. Once the row is doomed the asset is gone
// everywhere and the answer is yes: what is left of it, after a crash or with a backend away, the sweeper of uploads finishes.
func (s *Service) Delete(ctx context.Context, p media.Principal, id media.AssetID, version int64) error {
	a, err := s.managed(ctx, p, id)
	if err != nil {
		return err
	}
	if version != 0 && version != a.Version {
		return stale()
	}
	if err := s.shelf.Doom(ctx, id, version); err != nil {
		return err
	}
	crash.At("curation: doomed")
	if !a.State.Finished() {
		return nil // a PATCH may still be writing: the sweeper knows when that is over
	}
	s.drop(ctx, a)
	return nil
}

// drop removes the bytes and then the row. A client that hangs up does not stop it.
func (s *Service) drop(ctx context.Context, a media.Asset) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.o.BytesTimeout)
	defer cancel()
	if a.Backend != "" && a.Key != "" {
		if err := s.bytes.Delete(ctx, a.Backend, a.Key); err != nil && media.KindOf(err) != media.NotFound {
			s.o.Logger.WarnContext(ctx, "bytes of a deleted asset left to the sweeper", "media_id", a.ID.String(), "error", err)
			return
		}
	}
	crash.At("curation: bytes deleted")
	if err := s.shelf.Forget(ctx, a.ID); err != nil && media.KindOf(err) != media.NotFound {
		s.o.Logger.WarnContext(ctx, "row of a deleted asset left to the sweeper", "media_id", a.ID.String(), "error", err)
	}
}

// Add takes in media that others keep, by its URL. Only staff may; the owner is who asks.
func (s *Service) Add(ctx context.Context, p media.Principal, a media.Asset) (media.Asset, error) {
	if p.Anonymous() {
		return media.Asset{}, nobody()
	}
	if !p.Staff() {
		return media.Asset{}, &media.Error{Kind: media.Forbidden, Code: "staff_only", Detail: "only instructors and admins add media"}
	}
	row, err := s.external(p, a)
	if err != nil {
		return media.Asset{}, err
	}
	if err := s.mayPlace(ctx, p, row.Placement); err != nil {
		return media.Asset{}, err
	}
	return s.shelf.Add(ctx, row)
}

// external makes the row of media that others keep.
func (s *Service) external(p media.Principal, a media.Asset) (media.Asset, error) {
	if err := checkExternal(a); err != nil {
		return media.Asset{}, err
	}
	now := s.o.Now().UTC()
	row := media.Asset{
		ID: media.NewAssetID(now), State: media.Ready, Owner: p.Subject,
		Filename: a.Filename, Title: a.Title, MIMEType: a.MIMEType, Type: a.Type, Size: a.Size, Duration: a.Duration,
		StorageType: media.Cloud, ExternalURL: a.ExternalURL, Public: a.Public, Placement: a.Placement,
		CreatedAt: now, UpdatedAt: now, StoredAt: now,
	}
	if row.MIMEType == "" {
		row.MIMEType = guess(a)
	}
	if row.Type == "" {
		row.Type = media.TypeOf(row.MIMEType)
	}
	if row.Placement.Kind == "" {
		row.Placement.Kind = media.Generic
	}
	return row, nil
}

// mayMove decides whether p may put media elsewhere. What stays where it is was decided before.
func (s *Service) mayMove(ctx context.Context, p media.Principal, a media.Asset, to media.Placement) error {
	from := a.Placement
	if from.Subject() == to.Subject() && from.LessonID == to.LessonID && from.ModuleID == to.ModuleID {
		return nil
	}
	if a.Unchecked {
		return &media.Error{Kind: media.Conflict, Code: "place_unchecked", Detail: "the place that the upload named has not been looked at yet"}
	}
	return s.mayPlace(ctx, p, to)
}

// mayPlace decides whether p may put media in a place. Who asks can come back: what cannot be known now is media.Unavailable.
func (s *Service) mayPlace(ctx context.Context, p media.Principal, pl media.Placement) error {
	checked, err := s.o.Rights.MayPlace(ctx, p, pl)
	if err == nil && !checked {
		return &media.Error{Kind: media.Unavailable, Code: "entities_unavailable", Detail: "whether that exists cannot be known now", RetryAfter: time.Second}
	}
	return err
}

// guess gives the type that the URL's extension stands for, or the file name's. Nothing is fetched.
func guess(a media.Asset) string {
	names := []string{a.Filename}
	if u, err := url.Parse(a.ExternalURL); err == nil {
		names = []string{u.Path, a.Filename}
	}
	for _, name := range names {
		if t := media.MIMEByName(name); t != "" {
			return t
		}
	}
	return "application/octet-stream"
}

func missing() error {
	return &media.Error{Kind: media.NotFound, Detail: "no such media"}
}

func nobody() error {
	return &media.Error{Kind: media.Unauthenticated, Detail: "this needs a login"}
}

func stale() error {
	return &media.Error{Kind: media.PreconditionFailed, Code: "stale_version", Detail: "the media has changed since that version"}
}
