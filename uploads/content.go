package uploads

import (
	"strings"

	"github.com/gabriel-vasile/mimetype"

	"sluice/media"
)

const octetStream = "application/octet-stream"

// headSize is how much of a file the recognition of its content looks at: enough for every signature but ISO images and tar at odd
// offsets, and far below the 64 KiB that may be stored before a refusal.
const headSize = 3072

// class is what kind of thing a type is, as far as passing for another matters.
type class uint8

const (
	neutral    class = iota // unknown, or harmless under any name: octet-stream, plain text, JSON
	playable                // image, video, audio
	paper                   // PDF, office, e-books: documents that others open
	markup                  // HTML, SVG, XML: a browser runs it
	script                  // a shell or an interpreter runs it
	executable              // a processor or a virtual machine runs it
	archive
	playlist // names other files: HLS
)

// classOf sorts a media type.
func classOf(t string) class {
	switch t {
	case "text/html", "application/xhtml+xml", "image/svg+xml", "text/xml", "application/xml":
		return markup
	case "application/vnd.apple.mpegurl", "audio/mpegurl", "audio/x-mpegurl", "application/x-mpegurl", "application/dash+xml":
		return playlist
	case "application/x-elf", "application/x-executable", "application/x-sharedlib", "application/x-object", "application/x-coredump",
		"application/vnd.microsoft.portable-executable", "application/x-mach-binary", "application/x-java-applet", "application/wasm",
		"application/x-ms-installer", "application/x-ms-shortcut", "application/x-shockwave-flash", "application/x-chrome-extension",
		"application/java-archive", "application/vnd.android.package-archive", "application/x-rpm", "application/x-msdownload",
		"application/vnd.debian.binary-package", "application/x-bytecode.python", "application/x-msdos-program":
		return executable
	case "application/zip", "application/x-7z-compressed", "application/vnd.rar", "application/x-rar-compressed", "application/gzip",
		"application/x-gzip", "application/x-tar", "application/x-xz", "application/x-bzip2", "application/zstd", "application/x-xar",
		"application/vnd.ms-cab-compressed", "application/x-cpio", "application/lzip", "application/x-archive",
		"application/x-zip-compressed":
		return archive
	case "text/x-php", "text/x-python", "text/x-perl", "text/x-ruby", "text/x-lua", "text/x-shellscript", "text/x-tcl",
		"text/javascript", "application/javascript", "application/x-sh", "text/x-sh", "application/x-php", "application/x-httpd-php":
		return script
	case "application/pdf", "application/postscript", "text/rtf", "application/rtf", "application/msword", "application/epub+zip",
		"application/vnd.ms-excel", "application/vnd.ms-powerpoint", "application/x-ole-storage", "application/vnd.ms-publisher":
		return paper
	case "application/ogg":
		return playable
	}
	switch top, _, _ := strings.Cut(t, "/"); top {
	case "image", "video", "audio":
		return playable
	}
	if strings.HasPrefix(t, "application/vnd.openxmlformats-officedocument.") || strings.HasPrefix(t, "application/vnd.oasis.opendocument.") {
		return paper
	}
	if strings.HasSuffix(t, "+xml") {
		return markup
	}
	return neutral
}

// recognise names the type of a file by its first bytes, without parameters.
func recognise(head []byte) string {
	t, _, _ := strings.Cut(mimetype.Detect(head).String(), ";")
	return t
}

// contradicts reports whether content recognised as got cannot pass for declared: something that runs, or carries other things, under
// the name of something that plays or is read. Bytes that nothing recognises contradict nothing.
func contradicts(declared, got string) bool {
	d, g := classOf(declared), classOf(got)
	if declared == "" || declared == octetStream || g == neutral || d == g || declared == got {
		return false
	}
	switch d {
	case playable:
		return g != playable
	case paper: // office files are ZIP archives and OLE containers
		return g == executable || g == markup || g == script || g == playlist || g == archive && declared == "application/pdf"
	case markup, script, playlist:
		return g == executable || g == archive
	case archive: // a small archive's first member may be seen before the archive
		return g == executable && got != "application/java-archive" && got != "application/vnd.android.package-archive" || g == markup || g == script
	case neutral: // JSON, plain text, fonts and whatever else: text may quote anything
		return g == executable || g == archive && strings.HasPrefix(declared, "text/")
	case executable:
		return false
	}
	return false
}

// judge looks at the first bytes of a file. It refuses what contradicts the declared type or the name, and gives the type to keep.
func (s *Service) judge(a *media.Asset, head []byte) (string, error) {
	got := recognise(head)
	for _, declared := range []string{a.MIMEType, media.MIMEByName(a.Filename)} {
		if contradicts(declared, got) {
			return "", &media.Error{
				Kind: media.Unsupported, Code: "content_mismatch",
				Detail: "the content is " + got + ", not " + declared,
			}
		}
	}
	t := a.MIMEType
	if t == octetStream {
		t = got
	}
	if !allowed(t, s.o.AllowedTypes) {
		return "", typeRefused(t)
	}
	return t, nil
}

func typeRefused(t string) error {
	if t == "" {
		t = "content of an unknown type"
	}
	return &media.Error{Kind: media.Unsupported, Code: "type_not_allowed", Detail: t + " is not accepted here", Field: "filetype"}
}

// allowed matches a type against patterns like "video/*"; no patterns allow everything.
func allowed(t string, patterns []string) bool {
	if len(patterns) == 0 {
		return true
	}
	for _, p := range patterns {
		if top, ok := strings.CutSuffix(p, "/*"); ok && (top == "*" || strings.HasPrefix(t, top+"/")) || strings.EqualFold(p, t) {
			return true
		}
	}
	return false
}

func validTypePattern(p string) bool { return validType(strings.Replace(p, "*", "x", 2)) }

// validType reports whether t is type "/" subtype (RFC 6838 section 4.2).
func validType(t string) bool {
	top, sub, ok := strings.Cut(t, "/")
	return ok && restrictedName(top) && restrictedName(sub)
}

func restrictedName(s string) bool {
	if s == "" || len(s) > 127 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || i > 0 && strings.IndexByte("!#$&-^_.+", c) >= 0 {
			continue
		}
		return false
	}
	return true
}
