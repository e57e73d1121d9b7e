package gateway

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"

	"sluice/playback"
)

// A request with both Content-Length and Transfer-Encoding is how one request is smuggled past a proxy inside another (RFC 9112 section
// 6.1). net/http drops the Content-Length of such a request before any handler sees it and keeps the connection, so the heads are looked
// at as they come in. That costs one pass over each head, and nothing over bodies: their lengths are known and skipped.

// watchedListener hands out connections that look at their heads.
type watchedListener struct {
	net.Listener

	buffers *sync.Pool // of *[]byte, for Gather
}

// Watch wraps a listener so that requests of ambiguous length are seen, and small answers can leave in one piece. Its connections remain
// *net.TCPConn in all but Read and Write: sendfile and deadlines work as before. Other kinds of connections pass unwatched.
func Watch(l net.Listener) net.Listener { return watchedListener{l, newGatherPool()} }

func (l watchedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err //nolint:wrapcheck // http.Server looks at what it is
	}
	if tcp, ok := c.(*net.TCPConn); ok {
		return &watchedConn{TCPConn: tcp, gathered: gathered{pool: l.buffers}}, nil
	}
	return c, nil
}

type watchedConn struct {
	*net.TCPConn
	f         framing
	ambiguous atomic.Bool // once true, never false again: the connection ends
	coded     atomic.Bool // a Transfer-Encoding was seen
	gathered  gathered
}

func (c *watchedConn) Read(p []byte) (int, error) {
	n, err := c.TCPConn.Read(p)
	if n > 0 && !c.ambiguous.Load() && c.f.see(p[:n]) {
		c.ambiguous.Store(true)
	}
	if c.f.coded && !c.coded.Load() {
		c.coded.Store(true)
	}
	return n, err //nolint:wrapcheck // net/http tells errors apart by what they are
}

// connContext lets a handler find its connection, and playback look at how fast its client reads.
func connContext(ctx context.Context, c net.Conn) context.Context {
	ctx = playback.ConnContext(ctx, c)
	if w, ok := c.(*watchedConn); ok {
		return context.WithValue(ctx, keyConn, w)
	}
	return ctx
}

// ambiguous reports whether the request's length was said twice. Only chunked requests can be such, and those of HTTP/1.0, in which
// net/http overlooks the coding; all others pay nothing.
func ambiguous(r *http.Request) bool {
	if len(r.TransferEncoding) == 0 && r.ProtoAtLeast(1, 1) {
		return false
	}
	c, ok := r.Context().Value(keyConn).(*watchedConn)
	return ok && (c.ambiguous.Load() || c.coded.Load() && !r.ProtoAtLeast(1, 1))
}

// framing follows the messages of one HTTP/1.1 connection: heads by their lines, bodies by their lengths.
type framing struct {
	part    part
	line    []byte // the beginning of a line whose end has not come yet
	skip    int64  // body bytes still to come
	begun   bool   // the head has its request line
	length  int64  // Content-Length, or -1
	chunked bool
	coded   bool // some head had a Transfer-Encoding
	named   bool // the last field was one of those two
	lost    bool // not HTTP as we know it: net/http refuses it
}

type part uint8

const (
	inHead part = iota
	inBody
	inChunkSize
	inChunk
	inTrailer
)

// keep is how much of a line is kept over reads: field names of interest and any length fit.
const keep = 64

// see takes the next bytes and reports whether a head among them says its length twice.
func (f *framing) see(b []byte) bool {
	for len(b) > 0 && !f.lost {
		if f.part == inBody || f.part == inChunk {
			n := min(f.skip, int64(len(b)))
			f.skip -= n
			b = b[n:]
			if f.skip == 0 {
				f.endBody()
			}
			continue
		}
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			f.line = append(f.line, b[:min(len(b), keep-min(keep, len(f.line)))]...)
			return false
		}
		line := b[:i]
		if len(f.line) > 0 {
			f.line = append(f.line, line[:min(len(line), keep-min(keep, len(f.line)))]...)
			line = f.line
		}
		b = b[i+1:]
		twice := f.endLine(bytes.TrimSuffix(line, []byte{'\r'}))
		f.line = f.line[:0]
		if twice {
			return true
		}
	}
	return false
}

func (f *framing) endBody() {
	if f.part == inChunk {
		f.part = inChunkSize
		return
	}
	f.part, f.begun = inHead, false
}

func (f *framing) endLine(line []byte) (twice bool) {
	switch f.part {
	case inHead:
		return f.headLine(line)
	case inChunkSize:
		size, _, _ := bytes.Cut(line, []byte{';'})
		n, err := strconv.ParseInt(string(bytes.TrimSpace(size)), 16, 64)
		switch {
		case err != nil || n < 0 || n > 1<<62:
			f.lost = true
		case n == 0:
			f.part = inTrailer
		default:
			f.part, f.skip = inChunk, n+2 // and its CR LF
		}
	case inTrailer:
		if len(line) == 0 {
			f.part, f.begun = inHead, false
		}
	case inBody, inChunk: // have no lines
	}
	return false
}

func (f *framing) headLine(line []byte) (twice bool) {
	if !f.begun {
		if len(line) > 0 { // empty lines before a request line are skipped, as RFC 9112 section 2.2 has it
			f.begun, f.length, f.chunked = true, -1, false
		}
		return false
	}
	if len(line) > 0 {
		if line[0] == ' ' || line[0] == '\t' {
			return f.named // a length on a folded line, which net/http unfolds: no place to be sure of from here on
		}
		f.named = false
		if c := line[0] | 0x20; c != 'c' && c != 't' {
			return false
		}
		name, value, _ := bytes.Cut(line, []byte{':'})
		switch {
		case bytes.EqualFold(name, []byte("content-length")):
			n, err := strconv.ParseInt(string(bytes.TrimSpace(value)), 10, 64)
			if err != nil {
				n = 0 // net/http refuses the request, or both are there and we do
			}
			f.length, f.named = n, true
		case bytes.EqualFold(name, []byte("transfer-encoding")):
			f.chunked, f.coded, f.named = true, true, true
		}
		return false
	}
	switch {
	case f.chunked && f.length >= 0:
		return true
	case f.chunked:
		f.part = inChunkSize
	case f.length > 0:
		f.part, f.skip = inBody, f.length
	default:
		f.begun = false
	}
	return false
}
