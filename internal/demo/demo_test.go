package demo_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"image"
	_ "image/jpeg"
	_ "image/png"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/demo"
)

var update = flag.Bool("update", false, "make films/*.mp4 anew, with ffmpeg")

func ffmpeg(t *testing.T) string {
	t.Helper()
	at, err := exec.LookPath("ffmpeg")
	if err != nil {
		t.Fatalf("%v; .ci/install installs it", err)
	}
	return at
}

func makes(t *testing.T, s *demo.Studio, f *demo.File) []byte {
	t.Helper()
	b, err := f.Make(t.Context(), s)
	if err != nil {
		t.Fatalf("%s: %v", f.Name, err)
	}
	return b
}

func filesEnding(endings ...string) []*demo.File {
	return slices.DeleteFunc(demo.New().Files(), func(f *demo.File) bool { return !slices.Contains(endings, filepath.Ext(f.Name)) })
}

func TestThePlanIsWhole(t *testing.T) {
	t.Parallel()
	p := demo.New()
	names, slugs, categories, drafts, elsewhere := map[string]bool{}, map[string]bool{}, map[string]bool{}, 0, 0
	for _, f := range p.Files() {
		if names[f.Name] || !strings.HasPrefix(f.Name, demo.Prefix) || f.Title == "" {
			t.Errorf("file %q, title %q: want a name of its own that begins with %q, and a title", f.Name, f.Title, demo.Prefix)
		}
		names[f.Name] = true
	}
	for _, product := range p.Products {
		if slugs[product.Slug] || categories[product.Category] || product.Name == "" || product.Price <= 0 || product.Description == "" {
			t.Errorf("product %+v: want a slug and a category of its own, and all else said", product)
		}
		slugs[product.Slug], categories[product.Category] = true, true
		if n := len(product.Images); n < 2 || n > 3 {
			t.Errorf("%s has %d images, want 2 or 3", product.Slug, n)
		}
		for i, image := range product.Images {
			if image.Alt == "" || (image.File == nil) == (image.URL == "") || i == 0 && image.File == nil {
				t.Errorf("%s: image %d is %+v, want an alt text, and a file or a URL, the main one a file", product.Slug, i, image)
			}
			if image.URL != "" {
				elsewhere++
			}
		}
		if product.Draft {
			drafts++
		}
	}
	if drafts != 1 || elsewhere != 1 || len(p.Products) != 4 {
		t.Errorf("%d products, %d drafts, %d images elsewhere, want 4, 1, 1", len(p.Products), drafts, elsewhere)
	}
	checkCourse(t, p.Course)
}

func checkCourse(t *testing.T, c demo.Course) {
	t.Helper()
	within := func(s demo.Spot) bool {
		return s == demo.Spot{} || s.Module >= 1 && s.Module <= len(c.Modules) && s.Lesson >= 0 && s.Lesson <= len(c.Modules[s.Module-1].Lessons)
	}
	shapes := map[string]demo.Spot{"intro": {}, "module": {Module: 1}, "lesson": {Module: 1, Lesson: 1}} // which halves are said
	standing, taught := map[*demo.File]int{}, map[demo.Spot]bool{}
	for i, v := range c.Videos {
		shape, known := shapes[v.Type]
		if !known || !within(v.Spot) || (v.Module > 0) != (shape.Module > 0) || (v.Lesson > 0) != (shape.Lesson > 0) || v.Position != i || v.File == nil {
			t.Errorf("video %d is a %s at %+v", i, v.Type, v.Spot)
		}
		standing[v.File]++
		taught[v.Spot] = true
	}
	for m, module := range c.Modules {
		for l := range module.Lessons {
			if !taught[demo.Spot{Module: m + 1, Lesson: l + 1}] {
				t.Errorf("lesson %d.%d has no video", m+1, l+1)
			}
		}
	}
	twice := 0
	for _, n := range standing {
		if n == 2 {
			twice++
		}
	}
	if twice != 1 || len(standing) != 6 {
		t.Errorf("%d films, %d of them in two places, want 6 and 1", len(standing), twice)
	}
	for i, r := range c.Resources {
		if r.Name == "" || !slices.Contains([]string{"pdf", "document", "image", "archive", "code"}, r.Type) || !within(r.Spot) || r.Position != i {
			t.Errorf("resource %+v", r)
		}
	}
}

func TestPicturesAreWhatTheirNamesSay(t *testing.T) {
	t.Parallel()
	for _, f := range filesEnding(".jpg", ".png") {
		t.Run(f.Name, func(t *testing.T) {
			t.Parallel()
			b := makes(t, &demo.Studio{}, f)
			img, format, err := image.Decode(bytes.NewReader(b))
			if err != nil {
				t.Fatal(err)
			}
			if want := map[string]string{".jpg": "jpeg", ".png": "png"}[filepath.Ext(f.Name)]; format != want {
				t.Errorf("it is a %s, want %s", format, want)
			}
			if got := img.Bounds(); got != image.Rect(0, 0, 800, 600) {
				t.Errorf("it is %v, want 800 by 600", got)
			}
			if len(b) > 200<<10 {
				t.Errorf("it has %d bytes, want at most 200 KiB", len(b))
			}
			colours := map[[3]uint32]bool{}
			for y := 0; y < 600; y += 8 {
				for x := 0; x < 800; x += 8 {
					r, g, b, a := img.At(x, y).RGBA()
					if a != 0xffff {
						t.Fatalf("nothing is painted at %d, %d", x, y)
					}
					colours[[3]uint32{r, g, b}] = true
				}
			}
			if len(colours) < 30 {
				t.Errorf("%d colours: is anything on it?", len(colours))
			}
			if again := makes(t, &demo.Studio{}, f); !bytes.Equal(b, again) {
				t.Error("drawn again it has other bytes")
			}
		})
	}
}

func TestThePDFsTableTellsWhereItsObjectsAre(t *testing.T) {
	t.Parallel()
	papers := filesEnding(".pdf")
	if len(papers) != 1 {
		t.Fatalf("%d papers, want 1", len(papers))
	}
	b := makes(t, &demo.Studio{}, papers[0])
	text := string(b)
	if !strings.HasPrefix(text, "%PDF-1.4\n") || !strings.HasSuffix(text, "%%EOF\n") {
		t.Errorf("it begins with %.10q and ends with %.10q", text, text[max(0, len(text)-6):])
	}
	m := regexp.MustCompile(`startxref\n(\d+)\n%%EOF\n$`).FindStringSubmatch(text)
	if m == nil {
		t.Fatal("there is no startxref")
	}
	at, err := strconv.Atoi(m[1])
	if err != nil || !strings.HasPrefix(text[at:], "xref\n0 8\n0000000000 65535 f \n") {
		t.Fatalf("startxref leads to %.30q", text[at:])
	}
	entries := strings.SplitAfter(text[at+len("xref\n0 8\n"):], "\n")[1:8]
	for i, e := range entries {
		offset, err := strconv.Atoi(e[:10])
		if want := strconv.Itoa(i+1) + " 0 obj\n"; err != nil || len(e) != 20 || !strings.HasPrefix(text[offset:], want) {
			t.Errorf("entry %q leads to %.12q, want %q", e, text[offset:], want)
		}
	}
	stream := regexp.MustCompile(`(?s)/Length (\d+) >>\nstream\n(.*)endstream`).FindStringSubmatch(text)
	if stream == nil || strconv.Itoa(len(stream[2])) != stream[1] {
		t.Error("the stream is not as long as it says")
	}
}

func TestTheScriptIsOne(t *testing.T) {
	t.Parallel()
	scripts := filesEnding(".sh")
	if len(scripts) != 1 {
		t.Fatalf("%d scripts, want 1", len(scripts))
	}
	cmd := exec.CommandContext(t.Context(), "bash", "-n")
	cmd.Stdin = bytes.NewReader(makes(t, &demo.Studio{}, scripts[0]))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("bash -n: %v\n%s", err, out)
	}
}

// checkFilm looks at an MP4: its index comes before its bytes, and every picture can be decoded.
func checkFilm(t *testing.T, b []byte) (seconds float64) {
	t.Helper()
	var boxes []string
	for at := 0; at < len(b); {
		n := int(binary.BigEndian.Uint32(b[at:]))
		if n < 8 || at+n > len(b) {
			t.Fatalf("a box of %d bytes at %d of %d", n, at, len(b))
		}
		boxes = append(boxes, string(b[at+4:at+8]))
		at += n
	}
	boxes = slices.DeleteFunc(boxes, func(s string) bool { return s == "free" })
	if diff := cmp.Diff([]string{"ftyp", "moov", "mdat"}, boxes); diff != "" {
		t.Errorf("boxes (-want +got):\n%s", diff)
	}
	path := filepath.Join(t.TempDir(), "film.mp4")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "ffmpeg", "-v", "error", "-xerror", "-i", path, "-f", "null", "-").CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("ffmpeg cannot decode it: %v\n%s", err, out)
	}
	out, err := exec.CommandContext(t.Context(), "ffprobe", "-v", "error", "-show_entries", "stream=codec_name:format=duration", "-of", "csv=p=0", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Fields(string(out))
	if len(lines) != 3 || lines[0] != "h264" || lines[1] != "aac" {
		t.Fatalf("it holds %q, want h264, aac and its duration", lines)
	}
	if seconds, err = strconv.ParseFloat(lines[2], 64); err != nil {
		t.Fatal(err)
	}
	return seconds
}

func TestTheReadyMadeFilms(t *testing.T) {
	t.Parallel()
	names := demo.Reel()
	if *update {
		s := &demo.Studio{FFmpeg: ffmpeg(t)}
		for _, n := range names {
			b, err := s.Small(t.Context(), n)
			if err == nil {
				err = os.WriteFile(filepath.Join("films", n+".mp4"), b, 0o644)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		return // the next build embeds them
	}
	s := &demo.Studio{}
	for _, f := range filesEnding(".mp4") {
		t.Run(f.Name, func(t *testing.T) {
			t.Parallel()
			b := makes(t, s, f)
			if len(b) > 12<<10 {
				t.Errorf("it has %d bytes, want at most 12 KiB", len(b))
			}
			if d := checkFilm(t, b); d < 2.5 || d > 3.5 {
				t.Errorf("it takes %v s, want 3", d)
			}
		})
	}
	if how, why := s.Words(); how != "embedded" || !strings.Contains(why, "PATH") {
		t.Errorf("films are %q because %q", how, why)
	}
}

func TestFilmsMadeWithFFmpeg(t *testing.T) {
	t.Parallel()
	s := &demo.Studio{FFmpeg: ffmpeg(t)}
	for _, f := range filesEnding(".mp4")[:2] {
		b := makes(t, s, f)
		if len(b) > 300<<10 {
			t.Errorf("%s has %d bytes, want at most 300 KiB", f.Name, len(b))
		}
		if d := checkFilm(t, b); d < 3.9 || d > 8.2 {
			t.Errorf("%s takes %v s, want 4 to 8", f.Name, d)
		}
		if again := makes(t, s, f); !bytes.Equal(b, again) {
			t.Errorf("%s made again has other bytes", f.Name)
		}
	}
	if how, why := s.Words(); how != "ffmpeg" || why != "" {
		t.Errorf("films are %q because %q, want ffmpeg", how, why)
	}
}

// broken is an ffmpeg that says something and does as told.
func broken(t *testing.T, then string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ffmpeg")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+then+"\n"), 0o700); err != nil { //nolint:gosec // it is to be run
		t.Fatal(err)
	}
	return path
}

func TestAnFFmpegThatFailsIsAskedOnce(t *testing.T) {
	t.Parallel()
	asked := filepath.Join(t.TempDir(), "asked")
	s := &demo.Studio{FFmpeg: broken(t, "echo x >> "+asked+"; echo Unknown encoder libx264 >&2; exit 1")}
	for _, f := range filesEnding(".mp4") {
		if b := makes(t, s, f); !bytes.Equal(b, makes(t, &demo.Studio{}, f)) {
			t.Errorf("%s is not the ready-made one", f.Name)
		}
	}
	if how, why := s.Words(); how != "embedded" || !strings.Contains(why, "Unknown encoder libx264") {
		t.Errorf("films are %q because %q", how, why)
	}
	if b, err := os.ReadFile(asked); err != nil || string(b) != "x\n" {
		t.Errorf("asked %q times, %v, want once", b, err)
	}
}

// openPipe opens a pipe whose reads end after a while.
func openPipe(t *testing.T, path string, flag int) *os.File {
	t.Helper()
	f, err := os.OpenFile(path, flag|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := f.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestAnInterruptedFFmpegEndsWithItsChildren(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fifo := filepath.Join(dir, "alive")
	if out, err := exec.CommandContext(t.Context(), "mkfifo", fifo).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	// The child holds the pipe open for writing for as long as it lives, and says so.
	s := &demo.Studio{FFmpeg: broken(t, "(echo there; exec sleep 600) > "+fifo+" &\nsleep 600")}
	ctx, interrupt := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := filesEnding(".mp4")[0].Make(ctx, s)
		ended <- err
	}()
	// Opened for writing as well it does not wait for the child to open it; that end is closed once the child is there.
	both, pipe := openPipe(t, fifo, os.O_RDWR), openPipe(t, fifo, os.O_RDONLY)
	word := make([]byte, 6)
	if _, err := both.Read(word); err != nil {
		t.Fatalf("ffmpeg was not started: %v", err)
	}
	both.Close()
	interrupt()
	if n, err := pipe.Read(word); n != 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read %d bytes, %v: the child lives on", n, err)
	}
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v, want context.Canceled", err)
	}
}
