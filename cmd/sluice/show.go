package main

import (
	"io"
	"strconv"
	"time"

	"github.com/schollz/progressbar/v3"
)

// show is the progress on a terminal, and little elsewhere.
type show struct {
	w    io.Writer
	bar  *progressbar.ProgressBar // nil: not a terminal
	name string
	done bool
}

func newShow(s surroundings, name string, size int64, quiet bool) *show {
	v := &show{w: s.stderr, name: strconv.Quote(name)}
	if s.terminal && !quiet && size > 0 {
		v.bar = progressbar.NewOptions64(size,
			progressbar.OptionSetWriter(s.stderr), progressbar.OptionSetDescription(v.name), progressbar.OptionShowBytes(true),
			progressbar.OptionUseIECUnits(true), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionFullWidth(),
			progressbar.OptionSetRenderBlankState(true))
	}
	return v
}

func (v *show) at(offset int64) {
	if v.bar != nil {
		_ = v.bar.Set64(offset) // a bar that cannot be drawn stops nothing
	}
}

func (v *show) wait(err error, d time.Duration) {
	say(v.w, "\n%s: %s; trying again in %v\n", v.name, oneLine(err.Error()), d)
}

// anew says that earlier bytes are lost.
func (v *show) anew() {
	say(v.w, "%s: the gateway no longer has what was sent before; starting anew\n", v.name)
}

func (v *show) end() {
	if v.bar != nil && !v.done {
		v.done = true
		_ = v.bar.Exit() // as above
		say(v.w, "\n")
	}
}
