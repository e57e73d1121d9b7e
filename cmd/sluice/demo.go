package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"

	"sluice/configs"
	"sluice/internal/demo"
)

type demoCommand struct {
	remote
	Again  bool `help:"Beside products and courses that are there already, and beside an earlier demo."`
	Remove bool `help:"Delete every demo for good, with all that hangs on it."`
	JSON   bool `name:"json" help:"One JSON object with the ids."`
}

// Help teaches by examples.
func (demoCommand) Help() string {
	return `Fills a running gateway with a small shop and a course: four products with drawn pictures, one of them a draft; "Sluice in ten minutes" with
two modules, four lessons, videos and papers; a student, and the order by which that student sees the lessons. It takes an admin's token,
which on the gateway's own machine is at hand.

  sluice serve                        in one terminal
  sluice demo                         in another; then try what it prints
  sluice demo --json | jq -r .course.id
  sluice demo --server https://media.example.com --token "$TOKEN"
  sluice demo --remove                all of it goes, past the trash

Videos are made with ffmpeg where the PATH has it, and are small ready-made ones elsewhere. Nothing is fetched from anywhere. Interrupted,
or failed half way, the same command goes on where it was, and makes nothing twice: it looks at what is there, and each request that
creates has an Idempotency-Key that follows from what it creates. A gateway that has products already is left alone, unless --again is given.`
}

// Run makes the demo, or removes it.
func (c *demoCommand) Run(ctx context.Context, s surroundings) error {
	if c.Remove && c.Again {
		return refuse(nil, "give one of them", "--again adds a demo, --remove deletes it")
	}
	cl, err := c.connect(s)
	if err != nil {
		return err
	}
	defer cl.close()
	d := &demoSite{cl: cl, s: s, plan: demo.New(), show: newDemoShow(s, c.JSON)}
	defer d.show.end()
	if err := d.mayWrite(ctx); err != nil {
		return err
	}
	if c.Remove {
		return c.remove(ctx, d)
	}
	found, err := d.look(ctx, !c.Again)
	if err != nil {
		return err
	}
	set, err := d.choose(ctx, found, c.Again)
	if err != nil {
		return err
	}
	b := &demoBuild{demoSite: d, set: set, have: found.set(set), studio: &demo.Studio{FFmpeg: programOnPath(s, "ffmpeg")}}
	if err := b.run(ctx); err != nil {
		return halfMade(err)
	}
	d.show.end()
	out, err := b.result(ctx)
	if err != nil {
		if r, ok := errors.AsType[*configs.Refusal](err); ok {
			r.Cause, r.Fix = "the demo is complete, but what to look at cannot be told: "+r.Cause, "sluice ls shows the media, sluice demo --remove deletes the demo"
		}
		return err
	}
	if c.JSON {
		return printJSON(s.stdout, out)
	}
	return c.tell(s, out)
}

// halfMade says of an error on the way how to go on.
func halfMade(err error) error {
	if errors.Is(err, errInterrupted) {
		return refuse(errInterrupted, "run the same command again: it goes on where it was; sluice demo --remove deletes what there is", "interrupted: the demo is not complete")
	}
	if r, ok := errors.AsType[*configs.Refusal](err); ok {
		r.Fix += "; the same command goes on where it was"
	}
	return err
}

// programOnPath finds a program in the folders of PATH, "" where there is none.
func programOnPath(s surroundings, name string) string {
	for _, dir := range filepath.SplitList(s.variable("PATH")) {
		if !filepath.IsAbs(dir) {
			continue // what lies in the current folder is nobody's choice
		}
		if at, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return at
		}
	}
	return ""
}

// remove deletes every demo.
func (c *demoCommand) remove(ctx context.Context, d *demoSite) error {
	found, err := d.look(ctx, false)
	if err != nil {
		return err
	}
	gone, err := d.remove(ctx, found)
	d.show.end()
	if errors.Is(err, errInterrupted) {
		return refuse(errInterrupted, "run the same command again: it deletes the rest", "interrupted: some of the demo is still there")
	}
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(d.s.stdout, map[string]demoGone{"removed": gone})
	}
	if gone == (demoGone{}) {
		_, err = fmt.Fprintln(d.s.stdout, "there is no demo here")
	} else {
		_, err = fmt.Fprintf(d.s.stdout, "removed %d products, %d courses with what hung on them, %d other records, %d media that hung on nothing\n",
			gone.Products, gone.Courses, gone.Records, gone.Media)
	}
	return err
}

// tell prints what to look at.
func (c *demoCommand) tell(s surroundings, out demoResult) error {
	films := "made with ffmpeg"
	switch {
	case out.Films == "":
		films = "there already"
	case out.Why != "":
		films = "small ready-made ones: " + out.Why
	}
	images := 0
	for _, p := range out.Products {
		images += len(p.Images)
	}
	var w strings.Builder
	say(&w, "The demo is complete: %d products with %d images, a course with %d videos and %d resources, an order. The videos are %s.\n\n",
		len(out.Products), images, len(out.Videos), len(out.Resources), films)
	l := out.Links
	say(&w, "# what everybody sees; the lessons' videos are not among it, the intro is public\n")
	say(&w, "curl %s\ncurl %s\nffplay %s\n\n", shellWord(l.Products), shellWord(l.Course), shellWord(l.Intro))
	say(&w, "# a private lesson plays by a signed link, in a browser as well; this one holds for an hour\n")
	say(&w, "ffplay %s\n\n", shellWord(l.Lesson))
	say(&w, "# the student who bought the course sees all of it\n")
	say(&w, "TOKEN=$(sluice token --subject %s --role student%s)\n", out.UserID, c.where())
	say(&w, "curl -H \"Authorization: Bearer $TOKEN\" %s\n\n", shellWord(l.Course))
	say(&w, "# all there is to call: %s\n# and when you have seen enough:\nsluice demo --remove%s\n", l.Docs, c.there())
	_, err := fmt.Fprint(s.stdout, w.String())
	return err
}

// where repeats the flags by which a command finds the configuration.
func (c *demoCommand) where() string {
	var text strings.Builder
	for _, f := range []struct{ name, value string }{{"config", c.Config}, {"env-file", c.EnvFile}, {"data-dir", c.DataDir}} {
		if f.value != "" {
			text.WriteString(" --" + f.name + " " + shellWord(f.value))
		}
	}
	return text.String()
}

// there repeats also those by which it finds the gateway.
func (c *demoCommand) there() string {
	if c.Server == "" {
		return c.where()
	}
	return " --server " + shellWord(c.Server) + c.where()
}

// shellWord writes a text as one word of a shell.
func shellWord(s string) string {
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:=@%+,", r)
	}) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// statusOf is the status that the gateway refused with, 0 for other failures.
func statusOf(err error) int {
	if p, ok := errors.AsType[*problem](err); ok {
		return p.Status
	}
	return 0
}

// mayWrite refuses, before anything is made, whom the gateway would refuse at the end.
func (d *demoSite) mayWrite(ctx context.Context) error {
	_, err := d.cl.call(ctx, http.MethodGet, d.orderPath(1), nil, nil, nil)
	switch statusOf(err) {
	case http.StatusNotFound:
		return nil
	case http.StatusForbidden:
		return refuse(err, "use an admin's token: on the gateway's machine sluice demo finds one, elsewhere sluice token --subject me --role admin makes one",
			"the demo needs an admin: it writes an order")
	}
	return err
}
