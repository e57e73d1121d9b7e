package main

import (
	"bufio"
	"cmp"
	"crypto/md5"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Where the servers listen. A run fails when one of these is taken.
const (
	tusdPort     = "27200"
	nginxPort    = "27201"
	sluicePort   = "27202"
	postgresPort = "27203"
	s3Port       = "27204"
)

const (
	bigSize    = 1 << 30
	smallSize  = 8 << 10
	smallCount = 1000
	secret     = "a secret for measurements only, 32 bytes"
	linkSecret = "nginx link secret"
)

type peer struct {
	Name    string   `json:"name"`
	Start   []string `json:"start"`
	Env     []string `json:"env,omitempty"`
	Seed    []string `json:"seed,omitempty"`
	Upload  string   `json:"upload,omitempty"`
	Headers []string `json:"headers,omitempty"`
	Store   string   `json:"store,omitempty"`
	Big     string   `json:"big,omitempty"`
	Small   string   `json:"small,omitempty"`
	Check   string   `json:"check,omitempty"`
	Ready   string   `json:"ready"`
}

type plannedRun struct {
	Name string   `json:"name"`
	Args []string `json:"args"`
}

func runs() []plannedRun {
	upload := func(name, args string) plannedRun { return plannedRun{name, strings.Fields("upload " + args)} }
	return []plannedRun{
		upload("U1 one 1 GiB PATCH", "-size 1GiB -rm"),
		upload("U2 1 GiB in 8 MiB chunks", "-size 1GiB -chunk 8MiB -rm"),
		upload("U3 32 parallel 32 MiB", "-n 32 -c 32 -size 32MiB -rm"),
		upload("U4 1,000 small files", "-n 1000 -c 16 -size 64KiB -create-with-data"),
		upload("S1 1,000 slow clients", "-n 1000 -c 1000 -size 64KiB -rate 8KiB"),
		{"D1 whole 1 GiB", strings.Fields("range -n 4 -c 1 -size 0")},
		{"D2 256 KiB ranges, 32 connections", strings.Fields("range -n 10000 -c 32 -size 256KiB")},
		{"D2 256 KiB ranges, 128 connections", strings.Fields("range -n 10000 -c 128 -size 256KiB")},
		{"D3 8 KiB signed reads", strings.Fields("signed -n 30000 -c 32")},
	}
}

// writePlan writes peers.json and what the servers need, and returns its path.
func writePlan(c choices, self string) (string, error) {
	in := func(name string) string { return filepath.Join(c.work, name) }
	peers := []peer{
		{
			Name:   "tusd",
			Start:  []string{in("tusd"), "-host", "127.0.0.1", "-port", tusdPort, "-upload-dir", in("tusd-data"), "-hooks-enabled-events", ""},
			Upload: "http://127.0.0.1:" + tusdPort + "/files/", Store: in("tusd-data"), Ready: "127.0.0.1:" + tusdPort,
		},
		{
			Name: "nginx", Start: []string{"nginx", "-c", in("nginx.conf"), "-e", in("nginx.log")},
			Big: in("nginx.big"), Small: in("nginx.small"), Check: in("files/big.bin"), Ready: "127.0.0.1:" + nginxPort,
		},
		gateway(c, self, "sluice", sluicePort, "DB_ENABLED=false"),
	}
	if c.database != "" {
		peers = append(peers, gateway(c, self, "sluice-postgres", postgresPort, "DB_ENABLED=true", "DATABASE_URL="+c.database))
	}
	if err := errors.Join(os.MkdirAll(in("tusd-data"), 0o755), writeNginx(c.work)); err != nil {
		return "", err
	}
	planned := runs()
	if c.s3 {
		peers, planned = s3Peers(c), s3Runs()
	}
	text, err := json.MarshalIndent(map[string]any{"peers": peers, "runs": planned}, "", "  ")
	if err != nil {
		return "", err
	}
	return in("peers.json"), os.WriteFile(in("peers.json"), text, 0o644)
}

// gateway is ours as a user runs it: with logins, the catalogue and counting.
func gateway(c choices, self, name, port string, env ...string) peer {
	in := func(file string) string { return filepath.Join(c.work, file) }
	addr := "127.0.0.1:" + port
	start := []string{in("sluice"), "serve", "--listen", addr, "--data-dir", in(name + "-data")}
	if c.config != "" {
		start = append(start, "--config", c.config)
	}
	token := bearer("bench", "admin", 24*time.Hour)
	return peer{
		Name: name, Start: start, Env: append(env, "JWT_SECRET="+secret),
		Seed:   []string{self, "seed", "-url", "http://" + addr, "-work", c.work, "-name", name},
		Upload: "http://" + addr + "/files/", Headers: []string{"Authorization: Bearer " + token}, Store: in(name + "-data"),
		Big: in(name + ".big"), Small: in(name + ".small"), Check: in("files/big.bin"), Ready: addr,
	}
}

// writeNginx configures nginx to deliver the same files: plain for the large one, with secure_link for the small ones.
func writeNginx(work string) error {
	user := ""
	if os.Getuid() == 0 {
		user = "user root;\n"
	}
	conf := fmt.Sprintf(`%sdaemon off;
worker_processes auto;
pid %[2]s/nginx.pid;
error_log %[2]s/nginx.log;
events { worker_connections 4096; }
http {
	access_log off;
	sendfile on;
	tcp_nopush on;
	keepalive_requests 10000000;
	client_body_temp_path %[2]s/nginx-body; proxy_temp_path %[2]s/nginx-proxy; fastcgi_temp_path %[2]s/nginx-fastcgi;
	uwsgi_temp_path %[2]s/nginx-uwsgi; scgi_temp_path %[2]s/nginx-scgi;
	default_type video/mp4;
	server {
		listen 127.0.0.1:%[3]s;
		root %[2]s/files;
		location /small/ {
			secure_link $arg_md5,$arg_expires;
			secure_link_md5 "$secure_link_expires$uri %[4]s";
			if ($secure_link = "") { return 403; }
			if ($secure_link = "0") { return 410; }
		}
	}
}
`, user, work, nginxPort, linkSecret)
	var small strings.Builder
	expires := time.Now().Add(24 * time.Hour).Unix()
	for i := range smallCount {
		uri := "/small/" + smallName(i)
		sum := md5.Sum(fmt.Appendf(nil, "%d%s %s", expires, uri, linkSecret))
		fmt.Fprintf(&small, "http://127.0.0.1:%s%s?md5=%s&expires=%d\n", nginxPort, uri, base64.RawURLEncoding.EncodeToString(sum[:]), expires)
	}
	return errors.Join(
		os.WriteFile(filepath.Join(work, "nginx.conf"), []byte(conf), 0o644),
		os.WriteFile(filepath.Join(work, "nginx.big"), []byte("http://127.0.0.1:"+nginxPort+"/big.bin\n"), 0o644),
		os.WriteFile(filepath.Join(work, "nginx.small"), []byte(small.String()), 0o644),
	)
}

func smallName(i int) string { return fmt.Sprintf("%04d.bin", i) }

// makeFiles writes the files that every server delivers: random, so that nothing on the way can compress them.
func makeFiles(work string) error {
	if err := os.MkdirAll(filepath.Join(work, "files", "small"), 0o755); err != nil {
		return err
	}
	if err := randomFile(filepath.Join(work, "files", "big.bin"), bigSize); err != nil {
		return err
	}
	for i := range smallCount {
		if err := randomFile(filepath.Join(work, "files", "small", smallName(i)), smallSize); err != nil {
			return err
		}
	}
	return nil
}

func randomFile(path string, size int64) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = cmp.Or(err, f.Close()) }()
	var seed [32]byte
	for i := range seed {
		seed[i] = byte(rand.Uint32())
	}
	w := bufio.NewWriterSize(f, 1<<20)
	if _, err := io.CopyN(w, rand.NewChaCha8(seed), size); err != nil {
		return err
	}
	return w.Flush()
}
