package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// What the gateway and tusd present to the S3 server.
const (
	s3Access = "bench"
	s3Secret = "bench-secret"
)

// startS3 builds versitygw from tools/go.mod and starts it on a folder with a bucket for each server that is measured.
func startS3(ctx context.Context, work string) (stop func(), err error) {
	in := func(name string) string { return filepath.Join(work, name) }
	if err := loud(exec.CommandContext(ctx, "go", "build", "-modfile=tools/go.mod", "-o", in("versitygw"), "github.com/versity/versitygw/cmd/versitygw")); err != nil {
		return nil, err
	}
	for _, dir := range []string{"s3/tusd", "s3/sluice"} {
		if err := os.MkdirAll(in(dir), 0o755); err != nil {
			return nil, err
		}
	}
	addr := "127.0.0.1:" + s3Port
	cmd := exec.Command(in("versitygw"), "--port", addr, "--access", s3Access, "--secret", s3Secret, "--quiet", "posix", in("s3"))
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop = func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended already
		_ = cmd.Wait()
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var d net.Dialer
	for {
		conn, err := d.DialContext(ctx, "tcp", addr)
		if err == nil {
			return stop, conn.Close()
		}
		select {
		case <-ctx.Done():
			stop()
			return nil, errors.Join(err, ctx.Err())
		case <-tick.C:
		}
	}
}

// s3Peers are tusd and the gateway over one S3 server, each with a bucket of its own and its own defaults.
func s3Peers(c choices) []peer {
	in := func(name string) string { return filepath.Join(c.work, name) }
	ours := gateway(c, "", "sluice", sluicePort, "DB_ENABLED=false", "SLUICE_S3_ENDPOINT=http://127.0.0.1:"+s3Port, "SLUICE_S3_BUCKET=sluice",
		"SLUICE_S3_PATH_STYLE=true", "SLUICE_S3_ACCESS_KEY="+s3Access, "SLUICE_S3_SECRET_KEY="+s3Secret)
	ours.Seed, ours.Big, ours.Small, ours.Check, ours.Store = nil, "", "", "", in("s3/sluice")
	return []peer{
		{
			Name: "tusd",
			Start: []string{
				in("tusd"), "-host", "127.0.0.1", "-port", tusdPort, "-s3-bucket", "tusd", "-s3-endpoint", "http://127.0.0.1:" + s3Port, "-hooks-enabled-events", "",
			},
			Env:    []string{"AWS_ACCESS_KEY_ID=" + s3Access, "AWS_SECRET_ACCESS_KEY=" + s3Secret, "AWS_REGION=us-east-1"},
			Upload: "http://127.0.0.1:" + tusdPort + "/files/", Store: in("s3/tusd"), Ready: "127.0.0.1:" + tusdPort,
		},
		ours,
	}
}

func s3Loads() []load {
	return []load{
		{name: "O1 one 200 MiB PATCH to S3", upload: true, n: 1, c: 1, size: 200 << 20},
		{name: "O2 64 MiB in 1 MiB chunks to S3", upload: true, n: 1, c: 1, size: 64 << 20, chunk: 1 << 20},
		{name: "O3 200 MiB in 8 MiB chunks to S3", upload: true, n: 1, c: 1, size: 200 << 20, chunk: 8 << 20},
		{name: "O4 64 parallel 12 MiB to S3", upload: true, n: 64, c: 64, size: 12 << 20},
	}
}

func s3Runs() []plannedRun {
	var all []plannedRun
	for _, l := range s3Loads() {
		args := fmt.Sprintf("upload -n %d -c %d -size %d", l.n, l.c, l.size)
		if l.chunk > 0 {
			args += fmt.Sprint(" -chunk ", l.chunk)
		}
		all = append(all, plannedRun{l.name, strings.Fields(args)})
	}
	return all
}
