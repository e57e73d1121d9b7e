package playback_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"sluice/media"
	"sluice/playback"
	"sluice/signing"
	"sluice/storage"
	"sluice/storage/local"
	"sluice/storage/memory"
	"sluice/storage/storagetest"
)

// shelf is playback.Assets in a map.
type shelf struct {
	mu     sync.Mutex
	assets map[media.AssetID]media.Asset
	err    error
}

func (s *shelf) Asset(_ context.Context, id media.AssetID) (media.Asset, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return media.Asset{}, s.err
	}
	a, ok := s.assets[id]
	if !ok {
		return media.Asset{}, media.Errorf(media.NotFound, "no such media")
	}
	return a, nil
}

func (s *shelf) put(a media.Asset) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.assets[a.ID] = a
}

func (s *shelf) drop(id media.AssetID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.assets, id)
}

// tally is playback.Accesses in a slice.
type tally struct {
	mu   sync.Mutex
	seen []media.Access
}

func (t *tally) Record(a media.Access) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.seen = append(t.seen, a)
}

func (t *tally) take() []media.Access {
	t.mu.Lock()
	defer t.mu.Unlock()
	seen := t.seen
	t.seen = nil
	return seen
}

// misleading signs whatever it is told.
type misleading struct {
	storage.Driver
	url func() string
}

func (m misleading) Presign(context.Context, media.Object, storage.Presentation, time.Time, time.Duration) (string, error) {
	return m.url(), nil
}

// safeBuffer is a log that many write.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// house is a whole playback with a server before it.
type house struct {
	tb      testing.TB
	shelf   *shelf
	tally   *tally
	store   *storage.Store
	ring    *signing.Ring
	handler *playback.Handler
	links   *playback.Links
	server  *httptest.Server
	far     *storagetest.Remote // the backend, if choices say so
}

type choices struct {
	playback.Options
	streamed bool             // the backend keeps no files
	delivery storage.Delivery // by a backend at the far end of a network; "" is one nearby
	ttl      time.Duration    // of its URLs
	signed   func() string    // what it signs in place of an honest URL
	rights   media.Rights     // of Links
	listener func(net.Listener) net.Listener
}

func open(tb testing.TB, c choices) *house {
	tb.Helper()
	ring, err := signing.New([]signing.Key{{ID: 1, Secret: bytes.Repeat([]byte("k"), 32), Use: signing.Sign}}, signing.Options{Now: c.Now})
	must(tb, err)
	return openRing(tb, c, ring)
}

func openRing(tb testing.TB, c choices, ring *signing.Ring) *house {
	tb.Helper()
	h := &house{tb: tb, shelf: &shelf{assets: map[media.AssetID]media.Asset{}}, tally: &tally{}}
	var driver storage.Driver = memory.New()
	if c.delivery != "" {
		h.far = storagetest.NewRemote(tb, driver)
		if driver = h.far; c.Now != nil {
			h.far.Clock = c.Now
		}
	} else if !c.streamed {
		files, err := local.Open(tb.TempDir(), local.Options{MinFree: -1})
		must(tb, err)
		tb.Cleanup(func() { must(tb, files.Close()) })
		driver = files
	}
	if c.signed != nil {
		driver = misleading{driver, c.signed}
	}
	var err error
	h.store, err = storage.New([]storage.Backend{{Name: "main", Type: media.Local, Driver: driver, Delivery: c.delivery, RedirectTTL: c.ttl}})
	must(tb, err)
	h.ring = ring
	h.handler, err = playback.New(h.shelf, h.store, h.ring, h.tally, c.Options)
	must(tb, err)
	h.links = playback.NewLinks(h.shelf, h.ring, playback.LinkOptions{Now: c.Now, Denied: c.Denied, Rights: c.rights})
	mux := http.NewServeMux()
	for _, prefix := range []string{"/p/", "/m/", "/play/"} {
		mux.Handle(prefix, h.handler)
	}
	h.server = httptest.NewUnstartedServer(mux)
	h.server.Config.ConnContext = playback.ConnContext
	if c.listener != nil {
		h.server.Listener = c.listener(h.server.Listener)
	}
	h.server.Start()
	tb.Cleanup(h.server.Close)
	return h
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// add keeps content as a stored video of "ann", changed as change says.
func (h *house) add(content []byte, change func(*media.Asset)) media.Asset {
	h.tb.Helper()
	sum := sha256.Sum256(content)
	stored := time.Now().Add(-time.Hour)
	id := media.NewAssetID(stored)
	a := media.Asset{
		ID: id, State: media.Ready, Owner: "ann", Version: 1, Filename: "lecture.mp4", MIMEType: "video/mp4", Type: media.Video,
		Size: int64(len(content)), SHA256: sum[:], StorageType: media.Local, Backend: "main", Key: storage.KeyFor(id), StoredAt: stored, CreatedAt: stored,
	}
	w, err := h.store.Begin(h.tb.Context(), a.Backend, a.Key, a.Size)
	must(h.tb, err)
	if a.Size > 0 {
		_, err = w.Append(h.tb.Context(), 0, bytes.NewReader(content))
		must(h.tb, err)
	}
	_, err = w.Commit(h.tb.Context())
	must(h.tb, err)
	must(h.tb, w.Close())
	if change != nil {
		change(&a)
	}
	h.shelf.put(a)
	return a
}

// ticket signs a URL for an hour.
func (h *house) ticket(a media.Asset, change func(*media.Ticket)) string {
	t := media.Ticket{Asset: a.ID, Epoch: a.Epoch, Use: media.Play, Expires: time.Now().Add(time.Hour), Session: media.SessionOf("bob")}
	if change != nil {
		change(&t)
	}
	return h.server.URL + "/p/" + h.ring.Sign(t) + "/" + a.ID.String() + "/original.mp4"
}

func (h *house) public(a media.Asset) string {
	return h.server.URL + "/m/" + a.ID.String() + "/original.mp4"
}

type answer struct {
	status int
	header http.Header
	body   []byte
	err    error // of reading the body
}

// do sends one request; header is "Name", "value" and so on.
func (h *house) do(method, url string, header ...string) answer {
	h.tb.Helper()
	req, err := http.NewRequestWithContext(h.tb.Context(), method, url, nil)
	must(h.tb, err)
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	resp, err := h.server.Client().Transport.RoundTrip(req)
	must(h.tb, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, body, err}
}

// noise is n bytes that differ everywhere.
func noise(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(n)})
	_, _ = r.Read(b) // never fails
	return b
}

func public(a *media.Asset) { a.Public = true }
