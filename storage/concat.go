package storage

import (
	"context"
	"errors"
	"io"

	"sluice/media"
)

// Concat makes the committed parts, in order, one object under key, as Concatenator says. Where the backend cannot join, the bytes are
// copied; a copy that was cut off goes on from where it stopped when Concat is called again.
func (s *Store) Concat(ctx context.Context, backend, key string, parts []string) (media.Object, error) {
	b, err := s.reach(backend, key)
	if err != nil {
		return media.Object{}, err
	}
	if len(parts) == 0 {
		return media.Object{}, media.Errorf(media.Invalid, "there is nothing to join")
	}
	for _, part := range parts {
		if err := CheckKey(part); err != nil {
			return media.Object{}, err
		}
	}
	if c, ok := b.Driver.(Concatenator); ok {
		o, err := c.Concat(ctx, key, parts)
		if !errors.Is(err, errors.ErrUnsupported) {
			return o, b.wrap("concat", key, err)
		}
	}
	o, err := b.copyParts(ctx, key, parts)
	return o, b.wrap("concat", key, err)
}

func (b Backend) copyParts(ctx context.Context, key string, parts []string) (media.Object, error) {
	o, err := b.Driver.Stat(ctx, key)
	if err == nil || !errors.Is(err, media.NotFound) {
		return o, err // done before, and the parts may be gone by now
	}
	objects := make([]media.Object, len(parts))
	var size int64
	for i, part := range parts {
		if objects[i], err = b.Driver.Stat(ctx, part); err != nil {
			return media.Object{}, err
		}
		size += objects[i].Size
	}
	w, err := b.Driver.Begin(ctx, key, size)
	if errors.Is(err, media.Conflict) {
		w, err = b.Driver.Resume(ctx, key)
	}
	if err != nil {
		return media.Object{}, err
	}
	o, err = b.fill(ctx, w, objects)
	return o, errors.Join(err, w.Close())
}

// fill appends what w does not hold yet of the parts, and commits it.
func (b Backend) fill(ctx context.Context, w Write, parts []media.Object) (media.Object, error) {
	off, err := w.Offset(ctx)
	if err != nil {
		return media.Object{}, err
	}
	var start int64 // of the part at hand, in the whole
	for _, part := range parts {
		end := start + part.Size
		if off < end {
			if err := b.appendTail(ctx, w, part, off-start, off); err != nil {
				return media.Object{}, err
			}
			off = end
		}
		start = end
	}
	return w.Commit(ctx)
}

// appendTail appends part from its byte skip on, at off.
func (b Backend) appendTail(ctx context.Context, w Write, part media.Object, skip, off int64) error {
	r, err := b.Driver.Read(ctx, part, skip, part.Size-skip)
	if err != nil {
		return err
	}
	kept, err := w.Append(ctx, off, r)
	if err == nil && kept != part.Size-skip {
		err = io.ErrUnexpectedEOF
	}
	return errors.Join(err, r.Close())
}
