package threats_test

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"hash"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sluice/internal/livetest"
)

const (
	hs256 = `{"alg":"HS256","typ":"JWT"}`
	// later and earlier are a time to come and one gone by.
	later = 4102444800
	past  = 1000000000
)

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// signed makes a JWT of a header and claims as they stand, by HMAC.
func signed(header, claims, secret string, h func() hash.Hash) string {
	text := b64(header) + "." + b64(claims)
	mac := hmac.New(h, []byte(secret))
	mac.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func forgedTokens(t *testing.T, a *arena) {
	secret := a.s.Secret
	claims := fmt.Sprintf(`{"sub":"root","role":"admin","exp":%d}`, later)
	good := signed(hs256, claims, secret, sha256.New)
	a.keep("a token", good)
	if got := a.do(t, "GET", "/api/me", good, ""); got.status != 200 {
		t.Fatalf("a good token: %v", got)
	}
	parts := strings.Split(good, ".")
	sig := parts[2]
	last := strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", sig[len(sig)-1])
	spare := sig[:len(sig)-1] + string("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[last^1])
	with := func(claims string) string { return signed(hs256, claims, secret, sha256.New) }
	headed := func(header string) string { return signed(header, claims, secret, sha256.New) }
	for name, token := range map[string]string{
		"alg none":                         b64(`{"alg":"none"}`) + "." + b64(claims) + ".",
		"alg None with the signature":      b64(`{"alg":"None"}`) + "." + b64(claims) + "." + sig,
		"alg nOnE":                         b64(`{"alg":"nOnE","typ":"JWT"}`) + "." + b64(claims) + ".",
		"no alg":                           headed(`{"typ":"JWT"}`),
		"alg null":                         headed(`{"alg":null}`),
		"alg a list":                       headed(`{"alg":["HS256"]}`),
		"alg hs256":                        headed(`{"alg":"hs256"}`),
		"HS384":                            signed(`{"alg":"HS384"}`, claims, secret, sha512.New384),
		"HS512":                            signed(`{"alg":"HS512"}`, claims, secret, sha512.New),
		"HS512 said, HS256 done":           headed(`{"alg":"HS512"}`),
		"RS256 said, HS256 done":           headed(`{"alg":"RS256"}`),
		"ES256 with an empty signature":    b64(`{"alg":"ES256"}`) + "." + b64(claims) + ".",
		"EdDSA with zeros":                 b64(`{"alg":"EdDSA"}`) + "." + b64(claims) + "." + b64(strings.Repeat("\x00", 64)),
		"another secret":                   signed(hs256, claims, secret+"x", sha256.New),
		"an empty secret":                  signed(hs256, claims, "", sha256.New),
		"jwk in the header":                signed(`{"alg":"HS256","jwk":{"kty":"oct","k":"`+b64("mine")+`"}}`, claims, "mine", sha256.New),
		"kid to a known file":              signed(`{"alg":"HS256","kid":"../../../../dev/null"}`, claims, "", sha256.New),
		"kid with SQL":                     signed(`{"alg":"HS256","kid":"x' UNION SELECT 'mine'--"}`, claims, "mine", sha256.New),
		"jku of ours":                      signed(`{"alg":"HS256","jku":"http://127.0.0.1:1/keys"}`, claims, "mine", sha256.New),
		"crit":                             headed(`{"alg":"HS256","crit":["b64"],"b64":false}`),
		"no exp":                           with(`{"sub":"root","role":"admin"}`),
		"exp null":                         with(`{"sub":"root","role":"admin","exp":null}`),
		"exp a string":                     with(`{"sub":"root","role":"admin","exp":"4102444800"}`),
		"exp below zero":                   with(`{"sub":"root","role":"admin","exp":-1}`),
		"exp 1e300":                        with(`{"sub":"root","role":"admin","exp":1e300}`),
		"exp gone by":                      with(fmt.Sprintf(`{"sub":"root","role":"admin","exp":%d}`, past)),
		"EXP in capitals":                  with(fmt.Sprintf(`{"sub":"root","role":"admin","EXP":%d}`, later)),
		"nbf to come":                      with(fmt.Sprintf(`{"sub":"root","exp":%d,"nbf":%d}`, later, later-1)),
		"iat to come":                      with(fmt.Sprintf(`{"sub":"root","exp":%d,"iat":%d}`, later, later-1)),
		"no sub":                           with(fmt.Sprintf(`{"role":"admin","exp":%d}`, later)),
		"sub of an API key":                with(fmt.Sprintf(`{"sub":"key:lms","role":"admin","exp":%d}`, later)),
		"sub a number":                     with(fmt.Sprintf(`{"sub":1,"role":"admin","exp":%d}`, later)),
		"sub with a line break":            with(fmt.Sprintf(`{"sub":"a\nb","role":"admin","exp":%d}`, later)),
		"sub of 10,000 bytes":              with(fmt.Sprintf(`{"sub":"%s","exp":%d}`, strings.Repeat("a", 5000), later)),
		"role an object":                   with(fmt.Sprintf(`{"sub":"root","role":{"$ne":1},"exp":%d}`, later)),
		"claims that are a list":           with(`[]`),
		"claims that are no JSON":          with(`{`),
		"claims nested deeply":             with(strings.Repeat("[", 3000)),
		"spare bits of the last sign":      parts[0] + "." + parts[1] + "." + spare,
		"a trailing dot":                   good + ".",
		"two trailing dots":                good + "..",
		"a leading dot":                    "." + good,
		"padding":                          good + "=",
		"padding inside":                   parts[0] + "=." + parts[1] + "." + sig,
		"no signature":                     parts[0] + "." + parts[1] + ".",
		"two parts":                        parts[0] + "." + parts[1],
		"the signature cut":                good[:len(good)-4],
		"the signature longer":             good + "AAAA",
		"standard base64":                  strings.NewReplacer("-", "+", "_", "/").Replace(parts[0]+"."+parts[1]+".") + base64.StdEncoding.EncodeToString([]byte("x")),
		"another payload":                  parts[0] + "." + b64(strings.Replace(claims, "root", "evil", 1)) + "." + sig,
		"a space inside":                   parts[0] + " ." + parts[1] + "." + sig,
		"a tab at the end of a part":       parts[0] + "\t." + parts[1] + "." + sig,
		"JSON serialisation":               `{"payload":"` + parts[1] + `","signatures":[]}`,
		"9 KiB":                            strings.Repeat("e", 9000),
		"a play grant shown as a login":    with(fmt.Sprintf(`{"sub":"%s","aud":"play","exp":%d}`, missing, later)),
		"a play grant among audiences":     with(fmt.Sprintf(`{"sub":"root","role":"admin","aud":["x","download"],"exp":%d}`, later)),
		"five parts, as if it were sealed": good + ".AAAA.AAAA",
	} {
		for _, target := range []string{"/api/me", "/api/media", "/metrics"} {
			if got := a.do(t, "GET", target, token, ""); got.status != 401 && got.status != 400 {
				t.Errorf("%s: GET %s = %d, want 401", name, target, got.status)
			}
		}
		if got := a.do(t, "POST", "/files/", token, "", tus, "Upload-Length: 1"); got.status != 401 && got.status != 400 {
			t.Errorf("%s: an upload = %d, want 401", name, got.status)
		}
	}
	// A role is what it is called, exactly.
	for _, role := range []string{`"Admin"`, `"ADMIN"`, `"admin "`, `"admin,student"`, `["Admin"]`, `"superuser"`, `""`, `null`} {
		token := with(fmt.Sprintf(`{"sub":"eve","role":%s,"exp":%d}`, role, later))
		if got := a.do(t, "GET", "/metrics", token, ""); got.status != 403 {
			t.Errorf("role %s sees metrics: %d", role, got.status)
		}
	}
	// The name of an API key cannot be taken on by whoever has no key.
	for _, target := range []string{"/api/me?token=" + good, "/api/me?access_token=" + good} {
		if got := a.do(t, "GET", target, "", "", "Cookie: token="+good); got.status == 200 {
			t.Errorf("a token is believed from elsewhere than its header: %v", got)
		}
	}
}

func oddCredentials(t *testing.T, a *arena) {
	for name, headers := range map[string][]string{
		"two bearer tokens":       {"Authorization: Bearer " + a.admin, "Authorization: Bearer " + a.sam},
		"the same twice":          {"Authorization: Bearer " + a.admin, "Authorization: Bearer " + a.admin},
		"two in one line":         {"Authorization: Bearer " + a.admin + ", Bearer " + a.sam},
		"Basic":                   {"Authorization: Basic " + b64("admin:admin")},
		"a token without scheme":  {"Authorization: " + a.admin},
		"an empty one":            {"Authorization:"},
		"Bearer and nothing":      {"Authorization: Bearer"},
		"Bearer and spaces":       {"Authorization: Bearer    "},
		"a bearer and an API key": {"Authorization: Bearer " + a.admin, "X-API-Key: x"},
		"an API key of nobody":    {"X-API-Key: 0123456789abcdef01234567"},
		"an empty API key":        {"X-API-Key:"},
		"a token as API key":      {"X-API-Key: " + a.admin},
		"a folded line":           {"Authorization: Bearer\r\n " + a.admin + "\r\n x"},
		"a NUL":                   {"Authorization: Bearer " + a.admin + "\x00"},
		"an upload grant of none": {"Authorization: Bearer ug.nothing"},
	} {
		if got := a.do(t, "GET", "/api/me", "", "", headers...); got.status != 401 && got.status != 400 {
			t.Errorf("%s = %d, want 401", name, got.status)
		}
		if got := a.do(t, "POST", "/files/", "", "", append([]string{tus, "Upload-Length: 1"}, headers...)...); got.status != 401 && got.status != 400 {
			t.Errorf("%s: an upload = %d, want 401", name, got.status)
		}
	}
}

// TestKeysOfOthers runs against a gateway that takes RSA keys from a JWKS.
func TestKeysOfOthers(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	jwk := func(kid string, k *rsa.PublicKey) string {
		return fmt.Sprintf(`{"kty":"RSA","alg":"RS256","use":"sig","kid":%q,"n":%q,"e":"AQAB"}`, kid, base64.RawURLEncoding.EncodeToString(k.N.Bytes()))
	}
	set := `{"keys":[` + jwk("one", &key.PublicKey) + `]}`
	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(set)) }))
	defer keys.Close()
	evil, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan string, 10)
	trap := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case asked <- r.URL.Path:
		default:
		}
		_, _ = w.Write([]byte(`{"keys":[` + jwk("one", &evil.PublicKey) + `]}`))
	}))
	defer trap.Close()
	a := newArena(t, livetest.Options{Env: []string{"JWT_SECRET=", "JWT_JWKS_URL=" + keys.URL + "/jwks.json"}})

	claims := fmt.Sprintf(`{"sub":"root","role":"admin","exp":%d}`, later)
	rs := func(header string, k *rsa.PrivateKey) string {
		text := b64(header) + "." + b64(claims)
		sum := sha256.Sum256([]byte(text))
		sig, err := rsa.SignPKCS1v15(nil, k, crypto.SHA256, sum[:])
		if err != nil {
			t.Fatal(err)
		}
		return text + "." + base64.RawURLEncoding.EncodeToString(sig)
	}
	if got := a.do(t, "GET", "/api/me", rs(`{"alg":"RS256","kid":"one"}`, key), ""); got.status != 200 {
		t.Fatalf("a good token: %v", got)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	pemText := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	pkcs1 := string(x509.MarshalPKCS1PublicKey(&key.PublicKey))
	for name, token := range map[string]string{
		"HS256 by the public key in PEM":         signed(`{"alg":"HS256","kid":"one"}`, claims, pemText, sha256.New),
		"HS256 by the PEM without its last line": signed(`{"alg":"HS256","kid":"one"}`, claims, strings.TrimSpace(pemText), sha256.New),
		"HS256 by the DER":                       signed(`{"alg":"HS256","kid":"one"}`, claims, string(der), sha256.New),
		"HS256 by PKCS #1":                       signed(`{"alg":"HS256","kid":"one"}`, claims, pkcs1, sha256.New),
		"HS256 by the JWK":                       signed(`{"alg":"HS256","kid":"one"}`, claims, jwk("one", &key.PublicKey), sha256.New),
		"HS256 by the modulus":                   signed(`{"alg":"HS256"}`, claims, string(key.N.Bytes()), sha256.New),
		"HS256 by nothing":                       signed(`{"alg":"HS256"}`, claims, "", sha256.New),
		"HS256 by the secret of before":          signed(hs256, claims, a.s.Secret, sha256.New),
		"RS256 by another key":                   rs(`{"alg":"RS256","kid":"one"}`, evil),
		"RS256 with its key in jwk":              rs(`{"alg":"RS256","kid":"one","jwk":`+jwk("one", &evil.PublicKey)+`}`, evil),
		"RS256 with its key at jku":              rs(`{"alg":"RS256","kid":"one","jku":"`+trap.URL+`/jku"}`, evil),
		"RS256 with its key at x5u":              rs(`{"alg":"RS256","kid":"one","x5u":"`+trap.URL+`/x5u"}`, evil),
		"RS256 with a kid that is a URL":         rs(`{"alg":"RS256","kid":"`+trap.URL+`/kid"}`, evil),
		"RS256 with a kid that is a path":        rs(`{"alg":"RS256","kid":"../../one"}`, key),
		"PS256 said":                             rs(`{"alg":"PS256","kid":"one"}`, key),
		"RS512 said":                             rs(`{"alg":"RS512","kid":"one"}`, key),
		"none":                                   b64(`{"alg":"none","kid":"one"}`) + "." + b64(claims) + ".",
		"a signature of zero":                    b64(`{"alg":"RS256","kid":"one"}`) + "." + b64(claims) + "." + b64(string(big.NewInt(0).FillBytes(make([]byte, 256)))),
	} {
		if got := a.do(t, "GET", "/api/me", token, ""); got.status != 401 {
			t.Errorf("%s = %v, want 401", name, got)
		}
	}
	select {
	case path := <-asked:
		t.Errorf("a token made the gateway ask for %s", path)
	default:
	}
}

// cut parts a link into its ticket, its media and the rest.
func cut(t *testing.T, link string) (ticket, rest string) {
	t.Helper()
	parts := strings.SplitN(link, "/", 4)
	if len(parts) != 4 || parts[1] != "p" {
		t.Fatalf("a link of another form: %s", link)
	}
	return parts[2], parts[3]
}

func forgedTickets(t *testing.T, a *arena) {
	f, g := a.put(t, a.ada, "behind a ticket"), a.put(t, a.ada, "behind another")
	link := a.link(t, a.ada, f.id, `{"viewer":"v"}`)
	ticket, rest := cut(t, link)
	if got := a.do(t, "GET", link, "", ""); got.status != 200 || got.body != "behind a ticket" {
		t.Fatal(got)
	}
	raw, err := base64.RawURLEncoding.DecodeString(ticket)
	if err != nil {
		t.Fatal(err)
	}
	forged := []string{"", "A", strings.Repeat("A", 44), strings.Repeat("_", 44), ticket + "A", ticket + "AAAA", ticket[:40], ticket[4:], ticket + "=", ticket + ".", "." + ticket}
	for i := range raw {
		for _, bit := range []byte{1, 0x80} {
			bent := append([]byte(nil), raw...)
			bent[i] ^= bit
			forged = append(forged, base64.RawURLEncoding.EncodeToString(bent))
		}
	}
	for _, bad := range forged {
		for _, header := range []string{"X: y", "Range: bytes=0-1", "If-None-Match: *"} {
			got := a.do(t, "GET", "/p/"+bad+"/"+rest, "", "", header)
			if got.status != 403 && (bad != "" || got.status != 404) {
				t.Fatalf("ticket %q with %s: %v, want 403", bad, header, got)
			}
		}
	}
	for name, target := range map[string]string{
		"another media":         "/p/" + ticket + "/" + g.id,
		"another media climbed": "/p/" + ticket + "/" + f.id + "/../" + g.id,
		"escaped climb":         "/p/" + ticket + "/" + f.id + "/%2e%2e/" + g.id,
		"two tickets":           "/p/" + ticket + "/" + ticket + "/" + rest,
		"as an upload":          "/files/" + ticket,
		"the capability":        "/p/" + strings.TrimPrefix(f.at, "/files/") + "/" + f.id,
		"in the query":          "/p/x/" + f.id + "?ticket=" + ticket,
		"as a play grant":       "/play/" + f.id + "?grant=" + ticket,
		"another name":          "/p/" + ticket + "/" + f.id + "/index.m3u8",
		"below the name":        "/p/" + ticket + "/" + f.id + "/original.mp4/x",
	} {
		if got := a.do(t, "GET", target, "", ""); got.status != 403 && got.status != 404 {
			t.Errorf("%s: %v", name, got)
		}
	}
	if got := a.do(t, "GET", "/api/me", ticket, ""); got.status != 401 {
		t.Errorf("a ticket as a login: %v", got)
	}
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "TRACE"} {
		if got := a.do(t, method, link, a.admin, "", "X-HTTP-Method-Override: GET"); got.status != 405 {
			t.Errorf("%s on a link = %v, want 405", method, got)
		}
	}
	if got := a.do(t, "GET", link, "", "", "X-HTTP-Method-Override: DELETE"); got.status != 200 {
		t.Errorf("GET as DELETE: %v", got)
	}
	thumb := a.link(t, a.ada, f.id, `{"use":"thumb"}`)
	if got := a.do(t, "GET", thumb, "", ""); got.status != 403 {
		t.Errorf("a link for thumbnails gives the file: %v", got)
	}
}

func respelledTickets(t *testing.T, a *arena) {
	f := a.put(t, a.ada, "one name only")
	ticket, rest := cut(t, a.link(t, a.ada, f.id, `{}`))
	escape := func(s string, i int) string { return fmt.Sprintf("%s%%%02X%s", s[:i], s[i], s[i+1:]) }
	for name, target := range map[string]string{
		"an escaped letter of the ticket":  "/p/" + escape(ticket, 3) + "/" + rest,
		"escaped twice":                    "/p/" + strings.ReplaceAll(escape(ticket, 3), "%", "%25") + "/" + rest,
		"an escaped letter of the id":      "/p/" + ticket + "/" + escape(f.id, 0),
		"an upper-case id":                 "/p/" + ticket + "/" + strings.ToUpper(f.id),
		"an id in braces":                  "/p/" + ticket + "/{" + f.id + "}",
		"an id without dashes":             "/p/" + ticket + "/" + strings.ReplaceAll(f.id, "-", ""),
		"a URN":                            "/p/" + ticket + "/urn:uuid:" + f.id,
		"a doubled slash in front":         "//p/" + ticket + "/" + rest,
		"a doubled slash after p":          "/p//" + ticket + "/" + rest,
		"a doubled slash before the id":    "/p/" + ticket + "//" + rest,
		"an encoded slash":                 "/p/" + ticket + "%2F" + rest,
		"an encoded slash after p":         "/p%2F" + ticket + "/" + rest,
		"a dot segment":                    "/p/./" + ticket + "/" + rest,
		"an escaped dot segment":           "/p/%2e/" + ticket + "/" + rest,
		"a climb and back":                 "/p/../p/" + ticket + "/" + rest,
		"a climb over the id":              "/p/" + ticket + "/x/../" + rest,
		"P in capitals":                    "/P/" + ticket + "/" + rest,
		"a semicolon":                      "/p/" + ticket + ";a=b/" + rest,
		"a space":                          "/p/" + ticket + "%20/" + rest,
		"a NUL":                            "/p/" + ticket + "%00/" + rest,
		"a backslash":                      `/p\` + ticket + "/" + rest,
		"standard base64 padding":          "/p/" + ticket + "%3D/" + rest,
		"a line break in the ticket":       "/p/" + ticket[:22] + "%0A" + ticket[22:] + "/" + rest,
		"a trailing slash behind the name": "/p/" + ticket + "/" + rest + "/",
		"another letter case":              "/p/" + strings.ToLower(ticket) + "/" + rest,
	} {
		if got := a.do(t, "GET", target, "", ""); got.status != 403 && got.status != 404 && got.status != 400 {
			t.Errorf("%s: %v, want 403 or 404", name, got)
		}
	}
	for name, query := range map[string]string{"parameters": "?a=b", "the same twice": "?a=b&a=c", "a semicolon": "?a;b", "a broken escape": "?%zz"} {
		got := a.do(t, "GET", "/p/"+ticket+"/"+rest+query, "", "")
		if got.status != 200 && got.status != 400 {
			t.Errorf("%s: %v", name, got)
		}
	}
	for _, bad := range []string{"?limit=1&limit=2", "?limit=%zz", "?limit=1;sort=x", "?a=%00", "?sort=-size&sort=size"} {
		if got := a.do(t, "GET", "/api/media"+bad, a.ada, ""); got.status != 400 {
			t.Errorf("/api/media%s: %v, want 400", bad, got)
		}
	}
}

func expiredTickets(t *testing.T, a *arena) {
	f := a.put(t, a.ada, "for a second", "isPublic", "false")
	link := a.link(t, a.ada, f.id, `{"expiresIn":1}`)
	etag := a.do(t, "GET", link, "", "").header.Get("Etag")
	livetest.Until(t, 5*time.Second, "the link ends", func() bool { return a.do(t, "HEAD", link, "", "").status == 410 })
	for _, header := range []string{
		"X: y", "If-None-Match: " + etag, "If-None-Match: *", "Range: bytes=0-1", "If-Range: " + etag, "If-Match: " + etag,
		"If-Modified-Since: Fri, 31 Dec 2100 23:59:59 GMT", "Range: bytes=9999-", "Date: Thu, 01 Jan 1970 00:00:00 GMT",
	} {
		got := a.do(t, "GET", link, "", "", header)
		if got.status != 410 || !strings.Contains(got.header.Get("Cache-Control"), "no-store") || strings.Contains(got.body, "for a second") {
			t.Errorf("an expired link with %s: %v, want 410", header, got)
		}
	}
	for _, body := range []string{`{"expiresIn":0}`, `{"expiresIn":-1}`, `{"expiresIn":9223372036854775807}`, `{"expiresIn":1e10}`, `{"expiresIn":1.5}`, `{"expiresIn":"1h"}`, `{"expiresIn":604801}`, `{"use":"admin"}`, `{"use":""}`} {
		if got := a.json(t, "POST", "/api/media/"+f.id+"/links", a.ada, body); got.status != 400 {
			t.Errorf("a link with %s: %v, want 400", body, got)
		}
	}
}

func playGrants(t *testing.T, a *arena) {
	f, g := a.put(t, a.ada, "by a grant"), a.put(t, a.ada, "by another grant")
	grant := func(claims string) string {
		s := signed(hs256, claims, a.s.Secret, sha256.New)
		a.keep("a play grant", s)
		return s
	}
	of := func(id, aud string, exp int64) string {
		return grant(fmt.Sprintf(`{"sub":%q,"aud":%q,"exp":%d,"viewer":"v"}`, id, aud, exp))
	}
	soon := time.Now().Add(time.Hour).Unix()
	good := of(f.id, "play", soon)
	if got := a.do(t, "GET", "/play/"+f.id+"?grant="+good, "", ""); got.status != 302 || a.do(t, "GET", got.header.Get("Location"), "", "").body != "by a grant" {
		t.Fatalf("a good grant: %v", got)
	}
	for name, target := range map[string]string{
		"no grant":             "/play/" + f.id,
		"an empty one":         "/play/" + f.id + "?grant=",
		"two":                  "/play/" + f.id + "?grant=" + good + "&grant=" + good,
		"another parameter":    "/play/" + f.id + "?GRANT=" + good,
		"another media":        "/play/" + g.id + "?grant=" + good,
		"missing media":        "/play/" + missing + "?grant=" + of(missing, "play", soon),
		"another audience":     "/play/" + f.id + "?grant=" + of(f.id, "admin", soon),
		"no audience":          "/play/" + f.id + "?grant=" + grant(fmt.Sprintf(`{"sub":%q,"exp":%d}`, f.id, soon)),
		"two audiences":        "/play/" + f.id + "?grant=" + grant(fmt.Sprintf(`{"sub":%q,"aud":["play","download"],"exp":%d}`, f.id, soon)),
		"a login":              "/play/" + f.id + "?grant=" + a.admin,
		"no exp":               "/play/" + f.id + "?grant=" + grant(fmt.Sprintf(`{"sub":%q,"aud":"play"}`, f.id)),
		"expired":              "/play/" + f.id + "?grant=" + of(f.id, "play", past),
		"an upper-case id":     "/play/" + strings.ToUpper(f.id) + "?grant=" + of(strings.ToUpper(f.id), "play", soon),
		"a viewer of one list": "/play/" + f.id + "?grant=" + grant(fmt.Sprintf(`{"sub":%q,"aud":"play","exp":%d,"viewer":["v"]}`, f.id, soon)),
		"none":                 "/play/" + f.id + "?grant=" + b64(`{"alg":"none"}`) + "." + b64(fmt.Sprintf(`{"sub":%q,"aud":"play","exp":%d}`, f.id, soon)) + ".",
	} {
		got := a.do(t, "GET", target, "", "")
		if got.status < 400 {
			t.Errorf("%s: %v, want 4xx", name, got)
		}
		if name == "expired" && got.status != 410 {
			t.Errorf("an expired grant = %d, want 410", got.status)
		}
	}
	// A ticket lives no longer than the grant it came from.
	short := of(f.id, "play", time.Now().Unix()+1)
	if got := a.do(t, "GET", "/play/"+f.id+"?grant="+short, "", ""); got.status == 302 {
		at := got.header.Get("Location")
		livetest.Until(t, 5*time.Second, "the ticket of a short grant ends", func() bool { return a.do(t, "GET", at, "", "").status == 410 })
	}
	var who struct{ Subject string }
	if err := json.Unmarshal([]byte(a.do(t, "GET", "/api/me", a.sam, "").body), &who); err != nil || who.Subject != "sam" {
		t.Errorf("who am I: %v %v", who, err)
	}
}
