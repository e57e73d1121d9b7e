package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// server is a peer that runs.
type server struct {
	peer
	cmd   *exec.Cmd
	ended chan struct{}
}

// compare is the measuring that needs nothing but this program: every server does each run in turn, several rounds, and a table shows
// the medians. It is plainer than loadgen: it neither waits for a quiet machine nor repeats disturbed runs.
func compare(ctx context.Context, c choices, plan string) error {
	text, err := os.ReadFile(plan)
	if err != nil {
		return err
	}
	var p struct{ Peers []peer }
	if err := json.Unmarshal(text, &p); err != nil {
		return err
	}
	var servers []*server
	for _, q := range p.Peers {
		if c.with != "" && !slices.Contains(strings.Split(c.with, ","), q.Name) {
			continue
		}
		s := &server{peer: q}
		defer s.stop()
		if err := s.start(ctx); err != nil {
			return fmt.Errorf("%s: %w", q.Name, err)
		}
		servers = append(servers, s)
	}
	fmt.Println("| run | server | speed / first | MiB/s | items/s | CPU s/GiB | CPU us/item | peak MiB | ok |\n|-|-|-|-|-|-|-|-|-|")
	all := loads()
	if c.s3 {
		all = s3Loads()
	}
	for _, l := range all {
		if !slices.ContainsFunc(strings.Split(c.only, ","), func(s string) bool { return strings.HasPrefix(l.name, s) }) {
			continue
		}
		if err := rounds(ctx, c.runs, l, servers); err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}
	}
	return nil
}

// rounds lets the servers take turns at one load and prints a line for each.
func rounds(ctx context.Context, n int, l load, servers []*server) error {
	results := map[*server][]result{}
	for range n {
		for _, s := range servers {
			if !l.fits(s.peer) {
				continue
			}
			syscall.Sync() // a run must not pay for the writes of the one before
			r, err := l.run(ctx, s)
			if err != nil {
				return fmt.Errorf("%s: %w", s.Name, err)
			}
			results[s] = append(results[s], r)
		}
	}
	first := 0.0
	for _, s := range servers {
		rs := results[s]
		if len(rs) == 0 {
			continue
		}
		speed := median(rs, func(r result) float64 { return float64(r.items) / r.elapsed.Seconds() })
		if first == 0 {
			first = speed
		}
		gib := func(r result) float64 { return float64(r.bytes) / (1 << 30) }
		ok := "yes"
		if i := slices.IndexFunc(rs, func(r result) bool { return r.err != nil }); i >= 0 {
			ok = "NO: " + rs[i].err.Error()
		}
		fmt.Printf("| %s | %s | %.2f | %.0f | %.0f | %.2f | %.0f | %.0f | %s |\n", l.name, s.Name, speed/first,
			median(rs, func(r result) float64 { return gib(r) * 1024 / r.elapsed.Seconds() }), speed,
			median(rs, func(r result) float64 { return r.cpu / gib(r) }),
			median(rs, func(r result) float64 { return r.cpu / float64(r.items) * 1e6 }),
			median(rs, func(r result) float64 { return r.peak }), ok)
	}
	return nil
}

func median(rs []result, f func(result) float64) float64 {
	v := make([]float64, len(rs))
	for i, r := range rs {
		v[i] = f(r)
	}
	slices.Sort(v)
	return v[len(v)/2]
}

// start starts the server, waits until it accepts connections, and puts its files in place.
func (s *server) start(ctx context.Context) error {
	var d net.Dialer
	if conn, err := d.DialContext(ctx, "tcp", s.Ready); err == nil {
		return errors.Join(fmt.Errorf("another server listens at %s", s.Ready), conn.Close())
	}
	s.cmd = exec.Command(s.Start[0], s.Start[1:]...)
	s.cmd.Env = append(os.Environ(), s.Env...)
	if err := s.cmd.Start(); err != nil {
		s.cmd = nil
		return err
	}
	s.ended = make(chan struct{})
	go func() {
		_ = s.cmd.Wait() // a server that ends too early shows in its runs
		close(s.ended)
	}()
	if err := s.awaitListener(ctx); err != nil {
		return err
	}
	if len(s.Seed) == 0 {
		return nil
	}
	return loud(exec.CommandContext(ctx, s.Seed[0], s.Seed[1:]...))
}

func (s *server) awaitListener(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var d net.Dialer
	for {
		conn, err := d.DialContext(ctx, "tcp", s.Ready)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not up: %w", err)
		case <-s.ended:
			return fmt.Errorf("ended at its start: %v", s.cmd.ProcessState)
		case <-tick.C:
		}
	}
}

func (s *server) stop() {
	if s.cmd != nil {
		_ = s.cmd.Process.Signal(syscall.SIGTERM) // it may have ended already
		<-s.ended
	}
}
