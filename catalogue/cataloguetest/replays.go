package cataloguetest

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/media"
)

const lease = time.Minute

func (f *Fixture) claim(id, request, claim string) media.Replay {
	f.Helper()
	r, err := f.ClaimReplay(f.ctx(), media.Replay{ID: id, Request: request, Claim: claim}, lease)
	f.must(err)
	return r
}

func replays() []Promise {
	return []Promise{
		{"who claims a request first acts, and others are told so", func(f *Fixture) {
			mine := media.Replay{ID: "k", Request: "r", Claim: "a"}
			f.want("the first has it", cmp.Equal(f.claim("k", "r", "a"), mine))
			f.want("the second does not", cmp.Equal(f.claim("k", "another", "b"), mine))
			f.want("another key is another's", f.claim("k2", "r", "b").Claim == "b")
		}},
		{"an answer is kept byte for byte, for a day", func(f *Fixture) {
			r := f.claim("k", "r", "a")
			r.Answer = []byte("\x00\xff answer")
			f.must(f.KeepReplay(f.ctx(), r))
			f.clock.Add(int64(23 * time.Hour))
			f.want("it is there", cmp.Equal(f.claim("k", "r", "b"), r))
			f.clock.Add(int64(2 * time.Hour))
			f.want("and then is not", cmp.Equal(f.claim("k", "r", "c"), media.Replay{ID: "k", Request: "r", Claim: "c"}))
		}},
		{"a claim that was dropped, or never answered, is free again", func(f *Fixture) {
			r := f.claim("k", "r", "a")
			f.must(f.DropReplay(f.ctx(), media.Replay{ID: "k", Claim: "b"}))
			f.want("only its owner drops it", f.claim("k", "r", "b").Claim == "a")
			f.must(f.DropReplay(f.ctx(), r))
			f.want("dropped", f.claim("k", "r2", "b").Claim == "b")
			f.clock.Add(int64(2 * lease))
			f.want("over", f.claim("k", "r3", "c").Claim == "c")
			r.Answer = []byte("late")
			f.must(f.KeepReplay(f.ctx(), r))
			f.want("who lost it answers nothing", cmp.Equal(f.claim("k", "r", "d"), media.Replay{ID: "k", Request: "r3", Claim: "c"}))
		}},
		{"of many that claim one request at once one acts", func(f *Fixture) {
			var wg sync.WaitGroup
			errs, got := make([]error, 8), make([]media.Replay, 8)
			for i := range errs {
				wg.Go(func() {
					got[i], errs[i] = f.ClaimReplay(f.ctx(), media.Replay{ID: "k", Request: "r", Claim: fmt.Sprint(i)}, time.Hour)
				})
			}
			wg.Wait()
			f.must(errors.Join(errs...))
			for _, r := range got {
				f.want("all name the same", r.Claim == got[0].Claim && r.Claim != "")
			}
		}},
	}
}
