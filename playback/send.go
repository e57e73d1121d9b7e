package playback

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"syscall"
	"time"

	"sluice/media"
	"sluice/storage"
)

// transfer is one answer with a body.
type transfer struct {
	h     *Handler
	w     http.ResponseWriter
	r     *http.Request
	s     *serving
	f     *face
	name  string // of what is asked for
	now   time.Time
	dated bool
	sent  int64
}

// one sends a single run of bytes: 206 when it was asked for as a range.
func (t *transfer) one(s span, isRange bool) {
	var b body
	if s.n > 0 {
		if err := b.open(t, s); err != nil {
			t.refuse(err)
			return
		}
		defer b.close()
	}
	head := t.w.Header()
	t.f.set(head, t.s.download, t.dated, t.h.safe.sandbox)
	status := http.StatusOK
	if isRange {
		status = http.StatusPartialContent
		head["Content-Length"] = []string{strconv.FormatInt(s.n, 10)}
		head["Content-Range"] = []string{contentRange(s, t.s.asset.Size)}
	} else {
		head["Content-Length"] = t.f.length
	}
	t.begin(status)
	defer t.settle()
	if s.n == 0 {
		return
	}
	c := t.h.care(t.r.Context(), t.w, s.n)
	defer c.stop()
	t.check(b.send(t, c))
	c.flush()
	t.check(c.release(t))
}

// parts sends several runs as multipart/byteranges (RFC 9110 section 14.6).
func (t *transfer) parts(spans []span) {
	size, mark := t.s.asset.Size, boundary()
	heads := make([]string, len(spans))
	tail := "\r\n--" + mark + "--\r\n"
	total := int64(len(tail))
	for i, s := range spans {
		heads[i] = "\r\n--" + mark + "\r\nContent-Type: " + t.f.contentType[0] + "\r\nContent-Range: " + contentRange(s, size) + "\r\n\r\n"
		if i == 0 {
			heads[i] = heads[i][2:] // the empty preamble needs no line of its own
		}
		total += int64(len(heads[i])) + s.n
	}
	if total > 2*size { // the heads of the parts outweigh a tiny file: section 14.2 lets the field be ignored
		t.one(span{0, size}, false)
		return
	}
	var b body
	if err := b.open(t, spans[0]); err != nil {
		t.refuse(err)
		return
	}
	defer func() { b.close() }()
	head := t.w.Header()
	t.f.set(head, t.s.download, t.dated, t.h.safe.sandbox)
	head["Content-Type"] = []string{"multipart/byteranges; boundary=" + mark}
	head["Content-Length"] = []string{strconv.FormatInt(total, 10)}
	t.begin(http.StatusPartialContent)
	defer t.settle()
	c := t.h.care(t.r.Context(), t.w, total)
	defer c.stop()
	for i, s := range spans {
		if i > 0 {
			b.close()
			t.check(b.open(t, s))
		}
		_, err := io.WriteString(t.w, heads[i])
		t.check(err)
		t.check(b.send(t, c))
	}
	_, err := io.WriteString(t.w, tail)
	t.check(err)
	c.flush()
	t.check(c.release(t))
}

// refuse answers that the bytes cannot be opened. Those that are gone because others took their place while the request was on its way are
// asked for once more: nothing was said of them yet. The new ones must be open to the asker by what was checked.
func (t *transfer) refuse(err error) {
	if was := &t.s.asset; media.KindOf(err) == media.NotFound && !t.s.renewed {
		a, lerr := t.h.assets.Asset(t.r.Context(), was.ID)
		if lerr == nil && a.ContentID != was.ContentID && a.Epoch == was.Epoch && a.Public == was.Public {
			s := *t.s
			s.asset, s.renewed = a, true
			t.h.serve(t.w, t.r, s, t.name)
			return
		}
	}
	t.h.problem(t.w, t.r, err)
}

// begin counts the view and sends the head.
func (t *transfer) begin(status int) {
	t.h.caching(t.w.Header(), t.s, t.now)
	t.h.countView(t.r, t.s, t.now)
	t.w.WriteHeader(status)
}

// settle counts the bytes, also of an answer that was cut.
func (t *transfer) settle() { t.h.countBytes(t.r, t.s, t.now, t.sent) }

// check aborts an answer that cannot be finished: net/http then closes the connection, and the client sees a short read in place of bytes
// that are not the file's.
func (t *transfer) check(err error) {
	if err == nil {
		return
	}
	level, cause := slog.LevelError, "failed"
	// Errors of a connection have no kind. The context of a client that left ends the backend's read as well, so it is asked first.
	theirs := media.KindOf(err) == media.Internal
	switch {
	case !theirs && t.r.Context().Err() == nil:
		cause = "backend_failed"
		if errors.Is(err, errSilent) {
			cause = "backend_stalled"
		}
	case theirs && errors.Is(err, os.ErrDeadlineExceeded):
		level, cause = slog.LevelInfo, "client_stalled"
	case t.r.Context().Err() != nil, errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNRESET), errors.Is(err, http.ErrHandlerTimeout):
		level, cause = slog.LevelDebug, "client_left"
	}
	t.h.o.Logger.LogAttrs(t.r.Context(), level, "media cut short", slog.String("cause", cause),
		slog.String("asset", t.s.asset.ID.String()), slog.Int64("sent_bytes", t.sent), slog.String("error", reason(err)))
	panic(http.ErrAbortHandler)
}

// reason leaves the file's path out, and the URL by which a driver asks its backend: it may hold a signature.
func reason(err error) string {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Op + ": " + e.Err.Error()
	}
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Op + ": " + e.Err.Error()
	}
	return err.Error()
}

// body is a run of bytes, open: in memory, in files, or in a stream whose beginning is in memory.
type body struct {
	h        *Handler
	buf      *[smallBody]byte
	data     []byte // in buf, or kept in memory
	sections []storage.Section
	stream   *stream // what follows data
}

// open finds the bytes. What is small is read here, so that a failing disk is still a problem and not an abort.
func (b *body) open(t *transfer, s span) error {
	*b = body{h: t.h}
	if b.data = t.f.kept(s); b.data != nil {
		return nil
	}
	ctx, a := t.r.Context(), &t.s.asset
	o := media.Object{Key: a.Key, Size: a.Size, ModTime: a.StoredAt}
	sections, err := b.h.store.Sections(ctx, a.Backend, o, s.off, s.n)
	if err != nil {
		return fmt.Errorf("playback: open media: %w", err)
	}
	b.sections = sections
	switch {
	case sections == nil:
		if b.stream, err = b.h.pull(ctx, a.Backend, o, s); err != nil {
			return err
		}
		b.take()
		var n int
		n, err = b.stream.fill(b.buf[:])
		b.data = b.buf[:n]
	case s.n <= smallBody:
		b.take()
		err = b.readSections()
		b.closeFiles()
	}
	if err != nil {
		b.close()
		return fmt.Errorf("playback: read media: %w", err)
	}
	if int64(len(b.data)) == a.Size {
		b.h.faces.keep(t.f, b.data)
	}
	return nil
}

// readSections reads them all into buf.
func (b *body) readSections() error {
	b.data = b.buf[:0]
	for _, x := range b.sections {
		at := len(b.data)
		n, err := x.File.ReadAt(b.buf[at:at+int(x.N)], x.Off)
		b.data = b.buf[:at+n]
		switch {
		case int64(n) == x.N: // ReadAt may say EOF beside the last bytes
		case err == nil || errors.Is(err, io.EOF):
			return io.ErrUnexpectedEOF
		default:
			return err //nolint:wrapcheck // open says what it was for
		}
	}
	return nil
}

func (b *body) take() {
	b.buf = b.h.buffers.Get().(*[smallBody]byte) //nolint:errcheck,forcetypeassert // the pool holds nothing else
}

func (b *body) closeFiles() {
	for _, x := range b.sections {
		_ = x.File.Close() // it was only read
	}
	b.sections = nil
}

// close may be repeated.
func (b *body) close() {
	b.closeFiles()
	if b.stream != nil {
		b.stream.close()
		b.stream = nil
	}
	if b.buf != nil {
		b.h.buffers.Put(b.buf)
		b.buf, b.data = nil, nil
	}
}

// send writes the run. t.w must be net/http's own, so that a file goes from the disk to the socket inside the kernel.
func (b *body) send(t *transfer, c *care) error {
	if len(b.data) > 0 {
		n, err := t.w.Write(b.data)
		t.count(n, c)
		if err != nil {
			return err
		}
	}
	if b.stream != nil {
		if err := b.pass(t, c); err != nil {
			return err
		}
	}
	if len(b.sections) > 0 {
		// ResponseWriter.ReadFrom reads 512 bytes itself for a head that is not out yet.
		c.flush()
	}
	for _, x := range b.sections {
		if err := t.sendFile(x, c); err != nil {
			return err
		}
	}
	return nil
}

// sendFile sends one section in slices, so that progress shows.
func (t *transfer) sendFile(x storage.Section, c *care) error {
	if _, err := x.File.Seek(x.Off, io.SeekStart); err != nil {
		return fmt.Errorf("playback: seek media: %w", err)
	}
	for left := x.N; left > 0; {
		n, err := io.CopyN(t.w, x.File, min(left, sliceSize))
		t.count(int(n), c)
		left -= n
		if err != nil {
			return noEOF(err)
		}
	}
	return nil
}

func (t *transfer) count(n int, c *care) {
	t.sent += int64(n)
	c.sent.Add(int64(n))
}

// noEOF names a file or stream that ends before its size says for what it is.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
