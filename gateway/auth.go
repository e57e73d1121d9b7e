package gateway

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"sluice/media"
)

// MinSecret is how many bytes an HS256 secret has at least: as many as its hash (RFC 7518 section 3.2).
const MinSecret = 32

// keySubject begins the subject of every API key, and of nobody else: a login that could take such a name would own what the key uploaded.
const keySubject = "key:"

// APIKey is a key of a machine, such as the LMS's own server.
type APIKey struct {
	Name   string // its subject is "key:" and the name
	SHA256 [32]byte
	Roles  []media.Role
}

// AuthOptions say what opens the door. With none of them set everybody is anonymous.
type AuthOptions struct {
	Secret      []byte // of HS256 tokens; nil: none are taken
	ShortSecret bool   // allow a Secret under MinSecret bytes; for development only
	JWKSURL     string // keys of RS256, ES256 and EdDSA tokens; "": none are taken
	Issuer      string // the iss that tokens must carry; "": any
	Audience    string // the aud that tokens must carry; "": any but those of play grants
	APIKeys     []APIKey
	OpenGrant   func(string) (media.UploadGrant, error) // upload grants as bearer tokens; nil: none are taken
	Client      *http.Client                            // fetches the JWKS; nil: one with a timeout of 5 s
	Now         func() time.Time
	Logger      *slog.Logger
}

// Authenticator learns who asks.
type Authenticator struct {
	o    AuthOptions
	jwks *keySet
}

// NewAuthenticator makes an Authenticator. A weak secret is an error.
func NewAuthenticator(o AuthOptions) (*Authenticator, error) {
	if len(o.Secret) > 0 && len(o.Secret) < MinSecret && !o.ShortSecret {
		return nil, fmt.Errorf("gateway: the JWT secret has %d bytes, at least %d are needed", len(o.Secret), MinSecret)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	for _, k := range o.APIKeys {
		if k.Name == "" || k.SHA256 == ([32]byte{}) {
			return nil, errors.New("gateway: an API key needs a name and a hash")
		}
	}
	a := &Authenticator{o: o}
	if o.JWKSURL != "" {
		ks, err := newKeySet(o)
		if err != nil {
			return nil, err
		}
		a.jwks = ks
	}
	return a, nil
}

// Run keeps the JWKS fresh until ctx ends. Without a JWKS it just waits.
func (a *Authenticator) Run(ctx context.Context) error {
	if a.jwks == nil {
		<-ctx.Done()
		return nil
	}
	return a.jwks.run(ctx)
}

// Principal tells who asks: nobody when no credentials come, media.Unauthenticated when they are not good, media.Unavailable when that
// cannot be known now.
func (a *Authenticator) Principal(r *http.Request) (media.Principal, error) {
	auths, keys := r.Header["Authorization"], r.Header["X-Api-Key"]
	if len(auths) == 0 && len(keys) == 0 {
		return media.Principal{}, nil
	}
	if len(auths)+len(keys) > 1 {
		return media.Principal{}, badCredentials("one credential at a time", nil)
	}
	if len(keys) == 1 {
		if p, ok := a.apiKey(keys[0]); ok {
			return p, nil
		}
		return media.Principal{}, badCredentials("no such API key", nil)
	}
	// RFC 9110 section 11.1: the scheme's case does not matter, one or more spaces follow.
	scheme, token, _ := strings.Cut(auths[0], " ")
	token = strings.TrimLeft(token, " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" || len(token) > maxToken {
		return media.Principal{}, badCredentials("the Authorization header is not a bearer token", nil)
	}
	return a.bearer(r.Context(), token)
}

// bearer reads a token by its form: a JWT has three parts and begins with {", all else is an API key or an upload grant.
func (a *Authenticator) bearer(ctx context.Context, token string) (media.Principal, error) {
	if looksLikeJWT(token) {
		c, err := a.verify(ctx, token)
		if err != nil {
			return media.Principal{}, err
		}
		return c.principal(a.o)
	}
	if p, ok := a.apiKey(token); ok {
		return p, nil
	}
	if a.o.OpenGrant != nil {
		g, err := a.o.OpenGrant(token)
		if err == nil {
			return media.Principal{Grant: &g}, nil
		}
		if media.KindOf(err) == media.Gone {
			return media.Principal{}, badCredentials("the upload grant has expired", err)
		}
	}
	return media.Principal{}, badCredentials("the token is not good", nil)
}

// apiKey looks at every key, so that the time taken tells nothing about which one matches.
func (a *Authenticator) apiKey(key string) (media.Principal, bool) {
	sum := sha256.Sum256([]byte(key))
	found := -1
	for i := range a.o.APIKeys {
		if subtle.ConstantTimeCompare(sum[:], a.o.APIKeys[i].SHA256[:]) == 1 {
			found = i
		}
	}
	if found < 0 {
		return media.Principal{}, false
	}
	k := &a.o.APIKeys[found]
	return media.Principal{Subject: keySubject + k.Name, Roles: k.Roles}, true
}

func badCredentials(detail string, err error) error {
	return &media.Error{Kind: media.Unauthenticated, Code: "bad_credentials", Detail: detail, Err: err}
}
