package main

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"strings"
	"time"
)

// A thousand slow uploads are 25 MiB of objects and 23 MiB of stacks. Left alone Go holds 20 MiB more than that for them: garbage up to
// its goal, and pages freed by stacks that have grown. A memory limit makes it hand those back at once. The limit follows what is in use
// with a quarter to spare, so that the collector never runs without end, whatever the load.
const (
	gcPercent   = 50       // garbage beside what is in use; large bodies pass through pooled buffers and make next to none
	leastMemory = 60 << 20 // bytes; an idle gateway has 20 MiB in use
	thriftStep  = 4 << 20  // smaller changes of the limit are not worth stopping the world for
	thriftEvery = time.Second
)

// thrift keeps the process near the memory it uses, unless GOGC or GOMEMLIMIT say otherwise.
func thrift(ctx context.Context, environ []string) {
	set := func(name string) bool {
		return slices.ContainsFunc(environ, func(v string) bool { return strings.HasPrefix(v, name+"=") })
	}
	if !set("GOGC") {
		debug.SetGCPercent(gcPercent)
	}
	if set("GOMEMLIMIT") {
		return
	}
	used := []metrics.Sample{
		{Name: "/gc/heap/live:bytes"},
		{Name: "/memory/classes/heap/stacks:bytes"},
		{Name: "/memory/classes/metadata/other:bytes"},
		{Name: "/memory/classes/metadata/mspan/inuse:bytes"},
	}
	tick := time.NewTicker(thriftEvery)
	defer tick.Stop()
	for limit := int64(0); ; {
		metrics.Read(used)
		next := int64(0)
		for _, s := range used {
			next += int64(s.Value.Uint64()) //nolint:gosec // far below 2^63
		}
		if next = max(next/4*5, leastMemory); next > limit || next < limit-thriftStep {
			limit = next
			debug.SetMemoryLimit(limit)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
