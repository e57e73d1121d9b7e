package curation

import (
	"sync"
	"sync/atomic"
	"time"

	"sluice/media"
)

// compared remembers lists of places that were just compared with what the catalogue says. For a course of 200 videos that costs as much as all else of
// a read together.
type compared struct {
	era atomic.Uint64 // moved on by Touch

	mu     sync.Mutex
	lists  map[media.PlaceQuery]comparison
	places int // in all lists
}

type comparison struct {
	places []media.Place
	at     time.Time
	era    uint64
}

const (
	// comparedFor is how long a list needs no comparing while nothing is heard of a change: what another node changes shows after that at the latest, also
	// when its message is lost. Its counts are written once a second.
	comparedFor = 250 * time.Millisecond

	maxCompared = 1 << 15 // places, of 0.7 KiB each
)

// Touch is told that something may have changed that lists of places show: an asset, or counts.
func (l *LMS) Touch() { l.compared.era.Add(1) }

// now is the era to give to what is read from here on.
func (c *compared) now() uint64 { return c.era.Load() }

func (c *compared) get(q media.PlaceQuery) ([]media.Place, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, ok := c.lists[q]
	if !ok || n.era != c.era.Load() || time.Since(n.at) > comparedFor {
		return nil, false
	}
	return n.places, true
}

// put keeps a list that was read in an era that began before the reading.
func (c *compared) put(q media.PlaceQuery, places []media.Place, at time.Time, era uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.places += len(places) + 1
	if old, ok := c.lists[q]; ok {
		c.places -= len(old.places) + 1
	}
	if c.lists == nil || c.places > maxCompared {
		c.lists, c.places = map[media.PlaceQuery]comparison{}, len(places)+1
	}
	c.lists[q] = comparison{places, at, era}
}
