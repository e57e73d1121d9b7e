package conformance_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"sluice/internal/livetest"
)

const (
	chunkType = "application/offset+octet-stream"
	course    = "507f1f77bcf86cd799439011"
	lesson    = "507f1f77bcf86cd799439012"
	product   = "507f1f77bcf86cd799439013"
)

// site is a running gateway and a client that follows no redirect and keeps to what it is told.
type site struct {
	t    testing.TB
	s    *livetest.Server
	http *http.Client
	ann  string // an instructor's Authorization
	root string // an admin's
}

func open(t testing.TB, o livetest.Options) *site {
	t.Helper()
	s := livetest.Sluice(t, o)
	tr := &http.Transport{MaxIdleConnsPerHost: 50, DisableCompression: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &site{
		t: t, s: s,
		http: &http.Client{
			Transport: tr, Timeout: time.Minute,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		ann:  "Bearer " + s.Token("ann", "instructor", time.Hour),
		root: "Bearer " + s.Token("root", "admin", time.Hour),
	}
}

func (c *site) as(subject, role string) string {
	return "Bearer " + c.s.Token(subject, role, time.Hour)
}

// answer is a response read to its end.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) get(name string) string { return a.header.Get(name) }

func (c *site) try(method, target, body string, headers ...string) (answer, error) {
	if strings.HasPrefix(target, "/") {
		target = c.s.URL + target
	}
	req, err := http.NewRequestWithContext(c.t.Context(), method, target, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	text, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(text)}, errors.Join(err, resp.Body.Close())
}

// send makes a request; headers come in pairs of name and value, and a name may come again.
func (c *site) send(method, target, body string, headers ...string) answer {
	c.t.Helper()
	a, err := c.try(method, target, body, headers...)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, target, err)
	}
	return a
}

// want is send with one status that may come.
func (c *site) want(status int, method, target, body string, headers ...string) answer {
	c.t.Helper()
	a := c.send(method, target, body, headers...)
	if a.status != status {
		c.t.Fatalf("%s %s: got %d %.300s, want %d", method, target, a.status, a.body, status)
	}
	return a
}

// call sends JSON with Ann's token and reads JSON.
func (c *site) call(status int, method, target, body string, out any, headers ...string) answer {
	c.t.Helper()
	headers = append([]string{"Authorization", c.ann}, headers...)
	if body != "" {
		headers = append(headers, "Content-Type", "application/json")
	}
	a := c.want(status, method, target, body, headers...)
	if out != nil {
		if err := json.Unmarshal([]byte(a.body), out); err != nil {
			c.t.Fatalf("%s %s: %v in %.300s", method, target, err, a.body)
		}
	}
	return a
}

// put uploads a file in one request and gives its id and its upload's URL. meta comes in pairs.
func (c *site) put(body string, meta ...string) (id, location string) {
	c.t.Helper()
	a := c.want(http.StatusCreated, http.MethodPost, "/files/", body, "Authorization", c.ann, "Tus-Resumable", "1.0.0",
		"Upload-Length", strconv.Itoa(len(body)), "Content-Type", chunkType, "Upload-Metadata", metadata(meta...))
	return a.get("Sluice-Media-Id"), a.get("Location")
}

// start creates an upload of n bytes and sends none of them.
func (c *site) start(n int, meta ...string) (id, location string) {
	c.t.Helper()
	a := c.want(http.StatusCreated, http.MethodPost, "/files/", "", "Authorization", c.ann, "Tus-Resumable", "1.0.0",
		"Upload-Length", strconv.Itoa(n), "Upload-Metadata", metadata(meta...))
	return a.get("Sluice-Media-Id"), a.get("Location")
}

func metadata(pairs ...string) string {
	if len(pairs) == 0 {
		pairs = []string{"filename", "a.bin"}
	}
	var parts []string
	for i := 0; i+1 < len(pairs); i += 2 {
		parts = append(parts, pairs[i]+" "+base64.StdEncoding.EncodeToString([]byte(pairs[i+1])))
	}
	return strings.Join(parts, ",")
}

// link signs a playback URL for a viewer.
func (c *site) link(id, viewer string) string {
	c.t.Helper()
	var l struct{ URL string }
	c.call(http.StatusCreated, http.MethodPost, "/api/media/"+id+"/links", `{"viewer":"`+viewer+`"}`, &l)
	return l.URL
}
