package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"strconv"
	"syscall"
	"time"

	"sluice/catalogue"
	"sluice/configs"
	"sluice/media"
)

type serveCommand struct {
	sources
	Listen  string `placeholder:"HOST:PORT" help:"Where to listen (LISTEN)."`
	Port    string `placeholder:"PORT" help:"The port alone (PORT)."`
	Profile string `enum:"development,production," default:"" help:"development or production (SLUICE_PROFILE)."`
}

// Help teaches by examples.
func (serveCommand) Help() string {
	return `Without settings it serves this machine only, keeps everything in ./data and makes its own keys there.

  sluice serve
  sluice serve --listen 127.0.0.1:5000 --data-dir ./data --config sluice.yaml
  DB_ENABLED=true DB_NAME="ebay lms" DB_USER=lms DB_PASSWORD=... sluice serve
  SLUICE_PROFILE=production JWT_SECRET=... SLUICE_SIGNING_KEYS=1:sign:... sluice serve

SIGTERM or Ctrl-C stops it within 10 seconds: /readyz says 503 for SLUICE_DRAIN_DELAY, then the listener closes, running
requests go on for SLUICE_SHUTDOWN_GRACE, uploads keep the bytes that came. A second one ends it at once. Without a database at start it waits SLUICE_DB_CONNECT_WAIT.`
}

// Run serves until a signal.
func (c *serveCommand) Run(ctx context.Context, s surroundings) error {
	l, err := c.load(s, map[string]string{"listen": c.Listen, "port": c.Port, "profile": c.Profile})
	if err != nil {
		return err
	}
	if err := l.Check(); err != nil {
		return err
	}
	if err := os.MkdirAll(l.DataDir, 0o700); err != nil {
		return refuse(err, "set DATA_DIR to a folder that the process may write", "the data directory %s cannot be made: %v", l.DataDir, err)
	}
	thrifty, end := context.WithCancel(context.WithoutCancel(ctx))
	saver := make(chan struct{})
	go func() {
		defer close(saver)
		thrift(thrifty, s.environ)
	}()
	defer func() {
		end()
		<-saver
	}()
	firstStart, err := l.MakeKeys()
	if err != nil {
		return err
	}
	listener, err := listen(ctx, l.Address(), "set PORT or LISTEN to another")
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }() // Serve has closed it already, unless the start failed
	operators, err := listenForOperators(ctx, &l.Config)
	if err != nil {
		return err
	}
	if operators != nil {
		defer func() { _ = operators.Close() }() // as above
	}
	log := newLogger(&l.Config, s)
	if n := len(l.JWT.Secret.Reveal()); n > 0 && n < configs.MinSecret {
		log.Warn("a short secret can be guessed: production refuses it", slog.String("variable", "JWT_SECRET"), slog.Int("bytes", n), slog.Int("least", configs.MinSecret))
	}
	a, err := start(ctx, l, s.stdout, log)
	if ctx.Err() != nil && (err == nil || errors.Is(err, media.Unavailable) || errors.Is(err, context.Canceled)) {
		log.Info("stopped before it served")
		if a == nil {
			return nil
		}
		return a.close() //nolint:contextcheck // ctx has ended: closing has limits of its own
	}
	if err != nil {
		return err
	}
	port := listener.Addr().(*net.TCPAddr).Port //nolint:errcheck,forcetypeassert // listen listens on TCP
	say(s.stdout, "Server running on port %d\n", port)
	if firstStart {
		welcome(l, port, s.stdout)
	}
	return within(ctx, stopLimit, func() error {
		return errors.Join(a.serve(ctx, &l.Config, listener, operators, log), a.close()) //nolint:contextcheck // ctx has ended: closing has limits of its own
	})
}

// A stop takes configs.MaxStop for requests, cutWait for those that were cut, twice countsWait for the counts. stopLimit is for what
// hangs although it has a limit, such as a disk that no longer answers.
const (
	cutWait    = 500 * time.Millisecond
	countsWait = 500 * time.Millisecond
	stopLimit  = 9800 * time.Millisecond
)

// within runs f, and waits no longer than limit for it once ctx has ended. What still runs then ends with the process.
func within(ctx context.Context, limit time.Duration, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return refuse(context.DeadlineExceeded, "start it again: acknowledged bytes and counts are on the disk; sluice doctor looks for what hangs",
			"the stop took longer than %v and was cut", limit)
	}
}

// listen says what a port in use means.
func listen(ctx context.Context, address, fix string) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	switch {
	case err == nil:
		return l, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, refuse(err, "stop the process that has it, or "+fix, "the address %s is in use", address)
	case errors.Is(err, syscall.EACCES):
		return nil, refuse(err, fix+" of 1024 or above", "the address %s is not allowed to this user", address)
	}
	return nil, refuse(err, fix, "cannot listen on %s: %v", address, err)
}

// start opens the catalogue and wires the application, and says each step as it is done.
func start(ctx context.Context, l *configs.Loaded, out io.Writer, log *slog.Logger) (*application, error) {
	var hear told
	records, err := openRecords(ctx, &l.Config, hear.records.changed, out, log)
	if err != nil {
		return nil, err
	}
	common, err := openRedis(ctx, &l.Config, out, log)
	if err != nil {
		return nil, errors.Join(err, records.Close())
	}
	common.records = records
	books, err := openCatalogue(ctx, &l.Config, catalogue.Options{Changed: hear.assets.changed, Counted: hear.counted, Logger: log})
	if err != nil {
		return nil, errors.Join(err, common.close())
	}
	if l.DB.Enabled {
		say(out, "PostgreSQL connected successfully\n")
	} else {
		say(out, "SQLite catalogue opened (embedded; DB_ENABLED=false)\n")
	}
	if err := books.Migrate(ctx); err != nil {
		return nil, errors.Join(refuse(err, "sluice doctor checks the catalogue; the database user must own its tables", "the catalogue's schema cannot be brought up: %v", err), common.close(), books.Close())
	}
	if l.DB.Enabled {
		say(out, "PostgreSQL models synchronized\n")
	} else {
		say(out, "SQLite models synchronized\n")
	}
	if err := common.openBus(ctx, &l.Config); err != nil {
		return nil, errors.Join(err, common.close(), books.Close())
	}
	a, err := wire(ctx, &l.Config, books, common, &hear, log)
	if err != nil {
		return nil, err
	}
	if err := a.backends.prove(ctx, out); err != nil {
		return nil, errors.Join(err, a.close()) //nolint:contextcheck // as above
	}
	// Before the first request: a restart must not open what was revoked.
	if err := a.denied.Load(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("read the revocations: %w", err), a.close()) //nolint:contextcheck // as above
	}
	return a, nil
}

// welcome prints, once, what a newcomer needs.
func welcome(l *configs.Loaded, port int, out io.Writer) {
	base := "http://localhost:" + strconv.Itoa(port)
	flags := ""
	if l.DataDir != "./data" {
		flags += " --data-dir " + l.DataDir
	}
	if port != 5000 {
		flags += " --server " + base
	}
	token, err := mint(&l.Config, localAdmin, "admin", 24*time.Hour)
	if err != nil { // keys of others check the logins: there is nothing to give
		return
	}
	say(out, `
First start: keys were made in %s.
An admin's token for today, shown this once (sluice token --subject me --role admin makes another):

  export SLUICE_TOKEN=%s

Try it:

  sluice demo%s
  sluice upload lecture.mp4 --course 507f1f77bcf86cd799439011 --video-type intro%s
  sluice link ID --expires 2h%s
  curl -H "Authorization: Bearer $SLUICE_TOKEN" %s/api/media
  %s/api/docs in a browser

`, l.Path("keys"), token, flags, flags, flags, base, base)
}

// serve runs until ctx ends or something fails, and leaves nothing running.
func (a *application) serve(ctx context.Context, c *configs.Config, l, operators net.Listener, log *slog.Logger) error {
	background, stopBackground := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBackground()
	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	defer stopServing()

	ended := make(chan error, 1)
	go func() { // what must run fails: nothing is served any more
		err := a.run(background)
		stopServing()
		ended <- err
	}()
	closeMetrics := serveMetrics(operators, a.metrics(), log)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		a.drain(ctx, serving, stopServing, c, log)
	}()
	err := a.gateway.Serve(serving, l)
	stopServing()
	<-stopped
	// Whoever was cut may still be writing down what came.
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), cutWait)
	defer cancel()
	err = errors.Join(err, a.uploads.Shutdown(last))
	stopBackground()
	err = errors.Join(err, <-ended, closeMetrics())
	log.Info("stopped")
	return err
}

// drain waits for the signal, takes the node out of its balancer, asks uploads to answer with what they have, and stops the listener.
func (a *application) drain(ctx, serving context.Context, stopServing func(), c *configs.Config, log *slog.Logger) {
	select {
	case <-ctx.Done():
	case <-serving.Done():
		return
	}
	log.Info("stopping", slog.Duration("grace", c.ShutdownGrace))
	a.gateway.Drain()
	if c.DrainDelay > 0 {
		delay := time.NewTimer(c.DrainDelay)
		defer delay.Stop()
		select {
		case <-delay.C:
		case <-serving.Done():
		}
	}
	stopServing()
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace(c))
	defer cancel()
	if err := a.uploads.Shutdown(grace); err != nil {
		log.Warn("uploads were cut", slog.Any("error", err))
	}
}

// shutdownGrace keeps a grace of zero from meaning the gateway's own default.
func shutdownGrace(c *configs.Config) time.Duration { return max(c.ShutdownGrace, time.Millisecond) }

// listenForOperators opens the listener for metrics, when there is one.
func listenForOperators(ctx context.Context, c *configs.Config) (net.Listener, error) {
	if c.Metrics.Listen == "" {
		return nil, nil
	}
	return listen(ctx, c.Metrics.Listen, "set SLUICE_METRICS_LISTEN to another")
}

// serveMetrics answers operators until closeAll.
func serveMetrics(l net.Listener, metrics http.Handler, log *slog.Logger) (closeAll func() error) {
	if l == nil {
		return func() error { return nil }
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics)
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			log.Error("metrics listener ended", slog.Any("error", err))
		}
	}()
	return func() error {
		err := server.Close()
		<-done
		return err
	}
}

func newLogger(c *configs.Config, s surroundings) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Log.Level)); err != nil {
		level = slog.LevelInfo
	}
	o := &slog.HandlerOptions{Level: level}
	if c.Log.Format == "text" || c.Log.Format == "auto" && s.terminal {
		return slog.New(slog.NewTextHandler(s.stderr, o))
	}
	return slog.New(slog.NewJSONHandler(s.stderr, o))
}
