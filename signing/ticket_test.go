package signing_test

import (
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"sluice/media"
	"sluice/signing"
)

func anyTicket(t *rapid.T) media.Ticket {
	return media.Ticket{
		Asset:   media.AssetID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "asset")),
		Epoch:   rapid.Uint32().Draw(t, "epoch"),
		Use:     media.Use(rapid.IntRange(1, 3).Draw(t, "use")),
		Expires: noon.Add(time.Duration(rapid.IntRange(1, 1<<28).Draw(t, "ttl")) * time.Second),
		Session: media.Session(rapid.SliceOfN(rapid.Byte(), 8, 8).Draw(t, "session")),
		Own:     rapid.Bool().Draw(t, "own"),
		Public:  rapid.Bool().Draw(t, "public"),
	}
}

func TestTicketSaysWhatWasSigned(t *testing.T) {
	t.Parallel()
	r := newRing(t, noon)
	rapid.Check(t, func(t *rapid.T) {
		want := anyTicket(t)
		text := r.Sign(want)
		if len(text) != 44 || strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			t.Fatalf("got %q, want 44 characters of base64url", text)
		}
		got, err := r.Verify(text, want.Asset, want.Epoch)
		if err != nil {
			t.Fatal(err)
		}
		want.Key = r.Signer()
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("-want +got:\n%s", d)
		}
	})
}

func TestAnyFlippedBitIsForbidden(t *testing.T) {
	t.Parallel()
	r := newRing(t, noon.Add(48*time.Hour), signing.Key{ID: 1, Secret: secret('a'), Use: signing.Sign}, signing.Key{ID: 0, Secret: secret('b'), Use: signing.Verify})
	rapid.Check(t, func(t *rapid.T) {
		ticket := anyTicket(t) // expired for many draws: a bad MAC must win over that
		raw, err := base64.RawURLEncoding.DecodeString(r.Sign(ticket))
		if err != nil {
			t.Fatal(err)
		}
		for bit := range len(raw) * 8 {
			bad := slices.Clone(raw)
			bad[bit/8] ^= 1 << (bit % 8)
			if _, err := r.Verify(base64.RawURLEncoding.EncodeToString(bad), ticket.Asset, ticket.Epoch); !errors.Is(err, media.Forbidden) {
				t.Fatalf("bit %d: got %v, want forbidden", bit, err)
			}
		}
	})
}

func TestATicketOpensOneAssetAtOneEpoch(t *testing.T) {
	t.Parallel()
	r := newRing(t, noon)
	rapid.Check(t, func(t *rapid.T) {
		ticket := anyTicket(t)
		text := r.Sign(ticket)
		id, epoch := ticket.Asset, ticket.Epoch
		bit := rapid.IntRange(0, 16*8+32-1).Draw(t, "bit")
		if bit < 128 {
			id[bit/8] ^= 1 << (bit % 8)
		} else {
			epoch ^= 1 << (bit - 128)
		}
		if _, err := r.Verify(text, id, epoch); !errors.Is(err, media.Forbidden) {
			t.Fatalf("got %v, want forbidden", err)
		}
	})
}

func TestTicketSpelling(t *testing.T) {
	t.Parallel()
	r := newRing(t, noon)
	id := media.NewAssetID(noon)
	good := r.Sign(media.Ticket{Asset: id, Use: media.Play, Expires: noon.Add(time.Hour)})
	if _, err := r.Verify(good, id, 0); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, ticket string }{
		{"empty", ""},
		{"one character short", good[:43]},
		{"one character long", good + "A"},
		{"padded", good + "="},
		{"a line feed at the end", good + "\n"},
		{"a line feed in place of a character", good[:20] + "\n" + good[21:]},
		{"line feeds that bring it to length", good[:40] + "\r\n\r\n"},
		{"the standard alphabet's plus", "+" + good[1:]},
		{"the standard alphabet's slash", good[:43] + "/"},
		{"a space", " " + good[1:]},
		{"a percent escape", "%41" + good[3:]},
		{"not ASCII", "ü" + good[2:]},
		{"another version", "Ag" + good[2:]},
		{"a key nobody has", r.Sign(media.Ticket{Asset: id})[:1] + "f" + good[2:]},
		{"a capability of the same asset", r.Capability(id)},
		{"a ticket with no use", r.Sign(media.Ticket{Asset: id, Expires: noon.Add(time.Hour)})},
		{"a ticket with a use beyond the known", r.Sign(media.Ticket{Asset: id, Use: 4, Expires: noon.Add(time.Hour)})},
		{"a megabyte", strings.Repeat("A", 1<<20)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if _, err := r.Verify(tt.ticket, id, 0); !errors.Is(err, media.Forbidden) {
				t.Errorf("got %v, want forbidden", err)
			}
		})
	}
}

func TestExpiry(t *testing.T) {
	t.Parallel()
	id := media.NewAssetID(noon)
	tests := []struct {
		name    string
		expires time.Time
		now     time.Time
		want    error
	}{
		{"before it a ticket opens", noon, noon.Add(-time.Nanosecond), nil},
		{"at it a ticket is gone", noon, noon, media.Gone},
		{"after it a ticket is gone", noon, noon.Add(time.Hour), media.Gone},
		{"fractions of a second are cut", noon.Add(999 * time.Millisecond), noon.Add(time.Millisecond), media.Gone},
		{"a time before 1970 is long over", time.Unix(-5, 0), noon, media.Gone},
		{"the farthest time is far", time.Unix(1<<50, 0), noon, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRing(t, tt.now)
			_, err := r.Verify(r.Sign(media.Ticket{Asset: id, Use: media.Play, Expires: tt.expires}), id, 0)
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestVerifyAllocatesNothing(t *testing.T) {
	// Not parallel: AllocsPerRun counts the whole process.
	r := newRing(t, noon)
	id := media.NewAssetID(noon)
	text := r.Sign(media.Ticket{Asset: id, Use: media.Play, Expires: noon.Add(time.Hour)})
	allowed := 0.0
	if poolDrops {
		allowed = 8
	}
	got := testing.AllocsPerRun(1000, func() {
		if _, err := r.Verify(text, id, 0); err != nil {
			t.Error(err)
		}
	})
	if got > allowed {
		t.Errorf("got %v allocations, want at most %v", got, allowed)
	}
}

func FuzzParseTicket(f *testing.F) {
	r := newRing(f, noon)
	id := media.NewAssetID(noon)
	good := media.Ticket{Asset: id, Epoch: 3, Use: media.Play, Expires: noon.Add(time.Hour)}
	f.Add(r.Sign(good))
	f.Add(r.Sign(media.Ticket{Asset: id, Epoch: 3, Use: media.Play, Expires: noon}))
	f.Add("")
	f.Add(strings.Repeat("A", 44))
	f.Add(strings.Repeat("\n", 44))
	f.Fuzz(func(t *testing.T, s string) {
		got, err := r.Verify(s, id, 3)
		switch {
		case err == nil:
			if again := r.Sign(got); again != s {
				t.Errorf("%q verifies, and its content signs to %q", s, again)
			}
		case !errors.Is(err, media.Forbidden) && !errors.Is(err, media.Gone):
			t.Errorf("got %v, want forbidden or gone", err)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	r := newRing(b, noon)
	id := media.NewAssetID(noon)
	text := r.Sign(media.Ticket{Asset: id, Use: media.Play, Expires: noon.Add(time.Hour)})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Verify(text, id, 0); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSign(b *testing.B) {
	r := newRing(b, noon)
	ticket := media.Ticket{Asset: media.NewAssetID(noon), Use: media.Play, Expires: noon.Add(time.Hour)}
	b.ReportAllocs()
	for b.Loop() {
		_ = r.Sign(ticket)
	}
}
