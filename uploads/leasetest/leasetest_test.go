package leasetest_test

import (
	"context"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"sluice/uploads"
	"sluice/uploads/leasetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(testing.TB) leasetest.Place {
	return place(func(n *leasetest.MemoryNode) uploads.Leases { return n })
}

// place is the reference, its nodes changed.
func place(change func(*leasetest.MemoryNode) uploads.Leases) leasetest.Place {
	m := leasetest.NewMemory()
	return leasetest.Place{
		Forget: m.Forget,
		Node: func() leasetest.Node {
			n := m.Node()
			return leasetest.Node{Leases: change(n), Cut: n.Cut, Mend: n.Mend}
		},
	}
}

func TestTheReferenceKeepsTheContract(t *testing.T) {
	t.Parallel()
	leasetest.Run(t, open)
}

// bent is the reference with something wrong about it.
type bent struct {
	uploads.Leases
	take  func(name string, lost func(), back func() bool, held bool, err error) (func() bool, bool, error)
	ask   func(real func() error) error
	heard func(asked, freed func(string)) (func(string), func(string))
	mine  func(lost func()) func()
}

func (b bent) Take(ctx context.Context, name string, lost func()) (func() bool, bool, error) {
	if b.mine != nil {
		lost = b.mine(lost)
	}
	back, held, err := b.Leases.Take(ctx, name, lost)
	if b.take != nil {
		return b.take(name, lost, back, held, err)
	}
	return back, held, err
}

func (b bent) Ask(ctx context.Context, name string) error {
	if b.ask != nil {
		return b.ask(func() error { return b.Leases.Ask(ctx, name) })
	}
	return b.Leases.Ask(ctx, name)
}

func (b bent) Run(ctx context.Context, asked, freed func(string)) error {
	if b.heard != nil {
		asked, freed = b.heard(asked, freed)
	}
	return b.Leases.Run(ctx, asked, freed)
}

func TestWhatIsBrokenFails(t *testing.T) {
	t.Parallel()
	always := func() bool { return true }
	nothing := func(string) {}
	for name, c := range map[string]struct {
		promise string
		bend    func(*leasetest.MemoryNode) bent
	}{
		"it lends to everybody": {"a name is lent to one node at a time", func(*leasetest.MemoryNode) bent {
			return bent{take: func(_ string, _ func(), back func() bool, held bool, err error) (func() bool, bool, error) {
				if err == nil && !held {
					return always, true, nil
				}
				return back, held, err
			}}
		}},
		"it lends to one node twice": {"a node that has a name is refused it as others are", func(*leasetest.MemoryNode) bent {
			var mine sync.Map
			return bent{take: func(name string, _ func(), back func() bool, held bool, err error) (func() bool, bool, error) {
				if _, has := mine.Load(name); err == nil && !held && has {
					return always, true, nil
				}
				mine.Store(name, true)
				return back, held, err
			}}
		}},
		"it keeps what is given back": {"what is given back is lent again", func(*leasetest.MemoryNode) bent {
			return bent{take: func(_ string, _ func(), _ func() bool, held bool, err error) (func() bool, bool, error) {
				return always, held, err
			}}
		}},
		"it says that all is held": {"giving back says whether the name was held until then, and harms nobody who has it since", func(*leasetest.MemoryNode) bent {
			return bent{take: func(_ string, _ func(), back func() bool, held bool, err error) (func() bool, bool, error) {
				return func() bool { back(); return true }, held, err
			}}
		}},
		"it is deaf to askers": {"who has a name hears that it is wanted", func(*leasetest.MemoryNode) bent {
			return bent{heard: func(_, freed func(string)) (func(string), func(string)) { return nothing, freed }}
		}},
		"it does not say what is free": {"who asked hears that the name is given back", func(*leasetest.MemoryNode) bent {
			return bent{heard: func(asked, _ func(string)) (func(string), func(string)) { return asked, nothing }}
		}},
		"it asks nobody": {"who asks for what nobody has hears so at once", func(*leasetest.MemoryNode) bent {
			return bent{ask: func(func() error) error { return nil }}
		}},
		"it does not say what is lost": {"a node that is cut off knows that its leases are lost before others have them", func(*leasetest.MemoryNode) bent {
			return bent{mine: func(func()) func() { return func() {} }}
		}},
		"it does not see what is forgotten": {"what the server forgets is lost", func(*leasetest.MemoryNode) bent {
			return bent{mine: func(func()) func() { return func() {} }}
		}},
		"it says lost twice": {"lost is called once, and not after it was given back", func(*leasetest.MemoryNode) bent {
			return bent{mine: func(lost func()) func() { return func() { lost(); lost() } }}
		}},
		"it hides that the server is away": {"an absent server is unavailable, soon, and is found again", func(*leasetest.MemoryNode) bent {
			return bent{ask: func(real func() error) error { _ = real(); return nil }}
		}},
		"it works without running": {"nothing is lent before and after it runs", func(*leasetest.MemoryNode) bent {
			return bent{take: func(_ string, _ func(), _ func() bool, _ bool, err error) (func() bool, bool, error) {
				return always, err != nil, nil
			}}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, p := range leasetest.Promises() {
				if p.Name != c.promise {
					continue
				}
				err := p.Check(t, func(testing.TB) leasetest.Place {
					return place(func(n *leasetest.MemoryNode) uploads.Leases {
						b := c.bend(n)
						b.Leases = n
						return b
					})
				})
				if err == nil {
					t.Errorf("%q is kept although %s", p.Name, name)
				}
				return
			}
			t.Fatalf("there is no promise %q", c.promise)
		})
	}
}
