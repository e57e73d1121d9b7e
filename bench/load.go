package main

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// load is one run: n items, c at a time. Uploads have a size, reads a span (0: whole files).
type load struct {
	name   string
	upload bool
	small  bool // reads: the signed small files instead of the large one
	n, c   int
	size   int64
	chunk  int64 // bytes per PATCH; 0: all in one
	atOnce bool  // with the creating POST
}

func loads() []load {
	return []load{
		{name: "U1 one 1 GiB PATCH", upload: true, n: 1, c: 1, size: 1 << 30},
		{name: "U2 1 GiB in 8 MiB chunks", upload: true, n: 1, c: 1, size: 1 << 30, chunk: 8 << 20},
		{name: "U3 32 parallel 32 MiB", upload: true, n: 32, c: 32, size: 32 << 20},
		{name: "U4 1,000 small files", upload: true, n: 1000, c: 16, size: 64 << 10, atOnce: true},
		{name: "D1 whole 1 GiB", n: 4, c: 1},
		{name: "D2 256 KiB ranges, 32 connections", n: 10000, c: 32, size: 256 << 10},
		{name: "D2 256 KiB ranges, 128 connections", n: 10000, c: 128, size: 256 << 10},
		{name: "D3 8 KiB signed reads", n: 30000, c: 32, small: true},
	}
}

func (l load) fits(p peer) bool { return l.upload && p.Upload != "" || !l.upload && p.Big != "" }

// result is what one server did in one run.
type result struct {
	items   int64
	bytes   int64
	elapsed time.Duration
	cpu     float64 // seconds of the server and its children
	peak    float64 // MiB
	err     error
}

func (l load) run(ctx context.Context, s *server) (result, error) {
	var urls []string
	if !l.upload {
		text, err := os.ReadFile(map[bool]string{true: s.Small, false: s.Big}[l.small])
		if err != nil {
			return result{}, err
		}
		urls = strings.Fields(string(text))
	} else if err := l.makeSource(s); err != nil {
		return result{}, err
	}
	var left, items, total atomic.Int64
	left.Store(int64(l.n))
	errs := make(chan error, l.c)
	before, start := cpuOf(s.cmd.Process.Pid), time.Now()
	var wg sync.WaitGroup
	for range l.c {
		wg.Go(func() {
			w := worker{load: l, server: s}
			defer w.close()
			for left.Add(-1) >= 0 {
				n, err := w.item(ctx, urls)
				if err != nil {
					errs <- err
					return
				}
				items.Add(1)
				total.Add(n)
			}
		})
	}
	wg.Wait()
	close(errs)
	return result{
		items: items.Load(), bytes: total.Load(), elapsed: time.Since(start), cpu: cpuOf(s.cmd.Process.Pid) - before,
		peak: peakOf(s.cmd.Process.Pid), err: <-errs,
	}, ctx.Err()
}

func (l load) source(s *server) string {
	return filepath.Join(filepath.Dir(s.Store), fmt.Sprintf("source-%d.bin", l.size))
}

func (l load) makeSource(s *server) error {
	if _, err := os.Stat(l.source(s)); err == nil {
		return nil
	}
	return randomFile(l.source(s), l.size)
}

// worker is one client on one kept-alive connection. It writes requests as bytes and files by sendfile, to leave the processor to the
// server.
type worker struct {
	load
	server *server
	conn   net.Conn
	in     *bufio.Reader
	file   *os.File
}

func (w *worker) close() {
	if w.conn != nil {
		_ = w.conn.Close()
	}
	if w.file != nil {
		_ = w.file.Close()
	}
}

func (w *worker) item(ctx context.Context, urls []string) (int64, error) {
	if w.upload {
		return w.size, w.send(ctx)
	}
	u, err := url.Parse(urls[rand.IntN(len(urls))])
	if err != nil {
		return 0, err
	}
	head, status := "", http.StatusOK
	if w.size > 0 {
		from := rand.Int64N(bigSize - w.size)
		head, status = fmt.Sprintf("Range: bytes=%d-%d\r\n", from, from+w.size-1), http.StatusPartialContent
	}
	_, n, err := w.do(ctx, "GET", u, head, 0, 0, status)
	if want := w.size; err == nil && want > 0 && n != want {
		return n, fmt.Errorf("a range of %d bytes has %d", want, n)
	}
	return n, err
}

func (w *worker) send(ctx context.Context) (err error) {
	if w.file == nil {
		if w.file, err = os.Open(w.source(w.server)); err != nil {
			return err
		}
	}
	at, err := url.Parse(w.server.Upload)
	if err != nil {
		return err
	}
	head := "Tus-Resumable: 1.0.0\r\nUpload-Length: " + strconv.FormatInt(w.size, 10) + "\r\n"
	for _, h := range w.server.Headers {
		head += h + "\r\n"
	}
	off := int64(0)
	if w.atOnce {
		off, head = w.size, head+"Content-Type: application/offset+octet-stream\r\n"
	}
	h, _, err := w.do(ctx, "POST", at, head, 0, off, http.StatusCreated)
	if err != nil {
		return err
	}
	if at, err = at.Parse(h.Get("Location")); err != nil {
		return err
	}
	for chunk := cmp.Or(w.chunk, w.size); off < w.size; off += chunk {
		head := fmt.Sprintf("Tus-Resumable: 1.0.0\r\nUpload-Offset: %d\r\nContent-Type: application/offset+octet-stream\r\n", off)
		if _, _, err := w.do(ctx, "PATCH", at, head, off, min(chunk, w.size-off), http.StatusNoContent); err != nil {
			return err
		}
	}
	return nil
}

// do sends one request, with n bytes of the source from off as its body, and reads the answer to its end.
func (w *worker) do(ctx context.Context, method string, u *url.URL, head string, off, n int64, status int) (http.Header, int64, error) {
	if w.conn == nil {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp", u.Host)
		if err != nil {
			return nil, 0, err
		}
		w.conn, w.in = conn, bufio.NewReaderSize(conn, 64<<10)
	}
	if method != "GET" {
		head += "Content-Length: " + strconv.FormatInt(n, 10) + "\r\n"
	}
	if _, err := fmt.Fprintf(w.conn, "%s %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", method, u.RequestURI(), u.Host, head); err != nil {
		return nil, 0, err
	}
	if n > 0 {
		if _, err := w.file.Seek(off, io.SeekStart); err != nil {
			return nil, 0, err
		}
		if _, err := io.Copy(w.conn, io.LimitReader(w.file, n)); err != nil {
			return nil, 0, err
		}
	}
	resp, err := http.ReadResponse(w.in, nil)
	if err != nil {
		return nil, 0, err
	}
	got, err := io.Copy(io.Discard, resp.Body)
	if cerr := resp.Body.Close(); err == nil {
		err = cerr
	}
	if err == nil && resp.StatusCode != status {
		err = fmt.Errorf("%s: %s, want %d", method, resp.Status, status)
	}
	if resp.Close || err != nil {
		_ = w.conn.Close()
		w.conn = nil
	}
	return resp.Header, got, err
}

// family is a process and its children, as nginx's workers are.
func family(pid int) []int {
	all := []int{pid}
	for i := 0; i < len(all); i++ {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", all[i], all[i]))
		for f := range strings.FieldsSeq(string(text)) {
			if child, err := strconv.Atoi(f); err == nil {
				all = append(all, child)
			}
		}
	}
	return all
}

// cpuOf is the processor time of a process and its children in seconds, from /proc: hundredths since the first of Linux.
func cpuOf(pid int) (seconds float64) {
	for _, p := range family(pid) {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p))
		_, rest, _ := strings.Cut(string(text), ") ")
		if f := strings.Fields(rest); len(f) > 12 {
			for _, ticks := range f[11:13] {
				n, _ := strconv.ParseFloat(ticks, 64)
				seconds += n / 100
			}
		}
	}
	return seconds
}

// peakOf sums the largest resident sizes in MiB.
func peakOf(pid int) (mib float64) {
	for _, p := range family(pid) {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p))
		_, rest, _ := strings.Cut(string(text), "VmHWM:")
		var kib float64
		_, _ = fmt.Sscan(rest, &kib) // a process that has just ended counts 0
		mib += kib / 1024
	}
	return mib
}
