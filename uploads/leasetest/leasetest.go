// Package leasetest is the contract of uploads.Leases as tests: one case for each of its sentences, named by it. Every server of leases
// passes it, and Memory, its reference; what is broken on purpose does not.
package leasetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"sluice/media"
	"sluice/uploads"
)

// Place is a server of a case's own.
type Place struct {
	// Node makes one more node, not running yet. It ends with the test.
	Node func() Node

	// Forget makes the server forget every lease while it goes on.
	Forget func()
}

// Node is one node's leases, and the way to its server.
type Node struct {
	uploads.Leases
	Cut  func() // from now on neither side hears the other
	Mend func() // ends Cut
}

// Open makes the server of a case.
type Open func(t testing.TB) Place

// Promise is one sentence of the contract.
type Promise struct {
	Name string
	keep func(b *bench) error
}

// Run checks every promise.
func Run(t *testing.T, open Open) {
	t.Helper()
	for _, p := range Promises() {
		t.Run(p.Name, func(t *testing.T) {
			t.Parallel()
			if err := p.Check(t, open); err != nil {
				t.Error(err)
			}
		})
	}
}

// Check tells how an implementation breaks the promise; nil when it keeps it.
func (p Promise) Check(t testing.TB, open Open) error {
	b := &bench{t: t, place: open(t)}
	err := p.keep(b)
	for _, n := range b.nodes {
		err = errors.Join(err, n.end())
	}
	return err
}

// within bounds what comes by itself.
const within = 5 * time.Second

// bench is the nodes of a case.
type bench struct {
	t     testing.TB
	place Place
	nodes []*node
}

// node is a Node that runs, and what it hears.
type node struct {
	Node
	asked, freed chan string
	cancel       context.CancelFunc
	done         chan error
}

// node starts one more.
func (b *bench) node() *node {
	ctx, cancel := context.WithCancel(context.WithoutCancel(b.t.Context()))
	n := &node{Node: b.place.Node(), asked: make(chan string, 100), freed: make(chan string, 100), cancel: cancel, done: make(chan error, 1)}
	note := func(c chan string) func(string) {
		return func(name string) {
			select {
			case c <- name:
			default:
			}
		}
	}
	go func() { n.done <- n.Run(ctx, note(n.asked), note(n.freed)) }()
	b.nodes = append(b.nodes, n)
	_ = b.eventually(func() bool { // until it has found its server
		giveBack, held, err := n.Take(b.t.Context(), fmt.Sprintf("start:%d", len(b.nodes)), func() {})
		if err == nil && held {
			giveBack()
		}
		return err == nil
	})
	return n
}

// end stops a node as its process would.
func (n *node) end() error {
	n.cancel()
	if n.done == nil {
		return nil
	}
	err := <-n.done
	n.done = nil
	return err
}

// hold is a lease that was got.
type hold struct {
	giveBack func() bool
	mu       sync.Mutex
	lost     []time.Time
	first    chan struct{} // closed when it is lost
}

// take takes a name that must be free. A server that is slow for a moment is asked again.
func (b *bench) take(n *node, name string) (h *hold, err error) {
	_ = b.eventually(func() bool {
		h, err = b.takeNow(n, name)
		return !errors.Is(err, media.Unavailable)
	})
	return h, err
}

func (b *bench) takeNow(n *node, name string) (*hold, error) {
	h := &hold{first: make(chan struct{})}
	once := sync.OnceFunc(func() { close(h.first) })
	giveBack, held, err := n.Take(b.t.Context(), name, func() {
		h.mu.Lock()
		h.lost = append(h.lost, time.Now())
		h.mu.Unlock()
		once()
	})
	if err != nil {
		return nil, fmt.Errorf("take %s: %w", name, err)
	}
	if !held {
		return nil, fmt.Errorf("take %s: somebody has it", name)
	}
	h.giveBack = giveBack
	return h, nil
}

func (h *hold) losses() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.lost)
}

// refused checks that a name is not lent.
func (b *bench) refused(n *node, name string) error {
	var giveBack func() bool
	var held bool
	var err error
	_ = b.eventually(func() bool {
		giveBack, held, err = n.Take(b.t.Context(), name, func() {})
		return !errors.Is(err, media.Unavailable)
	})
	if err != nil {
		return fmt.Errorf("take %s: %w, want it refused", name, err)
	}
	if held {
		giveBack()
		return fmt.Errorf("%s was lent twice", name)
	}
	return nil
}

// ask asks for a name. A server that is slow for a moment is asked again.
func (b *bench) ask(n *node, name string) (err error) {
	_ = b.eventually(func() bool {
		err = n.Ask(b.t.Context(), name)
		return !errors.Is(err, media.Unavailable)
	})
	return err
}

// frees waits until a name can be taken, and tells when that was.
func (b *bench) frees(n *node, name string) (h *hold, at time.Time, err error) {
	err = b.eventually(func() bool {
		at = time.Now()
		var terr error
		h, terr = b.takeNow(n, name)
		return terr == nil
	})
	if err != nil {
		return nil, at, fmt.Errorf("%s does not come free: %w", name, err)
	}
	return h, at, nil
}

func (b *bench) eventually(is func() bool) error {
	limit := time.NewTimer(within)
	defer limit.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-limit.C:
			return fmt.Errorf("not within %v", within)
		}
	}
	return nil
}

// heard waits for a message about a name.
func heard(c <-chan string, name string, limit time.Duration) error {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		select {
		case got := <-c:
			if got == name {
				return nil
			}
		case <-timer.C:
			return fmt.Errorf("nothing was heard of %s within %v", name, limit)
		}
	}
}

// unavailable checks that an error says so, and came soon.
func unavailable(what string, call func() error) error {
	start := time.Now()
	err := call()
	took := time.Since(start)
	if !errors.Is(err, media.Unavailable) {
		return fmt.Errorf("%s: got %w, want unavailable", what, err)
	}
	if took > 600*time.Millisecond { // 300 ms on a machine that does nothing else
		return fmt.Errorf("%s took %v", what, took)
	}
	return nil
}
