package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sluice/configs"
	"sluice/media"
)

type uploadCommand struct {
	remote
	Files []string `arg:"" name:"file" help:"Files to upload; - is standard input."`

	Course    string            `group:"Where it belongs:" help:"Course (24 hex digits)."`
	Lesson    string            `group:"Where it belongs:" help:"Lesson."`
	Module    string            `group:"Where it belongs:" help:"Module."`
	Product   string            `group:"Where it belongs:" help:"Product."`
	VideoType string            `group:"Where it belongs:" enum:"intro,lesson,module," default:"" help:"intro, lesson or module."`
	Kind      string            `group:"Where it belongs:" enum:"product-image,course-video,course-resource,media," default:"" help:"product-image, course-video, course-resource or media; found by the other flags."`
	Title     string            `help:"Title."`
	Name      string            `help:"File name, where the file's own will not do."`
	Public    bool              `help:"Plays without a link."`
	Storage   string            `help:"Name of the storage that shall keep it."`
	Meta      map[string]string `placeholder:"KEY=VALUE" mapsep:"none" help:"More metadata, as altText=Logo."`
	ChunkSize string            `default:"0" help:"Bytes of one request, as 8MiB; 0: all in one."`
	Retries   int               `default:"10" help:"Attempts in a row without progress before giving up."`
	Verify    bool              `default:"true" negatable:"" help:"Compare the gateway's SHA-256 with this file's."`
	Wait      time.Duration     `name:"verify-wait" default:"0s" help:"How long to wait for the gateway's SHA-256; 0s: as long as the size deserves."`
	JSON      bool              `name:"json" help:"One JSON object per line, for each file."`
}

// Help teaches by examples.
func (uploadCommand) Help() string {
	return `Cut connections are mended by themselves. After Ctrl-C, or a crash, the same command goes on where it was. A gateway that is
too busy to hash the file in time is no failure: the upload is complete, and --json says "verified": false.

  sluice upload lecture.mp4 --course 507f1f77bcf86cd799439011 --video-type intro
  sluice upload *.pdf --course 507f1f77bcf86cd799439011 --kind course-resource --meta resourceType=pdf
  sluice upload logo.png --product 507f1f77bcf86cd799439012 --public --meta altText=Logo
  ffmpeg -i a.mkv -f matroska - | sluice upload - --name lecture.mkv          mended when cut, but only within this run
  sluice upload big.mov --server https://media.example.com --token "$TOKEN" --chunk-size 64MiB`
}

// uploaded is what one upload came to.
type uploaded struct {
	File     string `json:"file"`
	ID       string `json:"id"`
	Size     int64  `json:"size"`
	Resumed  int64  `json:"resumedFrom"` // bytes that the gateway had already
	SHA256   string `json:"sha256,omitempty"`
	Verified bool   `json:"verified"` // the gateway's hash is this file's
	State    string `json:"state,omitempty"`
}

// Run uploads one file after the other.
func (c *uploadCommand) Run(ctx context.Context, s surroundings) error {
	chunk, err := configs.ParseSize(c.ChunkSize)
	if err != nil {
		return refuse(err, "write it as --chunk-size 8MiB", "the chunk size cannot be read: %v", err)
	}
	if c.Name != "" && len(c.Files) > 1 {
		return refuse(nil, "upload them one by one", "--name names one file, and %d are to be uploaded", len(c.Files))
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
			err = printLine(s.stdout, out)
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
	if path == "-" {
		return c.stream(ctx, s, cl, chunk)
	}
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
	metadata, err := c.metadata(first(c.Name, path))
	if err != nil {
		return uploaded{}, err
	}
	show := newShow(s, filepath.Base(path), info.Size(), c.JSON)
	defer show.end()
	u := &sender{c: cl, file: f, size: info.Size(), chunk: chunk, retries: c.Retries, progress: show.at, waiting: show.wait, anew: show.anew}
	if c.Verify {
		u.sum = newRunningSum()
	}
	out := uploaded{File: path, Size: info.Size()}
	if out.Resumed, err = c.transfer(ctx, u, newMemory(s), fingerprint(cl.base.String(), full, info, metadata), metadata); err != nil {
		return uploaded{}, c.explainUpload(cl, path, u.url != "", err)
	}
	out.ID = u.id
	show.end()
	if !c.Verify || out.ID == "" {
		return out, nil
	}
	return c.verify(ctx, s, cl, f, u.sum, out)
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
			if u.url != "" {
				u.anew()
			}
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
	if t := media.MIMEByName(path); t != "" {
		return t
	}
	t, _, err := mime.ParseMediaType(mime.TypeByExtension(filepath.Ext(path)))
	if err != nil {
		return ""
	}
	return t
}

// verify compares hashes. Bytes sent in this run are hashed already, the others are read now. The gateway computes its own in the
// background: it is waited for as long as reading such a file takes, and a while more.
func (c *uploadCommand) verify(ctx context.Context, s surroundings, cl *client, f io.ReaderAt, hash *runningSum, out uploaded) (uploaded, error) {
	sum, err := hash.of(ctx, f, out.Size)
	if err != nil {
		if ctx.Err() != nil {
			return out, refuse(errInterrupted, "sluice show "+out.ID, "interrupted while comparing; %s is uploaded", out.File)
		}
		return out, fmt.Errorf("read %s again: %w", out.File, err)
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	wait := c.Wait
	if wait <= 0 {
		wait = 10*time.Second + time.Duration(out.Size/(50<<20))*time.Second
	}
	limit := time.NewTimer(wait)
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
			out.Verified = true
			return out, nil
		}
		select {
		case <-tick.C:
		case <-limit.C: // it is stored; only the comparison is missing
			say(s.stderr, "sluice: %s is uploaded, and the gateway has not hashed it within %v: its SHA-256 could not be compared with %s\nfix: compare it with the one that sluice show %s tells later\n",
				out.File, wait, sum, out.ID)
			return out, nil
		case <-ctx.Done():
			return out, refuse(errInterrupted, "sluice show "+out.ID, "interrupted while comparing; %s is uploaded", out.File)
		}
	}
}
