//go:build !crashpoints

// Package crash marks the places where a process may die, so that tests can make it die there.
// In an ordinary build a mark costs nothing: At is empty and inlined away.
package crash

// At marks a named point. Built with the tag crashpoints, the process kills itself here when SLUICE_CRASH_AT names the point, and stops when
// SLUICE_PAUSE_AT does.
func At(string) {}
