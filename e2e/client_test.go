package e2e_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"testing"
	"time"

	"sluice/internal/livetest"
)

// client speaks tus 1.0 and the API to one gateway. It may be used from many goroutines; it never fails a test itself.
type client struct {
	base  string
	token string
	http  *http.Client
}

func newClient(t testing.TB, s *livetest.Server, subject, role string) *client {
	t.Helper()
	tr := &http.Transport{MaxIdleConnsPerHost: 300, DisableCompression: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &client{
		base: s.URL, token: s.Token(subject, role, time.Hour),
		// A redirect's target is checked by the tests that expect one.
		http: &http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}
}

// upload is one upload as its client knows it.
type upload struct {
	url  string // absolute
	id   string
	size int64
}

// answer is a response read to its end.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) offset() int64 {
	n, err := strconv.ParseInt(a.header.Get("Upload-Offset"), 10, 64)
	if err != nil {
		return -1
	}
	return n
}

func (a answer) String() string { return fmt.Sprintf("%d %v %.500s", a.status, a.header, a.body) }

// do sends one request. headers come in pairs of name and value.
func (c *client) do(ctx context.Context, method, target string, body io.Reader, n int64, headers ...string) (answer, error) {
	resp, err := c.open(ctx, method, target, body, n, headers...)
	if err != nil {
		return answer{}, err
	}
	text, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, text}, errors.Join(err, resp.Body.Close())
}

// open is do with the body left to the caller.
func (c *client) open(ctx context.Context, method, target string, body io.Reader, n int64, headers ...string) (*http.Response, error) {
	ref, err := url.Parse(target)
	if err != nil {
		return nil, err
	}
	base, err := url.Parse(c.base)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, base.ResolveReference(ref).String(), body)
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.ContentLength = n
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	return c.http.Do(req)
}

func (c *client) auth() []string { return []string{"Authorization", "Bearer " + c.token} }

// create starts an upload of size bytes, with the first n bytes of body in the same request when body is given.
func (c *client) create(ctx context.Context, size int64, meta map[string]string, body io.Reader, n int64) (upload, error) {
	headers := append(c.auth(), "Tus-Resumable", "1.0.0", "Upload-Length", strconv.FormatInt(size, 10))
	if m := metadata(meta); m != "" {
		headers = append(headers, "Upload-Metadata", m)
	}
	if body != nil {
		headers = append(headers, "Content-Type", "application/offset+octet-stream")
	}
	return c.post(ctx, size, body, n, headers)
}

func (c *client) post(ctx context.Context, size int64, body io.Reader, n int64, headers []string) (upload, error) {
	a, err := c.do(ctx, http.MethodPost, "/files/", body, n, headers...)
	if err != nil {
		return upload{}, err
	}
	if a.status != http.StatusCreated {
		return upload{}, &statusError{"create", a}
	}
	at, err := url.Parse(a.header.Get("Location"))
	if err != nil || a.header.Get("Location") == "" {
		return upload{}, fmt.Errorf("create: Location %q", a.header.Get("Location"))
	}
	base, err := url.Parse(c.base + "/files/")
	if err != nil {
		return upload{}, err
	}
	return upload{base.ResolveReference(at).String(), a.header.Get("Sluice-Media-Id"), size}, nil
}

func metadata(meta map[string]string) string {
	var s string
	for k, v := range meta {
		if s != "" {
			s += ","
		}
		s += k + " " + base64.StdEncoding.EncodeToString([]byte(v))
	}
	return s
}

// statusError is an answer other than the one a step needs.
type statusError struct {
	step   string
	answer answer
}

func (e *statusError) Error() string { return e.step + ": " + e.answer.String() }

func (c *client) head(ctx context.Context, u upload) (answer, error) {
	return c.do(ctx, http.MethodHead, u.url, nil, 0, "Tus-Resumable", "1.0.0")
}

// patch sends n bytes from off, with no credentials but the URL.
func (c *client) patch(ctx context.Context, u upload, off int64, body io.Reader, n int64) (answer, error) {
	return c.do(ctx, http.MethodPatch, u.url, body, n, "Tus-Resumable", "1.0.0", "Upload-Offset", strconv.FormatInt(off, 10),
		"Content-Type", "application/offset+octet-stream")
}

var errGone = errors.New("the upload is gone")

// finish goes on with an upload by the rules of tus clients until the gateway says it has all: HEAD, then PATCH from there, again
// after errors, 423 and 5xx.
func (c *client) finish(ctx context.Context, u upload, src source, chunk int64) error {
	var last error
	if livetest.Poll(ctx, 30*time.Second, func() bool {
		var done bool
		done, last = c.goOn(ctx, u, src, chunk)
		return done || errors.Is(last, errGone)
	}) {
		return last
	}
	return fmt.Errorf("not finished: %w", cmp.Or(last, context.Cause(ctx), context.DeadlineExceeded))
}

func (c *client) goOn(ctx context.Context, u upload, src source, chunk int64) (done bool, err error) {
	a, err := c.head(ctx, u)
	switch {
	case err != nil:
		return false, err
	case a.status == http.StatusNotFound || a.status == http.StatusGone:
		return false, errGone
	case a.status != http.StatusOK:
		return false, &statusError{"head", a}
	}
	for off := a.offset(); off < u.size; {
		n := min(chunk, u.size-off)
		a, err := c.patch(ctx, u, off, io.NewSectionReader(src, off, n), n)
		if err != nil {
			return false, err
		}
		if a.status != http.StatusNoContent || a.offset() != off+n {
			return false, &statusError{"patch", a}
		}
		off += n
	}
	return true, nil
}

// send uploads a whole source and answers when it is finished.
func (c *client) send(ctx context.Context, src source, chunk int64, meta map[string]string) (upload, error) {
	u, err := c.create(ctx, src.size, meta, nil, 0)
	if err != nil {
		return u, err
	}
	return u, c.finish(ctx, u, src, chunk)
}

// media is what the API says of one asset, as far as these tests look.
type media struct {
	ID             string    `json:"id"`
	State          string    `json:"state"`
	Filename       string    `json:"filename"`
	FileSize       int64     `json:"fileSize"`
	SHA256         string    `json:"sha256"`
	AccessCount    int64     `json:"accessCount"`
	LastAccessedAt time.Time `json:"lastAccessedAt"`
}

// call sends a JSON request to the API, with want as its status, and reads the answer into out when that is not nil.
func (c *client) call(ctx context.Context, method, path string, in, out any, want int, headers ...string) error {
	var body io.Reader
	var n int64
	headers = append(c.auth(), headers...)
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body, n = bytes.NewReader(text), int64(len(text))
		headers = append(headers, "Content-Type", "application/json")
	}
	a, err := c.do(ctx, method, path, body, n, headers...)
	if err != nil {
		return err
	}
	if a.status != want {
		return &statusError{method + " " + path, a}
	}
	if out == nil {
		return nil
	}
	return decode(a, out)
}

func decode(a answer, out any) error {
	if err := json.Unmarshal(a.body, out); err != nil {
		return fmt.Errorf("%w in %s", err, a.body)
	}
	return nil
}

func (c *client) media(ctx context.Context, id string) (media, error) {
	var m media
	return m, c.call(ctx, http.MethodGet, "/api/media/"+id, nil, &m, http.StatusOK)
}

// list reads every media of the caller, page by page.
func (c *client) list(ctx context.Context) ([]media, error) {
	var all []media
	for cursor := ""; ; {
		var page struct {
			Items      []media
			NextCursor string
		}
		if err := c.call(ctx, http.MethodGet, "/api/media?limit=100&cursor="+url.QueryEscape(cursor), nil, &page, http.StatusOK); err != nil {
			return nil, err
		}
		all = append(all, page.Items...)
		if cursor = page.NextCursor; cursor == "" {
			return all, nil
		}
	}
}

// link asks for a signed URL.
func (c *client) link(ctx context.Context, id, viewer string) (string, error) {
	var l struct{ URL string }
	in := map[string]any{"expiresIn": 3600, "use": "play"}
	if viewer != "" {
		in["viewer"] = viewer
	}
	return l.URL, c.call(ctx, http.MethodPost, "/api/media/"+id+"/links", in, &l, http.StatusCreated)
}

// content reads what is stored, as its owner, and compares it with the source.
func (c *client) content(ctx context.Context, id string, src source) error {
	resp, err := c.open(ctx, http.MethodGet, "/api/media/"+id+"/content", nil, 0, c.auth()...)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("content of %s: %s", id, resp.Status)
	}
	return src.equal(resp.Body, 0, src.size)
}

// settled waits until the gateway has computed the hash, and compares it and the bytes with the source.
func (c *client) settled(ctx context.Context, id string, src source) error {
	var m media
	var err error
	if !livetest.Poll(ctx, 30*time.Second, func() bool {
		m, err = c.media(ctx, id)
		return err == nil && m.State == "ready"
	}) {
		return fmt.Errorf("media %s is %q, not ready: %w", id, m.State, err)
	}
	if m.FileSize != src.size {
		return fmt.Errorf("media %s: fileSize = %d, want %d", id, m.FileSize, src.size)
	}
	if want := src.sha256(); m.SHA256 != want {
		return fmt.Errorf("media %s: sha256 = %q, want %s", id, m.SHA256, want)
	}
	return c.content(ctx, id, src)
}

// viewed waits until an asset's accessCount is n, which it reaches from below, and stays there.
func (c *client) viewed(ctx context.Context, id string, n int64) error {
	var m media
	var err error
	livetest.Poll(ctx, 20*time.Second, func() bool {
		m, err = c.media(ctx, id)
		return err == nil && m.AccessCount >= n
	})
	if err != nil {
		return err
	}
	if m.AccessCount != n {
		return fmt.Errorf("accessCount of %s = %d, want %d", id, m.AccessCount, n)
	}
	if n > 0 && m.LastAccessedAt.IsZero() {
		return fmt.Errorf("%s was viewed %d times, and lastAccessedAt is empty", id, n)
	}
	return nil
}
