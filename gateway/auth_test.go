package gateway_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"sluice/gateway"
	"sluice/media"
	"sluice/playback"
)

func in(d time.Duration) int64 { return now.Add(d).Unix() }

func signed(t testing.TB, m jwt.SigningMethod, key any, head map[string]any, c jwt.MapClaims) string {
	t.Helper()
	tok := jwt.NewWithClaims(m, c)
	for k, v := range head {
		tok.Header[k] = v
	}
	s, err := tok.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func authenticator(t testing.TB, change func(*gateway.AuthOptions)) *gateway.Authenticator {
	t.Helper()
	o := gateway.AuthOptions{
		Secret: []byte(secret), Now: clock,
		APIKeys: []gateway.APIKey{{Name: "lms", SHA256: sha256.Sum256([]byte(apiKey)), Roles: []media.Role{media.Instructor}}},
		OpenGrant: func(s string) (media.UploadGrant, error) {
			switch s {
			case "good":
				return media.UploadGrant{ID: "g"}, nil
			case "old":
				return media.UploadGrant{}, media.Gone
			}
			return media.UploadGrant{}, media.Forbidden
		},
	}
	if change != nil {
		change(&o)
	}
	a, err := gateway.NewAuthenticator(o)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func request(t testing.TB, lines ...string) *http.Request {
	t.Helper()
	r := httptest.NewRequest("GET", "/", nil)
	for _, l := range lines {
		name, value, _ := strings.Cut(l, ": ")
		r.Header.Add(name, value)
	}
	return r
}

func TestPrincipal(t *testing.T) {
	t.Parallel()
	hs := jwt.SigningMethodHS256
	good := jwt.MapClaims{"sub": "ida", "role": "instructor", "exp": in(time.Hour)}
	with := func(k string, v any) jwt.MapClaims {
		c := jwt.MapClaims{}
		for n, o := range good {
			c[n] = o
		}
		if v == nil {
			delete(c, k)
		} else {
			c[k] = v
		}
		return c
	}
	bearer := func(c jwt.MapClaims) string { return "Authorization: Bearer " + signed(t, hs, []byte(secret), nil, c) }
	ida := media.Principal{Subject: "ida", Roles: []media.Role{media.Instructor}}
	fine := signed(t, hs, []byte(secret), nil, good)
	parts := strings.Split(fine, ".")
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + parts[1] + "."
	last := parts[2][len(parts[2])-1]
	spare := fine[:len(fine)-1] + string("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", last)|1])

	for name, c := range map[string]struct {
		head []string
		want media.Principal
		bad  bool
	}{
		"no credentials are nobody":         {nil, media.Principal{}, false},
		"a token":                           {[]string{bearer(good)}, ida, false},
		"the scheme's case does not matter": {[]string{"Authorization: bEaReR  " + fine}, ida, false},
		"roles as a list":                   {[]string{bearer(with("role", []any{"admin", "student", "wizard"}))}, media.Principal{Subject: "ida", Roles: []media.Role{media.Admin, media.Student}}, false},
		"role and roles together":           {[]string{bearer(with("roles", "admin"))}, media.Principal{Subject: "ida", Roles: []media.Role{media.Instructor, media.Admin}}, false},
		"an unknown role gives nothing":     {[]string{bearer(with("role", "Admin"))}, media.Principal{Subject: "ida"}, false},
		"nbf within the leeway":             {[]string{bearer(with("nbf", in(89*time.Second)))}, ida, false},
		"iat within the leeway":             {[]string{bearer(with("iat", in(89*time.Second)))}, ida, false},
		"an API key":                        {[]string{"X-API-Key: " + apiKey}, media.Principal{Subject: "key:lms", Roles: []media.Role{media.Instructor}}, false},
		"an API key as bearer":              {[]string{"Authorization: Bearer " + apiKey}, media.Principal{Subject: "key:lms", Roles: []media.Role{media.Instructor}}, false},
		"an upload grant":                   {[]string{"Authorization: Bearer good"}, media.Principal{Grant: &media.UploadGrant{ID: "g"}}, false},
		"an expired upload grant":           {[]string{"Authorization: Bearer old"}, media.Principal{}, true},
		"a wrong API key":                   {[]string{"X-API-Key: nope"}, media.Principal{}, true},
		"an empty API key":                  {[]string{"X-API-Key: "}, media.Principal{}, true},
		"two credentials":                   {[]string{bearer(good), "X-API-Key: " + apiKey}, media.Principal{}, true},
		"two Authorization lines":           {[]string{bearer(good), bearer(good)}, media.Principal{}, true},
		"another scheme":                    {[]string{"Authorization: Basic aWRhOng="}, media.Principal{}, true},
		"an empty token":                    {[]string{"Authorization: Bearer "}, media.Principal{}, true},
		"no exp":                            {[]string{bearer(with("exp", nil))}, media.Principal{}, true},
		"exp as text":                       {[]string{bearer(with("exp", "2099"))}, media.Principal{}, true},
		"exp beyond all time":               {[]string{bearer(with("exp", 1e300))}, media.Principal{}, true},
		"expired a second ago":              {[]string{bearer(with("exp", in(-time.Second)))}, media.Principal{}, true},
		"expires now":                       {[]string{bearer(with("exp", in(0)))}, media.Principal{}, true},
		"nbf beyond the leeway":             {[]string{bearer(with("nbf", in(91*time.Second)))}, media.Principal{}, true},
		"iat beyond the leeway":             {[]string{bearer(with("iat", in(91*time.Second)))}, media.Principal{}, true},
		"no sub":                            {[]string{bearer(with("sub", nil))}, media.Principal{}, true},
		"an empty sub":                      {[]string{bearer(with("sub", ""))}, media.Principal{}, true},
		"a sub that is a number":            {[]string{bearer(with("sub", 7))}, media.Principal{}, true},
		"a sub with a line break":           {[]string{bearer(with("sub", "a\nb"))}, media.Principal{}, true},
		"a sub that is an API key's":        {[]string{bearer(with("sub", "key:lms"))}, media.Principal{}, true},
		"a sub that begins as a key's":      {[]string{bearer(with("sub", "key:"))}, media.Principal{}, true},
		"SUB is not sub":                    {[]string{bearer(jwt.MapClaims{"SUB": "ida", "exp": in(time.Hour)})}, media.Principal{}, true},
		"roles that are an object":          {[]string{bearer(with("roles", map[string]any{"admin": true}))}, media.Principal{}, true},
		"a play grant is not a login":       {[]string{bearer(with("aud", "play"))}, media.Principal{}, true},
		"alg none":                          {[]string{"Authorization: Bearer " + none}, media.Principal{}, true},
		"no signature":                      {[]string{"Authorization: Bearer " + parts[0] + "." + parts[1] + "."}, media.Principal{}, true},
		"spare bits in the signature":       {[]string{"Authorization: Bearer " + spare}, media.Principal{}, true},
		"padding":                           {[]string{"Authorization: Bearer " + fine + "="}, media.Principal{}, true},
		"another secret":                    {[]string{"Authorization: Bearer " + signed(t, hs, []byte("another"), nil, good)}, media.Principal{}, true},
		"HS384 with the same secret":        {[]string{"Authorization: Bearer " + signed(t, jwt.SigningMethodHS384, []byte(secret), nil, good)}, media.Principal{}, true},
		"HS512 with the same secret":        {[]string{"Authorization: Bearer " + signed(t, jwt.SigningMethodHS512, []byte(secret), nil, good)}, media.Principal{}, true},
		"a critical extension":              {[]string{"Authorization: Bearer " + signed(t, hs, []byte(secret), map[string]any{"crit": []string{"b64"}}, good)}, media.Principal{}, true},
		"four parts":                        {[]string{"Authorization: Bearer " + fine + ".x"}, media.Principal{}, true},
		"a token of 9 KiB":                  {[]string{bearer(with("x", strings.Repeat("x", 9<<10)))}, media.Principal{}, true},
		"something after the token":         {[]string{"Authorization: Bearer " + fine + " x"}, media.Principal{}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := authenticator(t, nil).Principal(request(t, c.head...))
			if (err != nil) != c.bad || c.bad && !errors.Is(err, media.Unauthenticated) {
				t.Fatalf("got %v", err)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
	t.Run("issuer and audience, when configured, must fit", func(t *testing.T) {
		t.Parallel()
		a := authenticator(t, func(o *gateway.AuthOptions) { o.Issuer, o.Audience = "lms", "sluice" })
		fits := with("iss", "lms")
		fits["aud"] = []any{"other", "sluice"}
		if _, err := a.Principal(request(t, bearer(fits))); err != nil {
			t.Error(err)
		}
		for _, c := range []jwt.MapClaims{good, with("iss", "lms"), with("aud", "sluice")} {
			if _, err := a.Principal(request(t, bearer(c))); !errors.Is(err, media.Unauthenticated) {
				t.Errorf("%v: got %v", c, err)
			}
		}
	})
	t.Run("a secret under 32 bytes does not start", func(t *testing.T) {
		t.Parallel()
		if _, err := gateway.NewAuthenticator(gateway.AuthOptions{Secret: []byte("short")}); err == nil {
			t.Error("it did")
		}
	})
}

// keyServer is a JWKS URL with one key of each kind, and a count of how often it was read.
type keyServer struct {
	rsa  *rsa.PrivateKey
	ec   *ecdsa.PrivateKey
	ed   ed25519.PrivateKey
	url  string
	read atomic.Int64
	down atomic.Bool
}

func newKeyServer(t *testing.T) *keyServer {
	t.Helper()
	k := &keyServer{}
	var err error
	if k.rsa, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		t.Fatal(err)
	}
	if k.ec, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	if _, k.ed, err = ed25519.GenerateKey(rand.Reader); err != nil {
		t.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	point, err := k.ec.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	set := map[string]any{"keys": []map[string]any{
		{"kty": "RSA", "kid": "r", "alg": "RS256", "use": "sig", "n": b64(k.rsa.N.Bytes()), "e": b64(big.NewInt(int64(k.rsa.E)).Bytes())},
		{"kty": "EC", "kid": "e", "alg": "ES256", "crv": "P-256", "x": b64(point[1:33]), "y": b64(point[33:])},
		{"kty": "OKP", "kid": "d", "alg": "EdDSA", "crv": "Ed25519", "x": b64(k.ed.Public().(ed25519.PublicKey))},
	}}
	raw, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		k.read.Add(1)
		if k.down.Load() {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		_, _ = w.Write(raw)
	}))
	t.Cleanup(srv.Close)
	k.url = srv.URL
	return k
}

func TestJWKS(t *testing.T) {
	t.Parallel()
	keys := newKeyServer(t)
	good := jwt.MapClaims{"sub": "ida", "roles": []string{"admin"}, "exp": in(time.Hour)}
	a := authenticator(t, func(o *gateway.AuthOptions) { o.Secret, o.JWKSURL = nil, keys.url })
	both := authenticator(t, func(o *gateway.AuthOptions) { o.JWKSURL = keys.url })
	pem, err := json.Marshal(keys.rsa.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		a     *gateway.Authenticator
		token string
		ok    bool
	}{
		{"RS256", a, signed(t, jwt.SigningMethodRS256, keys.rsa, map[string]any{"kid": "r"}, good), true},
		{"ES256", a, signed(t, jwt.SigningMethodES256, keys.ec, map[string]any{"kid": "e"}, good), true},
		{"EdDSA", a, signed(t, jwt.SigningMethodEdDSA, keys.ed, map[string]any{"kid": "d"}, good), true},
		{"RS256 without kid", a, signed(t, jwt.SigningMethodRS256, keys.rsa, nil, good), true},
		{"HS256 beside a JWKS", both, signed(t, jwt.SigningMethodHS256, []byte(secret), nil, good), true},
		{"HS256 is refused without a secret", a, signed(t, jwt.SigningMethodHS256, []byte(secret), nil, good), false},
		{"HS256 by the public key", both, signed(t, jwt.SigningMethodHS256, pem, map[string]any{"kid": "r"}, good), false},
		{"HS256 by the modulus", both, signed(t, jwt.SigningMethodHS256, keys.rsa.N.Bytes(), map[string]any{"kid": "r"}, good), false},
		{"RS512", a, signed(t, jwt.SigningMethodRS512, keys.rsa, map[string]any{"kid": "r"}, good), false},
		{"PS256", a, signed(t, jwt.SigningMethodPS256, keys.rsa, map[string]any{"kid": "r"}, good), false},
		{"the kid of another kind of key", a, signed(t, jwt.SigningMethodRS256, keys.rsa, map[string]any{"kid": "e"}, good), false},
		{"an unknown kid", a, signed(t, jwt.SigningMethodRS256, keys.rsa, map[string]any{"kid": "x"}, good), false},
		{"a kid that is a path", a, signed(t, jwt.SigningMethodRS256, keys.rsa, map[string]any{"kid": "../../dev/null"}, good), false},
		{"a kid that is a number", a, signed(t, jwt.SigningMethodRS256, keys.rsa, map[string]any{"kid": 1}, good), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p, err := c.a.Principal(request(t, "Authorization: Bearer "+c.token))
			if (err == nil) != c.ok || !c.ok && !errors.Is(err, media.Unauthenticated) {
				t.Errorf("got %+v, %v", p, err)
			}
		})
	}
	t.Run("keys of the token's own choice are not looked at", func(t *testing.T) {
		t.Parallel()
		thief, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		theirs := newKeyServer(t)
		head := map[string]any{"kid": "r", "jku": theirs.url, "x5u": theirs.url, "jwk": map[string]any{"kty": "RSA", "n": base64.RawURLEncoding.EncodeToString(thief.N.Bytes()), "e": "AQAB"}}
		_, err = a.Principal(request(t, "Authorization: Bearer "+signed(t, jwt.SigningMethodRS256, thief, head, good)))
		if !errors.Is(err, media.Unauthenticated) || theirs.read.Load() > 0 {
			t.Errorf("got %v, their URL was read %d times", err, theirs.read.Load())
		}
	})
}

func TestJWKSAway(t *testing.T) {
	t.Parallel()
	keys := newKeyServer(t)
	keys.down.Store(true)
	var at atomic.Int64
	a := authenticator(t, func(o *gateway.AuthOptions) {
		o.JWKSURL, o.Now = keys.url, func() time.Time { return now.Add(time.Duration(at.Load())) }
	})
	tok := "Authorization: Bearer " + signed(t, jwt.SigningMethodRS256, keys.rsa, map[string]any{"kid": "r"}, jwt.MapClaims{"sub": "ida", "exp": in(time.Hour)})
	for range 20 {
		if _, err := a.Principal(request(t, tok)); !errors.Is(err, media.Unavailable) {
			t.Fatalf("got %v, want unavailable", err)
		}
	}
	if n := keys.read.Load(); n != 1 {
		t.Errorf("a URL that is down was asked %d times at once", n)
	}
	keys.down.Store(false)
	at.Store(int64(11 * time.Second))
	if _, err := a.Principal(request(t, tok)); err != nil {
		t.Errorf("it came back: got %v", err)
	}
	keys.down.Store(true)
	at.Store(int64(time.Minute))
	if _, err := a.Principal(request(t, tok)); err != nil {
		t.Errorf("known keys go on while the URL is down: got %v", err)
	}
}

func TestPlayGrant(t *testing.T) {
	t.Parallel()
	a := authenticator(t, nil)
	good := func() jwt.MapClaims {
		return jwt.MapClaims{"sub": idOf(1).String(), "aud": "download", "exp": in(time.Hour), "viewer": "sam"}
	}
	got, err := a.PlayGrant(token(good()))
	if err != nil {
		t.Fatal(err)
	}
	want := playback.PlayGrant{Asset: idOf(1), Use: media.Download, Viewer: "sam", Expires: now.Add(time.Hour)}
	if !got.Expires.Equal(want.Expires) || got.Asset != want.Asset || got.Use != want.Use || got.Viewer != want.Viewer {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for name, c := range map[string]struct {
		change func(jwt.MapClaims)
		kind   media.Kind
	}{
		"expired":              {func(c jwt.MapClaims) { c["exp"] = in(-time.Minute) }, media.Gone},
		"no exp":               {func(c jwt.MapClaims) { delete(c, "exp") }, media.Forbidden},
		"a login":              {func(c jwt.MapClaims) { delete(c, "aud") }, media.Forbidden},
		"two audiences":        {func(c jwt.MapClaims) { c["aud"] = []string{"play", "download"} }, media.Forbidden},
		"an audience of ours":  {func(c jwt.MapClaims) { c["aud"] = "sluice" }, media.Forbidden},
		"a sub that is no id":  {func(c jwt.MapClaims) { c["sub"] = "ida" }, media.Forbidden},
		"a viewer of numbers":  {func(c jwt.MapClaims) { c["viewer"] = 7 }, media.Forbidden},
		"a viewer with an ESC": {func(c jwt.MapClaims) { c["viewer"] = "\x1b" }, media.Forbidden},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := good()
			c.change(m)
			if _, err := a.PlayGrant(token(m)); media.KindOf(err) != c.kind || err == nil {
				t.Errorf("got %v, want %v", err, c.kind)
			}
		})
	}
	if _, err := a.PlayGrant(token(good()) + "\n"); !errors.Is(err, media.Forbidden) {
		t.Errorf("a line break after it: got %v", err)
	}
}

// FuzzJWT holds that only what the secret signed gets in, whatever comes.
func FuzzJWT(f *testing.F) {
	good := token(jwt.MapClaims{"sub": "ida", "exp": in(time.Hour)})
	for _, s := range []string{good, good + "=", "eyJ.e30.", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.", "..", "eyJhbGciOiJIUzI1NiJ9." + strings.Repeat("A", 100) + ".x"} {
		f.Add(s)
	}
	a := authenticator(f, func(o *gateway.AuthOptions) { o.OpenGrant = nil })
	f.Fuzz(func(t *testing.T, s string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header["Authorization"] = []string{"Bearer " + s}
		p, err := a.Principal(r)
		if err != nil {
			if !errors.Is(err, media.Unauthenticated) {
				t.Fatal(err)
			}
			return
		}
		if p.Subject != "key:lms" && strings.TrimLeft(s, " ") != good {
			t.Errorf("%q got in as %+v", s, p)
		}
	})
}
