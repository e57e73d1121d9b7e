// Package storage keeps bytes. Store routes between named backends and holds the rules common to all of them: what a key may be, how
// ranges are cut, which kind an error has. It knows nothing of assets, catalogues or HTTP.
package storage

import (
	"context"
	"fmt"
	"io"
	"iter"

	"sluice/media"
)

// Backend is a configured Driver with the name that configuration and rows call it by.
type Backend struct {
	Name   string
	Type   media.StorageType
	Driver Driver
}

// Store keeps bytes in named backends. The first one is the default.
type Store struct {
	backends map[string]Backend
	first    string
}

// New makes a Store of at least one backend.
func New(backends []Backend) (*Store, error) {
	if len(backends) == 0 {
		return nil, fmt.Errorf("storage: no backend")
	}
	s := &Store{backends: map[string]Backend{}, first: backends[0].Name}
	for _, b := range backends {
		s.backends[b.Name] = b
	}
	return s, nil
}

// Backend finds a backend by name; "" is the default, an unknown name media.Invalid.
func (s *Store) Backend(name string) (Backend, error) {
	if name == "" {
		name = s.first
	}
	b, ok := s.backends[name]
	if !ok {
		return Backend{}, &media.Error{Kind: media.Invalid, Code: "unknown_storage", Detail: "no such storage is configured", Field: "storage"}
	}
	return b, nil
}

// KeyFor gives the key of an asset's original: sharded by the id's last byte, which is random.
func KeyFor(id media.AssetID) string {
	s := id.String()
	return s[34:] + "/" + s
}

// Begin, Resume, Stat, Read, Sections, Delete, List, Unfinished and Concat do on a named backend what Driver says.

func (s *Store) Begin(ctx context.Context, backend, key string, size int64) (Write, error) {
	b, err := s.Backend(backend)
	if err != nil {
		return nil, err
	}
	return b.Driver.Begin(ctx, key, size)
}

func (s *Store) Resume(ctx context.Context, backend, key string) (Write, error) {
	b, err := s.Backend(backend)
	if err != nil {
		return nil, err
	}
	return b.Driver.Resume(ctx, key)
}

func (s *Store) Stat(ctx context.Context, backend, key string) (media.Object, error) {
	b, err := s.Backend(backend)
	if err != nil {
		return media.Object{}, err
	}
	return b.Driver.Stat(ctx, key)
}

func (s *Store) Read(ctx context.Context, backend string, o media.Object, off, n int64) (io.ReadCloser, error) {
	b, err := s.Backend(backend)
	if err != nil {
		return nil, err
	}
	return b.Driver.Read(ctx, o, off, n)
}

// Sections is nil with no error where the backend keeps no files: Read then.
func (s *Store) Sections(ctx context.Context, backend string, o media.Object, off, n int64) ([]Section, error) {
	b, err := s.Backend(backend)
	if err != nil {
		return nil, err
	}
	if f, ok := b.Driver.(FileDriver); ok {
		return f.Sections(ctx, o, off, n)
	}
	return nil, nil
}

func (s *Store) Delete(ctx context.Context, backend, key string) error {
	b, err := s.Backend(backend)
	if err != nil {
		return err
	}
	return b.Driver.Delete(ctx, key)
}

func (s *Store) List(ctx context.Context, backend, prefix string) iter.Seq2[media.Object, error] {
	b, err := s.Backend(backend)
	if err != nil {
		return func(yield func(media.Object, error) bool) { yield(media.Object{}, err) }
	}
	return b.Driver.List(ctx, prefix)
}

func (s *Store) Unfinished(ctx context.Context, backend string) iter.Seq2[media.Object, error] {
	b, err := s.Backend(backend)
	if err != nil {
		return func(yield func(media.Object, error) bool) { yield(media.Object{}, err) }
	}
	return b.Driver.Unfinished(ctx)
}

// Concat copies where the backend cannot join.
func (s *Store) Concat(ctx context.Context, backend, key string, parts []string) (media.Object, error) {
	b, err := s.Backend(backend)
	if err != nil {
		return media.Object{}, err
	}
	if c, ok := b.Driver.(Concatenator); ok {
		return c.Concat(ctx, key, parts)
	}
	return media.Object{}, media.Errorf(media.Unsupported, "this storage cannot join uploads")
}
