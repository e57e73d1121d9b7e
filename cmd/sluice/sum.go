package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"sync"
)

// runningSum is the SHA-256 of a file whose bytes come by as they are sent: most files are then read once. Bytes that come again, or
// after a gap, are left to of. A cut request may still read its body while the next one starts: hence the lock.
type runningSum struct {
	mu sync.Mutex
	h  hash.Hash
	at int64 // bytes hashed
}

func newRunningSum() *runningSum { return &runningSum{h: sha256.New()} }

// pass takes bytes of the file from an offset.
func (r *runningSum) pass(at int64, p []byte) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if at <= r.at && r.at < at+int64(len(p)) {
		n, _ := r.h.Write(p[r.at-at:]) // never fails
		r.at += int64(n)
	}
}

// of reads what has not come by, up to size, and gives the sum in hex.
func (r *runningSum) of(ctx context.Context, f io.ReaderAt, size int64) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n, err := io.Copy(r.h, &interruptible{ctx, io.NewSectionReader(f, r.at, size-r.at)})
	r.at += n
	if err != nil {
		return "", err
	}
	return hex.EncodeToString(r.h.Sum(nil)), nil
}

// interruptible ends a long copy with its context.
type interruptible struct {
	ctx context.Context //nolint:containedctx // lives for one copy
	r   io.Reader
}

func (i *interruptible) Read(p []byte) (int, error) {
	if err := i.ctx.Err(); err != nil {
		return 0, err
	}
	return i.r.Read(p)
}
