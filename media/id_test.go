package media_test

import (
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sluice/media"
)

func TestAssetIDRoundTrips(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		at := time.UnixMilli(rapid.Int64Range(0, 1<<47).Draw(t, "ms")).UTC()
		id := media.NewAssetID(at)
		got, err := media.ParseAssetID(id.String())
		if err != nil || got != id {
			t.Fatalf("ParseAssetID(%q) = %v, %v", id.String(), got, err)
		}
		if !id.Time().Equal(at) {
			t.Fatalf("Time() = %v, want %v", id.Time(), at)
		}
	})
}

func TestAssetIDsSortByTime(t *testing.T) {
	t.Parallel()
	a := media.NewAssetID(time.UnixMilli(1_000_000))
	b := media.NewAssetID(time.UnixMilli(1_000_001))
	if a.String() >= b.String() {
		t.Errorf("%s does not sort before %s", a, b)
	}
}

func TestParseAssetIDRefuses(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]string{
		"the empty string":    "",
		"upper case":          "01890A5D-AC96-774B-BCCE-B302099A8057",
		"another version":     "01890a5d-ac96-474b-bcce-b302099a8057",
		"another variant":     "01890a5d-ac96-774b-0cce-b302099a8057",
		"braces":              "{01890a5d-ac96-774b-bcce-b302099a805}",
		"missing dashes":      "01890a5dac96774bbcceb302099a80570000",
		"a dash too many":     "01890a5d-ac96-774b-bcce--302099a8057",
		"a path":              "../../../../../../../../etc/passwd00",
		"a NUL":               "01890a5d-ac96-774b-bcce-b302099a805\x00",
		"something after it":  "01890a5d-ac96-774b-bcce-b302099a8057/",
		"letters past f":      "01890a5d-ac96-774b-bcce-b302099a805g",
		"characters above ff": "01890a5d-ac96-774b-bcce-b302099a80é",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if id, err := media.ParseAssetID(s); !errors.Is(err, media.Invalid) {
				t.Errorf("ParseAssetID(%q) = %v, %v, want Invalid", s, id, err)
			}
		})
	}
}

func FuzzParseAssetID(f *testing.F) {
	f.Add("01890a5d-ac96-774b-bcce-b302099a8057")
	f.Add("01890a5d-ac96-774b-bcce-b302099a805")
	f.Add("------------------------------------")
	f.Fuzz(func(t *testing.T, s string) {
		if id, err := media.ParseAssetID(s); err == nil && id.String() != s {
			t.Errorf("%q was read as %s", s, id)
		}
	})
}
