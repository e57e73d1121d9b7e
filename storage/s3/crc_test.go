package s3_test

import (
	"hash/crc32"
	"testing"

	"pgregory.net/rapid"

	"sluice/storage/s3"
)

func TestSumsOfTwoRunsJoin(t *testing.T) {
	t.Parallel()
	table := crc32.MakeTable(crc32.Castagnoli)
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.SliceOf(rapid.Byte()).Draw(t, "a"), rapid.SliceOf(rapid.Byte()).Draw(t, "b")
		want := crc32.Checksum(append(append([]byte{}, a...), b...), table)
		if got := s3.CRCJoin(crc32.Checksum(a, table), crc32.Checksum(b, table), int64(len(b))); got != want {
			t.Fatalf("got %08x, want %08x", got, want)
		}
	})
}

func BenchmarkSumJoin(b *testing.B) {
	for b.Loop() {
		s3.CRCJoin(1, 2, 8<<20)
	}
}
