package uploads

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/tus/tusd/v2/pkg/handler"
	"golang.org/x/exp/slog"

	"sluice/internal/crash"
	"sluice/media"
	"sluice/storage"
)

// call is one request on its way through tusd's handler. It travels in the request's context, which reaches every call of the DataStore.
type call struct {
	s     *Service
	up    *upload // what a PATCH or DELETE is about, or what a POST has created
	fresh bool    // a POST: nobody else knows the upload yet
	draft *media.Asset
	again *upload // what an earlier POST with the same grant has created, and nobody wrote to
	err   error   // what the DataStore refused with; tusd's own words are never shown

	length int64 // Content-Length, or -1
	cancel context.CancelCauseFunc

	begun   time.Time
	last    atomic.Int64 // nanoseconds from begun to the last byte
	reading atomic.Bool  // waiting for the client, not working for it
	asked   atomic.Bool  // the body was asked for a first byte
	stopped atomic.Bool
	yielded atomic.Bool // another request goes on with the upload
	want    int64       // Upload-Offset of a PATCH; else -1
	offset  int64       // where the upload stood when the lock was got: on S3 each look is a round trip
	lost    bool        // the lock was another node's before it was given back
}

type callKey struct{}

func callOf(ctx context.Context) *call {
	c, _ := ctx.Value(callKey{}).(*call) // set by pass on every request tusd sees
	return c
}

// fail keeps what went wrong for the answer, and gives tusd an error that says only a status.
func (c *call) fail(err error) error {
	if err == nil {
		return nil
	}
	if c.err == nil {
		c.err = err
	}
	return handler.Error{ErrorCode: "ERR_STORE", HTTPResponse: handler.HTTPResponse{StatusCode: statusOf(media.KindOf(err))}}
}

// stop ends the request from outside: its body is cut, its bytes are kept. tusd looks at its body when it is cancelled, without a lock on
// the field, and sets the field before it asks for the first byte: a stop that comes earlier waits for that.
func (c *call) stop() {
	c.stopped.Store(true)
	if c.asked.Load() {
		c.cancel(handler.ErrServerShutdown)
	}
}

// yielding makes tusd's way to end the request one that is never lost: see stop.
func (c *call) yielding(yield func()) func() {
	return func() {
		c.yielded.Store(true)
		if c.asked.Load() {
			yield()
		}
	}
}

// alive tells when the request last made progress. One that works on bytes it has got is alive, however slow the disk.
func (c *call) alive() time.Time {
	if !c.reading.Load() {
		return time.Now()
	}
	return c.begun.Add(time.Duration(c.last.Load()))
}

// body notes when bytes come, so that a waiting request can tell a slow client from a dead one.
type body struct {
	io.ReadCloser
	c *call
}

func (b body) Read(p []byte) (int, error) {
	b.c.reading.Store(true)
	b.c.asked.Store(true)
	if b.c.stopped.Load() {
		return 0, handler.ErrServerShutdown
	}
	if b.c.yielded.Load() {
		return 0, handler.ErrUploadInterrupted
	}
	n, err := b.ReadCloser.Read(p)
	if n > 0 {
		b.c.last.Store(int64(time.Since(b.c.begun)))
	}
	b.c.reading.Store(false)
	return n, broken(err)
}

// broken gives io.ErrUnexpectedEOF for what net/http says of a malformed chunk: those errors have no type, and all it says else has one.
func broken(err error) error {
	_, network := errors.AsType[net.Error](err)
	if err == nil || network || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, http.ErrBodyReadAfterClose) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, context.Canceled) {
		return err
	}
	return io.ErrUnexpectedEOF
}

// dataStore is tusd's view of a Service.
type dataStore struct{ s *Service }

var (
	_ handler.DataStore               = dataStore{}
	_ handler.TerminaterDataStore     = dataStore{}
	_ handler.ConcaterDataStore       = dataStore{}
	_ handler.LengthDeferrerDataStore = dataStore{}
	_ handler.Locker                  = dataStore{}
)

func (d dataStore) NewUpload(ctx context.Context, _ handler.FileInfo) (handler.Upload, error) {
	c := callOf(ctx)
	u, again, err := d.s.begin(context.WithoutCancel(ctx), c)
	if err != nil {
		return nil, c.fail(err)
	}
	if again { // its body is not read: another request may be writing already, and this one holds no lock
		c.again = u
		return nil, c.fail(media.Errorf(media.Conflict, "this upload exists"))
	}
	c.up = u
	return tusUpload{c, u}, nil
}

// GetUpload is asked for a part of a final upload while it is created, or, with the lock held, for what the request is about.
func (d dataStore) GetUpload(ctx context.Context, id string) (handler.Upload, error) {
	c := callOf(ctx)
	if c.fresh {
		return partUpload{id: id}, nil
	}
	if c.up.asset().Upload.Final {
		return tusUpload{c, c.up}, nil
	}
	ctx = context.WithoutCancel(ctx)
	if err := d.s.load(ctx, c.up); err != nil { // the request before this one may have finished or removed it
		return nil, c.fail(err)
	}
	if c.up.recalls(c.want) {
		c.offset = c.want
		return tusUpload{c, c.up}, nil
	}
	off, complete, err := d.s.offset(ctx, c.up)
	if err != nil {
		return nil, c.fail(err)
	}
	c.offset = off
	if complete {
		if c.length > 0 {
			return nil, c.fail(&media.Error{Kind: media.TooLarge, Code: "upload_size_exceeded", Detail: "the upload has all its bytes"})
		}
		if err := d.s.finish(ctx, c.up); err != nil {
			return nil, c.fail(err)
		}
	}
	return tusUpload{c, c.up}, nil
}

func (dataStore) AsTerminatableUpload(u handler.Upload) handler.TerminatableUpload {
	return asUpload(u)
}

func (dataStore) AsConcatableUpload(u handler.Upload) handler.ConcatableUpload { return asUpload(u) }

func (dataStore) AsLengthDeclarableUpload(u handler.Upload) handler.LengthDeclarableUpload {
	return asUpload(u)
}

func asUpload(u handler.Upload) tusUpload {
	t, _ := u.(tusUpload) // tusd hands back what NewUpload or GetUpload gave it
	return t
}

func (d dataStore) NewLock(string) (handler.Lock, error) { return &tusLock{s: d.s}, nil }

// tusLock is the lock of the upload a request is about.
type tusLock struct {
	s      *Service
	unlock func() bool
}

func (l *tusLock) Lock(ctx context.Context, yield func()) error {
	c := callOf(ctx)
	if c.fresh { // nobody else knows the URL yet
		l.unlock = func() bool { return true }
		return nil
	}
	unlock, err := l.s.locker.Lock(ctx, c.up.id, c.alive, c.yielding(yield))
	if err != nil {
		return c.fail(err)
	}
	l.unlock = func() bool {
		held := unlock()
		c.lost = !held
		return held
	}
	return nil
}

func (l *tusLock) Unlock() error {
	l.unlock()
	return nil
}

// begin writes the row of a new upload and then opens its bytes. again: it is there since an earlier request whose answer was lost.
func (s *Service) begin(ctx context.Context, c *call) (u *upload, again bool, err error) {
	crash.At("uploads: before row")
	lctx, cancel := context.WithTimeout(ctx, ledgerPatience)
	defer cancel()
	row, existed, err := s.ledger.Begin(lctx, *c.draft, s.o.Quota)
	if err != nil {
		return nil, false, err
	}
	crash.At("uploads: row, no bytes")
	if row.Upload.Final {
		return s.desk.put(&row), false, nil
	}
	if existed {
		u, err = s.repeated(ctx, row.ID)
		return u, true, err
	}
	u = s.desk.put(&row)
	if err := s.openNew(ctx, u); err != nil {
		if rerr := s.remove(ctx, u); rerr != nil {
			s.postpone(u, true)
		}
		s.leave(u)
		return nil, false, err
	}
	crash.At("uploads: row and bytes begun")
	return u, false, nil
}

// openNew begins the bytes of an upload that has none, once: the request that made the row and its repetition may both come here.
func (s *Service) openNew(ctx context.Context, u *upload) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.write != nil {
		return nil
	}
	w, err := s.store.Begin(ctx, u.row.Backend, u.row.Key, u.row.Size)
	if err == nil {
		u.write = w
	}
	return err
}

// repeated gives the upload that an earlier request with the same grant made, as long as nothing has come of it: its client, which never
// saw the answer, asks again. One that is being written to is somebody's already.
func (s *Service) repeated(ctx context.Context, id media.AssetID) (*upload, error) {
	u, err := s.open(ctx, id)
	if err != nil {
		return nil, err
	}
	off, _, err := s.offset(ctx, u)
	if media.KindOf(err) == media.Gone { // a crash came between the row and the bytes
		off, err = 0, s.openNew(ctx, u)
	}
	row := u.asset()
	if err == nil && (off > 0 || row.State != media.Uploading || s.expired(row)) {
		err = &media.Error{Kind: media.Forbidden, Code: "grant_used", Detail: "this upload grant was used before"}
	}
	if err != nil {
		s.leave(u)
		return nil, err
	}
	return u, nil
}

// partUpload is a part of a final upload. It was checked when the request came in; tusd wants to see it finished.
type partUpload struct {
	tusUpload
	id string
}

func (p partUpload) GetInfo(context.Context) (handler.FileInfo, error) {
	return handler.FileInfo{ID: p.id, IsPartial: true}, nil
}

// tusUpload is an upload as one request sees it.
type tusUpload struct {
	c *call
	u *upload
}

func (t tusUpload) GetInfo(context.Context) (handler.FileInfo, error) {
	row := t.u.asset()
	info := handler.FileInfo{
		ID: "-", Size: row.Size, SizeIsDeferred: row.Upload.Deferred, IsPartial: row.Upload.Partial, IsFinal: row.Upload.Final,
	}
	if row.Upload.Deferred {
		info.Size = 0
	}
	if row.Upload.Final || t.c.fresh { // nothing of it has come yet
		return info, nil
	}
	info.Offset = t.c.offset
	if row.State.Finished() {
		info.Offset = row.Size
	}
	return info, nil
}

// GetReader is not used: downloads are off.
func (t tusUpload) GetReader(context.Context) (io.ReadCloser, error) {
	return nil, t.c.fail(media.Errorf(media.Unsupported, "uploads are not read here"))
}

func (t tusUpload) WriteChunk(ctx context.Context, off int64, src io.Reader) (int64, error) {
	s, u := t.c.s, t.u
	ctx = context.WithoutCancel(ctx) // the body ends by itself; what came of it is kept
	w, err := s.handle(ctx, u)
	if err != nil {
		return 0, t.c.fail(err)
	}
	row, begun := u.asset(), u.begins(off)
	if row.Upload.Deferred {
		if src, err = s.reserving(ctx, row, off, t.c.length, src); err != nil {
			return 0, t.c.fail(err)
		}
	}
	if begun {
		src = &sniffer{src: src, s: s, u: u, row: row}
	}
	u.setWriting(true)
	n, err := w.Append(ctx, off, src)
	u.setWriting(false)
	crash.At("uploads: after append")
	complete := !row.Upload.Deferred && off+n == row.Size
	if n > 0 && !complete && s.o.Ack == "durable" {
		if serr := t.sync(ctx, w); err == nil {
			err = serr
		}
	}
	if errors.Is(err, media.Unsupported) { // the content is not what it was said to be: nothing of it stays
		if rerr := s.remove(ctx, u); rerr != nil {
			s.postpone(u, true)
		}
	}
	if n > 0 && !complete && err == nil {
		s.extend(ctx, u)
	}
	return n, t.c.fail(err)
}

// sync makes the bytes durable. After a failed fsync nobody knows which of them the disk has, so the upload ends: its client starts again
// rather than being told of bytes that are not there.
func (t tusUpload) sync(ctx context.Context, w storage.Write) error {
	err := w.Sync(ctx)
	crash.At("uploads: after sync")
	if err == nil {
		return nil
	}
	if rerr := t.c.s.remove(ctx, t.u); rerr != nil {
		t.c.s.postpone(t.u, true)
	}
	return media.Wrap(media.Unavailable, err, "the bytes could not be made durable")
}

func (t tusUpload) FinishUpload(ctx context.Context) error {
	if t.c.err != nil { // tusd finishes after a failed write too
		return t.c.fail(t.c.err)
	}
	crash.At("uploads: all bytes in, before finish")
	err := t.c.s.finish(ctx, t.u)
	crash.At("uploads: finished, before answer")
	return t.c.fail(err)
}

func (t tusUpload) DeclareLength(ctx context.Context, length int64) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), ledgerPatience)
	defer cancel()
	if err := t.c.s.ledger.Declare(ctx, t.u.id, length, t.c.s.o.Quota); err != nil {
		return t.c.fail(err)
	}
	crash.At("uploads: length declared")
	t.u.mu.Lock()
	row := *t.u.row
	row.Size, row.Upload.Deferred = length, false
	t.u.row = &row
	t.u.mu.Unlock()
	return nil
}

func (t tusUpload) Terminate(ctx context.Context) error {
	t.u.finishing.Lock()
	defer t.u.finishing.Unlock()
	return t.c.fail(t.c.s.remove(ctx, t.u))
}

func (t tusUpload) ConcatUploads(ctx context.Context, _ []handler.Upload) error {
	return t.c.fail(t.c.s.finish(ctx, t.u))
}

// extend moves the expiry of an upload that goes on, when half of it is over: not a row written per PATCH.
func (s *Service) extend(ctx context.Context, u *upload) {
	row, now := u.asset(), s.o.Now()
	if row.Upload.ExpiresAt.IsZero() || row.Upload.ExpiresAt.Sub(now) > s.o.Expiry/2 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	expires := now.Add(s.o.Expiry)
	if err := s.ledger.Extend(ctx, u.id, expires); err != nil {
		s.o.Logger.WarnContext(ctx, "expiry not moved", "asset", u.id.String(), "error", err)
		return
	}
	u.mu.Lock()
	next := *u.row
	next.Upload.ExpiresAt = expires
	u.row = &next
	u.mu.Unlock()
}

func (u *upload) setWriting(v bool) {
	u.mu.Lock()
	u.writing = v
	u.mu.Unlock()
}

// quiet is a logger for tusd: what it would say is logged by us or by the gateway.
func quiet() *slog.Logger { return slog.New(discard{}) }

type discard struct{}

func (discard) Enabled(context.Context, slog.Level) bool  { return false }
func (discard) Handle(context.Context, slog.Record) error { return nil }
func (d discard) WithAttrs([]slog.Attr) slog.Handler      { return d }
func (d discard) WithGroup(string) slog.Handler           { return d }
