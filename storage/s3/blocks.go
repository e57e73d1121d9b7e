package s3

import (
	"errors"
	"io"
	"slices"
	"sync"
)

// The bytes of a part are gathered in blocks that grow as it does: a client that has sent little holds little. Blocks are pooled by size.
const (
	smallBlock  = 32 << 10
	middleBlock = 256 << 10
	largeBlock  = 1 << 20
)

type blocks [3]*sync.Pool

func newBlocks() blocks {
	pool := func(size int) *sync.Pool {
		return &sync.Pool{New: func() any { b := make([]byte, size); return &b }}
	}
	return blocks{pool(smallBlock), pool(middleBlock), pool(largeBlock)}
}

func (b *blocks) get(size int) *[]byte {
	return b[size].Get().(*[]byte) //nolint:errcheck,forcetypeassert // the pools hold nothing else
}

// run is bytes in a row, held in blocks. The zero run is empty.
type run struct {
	pool  *blocks
	list  []*[]byte // each of the length of its pool
	ends  []int     // how much of each is used
	size  int64
	limit int64 // the most it may hold
}

func newRun(pool *blocks, limit int64) *run { return &run{pool: pool, limit: limit} }

// room gives where the next bytes go: at least one byte unless the run is full, which gives none.
func (r *run) room() []byte {
	left := r.limit - r.size
	if left <= 0 {
		return nil
	}
	if n := len(r.list); n > 0 {
		if last := *r.list[n-1]; r.ends[n-1] < len(last) {
			free := last[r.ends[n-1]:]
			return free[:min(int64(len(free)), left)]
		}
	}
	class := 0
	switch {
	case r.size >= largeBlock:
		class = 2
	case r.size >= smallBlock:
		class = 1
	}
	r.list, r.ends = append(r.list, r.pool.get(class)), append(r.ends, 0)
	b := *r.list[len(r.list)-1]
	return b[:min(int64(len(b)), left)]
}

// took says that n bytes were put into room.
func (r *run) took(n int) {
	r.ends[len(r.ends)-1] += n
	r.size += int64(n)
}

// fill takes bytes from a reader until its end or until the run is full, and tells which.
func (r *run) fill(from io.Reader) (full bool, err error) {
	for {
		space := r.room()
		if space == nil {
			return true, nil
		}
		n, err := from.Read(space)
		r.took(n)
		switch {
		case errors.Is(err, io.EOF):
			return false, nil
		case err != nil:
			return false, err
		}
	}
}

// each gives the pieces in order.
func (r *run) each(do func(p []byte)) {
	for i, b := range r.list {
		do((*b)[:r.ends[i]])
	}
}

// crc gives the CRC32C of everything from byte skip on.
func (r *run) crc(skip int64) uint32 {
	var sum uint32
	r.each(func(p []byte) {
		cut := min(skip, int64(len(p)))
		skip -= cut
		sum = crcUpdate(sum, p[cut:])
	})
	return sum
}

// free gives the blocks back. The run is empty afterwards.
func (r *run) free() {
	for _, b := range r.list {
		class := 0
		switch len(*b) {
		case middleBlock:
			class = 1
		case largeBlock:
			class = 2
		}
		r.pool[class].Put(b)
	}
	r.list, r.ends, r.size = nil, nil, 0
}

// reader reads the run from byte skip on. The run must not change meanwhile.
func (r *run) reader(skip int64) *runReader { return &runReader{r: r, base: skip} }

// runReader reads a run, again as often as a request is repeated.
type runReader struct {
	r    *run
	base int64 // where it begins in the run
	at   int64 // from base on
}

func (rr *runReader) Len() int64 { return rr.r.size - rr.base }

func (rr *runReader) Read(p []byte) (int, error) {
	if rr.at >= rr.Len() {
		return 0, io.EOF
	}
	off := rr.base + rr.at
	n := 0
	for i := 0; i < len(rr.r.list) && n < len(p); i++ {
		piece := (*rr.r.list[i])[:rr.r.ends[i]]
		if off >= int64(len(piece)) {
			off -= int64(len(piece))
			continue
		}
		n += copy(p[n:], piece[off:])
		off = 0
	}
	rr.at += int64(n)
	return n, nil
}

func (rr *runReader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += rr.at
	case io.SeekEnd:
		offset += rr.Len()
	}
	if offset < 0 {
		return 0, errors.New("storage s3: seek before the start")
	}
	rr.at = offset
	return offset, nil
}

// join puts another run behind this one, and leaves that one empty.
func (r *run) join(behind *run) {
	r.list, r.ends = append(r.list, behind.list...), append(r.ends, behind.ends...)
	r.size += behind.size
	behind.list, behind.ends, behind.size = nil, nil, 0
}

// snapshot is the run as it is now: what is added to the run later is not seen in it. It shares the blocks.
func (r *run) snapshot() *run {
	return &run{pool: r.pool, list: slices.Clone(r.list), ends: slices.Clone(r.ends), size: r.size, limit: r.limit}
}

// again reads the same from its start.
func (rr *runReader) again() *runReader { return &runReader{r: rr.r, base: rr.base} }

// headed is some bytes with others behind them, read as one.
type headed struct {
	head []byte
	tail io.ReadSeeker
	size int64
	at   int64
}

func (h *headed) Read(p []byte) (int, error) {
	if h.at < int64(len(h.head)) {
		n := copy(p, h.head[h.at:])
		h.at += int64(n)
		return n, nil
	}
	n, err := h.tail.Read(p)
	h.at += int64(n)
	return n, err
}

func (h *headed) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += h.at
	case io.SeekEnd:
		offset += h.size
	}
	if offset < 0 {
		return 0, errors.New("storage s3: seek before the start")
	}
	if _, err := h.tail.Seek(max(0, offset-int64(len(h.head))), io.SeekStart); err != nil {
		return 0, err
	}
	h.at = offset
	return offset, nil
}
