package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/configs"
	"sluice/internal/livetest"
)

// command is the sluice binary as a process of its own, in a folder of its own: this test binary, called by that name (see TestMain).
func command(t *testing.T, dir string, env []string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return &exec.Cmd{
		Path: self, Args: append([]string{"sluice"}, args...), Dir: dir,
		Env: append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}, env...),
		// A test that panics leaves none behind.
		SysProcAttr: &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL},
	}
}

// once runs a command to its end.
func once(t *testing.T, dir string, env []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	c := command(t, dir, env, args...)
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	if err := c.Run(); err != nil && c.ProcessState == nil {
		t.Fatal(err)
	}
	return c.ProcessState.ExitCode(), out.String(), errs.String()
}

// process is a running `sluice serve`.
type process struct {
	t        *testing.T
	dir      string
	env      []string
	url      string
	cmd      *exec.Cmd
	out, log *output
	done     chan struct{}
}

var serving = regexp.MustCompile(`Server running on port (\d+)\n`)

// spawn starts a gateway and waits until it serves. Without a --listen or --port of its own it takes a free port.
func spawn(t *testing.T, dir string, env []string, args ...string) *process {
	t.Helper()
	if len(args) == 0 {
		args = []string{"--port", "0"}
	}
	p := &process{t: t, dir: dir, env: env, out: newOutput(), log: newOutput(), done: make(chan struct{})}
	p.cmd = command(t, dir, env, append([]string{"serve"}, args...)...)
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // its outcome stands in ProcessState
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // already gone is as good
		<-p.done
	})
	for {
		if m := serving.FindStringSubmatch(p.out.String()); m != nil {
			p.url = "http://127.0.0.1:" + m[1]
			return p
		}
		select {
		case <-p.out.news:
		case <-p.done:
			t.Fatalf("serve ended with %d: %s%s", p.cmd.ProcessState.ExitCode(), p.out, p.log)
		case <-time.After(20 * time.Second):
			t.Fatalf("serve did not start: %s%s", p.out, p.log)
		}
	}
}

// end sends a signal and waits for the end.
func (p *process) end(sig syscall.Signal) (code int, took time.Duration) {
	p.t.Helper()
	start := time.Now()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Fatal(err)
	}
	select {
	case <-p.done:
	case <-time.After(15 * time.Second):
		p.t.Fatalf("it runs on 15 s after %v: %s", sig, p.log)
	}
	return p.cmd.ProcessState.ExitCode(), time.Since(start)
}

// sluice runs a client command beside it, in its folder and environment.
func (p *process) sluice(args ...string) (code int, stdout, stderr string) {
	p.t.Helper()
	return once(p.t, p.dir, append([]string{"SLUICE_SERVER=" + p.url}, p.env...), args...)
}

func (p *process) must(args ...string) string {
	p.t.Helper()
	code, out, errs := p.sluice(args...)
	if code != 0 {
		p.t.Fatalf("sluice %v = %d: %s", args, code, errs)
	}
	return strings.TrimSpace(out)
}

// status asks for a path and gives the status; 0 when nobody answers.
func status(t *testing.T, method, target string, header map[string]string) (int, http.Header) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, target, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := c.Do(req)
	if err != nil {
		return 0, nil
	}
	_, _ = io.Copy(io.Discard, resp.Body) // only the head counts
	_ = resp.Body.Close()
	return resp.StatusCode, resp.Header
}

// onlyCauseAndFix holds what every failing start must print.
func onlyCauseAndFix(t *testing.T, code int, stdout, stderr string, cause *regexp.Regexp) {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(stderr, "\n"), "\n")
	if code != exitFailure || len(lines) != 2 || !strings.HasPrefix(lines[0], "sluice: ") || !strings.HasPrefix(lines[1], "fix: ") || !cause.MatchString(lines[0]) {
		t.Errorf("exit code %d and %q, want 1, a line of cause with %q and a line of fix", code, stderr, cause)
	}
	if strings.Contains(stdout, "Server running") {
		t.Errorf("it says that it runs: %s", stdout)
	}
}

func writeFile(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTheFirstStartShowsATokenOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	env := []string{"MONGODB_URI=mongodb://u:hunter2hunter2@h/d", "REDIS_URL=redis://:hunter2hunter2@127.0.0.1:1", "SLUICE_LOG_FORMAT=json"}
	p := spawn(t, dir, env)
	var shown [][]string
	livetest.Until(t, 5*time.Second, "the example is printed", func() bool {
		shown = regexp.MustCompile(`export SLUICE_TOKEN=(eyJ\S+)`).FindAllStringSubmatch(p.out.String(), -1)
		return len(shown) > 0 && strings.Contains(p.out.String(), "/api/docs in a browser")
	})
	if len(shown) != 1 || strings.Count(p.out.String(), " SLUICE_TOKEN=") != 1 || strings.Contains(p.log.String(), "eyJ") {
		t.Errorf("the token stands %d times in: %s%s", len(shown), p.out, p.log)
	}
	if code, _ := status(t, http.MethodGet, p.url+"/api/media", map[string]string{"Authorization": "Bearer " + shown[0][1]}); code != http.StatusOK {
		t.Errorf("the token shown opens /api/media with %d, want 200", code)
	}
	// 127.0.0.2 reaches a listener on every interface, and none on 127.0.0.1.
	if code, _ := status(t, http.MethodGet, strings.Replace(p.url, "127.0.0.1", "127.0.0.2", 1)+"/livez", nil); code != 0 {
		t.Errorf("development listens beyond the loopback address: %d", code)
	}
	for _, name := range []string{"jwt-secret", "signing-key"} {
		if info, err := os.Stat(filepath.Join(dir, "data", "keys", name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v, want mode 0600", name, info, err)
		}
	}
	if first := "MongoDB away (media only until it is back)\nSQLite catalogue opened (embedded; DB_ENABLED=false)\nSQLite models synchronized\nServer running on port "; !strings.HasPrefix(p.out.String(), first) {
		t.Errorf("the start says %q, want first %q", p.out, first)
	}
	livetest.Until(t, 5*time.Second, "the log says that there is no Redis", func() bool {
		return strings.Contains(p.log.String(), `"no leases between nodes: each acts by itself until they are back"`)
	})
	if strings.Count(p.log.String(), `"Redis not reachable: `) != 1 || strings.Contains(p.log.String()+p.out.String(), "hunter2") {
		t.Errorf("the log must say once that Redis is not reachable, and no password: %s", p.log)
	}
	if code, _ := p.end(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d after SIGTERM, want 0", code)
	}
	again := spawn(t, dir, nil)
	if strings.Contains(again.out.String(), "eyJ") || !strings.HasPrefix(again.out.String(), "MongoDB not configured (records are kept in entities.db)\n") {
		t.Errorf("the second start says: %s", again.out)
	}
}

func TestTheContractsTokenIsAccepted(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		secret string
		warns  bool
	}{
		"a good secret": {"q8Z1vN4sK7yB2mX5cR9tW3eH6uJ0pLaD", false},
		"a short one works in development, warned": {"short", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			env := []string{"JWT_SECRET=" + c.secret}
			p := spawn(t, dir, env)
			code, token, errs := once(t, dir, env, "token", "--subject", "u1", "--role", "instructor", "--ttl", "1h")
			if code != 0 || errs != "" || !regexp.MustCompile(`^eyJ[\w-]+\.[\w-]+\.[\w-]+\n$`).MatchString(token) {
				t.Fatalf("sluice token = %d, %q, %q, want the JWT alone", code, token, errs)
			}
			if code, _ := status(t, http.MethodGet, p.url+"/api/media", map[string]string{"Authorization": "Bearer " + strings.TrimSpace(token)}); code != http.StatusOK {
				t.Errorf("the gateway answers %d to it, want 200", code)
			}
			if got := strings.Contains(p.log.String(), "a short secret can be guessed"); got != c.warns || strings.Contains(p.log.String(), `"`+c.secret+`"`) {
				t.Errorf("warned = %v, want %v, and not the secret: %s", got, c.warns, p.log)
			}
		})
	}
}

func TestAShortSecretStopsProduction(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	code, out, errs := once(t, dir, []string{"SLUICE_PROFILE=production", "JWT_SECRET=short"}, "serve", "--port", "0")
	onlyCauseAndFix(t, code, out, errs, regexp.MustCompile("JWT_SECRET is shorter than 32 bytes"))
}

func TestFlagsAndVariablesSayTheSame(t *testing.T) {
	t.Parallel()
	const config = "links: {ttl: 7m}\n"
	for name, c := range map[string]struct {
		env, args []string
		dotenv    string
	}{
		"flags":             {args: []string{"--listen", "127.0.0.1:0", "--data-dir", "there", "--config", "x.yaml"}},
		"variables":         {env: []string{"LISTEN=127.0.0.1:0", "DATA_DIR=there", "SLUICE_CONFIG=x.yaml"}, args: []string{"--profile", "development"}},
		"PORT":              {env: []string{"PORT=0", "DATA_DIR=there", "SLUICE_CONFIG=x.yaml"}, args: []string{"--profile", "development"}},
		"--port":            {args: []string{"--port", "0", "--data-dir", "there", "--config", "x.yaml"}},
		"the folder's .env": {dotenv: "PORT=0\nDATA_DIR=there # beside it\nSLUICE_CONFIG=x.yaml\n", args: []string{"--profile", "development"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			writeFile(t, dir, "x.yaml", config)
			if c.dotenv != "" {
				writeFile(t, dir, ".env", c.dotenv)
			}
			p := spawn(t, dir, c.env, c.args...)
			if code, _ := status(t, http.MethodGet, p.url+"/readyz", nil); code != http.StatusOK {
				t.Errorf("/readyz = %d, want 200", code)
			}
			if _, err := os.Stat(filepath.Join(dir, "there", "catalogue.db")); err != nil {
				t.Errorf("the data directory is not the one named: %v", err)
			}
			port := p.url[strings.LastIndexByte(p.url, ':')+1:]
			if port == "5000" {
				t.Error("the port is the default one")
			}
		})
	}
}

func TestMetricsHaveAListenerOfTheirOwn(t *testing.T) {
	t.Parallel()
	at := freeAddress(t)
	p := spawn(t, t.TempDir(), []string{"SLUICE_METRICS_LISTEN=" + at})
	for target, want := range map[string]int{
		"http://" + at + "/metrics": 200, "http://" + at + "/debug/pprof/": 200, "http://" + at + "/api/media": 404,
		p.url + "/debug/pprof/": 404,
	} {
		if got, _ := status(t, http.MethodGet, target, nil); got != want {
			t.Errorf("GET %s = %d, want %d", strings.Replace(target, at, "METRICS", 1), got, want)
		}
	}
	if got, _ := status(t, http.MethodGet, p.url+"/metrics", nil); got == http.StatusOK {
		t.Error("the public listener shows /metrics to strangers")
	}
	code, out, errs := once(t, t.TempDir(), []string{"SLUICE_METRICS_LISTEN=" + at, "SLUICE_LOG_LEVEL=error"}, "serve", "--port", "0")
	onlyCauseAndFix(t, code, out, errs, regexp.MustCompile("is in use"))
}

func TestConfigShowsEverySettingAndItsOrigin(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeFile(t, dir, ".env", "DB_NAME=ebay lms\n")
	code, out, errs := once(t, dir, []string{"PORT=7000"}, "config", "--json")
	var shown []configs.Setting
	if err := json.Unmarshal([]byte(out), &shown); code != 0 || err != nil {
		t.Fatalf("config = %d, %v: %s", code, err, errs)
	}
	origins := map[string]string{}
	for _, s := range shown {
		if s.Env == "" || s.Origin == "" {
			t.Errorf("%+v has no variable or no origin", s)
		}
		origins[s.Key] = s.Origin
	}
	if len(origins) != 47 || origins["port"] != "environment" || origins["db.name"] != ".env:1" || origins["log.level"] != "default" {
		t.Errorf("%d settings with origins %v, want 47, port by environment, db.name by .env:1", len(origins), origins)
	}
}
