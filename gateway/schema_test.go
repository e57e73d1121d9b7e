package gateway_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// schema is the part of JSON Schema that the document uses.
type schema struct {
	Ref        string `json:"$ref"`
	Type       any
	Enum       []any
	Required   []string
	Properties map[string]*schema
	Items      *schema
	Additional any `json:"additionalProperties"`
}

// described is the document, as far as answers are concerned.
type described struct {
	Paths map[string]map[string]struct {
		Responses map[string]struct {
			Content map[string]struct{ Schema *schema }
			Headers map[string]any
		}
	}
	Components struct{ Schemas map[string]*schema }
}

// faults names what of a value the schema does not allow.
func (d *described) faults(at string, v any, s *schema) (found []string) {
	if s == nil {
		return nil
	}
	if s.Ref != "" {
		return d.faults(at, v, d.Components.Schemas[strings.TrimPrefix(s.Ref, "#/components/schemas/")])
	}
	types, _ := s.Type.([]any)
	if one, ok := s.Type.(string); ok {
		types = []any{one}
	}
	if len(types) > 0 && !slices.ContainsFunc(types, func(t any) bool { return is(v, t) }) {
		return []string{fmt.Sprintf("%s is %v, not %v", at, v, types)}
	}
	if len(s.Enum) > 0 && !slices.ContainsFunc(s.Enum, func(e any) bool { return reflect.DeepEqual(e, v) }) {
		found = append(found, fmt.Sprintf("%s is %v, not one of %v", at, v, s.Enum))
	}
	switch v := v.(type) {
	case []any:
		for i, e := range v {
			found = append(found, d.faults(fmt.Sprintf("%s[%d]", at, i), e, s.Items)...)
		}
	case map[string]any:
		for _, name := range s.Required {
			if _, there := v[name]; !there {
				found = append(found, at+"."+name+" is missing")
			}
		}
		for name, e := range v {
			if p := s.Properties[name]; p != nil {
				found = append(found, d.faults(at+"."+name, e, p)...)
			} else if s.Additional == false {
				found = append(found, at+"."+name+" is not described")
			}
		}
	}
	return found
}

// is reports whether a value has a type of JSON Schema.
func is(v, t any) bool {
	switch v := v.(type) {
	case nil:
		return t == "null"
	case bool:
		return t == "boolean"
	case string:
		return t == "string"
	case float64:
		return t == "number" || t == "integer" && v == math.Trunc(v)
	case []any:
		return t == "array"
	}
	return t == "object"
}

// TestExchangesKeepToTheDocument looks whether each answer of testdata/exchanges is one that openapi.json allows: its status, the members of its
// body and the headers that are the operation's own.
func TestExchangesKeepToTheDocument(t *testing.T) {
	t.Parallel()
	var doc described
	raw, err := os.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	patterns := map[string]*regexp.Regexp{}
	for path := range doc.Paths {
		patterns[path] = regexp.MustCompile("^" + regexp.MustCompile(`\{\w+\}`).ReplaceAllString(path, `[^/]+`) + "$")
	}
	var files []string
	for _, glob := range []string{"testdata/exchanges/*.http", "testdata/exchanges/lms/*.http"} {
		some, err := filepath.Glob(glob)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, some...)
	}
	looked := 0
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		ask, answer, _ := strings.Cut(string(raw), "\n----------\n")
		method, target, _ := strings.Cut(strings.SplitN(ask, "\n", 2)[0], " ")
		target, _, _ = strings.Cut(target, "?")
		head, body, _ := strings.Cut(answer, "\n\n")
		lines := strings.Split(head, "\n")
		if method == "HEAD" || !strings.Contains(head, "json") {
			continue
		}
		var path string // the one with the fewest parameters: /images/order is no image
		for p, pattern := range patterns {
			if pattern.MatchString(target) && doc.Paths[p][strings.ToLower(method)].Responses != nil && (path == "" || strings.Count(p, "{") < strings.Count(path, "{")) {
				path = p
			}
		}
		if path == "" {
			continue // a refusal of what is no route
		}
		looked++
		responses := doc.Paths[path][strings.ToLower(method)].Responses
		r, there := responses[lines[0]]
		if !there {
			r = responses["default"]
		}
		kind := regexp.MustCompile(`Content-Type: ([\w/+.-]+)`).FindStringSubmatch(head)[1]
		content, described := r.Content[kind]
		var v any
		if err := json.Unmarshal([]byte(body), &v); err != nil || !described {
			t.Errorf("%s: %s %s answers %s with %s, which is not described, %v", file, method, path, lines[0], kind, err)
			continue
		}
		for _, f := range doc.faults("body", v, content.Schema) {
			t.Errorf("%s: %s", file, f)
		}
		for _, line := range lines[1:] {
			name, _, _ := strings.Cut(line, ": ")
			if own := []string{"Etag", "Location", "X-Cache", "X-Degraded", "Idempotent-Replayed"}; slices.Contains(own, name) {
				if name == "Etag" {
					name = "ETag"
				}
				if r.Headers[name] == nil {
					t.Errorf("%s: %s %s does not describe %s", file, method, path, name)
				}
			}
		}
	}
	if looked < 200 {
		t.Errorf("%d answers were looked at, of %d exchanges", looked, len(files))
	}
}
