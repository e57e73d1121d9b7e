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
)

type revokeCommand struct {
	remote
	Viewer string        `help:"Of this viewer, as links name viewers."`
	Course string        `help:"Of media that belong to this course."`
	Media  string        `help:"Of this media; alone: of everybody, for good."`
	Key    *uint8        `placeholder:"ID" help:"That the signing key of this id signed."`
	For    time.Duration `help:"How long no link of them plays; default: as long as a link signed now may live."`
	List   bool          `help:"List the revocations of viewers, courses and keys."`
	Lift   string        `placeholder:"ID" help:"End one of those: links that are not over play again."`
	JSON   bool          `name:"json" help:"As JSON."`
}

// Help teaches by examples.
func (revokeCommand) Help() string {
	return `Links that were given answer 403 from their next request on. What is public still plays.

  sluice revoke --media ID                        every link to it; new ones play
  sluice revoke --viewer u1                       every link of u1, and no new ones
  sluice revoke --viewer u1 --media ID            the same for one media
  sluice revoke --viewer u1 --course 507f1f77bcf86cd799439011
  sluice revoke --course 507f1f77bcf86cd799439011 --for 1h
  sluice revoke --key 1                           every link that key 1 signed, once another key signs
  sluice revoke --list
  sluice revoke --lift ID`
}

// revocation is what the command shows of one.
type revocation struct {
	ID        string    `json:"id"`
	Viewer    string    `json:"viewer,omitempty"`
	CourseID  string    `json:"courseId,omitempty"`
	MediaID   string    `json:"mediaId,omitempty"`
	Key       *int64    `json:"key,omitempty"`
	ExpiresAt time.Time `json:"expiresAt"`
}

// Run revokes, lists or lifts.
func (c *revokeCommand) Run(ctx context.Context, s surroundings) error {
	const fix = "sluice revoke --help shows examples"
	named, ways := c.Viewer != "" || c.Course != "" || c.Media != "" || c.Key != nil, 0
	for _, asked := range []bool{named, c.List, c.Lift != ""} {
		if asked {
			ways++
		}
	}
	if ways != 1 {
		return refuse(nil, fix, "give one of: whose links to revoke (--viewer, --course, --media, --key), --list, --lift")
	}
	if c.Key != nil && (c.Viewer != "" || c.Course != "" || c.Media != "") {
		return refuse(nil, fix, "--key stands alone: it revokes every link that the key signed")
	}
	alone := c.Viewer == "" && c.Course == "" && c.Key == nil
	if c.For != 0 && (!named || alone) {
		return refuse(nil, fix, "--for belongs to --viewer, --course and --key: links of a media alone are revoked for good")
	}
	if c.For != 0 && c.For < time.Second {
		return refuse(nil, "give a time as --for 2h", "a revocation for %v is of no use", c.For)
	}
	cl, err := c.connect(s)
	if err != nil {
		return err
	}
	defer cl.close()
	switch {
	case c.List:
		return c.list(ctx, s, cl)
	case c.Lift != "":
		if _, err := cl.call(ctx, http.MethodDelete, "api/revocations/"+url.PathEscape(c.Lift), nil, nil, nil); err != nil {
			return err
		}
		return c.tell(s, "lifted "+c.Lift, map[string]string{"lifted": c.Lift})
	case alone:
		if _, err := cl.call(ctx, http.MethodDelete, mediaPath(c.Media)+"/links", nil, nil, nil); err != nil {
			return err
		}
		return c.tell(s, "revoked every link of "+c.Media, map[string]string{"mediaId": c.Media})
	}
	in := map[string]any{}
	for name, v := range map[string]string{"viewer": c.Viewer, "courseId": c.Course, "mediaId": c.Media} {
		if v != "" {
			in[name] = v
		}
	}
	if c.Key != nil {
		in["key"] = *c.Key
	}
	if c.For != 0 {
		in["expiresIn"] = int64(c.For / time.Second)
	}
	var out revocation
	if _, err := cl.call(ctx, http.MethodPost, "api/revocations", in, &out, nil); err != nil {
		return err
	}
	return c.tell(s, fmt.Sprintf("revoked until %s: %s", out.ExpiresAt.Local().Format("2006-01-02 15:04"), out.ID), out)
}

func (c *revokeCommand) tell(s surroundings, text string, v any) error {
	if c.JSON {
		return printJSON(s.stdout, v)
	}
	_, err := fmt.Fprintln(s.stdout, text)
	return err
}

func (c *revokeCommand) list(ctx context.Context, s surroundings, cl *client) error {
	var out struct {
		Items []json.RawMessage `json:"items"`
	}
	if _, err := cl.call(ctx, http.MethodGet, "api/revocations", nil, &out, nil); err != nil {
		return err
	}
	w := tabwriter.NewWriter(s.stdout, 0, 0, 2, ' ', 0)
	if !c.JSON {
		say(w, "ID\tUNTIL\tVIEWER\tCOURSE\tMEDIA\tKEY\n")
	}
	for _, raw := range out.Items {
		if c.JSON {
			if _, err := fmt.Fprintf(s.stdout, "%s\n", raw); err != nil {
				return err
			}
			continue
		}
		var r revocation
		if err := json.Unmarshal(raw, &r); err != nil {
			return fmt.Errorf("read a revocation: %w", err)
		}
		// A viewer's name is a stranger's text: quoted, it cannot steer the terminal.
		name := strconv.Quote(first(r.Viewer, "-"))
		key := "-"
		if r.Key != nil {
			key = strconv.FormatInt(*r.Key, 10)
		}
		say(w, "%s\t%s\t%s\t%s\t%s\t%s\n", r.ID, r.ExpiresAt.Local().Format("2006-01-02 15:04"), name[1:len(name)-1], first(r.CourseID, "-"), first(r.MediaID, "-"), key)
	}
	return w.Flush()
}
