package main

import (
	"encoding/json"
	"io"
	"strings"

	"sluice/configs"
)

// sources are the flags that say where the configuration is. Every command that needs one embeds them.
type sources struct {
	Config  string            `placeholder:"FILE" help:"YAML file with settings (SLUICE_CONFIG)."`
	EnvFile string            `placeholder:"FILE" help:"File with variables, as .env (SLUICE_ENV_FILE)."`
	DataDir string            `placeholder:"DIR" help:"Where bytes, catalogue and keys are (DATA_DIR)."`
	Set     map[string]string `placeholder:"KEY=VALUE" help:"Any setting by its key in the YAML file, as uploads.max_size=10GiB."`
}

func (f *sources) load(s surroundings, more map[string]string) (*configs.Loaded, error) {
	flags := map[string]string{}
	for k, v := range f.Set {
		flags[k] = v
	}
	for k, v := range more {
		if v != "" {
			flags[k] = v
		}
	}
	if f.DataDir != "" {
		flags["data_dir"] = f.DataDir
	}
	return configs.Load(configs.Input{File: f.Config, EnvFile: f.EnvFile, Environ: s.environ, Flags: flags})
}

// variable reads one variable of the environment.
func (s surroundings) variable(name string) string {
	for _, e := range s.environ {
		if v, ok := strings.CutPrefix(e, name+"="); ok {
			return v
		}
	}
	return ""
}

// printLine writes v on a line of its own, so that a script reads one after the other.
func printLine(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
