package livetest

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
)

// S3Call is one request to an S3 server, by the name of its operation.
type S3Call struct {
	Op   string          // PutObject, GetObject, HeadObject, DeleteObject, ListObjects, CreateMultipartUpload, UploadPart, ListParts, CompleteMultipartUpload, AbortMultipartUpload, UploadPartCopy, ListMultipartUploads
	Name string          // the object's name in the bucket, without the bucket
	Part string          // partNumber, or ""
	Left <-chan struct{} // closed when the client has given the request up
}

// Is reports whether a call is of an operation, on a name that ends as given.
func (c S3Call) Is(op, ending string) bool { return c.Op == op && strings.HasSuffix(c.Name, ending) }

// S3Fault is what happens to a request. The zero value passes it on.
type S3Fault struct {
	Status int  // answered in the server's place, before it sees the request
	After  bool // the server sees the request, and its answer is lost: the connection is cut, or Status answered
	Cut    bool // the connection is cut
}

// S3Proxy is an S3 endpoint in front of a server that has faults at a test's word.
type S3Proxy struct {
	URL string
}

// FaultyS3 stands in front of a server and asks what shall happen to each request. judge may wait, and runs on many goroutines.
func FaultyS3(t testing.TB, s *S3Server, judge func(c S3Call) S3Fault) *S3Proxy {
	t.Helper()
	target := &url.URL{Scheme: "http", Host: s.Addr()}
	transport := &http.Transport{MaxIdleConnsPerHost: 64, WriteBufferSize: 256 << 10}
	pass := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host // it is signed
		},
		Transport:    transport,
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f := judge(s3Call(r))
		switch {
		case f.After:
			pass.ServeHTTP(httptest.NewRecorder(), r)
		case !f.Cut && f.Status == 0:
			pass.ServeHTTP(w, r)
			return
		}
		if f.Status == 0 {
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(f.Status)
	}))
	t.Cleanup(func() {
		front.CloseClientConnections()
		front.Close()
		transport.CloseIdleConnections()
	})
	return &S3Proxy{URL: front.URL}
}

// s3Call names the operation of a request with its bucket in the path.
func s3Call(r *http.Request) S3Call {
	q := r.URL.Query()
	_, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	c := S3Call{Name: name, Part: q.Get("partNumber"), Left: r.Context().Done()}
	switch {
	case name == "" && q.Has("uploads"):
		c.Op = "ListMultipartUploads"
	case name == "":
		c.Op = "ListObjects"
	case r.Method == http.MethodPost && q.Has("uploads"):
		c.Op = "CreateMultipartUpload"
	case r.Method == http.MethodPost && q.Has("uploadId"):
		c.Op = "CompleteMultipartUpload"
	case r.Method == http.MethodPut && q.Has("uploadId") && r.Header.Get("X-Amz-Copy-Source") != "":
		c.Op = "UploadPartCopy"
	case r.Method == http.MethodPut && q.Has("uploadId"):
		c.Op = "UploadPart"
	case r.Method == http.MethodGet && q.Has("uploadId"):
		c.Op = "ListParts"
	case r.Method == http.MethodDelete && q.Has("uploadId"):
		c.Op = "AbortMultipartUpload"
	default:
		c.Op = map[string]string{
			http.MethodPut: "PutObject", http.MethodGet: "GetObject", http.MethodHead: "HeadObject", http.MethodDelete: "DeleteObject",
		}[r.Method]
	}
	return c
}
