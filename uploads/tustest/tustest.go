// Package tustest holds a tus 1.0.0 endpoint to the protocol and to what its clients rely on. It takes a URL, so any server can be held
// to it: ours passes all of it, tusd's binary shows where it differs. It knows HTTP only.
package tustest

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// Options say how to speak to the server under test.
type Options struct {
	Header  http.Header     // sent with each request: Authorization
	Stray   http.Header     // credentials of somebody who owns nothing; nil: those cases are not run
	MaxSize int64           // the server's limit, above 1 MiB; 0: those cases are not run
	Fails   map[string]bool // cases known to fail, for servers other than ours: that they fail is checked
	Fickle  map[string]bool // cases that such a server passes or fails by luck: not run
	Client  *http.Client
}

// exchange is one request of a case and what must come back.
type exchange struct {
	method string
	to     string // "": creation; "#a": the URL saved as a; else a path below the endpoint, or the whole path if it begins with /
	header map[string]string
	lines  map[string][]string // headers sent on several lines
	drop   []string            // headers that are usually sent
	body   string
	stream bool // without Content-Length
	stray  bool // by somebody else

	status []int             // any of these
	want   map[string]string // headers with exactly these values; "" only absent; "*" only present
	text   string            // must stand in the body
	empty  bool              // no body
	save   string            // keep Location under this name
}

// scenario is a named list of exchanges; its name is the promise.
type scenario struct {
	name  string
	needs string // "max", "stray": the option without which it is not run
	steps []exchange
}

// Run checks an endpoint, the URL that uploads are created at.
func Run(t *testing.T, endpoint string, o Options) {
	t.Helper()
	if o.Client == nil {
		o.Client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	base, err := url.Parse(endpoint)
	if err != nil {
		t.Fatalf("endpoint %q: %v", endpoint, err)
	}
	for _, c := range slices.Concat(creations(), metadatas(), patches(), statuses(), concats(), edges(o.MaxSize)) {
		if c.needs == "max" && o.MaxSize == 0 || c.needs == "stray" && o.Stray == nil || o.Fickle[c.name] {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := &runner{base: base, o: o, saved: map[string]string{}}
			err := r.run(t, c)
			switch {
			case o.Fails[c.name] && err == nil:
				t.Error("this case is listed as failing, and holds")
			case o.Fails[c.name]:
				t.Logf("as expected: %v", err)
			case err != nil:
				t.Error(err)
			}
		})
	}
}

// Names gives the names of all cases.
func Names() []string {
	var names []string
	for _, c := range slices.Concat(creations(), metadatas(), patches(), statuses(), concats(), edges(1)) {
		names = append(names, c.name)
	}
	return names
}

type runner struct {
	base  *url.URL
	o     Options
	saved map[string]string
}

func (r *runner) run(t *testing.T, c scenario) error {
	t.Helper()
	for i, x := range c.steps {
		if err := r.step(t, x); err != nil {
			return fmt.Errorf("step %d, %s %s: %w", i+1, x.method, x.to, err)
		}
	}
	return nil
}

func (r *runner) step(t *testing.T, x exchange) error {
	t.Helper()
	target, err := r.target(x.to)
	if err != nil {
		return err
	}
	var body io.Reader
	if x.body != "" || x.stream {
		body = strings.NewReader(x.body)
		if x.stream {
			body = io.MultiReader(body) // net/http cannot see its length
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), x.method, target, body)
	if err != nil {
		return err
	}
	r.headers(req, x)
	res, err := r.o.Client.Do(req)
	if err != nil {
		return err
	}
	got, err := io.ReadAll(res.Body)
	if cerr := res.Body.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	if x.save != "" {
		r.saved[x.save] = res.Header.Get("Location")
	}
	return r.check(x, res, got)
}

func (r *runner) headers(req *http.Request, x exchange) {
	maps.Copy(req.Header, r.o.Header)
	if x.stray {
		maps.Copy(req.Header, r.o.Stray)
	}
	req.Header.Set("Tus-Resumable", "1.0.0")
	if x.method == http.MethodPatch {
		req.Header.Set("Content-Type", "application/offset+octet-stream")
	}
	for k, v := range x.header {
		req.Header.Set(k, r.fill(v))
	}
	maps.Copy(req.Header, x.lines)
	for _, k := range x.drop {
		req.Header.Del(k)
	}
}

// fill puts saved URLs in the place of {name}.
func (r *runner) fill(v string) string {
	for name, location := range r.saved {
		v = strings.ReplaceAll(v, "{"+name+"}", location)
	}
	return v
}

func (r *runner) target(to string) (string, error) {
	name, saved := strings.CutPrefix(to, "#")
	switch {
	case saved:
		ref, err := r.base.Parse(r.saved[name])
		if err != nil {
			return "", err
		}
		return ref.String(), nil
	case strings.HasPrefix(to, "/"):
		return r.base.Scheme + "://" + r.base.Host + to, nil
	case to == "":
		return r.base.String(), nil
	}
	return strings.TrimSuffix(r.base.String(), "/") + "/" + to, nil
}

func (r *runner) check(x exchange, res *http.Response, body []byte) error {
	if !slices.Contains(x.status, res.StatusCode) {
		return fmt.Errorf("got status %d, want one of %v; body %.200q", res.StatusCode, x.status, body)
	}
	for k, want := range x.want {
		got, present := res.Header[http.CanonicalHeaderKey(k)]
		switch {
		case want == "" && present:
			return fmt.Errorf("got %s %q, want none", k, got)
		case want == "*" && !present:
			return fmt.Errorf("got no %s", k)
		case want != "" && want != "*" && (len(got) != 1 || got[0] != r.fill(want)):
			return fmt.Errorf("got %s %q, want %q", k, got, r.fill(want))
		}
	}
	// 431 is said by the HTTP server, of a request whose headers nobody has read.
	if x.method != http.MethodOptions && res.StatusCode != http.StatusRequestHeaderFieldsTooLarge && res.Header.Get("Tus-Resumable") != "1.0.0" {
		return fmt.Errorf("got Tus-Resumable %q, want it in every response", res.Header.Get("Tus-Resumable"))
	}
	if x.empty && len(body) > 0 {
		return fmt.Errorf("got body %.100q, want none", body)
	}
	if !bytes.Contains(body, []byte(x.text)) {
		return fmt.Errorf("got body %.200q, want %q in it", body, x.text)
	}
	return nil
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
