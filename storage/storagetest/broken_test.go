package storagetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"sluice/media"
	"sluice/storage"
)

// broken is a driver broken on purpose, and promises that must fail on it.
type broken struct {
	name  string
	wrap  func(d storage.Driver) storage.Driver
	fails []string
}

// driver breaks methods of the driver, write those of its writes, join gives it a Concat.
func driver(bend func(d storage.Driver, b *bent)) func(storage.Driver) storage.Driver {
	return func(d storage.Driver) storage.Driver {
		b := &bent{Driver: d}
		bend(d, b)
		return b
	}
}

func write(bend func(d storage.Driver, key string, w storage.Write, b *bentWrite)) func(storage.Driver) storage.Driver {
	return driver(func(d storage.Driver, b *bent) {
		b.write = func(key string, w storage.Write) storage.Write {
			bw := &bentWrite{Write: w}
			bend(d, key, w, bw)
			return bw
		}
	})
}

func join(concat func(ctx context.Context, d storage.Driver, key string, parts []string) (media.Object, error)) func(storage.Driver) storage.Driver {
	return func(d storage.Driver) storage.Driver {
		return joiner{d, func(ctx context.Context, key string, parts []string) (media.Object, error) {
			return concat(ctx, d, key, parts)
		}}
	}
}

func copied(ctx context.Context, d storage.Driver, key string, parts []string) (media.Object, error) {
	s, err := storage.New([]storage.Backend{{Name: "copied", Driver: &bent{Driver: d}}})
	if err != nil {
		return media.Object{}, err
	}
	return s.Concat(ctx, "", key, parts)
}

var errBroken = errors.New("broken on purpose")

func breaks() []broken {
	return slices.Concat([]broken{{name: "nothing", wrap: driver(func(storage.Driver, *bent) {})}}, brokenObjects(), brokenWalks(), brokenStarts(), brokenAppends(), brokenEnds(), brokenRoom(), brokenJoins())
}

func brokenObjects() []broken {
	return []broken{
		{"stat shows writes", driver(func(d storage.Driver, b *bent) {
			b.stat = func(ctx context.Context, key string) (media.Object, error) {
				w, err := d.Resume(ctx, key)
				if err != nil {
					return media.Object{}, err
				}
				n, err := w.Offset(ctx)
				return media.Object{Key: key, Size: n}, err
			}
		}), []string{"nothing is visible before commit", "stat tells key, size and time"}},
		{"stat of nothing is no error", driver(func(d storage.Driver, b *bent) {
			b.stat = func(ctx context.Context, key string) (media.Object, error) {
				o, _ := d.Stat(ctx, key)
				return o, nil
			}
		}), []string{"a missing object is NotFound", "a deleted object is gone"}},
		{"stat hides empty objects", driver(func(d storage.Driver, b *bent) {
			b.stat = func(ctx context.Context, key string) (media.Object, error) {
				o, err := d.Stat(ctx, key)
				if err == nil && o.Size == 0 {
					err = media.NotFound
				}
				return o, err
			}
		}), []string{"an object may be empty"}},
		{"stat tells the time of the call", driver(func(d storage.Driver, b *bent) {
			b.stat = func(ctx context.Context, key string) (media.Object, error) {
				o, err := d.Stat(ctx, key)
				o.ModTime = time.Now()
				return o, err
			}
		}), []string{"stat tells key, size and time", "list tells what stat tells"}},
		{"keys that look alike are one", driver(func(d storage.Driver, b *bent) {
			fold := func(key string) string { return strings.NewReplacer("/", "-", ".", "-", "_", "-").Replace(key) }
			b.stat = func(ctx context.Context, key string) (media.Object, error) {
				o, err := d.Stat(ctx, fold(key))
				o.Key = key
				return o, err
			}
			b.begin = func(ctx context.Context, key string, n int64) (storage.Write, error) {
				return d.Begin(ctx, fold(key), n)
			}
			b.read = func(ctx context.Context, o media.Object, off, n int64) (io.ReadCloser, error) {
				o.Key = fold(o.Key)
				return d.Read(ctx, o, off, n)
			}
		}), []string{"every valid key is a key of its own"}},
		{"a folder takes the place of its object", driver(func(d storage.Driver, b *bent) {
			b.stat = func(ctx context.Context, key string) (media.Object, error) {
				for o := range d.List(ctx, key+"/") {
					return media.Object{Key: key, Size: o.Size}, nil
				}
				return d.Stat(ctx, key)
			}
		}), []string{"a key and a key below it are two objects"}},
		{"reads end a byte early", reads(func(off, n int64) (int64, int64) { return off, n - 1 }), []string{
			"a range is read to the byte: the whole", "a range is read to the byte: the last byte", "an object is visible whole after commit",
		}},
		{"reads begin at zero", reads(func(_, n int64) (int64, int64) { return 0, n }), []string{
			"a range is read to the byte: up to the end", "a range is read to the byte: in the middle", "ranges of a joined object cross its joints",
			"a reader may be closed before its end",
		}},
		{"reads from the start go on to the end", driver(func(d storage.Driver, b *bent) {
			b.read = func(ctx context.Context, o media.Object, off, n int64) (io.ReadCloser, error) {
				return d.Read(ctx, o, off, o.Size-off)
			}
		}), []string{"a range is read to the byte: from the start", "a range is read to the byte: the first byte"}},
		{"readers look the object up again", driver(func(d storage.Driver, b *bent) {
			b.read = func(ctx context.Context, o media.Object, off, n int64) (io.ReadCloser, error) {
				if _, err := d.Stat(ctx, o.Key); err != nil {
					return nil, err
				}
				return &lazy{ctx: ctx, d: d, o: o, off: off, n: n}, nil
			}
		}), []string{"readers that have begun may finish after a delete", "the whole can be deleted without harm to the parts"}},
		{"few may read", driver(func(d storage.Driver, b *bent) {
			var now atomic.Int64
			b.read = func(ctx context.Context, o media.Object, off, n int64) (io.ReadCloser, error) {
				if now.Add(1) > 20 {
					return nil, errBroken
				}
				return d.Read(ctx, o, off, n)
			}
		}), []string{"many read one object at once"}},
		{"sections are of another file", func(d storage.Driver) storage.Driver {
			return files{d, func(context.Context, media.Object, int64, int64) ([]storage.Section, error) { return nil, nil }}
		}, []string{"sections hold the same bytes as a read"}},
		{"delete forgets to", driver(func(d storage.Driver, b *bent) {
			b.remove = func(ctx context.Context, key string) error { _, err := d.Stat(ctx, key); return err }
		}), []string{"a deleted object is gone", "a second delete is NotFound", "objects may be deleted during a walk", "a deleted key can be written anew"}},
		{"delete of nothing is no error", driver(func(d storage.Driver, b *bent) {
			b.remove = func(ctx context.Context, key string) error { _ = d.Delete(ctx, key); return nil }
		}), []string{"a second delete is NotFound"}},
		{"delete takes the write", driver(func(d storage.Driver, b *bent) {
			b.remove = func(ctx context.Context, key string) error {
				if w, err := d.Resume(ctx, key); err == nil {
					_ = w.Abort(ctx)
				}
				return d.Delete(ctx, key)
			}
		}), []string{"delete leaves an unfinished write alone"}},
		{"delete takes all below", driver(func(d storage.Driver, b *bent) {
			b.remove = func(ctx context.Context, key string) error {
				for o := range d.List(ctx, key+"/") {
					_ = d.Delete(ctx, o.Key)
				}
				return d.Delete(ctx, key)
			}
		}), []string{"delete takes one object only"}},
	}
}

func reads(change func(off, n int64) (int64, int64)) func(storage.Driver) storage.Driver {
	return driver(func(d storage.Driver, b *bent) {
		b.read = func(ctx context.Context, o media.Object, off, n int64) (io.ReadCloser, error) {
			off, n = change(off, n)
			return d.Read(ctx, o, off, n)
		}
	})
}

// lazy opens the object anew for each read.
type lazy struct {
	ctx    context.Context //nolint:containedctx // a driver broken on purpose
	d      storage.Driver
	o      media.Object
	off, n int64
}

func (l *lazy) Read(p []byte) (int, error) {
	if l.n == 0 {
		return 0, io.EOF
	}
	r, err := l.d.Read(l.ctx, l.o, l.off, l.n)
	if err != nil {
		return 0, err
	}
	n, err := r.Read(p)
	l.off += int64(n)
	l.n -= int64(n)
	return n, err
}

func (l *lazy) Close() error { return nil }

func brokenWalks() []broken {
	return []broken{
		{"list goes backwards", driver(func(d storage.Driver, b *bent) {
			b.list = func(ctx context.Context, prefix string) iter.Seq2[media.Object, error] {
				return func(yield func(media.Object, error) bool) {
					for _, o := range slices.Backward(collect(d.List(ctx, prefix))) {
						if !yield(o, nil) {
							return
						}
					}
				}
			}
		}), []string{"list walks in key order", "many write different keys at once"}},
		{"list knows no prefix", driver(func(d storage.Driver, b *bent) {
			b.list = func(ctx context.Context, _ string) iter.Seq2[media.Object, error] { return d.List(ctx, "") }
		}), []string{"list keeps to the prefix"}},
		{"list shows writes", driver(func(d storage.Driver, b *bent) {
			b.list = func(ctx context.Context, prefix string) iter.Seq2[media.Object, error] {
				return chain(d.List(ctx, prefix), d.Unfinished(ctx))
			}
		}), []string{"nothing is visible before commit", "readers take no lock that a writer holds"}},
		{"list does not stop", driver(func(d storage.Driver, b *bent) {
			b.list = func(ctx context.Context, prefix string) iter.Seq2[media.Object, error] {
				return func(yield func(media.Object, error) bool) {
					for o, err := range d.List(ctx, prefix) {
						yield(o, err)
					}
				}
			}
		}), []string{"a walk may be left early and begun again"}},
		{"unfinished is empty", driver(func(_ storage.Driver, b *bent) {
			b.unfinished = func(context.Context) iter.Seq2[media.Object, error] { return chain() }
		}), []string{"unfinished names the open writes and how far they are"}},
		{"unfinished shows objects", driver(func(d storage.Driver, b *bent) {
			b.unfinished = func(ctx context.Context) iter.Seq2[media.Object, error] {
				return chain(d.Unfinished(ctx), d.List(ctx, ""))
			}
		}), []string{"unfinished names the open writes and how far they are", "begin on a committed key is Conflict"}},
	}
}

func collect(walk iter.Seq2[media.Object, error]) (all []media.Object) {
	for o := range walk {
		all = append(all, o)
	}
	return all
}

func chain(walks ...iter.Seq2[media.Object, error]) iter.Seq2[media.Object, error] {
	return func(yield func(media.Object, error) bool) {
		for _, walk := range walks {
			for o, err := range walk {
				if !yield(o, err) {
					return
				}
			}
		}
	}
}

func brokenStarts() []broken {
	return []broken{
		{"begin resumes", driver(func(d storage.Driver, b *bent) {
			b.begin = func(ctx context.Context, key string, n int64) (storage.Write, error) {
				if w, err := d.Resume(ctx, key); err == nil {
					return w, nil
				}
				return d.Begin(ctx, key, n)
			}
		}), []string{"begin on a key that is being written is Conflict", "begin on a committed key is Conflict", "of many that begin one key one succeeds", "a joined key is taken"}},
		{"begin drops what was there", driver(func(d storage.Driver, b *bent) {
			b.begin = func(ctx context.Context, key string, n int64) (storage.Write, error) {
				_ = d.Delete(ctx, key)
				return d.Begin(ctx, key, n)
			}
		}), []string{"begin on a committed key is Conflict", "a joined key is taken"}},
		{"begin fills the declared length", driver(func(d storage.Driver, b *bent) {
			b.begin = func(ctx context.Context, key string, n int64) (storage.Write, error) {
				w, err := d.Begin(ctx, key, n)
				if err == nil && n > 0 {
					_, err = w.Append(ctx, 0, bytes.NewReader(make([]byte, n)))
				}
				return w, err
			}
		}), []string{"a declared length changes nothing that is seen"}},
		{"begin at one", write(func(_ storage.Driver, _ string, w storage.Write, b *bentWrite) {
			b.offset = func(ctx context.Context) (int64, error) { n, err := w.Offset(ctx); return n + 1, err }
		}), []string{"a write begins at zero", "resume of a committed key has the object's size, and commits to it"}},
		{"few may begin", driver(func(d storage.Driver, b *bent) {
			var begun atomic.Int64
			b.begin = func(ctx context.Context, key string, n int64) (storage.Write, error) {
				if begun.Add(1) > 20 {
					return nil, media.Locked
				}
				return d.Begin(ctx, key, n)
			}
		}), []string{"many write different keys at once"}},
		{"resume begins anew", driver(func(d storage.Driver, b *bent) {
			b.resume = func(ctx context.Context, key string) (storage.Write, error) {
				w, err := d.Resume(ctx, key)
				if err == nil && w.Abort(ctx) == nil {
					return d.Begin(ctx, key, media.UnknownLength)
				}
				return w, err
			}
		}), []string{"a write goes on from another process", "two handles see each other's bytes", "close keeps the bytes and may be repeated"}},
		{"resume makes what is missing", driver(func(d storage.Driver, b *bent) {
			b.resume = func(ctx context.Context, key string) (storage.Write, error) {
				if w, err := d.Begin(ctx, key, media.UnknownLength); err == nil {
					return w, nil
				}
				return d.Resume(ctx, key)
			}
		}), []string{"resume of a missing write is NotFound", "abort leaves nothing"}},
		{"resume knows no committed keys", driver(func(d storage.Driver, b *bent) {
			b.resume = func(ctx context.Context, key string) (storage.Write, error) {
				if _, err := d.Stat(ctx, key); err == nil {
					return nil, media.NotFound
				}
				return d.Resume(ctx, key)
			}
		}), []string{"resume of a committed key has the object's size, and commits to it"}},
	}
}

func brokenJoins() []broken {
	return []broken{
		{"concat sorts", join(func(ctx context.Context, d storage.Driver, key string, parts []string) (media.Object, error) {
			return copied(ctx, d, key, slices.Sorted(slices.Values(parts)))
		}), []string{"concat makes the parts one object, in the order given"}},
		{"concat drops the last", join(func(ctx context.Context, d storage.Driver, key string, parts []string) (media.Object, error) {
			return copied(ctx, d, key, parts[:len(parts)-1])
		}), []string{"concat makes the parts one object, in the order given", "ranges of a joined object cross its joints", "a missing part is NotFound and leaves nothing"}},
		{"concat works once", join(func(ctx context.Context, d storage.Driver, key string, parts []string) (media.Object, error) {
			if _, err := d.Stat(ctx, key); err == nil {
				return media.Object{}, media.Conflict
			}
			return copied(ctx, d, key, parts)
		}), []string{"concat may be repeated", "parts can be deleted without harm to the whole"}},
		{"concat takes the parts away", join(func(ctx context.Context, d storage.Driver, key string, parts []string) (media.Object, error) {
			o, err := copied(ctx, d, key, parts)
			for _, p := range parts {
				err = errors.Join(err, d.Delete(ctx, p))
			}
			return o, err
		}), []string{"the parts of a concat stay", "concat may be repeated", "joined, empty and repeated objects can be parts"}},
		{"concat takes open writes", join(func(ctx context.Context, d storage.Driver, key string, parts []string) (media.Object, error) {
			for _, p := range parts {
				if w, err := d.Resume(ctx, p); err == nil {
					_, _ = w.Commit(ctx)
				}
			}
			return copied(ctx, d, key, parts)
		}), []string{"a part that is not committed is NotFound"}},
		{"concat leaves its half", join(func(ctx context.Context, d storage.Driver, key string, parts []string) (media.Object, error) {
			o, err := copied(ctx, d, key, parts)
			if err != nil {
				_, _ = d.Begin(ctx, key, 1)
			}
			return o, err
		}), []string{"a missing part is NotFound and leaves nothing"}},
	}
}

func brokenRoom() []broken {
	return []broken{
		{"a full disk has no kind", write(func(_ storage.Driver, _ string, w storage.Write, b *bentWrite) {
			b.append = func(ctx context.Context, off int64, r io.Reader) (int64, error) {
				n, err := w.Append(ctx, off, r)
				if errors.Is(err, media.Full) {
					err = errBroken
				}
				return n, err
			}
		}), []string{"a full disk is Full, and every byte told as kept is kept"}},
		{"a full disk tells too much", write(func(_ storage.Driver, _ string, w storage.Write, b *bentWrite) {
			b.append = func(ctx context.Context, off int64, r io.Reader) (int64, error) {
				n, err := w.Append(ctx, off, r)
				if errors.Is(err, media.Full) {
					n -= 512
				}
				return n, err
			}
		}), []string{"a full disk is Full, and every byte told as kept is kept"}},
		{"a full disk deletes nothing", driver(func(d storage.Driver, b *bent) {
			b.remove = func(ctx context.Context, key string) error {
				if key == "7f/old" {
					return fmt.Errorf("delete: %w", media.Full)
				}
				return d.Delete(ctx, key)
			}
		}), []string{"on a full disk objects can be read and deleted, and a write goes on in the room that gives"}},
		{"any length fits", driver(func(d storage.Driver, b *bent) {
			b.begin = func(ctx context.Context, key string, _ int64) (storage.Write, error) {
				return d.Begin(ctx, key, media.UnknownLength)
			}
		}), []string{"a length that does not fit is Full at once and leaves nothing"}},
	}
}
