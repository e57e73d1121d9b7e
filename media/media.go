// Package media holds Sluice's nouns: assets, where they belong, who asks, what was counted, and the states and kinds of error they
// share. It knows the standard library only; everything else points here.
package media
