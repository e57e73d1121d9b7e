package gateway_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sluice/gateway"
	"sluice/media"
)

// raw sends bytes over one connection and reads answers until it closes or wants answers have come.
func (w *world) raw(send string, wants int) (statuses []int, closed bool) {
	w.t.Helper()
	var d net.Dialer
	c, err := d.DialContext(w.t.Context(), "tcp", w.srv.Listener.Addr().String())
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, send); err != nil {
		w.t.Fatal(err)
	}
	br := bufio.NewReader(c)
	for len(statuses) < wants {
		resp, err := http.ReadResponse(br, nil)
		if err != nil {
			return statuses, true
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		statuses = append(statuses, resp.StatusCode)
		if resp.Close {
			return statuses, true
		}
	}
	return statuses, false
}

func TestSmugglingIsRefused(t *testing.T) {
	t.Parallel()
	w := setup(t, nil)
	const chunked = "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
	get := "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
	for _, c := range []struct {
		name, send string
		want       []int
		closed     bool
	}{
		{"both lengths", "POST /files/ HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n" + chunked + get, []int{400}, true},
		{"both, the other way round, in strange case", "POST /files/ HTTP/1.1\r\nHost: x\r\nTRANSFER-encoding: chunked\r\ncontent-LENGTH: 0\r\n\r\n0\r\n\r\n" + get, []int{400}, true},
		{"both, behind a good request", get + "POST /p/x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n" + chunked, []int{200, 400}, true},
		{"both, behind a good chunked one", "POST /files/ HTTP/1.1\r\nHost: x\r\n" + chunked + "POST /files/ HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n" + chunked, nil, true},
		{"chunked alone is fine, and the connection goes on", "POST /files/ HTTP/1.1\r\nHost: x\r\n" + chunked + get, []int{200, 200}, false},
		{"a length alone is fine", "POST /files/ HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello" + get, []int{200, 200}, false},
		{"a body that looks like a head is a body", "POST /files/ HTTP/1.1\r\nHost: x\r\nContent-Length: 67\r\n\r\nPOST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n\r\n" + get, []int{200, 200}, false},
		{"both in HTTP/1.0, where the coding is overlooked", "POST /files/ HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\nContent-Length: 5\r\n" + chunked + get, []int{400}, true},
		{"chunked in HTTP/1.0", "POST /files/ HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n" + chunked + get, []int{400}, true},
		{"both, behind a length on a folded line", "POST /files/ HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n 50\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999\r\n\r\n" + "POST /files/ HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n" + chunked, nil, true},
		{"a question about the whole server", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n" + get, []int{204, 200}, false},
		{"two different lengths", "POST /files/ HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", []int{400}, true},
		{"an unknown transfer coding", "POST /files/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", []int{501}, true},
		{"a head of 64 KiB", "GET /livez HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 64<<10) + "\r\n\r\n", []int{431}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, closed := w.raw(c.send, max(len(c.want), 2))
			if c.want == nil {
				// The bad one may already be seen when the good one is answered; either way it is the last.
				if len(got) == 0 || got[len(got)-1] != 400 {
					t.Errorf("got %v", got)
				}
			} else if fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
			if closed != c.closed {
				t.Errorf("closed %v, want %v", closed, c.closed)
			}
		})
	}
}

// TestFramingInAnyPieces holds that what is seen does not depend on how the bytes come in.
func TestFramingInAnyPieces(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var b strings.Builder
		want := false
		for range rapid.IntRange(1, 5).Draw(t, "requests") {
			b.WriteString("POST /x HTTP/1.1\r\nHost: example.com\r\nX-Long: " + strings.Repeat("y", rapid.IntRange(0, 200).Draw(t, "long")) + "\r\n")
			body := strings.Repeat("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", rapid.IntRange(0, 3).Draw(t, "body"))
			chunked := rapid.Bool().Draw(t, "chunked")
			length := !chunked || rapid.IntRange(0, 5).Draw(t, "both") == 0
			if length {
				fmt.Fprintf(&b, "Content-Length: %d\r\n", len(body))
			}
			if chunked {
				b.WriteString("Transfer-Encoding: chunked\r\n\r\n")
				if body != "" {
					fmt.Fprintf(&b, "%x;ext=%s\r\n%s\r\n", len(body), strings.Repeat("e", rapid.IntRange(0, 100).Draw(t, "ext")), body)
				}
				b.WriteString("0\r\nTrailer: x\r\n\r\n")
			} else {
				b.WriteString("\r\n" + body)
			}
			want = want || chunked && length
		}
		var pieces [][]byte
		for rest := []byte(b.String()); len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "piece")
			pieces = append(pieces, rest[:n])
			rest = rest[n:]
		}
		if got := gateway.SaysLengthTwice(pieces...); got != want {
			t.Fatalf("got %v, want %v for %q", got, want, b.String())
		}
	})
}

func FuzzFraming(f *testing.F) {
	f.Add([]byte("POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"), 7)
	f.Add([]byte("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n"), 1)
	f.Add([]byte("\r\n\r\nGET / HTTP/1.1\n\n"), 2)
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		cut = max(0, min(cut, len(b)))
		if whole, parts := gateway.SaysLengthTwice(b), gateway.SaysLengthTwice(b[:cut], b[cut:]); whole != parts {
			t.Errorf("whole %v, in two %v", whole, parts)
		}
	})
}

func BenchmarkFraming(b *testing.B) {
	head := []byte("GET /p/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA/019c0000-0000-7000-8000-000000000001/original.mp4 HTTP/1.1\r\nHost: media.example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept: */*\r\nAccept-Encoding: identity\r\nRange: bytes=1048576-2097151\r\nReferer: https://lms.example.com/\r\nConnection: keep-alive\r\n\r\n")
	b.ReportAllocs()
	for b.Loop() {
		if gateway.SaysLengthTwice(head) {
			b.Fatal("it does not")
		}
	}
}

func TestBareMountsKeepTheWriter(t *testing.T) {
	t.Parallel()
	w := setup(t, nil)
	w.shelf.put(media.Asset{ID: idOf(1), Owner: "ida"})
	for path, want := range map[string]string{
		"/p/ticket/x":          "playback bare=true",
		"/m/x":                 "playback bare=true",
		"/play/x":              "playback bare=true",
		"/files":               "uploads bare=true",
		"/files/":              "uploads bare=true",
		"/files/..%2f..%2fetc": "uploads bare=true",
		"/api/media/" + idOf(1).String() + "/content": "content bare=true own=true",
		"/p/x/deadline": "playback bare=true",
	} {
		if resp, body := w.do("GET", path, "", as("ida", "instructor")); resp.StatusCode != 200 || !strings.HasPrefix(body, want) {
			t.Errorf("%s: got %d %s", path, resp.StatusCode, body)
		}
	}
	if resp, _ := w.do("GET", "/p/ticket/x", ""); resp.Header.Get("X-Request-Id") != "" {
		t.Error("playback pays for a request id")
	}
	if log := w.log.String(); strings.Contains(log, "ticket/x") || strings.Contains(log, "etc") {
		t.Errorf("a path reached the log: %s", log)
	}
}

func TestDeadlinesEndWithTheirAnswer(t *testing.T) {
	t.Parallel()
	w := setup(t, func(o *gateway.Options) { o.AnswerTimeout, o.BodyTimeout = 200*time.Millisecond, 200*time.Millisecond })
	var d net.Dialer
	c, err := d.DialContext(t.Context(), "tcp", w.srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	br := bufio.NewReader(c)
	for i, send := range []string{
		"POST /api/nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}",
		"POST /p/x HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}",
		"POST /files/ HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}",
	} {
		if _, err := io.WriteString(c, send); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(br, nil)
		if err != nil {
			t.Fatalf("answer %d: %v", i, err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		<-time.After(250 * time.Millisecond) // longer than the deadlines
	}
}

func TestSlowBodiesAreCut(t *testing.T) {
	t.Parallel()
	w := setup(t, func(o *gateway.Options) { o.BodyTimeout = 100 * time.Millisecond })
	start := time.Now()
	send := "POST /api/media HTTP/1.1\r\nHost: x\r\n" + as("ida", "instructor") + "\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
	got, closed := w.raw(send, 1)
	if fmt.Sprint(got) != "[408]" || !closed || time.Since(start) > 5*time.Second {
		t.Errorf("got %v, closed %v after %v", got, closed, time.Since(start))
	}
}

func TestContent(t *testing.T) {
	t.Parallel()
	w := setup(t, nil)
	path := "/api/media/" + w.shelf.put(media.Asset{ID: idOf(1), Owner: "ida"}).ID.String() + "/content"
	for _, c := range []struct {
		name, method, path string
		head               []string
		want               int
	}{
		{"an admin", "GET", path, []string{as("root", "admin")}, 200},
		{"HEAD", "HEAD", path, []string{as("ida", "instructor")}, 200},
		{"a student, private media", "GET", path, []string{as("sam", "student")}, 404},
		{"nobody, private media", "GET", path, nil, 404},
		{"a bad token", "GET", path, []string{"Authorization: Bearer eyJ.x.y"}, 401},
		{"a bad id", "GET", "/api/media/x/content", nil, 400},
		{"POST", "POST", path, []string{as("ida", "instructor")}, 405},
		{"a parameter twice", "GET", path + "?a=1&a=2", []string{as("ida", "instructor")}, 400},
		{"a path beside it", "GET", "/api/media/x/y/content", nil, 404},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if resp, body := w.do(c.method, c.path, "", c.head...); resp.StatusCode != c.want {
				t.Errorf("got %d %s", resp.StatusCode, body)
			}
		})
	}
}

func TestPanics(t *testing.T) {
	t.Parallel()
	w := setup(t, func(o *gateway.Options) {
		o.Checks = []gateway.Check{}
	})
	if got, closed := w.raw("GET /p/x/panic HTTP/1.1\r\nHost: x\r\n\r\n", 1); len(got) != 0 || !closed {
		t.Errorf("a bare handler: got %v, closed %v", got, closed)
	}
	w.shelf.rows = nil // a nil map takes no Add: the service panics
	resp, body := w.do("POST", "/api/media", `{"url":"https://cdn.example.com/a"}`, as("ida", "instructor"))
	if resp.StatusCode != 500 || !strings.Contains(body, `"code":"internal"`) || strings.Contains(body, "nil map") {
		t.Errorf("the API: got %d %s", resp.StatusCode, body)
	}
	if log := w.log.String(); !strings.Contains(log, "on purpose") || !strings.Contains(log, "nil map") {
		t.Errorf("got log %s", log)
	}
}

func TestCORS(t *testing.T) {
	t.Parallel()
	w := setup(t, func(o *gateway.Options) {
		o.CORSOrigins = []string{"https://app.example.com", "https://a.school.example"}
	})
	for origin, want := range map[string]bool{
		"https://app.example.com":                  true,
		"https://a.school.example":                 true,
		"https://b.school.example":                 false,
		"http://app.example.com":                   false,
		"https://app.example.com.evil.example":     false,
		"https://evil-app.example.com":             false,
		"https://APP.example.com":                  false,
		"https://app.example.com:8443":             false,
		"https://school.example":                   false,
		"https://evilschool.example":               false,
		"https://evil.example/.school.example":     false,
		"https://evil.example#a.school.example":    false,
		"https://u@a.school.example":               false,
		"https://a.school.example.evil.example":    false,
		"null":                                     false,
		"*":                                        false,
		"https://app.example.com, https://evil.io": false,
	} {
		resp, _ := w.do("GET", "/api/media", "", "Origin: "+origin)
		h := resp.Header
		if got := h.Get("Access-Control-Allow-Origin"); (got == origin) != want || !want && got != "" || h.Get("Vary") != "Origin" || h.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: got %v", origin, h)
		}
	}
	resp, _ := w.do("OPTIONS", "/api/media", "", "Origin: https://app.example.com", "Access-Control-Request-Method: PATCH")
	if resp.StatusCode != 204 || !strings.Contains(resp.Header.Get("Access-Control-Allow-Methods"), "PATCH") || !strings.Contains(resp.Header.Get("Access-Control-Allow-Headers"), "If-Match") {
		t.Errorf("preflight: got %d %v", resp.StatusCode, resp.Header)
	}
	if resp, _ := w.do("OPTIONS", "/api/media", "", "Origin: https://evil.example", "Access-Control-Request-Method: PATCH"); resp.Header.Get("Access-Control-Allow-Methods") != "" {
		t.Errorf("a stranger's preflight: got %v", resp.Header)
	}
	for path, want := range map[string]string{
		"/api/media": "GET, HEAD, POST, OPTIONS",
		"/api/links": "POST, OPTIONS",
		"/api/media/019b0000-0000-7000-8000-000000000000/content": "GET, HEAD, OPTIONS",
	} {
		if resp, body := w.do("OPTIONS", path, ""); resp.StatusCode != 204 || resp.Header.Get("Allow") != want || body != "" {
			t.Errorf("OPTIONS %s: got %d, Allow %q, body %q, want 204 and %q", path, resp.StatusCode, resp.Header.Get("Allow"), body, want)
		}
	}
	all := setup(t, func(o *gateway.Options) { o.CORSOrigins = []string{"*"} })
	if resp, _ := all.do("GET", "/livez", "", "Origin: https://evil.example"); resp.Header.Get("Access-Control-Allow-Origin") != "*" || resp.Header.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("*: got %v", resp.Header)
	}
	for _, bad := range [][]string{{"null"}, {"*", "https://a.example"}, {"https://*"}, {"https://*.example.com"}, {"https://a.*.example"}, {"https://a.example/"}, {"ftp://a.example"}, {"a.example"}, {"https://A.example"}} {
		if err := gateway.CheckOrigins(bad); err == nil {
			t.Errorf("%v was taken", bad)
		}
	}
}

func TestClientIP(t *testing.T) {
	t.Parallel()
	none, err := gateway.NewClientIP(nil)
	if err != nil {
		t.Fatal(err)
	}
	proxied, err := gateway.NewClientIP([]string{"10.0.0.0/8", "2001:db8::1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		f    func(*http.Request) string
		peer string
		xff  []string
		want string
	}{
		{"no proxy is trusted by default", none, "10.0.0.1:99", []string{"X-Forwarded-For: 1.2.3.4"}, "10.0.0.1"},
		{"a trusted one is", proxied, "10.0.0.1:99", []string{"X-Forwarded-For: 1.2.3.4"}, "1.2.3.4"},
		{"the rightmost stranger counts", proxied, "10.0.0.1:99", []string{"X-Forwarded-For: 6.6.6.6, 1.2.3.4, 10.0.0.2"}, "1.2.3.4"},
		{"lines go on from each other", proxied, "[2001:db8::1]:99", []string{"X-Forwarded-For: 6.6.6.6", "X-Forwarded-For: 1.2.3.4"}, "1.2.3.4"},
		{"a stranger's word is nothing", proxied, "1.2.3.4:99", []string{"X-Forwarded-For: 6.6.6.6"}, "1.2.3.4"},
		{"rubbish ends it", proxied, "10.0.0.1:99", []string{"X-Forwarded-For: 6.6.6.6, evil"}, "10.0.0.1"},
		{"a unix socket has no address", none, "@", nil, "@"},
	} {
		r := request(t, c.xff...)
		r.RemoteAddr = c.peer
		if got := c.f(r); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
	if _, err := gateway.NewClientIP([]string{"proxy.example"}); err == nil {
		t.Error("a name was taken for a network")
	}
}

func TestRequestIDs(t *testing.T) {
	t.Parallel()
	w := setup(t, nil)
	for given, kept := range map[string]bool{"abc-1_2.3": true, "a b": false, strings.Repeat("a", 64): true, strings.Repeat("a", 65): false, `"}`: false, "é": false} {
		resp, _ := w.do("GET", "/livez", "", "X-Request-Id: "+given)
		if got := resp.Header.Get("X-Request-Id"); (got == given) != kept || got == "" {
			t.Errorf("%q: got %q", given, got)
		}
	}
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	for s, want := range map[string]string{
		"00-" + trace + "-00f067aa0ba902b7-01":                   trace,
		"01-" + trace + "-00f067aa0ba902b7-01-more":              trace,
		"00-" + trace + "-00f067aa0ba902b7-01-more":              "",
		"ff-" + trace + "-00f067aa0ba902b7-01":                   "",
		"00-" + strings.Repeat("0", 32) + "-00f067aa0ba902b7-01": "",
		"00-" + trace + "-0000000000000000-01":                   "",
		"00-" + strings.ToUpper(trace) + "-00f067aa0ba902b7-01":  "",
		"":                              "",
		"00-" + strings.Repeat("x", 52): "",
	} {
		if got := gateway.TraceOf(s); got != want {
			t.Errorf("%q: got %q, want %q", s, got, want)
		}
	}
}
