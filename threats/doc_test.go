// Package threats_test attacks a running gateway from outside, line by line of the table in docs/threats.md: each subtest is named for
// the threat it tries. Whatever an attack is, its answer is held to the same rules: no 5xx, nothing that a browser may sniff, and no word
// of paths, SQL or secrets, in the answer or in the log.
package threats_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/internal/livetest"
)

// arena is one gateway under attack, and everybody in it.
type arena struct {
	s *livetest.Server

	admin, ada, bob, sam string // tokens: an admin, two instructors, a student

	mu      sync.Mutex
	secrets map[string]string // text that must never show -> what it is
}

func newArena(t *testing.T, o livetest.Options) *arena {
	t.Helper()
	s := livetest.Sluice(t, o)
	a := &arena{s: s, secrets: map[string]string{}}
	a.admin, a.ada = s.Token("root", "admin", time.Hour), s.Token("ada", "instructor", time.Hour)
	a.bob, a.sam = s.Token("bob", "instructor", time.Hour), s.Token("sam", "student", time.Hour)
	a.keep("the JWT secret", s.Secret)
	a.keep("the data directory", s.DataDir)
	return a
}

// keep notes a secret, for the search at the end.
func (a *arena) keep(what, secret string) {
	if len(secret) < 16 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.secrets[secret] = what
}

// answer is a response read to its end.
type answer struct {
	status int
	header http.Header
	head   string // as it came over the wire
	body   string
}

func (a answer) String() string { return fmt.Sprintf("%d\n%s\n%.300q", a.status, a.head, a.body) }

// same is what two refusals have in common when a stranger cannot tell them apart: all but what differs between any two requests.
func (a answer) same() string {
	var p map[string]any
	_ = json.Unmarshal([]byte(a.body), &p) // an empty body has nothing to compare
	delete(p, "requestId")
	h := a.header.Clone()
	for _, k := range []string{"Date", "X-Request-Id", "Content-Length"} {
		h.Del(k)
	}
	return fmt.Sprint(a.status, h, p)
}

const readLimit = 15 * time.Second

// do sends one request as it stands, with no client library that would mend it, and holds the answer to the rules for all of them.
// headers are whole lines.
func (a *arena) do(t testing.TB, method, target, token, body string, headers ...string) answer {
	t.Helper()
	got := a.rough(t, method, target, token, body, headers...)
	a.check(t, method+" "+target, got)
	return got
}

// rough is do for attacks whose answer may be a 5xx.
func (a *arena) rough(t testing.TB, method, target, token, body string, headers ...string) answer {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nConnection: close\r\n", method, target)
	lines := strings.ToLower("\r\n" + strings.Join(headers, "\r\n"))
	if !strings.Contains(lines, "\r\nhost:") {
		fmt.Fprintf(&b, "Host: %s\r\n", a.s.Addr)
	}
	if token != "" {
		fmt.Fprintf(&b, "Authorization: Bearer %s\r\n", token)
		a.keep("a token", token)
	}
	for _, h := range headers {
		b.WriteString(h + "\r\n")
	}
	if body != "" && !strings.Contains(lines, "\r\ntransfer-encoding:") && !strings.Contains(lines, "\r\ncontent-length:") {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(body))
	}
	b.WriteString("\r\n" + body)
	got := a.wire(t, method, b.String())
	if at := got.header.Get("Location"); strings.HasPrefix(at, "/p/") || strings.HasPrefix(at, "/files/") {
		a.keep("a ticket or capability", strings.Split(at, "/")[2])
	}
	if _, signature, found := strings.Cut(got.header.Get("Location"), "ignature="); found { // of a backend's own URL
		a.keep("a signed URL", signature)
	}
	return got
}

// check holds an answer to what holds for every one.
func (a *arena) check(t testing.TB, what string, got answer) {
	t.Helper()
	what = fmt.Sprintf("%.200q", what)
	if got.status >= 500 {
		t.Errorf("%s: %d, no request may cause a 5xx: %v", what, got.status, got)
	}
	// Requests that are no HTTP are answered by net/http itself, as plain text with nothing of the request in it.
	byHTTP := got.header.Get("Content-Type") == "text/plain; charset=utf-8" && strings.HasSuffix(got.head, "Connection: close") &&
		(got.body == "" || strings.HasPrefix(got.body, strconv.Itoa(got.status)+" "))
	if got.header.Get("X-Content-Type-Options") != "nosniff" && !byHTTP && got.status != 204 {
		t.Errorf("%s: X-Content-Type-Options is missing: %v", what, got)
	}
	if got.status >= 400 {
		if loose := got.leaks(a.s.DataDir); loose != "" {
			t.Errorf("%s: the answer shows %q: %v", what, loose, got)
		}
	}
	for _, line := range strings.Split(got.head, "\r\n") {
		if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
			t.Errorf("%s: a control byte in the header line %q", what, line)
		}
	}
}

// leaks finds what no stranger is told.
func (a answer) leaks(dataDir string) string {
	text := a.head + a.body
	for _, s := range []string{
		dataDir, "/tmp/", "/home/", "catalogue.db", "SELECT ", "INSERT ", "UPDATE ", "sqlite", "SQLSTATE", "pgx", "goroutine ", ".go:", "runtime error", "root:x:",
		"no such file or", "openat", "permission denied",
	} {
		if strings.Contains(text, s) {
			return s
		}
	}
	return ""
}

// wire sends bytes as they are and reads one answer.
func (a *arena) wire(t testing.TB, method, text string) answer {
	t.Helper()
	c := a.dial(t)
	defer c.Close()
	if _, err := io.WriteString(c, text); err != nil {
		// The gateway may answer and close before it has read all of it.
		t.Logf("write: %v", err)
	}
	got, err := next(bufio.NewReader(c), method)
	if err != nil {
		t.Fatalf("no answer to %.200q: %v", text, err)
	}
	return got
}

func (a *arena) dial(t testing.TB) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", a.s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(readLimit))
	return c
}

// next reads one answer off a connection, and its head as it came.
func next(r *bufio.Reader, method string) (answer, error) {
	var head bytes.Buffer
	for {
		line, err := r.ReadBytes('\n')
		if err != nil {
			return answer{}, err
		}
		head.Write(line)
		if len(bytes.TrimRight(line, "\r\n")) == 0 {
			break
		}
	}
	text := head.String()
	resp, err := http.ReadResponse(bufio.NewReader(io.MultiReader(&head, r)), &http.Request{Method: method})
	if err != nil {
		return answer{}, fmt.Errorf("%w in %q", err, text)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, strings.TrimRight(text, "\r\n"), string(body)}, err
}

const tus = "Tus-Resumable: 1.0.0"

const octets = "Content-Type: application/offset+octet-stream"

// meta makes an Upload-Metadata line of pairs of key and value.
func meta(pairs ...string) string {
	var items []string
	for i := 0; i+1 < len(pairs); i += 2 {
		items = append(items, pairs[i]+" "+base64.StdEncoding.EncodeToString([]byte(pairs[i+1])))
	}
	return "Upload-Metadata: " + strings.Join(items, ",")
}

// file is something uploaded.
type file struct{ id, at string }

// put uploads a whole file, in one request, and wants it taken.
func (a *arena) put(t testing.TB, token, data string, pairs ...string) file {
	t.Helper()
	got := a.do(t, "POST", "/files/", token, data, tus, octets, "Upload-Length: "+strconv.Itoa(len(data)), meta(pairs...))
	if got.status != 201 {
		t.Fatalf("upload: %v", got)
	}
	return file{got.header.Get("Sluice-Media-Id"), got.header.Get("Location")}
}

// begin starts an upload without a byte.
func (a *arena) begin(t testing.TB, token string, headers ...string) (file, answer) {
	t.Helper()
	got := a.do(t, "POST", "/files/", token, "", append([]string{tus}, headers...)...)
	return file{got.header.Get("Sluice-Media-Id"), got.header.Get("Location")}, got
}

func (a *arena) patch(t testing.TB, at string, off int, data string, headers ...string) answer {
	t.Helper()
	return a.do(t, "PATCH", at, "", data, append([]string{tus, octets, "Upload-Offset: " + strconv.Itoa(off)}, headers...)...)
}

// offset asks how much an upload has.
func (a *arena) offset(t testing.TB, at string) int {
	t.Helper()
	n, err := strconv.Atoi(a.do(t, "HEAD", at, "", "", tus).header.Get("Upload-Offset"))
	if err != nil {
		return -1
	}
	return n
}

// link asks for a signed URL.
func (a *arena) link(t testing.TB, token, id, options string) string {
	t.Helper()
	got := a.json(t, "POST", "/api/media/"+id+"/links", token, options)
	var l struct{ URL string }
	if err := json.Unmarshal([]byte(got.body), &l); err != nil || got.status != 201 {
		t.Fatalf("link: %v", got)
	}
	a.keep("a ticket", strings.Split(l.URL, "/")[2])
	return l.URL
}

func (a *arena) json(t testing.TB, method, target, token, body string, headers ...string) answer {
	t.Helper()
	return a.do(t, method, target, token, body, append([]string{"Content-Type: application/json"}, headers...)...)
}

// change patches media and wants it done.
func (a *arena) change(t testing.TB, token, id, patch string) {
	t.Helper()
	if got := a.json(t, "PATCH", "/api/media/"+id, token, patch, "If-Match: *"); got.status != 200 {
		t.Fatalf("change: %v", got)
	}
}

// missing is a well-formed id that nothing has.
const missing = "0199aaaa-bbbb-7ccc-8ddd-eeeeffff0000"
