package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"

	"sluice/internal/crash"
	"sluice/media"
)

// Concat joins objects by UploadPartCopy, which the server does by itself. Only the ends of parts that are too small for one of the
// protocol's, 5 MiB, pass through here.
func (d *Driver) Concat(ctx context.Context, key string, parts []string) (media.Object, error) {
	if !d.o.CopyParts {
		return media.Object{}, fmt.Errorf("join by copying parts: %w", errors.ErrUnsupported)
	}
	if o, err := d.Stat(ctx, key); err == nil {
		return o, d.joined(ctx, key)
	} else if !errors.Is(err, media.NotFound) {
		return o, err
	}
	plan, size, err := d.planJoin(ctx, parts)
	if errors.Is(err, media.NotFound) { // joined by another process meanwhile, and the parts are gone?
		if o, serr := d.Stat(ctx, key); serr == nil {
			return o, nil
		}
	}
	if err != nil {
		return media.Object{}, err
	}
	w, err := d.beginJoin(ctx, key, size)
	if err != nil {
		return media.Object{}, err
	}
	release, err := w.claim()
	if err != nil {
		return media.Object{}, err
	}
	defer release()
	if size == 0 {
		_, err := d.putWhole(ctx, key, newRun(&d.blocks, 0).reader(0), 0, 0)
		return w.conclude(ctx, 0, err)
	}
	if err = w.copyAll(ctx, plan); err == nil {
		crash.At("s3: concat: parts copied")
		err = w.completeJoin(ctx)
	}
	return w.conclude(ctx, size, err)
}

// joined removes the state that a join has left which was cut off at its very end.
func (d *Driver) joined(ctx context.Context, key string) error {
	_, etag, err := d.loadState(ctx, key, "")
	if err == nil {
		err = d.dropState(ctx, key, etag)
	}
	if errors.Is(err, media.NotFound) || errors.Is(err, errRace) {
		return nil
	}
	return err
}

// span is a range of an object.
type span struct {
	key         string
	off, n, all int64
}

// copyChunk is how much is copied by one request at most: several go at once.
const copyChunk = 64 << 20

// planJoin says what each part of the whole is made of: one span to be copied, or several that together are large enough.
func (d *Driver) planJoin(ctx context.Context, parts []string) (plan [][]span, size int64, err error) {
	var small []span // not enough for a part yet
	var held int64
	for _, key := range parts {
		o, err := d.Stat(ctx, key)
		if err != nil {
			return nil, 0, err
		}
		size += o.Size
		off := int64(0)
		take := func(n int64) span {
			s := span{key, off, n, o.Size}
			off += n
			return s
		}
		if held > 0 && o.Size > 0 {
			s := take(min(minPart-held, o.Size))
			small, held = append(small, s), held+s.n
			if held == minPart {
				plan, small, held = append(plan, small), nil, 0
			}
		}
		for o.Size-off >= minPart {
			n := min(o.Size-off, copyChunk)
			if rest := o.Size - off - n; rest < minPart {
				n += rest
			}
			plan = append(plan, []span{take(n)})
		}
		if off < o.Size {
			s := take(o.Size - off)
			small, held = append(small, s), held+s.n
		}
	}
	if held > 0 {
		plan = append(plan, small)
	}
	if len(plan) > maxParts {
		return nil, 0, errTooMany()
	}
	return plan, size, nil
}

// beginJoin makes the state of a join, or finds the one of a join that was cut off.
func (d *Driver) beginJoin(ctx context.Context, key string, size int64) (*write, error) {
	st := newState(size, d.partFor(size), time.Now())
	st.Join = true
	var err error
	if size > 0 {
		if st.Upload, err = d.createUpload(ctx, key); err != nil {
			return nil, err
		}
	}
	etag, err := d.swapState(ctx, key, st, "")
	if err == nil {
		return &write{d: d, key: key, id: st.ID, st: st, etag: etag}, nil
	}
	if st.Upload != "" {
		err = errors.Join(err, d.abortUpload(ctx, key, st.Upload))
	}
	if !errors.Is(err, errRace) {
		return nil, err
	}
	there, etag, err := d.loadState(ctx, key, "")
	if errors.Is(err, media.NotFound) { // another process has just ended the join: the object is there when this is asked again
		return nil, media.Wrap(media.Unavailable, err, "the file is being joined")
	}
	if err != nil {
		return nil, err
	}
	if there.Size != size || !there.Join {
		return nil, errTaken()
	}
	return &write{d: d, key: key, id: there.ID, st: there, etag: etag}, nil
}

// copyAll sees that every part of the plan is there.
func (w *write) copyAll(ctx context.Context, plan [][]span) error {
	there, err := w.d.listParts(ctx, w.key, w.st.Upload)
	if err != nil {
		return err
	}
	done := make([]part, len(plan))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(w.d.o.InFlight)
	for i, spans := range plan {
		if p, ok := there[i+1]; ok && p.size == total(spans) {
			done[i] = p
			continue
		}
		g.Go(func() (err error) {
			if len(spans) == 1 && spans[0].n >= minPart {
				done[i], err = w.d.copyPart(ctx, w.key, w.st.Upload, i+1, spans[0])
			} else {
				done[i], err = w.d.gatherPart(ctx, w.key, w.st.Upload, i+1, spans)
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	w.joined = done
	return nil
}

func total(spans []span) (n int64) {
	for _, s := range spans {
		n += s.n
	}
	return n
}

func (d *Driver) copyPart(ctx context.Context, key, upload string, number int, s span) (part, error) {
	in := &s3.UploadPartCopyInput{
		Bucket: &d.o.Bucket, Key: aws.String(d.objectName(key)), UploadId: &upload, PartNumber: aws.Int32(int32(number)), //nolint:gosec // at most 10,000
		CopySource: aws.String(url.PathEscape(d.o.Bucket) + "/" + (&url.URL{Path: d.objectName(s.key)}).EscapedPath()),
	}
	if s.n < s.all {
		in.CopySourceRange = aws.String(fmt.Sprintf("bytes=%d-%d", s.off, s.off+s.n-1))
	}
	out, err := d.api.UploadPartCopy(ctx, in)
	if err != nil {
		return part{}, kinded(fmt.Sprintf("copy part %d", number), err)
	}
	p := part{number: number, size: s.n, etag: aws.ToString(out.CopyPartResult.ETag)}
	sum, known := parseCRC(aws.ToString(out.CopyPartResult.ChecksumCRC32C))
	if d.o.sums() && !known {
		return p, media.Wrap(media.Unavailable, errors.New("the server copies without checksums: set checksums to none, or copy_parts to false"), "the storage cannot join")
	}
	p.sum = sum
	return p, nil
}

// gatherPart makes a part of pieces that are too small to be copied.
func (d *Driver) gatherPart(ctx context.Context, key, upload string, number int, spans []span) (part, error) {
	bytes := newRun(&d.blocks, total(spans))
	defer bytes.free()
	for _, s := range spans {
		r, err := d.Read(ctx, media.Object{Key: s.key, Size: s.all}, s.off, s.n)
		if err != nil {
			return part{}, err
		}
		_, err = bytes.fill(r)
		if err = errors.Join(err, r.Close()); err != nil {
			return part{}, kinded("read a piece", err)
		}
	}
	if bytes.size != total(spans) {
		return part{}, kinded("read a piece", io.ErrUnexpectedEOF)
	}
	return d.sendPart(ctx, key, upload, number, bytes)
}

// completeJoin ends the multipart upload of a join.
func (w *write) completeJoin(ctx context.Context) error {
	list := make([]types.CompletedPart, len(w.joined))
	var sum uint32
	for i, p := range w.joined {
		list[i] = w.d.completed(p)
		sum = crcJoin(sum, p.sum, p.size)
	}
	return w.d.completeUpload(ctx, w.key, w.st.Upload, list, sum)
}
