// Command bench measures the gateway side by side with tusd and nginx and prints a Markdown table. It builds and configures the servers,
// puts the same files into each, and measures, or leaves that to a loadgen binary whose path is given. It runs by `make bench`.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

// choices are the flags of a whole run.
type choices struct {
	loadgen  string
	work     string
	runs     int
	only     string
	with     string
	database string
	config   string
	out      string
	quiet    float64
	keep     bool
	s3       bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) (err error) {
	if len(args) > 0 && args[0] == "seed" {
		return seedCommand(ctx, args[1:])
	}
	var c choices
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.StringVar(&c.loadgen, "loadgen", os.Getenv("LOADGEN"), "path of a loadgen binary to measure with; default $LOADGEN, or else this program measures")
	fs.StringVar(&c.work, "work", filepath.Join(os.TempDir(), "sluice-bench"), "folder for servers and files, about 20 GiB")
	fs.IntVar(&c.runs, "runs", 3, "times each server does each run")
	fs.StringVar(&c.only, "only", "", "beginnings of the names of the runs to do, separated by commas: U1,D2")
	fs.StringVar(&c.with, "with", "", "names of the servers to take, separated by commas: tusd,sluice")
	fs.StringVar(&c.database, "database", "", "DATABASE_URL of an empty PostgreSQL database: adds the server sluice-postgres")
	fs.StringVar(&c.config, "config", "", "configuration file for the gateway; default: its defaults")
	fs.StringVar(&c.out, "out", "", "file for every result as JSON")
	fs.Float64Var(&c.quiet, "quiet", 0.25, "loadgen repeats a run while others use more than this many cores")
	fs.BoolVar(&c.s3, "s3", false, "measure uploads to an S3 server, beside tusd on the same one, in place of the other runs")
	fs.BoolVar(&c.keep, "keep", false, "keep the work folder")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if _, err := os.Stat(c.work); err == nil {
		return fmt.Errorf("%s is there already, perhaps from another run: remove it or choose -work", c.work)
	}
	if err := os.MkdirAll(c.work, 0o755); err != nil {
		return err
	}
	if !c.keep {
		defer func() { err = errors.Join(err, os.RemoveAll(c.work)) }()
	}
	return measure(ctx, c)
}

func measure(ctx context.Context, c choices) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	builds := map[string][]string{
		"sluice": {"build", "-o", filepath.Join(c.work, "sluice"), "./cmd/sluice"},
		"tusd":   {"build", "-C", "bench/peers", "-o", filepath.Join(c.work, "tusd"), "github.com/tus/tusd/v2/cmd/tusd"},
	}
	for name, args := range builds {
		if c.with != "" && !strings.Contains(c.with, name) {
			continue
		}
		if err := loud(exec.CommandContext(ctx, "go", args...)); err != nil {
			return fmt.Errorf("go %v: %w", args, err)
		}
	}
	if c.s3 {
		stop, err := startS3(ctx, c.work)
		if err != nil {
			return fmt.Errorf("S3 server: %w", err)
		}
		defer stop()
	} else if err := makeFiles(c.work); err != nil {
		return fmt.Errorf("make files: %w", err)
	}
	plan, err := writePlan(c, self)
	if err != nil {
		return fmt.Errorf("write peers.json: %w", err)
	}
	if c.loadgen == "" {
		return compare(ctx, c, plan)
	}
	args := []string{
		"compare", "-peers", plan, "-runs", fmt.Sprint(c.runs), "-only", c.only, "-with", c.with, "-quiet", fmt.Sprint(c.quiet),
		"-out", cmp.Or(c.out, filepath.Join(c.work, "results.json")),
	}
	cmd := exec.CommandContext(ctx, c.loadgen, args...)
	// An interrupt reaches loadgen too, and it stops its servers; killed, it could not.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	return loud(cmd)
}

func loud(cmd *exec.Cmd) error {
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}
