package storagetest

import (
	"net/http"
	"testing"
	"time"

	"sluice/media"
	"sluice/storage"
	"sluice/storage/memory"
)

func TestRemoteKeepsTheContract(t *testing.T) {
	t.Parallel()
	Run(t, func(t testing.TB) Place {
		return Place{
			Driver: NewRemote(t, memory.New()),
			Within: func(t testing.TB, room int64) storage.Driver { return NewRemote(t, memory.NewLimited(room)) },
		}
	})
}

func TestRemoteRefusesWhatItHasNotSigned(t *testing.T) {
	t.Parallel()
	r := NewRemote(t, memory.New())
	o := media.Object{Key: key, Size: 5}
	w, err := r.Begin(t.Context(), key, 5)
	if err == nil {
		_, err = w.Append(t.Context(), 0, http.NoBody)
	}
	if err == nil {
		_, err = w.Commit(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	issued := time.Now().Truncate(time.Second)
	u, err := r.Presign(t.Context(), o, storage.Presentation{ContentType: "video/mp4"}, issued, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, method, url string
		after             time.Duration
		want              int
	}{
		{"as it was signed", http.MethodGet, u, 0, 200},
		{"by another method", http.MethodHead, u, 0, 403},
		{"with one parameter more", http.MethodGet, u + "&x=y", 0, 403},
		{"before its time", http.MethodGet, u, -time.Second, 403},
		{"in its last second", http.MethodGet, u, time.Minute - time.Second, 200},
		{"after its time", http.MethodGet, u, time.Minute, 403},
	} {
		r.Clock = func() time.Time { return issued.Add(tt.after) }
		req, err := http.NewRequestWithContext(t.Context(), tt.method, tt.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := r.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != tt.want {
			t.Errorf("%s: got %d, want %d", tt.name, resp.StatusCode, tt.want)
		}
	}
}
