package uploads_test

import (
	"net/http"
	"testing"

	"sluice/uploads"
	"sluice/uploads/tustest"
)

func TestTus(t *testing.T) {
	t.Parallel()
	const limit = 2 << 20
	for name, disk := range map[string]bool{"memory": false, "local": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := start(t, uploads.Options{MaxSize: limit}, nil)
			if disk {
				b = start(t, uploads.Options{MaxSize: limit, Ack: "durable"}, onDisk(t))
			}
			tustest.Run(t, b.server.URL+"/files", tustest.Options{
				Header:  http.Header{"Authorization": {teacher}},
				Stray:   http.Header{"Authorization": {"Bearer stranger/instructor"}},
				MaxSize: limit,
			})
		})
	}
}

func TestTusHasEnoughCases(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	for _, n := range tustest.Names() {
		if names[n] {
			t.Errorf("two cases are named %q", n)
		}
		names[n] = true
	}
	if len(names) < 80 {
		t.Errorf("got %d cases, want at least 80", len(names))
	}
}
