package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"

	"sluice/configs"
)

// commands is the grammar. Each command has a file of its own.
type commands struct {
	Serve   serveCommand   `cmd:"" help:"Run the gateway."`
	Token   tokenCommand   `cmd:"" help:"Print a JWT for tests and operators."`
	Upload  uploadCommand  `cmd:"" help:"Upload files, resumable across runs."`
	Link    linkCommand    `cmd:"" help:"Print a signed URL that plays a media."`
	Revoke  revokeCommand  `cmd:"" help:"Take links back: of a viewer, a course, a media."`
	Demo    demoCommand    `cmd:"" help:"Fill a gateway with a small shop and a course to look at."`
	Ls      lsCommand      `cmd:"" aliases:"list" help:"List media."`
	Show    showCommand    `cmd:"" aliases:"get" help:"Show one media as JSON."`
	Rm      rmCommand      `cmd:"" aliases:"delete" help:"Delete media: the bytes, the row, the links."`
	Migrate migrateCommand `cmd:"" help:"Show or bring up the catalogue's schema."`
	Doctor  doctorCommand  `cmd:"" help:"Check everything the gateway depends on."`
	Health  healthCommand  `cmd:"" help:"Ask a running gateway whether it is ready; for container health checks."`
	Config  configCommand  `cmd:"" help:"Print the effective configuration, secrets masked."`
	Version versionCommand `cmd:"" help:"Print the version."`
}

const description = `Sluice takes large media in over tus, keeps them, plays them over signed URLs and counts who watched.

Start here:

  sluice serve                                    serves on http://localhost:5000, data in ./data
  sluice upload lecture.mp4 --video-type intro --course 507f1f77bcf86cd799439011
  sluice link ID --expires 2h                     a URL for ffplay, a browser or curl
  sluice doctor                                   says what is wrong and how to mend it`

// exited is how kong asks for the end of the process, after --help.
type exited int

// execute runs one command line and gives the exit code.
func execute(ctx context.Context, args []string, s surroundings) (code int) {
	defer func() {
		if p := recover(); p != nil {
			e, ok := p.(exited)
			if !ok {
				panic(p)
			}
			code = int(e)
		}
	}()
	var cli commands
	parser, err := kong.New(&cli,
		kong.Name("sluice"), kong.Description(description), kong.Writers(s.stdout, s.stderr),
		kong.Exit(func(c int) { panic(exited(c)) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 120}),
		kong.WithHyphenPrefixedParameters(true), // --sort -size
		kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(s),
	)
	if err != nil {
		return report(s.stderr, err)
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		var p *kong.ParseError
		if errors.As(err, &p) && p.Context != nil {
			command := strings.TrimSpace("sluice " + p.Context.Command())
			say(s.stderr, "sluice: %v\nfix: %s --help shows what it takes\n", err, command)
		} else {
			say(s.stderr, "sluice: %v\nfix: sluice --help shows the commands\n", err)
		}
		return exitUsage
	}
	return report(s.stderr, parsed.Run())
}

// errInterrupted ends a command that the user ended.
var errInterrupted = errors.New("interrupted")

// errFound ends a command that has said all there is to say.
var errFound = errors.New("problems found")

// report prints an error as a line with the cause and one with the fix.
func report(w io.Writer, err error) int {
	if err == nil {
		return exitOK
	}
	if errors.Is(err, errFound) {
		return exitFailure
	}
	if r, ok := errors.AsType[*configs.Refusal](err); ok {
		say(w, "sluice: %s\nfix: %s\n", oneLine(r.Cause), oneLine(r.Fix))
	} else {
		say(w, "sluice: %s\n", oneLine(err.Error()))
	}
	if errors.Is(err, errInterrupted) {
		return exitInterrupted
	}
	return exitFailure
}

// say writes to people. When nobody can be written to, there is nobody to tell.
func say(w io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) }

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

func refuse(err error, fix, format string, args ...any) error {
	return &configs.Refusal{Cause: fmt.Sprintf(format, args...), Fix: fix, Err: err}
}
