package tustest

import (
	"net/http"
	"strconv"
	"strings"
)

const (
	chunk = "application/offset+octet-stream"
	big   = "99999999999999999999999"
)

type hs = map[string]string

func post(h hs, status ...int) exchange {
	return exchange{method: http.MethodPost, header: h, status: status}
}

// create makes an upload of a length and saves its URL as a.
func create(length string) exchange {
	return exchange{method: http.MethodPost, header: hs{"Upload-Length": length}, status: []int{201}, save: "a"}
}

func patch(off, body string, status ...int) exchange {
	return exchange{method: http.MethodPatch, to: "#a", header: hs{"Upload-Offset": off}, body: body, status: status}
}

func head(off string, want hs) exchange {
	w := hs{"Upload-Offset": off, "Cache-Control": "no-store"}
	for k, v := range want {
		w[k] = v
	}
	return exchange{method: http.MethodHead, to: "#a", status: []int{200, 204}, want: w, empty: true}
}

func creations() []scenario {
	lines := func(name string, values ...string) exchange {
		x := post(hs{"Upload-Length": "5"}, 400)
		x.lines = map[string][]string{name: values}
		return x
	}
	with := func(body, length string, status int) exchange {
		x := post(hs{"Upload-Length": length, "Content-Type": chunk}, status)
		x.body = body
		return x
	}
	whole := with("hello", "5", 201)
	whole.want, whole.save = hs{"Upload-Offset": "5", "Location": "*"}, "a"
	half := with("hel", "5", 201)
	half.want, half.save = hs{"Upload-Offset": "3", "Location": "*"}, "a"
	streamed := with("hello", "5", 201)
	streamed.stream, streamed.want, streamed.save = true, hs{"Upload-Offset": "5"}, "a"
	over := with("hello!", "5", 413)
	over.stream = true
	deferred := exchange{
		method: http.MethodPost, header: hs{"Upload-Defer-Length": "1"}, status: []int{201}, save: "a", want: hs{"Location": "*"},
	}
	return []scenario{
		{name: "a creation answers 201 with Location", steps: []exchange{{
			method: http.MethodPost, header: hs{"Upload-Length": "5"}, status: []int{201}, save: "a", want: hs{"Location": "*"},
		}, head("0", hs{"Upload-Length": "5"})}},
		{name: "an empty upload is finished at once", steps: []exchange{create("0"), head("0", hs{"Upload-Length": "0"})}},
		{name: "a creation needs a length", steps: []exchange{post(nil, 400)}},
		{name: "a creation says when it expires", steps: []exchange{{
			method: http.MethodPost, header: hs{"Upload-Length": "5"}, status: []int{201}, want: hs{"Upload-Expires": "*"},
		}}},
		{name: "Upload-Length is not negative", steps: []exchange{post(hs{"Upload-Length": "-1"}, 400)}},
		{name: "Upload-Length is a number", steps: []exchange{post(hs{"Upload-Length": "five"}, 400)}},
		{name: "Upload-Length has no sign", steps: []exchange{post(hs{"Upload-Length": "+5"}, 400)}},
		{name: "Upload-Length has no fraction", steps: []exchange{post(hs{"Upload-Length": "5.0"}, 400)}},
		{name: "Upload-Length is not hexadecimal", steps: []exchange{post(hs{"Upload-Length": "0x10"}, 400)}},
		{name: "Upload-Length is not empty", steps: []exchange{post(hs{"Upload-Length": ""}, 400)}},
		{name: "Upload-Length fits 64 bits", steps: []exchange{post(hs{"Upload-Length": big}, 400, 413)}},
		{name: "Upload-Length stands once", steps: []exchange{lines("Upload-Length", "5", "5")}},
		{name: "Upload-Length is no list", steps: []exchange{post(hs{"Upload-Length": "5, 5"}, 400)}},
		{name: "a length and a deferred length exclude each other", steps: []exchange{
			post(hs{"Upload-Length": "5", "Upload-Defer-Length": "1"}, 400),
		}},
		{name: "Upload-Defer-Length is 1", steps: []exchange{post(hs{"Upload-Defer-Length": "2"}, 400)}},
		{name: "Upload-Defer-Length is not true", steps: []exchange{post(hs{"Upload-Defer-Length": "true"}, 400)}},
		{name: "Upload-Defer-Length is not empty", steps: []exchange{post(hs{"Upload-Defer-Length": ""}, 400)}},
		{name: "a deferred length stays deferred", steps: []exchange{deferred, head("0", hs{"Upload-Defer-Length": "1", "Upload-Length": ""})}},
		{name: "a creation with the whole file finishes it", steps: []exchange{whole, head("5", hs{"Upload-Length": "5"})}},
		{name: "a creation with some bytes keeps them", steps: []exchange{half, head("3", hs{"Upload-Length": "5"}), patch("3", "lo", 204), head("5", nil)}},
		{name: "a creation with a streamed body keeps it", steps: []exchange{streamed, head("5", nil)}},
		{name: "a creation with more than its length is refused", steps: []exchange{with("hello!", "5", 413)}},
		{name: "a creation with a streamed body beyond its length is refused", steps: []exchange{over}},
		{name: "a creation needs the protocol version", steps: []exchange{{
			method: http.MethodPost, header: hs{"Upload-Length": "5"}, drop: []string{"Tus-Resumable"}, status: []int{412}, want: hs{"Tus-Version": "1.0.0"},
		}}},
		{name: "a creation of another version is refused", steps: []exchange{{
			method: http.MethodPost, header: hs{"Upload-Length": "5", "Tus-Resumable": "0.2.2"}, status: []int{412}, want: hs{"Tus-Version": "1.0.0"},
		}}},
	}
}

func metadatas() []scenario {
	meta := func(v string, status ...int) exchange {
		return exchange{method: http.MethodPost, header: hs{"Upload-Length": "5", "Upload-Metadata": v}, status: status, save: "a"}
	}
	same := func(v string) []exchange {
		return []exchange{meta(v, 201), head("0", hs{"Upload-Metadata": v})}
	}
	return []scenario{
		{name: "metadata comes back as sent", steps: same("filename " + b64("lecture one.mp4") + ",filetype " + b64("video/mp4"))},
		{name: "metadata keeps its order", steps: same("zebra " + b64("1") + ",apple " + b64("2") + ",mango " + b64("3"))},
		{name: "binary metadata comes back byte for byte", steps: same("raw " + b64("\xff\x00\xfe\x80"))},
		{name: "a metadata value may be absent", steps: same("is_confidential,filename " + b64("x"))},
		{name: "metadata keeps unicode", steps: same("filename " + b64(strings.Repeat("ü", 400)))},
		{name: "a metadata key stands once", steps: []exchange{meta("a "+b64("1")+",a "+b64("2"), 400)}},
		{name: "a metadata key is not empty", steps: []exchange{meta("a "+b64("1")+",,b "+b64("2"), 400)}},
		{name: "a metadata key is not only a space", steps: []exchange{meta("a "+b64("1")+", "+b64("2")+" ", 400, 201)}},
		{name: "a metadata value is base64", steps: []exchange{meta("filename not*base64", 400)}},
		{name: "a metadata value is padded", steps: []exchange{meta("filename YQ", 400)}},
		{name: "a metadata key holds no space", steps: []exchange{meta("file name "+b64("x"), 400)}},
		{name: "metadata has a bound", steps: []exchange{meta("a "+b64(strings.Repeat("x", 100<<10)), 400, 413, 431)}},
		{name: "an upload without metadata shows none", steps: []exchange{create("5"), head("0", hs{"Upload-Metadata": ""})}},
		{name: "a bad entity id is refused by name", steps: []exchange{named(meta("mongoCourseId "+b64("../../etc"), 400), "mongoCourseId")}},
		{name: "an unknown kind is refused by name", steps: []exchange{named(meta("kind "+b64("hologram"), 400), "kind")}},
		{name: "a bad flag is refused by name", steps: []exchange{named(meta("isPublic "+b64("perhaps"), 400), "isPublic")}},
		{name: "bad base64 is refused by name", steps: []exchange{named(meta("altText ###", 400), "altText")}},
		{name: "an unknown storage is refused by name", steps: []exchange{named(meta("storage "+b64("moon"), 400), "storage")}},
	}
}

func named(x exchange, key string) exchange {
	x.text, x.save = key, ""
	return x
}

func edges(limit int64) []scenario {
	over := strconv.FormatInt(limit+1, 10)
	deferred := exchange{method: http.MethodPost, header: hs{"Upload-Defer-Length": "1"}, status: []int{201}, save: "a"}
	declare := patch("0", "x", 413)
	declare.header = hs{"Upload-Offset": "0", "Upload-Length": over}
	body := strings.Repeat("x", int(limit+1))
	long := patch("0", body, 413)
	stream := long
	stream.stream = true
	create := exchange{
		method: http.MethodPost, header: hs{"Upload-Defer-Length": "1", "Content-Type": chunk}, body: body, status: []int{413},
	}
	created := create
	created.stream = true
	by := func(method string, status ...int) exchange {
		return exchange{method: method, to: "#a", stray: true, header: hs{"Upload-Offset": "0"}, status: status}
	}
	return []scenario{
		{name: "a length over the limit is refused, with the limit", needs: "max", steps: []exchange{
			named(post(hs{"Upload-Length": over}, 413), strconv.FormatInt(limit, 10)),
		}},
		{name: "a declared length over the limit is refused", needs: "max", steps: []exchange{deferred, declare, head("0", hs{"Upload-Defer-Length": "1"})}},
		{name: "a deferred body over the limit is refused", needs: "max", steps: []exchange{deferred, long}},
		{name: "a deferred streamed body over the limit is refused", needs: "max", steps: []exchange{deferred, stream}},
		{name: "a creation with a deferred body over the limit is refused", needs: "max", steps: []exchange{create}},
		{name: "a creation with a deferred streamed body over the limit is refused", needs: "max", steps: []exchange{created}},
		{name: "OPTIONS tells the limit", needs: "max", steps: []exchange{{
			method: http.MethodOptions, drop: []string{"Tus-Resumable"}, status: []int{200, 204}, want: hs{"Tus-Max-Size": strconv.FormatInt(limit, 10)},
		}}},
		{name: "another subject's HEAD sees nothing", needs: "stray", steps: []exchange{createOwn(), by(http.MethodHead, 404)}},
		{name: "another subject's PATCH sees nothing", needs: "stray", steps: []exchange{createOwn(), by(http.MethodPatch, 404), head("0", nil)}},
		{name: "another subject's DELETE sees nothing", needs: "stray", steps: []exchange{createOwn(), by(http.MethodDelete, 404), head("0", nil)}},
		{name: "another subject's GET sees nothing", needs: "stray", steps: []exchange{createOwn(), by(http.MethodGet, 404)}},
		{name: "another subject's override sees nothing", needs: "stray", steps: []exchange{createOwn(), {
			method: http.MethodPost, to: "#a", stray: true, header: hs{"X-HTTP-Method-Override": "DELETE"}, status: []int{404},
		}, head("0", nil)}},
	}
}

func createOwn() exchange { return create("5") }
