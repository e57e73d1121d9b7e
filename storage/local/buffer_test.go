package local

import (
	"testing"
	"testing/synctest"
	"time"
)

// The buffer follows the pace of the client: what a thousand slow ones hold is the memory the gateway needs.
func TestBufferFollowsThePace(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		every time.Duration // between reads
		reads []int         // what each brings; -1: all the buffer takes
		want  int
	}{
		{"begins small", 0, nil, smallBuffer},
		{"a fast client grows it", 0, []int{-1, -1, -1, -1, -1, -1, -1, -1}, middleBuffer},
		{"and again", 0, []int{-1, -1, -1, -1, -1, -1, -1, -1, -1}, largeBuffer},
		{"a client that fills it twice a second does not", 500 * time.Millisecond, []int{-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1}, smallBuffer},
		{"a read that does not fill it begins anew", 0, []int{-1, -1, -1, -1, -1, -1, -1, 100, -1}, smallBuffer},
		{"one small read changes nothing", 0, []int{-1, -1, -1, -1, -1, -1, -1, -1, -1, 100, -1}, largeBuffer},
		{"a fast client that trickles now gives it back", 0, []int{-1, -1, -1, -1, -1, -1, -1, -1, -1, 9, 9, 9, 9, 9, 9, 9, 9}, smallBuffer},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newBuffers().get()
				defer b.put()
				for _, n := range c.reads {
					if n < 0 {
						n = len(*b.b)
					}
					b.fit(n)
					<-time.After(c.every)
				}
				if got := len(*b.b); got != c.want {
					t.Errorf("after %v the buffer has %d bytes, want %d", c.reads, got, c.want)
				}
			})
		})
	}
}
