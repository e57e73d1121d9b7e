package configs

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// DefaultYAML documents every setting with its default value.
//
//go:embed default.yaml
var DefaultYAML string

// ProductionYAML is an example for a gateway behind a proxy.
//
//go:embed production.yaml
var ProductionYAML string

// Input is where the configuration is looked for, beside the defaults.
type Input struct {
	File    string            // a YAML file; "" takes SLUICE_CONFIG, and without that none
	EnvFile string            // a .env file; "" takes SLUICE_ENV_FILE, and without that ./.env where there is one
	Environ []string          // NAME=value, as os.Environ gives it
	Flags   map[string]string // by key: "port"
}

// Loaded is a configuration and where each of its values came from.
type Loaded struct {
	Config

	origins map[string]string
	env     map[string]variable
}

type variable struct{ value, origin string }

// Load reads the sources in their order, defaults < file < .env < environment < flags. An error is a *Refusal. Load does not Check:
// commands that need little must work with little.
func Load(in Input) (*Loaded, error) {
	l := &Loaded{Config: Default(), origins: map[string]string{}, env: map[string]variable{}}
	if err := l.readEnvironment(in); err != nil {
		return nil, err
	}
	file := in.File
	if file == "" {
		file = l.env["SLUICE_CONFIG"].value
	}
	leaves, err := readFile(file)
	if err != nil {
		return nil, err
	}
	if err := l.findBackends(file, leaves, in.Flags); err != nil {
		return nil, err
	}
	all := settings(&l.Config)
	if err := l.applyFile(all, file, leaves); err != nil {
		return nil, err
	}
	if err := l.applyEnvironment(all); err != nil {
		return nil, err
	}
	if err := l.applyFlags(all, in.Flags); err != nil {
		return nil, err
	}
	// Who names a database by its URL means it to be used, unless DB_ENABLED says otherwise.
	if l.origins["db.enabled"] == "" && !l.DB.URL.Empty() {
		l.DB.Enabled = true
		l.origins["db.enabled"] = "implied by DATABASE_URL"
	}
	l.implyStorage()
	if err := l.refuseIdle(); err != nil {
		return nil, err
	}
	return l, nil
}

// Variable gives a variable of the environment or the .env file that is no setting, such as SLUICE_TOKEN.
func (l *Loaded) Variable(name string) string { return l.env[name].value }

func (l *Loaded) readEnvironment(in Input) error {
	environ := map[string]string{}
	for _, e := range in.Environ {
		// An empty variable is an unset one: compose files and CI systems pass empty ones for what nobody set.
		if name, v, ok := strings.Cut(e, "="); ok && v != "" {
			environ[name] = v
		}
	}
	path, wanted := in.EnvFile, true
	if path == "" {
		path = environ["SLUICE_ENV_FILE"]
	}
	if path == "" {
		path, wanted = ".env", false
	}
	data, err := os.ReadFile(path)
	if err != nil && (wanted || !errors.Is(err, fs.ErrNotExist)) {
		return refuse(fmt.Sprintf("the file %s cannot be read: %v", path, reason(err)), "name a readable file with --env-file or SLUICE_ENV_FILE", err)
	}
	vars, err := ParseDotenv(string(data))
	if err != nil {
		return refuse(fmt.Sprintf("the file %s cannot be read: %v", path, err), "correct that line", err)
	}
	for _, v := range vars {
		if v.Value != "" {
			l.env[v.Name] = variable{v.Value, fmt.Sprintf("%s:%d", path, v.Line)}
		}
	}
	for name, v := range environ {
		l.env[name] = variable{v, "environment"}
	}
	return nil
}

// reason takes the path out of a file error: it is named already.
func reason(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

// readFile gives what a YAML file holds; "" is none.
func readFile(path string) ([]leaf, error) {
	if path == "" {
		return nil, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, refuse(fmt.Sprintf("the configuration file %s cannot be read: %v", path, reason(err)), "name a readable YAML file with --config or SLUICE_CONFIG", err)
	}
	leaves, err := parseYAML(data)
	if err != nil {
		return nil, refuse(fmt.Sprintf("the configuration file %s cannot be read: %v", path, err), "correct it; configs/default.yaml shows the form", err)
	}
	return leaves, nil
}

func (l *Loaded) applyFile(all []setting, path string, leaves []leaf) error {
	for _, leaf := range leaves {
		if leaf.none {
			continue
		}
		var err error
		origin := fmt.Sprintf("%s:%d", path, leaf.line)
		i := slices.IndexFunc(all, func(s setting) bool { return s.key == leaf.key })
		if i < 0 {
			return refuse(fmt.Sprintf("%s: unknown key %s", origin, leaf.key), suggest(leaf.key, keys(all)), nil)
		}
		s := all[i]
		switch {
		case leaf.many && s.list == nil:
			err = errors.New("it takes one value, not a list")
		case leaf.many:
			err = s.list(leaf.list)
		default:
			err = s.set(leaf.text)
		}
		if err != nil {
			return badValue(origin, leaf.key, s, err)
		}
		l.origins[s.key] = origin
	}
	return nil
}

func keys(all []setting) []string {
	var names []string
	for _, s := range all {
		names = append(names, s.key)
	}
	return names
}

// badValue keeps the value of a secret out of the message, and the fix of an error that has one.
func badValue(origin, name string, s setting, err error) error {
	if r, ok := errors.AsType[*Refusal](err); ok {
		return refuse(fmt.Sprintf("%s: %s: %s", origin, name, r.Cause), r.Fix, err)
	}
	if s.secret {
		err = errors.New("its value cannot be used")
	}
	return refuse(fmt.Sprintf("%s: %s: %v", origin, name, err), "correct that value; configs/default.yaml says what it takes", err)
}

func (l *Loaded) applyEnvironment(all []setting) error {
	known := foreign()
	for _, s := range all {
		known = append(known, s.env)
		v, ok := l.env[s.env]
		if !ok {
			continue
		}
		if err := s.set(v.value); err != nil {
			return badValue(v.origin, s.env, s, err)
		}
		l.origins[s.key] = v.origin
	}
	var unknown []string
	for name := range l.env {
		if strings.HasPrefix(name, "SLUICE_") && !slices.Contains(known, name) {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) > 0 {
		slices.Sort(unknown)
		return refuse(fmt.Sprintf("%s: unknown variable %s", l.env[unknown[0]].origin, unknown[0]), suggest(unknown[0], known), nil)
	}
	return nil
}

func (l *Loaded) applyFlags(all []setting, flags map[string]string) error {
	for key, v := range flags {
		i := slices.IndexFunc(all, func(s setting) bool { return s.key == key })
		if i < 0 {
			return refuse("--set: unknown key "+key, suggest(key, keys(all)), nil)
		}
		if err := all[i].set(v); err != nil {
			return badValue("flag", key, all[i], err)
		}
		l.origins[key] = "flag"
	}
	// A port asked for by a flag wins over the one in a LISTEN from elsewhere.
	if _, ok := flags["port"]; ok {
		if _, both := flags["listen"]; !both {
			l.Listen = withoutPort(l.Listen)
		}
	}
	return nil
}

func withoutPort(listen string) string {
	if i := strings.LastIndexByte(listen, ':'); i >= 0 && !strings.HasSuffix(listen, "]") && !strings.Contains(listen[:i], "::") {
		return strings.TrimSuffix(strings.TrimPrefix(listen[:i], "["), "]")
	}
	return listen
}

// Setting is one line of the effective configuration, fit to be shown: secrets are masked.
type Setting struct {
	Key    string `json:"key"`
	Env    string `json:"env"`
	Value  string `json:"value"`
	Origin string `json:"origin"` // "default", "environment", "flag", or file and line
}

// Settings lists the effective configuration.
func (l *Loaded) Settings() []Setting {
	var shown []Setting
	for _, s := range settings(&l.Config) {
		if slices.ContainsFunc(l.Storage.Backends, func(b Backend) bool { return strings.HasPrefix(s.key, backendKey(b.Name, "")) && b.idle(s.key) }) {
			continue
		}
		origin := l.origins[s.key]
		if origin == "" {
			origin = "default"
		}
		shown = append(shown, Setting{s.key, s.env, s.text(), origin})
	}
	return shown
}

// Origin tells where the value of a key came from.
func (l *Loaded) Origin(key string) string { return l.origins[key] }
