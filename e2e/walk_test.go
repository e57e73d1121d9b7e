package e2e_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"sluice/internal/livetest"
)

// The main job as a user does it: a real video goes in by the command line, is described, plays to whom a link was given, and is counted.
func TestAVideoGoesInPlaysAndIsCounted(t *testing.T) {
	t.Parallel()
	s := livetest.Sluice(t, livetest.Options{})
	ctx := t.Context()
	c := newClient(t, s, "ann", "instructor")
	path := livetest.MP4(t, 4)
	video, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	cli := func(args ...string) []byte {
		t.Helper()
		cmd := s.Command(ctx, []string{"SLUICE_SERVER=" + s.URL, "SLUICE_TOKEN=" + c.token}, args...)
		var out, complaints bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &complaints
		if err := cmd.Run(); err != nil {
			t.Fatalf("sluice %s: %v\n%s%s", strings.Join(args, " "), err, &out, &complaints)
		}
		return out.Bytes()
	}

	const course = "507f1f77bcf86cd799439011"
	var uploaded struct{ ID string }
	if err := json.Unmarshal(cli("upload", path, "--course", course, "--video-type", "intro", "--json"), &uploaded); err != nil {
		t.Fatal(err)
	}
	sum := fmt.Sprintf("%x", sha256.Sum256(video))
	livetest.Until(t, 10*time.Second, "the video is ready", func() bool {
		m, err := c.media(ctx, uploaded.ID)
		return err == nil && m.State == "ready"
	})
	m, err := c.media(ctx, uploaded.ID)
	if err != nil || m.FileSize != int64(len(video)) || m.SHA256 != sum || m.Filename != "lecture.mp4" || m.AccessCount != 0 {
		t.Errorf("media = %+v, %v; want %d bytes, hash %s, no access", m, err, len(video), sum)
	}
	var placed struct {
		MimeType, MongoCourseID, VideoType string
	}
	if err := c.call(ctx, http.MethodGet, "/api/media/"+uploaded.ID, nil, &placed, http.StatusOK); err != nil {
		t.Fatal(err)
	}
	if placed.MimeType != "video/mp4" || placed.MongoCourseID != course || placed.VideoType != "intro" {
		t.Errorf("placement = %+v", placed)
	}

	var linked struct{ URL string }
	if err := json.Unmarshal(cli("link", uploaded.ID, "--expires", "2h", "--viewer", "carol", "--json"), &linked); err != nil {
		t.Fatal(err)
	}
	link := linked.URL
	if strings.HasPrefix(link, "/") {
		link = s.URL + link
	}
	for _, r := range []struct{ from, to int }{{0, 99}, {1000, 5000}, {len(video) - 100, len(video) - 1}} {
		a, err := c.do(ctx, http.MethodGet, link, nil, 0, "Range", fmt.Sprintf("bytes=%d-%d", r.from, r.to))
		if err != nil || a.status != http.StatusPartialContent || !bytes.Equal(a.body, video[r.from:r.to+1]) {
			t.Errorf("range %d-%d: status %d, %v; or bytes differ", r.from, r.to, a.status, err)
		}
	}
	// One session, however many ranges and however it is played: one view.
	probe := exec.CommandContext(ctx, "ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", link)
	out, err := probe.CombinedOutput()
	if got := strings.TrimSpace(string(out)); err != nil || !strings.HasPrefix(got, "4.") {
		t.Errorf("ffprobe over the link: %q, %v; want about 4 seconds", got, err)
	}
	if err := c.viewed(ctx, uploaded.ID, 1); err != nil {
		t.Error(err)
	}
	bob, err := c.link(ctx, uploaded.ID, "bob")
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if a, err := c.do(ctx, http.MethodGet, bob, nil, 0); err != nil || !bytes.Equal(a.body, video) {
			t.Errorf("whole file for bob: status %d, %v; or bytes differ", a.status, err)
		}
	}
	if err := c.viewed(ctx, uploaded.ID, 2); err != nil {
		t.Error(err)
	}
	if m, err := c.media(ctx, uploaded.ID); err != nil || time.Since(m.LastAccessedAt) > time.Minute {
		t.Errorf("lastAccessedAt = %v, %v; want just now", m.LastAccessedAt, err)
	}

	cli("rm", uploaded.ID)
	if a, err := c.do(ctx, http.MethodGet, link, nil, 0); err != nil || a.status != http.StatusNotFound && a.status != http.StatusGone {
		t.Errorf("the link after rm: status %d, %v; want 404 or 410", a.status, err)
	}
}
