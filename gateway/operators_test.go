package gateway_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sluice/gateway"
)

func TestReadyz(t *testing.T) {
	t.Parallel()
	var down error
	critical := false
	w := setup(t, func(o *gateway.Options) {
		o.Checks = []gateway.Check{
			{Name: "catalogue", Critical: true, Probe: func(context.Context) error {
				if critical {
					return down
				}
				return nil
			}},
			{Name: "entities", Probe: func(context.Context) error { return errors.New("dial mongodb://user:password@host") }},
		}
	})
	if resp, body := w.do("GET", "/readyz", ""); resp.StatusCode != 200 || !strings.Contains(body, `"status":"degraded"`) || strings.Contains(body, "password") {
		t.Errorf("got %d %s", resp.StatusCode, body)
	}
	critical, down = true, errors.New("away")
	other := setup(t, func(o *gateway.Options) {
		o.Checks = []gateway.Check{{Name: "catalogue", Critical: true, Probe: func(context.Context) error { return down }}}
	})
	if resp, body := other.do("GET", "/readyz", ""); resp.StatusCode != 503 || !strings.Contains(body, `"name":"catalogue","status":"down"`) || resp.Header.Get("Retry-After") == "" {
		t.Errorf("got %d %s", resp.StatusCode, body)
	}
	w.g.Drain()
	if resp, body := w.do("GET", "/readyz", ""); resp.StatusCode != 503 || !strings.Contains(body, "draining") {
		t.Errorf("got %d %s", resp.StatusCode, body)
	}
	if resp, _ := w.do("GET", "/livez", ""); resp.StatusCode != 200 {
		t.Errorf("livez while draining: got %d", resp.StatusCode)
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	w := setup(t, nil)
	w.do("GET", "/p/secret-ticket/x", "")
	w.do("BREW", "/api/media", "")
	w.do("GET", "/nowhere/at/all", "")
	for _, c := range []struct {
		want int
		head []string
	}{{401, nil}, {403, []string{as("ida", "instructor")}}, {200, []string{as("root", "admin")}}} {
		resp, body := w.do("GET", "/metrics", "", c.head...)
		if resp.StatusCode != c.want {
			t.Fatalf("got %d, want %d", resp.StatusCode, c.want)
		}
		if c.want == 200 {
			for _, line := range []string{
				`sluice_http_requests_total{method="GET",route="/p/{ticket}/{id}",status=""} 1`,
				`sluice_http_requests_total{method="other",route="none",status="405"} 1`,
				`sluice_http_requests_total{method="GET",route="none",status="404"} 1`,
			} {
				if !strings.Contains(body, line) {
					t.Errorf("no %s in %s", line, body)
				}
			}
			if strings.Contains(body, "secret") || strings.Contains(body, "BREW") {
				t.Error("what strangers sent became a label")
			}
		}
	}
}

func TestServeStopsWhenToldTo(t *testing.T) {
	t.Parallel()
	w := setup(t, func(o *gateway.Options) { o.ShutdownGrace = 50 * time.Millisecond })
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.g.Serve(ctx, l) }()
	var d net.Dialer
	slow, err := d.DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = slow.Close() }()
	// A PATCH whose body never ends: it must not hold the process up for longer than the grace time.
	if _, err := io.WriteString(slow, "PATCH /files/x HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(slow).ReadString('\n'); err != nil { // 100: the handler reads
		t.Fatal(err)
	}
	cancel()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("still serving")
	}
}

func TestReadinessIsSharedAndBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		ask := gateway.NewReadiness([]gateway.Check{{Name: "slow", Critical: true, Probe: func(ctx context.Context) error {
			asked++
			<-ctx.Done()
			return ctx.Err()
		}}})
		start := time.Now()
		for range 10 {
			if got := ask(t.Context()); got.Status != "unavailable" {
				t.Errorf("got %+v", got)
			}
		}
		if took := time.Since(start); asked != 1 || took != time.Second {
			t.Errorf("asked %d times, took %v", asked, took)
		}
	})
}
