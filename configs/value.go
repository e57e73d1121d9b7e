package configs

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Size is a number of bytes, written as 10GiB.
type Size int64

type sizeUnit struct {
	name string
	n    int64
}

// sizeUnits in the order in which a size is written: the first that divides it.
func sizeUnits() []sizeUnit {
	return []sizeUnit{
		{"TiB", 1 << 40},
		{"GiB", 1 << 30},
		{"MiB", 1 << 20},
		{"KiB", 1 << 10},
		{"TB", 1e12},
		{"GB", 1e9},
		{"MB", 1e6},
		{"kB", 1e3},
		{"B", 1},
	}
}

// ParseSize reads "10GiB", "1.5 MB", "4096". Units are those of IEC 80000-13 (KiB, 1024) and SI (kB, 1000), in any case.
func ParseSize(s string) (Size, error) {
	t := strings.TrimSpace(s)
	unit := int64(1)
	for _, u := range sizeUnits() {
		if len(t) > len(u.name) && strings.EqualFold(t[len(t)-len(u.name):], u.name) {
			t, unit = strings.TrimSpace(t[:len(t)-len(u.name)]), u.n
			break
		}
	}
	if n, err := strconv.ParseInt(t, 10, 64); err == nil {
		if n < 0 || n > math.MaxInt64/unit {
			return 0, fmt.Errorf("%q is out of range", s)
		}
		return Size(n * unit), nil
	}
	if strings.Trim(t, "0123456789.") != "" || strings.Trim(t, ".") == "" {
		return 0, fmt.Errorf("%q is not a size; write it as 10GiB or 512MB", s)
	}
	f, err := strconv.ParseFloat(t, 64)
	if err != nil || f*float64(unit) >= math.MaxInt64 {
		return 0, fmt.Errorf("%q is not a size; write it as 10GiB or 512MB", s)
	}
	return Size(f * float64(unit)), nil
}

// String writes a size so that ParseSize reads the same back.
func (s Size) String() string {
	if s == 0 {
		return "0"
	}
	for _, u := range sizeUnits() {
		if int64(s)%u.n == 0 && u.n > 1 {
			return strconv.FormatInt(int64(s)/u.n, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// parseDuration is time.ParseDuration with days: "7d".
func parseDuration(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return 0, fmt.Errorf("%q is not a duration; write it as 24h or 7d", s)
		}
		return time.Duration(n) * 24 * time.Hour, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q is not a duration; write it as 90s, 24h or 7d", s)
	}
	return d, nil
}

// durationText writes 24h, not 24h0m0s.
func durationText(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}

// value reads one setting from text and writes it back.
type value struct {
	set  func(string) error
	text func() string
	list func(items []string) error // for settings that a YAML list may fill; nil otherwise
}

func text[T ~string](p *T, allowed ...T) value {
	return value{text: func() string { return string(*p) }, set: func(s string) error {
		if len(allowed) > 0 && !slices.Contains(allowed, T(s)) {
			return fmt.Errorf("%q is none of %s", s, joinWords(allowed))
		}
		*p = T(s)
		return nil
	}}
}

func joinWords[T ~string](words []T) string {
	var b strings.Builder
	for i, w := range words {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(string(w))
	}
	return b.String()
}

func secret(p *Secret) value {
	return value{text: func() string { return p.String() }, set: func(s string) error { *p = Secret{s}; return nil }}
}

func number(p *int, low, high int) value {
	return value{text: func() string { return strconv.Itoa(*p) }, set: func(s string) error {
		n, err := strconv.Atoi(s)
		if err != nil || n < low || n > high {
			return fmt.Errorf("%q is not a number from %d to %d", s, low, high)
		}
		*p = n
		return nil
	}}
}

// boolean takes what people write in .env files.
func boolean(p *bool) value {
	return value{text: func() string { return strconv.FormatBool(*p) }, set: func(s string) error {
		switch strings.ToLower(s) {
		case "true", "1", "yes", "on":
			*p = true
		case "false", "0", "no", "off":
			*p = false
		default:
			return fmt.Errorf("%q is neither true nor false", s)
		}
		return nil
	}}
}

func size(p *Size) value {
	return value{text: func() string { return p.String() }, set: func(s string) (err error) {
		*p, err = ParseSize(s)
		return err
	}}
}

func duration(p *time.Duration) value {
	return value{text: func() string { return durationText(*p) }, set: func(s string) (err error) {
		*p, err = parseDuration(s)
		return err
	}}
}

// texts is a list: a YAML list, or one text split at commas.
func texts(p *[]string) value {
	v := value{text: func() string { return strings.Join(*p, ",") }}
	v.list = func(items []string) error { *p = items; return nil }
	v.set = func(s string) error { return v.list(splitList(s, ",")) }
	return v
}

func secrets(p *[]Secret) value {
	v := value{text: func() string { return strings.TrimSuffix(strings.Repeat(Masked+",", len(*p)), ",") }}
	v.list = func(items []string) error {
		*p = nil
		for _, s := range items {
			*p = append(*p, Secret{s})
		}
		return nil
	}
	v.set = func(s string) error { return v.list(splitList(s, ",")) }
	return v
}

func splitList(s, divider string) []string {
	var items []string
	for item := range strings.SplitSeq(s, divider) {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}
