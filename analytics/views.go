package analytics

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"

	"sluice/media"
)

const viewShards = 64

// views remembers who was recorded as a view of what, and when, for as long as the window lasts. It keeps repeats away from the journal and
// the catalogue, which decides about what passes here: other counters may have seen the viewer.
//
// Each shard keeps two generations, each at least a window long; forgetting is dropping the older one. Nothing is ever scanned.
type views struct {
	window   time.Duration
	limit    int         // entries per generation and shard
	overflow atomic.Bool // a generation was dropped before its time
	shards   [viewShards]viewShard
}

type viewKey struct {
	session media.Session
	asset   media.AssetID
}

// viewShard is used under its lock. Times are durations since the counter's start, by the monotonic clock where they have it.
type viewShard struct {
	mu   sync.Mutex
	born time.Duration // when the younger generation began
	cur  map[viewKey]time.Duration
	prev map[viewKey]time.Duration
	_    [128 - 40]byte // two cache lines each: neighbours do not slow each other
}

func newViews(window time.Duration, maxViews int) *views {
	return &views{window: window, limit: max(maxViews/(2*viewShards), 1)}
}

// shard picks by what is random in the key: the session is a hash, and the second half of an asset's id is drawn.
func (v *views) shard(k *viewKey) *viewShard {
	h := binary.LittleEndian.Uint64(k.session[:]) ^ binary.LittleEndian.Uint64(k.asset[8:])
	return &v.shards[h*0x9e3779b97f4a7c15>>58]
}

// seen reports whether a view was recorded within the window around at. Around, since without a monotonic reading a clock set back may
// put at before the recorded one.
func (s *viewShard) seen(k viewKey, at, window time.Duration) bool {
	counted, ok := s.cur[k]
	if !ok {
		counted, ok = s.prev[k]
	}
	return ok && at-counted < window && counted-at < window
}

// remember keeps a recorded view.
func (v *views) remember(s *viewShard, k viewKey, at time.Duration) {
	full := len(s.cur) >= v.limit
	if s.cur == nil || full || at-s.born >= v.window {
		if full && at-s.born < v.window && len(s.prev) > 0 {
			v.overflow.Store(true)
		}
		s.prev, s.cur, s.born = s.cur, make(map[viewKey]time.Duration), at
	}
	s.cur[k] = at
}

// restore takes a view from the journal.
func (v *views) restore(k viewKey, at time.Duration) {
	s := v.shard(&k)
	s.mu.Lock()
	defer s.mu.Unlock()
	v.remember(s, k, at)
}
