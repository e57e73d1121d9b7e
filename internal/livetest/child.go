package livetest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// child is a server process of a test's own.
type child struct {
	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{} // closed when cmd has ended
}

// launch starts the process and waits until it is up. It fails when the process runs already.
func (c *child) launch(cmd *exec.Cmd, up func() bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cmd != nil {
		return errors.New("it runs already")
	}
	var out output
	cmd.Stdout, cmd.Stderr = &out, &out
	// A test that panics leaves no server behind.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return err
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = cmd.Wait() // ended by a signal of ours; else the question below says so
	}()
	c.cmd, c.done = cmd, done
	limit := time.NewTimer(startLimit)
	defer limit.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !up() {
		select {
		case <-tick.C:
		case <-done:
			c.cmd = nil
			return fmt.Errorf("it ended: %s", out.String())
		case <-limit.C:
			return fmt.Errorf("it does not answer: %s", out.String())
		}
	}
	return nil
}

// Kill ends the server with SIGKILL and waits until it has gone.
func (c *child) Kill() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cmd == nil {
		return
	}
	_ = c.cmd.Process.Kill() // already gone is as good
	<-c.done
	c.cmd = nil
}

// Pid is the process id, or 0 while it does not run.
func (c *child) Pid() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cmd == nil {
		return 0
	}
	return c.cmd.Process.Pid
}

// Pause stops the server from answering while its connections stay, as a host that swallows packets does; Continue ends that.
func (c *child) Pause(t testing.TB) {
	t.Helper()
	c.signal(t, syscall.SIGSTOP)
	pid := c.Pid()
	Until(t, stopLimit, "the server has stopped", func() bool { return paused(pid) })
}

// paused reports whether a process is stopped, as by SIGSTOP.
func paused(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && bytes.Contains(text, []byte(") T "))
}

// Continue lets a paused server go on.
func (c *child) Continue(t testing.TB) {
	t.Helper()
	c.signal(t, syscall.SIGCONT)
}

func (c *child) signal(t testing.TB, sig syscall.Signal) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cmd == nil {
		t.Fatal("livetest: the server does not run")
	}
	if err := c.cmd.Process.Signal(sig); err != nil {
		t.Fatalf("livetest: %v", err)
	}
}

// tool gives a program that is built from tools/go.mod, once for all test runs: build is told the module's root, a folder of its own and where to
// leave the program.
func tool(name string, build func(root, dir, path string) error) (string, error) {
	root, err := ModuleRoot()
	if err != nil {
		return "", err
	}
	sum, err := os.ReadFile(filepath.Join(root, "tools", "go.sum"))
	if err != nil {
		return "", err
	}
	hash := sha256.Sum256(sum)
	dir, err := cacheFolder(name + "-" + hex.EncodeToString(hash[:6]))
	if err != nil {
		return "", err
	}
	unlock, err := lockFile(dir + ".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if err := build(root, dir, path+".new"); err != nil {
		return "", err
	}
	return path, os.Rename(path+".new", path)
}

// goBuild runs go build in the module's root.
func goBuild(root string, args ...string) error {
	cmd := exec.Command("go", append([]string{"build"}, args...)...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}
