package storagetest

import (
	"context"
	"crypto/hmac"
	"crypto/md5" //nolint:gosec // a tag as S3 makes it, no secret
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/media"
	"sluice/storage"
)

// Remote is a backend at the far end of a network: the objects of another Driver behind an HTTP server of its own. It has no files, reads
// over HTTP, signs URLs, and goes wrong in the ways it is told to. As with S3, a signed URL is for GET alone (the method is part of the
// signature), for one object, and for one set of answer headers.
type Remote struct {
	storage.Driver // keeps the objects

	URL   string // scheme and host
	Clock func() time.Time

	client *http.Client
	secret []byte
	busy   atomic.Int64
	open   atomic.Int64

	mu      sync.Mutex
	asked   []Asked
	visits  int
	trouble func(o Asked) Fault
	unable  error // to sign
	tags    map[string]string
}

var (
	_ storage.Driver    = (*Remote)(nil)
	_ storage.Presigner = (*Remote)(nil)
)

// Asked is one Read.
type Asked struct {
	Key    string
	Off, N int64
}

// Fault is what goes wrong with the answer to one Read. The zero value is nothing.
type Fault struct {
	Status int   // is answered, and no byte
	After  int64 // bytes of the body that come first
	Cut    bool  // then the connection breaks
	Stall  bool  // then nothing comes any more, or not before Until is closed
	Until  <-chan struct{}
}

// NewRemote puts the objects of d at the far end, until the test ends.
func NewRemote(t testing.TB, d storage.Driver) *Remote {
	t.Helper()
	r := &Remote{Driver: d, Clock: time.Now, secret: []byte("the secret key of a far backend"), tags: map[string]string{}}
	server := httptest.NewServer(r)
	transport := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 256}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		server.CloseClientConnections() // what still stalls
		server.Close()
	})
	r.URL, r.client = server.URL, &http.Client{Transport: transport}
	return r
}

// Asked gives the reads since it was called last.
func (r *Remote) Asked() []Asked {
	r.mu.Lock()
	defer r.mu.Unlock()
	asked := r.asked
	r.asked = nil
	return asked
}

// Visits gives how many requests by signed URLs have come, the refused ones too.
func (r *Remote) Visits() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.visits
}

// Busy tells how many answers are on their way; a stalled one counts until its reader has gone.
func (r *Remote) Busy() int { return int(r.busy.Load()) }

// Open tells how many reads have not been closed.
func (r *Remote) Open() int { return int(r.open.Load()) }

// Trouble has each Read ask what is to go wrong with it; nil is nothing.
func (r *Remote) Trouble(f func(Asked) Fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.trouble = f
}

// Refuse makes Presign fail; nil ends it.
func (r *Remote) Refuse(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unable = err
}

func (r *Remote) Read(ctx context.Context, o media.Object, off, n int64) (io.ReadCloser, error) {
	x := Asked{o.Key, off, n}
	r.mu.Lock()
	r.asked = append(r.asked, x)
	r.mu.Unlock()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.URL+"/"+o.Key, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", string(r.secret))
	req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", off, off+n-1))
	resp, err := r.client.Do(req)
	if err != nil {
		return nil, media.Wrap(media.Unavailable, err, "the far backend is away")
	}
	switch resp.StatusCode {
	case http.StatusPartialContent:
		r.open.Add(1)
		return &farBody{ReadCloser: resp.Body, r: r}, nil
	case http.StatusNotFound:
		err = errMissing()
	default:
		err = media.Errorf(media.Unavailable, "the far backend answers %d", resp.StatusCode)
	}
	return nil, errors.Join(err, resp.Body.Close())
}

func errMissing() error { return media.Errorf(media.NotFound, "there is no such file") }

// farBody is closed once.
type farBody struct {
	io.ReadCloser
	r    *Remote
	once sync.Once
}

func (b *farBody) Close() error {
	b.once.Do(func() { b.r.open.Add(-1) })
	return b.ReadCloser.Close()
}

// presented are the answer headers that a signed URL sets, by the names S3 has for them.
func presented(p *storage.Presentation) map[string]*string {
	return map[string]*string{
		"response-content-type": &p.ContentType, "response-content-disposition": &p.ContentDisposition, "response-cache-control": &p.CacheControl,
	}
}

func (r *Remote) Presign(_ context.Context, o media.Object, p storage.Presentation, issued time.Time, life time.Duration) (string, error) {
	r.mu.Lock()
	unable := r.unable
	r.mu.Unlock()
	if unable != nil {
		return "", unable
	}
	// What S3 holds its clients to: whole seconds, at most a week.
	if issued.Nanosecond() != 0 || life < time.Second || life%time.Second != 0 || life > 7*24*time.Hour {
		return "", fmt.Errorf("the far backend: %v from %v cannot be signed", life, issued)
	}
	q := url.Values{"issued": {strconv.FormatInt(issued.Unix(), 10)}, "life": {strconv.FormatInt(int64(life/time.Second), 10)}}
	for name, value := range presented(&p) {
		if *value != "" {
			q.Set(name, *value)
		}
	}
	text := "/" + o.Key + "?" + q.Encode()
	return r.URL + text + "&signature=" + r.sign(http.MethodGet, text), nil
}

// sign costs what Signature Version 4 does: a key derived in four steps, and a digest of the request.
func (r *Remote) sign(method, text string) string {
	key := r.secret
	for _, step := range []string{"20261125", "region", "service", "request"} {
		key = mac(key, step)
	}
	digest := sha256.Sum256([]byte(method + "\n" + text))
	return hex.EncodeToString(mac(key, hex.EncodeToString(digest[:])))
}

func mac(key []byte, text string) []byte {
	m := hmac.New(sha256.New, key)
	_, _ = m.Write([]byte(text)) // never fails
	return m.Sum(nil)
}

// ServeHTTP is the far end.
func (r *Remote) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.busy.Add(1)
	defer r.busy.Add(-1)
	w.Header().Set("Access-Control-Allow-Origin", "*")
	key := strings.TrimPrefix(req.URL.Path, "/")
	var f Fault
	if req.Header.Get("Authorization") == string(r.secret) {
		f = r.faultOf(req, key)
	} else if status := r.admit(w, req); status != 0 {
		http.Error(w, "<Error>refused</Error>", status)
		return
	}
	if f.Status != 0 {
		http.Error(w, "<Error>broken</Error>", f.Status)
		return
	}
	o, err := r.Stat(req.Context(), key)
	if err != nil {
		http.Error(w, "<Error>NoSuchKey</Error>", http.StatusNotFound)
		return
	}
	w.Header().Set("ETag", r.tag(req.Context(), o))
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "binary/octet-stream")
	}
	if f.Cut || f.Stall {
		w = &failing{ResponseWriter: w, ctx: req.Context(), f: f}
	}
	http.ServeContent(w, req, "", o.ModTime, &seeker{ctx: req.Context(), d: r.Driver, o: o})
}

func (r *Remote) faultOf(req *http.Request, key string) (f Fault) {
	x := Asked{Key: key}
	_, _ = fmt.Sscanf(req.Header.Get("Range"), "bytes=%d-%d", &x.Off, &x.N) // our own
	x.N -= x.Off - 1
	r.mu.Lock()
	trouble := r.trouble
	r.mu.Unlock()
	if trouble != nil {
		f = trouble(x)
	}
	return f
}

// admit checks a signed URL, sets what it presents, and gives the status of a refusal.
func (r *Remote) admit(w http.ResponseWriter, req *http.Request) int {
	r.mu.Lock()
	r.visits++
	r.mu.Unlock()
	if req.Header.Get("Authorization") != "" {
		return http.StatusBadRequest // S3: only one auth mechanism allowed
	}
	query, signature, _ := strings.Cut(req.URL.RawQuery, "&signature=")
	if !hmac.Equal([]byte(signature), []byte(r.sign(req.Method, req.URL.EscapedPath()+"?"+query))) {
		return http.StatusForbidden
	}
	q := req.URL.Query()
	issued, _ := strconv.ParseInt(q.Get("issued"), 10, 64) // signed: nobody else wrote them
	life, _ := strconv.ParseInt(q.Get("life"), 10, 64)
	if now := r.Clock().Unix(); now < issued || now >= issued+life {
		return http.StatusForbidden
	}
	for name, header := range map[string]string{
		"response-content-type": "Content-Type", "response-content-disposition": "Content-Disposition", "response-cache-control": "Cache-Control",
	} {
		if v := q.Get(name); v != "" {
			w.Header().Set(header, v)
		}
	}
	return 0
}

// tag is another than the gateway's: the backend knows the bytes, not the asset.
func (r *Remote) tag(ctx context.Context, o media.Object) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.tags[o.Key] == "" {
		sum := md5.New() //nolint:gosec // see above
		if o.Size > 0 {
			if body, err := r.Driver.Read(ctx, o, 0, o.Size); err == nil {
				_, _ = io.Copy(sum, body) // of memory
				_ = body.Close()
			}
		}
		r.tags[o.Key] = `"` + hex.EncodeToString(sum.Sum(nil)) + `"`
	}
	return r.tags[o.Key]
}

// failing breaks an answer off.
type failing struct {
	http.ResponseWriter
	ctx  context.Context //nolint:containedctx // one request's
	f    Fault
	sent int64
}

func (w *failing) Write(p []byte) (int, error) {
	if left := w.f.After - w.sent; left >= 0 && int64(len(p)) > left {
		n, _ := w.ResponseWriter.Write(p[:left]) // it breaks anyway
		w.sent += int64(n)
		_ = http.NewResponseController(w.ResponseWriter).Flush()
		if w.f.Stall {
			select {
			case <-w.ctx.Done():
			case <-w.f.Until:
				w.f.After = -1
				more, err := w.ResponseWriter.Write(p[left:])
				return n + more, err
			}
		}
		panic(http.ErrAbortHandler)
	}
	n, err := w.ResponseWriter.Write(p)
	w.sent += int64(n)
	return n, err
}

// seeker is an object as http.ServeContent wants it.
type seeker struct {
	ctx context.Context //nolint:containedctx // one request's
	d   storage.Driver
	o   media.Object
	at  int64
	r   io.ReadCloser
}

func (s *seeker) Seek(off int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		off += s.at
	case io.SeekEnd:
		off += s.o.Size
	}
	s.at, s.r = off, nil // memory holds nothing that must be closed
	return off, nil
}

func (s *seeker) Read(p []byte) (int, error) {
	if s.r == nil {
		if s.at >= s.o.Size {
			return 0, io.EOF
		}
		r, err := s.d.Read(s.ctx, s.o, s.at, s.o.Size-s.at)
		if err != nil {
			return 0, err
		}
		s.r = r
	}
	n, err := s.r.Read(p)
	s.at += int64(n)
	return n, err
}
