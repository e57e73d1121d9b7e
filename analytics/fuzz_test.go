package analytics_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"sluice/analytics"
	"sluice/media"
)

func FuzzJournalName(f *testing.F) {
	f.Add("sluice-journal-1 0123456789abcdef0123456789abcdef 0 -1\n")
	f.Add("sluice-journal-1 0123456789abcdef0123456789abcdef 17 42\n")
	f.Add("sluice-journal-1 0123456789ABCDEF0123456789abcdef 0 0\n")
	f.Add("sluice-journal-1 0123456789abcdef0123456789abcdef -1 0\n")
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		if got, err := analytics.ParseJournalName(s); err == nil && got != s {
			t.Errorf("%q was read as %q", s, got)
		}
	})
}

func FuzzSegment(f *testing.F) {
	f.Add([]byte{})
	f.Add(make([]byte, 64))
	f.Add([]byte{7: 0x80, 8: 1, 200: 3})
	f.Add(make([]byte, 1000))
	f.Fuzz(func(t *testing.T, b []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "0000000000000001.journal"), b, 0o600); err != nil {
			t.Fatal(err)
		}
		l := newLedger()
		c, err := analytics.NewCounter(l, dir, analytics.CounterOptions{SegmentSize: 64 << 10})
		if err != nil {
			t.Fatalf("NewCounter: %v", err)
		}
		c.Record(media.Access{Asset: asset(7), Manual: true})
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		wantTotal(t, l, asset(7), 1, 0)
	})
}

func TestDamagedNameIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "name"), []byte("sluice-journal-9"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := analytics.NewCounter(newLedger(), dir, analytics.CounterOptions{}); err == nil || errors.Is(err, analytics.ErrInUse) {
		t.Errorf("NewCounter = %v, want an error about the name", err)
	}
}
