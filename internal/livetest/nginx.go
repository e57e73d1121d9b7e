package livetest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// Nginx starts Debian's nginx with a file for its conf.d, changed by replacements in pairs, and gives the address it listens on: the
// file's "listen 80" becomes a free port on the loopback. It ends with the test. answers gives a line for each request so far.
func Nginx(t testing.TB, site string, replacements ...string) (addr string, answers func() string) {
	t.Helper()
	path, err := exec.LookPath("nginx")
	if err != nil {
		path = "/usr/sbin/nginx" // not in the PATH of every user
	}
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	addr = "127.0.0.1:" + strconv.Itoa(port)
	dir := t.TempDir()
	user := ""
	if os.Getuid() == 0 {
		user = "user root;\n" // the folder is closed to others
	}
	site = strings.NewReplacer(append([]string{"listen 80;", "listen " + addr + ";"}, replacements...)...).Replace(site)
	conf := fmt.Sprintf(`%sdaemon off;
worker_processes 1;
pid %[2]s/pid;
error_log %[2]s/log;
events { worker_connections 1024; }
http {
	log_format tests '$time_iso8601 $request_method $uri $status by $upstream_addr: $upstream_status';
	access_log %[2]s/access tests;
	client_body_temp_path %[2]s/body; proxy_temp_path %[2]s/proxy; fastcgi_temp_path %[2]s/f; uwsgi_temp_path %[2]s/u; scgi_temp_path %[2]s/s;
	%[3]s
}
`, user, dir, site)
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	var out output
	cmd := exec.Command(path, "-c", file, "-e", filepath.Join(dir, "log"))
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		t.Fatalf("livetest: nginx: %v", err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = cmd.Wait() // ended by a signal of ours; else the dial below says so
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-done
	})
	Until(t, startLimit, "nginx listens", func() bool {
		select {
		case <-done:
			text, _ := os.ReadFile(filepath.Join(dir, "log"))
			t.Fatalf("livetest: nginx ended: %s%s", out.String(), text)
		default:
		}
		conn, err := net.Dial("tcp", addr)
		return err == nil && conn.Close() == nil
	})
	return addr, func() string {
		text, _ := os.ReadFile(filepath.Join(dir, "access")) // best effort: it explains a failure
		return string(text)
	}
}
