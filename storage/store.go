// Package storage keeps bytes. Store routes between named backends and holds the rules common to all of them: which backend an upload goes
// to, what a key may be, how ranges are cut, which kind an error has. It knows nothing of catalogues or HTTP.
package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"time"

	"sluice/media"
)

// Delivery says who sends a backend's bytes to a player.
type Delivery string

// The deliveries.
const (
	Proxy    Delivery = "proxy"    // the gateway, and so does ""
	Redirect Delivery = "redirect" // the backend itself, by a URL from its Presigner
)

// Backend is a configured Driver with the name that configuration and rows call it by.
type Backend struct {
	Name   string
	Type   media.StorageType
	Driver Driver

	Delivery    Delivery
	RedirectTTL time.Duration // how long a redirect's URL holds; 0: as long as whoever signs it thinks right
}

// Store keeps bytes in named backends. The first one is the default.
type Store struct {
	backends map[string]Backend
	names    []string // in the order given
	rules    []Rule
}

// New makes a Store of at least one backend, and of the rules by which Route picks one. Names are unique and not empty, and a rule's is one
// of them; only a backend that presigns redirects.
func New(backends []Backend, rules ...Rule) (*Store, error) {
	if len(backends) == 0 {
		return nil, errors.New("storage: no backend")
	}
	s := &Store{backends: make(map[string]Backend, len(backends)), rules: rules}
	for _, b := range backends {
		if b.Name == "" {
			return nil, errors.New("storage: a backend has no name")
		}
		if b.Driver == nil {
			return nil, fmt.Errorf("storage: backend %q has no driver", b.Name)
		}
		if _, twice := s.backends[b.Name]; twice {
			return nil, fmt.Errorf("storage: two backends are named %q", b.Name)
		}
		if err := b.checkDelivery(); err != nil {
			return nil, err
		}
		s.backends[b.Name] = b
		s.names = append(s.names, b.Name)
	}
	for _, r := range rules {
		if _, ok := s.backends[r.Backend]; !ok {
			return nil, fmt.Errorf("storage: a rule names the backend %q, which is not there", r.Backend)
		}
	}
	return s, nil
}

func (b Backend) checkDelivery() error {
	switch b.Delivery {
	case "", Proxy:
	case Redirect:
		if _, ok := b.Driver.(Presigner); !ok {
			return fmt.Errorf("storage: backend %q signs no URLs, so it cannot redirect", b.Name)
		}
	default:
		return fmt.Errorf("storage: delivery of backend %q is %s or %s, not %q", b.Name, Proxy, Redirect, b.Delivery)
	}
	if b.RedirectTTL < 0 {
		return fmt.Errorf("storage: redirects of backend %q hold for a negative time", b.Name)
	}
	return nil
}

// Names gives the names of all backends, the default's first.
func (s *Store) Names() []string { return slices.Clone(s.names) }

// Backend finds the backend that a row names; "" is the default. One that is not configured any more is media.Unavailable: what it keeps
// is there again once it is.
func (s *Store) Backend(name string) (Backend, error) {
	b, ok := s.find(name)
	if !ok {
		return Backend{}, &media.Error{
			Kind: media.Unavailable, Code: "storage_not_configured", Detail: "the storage that keeps this is not configured here",
			RetryAfter: time.Minute, Err: fmt.Errorf("storage: no backend is named %q", name),
		}
	}
	return b, nil
}

// Choose finds the backend that a request asks for; "" is the default, a name that none has is media.Invalid.
func (s *Store) Choose(name string) (Backend, error) {
	b, ok := s.find(name)
	if !ok {
		return Backend{}, &media.Error{Kind: media.Invalid, Code: "unknown_storage", Detail: "no such storage is configured", Field: "storage"}
	}
	return b, nil
}

func (s *Store) find(name string) (Backend, bool) {
	if name == "" {
		name = s.names[0]
	}
	b, ok := s.backends[name]
	return b, ok
}

// Begin starts a write of size bytes, or of media.UnknownLength, as Driver.Begin says.
func (s *Store) Begin(ctx context.Context, backend, key string, size int64) (Write, error) {
	b, err := s.reach(backend, key)
	if err != nil {
		return nil, err
	}
	if size < media.UnknownLength {
		return nil, media.Errorf(media.Invalid, "a length is not negative")
	}
	w, err := b.Driver.Begin(ctx, key, size)
	return w, b.wrap("begin", key, err)
}

// Put stores a small object in one step, as Putter.Put says.
func (s *Store) Put(ctx context.Context, backend, key string, data []byte) (media.Object, error) {
	b, err := s.reach(backend, key)
	if err != nil {
		return media.Object{}, err
	}
	var o media.Object
	if p, ok := b.Driver.(Putter); ok {
		o, err = p.Put(ctx, key, data)
	} else {
		o, err = put(ctx, b.Driver, key, data)
	}
	return o, b.wrap("put", key, err)
}

func put(ctx context.Context, d Driver, key string, data []byte) (o media.Object, err error) {
	w, err := d.Begin(ctx, key, int64(len(data)))
	if err != nil {
		return o, err
	}
	if _, err = w.Append(ctx, 0, bytes.NewReader(data)); err == nil {
		o, err = w.Commit(ctx)
	}
	if err != nil {
		err = errors.Join(err, w.Abort(ctx))
	}
	return o, errors.Join(err, w.Close())
}

// Resume opens an unfinished write again, as Driver.Resume says.
func (s *Store) Resume(ctx context.Context, backend, key string) (Write, error) {
	b, err := s.reach(backend, key)
	if err != nil {
		return nil, err
	}
	w, err := b.Driver.Resume(ctx, key)
	return w, b.wrap("resume", key, err)
}

// Stat tells size and time of a committed object.
func (s *Store) Stat(ctx context.Context, backend, key string) (media.Object, error) {
	b, err := s.reach(backend, key)
	if err != nil {
		return media.Object{}, err
	}
	o, err := b.Driver.Stat(ctx, key)
	return o, b.wrap("stat", key, err)
}

// Read streams n bytes of o from off. A range that is empty or leaves the object is media.Invalid.
func (s *Store) Read(ctx context.Context, backend string, o media.Object, off, n int64) (io.ReadCloser, error) {
	b, err := s.reachRange(backend, o, off, n)
	if err != nil {
		return nil, err
	}
	r, err := b.Driver.Read(ctx, o, off, n)
	return r, b.wrap("read", o.Key, err)
}

// Sections gives the open files that hold the range. It is nil with no error where the backend keeps no files: Read then.
func (s *Store) Sections(ctx context.Context, backend string, o media.Object, off, n int64) ([]Section, error) {
	b, err := s.reachRange(backend, o, off, n)
	if err != nil {
		return nil, err
	}
	f, ok := b.Driver.(FileDriver)
	if !ok {
		return nil, nil
	}
	sections, err := f.Sections(ctx, o, off, n)
	return sections, b.wrap("read", o.Key, err)
}

// Presign gives a URL of the backend's own, as Presigner.Presign says. It is "" with no error where the backend has none: Read then.
func (s *Store) Presign(ctx context.Context, backend string, o media.Object, p Presentation, issued time.Time, life time.Duration) (string, error) {
	b, err := s.reach(backend, o.Key)
	if err != nil {
		return "", err
	}
	d, ok := b.Driver.(Presigner)
	if !ok {
		return "", nil
	}
	u, err := d.Presign(ctx, o, p, issued, life)
	return u, b.wrap("presign", o.Key, err)
}

// Delete removes a committed object; a second time it is media.NotFound.
func (s *Store) Delete(ctx context.Context, backend, key string) error {
	b, err := s.reach(backend, key)
	if err != nil {
		return err
	}
	return b.wrap("delete", key, b.Driver.Delete(ctx, key))
}

// List walks the committed objects whose key begins with prefix, in key order. It ends at the first error.
func (s *Store) List(ctx context.Context, backend, prefix string) iter.Seq2[media.Object, error] {
	b, err := s.Backend(backend)
	if err == nil {
		err = checkPrefix(prefix)
	}
	if err != nil {
		return func(yield func(media.Object, error) bool) { yield(media.Object{}, err) }
	}
	return b.walk("list", b.Driver.List(ctx, prefix))
}

// Unfinished walks the writes that are neither committed nor aborted. It ends at the first error.
func (s *Store) Unfinished(ctx context.Context, backend string) iter.Seq2[media.Object, error] {
	b, err := s.Backend(backend)
	if err != nil {
		return func(yield func(media.Object, error) bool) { yield(media.Object{}, err) }
	}
	return b.walk("unfinished", b.Driver.Unfinished(ctx))
}

// Tidy removes what crashes have left in a backend, as Tidier.Tidy says. Where nothing can be left it does nothing.
func (s *Store) Tidy(ctx context.Context, backend string) error {
	b, err := s.Backend(backend)
	if err != nil {
		return err
	}
	if t, ok := b.Driver.(Tidier); ok {
		return b.wrap("tidy", "", t.Tidy(ctx))
	}
	return nil
}

// reach finds a backend for a key that every backend can take.
func (s *Store) reach(backend, key string) (Backend, error) {
	b, err := s.Backend(backend)
	if err != nil {
		return Backend{}, err
	}
	return b, CheckKey(key)
}

func (s *Store) reachRange(backend string, o media.Object, off, n int64) (Backend, error) {
	b, err := s.reach(backend, o.Key)
	if err != nil {
		return Backend{}, err
	}
	return b, checkRange(o.Size, off, n)
}

// wrap says where and at what an error came up. The kind stays visible through it.
func (b Backend) wrap(doing, key string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("storage %s: %s %s: %w", b.Name, doing, key, err)
}

func (b Backend) walk(doing string, objects iter.Seq2[media.Object, error]) iter.Seq2[media.Object, error] {
	return func(yield func(media.Object, error) bool) {
		for o, err := range objects {
			if !yield(o, b.wrap(doing, o.Key, err)) || err != nil {
				return
			}
		}
	}
}
