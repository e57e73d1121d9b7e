package gateway_test

import (
	"context"
	"strings"
	"testing"

	"sluice/media"
)

type counts struct{}

func (counts) Count(context.Context, string, media.Batch) error { return nil }

func (counts) Position(context.Context, string) (int64, error) { return 0, nil }

func (counts) Series(_ context.Context, s media.Series) ([]media.Bucket, error) {
	return []media.Bucket{{Start: s.From, Views: 3, Bytes: 4096}}, nil
}

func TestAListByAccessCountIsExact(t *testing.T) {
	t.Parallel()
	for sort, settled := range map[string]bool{"-accessCount": true, "accessCount": true, "-createdAt": false, "fileSize": false} {
		w := setup(t, nil)
		w.furnish()
		w.counter.Record(media.Access{Asset: idOf(1), At: now, View: true})
		resp, body := w.do("GET", "/api/media?sort="+sort, "", as("root", "admin"))
		if got := strings.Contains(body, `"accessCount":1`); resp.StatusCode != 200 || got != settled {
			t.Errorf("sort=%s: %d, settled %v, want %v: %s", sort, resp.StatusCode, got, settled, body)
		}
	}
}

func TestMediaThatNeedALoginLookLikeNone(t *testing.T) {
	t.Parallel()
	w := setup(t, nil)
	w.furnish()
	for _, tail := range []string{"", "/content"} {
		seen := map[string]bool{}
		for _, n := range []byte{3, 4, 99} { // private, on its way, missing
			resp, body := w.do("GET", "/api/media/"+idOf(n).String()+tail, "")
			seen[shown(resp, body)] = true
			if resp.StatusCode != 404 || resp.Header.Get("WWW-Authenticate") != `Bearer realm="sluice"` || !strings.Contains(body, "a login is needed") {
				t.Errorf("%d%s: %d %v %s", n, tail, resp.StatusCode, resp.Header, body)
			}
		}
		if len(seen) != 1 {
			t.Errorf("%d answers, want one: %v", len(seen), seen)
		}
		if resp, body := w.do("GET", "/api/media/"+idOf(3).String()+tail, "", as("sam", "student")); resp.StatusCode != 404 || resp.Header.Get("WWW-Authenticate") != "" || strings.Contains(body, "login") {
			t.Errorf("to somebody with a login: %d %v %s", resp.StatusCode, resp.Header, body)
		}
	}
}
