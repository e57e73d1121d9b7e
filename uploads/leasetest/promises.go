package leasetest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Promises are the sentences of the contract.
func Promises() []Promise {
	return []Promise{
		{"a name is lent to one node at a time", oneAtATime},
		{"a node that has a name is refused it as others are", notTwiceToOne},
		{"names do not stand in each other's way", apart},
		{"what is given back is lent again", again},
		{"giving back says whether the name was held until then, and harms nobody who has it since", givenBackOnce},
		{"of many takers at once one has the name", storm},
		{"a lease lasts for as long as its node runs", lasts},
		{"who has a name hears that it is wanted", hearsAsked},
		{"who asked hears that the name is given back", hearsFreed},
		{"who asks for what nobody has hears so at once", hearsFree},
		{"a node that ends gives everything back", endGivesBack},
		{"nothing is lent before and after it runs", notRunning},
		{"a node that is cut off knows that its leases are lost before others have them", lostInTime},
		{"what the server forgets is lost", forgotten},
		{"lost is called once, and not after it was given back", lostOnce},
		{"an absent server is unavailable, soon, and is found again", comesBack},
	}
}

func oneAtATime(b *bench) error {
	one, two := b.node(), b.node()
	if _, err := b.take(one, "a"); err != nil {
		return err
	}
	return b.refused(two, "a")
}

func notTwiceToOne(b *bench) error {
	one := b.node()
	h, err := b.take(one, "a")
	if err != nil {
		return err
	}
	if err := b.refused(one, "a"); err != nil {
		return err
	}
	h.giveBack()
	two := b.node() // had it been taken twice, once would be left
	if h, err = b.take(two, "a"); err != nil {
		return err
	}
	h.giveBack()
	return nil
}

func apart(b *bench) error {
	one, two := b.node(), b.node()
	for i := range 50 {
		for _, n := range []*node{one, two} {
			if _, err := b.take(n, fmt.Sprintf("%p:%d", n, i)); err != nil {
				return err
			}
		}
	}
	return nil
}

func again(b *bench) error {
	one, two := b.node(), b.node()
	for range 20 {
		for _, n := range []*node{one, two} {
			h, err := b.take(n, "a")
			if err != nil {
				return err
			}
			if !h.giveBack() {
				return errors.New("giving back says that it was not held")
			}
		}
	}
	return nil
}

func givenBackOnce(b *bench) error {
	one, two := b.node(), b.node()
	first, err := b.take(one, "a")
	if err != nil {
		return err
	}
	first.giveBack()
	if _, err := b.take(two, "a"); err != nil {
		return err
	}
	if first.giveBack() {
		return errors.New("what another node has was given back, and said to be held")
	}
	return b.refused(one, "a")
}

func storm(b *bench) error {
	var inside, entries atomic.Int64
	var wrong atomic.Bool
	var wg sync.WaitGroup
	for range 3 {
		n := b.node()
		for range 4 {
			wg.Go(func() {
				for range 50 {
					giveBack, held, err := n.Take(b.t.Context(), "a", func() {})
					if err != nil || !held {
						continue
					}
					entries.Add(1)
					if inside.Add(1) != 1 {
						wrong.Store(true)
					}
					inside.Add(-1)
					if !giveBack() {
						wrong.Store(true)
					}
				}
			})
		}
	}
	wg.Wait()
	if wrong.Load() || entries.Load() == 0 {
		return fmt.Errorf("after %d entries: two were inside at once: %t", entries.Load(), wrong.Load())
	}
	return nil
}

func lasts(b *bench) error {
	one, two := b.node(), b.node()
	h, err := b.take(one, "a")
	if err != nil {
		return err
	}
	timer := time.NewTimer(3500 * time.Millisecond) // more than two lives
	defer timer.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-h.first:
			return errors.New("it was lost")
		case <-tick.C:
			if err := b.refused(two, "a"); err != nil {
				return err
			}
		case <-timer.C:
			if !h.giveBack() {
				return errors.New("it was not held to the end")
			}
			return nil
		}
	}
}

func hearsAsked(b *bench) error {
	one, two, three := b.node(), b.node(), b.node()
	if _, err := b.take(one, "a"); err != nil {
		return err
	}
	if err := b.ask(two, "a"); err != nil {
		return err
	}
	if err := heard(one.asked, "a", within); err != nil {
		return err
	}
	select {
	case name := <-three.asked:
		return fmt.Errorf("a node that has nothing was asked for %s", name)
	case name := <-two.asked:
		return fmt.Errorf("who asked was asked for %s", name)
	default:
		return nil
	}
}

func hearsFreed(b *bench) error {
	one, two, three := b.node(), b.node(), b.node()
	for range 5 {
		h, err := b.take(one, "a")
		if err != nil {
			return err
		}
		for _, n := range []*node{two, three, two} {
			if err := b.ask(n, "a"); err != nil {
				return err
			}
		}
		h.giveBack() // whether it has heard them yet or not
		for _, n := range []*node{two, three} {
			if err := heard(n.freed, "a", within); err != nil {
				return err
			}
		}
	}
	return nil
}

func hearsFree(b *bench) error {
	one := b.node()
	if err := b.ask(one, "a"); err != nil {
		return err
	}
	return heard(one.freed, "a", within)
}

func endGivesBack(b *bench) error {
	one, two := b.node(), b.node()
	for _, name := range []string{"a", "b"} {
		if _, err := b.take(one, name); err != nil {
			return err
		}
	}
	if err := one.end(); err != nil {
		return err
	}
	for _, name := range []string{"a", "b"} {
		if _, err := b.take(two, name); err != nil {
			return err
		}
	}
	return nil
}

func notRunning(b *bench) error {
	n := b.place.Node()
	take := func() error { _, _, err := n.Take(b.t.Context(), "a", func() {}); return err }
	ask := func() error { return n.Ask(b.t.Context(), "a") }
	ended := b.node()
	return errors.Join(
		ended.end(), unavailable("take before it runs", take), unavailable("ask before it runs", ask),
		unavailable("take after it ran", func() error { _, _, err := ended.Take(b.t.Context(), "a", func() {}); return err }),
	)
}

func lostInTime(b *bench) error {
	one, two := b.node(), b.node()
	h, err := b.take(one, "a")
	if err != nil {
		return err
	}
	one.Cut()
	_, at, err := b.frees(two, "a")
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.lost) == 0 || h.lost[0].After(at) {
		return fmt.Errorf("another node has it at %v, lost at %v", at, h.lost)
	}
	return nil
}

func forgotten(b *bench) error {
	one := b.node()
	h, err := b.take(one, "a")
	if err != nil {
		return err
	}
	b.place.Forget()
	if err := b.eventually(func() bool { return h.losses() > 0 }); err != nil {
		return fmt.Errorf("the server has forgotten the lease, and it is not lost: %w", err)
	}
	if h.giveBack() {
		return errors.New("a lease that was lost was said to be held when it was given back")
	}
	_, _, err = b.frees(one, "a") // by the same node too
	return err
}

func lostOnce(b *bench) error {
	one, two := b.node(), b.node()
	back, err := b.take(one, "a")
	if err != nil {
		return err
	}
	kept, err := b.take(one, "b")
	if err != nil {
		return err
	}
	back.giveBack()
	one.Cut()
	if _, _, err := b.frees(two, "b"); err != nil {
		return err
	}
	one.Mend()
	if _, _, err := b.frees(one, "c"); err != nil {
		return err
	}
	if n, m := back.losses(), kept.losses(); n != 0 || m != 1 {
		return fmt.Errorf("lost was called %d times for what was given back, %d times for what was held", n, m)
	}
	return nil
}

func comesBack(b *bench) error {
	one := b.node()
	one.Cut()
	if err := b.eventually(func() bool { return one.Ask(b.t.Context(), "x") != nil }); err != nil {
		return errors.New("a node that is cut off does not know")
	}
	for range 3 {
		err := errors.Join(
			unavailable("take", func() error { _, _, err := one.Take(b.t.Context(), "a", func() {}); return err }),
			unavailable("ask", func() error { return one.Ask(b.t.Context(), "a") }),
		)
		if err != nil {
			return err
		}
	}
	one.Mend()
	start := time.Now()
	h, _, err := b.frees(one, "a")
	if err != nil {
		return err
	}
	if took := time.Since(start); took > 2*time.Second {
		return fmt.Errorf("the server was found again after %v", took)
	}
	h.giveBack()
	return nil
}
