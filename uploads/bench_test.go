package uploads_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"sluice/uploads"
)

// post sends a request straight to the handler, so that the handler is what is measured.
func post(b *testing.B, s http.Handler, method, to string, body []byte, header http.Header) http.Header {
	b.Helper()
	var r io.Reader
	if body != nil {
		r = bytes.NewReader(body)
	}
	req := httptest.NewRequestWithContext(b.Context(), method, to, r)
	req.Header = header
	w := httptest.NewRecorder()
	s.ServeHTTP(w, req)
	if w.Code >= http.StatusBadRequest {
		b.Fatalf("%s: %d %s", method, w.Code, w.Body)
	}
	return w.Header()
}

func creation(length, chunk string) http.Header {
	h := http.Header{"Tus-Resumable": {"1.0.0"}, "Upload-Length": {length}, "Authorization": {teacher}, "Upload-Metadata": {meta("filename", "a.bin")}}
	if chunk != "" {
		h["Content-Type"] = []string{chunk}
	}
	return h
}

func BenchmarkWholeFileCreation(b *testing.B) {
	g := start(b, uploads.Options{}, onDisk(b))
	body := bytes.Repeat([]byte{0x91}, 64<<10)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		post(b, g.s, http.MethodPost, "/files", body, creation("65536", chunked))
	}
}

func BenchmarkCreation(b *testing.B) {
	g := start(b, uploads.Options{}, onDisk(b))
	b.ReportAllocs()
	for b.Loop() {
		post(b, g.s, http.MethodPost, "/files", nil, creation("65536", ""))
	}
}

func BenchmarkPatch64MiB(b *testing.B) {
	g := start(b, uploads.Options{}, onDisk(b))
	body := bytes.Repeat([]byte{0x91}, 64<<20)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		to := post(b, g.s, http.MethodPost, "/files", nil, creation("67108864", "")).Get("Location")
		post(b, g.s, http.MethodPatch, to, body, http.Header{"Tus-Resumable": {"1.0.0"}, "Upload-Offset": {"0"}, "Content-Type": {chunked}})
	}
}

func BenchmarkHead(b *testing.B) {
	g := start(b, uploads.Options{}, onDisk(b))
	to := g.create("Upload-Length", "5")
	b.ReportAllocs()
	for b.Loop() {
		post(b, g.s, http.MethodHead, to, nil, http.Header{"Tus-Resumable": {"1.0.0"}})
	}
}

func BenchmarkEmptyPatch(b *testing.B) {
	g := start(b, uploads.Options{}, onDisk(b))
	to := g.create("Upload-Length", "5")
	b.ReportAllocs()
	for b.Loop() {
		post(b, g.s, http.MethodPatch, to, nil, http.Header{"Tus-Resumable": {"1.0.0"}, "Upload-Offset": {"0"}, "Content-Type": {chunked}})
	}
}
