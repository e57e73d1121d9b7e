package storagetest

import (
	"context"
	"io"
	"iter"

	"sluice/media"
	"sluice/storage"
)

// bent is a driver some of whose methods do something else.
type bent struct {
	storage.Driver
	stat       func(ctx context.Context, key string) (media.Object, error)
	read       func(ctx context.Context, o media.Object, off, n int64) (io.ReadCloser, error)
	remove     func(ctx context.Context, key string) error
	list       func(ctx context.Context, prefix string) iter.Seq2[media.Object, error]
	unfinished func(ctx context.Context) iter.Seq2[media.Object, error]
	begin      func(ctx context.Context, key string, size int64) (storage.Write, error)
	resume     func(ctx context.Context, key string) (storage.Write, error)
	write      func(key string, w storage.Write) storage.Write // around each Write
}

func (b *bent) Stat(ctx context.Context, key string) (media.Object, error) {
	if b.stat != nil {
		return b.stat(ctx, key)
	}
	return b.Driver.Stat(ctx, key)
}

func (b *bent) Read(ctx context.Context, o media.Object, off, n int64) (io.ReadCloser, error) {
	if b.read != nil {
		return b.read(ctx, o, off, n)
	}
	return b.Driver.Read(ctx, o, off, n)
}

func (b *bent) Delete(ctx context.Context, key string) error {
	if b.remove != nil {
		return b.remove(ctx, key)
	}
	return b.Driver.Delete(ctx, key)
}

func (b *bent) List(ctx context.Context, prefix string) iter.Seq2[media.Object, error] {
	if b.list != nil {
		return b.list(ctx, prefix)
	}
	return b.Driver.List(ctx, prefix)
}

func (b *bent) Unfinished(ctx context.Context) iter.Seq2[media.Object, error] {
	if b.unfinished != nil {
		return b.unfinished(ctx)
	}
	return b.Driver.Unfinished(ctx)
}

func (b *bent) Begin(ctx context.Context, key string, size int64) (storage.Write, error) {
	begin := b.Driver.Begin
	if b.begin != nil {
		begin = b.begin
	}
	return b.around(key)(begin(ctx, key, size))
}

func (b *bent) Resume(ctx context.Context, key string) (storage.Write, error) {
	resume := b.Driver.Resume
	if b.resume != nil {
		resume = b.resume
	}
	return b.around(key)(resume(ctx, key))
}

func (b *bent) around(key string) func(storage.Write, error) (storage.Write, error) {
	return func(w storage.Write, err error) (storage.Write, error) {
		if err == nil && b.write != nil {
			w = b.write(key, w)
		}
		return w, err
	}
}

// bentWrite is the same for a Write.
type bentWrite struct {
	storage.Write
	offset func(ctx context.Context) (int64, error)
	append func(ctx context.Context, off int64, r io.Reader) (int64, error)
	sync   func(ctx context.Context) error
	commit func(ctx context.Context) (media.Object, error)
	abort  func(ctx context.Context) error
	close  func() error
}

func (w *bentWrite) Offset(ctx context.Context) (int64, error) {
	if w.offset != nil {
		return w.offset(ctx)
	}
	return w.Write.Offset(ctx)
}

func (w *bentWrite) Append(ctx context.Context, off int64, r io.Reader) (int64, error) {
	if w.append != nil {
		return w.append(ctx, off, r)
	}
	return w.Write.Append(ctx, off, r)
}

func (w *bentWrite) Sync(ctx context.Context) error {
	if w.sync != nil {
		return w.sync(ctx)
	}
	return w.Write.Sync(ctx)
}

func (w *bentWrite) Commit(ctx context.Context) (media.Object, error) {
	if w.commit != nil {
		return w.commit(ctx)
	}
	return w.Write.Commit(ctx)
}

func (w *bentWrite) Abort(ctx context.Context) error {
	if w.abort != nil {
		return w.abort(ctx)
	}
	return w.Write.Abort(ctx)
}

func (w *bentWrite) Close() error {
	if w.close != nil {
		return w.close()
	}
	return w.Write.Close()
}

// joiner is a driver with a Concat of its own, files one with Sections.
type (
	joiner struct {
		storage.Driver
		concat func(ctx context.Context, key string, parts []string) (media.Object, error)
	}
	files struct {
		storage.Driver
		sections func(ctx context.Context, o media.Object, off, n int64) ([]storage.Section, error)
	}
)

func (j joiner) Concat(ctx context.Context, key string, parts []string) (media.Object, error) {
	return j.concat(ctx, key, parts)
}

func (f files) Sections(ctx context.Context, o media.Object, off, n int64) ([]storage.Section, error) {
	return f.sections(ctx, o, off, n)
}
