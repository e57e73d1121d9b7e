package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"sluice/configs"
)

// remote are the flags of commands that talk to a running gateway.
type remote struct {
	sources
	Server string `placeholder:"URL" help:"The gateway (SLUICE_SERVER; default: this machine's, by its configuration)."`
	Token  string `placeholder:"JWT" help:"Who asks (SLUICE_TOKEN; default on the gateway's own machine: an admin's)."`
}

// client talks to a gateway.
type client struct {
	base  *url.URL
	token string
	http  *http.Client
}

// connect finds the gateway and a token. Where the gateway's own secret is at hand, a token is made of it; the secret of a data
// directory opens this machine's gateway only.
func (r *remote) connect(s surroundings) (*client, error) {
	l, err := r.load(s, nil)
	if err != nil {
		return nil, err
	}
	address := first(r.Server, l.Variable("SLUICE_SERVER"), l.URL())
	base, err := url.Parse(strings.TrimRight(address, "/") + "/")
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, refuse(err, "write it as http://localhost:5000", "the server %q is not an http or https URL", address)
	}
	c := &client{base: base, token: first(r.Token, l.Variable("SLUICE_TOKEN")), http: newHTTPClient()}
	if c.token != "" {
		return c, nil
	}
	configured := !l.JWT.Secret.Empty()
	if !configured && loopback(base.Hostname()) {
		if err := l.FindKeys(); err != nil {
			return nil, err
		}
	}
	if l.JWT.Secret.Empty() {
		return nil, refuse(configs.ErrKeys, "give --token or SLUICE_TOKEN, or name with --data-dir the data directory of the gateway on this machine",
			"there is no token for %s", base.Host)
	}
	c.token, err = mint(&l.Config, localAdmin, "admin", time.Hour)
	return c, err
}

// localAdmin is the subject of tokens made on the gateway's own machine.
const localAdmin = "admin"

func first(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// newHTTPClient has no total time limit, since an upload may take hours; silence is limited.
func newHTTPClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, DialContext: (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
			ResponseHeaderTimeout: 60 * time.Second, TLSHandshakeTimeout: 10 * time.Second, WriteBufferSize: 256 << 10,
		},
		// A redirect would carry the token, or a PATCH, somewhere nobody asked for.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (c *client) close() { c.http.CloseIdleConnections() }

// problem is an RFC 9457 answer.
type problem struct {
	Status    int    `json:"status"`
	Title     string `json:"title"`
	Detail    string `json:"detail"`
	Code      string `json:"code"`
	RequestID string `json:"requestId"`
}

func (p *problem) Error() string {
	text := first(p.Detail, p.Title, http.StatusText(p.Status))
	if p.Code != "" {
		text += " (" + p.Code + ")"
	}
	return text
}

func readProblem(resp *http.Response) *problem {
	p := &problem{}
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err == nil && json.Unmarshal(body, p) != nil {
		p.Detail = strings.TrimSpace(string(body))
	}
	p.Status = resp.StatusCode
	return p
}

// call sends JSON and reads JSON. in and out may be nil.
func (c *client) call(ctx context.Context, method, path string, in, out any, header http.Header) (http.Header, error) {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return nil, fmt.Errorf("write a request: %w", err)
		}
		body = bytes.NewReader(b)
	}
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	u, err := c.base.Parse(path)
	if err != nil {
		return nil, fmt.Errorf("make a URL: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return nil, fmt.Errorf("make a request: %w", err)
	}
	for k, v := range header {
		req.Header[k] = v
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set("Accept", "application/json")
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.explain(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode >= 300 {
		p := readProblem(resp)
		if err := ctx.Err(); err != nil { // it may have ended within the answer
			return nil, c.explain(err)
		}
		return nil, c.explain(p)
	}
	if out == nil {
		return resp.Header, nil
	}
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, c.explain(fmt.Errorf("its answer was cut: %w", err))
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return nil, refuse(err, "is it a Sluice gateway?", "the answer of %s cannot be read", c.base.Host)
	}
	return resp.Header, nil
}

// explain turns a failure into a cause and a fix.
func (c *client) explain(err error) error {
	if errors.Is(err, context.Canceled) {
		return refuse(errInterrupted, "run the same command again", "interrupted")
	}
	p, ok := errors.AsType[*problem](err)
	if !ok {
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err
		}
		return refuse(err, "start it with sluice serve, or name another with --server", "%s cannot be reached: %v", c.base.Host, err)
	}
	fix := "see the request id " + p.RequestID + " in the gateway's log"
	switch p.Status {
	case http.StatusUnauthorized:
		fix = "give a token that the gateway believes, by --token or SLUICE_TOKEN; sluice token makes one"
	case http.StatusForbidden:
		fix = "use a token with a role that may; sluice token --role admin makes one"
		if p.Code == "link_revoked" {
			fix = "sluice revoke --list shows what is revoked, sluice revoke --lift ends one"
		}
	case http.StatusNotFound:
		fix = "sluice ls lists what there is for you"
	case http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusUnsupportedMediaType, http.StatusConflict, http.StatusGone:
		fix = "correct the request; --help shows examples"
	case http.StatusRequestEntityTooLarge:
		fix = "send a smaller file, free some of the quota with sluice rm, or raise uploads.max_size or uploads.quota"
	case http.StatusInsufficientStorage:
		fix = "free space: sluice ls --sort -size shows what is large, sluice rm deletes"
	case http.StatusServiceUnavailable, http.StatusTooManyRequests, http.StatusLocked:
		fix = "try again in a moment; sluice doctor tells what is away"
	}
	return refuse(p, fix, "the gateway says %d: %v", p.Status, p)
}
