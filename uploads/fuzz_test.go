package uploads_test

import (
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"sluice/media"
	"sluice/uploads"
)

func wantInvalid(t *testing.T, err error) {
	t.Helper()
	if err != nil && media.KindOf(err) != media.Invalid {
		t.Errorf("got %v, want an invalid one", err)
	}
}

func FuzzMetadata(f *testing.F) {
	for _, seed := range []string{"", "a YQ==", "a YQ==,b", "a  YQ==", ",", "a YQ", "a YQ==,a YQ==", " a YQ== , b ", "ü YQ==", "a /wD+"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		keys, values, err := uploads.ParseMetadata(header)
		wantInvalid(t, err)
		if err != nil {
			return
		}
		if len(keys) != len(values) {
			t.Fatalf("%d keys, %d values", len(keys), len(values))
		}
		var again []string
		for _, k := range keys {
			if k == "" || strings.ContainsAny(k, " ,") {
				t.Errorf("bad key %q", k)
			}
			again = append(again, k+" "+base64.StdEncoding.EncodeToString([]byte(values[k])))
		}
		_, same, err := uploads.ParseMetadata(strings.Join(again, ","))
		if len(header) < 8<<10 && (err != nil || len(same) != len(values)) {
			t.Errorf("what was read cannot be read again: %v", err)
		}
	})
}

func FuzzConcat(f *testing.F) {
	for _, seed := range []string{
		"", "partial", "final;", "final;/files/a", "final;/files/a /files/b", "final;http://x/files/a", "final;file:///files/a", "final;/files/../a",
		"final;/files/%00", "final;/files/a/b",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, v string) {
		partial, final, parts, err := uploads.ParseConcat(v)
		wantInvalid(t, err)
		if err == nil && (partial == final || final != (len(parts) > 0)) {
			t.Errorf("got partial %t, final %t, %d parts", partial, final, len(parts))
		}
		for _, p := range parts {
			if err == nil && (p == "" || strings.ContainsAny(p, "/%\\\x00 ") || p == "..") {
				t.Errorf("bad part %q", p)
			}
		}
	})
}

func FuzzNumbers(f *testing.F) {
	for _, seed := range []string{"", "0", "5", "-1", "+1", " 1", "1.0", "0x1", "١", "9223372036854775807", "9223372036854775808", "1, 1"} {
		f.Add(seed, "1")
	}
	f.Fuzz(func(t *testing.T, v, deferred string) {
		n, err := uploads.Number(v)
		wantInvalid(t, err)
		if err == nil {
			if want, perr := strconv.ParseInt(v, 10, 64); perr != nil || n != want || n < 0 || strings.ContainsAny(v, "+-_ ") {
				t.Errorf("%q was read as %d", v, n)
			}
		}
		n, err = uploads.Length(http.Header{"Upload-Defer-Length": {deferred}})
		wantInvalid(t, err)
		if (err == nil) != (deferred == "1") || err == nil && n != media.UnknownLength {
			t.Errorf("Upload-Defer-Length %q: got %d %v", deferred, n, err)
		}
	})
}
