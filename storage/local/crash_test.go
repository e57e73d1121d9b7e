package local_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"sluice/media"
	"sluice/storage/local"
)

// TestMain lets the test binary be its own victim: a child that writes until it is killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv("SLUICE_LOCAL_VICTIM"); dir != "" {
		if err := victim(context.Background(), dir, os.Getenv("SLUICE_LOCAL_DIE_AT")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

const (
	wholeSize = 3 << 20
	joinedKey = "7f/joined"
)

// whole is what the victim uploads.
func whole() []byte {
	p := make([]byte, wholeSize)
	_, _ = rand.NewChaCha8([32]byte{7}).Read(p)
	return p
}

// victim uploads what is missing of one object in pieces, tells each offset once it is acknowledged, commits, joins the object with
// itself, deletes the join and tells "done". It kills itself at the nth of its system calls that change the disk, before or after it.
func victim(ctx context.Context, dir, dieAt string) error {
	var passed atomic.Int64
	die, _ := strconv.ParseInt(dieAt, 10, 64)
	step := func() {
		if passed.Add(1) == die {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
	d, err := local.OpenWith(dir, local.Options{}, func(h *local.Hooks) { dieBetween(h, step) })
	if err != nil {
		return err
	}
	want := whole()
	w, err := d.Resume(ctx, key)
	if errors.Is(err, media.NotFound) {
		w, err = d.Begin(ctx, key, wholeSize)
	}
	if err != nil {
		return err
	}
	at, err := w.Offset(ctx)
	for piece := int64(300 << 10); err == nil && at < wholeSize; {
		var n int64
		n, err = w.Append(ctx, at, bytes.NewReader(want[at:min(at+piece, wholeSize)]))
		at += n
		fmt.Println(at) // the pipe to the parent
	}
	if err != nil {
		return err
	}
	if _, err := w.Commit(ctx); err != nil {
		return err
	}
	fmt.Println("committed") // the pipe to the parent
	if _, err := d.Concat(ctx, joinedKey, []string{key, key}); err != nil {
		return err
	}
	if err := d.Delete(ctx, joinedKey); err != nil {
		return err
	}
	fmt.Println("done") // the pipe to the parent
	return nil
}

func dieBetween(h *local.Hooks, step func()) {
	write, fsync, rename, reserve := h.Write, h.Fsync, h.Rename, h.Reserve
	h.Write = func(f *os.File, p []byte, off int64) (int, error) {
		half := len(p) / 2
		step()
		if n, err := write(f, p[:half], off); err != nil {
			return n, err
		}
		step()
		n, err := write(f, p[half:], off+int64(half))
		step()
		return half + n, err
	}
	h.Fsync = func(f *os.File) error { step(); err := fsync(f); step(); return err }
	h.Reserve = func(f *os.File, n int64) error { step(); err := reserve(f, n); step(); return err }
	h.Rename = func(from *os.File, name string, to *os.File, as string) error {
		step()
		err := rename(from, name, to, as)
		step()
		return err
	}
}

// run lets a victim live until it is done, dies by itself, or has told kill lines. It gives the last offset acknowledged, and whether
// it told "committed" and "done".
func run(t *testing.T, dir string, dieAt, kill int) (acked int64, committed, done bool) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), "SLUICE_LOCAL_VICTIM="+dir, "SLUICE_LOCAL_DIE_AT="+strconv.Itoa(dieAt))
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for told := 1; lines.Scan(); told++ {
		switch line := lines.Text(); line {
		case "committed":
			committed = true
		case "done":
			done = true
		default:
			if acked, err = strconv.ParseInt(line, 10, 64); err != nil {
				t.Fatalf("the victim says %q", line)
			}
		}
		if told == kill {
			_ = cmd.Process.Kill()
		}
	}
	if err := cmd.Wait(); err != nil && !strings.Contains(err.Error(), "killed") {
		t.Fatalf("the victim: %v: %s", err, stderr.String())
	}
	return acked, committed, done
}

// inspect opens what a killed victim has left, and holds it to what was promised to it.
func inspect(t *testing.T, dir string, acked int64, committed bool) {
	t.Helper()
	d, err := local.Open(dir, local.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	if names := namesIn(t, dir); len(names) > 1 || len(names) == 1 && strings.HasPrefix(names[0], ".") {
		t.Errorf("leftovers: %q", names)
	}
	if o, err := d.Stat(t.Context(), joinedKey); err == nil && o.Size != 2*wholeSize {
		t.Errorf("half a joined object: %+v", o)
	}
	w, err := d.Resume(t.Context(), key)
	if errors.Is(err, media.NotFound) && acked == 0 && !committed {
		return
	}
	if err != nil {
		t.Fatalf("resume after %d bytes: %v", acked, err)
	}
	defer func() { _ = w.Close() }()
	at, err := w.Offset(t.Context())
	if err != nil || at < acked || at > wholeSize {
		t.Fatalf("offset %d, %v after %d bytes were acknowledged", at, err, acked)
	}
	if _, err := d.Stat(t.Context(), key); committed && err != nil {
		t.Errorf("committed, and now: %v", err)
	}
	file := partFile(dir, key)
	if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) {
		file = filepath.Join(dir, "objects", key)
	}
	if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, whole()[:at]) {
		t.Errorf("%d bytes, %v, that differ from the %d sent", len(got), err, at)
	}
}

// TestKilledAtEverySystemCall kills the victim before, within and after each call that changes the disk, until one lives to the end.
func TestKilledAtEverySystemCall(t *testing.T) {
	t.Parallel()
	for dieAt := 1; ; dieAt++ {
		dir := t.TempDir()
		acked, committed, done := run(t, dir, dieAt, 0)
		inspect(t, dir, acked, committed)
		if done {
			if dieAt < 50 {
				t.Errorf("only %d places to die", dieAt)
			}
			return
		}
		if _, _, done := run(t, dir, 0, 0); !done {
			t.Fatalf("killed at call %d: a second run does not end", dieAt)
		}
	}
}

// TestKilledAtRandom kills victims after a random acknowledgement, so somewhere in the work that follows, until the object is whole.
func TestKilledAtRandom(t *testing.T) {
	t.Parallel()
	for seed := range uint64(8) {
		dir, random := t.TempDir(), rand.New(rand.NewPCG(seed, 1))
		var acked int64
		for done := false; !done; {
			var committed bool
			var now int64
			now, committed, done = run(t, dir, 0, 1+random.IntN(5))
			acked = max(acked, now)
			inspect(t, dir, acked, committed)
		}
	}
}
