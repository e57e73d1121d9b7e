package uploads_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/uploads"
)

// raw is a connection that sends what it is told, when it is told.
type raw struct {
	net.Conn
	t testing.TB
}

func (b *bench) dial() raw {
	b.t.Helper()
	var d net.Dialer
	c, err := d.DialContext(b.t.Context(), "tcp", b.server.Listener.Addr().String())
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = c.Close() })
	return raw{c, b.t}
}

func (c raw) say(format string, args ...any) {
	c.t.Helper()
	if _, err := fmt.Fprintf(c, format, args...); err != nil {
		c.t.Fatal(err)
	}
}

// answer reads the answer's status; 0 when the connection was closed without one.
func (c raw) answer(method string) int {
	c.t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		c.t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		return 0
	}
	_ = res.Body.Close()
	return res.StatusCode
}

// stalled starts a PATCH that sends some of its bytes and then nothing, and waits until they are kept.
func (b *bench) stalled(location string, length int, sent string) raw {
	b.t.Helper()
	c := b.dial()
	c.say("PATCH %s HTTP/1.1\r\nHost: x\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\nContent-Type: application/offset+octet-stream\r\nContent-Length: %d\r\n\r\n%s",
		location, length, sent)
	b.until(location, fmt.Sprint(len(sent)))
	return c
}

func (b *bench) until(location, off string) {
	b.t.Helper()
	eventually(b.t, 5*time.Second, "HEAD shows offset "+off, func() bool {
		rep := b.head(location)
		return rep.status == http.StatusOK && rep.header.Get("Upload-Offset") == off
	})
}

func TestAStalledPatchGivesWay(t *testing.T) {
	t.Parallel()
	b := start(t, uploads.Options{StallAfter: 100 * time.Millisecond}, onDisk(t))
	location := b.create("Upload-Length", "10")
	old := b.stalled(location, 10, "hello")
	since := time.Now()
	eventually(t, time.Second, "the stall is long enough", func() bool { return time.Since(since) > 100*time.Millisecond })
	started := time.Now()
	if rep := b.patch(location, "5", "world"); rep.status != http.StatusNoContent {
		t.Fatalf("take-over: got %d %s, want 204", rep.status, rep.body)
	}
	if took := time.Since(started); took > 250*time.Millisecond { // some 2 ms on a machine that does nothing else
		t.Errorf("take-over took %v", took)
	} else {
		t.Logf("take-over took %v", took)
	}
	if status := old.answer(http.MethodPatch); status != 0 && status != http.StatusConflict && status != http.StatusLocked {
		t.Errorf("the old PATCH was answered %d, want 409, 423 or a close", status)
	}
	if got := b.content(location); got != "helloworld" {
		t.Errorf("got %q", got)
	}
}

func TestATakeOverSeesTheTrueOffset(t *testing.T) {
	t.Parallel()
	b := start(t, uploads.Options{StallAfter: 50 * time.Millisecond}, nil)
	location := b.create("Upload-Length", "10")
	b.stalled(location, 10, "hello")
	if rep := b.patch(location, "0", "HELLOWORLD"); rep.status != http.StatusConflict {
		t.Fatalf("got %d, want 409", rep.status)
	}
	b.wantOffset(location, "5")
}

func TestDeleteTakesOver(t *testing.T) {
	t.Parallel()
	b := start(t, uploads.Options{StallAfter: 50 * time.Millisecond}, onDisk(t))
	location := b.create("Upload-Length", "10")
	b.stalled(location, 10, "hello")
	if rep := b.send(http.MethodDelete, location, nil); rep.status != http.StatusNoContent {
		t.Fatalf("got %d, want 204", rep.status)
	}
	if rep := b.head(location); rep.status != http.StatusNotFound {
		t.Errorf("HEAD after it: got %d, want 404", rep.status)
	}
}

func TestALivingPatchKeepsTheUpload(t *testing.T) {
	t.Parallel()
	b := start(t, uploads.Options{StallAfter: 500 * time.Millisecond}, nil)
	const size = 400
	location := b.create("Upload-Length", fmt.Sprint(size))
	c := b.stalled(location, size, "x")
	var wg sync.WaitGroup
	wg.Go(func() { // one byte now and then
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for range size - 1 {
			<-tick.C
			if _, err := io.WriteString(c, "x"); err != nil {
				t.Errorf("the living PATCH was cut: %v", err)
				return
			}
		}
	})
	if rep := b.patch(location, "1", "y"); rep.status != http.StatusLocked || rep.header.Get("Retry-After") == "" {
		t.Errorf("got %d, Retry-After %q, want 423 with one", rep.status, rep.header.Get("Retry-After"))
	}
	if rep := b.head(location); rep.status != http.StatusOK {
		t.Errorf("HEAD beside a PATCH: got %d, want 200", rep.status)
	}
	wg.Wait()
	if status := c.answer(http.MethodPatch); status != http.StatusNoContent {
		t.Errorf("the living PATCH was answered %d, want 204", status)
	}
	if got := b.content(location); got != strings.Repeat("x", size) {
		t.Errorf("got other bytes than were sent")
	}
}

func TestOfRacingPatchesOneWins(t *testing.T) {
	t.Parallel()
	b := start(t, uploads.Options{}, onDisk(t))
	for range 20 {
		location := b.create("Upload-Length", "4000")
		statuses := make([]int, 4)
		var wg sync.WaitGroup
		for i := range statuses {
			wg.Go(func() {
				rep, err := b.try(http.MethodPatch, location, strings.NewReader(strings.Repeat(string(rune('a'+i)), 1000)), "Upload-Offset", "0")
				if err != nil {
					t.Error(err)
				}
				statuses[i] = rep.status
			})
		}
		wg.Wait()
		won := 0
		for _, status := range statuses {
			switch status {
			case http.StatusNoContent:
				won++
			case http.StatusConflict, http.StatusLocked:
			default:
				t.Errorf("a racing PATCH was answered %d", status)
			}
		}
		if won != 1 {
			t.Fatalf("%d racing PATCHes were told 204, want 1", won)
		}
		b.wantOffset(location, "1000")
	}
}

func TestACutPatchKeepsItsBytes(t *testing.T) {
	t.Parallel()
	b := start(t, uploads.Options{}, onDisk(t))
	location := b.create("Upload-Length", "10")
	if err := b.stalled(location, 10, "hello").Close(); err != nil {
		t.Fatal(err)
	}
	if rep := b.patch(location, "5", "world"); rep.status != http.StatusNoContent {
		t.Fatalf("got %d %s, want 204", rep.status, rep.body)
	}
	if got := b.content(location); got != "helloworld" {
		t.Errorf("got %q", got)
	}
}

func TestASilentClientIsCut(t *testing.T) {
	t.Parallel()
	b := start(t, uploads.Options{Network: 100 * time.Millisecond}, nil)
	location := b.create("Upload-Length", "10")
	c := b.stalled(location, 10, "hello")
	if status := c.answer(http.MethodPatch); status != 0 && status != http.StatusServiceUnavailable {
		t.Errorf("got %d, want 503 or a close", status)
	}
	b.wantOffset(location, "5")
}

func TestASilentSmallCreationIsCut(t *testing.T) {
	t.Parallel()
	b := start(t, uploads.Options{Network: 100 * time.Millisecond}, nil)
	c := b.dial()
	c.say("POST /files HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\nTus-Resumable: 1.0.0\r\nUpload-Length: 10\r\nContent-Type: application/offset+octet-stream\r\nContent-Length: 10\r\n\r\nhello", teacher)
	if status := c.answer(http.MethodPost); status != 0 && status != http.StatusServiceUnavailable {
		t.Errorf("got %d, want 503 or a close", status)
	}
}

func TestShutdownKeepsBytes(t *testing.T) {
	t.Parallel()
	b := start(t, uploads.Options{}, onDisk(t))
	location := b.create("Upload-Length", "10")
	c := b.stalled(location, 10, "hello")
	if err := b.s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if status := c.answer(http.MethodPatch); status != 0 && status != http.StatusServiceUnavailable {
		t.Errorf("the running PATCH was answered %d, want 503 or a close", status)
	}
	if rep := b.patch(location, "5", "world"); rep.status != http.StatusServiceUnavailable {
		t.Errorf("a PATCH after it: got %d, want 503", rep.status)
	}
	b.boot()
	b.wantOffset(location, "5")
	if rep := b.patch(location, "5", "world"); rep.status != http.StatusNoContent {
		t.Errorf("after the restart: got %d, want 204", rep.status)
	}
}
