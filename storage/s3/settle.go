package s3

import (
	"context"
	"crypto/rand"
	"errors"

	"sluice/internal/crash"
	"sluice/media"
)

// opening is the announcement of an append in the state, under way or done.
type opening struct {
	done   chan struct{}
	upload string // the multipart upload's id
	token  string
	until  int // the largest number a part may have
	err    error
}

// announce begins to write into the state that this append is at work, while its bytes are coming in. No part is sent before.
func (a *appending) announce() {
	if a.opened != nil {
		return
	}
	o := &opening{done: make(chan struct{}), upload: a.from.Upload, token: rand.Text()}
	a.opened = o
	go func() {
		defer close(o.done)
		o.err = a.begin(o)
	}()
}

func (a *appending) begin(o *opening) error {
	w, fresh := a.w, o.upload == ""
	if fresh {
		var err error
		if o.upload, err = w.d.createUpload(a.sending, w.key); err != nil {
			return err
		}
		crash.At("s3: append: multipart upload begun")
	}
	next := a.from.clone()
	next.Upload, next.Open = o.upload, o.token
	next.Until = next.number(next.Parts) + reserve - 1
	if err := w.swap(a.sending, next); err != nil {
		if fresh && errors.Is(err, errRace) { // after another failure the state may have been written, and name it
			err = errors.Join(err, w.d.abortUpload(a.sending, w.key, o.upload))
		}
		return err
	}
	o.until = next.Until
	crash.At("s3: append: announced")
	return nil
}

// open sees that the state lets this append send the part of an index. The numbers are taken some at a time; with each time the state
// learns how far the parts have come.
func (a *appending) open(index int) error {
	a.announce()
	o := a.opened
	<-o.done
	if o.err != nil {
		return o.err
	}
	number := a.from.number(index)
	if number > maxParts {
		return errTooMany()
	}
	if number <= o.until {
		return nil
	}
	next := a.after()
	if len(a.sent) > 0 {
		next.hollow() // the tail's bytes went with the first part
	}
	next.Open, next.Until = o.token, number+reserve-1
	if err := a.w.swap(a.sending, next); err != nil {
		return err
	}
	o.until = next.Until
	crash.At("s3: append: further numbers taken")
	return nil
}

// after is the state with the parts that are stored by now.
func (a *appending) after() *state {
	a.mu.Lock()
	defer a.mu.Unlock()
	next := a.from.clone()
	if a.opened != nil {
		next.Upload = a.opened.upload
	}
	next.adopt(a.sent[:a.stored])
	return next
}

// settle waits for the parts, keeps the tail, and writes the state that makes them count. It tells how many bytes are kept.
func (a *appending) settle(ctx context.Context, left bool) (int64, error) {
	err := a.sendLast()
	a.wait(left)
	if a.opened != nil {
		if <-a.opened.done; a.opened.err != nil {
			a.cur.free()
			a.w.forget()
			return 0, a.w.why(ctx, a.opened.err)
		}
	}
	a.mu.Lock()
	if a.failed != nil {
		err = a.failed
	}
	a.mu.Unlock()
	if errors.Is(err, media.NotFound) {
		a.cur.free()
		a.w.forget()
		return 0, a.w.why(ctx, err)
	}
	next := a.after()
	if err != nil || a.stored < len(a.sent) {
		// What was cut off may arrive yet, under the numbers that were taken.
		if len(a.sent) > 0 { // the tail's bytes went with the first part
			next.hollow()
		}
		if a.opened != nil {
			a.adoptLate(ctx, next)
			next.skipTo(a.opened.until)
		}
	} else {
		err = a.keepRest(ctx, next)
	}
	if a.opened == nil && next.offset() == a.off {
		if err != nil {
			a.cur.free()
			a.w.forget()
			return 0, err
		}
		a.w.keepOrFree(a.cur, a.lead == 0)
		return 0, nil
	}
	if serr := a.w.swap(ctx, next); serr != nil {
		a.cur.free()
		return 0, a.w.why(ctx, serr)
	}
	crash.At("s3: append: state written")
	a.remember(next, err == nil)
	return next.offset() - a.off, err
}

// adoptLate takes in parts that are stored although their answers were lost: another process may have seen them in the list, and told
// that they are kept.
func (a *appending) adoptLate(ctx context.Context, next *state) {
	at := next.clone()
	at.Open, at.Until = a.opened.token, a.opened.until
	if found, err := a.w.d.found(ctx, a.w.key, at); err == nil {
		next.adopt(found)
	}
}

// sendLast sends what is left as a part where it is one: as long as the others, or the end of the file.
func (a *appending) sendLast() error {
	a.mu.Lock()
	err := a.failed
	a.mu.Unlock()
	if err != nil {
		return err
	}
	whole := a.cur.size > 0 && a.end == a.from.Size && (a.from.Upload != "" || a.opened != nil || a.lead+a.cur.size > inlineMax)
	if whole || a.cur.room() == nil {
		return a.send()
	}
	return nil
}

// keepRest keeps what is left in the tail: in the state itself where it is little, else as a segment more.
func (a *appending) keepRest(ctx context.Context, next *state) error {
	var known int64 // bytes of cur that a segment holds already
	if len(a.sent) == 0 && a.lead == 0 {
		known = a.from.segmentBytes()
	}
	if a.end == a.off || a.cur.size == known {
		return nil
	}
	rest := a.cur.reader(known)
	if rest.Len() <= inlineMax {
		next.Inline, next.inline, next.held = int(rest.Len()), nil, a.cur.snapshot().reader(known)
		return nil
	}
	s := newSegment(rest.Len())
	if err := a.w.d.sendSegment(ctx, a.w.key, s, rest, a.cur.crc(known)); err != nil {
		return err
	}
	crash.At("s3: append: tail kept")
	next.Segments = append(next.Segments, s)
	next.Inline = 0
	next.hollow()
	return nil
}

// remember keeps what spares questions later, and has segments removed that parts hold now.
func (a *appending) remember(next *state, whole bool) {
	w := a.w
	for _, p := range a.sent[:a.stored] {
		if w.sent == nil {
			w.sent = map[int]part{}
		}
		w.sent[p.number] = p
	}
	if len(next.Segments) == 0 {
		w.d.janitor.drop(w.d, w.key, a.from.Segments)
	}
	w.keepOrFree(a.cur, whole && next.segmentBytes()+int64(next.Inline) == a.cur.size)
}

// keepOrFree keeps the bytes of the tail for the next append, if all are there. Without them a state that has some is read again.
func (w *write) keepOrFree(r *run, all bool) {
	if all {
		w.keepTail(r)
	} else {
		r.free()
	}
	if w.tail == nil && w.st != nil && w.st.Inline > 0 {
		w.forget()
	}
}

// why says to whoever lost a race what has become of the write: overtaken, complete, or gone.
func (w *write) why(ctx context.Context, err error) error {
	race := errors.Is(err, errRace)
	if !race && media.KindOf(err) != media.NotFound {
		return err
	}
	st, etag, lerr := w.d.loadState(ctx, w.key, "")
	switch {
	case errors.Is(lerr, media.NotFound):
		return w.over(ctx)
	case lerr != nil:
		return lerr
	case st.ID != w.id:
		return errMissing()
	case race:
		return errFenced()
	}
	// The multipart upload is gone: another process completes it at this moment, or the bucket's lifecycle has ended it.
	if oerr := w.over(ctx); !errors.Is(oerr, media.NotFound) {
		return oerr
	}
	if _, gone := w.d.listParts(ctx, w.key, st.Upload); !errors.Is(gone, media.NotFound) {
		return media.Wrap(media.Unavailable, errors.Join(err, gone), "the storage is away")
	}
	if st.partsEnd() > 0 {
		return &media.Error{Kind: media.Gone, Code: "parts_gone", Detail: "the storage has dropped this upload; start again", Err: err}
	}
	w.st, w.etag = st, etag
	next := st.clone()
	next.skipTo(st.Until)
	next.Upload, next.Open, next.Until = "", "", 0
	if serr := w.swap(ctx, next); serr != nil && !errors.Is(serr, errRace) {
		return serr
	}
	return media.Wrap(media.Unavailable, err, "the storage has dropped what it had; go on")
}
