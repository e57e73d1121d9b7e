package playback

import (
	"mime"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"sluice/media"
)

func TestManyRangesAreBounded(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		field string
		want  ranges
	}{
		"sixteen are served":            {"bytes=" + strings.TrimSuffix(strings.Repeat("0-1,", 16), ","), partial},
		"seventeen are not":             {"bytes=" + strings.TrimSuffix(strings.Repeat("0-1,", 17), ","), whole},
		"as many bytes as the file has": {"bytes=0-499,500-999", partial},
		"one byte more":                 {"bytes=0-499,499-999", whole},
		"the whole twice":               {"bytes=0-,0-", whole},
	} {
		if _, got := parseRange(nil, tt.field, 1000); got != tt.want {
			t.Errorf("%s: got %v, want %v", name, got, tt.want)
		}
	}
}

func FuzzRange(f *testing.F) {
	for _, s := range []string{"", "bytes=0-", "bytes=-0", "bytes=0-0,-1", "BYTES=1-2,,3-", "bytes=9-1", "items=1-2", "bytes=99999999999999999999-"} {
		f.Add(s, int64(10))
		f.Add(s, int64(0))
	}
	f.Fuzz(func(t *testing.T, field string, size int64) {
		if size < 0 {
			return
		}
		spans, kind := parseRange(nil, field, size)
		if (kind == partial) != (len(spans) > 0) || len(spans) > maxSpans {
			t.Fatalf("got %v with %v", kind, spans)
		}
		var total int64
		for _, s := range spans {
			if s.off < 0 || s.n <= 0 || s.off > size-s.n {
				t.Fatalf("%v is not inside %d bytes", s, size)
			}
			total += s.n
		}
		if total > size {
			t.Fatalf("%d bytes are asked of %d", total, size)
		}
	})
}

func FuzzConditions(f *testing.F) {
	for _, s := range []string{"", "*", `"e"`, `W/"e"`, `"a","e"`, `"e`, `e"`, ",,", `W/`, "Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"} {
		f.Add(s)
	}
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, s string) {
		const etag = `"e"`
		// What If-Match takes strongly, If-None-Match takes as well.
		if anyTag([]string{s}, etag, true) && !anyTag([]string{s}, etag, false) {
			t.Errorf("%q matches strongly, and not weakly", s)
		}
		if anyTag([]string{s}, etag, false) && strings.TrimSpace(s) != "*" && !strings.Contains(s, etag) {
			t.Errorf("%q matches without the tag in it", s)
		}
		if inRange(http.Header{"If-Range": {s}}, etag, now, now) && strings.Trim(s, " \t") != etag {
			if d, ok := parseDate(strings.Trim(s, " \t"), now); !ok || !d.Equal(now) {
				t.Errorf("If-Range: %q holds", s)
			}
		}
		if d, ok := parseDate(s, now); ok && strings.Count(s, "-") == 2 && strings.HasSuffix(s, " GMT") && d.After(now.AddDate(50, 0, 1)) {
			t.Errorf("%q is %v, more than 50 years ahead", s, d)
		}
	})
}

func TestTwoDigitYears(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	for s, want := range map[string]int{
		"Sunday, 06-Nov-94 08:49:37 GMT": 1994, "Sunday, 06-Nov-26 08:49:37 GMT": 2026, "Sunday, 06-Nov-75 08:49:37 GMT": 2075, "Sunday, 06-Nov-77 08:49:37 GMT": 1977,
	} {
		if got, ok := parseDate(s, now); !ok || got.Year() != want {
			t.Errorf("%s: got %v, want %d", s, got, want)
		}
	}
}

// checkDisposition holds a header to RFC 6266: it parses, has nothing that ends it early, and gives the name back.
func checkDisposition(t interface{ Errorf(string, ...any) }, kind, name string) {
	got := disposition(kind, name)
	for _, c := range []byte(got) {
		if c < ' ' || c > '~' {
			t.Errorf("%q has the byte %#x", got, c)
		}
	}
	if len(got) > 5*maxName {
		t.Errorf("%d bytes of header", len(got))
	}
	parsed, params, err := mime.ParseMediaType(got)
	clean := cleanName(name)
	if err != nil || parsed != kind || params["filename"] == "" && clean != "" {
		t.Errorf("%q gives %q %v, %v", got, parsed, params, err)
	}
	if strings.ContainsAny(clean, `/\`) || !utf8.ValidString(clean) || len(clean) > maxName {
		t.Errorf("the name is %q", clean)
	}
	if params["filename"] != clean { // ParseMediaType gives the decoded filename* where there is one
		t.Errorf("%q reads back as %q, want %q", got, params["filename"], clean)
	}
}

func FuzzDisposition(f *testing.F) {
	for _, s := range []string{"", "a.mp4", `a"b.mp4`, "a\r\nSet-Cookie: x.mp4", "../../etc/passwd", `C:\x\y.mp4`, strings.Repeat("ü", 400), "100%41.txt", "\x00\x7f\u0085", "\u202egpj.exe", "\xff\xfe", ".."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		checkDisposition(t, "inline", name)
		checkDisposition(t, "attachment", name)
	})
}

func TestDisposition(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"lecture.mp4":          `inline; filename="lecture.mp4"`,
		"":                     `inline`,
		`say "hi".mp4`:         `inline; filename="say \"hi\".mp4"; filename*=UTF-8''say%20%22hi%22.mp4`,
		"Übung.mp4":            `inline; filename="_bung.mp4"; filename*=UTF-8''%C3%9Cbung.mp4`,
		"a\r\nX: y.mp4":        `inline; filename="aX: y.mp4"`,
		"../../etc/passwd":     `inline; filename="passwd"`,
		`C:\temp\x.mp4`:        `inline; filename="x.mp4"`,
		"100%41.txt":           `inline; filename="100_41.txt"; filename*=UTF-8''100%2541.txt`,
		"..":                   `inline`,
		"photo\u202egpj.exe":   `inline; filename="photogpj.exe"`,
		"a; filename=b.mp4":    `inline; filename="a; filename=b.mp4"`,
		strings.Repeat("/", 9): `inline`,
	} {
		if got := disposition("inline", name); got != want {
			t.Errorf("%q: got %s, want %s", name, got, want)
		}
	}
	long := strings.Repeat("ü", 400) + ".mp4"
	if _, params, err := mime.ParseMediaType(disposition("attachment", long)); err != nil || params["filename"] != long {
		t.Errorf("400 ü: got %q, %v", params["filename"], err)
	}
	if got := cleanName(strings.Repeat("ü", 4000) + ".mp4"); len(got) > maxName || !strings.HasSuffix(got, "ü.mp4") {
		t.Errorf("4000 ü: got %d bytes, want the extension kept", len(got))
	}
	rapid.Check(t, func(t *rapid.T) { checkDisposition(t, "inline", rapid.String().Draw(t, "name")) })
}

func TestFacesAreSharedUntilTheRowChanges(t *testing.T) {
	t.Parallel()
	f := new(faces)
	a := assetForTest()
	first := f.of(&a)
	a.AccessCount, a.Version = 99, 5
	if f.of(&a) != first {
		t.Error("a counted access made the headers anew")
	}
	a.Filename = "other.mp4"
	if second := f.of(&a); second == first || !strings.Contains(second.inline[0], "other.mp4") {
		t.Error("a new name kept the old headers")
	}
	b := a
	b.ID[0]++ // the same slot
	if f.of(&b).etag[0] == f.of(&a).etag[0] {
		t.Error("two assets share a face")
	}
	if !slices.Equal(f.of(&a).etag, first.etag) {
		t.Error("the ETag moved with the name")
	}
	for name, change := range map[string]func(*media.Asset){
		"other bytes": func(a *media.Asset) { a.ContentID[0]++ }, "another key": func(a *media.Asset) { a.Key += "x" },
		"another backend": func(a *media.Asset) { a.Backend += "x" },
	} {
		was, c := f.of(&a), a
		change(&c)
		if got := f.of(&c); got == was || slices.Equal(got.etag, was.etag) != (c.ContentID == a.ContentID) {
			t.Errorf("%s: the old face, or its tag", name)
		}
	}
}
