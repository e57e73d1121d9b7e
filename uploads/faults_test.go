package uploads_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"sluice/media"
	"sluice/storage"
	"sluice/storage/memory"
	"sluice/uploads"
)

func TestTheFullOffsetWaitsForTheRow(t *testing.T) {
	t.Parallel()
	b := start(t, uploads.Options{}, onDisk(t))
	location := b.create("Upload-Length", "10")
	b.ledger.setAway(true)
	if rep := b.patch(location, "0", "hello"); rep.status != http.StatusNoContent {
		t.Fatalf("a PATCH without the ledger: got %d %s, want 204", rep.status, rep.body)
	}
	b.wantOffset(location, "5")
	if rep := b.patch(location, "5", "world"); rep.status != http.StatusServiceUnavailable || rep.header.Get("Retry-After") == "" {
		t.Fatalf("the last PATCH: got %d, want 503 with Retry-After", rep.status)
	}
	for range 3 {
		if rep := b.head(location); rep.status != http.StatusLocked || rep.header.Get("Retry-After") == "" || rep.header.Get("Upload-Offset") != "" {
			t.Fatalf("HEAD: got %d offset %q, want 423 and none", rep.status, rep.header.Get("Upload-Offset"))
		}
		if rep := b.patch(location, "10", ""); rep.status != http.StatusServiceUnavailable {
			t.Fatalf("a PATCH at the end: got %d, want 503", rep.status)
		}
	}
	b.ledger.setAway(false)
	if rep := b.patch(location, "10", ""); rep.status != http.StatusNoContent {
		t.Fatalf("a PATCH when the ledger is back: got %d, want 204", rep.status)
	}
	b.wantOffset(location, "10")
	if n := b.ledger.timesStored(b.id(location)); n != 1 {
		t.Errorf("the row was stored %d times, want once", n)
	}
}

func TestAPendingFinishEndsByItselfWithinASecond(t *testing.T) {
	t.Parallel()
	b := start(t, uploads.Options{}, nil)
	b.run()
	location := b.create("Upload-Length", "5")
	b.ledger.setAway(true)
	if rep := b.patch(location, "0", "hello"); rep.status != http.StatusServiceUnavailable {
		t.Fatalf("got %d, want 503", rep.status)
	}
	b.ledger.setAway(false)
	eventually(t, time.Second, "the row is stored", func() bool { return b.ledger.timesStored(b.id(location)) == 1 })
	b.wantOffset(location, "5")
}

func TestAPendingFinishIsNotRepeatedWithoutAPause(t *testing.T) {
	t.Parallel()
	b := start(t, uploads.Options{}, nil)
	b.run()
	location := b.create("Upload-Length", "5")
	b.ledger.setAway(true)
	if rep := b.patch(location, "0", "hello"); rep.status != http.StatusServiceUnavailable {
		t.Fatalf("got %d, want 503", rep.status)
	}
	before := b.ledger.calls()
	<-time.After(300 * time.Millisecond)
	if n := b.ledger.calls() - before; n > 20 { // tries after 0, 50, 150 and 350 ms, and a sweep
		t.Errorf("%d ledger calls in 300 ms while it is away, want a handful", n)
	}
}

func TestAHeadThatCannotKnowIsLocked(t *testing.T) {
	t.Parallel()
	b := start(t, uploads.Options{}, nil)
	location := b.create("Upload-Length", "5")
	b.boot()
	b.ledger.setAway(true)
	if rep := b.head(location); rep.status != http.StatusLocked || rep.header.Get("Retry-After") == "" {
		t.Errorf("HEAD: got %d, want 423 with Retry-After", rep.status)
	}
	if rep := b.patch(location, "0", "hello"); rep.status != http.StatusServiceUnavailable {
		t.Errorf("PATCH: got %d, want 503", rep.status)
	}
	if rep := b.send(http.MethodPost, "/files", nil, "Upload-Length", "5"); rep.status != http.StatusServiceUnavailable {
		t.Errorf("POST: got %d, want 503", rep.status)
	}
	b.ledger.setAway(false)
	b.wantOffset(location, "0")
}

func TestOpenUploadsOutliveARestart(t *testing.T) {
	t.Parallel()
	b := start(t, uploads.Options{}, onDisk(t))
	location := b.create("Upload-Length", "10", "Upload-Metadata", "raw /wD+")
	b.patch(location, "0", "hello")
	b.boot()
	b.wantOffset(location, "5")
	if got := b.head(location).header.Get("Upload-Metadata"); got != "raw /wD+" {
		t.Errorf("metadata: got %q", got)
	}
	b.patch(location, "5", "world")
	b.boot()
	b.wantOffset(location, "10")
}

func TestAPatchAsksTheLedgerForNothing(t *testing.T) {
	t.Parallel()
	b := start(t, uploads.Options{}, onDisk(t))
	location := b.create("Upload-Length", "100")
	before := b.ledger.calls()
	for i := range 9 {
		if rep := b.patch(location, fmt.Sprint(i*10), "0123456789"); rep.status != http.StatusNoContent {
			t.Fatalf("got %d", rep.status)
		}
	}
	if n := b.ledger.calls() - before; n != 0 {
		t.Errorf("nine PATCHes made %d ledger calls, want 0", n)
	}
}

func TestASweepFinishesWhatACrashCutOff(t *testing.T) {
	t.Parallel()
	for name, committed := range map[string]bool{"before the commit": false, "between commit and row": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := start(t, uploads.Options{}, onDisk(t))
			location := b.create("Upload-Length", "5")
			b.boot() // forget what is in memory
			a := b.row(location)
			w, err := b.store.Resume(t.Context(), a.Backend, a.Key)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Append(t.Context(), 0, strings.NewReader("hello")); err != nil {
				t.Fatal(err)
			}
			if committed {
				if _, err := w.Commit(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			if err := b.s.Sweep(t.Context(), true); err != nil {
				t.Fatal(err)
			}
			b.wantOffset(location, "5")
			if n := b.ledger.timesStored(b.id(location)); n != 1 || b.content(location) != "hello" {
				t.Errorf("stored %d times, content %q", n, b.content(location))
			}
		})
	}
}

func TestASweepRemovesExpiredUploadsAndOrphans(t *testing.T) {
	t.Parallel()
	now := time.Now()
	b := start(t, uploads.Options{Expiry: time.Hour, Grace: time.Hour, Now: func() time.Time { return now }}, onDisk(t))
	part := b.send(http.MethodPost, "/files", strings.NewReader("abc"), "Upload-Length", "3", "Upload-Concat", "partial", "Content-Type", "application/offset+octet-stream")
	open := b.create("Upload-Length", "5")
	b.patch(open, "0", "he")
	done := b.create("Upload-Length", "5")
	b.patch(done, "0", "hello")
	orphan := media.NewAssetID(now)
	elder := media.NewAssetID(now.Add(-24 * time.Hour)) // from before this ledger: a catalogue that was lost may know it
	begin := func(id media.AssetID) storage.Write {
		w, err := b.store.Begin(t.Context(), "main", storage.KeyFor(id), 5)
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	for _, id := range []media.AssetID{orphan, elder} {
		if err := begin(id).Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.s.Sweep(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if _, err := b.store.Resume(t.Context(), "main", storage.KeyFor(orphan)); err != nil {
		t.Fatalf("bytes younger than the grace time went: %v", err)
	}
	now = now.Add(2 * time.Hour)
	if rep := b.head(open); rep.status != http.StatusGone {
		t.Errorf("HEAD of an expired upload: got %d, want 410", rep.status)
	}
	if err := b.s.Sweep(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	for _, location := range []string{open, part.header.Get("Location")} {
		if rep := b.head(location); rep.status != http.StatusNotFound {
			t.Errorf("HEAD of a swept upload: got %d, want 404", rep.status)
		}
	}
	b.wantOffset(done, "5")
	if err := b.s.Sweep(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, list := range []func(func(media.Object, error) bool){b.store.Unfinished(t.Context(), "main"), b.store.List(t.Context(), "main", "")} {
		for _, err := range list {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
	}
	if _, err := b.store.Resume(t.Context(), "main", storage.KeyFor(elder)); err != nil || n != 2 {
		t.Errorf("%d objects are left, want the finished one and the one that is older than the ledger: %v", n, err)
	}
}

func TestAFullDiskIs507AndKeepsNothingHidden(t *testing.T) {
	t.Parallel()
	b := start(t, uploads.Options{}, memory.NewLimited(8))
	location := b.create("Upload-Defer-Length", "1")
	if rep := b.patch(location, "0", "0123456789"); rep.status != http.StatusInsufficientStorage {
		t.Fatalf("got %d, want 507", rep.status)
	}
	if rep := b.head(location); rep.status != http.StatusOK {
		t.Errorf("HEAD on a full disk: got %d, want 200", rep.status)
	}
	if rep := b.send(http.MethodDelete, location, nil); rep.status != http.StatusNoContent {
		t.Errorf("DELETE on a full disk: got %d, want 204", rep.status)
	}
	again := b.create("Upload-Length", "8")
	if rep := b.patch(again, "0", "01234567"); rep.status != http.StatusNoContent {
		t.Errorf("after the disk was freed: got %d, want 204", rep.status)
	}
}

func TestEveryStoredUploadBecomesReadyWithItsHash(t *testing.T) {
	t.Parallel()
	b := start(t, uploads.Options{}, onDisk(t))
	b.run()
	body := strings.Repeat("0123456789abcdef", 1<<17) // 2 MiB: hashed in the background
	big := b.create("Upload-Length", fmt.Sprint(len(body)))
	if rep := b.patch(big, "0", body); rep.status != http.StatusNoContent {
		t.Fatalf("got %d", rep.status)
	}
	small := b.send(http.MethodPost, "/files", strings.NewReader("hello"), "Upload-Length", "5", "Content-Type", "application/offset+octet-stream")
	for location, content := range map[string]string{big: body, small.header.Get("Location"): "hello"} {
		eventually(t, 5*time.Second, "ready", func() bool { return b.row(location).State == media.Ready })
		want := sha256.Sum256([]byte(content))
		if got := b.row(location).SHA256; hex.EncodeToString(got) != hex.EncodeToString(want[:]) {
			t.Errorf("hash: got %x, want %x", got, want)
		}
	}
}

func TestARefusedOneShotLeavesNothing(t *testing.T) {
	t.Parallel()
	b := start(t, uploads.Options{Quota: 8}, onDisk(t))
	rep := b.send(http.MethodPost, "/files", strings.NewReader("0123456789"), "Upload-Length", "10", "Content-Type", "application/offset+octet-stream")
	if rep.status != http.StatusRequestEntityTooLarge {
		t.Fatalf("over the quota: got %d, want 413", rep.status)
	}
	for o, err := range b.store.List(t.Context(), "main", "") {
		t.Errorf("left: %v %v", o, err)
	}
}

func TestQuotaHoldsForDeferredBodies(t *testing.T) {
	t.Parallel()
	const quota = 256 << 10
	b := start(t, uploads.Options{Quota: quota}, onDisk(t))
	location := b.create("Upload-Defer-Length", "1")
	b.patch(location, "0", strings.Repeat("x", quota+1))
	rep := b.head(location)
	if off := rep.header.Get("Upload-Offset"); rep.status != http.StatusOK || len(off) > 6 || off > fmt.Sprint(quota) && len(off) == 6 {
		t.Errorf("got %d offset %s, want at most %d", rep.status, off, quota)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, b.url(location), struct{ *strings.Reader }{strings.NewReader(strings.Repeat("x", 2*quota))})
	if err != nil {
		t.Fatal(err)
	}
	req.Header = http.Header{"Tus-Resumable": {"1.0.0"}, "Upload-Offset": {rep.header.Get("Upload-Offset")}, "Content-Type": {"application/offset+octet-stream"}}
	res, err := b.server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("chunked over the quota: got %d, want 413", res.StatusCode)
	}
}

func TestADeletionByOthersIsSeenAtOnce(t *testing.T) {
	t.Parallel()
	b := start(t, uploads.Options{}, nil)
	for name, tell := range map[string]func(media.AssetID){
		"told": b.s.Changed, "told that something was missed": func(media.AssetID) { b.s.ChangedAll() },
	} {
		location := b.create("Upload-Length", "10")
		b.patch(location, "0", "hello")
		if err := b.ledger.Doom(t.Context(), b.id(location)); err != nil {
			t.Fatal(err)
		}
		tell(b.id(location))
		if rep := b.head(location); rep.status != http.StatusNotFound {
			t.Errorf("%s: HEAD: got %d, want 404", name, rep.status)
		}
		if rep := b.patch(location, "5", "world"); rep.status != http.StatusNotFound {
			t.Errorf("%s: PATCH: got %d, want 404", name, rep.status)
		}
	}
}

// A thousand slow clients fit into 100 MiB. Not parallel: other tests would be measured along. The race detector's own memory is not.
func TestAStalledClientCostsAtMost100KiB(t *testing.T) { //nolint:paralleltest // it measures the whole process
	b := start(t, uploads.Options{}, onDisk(t))
	const clients = 200
	inUse := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapInuse + m.StackInuse
	}
	locations := make([]string, clients)
	for i := range locations {
		locations[i] = b.create("Upload-Length", "2000000")
	}
	before := inUse()
	for _, location := range locations {
		b.dial().say("PATCH %s HTTP/1.1\r\nHost: x\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\nContent-Type: %s\r\nContent-Length: 2000000\r\n\r\nhello",
			location, chunked)
	}
	for _, location := range locations {
		b.until(location, "5")
	}
	limit := uint64(100 << 10)
	if raceEnabled {
		limit *= 2
	}
	if each := (max(inUse(), before) - before) / clients; each > limit {
		t.Errorf("a stalled client costs %d KiB, want at most %d, its own end of the connection included", each>>10, limit>>10)
	} else {
		t.Logf("a stalled client costs %d KiB", each>>10)
	}
	if err := b.s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}
