package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"

	"sluice/configs"
)

type uploadCommand struct {
	remote
	Files []string `arg:"" name:"file" help:"Files to upload."`

	Course    string            `group:"Where it belongs:" help:"Course (24 hex digits)."`
	Lesson    string            `group:"Where it belongs:" help:"Lesson."`
	Module    string            `group:"Where it belongs:" help:"Module."`
	Product   string            `group:"Where it belongs:" help:"Product."`
	VideoType string            `group:"Where it belongs:" enum:"intro,lesson,module," default:"" help:"intro, lesson or module."`
	Kind      string            `group:"Where it belongs:" enum:"product-image,course-video,course-resource,media," default:"" help:"product-image, course-video, course-resource or media; found by the other flags."`
	Title     string            `help:"Title."`
	Public    bool              `help:"Plays without a link."`
	Storage   string            `help:"Name of the storage that shall keep it."`
	Meta      map[string]string `placeholder:"KEY=VALUE" mapsep:"none" help:"More metadata, as altText=Logo."`
	ChunkSize string            `default:"0" help:"Bytes of one request, as 8MiB; 0: all in one."`
	Retries   int               `default:"10" help:"Attempts in a row without progress before giving up."`
	Verify    bool              `default:"true" negatable:"" help:"Compare the gateway's SHA-256 with this file's."`
	JSON      bool              `name:"json" help:"One JSON object per file."`
}

// Help teaches by examples.
func (uploadCommand) Help() string {
	return `Cut connections are mended by themselves. After Ctrl-C, or a crash, the same command goes on where it was.

  sluice upload lecture.mp4 --course 507f1f77bcf86cd799439011 --video-type intro
  sluice upload *.pdf --course 507f1f77bcf86cd799439011 --kind course-resource --meta resourceType=pdf
  sluice upload logo.png --product 507f1f77bcf86cd799439012 --public --meta altText=Logo
  sluice upload big.mov --server https://media.example.com --token "$TOKEN" --chunk-size 64MiB`
}

// uploaded is what one upload came to.
type uploaded struct {
	File    string `json:"file"`
	ID      string `json:"id"`
	Size    int64  `json:"size"`
	Resumed int64  `json:"resumedFrom"` // bytes that the gateway had already
	SHA256  string `json:"sha256,omitempty"`
	State   string `json:"state,omitempty"`
}

// Run uploads one file after the other.
func (c *uploadCommand) Run(ctx context.Context, s surroundings) error {
	chunk, err := configs.ParseSize(c.ChunkSize)
	if err != nil {
		return refuse(err, "write it as --chunk-size 8MiB", "the chunk size cannot be read: %v", err)
	}
	cl, err := c.connect(s)
	if err != nil {
		return err
	}
	defer cl.close()
	for _, path := range c.Files {
		out, err := c.one(ctx, s, cl, path, int64(chunk))
		if err != nil {
			return err
		}
		if c.JSON {
			err = printJSON(s.stdout, out)
		} else {
			_, err = fmt.Fprintln(s.stdout, out.ID)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *uploadCommand) one(ctx context.Context, s surroundings, cl *client, path string, chunk int64) (uploaded, error) {
	f, err := os.Open(path)
	if err != nil {
		return uploaded{}, refuse(err, "name a file that can be read", "%v", err)
	}
	defer func() { _ = f.Close() }() // only read
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return uploaded{}, refuse(err, "name a file", "%s is not an ordinary file", path)
	}
	full, err := filepath.Abs(path)
	if err != nil {
		return uploaded{}, fmt.Errorf("find %s: %w", path, err)
	}
	metadata, err := c.metadata(path)
	if err != nil {
		return uploaded{}, err
	}
	show := newShow(s, filepath.Base(path), info.Size(), c.JSON)
	defer show.end()
	u := &sender{c: cl, file: f, size: info.Size(), chunk: chunk, retries: c.Retries, progress: show.at, waiting: show.wait}
	out := uploaded{File: path, Size: info.Size()}
	if out.Resumed, err = c.transfer(ctx, u, newMemory(s), fingerprint(cl.base.String(), full, info, metadata), metadata); err != nil {
		return uploaded{}, c.explainUpload(cl, path, u.url != "", err)
	}
	out.ID = u.id
	show.end()
	if !c.Verify || out.ID == "" {
		return out, nil
	}
	return c.verify(ctx, cl, f, out)
}

// transfer goes on with an upload that an earlier run began, or begins one, and tells from which byte.
func (c *uploadCommand) transfer(ctx context.Context, u *sender, m memory, mark, metadata string) (resumed int64, err error) {
	if r, ok := m.recall(mark); ok && u.c.sameServer(r.URL) {
		u.url, u.id = r.URL, r.ID
		resumed, err = u.offset(ctx)
		if err != nil && !errors.Is(err, errLost) {
			return 0, err
		}
	} else {
		err = errLost
	}
	for range 3 { // an upload that is lost while it runs is begun anew, but not for ever
		if errors.Is(err, errLost) {
			resumed = 0
			u.url, u.id = "", ""
			if err := u.create(ctx, metadata); err != nil {
				return 0, err
			}
			if err := m.keep(mark, remembered{u.url, u.id}); err != nil {
				return 0, err
			}
		}
		if err = u.send(ctx, resumed); !errors.Is(err, errLost) {
			break
		}
	}
	if err == nil {
		m.forget(mark)
	}
	return resumed, err
}

func (c *uploadCommand) explainUpload(cl *client, path string, begun bool, err error) error {
	if errors.Is(err, context.Canceled) {
		return refuse(errInterrupted, "run the same command again: it goes on where it was", "interrupted: %s is not complete", path)
	}
	err = cl.explain(err)
	if r, ok := errors.AsType[*configs.Refusal](err); ok && begun {
		if p, ok := errors.AsType[*problem](err); !ok || p.Status >= 500 {
			r.Fix += "; the same command goes on where it was"
		}
	}
	return err
}

// metadata says what the file is and where it belongs, in the words of the LMS.
func (c *uploadCommand) metadata(path string) (string, error) {
	values := map[string]string{}
	for k, v := range c.Meta {
		values[k] = v
	}
	kind, mimeType := c.Kind, typeOf(path)
	switch {
	case kind != "":
	case c.VideoType != "" || c.Course != "" && strings.HasPrefix(mimeType, "video/"):
		kind = "course-video"
	case c.Course != "":
		kind = "course-resource"
	case c.Product != "":
		kind = "product-image"
	}
	set := map[string]string{
		"filename": filepath.Base(path), "filetype": mimeType, "title": c.Title, "kind": kind, "mongoCourseId": c.Course, "mongoLessonId": c.Lesson,
		"mongoModuleId": c.Module, "mongoProductId": c.Product, "videoType": c.VideoType, "storage": c.Storage,
	}
	if c.Public {
		set["isPublic"] = "true"
	}
	for k, v := range set {
		if v != "" {
			values[k] = v
		}
	}
	return metadataHeader(values)
}

// typeOf goes by the name: the gateway looks at the bytes itself.
func typeOf(path string) string {
	ext := filepath.Ext(path)
	for known, t := range map[string]string{".mp4": "video/mp4", ".m4v": "video/mp4", ".mov": "video/quicktime", ".webm": "video/webm", ".mkv": "video/x-matroska", ".mp3": "audio/mpeg"} {
		if ext == known {
			return t
		}
	}
	t, _, err := mime.ParseMediaType(mime.TypeByExtension(ext))
	if err != nil {
		return ""
	}
	return t
}

// verify compares hashes. The gateway computes its own in the background: it is waited for as long as reading this file takes, and a
// while more.
func (c *uploadCommand) verify(ctx context.Context, cl *client, f io.ReaderAt, out uploaded) (uploaded, error) {
	h := sha256.New()
	if _, err := io.Copy(h, &interruptible{ctx, io.NewSectionReader(f, 0, out.Size)}); err != nil {
		if ctx.Err() != nil {
			return out, refuse(errInterrupted, "sluice show "+out.ID, "interrupted while comparing; %s is uploaded", out.File)
		}
		return out, fmt.Errorf("read %s again: %w", out.File, err)
	}
	sum := hex.EncodeToString(h.Sum(nil))
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	limit := time.NewTimer(10*time.Second + time.Duration(out.Size/(50<<20))*time.Second)
	defer limit.Stop()
	for {
		var a asset
		if _, err := cl.call(ctx, http.MethodGet, mediaPath(out.ID), nil, &a, nil); err != nil {
			return out, err
		}
		out.State = a.State
		if a.SHA256 != "" {
			if out.SHA256 = a.SHA256; a.SHA256 != sum {
				return out, refuse(nil, "sluice rm "+out.ID+", and upload it again", "%s is stored with another SHA-256 than this file's; did it change meanwhile?", out.File)
			}
			return out, nil
		}
		select {
		case <-tick.C:
		case <-limit.C: // it is stored; only the comparison is missing
			return out, nil
		case <-ctx.Done():
			return out, refuse(errInterrupted, "sluice show "+out.ID, "interrupted while comparing; %s is uploaded", out.File)
		}
	}
}

// interruptible ends a long copy with its context.
type interruptible struct {
	ctx context.Context //nolint:containedctx // lives for one copy
	r   io.Reader
}

func (i *interruptible) Read(p []byte) (int, error) {
	if err := i.ctx.Err(); err != nil {
		return 0, err
	}
	return i.r.Read(p)
}

// show is the progress on a terminal, and little elsewhere.
type show struct {
	w    io.Writer
	bar  *progressbar.ProgressBar // nil: not a terminal
	name string
	done bool
}

func newShow(s surroundings, name string, size int64, quiet bool) *show {
	v := &show{w: s.stderr, name: strconv.Quote(name)}
	if s.terminal && !quiet && size > 0 {
		v.bar = progressbar.NewOptions64(size,
			progressbar.OptionSetWriter(s.stderr), progressbar.OptionSetDescription(v.name), progressbar.OptionShowBytes(true),
			progressbar.OptionUseIECUnits(true), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionFullWidth(),
			progressbar.OptionSetRenderBlankState(true))
	}
	return v
}

func (v *show) at(offset int64) {
	if v.bar != nil {
		_ = v.bar.Set64(offset) // a bar that cannot be drawn stops nothing
	}
}

func (v *show) wait(err error, d time.Duration) {
	say(v.w, "\n%s: %s; trying again in %v\n", v.name, oneLine(err.Error()), d)
}

func (v *show) end() {
	if v.bar != nil && !v.done {
		v.done = true
		_ = v.bar.Exit() // as above
		say(v.w, "\n")
	}
}
