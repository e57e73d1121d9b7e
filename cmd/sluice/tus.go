package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// sender is one file on its way to the gateway over tus 1.0.0.
type sender struct {
	c        *client
	file     io.ReaderAt
	size     int64
	chunk    int64 // bytes of one PATCH; 0: all that is left
	retries  int   // attempts in a row that bring nothing
	progress func(offset int64)
	waiting  func(err error, d time.Duration) // told before each wait
	anew     func()                           // told when earlier bytes are lost
	sum      *runningSum                      // of the bytes as they go out; nil: none is wanted

	// deferred uploads learn their length with the last chunk: size is then the end of what is at hand, and whole once that is all.
	deferred, whole bool

	url string // of the upload, once created
	id  string // of the media
}

// errLost says that the gateway no longer knows the upload.
var errLost = errors.New("the upload is gone")

// create makes the upload.
func (s *sender) create(ctx context.Context, metadata string) error {
	return s.retry(ctx, func() (bool, error) {
		resp, err := s.request(ctx, http.MethodPost, s.c.base.JoinPath("files/").String(), http.NoBody, 0, func(h http.Header) {
			if s.deferred {
				h.Set("Upload-Defer-Length", "1")
			} else {
				h.Set("Upload-Length", strconv.FormatInt(s.size, 10))
			}
			h.Set("Authorization", "Bearer "+s.c.token)
			if metadata != "" {
				h.Set("Upload-Metadata", metadata)
			}
		})
		if err != nil {
			return false, err
		}
		defer func() { _ = resp.Body.Close() }()
		if resp.StatusCode != http.StatusCreated {
			return false, s.refused(resp)
		}
		at, err := resp.Request.URL.Parse(resp.Header.Get("Location"))
		if err != nil || resp.Header.Get("Location") == "" {
			return false, &problem{Status: http.StatusBadGateway, Detail: "the answer to the creation has no Location"}
		}
		s.url, s.id = at.String(), resp.Header.Get("Sluice-Media-Id")
		return true, nil
	})
}

// offset asks how much the gateway has. errLost: nothing, and it never will.
func (s *sender) offset(ctx context.Context) (at int64, err error) {
	err = s.retry(ctx, func() (bool, error) {
		at, err = s.head(ctx)
		return false, err
	})
	return at, err
}

func (s *sender) head(ctx context.Context) (int64, error) {
	resp, err := s.request(ctx, http.MethodHead, s.url, http.NoBody, 0, nil)
	if err != nil {
		return 0, err
	}
	_ = resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK, http.StatusNoContent:
	case http.StatusNotFound, http.StatusGone:
		return 0, errLost
	default:
		return 0, s.refused(resp)
	}
	at, err := strconv.ParseInt(resp.Header.Get("Upload-Offset"), 10, 64)
	if err != nil || at < 0 || at > s.size {
		return 0, &problem{Status: http.StatusBadGateway, Detail: "the gateway's Upload-Offset does not fit this file"}
	}
	return at, nil
}

// send brings the bytes from at to the end. After each failure it asks where to go on.
func (s *sender) send(ctx context.Context, at int64) error {
	s.progress(at)
	ask := false
	for at < s.size || ask {
		err := s.retry(ctx, func() (bool, error) {
			if ask {
				n, err := s.head(ctx)
				if err != nil {
					return false, err
				}
				moved := n > at
				at, ask = n, false
				s.progress(at)
				if at == s.size {
					return moved, nil
				}
			}
			n, err := s.patch(ctx, at)
			if err != nil {
				ask = true
				return false, err
			}
			moved := n > at
			at = n
			s.progress(at)
			return moved, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// patch sends one chunk and gives the offset that the gateway acknowledged.
func (s *sender) patch(ctx context.Context, at int64) (int64, error) {
	n := s.size - at
	if s.chunk > 0 {
		n = min(n, s.chunk)
	}
	body := &counted{r: io.NewSectionReader(s.file, at, n), at: at, tell: s.progress, sum: s.sum}
	resp, err := s.request(ctx, http.MethodPatch, s.url, body, n, func(h http.Header) {
		h.Set("Content-Type", "application/offset+octet-stream")
		h.Set("Upload-Offset", strconv.FormatInt(at, 10))
		if s.deferred && s.whole {
			h.Set("Upload-Length", strconv.FormatInt(s.size, 10))
		}
	})
	if err != nil {
		return at, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusNoContent {
		return at, s.refused(resp)
	}
	got, err := strconv.ParseInt(resp.Header.Get("Upload-Offset"), 10, 64)
	if err != nil || got < at || got > s.size {
		return at, &problem{Status: http.StatusBadGateway, Detail: "the gateway's Upload-Offset does not fit this file"}
	}
	return got, nil
}

func (s *sender) request(ctx context.Context, method, target string, body io.Reader, n int64, set func(http.Header)) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return nil, fmt.Errorf("make a request: %w", err)
	}
	req.ContentLength = n
	req.Header.Set("Tus-Resumable", "1.0.0")
	req.Header.Set("Accept", "application/problem+json")
	if set != nil {
		set(req.Header)
	}
	return s.c.http.Do(req)
}

// again is a refusal that passes, and when to come back.
type again struct {
	*problem
	after time.Duration
}

func (s *sender) refused(resp *http.Response) error {
	p := readProblem(resp)
	switch p.Status {
	case http.StatusConflict, http.StatusLocked, http.StatusTooManyRequests, http.StatusRequestTimeout,
		http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		seconds, err := strconv.Atoi(resp.Header.Get("Retry-After"))
		if err != nil || seconds < 0 {
			seconds = 0
		}
		return &again{p, time.Duration(min(seconds, 60)) * time.Second}
	}
	return p
}

// Unwrap gives the problem.
func (a *again) Unwrap() error { return a.problem }

// retry calls f until it succeeds or fails for good. Waits double from 250 ms to 15 s; something that brought bytes starts them anew.
func (s *sender) retry(ctx context.Context, f func() (moved bool, err error)) error {
	wait := 250 * time.Millisecond
	for failed := 0; ; {
		moved, err := f()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		a, passing := errors.AsType[*again](err)
		_, final := errors.AsType[*problem](err)
		if errors.Is(err, errLost) || final && !passing {
			return err
		}
		if moved {
			failed, wait = 0, 250*time.Millisecond
		}
		if failed++; failed > s.retries {
			return err
		}
		d := wait
		if passing {
			d = max(d, a.after)
		}
		s.waiting(err, d)
		timer := time.NewTimer(d)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
		wait = min(2*wait, 15*time.Second)
	}
}

// counted tells how far a body has been read. It hides io.WriterTo, so that reads stay small enough to be told.
type counted struct {
	r    io.Reader
	at   int64
	tell func(int64)
	sum  *runningSum
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.sum.pass(c.at, p[:n])
	c.at += int64(n)
	c.tell(c.at)
	return n, err
}

// metadataHeader writes Upload-Metadata: keys in order, values in base64.
func metadataHeader(values map[string]string) (string, error) {
	var pairs []string
	for k, v := range values {
		if k == "" || strings.ContainsFunc(k, func(r rune) bool { return r <= ' ' || r == ',' || r > '~' }) {
			return "", refuse(nil, "use letters, digits and dashes", "the metadata key %q cannot be sent", k)
		}
		if v == "" {
			pairs = append(pairs, k)
			continue
		}
		pairs = append(pairs, k+" "+base64.StdEncoding.EncodeToString([]byte(v)))
	}
	slices.Sort(pairs)
	return strings.Join(pairs, ","), nil
}

// sameServer reports whether a remembered upload belongs to the gateway of c, so that bytes never follow a stale or planted address.
func (c *client) sameServer(upload string) bool {
	u, err := url.Parse(upload)
	return err == nil && u.Scheme == c.base.Scheme && u.Host == c.base.Host
}
