//go:build race

package signing_test

// Under the race detector sync.Pool drops a quarter of what is put back, on purpose.
const poolDrops = true
