package gateway_test

import (
	"strings"
	"testing"

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
