package storagetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"sluice/media"
	"sluice/storage"
)

func appends(change func(ctx context.Context, w storage.Write, off int64, r io.Reader) (int64, error)) func(storage.Driver) storage.Driver {
	return write(func(_ storage.Driver, _ string, w storage.Write, b *bentWrite) {
		b.append = func(ctx context.Context, off int64, r io.Reader) (int64, error) { return change(ctx, w, off, r) }
	})
}

func brokenAppends() []broken {
	return []broken{
		{"append appends anywhere", appends(func(ctx context.Context, w storage.Write, _ int64, r io.Reader) (int64, error) {
			off, err := w.Offset(ctx)
			if err != nil {
				return 0, err
			}
			return w.Append(ctx, off, r)
		}), []string{"append elsewhere than at the offset is Conflict and keeps nothing"}},
		{"append tells a byte too many", appends(func(ctx context.Context, w storage.Write, off int64, r io.Reader) (int64, error) {
			n, err := w.Append(ctx, off, r)
			return n + 1, err
		}), []string{"append tells what it kept and moves the offset"}},
		{"append keeps all or nothing", appends(func(ctx context.Context, w storage.Write, off int64, r io.Reader) (int64, error) {
			p, err := io.ReadAll(io.LimitReader(r, 64<<20))
			if err != nil {
				return 0, err
			}
			return w.Append(ctx, off, bytes.NewReader(p))
		}), []string{
			"what came before a reader's error is kept, and the error is given as it came", "the offset can be asked while an append waits",
			"two appends at once never mix",
		}},
		{"append words the reader's error anew", appends(func(ctx context.Context, w storage.Write, off int64, r io.Reader) (int64, error) {
			n, err := w.Append(ctx, off, r)
			if err != nil {
				err = fmt.Errorf("append: %w", err)
			}
			return n, err
		}), []string{"what came before a reader's error is kept, and the error is given as it came"}},
		{"append drops bytes beside an error", appends(func(ctx context.Context, w storage.Write, off int64, r io.Reader) (int64, error) {
			return w.Append(ctx, off, careless{r})
		}), []string{"bytes that come together with an error are kept"}},
		{"append ends with the first small piece", appends(func(ctx context.Context, w storage.Write, off int64, r io.Reader) (int64, error) {
			return w.Append(ctx, off, &impatient{r: r})
		}), []string{"a reader that gives little at a time loses nothing"}},
		{"append tells nothing once the context has ended", appends(func(ctx context.Context, w storage.Write, off int64, r io.Reader) (int64, error) {
			n, err := w.Append(ctx, off, r)
			if ctx.Err() != nil {
				n = 0
			}
			return n, err
		}), []string{"an ended context stops an append, and what was kept is told"}},
		{"sync ends the write", write(func(_ storage.Driver, _ string, w storage.Write, b *bentWrite) {
			b.sync = func(ctx context.Context) error { _, err := w.Commit(ctx); return err }
		}), []string{"sync keeps the bytes, and appends go on", "nothing is visible before commit"}},
		{"readers wait for writers", driver(func(d storage.Driver, b *bent) {
			var writing atomic.Int64
			b.write = func(_ string, w storage.Write) storage.Write {
				return &bentWrite{Write: w, append: func(ctx context.Context, off int64, r io.Reader) (int64, error) {
					writing.Add(1)
					defer writing.Add(-1)
					return w.Append(ctx, off, r)
				}}
			}
			b.read = func(ctx context.Context, o media.Object, off, n int64) (io.ReadCloser, error) {
				if writing.Load() > 0 {
					return nil, media.Locked
				}
				return d.Read(ctx, o, off, n)
			}
		}), []string{"readers take no lock that a writer holds"}},
	}
}

// careless forgets bytes that come with an error.
type careless struct{ r io.Reader }

func (c careless) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if err != nil {
		n = 0
	}
	return n, err
}

// impatient takes a piece that does not fill the buffer for the last.
type impatient struct {
	r    io.Reader
	done bool
}

func (i *impatient) Read(p []byte) (int, error) {
	if i.done {
		return 0, io.EOF
	}
	n, err := i.r.Read(p)
	i.done = n > 0 && n < len(p)
	return n, err
}

func brokenEnds() []broken {
	return []broken{
		{"commit works once", driver(func(_ storage.Driver, b *bent) {
			b.write = func(_ string, w storage.Write) storage.Write {
				done := false
				return &bentWrite{Write: w, commit: func(ctx context.Context) (media.Object, error) {
					if done {
						return media.Object{}, media.NotFound
					}
					done = true
					return w.Commit(ctx)
				}}
			}
		}), []string{"commit may be repeated"}},
		{"commit is refused once the object is there", write(func(d storage.Driver, key string, w storage.Write, b *bentWrite) {
			b.commit = func(ctx context.Context) (media.Object, error) {
				if _, err := d.Stat(ctx, key); err == nil {
					return media.Object{}, media.Conflict
				}
				return w.Commit(ctx)
			}
		}), []string{"commit may be repeated by another process", "many that commit at once answer the same object"}},
		{"an object goes on taking bytes", write(func(d storage.Driver, key string, w storage.Write, b *bentWrite) {
			b.append = func(ctx context.Context, off int64, r io.Reader) (int64, error) {
				if _, err := d.Stat(ctx, key); err == nil {
					return 0, nil
				}
				return w.Append(ctx, off, r)
			}
		}), []string{"a committed object takes no more bytes"}},
		{"abort drops objects", write(func(d storage.Driver, key string, w storage.Write, b *bentWrite) {
			b.abort = func(ctx context.Context) error {
				err := w.Abort(ctx)
				if errors.Is(err, media.Conflict) {
					return d.Delete(ctx, key)
				}
				return err
			}
		}), []string{"abort after commit is Conflict and drops nothing"}},
		{"abort forgets to", write(func(_ storage.Driver, _ string, _ storage.Write, b *bentWrite) {
			b.abort = func(context.Context) error { return nil }
		}), []string{
			"abort leaves nothing", "an aborted write takes no bytes and does not commit", "on a full disk a write can be aborted, which gives its room",
			"an aborted key can be begun again, and old handles leave the new write alone",
		}},
		{"abort works once", write(func(d storage.Driver, key string, w storage.Write, b *bentWrite) {
			b.abort = func(ctx context.Context) error {
				if _, err := d.Resume(ctx, key); err != nil {
					return err
				}
				return w.Abort(ctx)
			}
		}), []string{"abort may be repeated"}},
		{"close aborts", write(func(_ storage.Driver, _ string, w storage.Write, b *bentWrite) {
			b.close = func() error { return errors.Join(w.Abort(context.Background()), w.Close()) }
		}), []string{"close keeps the bytes and may be repeated"}},
		{"close does nothing", write(func(_ storage.Driver, _ string, _ storage.Write, b *bentWrite) {
			b.close = func() error { return nil }
		}), []string{"a closed handle changes nothing"}},
	}
}
