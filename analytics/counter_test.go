package analytics_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sluice/analytics"
	"sluice/media"
)

func TestMain(m *testing.M) {
	if os.Getenv(childDir) != "" {
		child()
		return
	}
	goleak.VerifyTestMain(m)
}

func TestViewRule(t *testing.T) {
	t.Parallel()
	now := time.Now()
	later := func(d time.Duration) time.Time { return now.Add(d) }
	view := func(s uint64, at time.Time) media.Access {
		return media.Access{Asset: asset(1), Session: session(s), At: at, View: true}
	}
	for _, c := range []struct {
		name         string
		in           []media.Access
		views, bytes int64
	}{
		{"one session counts once", []media.Access{view(1, now), view(1, later(time.Second)), view(1, later(29*time.Minute))}, 1, 0},
		{"and again after half an hour from the counted one", []media.Access{view(1, now), view(1, later(29*time.Minute)), view(1, later(31*time.Minute))}, 2, 0},
		{"two sessions count twice", []media.Access{view(1, now), view(2, now)}, 2, 0},
		{"two assets count apart", []media.Access{view(1, now), {Asset: asset(2), Session: session(1), At: now, View: true}}, 1, 0},
		{"by hand counts each time", []media.Access{{Asset: asset(1), At: now, Manual: true}, {Asset: asset(1), At: now, Manual: true, View: true}}, 2, 0},
		{"by hand does not hide a view", []media.Access{{Asset: asset(1), At: now, Manual: true}, {Asset: asset(1), At: now, View: true}}, 2, 0},
		{"bytes are summed, counted view or not", []media.Access{
			{Asset: asset(1), At: now, View: true, Bytes: 5}, {Asset: asset(1), At: now, View: true, Bytes: 7}, {Asset: asset(1), At: now, Bytes: 1 << 40},
		}, 1, 12 + 1<<40},
		{"negative bytes are none", []media.Access{{Asset: asset(1), At: now, Bytes: -5}}, 0, 0},
		{"what is neither a view nor bytes is nothing", []media.Access{{Asset: asset(1), At: now}}, 0, 0},
		{"a clock set back within the window is the same view", []media.Access{view(1, now.Round(0)), view(1, later(-10*time.Minute).Round(0))}, 1, 0},
		{"a clock set back by a day loses no view", []media.Access{view(1, now.Round(0)), view(1, later(-24*time.Hour).Round(0))}, 2, 0},
		{"no time means now", []media.Access{{Asset: asset(1), View: true}, view(0, now)}, 1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := newLedger()
			counter := open(t, l, t.TempDir(), analytics.CounterOptions{})
			for _, a := range c.in {
				counter.Record(a)
			}
			mustClose(t, counter)
			wantTotal(t, l, asset(1), c.views, c.bytes)
		})
	}
}

func TestParallelRangesCountOneView(t *testing.T) {
	t.Parallel()
	l := newLedger()
	c := open(t, l, t.TempDir(), analytics.CounterOptions{})
	const goroutines, each = 500, 40
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for i := range each {
				c.Record(media.Access{Asset: asset(1), Session: session(uint64(i)), At: time.Now(), View: true, Bytes: int64(g)})
			}
		})
	}
	wg.Wait()
	flush(t, c)
	wantTotal(t, l, asset(1), each, each*goroutines*(goroutines-1)/2)
	mustClose(t, c)
}

func TestHoursComeFromTheAccess(t *testing.T) {
	t.Parallel()
	l := newLedger()
	c := open(t, l, t.TempDir(), analytics.CounterOptions{})
	at := time.Date(2026, 3, 1, 10, 59, 59, 999, time.UTC)
	c.Record(media.Access{Asset: asset(1), At: at, Bytes: 1})
	c.Record(media.Access{Asset: asset(1), At: at.Add(time.Second), Bytes: 2})
	c.Record(media.Access{Asset: asset(1), At: time.Date(1969, 12, 31, 23, 30, 0, 0, time.UTC), Bytes: 4})
	mustClose(t, c)
	for hour, want := range map[time.Time]int64{
		time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC):   1,
		time.Date(2026, 3, 1, 11, 0, 0, 0, time.UTC):   2,
		time.Date(1969, 12, 31, 23, 0, 0, 0, time.UTC): 4,
	} {
		if got := l.hours[hourKey{asset(1), hour}].Bytes; got != want {
			t.Errorf("%v: %d bytes, want %d", hour, got, want)
		}
	}
	if got := l.last[asset(1)]; !got.Equal(at.Add(time.Second)) {
		t.Errorf("last access %v, want %v", got, at.Add(time.Second))
	}
}

func TestRestart(t *testing.T) {
	t.Parallel()
	now := time.Now()
	record := func(c *analytics.Counter, n int) {
		for i := range n {
			c.Record(media.Access{Asset: asset(1), Session: session(uint64(i)), At: now, View: true})
		}
	}
	t.Run("replays what was not counted, once", func(t *testing.T) {
		t.Parallel()
		l, dir := newLedger(), t.TempDir()
		for i := range 5 {
			c := open(t, l, dir, analytics.CounterOptions{})
			for range 700 {
				c.Record(media.Access{Asset: asset(1), At: now, Manual: true})
			}
			if i%2 == 0 {
				flush(t, c)
			}
			c.Abandon()
		}
		c := open(t, l, dir, analytics.CounterOptions{})
		mustClose(t, c)
		wantTotal(t, l, asset(1), 3500, 0)
	})
	t.Run("remembers the views of the window", func(t *testing.T) {
		t.Parallel()
		l, dir := newLedger(), t.TempDir()
		for range 3 {
			c := open(t, l, dir, analytics.CounterOptions{})
			record(c, 3000)
			mustClose(t, c)
		}
		wantTotal(t, l, asset(1), 3000, 0)
	})
	t.Run("forgets and removes what is older than the window", func(t *testing.T) {
		t.Parallel()
		l, dir := newLedger(), t.TempDir()
		c := open(t, l, dir, analytics.CounterOptions{})
		record(c, 5000)
		mustClose(t, c)
		before := len(journalFiles(t, dir))
		clock := func() time.Time { return now.Add(time.Hour) }
		c = open(t, l, dir, analytics.CounterOptions{Now: clock})
		c.Record(media.Access{Asset: asset(1), Session: session(1), At: clock(), View: true})
		mustClose(t, c)
		wantTotal(t, l, asset(1), 5001, 0)
		if after := len(journalFiles(t, dir)); before < 5 || after > 2 {
			t.Errorf("%d segment files before, %d after, want at least 5 and then 2 at most", before, after)
		}
	})
	t.Run("starts while the catalogue is away and replays later", func(t *testing.T) {
		t.Parallel()
		l, dir := newLedger(), t.TempDir()
		c := open(t, l, dir, analytics.CounterOptions{})
		record(c, 10)
		c.Abandon()
		l.fail(unavailable)
		c = open(t, l, dir, analytics.CounterOptions{})
		record(c, 20) // ten of them are known
		if err := c.Flush(t.Context()); !errors.Is(err, media.Unavailable) || !errors.Is(err, errDriver) {
			t.Errorf("Flush = %v, want Unavailable with its cause", err)
		}
		if w := c.Waiting(); w != -1 {
			t.Errorf("Waiting = %d before the catalogue was reached, want -1", w)
		}
		l.fail(nil)
		mustClose(t, c)
		wantTotal(t, l, asset(1), 20, 0)
	})
}

func journalFiles(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.journal"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestCommittedButNotTold(t *testing.T) {
	t.Parallel()
	l := newLedger()
	c := open(t, l, t.TempDir(), analytics.CounterOptions{})
	l.fail(func(place string) error {
		if place == "after" {
			return errDriver
		}
		return nil
	})
	for i := range 100 {
		c.Record(media.Access{Asset: asset(1), At: time.Now(), Manual: true})
		if err := c.Flush(t.Context()); i == 0 && err == nil {
			t.Error("Flush does not tell of the error")
		}
	}
	l.fail(nil)
	mustClose(t, c)
	wantTotal(t, l, asset(1), 100, 0)
}

func TestCatalogueElsewhere(t *testing.T) {
	t.Parallel()
	step := func(c *analytics.Counter, n int) {
		for range n {
			c.Record(media.Access{Asset: asset(1), At: time.Now(), Manual: true})
		}
	}
	setAll := func(l *ledger, p int64) {
		for name := range l.positions {
			l.positions[name] = p
		}
	}
	t.Run("behind, as after its restore, gets the records again", func(t *testing.T) {
		t.Parallel()
		l := newLedger()
		c := open(t, l, t.TempDir(), analytics.CounterOptions{})
		step(c, 50)
		flush(t, c)
		setAll(l, 20)
		step(c, 10)
		mustClose(t, c)
		wantTotal(t, l, asset(1), 50+30+10, 0)
	})
	t.Run("ahead, as after the folder's restore, takes nothing for counted", func(t *testing.T) {
		t.Parallel()
		l, dir := newLedger(), t.TempDir()
		c := open(t, l, dir, analytics.CounterOptions{})
		step(c, 50)
		mustClose(t, c)
		setAll(l, 80)
		for range 3 {
			c = open(t, l, dir, analytics.CounterOptions{})
			step(c, 10)
			mustClose(t, c)
		}
		wantTotal(t, l, asset(1), 80, 0)
		if len(l.positions) != 2 {
			t.Errorf("%d journal names, want the old and one new", len(l.positions))
		}
	})
	t.Run("a folder that lost its files loses nothing new", func(t *testing.T) {
		t.Parallel()
		l, dir := newLedger(), t.TempDir()
		for range 3 {
			c := open(t, l, dir, analytics.CounterOptions{})
			step(c, 10)
			mustClose(t, c)
			for _, f := range journalFiles(t, dir) {
				if err := os.Remove(f); err != nil {
					t.Fatal(err)
				}
			}
		}
		wantTotal(t, l, asset(1), 30, 0)
	})
	t.Run("a folder that lost its name counts nothing twice", func(t *testing.T) {
		t.Parallel()
		l, dir := newLedger(), t.TempDir()
		for range 3 {
			c := open(t, l, dir, analytics.CounterOptions{})
			step(c, 10)
			mustClose(t, c)
			if err := os.Remove(filepath.Join(dir, "name")); err != nil {
				t.Fatal(err)
			}
		}
		wantTotal(t, l, asset(1), 30, 0)
	})
}

func TestTornRecordsAreIgnored(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func([]byte){
		"a flipped bit in the middle":       func(b []byte) { b[5*64+20] ^= 1 },
		"a seal without a record":           func(b []byte) { b[5*64+3] ^= 0x40 },
		"a record without its seal":         func(b []byte) { clear(b[5*64 : 5*64+8]) },
		"a record in another's place":       func(b []byte) { copy(b[5*64:6*64], b[7*64:8*64]) },
		"a sequence number below its place": func(b []byte) { clear(b[5*64+8 : 5*64+16]) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, dir := newLedger(), t.TempDir()
			c := open(t, l, dir, analytics.CounterOptions{})
			for range 10 {
				c.Record(media.Access{Asset: asset(1), At: time.Now(), Manual: true})
			}
			c.Abandon()
			edit(t, dir, damage)
			c = open(t, l, dir, analytics.CounterOptions{})
			flush(t, c)
			wantTotal(t, l, asset(1), 9, 0)
			mustClose(t, c)
		})
	}
	t.Run("a torn tail is written over", func(t *testing.T) {
		t.Parallel()
		l, dir := newLedger(), t.TempDir()
		c := open(t, l, dir, analytics.CounterOptions{})
		for range 10 {
			c.Record(media.Access{Asset: asset(1), At: time.Now(), Manual: true})
		}
		c.Abandon()
		edit(t, dir, func(b []byte) {
			for i := 8; i < 20; i++ {
				b[i*64+7], b[i*64+30] = 0x80, 0xff
			}
		})
		c = open(t, l, dir, analytics.CounterOptions{})
		for range 5 {
			c.Record(media.Access{Asset: asset(1), At: time.Now(), Manual: true})
		}
		mustClose(t, c)
		wantTotal(t, l, asset(1), 13, 0)
	})
}

// edit changes the segment file that holds records.
func edit(t *testing.T, dir string, change func([]byte)) {
	t.Helper()
	for _, path := range journalFiles(t, dir) {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if b[7] == 0 {
			continue
		}
		change(b)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Fatal("no segment file holds a record")
}

func TestOneProcessPerFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := open(t, newLedger(), dir, analytics.CounterOptions{})
	if _, err := analytics.NewCounter(newLedger(), dir, analytics.CounterOptions{}); !errors.Is(err, analytics.ErrInUse) {
		t.Errorf("a second NewCounter = %v, want ErrInUse", err)
	}
	mustClose(t, c)
	mustClose(t, open(t, newLedger(), dir, analytics.CounterOptions{}))
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	for _, o := range []analytics.CounterOptions{{Window: -1}, {Every: -1}, {Batch: -1}, {SegmentSize: 1000}, {MaxViews: -1}, {CloseWait: -1}} {
		if _, err := analytics.NewCounter(newLedger(), t.TempDir(), o); err == nil {
			t.Errorf("%+v is accepted", o)
		}
	}
}

func TestLateRecordsAreSafe(t *testing.T) {
	t.Parallel()
	l := newLedger()
	c := open(t, l, t.TempDir(), analytics.CounterOptions{})
	var started, stop sync.WaitGroup
	var done atomic.Bool
	for range 8 {
		started.Add(1)
		stop.Go(func() {
			c.Record(media.Access{Asset: asset(1), At: time.Now(), Manual: true})
			started.Done()
			for !done.Load() {
				c.Record(media.Access{Asset: asset(2), At: time.Now(), Manual: true})
			}
		})
	}
	started.Wait()
	mustClose(t, c)
	for range 1000 {
		c.Record(media.Access{Asset: asset(3), At: time.Now(), Manual: true})
	}
	done.Store(true)
	stop.Wait()
	wantTotal(t, l, asset(1), 8, 0)
	wantTotal(t, l, asset(3), 0, 0)
	mustClose(t, c)
	if err := c.Flush(t.Context()); err != nil {
		t.Errorf("Flush after Close, all counted: %v", err)
	}
}

func TestCloseIsBounded(t *testing.T) {
	t.Parallel()
	l, dir := newLedger(), t.TempDir()
	l.fail(unavailable)
	c := open(t, l, dir, analytics.CounterOptions{})
	c.Record(media.Access{Asset: asset(1), At: time.Now(), View: true})
	mustClose(t, c)
	if err := c.Flush(t.Context()); !errors.Is(err, media.Unavailable) {
		t.Errorf("Flush after Close = %v, want Unavailable", err)
	}
	l.fail(nil)
	mustClose(t, open(t, l, dir, analytics.CounterOptions{}))
	wantTotal(t, l, asset(1), 1, 0)
}

func TestRun(t *testing.T) {
	t.Parallel()
	l := newLedger()
	var log lines
	l.fail(unavailable)
	c := open(t, l, t.TempDir(), analytics.CounterOptions{Every: time.Millisecond, Logger: slog.New(slog.NewJSONHandler(&log, nil))})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()

	failures := make(chan struct{}, 1000)
	l.fail(func(p string) error { failures <- struct{}{}; return unavailable(p) })
	c.Record(media.Access{Asset: asset(1), At: time.Now(), View: true})
	for range 3 {
		<-failures
	}
	if until := c.CountedUntil(); !until.IsZero() {
		t.Errorf("CountedUntil = %v before anything was counted", until)
	}
	counted := make(chan struct{}, 1000)
	l.fail(func(p string) error {
		if p == "after" {
			counted <- struct{}{}
		}
		return nil
	})
	<-counted
	c.Record(media.Access{Asset: asset(1), At: time.Now(), Session: session(2), View: true})
	<-counted
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run = %v", err)
	}
	mustClose(t, c)
	wantTotal(t, l, asset(1), 2, 0)
	if n := log.count("cannot be counted"); n != 1 {
		t.Errorf("the failure was logged %d times, want once", n)
	}
	if n := log.count("counted again"); n != 1 {
		t.Errorf("the recovery was logged %d times, want once", n)
	}
	if c.CountedUntil().IsZero() || c.Waiting() != 0 {
		t.Errorf("CountedUntil = %v, Waiting = %d with all counted", c.CountedUntil(), c.Waiting())
	}
}

// lines is a log.
type lines struct {
	mu  sync.Mutex
	all []string
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, string(p))
	return len(p), nil
}

func (l *lines) count(part string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.all {
		n += strings.Count(s, part)
	}
	return n
}
