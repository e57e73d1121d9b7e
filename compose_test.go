package sluice_test

import (
	"crypto/rand"
	"encoding/base64"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"sluice/configs"
)

// composeFile is what these tests look at in compose.yaml.
type composeFile struct {
	Services map[string]struct {
		Image       string            `yaml:"image"`
		Build       string            `yaml:"build"`
		Environment map[string]string `yaml:"environment"`
		Volumes     []string          `yaml:"volumes"`
		DependsOn   map[string]any    `yaml:"depends_on"`
	} `yaml:"services"`
	Volumes map[string]any `yaml:"volumes"`
}

// TestComposeStartsWhatItNames holds compose.yaml to the gateway's own settings, to the files it mounts and to its example of secrets. No
// engine runs here: that the images start is not shown by this.
func TestComposeStartsWhatItNames(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	example, err := os.ReadFile("configs/compose.env.example")
	if err != nil {
		t.Fatal(err)
	}
	secrets := map[string]string{}
	for line := range strings.Lines(string(example)) {
		if name, _, ok := strings.Cut(line, "="); ok && !strings.HasPrefix(line, "#") {
			secrets[name] = rand.Text() + rand.Text()
		}
	}
	secrets["SIGNING_KEYS"] = "1:sign:" + base64.StdEncoding.EncodeToString([]byte(rand.Text()+rand.Text()))
	secrets["PUBLIC_URL"] = "http://localhost:8080"
	filled := regexp.MustCompile(`\$\{([A-Z0-9_]+)(:[-?][^}]*)?\}`).ReplaceAllStringFunc(string(text), func(v string) string {
		name := strings.Trim(strings.FieldsFunc(v, func(r rune) bool { return r == ':' || r == '}' })[0], "${")
		s, ok := secrets[name]
		if !ok {
			t.Errorf("%s is not in configs/compose.env.example", name)
		}
		return s
	})
	var c composeFile
	if err := yaml.Unmarshal([]byte(filled), &c); err != nil {
		t.Fatal(err)
	}
	gateways := 0
	for name, s := range c.Services {
		if (s.Image == "") == (s.Build == "") {
			t.Errorf("%s has an image or is built", name)
		}
		if strings.HasSuffix(s.Image, ":latest") || s.Image != "" && !strings.Contains(s.Image, ":") {
			t.Errorf("%s: the image %s names no version", name, s.Image)
		}
		for other := range s.DependsOn {
			if _, ok := c.Services[other]; !ok {
				t.Errorf("%s depends on %s, which is not there", name, other)
			}
		}
		for _, v := range s.Volumes {
			from, _, _ := strings.Cut(v, ":")
			if _, named := c.Volumes[from]; named {
				continue
			}
			if _, err := os.Stat(from); err != nil {
				t.Errorf("%s mounts %s: %v", name, from, err)
			}
		}
		if s.Build != "" {
			gateways++
			startable(t, name, s.Environment, c)
		}
	}
	if gateways != 2 {
		t.Errorf("%d gateways, want 2", gateways)
	}
}

// startable reads a gateway's environment as the gateway does, with the image's own profile.
func startable(t *testing.T, name string, environment map[string]string, c composeFile) {
	t.Helper()
	environ := []string{"SLUICE_PROFILE=production", "DATA_DIR=/data"}
	for k, v := range environment {
		environ = append(environ, k+"="+v)
	}
	l, err := configs.Load(configs.Input{Environ: environ})
	if err == nil {
		err = l.Check()
	}
	if err != nil {
		t.Errorf("%s would not start: %v", name, err)
		return
	}
	for _, host := range []string{l.DB.Host, "redis", "mongo", "s3"} {
		if _, ok := c.Services[host]; !ok {
			t.Errorf("%s asks %s, which is not there", name, host)
		}
	}
}
