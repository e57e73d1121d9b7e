package playback_test

import (
	"testing"

	"sluice/playback/playertest"
	"sluice/storage"
)

func TestRFC9110(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		size     int
		streamed bool
		delivery storage.Delivery
	}{
		"a small file from disk":                   {size: 5000},
		"a large file from disk":                   {size: 300_000},
		"a small file as a stream":                 {size: 5000, streamed: true},
		"a large file as a stream":                 {size: 300_000, streamed: true},
		"a small file over a network":              {size: 5000, delivery: storage.Proxy},
		"a large file over a network":              {size: 300_000, delivery: storage.Proxy},
		"a small file of a backend that redirects": {size: 5000, delivery: storage.Redirect},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := open(t, choices{streamed: tt.streamed, delivery: tt.delivery})
			content := noise(tt.size)
			a, none := h.add(content, nil), h.add(nil, nil)
			playertest.Run(t, playertest.Target{URL: h.ticket(a, nil), Body: content, Type: "video/mp4", Empty: h.ticket(none, nil)})
		})
	}
}

func TestRFC9110OnPublicMedia(t *testing.T) {
	t.Parallel()
	h := open(t, choices{})
	content := noise(5000)
	playertest.Run(t, playertest.Target{URL: h.public(h.add(content, public)), Body: content, Empty: h.public(h.add(nil, public))})
}
