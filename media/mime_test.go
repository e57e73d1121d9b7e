package media_test

import (
	"testing"

	"sluice/media"
)

func TestTypesAndExtensionsAgree(t *testing.T) {
	t.Parallel()
	for _, mime := range []string{
		"video/mp4", "video/webm", "video/quicktime", "audio/mpeg", "audio/mp4", "image/jpeg", "image/png", "image/gif", "image/webp",
		"application/pdf", "text/plain",
	} {
		if ext := media.ExtensionOf(mime); ext == "" || media.MIMEByName("a"+ext) != mime {
			t.Errorf("%s: extension %q is %q again", mime, ext, media.MIMEByName("a"+ext))
		}
	}
	if got := media.MIMEByName("Lecture.MKV"); got != "video/matroska" {
		t.Errorf("an extension in capitals: got %q", got)
	}
	for _, name := range []string{"", "a", ".", "a.unknown"} {
		if got := media.MIMEByName(name); got != "" {
			t.Errorf("%q: got %q, want none", name, got)
		}
	}
}
