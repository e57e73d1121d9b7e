package playback_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/media"
	"sluice/playback"
	"sluice/storage"
)

// replaced gives an asset the bytes of another, as the catalogue does: all but what the bytes bring along stays. The old ones are dropped.
func (h *house) replaced(a media.Asset, content []byte) media.Asset {
	h.tb.Helper()
	by := h.add(content, nil)
	h.shelf.drop(by.ID)
	was := a
	a.ContentID, a.Key, a.Size, a.SHA256, a.StoredAt = by.ID, by.Key, by.Size, by.SHA256, by.StoredAt
	a.UpdatedAt = time.Now()
	a.Version++
	h.shelf.put(a)
	must(h.tb, h.store.Delete(h.tb.Context(), was.Backend, was.Key))
	return a
}

// fill is n bytes that are others for each seed, everywhere.
func fill(n int, seed byte) []byte {
	b := noise(n)
	for i := range b {
		b[i] = b[i]&0xf0 | seed&0xf
	}
	return b
}

func digest(content []byte) string {
	sum := sha256.Sum256(content)
	return "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
}

func TestReplacedBytesComeWithTheirOwnHeaders(t *testing.T) {
	t.Parallel()
	for name, streamed := range map[string]bool{"of files": false, "streamed": true} {
		for _, size := range []int{8 << 10, 300_000} {
			t.Run(fmt.Sprintf("%s, %d bytes", name, size), func(t *testing.T) {
				t.Parallel()
				h := open(t, choices{streamed: streamed})
				before, after := fill(size, 1), fill(size-100, 2)
				a := h.add(before, public)
				link := h.ticket(a, nil)
				var old answer
				for range 4 { // whatever may be remembered is
					old = h.do(http.MethodGet, link)
				}
				id := hex.EncodeToString(a.ID[:])
				if got := old.header.Get("ETag"); got != `"`+id+`"` {
					t.Errorf("never replaced: the tag is %s", got)
				}
				date := old.header.Get("Last-Modified")
				a = h.replaced(a, after)
				tag := `"` + id + hex.EncodeToString(a.ContentID[:]) + `"`
				now := a.UpdatedAt.Add(time.Second).UTC().Format(http.TimeFormat)
				for _, tt := range []struct {
					name   string
					header []string
					want   int
					body   []byte
				}{
					{"the whole", nil, 200, after},
					{"a range", []string{"Range", "bytes=10-99"}, 206, after[10:100]},
					{"a range, if it is the old one", []string{"Range", "bytes=10-99", "If-Range", old.header.Get("ETag")}, 200, after},
					{"a range, if it is the new one", []string{"Range", "bytes=10-99", "If-Range", tag}, 206, after[10:100]},
					{"a range, if it is of the old date", []string{"Range", "bytes=10-99", "If-Range", date}, 200, after},
					{"the end, of a size that was", []string{"Range", fmt.Sprintf("bytes=%d-", size-50)}, 416, nil},
					{"if it is not the old one", []string{"If-None-Match", old.header.Get("ETag")}, 200, after},
					{"if it is not the new one", []string{"If-None-Match", tag}, 304, nil},
					{"if it is the old one", []string{"If-Match", old.header.Get("ETag")}, 412, nil},
					{"if modified since the old date", []string{"If-Modified-Since", date}, 200, after},
					{"if modified since now", []string{"If-Modified-Since", now}, 200, after},
					{"if unmodified since the old date", []string{"If-Unmodified-Since", date, "Range", "bytes=0-9"}, 412, nil},
					{"if unmodified since now", []string{"If-Unmodified-Since", now, "Range", "bytes=0-9"}, 206, after[:10]},
				} {
					for where, u := range map[string]string{"signed": link, "public": h.public(a)} {
						got := h.do(http.MethodGet, u, tt.header...)
						if got.status != tt.want || tt.body != nil && !bytes.Equal(got.body, tt.body) {
							t.Errorf("%s, %s: got %d and %d bytes, or others, want %d", where, tt.name, got.status, len(got.body), tt.want)
						}
						if tt.body != nil {
							h.saysNew(where+", "+tt.name, got.header, tag, after)
						}
					}
				}
				head := h.do(http.MethodHead, link)
				h.saysNew("HEAD", head.header, tag, after)
				if got := head.header.Get("Content-Length"); got != fmt.Sprint(len(after)) {
					t.Errorf("HEAD: a length of %s", got)
				}
				r, w := newRecorded(t)
				h.handler.Content(w, r, a, a.Owner)
				h.saysNew("by login", w.Header(), tag, after)
				if !bytes.Equal(w.Body.Bytes(), after) {
					t.Errorf("by login: got %d bytes, or others", w.Body.Len())
				}
				parts := h.do(http.MethodGet, link, "Range", "bytes=0-99,5000-5099")
				h.saysNew("two ranges", parts.header, tag, after)
				if got := runs(t, parts); !bytes.Equal(got, append(bytes.Clone(after[:100]), after[5000:5100]...)) {
					t.Errorf("two ranges: other bytes")
				}
				a = h.replaced(a, before)
				if got := h.do(http.MethodGet, link); got.header.Get("ETag") == tag || got.header.Get("ETag") == old.header.Get("ETag") || !bytes.Equal(got.body, before) {
					t.Errorf("replaced again: the tag %s, and %d bytes, or others", got.header.Get("ETag"), len(got.body))
				}
			})
		}
	}
}

// saysNew checks headers that tell of a content that took another's place.
func (h *house) saysNew(name string, head http.Header, tag string, content []byte) {
	h.tb.Helper()
	if head.Get("ETag") != tag || head.Get("Repr-Digest") != digest(content) || head.Get("Last-Modified") != "" {
		h.tb.Errorf("%s: tag %s, digest %s, date %q, want %s, %s and none", name, head.Get("ETag"), head.Get("Repr-Digest"), head.Get("Last-Modified"), tag, digest(content))
	}
}

// runs joins the parts of a multipart answer.
func runs(t *testing.T, a answer) []byte {
	t.Helper()
	_, params, err := mime.ParseMediaType(a.header.Get("Content-Type"))
	must(t, err)
	var all []byte
	for r := multipart.NewReader(bytes.NewReader(a.body), params["boundary"]); ; {
		p, err := r.NextPart()
		if errors.Is(err, io.EOF) {
			return all
		}
		must(t, err)
		b, err := io.ReadAll(p)
		must(t, err)
		all = append(all, b...)
	}
}

func TestABodyUnderWayKeepsToItsBytes(t *testing.T) {
	t.Parallel()
	const size = 24 << 20
	old, fresh := fill(size, 1), fill(size, 2)
	for name, c := range map[string]choices{"of files": {}, "streamed": {streamed: true}} {
		for _, tt := range []struct {
			name, ranged string
			want         []byte // nil: cut, for what comes next is gone
		}{
			{"whole", "", old},
			{"a range", "Range: bytes=100-\r\n", old[100:]},
			{"two ranges", "Range: bytes=0-20000000,21000000-21999999\r\n", nil},
		} {
			t.Run(name+", "+tt.name, func(t *testing.T) {
				t.Parallel()
				h := open(t, c)
				a := h.add(old, nil)
				conn := dial(t, h, h.ticket(a, nil), tt.ranged)
				first := make([]byte, 1000)
				_, err := io.ReadFull(conn, first)
				must(t, err)
				h.replaced(a, fresh)
				must(t, conn.CloseWrite()) // nothing else is asked, so that the end comes
				rest, err := io.ReadAll(conn)
				must(t, err)
				all := append(first, rest...)
				head, body, _ := bytes.Cut(all, []byte("\r\n\r\n"))
				if !strings.Contains(string(head), `Etag: "`+hex.EncodeToString(a.ID[:])+`"`) {
					t.Errorf("the head is %s", head)
				}
				if tt.want != nil {
					if !bytes.Equal(body, tt.want) {
						t.Errorf("got %d bytes, or others, want the %d it began with", len(body), len(tt.want))
					}
					return
				}
				if bytes.Contains(body, fresh[21_000_000:21_000_064]) || bytes.HasSuffix(body, []byte("--\r\n")) {
					t.Error("the second part is of the new bytes, or the answer ends as if it were whole")
				}
				if at := bytes.Index(body, []byte("\r\n\r\n")) + 4; !bytes.HasPrefix(body[at:], old[:20_000_001]) {
					t.Error("the first part is not what it began with")
				}
			})
		}
	}
}

func TestTagsAndBytesAgreeWhileTheyAreReplaced(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]choices{"of files": {}, "streamed": {streamed: true}} {
		for _, size := range []int{3000, 200_000} {
			t.Run(fmt.Sprintf("%s, %d bytes", name, size), func(t *testing.T) {
				t.Parallel()
				h := open(t, c)
				a := h.add(fill(size, 0), nil)
				link := h.ticket(a, nil)
				ctx, stop := context.WithCancel(t.Context())
				var readers sync.WaitGroup
				tags := make([]map[string][]byte, 4)
				for i := range tags {
					tags[i] = map[string][]byte{}
					readers.Go(func() {
						for ctx.Err() == nil {
							got := h.do(http.MethodGet, link)
							if got.status == http.StatusNotFound { // replaced twice between the look at its row and at its bytes
								continue
							}
							if got.status != 200 || got.err != nil || got.header.Get("Repr-Digest") != digest(got.body) {
								t.Errorf("got %d, %v, and bytes that are not those of their digest", got.status, got.err)
							}
							tags[i][got.header.Get("ETag")] = got.body
						}
					})
				}
				for n := range 40 {
					a = h.replaced(a, fill(size+n, byte(n)))
				}
				stop()
				readers.Wait()
				all := map[string][]byte{}
				for _, seen := range tags {
					for tag, body := range seen {
						if was := all[tag]; was != nil && !bytes.Equal(was, body) {
							t.Errorf("the tag %s stood for two contents", tag)
						}
					}
					maps.Copy(all, seen)
				}
				if got := h.do(http.MethodGet, link); !bytes.Equal(got.body, fill(size+39, 39&0xf)) {
					t.Errorf("at rest: %d bytes, or others", len(got.body))
				}
			})
		}
	}
}

// late gives the rows in turn, and the last one from then on: a lookup that came just before a change.
type late struct {
	mu   sync.Mutex
	rows []media.Asset
}

func (l *late) Asset(context.Context, media.AssetID) (media.Asset, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.rows[0]
	if len(l.rows) > 1 {
		l.rows = l.rows[1:]
	}
	return a, nil
}

func TestARequestThatFindsOldBytesGoneLooksAgain(t *testing.T) {
	t.Parallel()
	change := func(f func(*media.Asset)) func(media.Asset) media.Asset {
		return func(a media.Asset) media.Asset { f(&a); return a }
	}
	for _, tt := range []struct {
		name   string
		second func(media.Asset) media.Asset
		header []string
		want   int
	}{
		{"the new bytes are there", change(func(*media.Asset) {}), nil, 200},
		{"a range of them", change(func(*media.Asset) {}), []string{"Range", "bytes=0-9"}, 206},
		{"two ranges of them", change(func(*media.Asset) {}), []string{"Range", "bytes=0-9,500-509"}, 206},
		{"a range of the old ones", change(func(*media.Asset) {}), []string{"Range", "bytes=0-9", "If-Range", "old"}, 200},
		{"the links were taken back as well", change(func(a *media.Asset) { a.Epoch++ }), nil, 404},
		{"it is private now", change(func(a *media.Asset) { a.Public = false }), nil, 404},
		{"the new ones are gone too", change(func(a *media.Asset) { a.Key = storage.KeyFor(media.NewAssetID(time.Now())) }), nil, 404},
	} {
		for name, streamed := range map[string]bool{"of files": false, "streamed": true} {
			t.Run(tt.name+", "+name, func(t *testing.T) {
				t.Parallel()
				h := open(t, choices{streamed: streamed})
				a := h.add(fill(1000, 1), public)
				fresh := fill(2000, 2)
				b := tt.second(h.replaced(a, fresh))
				rows := &late{rows: []media.Asset{a, b}}
				handler, err := playback.New(rows, h.store, h.ring, h.tally, playback.Options{})
				must(t, err)
				r, w := newRecorded(t)
				r.URL.Path = "/m/" + a.ID.String()
				for i := 0; i+1 < len(tt.header); i += 2 {
					r.Header.Set(tt.header[i], strings.ReplaceAll(tt.header[i+1], "old", `"`+hex.EncodeToString(a.ID[:])+`"`))
				}
				handler.ServeHTTP(w, r)
				if w.Code != tt.want {
					t.Fatalf("got %d %s, want %d", w.Code, w.Body, tt.want)
				}
				if w.Code < 300 {
					h.saysNew(tt.name, w.Header(), `"`+hex.EncodeToString(a.ID[:])+hex.EncodeToString(b.ContentID[:])+`"`, fresh)
				}
				if w.Code == 200 && !bytes.Equal(w.Body.Bytes(), fresh) {
					t.Errorf("got %d bytes, or others", w.Body.Len())
				}
				if n := len(h.tally.take()); tt.want == 404 && n != 0 || tt.want != 404 && n != 2 {
					t.Errorf("counted %d times", n)
				}
			})
		}
	}
}

func TestARedirectLeadsToTheBytesThatAreThereNow(t *testing.T) {
	t.Parallel()
	h := open(t, choices{delivery: storage.Redirect})
	before, after := fill(large, 1), fill(large, 2)
	a := h.add(before, nil)
	link := h.ticket(a, nil)
	old := h.location(link)
	if h.location(link) != old {
		t.Fatal("the URL is not remembered")
	}
	ours := `"` + hex.EncodeToString(a.ID[:]) + `"`
	theirs := h.follow(link).header.Get("ETag")
	a = h.replaced(a, after)
	if got := h.location(link); got == old {
		t.Error("the URL leads to the old bytes")
	}
	future := time.Now().Add(-time.Second).UTC().Format(http.TimeFormat)
	for _, tt := range []struct {
		name   string
		header []string
		want   int // followed
		sent   int // before that
	}{
		{"plainly", nil, 200, 307},
		{"our old tag", []string{"If-None-Match", ours}, 200, 307},
		{"the backend's old tag", []string{"If-None-Match", theirs}, 200, 307},
		{"our new tag", []string{"If-None-Match", `"` + hex.EncodeToString(a.ID[:]) + hex.EncodeToString(a.ContentID[:]) + `"`}, 304, 304},
		{"the backend's old tag, and a date that does not count", []string{"If-None-Match", theirs, "If-Modified-Since", future}, 200, 307},
		{"a date is judged here", []string{"If-Modified-Since", future}, 200, 200},
		{"a range by a date as well", []string{"Range", "bytes=0-9", "If-Range", future}, 200, 200},
		{"a range by the old tag", []string{"Range", "bytes=0-9", "If-Range", theirs}, 200, 307},
		{"unmodified since before", []string{"If-Unmodified-Since", time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat)}, 412, 412},
	} {
		if got := h.do(http.MethodGet, link, tt.header...); got.status != tt.sent {
			t.Errorf("%s: got %d, want %d", tt.name, got.status, tt.sent)
		}
		got := h.follow(link, tt.header...)
		if got.status != tt.want || got.status == 200 && !bytes.Equal(got.body, after) {
			t.Errorf("%s: got %d and %d bytes, or others, want %d", tt.name, got.status, len(got.body), tt.want)
		}
	}
}
