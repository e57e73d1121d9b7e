//go:build crashpoints

// Package crash marks the places where a process may die, so that tests can make it die there.
package crash

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

var (
	target, nth = parse(os.Getenv("SLUICE_CRASH_AT"))
	passed      atomic.Int64
)

// parse reads "point" or "point#3": die at the third pass.
func parse(s string) (string, int64) {
	name, count, found := strings.Cut(s, "#")
	if !found {
		return name, 1
	}
	n, err := strconv.ParseInt(count, 10, 64)
	if err != nil {
		panic("SLUICE_CRASH_AT: " + err.Error())
	}
	return name, n
}

// At kills the process with SIGKILL when SLUICE_CRASH_AT names this point.
func At(point string) {
	if point != target || passed.Add(1) != nth {
		return
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}
