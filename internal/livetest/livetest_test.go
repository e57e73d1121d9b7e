package livetest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sluice/internal/livetest"
)

func TestProxyPassesWhatItMayAndCutsTheRest(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body) // a cut body is one of the cases
		_, _ = io.WriteString(w, strings.Repeat("x", int(n)))
	}))
	t.Cleanup(server.Close)
	for _, c := range []struct {
		name   string
		budget int64
		cut    bool
	}{
		{"no budget passes everything", -1, false},
		{"a large budget passes everything", 1 << 20, false},
		{"a small budget cuts the body", 1000, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := livetest.NewProxy(t, server.Listener.Addr().String(), livetest.ProxyOptions{Budget: func() int64 { return c.budget }})
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+p.Addr, bytes.NewReader(make([]byte, 5000)))
			if err != nil {
				t.Fatal(err)
			}
			client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
			resp, err := client.Do(req)
			if c.cut {
				if err == nil {
					_ = resp.Body.Close()
					t.Fatal("the request went through")
				}
				if got := p.Cuts(); got != 1 {
					t.Errorf("cuts = %d, want 1", got)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			if err := errors.Join(err, resp.Body.Close()); err != nil {
				t.Fatal(err)
			}
			if len(body) != 5000 {
				t.Errorf("got %d bytes back, want 5000", len(body))
			}
		})
	}
}

//nolint:tparallel // the inner test must have ended
func TestProxyEndsWithItsTest(t *testing.T) {
	t.Parallel()
	var addr string
	t.Run("inner", func(t *testing.T) { addr = livetest.NewProxy(t, "127.0.0.1:1", livetest.ProxyOptions{}).Addr })
	var d net.Dialer
	if conn, err := d.DialContext(t.Context(), "tcp", addr); err == nil {
		_ = conn.Close()
		t.Error("the proxy still listens")
	}
}

func TestPollEndsAtItsLimit(t *testing.T) {
	t.Parallel()
	n := 0
	if !livetest.Poll(t.Context(), time.Minute, func() bool { n++; return n == 3 }) || n != 3 {
		t.Errorf("Poll asked %d times, want 3", n)
	}
	if livetest.Poll(t.Context(), time.Millisecond, func() bool { return false }) {
		t.Error("Poll of what never happens = true")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if livetest.Poll(ctx, time.Hour, func() bool { return false }) {
		t.Error("Poll after cancel = true")
	}
}

func TestMP4IsARealVideo(t *testing.T) {
	t.Parallel()
	if path := livetest.MP4(t, 1); !strings.HasSuffix(path, ".mp4") {
		t.Errorf("path = %s", path)
	}
}
