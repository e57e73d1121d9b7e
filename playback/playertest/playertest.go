// Package playertest is what players, caches and download managers do to a media URL, as a list of cases against any server: RFC 9110's
// ranges, conditions, methods and aborts. It knows a URL and the bytes behind it, and nothing else of the server.
package playertest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"
)

// Target is a file on a server.
type Target struct {
	URL  string
	Body []byte // what stands there: at least 200 bytes
	Type string // its Content-Type; "" is not looked at

	// Empty is the URL of a file of no bytes; "" leaves its cases out of the list.
	Empty string

	Client *http.Client // nil: one of its own
}

// seen is what a server says of the file when nothing special is asked.
type seen struct {
	etag, modified string
	date           time.Time
}

// Case is one request and what must come of it.
type Case struct {
	Name   string
	Method string // "": GET
	Empty  bool   // asks for the empty file

	// Header holds "Name: value" lines. {etag}, {weak}, {modified}, {earlier}, {later}, {size}, {last} stand for what the server said.
	Header []string

	Want []int // statuses allowed; RFC 9110 leaves a choice here and there

	// Spans are the byte ranges that a 206 must carry, in order: one of them as itself, more as multipart/byteranges.
	Spans []Span
}

// Span is a range of bytes, both ends included; a negative Last counts from the size, as does a negative First.
type Span struct{ First, Last int64 }

// Run puts every case to a server.
func Run(t *testing.T, target Target) {
	t.Helper()
	client := target.Client
	if client == nil {
		transport := &http.Transport{DisableCompression: true}
		t.Cleanup(transport.CloseIdleConnections)
		client = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	p := &player{target: target, client: client}
	if err := p.learn(t.Context()); err != nil {
		t.Fatalf("look at the file: %v", err)
	}
	t.Run("cases", func(t *testing.T) {
		for _, c := range Cases() {
			if c.Empty && target.Empty == "" {
				continue
			}
			t.Run(c.Name, func(t *testing.T) {
				t.Parallel()
				if err := p.play(t.Context(), c); err != nil {
					t.Error(err)
				}
			})
		}
	})
	t.Run("aborts", func(t *testing.T) { p.aborts(t) })
}

// Check plays all cases and aborts outside a test, and gives the failures by the cases' names.
func Check(ctx context.Context, target Target) (failures map[string]error, err error) {
	client := target.Client
	if client == nil {
		transport := &http.Transport{DisableCompression: true}
		defer transport.CloseIdleConnections()
		client = &http.Client{Transport: transport}
	}
	p := &player{target: target, client: client}
	if err := p.learn(ctx); err != nil {
		return nil, err
	}
	failures = map[string]error{}
	for _, c := range Cases() {
		if c.Empty && target.Empty == "" {
			continue
		}
		if err := p.play(ctx, c); err != nil {
			failures[c.Name] = err
		}
	}
	return failures, nil
}

type player struct {
	target Target
	client *http.Client
	seen   seen
}

func (p *player) learn(ctx context.Context) error {
	resp, body, err := p.do(ctx, http.MethodGet, p.target.URL, nil)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK || !bytes.Equal(body, p.target.Body) {
		return fmt.Errorf("a plain GET: %s and %d bytes, want 200 and the %d bytes of the file", resp.Status, len(body), len(p.target.Body))
	}
	p.seen = seen{etag: resp.Header.Get("ETag"), modified: resp.Header.Get("Last-Modified")}
	if p.seen.etag == "" || p.seen.etag[0] != '"' {
		return fmt.Errorf("the ETag is %q, want a strong one", p.seen.etag)
	}
	if p.seen.date, err = http.ParseTime(p.seen.modified); err != nil {
		return fmt.Errorf("the Last-Modified is %q: %w", p.seen.modified, err)
	}
	return nil
}

func (p *player) do(ctx context.Context, method, url string, header http.Header) (*http.Response, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return nil, nil, fmt.Errorf("make a request: %w", err)
	}
	for name, values := range header {
		req.Header[name] = values
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", method, err)
	}
	body, err := io.ReadAll(resp.Body)
	if cerr := resp.Body.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read the answer %s: %w", resp.Status, err)
	}
	return resp, body, nil
}

// aborts leaves answers in the middle, and then expects the file whole and the connection pool in order.
func (p *player) aborts(t *testing.T) {
	for _, how := range []struct {
		name string
		read int64
	}{{"a client that leaves after the head", 0}, {"a client that leaves after one byte", 1}, {"a client that leaves after half", int64(len(p.target.Body) / 2)}} {
		t.Run(how.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.target.URL, nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := p.client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.CopyN(io.Discard, resp.Body, how.read); err != nil {
				t.Fatal(err)
			}
			cancel()
			_ = resp.Body.Close() // cut on purpose
			if err := p.play(t.Context(), Case{Name: "whole", Want: []int{200}}); err != nil {
				t.Errorf("the next client: %v", err)
			}
		})
	}
}
