package local

import (
	"sync"
	"time"
)

// buffers are pooled in three sizes: one upload in a thousand that trickle must not hold a megabyte, nor even 64 KiB.
type buffers [3]*sync.Pool

const (
	smallBuffer  = 4 << 10
	middleBuffer = 64 << 10
	largeBuffer  = 1 << 20
)

// A small buffer gives way to a larger one when steady reads in a row have filled it within a moment, which is 600 KiB/s and more. Without
// the moment, a thousand clients that send 4 KiB twice a second end with 64 KiB each.
const (
	steady = 8
	moment = 50 * time.Millisecond
)

func newBuffers() buffers {
	pool := func(size int) *sync.Pool {
		return &sync.Pool{New: func() any { b := make([]byte, size); return &b }}
	}
	return buffers{pool(smallBuffer), pool(middleBuffer), pool(largeBuffer)}
}

// buffer is the one an Append reads into at present.
type buffer struct {
	pools buffers
	size  int // index of the pool
	b     *[]byte
	run   int       // reads in a row that speak for another size
	since time.Time // when the first of them came
}

func (p buffers) get() *buffer {
	b := &buffer{pools: p}
	b.swap(0)
	return b
}

func (b *buffer) put() { b.pools[b.size].Put(b.b) }

func (b *buffer) swap(size int) {
	if b.b != nil {
		b.put()
	}
	b.size, b.run = size, 0
	b.b = b.pools[size].Get().(*[]byte) //nolint:errcheck,forcetypeassert // the pool holds nothing else
}

// fit takes the size that suits a client whose last read brought n bytes.
func (b *buffer) fit(n int) {
	switch {
	case b.size == 0 && n == smallBuffer:
		if b.run++; b.run == 1 {
			b.since = time.Now()
		}
		if b.run < steady {
			return
		}
		if time.Since(b.since) <= moment {
			b.swap(1)
			return
		}
	case b.size > 0 && n < smallBuffer: // it was fast, and trickles now
		if b.run++; b.run < steady {
			return
		}
		b.swap(0)
	case b.size == 1 && n == middleBuffer:
		b.swap(2)
	}
	b.run = 0
}
