package gateway_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"sluice/gateway"
)

func TestAMemberTwiceIsRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, body string
		good       bool
	}{
		{"one of each", `{"a":1,"b":{"a":2},"c":[{"a":1},{"a":1}]}`, true},
		{"a value that reads like the name", `{"a":"a","b":"a"}`, true},
		{"names in another letter case are others", `{"a":1,"A":2}`, true},
		{"no object", `[1,"a","a"]`, true},
		{"what is no JSON is for the decoder", `{"a":1,`, true},
		{"empty", ``, true},
		{"twice", `{"a":1,"a":2}`, false},
		{"twice, once escaped", `{"a":1,"\u0061":2}`, false},
		{"twice inside", `{"x":[{"a":1,"b":2,"a":3}]}`, false},
		{"twice around an object", `{"a":{"b":1},"a":2}`, false},
		{"the empty name twice", `{"":1,"":2}`, false},
		{"nested beyond all use", strings.Repeat("[", 5000), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if err := gateway.UniqueMembers([]byte(tt.body)); (err == nil) != tt.good {
				t.Errorf("got %v, want good %v", err, tt.good)
			}
		})
	}
}

func TestHalfASurrogatePairIsRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, body string
		good       bool
	}{
		{"a pair", `{"a":"\ud83d\ude00"}`, true},
		{"pairs in a row", `"\uD83D\uDE00\ud83d\ude00"`, true},
		{"an escaped backslash before the letters", `"\\ud800"`, true},
		{"the replacement character itself", `"\ufffd\\\ufffd"`, true},
		{"what is no JSON is for the decoder", `"\ud8`, true},
		{"empty", ``, true},
		{"a first half alone", `{"a":"\ud800"}`, false},
		{"a first half at the very end", `"\udbff`, false},
		{"a second half alone", `"\udc00"`, false},
		{"two first halves", `"\ud83d\ud83d\ude00"`, false},
		{"the wrong way round", `"\ude00\ud83d"`, false},
		{"a first half before another escape", `"\ud83d\n"`, false},
		{"a first half and letters between", `"\ud83dx\ude00"`, false},
		{"in a member's name", `{"\ud800":1}`, false},
		{"after an escaped backslash", `"\\\ud800"`, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if err := gateway.WholeText([]byte(tt.body)); (err == nil) != tt.good {
				t.Errorf("got %v, want good %v", err, tt.good)
			}
		})
	}
}

func FuzzWholeText(f *testing.F) {
	for _, seed := range []string{`"\ud83d\ude00"`, `"\ud800"`, `"\\ud800"`, `{"a":"\udc00b"}`, `"\`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		var v any
		if err := json.Unmarshal([]byte(body), &v); err != nil || strings.Contains(body, "\ufffd") || strings.Contains(strings.ToLower(body), `fffd`) {
			return
		}
		text, err := json.Marshal(v)
		if err != nil || !utf8.ValidString(body) {
			return
		}
		// What is taken is decoded as it was sent: U+FFFD comes of halves alone.
		if lost := strings.Contains(string(text), "\ufffd"); lost != (gateway.WholeText([]byte(body)) != nil) {
			t.Errorf("%q: lost %v, refused %v", body, lost, !lost)
		}
	})
}
