package livetest

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"
)

// MP4 makes a real video with sound by ffmpeg, of whole seconds, and returns its path.
func MP4(t testing.TB, seconds int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "lecture.mp4")
	cmd := exec.CommandContext(t.Context(), "ffmpeg", "-v", "error", "-nostdin",
		"-f", "lavfi", "-i", fmt.Sprintf("testsrc=duration=%d:size=320x240:rate=25", seconds),
		"-f", "lavfi", "-i", fmt.Sprintf("sine=frequency=440:duration=%d", seconds),
		"-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac", "-shortest", path)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg: %v\n%s", err, out)
	}
	return path
}
