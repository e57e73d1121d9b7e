package configs_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"sluice/configs"
)

const id = "507f1f77bcf86cd799439011"

func TestParseRule(t *testing.T) {
	t.Parallel()
	yes, no := true, false
	for text, want := range map[string]configs.Rule{
		"kind=course-video size>=100MiB -> videos": {Kind: "course-video", Size: &configs.Sizes{Least: 100 << 20, Most: math.MaxInt64}, Backend: "videos"},
		"type=image/* -> local":                    {MIME: "image/*", Backend: "local"},
		"type=application/vnd.ms-excel -> a-1":     {MIME: "application/vnd.ms-excel", Backend: "a-1"},
		"type=video -> a":                          {Type: "video", Backend: "a"},
		"size>1kB size<2kB -> a":                   {Size: &configs.Sizes{Least: 1001, Most: 1999}, Backend: "a"},
		"size<=5 -> a":                             {Size: &configs.Sizes{Most: 5}, Backend: "a"},
		"size>=0 -> a":                             {Size: &configs.Sizes{Most: math.MaxInt64}, Backend: "a"},
		"product=" + id + " -> a":                  {Product: id, Backend: "a"},
		"course=" + id + " lesson=" + id + " -> a": {Course: id, Lesson: id, Backend: "a"},
		"reference=user -> a":                      {ReferenceType: "user", Backend: "a"},
		"reference=order:" + id + " -> a":          {ReferenceType: "order", ReferenceID: id, Backend: "a"},
		"reference=page:about/us.html -> a":        {ReferenceType: "page", ReferenceID: "about/us.html", Backend: "a"},
		"public=true -> a":                         {Public: &yes, Backend: "a"},
		"public=false type=audio -> a":             {Public: &no, Type: "audio", Backend: "a"},
	} {
		want.Text = text
		got, err := configs.ParseRule("\t" + strings.ReplaceAll(text, " ", "  ") + " ")
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("ParseRule(%q): %v (-want +got):\n%s", text, err, diff)
		}
	}
}

func TestRulesThatAreRefused(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                             "does not end in an arrow",
		"->":                           "does not end in an arrow",
		"-> a":                         "no condition",
		"kind=media":                   "does not end in an arrow",
		"kind=media ->":                "does not end in an arrow",
		"kind=media->a":                "does not end in an arrow",
		"kind=media -> a b":            "does not end in an arrow",
		"kind=media -> A":              "does not end in an arrow",
		"kind=media -> a -> b":         "does not end in an arrow",
		"media -> a":                   `"media" is no condition`,
		"size >= 1MiB -> a":            `"size" is no condition`,
		"=x -> a":                      `no condition ""`,
		"kind=movie -> a":              `"movie" is no kind`,
		"kind>=media -> a":             "kind is not compared by >=",
		"kind=media kind=media -> a":   "says kind twice",
		"type=videos -> a":             `"videos" is no type`,
		"type=*/* -> a":                "no type",
		"type=Video/mp4 -> a":          "no type",
		"size=5 -> a":                  "size is not compared by =",
		"size>=much -> a":              "not a size",
		"size>=5 size>4 -> a":          "says size twice",
		"size>=6 size<=5 -> a":         "no size is in it",
		"size<0 -> a":                  "no size is in it",
		"size>9223372036854775807 ->a": "does not end",
		"course=abc -> a":              `"abc" is no id`,
		"reference=thing -> a":         "no type of entity",
		"reference=user:1 -> a":        "no id",
		"reference=page:../x -> a":     "no page's slug",
		"reference=page: -> a":         "no page's slug",
		"public=maybe -> a":            `public is not "maybe"`,
	} {
		_, err := configs.ParseRule(text)
		r, ok := errors.AsType[*configs.Refusal](err)
		if !ok || !strings.Contains(r.Cause, want) || r.Fix == "" || strings.Contains(r.Cause+r.Fix, "\n") {
			t.Errorf("ParseRule(%q) = %v, want a cause with %q and a fix", text, err, want)
		}
	}
}

// Rules read from what was written back are the same, as a YAML list and as one text.
func TestRulesAreReadBackAsWritten(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		pick := func(name string, words ...string) string { return rapid.SampledFrom(words).Draw(rt, name) }
		hex := rapid.StringMatching("[0-9a-f]{24}")
		var texts []string
		for range rapid.IntRange(1, 4).Draw(rt, "rules") {
			all := []string{
				"kind=" + pick("kind", "media", "course-video", "product-image"),
				"type=" + pick("type", "video/*", "image/png", "audio"),
				"size" + pick("lower", ">", ">=") + configs.Size(rapid.Int64Range(0, 1<<40).Draw(rt, "least")).String(),
				"size" + pick("upper", "<", "<=") + configs.Size(rapid.Int64Range(1<<41, math.MaxInt64).Draw(rt, "most")).String(),
				"product=" + hex.Draw(rt, "product"), "course=" + hex.Draw(rt, "course"), "lesson=" + hex.Draw(rt, "lesson"),
				"reference=" + pick("reference", "user", "page:a/b", "order:"+id), "public=" + pick("public", "true", "false"),
			}
			n := rapid.IntRange(1, len(all)).Draw(rt, "conditions")
			texts = append(texts, strings.Join(rapid.Permutation(all).Draw(rt, "order")[:n], " ")+" -> local")
		}
		in := configs.Input{EnvFile: write(t, ".env", ""), Environ: []string{"SLUICE_STORAGE_RULES=" + strings.Join(texts, ";") + ";"}}
		l, err := configs.Load(in)
		if err != nil {
			rt.Fatal(err)
		}
		in = configs.Input{EnvFile: in.EnvFile, File: write(t, "c.yaml", "storage:\n  rules:\n    - "+strings.Join(texts, "\n    - ")+"\n")}
		again, err := configs.Load(in)
		if err != nil {
			rt.Fatal(err)
		}
		if diff := cmp.Diff(l.Storage.Rules, again.Storage.Rules); diff != "" || len(l.Storage.Rules) != len(texts) {
			rt.Fatalf("%d rules (-variable +file):\n%s", len(l.Storage.Rules), diff)
		}
	})
}

func FuzzParseRule(f *testing.F) {
	for _, s := range []string{"kind=course-video size>=100MiB -> videos", "type=image/* -> local", "size<0 -> a", "-> ->", "reference=page:x public=true -> a", "size>=>1 -> a", "\u00a0-> a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := configs.ParseRule(s)
		if err != nil {
			if e, ok := errors.AsType[*configs.Refusal](err); !ok || strings.Contains(e.Cause+e.Fix, "\n") || e.Fix == "" {
				t.Errorf("%q: %v is no refusal in one line", s, err)
			}
			return
		}
		if r.Size != nil && (r.Size.Least < 0 || r.Size.Least > r.Size.Most) {
			t.Errorf("%q: no size is in %+v", s, *r.Size)
		}
		again, err := configs.ParseRule(r.String())
		if diff := cmp.Diff(r, again); err != nil || diff != "" {
			t.Errorf("%q written back as %q: %v %s", s, r.String(), err, diff)
		}
	})
}
