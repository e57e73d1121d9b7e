package s3

import (
	"context"
	"sync"

	"sluice/media"
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
					for _, name := range names {
						j.remove(ctx, d, name)
					}
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

func (j *janitor) remove(ctx context.Context, d *Driver, name string) {
	err := d.remove(ctx, name)
	if err != nil && ctx.Err() == nil && media.KindOf(err) != media.NotFound {
		d.log.DebugContext(ctx, "a piece of an upload stays for now", "error", err)
	}
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
