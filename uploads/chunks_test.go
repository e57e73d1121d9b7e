package uploads_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"sluice/uploads"
)

func TestMalformedChunksAreTheClientsFault(t *testing.T) {
	t.Parallel()
	b := start(t, uploads.Options{}, nil)
	for _, body := range []string{"+1\r\na\r\n", "0x1\r\na\r\n", "10000000000000000\r\n", "1\r\nab\r\n", "zz\r\n", "1;" + strings.Repeat("e", 64<<10) + "\r\na\r\n"} {
		location := b.create("Upload-Length", "5")
		c, err := net.Dial("tcp", b.server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		fmt.Fprintf(c, "PATCH %s HTTP/1.1\r\nHost: a\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\nContent-Type: %s\r\nTransfer-Encoding: chunked\r\n\r\n", location, chunked)
		_, _ = io.WriteString(c, body)
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%.20q: got %d, want 400", body, resp.StatusCode)
		}
		_ = resp.Body.Close()
		_ = c.Close()
	}
}
