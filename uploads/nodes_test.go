package uploads_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/catalogue/postgres"
	"sluice/internal/livetest"
	"sluice/media"
	"sluice/storage"
	"sluice/storage/memory"
	"sluice/uploads"
	"sluice/uploads/leasetest"
	"sluice/uploads/redislock"
)

// lender is a server of leases, and what can be done to it.
type lender struct {
	node    func(t testing.TB) leasetest.Node
	restart func() (back func()) // ends the server at once; back starts it again
}

// lenders are the servers there are. One of a test's own can be restarted.
func lenders(own bool) map[string]func(t testing.TB) lender {
	return map[string]func(t testing.TB) lender{
		"memory": func(testing.TB) lender {
			m := leasetest.NewMemory()
			return lender{node: func(testing.TB) leasetest.Node {
				n := m.Node()
				return leasetest.Node{Leases: n, Cut: n.Cut, Mend: n.Mend}
			}}
		},
		"redis": func(t testing.TB) lender {
			server := livetest.Redis(t)
			return lender{
				restart: func() func() { server.Kill(); return func() { server.Start(t) } },
				node: func(t testing.TB) leasetest.Node {
					link := leasetest.NewLink(t, server.Addr())
					l, err := redislock.New("redis://"+link.Addr, redislock.Options{})
					if err != nil {
						t.Fatal(err)
					}
					t.Cleanup(func() { _ = l.Close() })
					return leasetest.Node{Leases: l, Cut: link.Cut, Mend: link.Mend}
				},
			}
		},
		"postgres": func(t testing.TB) lender {
			open := livetest.SharedPostgres
			if own {
				open = livetest.Postgres
			}
			server := open(t)
			database := server.NewDatabase(t)
			return lender{
				restart: func() func() { server.Kill(t); return func() { server.Start(t) } },
				node: func(t testing.TB) leasetest.Node {
					link := leasetest.NewLink(t, fmt.Sprintf("%s:%d", server.Host(), server.Port()))
					c := postgres.Config{Host: "127.0.0.1", Database: database, User: server.User(), Password: server.Password(), SSLMode: "disable"}
					_, port, err := net.SplitHostPort(link.Addr)
					if err != nil {
						t.Fatal(err)
					}
					if _, err := fmt.Sscan(port, &c.Port); err != nil {
						t.Fatal(err)
					}
					l, err := postgres.NewLeases(c, nil)
					if err != nil {
						t.Fatal(err)
					}
					return leasetest.Node{Leases: l, Cut: link.Cut, Mend: link.Mend}
				},
			}
		},
	}
}

// overEach runs a test over each server of leases.
func overEach(t *testing.T, test func(t *testing.T, l lender)) {
	t.Helper()
	livetest.SharedPostgres(t) // keeps it for the subtests
	for name, open := range lenders(false) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

// member is one of several nodes.
type member struct {
	*bench
	leasetest.Node
	locker *uploads.SharedLocker
}

// fleet serves n nodes over one ledger and one storage.
func fleet(t testing.TB, n int, o uploads.Options, driver storage.Driver, l lender) []member {
	t.Helper()
	if driver == nil {
		driver = memory.New()
	}
	store, err := storage.New([]storage.Backend{{Name: "main", Type: media.Local, Driver: driver}})
	if err != nil {
		t.Fatal(err)
	}
	books := newLedger()
	members := make([]member, n)
	for i := range members {
		node := l.node(t)
		locker := uploads.NewSharedLocker(node.Leases, nil)
		runs(t, locker.Run)
		eventually(t, 10*time.Second, "the node has leases", func() bool {
			giveBack, held, err := node.Take(t.Context(), fmt.Sprint("start", i), func() {})
			return err == nil && held && giveBack()
		})
		o := o
		o.Shared, o.Turns = true, locker
		members[i] = member{serve(t, o, books, store, locker), node, locker}
	}
	return members
}

// runs runs something until the test ends.
func runs(t testing.TB, run func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func pause(d time.Duration) { <-time.After(d) }

func TestAStalledPatchGivesWayToAnotherNode(t *testing.T) {
	t.Parallel()
	overEach(t, func(t *testing.T, l lender) {
		nodes := fleet(t, 2, uploads.Options{StallAfter: 100 * time.Millisecond}, onDisk(t), l)
		const limit = 200 * time.Millisecond
		took := limit + 1
		var location string
		var old raw
		for try := 0; try < 3 && took > limit; try++ { // other tests may have the processor
			location = nodes[0].create("Upload-Length", "10")
			old = nodes[0].stalled(location, 10, "hello")
			pause(110 * time.Millisecond)
			started := time.Now()
			if rep := nodes[1].patch(location, "5", "world"); rep.status != http.StatusNoContent {
				t.Fatalf("take-over: got %d %s, want 204", rep.status, rep.body)
			}
			took = time.Since(started)
			t.Logf("take-over took %v", took)
		}
		if took > limit {
			t.Errorf("take-over took %v, want at most %v", took, limit)
		}
		if status := old.answer(http.MethodPatch); status != 0 && status != http.StatusConflict && status != http.StatusLocked {
			t.Errorf("the old PATCH was answered %d, want 409, 423 or a close", status)
		}
		if got := nodes[1].content(location); got != "helloworld" {
			t.Errorf("got %q", got)
		}
		nodes[0].wantOffset(location, "10")
	})
}

// living starts a PATCH that goes on byte by byte until it is told to hurry. It gives its status.
func (b *bench) living(location string, size int) (hurry func() (status int)) {
	b.t.Helper()
	c := b.stalled(location, size, "x")
	rest := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for sent := 1; sent < size; sent++ {
			select {
			case <-tick.C:
			case <-rest:
				_, _ = io.WriteString(c, strings.Repeat("x", size-sent))
				return
			}
			if _, err := io.WriteString(c, "x"); err != nil {
				return
			}
		}
	})
	return func() int {
		close(rest)
		wg.Wait()
		return c.answer(http.MethodPatch)
	}
}

func TestALivingPatchKeepsTheUploadFromOtherNodes(t *testing.T) {
	t.Parallel()
	overEach(t, func(t *testing.T, l lender) {
		nodes := fleet(t, 2, uploads.Options{StallAfter: 500 * time.Millisecond}, nil, l)
		const size = 10_000
		location := nodes[0].create("Upload-Length", fmt.Sprint(size))
		hurry := nodes[0].living(location, size)
		started := time.Now()
		rep := nodes[1].patch(location, "1", "y")
		switch {
		case rep.status == http.StatusLocked && rep.header.Get("Retry-After") != "":
		case rep.status == http.StatusConflict && l.restart != nil:
			t.Log("the server of leases did not answer in its 50 ms: the node acted by itself, and the offset was another")
		default:
			t.Errorf("got %d, Retry-After %q, want 423 with one", rep.status, rep.header.Get("Retry-After"))
		}
		if took := time.Since(started); took > 3*time.Second {
			t.Errorf("refused after %v, want 2 s", took)
		}
		if rep := nodes[1].head(location); rep.status != http.StatusOK {
			t.Errorf("HEAD on another node: got %d, want 200", rep.status)
		}
		if status := hurry(); status != http.StatusNoContent {
			t.Errorf("the living PATCH was answered %d, want 204", status)
		}
		if got := nodes[1].content(location); got != strings.Repeat("x", size) {
			t.Errorf("got other bytes than were sent")
		}
	})
}

func TestAWaitingNodeGoesOnAsSoonAsTheOtherEnds(t *testing.T) {
	t.Parallel()
	overEach(t, func(t *testing.T, l lender) {
		nodes := fleet(t, 2, uploads.Options{StallAfter: 5 * time.Second}, nil, l)
		location := nodes[0].create("Upload-Length", "10")
		c := nodes[0].stalled(location, 10, "hell")
		var wg sync.WaitGroup
		var done atomic.Int64
		wg.Go(func() {
			rep, err := nodes[1].try(http.MethodPatch, location, strings.NewReader("world"), "Upload-Offset", "5")
			done.Store(time.Now().UnixNano())
			// 409 when it got the upload before the fifth byte: the other's answer came first then.
			if err != nil || rep.status != http.StatusNoContent && rep.status != http.StatusConflict {
				t.Errorf("the waiting PATCH: %d, %v", rep.status, err)
			}
		})
		pause(300 * time.Millisecond)
		started := time.Now()
		c.say("o")
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		if took := time.Unix(0, done.Load()).Sub(started); took > 200*time.Millisecond {
			t.Errorf("it went on after %v: by looking, not by being told", took)
		} else {
			t.Logf("it went on after %v", took)
		}
	})
}

// A node that was killed says nothing: its lease ends by itself.
func TestAKilledNodesUploadGoesOnElsewhere(t *testing.T) {
	t.Parallel()
	overEach(t, func(t *testing.T, l lender) {
		nodes := fleet(t, 2, uploads.Options{}, nil, l)
		location := nodes[0].create("Upload-Length", "10")
		nodes[0].stalled(location, 10, "hello")
		nodes[0].Cut()
		nodes[0].server.CloseClientConnections() // what came stays; nobody hears of it
		started := time.Now()
		eventually(t, 5*time.Second, "another node goes on", func() bool {
			return nodes[1].patch(location, "5", "world").status == http.StatusNoContent
		})
		if took := time.Since(started); took > 2500*time.Millisecond {
			t.Errorf("it went on after %v, want 2 s at most", took)
		} else {
			t.Logf("it went on after %v", took)
		}
	})
}

func TestAPatchOutlivesTheServerOfLeases(t *testing.T) {
	t.Parallel()
	for name, open := range lenders(true) {
		if name == "memory" { // it has no process
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			outlives(t, open(t))
		})
	}
}

func outlives(t *testing.T, l lender) {
	nodes := fleet(t, 2, uploads.Options{}, nil, l)
	const size = 10_000
	location := nodes[0].create("Upload-Length", fmt.Sprint(size))
	other := nodes[1].create("Upload-Length", "10")
	hurry := nodes[0].living(location, size)
	back := l.restart()
	started := time.Now()
	if rep := nodes[1].patch(other, "0", "hello"); rep.status != http.StatusNoContent { // each node acts by itself
		t.Errorf("without leases: got %d %s, want 204", rep.status, rep.body)
	}
	if took := time.Since(started); took > time.Second {
		t.Errorf("a PATCH without leases took %v", took)
	}
	pause(2500 * time.Millisecond) // longer than any lease lives
	if rep := nodes[1].patch(location, "1", "y"); rep.status != http.StatusLocked && rep.status != http.StatusConflict {
		t.Errorf("a second writer without leases: got %d, want 409 or 423", rep.status)
	}
	back()
	for i, n := range nodes {
		eventually(t, 5*time.Second, "the node has leases again", func() bool {
			giveBack, held, err := n.Take(t.Context(), fmt.Sprint("again", i), func() {})
			return err == nil && held && giveBack()
		})
	}
	pause(time.Second) // the running PATCH looks each 250 ms; asking for its name meanwhile would take it away
	giveBack, held, err := nodes[1].Take(t.Context(), "upload:"+nodes[0].id(location).String(), func() {})
	if held {
		giveBack()
	}
	if held || err != nil {
		t.Errorf("the running PATCH has no lease again: %t, %v", held, err)
	}
	if status := hurry(); status != http.StatusNoContent {
		t.Errorf("the PATCH was answered %d, want 204", status)
	}
	if got := nodes[1].content(location); got != strings.Repeat("x", size) {
		t.Errorf("got other bytes than were sent")
	}
}

// A holder that stood still, or was cut off, and whose upload another node has meanwhile, is told so before it acknowledges a byte.
func TestAHolderWhoseLeaseWentElsewhereDoesNotAcknowledge(t *testing.T) {
	t.Parallel()
	overEach(t, func(t *testing.T, l lender) {
		nodes := fleet(t, 2, uploads.Options{}, nil, l)
		const size = 10_000
		location := nodes[0].create("Upload-Length", fmt.Sprint(size))
		hurry := nodes[0].living(location, size)
		nodes[0].Cut()
		eventually(t, 5*time.Second, "another node has the upload", func() bool {
			_, held, err := nodes[1].Take(t.Context(), "upload:"+nodes[0].id(location).String(), func() {})
			return err == nil && held
		})
		nodes[0].Mend()
		pause(time.Second) // it finds its server again, and its lease gone
		if status := hurry(); status != 0 && status != http.StatusConflict && status != http.StatusLocked {
			t.Errorf("got %d, want 409, 423 or a close", status)
		}
	})
}

func TestOfRacingPatchesOverNodesOneWins(t *testing.T) {
	t.Parallel()
	overEach(t, func(t *testing.T, l lender) {
		nodes := fleet(t, 3, uploads.Options{}, onDisk(t), l)
		for range 10 {
			location := nodes[0].create("Upload-Length", "4000")
			statuses := make([]int, 9)
			var wg sync.WaitGroup
			for i := range statuses {
				wg.Go(func() {
					rep, err := nodes[i%3].try(http.MethodPatch, location, strings.NewReader(strings.Repeat(string(rune('a'+i)), 1000)), "Upload-Offset", "0")
					if err != nil {
						t.Error(err)
					}
					statuses[i] = rep.status
				})
			}
			wg.Wait()
			winner := -1
			for i, status := range statuses {
				switch status {
				case http.StatusNoContent:
					if winner >= 0 {
						t.Fatalf("two were told 204: %v", statuses)
					}
					winner = i
				case http.StatusConflict, http.StatusLocked:
				default:
					t.Errorf("a racing PATCH was answered %d", status)
				}
			}
			if winner < 0 {
				t.Fatalf("nobody was told 204: %v", statuses)
			}
			for _, n := range nodes {
				n.wantOffset(location, "1000")
			}
			eventually(t, 5*time.Second, "the rest is taken", func() bool {
				return nodes[1].patch(location, "1000", strings.Repeat("z", 3000)).status == http.StatusNoContent
			})
			if got, want := nodes[2].content(location)[:1000], strings.Repeat(string(rune('a'+winner)), 1000); got != want {
				t.Fatalf("the bytes are not those of the one who was told 204")
			}
		}
	})
}
