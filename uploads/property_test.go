package uploads_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sluice/storage/memory"
	"sluice/uploads"
)

// model is what a client knows of one upload.
type model struct {
	location string
	content  string // what it will have sent in the end
	acked    int    // the largest offset it was told
	sent     int    // the furthest byte it has ever sent
	metadata string
	deferred bool
}

// history drives one Service through a random life and holds it to U1 to U4.
type history struct {
	b       *bench
	uploads []*model
}

func (h *history) pick(t *rapid.T) *model {
	if len(h.uploads) == 0 {
		h.create(t)
	}
	return h.uploads[rapid.IntRange(0, len(h.uploads)-1).Draw(t, "upload")]
}

func (h *history) create(t *rapid.T) {
	size := rapid.IntRange(0, 5000).Draw(t, "size")
	rnd := rand.New(rand.NewPCG(uint64(len(h.uploads)), 1)) //nolint:gosec // test content
	var sb strings.Builder
	for range size {
		sb.WriteByte(byte(0x80 | rnd.IntN(128)))
	}
	m := &model{content: sb.String(), metadata: meta("raw", fmt.Sprintf("\xff%d", size)), deferred: rapid.Bool().Draw(t, "deferred")}
	pairs := []string{"Upload-Metadata", m.metadata}
	if m.deferred {
		pairs = append(pairs, "Upload-Defer-Length", "1")
	} else {
		pairs = append(pairs, "Upload-Length", fmt.Sprint(size))
	}
	m.location = h.b.create(pairs...)
	h.uploads = append(h.uploads, m)
}

func (h *history) patch(t *rapid.T) {
	m := h.pick(t)
	from := m.acked
	if rapid.IntRange(0, 4).Draw(t, "wrong") == 0 {
		from = rapid.IntRange(0, len(m.content)).Draw(t, "from")
	}
	to := rapid.IntRange(from, len(m.content)).Draw(t, "to")
	pairs := []string{}
	declares := m.deferred && to == len(m.content)
	if declares {
		pairs = append(pairs, "Upload-Length", fmt.Sprint(len(m.content)))
	}
	rep := h.b.patch(m.location, fmt.Sprint(from), m.content[from:to], pairs...)
	switch rep.status {
	case http.StatusNoContent:
		if got := rep.header.Get("Upload-Offset"); got != fmt.Sprint(to) {
			t.Fatalf("204 with offset %s, want %d", got, to)
		}
		m.acked, m.sent = to, max(m.sent, to)
		m.deferred = m.deferred && !declares
	case http.StatusConflict:
		if from == h.offset(t, m) {
			t.Fatalf("409 at the true offset %d", from)
		}
	case http.StatusRequestEntityTooLarge, http.StatusLocked: // beyond the end; a cut request is not over yet
	default:
		t.Fatalf("PATCH %d..%d of %d: got %d %s", from, to, len(m.content), rep.status, rep.body)
	}
}

// cut sends fewer bytes than it says, and hangs up.
func (h *history) cut(t *rapid.T) {
	m := h.pick(t)
	from := h.offset(t, m)
	if from == len(m.content) {
		return
	}
	to := rapid.IntRange(from, len(m.content)).Draw(t, "to")
	c := h.b.dial()
	c.say("PATCH %s HTTP/1.1\r\nHost: x\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: %d\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s",
		m.location, from, chunked, len(m.content)-from, m.content[from:to])
	m.sent = max(m.sent, to)
	_ = c.Close()
}

func (h *history) offset(t *rapid.T, m *model) int {
	var rep reply
	eventually(h.b.t, 5*time.Second, "HEAD knows the offset", func() bool { // a request that was cut may be finishing
		rep = h.b.head(m.location)
		return rep.status != http.StatusLocked
	})
	var off int
	if _, err := fmt.Sscan(rep.header.Get("Upload-Offset"), &off); err != nil || rep.status != http.StatusOK {
		t.Fatalf("HEAD: got %d, offset %q", rep.status, rep.header.Get("Upload-Offset"))
	}
	if got := rep.header.Get("Upload-Metadata"); got != m.metadata {
		t.Fatalf("metadata: got %q, want %q", got, m.metadata)
	}
	if deferred := rep.header.Get("Upload-Defer-Length") == "1"; deferred != m.deferred {
		t.Fatalf("deferred: got %t, want %t", deferred, m.deferred)
	}
	return off
}

// check holds each upload to the promises after each step.
func (h *history) check(t *rapid.T) {
	for _, m := range h.uploads {
		off := h.offset(t, m)
		if off < m.acked {
			t.Fatalf("U1: offset %d, %d were acknowledged", off, m.acked)
		}
		if off > m.sent && len(m.content) > 0 {
			t.Fatalf("U2: offset %d, %d were sent", off, m.sent)
		}
		m.acked = off
		if a := h.b.row(m.location); a.State.Finished() && len(m.content) > 0 {
			if got := h.b.content(m.location); got != m.content {
				t.Fatalf("U2: the stored bytes are others")
			}
		}
	}
}

func TestRandomLivesKeepThePromises(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		h := &history{b: start(t, uploads.Options{}, memory.New())}
		defer h.b.server.Close()
		rt.Repeat(map[string]func(*rapid.T){
			"create": h.create, "patch": h.patch, "patch more": h.patch, "cut": h.cut,
			"restart": func(*rapid.T) { h.b.boot() },
			"sweep": func(rt *rapid.T) {
				if err := h.b.s.Sweep(rt.Context(), true); err != nil {
					rt.Fatal(err)
				}
			},
			"": h.check,
		})
	})
}
