package uploads

import (
	"net/http"

	"golang.org/x/exp/slog"
)

// Quiet gives a logger that keeps tusd silent.
func Quiet() *slog.Logger { return quiet() }

// ParseMetadata lets the fuzz tests at the parser.
func ParseMetadata(header string) ([]string, map[string]string, error) {
	m, err := parseMetadata(header)
	return m.keys, m.values, err
}

// ParseConcat lets the fuzz tests at the parser.
func ParseConcat(v string) (partial, final bool, parts []string, err error) {
	c, err := parseConcat(v)
	return c.partial, c.final, c.parts, err
}

// Number lets the fuzz tests at the parser.
func Number(v string) (int64, error) { return number(hOffset, v) }

// Length lets the fuzz tests at the parser.
func Length(h http.Header) (int64, error) { return length(h) }
