package cataloguetest

import (
	"fmt"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/media"
)

func (f *Fixture) intend(id string, kept time.Duration) media.Intent {
	f.Helper()
	at := f.now().Truncate(time.Microsecond)
	i := media.Intent{ID: id, Doing: media.Deleting, Subject: product(1), By: "ann", State: media.Begun, Until: at.Add(kept), At: at}
	f.must(f.Intend(f.ctx(), i))
	return i
}

func (f *Fixture) intents() []media.Intent {
	f.Helper()
	all, err := f.Intents(f.ctx())
	f.must(err)
	return all
}

// state gives that of an intent; "" when it has ended.
func (f *Fixture) state(id string) media.IntentState {
	f.Helper()
	for _, i := range f.intents() {
		if i.ID == id {
			return i.State
		}
	}
	return ""
}

func intents() []Promise {
	return []Promise{
		{"intents come back field by field, oldest first", func(f *Fixture) {
			f.want("there are none at first", len(f.intents()) == 0)
			want := []media.Intent{f.intend("b", time.Hour), f.intend("a", time.Hour)}
			twin := want[1]
			twin.ID, twin.Until, twin.State = "c", time.Time{}, media.Decided
			f.must(f.Intend(f.ctx(), twin))
			twin.State = media.Begun
			if d := cmp.Diff(append(want, twin), f.intents()); d != "" {
				f.Fatal(d)
			}
			f.refuses(f.Intend(f.ctx(), twin), media.Conflict)
			f.refuses(f.Intend(f.ctx(), media.Intent{ID: "\x00"}), media.Invalid)
		}},
		{"an intent is undone while it is begun", func(f *Fixture) {
			f.intend("i", time.Hour)
			f.must(f.Undo(f.ctx(), "i"))
			f.want("it is", f.state("i") == media.Undone)
			f.must(f.Undo(f.ctx(), "i")) // whoever clears up may have died on the way
			f.intend("d", time.Hour)
			_, err := f.Attach(f.ctx(), "d", nil)
			f.must(err)
			f.refuses(f.Undo(f.ctx(), "d"), media.Conflict)
			f.want("what is decided stays so", f.state("d") == media.Decided)
			f.refuses(f.Undo(f.ctx(), "none"), media.NotFound)
		}},
		{"an intent that is ended is gone", func(f *Fixture) {
			f.intend("i", time.Hour)
			for range 2 {
				f.must(f.End(f.ctx(), "i"))
			}
			f.want("it is", f.state("i") == "")
			f.refuses(f.Undo(f.ctx(), "i"), media.NotFound)
		}},
		{"of many that decide an intent one does", func(f *Fixture) {
			f.intend("i", time.Hour)
			f.oneOf(6, media.Conflict, func() error {
				_, err := f.Attach(f.ctx(), "i", []media.Attachment{external(imageOf(1, true, 0))})
				return err
			})
			f.want("it attached once", len(f.places(imagesOf(1))) == 1)
		}},
		{"at most 1,000 intents are read", func(f *Fixture) {
			for i := range 1001 {
				f.intend(fmt.Sprintf("i%04d", i), time.Hour)
			}
			all := f.intents()
			f.want("the oldest are", len(all) == 1000 && all[0].ID == "i0000")
		}},
	}
}
