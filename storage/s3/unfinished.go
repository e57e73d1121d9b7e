package s3

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"sluice/media"
)

// Unfinished walks the names of the states. How far each is stands in it, and is not asked for: there may be a hundred thousand.
func (d *Driver) Unfinished(ctx context.Context) iter.Seq2[media.Object, error] {
	return func(yield func(media.Object, error) bool) {
		for item, err := range d.names(ctx, &s3.ListObjectsV2Input{Bucket: &d.o.Bucket, Prefix: aws.String(d.root() + uploads)}) {
			if err != nil {
				yield(media.Object{}, err)
				return
			}
			key, file, ok := d.uploadOf(item.name)
			if ok && file == stateFile && !yield(object(key, media.UnknownLength, &item.modified), nil) {
				return
			}
		}
	}
}

// Tidy removes what crashes have left that no state names: pieces of tails, and multipart uploads, both of an age at which nobody can be
// about to name them.
func (d *Driver) Tidy(ctx context.Context) error {
	before := time.Now().Add(-d.o.Expiry)
	return errors.Join(d.tidySegments(ctx, before), d.tidyUploads(ctx, before))
}

func (d *Driver) tidySegments(ctx context.Context, before time.Time) error {
	known := knownStates{d: d}
	for item, err := range d.names(ctx, &s3.ListObjectsV2Input{Bucket: &d.o.Bucket, Prefix: aws.String(d.root() + uploads)}) {
		if err != nil {
			return err
		}
		key, file, ok := d.uploadOf(item.name)
		if !ok || file == stateFile || item.modified.After(before) {
			continue
		}
		st, err := known.of(ctx, key)
		if err != nil {
			return err
		}
		if st.names(file) {
			continue
		}
		if err := d.remove(ctx, item.name); err != nil {
			return err
		}
	}
	return nil
}

// names reports whether a segment belongs to the tail.
func (st *state) names(file string) bool {
	if st == nil {
		return false
	}
	for _, s := range st.Segments {
		if s.Name == file {
			return true
		}
	}
	return false
}

func (d *Driver) tidyUploads(ctx context.Context, before time.Time) error {
	known := knownStates{d: d}
	pages := s3.NewListMultipartUploadsPaginator(d.api, &s3.ListMultipartUploadsInput{Bucket: &d.o.Bucket, Prefix: aws.String(d.root())})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return kinded("list multipart uploads", err)
		}
		for _, u := range page.Uploads {
			key, ours := d.keyOf(aws.ToString(u.Key))
			if !ours || aws.ToTime(u.Initiated).After(before) {
				continue
			}
			st, err := known.of(ctx, key)
			if err != nil {
				return err
			}
			id := aws.ToString(u.UploadId)
			if st != nil && st.Upload == id {
				continue
			}
			if err := d.abortUpload(ctx, key, id); err != nil {
				return err
			}
			d.log.InfoContext(ctx, "a multipart upload that nothing names was aborted", "key", key)
		}
	}
	return nil
}

// knownStates reads the state of a key once for several questions in a row.
type knownStates struct {
	d   *Driver
	key string
	st  *state
}

// of gives the state of a key; nil when it has none.
func (k *knownStates) of(ctx context.Context, key string) (*state, error) {
	if k.key == key {
		return k.st, nil
	}
	st, _, err := k.d.loadState(ctx, key, "")
	if err != nil && !errors.Is(err, media.NotFound) {
		return nil, err
	}
	k.key, k.st = key, st
	return st, nil
}
