package leasetest

import (
	"context"
	"slices"
	"sync"
	"time"

	"sluice/media"
	"sluice/uploads"
)

// Memory is a server of leases in this process: the reference that keeps every promise in the fewest lines.
type Memory struct {
	mu      sync.Mutex
	holders map[string]*memoryLease
	waiting map[string][]*MemoryNode
}

type memoryLease struct {
	node *MemoryNode
	name string
	lost func()
}

// NewMemory makes a server that lends nothing yet.
func NewMemory() *Memory {
	return &Memory{holders: map[string]*memoryLease{}, waiting: map[string][]*MemoryNode{}}
}

// Node is one more node of the server.
func (m *Memory) Node() *MemoryNode { return &MemoryNode{server: m} }

// Forget ends every lease, as a server does that starts again with nothing.
func (m *Memory) Forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, e := range m.holders {
		delete(m.holders, name)
		e.lost()
	}
}

// MemoryNode is one node's view of a Memory.
type MemoryNode struct {
	server       *Memory
	running, cut bool // guarded by server.mu
	asked, freed func(string)
}

var _ uploads.Leases = (*MemoryNode)(nil)

// Cut keeps the node from the server. Its leases are lost, and free a moment later.
func (n *MemoryNode) Cut() {
	m := n.server
	m.mu.Lock()
	defer m.mu.Unlock()
	n.cut = true
	for name, e := range m.holders {
		if e.node == n {
			e.lost()
			time.AfterFunc(10*time.Millisecond, func() { m.free(name, e) })
		}
	}
}

// Mend ends Cut.
func (n *MemoryNode) Mend() {
	n.server.mu.Lock()
	defer n.server.mu.Unlock()
	n.cut = false
}

func (n *MemoryNode) Take(_ context.Context, name string, lost func()) (func() bool, bool, error) {
	m := n.server
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := n.away(); err != nil {
		return nil, false, err
	}
	if m.holders[name] != nil {
		return nil, false, nil
	}
	e := &memoryLease{node: n, name: name, lost: sync.OnceFunc(lost)}
	m.holders[name] = e
	return func() bool { return m.free(name, e) }, true, nil
}

func (n *MemoryNode) away() error {
	if n.cut || !n.running {
		return media.Errorf(media.Unavailable, "no leases")
	}
	return nil
}

// free ends a lease and tells those who asked for it.
func (m *Memory) free(name string, e *memoryLease) bool {
	m.mu.Lock()
	if m.holders[name] != e {
		m.mu.Unlock()
		return false
	}
	delete(m.holders, name)
	waiting := m.waiting[name]
	delete(m.waiting, name)
	m.mu.Unlock()
	for _, n := range waiting {
		n.freed(name)
	}
	return true
}

func (n *MemoryNode) Ask(_ context.Context, name string) error {
	m := n.server
	m.mu.Lock()
	err := n.away()
	e := m.holders[name]
	if err == nil && e != nil && !slices.Contains(m.waiting[name], n) {
		m.waiting[name] = append(m.waiting[name], n)
	}
	m.mu.Unlock()
	switch {
	case err != nil:
		return err
	case e == nil:
		n.freed(name)
	default:
		e.node.asked(name)
	}
	return nil
}

func (n *MemoryNode) Run(ctx context.Context, asked, freed func(string)) error {
	m := n.server
	m.mu.Lock()
	n.running, n.asked, n.freed = true, asked, freed
	m.mu.Unlock()
	<-ctx.Done()
	m.mu.Lock()
	n.running = false
	var left []*memoryLease
	for _, e := range m.holders {
		if e.node == n {
			left = append(left, e)
		}
	}
	m.mu.Unlock()
	for _, e := range left {
		m.free(e.name, e)
	}
	return nil
}
