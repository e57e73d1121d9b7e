package analytics_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sluice/analytics"
	"sluice/media"
)

// The environment that turns the test binary into a child that records.
const (
	childDir  = "SLUICE_TEST_JOURNAL"
	childMode = "SLUICE_TEST_JOURNAL_MODE"
)

const childWriters = 4

// child records until it is killed, or what its mode says.
func child() {
	if os.Getenv(childMode) == "full" {
		childFullDisk()
		return
	}
	c, err := analytics.NewCounter(newLedger(), os.Getenv(childDir), analytics.CounterOptions{
		SegmentSize: 64 << 10, Logger: slog.New(slog.NewJSONHandler(os.Stderr, nil)),
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	for w := range childWriters {
		go func() { // each writer tells of a record once it has returned: eight bytes, so one write stays whole
			var line [8]byte
			for i := uint64(1); ; i++ {
				c.Record(media.Access{Asset: asset(byte(w)), Session: session(i), At: time.Now(), View: true, Bytes: 3})
				c.Record(media.Access{Asset: asset(byte(w)), Session: session(i), At: time.Now(), View: true, Bytes: 4})
				binary.LittleEndian.PutUint64(line[:], uint64(w)<<56|i)
				if _, err := os.Stdout.Write(line[:]); err != nil {
					os.Exit(3)
				}
			}
		}()
	}
	select {}
}

func TestKill9LosesNothing(t *testing.T) {
	t.Parallel()
	dir, l := t.TempDir(), newLedger()
	var told [childWriters]int64 // summed over the runs
	for run := range 12 {
		told := addTold(&told, killedChild(t, dir, 1+rand.IntN(6000)))
		c := open(t, l, dir, analytics.CounterOptions{})
		flush(t, c)
		if run%3 == 0 {
			mustClose(t, c)
		} else {
			c.Abandon()
		}
		for w, n := range told {
			// Sessions are the same in each run, so that views are also those of the longest run only.
			_, bytes := l.total(asset(byte(w)))
			if over := bytes - 7*n; over < 0 || over > 7*int64(run+1) {
				t.Fatalf("run %d: writer %d told of %d pairs and %d bytes are counted", run, w, n, bytes)
			}
		}
	}
	for w := range told {
		views, _ := l.total(asset(byte(w)))
		if views < 1 || views > told[w]+12 {
			t.Errorf("writer %d: %d views", w, views)
		}
	}
}

func addTold(sum *[childWriters]int64, more [childWriters]int64) [childWriters]int64 {
	for i, n := range more {
		sum[i] += n
	}
	return *sum
}

// killedChild runs a child, kills it when it has told of so many records, and returns how many each writer told of in all.
func killedChild(t *testing.T, dir string, after int) (told [childWriters]int64) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(out)
	var line [8]byte
	for n := 0; ; n++ {
		if n == after {
			if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := io.ReadFull(r, line[:]); err != nil {
			break
		}
		told[line[7]] = int64(binary.LittleEndian.Uint64(line[:]) << 8 >> 8)
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("the child ended by itself: %v", err)
	}
	return told
}

// childFullDisk runs with a limit on the size of files in place of a full disk: reserving blocks fails in the same way.
func childFullDisk() {
	fail := func(what string, args ...any) {
		fmt.Fprintf(os.Stderr, what+"\n", args...)
		os.Exit(2)
	}
	limit := func(n uint64) {
		var l syscall.Rlimit
		if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &l); err != nil {
			fail("getrlimit: %v", err)
		}
		l.Cur = n
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &l); err != nil {
			fail("setrlimit: %v", err)
		}
	}
	var log lines
	l := newLedger()
	l.fail(unavailable)
	limit(32 << 10)
	c, err := analytics.NewCounter(l, os.Getenv(childDir), analytics.CounterOptions{
		SegmentSize: 64 << 10, Every: time.Millisecond, Logger: slog.New(slog.NewJSONHandler(&log, nil)),
	})
	if err != nil {
		fail("NewCounter on a full disk: %v", err)
	}
	const n = 10_000
	for range n {
		c.Record(media.Access{Asset: asset(1), At: time.Now(), Manual: true})
	}
	if !c.InMemory() {
		fail("there was room")
	}
	limit(1 << 30)
	total := int64(n)
	for deadline := time.NewTimer(20 * time.Second); c.InMemory(); total++ {
		select {
		case <-deadline.C:
			fail("does not go back to the disk")
		default:
		}
		c.Record(media.Access{Asset: asset(1), At: time.Now(), Manual: true})
	}
	if log.count("no room for the journal") < 1 || log.count("no room for the journal") > 2 {
		fail("said %d times that there is no room: %v", log.count("no room for the journal"), log.all)
	}
	l.fail(nil)
	if err := c.Flush(context.Background()); err != nil {
		fail("Flush: %v", err)
	}
	for range 2000 {
		c.Record(media.Access{Asset: asset(1), At: time.Now(), Manual: true})
	}
	c.Abandon()
	c, err = analytics.NewCounter(l, os.Getenv(childDir), analytics.CounterOptions{SegmentSize: 64 << 10})
	if err != nil {
		fail("NewCounter: %v", err)
	}
	if err := c.Close(); err != nil {
		fail("Close: %v", err)
	}
	if views, _ := l.total(asset(1)); views != total+2000 {
		fail("%d counted, want %d", views, total+2000)
	}
}

func TestFullDiskCountsInMemoryAndGoesBack(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+t.TempDir(), childMode+"=full")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// TestExactUnderAnyFaults drives a counter and a model through recording, flushes that fail before, after or not at all, and crashes.
func TestExactUnderAnyFaults(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	runs := 0
	rapid.Check(t, func(t *rapid.T) {
		runs++
		dir := fmt.Sprintf("%s/%d", root, runs)
		l, now := newLedger(), time.Now()
		openAgain := func() *analytics.Counter {
			c, err := analytics.NewCounter(l, dir, analytics.CounterOptions{SegmentSize: 64 << 10, Batch: 3, Now: func() time.Time { return now }})
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		type viewer struct{ s, a byte }
		seen, views, bytes := map[viewer]time.Time{}, map[byte]int64{}, map[byte]int64{}
		c := openAgain()
		defer func() { _ = c.Close() }()
		check := func() {
			l.fail(nil)
			if err := c.Flush(t.Context()); err != nil {
				now = now.Add(2 * time.Second) // past the back-off
				if err := c.Flush(t.Context()); err != nil {
					t.Fatalf("Flush: %v", err)
				}
			}
			for a := range byte(5) {
				if v, b := l.total(asset(a)); v != views[a] || b != bytes[a] {
					t.Fatalf("asset %d: counted %d views, %d bytes, want %d, %d", a, v, b, views[a], bytes[a])
				}
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"record": func(t *rapid.T) {
				for range rapid.SampledFrom([]int{1, 5, 400}).Draw(t, "times") {
					k := viewer{rapid.ByteRange(0, 3).Draw(t, "session"), rapid.ByteRange(0, 4).Draw(t, "asset")}
					n := rapid.Int64Range(0, 3).Draw(t, "bytes")
					c.Record(media.Access{Asset: asset(k.a), Session: session(uint64(k.s)), At: now, View: true, Bytes: n})
					if at, ok := seen[k]; !ok || now.Sub(at) >= 30*time.Minute {
						seen[k] = now
						views[k.a]++
					}
					bytes[k.a] += n
				}
			},
			"time passes": func(t *rapid.T) { now = now.Add(time.Duration(rapid.IntRange(1, 40).Draw(t, "minutes")) * time.Minute) },
			"flush": func(t *rapid.T) {
				place := rapid.SampledFrom([]string{"", "position", "before", "after"}).Draw(t, "fails")
				pass := rapid.IntRange(0, 3).Draw(t, "after")
				l.fail(func(p string) error {
					if p == place {
						if pass--; pass < 0 {
							return errDriver
						}
					}
					return nil
				})
				_ = c.Flush(t.Context())
				l.fail(nil)
			},
			"crash": func(*rapid.T) { c.Abandon(); c = openAgain() },
			"close": func(t *rapid.T) {
				if rapid.Bool().Draw(t, "away") {
					l.fail(unavailable)
				}
				if err := c.Close(); err != nil {
					t.Fatal(err)
				}
				l.fail(nil)
				c = openAgain()
			},
			"count": func(*rapid.T) { check() },
		})
		check()
	})
}

func TestRecordWhileFlushing(t *testing.T) {
	t.Parallel()
	l := newLedger()
	c := open(t, l, t.TempDir(), analytics.CounterOptions{Batch: 2})
	var wg sync.WaitGroup
	const writers, each = 8, 20_000
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				c.Record(media.Access{Asset: asset(byte(w)), At: time.Now(), Bytes: int64(i & 1)})
				if i%1000 == 0 {
					if err := c.Flush(t.Context()); err != nil {
						t.Errorf("Flush: %v", err)
					}
				}
			}
		})
	}
	wg.Wait()
	mustClose(t, c)
	for w := range writers {
		wantTotal(t, l, asset(byte(w)), 0, each/2)
	}
}
