package configs

import (
	"fmt"
	"regexp"
	"strings"
)

// Variable is one line of a .env file.
type Variable struct {
	Name, Value string
	Line        int
}

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.]*$`)

// ParseDotenv reads a .env file as the LMS writes it. An unquoted value runs to the end of its line or to a # that follows a blank, so
// that "ebay lms" and "p@ss:w/o#rd%" stay whole; nothing is expanded. Single quotes and backquotes keep everything, double quotes know
// \n \r \t \" \\ and keep other backslashes; quoted values may span lines. A line it cannot read is an error that names the line and
// never its text, which may be a secret.
func ParseDotenv(text string) ([]Variable, error) {
	text = strings.TrimPrefix(text, "\ufeff")
	text = strings.ReplaceAll(text, "\r\n", "\n")
	text = strings.ReplaceAll(text, "\r", "\n")
	if strings.ContainsRune(text, 0) {
		return nil, fmt.Errorf("a NUL byte: it must be UTF-8 text")
	}
	var found []Variable
	for line := 1; text != ""; {
		before := strings.Count(text, "\n")
		v, rest, err := cutVariable(text)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
		if v.Name != "" {
			v.Line = line
			found = append(found, v)
		}
		text = rest
		line += before - strings.Count(rest, "\n")
	}
	return found, nil
}

// cutVariable reads the first line, or lines when its value is quoted; a blank line or a comment has no name.
func cutVariable(text string) (v Variable, rest string, err error) {
	line, rest, _ := strings.Cut(text, "\n")
	line = strings.TrimSpace(line)
	if line == "" || line[0] == '#' {
		return Variable{}, rest, nil
	}
	name, _, found := strings.Cut(line, "=")
	if !found {
		return Variable{}, "", fmt.Errorf("no = in it; write NAME=value, and a # before a comment")
	}
	name = strings.TrimSpace(name)
	if after, ok := strings.CutPrefix(name, "export"); ok && after != strings.TrimLeft(after, " \t") {
		name = strings.TrimLeft(after, " \t")
	}
	if !variableName.MatchString(name) {
		return Variable{}, "", fmt.Errorf("the name before = may hold letters, digits and _ only")
	}
	raw := strings.TrimLeft(text[strings.IndexByte(text, '=')+1:], " \t")
	if raw == "" || !strings.ContainsRune("'\"`", rune(raw[0])) {
		return Variable{Name: name, Value: unquoted(text[strings.IndexByte(text, '=')+1:])}, rest, nil
	}
	value, rest, err := quoted(raw)
	return Variable{Name: name, Value: value}, rest, err
}

// unquoted takes the value up to the end of the line or to a comment, without the blanks around it.
func unquoted(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	for i := 1; i < len(line); i++ {
		if line[i] == '#' && (line[i-1] == ' ' || line[i-1] == '\t') {
			line = line[:i]
			break
		}
	}
	return strings.TrimSpace(line)
}

func quoted(text string) (value, rest string, err error) {
	mark := text[0]
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		c := text[i]
		if c == mark {
			after, rest, _ := strings.Cut(text[i+1:], "\n")
			if after = strings.TrimSpace(after); after != "" && after[0] != '#' {
				return "", "", fmt.Errorf("text after the closing quote; put the whole value between quotes of another kind")
			}
			return b.String(), rest, nil
		}
		if c == '\\' && mark == '"' && i+1 < len(text) {
			if n := strings.IndexByte(`nrt"\`, text[i+1]); n >= 0 {
				b.WriteByte("\n\r\t\"\\"[n])
				i++
				continue
			}
		}
		b.WriteByte(c)
	}
	return "", "", fmt.Errorf("a quote is not closed")
}
