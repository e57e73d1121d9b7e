package redis

import (
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"sluice/media"
)

// drawValue draws what may stand in a record.
func drawValue(t *rapid.T, deep int) any {
	kinds := []string{"text", "float", "whole float", "int", "bool", "nil"}
	if deep > 0 {
		kinds = append(kinds, "list", "fields")
	}
	switch rapid.SampledFrom(kinds).Draw(t, "kind") {
	case "text":
		return rapid.String().Draw(t, "text")
	case "float":
		return rapid.Float64().Draw(t, "float")
	case "whole float":
		return float64(rapid.Int64().Draw(t, "whole float"))
	case "int":
		return rapid.Int64().Draw(t, "int")
	case "bool":
		return rapid.Bool().Draw(t, "bool")
	case "list":
		list := make([]any, rapid.IntRange(0, 4).Draw(t, "length"))
		for i := range list {
			list[i] = drawValue(t, deep-1)
		}
		return list
	case "fields":
		return drawFields(t, deep-1)
	}
	return nil
}

func drawFields(t *rapid.T, deep int) map[string]any {
	fields := map[string]any{}
	for range rapid.IntRange(0, 5).Draw(t, "fields") {
		fields[rapid.String().Draw(t, "name")] = drawValue(t, deep)
	}
	return fields
}

func drawRecord(t *rapid.T) media.Record {
	at := func(name string) time.Time {
		if rapid.Bool().Draw(t, name+" set") {
			return time.Time{}
		}
		return time.Unix(rapid.Int64Range(0, 1<<36).Draw(t, name), rapid.Int64Range(0, 999_999_999).Draw(t, name+" ns")).UTC()
	}
	r := media.Record{
		Subject: media.Subject{Type: media.Course, ID: rapid.String().Draw(t, "id")}, Owner: rapid.String().Draw(t, "owner"),
		Published: rapid.Bool().Draw(t, "published"), Version: rapid.String().Draw(t, "version"), CreatedAt: at("created"), UpdatedAt: at("updated"),
	}
	if rapid.Bool().Draw(t, "fields set") {
		r.Fields = drawFields(t, 3)
	}
	return r
}

func TestARecordComesBackWithTheTypesOfItsNumbers(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := drawRecord(t)
		got, err := decodeRecord(encodeRecord(want))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" || !reflect.DeepEqual(want, got) {
			t.Fatal(d)
		}
	})
}

func TestNumbersKeepTheirTypes(t *testing.T) {
	t.Parallel()
	for name, v := range map[string]any{
		"a whole float": 5.0, "zero": 0.0, "less than zero": math.Copysign(0, -1), "a long float": 1e20, "a huge one": math.MaxFloat64, "a tiny one": 5e-324,
		"an int": int64(5), "no int": int64(0), "an int that is no float": int64(math.MaxInt64), "the least int": int64(math.MinInt64),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := media.Record{Fields: map[string]any{"v": v}}
			got, err := decodeRecord(encodeRecord(want))
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%T %v comes back as %T %v, %v", v, v, got.Fields["v"], got.Fields["v"], err)
			}
			if f, ok := v.(float64); ok && math.Signbit(f) != math.Signbit(got.Fields["v"].(float64)) {
				t.Error("its sign is lost")
			}
		})
	}
}

func TestWhatWouldNotComeBackIsNotKept(t *testing.T) {
	t.Parallel()
	in := func(v any) media.Record {
		return media.Record{Fields: map[string]any{"list": []any{map[string]any{"v": v}}}}
	}
	for name, r := range map[string]media.Record{
		"no number": in(math.NaN()), "endless": in(math.Inf(-1)), "bytes for a text": in("\xff"), "an int of Go's": in(5), "a time": in(time.Unix(0, 0)),
		"a name of bytes": {Fields: map[string]any{"\xff": "x"}}, "an owner of bytes": {Owner: "\xff"}, "a far year": {CreatedAt: time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if b := encodeRecord(r); b != nil {
				t.Errorf("it is written as %s", b)
			}
		})
	}
}

func TestNullsOfGoAreTheSameJSON(t *testing.T) {
	t.Parallel()
	r := media.Record{Fields: map[string]any{"list": []any(nil), "fields": map[string]any(nil)}}
	got, err := decodeRecord(encodeRecord(r))
	if d := cmp.Diff(map[string]any{"list": nil, "fields": nil}, got.Fields); d != "" || err != nil {
		t.Error(d, err)
	}
}

func TestNonsenseIsNoRecord(t *testing.T) {
	t.Parallel()
	text := string(encodeRecord(media.Record{Subject: media.Subject{Type: media.Product, ID: "p"}, Fields: map[string]any{"n": int64(1)}}))
	for name, b := range map[string]string{
		"nothing":         "",
		"a part":          text[:len(text)-3],
		"more":            text + "{}",
		"another version": strings.Replace(text, `"format":1`, `"format":2`, 1),
		"no version":      strings.Replace(text, `"format":1,`, ``, 1),
		"a long int":      strings.Replace(text, `"n":1`, `"n":11111111111111111111`, 1),
		"a long float":    strings.Replace(text, `"n":1`, `"n":1e999`, 1),
		"a list":          strings.Replace(text, `{"n":1}`, `[1]`, 1),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if r, err := decodeRecord([]byte(b)); err == nil {
				t.Errorf("%s is taken for %+v", b, r)
			}
		})
	}
	if _, err := decodeRecord([]byte(text)); err != nil {
		t.Errorf("the whole: %v", err)
	}
}

func TestARecordOfAnotherEntityCountsForNothing(t *testing.T) {
	t.Parallel()
	p, q := media.Subject{Type: media.Product, ID: "p"}, media.Subject{Type: media.Product, ID: "q"}
	c := recordCoder(q)
	if r, err := c.decode(encodeRecord(media.Record{Subject: p})); err == nil {
		t.Errorf("%v is taken for %v", r.Subject, q)
	}
	if c.keep(media.Record{Subject: p}) {
		t.Errorf("%v is kept as %v", p, q)
	}
}

// FuzzRecord reads any bytes: what is a record is written as the same.
func FuzzRecord(f *testing.F) {
	f.Add(encodeRecord(media.Record{Subject: media.Subject{Type: media.Product, ID: "p"}, Fields: map[string]any{"n": int64(1), "f": 1.0, "t": []any{"x", nil, true}}}))
	f.Add([]byte(`{"format":1,"fields":{"n":-0,"f":-0e0}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeRecord(b)
		if err != nil {
			return
		}
		text := encodeRecord(r)
		if text == nil {
			return // a year that JSON does not have
		}
		if again, err := decodeRecord(text); err != nil || !reflect.DeepEqual(r, again) {
			t.Errorf("%#v is read again as %#v, %v", r, again, err)
		}
	})
}

func BenchmarkRecordCoder(b *testing.B) {
	var modules []any
	for range 10 {
		var lessons []any
		for range 10 {
			lessons = append(lessons, map[string]any{"id": "507f1f77bcf86cd799439011", "title": "A lesson of some name", "minutes": int64(12)})
		}
		modules = append(modules, map[string]any{"id": "507f1f77bcf86cd799439012", "lessons": lessons})
	}
	r := media.Record{Subject: media.Subject{Type: media.Course, ID: "507f1f77bcf86cd799439013"}, Fields: map[string]any{"modules": modules, "price": 9.0}}
	text := encodeRecord(r)
	b.Run("encode", func(b *testing.B) {
		for b.Loop() {
			encodeRecord(r)
		}
		b.ReportMetric(float64(len(text)), "bytes")
	})
	b.Run("decode", func(b *testing.B) {
		for b.Loop() {
			if _, err := decodeRecord(text); err != nil {
				b.Fatal(err)
			}
		}
	})
}
