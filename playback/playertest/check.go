package playertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

func (p *player) play(ctx context.Context, c Case) error {
	method, url, file := c.Method, p.target.URL, p.target.Body
	if method == "" {
		method = http.MethodGet
	}
	if c.Empty {
		url, file = p.target.Empty, nil
	}
	header := http.Header{}
	for _, line := range c.Header {
		name, value, _ := strings.Cut(p.fill(line, int64(len(file))), ": ")
		header[http.CanonicalHeaderKey(name)] = append(header[http.CanonicalHeaderKey(name)], value)
	}
	resp, body, err := p.do(ctx, method, url, header)
	if err != nil {
		return err
	}
	if !slices.Contains(c.Want, resp.StatusCode) {
		return fmt.Errorf("got %s, want one of %v", resp.Status, c.Want)
	}
	errs := []error{p.common(resp)}
	switch resp.StatusCode {
	case http.StatusOK:
		errs = append(errs, p.full(method, resp, body, file, c.Empty))
	case http.StatusPartialContent:
		errs = append(errs, p.partial(resp, body, file, c.Spans))
	case http.StatusNotModified:
		errs = append(errs, p.unmodified(resp, body))
	case http.StatusRequestedRangeNotSatisfiable:
		want := "bytes */" + strconv.Itoa(len(file))
		if got := resp.Header.Get("Content-Range"); got != want {
			errs = append(errs, fmt.Errorf("a 416 with Content-Range %q, want %q", got, want))
		}
	case http.StatusMethodNotAllowed:
		if allow := resp.Header.Get("Allow"); !strings.Contains(allow, "GET") || !strings.Contains(allow, "HEAD") {
			errs = append(errs, fmt.Errorf("a 405 with Allow %q, want GET and HEAD in it (section 15.5.6)", allow))
		}
	}
	return errors.Join(errs...)
}

func (p *player) fill(line string, size int64) string {
	return strings.NewReplacer(
		"{etag}", p.seen.etag, "{weak}", "W/"+p.seen.etag, "{modified}", p.seen.modified,
		"{earlier}", p.seen.date.Add(-time.Hour).Format(http.TimeFormat),
		"{second before}", p.seen.date.Add(-time.Second).Format(http.TimeFormat),
		"{later}", p.seen.date.Add(time.Hour).Format(http.TimeFormat),
		"{rfc850}", p.seen.date.UTC().Format("Monday, 02-Jan-06 15:04:05 GMT"),
		"{asctime}", p.seen.date.UTC().Format(time.ANSIC),
		"{size}", strconv.FormatInt(size, 10), "{last}", strconv.FormatInt(size-1, 10),
	).Replace(line)
}

// common holds for every answer.
func (p *player) common(resp *http.Response) error {
	if _, err := http.ParseTime(resp.Header.Get("Date")); err != nil {
		return fmt.Errorf("the Date is %q (section 6.6.1)", resp.Header.Get("Date"))
	}
	if ok := resp.StatusCode == 200 || resp.StatusCode == 206; !ok && resp.StatusCode != 416 && resp.Header.Get("Content-Range") != "" {
		return fmt.Errorf("a %d with a Content-Range", resp.StatusCode)
	}
	return nil
}

func (p *player) full(method string, resp *http.Response, body, file []byte, empty bool) error {
	h := resp.Header
	if h.Get("Content-Range") != "" {
		return errors.New("a 200 with a Content-Range")
	}
	if got := h.Get("Content-Length"); got != strconv.Itoa(len(file)) {
		return fmt.Errorf("Content-Length %q, want %d", got, len(file))
	}
	if h.Get("Accept-Ranges") != "bytes" {
		return fmt.Errorf("Accept-Ranges %q, want bytes", h.Get("Accept-Ranges"))
	}
	if !empty && (h.Get("ETag") != p.seen.etag || h.Get("Last-Modified") != p.seen.modified) {
		return fmt.Errorf("the validators changed: %q %q", h.Get("ETag"), h.Get("Last-Modified"))
	}
	if p.target.Type != "" && !empty && h.Get("Content-Type") != p.target.Type {
		return fmt.Errorf("Content-Type %q, want %q", h.Get("Content-Type"), p.target.Type)
	}
	if method == http.MethodHead {
		if len(body) != 0 {
			return fmt.Errorf("a HEAD with %d bytes", len(body))
		}
		return nil
	}
	if !bytes.Equal(body, file) {
		return fmt.Errorf("the bytes differ: got %d, want %d", len(body), len(file))
	}
	return nil
}

func (p *player) partial(resp *http.Response, body, file []byte, spans []Span) error {
	h := resp.Header
	if h.Get("ETag") != p.seen.etag {
		return fmt.Errorf("a 206 with the ETag %q, want %q (section 15.3.7)", h.Get("ETag"), p.seen.etag)
	}
	if len(body) != int(resp.ContentLength) {
		return fmt.Errorf("a 206 of %d bytes with Content-Length %d", len(body), resp.ContentLength)
	}
	if len(spans) == 1 {
		return checkPart(h, body, file, spans[0])
	}
	kind, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil || kind != "multipart/byteranges" {
		return fmt.Errorf("Content-Type %q, want multipart/byteranges", h.Get("Content-Type"))
	}
	if h.Get("Content-Range") != "" {
		return errors.New("a multipart 206 with a Content-Range of its own (section 15.3.7.2)")
	}
	parts := multipart.NewReader(bytes.NewReader(body), params["boundary"])
	for i, s := range spans {
		part, err := parts.NextRawPart()
		if err != nil {
			return fmt.Errorf("part %d: %w", i, err)
		}
		content, err := io.ReadAll(part)
		if err != nil {
			return fmt.Errorf("part %d: %w", i, err)
		}
		if p.target.Type != "" && part.Header.Get("Content-Type") != p.target.Type {
			return fmt.Errorf("part %d: Content-Type %q, want %q", i, part.Header.Get("Content-Type"), p.target.Type)
		}
		if err := checkPart(http.Header(part.Header), content, file, s); err != nil {
			return fmt.Errorf("part %d: %w", i, err)
		}
	}
	if _, err := parts.NextRawPart(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("after %d parts: %w, want the end", len(spans), err)
	}
	return nil
}

func checkPart(h http.Header, content, file []byte, s Span) error {
	size := int64(len(file))
	if s.First < 0 {
		s.First += size
	}
	if s.Last < 0 {
		s.Last += size
	}
	want := fmt.Sprintf("bytes %d-%d/%d", s.First, s.Last, size)
	if got := h.Get("Content-Range"); got != want {
		return fmt.Errorf("Content-Range %q, want %q", got, want)
	}
	if !bytes.Equal(content, file[s.First:s.Last+1]) {
		return fmt.Errorf("the bytes of %s differ", want)
	}
	return nil
}

func (p *player) unmodified(resp *http.Response, body []byte) error {
	if resp.Header.Get("ETag") != p.seen.etag {
		return fmt.Errorf("a 304 with the ETag %q, want %q (section 15.4.5)", resp.Header.Get("ETag"), p.seen.etag)
	}
	if len(body) != 0 {
		return fmt.Errorf("a 304 with %d bytes", len(body))
	}
	return nil
}
