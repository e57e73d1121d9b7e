package conformance_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/internal/livetest"
)

// Promise U4: of many PATCHes at one offset one is told 204, and the bytes are that one's; no loser is told of a failure of ours.
func TestOfManyWritersOneIsToldYes(t *testing.T) {
	t.Parallel()
	c := open(t, livetest.Options{})
	const writers, rounds, size = 12, 5, 200_000
	for range rounds {
		_, u := c.start(size)
		answers := make([]answer, writers)
		var wg sync.WaitGroup
		for i := range writers {
			wg.Go(func() {
				body := strings.Repeat(string(rune('a'+i)), size)
				// A connection cut before its body was read is a loser's as well: no answer, no 204.
				answers[i], _ = c.try(http.MethodPatch, u, body, "Tus-Resumable", "1.0.0", "Content-Type", chunkType, "Upload-Offset", "0")
			})
		}
		wg.Wait()
		winner := -1
		for i, a := range answers {
			switch a.status {
			case 204:
				if winner >= 0 {
					t.Errorf("writers %d and %d are both told 204", winner, i)
				}
				winner = i
			case 0, 409, 423, 413:
			default:
				t.Errorf("a loser is told %d %.200s", a.status, a.body)
			}
		}
		h := c.want(200, http.MethodHead, u, "", "Tus-Resumable", "1.0.0")
		if winner < 0 {
			if h.get("Upload-Offset") == strconv.Itoa(size) {
				t.Error("finished, and nobody was told")
			}
			continue
		}
		got := c.want(200, http.MethodGet, c.want(302, http.MethodGet, u, "").get("Location"), "").body
		if want := strings.Repeat(string(rune('a'+winner)), size); got != want {
			t.Errorf("the stored bytes are not those of writer %d, who was told 204", winner)
		}
	}
}

// Promise U6: by every path, many at once, what is stored stays within the owner's quota, and deleting gives room again.
func TestTheQuotaBoundsWhatIsStoredByEveryPath(t *testing.T) {
	t.Parallel()
	c := open(t, livetest.Options{Args: []string{"--set", "uploads.quota=1MiB", "--set", "uploads.max_size=4MiB"}})
	const piece = 300 << 10
	body := string(noise(piece))
	head := []string{"Authorization", c.ann, "Tus-Resumable", "1.0.0"}
	var mu sync.Mutex
	statuses, ids := map[int]int{}, []string{}
	note := func(a answer, err error) {
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		statuses[a.status]++
		if id := a.get("Sluice-Media-Id"); a.status == 201 {
			ids = append(ids, id)
		}
	}
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			switch i % 3 {
			case 0: // whole, in one request
				note(c.try(http.MethodPost, "/files/", body, append(head, "Upload-Length", fmt.Sprint(piece), "Content-Type", chunkType)...))
			case 1: // a length, and bytes later
				note(c.try(http.MethodPost, "/files/", "", append(head, "Upload-Length", fmt.Sprint(piece))...))
			case 2: // a deferred length
				note(c.try(http.MethodPost, "/files/", body, append(head, "Upload-Defer-Length", "1", "Content-Type", chunkType)...))
			}
		})
	}
	wg.Wait()
	if statuses[201] == 0 || statuses[413] == 0 || statuses[201]+statuses[413]+statuses[403] != 12 {
		t.Errorf("12 creations of 300 KiB within 1 MiB: %v", statuses)
	}
	stored := func() (sum int64) {
		var p page
		c.call(200, "GET", "/api/media?limit=200&state=stored,ready", "", &p)
		for _, m := range p.Items {
			sum += m.FileSize
		}
		for _, u := range c.openUploads(c.ann) {
			sum += u.Offset
		}
		return sum
	}
	if sum := stored(); sum > 1<<20 {
		t.Errorf("%d bytes are stored, the quota is 1 MiB", sum)
	}
	for _, id := range ids {
		if a := c.send("DELETE", "/api/media/"+id, "", "Authorization", c.ann, "If-Match", "*"); a.status != 204 {
			t.Errorf("delete %s: %d %s", id, a.status, a.body)
		}
	}
	// There is room again: for parts, and not for what they make beyond it.
	part := c.want(201, http.MethodPost, "/files/", body, append(head, "Upload-Length", fmt.Sprint(piece), "Content-Type", chunkType, "Upload-Concat", "partial")...)
	twice := part.get("Location") + " " + part.get("Location")
	c.want(201, http.MethodPost, "/files/", "", append(head, "Upload-Concat", "final;"+twice)...)
	if a := c.send(http.MethodPost, "/files/", "", append(head, "Upload-Concat", "final;"+twice+" "+twice)...); a.status != 413 && a.status != 403 {
		t.Errorf("a joined upload beyond the quota: %d", a.status)
	}
	// Another owner has a quota of their own.
	c.want(201, http.MethodPost, "/files/", body, "Authorization", c.as("bob", "instructor"), "Tus-Resumable", "1.0.0", "Upload-Length", fmt.Sprint(piece), "Content-Type", chunkType)
}

// Promises U5, C1 and C3: what was acknowledged as finished is there after a kill, once, with its hash, and becomes ready by itself.
func TestWhatIsFinishedIsFinishedForEver(t *testing.T) {
	t.Parallel()
	c := open(t, livetest.Options{})
	locations, sums := map[string]string{}, map[string]string{}
	for i := range 8 {
		body := string(noise(100_000 + i))
		id, u := c.start(len(body))
		for off := 0; off < len(body); off += 60_000 {
			c.want(204, http.MethodPatch, u, body[off:min(off+60_000, len(body))], "Tus-Resumable", "1.0.0", "Content-Type", chunkType, "Upload-Offset", strconv.Itoa(off))
		}
		sum := sha256.Sum256([]byte(body))
		locations[id], sums[id] = u, fmt.Sprintf("%x", sum)
	}
	c.s.Kill()
	c.s.Start()
	for id, u := range locations {
		if h := c.want(200, http.MethodHead, u, "", "Tus-Resumable", "1.0.0"); h.get("Upload-Offset") != h.get("Upload-Length") || h.get("Upload-Length") == "" {
			t.Errorf("a finished upload after a kill: %v", h.header)
		}
		livetest.Until(t, 10*time.Second, "it is ready with its hash", func() bool {
			var m struct{ State, SHA256 string }
			c.call(200, "GET", "/api/media/"+id, "", &m)
			return m.State == "ready" && m.SHA256 == sums[id]
		})
		a := c.want(200, http.MethodGet, c.link(id, "v"), "")
		got := sha256.Sum256([]byte(a.body))
		if fmt.Sprintf("%x", got) != sums[id] || a.get("Repr-Digest") != "sha-256=:"+base64.StdEncoding.EncodeToString(got[:])+":" {
			t.Errorf("the bytes of %s are others: %v", id, a.header)
		}
	}
	var list struct{ Items []json.RawMessage }
	c.call(200, "GET", "/api/media?limit=200", "", &list)
	if len(list.Items) != len(locations) {
		t.Errorf("%d rows for %d uploads", len(list.Items), len(locations))
	}
}
