package gateway

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"

	"sluice/media"
	"sluice/playback"
)

const (
	maxToken   = 8 << 10
	maxSubject = 255
	leeway     = 90 * time.Second // how far clocks may stand apart, for nbf and iat; exp is exact
	lastSecond = 253402300799     // 9999-12-31T23:59:59Z, the last RFC 3339 can say
)

// claims are what a token says, once its signature holds. They are read from a map: encoding/json matches struct fields whatever their
// case, and would take "SUB" for "sub".
type claims struct {
	m       jwt.MapClaims
	subject string
	expires time.Time
	aud     []string
}

func looksLikeJWT(s string) bool { return strings.HasPrefix(s, "eyJ") && strings.Count(s, ".") == 2 }

// verify checks a JWT (RFC 7519, with the advice of RFC 8725): the algorithm is chosen by the kind of key we hold and never by the token,
// so that an RSA key is never an HMAC secret; keys come from the configuration alone (jku, jwk and x5u are not looked at); base64 is
// strict, spare bits included; exp and sub must be there.
func (a *Authenticator) verify(ctx context.Context, token string) (claims, error) {
	if len(token) > maxToken || strings.Trim(token, tokenBytes) != "" {
		return claims{}, badCredentials("the token is malformed", nil)
	}
	parser := jwt.NewParser(jwt.WithStrictDecoding(), jwt.WithoutClaimsValidation(), jwt.WithValidMethods(a.methods()))
	m := jwt.MapClaims{}
	_, err := parser.ParseWithClaims(token, m, func(t *jwt.Token) (any, error) { return a.key(ctx, t) })
	if err != nil {
		if errors.Is(err, media.Unavailable) {
			return claims{}, media.Wrap(media.Unavailable, err, "tokens cannot be checked now")
		}
		return claims{}, badCredentials("the token is not good", err)
	}
	return a.checkClaims(m)
}

// tokenBytes are the bytes of a JWT. Go's base64 skips line breaks even when strict.
const tokenBytes = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."

func (a *Authenticator) methods() []string {
	ms := []string{}
	if len(a.o.Secret) > 0 {
		ms = append(ms, jwt.SigningMethodHS256.Alg())
	}
	if a.jwks != nil {
		ms = append(ms, jwt.SigningMethodRS256.Alg(), jwt.SigningMethodES256.Alg(), jwt.SigningMethodEdDSA.Alg())
	}
	return ms
}

func (a *Authenticator) key(ctx context.Context, t *jwt.Token) (any, error) {
	if _, critical := t.Header["crit"]; critical {
		return nil, errors.New("critical header parameters are not understood") // RFC 7515 section 4.1.11
	}
	switch t.Method {
	case jwt.SigningMethodHS256:
		return a.o.Secret, nil
	case jwt.SigningMethodRS256, jwt.SigningMethodES256, jwt.SigningMethodEdDSA:
		return a.jwks.key(ctx, t)
	}
	return nil, errors.New("no key for this algorithm")
}

func (a *Authenticator) checkClaims(m jwt.MapClaims) (claims, error) {
	now := a.o.Now()
	exp, ok, err := seconds(m, "exp")
	if err != nil || !ok {
		return claims{}, badCredentials("the token has no valid exp", err)
	}
	if !now.Before(exp) {
		return claims{}, &media.Error{Kind: media.Unauthenticated, Code: "token_expired", Detail: "the token has expired"}
	}
	for _, name := range []string{"nbf", "iat"} {
		at, ok, err := seconds(m, name)
		if err != nil || ok && at.After(now.Add(leeway)) {
			return claims{}, badCredentials("the token is not valid yet", err)
		}
	}
	sub, _ := m["sub"].(string)
	if sub == "" || strings.HasPrefix(sub, keySubject) || len(sub) > maxSubject || !utf8.ValidString(sub) || strings.ContainsFunc(sub, unicode.IsControl) {
		return claims{}, badCredentials("the token has no valid sub", nil)
	}
	aud, err := m.GetAudience()
	if err != nil {
		return claims{}, badCredentials("the token has no valid aud", err)
	}
	if a.o.Issuer != "" {
		if iss, _ := m["iss"].(string); iss != a.o.Issuer {
			return claims{}, badCredentials("the token is from another issuer", nil)
		}
	}
	return claims{m: m, subject: sub, expires: exp, aud: aud}, nil
}

// seconds reads a NumericDate.
func seconds(m jwt.MapClaims, name string) (time.Time, bool, error) {
	v, ok := m[name]
	if !ok {
		return time.Time{}, false, nil
	}
	f, ok := v.(float64)
	if !ok || !(f >= 0 && f <= lastSecond) {
		return time.Time{}, false, errors.New(name + " is not a time")
	}
	return time.UnixMilli(int64(f * 1000)), true, nil
}

// principal reads a login token.
func (c claims) principal(o AuthOptions) (media.Principal, error) {
	if o.Audience != "" && !slices.Contains(c.aud, o.Audience) {
		return media.Principal{}, badCredentials("the token is for somebody else", nil)
	}
	// A play grant opens one media for a viewer; shown as a login it must open nothing.
	for _, aud := range c.aud {
		if _, grant := useOf(aud); grant {
			return media.Principal{}, badCredentials("a play grant is not a login", nil)
		}
	}
	roles, err := rolesOf(c.m)
	if err != nil {
		return media.Principal{}, err
	}
	return media.Principal{Subject: c.subject, Roles: roles}, nil
}

// rolesOf reads role and roles, each a word or a list of words. Words we do not know give nothing; another form is refused, lest a
// mistake in the issuer go unseen.
func rolesOf(m jwt.MapClaims) ([]media.Role, error) {
	var roles []media.Role
	add := func(v any) bool {
		s, ok := v.(string)
		if r := media.Role(s); ok && (r == media.Admin || r == media.Instructor || r == media.Student) && !slices.Contains(roles, r) {
			roles = append(roles, r)
		}
		return ok
	}
	for _, name := range []string{"role", "roles"} {
		switch v := m[name].(type) {
		case nil:
		case string:
			add(v)
		case []any:
			for _, e := range v {
				if !add(e) {
					return nil, badCredentials("the token's roles are malformed", nil)
				}
			}
		default:
			return nil, badCredentials("the token's roles are malformed", nil)
		}
	}
	return roles, nil
}

// PlayGrant reads a JWT that the LMS signed itself for one viewer of one media: sub is the media, aud is play, download or thumb. A bad one is media.Forbidden, an expired one media.Gone,
// as for tickets.
func (a *Authenticator) PlayGrant(token string) (playback.PlayGrant, error) {
	ctx := context.Background() //nolint:forbidigo // playback asks without one; the only thing that waits, reading the JWKS, has a deadline of its own
	c, err := a.verify(ctx, token)
	if err != nil {
		e, _ := errors.AsType[*media.Error](err)
		switch {
		case e.Kind == media.Unavailable:
			return playback.PlayGrant{}, err
		case e.Code == "token_expired":
			return playback.PlayGrant{}, &media.Error{Kind: media.Gone, Code: "grant_expired", Detail: "the play grant has expired"}
		}
		return playback.PlayGrant{}, badGrant(err)
	}
	if len(c.aud) != 1 {
		return playback.PlayGrant{}, badGrant(nil)
	}
	use, ok := useOf(c.aud[0])
	if !ok {
		return playback.PlayGrant{}, badGrant(nil)
	}
	id, err := media.ParseAssetID(c.subject)
	if err != nil {
		return playback.PlayGrant{}, badGrant(err)
	}
	viewer, ok := c.m["viewer"].(string)
	if _, there := c.m["viewer"]; there && !ok || len(viewer) > maxSubject || strings.ContainsFunc(viewer, unicode.IsControl) {
		return playback.PlayGrant{}, badGrant(nil)
	}
	return playback.PlayGrant{Asset: id, Use: use, Viewer: viewer, Expires: c.expires}, nil
}

func badGrant(err error) error {
	return &media.Error{Kind: media.Forbidden, Code: "bad_grant", Detail: "the play grant is not good", Err: err}
}

func useOf(s string) (media.Use, bool) {
	switch s {
	case "play":
		return media.Play, true
	case "download":
		return media.Download, true
	case "thumb":
		return media.Thumb, true
	}
	return 0, false
}
