package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"sluice/internal/livetest"
)

func TestTwoNodesOverOneMongoDB(t *testing.T) {
	t.Parallel()
	for name, withRedis := range map[string]bool{"and Redis": true, "and PostgreSQL alone": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var redisURLs []string
			if withRedis {
				url := livetest.Redis(t).URL()
				redisURLs = []string{url, url}
			}
			w := newTwinsOver(t, livetest.Mongo(t).URI("lms"), redisURLs...)
			w.walkRecords(500 * time.Millisecond)
			for i := range w.nodes {
				if log := w.nodes[i].log.String(); strings.Contains(log, `"level":"ERROR"`) {
					t.Errorf("node %d complains: %s", i, log)
				}
			}
		})
	}
}

// walkRecords writes records by one node, and looks at them by the other, where they lie in memory.
func (w *twins) walkRecords(limit time.Duration) {
	w.t.Helper()
	var made struct{ Product struct{ ID string } }
	_, body := w.must(0, http.StatusCreated, http.MethodPost, "/api/products", `{"name":"Lamp","images":["https://cdn.example.com/a.jpg"]}`)
	if err := json.Unmarshal([]byte(body), &made); err != nil {
		w.t.Fatal(err)
	}
	path := "/api/products/" + made.Product.ID
	eve := w.nodes[0].must("token", "--subject", "eve", "--role", "student")
	// shows waits for an answer of node 1 that student and admin get: the status, and a text in it.
	shows := func(token, what string, want int, text string) {
		w.t.Helper()
		begin := time.Now()
		livetest.Until(w.t, 10*time.Second, what, func() bool {
			code, _, body := w.callAs(token, 1, http.MethodGet, path, "")
			return code == want && strings.Contains(body, text)
		})
		if took := time.Since(begin); took > limit {
			w.t.Errorf("%s after %v, want within %v", what, took, limit)
		}
	}
	for range 2 {
		shows(w.token, "the other node knows the product", http.StatusOK, `"name":"Lamp"`)
	}
	w.must(0, http.StatusOK, http.MethodPatch, path, `{"name":"Lantern"}`)
	shows(w.token, "a change shows on the other node", http.StatusOK, `"name":"Lantern"`)
	w.must(0, http.StatusCreated, http.MethodPost, path+"/images", `"https://cdn.example.com/second.jpg"`)
	shows(w.token, "another image shows on the other node", http.StatusOK, "second.jpg")
	shows(eve, "a student reads it", http.StatusOK, `"name":"Lantern"`)
	w.must(0, http.StatusOK, http.MethodPatch, path, `{"published":false}`)
	shows(eve, "a student no longer sees it", http.StatusNotFound, "not_found")
	const order = "/api/records/order/65a0000000000000000000aa"
	w.must(0, http.StatusOK, http.MethodPut, order, `{"user":"eve","status":"paid","items":[{"product":"`+made.Product.ID+`"}]}`)
	shows(eve, "an order lets the student read", http.StatusOK, `"name":"Lantern"`)
	w.must(0, http.StatusOK, http.MethodPut, order, `{"user":"eve","status":"refunded","items":[{"product":"`+made.Product.ID+`"}]}`)
	shows(eve, "a refund ends that", http.StatusNotFound, "not_found")
	w.must(0, http.StatusNoContent, http.MethodDelete, path, "")
	shows(w.token, "what is deleted is gone on the other node", http.StatusNotFound, "not_found")
	w.must(0, http.StatusOK, http.MethodPost, path+"/restore", "")
	shows(w.token, "what is restored is back on the other node", http.StatusOK, `"name":"Lantern"`)
}
