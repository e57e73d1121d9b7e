package curation

import (
	"math"
	"strings"
	"unicode"
	"unicode/utf8"

	"sluice/media"
)

// published is what a record's fields say; nothing said is yes.
func published(fields map[string]any) bool {
	v, said := fields["published"].(bool)
	return v || !said
}

// checkRecord refuses fields that no product or course has. whole: what must be there is.
func checkRecord(t media.SubjectType, fields map[string]any, whole bool) error {
	name := "name"
	if t == media.Course {
		name = "title"
	}
	if v, said := fields[name]; said && v == nil || whole && !said {
		return invalid(name, "%s is missing", name)
	}
	for k, v := range fields {
		if v == nil {
			continue
		}
		if err := checkField(t, k, v); err != nil {
			return err
		}
	}
	return nil
}

func checkField(t media.SubjectType, k string, v any) error {
	text, isText := v.(string)
	switch {
	case isText && (k == "name" && t == media.Product || k == "title" && t == media.Course):
		if strings.TrimSpace(text) == "" {
			return invalid(k, "%s is empty", k)
		}
		return checkText(k, text, maxTitle)
	case isText && (k == "category" || k == "brand"):
		return checkText(k, text, maxTitle)
	case isText && k == "description":
		return checkProse(k, text, maxDescription)
	case k == "price":
		f, ok := v.(float64)
		if !ok || f < 0 || math.IsNaN(f) || f > 1e12 {
			return invalid(k, "price is a number from 0 to 1e12")
		}
		return nil
	case k == "stock":
		n, ok := v.(int64)
		if !ok || n < 0 {
			return invalid(k, "stock is a whole number from 0")
		}
		return nil
	case k == "published":
		if _, ok := v.(bool); !ok {
			return invalid(k, "published is true or false")
		}
		return nil
	case k == "tags":
		return checkTags(v)
	case k == "modules" && t == media.Course:
		return checkModules(v)
	}
	return invalid(k, "%s is not a field of a %s, or not of this type", k, t)
}

// checkProse is checkText for what may have several lines.
func checkProse(field, s string, limit int) error {
	if utf8.RuneCountInString(s) > limit {
		return invalid(field, "%s is at most %d characters", field, limit)
	}
	if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\r' && r != '\t' }) {
		return invalid(field, "%s must be text without control characters", field)
	}
	return nil
}

func checkTags(v any) error {
	tags, ok := v.([]any)
	if !ok || len(tags) > maxTags {
		return invalid("tags", "tags is a list of at most %d texts", maxTags)
	}
	for _, t := range tags {
		s, ok := t.(string)
		if !ok {
			return invalid("tags", "tags is a list of texts")
		}
		if err := checkText("tags", s, maxTag); err != nil {
			return err
		}
	}
	return nil
}
