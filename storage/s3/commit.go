package s3

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"sluice/internal/crash"
	"sluice/media"
)

// Commit makes the object out of what the state names, looks at it, and removes the state. Every step may be repeated by whoever comes
// next: the bytes are settled before the first.
func (w *write) Commit(ctx context.Context) (media.Object, error) {
	release, err := w.claim()
	if err != nil {
		return media.Object{}, err
	}
	defer release()
	if w.done != nil {
		return *w.done, nil
	}
	for range 8 {
		if w.st == nil || !w.st.complete() {
			err = w.seal(ctx)
			if errors.Is(err, errRace) {
				continue
			}
			if errors.Is(err, media.NotFound) {
				return w.object(ctx)
			}
			if err != nil {
				return media.Object{}, err
			}
		}
		return w.finish(ctx)
	}
	return media.Object{}, errLocked()
}

// seal reads the state, ends whatever append is at work on it, and sees that nothing comes any more.
func (w *write) seal(ctx context.Context) error {
	if err := w.refresh(ctx); err != nil {
		return err
	}
	if w.st.Open != "" {
		found, err := w.d.found(ctx, w.key, w.st)
		if err != nil {
			return err
		}
		end := w.st.offset()
		if len(found) > 0 {
			end = int64(w.st.Parts+len(found)) * w.st.Part
		}
		if err := w.takeOver(ctx, end); err != nil {
			return err
		}
	}
	if w.st.complete() {
		return nil
	}
	if w.st.partsEnd() == 0 || w.st.offset() == w.st.partsEnd() {
		next := w.st.clone()
		next.Sealed = true
		return w.swap(ctx, next)
	}
	return w.sealTail(ctx)
}

// sealTail makes the tail the last part.
func (w *write) sealTail(ctx context.Context) error {
	st := w.st
	tail := newRun(&w.d.blocks, st.Part)
	defer tail.free()
	if err := w.d.loadTail(ctx, w.key, st, tail); err != nil {
		return err
	}
	number := st.number(st.Parts)
	if number > maxParts {
		return errTooMany()
	}
	open := st.clone()
	open.Open, open.Until = rand.Text(), number
	if err := w.swap(ctx, open); err != nil {
		return err
	}
	p, err := w.d.sendPart(ctx, w.key, st.Upload, number, tail)
	if err != nil {
		return err
	}
	next := st.clone()
	next.adopt([]part{p})
	next.Sealed = true
	if err := w.swap(ctx, next); err != nil {
		return err
	}
	w.d.janitor.drop(w.d, w.key, st.Segments)
	return nil
}

// finish makes the object, and the state go.
func (w *write) finish(ctx context.Context) (media.Object, error) {
	st := w.st
	var err error
	if st.partsEnd() == 0 {
		err = w.putTail(ctx, st)
	} else {
		err = w.complete(ctx, st)
	}
	o, err := w.conclude(ctx, st.offset(), err)
	if err != nil {
		w.forget() // the tail's bytes are not in memory any more
	}
	return o, err
}

// conclude looks at the object that was made, and removes the state.
func (w *write) conclude(ctx context.Context, size int64, err error) (media.Object, error) {
	// Taken, or an upload that is gone: made before, by a commit whose end nobody saw.
	if err != nil && !errors.Is(err, media.Conflict) && !errors.Is(err, media.NotFound) {
		return media.Object{}, err
	}
	crash.At("s3: commit: object made")
	o, serr := w.d.Stat(ctx, w.key)
	if errors.Is(serr, media.NotFound) { // another process is completing it at this moment; what is lost expires
		return o, media.Wrap(media.Unavailable, errors.Join(serr, err), "the file is being completed")
	}
	if serr != nil {
		return o, serr
	}
	if o.Size != size {
		return media.Object{}, media.Wrap(media.Internal, fmt.Errorf("the object has %d bytes, %d were sent: %w", o.Size, size, err), "")
	}
	if err := w.d.dropState(ctx, w.key, w.etag); err != nil && !errors.Is(err, errRace) {
		return media.Object{}, err
	}
	crash.At("s3: commit: state removed")
	if w.st.partsEnd() == 0 && w.joined == nil { // a multipart upload that came to nothing
		w.d.dropUpload(ctx, w.key, w.st)
	} else {
		w.d.janitor.drop(w.d, w.key, w.st.Segments)
	}
	w.forget()
	w.done = &o
	return o, nil
}

// putTail makes an object that never was more than a tail.
func (w *write) putTail(ctx context.Context, st *state) error {
	tail := w.takeTail()
	if tail == nil || tail.size != st.offset() {
		if tail != nil {
			tail.free()
		}
		tail = newRun(&w.d.blocks, st.Part)
		if err := w.d.loadTail(ctx, w.key, st, tail); err != nil {
			tail.free()
			return err
		}
	}
	_, err := w.d.putWhole(ctx, w.key, tail.reader(0), tail.size, tail.crc(0))
	tail.free()
	return err
}

// complete ends the multipart upload. media.NotFound: it has ended already.
func (w *write) complete(ctx context.Context, st *state) error {
	list, err := w.partList(ctx, st)
	if err != nil {
		return err
	}
	crash.At("s3: commit: before complete")
	err = w.d.completeUpload(ctx, w.key, st.Upload, list, st.Sum)
	if codeOf(err) == "InvalidPart" && w.sent != nil { // what this handle remembers is not what was kept: look
		w.sent = nil
		return w.complete(ctx, st)
	}
	return err
}

// completeUpload makes the object of parts, whose sum together the server compares.
func (d *Driver) completeUpload(ctx context.Context, key, upload string, list []types.CompletedPart, sum uint32) error {
	in := &s3.CompleteMultipartUploadInput{
		Bucket: &d.o.Bucket, Key: aws.String(d.objectName(key)), UploadId: &upload,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: list},
	}
	if d.o.sums() {
		in.ChecksumCRC32C, in.ChecksumType = aws.String(crcText(sum)), types.ChecksumTypeFullObject
	}
	_, err := d.api.CompleteMultipartUpload(ctx, in)
	return kinded("complete the multipart upload", err)
}

// partList names the parts, as this handle has sent them or as the server lists them.
func (w *write) partList(ctx context.Context, st *state) ([]types.CompletedPart, error) {
	n := st.Parts
	if st.Short > 0 {
		n++
	}
	listed := w.sent
	list := make([]types.CompletedPart, 0, n)
	for i := 0; i < n; i++ {
		p, ok := listed[st.number(i)]
		if !ok {
			all, err := w.d.listParts(ctx, w.key, st.Upload)
			if err != nil {
				return nil, err
			}
			listed = all
			if p, ok = all[st.number(i)]; !ok {
				return nil, media.Wrap(media.Internal, fmt.Errorf("part %d of %d is not there", i, n), "")
			}
		}
		list = append(list, w.d.completed(p))
	}
	return list, nil
}

func (d *Driver) completed(p part) types.CompletedPart {
	c := types.CompletedPart{PartNumber: aws.Int32(int32(p.number)), ETag: aws.String(p.etag)} //nolint:gosec // at most 10,000
	if d.o.sums() {
		c.ChecksumCRC32C = aws.String(crcText(p.sum))
	}
	return c
}
