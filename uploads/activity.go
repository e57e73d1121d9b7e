package uploads

import (
	"context"
	"maps"
	"strings"
	"sync"
	"time"

	"sluice/media"
	"sluice/storage"
)

// skew is how far the clock of a storage may be off.
const skew = 2 * time.Minute

// activity says which unfinished uploads a node that died may have left with all their bytes. Such an upload had bytes stored since the
// round before, or its bytes are committed already; the rest is idle and needs no look. Both are told by one list of the unfinished
// writes, with the time of their last change: on S3 one request for a thousand of them, where asking each for its offset is one for each.
// A nil activity suspects nothing.
type activity struct {
	backends []string
	settle   time.Duration // a younger row without a write may be on its way

	since time.Time              // when the last round that saw everything began; zero: there was none
	again map[media.AssetID]bool // were in use then

	now    time.Time
	listed bool
	mu     sync.Mutex             // for what follows: backends are looked at side by side
	of     map[string]bool        // the backends that have answered
	writes map[media.AssetID]bool // their unfinished ones, and whether something came lately
	busy   map[media.AssetID]bool
}

func newActivity(backends []string, settle time.Duration) *activity {
	return &activity{backends: backends, settle: settle}
}

// look begins a round.
func (v *activity) look(ctx context.Context, store *storage.Store, now time.Time, all bool) error {
	if v == nil {
		return nil
	}
	v.now, v.listed, v.of, v.writes, v.busy = now, all, nil, nil, map[media.AssetID]bool{}
	if all {
		return nil
	}
	v.writes, v.of = map[media.AssetID]bool{}, map[string]bool{}
	err := each(v.backends, func(name string) error {
		found := map[media.AssetID]bool{}
		for o, err := range store.Unfinished(ctx, name) {
			if err != nil {
				return err
			}
			if id, err := media.ParseAssetID(o.Key[strings.LastIndexByte(o.Key, '/')+1:]); err == nil {
				found[id] = o.ModTime.After(v.since.Add(-skew))
			}
		}
		v.mu.Lock()
		defer v.mu.Unlock()
		maps.Copy(v.writes, found)
		v.of[name] = true
		return nil
	})
	v.listed = err == nil
	return err
}

// suspects reports whether an unfinished upload may have all its bytes.
func (v *activity) suspects(a *media.Asset) bool {
	if v == nil || !v.of[a.Backend] {
		return false
	}
	lately, unfinished := v.writes[a.ID]
	switch {
	case v.again[a.ID]:
		return true
	case unfinished:
		return lately
	}
	return v.now.Sub(a.CreatedAt) > v.settle
}

// inUse remembers an upload that could not be looked at.
func (v *activity) inUse(id media.AssetID) {
	if v != nil {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.busy[id] = true
	}
}

// looked ends a round.
func (v *activity) looked() {
	if v != nil && v.listed {
		v.since, v.again, v.of, v.writes = v.now, v.busy, nil, nil
	}
}
