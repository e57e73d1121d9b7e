package s3

import (
	"context"
	"fmt"
	"io"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"sluice/media"
)

// part is one that is stored.
type part struct {
	number int
	etag   string
	size   int64
	sum    uint32
}

// createUpload begins a multipart upload.
func (d *Driver) createUpload(ctx context.Context, key string) (string, error) {
	in := &s3.CreateMultipartUploadInput{Bucket: &d.o.Bucket, Key: aws.String(d.objectName(key))}
	if d.o.sums() {
		in.ChecksumAlgorithm, in.ChecksumType = types.ChecksumAlgorithmCrc32c, types.ChecksumTypeFullObject
	}
	ctx, cancel := context.WithTimeout(ctx, callWait)
	defer cancel()
	out, err := d.api.CreateMultipartUpload(ctx, in)
	if err != nil {
		return "", kinded("begin a multipart upload", err)
	}
	return aws.ToString(out.UploadId), nil
}

func (d *Driver) abortUpload(ctx context.Context, key, upload string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callWait)
	defer cancel()
	_, err := d.api.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{
		Bucket: &d.o.Bucket, Key: aws.String(d.objectName(key)), UploadId: &upload,
	})
	if missing(err) {
		return nil
	}
	return kinded("abort a multipart upload", err)
}

// sendPart stores one part.
func (d *Driver) sendPart(ctx context.Context, key, upload string, number int, bytes *run) (part, error) {
	p := part{number: number, size: bytes.size}
	in := &s3.UploadPartInput{
		Bucket: &d.o.Bucket, Key: aws.String(d.objectName(key)), UploadId: &upload, PartNumber: aws.Int32(int32(number)), //nolint:gosec // at most 10,000
		Body: bytes.reader(0), ContentLength: &p.size,
	}
	if d.o.sums() {
		p.sum = bytes.crc(0)
		in.ChecksumCRC32C = aws.String(crcText(p.sum))
	}
	ctx, cancel := context.WithTimeout(ctx, bodyWait(p.size))
	defer cancel()
	out, err := d.api.UploadPart(ctx, in)
	if err != nil {
		return p, kinded(fmt.Sprintf("send part %d", number), err)
	}
	p.etag = aws.ToString(out.ETag)
	return p, nil
}

// listParts gives the parts that are stored, by number.
func (d *Driver) listParts(ctx context.Context, key, upload string) (map[int]part, error) {
	ctx, cancel := context.WithTimeout(ctx, callWait)
	defer cancel()
	found := map[int]part{}
	pages := s3.NewListPartsPaginator(d.api, &s3.ListPartsInput{Bucket: &d.o.Bucket, Key: aws.String(d.objectName(key)), UploadId: &upload})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, kinded("list parts", err)
		}
		for _, p := range page.Parts {
			n := int(aws.ToInt32(p.PartNumber))
			sum, known := parseCRC(aws.ToString(p.ChecksumCRC32C))
			if !known && d.o.sums() {
				continue // its sum is needed for the whole's: the part is sent again under another number
			}
			found[n] = part{number: n, etag: aws.ToString(p.ETag), size: aws.ToInt64(p.Size), sum: sum}
		}
	}
	return found, nil
}

// found gives the whole parts, in a row after those that an open state knows, which the append at work has stored meanwhile.
func (d *Driver) found(ctx context.Context, key string, st *state) ([]part, error) {
	if st.Open == "" || st.Upload == "" {
		return nil, nil
	}
	all, err := d.listParts(ctx, key, st.Upload)
	if err != nil {
		if media.KindOf(err) == media.NotFound {
			return nil, nil
		}
		return nil, err
	}
	var row []part
	for i := st.Parts; ; i++ {
		p, ok := all[st.number(i)]
		if !ok || p.size != st.Part || p.number > st.Until {
			return row, nil
		}
		row = append(row, p)
	}
}

// adopt makes parts the write's that come next in a row; only the last may be shorter than the others.
func (st *state) adopt(parts []part) {
	if len(parts) == 0 {
		return
	}
	for _, p := range parts {
		st.Sum = crcJoin(st.Sum, p.sum, p.size)
		if p.size == st.Part {
			st.Parts++
		} else {
			st.Short = p.size
		}
	}
	st.dropTail()
}

// sendSegment stores a piece of the tail in an object of its own, which nothing names until the state does.
func (d *Driver) sendSegment(ctx context.Context, key string, s segment, from io.ReadSeeker, sum uint32) error {
	in := &s3.PutObjectInput{
		Bucket: &d.o.Bucket, Key: aws.String(d.uploadFolder(key) + s.Name), Body: from, ContentLength: &s.Size,
	}
	if d.o.sums() {
		in.ChecksumCRC32C = aws.String(crcText(sum))
	}
	ctx, cancel := context.WithTimeout(ctx, bodyWait(s.Size))
	defer cancel()
	_, err := d.api.PutObject(ctx, in)
	return kinded("keep the tail", err)
}

// loadTail reads the bytes of a tail back: its segments, unless told not to, and what lies in the state.
func (d *Driver) loadTail(ctx context.Context, key string, st *state, into *run) error {
	for _, s := range st.Segments {
		ctx, cancel := context.WithTimeout(ctx, bodyWait(s.Size))
		err := d.loadSegment(ctx, key, s, into)
		cancel()
		if err != nil {
			return err
		}
	}
	_, err := into.fill(st.inlineReader())
	return err
}

func (d *Driver) loadSegment(ctx context.Context, key string, s segment, into *run) error {
	out, err := d.api.GetObject(ctx, &s3.GetObjectInput{Bucket: &d.o.Bucket, Key: aws.String(d.uploadFolder(key) + s.Name)})
	if err != nil {
		return kinded("read the tail", err)
	}
	before := into.size
	_, err = into.fill(out.Body)
	if cerr := out.Body.Close(); err == nil {
		err = cerr
	}
	if err == nil && into.size-before != s.Size {
		err = io.ErrUnexpectedEOF
	}
	return kinded("read the tail", err)
}
