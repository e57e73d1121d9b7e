package playback

import (
	"path"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxName bounds a name in bytes. Each may take three in the header, and proxies take 4 KiB of headers at the least.
const maxName = 1000

// disposition builds a Content-Disposition (RFC 6266): a quoted ASCII name for all clients, and beside it, where that had to give something
// up, the whole name in UTF-8 (RFC 8187), which clients must prefer.
func disposition(kind, name string) string {
	name = cleanName(name)
	if name == "" {
		return kind
	}
	var b strings.Builder
	b.Grow(len(kind) + 32 + 4*len(name))
	b.WriteString(kind)
	b.WriteString(`; filename="`)
	plain := true
	for _, c := range name {
		switch {
		case c == '"', c == '\\':
			plain = false // escaped as RFC 9110 says, and yet read differently by clients
			b.WriteByte('\\')
			b.WriteRune(c)
		case c == '%', c > '~':
			plain = false // some clients decode %41 in a quoted name (RFC 6266 appendix D)
			b.WriteByte('_')
		default:
			b.WriteRune(c)
		}
	}
	b.WriteByte('"')
	if plain {
		return b.String()
	}
	b.WriteString("; filename*=UTF-8''")
	const digits = "0123456789ABCDEF"
	for _, c := range []byte(name) {
		if isAlphanumeric(c) || strings.IndexByte("!#$&+-.^_`|~", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(digits[c>>4])
		b.WriteByte(digits[c&15])
	}
	return b.String()
}

// cleanName cuts folders off, drops what is no character, and what turns the reading direction (so that "gpj.exe" cannot be shown as
// "exe.jpg"), and shortens the middle of what is too long.
func cleanName(name string) string {
	if i := strings.LastIndexAny(name, `/\`); i >= 0 {
		name = name[i+1:]
	}
	name = strings.Map(func(c rune) rune {
		if c == utf8.RuneError || unicode.IsControl(c) || unicode.Is(unicode.Bidi_Control, c) || c == '\u2028' || c == '\u2029' {
			return -1
		}
		return c
	}, name)
	name = strings.TrimSpace(name)
	if name == "." || name == ".." {
		return ""
	}
	if len(name) <= maxName {
		return name
	}
	ext := path.Ext(name)
	if len(ext) > 16 {
		ext = ""
	}
	stem := name[:maxName-len(ext)]
	for !utf8.ValidString(stem) {
		stem = stem[:len(stem)-1]
	}
	return stem + ext
}
