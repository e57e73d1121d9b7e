package playback

import (
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"sluice/media"
)

func TestHotBytesStayInBounds(t *testing.T) {
	t.Parallel()
	const budget = 1 << 20
	f := &faces{budget: budget}
	var readers sync.WaitGroup
	for worker := range uint64(4) {
		readers.Go(func() {
			r := rand.New(rand.NewPCG(worker, 1))
			for range 5000 {
				// 300 assets whose sizes are their numbers, so that wrong bytes show.
				n := 1 + r.IntN(300)
				a := media.Asset{ID: media.AssetID{14: byte(n >> 8), 15: byte(n)}, Size: int64(n) * 100, StoredAt: time.Unix(1, 0)}
				if r.IntN(50) == 0 {
					a.Filename = "renamed.mp4"
				}
				p := f.of(&a)
				if b := p.kept(span{0, a.Size}); b != nil {
					if int64(len(b)) != a.Size || binary.LittleEndian.Uint32(append(b[:1:1], 0, 0, 0)) != uint32(byte(n)) {
						t.Errorf("asset %d has the bytes of another", n)
					}
					continue
				}
				b := make([]byte, a.Size)
				b[0] = byte(n)
				f.keep(p, b)
			}
		})
	}
	readers.Wait()
	var sum int64
	for i := range f.slots {
		if p := f.slots[i].Load(); p != nil && p.bytes.Load() != nil {
			sum += int64(len(*p.bytes.Load()))
		}
	}
	if sum != f.held || sum > budget || sum < budget/2 {
		t.Errorf("%d bytes are kept, %d are said to be, of %d", sum, f.held, budget)
	}
}

func TestUsedBytesOutliveUnused(t *testing.T) {
	t.Parallel()
	f := &faces{budget: 1000}
	asset := func(n byte) *face { return f.of(&media.Asset{ID: media.AssetID{15: n}, Size: 100}) }
	whole := span{0, 100}
	favourite := asset(0)
	for range 2 {
		f.keep(favourite, make([]byte, 100))
	}
	for n := range byte(100) {
		if favourite.kept(whole) == nil {
			t.Fatalf("what is used all the time is gone after %d others", n)
		}
		for range 2 {
			f.keep(asset(n+1), make([]byte, 100))
		}
	}
}
