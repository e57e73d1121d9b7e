//go:build !race

package signing_test

const poolDrops = false
