package curation

import (
	"fmt"
	"time"

	"sluice/media"
)

// Module is a part of a course, in order.
type Module struct {
	ID      string // "": it is given one
	Title   string
	Lessons []Lesson
}

// Lesson is a part of a module, in order.
type Lesson struct {
	ID    string // "": it is given one
	Title string
}

// ModuleFields gives modules as a course's record holds them. Those without an id get one of now.
func ModuleFields(modules []Module, now time.Time) []any {
	idOr := func(id string) string {
		if id == "" {
			return media.NewRecordID(now)
		}
		return id
	}
	out := make([]any, len(modules))
	for i, m := range modules {
		lessons := make([]any, len(m.Lessons))
		for j, l := range m.Lessons {
			lessons[j] = map[string]any{"id": idOr(l.ID), "title": l.Title}
		}
		out[i] = map[string]any{"id": idOr(m.ID), "title": m.Title, "lessons": lessons}
	}
	return out
}

// checkModules refuses modules that are too many, have no proper names, or share an id.
func checkModules(v any) error {
	modules, ok := v.([]any)
	if !ok || len(modules) > maxModules {
		return invalid("modules", "modules is a list of at most %d", maxModules)
	}
	c := moduleCheck{ids: map[string]bool{}}
	for i, m := range modules {
		field := fmt.Sprintf("modules[%d]", i)
		fields, err := c.part(field, m)
		if err != nil {
			return err
		}
		lessons, _ := fields["lessons"].([]any)
		if c.lessons += len(lessons); c.lessons > maxLessons {
			return invalid("modules", "a course has at most %d lessons", maxLessons)
		}
		for j, l := range lessons {
			if _, err := c.part(fmt.Sprintf("%s.lessons[%d]", field, j), l); err != nil {
				return err
			}
		}
	}
	return nil
}

type moduleCheck struct {
	ids     map[string]bool
	lessons int
}

// part checks what modules and lessons have in common.
func (c *moduleCheck) part(field string, v any) (map[string]any, error) {
	fields, ok := v.(map[string]any)
	if !ok {
		return nil, invalid(field, "it is an object with a title")
	}
	id, _ := fields["id"].(string)
	title, _ := fields["title"].(string)
	switch {
	case !media.ValidEntityID(id):
		return nil, invalid(field+".id", "an id is 24 lower-case hex digits")
	case c.ids[id]:
		return nil, invalid(field+".id", "the id is there twice")
	case title == "":
		return nil, invalid(field+".title", "title is missing")
	}
	c.ids[id] = true
	return fields, checkText(field+".title", title, maxTitle)
}

// keptFields gives modules their new titles and order, and leaves them what else the LMS says of them, its lessons' texts for one: a body here cannot
// carry it.
func keptFields(was, now any) any {
	old := map[string]map[string]any{}
	for _, p := range objects(was) {
		if id, ok := p["id"].(string); ok {
			old[id] = p
		}
		for _, l := range objects(p["lessons"]) {
			if id, ok := l["id"].(string); ok {
				old[id] = l
			}
		}
	}
	for _, m := range objects(now) {
		for _, l := range objects(m["lessons"]) {
			keepFields(old, l)
		}
		keepFields(old, m)
	}
	return now
}

// keepFields adds to a part what it had before and is not said anew.
func keepFields(old map[string]map[string]any, part map[string]any) {
	id, _ := part["id"].(string)
	for k, v := range old[id] {
		if _, said := part[k]; !said {
			part[k] = v
		}
	}
}

// objects are the elements of a list that are objects.
func objects(v any) []map[string]any {
	list, _ := v.([]any)
	out := make([]map[string]any, 0, len(list))
	for _, e := range list {
		if m, ok := e.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}
