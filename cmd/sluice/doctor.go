package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"sluice/catalogue"
	"sluice/configs"
)

type doctorCommand struct {
	sources
	JSON bool `name:"json" help:"As JSON."`
}

// Help teaches by examples.
func (doctorCommand) Help() string {
	return `Looks with the eyes of the gateway: run it as the same user, with the same environment and files, beside a running one
if you like. It makes no directories, keys or tables; it writes a small file into the data directory, or where that would be made,
and removes it, reads every page of an embedded catalogue, and puts, reads and deletes a small object in each backend, under doctor/
below its prefix. Exit code 1 when something is wrong; a warning is none.

  sluice doctor
  sluice doctor --json | jq '.[] | select(.ok | not)'`
}

// finding is what one check saw.
type finding struct {
	Check   string `json:"check"`
	OK      bool   `json:"ok"`
	Warning bool   `json:"warning,omitempty"` // it will do for now
	Saw     string `json:"saw,omitempty"`
	Cause   string `json:"cause,omitempty"`
	Fix     string `json:"fix,omitempty"`
}

// caution is the error of a check that finds nothing wrong, and something to be mended all the same.
type caution struct{ error }

// Unwrap gives what it is about.
func (c caution) Unwrap() error { return c.error }

// Run checks everything, also after a check has failed.
func (c *doctorCommand) Run(ctx context.Context, s surroundings) error {
	findings := c.examine(ctx, s)
	wrong := false
	for _, f := range findings {
		wrong = wrong || !f.OK
	}
	if c.JSON {
		if err := printJSON(s.stdout, findings); err != nil {
			return err
		}
	} else {
		width := 14
		for _, f := range findings {
			width = max(width, len(f.Check))
		}
		for _, f := range findings {
			switch {
			case f.Warning:
				say(s.stdout, "warn   %-*s %s\n       %-*s fix: %s\n", width, f.Check, f.Cause, width, "", f.Fix)
			case f.OK:
				say(s.stdout, "ok     %-*s %s\n", width, f.Check, f.Saw)
			default:
				say(s.stdout, "WRONG  %-*s %s\n       %-*s fix: %s\n", width, f.Check, f.Cause, width, "", f.Fix)
			}
		}
	}
	if wrong {
		return errFound
	}
	return nil
}

func (c *doctorCommand) examine(ctx context.Context, s surroundings) []finding {
	l, err := c.load(s, nil)
	if err == nil {
		err = l.Check()
	}
	if err != nil {
		return []finding{judge("configuration", "", err)}
	}
	findings := []finding{judge("configuration", string(l.Profile)+" profile", nil)}
	type check struct {
		name string
		look func(context.Context, *configs.Loaded) (string, error)
	}
	checks := []check{
		{"data directory", lookDataDir},
		{"free space", lookFreeSpace},
		{"descriptors", lookDescriptors},
		{"clock", lookClock},
		{"keys", lookKeys},
		{"port", lookPort},
		{"catalogue", lookCatalogue},
		{"records", lookRecords},
		{"redis", lookRedis},
		{"backends", lookUnknown},
	}
	for _, b := range l.Backends() {
		checks = append(checks, check{"storage " + b.Name, func(ctx context.Context, l *configs.Loaded) (string, error) { return lookBackend(ctx, l, b) }})
	}
	for _, check := range checks {
		saw, err := check.look(ctx, l)
		findings = append(findings, judge(check.name, saw, err))
	}
	return findings
}

func judge(check, saw string, err error) finding {
	if err == nil {
		return finding{Check: check, OK: true, Saw: saw}
	}
	_, mild := errors.AsType[caution](err)
	f := finding{Check: check, OK: mild, Warning: mild, Cause: oneLine(err.Error()), Fix: "see the cause"}
	if r, ok := errors.AsType[*configs.Refusal](err); ok {
		f.Cause, f.Fix = oneLine(r.Cause), oneLine(r.Fix)
	}
	return f
}

func lookDataDir(_ context.Context, l *configs.Loaded) (string, error) {
	info, err := os.Stat(l.DataDir)
	if errors.Is(err, os.ErrNotExist) {
		if err := canMake(l.DataDir); err != nil {
			return "", err
		}
		return l.DataDir + " is not there yet; the first start makes it", nil
	}
	if err != nil || !info.IsDir() {
		return "", refuse(err, "set DATA_DIR to a folder", "%s is not a folder that can be read", l.DataDir)
	}
	if err := canWrite(l.DataDir); err != nil {
		return "", err
	}
	return l.DataDir + " can be written", nil
}

// canMake refuses a folder that is not there and that this user could not make.
func canMake(dir string) error {
	parent, err := nearest(dir)
	if err != nil {
		return err
	}
	// access(2) would not know of file systems that take nothing, and says yes to root.
	f, err := os.CreateTemp(parent, ".doctor-*")
	if err == nil {
		err = errors.Join(f.Close(), os.Remove(f.Name()))
	}
	if err != nil {
		return refuse(err, "make it and give it to the user that runs the gateway: mkdir, chown; or name another",
			"%s is not there, and user %d cannot make it: %s cannot be written", dir, os.Getuid(), parent)
	}
	return nil
}

// canWrite refuses a folder in which a file cannot be written, synced and removed.
func canWrite(dir string) error {
	f, err := os.CreateTemp(dir, ".doctor-*")
	if err != nil {
		return refuse(err, "give it to the user that runs the gateway: chown", "%s cannot be written by user %d", dir, os.Getuid())
	}
	_, err = f.WriteString("written")
	if err = errors.Join(err, f.Sync(), f.Close(), os.Remove(f.Name())); err != nil {
		return refuse(err, "look at the disk: dmesg, df", "a file in %s cannot be written and synced", dir)
	}
	return nil
}

// nearest gives the folder that is there, and that dir is, or would be made in.
func nearest(dir string) (string, error) {
	full, err := filepath.Abs(dir)
	if err != nil {
		return "", refuse(err, "set DATA_DIR to a folder", "%s cannot be found", dir)
	}
	for at := full; ; at = filepath.Dir(at) {
		info, err := os.Stat(at)
		switch {
		case errors.Is(err, os.ErrNotExist) && at != filepath.Dir(at):
		case err != nil || !info.IsDir():
			return "", refuse(err, "set DATA_DIR to a folder", "%s cannot be made: %s is not a folder that can be read", dir, at)
		default:
			return at, nil
		}
	}
}

// fewDescriptors leaves too little for a busy gateway: a connection takes one, and a file that is read or written another. Go raises the
// soft limit to the hard one by itself.
const fewDescriptors = 8192

func lookDescriptors(context.Context, *configs.Loaded) (string, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return "", refuse(err, "look at ulimit -Hn", "the limit of open files cannot be read")
	}
	if limit.Max < fewDescriptors {
		return "", caution{refuse(nil, "raise it: ulimit -Hn, LimitNOFILE of systemd, --ulimit nofile of a container",
			"at most %d files and connections may be open at once; %d serve some thousand clients", limit.Max, fewDescriptors)}
	}
	return fmt.Sprintf("%d may be open at once", limit.Max), nil
}

func lookFreeSpace(_ context.Context, l *configs.Loaded) (string, error) {
	dir, err := nearest(l.DataDir)
	if err != nil {
		return "", err
	}
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return "", refuse(err, "look at the disk: df", "the free space of %s cannot be read", dir)
	}
	free := int64(fs.Bavail) * fs.Bsize //nolint:gosec // blocks of a real disk
	if free < int64(l.Storage.MinFree)+(64<<20) {
		return "", refuse(nil, "delete media (sluice ls --sort -size, sluice rm), enlarge the disk, or lower SLUICE_MIN_FREE",
			"%s are free, uploads stop at %s", human(free), human(int64(l.Storage.MinFree)))
	}
	if fs.Files > 0 && fs.Ffree < 1000 {
		return "", refuse(nil, "delete small files, or make the file system anew with more inodes", "%d inodes are free", fs.Ffree)
	}
	return human(free) + " free", nil
}

// A clock that stands this far behind what it stamped itself has been set back; NTP's own steps are smaller.
const clockSlack = 90 * time.Second

// lookClock compares the clock with the file system's, which may be another machine's, and with the newest file that the gateway has
// written: by a clock that was set back, tokens and links that have expired would hold again.
func lookClock(_ context.Context, l *configs.Loaded) (string, error) {
	if _, err := os.Stat(l.DataDir); errors.Is(err, os.ErrNotExist) {
		return time.Now().UTC().Format(time.RFC3339) + "; there is nothing yet to compare it with", nil
	}
	f, err := os.CreateTemp(l.DataDir, ".doctor-*")
	if err != nil {
		return "", refuse(err, "give it to the user that runs the gateway: chown", "%s cannot be written by user %d", l.DataDir, os.Getuid())
	}
	info, err := f.Stat()
	now := time.Now()
	if err = errors.Join(err, f.Close(), os.Remove(f.Name())); err != nil {
		return "", refuse(err, "look at the disk: dmesg, df", "a file in %s cannot be made and removed", l.DataDir)
	}
	if d := now.Sub(info.ModTime()); d.Abs() > clockSlack {
		return "", refuse(nil, "let both machines follow NTP: timedatectl set-ntp true", "the clock is %v away from the one of the file system of %s", d.Abs().Round(time.Second), l.DataDir)
	}
	newest := time.Time{}
	for _, pattern := range []string{l.Path("catalogue.db*"), l.Path("journal", "*"), l.Path("keys", "*")} {
		paths, err := filepath.Glob(pattern)
		if err != nil { // the directory's name holds a bracket: it is read as a pattern
			continue
		}
		for _, path := range paths {
			if info, err := os.Stat(path); err == nil && info.ModTime().After(newest) {
				newest = info.ModTime()
			}
		}
	}
	if d := newest.Sub(now); d > clockSlack {
		return "", refuse(nil, "set it right: timedatectl set-ntp true", "the clock says %s, %v before the gateway's newest file: it was set back", now.UTC().Format(time.RFC3339), d.Round(time.Second))
	}
	return now.UTC().Format(time.RFC3339) + ", in step with the data directory", nil
}

func lookKeys(_ context.Context, l *configs.Loaded) (string, error) {
	if err := l.FindKeys(); err != nil {
		return "", err
	}
	if len(l.Signing.Keys) > 0 {
		if _, err := newRing(&l.Config); err != nil {
			return "", err
		}
	}
	if _, err := apiKeys(&l.Config); err != nil {
		return "", err
	}
	switch {
	case l.JWT.JWKSURL != "":
		return "logins are checked with " + l.JWT.JWKSURL, nil
	case l.JWT.Secret.Empty():
		return "none yet; the first start makes them", nil
	}
	return "logins are checked with a secret from " + l.Origin("jwt.secret"), nil
}

// lookPort is content with a port that a gateway of ours has.
func lookPort(ctx context.Context, l *configs.Loaded) (string, error) {
	listener, err := listen(ctx, l.Address(), "set PORT or LISTEN to another")
	if err == nil {
		return l.Address() + " is free", listener.Close()
	}
	own := l.Config
	own.PublicURL = ""
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, reqErr := http.NewRequestWithContext(ctx, http.MethodGet, own.URL()+"/livez", nil)
	if reqErr != nil {
		return "", err
	}
	h := newHTTPClient()
	defer h.CloseIdleConnections()
	resp, reqErr := h.Do(req)
	if reqErr != nil {
		return "", err
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.Header.Get("X-Request-Id") == "" {
		return "", err
	}
	return l.Address() + " is served by a running gateway", nil
}

func lookCatalogue(ctx context.Context, l *configs.Loaded) (saw string, err error) {
	if !l.DB.Enabled {
		if _, err := os.Stat(l.Path("catalogue.db")); err != nil {
			return "SQLite; the first start makes it", nil
		}
	}
	books, err := openCatalogue(ctx, &l.Config, catalogue.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, books.Close()) }()
	fix := restore
	if l.DB.Enabled {
		fix = "look at the database's log"
	}
	if err := books.Check(ctx); err != nil {
		return "", refuse(err, fix, "the catalogue cannot be trusted: %v", err)
	}
	current, latest, err := books.Version(ctx)
	if err != nil {
		return "", refuse(err, fix, "the catalogue cannot be read: %v", err)
	}
	if current > latest {
		return "", refuse(nil, "run a newer sluice", "the schema has version %d, this sluice knows up to %d", current, latest)
	}
	saw = fmt.Sprintf("%s, schema version %d of %d", catalogueName(&l.Config), current, latest)
	if !l.DB.Enabled {
		saw += ", every page is sound"
	}
	if current < latest {
		saw += "; the next start brings it up"
	}
	return saw, nil
}
