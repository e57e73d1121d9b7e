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
	dying   = parse("SLUICE_CRASH_AT")
	pausing = parse("SLUICE_PAUSE_AT")
)

// point is one pass of a mark.
type point struct {
	name   string
	nth    int64
	passed atomic.Int64
}

// parse reads "mark", or "mark#3" for its third pass, from the environment.
func parse(variable string) *point {
	name, count, found := strings.Cut(os.Getenv(variable), "#")
	if !found {
		count = "1"
	}
	n, err := strconv.ParseInt(count, 10, 64)
	if err != nil {
		panic(variable + ": " + err.Error())
	}
	return &point{name: name, nth: n}
}

func (p *point) reached(mark string) bool { return mark == p.name && p.passed.Add(1) == p.nth }

// At kills the process with SIGKILL when SLUICE_CRASH_AT names this mark, and stops all of it with SIGSTOP when SLUICE_PAUSE_AT does: whoever
// waits for that may let something else die, and SIGCONT lets it go on.
func At(mark string) {
	switch {
	case dying.reached(mark):
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case pausing.reached(mark):
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
	}
}
