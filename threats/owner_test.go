package threats_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// climbs are ids that try to be paths, or to break what reads them.
func climbs() []string {
	return []string{
		"..", ".", "../..", "../../../../etc/passwd", "..%2f..%2f..%2fetc%2fpasswd", "%2e%2e", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "..%5c..%5cetc",
		`..\..\etc`, "..;/..;/etc", "%252e%252e%252f", "%c0%ae%c0%ae%c0%af", "/etc/passwd", "//etc/passwd", "file:///etc/passwd", "%00", "a%00.mp4",
		missing + "%00", missing + ".info", missing + "/../" + missing, "%0d%0aSet-Cookie:%20a=b", "keys/jwt-secret", "catalogue.db", "~root", "-rf", "*",
		strings.Repeat("a", 5000), strings.Repeat("../", 300), "%ff%fe", "\xff\xfe", "%zz", "$(id)", "{}", "%7b%22$ne%22:1%7d",
	}
}

func traversalByPath(t *testing.T, a *arena) {
	f := a.put(t, a.ada, "the bytes of ada")
	ticket := strings.Split(a.link(t, a.ada, f.id, `{}`), "/")[2]
	for _, climb := range climbs() {
		for _, target := range []string{
			"/files/%s", "/files/%s/x", f.at + "/%s", "/p/" + ticket + "/%s", "/p/%s/" + f.id, "/p/" + ticket + "/" + f.id + "/%s", "/m/%s", "/m/" + f.id + "/%s",
			"/play/%s?grant=x", "/api/media/%s", "/api/media/%s/content", "/api/media/%s/links", "/api/media/%s/access", "/api/analytics/media/%s", "/%s", "/api/%s",
		} {
			target := fmt.Sprintf(target, climb)
			for _, method := range []string{"GET", "HEAD", "DELETE", "PATCH", "POST"} {
				if method != "GET" && (len(climb) > 100 || climb[0] == 'a') {
					continue
				}
				got := a.do(t, method, target, a.ada, "", tus, octets, "Upload-Offset: 0", "If-Match: *")
				switch {
				case got.status >= 400:
				case strings.Contains(target, f.id) && (climb == "." || climb == "..") || strings.HasPrefix(target, "/api/media/./"):
					t.Errorf("%s %s is served as another name: %v", method, target, got)
				default:
					t.Errorf("%s %.200s = %d, want 4xx", method, target, got.status)
				}
			}
		}
	}
	if got := a.do(t, "GET", "/api/media/"+f.id+"/content", a.ada, ""); got.body != "the bytes of ada" {
		t.Errorf("after the attacks: %v", got)
	}
}

func traversalByUpload(t *testing.T, a *arena) {
	for _, climb := range climbs() {
		if strings.ContainsAny(climb, " ") {
			continue
		}
		for _, concat := range []string{"final;/files/" + climb, "final;" + climb, "final;http://127.0.0.1/files/" + climb, "partial;" + climb} {
			if _, got := a.begin(t, a.ada, "Upload-Concat: "+concat); got.status < 400 {
				t.Errorf("Upload-Concat: %.100s = %d, want 4xx", concat, got.status)
			}
		}
		if _, got := a.begin(t, a.ada, "Upload-Length: 1", meta("storage", climb)); got.status < 400 {
			t.Errorf("storage %.100q = %d, want 4xx", climb, got.status)
		}
		got := a.do(t, "POST", "/files/", a.ada, "evil bytes", tus, octets, "Upload-Length: 10", meta("filename", "evilmark"+climb))
		if got.status != 201 && (got.status < 400 || got.status > 499) {
			t.Errorf("filename %.100q: %v", climb, got)
		}
	}
	err := filepath.WalkDir(filepath.Dir(a.s.DataDir), func(path string, _ fs.DirEntry, err error) error {
		if strings.Contains(filepath.Base(path), "evilmark") {
			t.Errorf("a client's file name chose the place %s", path)
		}
		if os.IsNotExist(err) { // others are at work beside us
			return nil
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// placeOf finds the one file of the data directory that holds data.
func placeOf(t *testing.T, dir, data string) string {
	t.Helper()
	var found string
	_ = filepath.WalkDir(filepath.Join(dir, "files"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if text, err := os.ReadFile(path); err == nil && string(text) == data {
				found = path
			}
		}
		return nil
	})
	if found == "" {
		t.Fatal("the bytes are nowhere in the data directory")
	}
	return found
}

func symlinks(t *testing.T, a *arena) {
	outside := filepath.Join(t.TempDir(), "outside")
	secret := "a secret outside of the data directory"
	if err := os.WriteFile(outside, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	plant := func(at string) {
		if err := os.Remove(at); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(outside, at); err != nil {
			t.Fatal(err)
		}
	}
	data := strings.Repeat("x", len(secret)-3) + "sym"
	f := a.put(t, a.ada, data)
	url := a.link(t, a.ada, f.id, `{}`)
	plant(placeOf(t, a.s.DataDir, data))
	for _, target := range []string{"/api/media/" + f.id + "/content", url} {
		got := a.rough(t, "GET", target, a.ada, "")
		if strings.Contains(got.body, "secret") || got.status < 400 || got.leaks(a.s.DataDir) != "" {
			t.Errorf("a planted link is followed by GET: %v", got)
		}
	}

	// A part that is being written must not be written elsewhere.
	open, _ := a.begin(t, a.ada, "Upload-Length: 1000")
	if got := a.patch(t, open.at, 0, "the part of symlinks"); got.status != 204 {
		t.Fatal(got)
	}
	if a.s.Pid() == 0 {
		t.Fatal("the gateway is gone")
	}
	part := placeOf(t, a.s.DataDir, "the part of symlinks")
	plant(part)
	got := a.rough(t, "PATCH", open.at, "", strings.Repeat("z", 980), tus, octets, "Upload-Offset: 20")
	if got.leaks(a.s.DataDir) != "" {
		t.Errorf("PATCH over a planted link: %v", got)
	}
	got = a.rough(t, "DELETE", "/api/media/"+f.id, a.ada, "", "If-Match: *")
	if got.status >= 400 {
		t.Errorf("media whose file was replaced cannot be deleted: %v", got)
	}
	if now, err := os.ReadFile(outside); err != nil || string(now) != secret {
		t.Errorf("the file outside is %q, %v", now, err)
	}
}

func foreignUploads(t *testing.T, a *arena) {
	open, _ := a.begin(t, a.ada, "Upload-Length: 10")
	if got := a.patch(t, open.at, 0, "01234"); got.status != 204 {
		t.Fatal(got)
	}
	done := a.put(t, a.ada, "the whole of it")
	part := a.do(t, "POST", "/files/", a.ada, "a part", tus, octets, "Upload-Length: 6", "Upload-Concat: partial")
	if part.status != 201 {
		t.Fatal(part)
	}
	at := part.header.Get("Location")
	none := "/files/" + strings.Repeat("A", len(open.at)-len("/files/"))
	flipped := open.at[:len(open.at)-1] + string(open.at[len(open.at)-1]^1)
	for _, who := range []struct{ name, token string }{{"another instructor", a.bob}, {"a student", a.sam}} {
		for _, v := range []struct {
			name, method string
			headers      []string
		}{
			{"HEAD", "HEAD", nil},
			{"GET", "GET", nil},
			{"PATCH", "PATCH", []string{octets, "Upload-Offset: 5"}},
			{"DELETE", "DELETE", nil},
			{"POST as HEAD", "POST", []string{"X-HTTP-Method-Override: HEAD"}},
			{"POST as PATCH", "POST", []string{"X-HTTP-Method-Override: PATCH", octets, "Upload-Offset: 5"}},
			{"POST as DELETE", "POST", []string{"X-HTTP-Method-Override: DELETE"}},
			{"GET as DELETE", "GET", []string{"X-HTTP-Method-Override: DELETE"}},
			{"HEAD as DELETE", "HEAD", []string{"X-HTTP-Method-Override: DELETE"}},
			{"PATCH as DELETE", "PATCH", []string{"X-HTTP-Method-Override: DELETE", octets, "Upload-Offset: 5"}},
			{"OPTIONS as DELETE", "OPTIONS", []string{"X-HTTP-Method-Override: DELETE"}},
		} {
			headers := append([]string{tus}, v.headers...)
			want := a.do(t, v.method, none, who.token, "", headers...)
			for _, target := range []string{open.at, done.at, at, flipped} {
				got := a.do(t, v.method, target, who.token, "", headers...)
				if got.status != 404 || got.same() != want.same() {
					t.Errorf("%s by %s = %v, want 404, as for no upload at all: %v", v.name, who.name, got, want)
				}
			}
		}
		for _, concat := range []string{"final;" + at, "final;http://" + a.s.Addr + at, "final;" + at + " " + at} {
			got := a.do(t, "POST", "/files/", who.token, "", tus, "Upload-Concat: "+concat)
			if got.status != 404 && got.status != 403 || who.name != "a student" && got.status != 404 {
				t.Errorf("concat of another's part by %s: %v", who.name, got)
			}
		}
	}
	for _, odd := range []string{"delete", "DELETE ", "TRACE", "PUT", "CONNECT", "DELETE\tx"} {
		if got := a.do(t, "POST", open.at, "", "", tus, "X-HTTP-Method-Override: "+odd); got.status < 400 {
			if odd != "DELETE " { // white space around a value is none of it
				t.Errorf("override %q = %v", odd, got)
			}
		}
	}
	if off := a.offset(t, done.at); off != len("the whole of it") {
		t.Errorf("the finished upload is at %d", off)
	}
	second, _ := a.begin(t, a.ada, "Upload-Length: 10")
	if got := a.do(t, "DELETE", second.at, a.bob, "", tus, "X-HTTP-Method-Override: HEAD"); got.status != 404 {
		t.Errorf("DELETE as HEAD by another: %v", got)
	}
	if off := a.offset(t, second.at); off != 0 {
		t.Errorf("after the attacks the upload is at %d", off)
	}
}

func foreignMedia(t *testing.T, a *arena) {
	f := a.put(t, a.ada, "private bytes of ada", "title", "private title")
	part := a.do(t, "POST", "/files/", a.ada, "a part", tus, octets, "Upload-Length: 6", "Upload-Concat: partial").header.Get("Sluice-Media-Id")
	unfinished, _ := a.begin(t, a.ada, "Upload-Length: 10", meta("isPublic", "true"))
	for _, who := range []struct {
		name, token string
		changes     int // what an attempt to change is answered
	}{{"another instructor", a.bob, 404}, {"a student", a.sam, 404}, {"nobody", "", 401}} {
		for _, v := range []struct {
			method, route, body string
			changes             bool
			headers             []string
		}{
			{"GET", "/api/media/%s", "", false, nil},
			{"HEAD", "/api/media/%s", "", false, nil},
			{"GET", "/api/media/%s/content", "", false, nil},
			{"HEAD", "/api/media/%s/content", "", false, []string{"Range: bytes=0-1"}},
			{"GET", "/api/media/%s/content", "", false, []string{`If-None-Match: *`}},
			{"GET", "/m/%s", "", false, nil},
			{"GET", "/m/%s/original.mp4", "", false, []string{"Range: bytes=0-1"}},
			{"HEAD", "/m/%s", "", false, nil},
			{"POST", "/api/media/%s/links", `{"use":"download"}`, true, nil},
			{"GET", "/api/analytics/media/%s", "", false, nil},
			{"PATCH", "/api/media/%s", `{"title":"mine"}`, true, []string{"If-Match: *"}},
			{"PATCH", "/api/media/%s", `{"title":"mine"}`, true, []string{`If-Match: "v1"`}},
			{"PATCH", "/api/media/%s", `{"isPublic":true}`, true, []string{`If-Match: *`, "X-HTTP-Method-Override: GET"}},
			{"DELETE", "/api/media/%s", "", true, []string{"If-Match: *"}},
			{"DELETE", "/api/media/%s/links", "", true, nil},
			{"POST", "/api/media/%s/access", "", true, nil},
			{"POST", "/api/media/%s/access", "", true, []string{"X-HTTP-Method-Override: DELETE"}},
		} {
			for _, id := range []string{f.id, part, unfinished.id} {
				headers := append([]string{"Content-Type: application/json"}, v.headers...)
				got := a.do(t, v.method, fmt.Sprintf(v.route, id), who.token, v.body, headers...)
				none := a.do(t, v.method, fmt.Sprintf(v.route, missing), who.token, v.body, headers...)
				want := 404
				if v.changes {
					want = who.changes
				}
				if id == unfinished.id && strings.HasPrefix(v.route, "/m/") || id == unfinished.id && strings.HasSuffix(v.route, "/links") && v.method == "POST" {
					continue // isPublic was asked for: that it is not ready yet is no secret
				}
				if got.status != want || got.same() != none.same() {
					t.Errorf("%s %s by %s = %v, want %d, as for no media at all: %v", v.method, v.route, who.name, got, want, none)
				}
			}
		}
		got := a.json(t, "POST", "/api/links", who.token, `{"items":[{"id":"`+f.id+`"},{"id":"`+missing+`"}]}`)
		if strings.Contains(got.body, "/p/") {
			t.Errorf("a batch gives %s a link to another's media: %v", who.name, got)
		}
	}
	var m struct {
		Title    string
		IsPublic bool
	}
	got := a.do(t, "GET", "/api/media/"+f.id, a.ada, "")
	if err := json.Unmarshal([]byte(got.body), &m); err != nil || m.Title != "private title" || m.IsPublic {
		t.Errorf("after the attacks: %v", got)
	}
}

func foreignLists(t *testing.T, a *arena) {
	f := a.put(t, a.ada, "not for the lists of others")
	open, _ := a.begin(t, a.ada, "Upload-Length: 10")
	for _, who := range []struct{ name, token string }{{"another instructor", a.bob}, {"a student", a.sam}, {"nobody", ""}} {
		for _, q := range []string{
			"/api/media?limit=200", "/api/media?state=uploading&limit=200", "/api/media?state=stored,ready&limit=200", "/api/media?storageType=local&sort=-size&limit=200",
			"/api/uploads?state=open", "/api/uploads", "/api/media?owner=ada", "/api/media?uploadedBy=ada",
		} {
			got := a.do(t, "GET", q, who.token, "")
			for _, s := range []string{f.id, open.id, f.at, open.at} {
				if strings.Contains(got.body, s) {
					t.Errorf("%s shows %s what is ada's", q, who.name)
				}
			}
		}
	}
	got := a.do(t, "GET", "/api/media?limit=200", a.ada, "")
	if !strings.Contains(got.body, f.id) {
		t.Errorf("her own list does not show it: %v", got)
	}
}

func (a *arena) grant(t *testing.T, body string) string {
	t.Helper()
	got := a.json(t, "POST", "/api/uploads", a.ada, body)
	var g struct{ Grant string }
	if err := json.Unmarshal([]byte(got.body), &g); err != nil || got.status != 201 || g.Grant == "" {
		t.Fatalf("grant: %v", got)
	}
	a.keep("an upload grant", g.Grant)
	return g.Grant
}

func grantsAreNarrow(t *testing.T, a *arena) {
	f := a.put(t, a.ada, "bytes beside a grant")
	g := a.grant(t, `{"maxSize":8,"types":["text/*"],"mongoCourseId":"507f1f77bcf86cd799439011","kind":"course-resource"}`)
	for _, v := range []struct {
		name, method, target, body string
		headers                    []string
	}{
		{"reading media", "GET", "/api/media/" + f.id, "", nil},
		{"content", "GET", "/api/media/" + f.id + "/content", "", nil},
		{"minting another grant", "POST", "/api/uploads", `{}`, nil},
		{"who am I", "GET", "/api/me", "", nil},
		{"metrics", "GET", "/metrics", "", nil},
		{"a larger file", "POST", "/files/", "", []string{tus, "Upload-Length: 9", meta("filetype", "text/plain")}},
		{"no length", "POST", "/files/", "", []string{tus, "Upload-Defer-Length: 1", meta("filetype", "text/plain")}},
		{"another type", "POST", "/files/", "", []string{tus, "Upload-Length: 5", meta("filetype", "video/mp4")}},
		{"no type", "POST", "/files/", "", []string{tus, "Upload-Length: 5"}},
		{"another course", "POST", "/files/", "", []string{tus, "Upload-Length: 5", meta("filetype", "text/plain", "mongoCourseId", "507f1f77bcf86cd799439012")}},
		{"a part", "POST", "/files/", "", []string{tus, "Upload-Length: 5", "Upload-Concat: partial", meta("filetype", "text/plain")}},
	} {
		if got := a.do(t, v.method, v.target, g, v.body, v.headers...); got.status < 400 {
			t.Errorf("%s by an upload grant = %v, want 4xx", v.name, got)
		}
	}
	bent := []byte(g)
	for i := range bent {
		forged := bytes.Clone(bent)
		forged[i] ^= 1
		if got := a.do(t, "POST", "/files/", string(forged), "", tus, "Upload-Length: 5", meta("filetype", "text/plain")); got.status != 401 && got.status != 400 {
			t.Fatalf("a grant with byte %d bent: %v", i, got)
		}
	}
	if got := a.json(t, "POST", "/api/uploads", a.sam, `{}`); got.status != 403 {
		t.Errorf("a student mints a grant: %v", got)
	}
}

func grantsAreUsedOnce(t *testing.T, a *arena) {
	g := a.grant(t, `{"maxSize":100}`)
	var made sync.Map // by URL: a creation may be repeated, and answers the same
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			headers := []string{tus, "Upload-Length: 5"}
			body := ""
			if i%2 == 0 {
				headers, body = append(headers, octets), "12345"
			}
			switch got := a.do(t, "POST", "/files/", g, body, headers...); {
			case got.status == 201:
				made.Store(got.header.Get("Location"), true)
			case got.status < 400:
				t.Errorf("%v", got)
			}
		})
	}
	all.Wait()
	n := 0
	made.Range(func(any, any) bool { n++; return true })
	if n != 1 {
		t.Errorf("one grant made %d uploads, want 1", n)
	}
	if got := a.do(t, "POST", "/files/", g, "12345", tus, octets, "Upload-Length: 5"); got.status < 400 {
		t.Errorf("a grant is used again: %v", got)
	}
}
