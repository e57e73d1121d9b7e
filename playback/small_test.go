package playback_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"sluice/gateway"
	"sluice/media"
	"sluice/playback"
)

// gathering gives connections that hold back what they are told to, and count how it leaves.
type gathering struct {
	net.Listener
	writes, gathered atomic.Int64
	broken           atomic.Bool
}

type gatheringConn struct {
	net.Conn
	l    *gathering
	on   bool
	held []byte
}

func (g *gathering) Accept() (net.Conn, error) {
	c, err := g.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &gatheringConn{Conn: c, l: g}, nil
}

func (c *gatheringConn) Gather() { c.on = true }

func (c *gatheringConn) Write(p []byte) (int, error) {
	if c.on {
		c.held = append(c.held, p...)
		return len(p), nil
	}
	c.l.writes.Add(1)
	return c.Conn.Write(p)
}

func (c *gatheringConn) Release() (int, error) {
	c.l.gathered.Add(1)
	if c.l.broken.Load() {
		return 1000, errors.New("broken")
	}
	n, err := c.Conn.Write(c.held)
	n = len(c.held) - n
	c.on, c.held = false, nil
	return n, err
}

func TestSmallAnswersLeaveInOnePiece(t *testing.T) {
	t.Parallel()
	g := &gathering{}
	h := open(t, choices{listener: func(l net.Listener) net.Listener { g.Listener = l; return g }})
	for _, n := range []int{1, 3000, 8 << 10, 64 << 10} {
		content := noise(n)
		link := h.ticket(h.add(content, nil), nil)
		for _, header := range [][]string{nil, {"Range", fmt.Sprintf("bytes=0-%d", n-1)}, {"Range", "bytes=0-0,-1"}} {
			g.writes.Store(0)
			g.gathered.Store(0)
			got := h.do(http.MethodGet, link, header...)
			if len(header) == 0 && !bytes.Equal(got.body, content) || got.err != nil {
				t.Errorf("%d %v: got %d and %d bytes, or others: %v", n, header, got.status, len(got.body), got.err)
			}
			if g.gathered.Load() != 1 || g.writes.Load() != 0 {
				t.Errorf("%d %v: released %d times, with %d writes beside", n, header, g.gathered.Load(), g.writes.Load())
			}
		}
	}
	a := h.add(noise(100_000), nil)
	g.gathered.Store(0)
	if got := h.do(http.MethodGet, h.ticket(a, nil)); got.err != nil || g.gathered.Load() != 0 {
		t.Errorf("a large answer is gathered: %d, %v", g.gathered.Load(), got.err)
	}
}

func TestBytesHeldBackAndNotSentAreNotCounted(t *testing.T) {
	t.Parallel()
	g := &gathering{}
	h := open(t, choices{listener: func(l net.Listener) net.Listener { g.Listener = l; return g }})
	a := h.add(noise(8<<10), nil)
	g.broken.Store(true)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.ticket(a, nil), nil)
	must(t, err)
	if resp, err := h.server.Client().Transport.RoundTrip(req); err == nil {
		_ = resp.Body.Close()
		t.Fatalf("got %d over a broken connection", resp.StatusCode)
	}
	h.server.Close() // waits for the handler
	var n int64
	for _, access := range h.tally.take() {
		n += access.Bytes
	}
	if n != 8<<10-1000 {
		t.Errorf("%d bytes are counted", n)
	}
}

func TestHotFilesAreServedFromMemory(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, 8 << 10, 64 << 10} {
		h := open(t, choices{})
		content := noise(size)
		a := h.add(content, nil)
		link := h.ticket(a, nil)
		for range 2 {
			h.do(http.MethodGet, link)
		}
		must(t, h.store.Delete(t.Context(), a.Backend, a.Key)) // behind everybody's back
		if got := h.do(http.MethodGet, link); got.status != 200 || !bytes.Equal(got.body, content) {
			t.Errorf("%d bytes: %d and %d bytes, or others", size, got.status, len(got.body))
		}
		if got := h.do(http.MethodGet, link, "Range", fmt.Sprintf("bytes=%d-", size/2)); got.status != 206 || !bytes.Equal(got.body, content[size/2:]) {
			t.Errorf("%d bytes: a range gives %d and %d bytes, or others", size, got.status, len(got.body))
		}
		h.handler.Forget(media.NewAssetID(time.Now())) // of another: nothing
		if got := h.do(http.MethodGet, link); got.status != 200 {
			t.Errorf("%d bytes: %d after another asset was forgotten", size, got.status)
		}
		h.handler.Forget(a.ID)
		if got := h.do(http.MethodGet, link); got.status != http.StatusNotFound {
			t.Errorf("%d bytes: %d after Forget: the file is gone", size, got.status)
		}
	}
}

func TestWhatIsDeletedOrRevokedIsRefusedHoweverHot(t *testing.T) {
	t.Parallel()
	h := open(t, choices{})
	a := h.add(noise(8<<10), public)
	link := h.ticket(a, nil)
	for range 3 {
		h.do(http.MethodGet, link)
		h.do(http.MethodGet, h.public(a))
	}
	revoked := a
	revoked.Epoch++
	revoked.Public = false
	h.shelf.put(revoked)
	if got := h.do(http.MethodGet, link); got.status != http.StatusForbidden {
		t.Errorf("a revoked link answers %d", got.status)
	}
	if got := h.do(http.MethodGet, h.public(a)); got.status != http.StatusNotFound {
		t.Errorf("a private asset answers %d", got.status)
	}
	h.shelf.drop(a.ID)
	if got := h.do(http.MethodGet, link); got.status != http.StatusNotFound {
		t.Errorf("a deleted asset answers %d", got.status)
	}
}

func TestNothingIsKeptThatMustNotBe(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		hot  int64
		size int
		gets int
	}{
		{"asked for once", 0, 8 << 10, 1},
		{"too large", 0, 64<<10 + 1, 3},
		{"larger than the budget", 8<<10 - 1, 8 << 10, 3},
		{"switched off", -1, 1, 3},
	} {
		h := open(t, choices{Options: playback.Options{HotBytes: tt.hot}})
		a := h.add(noise(tt.size), nil)
		link := h.ticket(a, nil)
		for range tt.gets {
			h.do(http.MethodGet, link)
		}
		must(t, h.store.Delete(t.Context(), a.Backend, a.Key))
		if got := h.do(http.MethodGet, link); got.status != http.StatusNotFound {
			t.Errorf("%s: got %d from memory", tt.name, got.status)
		}
	}
}

func TestAClientThatAsksAndNeverReadsIsDropped(t *testing.T) {
	t.Parallel()
	for _, size := range []int{8 << 10, 64 << 10} {
		h := open(t, choices{Options: playback.Options{StallTimeout: 200 * time.Millisecond}, listener: gateway.Watch})
		link, err := url.Parse(h.ticket(h.add(noise(size), nil), nil))
		must(t, err)
		c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", link.Host)
		must(t, err)
		t.Cleanup(func() { _ = c.Close() })
		must(t, c.(*net.TCPConn).SetReadBuffer(4096))
		must(t, c.SetDeadline(time.Now().Add(30*time.Second)))
		asked := []byte("GET " + link.Path + " HTTP/1.1\r\nHost: x\r\n\r\n")
		for err == nil { // until the server closes: its buffers are full soon, and then it waits for the client
			_, err = c.Write(asked)
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%d bytes: the server still waits for a client that reads nothing", size)
		}
	}
}

func TestPipelinedSmallAnswersComeWholeAndInOrder(t *testing.T) {
	t.Parallel()
	h := open(t, choices{listener: gateway.Watch})
	var asked []byte
	var want [][]byte
	for i, size := range []int{1, 100, 4000, 8 << 10, 20 << 10, 64 << 10, 70_000} {
		content := noise(size)
		link, err := url.Parse(h.ticket(h.add(content, nil), nil))
		must(t, err)
		for range 3 + i%2 {
			asked = fmt.Appendf(asked, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", link.Path)
			want = append(want, content)
		}
	}
	host := h.server.Listener.Addr().String()
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", host)
	must(t, err)
	t.Cleanup(func() { _ = c.Close() })
	_, err = c.Write(asked)
	must(t, err)
	r := bufio.NewReader(c)
	for i, content := range want {
		resp, err := http.ReadResponse(r, nil)
		must(t, err)
		got, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != 200 || !bytes.Equal(got, content) {
			t.Fatalf("answer %d: %d and %d bytes, or others: %v", i, resp.StatusCode, len(got), err)
		}
	}
}

func TestRangesOfATinyFileAreNoAmplifier(t *testing.T) {
	t.Parallel()
	h := open(t, choices{})
	for _, c := range []struct {
		size   int
		header string
		want   int
	}{
		{1, "bytes=0-0,5-", 206}, // one range is left
		{16, "bytes=0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14", 200},
		{100, "bytes=0-9,20-29", 200},
		{500, "bytes=0-9,20-29", 206},
		{2000, "bytes=0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14,16-16,18-18,20-20,22-22,24-24,26-26,28-28,30-30", 206},
	} {
		content := noise(c.size)
		got := h.do(http.MethodGet, h.ticket(h.add(content, nil), nil), "Range", c.header)
		if got.status != c.want || len(got.body) > 2*c.size {
			t.Errorf("%s of %d bytes: got %d and %d bytes, want %d", c.header, c.size, got.status, len(got.body), c.want)
		}
		if got.status == 200 && (!bytes.Equal(got.body, content) || got.header.Get("Content-Range") != "" || got.header.Get("Content-Type") != "video/mp4") {
			t.Errorf("%s of %d bytes: not the whole file: %v", c.header, c.size, got.header)
		}
	}
}
