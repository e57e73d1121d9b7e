package configs

import (
	"fmt"
	"io"
	"log/slog"
)

// Masked is what stands in place of a secret wherever one is printed.
const Masked = "***"

// Secret is a text that prints as *** however it is printed: fmt, JSON, YAML, slog. Reveal gives it to the one who needs it.
type Secret struct{ text string }

// Reveal gives the text.
func (s Secret) Reveal() string { return s.text }

// Empty reports whether there is none.
func (s Secret) Empty() bool { return s.text == "" }

func (s Secret) String() string {
	if s.text == "" {
		return ""
	}
	return Masked
}

// Format holds for every verb, %d and %#v included, which would otherwise reach inside.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// MarshalText serves JSON and YAML.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue serves slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }
