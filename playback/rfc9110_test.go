package playback_test

import (
	"testing"

	"sluice/playback/playertest"
)

func TestRFC9110(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		size     int
		streamed bool
	}{
		"a small file from disk":   {5000, false},
		"a large file from disk":   {300_000, false},
		"a small file as a stream": {5000, true},
		"a large file as a stream": {300_000, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := open(t, choices{streamed: tt.streamed})
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
