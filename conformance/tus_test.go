package conformance_test

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/internal/livetest"
	"sluice/uploads/tustest"
)

var uuid7 = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

func TestTheBinaryPassesTheTusSuite(t *testing.T) {
	t.Parallel()
	for _, ack := range []string{"fast", "durable"} {
		t.Run(ack, func(t *testing.T) {
			t.Parallel()
			c := open(t, livetest.Options{Args: []string{"--set", "uploads.max_size=2MiB", "--set", "uploads.ack=" + ack}})
			tustest.Run(t, c.s.URL+"/files/", tustest.Options{
				Header:  http.Header{"Authorization": {c.ann}},
				Stray:   http.Header{"Authorization": {c.as("bob", "instructor")}},
				MaxSize: 2 << 20,
			})
		})
	}
}

// A 201 says where, what and until when; nothing a proxy or a forger says of the host is repeated.
func TestACreationAnswersWhatTheContractSays(t *testing.T) {
	t.Parallel()
	c := open(t, livetest.Options{})
	for _, path := range []string{"/files", "/files/"} {
		a := c.want(201, http.MethodPost, path, "", "Authorization", c.ann, "Tus-Resumable", "1.0.0", "Upload-Length", "5",
			"X-Forwarded-Host", "evil.example", "X-Forwarded-Proto", "https", "Forwarded", "host=evil.example;proto=https")
		if !strings.HasPrefix(a.get("Location"), "/files/") || len(a.get("Location")) < len("/files/")+16 {
			t.Errorf("Location = %q, want it relative and unguessable", a.get("Location"))
		}
		if !uuid7.MatchString(a.get("Sluice-Media-Id")) {
			t.Errorf("Sluice-Media-Id = %q, want a UUIDv7", a.get("Sluice-Media-Id"))
		}
		until, err := http.ParseTime(a.get("Upload-Expires"))
		if err != nil || !strings.HasSuffix(a.get("Upload-Expires"), " GMT") || time.Until(until) < time.Hour {
			t.Errorf("Upload-Expires = %q, %v", a.get("Upload-Expires"), err)
		}
		if strings.Contains(a.get("Location"), a.get("Sluice-Media-Id")) {
			t.Error("the URL that opens the upload can be guessed from the media's id")
		}
	}
}

// HEAD of every kind of upload, by everybody, is 200, 404, 410, 412 or 423: all else makes a client start again from byte 0.
func TestAStatusReadNeverConfusesAClient(t *testing.T) {
	t.Parallel()
	c := open(t, livetest.Options{})
	_, fresh := c.start(5)
	_, some := c.start(5)
	c.want(204, http.MethodPatch, some, "he", "Tus-Resumable", "1.0.0", "Content-Type", chunkType, "Upload-Offset", "0")
	_, whole := c.put("hello")
	_, deleted := c.put("hello")
	c.want(204, http.MethodDelete, deleted, "", "Tus-Resumable", "1.0.0")
	expired := "Bearer " + c.s.Token("ann", "instructor", -time.Minute)
	for _, u := range []struct {
		name, url, offset string
		status            int
	}{
		{"fresh", fresh, "0", 200},
		{"half", some, "2", 200},
		{"whole", whole, "5", 200},
		{"deleted", deleted, "", 404},
		{"another's signature", whole[:len(whole)-1] + "A", "", 404},
		{"nothing", "/files/x", "", 404},
		{"a longer path", whole + "/x", "", 404},
	} {
		for _, who := range []struct {
			name   string
			header []string
		}{
			{"nobody", nil},
			{"the owner", []string{"Authorization", c.ann}},
			{"an admin", []string{"Authorization", c.root}},
			{"the owner, expired", []string{"Authorization", expired}},
			{"a broken token", []string{"Authorization", "Bearer x.y.z"}},
			{"another scheme", []string{"Authorization", "Basic YTpi"}},
			{"two tokens", []string{"Authorization", c.ann, "Authorization", c.ann}},
			{"an empty header", []string{"Authorization", ""}},
		} {
			a := c.send(http.MethodHead, u.url, "", append(who.header, "Tus-Resumable", "1.0.0")...)
			if a.status != u.status || a.get("Upload-Offset") != u.offset || a.body != "" || a.get("Cache-Control") != "no-store" || a.get("Tus-Resumable") != "1.0.0" {
				t.Errorf("HEAD of a %s one by %s: got %d %v, want %d with offset %q", u.name, who.name, a.status, a.header, u.status, u.offset)
			}
		}
		if a := c.send(http.MethodHead, u.url, "", "Tus-Resumable", "1.0.0", "Authorization", c.as("bob", "instructor")); a.status != 404 || a.get("Upload-Offset") != "" {
			t.Errorf("HEAD of a %s one by another instructor: got %d, want 404", u.name, a.status)
		}
	}
}

// The login ends in mid-upload: the URL goes on by itself, a new upload needs a new login.
func TestAnUploadOutlivesItsLogin(t *testing.T) {
	t.Parallel()
	c := open(t, livetest.Options{})
	id, u := c.start(10)
	expired := "Bearer " + c.s.Token("ann", "instructor", -time.Minute)
	for _, step := range []struct{ off, body string }{{"0", "hello"}, {"5", "world"}} {
		c.want(204, http.MethodPatch, u, step.body, "Tus-Resumable", "1.0.0", "Content-Type", chunkType, "Upload-Offset", step.off, "Authorization", expired)
	}
	if a := c.want(302, http.MethodGet, u, "", "Authorization", expired); c.want(200, http.MethodGet, a.get("Location"), "").body != "helloworld" {
		t.Error("the finished upload's own URL leads elsewhere than to its bytes")
	}
	a := c.want(401, http.MethodPost, "/files/", "", "Tus-Resumable", "1.0.0", "Upload-Length", "5", "Authorization", expired, "Accept", "application/json")
	checkProblem(t, a, 401, "token_expired")
	if a.get("Www-Authenticate") == "" || a.get("Tus-Resumable") != "1.0.0" {
		t.Errorf("a creation with an expired token: %v", a.header)
	}
	c.call(200, http.MethodGet, "/api/media/"+id, "", nil)
}

type openUpload struct {
	MediaID, UploadURL, Filename string
	Size                         *int64
	Offset                       int64
	CreatedAt, ExpiresAt         time.Time
}

func (c *site) openUploads(auth string) []openUpload {
	c.t.Helper()
	a := c.want(200, http.MethodGet, "/api/uploads?state=open", "", "Authorization", auth)
	var list struct{ Items []openUpload }
	if err := json.Unmarshal([]byte(a.body), &list); err != nil {
		c.t.Fatal(err)
	}
	return list.Items
}

func TestAnotherDeviceGoesOn(t *testing.T) {
	t.Parallel()
	c := open(t, livetest.Options{})
	id, u := c.start(10, "filename", "lecture.mp4")
	c.want(204, http.MethodPatch, u, "hello", "Tus-Resumable", "1.0.0", "Content-Type", chunkType, "Upload-Offset", "0")
	c.put("done already")
	if bobs := c.openUploads(c.as("bob", "instructor")); len(bobs) != 0 {
		t.Errorf("another's list: %+v", bobs)
	}
	list := c.openUploads(c.as("ann", "instructor"))
	if len(list) != 1 || list[0].MediaID != id || list[0].Filename != "lecture.mp4" || list[0].Size == nil || *list[0].Size != 10 || list[0].Offset != 5 || list[0].ExpiresAt.IsZero() {
		t.Fatalf("open uploads = %+v", list)
	}
	a := c.want(200, http.MethodHead, list[0].UploadURL, "", "Tus-Resumable", "1.0.0", "Authorization", c.as("ann", "instructor"))
	c.want(204, http.MethodPatch, list[0].UploadURL, "world", "Tus-Resumable", "1.0.0", "Content-Type", chunkType, "Upload-Offset", a.get("Upload-Offset"))
	if left := c.openUploads(c.ann); len(left) != 0 {
		t.Errorf("a finished upload is still listed: %+v", left)
	}
}

func (c *site) grant(body string) string {
	c.t.Helper()
	var g struct {
		Grant, UploadURL string
		ExpiresAt        time.Time
	}
	c.call(201, http.MethodPost, "/api/uploads", body, &g)
	if g.Grant == "" || !strings.HasPrefix(g.UploadURL, "/files") || time.Until(g.ExpiresAt) <= 0 {
		c.t.Fatalf("grant = %+v", g)
	}
	return g.Grant
}

// A page without a login uploads by a grant, sent with every request as tus-js-client sends its headers.
func TestABrowserUploadsByAGrant(t *testing.T) {
	t.Parallel()
	c := open(t, livetest.Options{})
	video := metadata("filename", "x.mp4", "filetype", "video/mp4")
	for _, c2 := range []struct{ name, header, prefix string }{{"as a bearer token", "Authorization", "Bearer "}, {"in a header of its own", "Upload-Grant", ""}} {
		token := c2.prefix + c.grant(`{"maxSize":100,"types":["video/*"],"mongoCourseId":"`+course+`","expiresIn":60}`)
		create := func(status int, headers ...string) answer {
			t.Helper()
			return c.want(status, http.MethodPost, "/files/", "", append(headers, c2.header, token, "Tus-Resumable", "1.0.0")...)
		}
		create(413, "Upload-Length", "101", "Upload-Metadata", video)
		create(415, "Upload-Length", "10", "Upload-Metadata", metadata("filename", "x.pdf", "filetype", "application/pdf"))
		create(403, "Upload-Length", "10", "Upload-Metadata", video+","+metadata("mongoCourseId", lesson))
		a := create(201, "Upload-Length", "10", "Upload-Metadata", video)
		create(403, "Upload-Length", "11", "Upload-Metadata", video) // one use
		if again := create(201, "Upload-Length", "10", "Upload-Metadata", video); again.get("Location") != a.get("Location") {
			t.Errorf("a creation repeated %s: %q, want %q", c2.name, again.get("Location"), a.get("Location"))
		}
		u, id := a.get("Location"), a.get("Sluice-Media-Id")
		for _, off := range []string{"0", "5"} {
			c.want(200, http.MethodHead, u, "", c2.header, token, "Tus-Resumable", "1.0.0")
			c.want(204, http.MethodPatch, u, "hello", c2.header, token, "Tus-Resumable", "1.0.0", "Content-Type", chunkType, "Upload-Offset", off)
			create(403, "Upload-Length", "10", "Upload-Metadata", video)
		}
		c.want(302, http.MethodGet, u, "", c2.header, token)
		var m map[string]any
		c.call(200, http.MethodGet, "/api/media/"+id, "", &m)
		if m["uploadedBy"] != "ann" || m["mongoCourseId"] != course || m["kind"] != "course-video" || m["fileSize"] != 10.0 {
			t.Errorf("what came %s: %v", c2.name, m)
		}
		c.want(404, http.MethodGet, "/api/media/"+id, "", c2.header, token) // it opens nothing else
		if a := c.send(http.MethodPost, "/api/uploads", "{}", c2.header, token, "Content-Type", "application/json"); a.status != 401 {
			t.Errorf("a grant that mints grants, %s: %d", c2.name, a.status)
		}
	}
	for _, bad := range []string{`{"mongoCourseId":"xyz"}`, `{"kind":"course-video"}`, `{"kind":"hologram"}`, `{"types":["video"]}`, `{"maxSize":-1}`, `{"storage":"moon"}`, `{"expiresIn":700000}`, `{"x":1}`} {
		a := c.want(400, http.MethodPost, "/api/uploads", bad, "Authorization", c.ann, "Content-Type", "application/json")
		checkProblem(t, a, 400, "")
	}
	c.want(403, http.MethodPost, "/api/uploads", "{}", "Authorization", c.as("stu", "student"), "Content-Type", "application/json")
}

// Each request of tus-js-client passes a browser's checks: preflight, and the headers it reads are exposed, on refusals too.
func TestAPageOfAListedOriginUploads(t *testing.T) {
	t.Parallel()
	const origin = "https://lms.example.com"
	c := open(t, livetest.Options{Env: []string{"SLUICE_CORS_ORIGINS=" + origin}})
	_, u := c.start(5)
	for _, path := range []string{"/files/", u} {
		a := c.send(http.MethodOptions, path, "", "Origin", origin, "Access-Control-Request-Method", "PATCH", "Access-Control-Request-Headers",
			"authorization,content-type,tus-resumable,upload-offset")
		if a.status/100 != 2 || a.get("Access-Control-Allow-Origin") != origin {
			t.Errorf("preflight of %s: %d %v", path, a.status, a.header)
		}
		for _, m := range []string{"POST", "HEAD", "PATCH", "DELETE"} {
			if !slices.Contains(listOf(a.get("Access-Control-Allow-Methods")), strings.ToLower(m)) {
				t.Errorf("preflight of %s allows %q, not %s", path, a.get("Access-Control-Allow-Methods"), m)
			}
		}
		for _, h := range []string{
			"authorization", "content-type", "tus-resumable", "upload-length", "upload-defer-length", "upload-offset", "upload-metadata", "upload-concat",
			"x-http-method-override", "x-request-id", "upload-grant",
		} {
			if !slices.Contains(listOf(a.get("Access-Control-Allow-Headers")), h) {
				t.Errorf("preflight of %s does not allow %s", path, h)
			}
		}
	}
	for name, a := range map[string]answer{
		"a creation":     c.send(http.MethodPost, "/files/", "", "Origin", origin, "Authorization", c.ann, "Tus-Resumable", "1.0.0", "Upload-Length", "5"),
		"a HEAD":         c.send(http.MethodHead, u, "", "Origin", origin, "Tus-Resumable", "1.0.0"),
		"no login":       c.send(http.MethodPost, "/files/", "", "Origin", origin, "Tus-Resumable", "1.0.0", "Upload-Length", "5", "Accept", "application/json"),
		"a wrong offset": c.send(http.MethodPatch, u, "x", "Origin", origin, "Tus-Resumable", "1.0.0", "Content-Type", chunkType, "Upload-Offset", "3"),
		"no version":     c.send(http.MethodHead, u, "", "Origin", origin),
		"no upload":      c.send(http.MethodHead, "/files/x", "", "Origin", origin, "Tus-Resumable", "1.0.0"),
	} {
		if a.get("Access-Control-Allow-Origin") != origin || !slices.Contains(listOf(a.get("Vary")), "origin") {
			t.Errorf("%s: %d %v", name, a.status, a.header)
		}
		for _, h := range []string{"location", "upload-offset", "upload-length", "upload-metadata", "upload-expires", "tus-resumable", "tus-version", "sluice-media-id"} {
			if !slices.Contains(listOf(a.get("Access-Control-Expose-Headers")), h) {
				t.Errorf("%s does not expose %s", name, h)
			}
		}
	}
	for _, stranger := range []string{"https://evil.example", "null", origin + ".evil.example", "http://lms.example.com", strings.ToUpper(origin)} {
		if a := c.send(http.MethodOptions, u, "", "Origin", stranger, "Access-Control-Request-Method", "PATCH"); a.get("Access-Control-Allow-Origin") != "" {
			t.Errorf("origin %s is let in: %v", stranger, a.header)
		}
	}
}

func listOf(s string) []string {
	var list []string
	for e := range strings.SplitSeq(strings.ToLower(s), ",") {
		list = append(list, strings.TrimSpace(e))
	}
	return list
}

// dial opens a connection of its own, for requests that no client library sends.
func (c *site) dial() (net.Conn, *bufio.Reader) {
	c.t.Helper()
	var d net.Dialer
	conn, err := d.DialContext(c.t.Context(), "tcp", c.s.Addr)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		c.t.Fatal(err)
	}
	return conn, bufio.NewReader(conn)
}

// What came before a cut is kept, and never more than that.
func TestACutBodyKeepsItsBytes(t *testing.T) {
	t.Parallel()
	c := open(t, livetest.Options{})
	for _, how := range []struct{ name, head, body string }{
		{"a length", "Content-Length: 1000\r\n\r\n", strings.Repeat("x", 300)},
		{"chunks", "Transfer-Encoding: chunked\r\n\r\n", "12c\r\n" + strings.Repeat("x", 300) + "\r\n"},
		{"a chunk cut short", "Transfer-Encoding: chunked\r\n\r\n", "3e8\r\n" + strings.Repeat("x", 300)},
	} {
		_, u := c.start(1000)
		conn, _ := c.dial()
		fmt.Fprintf(conn, "PATCH %s HTTP/1.1\r\nHost: x\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\nContent-Type: %s\r\n%s%s", u, chunkType, how.head, how.body)
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
		var a answer
		livetest.Until(t, 10*time.Second, "the bytes before the cut, with "+how.name, func() bool {
			a = c.want(200, http.MethodHead, u, "", "Tus-Resumable", "1.0.0")
			return a.get("Upload-Offset") == "300"
		})
		c.want(204, http.MethodPatch, u, strings.Repeat("x", 700), "Tus-Resumable", "1.0.0", "Content-Type", chunkType, "Upload-Offset", "300")
	}
}

// A client that asks before it sends (RFC 9110, section 10.1.1) is told of a refusal without a 100, and of a go-ahead with one.
func TestExpectContinue(t *testing.T) {
	t.Parallel()
	c := open(t, livetest.Options{})
	_, u := c.start(5)
	ask := func(offset string) (net.Conn, *bufio.Reader) {
		conn, r := c.dial()
		fmt.Fprintf(conn, "PATCH %s HTTP/1.1\r\nHost: x\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: %s\r\nContent-Type: %s\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n", u, offset, chunkType)
		return conn, r
	}
	status := func(r *bufio.Reader) string {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(line)
	}
	if _, r := ask("3"); !strings.HasPrefix(status(r), "HTTP/1.1 409") {
		t.Error("a PATCH at a wrong offset was told to go on")
	}
	conn, r := ask("0")
	if got := status(r); got != "HTTP/1.1 100 Continue" {
		t.Fatalf("a PATCH that is welcome: %s", got)
	}
	if _, err := io.WriteString(conn, "hello"); err != nil {
		t.Fatal(err)
	}
	if blank := status(r); blank != "" {
		t.Errorf("after 100: %q", blank)
	}
	if got := status(r); !strings.HasPrefix(got, "HTTP/1.1 204") {
		t.Errorf("after the body: %s", got)
	}
}

// Metadata come back byte for byte, in order, and bad ones are refused by their name.
func TestMetadataComeBackByteForByte(t *testing.T) {
	t.Parallel()
	c := open(t, livetest.Options{})
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	sent := "zebra " + base64.StdEncoding.EncodeToString(all) + ",flag,name " + base64.StdEncoding.EncodeToString([]byte("a\r\nb\".mp4")) + ",empty "
	a := c.want(201, http.MethodPost, "/files/", "", "Authorization", c.ann, "Tus-Resumable", "1.0.0", "Upload-Defer-Length", "1", "Upload-Metadata", sent)
	for range 2 {
		h := c.want(200, http.MethodHead, a.get("Location"), "", "Tus-Resumable", "1.0.0")
		if got := h.get("Upload-Metadata"); strings.TrimSpace(got) != strings.TrimSpace(sent) {
			t.Errorf("got  %q\nsent %q", got, sent)
		}
		if h.get("Upload-Defer-Length") != "1" || h.header["Upload-Length"] != nil {
			t.Errorf("a deferred length: %v", h.header)
		}
		c.s.Kill()
		c.s.Start()
	}
	for key, value := range map[string]string{
		"mongoProductId": "507F1F77BCF86CD799439011", "mongoLessonId": "x", "videoType": "trailer", "resourceType": "exe", "mediaType": "smell",
		"referenceType": "planet", "isMainImage": "yes please", "position": "-1", "kind": "product-image", "filetype": "not a type",
	} {
		a := c.want(400, http.MethodPost, "/files/", "", "Authorization", c.ann, "Tus-Resumable", "1.0.0", "Upload-Length", "5", "Upload-Metadata", metadata(key, value), "Accept", "application/json")
		if p := checkProblem(t, a, 400, "bad_metadata"); len(p.Errors) != 1 || p.Errors[0].Field != key && key != "kind" {
			t.Errorf("%s=%s: %+v", key, value, p)
		}
	}
}
