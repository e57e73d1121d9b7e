package threats_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// pipeline sends bytes on one connection and gives every answer until the gateway closes it, or says no more for a moment.
func (a *arena) pipeline(t *testing.T, text string) (answers []answer, closed bool) {
	t.Helper()
	c := a.dial(t)
	defer c.Close()
	_, _ = io.WriteString(c, text) // it may have been closed in the middle
	r := bufio.NewReader(c)
	for {
		_ = c.SetReadDeadline(time.Now().Add(700 * time.Millisecond))
		got, err := next(r, "GET")
		if err != nil {
			return answers, !errors.Is(err, os.ErrDeadlineExceeded)
		}
		answers = append(answers, got)
	}
}

func smuggling(t *testing.T, a *arena) {
	f := a.put(t, a.ada, "smuggle me", "isPublic", "true")
	up, _ := a.begin(t, a.ada, "Upload-Length: 100000")
	// What is smuggled would be answered as a request of its own, in words that nothing else is answered with.
	const inner = "OPTIONS /files/ HTTP/1.1\r\nHost: a\r\n\r\n"
	const hidden = "GET / HTTP/1.1\r\nContent-Length: 1000000000\r\nA: b\r\n\r\n"
	for _, target := range []struct{ method, path, headers string }{
		{"POST", "/api/uploads", "Authorization: Bearer " + a.ada + "\r\nContent-Type: application/json\r\n"},
		{"GET", "/m/" + f.id, ""},
		{"PATCH", up.at, tus + "\r\n" + octets + "\r\nUpload-Offset: 0\r\n"},
		{"GET", "/livez", ""},
	} {
		head := func(version, lines string) string {
			return target.method + " " + target.path + " HTTP/" + version + "\r\nHost: a\r\n" + target.headers + lines + "\r\n"
		}
		for name, text := range map[string]string{
			"a length and chunks":                     head("1.1", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n") + "0\r\n\r\n" + inner,
			"chunks and a length":                     head("1.1", "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n") + "0\r\n\r\n" + inner,
			"a length of zero and chunks":             head("1.1", "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n") + "0\r\n\r\n" + inner,
			"two lengths":                             head("1.1", "Content-Length: 0\r\nContent-Length: 38\r\n") + inner,
			"two lengths in a line":                   head("1.1", "Content-Length: 0, 38\r\n") + inner,
			"a length with a plus":                    head("1.1", "Content-Length: +0\r\n") + inner,
			"a negative length":                       head("1.1", "Content-Length: -1\r\n") + inner,
			"a hexadecimal length":                    head("1.1", "Content-Length: 0x0\r\n") + inner,
			"a length with a space in it":             head("1.1", "Content-Length: 0 0\r\n") + inner,
			"a huge length":                           head("1.1", "Content-Length: 99999999999999999999\r\n") + inner,
			"a space before the colon":                head("1.1", "Content-Length : 0\r\nTransfer-Encoding : chunked\r\n") + inner,
			"another coding":                          head("1.1", "Transfer-Encoding: gzip, chunked\r\n") + "0\r\n\r\n" + inner,
			"chunked twice":                           head("1.1", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n") + "0\r\n\r\n" + inner,
			"chunked twice in a line":                 head("1.1", "Transfer-Encoding: chunked, chunked\r\n") + "0\r\n\r\n" + inner,
			"identity":                                head("1.1", "Transfer-Encoding: identity\r\n") + inner,
			"xchunked":                                head("1.1", "Transfer-Encoding: xchunked\r\n") + inner,
			"chunked behind a vertical tab":           head("1.1", "Transfer-Encoding: \x0bchunked\r\n") + inner,
			"a coding folded, with a length":          head("1.1", "Content-Length: 5\r\nTransfer-Encoding:\r\n chunked\r\n") + "0\r\n\r\n" + inner,
			"a NUL in a name":                         head("1.1", "Content-Len\x00gth: 5\r\n") + inner,
			"a line without a colon":                  head("1.1", "Content-Length\r\n") + inner,
			"a lone CR":                               head("1.1", "X: a\rTransfer-Encoding: chunked\r\n") + "0\r\n\r\n" + inner,
			"a chunk size with a sign":                head("1.1", "Transfer-Encoding: chunked\r\n") + "+0\r\n\r\n" + inner,
			"a chunk size of 0x":                      head("1.1", "Transfer-Encoding: chunked\r\n") + "0x0\r\n\r\n" + inner,
			"a chunk size past 64 bits":               head("1.1", "Transfer-Encoding: chunked\r\n") + "10000000000000000\r\n\r\n" + inner,
			"a chunk that is longer than it says":     head("1.1", "Transfer-Encoding: chunked\r\n") + "1\r\nab\r\n0\r\n\r\n" + inner,
			"an extension of 100 KiB":                 head("1.1", "Transfer-Encoding: chunked\r\n") + "1;" + strings.Repeat("a", 100<<10) + "\r\nx\r\n0\r\n\r\n" + inner,
			"extensions on a thousand chunks":         head("1.1", "Transfer-Encoding: chunked\r\n") + strings.Repeat("1;"+strings.Repeat("a", 3000)+"\r\nx\r\n", 100) + "0\r\n\r\n" + inner,
			"a length and chunks, HTTP/1.0":           head("1.0", "Connection: keep-alive\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n") + "0\r\n\r\n" + inner,
			"chunks, HTTP/1.0":                        head("1.0", "Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n") + "0\r\n\r\n" + inner,
			"a length folded, then both on the next":  head("1.1", fmt.Sprintf("Content-Length:\r\n %d\r\n", len(hidden))) + hidden + "GET /livez HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner,
			"a request line that hides a second":      target.method + " " + target.path + " HTTP/1.1\nHost: a\nX: y\n Transfer-Encoding: chunked\nContent-Length: 38\nTransfer-Encoding: chunked\n\n0\n\n" + inner,
			"a version that is none":                  target.method + " " + target.path + " HTTP/9.9\r\nHost: a\r\n\r\n" + inner,
			"HTTP/0.9":                                target.method + " " + target.path + "\r\n" + inner,
			"an HTTP/2 preface":                       "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + inner,
			"no host":                                 target.method + " " + target.path + " HTTP/1.1\r\n\r\n" + inner,
			"two hosts":                               target.method + " " + target.path + " HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n" + inner,
			"white space before the first field line": target.method + " " + target.path + " HTTP/1.1\r\n Host: a\r\n\r\n" + inner,
		} {
			answers, closed := a.pipeline(t, text)
			for _, got := range answers {
				if got.header.Get("Tus-Extension") != "" {
					t.Errorf("%s on %s: what was smuggled is answered: %v", name, target.path, got)
				}
				if got.status >= 500 && got.status != 501 && got.status != 505 {
					t.Errorf("%s on %s: %v", name, target.path, got)
				}
			}
			if !closed {
				t.Errorf("%s on %s: the connection stays open after %d answers", name, target.path, len(answers))
			}
		}
	}
	if off := a.offset(t, up.at); off < 0 || off > 101 { // 100 one-byte chunks may have come by an honest way
		t.Errorf("the upload is at %d", off)
	}
}

// silence waits until the gateway closes a connection, and tells how long that took; what it says before that is read away.
func silence(c net.Conn, limit time.Duration) (time.Duration, error) {
	start := time.Now()
	_ = c.SetDeadline(start.Add(limit))
	_, err := io.Copy(io.Discard, c)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return 0, fmt.Errorf("still open after %v", limit)
	}
	return time.Since(start), nil
}

// slowClients waits for the deadlines of the gateway's own, the longest of which is a minute: all at once.
func slowClients(t *testing.T, a *arena) {
	const limit = 62 * time.Second // 60 s is promised
	f := a.put(t, a.ada, strings.Repeat("slow bytes ", 1000), "isPublic", "true")
	large := a.put(t, a.ada, strings.Repeat("0123456789abcdef", 40<<20/16), "isPublic", "true")
	link := a.link(t, a.ada, f.id, `{}`)
	up, _ := a.begin(t, a.ada, "Upload-Length: 100000")
	bearer := "Authorization: Bearer " + a.ada + "\r\n"
	const length = "Content-Length: 50000\r\n"
	const chunked = "Transfer-Encoding: chunked\r\n"
	var all sync.WaitGroup
	for name, text := range map[string]string{
		"says nothing":                        "",
		"half a request line":                 "GET /live",
		"half a head":                         "GET /livez HTTP/1.1\r\nHost: a\r\nX-A: ",
		"idle after an answer":                "GET /livez HTTP/1.1\r\nHost: a\r\n\r\n",
		"idle after media":                    "GET /m/" + f.id + " HTTP/1.1\r\nHost: a\r\n\r\n",
		"a JSON body that stalls":             "POST /api/uploads HTTP/1.1\r\nHost: a\r\n" + bearer + length + "Content-Type: application/json\r\n\r\n{",
		"a JSON body for nobody":              "POST /api/uploads HTTP/1.1\r\nHost: a\r\n" + length + "Content-Type: application/json\r\n\r\n{",
		"chunks for a route that is none":     "POST /nothing HTTP/1.1\r\nHost: a\r\n" + chunked + "\r\n5\r\nab",
		"a body on GET /livez":                "GET /livez HTTP/1.1\r\nHost: a\r\n" + length + "\r\nx",
		"a body on public media":              "GET /m/" + f.id + " HTTP/1.1\r\nHost: a\r\n" + length + "\r\nx",
		"chunks on public media":              "GET /m/" + f.id + " HTTP/1.1\r\nHost: a\r\n" + chunked + "\r\n",
		"a body on missing media":             "GET /m/" + missing + " HTTP/1.1\r\nHost: a\r\n" + length + "\r\n",
		"a body on a link":                    "GET " + link + " HTTP/1.1\r\nHost: a\r\n" + length + "\r\n",
		"a body on HEAD of a link":            "HEAD " + link + " HTTP/1.1\r\nHost: a\r\n" + length + "\r\n",
		"a body on POST to media":             "POST /m/" + f.id + " HTTP/1.1\r\nHost: a\r\n" + length + "\r\n",
		"a body on content":                   "GET /api/media/" + f.id + "/content HTTP/1.1\r\nHost: a\r\n" + bearer + length + "\r\n",
		"a body on an exchange":               "GET /play/" + f.id + "?grant=x HTTP/1.1\r\nHost: a\r\n" + length + "\r\n",
		"a body on HEAD of an upload":         "HEAD " + up.at + " HTTP/1.1\r\nHost: a\r\n" + tus + "\r\n" + length + "\r\n",
		"a body on GET of an upload":          "GET " + up.at + " HTTP/1.1\r\nHost: a\r\n" + length + "\r\n",
		"a body on OPTIONS of uploads":        "OPTIONS /files/ HTTP/1.1\r\nHost: a\r\n" + length + "\r\n",
		"a body on a missing upload":          "PATCH /files/none HTTP/1.1\r\nHost: a\r\n" + tus + "\r\n" + octets + "\r\nUpload-Offset: 0\r\n" + length + "\r\n",
		"a body at a wrong offset":            "PATCH " + up.at + " HTTP/1.1\r\nHost: a\r\n" + tus + "\r\n" + octets + "\r\nUpload-Offset: 9\r\n" + length + "\r\n",
		"a creation by nobody":                "POST /files/ HTTP/1.1\r\nHost: a\r\n" + tus + "\r\n" + octets + "\r\nUpload-Length: 50000\r\n" + length + "\r\n",
		"a small creation that stalls":        "POST /files/ HTTP/1.1\r\nHost: a\r\n" + bearer + tus + "\r\n" + octets + "\r\nUpload-Length: 50000\r\n" + length + "\r\nab",
		"a creation with a body of no use":    "POST /files/ HTTP/1.1\r\nHost: a\r\n" + bearer + tus + "\r\nUpload-Length: 50000\r\n" + length + "\r\nab",
		"a large creation that stalls":        "POST /files/ HTTP/1.1\r\nHost: a\r\n" + bearer + tus + "\r\n" + octets + "\r\nUpload-Length: 5000000\r\nContent-Length: 5000000\r\n\r\nab",
		"a PATCH that stalls":                 "PATCH " + up.at + " HTTP/1.1\r\nHost: a\r\n" + tus + "\r\n" + octets + "\r\nUpload-Offset: 0\r\n" + length + "\r\nab",
		"100-continue, and nothing":           "PATCH " + up.at + " HTTP/1.1\r\nHost: a\r\n" + tus + "\r\n" + octets + "\r\nUpload-Offset: 0\r\nExpect: 100-continue\r\n" + length + "\r\n",
		"a length and chunks that never come": "POST /api/uploads HTTP/1.1\r\nHost: a\r\n" + length + chunked + "\r\n",
		"a request to * with a body":          "OPTIONS * HTTP/1.1\r\nHost: a\r\n" + length + "\r\n",
	} {
		all.Go(func() {
			c := a.dial(t)
			defer c.Close()
			if _, err := io.WriteString(c, text); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if took, err := silence(c, limit); err != nil {
				t.Errorf("%s: %v", name, err)
			} else {
				t.Logf("%s: closed after %v", name, took.Round(time.Second))
			}
		})
	}
	// One byte in ten seconds would keep a rolling deadline alive for ever.
	all.Go(func() {
		c := a.dial(t)
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(limit))
		tick := time.NewTicker(3 * time.Second)
		defer tick.Stop()
		_, _ = io.WriteString(c, "GET /livez HTTP/1.1\r\nHost: a\r\n")
		for range 20 {
			if _, err := io.WriteString(c, "X-A: b\r\n"); err != nil {
				return
			}
			<-tick.C
		}
		t.Error("a head of one line in three seconds is still read after a minute")
	})
	// A reader that takes nothing: its answer does not fit into the buffers between.
	all.Go(func() {
		c := a.dial(t)
		defer c.Close()
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetReadBuffer(4 << 10)
		}
		_ = c.SetDeadline(time.Now().Add(limit + 10*time.Second))
		_, _ = io.WriteString(c, "GET /m/"+large.id+" HTTP/1.1\r\nHost: a\r\n\r\n")
		patience := time.NewTimer(limit)
		defer patience.Stop()
		<-patience.C
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetReadBuffer(4 << 20) // what lies in the kernel is not held against the gateway
		}
		n, _ := io.Copy(io.Discard, c) // what lies in the buffers, and then the end
		if n >= 40<<20 {
			t.Errorf("a reader that took nothing for a minute was kept: %d bytes", n)
		}
	})
	all.Wait()
	if got := a.do(t, "GET", "/m/"+f.id, "", ""); got.status != 200 {
		t.Errorf("others, meanwhile: %v", got)
	}
}
