package playertest

import (
	"net/http"
	"slices"
	"strings"
)

// Cases is the list, for a file of at least 200 bytes.
func Cases() []Case {
	return slices.Concat(singleRanges(), multiRanges(), oddRanges(), emptyFile(), validators(), ifRange(), precedence(), methods())
}

func get(name, field string, want int, spans ...Span) Case {
	return Case{Name: name, Header: []string{"Range: " + field}, Want: []int{want}, Spans: spans}
}

func singleRanges() []Case {
	return []Case{
		{Name: "no range", Want: []int{200}},
		get("the first byte", "bytes=0-0", 206, Span{0, 0}),
		get("the first hundred", "bytes=0-99", 206, Span{0, 99}),
		get("the middle", "bytes=50-149", 206, Span{50, 149}),
		get("the last byte by number", "bytes={last}-{last}", 206, Span{-1, -1}),
		get("the last byte by suffix", "bytes=-1", 206, Span{-1, -1}),
		get("the last hundred by suffix", "bytes=-100", 206, Span{-100, -1}),
		get("all by an open end", "bytes=0-", 206, Span{0, -1}),
		get("all by numbers", "bytes=0-{last}", 206, Span{0, -1}),
		get("all by a suffix of the size", "bytes=-{size}", 206, Span{0, -1}),
		get("all by a suffix beyond the size", "bytes=-{size}0", 206, Span{0, -1}),
		get("the rest by an open end", "bytes=100-", 206, Span{100, -1}),
		get("an end at the size is cut", "bytes=100-{size}", 206, Span{100, -1}),
		get("an end beyond the size is cut", "bytes=100-{size}000", 206, Span{100, -1}),
		get("an end beyond 64 bits is cut", "bytes=100-99999999999999999999999", 206, Span{100, -1}),
		get("a suffix beyond 64 bits is all", "bytes=-99999999999999999999999", 206, Span{0, -1}),
		get("leading zeros", "bytes=0000-0009", 206, Span{0, 9}),
		get("many leading zeros", "bytes="+strings.Repeat("0", 40)+"7-"+strings.Repeat("0", 50)+"9", 206, Span{7, 9}),
		get("a start at the size", "bytes={size}-", 416),
		get("a start at the size with an end", "bytes={size}-{size}", 416),
		get("a start beyond the size", "bytes={size}0-{size}9", 416),
		get("a start beyond 64 bits", "bytes=99999999999999999999998-99999999999999999999999", 416),
		get("a suffix of zero", "bytes=-0", 416),
		get("a suffix of many zeros", "bytes=-000", 416),
		get("the unit in capitals", "BYTES=0-9", 206, Span{0, 9}),
		get("the unit in mixed case", "Bytes=0-9", 206, Span{0, 9}),
	}
}

func multiRanges() []Case {
	return []Case{
		get("two ranges", "bytes=0-9,20-29", 206, Span{0, 9}, Span{20, 29}),
		get("two ranges with spaces", "bytes=0-9 , 20-29", 206, Span{0, 9}, Span{20, 29}),
		get("two ranges with tabs", "bytes=0-9,\t20-29", 206, Span{0, 9}, Span{20, 29}),
		get("three ranges of three forms", "bytes=0-9,100-109,-10", 206, Span{0, 9}, Span{100, 109}, Span{-10, -1}),
		get("ranges in the order asked for", "bytes=100-109,0-9", 206, Span{100, 109}, Span{0, 9}),
		get("adjacent ranges", "bytes=0-9,10-19", 206, Span{0, 9}, Span{10, 19}),
		get("one of two unsatisfiable", "bytes=0-9,{size}-", 206, Span{0, 9}),
		get("one of two a zero suffix", "bytes=-0,0-9", 206, Span{0, 9}),
		get("both unsatisfiable", "bytes={size}-,-0", 416),
		get("an empty list element", "bytes=0-9,,20-29", 206, Span{0, 9}, Span{20, 29}),
		get("a leading comma", "bytes=,0-9", 206, Span{0, 9}),
		get("a trailing comma", "bytes=0-9,", 206, Span{0, 9}),
		get("sixteen ranges", "bytes="+list(16, 10), 206, many(16, 10)...),
		get("two ranges up to the last byte", "bytes=10-19,{last}-", 206, Span{10, 19}, Span{-1, -1}),
		{Name: "ranges of the whole, three times", Header: []string{"Range: bytes=0-,0-,0-"}, Want: []int{200, 206}, Spans: []Span{{0, -1}}},
		{Name: "two hundred overlapping ranges", Header: []string{"Range: bytes=" + strings.Repeat("0-,", 200) + "0-"}, Want: []int{200, 206, 416}, Spans: []Span{{0, -1}}},
	}
}

func list(n, step int) string {
	var b strings.Builder
	for i, s := range many(n, step) {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(digits(s.First) + "-" + digits(s.Last))
	}
	return b.String()
}

func many(n, step int) []Span {
	spans := make([]Span, n)
	for i := range spans {
		spans[i] = Span{int64(i * step), int64(i*step + 4)}
	}
	return spans
}

func digits(n int64) string {
	if n >= 10 {
		return digits(n/10) + digits(n%10)
	}
	return string(rune('0' + n))
}

// oddRanges are to be ignored, or may be: RFC 9110 section 14.2.
func oddRanges() []Case {
	cases := []Case{
		{Name: "two Range lines", Header: []string{"Range: bytes=0-9", "Range: bytes=20-29"}, Want: []int{200, 400}},
		get("an unknown unit", "items=0-9", 200),
		get("an unknown unit that begins like bytes", "bytesx=0-9", 200),
		get("a unit of another kind", "seconds=1-2", 200),
	}
	for _, odd := range []struct{ name, field string }{
		{"an end before the start", "bytes=9-0"},
		{"an end before the start, beyond 64 bits", "bytes=99999999999999999999999-99999999999999999999998"},
		{"no digits", "bytes=-"},
		{"no range", "bytes="},
		{"commas alone", "bytes=,,"},
		{"no unit", "0-9"},
		{"no equals sign", "bytes 0-9"},
		{"a word", "bytes=abc"},
		{"letters for digits", "bytes=a-b"},
		{"hexadecimal", "bytes=0x0-0x9"},
		{"a sign", "bytes=+0-9"},
		{"a negative start", "bytes=--5"},
		{"a fraction", "bytes=0.5-9"},
		{"three numbers", "bytes=0-9-19"},
		{"a space in a number", "bytes=1 0-19"},
		{"a space before the dash", "bytes=0 -9"},
		{"a space after the dash", "bytes=0- 9"},
		{"a semicolon", "bytes=0-9;20-29"},
		{"one bad range of two", "bytes=0-9,x"},
		{"digits of another script", "bytes=٠-٩"},
	} {
		cases = append(cases, Case{Name: "ill-formed: " + odd.name, Header: []string{"Range: " + odd.field}, Want: []int{200, 400, 416}})
	}
	return cases
}

func emptyFile() []Case {
	return []Case{
		{Name: "an empty file", Empty: true, Want: []int{200}},
		{Name: "HEAD of an empty file", Method: http.MethodHead, Empty: true, Want: []int{200}},
		{Name: "the first byte of an empty file", Empty: true, Header: []string{"Range: bytes=0-0"}, Want: []int{416, 200}},
		{Name: "all of an empty file", Empty: true, Header: []string{"Range: bytes=0-"}, Want: []int{416, 200}},
		{Name: "a suffix of an empty file", Empty: true, Header: []string{"Range: bytes=-5"}, Want: []int{200, 416}},
	}
}

func with(name string, want int, header ...string) Case {
	return Case{Name: name, Header: header, Want: []int{want}}
}

func validators() []Case {
	return []Case{
		with("If-None-Match with the tag", 304, "If-None-Match: {etag}"),
		with("If-None-Match with the tag, weak", 304, "If-None-Match: {weak}"),
		with("If-None-Match with a star", 304, "If-None-Match: *"),
		with("If-None-Match with another tag", 200, `If-None-Match: "other"`),
		with("If-None-Match with the tag among others", 304, `If-None-Match: "a", W/"b,c" ,{etag}`),
		with("If-None-Match with the tag on a second line", 304, `If-None-Match: "a"`, "If-None-Match: {etag}"),
		with("If-None-Match with a tag that holds the tag's text", 200, `If-None-Match: "x{last}"`),
		with("If-Match with the tag", 200, "If-Match: {etag}"),
		with("If-Match with a star", 200, "If-Match: *"),
		with("If-Match with another tag", 412, `If-Match: "other"`),
		with("If-Match with the tag, weak", 412, "If-Match: {weak}"),
		with("If-Match with the tag among others", 200, `If-Match: "a", {etag}`),
		with("If-Modified-Since the date", 304, "If-Modified-Since: {modified}"),
		with("If-Modified-Since later", 304, "If-Modified-Since: {later}"),
		with("If-Modified-Since earlier", 200, "If-Modified-Since: {earlier}"),
		with("If-Modified-Since a second before", 200, "If-Modified-Since: {second before}"),
		with("If-Modified-Since in the form of RFC 850", 304, "If-Modified-Since: {rfc850}"),
		with("If-Modified-Since in the form of asctime", 304, "If-Modified-Since: {asctime}"),
		with("If-Modified-Since no date", 200, "If-Modified-Since: yesterday"),
		with("If-Unmodified-Since the date", 200, "If-Unmodified-Since: {modified}"),
		with("If-Unmodified-Since later", 200, "If-Unmodified-Since: {later}"),
		with("If-Unmodified-Since earlier", 412, "If-Unmodified-Since: {earlier}"),
		with("If-Unmodified-Since no date", 200, "If-Unmodified-Since: tomorrow"),
	}
}

func ifRange() []Case {
	ranged := func(name string, want int, header ...string) Case {
		c := with(name, want, append([]string{"Range: bytes=0-9"}, header...)...)
		c.Spans = []Span{{0, 9}}
		return c
	}
	return []Case{
		ranged("If-Range with the tag", 206, "If-Range: {etag}"),
		ranged("If-Range with another tag", 200, `If-Range: "other"`),
		ranged("If-Range with the tag, weak", 200, "If-Range: {weak}"),
		ranged("If-Range with the date", 206, "If-Range: {modified}"),
		ranged("If-Range with a later date", 200, "If-Range: {later}"),
		ranged("If-Range with an earlier date", 200, "If-Range: {earlier}"),
		ranged("If-Range with nonsense", 200, "If-Range: nonsense"),
		ranged("If-Range with a star", 200, "If-Range: *"),
		with("If-Range without a range", 200, "If-Range: {etag}"),
		with("If-Range with another tag and a range that cannot be", 200, `If-Range: "other"`, "Range: bytes={size}-"),
		with("If-Range with the tag and a range that cannot be", 416, "If-Range: {etag}", "Range: bytes={size}-"),
	}
}

func precedence() []Case {
	ranged := func(name string, want int, header ...string) Case {
		c := with(name, want, append([]string{"Range: bytes=0-9"}, header...)...)
		c.Spans = []Span{{0, 9}}
		return c
	}
	return []Case{
		with("If-None-Match wins over If-Modified-Since: changed", 200, `If-None-Match: "other"`, "If-Modified-Since: {later}"),
		with("If-None-Match wins over If-Modified-Since: the same", 304, "If-None-Match: {etag}", "If-Modified-Since: {earlier}"),
		with("If-Match wins over If-Unmodified-Since: the same", 200, "If-Match: {etag}", "If-Unmodified-Since: {earlier}"),
		with("If-Match wins over If-Unmodified-Since: changed", 412, `If-Match: "other"`, "If-Unmodified-Since: {later}"),
		with("If-Match fails before If-None-Match", 412, `If-Match: "other"`, "If-None-Match: {etag}"),
		with("If-Match holds, If-None-Match decides", 304, "If-Match: {etag}", "If-None-Match: {etag}"),
		ranged("a range with If-None-Match the same", 304, "If-None-Match: {etag}"),
		ranged("a range with If-None-Match changed", 206, `If-None-Match: "other"`),
		ranged("a range with If-Match the same", 206, "If-Match: {etag}"),
		ranged("a range with If-Match changed", 412, `If-Match: "other"`),
		ranged("a range with If-Unmodified-Since earlier", 412, "If-Unmodified-Since: {earlier}"),
		ranged("a range with If-Modified-Since the date", 304, "If-Modified-Since: {modified}"),
		with("a range that cannot be, with If-None-Match the same", 304, "Range: bytes={size}-", "If-None-Match: {etag}"),
		with("a range that cannot be, with If-Match changed", 412, "Range: bytes={size}-", `If-Match: "other"`),
	}
}

func methods() []Case {
	head := func(name string, want int, header ...string) Case {
		return Case{Name: name, Method: http.MethodHead, Header: header, Want: []int{want}}
	}
	return []Case{
		head("HEAD", 200),
		head("HEAD ignores a range", 200, "Range: bytes=0-9"),
		head("HEAD ignores a range that cannot be", 200, "Range: bytes={size}-"),
		head("HEAD ignores If-Range", 200, "Range: bytes=0-9", "If-Range: {etag}"),
		head("HEAD with If-None-Match the same", 304, "If-None-Match: {etag}"),
		head("HEAD with If-Match changed", 412, `If-Match: "other"`),
		head("HEAD with If-Modified-Since the date", 304, "If-Modified-Since: {modified}"),
		{Name: "POST", Method: http.MethodPost, Want: []int{405}},
		{Name: "PUT", Method: http.MethodPut, Want: []int{405}},
		{Name: "DELETE", Method: http.MethodDelete, Want: []int{405}},
		{Name: "PATCH", Method: http.MethodPatch, Want: []int{405}},
		{Name: "a method nobody knows", Method: "BREW", Want: []int{405, 501}},
	}
}
