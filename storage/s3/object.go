package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"sluice/media"
)

// Bounds on waiting for the server.
const (
	attempts   = 4
	headerWait = time.Minute      // from a request's last byte to the first of its answer
	callWait   = 30 * time.Second // for a small request with all its repetitions
)

// Stat asks for the head of an object. Its answers have no words: that it is missing is believed when a GET has been told so in words.
func (d *Driver) Stat(ctx context.Context, key string) (media.Object, error) {
	o, there, err := d.head(ctx, key)
	if err != nil || there {
		return o, err
	}
	ctx, cancel := context.WithTimeout(ctx, callWait)
	defer cancel()
	out, err := d.api.GetObject(ctx, &s3.GetObjectInput{Bucket: &d.o.Bucket, Key: aws.String(d.objectName(key))}, promptly)
	if err != nil {
		return media.Object{}, kinded("look", err)
	}
	return object(key, aws.ToInt64(out.ContentLength), out.LastModified), out.Body.Close() // it has come meanwhile
}

// head is Stat that takes a 404 at its word.
func (d *Driver) head(ctx context.Context, key string) (o media.Object, there bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, callWait)
	defer cancel()
	out, err := d.api.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &d.o.Bucket, Key: aws.String(d.objectName(key))})
	if statusOf(err) == http.StatusNotFound {
		return o, false, nil
	}
	if err != nil {
		return o, false, kinded("look", err)
	}
	return object(key, aws.ToInt64(out.ContentLength), out.LastModified), true, nil
}

// object tells times to the second, as heads do and lists do not.
func object(key string, size int64, modified *time.Time) media.Object {
	return media.Object{Key: key, Size: size, ModTime: aws.ToTime(modified).UTC().Truncate(time.Second)}
}

// Read streams a range of an object. The stream ends with ctx.
func (d *Driver) Read(ctx context.Context, o media.Object, off, n int64) (io.ReadCloser, error) {
	out, err := d.api.GetObject(ctx, &s3.GetObjectInput{
		Bucket: &d.o.Bucket, Key: aws.String(d.objectName(o.Key)), Range: aws.String(fmt.Sprintf("bytes=%d-%d", off, off+n-1)),
	}, promptly)
	if statusOf(err) == http.StatusRequestedRangeNotSatisfiable {
		return nil, io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, kinded("read", err)
	}
	if got := aws.ToInt64(out.ContentLength); got != n {
		return nil, errors.Join(fmt.Errorf("read %d bytes at %d: %d are given: %w", n, off, got, io.ErrUnexpectedEOF), out.Body.Close())
	}
	return &body{out.Body, n}, nil
}

// promptly repeats a request once and at once: a player waits, and asks again by itself.
func promptly(o *s3.Options) {
	o.RetryMaxAttempts = 2
	o.Retryer = retry.AddWithMaxBackoffDelay(o.Retryer, 100*time.Millisecond)
}

// body is a stream of so many bytes, and fails when it is shorter.
type body struct {
	io.ReadCloser
	left int64
}

func (b *body) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	if err != nil && b.left > 0 {
		return n, noEOF(err)
	}
	return n, err
}

// Delete removes an object, after it was seen to be there: the protocol tells nobody that something was not.
func (d *Driver) Delete(ctx context.Context, key string) error {
	if _, err := d.Stat(ctx, key); err != nil {
		return err
	}
	return d.remove(ctx, d.objectName(key))
}

func (d *Driver) remove(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, callWait)
	defer cancel()
	_, err := d.api.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &d.o.Bucket, Key: &name})
	if missing(err) {
		return nil
	}
	return kinded("remove", err)
}

// List walks the objects. Names sort as keys do.
func (d *Driver) List(ctx context.Context, prefix string) iter.Seq2[media.Object, error] {
	return func(yield func(media.Object, error) bool) {
		in := &s3.ListObjectsV2Input{Bucket: &d.o.Bucket, Prefix: aws.String(d.root() + prefix)}
		if prefix == "" {
			in.StartAfter = aws.String(d.root() + strings.TrimSuffix(uploads, "/") + "0") // past the writes: "0" comes after "/"
		}
		for item, err := range d.names(ctx, in) {
			if err != nil {
				yield(media.Object{}, err)
				return
			}
			if key, ok := d.keyOf(item.name); ok && !yield(object(key, item.size, &item.modified), nil) {
				return
			}
		}
	}
}

// named is one entry of a list.
type named struct {
	name     string
	size     int64
	modified time.Time
}

// names walks a list page by page.
func (d *Driver) names(ctx context.Context, in *s3.ListObjectsV2Input) iter.Seq2[named, error] {
	return func(yield func(named, error) bool) {
		pages := s3.NewListObjectsV2Paginator(d.api, in)
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				yield(named{}, kinded("list", err))
				return
			}
			for _, o := range page.Contents {
				if !yield(named{aws.ToString(o.Key), aws.ToInt64(o.Size), aws.ToTime(o.LastModified)}, nil) {
					return
				}
			}
		}
	}
}

// Put stores a small object with one request.
func (d *Driver) Put(ctx context.Context, key string, data []byte) (media.Object, error) {
	return d.putWhole(ctx, key, bytes.NewReader(data), int64(len(data)), crcUpdate(0, data))
}

// putWhole makes an object that must not be there yet: media.Conflict otherwise.
func (d *Driver) putWhole(ctx context.Context, key string, from io.ReadSeeker, size int64, sum uint32) (media.Object, error) {
	in := &s3.PutObjectInput{
		Bucket: &d.o.Bucket, Key: aws.String(d.objectName(key)), Body: from, ContentLength: &size, IfNoneMatch: aws.String("*"),
	}
	if d.o.sums() {
		in.ChecksumCRC32C = aws.String(crcText(sum))
	}
	ctx, cancel := context.WithTimeout(ctx, bodyWait(size))
	defer cancel()
	out, err := d.api.PutObject(ctx, in)
	if lostRace(err) {
		return d.taken(ctx, key, size, sum)
	}
	if err != nil {
		return media.Object{}, kinded("put", err)
	}
	at, ok := awsmiddleware.GetServerTime(out.ResultMetadata)
	if !ok {
		at = time.Now()
	}
	return object(key, size, &at), nil
}

// taken looks at the object that stands where one was to be put. It may be that one: requests whose answer was lost are repeated.
func (d *Driver) taken(ctx context.Context, key string, size int64, sum uint32) (media.Object, error) {
	out, err := d.api.HeadObject(ctx, &s3.HeadObjectInput{
		Bucket: &d.o.Bucket, Key: aws.String(d.objectName(key)), ChecksumMode: types.ChecksumModeEnabled,
	})
	if err != nil || !d.o.sums() || aws.ToInt64(out.ContentLength) != size || aws.ToString(out.ChecksumCRC32C) != crcText(sum) {
		return media.Object{}, errTaken()
	}
	return object(key, size, out.LastModified), nil
}

// bodyWait is how long a request with a body may take, with all its repetitions: a line of 256 KiB/s is slow for a storage.
func bodyWait(n int64) time.Duration {
	return attempts * (callWait + time.Duration(n)*time.Second/(256<<10))
}
