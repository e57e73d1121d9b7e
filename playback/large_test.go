package playback

import "testing"

func TestLargeBuffersAreFew(t *testing.T) {
	t.Parallel()
	var l largeBuffers
	var taken []*[largeBody]byte
	for range largeCount {
		b := l.take()
		if b == nil {
			t.Fatalf("none is left after %d", len(taken))
		}
		taken = append(taken, b)
	}
	if l.take() != nil {
		t.Errorf("there is one more than %d", largeCount)
	}
	l.put(taken[0])
	l.put(nil)
	if l.take() == nil || l.take() != nil {
		t.Error("one was given back, and that is not what there is")
	}
}
