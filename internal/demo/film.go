package demo

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// films are small ready-made ones, for machines without ffmpeg. TestTheReadyMadeFilms makes them anew with -update.
//
//go:embed films/*.mp4
var films embed.FS

// film is a title card with a bar that moves, and a tone.
type film struct {
	name         string // of its file, without the ending
	label, title string
	light, dark  uint32
	tone         int // Hz
	seconds      int
}

// filmLimit bounds the making of one film.
const filmLimit = 30 * time.Second

// Studio makes films with ffmpeg, and gives ready-made ones where that is not there or fails.
type Studio struct {
	FFmpeg string // path of the program; "": none

	failure error // of ffmpeg: it is not asked again
}

// Words tell how the films came to be: with "ffmpeg", or "embedded" ready-made ones, and why so.
func (s *Studio) Words() (how, why string) {
	switch {
	case s.failure != nil:
		return "embedded", "ffmpeg does not make them: " + s.failure.Error()
	case s.FFmpeg == "":
		return "embedded", "there is no ffmpeg on the PATH"
	}
	return "ffmpeg", ""
}

// shoot gives the film as MP4, ready to be played while it loads.
func (s *Studio) shoot(ctx context.Context, f film) ([]byte, error) {
	if s.FFmpeg != "" && s.failure == nil {
		b, err := s.encode(ctx, f, big())
		if err == nil || ctx.Err() != nil {
			return b, err
		}
		s.failure = err
	}
	b, err := films.ReadFile("films/" + f.name + ".mp4")
	if err != nil {
		return nil, fmt.Errorf("read a ready-made film: %w", err)
	}
	return b, nil
}

// quality is what ffmpeg is asked for.
type quality struct {
	seconds        int // 0: the film's own
	rate           int // pictures a second
	scale          string
	picture, sound []string
}

func big() quality {
	return quality{
		rate: 25, scale: "640:360", picture: []string{"-preset", "veryfast", "-crf", "27"},
		sound: []string{"-b:a", "64k", "-ar", "44100"},
	}
}

// encode runs ffmpeg in a process group of its own, which ends with ctx.
func (s *Studio) encode(ctx context.Context, f film, q quality) ([]byte, error) {
	picture, err := card(f.label, f.title, f.light, f.dark)
	if err != nil {
		return nil, err
	}
	b, err := picture.png()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "sluice-demo-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for a film: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }() // the system clears its temporary files
	still, out := filepath.Join(dir, "card.png"), filepath.Join(dir, "film.mp4")
	if err := os.WriteFile(still, b, 0o600); err != nil {
		return nil, fmt.Errorf("write a title card: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, filmLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.FFmpeg, f.arguments(still, out, q)...) //nolint:gosec // found on the user's own PATH
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 2 * time.Second
	if said, err := cmd.CombinedOutput(); err != nil {
		return nil, ffmpegError(ctx, err, said)
	}
	b, err = os.ReadFile(out)
	if err != nil {
		return nil, fmt.Errorf("read a film: %w", err)
	}
	return b, nil
}

// ffmpegError is the last line of what ffmpeg said.
func ffmpegError(ctx context.Context, err error, said []byte) error {
	if ctx.Err() != nil {
		return fmt.Errorf("ffmpeg: %w", ctx.Err())
	}
	lines := strings.Split(strings.TrimSpace(string(said)), "\n")
	if last := lines[len(lines)-1]; last != "" {
		err = errors.New(last)
	}
	return fmt.Errorf("ffmpeg: %w", err)
}

func (f film) arguments(still, out string, q quality) []string {
	seconds := f.seconds
	if q.seconds > 0 {
		seconds = q.seconds
	}
	d, rate := strconv.Itoa(seconds), strconv.Itoa(q.rate)
	graph := fmt.Sprintf("[0:v][1:v]overlay=x='-w+w*t/%s':y=H-h,scale=%s,format=yuv420p[v];[2:a]volume=0.25,afade=in:d=0.3,afade=out:st=%s:d=0.6[a]",
		d, q.scale, strconv.FormatFloat(float64(seconds)-0.6, 'f', 1, 64))
	args := []string{
		"-v", "error", "-nostdin", "-loop", "1", "-framerate", rate, "-i", still,
		"-f", "lavfi", "-i", "color=c=white:s=640x10:r=" + rate,
		"-f", "lavfi", "-i", "sine=frequency=" + strconv.Itoa(f.tone) + ":sample_rate=44100",
		"-filter_complex", graph, "-map", "[v]", "-map", "[a]", "-t", d, "-c:v", "libx264",
	}
	args = append(args, q.picture...)
	args = append(append(args, "-c:a", "aac"), q.sound...)
	// Without a date or a version in it the same film has the same bytes: a second run finds what a first one has begun.
	return append(args, "-movflags", "+faststart", "-fflags", "+bitexact", "-flags:v", "+bitexact", "-flags:a", "+bitexact", out)
}
