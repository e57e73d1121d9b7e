package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"

	"sluice/media"
)

const (
	maxJWKS      = 1 << 20
	jwksFresh    = 15 * time.Minute // how often the set is read again
	jwksAgain    = 10 * time.Second // after a failure, and at most this often for a key id not seen yet
	jwksDeadline = 5 * time.Second
)

// keySet holds the keys of a JWKS URL. A set once read is used until a newer one is there: when the URL is down, tokens of known keys go
// on working.
type keySet struct {
	url    string
	client *http.Client
	now    func() time.Time
	logger *slog.Logger

	keys  atomic.Pointer[keyfunc.Keyfunc]
	fetch sync.Mutex // held while the set is read
	tried time.Time  // guarded by fetch
}

func newKeySet(o AuthOptions) (*keySet, error) {
	u, err := url.Parse(o.JWKSURL)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return nil, errors.New("gateway: the JWKS URL is not an absolute http or https URL")
	}
	c := o.Client
	if c == nil {
		c = &http.Client{Timeout: jwksDeadline}
	}
	return &keySet{url: o.JWKSURL, client: c, now: o.Now, logger: o.Logger}, nil
}

func (s *keySet) run(ctx context.Context) error {
	for {
		wait := jwksFresh
		if err := s.refresh(ctx, 0); err != nil {
			if ctx.Err() != nil {
				return nil //nolint:nilerr // told to stop
			}
			s.logger.WarnContext(ctx, "reading the JWKS", "error", err)
			wait = jwksAgain
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return nil
		case <-t.C:
		}
	}
}

// key finds the key a token names. A key id that is not there may be new, so the set is read again, seldom enough that forged ids cost
// nothing.
func (s *keySet) key(ctx context.Context, t *jwt.Token) (any, error) {
	if ks := s.keys.Load(); ks != nil {
		if k, err := (*ks).KeyfuncCtx(ctx)(t); err == nil {
			return k, nil
		}
	}
	if err := s.refresh(ctx, jwksAgain); err != nil {
		s.logger.WarnContext(ctx, "reading the JWKS", "error", err)
	}
	ks := s.keys.Load()
	if ks == nil {
		return nil, fmt.Errorf("no JWKS yet: %w", media.Unavailable)
	}
	return (*ks).KeyfuncCtx(ctx)(t)
}

// refresh reads the set, unless somebody did so within the last while.
func (s *keySet) refresh(ctx context.Context, within time.Duration) error {
	s.fetch.Lock()
	defer s.fetch.Unlock()
	now := s.now()
	if within > 0 && !s.tried.IsZero() && now.Sub(s.tried) < within {
		return nil
	}
	s.tried = now
	// The first client to need a key must not, by hanging up, take it from the others.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), jwksDeadline)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, http.NoBody)
	if err != nil {
		return fmt.Errorf("jwks: %w", err)
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	resp, err := s.client.Do(req)
	if err != nil {
		return fmt.Errorf("jwks: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxJWKS))
	if err != nil {
		return fmt.Errorf("jwks: read: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("jwks: answered %d", resp.StatusCode)
	}
	ks, err := keyfunc.NewJWKSetJSON(json.RawMessage(raw))
	if err != nil {
		return fmt.Errorf("jwks: %w", err)
	}
	s.keys.Store(&ks)
	return nil
}
