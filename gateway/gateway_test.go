package gateway_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"sluice/analytics"
	"sluice/curation"
	"sluice/gateway"
	"sluice/media"
	"sluice/playback"
	"sluice/uploads"
)

const (
	secret = "a secret for tests of 32 bytes!!"
	apiKey = "key-of-the-lms"
)

var now = time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC)

func clock() time.Time { return now }

// world is a gateway over honest small stand-ins, served over real connections.
type world struct {
	t       *testing.T
	g       *gateway.Gateway
	srv     *httptest.Server
	shelf   *shelf
	counter *counter
	denied  *playback.Denylist
	log     *lockedBuffer
}

func setup(t *testing.T, change func(*gateway.Options)) *world {
	t.Helper()
	return setupWith(t, change, nil)
}

func setupWith(t *testing.T, change func(*gateway.Options), answers gateway.Answers) *world {
	t.Helper()
	return setupOver(t, change, func(n *gateway.Needs) { n.Answers = answers })
}

// setupOver lets need put something else in the place of a stand-in.
func setupOver(t *testing.T, change func(*gateway.Options), need func(*gateway.Needs)) *world {
	t.Helper()
	w := &world{t: t, shelf: newShelf(), log: &lockedBuffer{}}
	w.counter = &counter{shelf: w.shelf}
	logger := slog.New(slog.NewJSONHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	auth, err := gateway.NewAuthenticator(gateway.AuthOptions{
		Secret: []byte(secret), Now: clock, Logger: logger,
		APIKeys: []gateway.APIKey{{Name: "lms", SHA256: sha256.Sum256([]byte(apiKey)), Roles: []media.Role{media.Admin}}},
		OpenGrant: func(s string) (media.UploadGrant, error) {
			if s == "grant-1" {
				return media.UploadGrant{ID: "g1", Owner: "ida"}, nil
			}
			return media.UploadGrant{}, media.Forbidden
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	problems := gateway.NewProblems(logger)
	w.denied = playback.NewDenylist(&denials{}, playback.DenylistOptions{Now: clock, Signer: signer(2)})
	o := gateway.Options{Now: clock, Logger: logger}
	if change != nil {
		change(&o)
	}
	n := gateway.Needs{
		Media: curation.New(w.shelf, noBytes{}, curation.Options{Now: clock, Memory: &memory{shelf: w.shelf, rows: map[media.AssetID]media.Asset{}}}),
		Links: playback.NewLinks(w.shelf, tickets{}, playback.LinkOptions{Now: clock, Denied: w.denied}), Revocations: w.denied,
		Counter: w.counter, Reports: analytics.NewReports(counts{}, w.shelf, w.counter, analytics.ReportOptions{Now: clock}), Grants: grants{},
		Uploads:  bareHandler("uploads"),
		Playback: bareHandler("playback"), Auth: auth, Problems: problems,
	}
	need(&n)
	w.g, err = gateway.New(n, o)
	if err != nil {
		t.Fatal(err)
	}
	w.srv = httptest.NewUnstartedServer(nil)
	w.srv.Listener = gateway.Watch(w.srv.Listener)
	w.srv.Config = w.g.NewServer()
	w.srv.Start()
	t.Cleanup(w.srv.Close)
	return w
}

// do sends one request; head lines are "Name: value".
func (w *world) do(method, path, body string, head ...string) (*http.Response, string) {
	w.t.Helper()
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.srv.URL+path, r)
	if err != nil {
		w.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, h := range head {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, Transport: w.srv.Client().Transport}
	resp, err := client.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp, string(b)
}

// as gives an Authorization line for a subject and role.
func as(subject, role string) string {
	return "Authorization: Bearer " + token(jwt.MapClaims{"sub": subject, "role": role, "exp": now.Add(time.Hour).Unix()})
}

func token(c jwt.MapClaims) string {
	s, err := jwt.NewWithClaims(jwt.SigningMethodHS256, c).SignedString([]byte(secret))
	if err != nil {
		panic(err)
	}
	return s
}

// idOf makes a fixed id.
func idOf(n byte) media.AssetID {
	return media.AssetID{0x01, 0x9c, 0, 0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, n}
}

// shelf keeps rows in memory by the contract of curation.Shelf.
type shelf struct {
	mu   sync.Mutex
	rows map[media.AssetID]media.Asset
	err  error // of every call
	made byte
}

func newShelf() *shelf { return &shelf{rows: map[media.AssetID]media.Asset{}} }

func (s *shelf) put(a media.Asset) media.Asset {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a.Version == 0 {
		a.Version = 1
	}
	if a.State == "" {
		a.State = media.Ready
	}
	if a.MIMEType == "" {
		a.MIMEType, a.Type, a.StorageType, a.Backend, a.Key = "video/mp4", media.Video, media.Local, "main", "k"
		a.Size, a.Filename = 1000, "lecture.mp4"
	}
	a.CreatedAt, a.UpdatedAt = now, now
	s.rows[a.ID] = a
	return a
}

func (s *shelf) Asset(_ context.Context, id media.AssetID) (media.Asset, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return media.Asset{}, s.err
	}
	a, ok := s.rows[id]
	if !ok {
		return a, media.Errorf(media.NotFound, "no such media")
	}
	return a, nil
}

func (s *shelf) Counts(ctx context.Context, id media.AssetID) (media.Counts, error) {
	a, err := s.Asset(ctx, id)
	return media.Counts{Version: a.Version, AccessCount: a.AccessCount, BytesServed: a.BytesServed, LastAccessedAt: a.LastAccessedAt}, err
}

func (s *shelf) List(_ context.Context, q media.Query) (media.Listing, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var l media.Listing
	for n := range 255 {
		a, ok := s.rows[idOf(byte(n))]
		if ok && (q.AnyOwner || a.Owner == q.Owner && q.Owner != "" || q.PublicToo && a.Public) && (q.Type == "" || q.Type == a.Type) &&
			(q.UploadedBy == "" || q.UploadedBy == a.Owner) && (q.Public == nil || *q.Public == a.Public) {
			l.Items = append(l.Items, a)
		}
	}
	return l, nil
}

func (s *shelf) Add(_ context.Context, a media.Asset) (media.Asset, error) {
	s.made++
	a.ID = idOf(200 + s.made)
	return s.put(a), nil
}

func (s *shelf) edit(id media.AssetID, version int64, f func(*media.Asset)) (media.Asset, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := s.rows[id]
	if !ok {
		return a, media.NotFound
	}
	if version != 0 && a.Version != version {
		return a, media.PreconditionFailed
	}
	f(&a)
	a.Version++
	s.rows[id] = a
	return a, nil
}

func (s *shelf) Change(_ context.Context, id media.AssetID, version int64, c media.Change) (media.Asset, error) {
	return s.edit(id, version, func(a *media.Asset) {
		if c.Title != nil {
			a.Title = *c.Title
		}
		if c.Filename != nil {
			a.Filename = *c.Filename
		}
		if c.Public != nil {
			a.Public = *c.Public
		}
		if c.Placement != nil {
			a.Placement = *c.Placement
		}
	})
}

func (s *shelf) Revoke(_ context.Context, id media.AssetID) (media.Asset, error) {
	return s.edit(id, 0, func(a *media.Asset) { a.Epoch++ })
}

func (s *shelf) Doom(_ context.Context, id media.AssetID, version int64) error {
	_, err := s.edit(id, version, func(*media.Asset) {})
	if err == nil {
		s.mu.Lock()
		delete(s.rows, id)
		s.mu.Unlock()
	}
	return err
}

func (s *shelf) Forget(context.Context, media.AssetID) error { return nil }

// memory remembers each row that was read once, for ever: nothing is told of changes.
type memory struct {
	shelf *shelf
	mu    sync.Mutex
	rows  map[media.AssetID]media.Asset
}

func (m *memory) Lookup(ctx context.Context, id media.AssetID) (media.Asset, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if a, ok := m.rows[id]; ok {
		return a, true, nil
	}
	a, err := m.shelf.Asset(ctx, id)
	if err == nil {
		m.rows[id] = a
	}
	return a, false, err
}

type noBytes struct{}

func (noBytes) Delete(context.Context, string, string) error { return nil }

// counter settles what it was told when it is flushed, not before.
type counter struct {
	shelf   *shelf
	mu      sync.Mutex
	waiting []media.Access
}

func (c *counter) Record(a media.Access) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = append(c.waiting, a)
}

func (c *counter) Flush(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shelf.mu.Lock()
	defer c.shelf.mu.Unlock()
	for _, a := range c.waiting {
		if row, ok := c.shelf.rows[a.Asset]; ok {
			row.AccessCount++
			row.LastAccessedAt = a.At
			c.shelf.rows[a.Asset] = row
		}
	}
	c.waiting = nil
	return nil
}

func (c *counter) CountedUntil() time.Time { return now }

type tickets struct{}

func (tickets) Sign(t media.Ticket) string {
	return fmt.Sprintf("ticket-%d-%d", t.Use, t.Expires.Unix())
}

func (tickets) Verify(string, media.AssetID, uint32) (media.Ticket, error) {
	return media.Ticket{}, media.Forbidden
}

type grants struct{}

func (grants) Open(_ context.Context, p media.Principal) ([]uploads.OpenUpload, error) {
	size := int64(10)
	return []uploads.OpenUpload{{MediaID: idOf(9), UploadURL: "/files/cap", Filename: "a of " + p.Subject, Size: &size, Offset: 4, CreatedAt: now, ExpiresAt: now}}, nil
}

func (grants) Grant(_ context.Context, p media.Principal, g media.UploadGrant, ttl time.Duration) (string, time.Time, error) {
	if !p.Staff() {
		return "", time.Time{}, media.Errorf(media.Forbidden, "only staff mint upload grants")
	}
	return fmt.Sprintf("grant for %s of %d", g.Owner, g.MaxSize), now.Add(ttl), nil
}

// bareHandler tells that it was reached, and whether sendfile still can be.
type bareHandler string

func (b bareHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case strings.HasSuffix(r.URL.Path, "/panic"):
		panic(errors.New("on purpose"))
	case strings.HasSuffix(r.URL.Path, "/deadline"):
		if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Minute)); err != nil {
			http.Error(w, "no deadline", http.StatusInternalServerError)
			return
		}
	}
	_, from := w.(io.ReaderFrom)
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, "read", http.StatusBadRequest)
		return
	}
	_, _ = fmt.Fprintf(w, "%s bare=%v body=%d", string(b), from, len(body))
}

func (b bareHandler) Content(w http.ResponseWriter, r *http.Request, a media.Asset, viewer string) {
	_, from := w.(io.ReaderFrom)
	_, _ = fmt.Fprintf(w, "content bare=%v own=%v %s", from, viewer == a.Owner, a.Filename)
	_ = r
}

type lockedBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func hashOf(s string) string {
	sum := sha256.Sum256([]byte(s))
	return base64.StdEncoding.EncodeToString(sum[:])
}
