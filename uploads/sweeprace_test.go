package uploads_test

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/uploads"
)

// Promise G1: an upload that expires while its last bytes come is either finished and stays, or was never told to be.
func TestASweepThatRacesAFinishTakesNothingFinished(t *testing.T) {
	t.Parallel()
	start0 := time.Now()
	var ahead atomic.Int64
	now := func() time.Time { return start0.Add(time.Duration(ahead.Load())) }
	b := start(t, uploads.Options{Expiry: time.Hour, Grace: time.Hour, Now: now}, onDisk(t))
	finished, refused := 0, 0
	for round := range 60 {
		location := b.create("Upload-Length", "5")
		b.patch(location, "0", "he")
		b.boot() // nobody holds it: the sweeper may take it
		var rep reply
		var perr, serr error
		var wg sync.WaitGroup
		wg.Go(func() {
			rep, perr = b.try(http.MethodPatch, location, strings.NewReader("llo"), "Upload-Offset", "2")
		})
		wg.Go(func() {
			if round%2 == 0 { // expired in every other round
				ahead.Add(int64(3 * time.Hour))
			}
			serr = b.s.Sweep(t.Context(), true)
		})
		wg.Wait()
		if perr != nil || serr != nil {
			t.Fatal(perr, serr)
		}
		ahead.Add(int64(3 * time.Hour))
		if err := b.s.Sweep(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		switch rep.status {
		case http.StatusNoContent:
			finished++
			b.wantOffset(location, "5")
			if got := b.content(location); got != "hello" {
				t.Fatalf("a finished upload holds %q after a sweep", got)
			}
		case http.StatusGone, http.StatusNotFound, http.StatusConflict, http.StatusLocked:
			refused++
			if rep := b.head(location); rep.status == http.StatusOK {
				t.Fatalf("told %s and finished: offset %s", rep.body, rep.header.Get("Upload-Offset"))
			}
		default:
			t.Fatalf("PATCH beside a sweep: %d %s", rep.status, rep.body)
		}
	}
	if finished == 0 || refused == 0 {
		t.Errorf("%d finished and %d refused: the race has one end only", finished, refused)
	}
}
