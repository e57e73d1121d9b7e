package cachetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"sluice/media"
)

// Promises lists the contract.
func Promises[K comparable, V any](use Use[K, V]) []Promise[K, V] {
	k := use.Key(1)
	list := []Promise[K, V]{
		{"a second read does not ask the source", func(ctx context.Context, b *bench[K, V]) error {
			b.holds(k, 1)
			return first(
				func() error { return b.sees(ctx, k, 1, 0) },
				func() error { b.pass(ttl/2 - 1); return b.sees(ctx, k, 1, 0) },
				func() error { return b.asked(1) },
			)
		}},
		{"a value in use is read anew before its TTL, and nobody waits", readAhead[K, V]},
		{"what was read ahead is what the next TTL is counted from", func(ctx context.Context, b *bench[K, V]) error {
			b.holds(k, 1)
			return first(
				func() error { return b.sees(ctx, k, 1, 0) },
				func() error { b.changes(k, 2); b.pass(ttl / 2); return b.sees(ctx, k, 1, 0) },
				func() error { return b.comes(ctx, k, 2) },
				func() error { b.pass(ttl/2 - 1); return errors.Join(b.sees(ctx, k, 2, 0), b.asked(2)) },
			)
		}},
		{"a value as old as the TTL is read anew", func(ctx context.Context, b *bench[K, V]) error {
			b.holds(k, 1)
			return first(
				func() error { return b.sees(ctx, k, 1, 0) },
				func() error { b.changes(k, 2); b.pass(ttl); return b.sees(ctx, k, 2, 0) },
			)
		}},
		{"after Invalidate the source's value is given", func(ctx context.Context, b *bench[K, V]) error {
			b.holds(k, 1)
			return first(
				func() error { return b.sees(ctx, k, 1, 0) },
				func() error { b.holds(k, 2); b.Invalidate(k); return b.sees(ctx, k, 2, 0) },
			)
		}},
		{"what is gone is NotFound once invalidated", func(ctx context.Context, b *bench[K, V]) error {
			b.holds(k, 1)
			return first(
				func() error { return b.sees(ctx, k, 1, 0) },
				func() error { b.source.remove(k); b.Invalidate(k); return b.sees(ctx, k, 0, media.NotFound) },
				func() error {
					b.source.fail(media.Unavailable)
					b.forgotten(k)
					b.pass(missFor)
					return b.sees(ctx, k, 0, media.Unavailable)
				},
			)
		}},
		{"NotFound is remembered shortly", func(ctx context.Context, b *bench[K, V]) error {
			return first(
				func() error { return b.sees(ctx, k, 0, media.NotFound) },
				func() error { b.changes(k, 1); b.pass(missFor - 1); return b.sees(ctx, k, 0, media.NotFound) },
				func() error { return b.asked(1) },
				func() error { b.pass(1); return b.sees(ctx, k, 1, 0) },
			)
		}},
		{"Invalidate forgets NotFound", func(ctx context.Context, b *bench[K, V]) error {
			return first(
				func() error { return b.sees(ctx, k, 0, media.NotFound) },
				func() error { b.holds(k, 1); b.Invalidate(k); return b.sees(ctx, k, 1, 0) },
			)
		}},
		{"after Expire the source's value is given", func(ctx context.Context, b *bench[K, V]) error {
			b.holds(k, 1)
			missing := use.Key(2)
			return first(
				func() error { return errors.Join(b.sees(ctx, k, 1, 0), b.sees(ctx, missing, 0, media.NotFound)) },
				func() error {
					b.changes(k, 2)
					b.changes(missing, 2)
					b.Expire()
					return errors.Join(b.sees(ctx, k, 2, 0), b.sees(ctx, missing, 2, 0))
				},
			)
		}},
		{"after Expire with the source away the last known value is given", func(ctx context.Context, b *bench[K, V]) error {
			b.holds(k, 1)
			return first(
				func() error { return b.sees(ctx, k, 1, 0) },
				func() error {
					b.source.fail(media.Unavailable)
					b.forgotten(k)
					b.Expire()
					return b.sees(ctx, k, 1, 0)
				},
			)
		}},
		{"while changes are not heard of a value lives for a second", func(ctx context.Context, b *bench[K, V]) error {
			b.holds(k, 1)
			b.deafen()
			return first(
				func() error { return b.sees(ctx, k, 1, 0) },
				func() error { b.pass(deafFor/2 - 1); return errors.Join(b.sees(ctx, k, 1, 0), b.asked(1)) },
				func() error { b.changes(k, 2); b.pass(deafFor/2 + 1); return b.sees(ctx, k, 2, 0) },
			)
		}},
		{"Lookup tells what was known from what was asked for", func(ctx context.Context, b *bench[K, V]) error {
			b.holds(k, 1)
			return first(
				func() error { return b.knows(ctx, k, false) },
				func() error { return b.knows(ctx, k, true) },
				func() error { b.Invalidate(k); return b.knows(ctx, k, false) },
			)
		}},
		{"with the source away the last known value is given, for so long", func(ctx context.Context, b *bench[K, V]) error {
			b.holds(k, 1)
			return first(
				func() error { return b.sees(ctx, k, 1, 0) },
				func() error {
					b.source.fail(media.Unavailable)
					b.forgotten(k)
					b.pass(staleFor - 1)
					return b.sees(ctx, k, 1, 0)
				},
				func() error { b.pass(1); return b.sees(ctx, k, 0, media.Unavailable) },
			)
		}},
		{"with the source back the value is new within a second", func(ctx context.Context, b *bench[K, V]) error {
			b.holds(k, 1)
			return first(
				func() error { return b.sees(ctx, k, 1, 0) },
				func() error {
					b.source.fail(media.Unavailable)
					b.forgotten(k)
					b.pass(ttl)
					return b.sees(ctx, k, 1, 0)
				},
				func() error {
					b.source.fail(nil)
					b.changes(k, 2)
					b.pass(time.Second)
					return b.sees(ctx, k, 2, 0)
				},
			)
		}},
		{"a value never seen fails with the source's kind", func(ctx context.Context, b *bench[K, V]) error {
			b.source.fail(media.Unavailable)
			return b.sees(ctx, k, 0, media.Unavailable)
		}},
		{"500 misses at once ask the source once", manyMisses[K, V]},
		{"a caller that leaves does not fail the others", leaver[K, V]},
		{"a load overtaken by Invalidate is not remembered", func(ctx context.Context, b *bench[K, V]) error {
			return overtaken(ctx, b, func() { b.Invalidate(k) })
		}},
		{"a load overtaken by Expire is not remembered", func(ctx context.Context, b *bench[K, V]) error {
			return overtaken(ctx, b, func() { b.forgotten(k); b.Expire() })
		}},
	}
	if use.Fleeting == nil {
		return list
	}
	return append(list, Promise[K, V]{"what must not be kept is not remembered", func(ctx context.Context, b *bench[K, V]) error {
		b.source.put(k, use.Fleeting(use.Value(k, 1)))
		return first(
			func() error { return b.sees(ctx, k, 1, 0) },
			func() error { b.holds(k, 2); return b.sees(ctx, k, 2, 0) },
		)
	}})
}

func manyMisses[K comparable, V any](ctx context.Context, b *bench[K, V]) error {
	b.holds(b.key(), 1)
	open := make(chan struct{})
	b.source.wait(func() { <-open })
	var started, wg sync.WaitGroup
	errs := make([]error, 500)
	for i := range errs {
		started.Add(1)
		wg.Go(func() {
			started.Done()
			errs[i] = b.sees(ctx, b.key(), 1, 0)
		})
	}
	started.Wait()
	close(open)
	wg.Wait()
	return errors.Join(errors.Join(errs...), b.asked(1))
}

func leaver[K comparable, V any](ctx context.Context, b *bench[K, V]) error {
	b.holds(b.key(), 1)
	open, entered := make(chan struct{}), make(chan struct{}, 10)
	b.source.wait(func() { entered <- struct{}{}; <-open })
	leaving, leave := context.WithCancel(ctx)
	left, stayed := make(chan error, 1), make(chan error, 1)
	go func() { _, err := b.Read(leaving, b.key()); left <- err }()
	<-entered
	go func() { stayed <- b.sees(ctx, b.key(), 1, 0) }()
	leave()
	err := <-left
	close(open)
	if !errors.Is(err, context.Canceled) {
		return fmt.Errorf("who left got %w, want its own cancellation", errors.Join(err, <-stayed))
	}
	return errors.Join(<-stayed, b.asked(1))
}

// readAhead holds the source up: whoever reads meanwhile gets the value that is still good.
func readAhead[K comparable, V any](ctx context.Context, b *bench[K, V]) error {
	b.holds(b.key(), 1)
	if err := b.sees(ctx, b.key(), 1, 0); err != nil {
		return err
	}
	b.changes(b.key(), 2)
	open := make(chan struct{})
	b.source.wait(func() { <-open })
	b.pass(ttl - 1)
	var errs []error
	for range 3 {
		errs = append(errs, b.sees(ctx, b.key(), 1, 0))
	}
	close(open)
	return errors.Join(errors.Join(errs...), b.comes(ctx, b.key(), 2), b.asked(2))
}

// comes waits until a version is given.
func (b *bench[K, V]) comes(ctx context.Context, k K, version int64) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		if err := b.sees(ctx, k, version, 0); err == nil || ctx.Err() != nil {
			return err
		}
		<-tick.C
	}
}

// knows checks what Lookup tells.
func (b *bench[K, V]) knows(ctx context.Context, k K, want bool) error {
	if _, known, err := b.Lookup(ctx, k); known != want || err != nil {
		return fmt.Errorf("known = %v, %w, want %v", known, err, want)
	}
	return nil
}

func overtaken[K comparable, V any](ctx context.Context, b *bench[K, V], overtake func()) error {
	b.holds(b.key(), 1)
	open, entered := make(chan struct{}), make(chan struct{}, 10)
	b.source.wait(func() { entered <- struct{}{}; <-open })
	done := make(chan struct{})
	go func() { _, _ = b.Read(ctx, b.key()); close(done) }()
	<-entered
	b.source.wait(nil)
	b.holds(b.key(), 2)
	overtake()
	patience, end := context.WithTimeout(ctx, time.Second) // a broken cache joins the load that waits for us
	defer end()
	during := b.sees(patience, b.key(), 2, 0)
	close(open)
	<-done
	after := b.sees(ctx, b.key(), 2, 0)
	b.Expire() // what memory knows hides what a tier behind it does
	return errors.Join(during, after, b.sees(ctx, b.key(), 2, 0))
}
