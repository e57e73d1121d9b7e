package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/schollz/progressbar/v3"

	"sluice/internal/demo"
)

// demoSite is a gateway as the demo sees it. What there is of a demo is read from the gateway each time: records carry a tag, files a name.
// Nothing is remembered on this machine, so any other one can go on with a demo, or remove it.
type demoSite struct {
	cl   *client
	s    surroundings
	plan demo.Plan
	show *demoShow
}

// demoTag marks a record of the demo: which set of it, and which record of the plan it is.
func demoTag(set int, slug string) string { return fmt.Sprintf("sluice-demo/%d/%s", set, slug) }

// readDemoTag finds such a mark among tags.
func readDemoTag(tags any) (set int, slug string, ok bool) {
	list, _ := tags.([]any)
	for _, t := range list {
		text, _ := t.(string)
		parts := strings.Split(text, "/")
		if len(parts) != 3 || parts[0] != "sluice-demo" {
			continue
		}
		if n, err := strconv.Atoi(parts[1]); err == nil && n > 0 {
			return n, parts[2], true
		}
	}
	return 0, "", false
}

// demoRecordID is the id of a set's user or order. It follows from the set, so that writing one again writes the same.
func demoRecordID(set int, what string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "sluice demo %d %s", set, what))
	return hex.EncodeToString(sum[:12])
}

func (d *demoSite) orderPath(set int) string {
	return "api/records/order/" + demoRecordID(set, "order")
}

func (d *demoSite) userPath(set int) string { return "api/records/user/" + demoRecordID(set, "user") }

// demoSet is what there is of one demo: ids of records by what they are in the plan.
type demoSet struct{ products, courses map[string]string }

// demoFound is what there is of all demos, and whether there is anything else.
type demoFound struct {
	sets   map[int]*demoSet
	others int
}

func (f demoFound) set(n int) *demoSet {
	if f.sets[n] == nil {
		f.sets[n] = &demoSet{products: map[string]string{}, courses: map[string]string{}}
	}
	return f.sets[n]
}

// last is the number of the newest demo, 0 for none.
func (f demoFound) last() int {
	n := 0
	for k := range f.sets {
		n = max(n, k)
	}
	return n
}

// look reads all products and courses. When other ones are in the way it stops at the first page that has one.
func (d *demoSite) look(ctx context.Context, alone bool) (demoFound, error) {
	found := demoFound{sets: map[int]*demoSet{}}
	for _, noun := range []string{"products", "courses"} {
		err := d.pages(ctx, "api/"+noun, url.Values{}, func(raw json.RawMessage) error {
			var r struct {
				ID   string `json:"id"`
				Tags any    `json:"tags"`
			}
			if err := json.Unmarshal(raw, &r); err != nil {
				return fmt.Errorf("read a record: %w", err)
			}
			set, slug, ours := readDemoTag(r.Tags)
			switch {
			case !ours:
				found.others++
			case noun == "products":
				found.set(set).products[slug] = r.ID
			default:
				found.set(set).courses[slug] = r.ID
			}
			return nil
		}, func() bool { return alone && found.others > 0 })
		if err != nil {
			return found, err
		}
	}
	return found, nil
}

// pages reads a list to its end, or until enough says so after a page.
func (d *demoSite) pages(ctx context.Context, path string, q url.Values, each func(json.RawMessage) error, enough func() bool) error {
	q.Set("limit", "200")
	for {
		var page struct {
			Items      []json.RawMessage `json:"items"`
			NextCursor string            `json:"nextCursor"`
		}
		if _, err := d.cl.call(ctx, http.MethodGet, path+"?"+q.Encode(), nil, &page, nil); err != nil {
			return err
		}
		for _, raw := range page.Items {
			if err := each(raw); err != nil {
				return err
			}
		}
		if page.NextCursor == "" || len(page.Items) == 0 || enough() {
			return nil
		}
		q.Set("cursor", page.NextCursor)
	}
}

func never() bool { return false }

// choose decides which set is to be made, or completed.
func (d *demoSite) choose(ctx context.Context, found demoFound, again bool) (int, error) {
	last := found.last()
	whole := false
	if last > 0 {
		var err error
		if whole, err = d.complete(ctx, last, found.set(last)); err != nil {
			return 0, err
		}
	}
	switch {
	case whole && !again:
		return 0, refuse(nil, "sluice demo --remove deletes it, sluice demo --again adds another", "the demo is here already: %s", d.absolute("api/courses/"+found.set(last).courses[d.plan.Course.Slug]))
	case found.others > 0 && !again:
		return 0, refuse(nil, "sluice demo --again adds the demo beside them", "there are products or courses here already")
	case whole:
		return last + 1, nil
	}
	return max(last, 1), nil
}

// complete reports whether nothing of a set is missing. The order is written last: what people changed, or took away, in a demo that was
// complete once is theirs.
func (d *demoSite) complete(ctx context.Context, set int, have *demoSet) (bool, error) {
	missing := have.courses[d.plan.Course.Slug] == "" || slices.ContainsFunc(d.plan.Products, func(p demo.Product) bool { return have.products[p.Slug] == "" })
	if missing {
		return false, nil
	}
	_, err := d.cl.call(ctx, http.MethodGet, d.orderPath(set), nil, nil, nil)
	if statusOf(err) == http.StatusNotFound {
		return false, nil
	}
	return err == nil, err
}

// demoMedia is what the demo reads of a media.
type demoMedia struct {
	ID          string `json:"id"`
	State       string `json:"state"`
	Filename    string `json:"filename"`
	Kind        string `json:"kind"`
	ReferenceID string `json:"referenceId"`
}

// loose finds files of the demo that hang on nothing: what an earlier run uploaded and did not come to attach.
func (d *demoSite) loose(ctx context.Context, filter url.Values) ([]demoMedia, error) {
	var found []demoMedia
	err := d.pages(ctx, "api/media", filter, func(raw json.RawMessage) error {
		var m demoMedia
		if err := json.Unmarshal(raw, &m); err != nil {
			return fmt.Errorf("read a media: %w", err)
		}
		if strings.HasPrefix(m.Filename, demo.Prefix) && m.Kind == "media" && m.ReferenceID == "" {
			found = append(found, m)
		}
		return nil
	}, never)
	return found, err
}

// absolute is a full URL of what may be a path of the gateway.
func (d *demoSite) absolute(at string) string {
	u, err := d.cl.base.Parse(at)
	if err != nil {
		return at
	}
	return u.String()
}

// demoShow tells what is being made: a bar on a terminal, lines elsewhere, nothing with --json.
type demoShow struct {
	s     surroundings
	quiet bool
	bar   *progressbar.ProgressBar
}

func newDemoShow(s surroundings, quiet bool) *demoShow { return &demoShow{s: s, quiet: quiet} }

// begin says how many steps there will be.
func (v *demoShow) begin(steps int) {
	if v.s.terminal && !v.quiet {
		v.bar = progressbar.NewOptions(steps,
			progressbar.OptionSetWriter(v.s.stderr), progressbar.OptionShowCount(), progressbar.OptionFullWidth(),
			progressbar.OptionSetPredictTime(false), progressbar.OptionSetRenderBlankState(true))
	}
}

// doing names what is being made now.
func (v *demoShow) doing(what string) {
	if v.bar != nil {
		v.bar.Describe(what)
	}
}

// did is one step.
func (v *demoShow) did(format string, args ...any) {
	switch {
	case v.bar != nil:
		_ = v.bar.Add(1) // a bar that cannot be drawn stops nothing
	case !v.quiet:
		say(v.s.stderr, format+"\n", args...)
	}
}

// end leaves the bar as it is.
func (v *demoShow) end() {
	if v.bar != nil {
		_ = v.bar.Exit() // as above
		say(v.s.stderr, "\n")
		v.bar = nil
	}
}
