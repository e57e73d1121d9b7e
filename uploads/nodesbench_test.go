package uploads_test

import (
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"sluice/uploads"
)

// BenchmarkTakeOver is the time from a PATCH on one node to its 204, while a stalled PATCH on another node has the upload: the middle one
// and the slowest of twenty.
func BenchmarkTakeOver(b *testing.B) {
	const stall = 50 * time.Millisecond
	for name, open := range lenders(false) {
		b.Run(name, func(b *testing.B) {
			nodes := fleet(b, 2, uploads.Options{StallAfter: stall}, onDisk(b), open(b))
			for b.Loop() {
				times := make([]time.Duration, 20)
				for i := range times {
					location := nodes[0].create("Upload-Length", "10")
					old := nodes[0].stalled(location, 10, "hello")
					pause(2 * stall)
					started := time.Now()
					if rep := nodes[1].patch(location, "5", "w"); rep.status != http.StatusNoContent {
						b.Fatalf("got %d after %v", rep.status, time.Since(started))
					}
					times[i] = time.Since(started)
					_ = old.Close()
				}
				slices.Sort(times)
				b.ReportMetric(float64(times[len(times)/2].Microseconds())/1000, "ms-middle")
				b.ReportMetric(float64(times[len(times)-1].Microseconds())/1000, "ms-slowest")
			}
		})
	}
}

// BenchmarkSmallPatch is what the lock between nodes adds to a PATCH of 5 bytes that nobody disturbs.
func BenchmarkSmallPatch(b *testing.B) {
	patches := func(b *testing.B, n *bench) {
		location := n.create("Upload-Length", "1000000000")
		off := 0
		for b.Loop() {
			if rep := n.patch(location, strconv.Itoa(off), "hello"); rep.status != http.StatusNoContent {
				b.Fatalf("got %d", rep.status)
			}
			off += 5
		}
	}
	b.Run("alone", func(b *testing.B) { patches(b, start(b, uploads.Options{}, onDisk(b))) })
	for name, open := range lenders(false) {
		b.Run(name, func(b *testing.B) { patches(b, fleet(b, 1, uploads.Options{}, onDisk(b), open(b))[0].bench) })
	}
}
