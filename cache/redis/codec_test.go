package redis

import (
	"crypto/sha256"
	"encoding/hex"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"sluice/media"
)

// draw sets everything in v, so that a field that is new is drawn as well.
func draw(t *rapid.T, name string, v reflect.Value) {
	switch x := v.Addr().Interface().(type) {
	case *time.Time:
		if rapid.Bool().Draw(t, name+" set") {
			*x = time.Unix(rapid.Int64Range(-1<<36, 1<<36).Draw(t, name), rapid.Int64Range(0, 999_999_999).Draw(t, name+" ns")).UTC()
		}
		return
	case *[]byte:
		if rapid.Bool().Draw(t, name+" set") {
			*x = rapid.SliceOf(rapid.Byte()).Draw(t, name)
		}
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			draw(t, name+"."+v.Type().Field(i).Name, v.Field(i))
		}
	case reflect.Slice:
		if !rapid.Bool().Draw(t, name+" set") {
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), rapid.IntRange(0, 4).Draw(t, name+" length"), 4))
		for i := range v.Len() {
			draw(t, name, v.Index(i))
		}
	case reflect.Array:
		for i := range v.Len() {
			draw(t, name, v.Index(i))
		}
	case reflect.String:
		v.SetString(string(rapid.SliceOf(rapid.Byte()).Draw(t, name))) // any bytes: metadata are not text
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, name))
	case reflect.Uint8:
		v.SetUint(uint64(rapid.Byte().Draw(t, name)))
	case reflect.Uint32:
		v.SetUint(uint64(rapid.Uint32().Draw(t, name)))
	case reflect.Int, reflect.Int64:
		v.SetInt(rapid.Int64().Draw(t, name))
	default:
		t.Fatalf("%s is a %v: the test does not know how to draw one", name, v.Kind())
	}
}

func TestEveryFieldComesBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var want media.Asset
		draw(t, "asset", reflect.ValueOf(&want).Elem())
		got, err := decodeAsset(encodeAsset(want))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" || !reflect.DeepEqual(want, got) {
			t.Fatal(d)
		}
	})
}

func TestNonsenseIsNoAsset(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var a media.Asset
		draw(t, "asset", reflect.ValueOf(&a).Elem())
		b := encodeAsset(a)
		if _, err := decodeAsset(b[:rapid.IntRange(0, len(b)-1).Draw(t, "length")]); err == nil {
			t.Fatal("a part of an asset is taken for one")
		}
		if _, err := decodeAsset(append(b, 0)); err == nil {
			t.Fatal("an asset and more is taken for one")
		}
		b[0]++
		if _, err := decodeAsset(b); err == nil {
			t.Fatal("an asset of another version is taken for one")
		}
		_, _ = decodeAsset(append([]byte{assetVersion}, rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")...)) // does not panic
	})
}

// A change of this sum is a change of the format: it needs another assetVersion.
func TestTheFormatIsThatOfItsVersion(t *testing.T) {
	t.Parallel()
	var a media.Asset
	n := 0
	fill(reflect.ValueOf(&a).Elem(), &n)
	sum := sha256.Sum256(encodeAsset(a))
	if got, want := hex.EncodeToString(sum[:8]), "df374ae2f0851359"; assetVersion != 2 || got != want {
		t.Errorf("version %d writes %s, want version 2 and %s", assetVersion, got, want)
	}
}

// fill sets each field to something of its own.
func fill(v reflect.Value, n *int) {
	*n++
	switch x := v.Addr().Interface().(type) {
	case *time.Time:
		*x = time.Unix(int64(*n), 0)
		return
	case *[]byte:
		*x = []byte{byte(*n)}
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
	case reflect.String:
		v.SetString(string(rune('a' + *n%26)))
	case reflect.Bool:
		v.SetBool(*n%2 == 0)
	case reflect.Uint32:
		v.SetUint(uint64(*n))
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(*n))
	default: // the id stays zero
	}
}
