package threats_test

import (
	"crypto/sha256"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
)

func logInjection(t *testing.T, a *arena) {
	const fake = `{"level":"INFO","msg":"forged_by_a_client"}`
	for _, header := range []string{
		"User-Agent: x\r\n " + fake, "User-Agent: \x1b[2J\x1b[H" + fake, "X-Request-Id: x\" msg=\"" + fake, "X-Request-Id: " + strings.Repeat("a", 5000), "X-Request-Id: a%0a" + fake,
		"Traceparent: 00-\n" + fake, "Referer: " + fake, "X-Forwarded-For: \"," + fake, "Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\"" + fake,
	} {
		got := a.do(t, "GET", "/api/media", a.ada, "", header)
		if id := got.header.Get("X-Request-Id"); got.status == 200 && (len(id) > 64 || strings.ContainsAny(id, "\"{ \r\n")) {
			t.Errorf("the request id %q was taken from outside", id)
		}
	}
	a.do(t, "GET", "/%0a"+strings.ReplaceAll(fake, `"`, "%22"), "", "")
	a.do(t, "GET", "/m/%0d%0a"+strings.ReplaceAll(fake, `"`, "%22"), "", "")
	a.do(t, strings.Repeat("LONG", 1000), "/api/media", "", "")
	a.do(t, "GET", "/api/media?sort=%0a"+strings.ReplaceAll(fake, `"`, "%22"), a.ada, "")
	a.do(t, "POST", "/files/", a.ada, "some bytes", tus, octets, "Upload-Length: 10", meta("filename", "a\n"+fake, "title", fake))
	a.json(t, "POST", "/api/media", a.ada, `{"url":"https://example.com/`+strings.ReplaceAll(fake, `"`, `\"`)+`\n"}`)
	a.wire(t, "GET", "GET /\x00"+fake+" HTTP/1.1\r\nHost: a\r\n\r\n")
	a.do(t, "GET", "/api/me", "eyJ."+fake+".x", "")
	evil := signed(hs256, `{"sub":"\u202e`+strings.ReplaceAll(fake, `"`, `\"`)+`","role":"instructor","exp":4102444800}`, a.s.Secret, sha256.New)
	a.do(t, "GET", "/api/media", evil, "")
}

// starting are the lines for people that a start prints, to standard output.
var starting = regexp.MustCompile(`^(MongoDB not configured \(records are kept in entities.db\)|MongoDB connected|SQLite catalogue opened \(embedded; DB_ENABLED=false\)|SQLite models synchronized|Server running on port \d+|)$`)

// cleanLog reads everything that the gateway has printed while it was under attack, at its most talkative.
func cleanLog(t *testing.T, a *arena) {
	out := a.s.Output()
	for line := range strings.Lines(out) {
		line = strings.TrimSuffix(line, "\n")
		if !strings.HasPrefix(line, "{") {
			if !starting.MatchString(line) {
				t.Errorf("a line that is no JSON: %.300q", line)
			}
			continue
		}
		var entry map[string]any
		if err := json.Unmarshal([]byte(line), &entry); err != nil || entry["msg"] == nil || entry["time"] == nil {
			t.Errorf("a line that is no entry: %v: %.300q", err, line)
		}
		if entry["msg"] == "forged_by_a_client" {
			t.Errorf("a client wrote a line: %.300q", line)
		}
		if entry["level"] == "ERROR" || entry["msg"] == "panic" {
			t.Errorf("an attack made the gateway fail: %.1000q", line)
		}
		if len(line) > 16<<10 {
			t.Errorf("a line of %d bytes: %.300q", len(line), line)
		}
	}
	// Metrics too: they are read by people who may see no media.
	all := out + a.do(t, "GET", "/metrics", a.admin, "").body
	for secret, what := range a.secrets {
		if i := strings.Index(all, secret); i >= 0 {
			t.Errorf("%s shows in the log: %.400q", what, all[max(0, i-200):min(len(all), i+100)])
		}
	}
	for _, s := range []string{"grant=", "Bearer ", "\x1b", "SELECT ", "password"} {
		if i := strings.Index(all, s); i >= 0 {
			t.Errorf("%q shows in the log: %.400q", s, all[max(0, i-200):min(len(all), i+100)])
		}
	}
	if at := regexp.MustCompile(`/(p|files)/[A-Za-z0-9_-]{16}`).FindString(all); at != "" {
		t.Errorf("a path with its secret shows in the log: %s", at)
	}
	if !strings.Contains(out, `"msg":"request"`) {
		t.Error("the log holds no requests: nothing was looked at")
	}
}
