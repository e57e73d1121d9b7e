package redis

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"sluice/media"
)

// drawPlaces draws a list. What the coder of assets brings back of an asset is for its own tests: here it is whatever that is.
func drawPlaces(t *rapid.T) []media.Place {
	var list []media.Place
	draw(t, "places", reflect.ValueOf(&list).Elem())
	for i := range list {
		a, err := decodeAsset(encodeAsset(list[i].Asset))
		if err != nil {
			t.Fatal(err)
		}
		list[i].Asset = a
		if rapid.Bool().Draw(t, "home") {
			list[i].Placement = a.Placement
		}
	}
	return list
}

func TestPlacesComeBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := drawPlaces(t)
		got, err := decodePlaces(encodePlaces(want))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" || !reflect.DeepEqual(want, got) {
			t.Fatal(d)
		}
	})
}

func TestNonsenseIsNoPlaces(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := encodePlaces(drawPlaces(t))
		if _, err := decodePlaces(b[:rapid.IntRange(0, len(b)-1).Draw(t, "length")]); err == nil {
			t.Fatal("a part of a list is taken for one")
		}
		if _, err := decodePlaces(append(b, 0)); err == nil {
			t.Fatal("a list and more is taken for one")
		}
		for _, version := range []int{0, 1} {
			b[version]++
			if _, err := decodePlaces(b); err == nil {
				t.Fatal("a list of another version is taken for one")
			}
			b[version]--
		}
	})
	if _, err := decodePlaces([]byte{placesVersion, assetVersion, 0xff, 0xff, 0xff, 0xff, 0x0f}); err == nil {
		t.Error("a list of 4 billion places is read from 7 bytes")
	}
}

// FuzzPlaces reads any bytes: what is a list is written as the same.
func FuzzPlaces(f *testing.F) {
	f.Add(encodePlaces(manyPlaces(2)))
	f.Add(encodePlaces(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := decodePlaces(b)
		if err != nil {
			return
		}
		if again, err := decodePlaces(encodePlaces(list)); err != nil || !reflect.DeepEqual(list, again) {
			t.Errorf("%#v is read again as %#v, %v", list, again, err)
		}
	})
}

// manyPlaces are videos of a course, of each fourth this is not the home.
func manyPlaces(n int) []media.Place {
	list := make([]media.Place, n)
	for i := range list {
		id := media.AssetID{1: byte(i >> 8), 2: byte(i)}
		pl := media.Placement{Kind: media.CourseVideo, CourseID: "507f1f77bcf86cd799439011", LessonID: fmt.Sprintf("%024x", i), VideoType: media.LessonVideo, Position: i}
		list[i] = media.Place{ID: id, Asset: media.Asset{
			ID: id, State: media.Ready, Owner: "ida", Version: 3, Filename: "lecture.mp4", MIMEType: "video/mp4", Type: media.Video, Size: 1 << 30,
			SHA256: make([]byte, 32), Duration: time.Hour, StorageType: media.Local, Backend: "local", Key: "ab/cd/0123456789abcdef0123456789abcdef", Placement: pl,
			CreatedAt: time.Unix(1_700_000_000, 0).UTC(), UpdatedAt: time.Unix(1_700_000_000, 0).UTC(), StoredAt: time.Unix(1_700_000_000, 0).UTC(),
		}, Placement: pl, UpdatedAt: time.Unix(1_700_000_000, 0).UTC()}
		if i%4 == 3 {
			list[i].Placement.CourseID = "507f1f77bcf86cd799439012"
		}
	}
	return list
}

func BenchmarkPlacesCoder(b *testing.B) {
	for _, n := range []int{20, media.MaxPlaces} {
		list := manyPlaces(n)
		text := encodePlaces(list)
		b.Run(fmt.Sprint("encode ", n), func(b *testing.B) {
			for b.Loop() {
				encodePlaces(list)
			}
			b.ReportMetric(float64(len(text)), "bytes")
		})
		b.Run(fmt.Sprint("decode ", n), func(b *testing.B) {
			for b.Loop() {
				if _, err := decodePlaces(text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
