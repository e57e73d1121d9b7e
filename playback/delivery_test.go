package playback_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/media"
	"sluice/playback"
	"sluice/storage"
)

// watched counts what its connections get by ReadFrom, which is the way of sendfile.
type watched struct {
	net.Listener
	calls, bytes *atomic.Int64
}

type watchedConn struct {
	*net.TCPConn
	w watched
}

func (w watched) Accept() (net.Conn, error) {
	c, err := w.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return watchedConn{c.(*net.TCPConn), w}, nil
}

func (c watchedConn) ReadFrom(r io.Reader) (int64, error) {
	// sendfile(2) is used for a limited *os.File, and for nothing else that is sent here.
	if l, ok := r.(*io.LimitedReader); !ok || !isFile(l.R) {
		return 0, fmt.Errorf("ReadFrom of a %T: it would be copied", r)
	}
	n, err := c.TCPConn.ReadFrom(r)
	c.w.calls.Add(1)
	c.w.bytes.Add(n)
	return n, err
}

func isFile(r io.Reader) bool { _, ok := r.(*os.File); return ok }

func TestFilesGoOutBySendfile(t *testing.T) {
	t.Parallel()
	w := watched{calls: new(atomic.Int64), bytes: new(atomic.Int64)}
	h := open(t, choices{listener: func(l net.Listener) net.Listener { w.Listener = l; return w }})
	content := noise(5<<20 + 3)
	a := h.add(content, nil)
	var sum int64
	for _, tt := range []struct {
		name, ranged string
		want         int64 // bytes by sendfile
	}{
		{"a small range goes by one write", "bytes=0-8191", 0},
		{"the whole file", "", int64(len(content))},
		{"a large range", "bytes=1000-1001000", 1000001},
		{"two large ranges", "bytes=0-99999,200000-299999", 200000},
	} {
		sum += tt.want
		var header []string
		if tt.ranged != "" {
			header = []string{"Range", tt.ranged}
		}
		got := h.do(http.MethodGet, h.ticket(a, nil), header...)
		// The client may have the last byte before the server's call has returned.
		for end := time.Now().Add(5 * time.Second); w.bytes.Load() < sum && time.Now().Before(end); {
			runtime.Gosched()
		}
		if got.err != nil || w.bytes.Load() != sum {
			t.Fatalf("%s: %d bytes by sendfile so far, %v, want %d", tt.name, w.bytes.Load(), got.err, sum)
		}
		if tt.ranged == "" && !bytes.Equal(got.body, content) {
			t.Errorf("%s: the bytes differ", tt.name)
		}
	}
}

func TestJoinedMediaGoesOutPartByPart(t *testing.T) {
	t.Parallel()
	h := open(t, choices{})
	content := noise(700_000)
	cuts := []int{0, 10, 200_000, 200_001, 700_000}
	var parts []string
	for i := range len(cuts) - 1 {
		parts = append(parts, h.add(content[cuts[i]:cuts[i+1]], nil).Key)
	}
	a := h.add([]byte("x"), nil)
	a.Key, a.Size = storage.KeyFor(media.NewAssetID(time.Now())), int64(len(content))
	_, err := h.store.Concat(t.Context(), a.Backend, a.Key, parts)
	must(t, err)
	h.shelf.put(a)
	for _, r := range [][2]int{{0, len(content)}, {0, 20}, {5, 15}, {9, 200_001}, {150_000, 260_000}, {200_000, 200_001}, {199_990, 200_010}} {
		got := h.do(http.MethodGet, h.ticket(a, nil), "Range", fmt.Sprintf("bytes=%d-%d", r[0], r[1]-1))
		if got.status != 206 || !bytes.Equal(got.body, content[r[0]:r[1]]) {
			t.Errorf("%v: got %d and %d bytes, or others", r, got.status, len(got.body))
		}
	}
}

func TestTwoHundredReadersBesideASlowOne(t *testing.T) {
	t.Parallel()
	h := open(t, choices{})
	content := noise(8 << 20)
	link := h.ticket(h.add(content, nil), nil)
	slow := dial(t, h, link, "")
	head := make([]byte, 10)
	if _, err := io.ReadFull(slow, head); err != nil { // it has begun, and stands still while the others read
		t.Fatal(err)
	}
	var readers sync.WaitGroup
	for range 200 {
		readers.Go(func() {
			for range 3 {
				off := rand.IntN(len(content))
				n := 1 + rand.IntN(min(300_000, len(content)-off))
				got := h.do(http.MethodGet, link, "Range", fmt.Sprintf("bytes=%d-%d", off, off+n-1))
				if got.status != 206 || !bytes.Equal(got.body, content[off:off+n]) {
					t.Errorf("%d bytes from %d: got %d and %d bytes, or others", n, off, got.status, len(got.body))
				}
			}
		})
	}
	readers.Wait()
	resp, err := http.ReadResponse(bufio.NewReader(io.MultiReader(bytes.NewReader(head), slow)), nil)
	must(t, err)
	got, err := io.ReadAll(resp.Body)
	if err != nil || !bytes.Equal(got, content) {
		t.Errorf("the slow reader: %d bytes, %v", len(got), err)
	}
}

// dial asks by hand, so that nobody reads unless the test does.
func dial(t *testing.T, h *house, link, lines string) *net.TCPConn {
	t.Helper()
	u, err := url.Parse(link)
	must(t, err)
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", u.Host)
	must(t, err)
	t.Cleanup(func() { _ = c.Close() })
	tcp := c.(*net.TCPConn)
	must(t, tcp.SetReadBuffer(128<<10))
	must(t, tcp.SetDeadline(time.Now().Add(30*time.Second)))
	_, err = fmt.Fprintf(tcp, "GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n", u.RequestURI(), lines)
	must(t, err)
	return tcp
}

func TestAStalledClientIsDropped(t *testing.T) {
	t.Parallel()
	for name, streamed := range map[string]bool{"of a file": false, "of a stream": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := open(t, choices{streamed: streamed, Options: playback.Options{StallTimeout: 200 * time.Millisecond}})
			size := 64 << 20
			if streamed {
				size = 24 << 20
			}
			a := h.add(make([]byte, size), nil)
			began := time.Now()
			dial(t, h, h.ticket(a, nil), "")
			seen := h.settled(2) // the bytes are counted when the answer ends, one way or the other
			if len(seen) != 2 || seen[1].Bytes == 0 || seen[1].Bytes >= a.Size {
				t.Fatalf("got %v after %v, want a cut answer", seen, time.Since(began))
			}
		})
	}
}

func TestAnHonestSlowReaderIsKept(t *testing.T) {
	t.Parallel()
	for name, streamed := range map[string]bool{"of a file": false, "of a stream": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stall := 800 * time.Millisecond
			h := open(t, choices{streamed: streamed, Options: playback.Options{StallTimeout: stall}})
			content := noise(10 << 20)
			c := dial(t, h, h.ticket(h.add(content, nil), nil), "Connection: close\r\n")
			// A few kilobytes at a time for several stall times: far too few for the send buffer to become writable again.
			var got bytes.Buffer
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			for end := time.Now().Add(3 * stall); time.Now().Before(end); {
				<-tick.C
				if _, err := io.CopyN(&got, c, 8<<10); err != nil {
					t.Fatal(err)
				}
			}
			resp, err := http.ReadResponse(bufio.NewReader(io.MultiReader(&got, c)), nil)
			must(t, err)
			body, err := io.ReadAll(resp.Body)
			if err != nil || !bytes.Equal(body, content) {
				t.Errorf("got %d bytes, %v, want all", len(body), err)
			}
		})
	}
}

func TestADeadlineEndsWithItsAnswer(t *testing.T) {
	t.Parallel()
	h := open(t, choices{Options: playback.Options{StallTimeout: 50 * time.Millisecond}})
	u, err := url.Parse(h.ticket(h.add(noise(100), nil), nil))
	must(t, err)
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", u.Host)
	must(t, err)
	defer c.Close()
	r := bufio.NewReader(c)
	for i, path := range []string{u.RequestURI(), "/elsewhere"} {
		if i > 0 {
			<-time.After(100 * time.Millisecond) // the connection idles beyond the answer's deadline
		}
		_, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
		must(t, err)
		resp, err := http.ReadResponse(r, nil)
		must(t, err)
		_, err = io.Copy(io.Discard, resp.Body)
		must(t, err)
	}
}

func TestMissingBytesAreAProblem(t *testing.T) {
	t.Parallel()
	for name, streamed := range map[string]bool{"of a file": false, "of a stream": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := open(t, choices{streamed: streamed})
			a := h.add(noise(1000), nil)
			a.Key = storage.KeyFor(media.NewAssetID(time.Now()))
			h.shelf.put(a)
			got := h.do(http.MethodGet, h.ticket(a, nil))
			if got.status != 404 && got.status != 500 {
				t.Errorf("bytes that are gone: got %d, want a problem", got.status)
			}
			wantProblem(t, got)
			if seen := h.tally.take(); len(seen) != 0 {
				t.Errorf("bytes that are gone were counted: %v", seen)
			}
		})
	}
}

func TestAFileShorterThanItsRowIsNeverPadded(t *testing.T) {
	t.Parallel()
	h := open(t, choices{})
	a := h.add(noise(200_000), nil)
	a.Size = 300_000 // the row says more than the disk has
	h.shelf.put(a)
	resp, err := h.server.Client().Get(h.ticket(a, nil))
	if err != nil {
		return // refused with the connection: nothing was padded either
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if resp.StatusCode == 200 && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got 200 and %d bytes, %v, want a problem or a short read", len(body), err)
	}
}

func TestNothingOfAPathIsTold(t *testing.T) {
	t.Parallel()
	h := open(t, choices{})
	a := h.add(noise(10), nil)
	a.Key = storage.KeyFor(media.NewAssetID(time.Now()))
	h.shelf.put(a)
	if got := h.do(http.MethodGet, h.ticket(a, nil)); strings.Contains(string(got.body), a.Key) || strings.Contains(string(got.body), "/") {
		t.Errorf("got %s", got.body)
	}
}
