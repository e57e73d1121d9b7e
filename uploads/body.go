package uploads

import (
	"context"
	"io"
	"sync"

	"sluice/media"
)

// sniffer looks at the first bytes of a file as they pass, and lets none of them on when they contradict the declared type.
type sniffer struct {
	src  io.Reader
	s    *Service
	u    *upload
	row  *media.Asset
	done bool
}

// begins reports whether the bytes at off continue what is known of the file's head, so that they can be judged.
func (u *upload) begins(off int64) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	// A part's first bytes are not the file's: a joined file is judged when it is joined.
	return !u.judged && !u.row.Upload.Partial && int64(len(u.head)) == off
}

func (f *sniffer) Read(p []byte) (int, error) {
	n, err := f.src.Read(p)
	if f.done || n == 0 {
		return n, err
	}
	u := f.u
	u.mu.Lock()
	u.head = append(u.head, p[:min(n, headSize-len(u.head))]...)
	head := u.head
	u.mu.Unlock()
	if len(head) < headSize && int64(len(head)) != f.row.Size {
		return n, err
	}
	f.done = true
	mime, jerr := f.s.judge(f.row, head)
	if jerr != nil {
		return 0, jerr
	}
	u.mu.Lock()
	u.judged, u.mime, u.head = true, mime, nil
	u.mu.Unlock()
	return n, err
}

// Steps in which room is held for a body of unknown length.
const (
	firstStep = 16 << 20
	leastStep = 64 << 10
)

// reserving holds room in the owner's quota for an upload whose length is deferred, before its bytes are stored.
func (s *Service) reserving(ctx context.Context, row *media.Asset, off, length int64, src io.Reader) (io.Reader, error) {
	if s.o.Quota == 0 {
		return src, nil
	}
	r := &reserver{src: src, off: off, reserve: func(total int64) error {
		ctx, cancel := context.WithTimeout(ctx, ledgerPatience)
		defer cancel()
		return s.ledger.Reserve(ctx, row.ID, total, s.o.Quota)
	}}
	if length >= 0 {
		r.until = off + length
		return r, r.reserve(r.until)
	}
	r.until = off
	return r, nil
}

type reserver struct {
	src        io.Reader
	off, until int64 // stored so far, held so far
	reserve    func(total int64) error
}

func (r *reserver) Read(p []byte) (int, error) {
	if r.off == r.until {
		if err := r.more(); err != nil {
			return 0, err
		}
	}
	p = p[:min(int64(len(p)), r.until-r.off)]
	n, err := r.src.Read(p)
	r.off += int64(n)
	return n, err
}

// more holds another step, or as much of it as the quota has left.
func (r *reserver) more() error {
	var err error
	for step := int64(firstStep); step >= leastStep; step /= 4 {
		if err = r.reserve(r.until + step); err == nil {
			r.until += step
			return nil
		}
		if media.KindOf(err) != media.TooLarge {
			return err
		}
	}
	return err
}

// buffers is the memory that whole small files are taken in with. It is bounded: a thousand slow clients must not hold a megabyte each.
type buffers struct {
	mu   sync.Mutex
	left int64
	pool sync.Pool
}

// get gives n bytes, or nil when too many are out already.
func (b *buffers) get(n int64) []byte {
	b.mu.Lock()
	if n > b.left {
		b.mu.Unlock()
		return nil
	}
	b.left -= n
	b.mu.Unlock()
	if p, ok := b.pool.Get().(*[]byte); ok {
		if int64(cap(*p)) >= n {
			return (*p)[:n]
		}
	}
	return make([]byte, n, max(n, leastStep))
}

func (b *buffers) put(p []byte) {
	b.mu.Lock()
	b.left += int64(len(p))
	b.mu.Unlock()
	b.pool.Put(&p)
}
