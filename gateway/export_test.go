package gateway

import (
	"context"
	"time"

	"sluice/media"
)

// ParseIfMatch tells whether a field would match an asset of a version.
func ParseIfMatch(s string, version int64) (bool, error) {
	m, err := parseIfMatch(s)
	return err == nil && m.matches(media.Asset{Version: version}), err
}

// CheckQuery is the check of query strings.
func CheckQuery(raw string) error { return checkQuery(raw) }

// UniqueMembers is the check of JSON bodies.
func UniqueMembers(b []byte) error { return uniqueMembers(b) }

// WholeText is the check of JSON texts.
func WholeText(b []byte) error { return wholeText(b) }

// TraceOf reads a traceparent.
func TraceOf(s string) string { return traceOf(map[string][]string{"Traceparent": {s}}) }

// SaysLengthTwice feeds a connection's bytes, in the pieces given, to what watches them.
func SaysLengthTwice(pieces ...[]byte) bool {
	var f framing
	for _, p := range pieces {
		if f.see(p) {
			return true
		}
	}
	return false
}

// Routes lists gin's routes as "METHOD /path/{param}".
func (g *Gateway) Routes() []string {
	var rs []string
	for _, r := range g.engine.Routes() {
		rs = append(rs, r.Method+" "+ginPattern(r.Path))
	}
	return rs
}

// NewReadiness makes what /readyz asks.
func NewReadiness(checks []Check) func(context.Context) Readiness {
	o := Options{Checks: checks}
	o.fill()
	return newReadiness(o).ask
}

// CheckOrigins tells whether a list of origins is taken.
func CheckOrigins(list []string) error {
	_, err := newOrigins(list)
	return err
}

// Replays gives the memory of answers.
func Replays(limit int, now func() time.Time) func(key, request string, act func() (any, error)) (any, bool, error) {
	rs := newReplays(limit, now)
	return func(key, request string, act func() (any, error)) (any, bool, error) {
		return rs.do(context.Background(), []byte(key), []byte(request), act)
	}
}
