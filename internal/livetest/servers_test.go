package livetest_test

import (
	"testing"

	"sluice/internal/livetest"
)

func TestRedisCanBeKilledAndStartedAgain(t *testing.T) {
	t.Parallel()
	s := livetest.Redis(t)
	if got := s.Do(t, "SET", "a", "1"); got != "+OK" {
		t.Fatalf("SET: got %q", got)
	}
	s.Kill()
	s.Start(t)
	if got := s.Do(t, "GET", "a"); got != "$-1" {
		t.Errorf("after a restart: got %q, want nothing", got)
	}
}

func TestS3CanBeKilledAndStartedAgain(t *testing.T) {
	t.Parallel()
	s := livetest.S3(t)
	s.NewBucket(t, "media")
	s.Kill()
	s.Start(t)
}
