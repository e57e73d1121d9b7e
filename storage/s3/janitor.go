package s3

import (
	"context"
	"errors"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// janitor removes, behind the backs of requests, what is of no use any more. What it does not get to is found by Tidy.
type janitor struct {
	work chan []string
	stop func()
	wg   *sync.WaitGroup
}

const (
	janitorQueue = 1024
	janitorHands = 4
)

func (j *janitor) start(ctx context.Context, d *Driver) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // ends with Close
	j.work, j.wg = make(chan []string, janitorQueue), new(sync.WaitGroup)
	for range janitorHands {
		j.wg.Go(func() {
			for {
				select {
				case names := <-j.work:
					j.remove(ctx, d, names)
				case <-ctx.Done():
					return
				}
			}
		})
	}
	j.stop = sync.OnceFunc(func() {
		cancel()
		j.wg.Wait()
	})
}

func (j *janitor) remove(ctx context.Context, d *Driver, names []string) {
	err := d.removeAll(ctx, names)
	if err != nil && ctx.Err() == nil {
		d.log.DebugContext(ctx, "pieces of an upload stay for now", "pieces", len(names), "error", err)
	}
}

// removeAll removes up to 1,000 objects by one request, or by one each where the server knows no other way.
func (d *Driver) removeAll(ctx context.Context, names []string) error {
	if len(names) > 1 {
		ctx, cancel := context.WithTimeout(ctx, callWait)
		defer cancel()
		list := make([]types.ObjectIdentifier, len(names))
		for i := range names {
			list[i].Key = &names[i]
		}
		_, err := d.api.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: &d.o.Bucket, Delete: &types.Delete{Objects: list, Quiet: aws.Bool(true)}})
		if err == nil {
			return nil
		}
	}
	var errs []error
	for _, name := range names {
		errs = append(errs, d.remove(ctx, name))
	}
	return errors.Join(errs...)
}

// drop has segments removed; nil is nothing.
func (j *janitor) drop(d *Driver, key string, segments []segment) {
	if len(segments) == 0 {
		return
	}
	names := make([]string, len(segments))
	for i, s := range segments {
		names[i] = d.uploadFolder(key) + s.Name
	}
	select {
	case j.work <- names:
	default: // too much to do
	}
}
