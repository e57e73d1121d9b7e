package e2e_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/livetest"
)

var update = flag.Bool("update", false, "rewrite testdata/lms.http")

// TestTheLMSPlayed plays the learning platform by HTTP alone: testdata/lms.http holds each exchange, and what it must be on every set of databases.
func TestTheLMSPlayed(t *testing.T) {
	t.Parallel()
	for name, env := range map[string]func(t *testing.T) []string{
		"embedded, SQLite, local":           func(*testing.T) []string { return nil },
		"Mongo-wire, PostgreSQL, Redis, S3": everyServer,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := livetest.Sluice(t, livetest.Options{Env: env(t)})
			p := &play{t: t, s: s, c: newClient(t, s, "root", "admin"), known: map[string]string{}}
			raw, err := os.ReadFile("testdata/lms.http")
			if err != nil {
				t.Fatal(err)
			}
			steps := strings.Split(strings.TrimSpace(string(raw)), "\n\n====\n\n")
			for i, step := range steps {
				title, _, _ := strings.Cut(step, "\n")
				got := p.step(step)
				if *update {
					steps[i] = got
				} else if d := cmp.Diff(step, got); d != "" {
					t.Errorf("%s\n%s", title, d)
				}
			}
			if *update && strings.HasPrefix(name, "embedded") {
				if err := os.WriteFile("testdata/lms.http", []byte(strings.Join(steps, "\n\n====\n\n")+"\n"), 0o644); err != nil { //nolint:gosec // a test's own file
					t.Fatal(err)
				}
			}
		})
	}
}

// everyServer is the environment of a gateway over servers only.
func everyServer(t *testing.T) []string {
	s3 := livetest.S3(t)
	env := append(newDatabase(t).env(), "REDIS_URL="+livetest.Redis(t).URL(), "MONGODB_URI="+livetest.Mongo(t).URI("lms"))
	return append(env, s3.Env(s3.URL(), s3.NewBucket(t, "media"))...)
}

// play goes through exchanges. A step is a title, a request or an upload, lines "@name = /pointer/into/answer" that name what later ones speak of, a line
// of dashes, and the answer.
type play struct {
	t     *testing.T
	s     *livetest.Server
	c     *client
	known map[string]string // name to value
}

// step runs one, and gives it with the answer it got.
func (p *play) step(text string) string {
	ask, _, _ := strings.Cut(text, "\n----------\n")
	head, body, _ := strings.Cut(ask, "\n\n")
	lines := strings.Split(head, "\n")[1:]
	request, lines := lines[0], lines[1:]
	var headers, names []string
	for _, l := range lines {
		if strings.HasPrefix(l, "@") {
			names = append(names, l)
			continue
		}
		name, value, _ := strings.Cut(l, ": ")
		if who, ok := strings.CutPrefix(value, "Bearer "); ok {
			if subject, role, ok := strings.Cut(who, " as "); ok {
				value = "Bearer " + p.s.Token(p.filled(subject), role, time.Hour)
			}
		}
		headers = append(headers, name, p.filled(value))
	}
	var a answer
	if file, ok := strings.CutPrefix(request, "UPLOAD "); ok {
		a = p.upload(file, headers)
	} else {
		method, path, _ := strings.Cut(p.filled(request), " ")
		body = strings.TrimSpace(p.filled(body))
		if body != "" {
			kind := "application/json"
			if method == http.MethodPatch {
				kind = "application/merge-patch+json"
			}
			headers = append(headers, "Content-Type", kind)
		}
		var err error
		if a, err = p.c.do(p.t.Context(), method, path, strings.NewReader(body), int64(len(body)), headers...); err != nil {
			p.t.Fatalf("%s: %v", request, err)
		}
	}
	for _, n := range names {
		p.name(n, a)
	}
	return ask + "\n----------\n" + p.shown(a)
}

// filled puts what is known by name into a text.
func (p *play) filled(s string) string {
	for name, value := range p.known {
		s = strings.ReplaceAll(s, "{"+name+"}", value)
	}
	return s
}

// name keeps a value of an answer: "@product = /product/id", or "@cover = Sluice-Media-Id" of its header.
func (p *play) name(line string, a answer) {
	name, at, _ := strings.Cut(strings.TrimPrefix(line, "@"), " = ")
	if !strings.HasPrefix(at, "/") {
		p.known[name] = a.header.Get(at)
		return
	}
	var v any
	if err := json.Unmarshal(a.body, &v); err != nil {
		p.t.Fatalf("%s: %v in %s", line, err, a)
	}
	for part := range strings.SplitSeq(at[1:], "/") {
		switch in := v.(type) {
		case map[string]any:
			v = in[part]
		case []any:
			if i, err := strconv.Atoi(part); err == nil && i < len(in) {
				v = in[i]
			} else {
				v = nil
			}
		}
	}
	text, ok := v.(string)
	if !ok {
		p.t.Fatalf("%s: nothing there in %s", line, a)
	}
	p.known[name] = text
}

// upload sends a file by tus in one request, with the metadata in place of header fields, and waits until its hash is known.
func (p *play) upload(file string, fields []string) answer {
	content := contentOf(p.t, file)
	meta := map[string]string{"filename": file}
	var auth []string
	for i := 0; i < len(fields); i += 2 {
		if fields[i] == "Authorization" {
			auth = fields[i : i+2]
		} else {
			meta[fields[i]] = fields[i+1]
		}
	}
	headers := append(slices.Clone(auth), "Tus-Resumable", "1.0.0", "Upload-Length", strconv.Itoa(len(content)), "Upload-Metadata", metadata(meta),
		"Content-Type", "application/offset+octet-stream")
	a, err := p.c.do(p.t.Context(), http.MethodPost, "/files/", bytes.NewReader(content), int64(len(content)), headers...)
	if err != nil {
		p.t.Fatalf("upload %s: %v", file, err)
	}
	if id := a.header.Get("Sluice-Media-Id"); id != "" {
		livetest.Until(p.t, 10*time.Second, file+" is ready", func() bool {
			m, err := p.c.media(p.t.Context(), id)
			return err == nil && m.State == "ready"
		})
	}
	return a
}

// contentOf makes a small file that begins as its kind does.
func contentOf(t *testing.T, file string) []byte {
	heads := map[string]string{
		"png": "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "mp4": "\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomiso2", "pdf": "%PDF-1.4\n", "txt": "notes: ",
	}
	_, ext, _ := strings.Cut(file, ".")
	head, ok := heads[ext]
	if !ok {
		t.Fatalf("no such kind of file: %s", file)
	}
	return append([]byte(head), bytes.Repeat([]byte(file+"\n"), 50)...)
}

var (
	changing = []struct {
		pattern *regexp.Regexp
		shown   string
	}{
		{regexp.MustCompile(`/p/[A-Za-z0-9_-]+/`), "/p/{ticket}/"},
		{regexp.MustCompile(`/files/[A-Za-z0-9_-]+`), "/files/{capability}"},
		{regexp.MustCompile(`\b[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}\b`), "{uuid}"},
		{regexp.MustCompile(`\b[0-9a-f]{24}\b`), "{hex}"},
		{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`), "{time}"},
		{regexp.MustCompile(`"requestId": "[A-Z0-9]{20}"`), `"requestId": "-"`},
		{regexp.MustCompile(`"storageType": "(local|s3)"`), `"storageType": "{storage}"`},
		{regexp.MustCompile(`"nextCursor": "[^"]+"`), `"nextCursor": "{cursor}"`},
		{regexp.MustCompile(`(?m)^Etag: "[^v].*"$`), `Etag: "{version}"`},
		{regexp.MustCompile(`(?m)^(Etag: )?"v\d+"$`), `${1}"{version}"`},
		{regexp.MustCompile(`"etag": "\\"v\d+\\""`), `"etag": "{version}"`},
	}
	// told are the header fields that an LMS reads. X-Cache differs with what was asked before.
	told = []string{"Content-Range", "Content-Type", "Etag", "Location", "Upload-Offset", "X-Degraded", "Idempotent-Replayed"}
)

// shown writes an answer without what differs each time.
func (p *play) shown(a answer) string {
	var b strings.Builder
	fmt.Fprintln(&b, a.status)
	for _, n := range told {
		if v := a.header.Get(n); v != "" {
			fmt.Fprintf(&b, "%s: %s\n", n, v)
		}
	}
	body := a.body
	var indented bytes.Buffer
	if strings.Contains(a.header.Get("Content-Type"), "json") && json.Indent(&indented, body, "", "  ") == nil {
		body = indented.Bytes()
	} else if len(body) > 40 {
		body = body[:40]
	}
	text := strings.TrimSpace(b.String() + "\n" + strings.ToValidUTF8(strings.Map(printable, string(body)), "?"))
	names := make([]string, 0, len(p.known))
	for name, value := range p.known {
		if value != "" {
			names = append(names, name)
		}
	}
	// Longer values first: one may hold another.
	slices.SortFunc(names, func(a, b string) int {
		if d := len(p.known[b]) - len(p.known[a]); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	for _, name := range names {
		text = strings.ReplaceAll(text, p.known[name], "{"+name+"}")
	}
	for _, c := range changing {
		text = c.pattern.ReplaceAllString(text, c.shown)
	}
	return strings.TrimSpace(text)
}

func printable(r rune) rune {
	if r == '\n' || r >= ' ' && r != 0x7f {
		return r
	}
	return '.'
}
