// Package memory keeps a bounded number of values in the process, those most likely to be asked for again. It knows nothing about how
// long a value is good for.
package memory

import (
	"fmt"
	"math"

	"github.com/maypok86/otter/v2"
)

// Map is a bounded map for any number of goroutines. Each operation is atomic: a Get that begins after a Delete has returned does not
// see what was deleted.
type Map[K comparable, V any] struct{ entries *otter.Cache[K, V] }

// New makes a map of at most size entries, or, with weigh, of entries that weigh so much together; one counts as 1 at least. The size must
// be positive. What weighs more by itself is not kept.
func New[K comparable, V any](size int, weigh func(K, V) int) (*Map[K, V], error) {
	if size <= 0 {
		return nil, fmt.Errorf("cache memory: a size of %d", size)
	}
	o := &otter.Options[K, V]{MaximumSize: size}
	if weigh != nil {
		o = &otter.Options[K, V]{MaximumWeight: uint64(size), Weigher: func(k K, v V) uint32 {
			return uint32(min(max(weigh(k, v), 1), math.MaxInt32)) //nolint:gosec // within bounds
		}}
	}
	entries, err := otter.New(o)
	if err != nil {
		return nil, fmt.Errorf("cache memory: %w", err)
	}
	return &Map[K, V]{entries: entries}, nil
}

// Get reads a value. It does not allocate.
func (m *Map[K, V]) Get(k K) (V, bool) { return m.entries.GetIfPresent(k) }

// Set keeps a value; another may go for it.
func (m *Map[K, V]) Set(k K, v V) { m.entries.Set(k, v) }

// Delete forgets a value.
func (m *Map[K, V]) Delete(k K) { m.entries.Invalidate(k) }

// Close ends what works in the background.
func (m *Map[K, V]) Close() { m.entries.StopAllGoroutines() }
