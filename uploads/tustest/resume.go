package tustest

import "net/http"

func patches() []scenario {
	typed := func(v string, status ...int) exchange {
		x := patch("0", "hello", status...)
		x.header = hs{"Upload-Offset": "0", "Content-Type": v}
		return x
	}
	untyped := patch("0", "hello", 415)
	untyped.drop = []string{"Content-Type"}
	twice := patch("0", "hello", 400)
	twice.lines = map[string][]string{"Upload-Offset": {"0", "0"}}
	none := patch("0", "hello", 400)
	none.drop = []string{"Upload-Offset"}
	unversioned := patch("0", "hello", 412)
	unversioned.drop, unversioned.want = []string{"Tus-Resumable"}, hs{"Tus-Version": "1.0.0"}
	other := patch("0", "hello", 412)
	other.header, other.want = hs{"Upload-Offset": "0", "Tus-Resumable": "2.0.0"}, hs{"Tus-Version": "1.0.0"}
	first := patch("0", "hel", 204)
	first.want = hs{"Upload-Offset": "3"}
	streamed := patch("0", "hello", 204)
	streamed.stream, streamed.want = true, hs{"Upload-Offset": "5"}
	over := patch("0", "hello!", 413)
	over.stream = true
	empty := patch("0", "", 204)
	empty.want = hs{"Upload-Offset": "0"}
	bad := func(off string) []exchange {
		return []exchange{create("5"), patch(off, "hello", 400), head("0", nil)}
	}
	expires := patch("0", "he", 204)
	expires.want = hs{"Upload-Expires": "*"}
	return append(declarations(), []scenario{
		{name: "a PATCH answers 204 with the new offset", steps: []exchange{create("5"), first, head("3", nil)}},
		{name: "a PATCH says when the upload expires", steps: []exchange{create("5"), expires}},
		{name: "two PATCHes make a whole", steps: []exchange{create("5"), patch("0", "hel", 204), patch("3", "lo", 204), head("5", nil)}},
		{name: "a streamed PATCH is kept", steps: []exchange{create("5"), streamed, head("5", nil)}},
		{name: "an empty PATCH changes nothing", steps: []exchange{create("5"), empty, head("0", nil)}},
		{name: "a PATCH at another offset is 409", steps: []exchange{create("5"), patch("3", "lo", 409), head("0", nil)}},
		{name: "a PATCH behind the offset is 409", steps: []exchange{create("5"), patch("0", "hel", 204), patch("0", "hel", 409), head("3", nil)}},
		{name: "a PATCH beyond the end is 409", steps: []exchange{create("5"), patch("6", "x", 409), head("0", nil)}},
		{name: "a PATCH of another type is 415", steps: []exchange{create("5"), typed("text/plain", 415), head("0", nil)}},
		{name: "a PATCH without a type is 415", steps: []exchange{create("5"), untyped, head("0", nil)}},
		{name: "a PATCH's type compares without case", steps: []exchange{create("5"), typed("Application/Offset+Octet-Stream", 204), head("5", nil)}},
		{name: "a PATCH needs an offset", steps: []exchange{create("5"), none, head("0", nil)}},
		{name: "Upload-Offset stands once", steps: []exchange{create("5"), twice, head("0", nil)}},
		{name: "Upload-Offset is not negative", steps: bad("-1")},
		{name: "Upload-Offset is a number", steps: bad("zero")},
		{name: "Upload-Offset has no sign", steps: bad("+0")},
		{name: "Upload-Offset is not empty", steps: bad("")},
		{name: "Upload-Offset is no list", steps: bad("0, 0")},
		{name: "Upload-Offset fits 64 bits", steps: []exchange{create("5"), patch(big, "x", 400, 409), head("0", nil)}},
		{name: "a PATCH needs the protocol version", steps: []exchange{create("5"), unversioned, head("0", nil)}},
		{name: "a PATCH of another version is refused", steps: []exchange{create("5"), other, head("0", nil)}},
		{name: "a PATCH longer than the upload is 413", steps: []exchange{create("5"), patch("0", "hello!", 413), head("0", nil)}},
		{name: "a streamed PATCH longer than the upload is 413", steps: []exchange{create("5"), over}},
		{name: "a PATCH of a finished upload adds nothing", steps: []exchange{create("5"), patch("0", "hello", 204), patch("5", "x", 413, 400, 403), head("5", nil)}},
		{name: "an empty PATCH of a finished upload is 204", steps: []exchange{create("5"), patch("0", "hello", 204), patch("5", "", 204), head("5", nil)}},
		{name: "a PATCH of nothing is 404", steps: []exchange{{
			method: http.MethodPatch, to: "00000000", header: hs{"Upload-Offset": "0"}, body: "x", status: []int{404, 410},
		}}},
	}...)
}

func declarations() []scenario {
	deferred := exchange{method: http.MethodPost, header: hs{"Upload-Defer-Length": "1"}, status: []int{201}, save: "a"}
	declare := func(off, length, body string, status ...int) exchange {
		x := patch(off, body, status...)
		x.header = hs{"Upload-Offset": off, "Upload-Length": length}
		return x
	}
	return []scenario{
		{name: "a deferred length is declared with bytes", steps: []exchange{deferred, patch("0", "he", 204), declare("2", "5", "llo", 204), head("5", hs{"Upload-Length": "5", "Upload-Defer-Length": ""})}},
		{name: "a deferred length is declared without bytes", steps: []exchange{deferred, patch("0", "hello", 204), declare("5", "5", "", 204), head("5", hs{"Upload-Length": "5"})}},
		{name: "a declared length stays", steps: []exchange{deferred, declare("0", "5", "he", 204), declare("2", "6", "llo", 400, 409), head("2", hs{"Upload-Length": "5"})}},
		{name: "the same length may be declared again", steps: []exchange{deferred, declare("0", "5", "he", 204), declare("2", "5", "llo", 204), head("5", nil)}},
		{name: "a declared length is a number", steps: []exchange{deferred, declare("0", "five", "he", 400), head("0", hs{"Upload-Defer-Length": "1"})}},
		{name: "a declared length is not less than the offset", steps: []exchange{deferred, patch("0", "hello", 204), declare("5", "3", "", 400), head("5", hs{"Upload-Defer-Length": "1"})}},
		{name: "a declared length bounds its own request", steps: []exchange{deferred, declare("0", "3", "hello", 413)}},
	}
}

func statuses() []scenario {
	override := func(method string, h hs, status ...int) exchange {
		x := exchange{method: http.MethodPost, to: "#a", header: hs{"X-HTTP-Method-Override": method}, status: status}
		for k, v := range h {
			x.header[k] = v
		}
		return x
	}
	asHead := override(http.MethodHead, nil, 200, 204)
	asHead.want, asHead.empty = hs{"Upload-Offset": "0", "Upload-Length": "5"}, true
	asPatch := override(http.MethodPatch, hs{"Upload-Offset": "0", "Content-Type": chunk}, 204)
	asPatch.body, asPatch.want = "hello", hs{"Upload-Offset": "5"}
	unversioned := exchange{
		method: http.MethodHead, to: "#a", drop: []string{"Tus-Resumable"}, status: []int{412}, want: hs{"Tus-Version": "1.0.0"}, empty: true,
	}
	missing := func(to string) []exchange {
		return []exchange{{method: http.MethodHead, to: to, status: []int{400, 404, 410}, want: hs{"Upload-Offset": ""}, empty: true}}
	}
	deleted := exchange{method: http.MethodDelete, to: "#a", status: []int{204}}
	gone := []int{404, 410}
	return []scenario{
		{name: "HEAD needs the protocol version", steps: []exchange{create("5"), unversioned}},
		{name: "HEAD may be said by POST", steps: []exchange{create("5"), asHead}},
		{name: "PATCH may be said by POST", steps: []exchange{create("5"), asPatch, head("5", nil)}},
		{name: "DELETE may be said by POST", steps: []exchange{create("5"), override(http.MethodDelete, nil, 204), {method: http.MethodHead, to: "#a", status: gone}}},
		{name: "an unknown override is refused", steps: []exchange{create("5"), override("BREW", nil, 400, 405, 501), head("0", nil)}},
		{name: "HEAD of nothing shows no offset", steps: missing("00000000")},
		{name: "HEAD of a NUL is no failure", steps: missing("%00")},
		{name: "HEAD of a traversal is no failure", steps: missing("..%2f..%2fetc%2fpasswd")},
		{name: "HEAD of a long id is no failure", steps: missing(longID())},
		{name: "HEAD says when the upload expires", steps: []exchange{create("5"), head("0", hs{"Upload-Expires": "*"})}},
		{name: "DELETE ends an upload", steps: []exchange{create("5"), deleted, {method: http.MethodHead, to: "#a", status: gone}, patch("0", "hello", gone...), {method: http.MethodDelete, to: "#a", status: gone}}},
		{name: "DELETE ends a finished upload", steps: []exchange{create("5"), patch("0", "hello", 204), deleted, {method: http.MethodHead, to: "#a", status: gone}}},
		{name: "DELETE needs the protocol version", steps: []exchange{create("5"), {
			method: http.MethodDelete, to: "#a", drop: []string{"Tus-Resumable"}, status: []int{412},
		}, head("0", nil)}},
		{name: "OPTIONS lists exactly what is supported", steps: []exchange{{
			method: http.MethodOptions, drop: []string{"Tus-Resumable"}, status: []int{200, 204}, want: hs{
				"Tus-Version":   "1.0.0",
				"Tus-Extension": "creation,creation-with-upload,creation-defer-length,termination,concatenation,expiration",
			},
		}}},
		{name: "OPTIONS takes any version", steps: []exchange{{method: http.MethodOptions, header: hs{"Tus-Resumable": "9.9.9"}, status: []int{200, 204}}}},
		{name: "other methods are refused", steps: []exchange{{method: http.MethodPut, status: []int{405}, want: hs{"Allow": "*"}}}},
		{name: "a forged Host does not reach Location", steps: []exchange{{
			method: http.MethodPost, header: hs{"Upload-Length": "5", "X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example"}, status: []int{201}, save: "a",
		}, head("0", nil)}},
		{name: "GET of an unfinished upload is 409", steps: []exchange{create("5"), {method: http.MethodGet, to: "#a", drop: []string{"Tus-Resumable"}, status: []int{409}}}},
	}
}

func longID() string {
	b := make([]byte, 2000)
	for i := range b {
		b[i] = 'a'
	}
	return string(b)
}

func concats() []scenario {
	part := func(name, body string) exchange {
		return exchange{
			method: http.MethodPost, header: hs{"Upload-Length": "3", "Upload-Concat": "partial", "Content-Type": chunk}, body: body, status: []int{201}, save: name,
		}
	}
	final := func(list string, status ...int) exchange {
		return exchange{method: http.MethodPost, header: hs{"Upload-Concat": "final;" + list}, status: status, save: "a"}
	}
	plain := exchange{method: http.MethodPost, header: hs{"Upload-Length": "3", "Content-Type": chunk}, body: "abc", status: []int{201}, save: "y"}
	open := exchange{method: http.MethodPost, header: hs{"Upload-Length": "3", "Upload-Concat": "partial"}, status: []int{201}, save: "x"}
	asPart := exchange{method: http.MethodHead, to: "#x", status: []int{200, 204}, want: hs{"Upload-Concat": "partial", "Upload-Offset": "3"}}
	lapses := part("x", "abc")
	lapses.want = hs{"Upload-Expires": "*"}
	lapsesBy := patch("0", "abc", 204)
	lapsesBy.to, lapsesBy.want = "#x", hs{"Upload-Expires": "*"}
	value := func(v string) []exchange { return []exchange{post(hs{"Upload-Length": "3", "Upload-Concat": v}, 400)} }
	withLength := final("{x}", 400)
	withLength.header = hs{"Upload-Concat": "final;{x}", "Upload-Length": "3"}
	withBytes := final("{x}", 403, 400)
	withBytes.header = hs{"Upload-Concat": "final;{x}", "Content-Type": chunk}
	withBytes.body = "xyz"
	return []scenario{
		{name: "a partial upload says so", steps: []exchange{part("x", "abc"), asPart}},
		{name: "a finished part says when it expires", steps: []exchange{lapses, {
			method: http.MethodHead, to: "#x", status: []int{200, 204}, want: hs{"Upload-Expires": "*"},
		}}},
		{name: "the last PATCH of a part says when it expires", steps: []exchange{open, lapsesBy}},
		{name: "parts are joined", steps: []exchange{part("x", "abc"), part("y", "def"), final("{x} {y}", 201), head("6", hs{"Upload-Length": "6", "Upload-Concat": "final;{x} {y}"})}},
		{name: "one part twice is joined", steps: []exchange{part("x", "abc"), final("{x} {x}", 201), head("6", nil)}},
		{name: "joining again answers the same upload", steps: []exchange{part("x", "abc"), part("y", "def"), final("{x} {y}", 201), {
			method: http.MethodPost, header: hs{"Upload-Concat": "final;{x} {y}"}, status: []int{201}, want: hs{"Location": "{a}"},
		}}},
		{name: "parts outlive the whole's deletion", steps: []exchange{part("x", "abc"), final("{x}", 201), {method: http.MethodDelete, to: "#a", status: []int{204}}, asPart}},
		{name: "the whole outlives its parts", steps: []exchange{part("x", "abc"), part("y", "def"), final("{x} {y}", 201), {method: http.MethodDelete, to: "#x", status: []int{204}}, head("6", nil)}},
		{name: "a final upload has no length of its own", steps: []exchange{part("x", "abc"), withLength}},
		{name: "a final upload takes no bytes", steps: []exchange{part("x", "abc"), withBytes}},
		{name: "a final upload is not patched", steps: []exchange{part("x", "abc"), final("{x}", 201), patch("3", "x", 403)}},
		{name: "a final upload of an unfinished part is refused", steps: []exchange{open, final("{x}", 400, 403, 409)}},
		{name: "a final upload of an ordinary one is refused", steps: []exchange{plain, final("{y}", 400, 403)}},
		{name: "a final upload of nothing is refused", steps: []exchange{final("", 400)}},
		{name: "a final upload of a missing part is refused", steps: []exchange{final("/files/00000000", 400, 404)}},
		{name: "a final upload of a traversal is refused", steps: []exchange{final("/files/..%2f..%2fetc%2fpasswd", 400, 404)}},
		{name: "a final upload of a stranger's URL is refused", steps: []exchange{final("http://evil.example/other/x", 400, 404)}},
		{name: "Upload-Concat is partial or final", steps: value("middle")},
		{name: "Upload-Concat is not empty", steps: value("")},
		{name: "Upload-Concat is final with a list", steps: value("final")},
		{name: "Upload-Concat has no list for partial", steps: value("partial;x")},
	}
}
