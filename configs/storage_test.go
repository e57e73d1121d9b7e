package configs_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/configs"
)

func names(bs []configs.Backend) string {
	var all []string
	for _, b := range bs {
		all = append(all, b.Name)
	}
	return strings.Join(all, " ")
}

func TestWithoutSettingsThereIsTheLocalDisk(t *testing.T) {
	t.Parallel()
	l := mustLoad(t, configs.Input{Flags: map[string]string{"data_dir": "/d"}})
	if err := l.Check(); err != nil {
		t.Fatal(err)
	}
	got := l.Backends()
	if len(got) != 1 || got[0].Name != "local" || got[0].Type != configs.LocalBackend || got[0].Path != "/d/files" {
		t.Errorf("got %+v, want local in /d/files", got)
	}
}

// example gives the backends and rules that a file shows in its comments.
func example(t *testing.T, file string) string {
	t.Helper()
	_, rest, found := strings.Cut(file, "#\n#   storage:\n")
	if !found {
		t.Fatal("the file shows no example of backends")
	}
	text, _, _ := strings.Cut(rest, "#\n#")
	return "storage:\n" + strings.ReplaceAll("\n"+text, "\n#   ", "\n")
}

func TestTheExampleInProductionYAMLHolds(t *testing.T) {
	t.Parallel()
	l := mustLoad(t, configs.Input{
		File: write(t, "c.yaml", example(t, configs.ProductionYAML)), Environ: []string{"SLUICE_STORAGE_VIDEOS_ACCESS_KEY=a", "SLUICE_STORAGE_VIDEOS_SECRET_KEY=b"},
	})
	if err := l.Check(); err != nil || names(l.Backends()) != "local videos" || l.Storage.Backends[0].SecretKey.Reveal() != "b" {
		t.Errorf("%v: backends %q", err, names(l.Backends()))
	}
}

func TestTheExampleInDefaultYAMLHoldsAndIsComplete(t *testing.T) {
	t.Parallel()
	in := configs.Input{File: write(t, "c.yaml", example(t, configs.DefaultYAML))}
	l := mustLoad(t, in)
	if err := l.Check(); err != nil {
		t.Fatal(err)
	}
	if got := names(l.Backends()); got != "local archive videos" || len(l.Storage.Rules) != 3 {
		t.Errorf("backends %q and %d rules, want the default first and three rules", got, len(l.Storage.Rules))
	}
	shown := 0
	for _, s := range l.Settings() {
		if !strings.HasPrefix(s.Key, "storage.backends.") {
			continue
		}
		shown++
		if s.Origin == "default" {
			t.Errorf("the example does not show %s", s.Key)
		}
	}
	if shown != 14+2 {
		t.Errorf("%d settings of backends are shown, want 14 of S3 and 2 of a folder", shown)
	}
	// What it says are the defaults are the defaults.
	bare := mustLoad(t, configs.Input{File: write(t, "b.yaml", "storage: {backends: {videos: {type: s3}}}")}).Storage.Backends[0]
	full := l.Storage.Backends[1]
	full.Bucket, full.Region, full.AccessKey, full.SecretKey, full.Delivery = "", "", bare.AccessKey, bare.SecretKey, configs.DeliveryProxy
	if diff := cmp.Diff(bare, full, cmp.AllowUnexported(configs.Secret{})); diff != "" {
		t.Errorf("the example differs from the defaults (-code +file):\n%s", diff)
	}
	for _, s := range mustLoad(t, configs.Input{Environ: []string{"SLUICE_S3_BUCKET=lms-videos"}}).Settings() {
		if strings.HasPrefix(s.Key, "storage.backends.s3.") && s.Env != "SLUICE_S3_TYPE" && !strings.Contains(configs.DefaultYAML, s.Env) {
			t.Errorf("default.yaml does not name the variable %s", s.Env)
		}
	}
}

func TestAContainerNeedsOnlyVariablesForS3(t *testing.T) {
	t.Parallel()
	l := mustLoad(t, configs.Input{Environ: []string{
		"SLUICE_S3_BUCKET=media", "SLUICE_S3_ENDPOINT=http://minio:9000", "SLUICE_S3_REGION=eu", "SLUICE_S3_PATH_STYLE=true", "SLUICE_S3_ACCESS_KEY=id", "SLUICE_S3_SECRET_KEY=hunter2",
		"SLUICE_S3_PREFIX=lms/a", "SLUICE_S3_CHECKSUMS=none", "SLUICE_S3_DELIVERY=redirect", "SLUICE_S3_REDIRECT_TTL=1m", "SLUICE_S3_PART_SIZE=16MiB", "SLUICE_S3_IN_FLIGHT=2", "SLUICE_S3_COPY_PARTS=false",
	}})
	if err := l.Check(); err != nil {
		t.Fatal(err)
	}
	got := l.Backends()
	if names(got) != "s3 local" || l.Origin("storage.default") != "implied by SLUICE_S3_BUCKET" {
		t.Fatalf("backends %q, default from %q, want s3 as the default", names(got), l.Origin("storage.default"))
	}
	if id, secret := got[0].AccessKey.Reveal(), got[0].SecretKey.Reveal(); id != "id" || secret != "hunter2" {
		t.Errorf("keys %q, %q", id, secret)
	}
	got[0].AccessKey, got[0].SecretKey = configs.Secret{}, configs.Secret{}
	want := configs.Backend{
		Name: "s3", Type: configs.S3Backend, Bucket: "media", Region: "eu", Endpoint: "http://minio:9000", PathStyle: true, Prefix: "lms/a",
		Checksums: configs.ChecksumsNone, Delivery: configs.DeliveryRedirect, RedirectTTL: time.Minute, PartSize: 16 << 20, InFlight: 2,
	}
	if diff := cmp.Diff(want, got[0], cmp.AllowUnexported(configs.Secret{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	shown, err := json.Marshal([]any{l.Config, l.Settings()})
	if err != nil || strings.Contains(string(shown)+fmt.Sprintf("%+v", l.Config), "hunter2") {
		t.Errorf("the secret is shown, or %v: %s", err, shown)
	}
}

func TestWhichBackendIsTheDefault(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		yaml  string
		env   []string
		flags map[string]string
		want  string
	}{
		"a bucket by variable":                    {env: []string{"SLUICE_S3_BUCKET=b-1"}, want: "s3 local"},
		"a bucket by variable over a file":        {yaml: configs.DefaultYAML, env: []string{"SLUICE_S3_BUCKET=b-1"}, want: "s3 local"},
		"SLUICE_STORAGE says otherwise":           {env: []string{"SLUICE_S3_BUCKET=b-1", "SLUICE_STORAGE=local"}, want: "local s3"},
		"a flag says otherwise":                   {env: []string{"SLUICE_S3_BUCKET=b-1"}, flags: map[string]string{"storage.default": "local"}, want: "local s3"},
		"a bucket in a file implies nothing":      {yaml: "storage: {backends: {s3: {bucket: b-1}}}", want: "local s3"},
		"nor do the keys to it":                   {yaml: "storage: {backends: {s3: {bucket: b-1}}}", env: []string{"SLUICE_S3_ACCESS_KEY=a", "SLUICE_S3_SECRET_KEY=b"}, want: "local s3"},
		"the file's own":                          {yaml: "storage: {default: z, backends: {z: {type: local, path: /z}, a: {type: local, path: /a}}}", want: "z a local"},
		"the name local is taken":                 {yaml: "storage: {backends: {local: {type: s3, bucket: b-1}}}", want: "local"},
		"the local disk elsewhere by variable":    {env: []string{"SLUICE_STORAGE_LOCAL_PATH=/z"}, want: "local"},
		"a backend by flags":                      {flags: map[string]string{"storage.backends.z.type": "local", "storage.backends.z.path": "/z"}, want: "local z"},
		"a variable of a backend with a dash":     {yaml: "storage: {backends: {a-b: {type: local, path: /a}}}", env: []string{"SLUICE_STORAGE_A_B_PATH=/b", "SLUICE_STORAGE=a-b"}, want: "a-b local"},
		"empty variables are unset ones":          {env: []string{"SLUICE_S3_BUCKET=", "SLUICE_S3_ENDPOINT="}, want: "local"},
		"both from a .env file and the variables": {yaml: "", env: []string{"SLUICE_S3_BUCKET=b-1", "SLUICE_STORAGE=s3"}, want: "s3 local"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := configs.Input{Environ: c.env, Flags: c.flags}
			if c.yaml != "" {
				in.File = write(t, "c.yaml", c.yaml)
			}
			l := mustLoad(t, in)
			if err := l.Check(); err != nil {
				t.Fatal(err)
			}
			if got := names(l.Backends()); got != c.want {
				t.Errorf("backends %q, want %q", got, c.want)
			}
		})
	}
}

func TestSettingsOfBackendsHaveOriginsAndAreOverridden(t *testing.T) {
	t.Parallel()
	in := configs.Input{
		File:    write(t, "c.yaml", "storage:\n  backends:\n    videos:\n      type: s3\n      bucket: of-the-file\n      secret_key: hunter2\n"),
		EnvFile: write(t, ".env", "SLUICE_STORAGE_VIDEOS_ACCESS_KEY=hunter3\n"),
		Environ: []string{"SLUICE_STORAGE_VIDEOS_BUCKET=of-the-environment"},
		Flags:   map[string]string{"storage.backends.videos.region": "eu"},
	}
	l := mustLoad(t, in)
	if b := l.Storage.Backends[0]; b.Bucket != "of-the-environment" || b.Region != "eu" || b.SecretKey.Reveal() != "hunter2" || b.AccessKey.Reveal() != "hunter3" {
		t.Errorf("got %+v", b)
	}
	want := map[string]string{
		"type": in.File + ":4 s3", "bucket": "environment of-the-environment", "secret_key": in.File + ":6 ***", "access_key": in.EnvFile + ":1 ***",
		"region": "flag eu", "part_size": "default 8MiB", "redirect_ttl": "default 5m",
	}
	for _, s := range l.Settings() {
		field, ok := strings.CutPrefix(s.Key, "storage.backends.videos.")
		if w, asked := want[field]; ok && asked && s.Origin+" "+s.Value != w {
			t.Errorf("%s: %s %s, want %s", field, s.Origin, s.Value, w)
		}
		if ok && field == "path" {
			t.Error("an S3 backend is shown with a path")
		}
	}
}

func TestRefusalsOfStorage(t *testing.T) {
	t.Parallel()
	const videos = "storage: {backends: {videos: {type: s3, bucket: lms-videos, %s}}}"
	with := func(more string) string { return fmt.Sprintf(videos, more) }
	for name, c := range map[string]struct {
		yaml       string
		env        []string
		cause, fix string
	}{
		"a bad name":                  {yaml: "storage: {backends: {My_Videos: {type: s3}}}", cause: `"My_Videos" cannot be the name`, fix: "a-z"},
		"a long name":                 {yaml: "storage: {backends: {" + strings.Repeat("a", 33) + ": {type: s3}}}", cause: "cannot be the name"},
		"a mistyped setting":          {yaml: with("buket: x"), cause: "c.yaml:1: unknown key storage.backends.videos.buket", fix: "storage.backends.videos.bucket"},
		"a backend that is a text":    {yaml: "storage: {backends: {videos: s3}}", cause: "unknown key storage.backends.videos"},
		"a list of backends":          {yaml: "storage: {backends: [videos]}", cause: "unknown key storage.backends"},
		"an empty backend":            {yaml: "storage:\n  backends:\n    videos:\n", cause: "the backend videos: its type is missing", fix: "storage.backends.videos.type (SLUICE_STORAGE_VIDEOS_TYPE)"},
		"a backend of nothing":        {yaml: "storage: {backends: {videos: {}}}", cause: "its type is missing"},
		"a type of the future":        {yaml: "storage: {backends: {videos: {type: gcs}}}", cause: `"gcs" is none of local, s3`},
		"no bucket":                   {yaml: "storage: {backends: {videos: {type: s3}}}", cause: "the backend videos: its bucket is missing", fix: "SLUICE_STORAGE_VIDEOS_BUCKET"},
		"no bucket in a container":    {env: []string{"SLUICE_S3_ENDPOINT=http://minio:9000"}, cause: "the backend s3: its bucket is missing", fix: "SLUICE_S3_BUCKET"},
		"a bucket with its scheme":    {env: []string{"SLUICE_S3_BUCKET=s3://media"}, cause: "not the name of a bucket", fix: "without s3://"},
		"a bucket with a folder":      {env: []string{"SLUICE_S3_BUCKET=media/lms"}, cause: "not the name of a bucket", fix: "prefix"},
		"an endpoint with a bucket":   {yaml: with("endpoint: 'https://x.example/lms-videos'"), cause: "endpoint", fix: "http://minio:9000"},
		"an endpoint without scheme":  {yaml: with("endpoint: 'minio:9000'"), cause: "endpoint"},
		"half a key":                  {yaml: with("access_key: hunter2"), cause: "no secret key", fix: "SLUICE_STORAGE_VIDEOS_SECRET_KEY"},
		"the other half":              {yaml: with("secret_key: hunter2"), cause: "no access key", fix: "SLUICE_STORAGE_VIDEOS_ACCESS_KEY"},
		"a prefix with slashes":       {yaml: with("prefix: /media/"), cause: "not a prefix", fix: "media/lms"},
		"a prefix upwards":            {yaml: with("prefix: ../media"), cause: "not a prefix"},
		"small parts":                 {yaml: with("part_size: 1MiB"), cause: "5MiB to 5GiB"},
		"redirects for ever":          {yaml: with("delivery: redirect, redirect_ttl: 8d"), cause: "1s to 7d"},
		"an unknown delivery":         {yaml: with("delivery: pigeon"), cause: `"pigeon" is none of proxy, redirect`},
		"unknown checksums":           {yaml: with("checksums: md5"), cause: "none of crc32c, none"},
		"no parts in flight":          {yaml: with("in_flight: 0"), cause: "not a number from 1 to 64"},
		"a path for S3":               {yaml: with("path: /x"), cause: "c.yaml:1: storage.backends.videos.path is of no use to a backend of type s3", fix: "remove it"},
		"a bucket for a folder":       {yaml: "storage: {backends: {a: {type: local, path: /a, bucket: b}}}", cause: "storage.backends.a.bucket is of no use to a backend of type local"},
		"a redirect from a folder":    {yaml: "storage: {backends: {a: {type: local, path: /a, delivery: redirect}}}", cause: "delivery is of no use"},
		"no path":                     {yaml: "storage: {backends: {a: {type: local}}}", cause: "the backend a: its path is missing", fix: "storage.backends.a.path"},
		"two in one folder":           {yaml: "storage: {backends: {a: {type: local, path: /x/y}, b: {type: local, path: /x/./y/}}}", cause: "a and b keep their bytes in one place"},
		"one in the local disk's":     {yaml: "data_dir: /d\nstorage: {backends: {a: {type: local, path: /d/files}}}", cause: "one place"},
		"two in one bucket":           {yaml: "storage: {backends: {a: {type: s3, bucket: b-1}, b: {type: s3, bucket: b-1}}}", cause: "one place", fix: "prefix"},
		"a mistyped variable":         {yaml: with("region: eu"), env: []string{"SLUICE_STORAGE_VIDEO_SECRET_KEY=hunter2"}, cause: "unknown variable SLUICE_STORAGE_VIDEO_SECRET_KEY", fix: "SLUICE_STORAGE_VIDEOS_SECRET_KEY"},
		"a mistyped variable of S3":   {env: []string{"SLUICE_S3_BUKET=x"}, cause: "unknown variable SLUICE_S3_BUKET", fix: "SLUICE_S3_BUCKET"},
		"a default that is none":      {env: []string{"SLUICE_STORAGE=vidoes"}, yaml: with("region: eu"), cause: `storage.default (SLUICE_STORAGE) names "vidoes"`, fix: "name one of local, videos"},
		"a rule to nowhere":           {env: []string{"SLUICE_STORAGE_RULES=type=video -> s4"}, cause: `"type=video -> s4" sends to "s4", which is no backend`, fix: "name one of local"},
		"a rule without sense":        {yaml: "storage:\n  rules:\n    - type=video -> local\n    - tipe=video -> local\n", cause: `c.yaml:3: storage.rules: the rule "tipe=video -> local": there is no condition "tipe"`, fix: "did you mean type?"},
		"a rule that is no rule":      {yaml: "storage: {rules: [local]}", cause: "does not end in an arrow"},
		"rules that are not a list":   {yaml: "storage: {rules: {a: b}}", cause: "unknown key storage.rules.a"},
		"a secret never in a refusal": {yaml: with("secret_key: [hunter2]"), cause: "its value cannot be used"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := configs.Input{Environ: c.env}
			if c.yaml != "" {
				in.File = write(t, "c.yaml", c.yaml)
			}
			l, err := load(t, in)
			if err == nil {
				err = l.Check()
			}
			r, ok := errors.AsType[*configs.Refusal](err)
			if !ok || !strings.Contains(r.Cause, c.cause) || !strings.Contains(r.Fix, c.fix) || r.Fix == "" || strings.ContainsAny(r.Cause+r.Fix, "\n") || strings.Contains(r.Cause+r.Fix, "hunter2") {
				t.Errorf("got %#v, want one line of cause with %q and of fix with %q", err, c.cause, c.fix)
			}
		})
	}
}

func TestALocalPathIsTakenAsItIs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := mustLoad(t, configs.Input{Environ: []string{"SLUICE_STORAGE_LOCAL_PATH=" + filepath.Join(dir, "x")}})
	if got := l.Backends()[0].Path; got != filepath.Join(dir, "x") {
		t.Errorf("got %q", got)
	}
}
