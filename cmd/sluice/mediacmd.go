package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"text/tabwriter"
	"time"

	"sluice/configs"
)

// asset is what the commands show of a media.
type asset struct {
	ID          string    `json:"id"`
	State       string    `json:"state"`
	Title       string    `json:"title"`
	Filename    string    `json:"filename"`
	MIMEType    string    `json:"mimeType"`
	FileSize    int64     `json:"fileSize"`
	SHA256      string    `json:"sha256"`
	AccessCount int64     `json:"accessCount"`
	CreatedAt   time.Time `json:"createdAt"`
}

func mediaPath(id string) string { return "api/media/" + url.PathEscape(id) }

type linkCommand struct {
	remote
	ID      string        `arg:"" help:"The media."`
	Expires time.Duration `default:"1h" help:"How long the link holds."`
	Use     string        `default:"play" enum:"play,download,thumb" help:"play, download or thumb."`
	Viewer  string        `help:"Who will watch: one view per viewer and half hour is counted."`
	JSON    bool          `name:"json" help:"As JSON, with the time it ends."`
}

// Help teaches by examples.
func (linkCommand) Help() string {
	return `Prints the full URL and nothing else:

  sluice link 0190f5fe-7c00-7a00-8000-000000000000 --expires 2h
  ffplay "$(sluice link ID)"
  curl -r 0-1023 "$(sluice link ID)" -o first-kilobyte
  sluice link ID --use download --viewer student-17`
}

// Run signs and prints.
func (c *linkCommand) Run(ctx context.Context, s surroundings) error {
	if c.Expires < time.Second {
		return refuse(nil, "give a time as --expires 2h", "a link that holds for %v is of no use", c.Expires)
	}
	cl, err := c.connect(s)
	if err != nil {
		return err
	}
	defer cl.close()
	in := map[string]any{"expiresIn": int64(c.Expires / time.Second), "use": c.Use}
	if c.Viewer != "" {
		in["viewer"] = c.Viewer
	}
	var out struct {
		URL       string    `json:"url"`
		ExpiresAt time.Time `json:"expiresAt"`
	}
	if _, err := cl.call(ctx, http.MethodPost, mediaPath(c.ID)+"/links", in, &out, nil); err != nil {
		return err
	}
	full, err := cl.base.Parse(out.URL)
	if err != nil {
		return fmt.Errorf("read the link: %w", err)
	}
	out.URL = full.String()
	if c.JSON {
		return printJSON(s.stdout, out)
	}
	_, err = fmt.Fprintln(s.stdout, out.URL)
	return err
}

type lsCommand struct {
	remote
	Course    string `help:"Only of this course."`
	Lesson    string `help:"Only of this lesson."`
	Module    string `help:"Only of this module."`
	Product   string `help:"Only of this product."`
	Kind      string `help:"product-image, course-video, course-resource or media."`
	Type      string `help:"image, video, document or audio."`
	VideoType string `help:"intro, lesson or module."`
	Storage   string `name:"storage-type" help:"local, s3, gcs, azure, gdrive or cloud: where the bytes are."`
	State     string `help:"uploading, stored, processing, ready, failed; several by commas."`
	Sort      string `default:"-createdAt" help:"createdAt, size or accessCount, with - for falling."`
	Limit     int    `default:"50" help:"How many at most; 0: all."`
	JSON      bool   `name:"json" help:"One JSON object per line."`
}

// Help teaches by examples.
func (lsCommand) Help() string {
	return `  sluice ls                                 the newest 50
  sluice ls --course 507f1f77bcf86cd799439011 --type video
  sluice ls --sort -size --limit 10         what takes the space
  sluice ls --storage-type cloud            what others keep
  sluice ls --json --limit 0 | jq -r .id    everything, for scripts`
}

// Run lists page by page.
func (c *lsCommand) Run(ctx context.Context, s surroundings) error {
	cl, err := c.connect(s)
	if err != nil {
		return err
	}
	defer cl.close()
	q := url.Values{}
	for name, v := range map[string]string{
		"mongoCourseId": c.Course, "mongoLessonId": c.Lesson, "mongoModuleId": c.Module, "mongoProductId": c.Product, "kind": c.Kind,
		"mediaType": c.Type, "videoType": c.VideoType, "storageType": c.Storage, "state": c.State, "sort": c.Sort,
	} {
		if v != "" {
			q.Set(name, v)
		}
	}
	w := tabwriter.NewWriter(s.stdout, 0, 0, 2, ' ', 0)
	if !c.JSON {
		say(w, "ID\tSTATE\tSIZE\tVIEWS\tCREATED\tNAME\n")
	}
	for left := c.Limit; c.Limit == 0 || left > 0; {
		page := 200
		if c.Limit > 0 {
			page = min(page, left)
		}
		q.Set("limit", strconv.Itoa(page))
		var out struct {
			Items      []json.RawMessage `json:"items"`
			NextCursor string            `json:"nextCursor"`
		}
		if _, err := cl.call(ctx, http.MethodGet, "api/media?"+q.Encode(), nil, &out, nil); err != nil {
			return err
		}
		if err := c.print(s, w, out.Items); err != nil {
			return err
		}
		if left -= len(out.Items); out.NextCursor == "" || len(out.Items) == 0 {
			break
		}
		q.Set("cursor", out.NextCursor)
	}
	return w.Flush()
}

func (c *lsCommand) print(s surroundings, w *tabwriter.Writer, items []json.RawMessage) error {
	for _, raw := range items {
		if c.JSON {
			if _, err := fmt.Fprintf(s.stdout, "%s\n", raw); err != nil {
				return err
			}
			continue
		}
		var a asset
		if err := json.Unmarshal(raw, &a); err != nil {
			return fmt.Errorf("read a media: %w", err)
		}
		// A name is a stranger's text: quoted, it cannot steer the terminal.
		name := strconv.Quote(first(a.Title, a.Filename))
		say(w, "%s\t%s\t%s\t%d\t%s\t%s\n", a.ID, a.State, human(a.FileSize), a.AccessCount, a.CreatedAt.Local().Format("2006-01-02 15:04"), name[1:len(name)-1])
	}
	return nil
}

// human writes a size with three digits.
func human(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	f, i := float64(n), 0
	for ; f >= 1024 && i < len(units)-1; i++ {
		f /= 1024
	}
	if i == 0 {
		return configs.Size(n).String() + " B"
	}
	return fmt.Sprintf("%.3g %s", f, units[i])
}

type showCommand struct {
	remote
	ID string `arg:"" help:"The media."`
}

// Help teaches by examples.
func (showCommand) Help() string {
	return `  sluice show ID
  sluice show ID | jq .accessCount`
}

// Run prints what the gateway says.
func (c *showCommand) Run(ctx context.Context, s surroundings) error {
	cl, err := c.connect(s)
	if err != nil {
		return err
	}
	defer cl.close()
	var out json.RawMessage
	if _, err := cl.call(ctx, http.MethodGet, mediaPath(c.ID), nil, &out, nil); err != nil {
		return err
	}
	return printJSON(s.stdout, out)
}

type rmCommand struct {
	remote
	IDs []string `arg:"" name:"id" help:"The media."`
}

// Help teaches by examples.
func (rmCommand) Help() string {
	return `Deletes at once and for good: links end, bytes go.

  sluice rm ID
  sluice ls --json --limit 0 --state failed | jq -r .id | xargs -r sluice rm`
}

// Run deletes one after the other and stops at the first that cannot be.
func (c *rmCommand) Run(ctx context.Context, s surroundings) error {
	cl, err := c.connect(s)
	if err != nil {
		return err
	}
	defer cl.close()
	for _, id := range c.IDs {
		head, err := cl.call(ctx, http.MethodGet, mediaPath(id), nil, nil, nil)
		if err != nil {
			return err
		}
		if _, err := cl.call(ctx, http.MethodDelete, mediaPath(id), nil, nil, http.Header{"If-Match": {head.Get("ETag")}}); err != nil {
			return err
		}
		if _, err := fmt.Fprintf(s.stdout, "deleted %s\n", id); err != nil {
			return err
		}
	}
	return nil
}
