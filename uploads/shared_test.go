package uploads_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sluice/media"
	"sluice/storage"
	"sluice/storage/memory"
	"sluice/uploads"
	"sluice/uploads/leasetest"
)

func inMemory(t testing.TB) lender {
	t.Helper()
	return lenders(false)["memory"](t)
}

func TestAnyNodeServesAnyRequest(t *testing.T) {
	t.Parallel()
	nodes := fleet(t, 2, uploads.Options{}, onDisk(t), inMemory(t))
	location := nodes[0].create("Upload-Length", "100", "Upload-Metadata", "raw /wD+")
	for i := range 10 {
		n := nodes[i%2]
		if rep := n.patch(location, fmt.Sprint(i*10), "0123456789"); rep.status != http.StatusNoContent {
			t.Fatalf("PATCH %d: got %d %s", i, rep.status, rep.body)
		}
		for _, n := range nodes {
			n.wantOffset(location, fmt.Sprint(i*10+10))
		}
	}
	if got := nodes[0].head(location).header.Get("Upload-Metadata"); got != "raw /wD+" {
		t.Errorf("metadata: got %q", got)
	}
	if n := nodes[0].ledger.timesStored(nodes[0].id(location)); n != 1 {
		t.Errorf("stored %d times", n)
	}
}

func TestWhatAnotherNodeDidIsSeenAtOnce(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		act  func(there *bench, location string) reply
		then func(here *bench, location string) reply
		want int
	}{
		"finished, then HEAD":         {func(b *bench, l string) reply { return b.patch(l, "5", "world") }, func(b *bench, l string) reply { return b.head(l) }, http.StatusOK},
		"finished, then PATCH":        {func(b *bench, l string) reply { return b.patch(l, "5", "world") }, func(b *bench, l string) reply { return b.patch(l, "10", "") }, http.StatusNoContent},
		"finished, then PATCH beyond": {func(b *bench, l string) reply { return b.patch(l, "5", "world") }, func(b *bench, l string) reply { return b.patch(l, "5", "w") }, http.StatusRequestEntityTooLarge},
		"removed, then HEAD":          {func(b *bench, l string) reply { return b.send(http.MethodDelete, l, nil) }, func(b *bench, l string) reply { return b.head(l) }, http.StatusNotFound},
		"removed, then PATCH":         {func(b *bench, l string) reply { return b.send(http.MethodDelete, l, nil) }, func(b *bench, l string) reply { return b.patch(l, "5", "w") }, http.StatusNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			nodes := fleet(t, 2, uploads.Options{}, onDisk(t), inMemory(t))
			location := nodes[0].create("Upload-Length", "10")
			nodes[0].patch(location, "0", "hello") // it remembers the row from here on
			if rep := c.act(nodes[1].bench, location); rep.status != http.StatusNoContent {
				t.Fatalf("got %d %s, want 204", rep.status, rep.body)
			}
			if rep := c.then(nodes[0].bench, location); rep.status != c.want {
				t.Errorf("got %d %s, want %d", rep.status, rep.body, c.want)
			}
		})
	}
}

func TestALengthDeclaredOnAnotherNodeIsKnown(t *testing.T) {
	t.Parallel()
	nodes := fleet(t, 2, uploads.Options{}, nil, inMemory(t))
	location := nodes[0].create("Upload-Defer-Length", "1")
	nodes[0].patch(location, "0", "hel")
	if rep := nodes[1].patch(location, "3", "lo", "Upload-Length", "10"); rep.status != http.StatusNoContent {
		t.Fatalf("got %d %s", rep.status, rep.body)
	}
	if rep := nodes[0].head(location); rep.header.Get("Upload-Length") != "10" || rep.header.Get("Upload-Offset") != "5" {
		t.Errorf("HEAD: %v", rep.header)
	}
	if rep := nodes[0].patch(location, "5", "world", "Upload-Length", "10"); rep.status != http.StatusNoContent {
		t.Fatalf("got %d %s", rep.status, rep.body)
	}
	if nodes[1].content(location) != "helloworld" || !nodes[1].row(location).State.Finished() {
		t.Error("it is not finished")
	}
}

func TestARememberedRowIsBelievedWhileTheLedgerIsAway(t *testing.T) {
	t.Parallel()
	nodes := fleet(t, 2, uploads.Options{}, onDisk(t), inMemory(t))
	location := nodes[0].create("Upload-Length", "100")
	nodes[0].ledger.setAway(true)
	before := nodes[0].ledger.calls()
	for i := range 9 {
		if rep := nodes[0].patch(location, fmt.Sprint(i*10), "0123456789"); rep.status != http.StatusNoContent {
			t.Fatalf("got %d", rep.status)
		}
	}
	if n := nodes[0].ledger.calls() - before; n > 4 {
		t.Errorf("nine PATCHes asked an absent ledger %d times", n)
	}
	if rep := nodes[1].head(location); rep.status != http.StatusLocked {
		t.Errorf("HEAD on a node that does not know the upload: got %d, want 423", rep.status)
	}
	nodes[0].ledger.setAway(false)
	nodes[1].wantOffset(location, "90")
}

// counting counts what is asked of the writes of a driver.
type counting struct {
	storage.Driver
	offsets, resumes atomic.Int64
}

func (d *counting) Begin(ctx context.Context, key string, size int64) (storage.Write, error) {
	w, err := d.Driver.Begin(ctx, key, size)
	return countingWrite{w, d}, err
}

func (d *counting) Resume(ctx context.Context, key string) (storage.Write, error) {
	d.resumes.Add(1)
	w, err := d.Driver.Resume(ctx, key)
	return countingWrite{w, d}, err
}

type countingWrite struct {
	storage.Write
	d *counting
}

func (w countingWrite) Offset(ctx context.Context) (int64, error) {
	w.d.offsets.Add(1)
	return w.Write.Offset(ctx)
}

func TestARequestLooksAtTheOffsetOnce(t *testing.T) {
	t.Parallel()
	d := &counting{Driver: memory.New()}
	nodes := fleet(t, 1, uploads.Options{}, d, inMemory(t))
	b := nodes[0]
	location := b.create("Upload-Length", "10")
	for i, step := range []func() reply{
		func() reply { return b.patch(location, "0", "hello") },
		func() reply { return b.head(location) },
		func() reply { return b.patch(location, "5", "world") },
	} {
		before := d.offsets.Load()
		if rep := step(); rep.status != http.StatusNoContent && rep.status != http.StatusOK {
			t.Fatalf("step %d: %d", i, rep.status)
		}
		if n := d.offsets.Load() - before; n != 1 {
			t.Errorf("step %d looked at the offset %d times, want once", i, n)
		}
	}
}

func TestBackgroundWorkIsDoneByOneNode(t *testing.T) {
	t.Parallel()
	nodes := fleet(t, 3, uploads.Options{SweepInterval: 100 * time.Millisecond}, nil, inMemory(t))
	for _, n := range nodes {
		runs(t, n.s.Run)
	}
	books := nodes[0].ledger
	eventually(t, 5*time.Second, "it is swept", func() bool { return books.sweeps() > 0 })
	before := books.sweeps()
	pause(time.Second)
	if n := books.sweeps() - before; n < 3 || n > 12 {
		t.Errorf("%d sweeps in a second, one node makes 10 at most", n)
	}
}

func TestWorkGoesOnWhenItsNodeEnds(t *testing.T) {
	t.Parallel()
	overEach(t, func(t *testing.T, l lender) {
		nodes := fleet(t, 3, uploads.Options{SweepInterval: time.Hour}, onDisk(t), l)
		stops := make([]func(), len(nodes))
		for i, n := range nodes {
			stops[i] = runs(t, n.s.Run)
		}
		body := strings.Repeat("0123456789abcdef", 1<<17) // more than is hashed as it comes
		hashed := func(n member) {
			t.Helper()
			location := n.create("Upload-Length", fmt.Sprint(len(body)))
			if rep := n.patch(location, "0", body); rep.status != http.StatusNoContent {
				t.Fatalf("got %d", rep.status)
			}
			// The next look of whoever hashes is an hour away: it is told.
			eventually(t, 10*time.Second, "the upload is ready", func() bool { return n.row(location).State == media.Ready })
		}
		for _, n := range nodes {
			hashed(n)
		}
		for i := range len(nodes) - 1 {
			stops[i]()
			hashed(nodes[len(nodes)-1])
		}
	})
}

func TestATurnGoesToAnotherNodeWhenItsOwnIsCutOff(t *testing.T) {
	t.Parallel()
	overEach(t, func(t *testing.T, l lender) {
		nodes := fleet(t, 2, uploads.Options{}, nil, l)
		stopped := make(chan struct{})
		if _, ok := nodes[0].locker.Turn(t.Context(), "x", func() {}, func() { close(stopped) }); !ok {
			t.Fatal("no turn")
		}
		turn := func() bool {
			_, ok := nodes[1].locker.Turn(t.Context(), "x", func() {}, func() {})
			return ok
		}
		if turn() {
			t.Fatal("two have the turn")
		}
		nodes[0].Cut()
		eventually(t, 3*time.Second, "the other has the turn", turn)
		nodes[0].Mend()
		select {
		case <-stopped:
		case <-time.After(5 * time.Second):
			t.Error("the first goes on")
		}
	})
}

// The node that took the last byte is gone before it could tell the ledger.
func TestWhatADeadNodeLeftCompleteIsFinished(t *testing.T) {
	t.Parallel()
	for name, committed := range map[string]bool{"before the commit": false, "between commit and row": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := fleet(t, 1, uploads.Options{SweepInterval: 100 * time.Millisecond}, onDisk(t), inMemory(t))[0]
			runs(t, b.s.Run)
			eventually(t, 5*time.Second, "the thorough sweep is over", func() bool { return b.ledger.sweeps() > 1 })
			id := media.NewAssetID(time.Now())
			row := media.Asset{ID: id, State: media.Uploading, Owner: "o", Size: 5, Backend: "main", StorageType: media.Local, Key: storage.KeyFor(id), CreatedAt: time.Now(), MIMEType: "application/octet-stream"}
			if _, _, err := b.ledger.Begin(t.Context(), row, 0); err != nil {
				t.Fatal(err)
			}
			w, err := b.store.Begin(t.Context(), "main", row.Key, 5)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Append(t.Context(), 0, strings.NewReader("hello")); err != nil {
				t.Fatal(err)
			}
			if committed {
				if _, err := w.Commit(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			eventually(t, 5*time.Second, "the row is stored", func() bool { return b.ledger.timesStored(id) == 1 })
		})
	}
}

func TestIdleUploadsAreNotAskedAboutEachRound(t *testing.T) {
	t.Parallel()
	d := &counting{Driver: memory.New()}
	ahead := func() time.Time { return time.Now().Add(10 * time.Minute) } // what came is old
	b := fleet(t, 1, uploads.Options{SweepInterval: 50 * time.Millisecond, Now: ahead}, d, inMemory(t))[0]
	for range 20 {
		b.patch(b.create("Upload-Length", "10"), "0", "hello")
	}
	b.boot() // as another node, which has none of them open
	runs(t, b.s.Run)
	eventually(t, 5*time.Second, "the thorough sweep is over", func() bool { return b.ledger.sweeps() > 1 })
	offsets, resumes, sweeps := d.offsets.Load(), d.resumes.Load(), b.ledger.sweeps()
	if offsets < 20 {
		t.Errorf("the thorough sweep looked at %d offsets, want 20", offsets)
	}
	eventually(t, 5*time.Second, "more sweeps", func() bool { return b.ledger.sweeps() > sweeps+5 })
	if o, r := d.offsets.Load()-offsets, d.resumes.Load()-resumes; o != 0 || r != 0 {
		t.Errorf("later sweeps asked for %d offsets and opened %d writes of idle uploads", o, r)
	}
}

// stub lends everything, and finds that it was lost when it is given back.
type stub struct {
	uploads.Leases
	held bool
}

func (s stub) Take(context.Context, string, func()) (func() bool, bool, error) {
	return func() bool { return s.held }, true, nil
}

func TestOnlyWhatWasHeldToTheEndIsAcknowledged(t *testing.T) {
	t.Parallel()
	for held, want := range map[bool]int{true: http.StatusNoContent, false: http.StatusConflict} {
		store, err := storage.New([]storage.Backend{{Name: "main", Type: media.Local, Driver: memory.New()}})
		if err != nil {
			t.Fatal(err)
		}
		b := serve(t, uploads.Options{Shared: true}, newLedger(), store, uploads.NewSharedLocker(stub{held: held}, nil))
		location := b.create("Upload-Length", "10")
		if rep := b.patch(location, "0", "hello"); rep.status != want {
			t.Errorf("held to the end: %t: got %d, want %d", held, rep.status, want)
		}
	}
}

func TestManyWaitersDoNotMultiplyQuestions(t *testing.T) {
	t.Parallel()
	l := inMemory(t)
	nodes := fleet(t, 2, uploads.Options{StallAfter: time.Minute}, nil, l)
	id := media.NewAssetID(time.Now())
	unlock, err := nodes[0].locker.Lock(t.Context(), id, time.Now, func() {})
	if err != nil {
		t.Fatal(err)
	}
	asking := &asks{Leases: nodes[1].Leases}
	storm := uploads.NewSharedLocker(asking, nil) // its messages go to the other locker of the node: it looks by itself
	done := make(chan error, 200)
	for range cap(done) {
		go func() {
			_, err := storm.Lock(t.Context(), id, time.Now, func() {})
			done <- err
		}()
	}
	for range cap(done) {
		if err := <-done; media.KindOf(err) != media.Locked {
			t.Errorf("got %v, want locked", err)
		}
	}
	if n := asking.n.Load(); n > 400 { // one waits for them all; at the end of its patience the others look once
		t.Errorf("200 waiters of one node asked %d times in 2 s", n)
	}
	unlock()
}

type asks struct {
	uploads.Leases
	n atomic.Int64
}

func (a *asks) Take(ctx context.Context, name string, lost func()) (func() bool, bool, error) {
	a.n.Add(1)
	return a.Leases.Take(ctx, name, lost)
}

func (a *asks) Ask(ctx context.Context, name string) error {
	a.n.Add(1)
	return a.Leases.Ask(ctx, name)
}

func TestASharedLockerLeavesNothingRunning(t *testing.T) { //nolint:paralleltest // it counts goroutines
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	m := leasetest.NewMemory()
	nodes := []*leasetest.MemoryNode{m.Node(), m.Node()}
	one, two := uploads.NewSharedLocker(nodes[0], nil), uploads.NewSharedLocker(nodes[1], nil)
	ends := []func(){runs(t, one.Run), runs(t, two.Run)}
	for _, n := range nodes {
		eventually(t, 5*time.Second, "it runs", func() bool { return n.Ask(t.Context(), "x") == nil })
	}
	id := media.NewAssetID(time.Now())
	began := time.Now()
	yielded := make(chan struct{}, 10)
	unlock, err := one.Lock(t.Context(), id, func() time.Time { return began }, func() { yielded <- struct{}{} })
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		<-yielded
		unlock()
	}()
	again, err := two.Lock(t.Context(), id, time.Now, func() {})
	if err != nil {
		t.Fatal(err)
	}
	again()
	for _, end := range ends {
		end()
	}
}
