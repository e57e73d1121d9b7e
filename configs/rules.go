package configs

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
)

// Rule sends the uploads that meet all its conditions to a backend. A condition that is zero is none.
type Rule struct {
	Text string // as written, with single blanks

	Kind          string
	MIME          string // video/*, image/png
	Type          string // image, video, document, audio
	Size          *Sizes
	Product       string
	Course        string
	Lesson        string
	ReferenceType string
	ReferenceID   string // "": any of the type
	Public        *bool

	Backend string
}

// Sizes is a span of sizes, both ends included.
type Sizes struct{ Least, Most Size }

// ParseRule reads conditions divided by blanks, an arrow, and the name of a backend: "kind=course-video size>=100MiB -> videos". Whether
// that backend is there is for Check to say. An error is a *Refusal.
func ParseRule(s string) (Rule, error) {
	words := strings.Fields(s)
	r := Rule{Text: strings.Join(words, " ")}
	arrow := slices.Index(words, "->")
	if arrow < 0 || arrow != len(words)-2 || !backendName.MatchString(words[len(words)-1]) {
		return Rule{}, r.wrong("it does not end in an arrow and the name of a backend", `end it with -> and a name, as in "type=video/* -> videos"`)
	}
	r.Backend = words[arrow+1]
	if arrow == 0 {
		return Rule{}, r.wrong("it has no condition", "name the backend that takes the rest in storage.default (SLUICE_STORAGE)")
	}
	seen := map[string]bool{}
	for _, word := range words[:arrow] {
		at := strings.IndexAny(word, "<>=")
		if at < 0 {
			return Rule{}, r.wrong(fmt.Sprintf("%q is no condition", word), `write conditions without blanks in them, as in "size>=100MiB"`)
		}
		name, op := word[:at], word[at:at+1]
		if strings.HasPrefix(word[at+1:], "=") && op != "=" {
			op += "="
		}
		once := name
		if name == "size" {
			once += op[:1] // a lower and an upper end
		}
		if seen[once] {
			return Rule{}, r.wrong("it says "+name+" twice", "write a rule for each: the first that matches wins")
		}
		seen[once] = true
		if err := r.set(name, op, word[at+len(op):]); err != nil {
			return Rule{}, err
		}
	}
	if r.Size != nil && r.Size.Least > r.Size.Most {
		return Rule{}, r.wrong("no size is in it", "make the lower end less than the upper one")
	}
	return r, nil
}

func (r *Rule) wrong(cause, fix string) error {
	return refuse(fmt.Sprintf("the rule %q: %s", r.Text, cause), fix, nil)
}

// String gives the rule as written.
func (r Rule) String() string { return r.Text }

var (
	rulePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9!#$&^_.+-]*/(\*|[a-z0-9][a-z0-9!#$&^_.+-]*)$`)
	ruleID      = regexp.MustCompile(`^[0-9a-f]{24}$`)
	ruleSlug    = regexp.MustCompile(`^[A-Za-z0-9._/-]{1,200}$`)
)

// set adds one condition. Its words are those of an upload's metadata.
func (r *Rule) set(name, op, v string) error {
	known := []string{"kind", "type", "size", "product", "course", "lesson", "reference", "public"}
	switch {
	case !slices.Contains(known, name):
		return r.wrong(fmt.Sprintf("there is no condition %q", name), suggestAmong(name, known))
	case name == "size":
		return r.setSize(op, v)
	case op != "=":
		return r.wrong(name+" is not compared by "+op, "write "+name+"=")
	}
	switch name {
	case "kind":
		return r.choose(&r.Kind, name, v, "", "product-image", "course-video", "course-resource", "media")
	case "type":
		if rulePattern.MatchString(v) {
			r.MIME = v
			return nil
		}
		return r.choose(&r.Type, name, v, "a pattern like video/* or image/png, or ", "image", "video", "document", "audio")
	case "product":
		return r.setID(&r.Product, v)
	case "course":
		return r.setID(&r.Course, v)
	case "lesson":
		return r.setID(&r.Lesson, v)
	case "reference":
		return r.setReference(v)
	case "public":
		if v != "true" && v != "false" {
			return r.wrong(fmt.Sprintf("public is not %q", v), "write public=true or public=false")
		}
		public := v == "true"
		r.Public = &public
	}
	return nil
}

func (r *Rule) choose(to *string, name, v, or string, known ...string) error {
	if !slices.Contains(known, v) {
		return r.wrong(fmt.Sprintf("%q is no %s", v, name), "write "+or+"one of "+strings.Join(known, ", "))
	}
	*to = v
	return nil
}

func (r *Rule) setID(to *string, v string) error {
	if !ruleID.MatchString(v) {
		return r.wrong(fmt.Sprintf("%q is no id", v), "write 24 lower-case hex digits")
	}
	*to = v
	return nil
}

func (r *Rule) setReference(v string) error {
	t, id, named := strings.Cut(v, ":")
	if err := r.choose(&r.ReferenceType, "type of entity", t, "", "product", "course", "lesson", "user", "page", "review", "order"); err != nil || !named {
		return err
	}
	if t == "page" {
		if !ruleSlug.MatchString(id) || strings.Contains(id, "..") {
			return r.wrong(fmt.Sprintf("%q is no page's slug", id), "write letters, digits, - _ . /")
		}
		r.ReferenceID = id
		return nil
	}
	return r.setID(&r.ReferenceID, id)
}

// setSize narrows the span of sizes. An end beyond every size leaves none, which ParseRule refuses.
func (r *Rule) setSize(op, v string) error {
	n, err := ParseSize(v)
	if err != nil {
		return r.wrong(err.Error(), "write it as in size>=100MiB")
	}
	if r.Size == nil {
		r.Size = &Sizes{Most: math.MaxInt64}
	}
	switch op {
	case ">=":
		r.Size.Least = n
	case ">":
		if n == math.MaxInt64 {
			return r.wrong("no size is in it", "write a smaller one")
		}
		r.Size.Least = n + 1
	case "<=":
		r.Size.Most = n
	case "<":
		r.Size.Most = n - 1
	default:
		return r.wrong("size is not compared by "+op, "write size>=, size>, size<= or size<")
	}
	return nil
}

// rules is a list of rules: a YAML list, or one text split at semicolons.
func rules(p *[]Rule) value {
	v := value{text: func() string {
		texts := make([]string, len(*p))
		for i, r := range *p {
			texts[i] = r.Text
		}
		return strings.Join(texts, "; ")
	}}
	v.list = func(items []string) error {
		*p = nil
		for _, item := range items {
			r, err := ParseRule(item)
			if err != nil {
				return err
			}
			*p = append(*p, r)
		}
		return nil
	}
	v.set = func(s string) error { return v.list(splitList(s, ";")) }
	return v
}
