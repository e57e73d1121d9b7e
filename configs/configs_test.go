package configs_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sluice/configs"
)

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// load reads with a .env file of its own, so that none of the surroundings' is found.
func load(t *testing.T, in configs.Input) (*configs.Loaded, error) {
	t.Helper()
	if in.EnvFile == "" {
		in.EnvFile = write(t, ".env", "")
	}
	return configs.Load(in)
}

func mustLoad(t *testing.T, in configs.Input) *configs.Loaded {
	t.Helper()
	l, err := load(t, in)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestDefaultYAMLEqualsTheDefaultsInCode(t *testing.T) {
	t.Parallel()
	l := mustLoad(t, configs.Input{File: write(t, "c.yaml", configs.DefaultYAML)})
	want := configs.Default()
	if diff := cmp.Diff(want, l.Config, cmpopts.EquateEmpty(), cmp.AllowUnexported(configs.Secret{})); diff != "" {
		t.Errorf("default.yaml differs from Default (-code +file):\n%s", diff)
	}
	for _, s := range l.Settings() {
		if s.Origin == "default" {
			t.Errorf("default.yaml does not name %s", s.Key)
		}
		if !strings.Contains(configs.DefaultYAML, "# "+s.Env) {
			t.Errorf("default.yaml does not name the variable %s", s.Env)
		}
	}
}

func TestProductionYAMLStartsOnceItHasItsSecrets(t *testing.T) {
	t.Parallel()
	file := write(t, "p.yaml", configs.ProductionYAML)
	if err := mustLoad(t, configs.Input{File: file}).Check(); !errors.Is(err, configs.ErrKeys) {
		t.Errorf("without secrets Check = %v, want ErrKeys", err)
	}
	l := mustLoad(t, configs.Input{File: file, Environ: []string{
		"JWT_SECRET=q8Z1vN4sK7yB2mX5cR9tW3eH6uJ0pLaD", "SLUICE_SIGNING_KEYS=1:sign:g5T2kP8wQ1zV7nM4xC6bY9rE3sF0hJuL",
	}})
	if err := l.Check(); err != nil {
		t.Errorf("with secrets Check = %v", err)
	}
}

func TestLaterSourcesWin(t *testing.T) {
	t.Parallel()
	in := configs.Input{
		File:    write(t, "c.yaml", "port: 1\nuploads: {max_size: 1GiB, quota: 2GiB}\nlog:\n  level: warn\ndb: {host: file}\n"),
		EnvFile: write(t, ".env", "PORT=2\nSLUICE_LOG_LEVEL=debug\nDB_HOST=dotenv\n"),
		Environ: []string{"PORT=3", "DB_HOST=environment", "DB_USER="},
		Flags:   map[string]string{"port": "4"},
	}
	l := mustLoad(t, in)
	got := []any{l.Port, l.DB.Host, l.Log.Level, l.Uploads.MaxSize, l.DB.User}
	want := []any{4, "environment", "debug", configs.Size(1 << 30), "postgres"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
	for key, want := range map[string]string{"port": "flag", "db.host": "environment", "log.level": in.EnvFile + ":2", "uploads.quota": in.File + ":2"} {
		if got := l.Origin(key); got != want {
			t.Errorf("Origin(%s) = %q, want %q", key, got, want)
		}
	}
}

func TestTheLMSsEnvFile(t *testing.T) {
	t.Parallel()
	l := mustLoad(t, configs.Input{EnvFile: write(t, ".env", "\ufeffDB_ENABLED=true\r\nDB_NAME=ebay lms   # the shop's\r\nexport DB_PASSWORD=p@ss:w/o#rd%20\r\nDB_HOST='db host'\r\nJWT_EXPIRES=7d\r\n")})
	got := []string{l.DB.Name, l.DB.Password.Reveal(), l.DB.Host, fmt.Sprint(l.DB.Enabled)}
	if diff := cmp.Diff([]string{"ebay lms", "p@ss:w/o#rd%20", "db host", "true"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestParseDotenv(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ in, want string }{
		"a space stays":                     {"A=ebay lms", "A=ebay lms"},
		"a hash within a word stays":        {"A=a#b@c:d/e%f", "A=a#b@c:d/e%f"},
		"a leading hash is a value":         {"A=#x", "A=#x"},
		"a comment ends it":                 {"A=x # y", "A=x"},
		"only a comment":                    {"A= # y", "A="},
		"single quotes keep all":            {`A='x # \n "y"' # z`, `A=x # \n "y"`},
		"double quotes know escapes":        {`A="x\n\"y\" \w" `, "A=x\n\"y\" \\w"},
		"quotes span lines":                 {"A=\"x\ny\"\nB=1", "A=x\ny|B=1"},
		"export and blanks":                 {"  export   A = x ", "A=x"},
		"a name that begins with export":    {"exportA=x", "exportA=x"},
		"equals signs in a value":           {"A=b=c==", "A=b=c=="},
		"no expansion":                      {"A=$B${C}", "A=$B${C}"},
		"comments and empty lines are none": {"# x\n\n  # y\nA=1\n", "A=1"},
		"lone CR ends a line":               {"A=1\rB=2", "A=1|B=2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			vars, err := configs.ParseDotenv(c.in)
			var got []string
			for _, v := range vars {
				got = append(got, v.Name+"="+v.Value)
			}
			if err != nil || strings.Join(got, "|") != c.want {
				t.Errorf("ParseDotenv(%q) = %q, %v, want %q", c.in, got, err, c.want)
			}
		})
	}
}

func TestParseDotenvRefusesAndKeepsTheTextToItself(t *testing.T) {
	t.Parallel()
	for _, in := range []string{"A=1\nhunter2", "A=1\nA='hunter2", "A=1\nA='x'hunter2", "A=1\nhunter2 x=1", "A=1\nB=hunter2\x00"} {
		if _, err := configs.ParseDotenv(in); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("ParseDotenv(%q) = %v, want an error without the value", in, err)
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		yaml, env, cause, fix string
	}{
		"unknown key":            {yaml: "uploads: {max_sise: 1}", cause: "unknown key uploads.max_sise", fix: "uploads.max_size"},
		"unknown variable":       {env: "SLUICE_QOUTA=1", cause: "unknown variable SLUICE_QOUTA", fix: "SLUICE_QUOTA"},
		"a key twice":            {yaml: "port: 1\nport: 2", cause: "second time"},
		"a list for one value":   {yaml: "port: [1]", cause: "not a list"},
		"anchors":                {yaml: "listen: &a x\ndata_dir: *a", cause: "line 1"},
		"two documents":          {yaml: "port: 1\n---\nport: 2", cause: "more than one document"},
		"not YAML":               {yaml: "port: [", cause: "not YAML"},
		"a bad number":           {env: "PORT=70000", cause: "not a number from 0 to 65535"},
		"a bad size":             {env: "SLUICE_QUOTA=10 apples", cause: "not a size"},
		"a bad duration":         {env: "SLUICE_LINK_TTL=soon", cause: "not a duration"},
		"a bad choice":           {env: "SLUICE_ACK=maybe", cause: "none of fast, durable"},
		"a bad truth":            {env: "DB_ENABLED=perhaps", cause: "neither true nor false"},
		"a missing named file":   {env: "SLUICE_CONFIG=/nowhere/x.yaml", cause: "cannot be read"},
		"an origin with a path":  {env: "SLUICE_CORS_ORIGINS=https://x.org/y", cause: "not an exact origin"},
		"a pattern of origins":   {env: "SLUICE_CORS_ORIGINS=https://*.x.org", cause: "not an exact origin", fix: "name each"},
		"a star beside origins":  {env: "SLUICE_CORS_ORIGINS=https://x.org,*", cause: "not an exact origin", fix: "alone"},
		"an origin in capitals":  {env: "SLUICE_CORS_ORIGINS=https://X.org", cause: "not an exact origin"},
		"a proxy by name":        {env: "SLUICE_TRUSTED_PROXIES=proxy", cause: "neither an address nor a network"},
		"a listen without sense": {env: "LISTEN=a:b:c", cause: "listen address"},
		"a slow stop":            {env: "SLUICE_SHUTDOWN_GRACE=1m", cause: "over 8s"},
		"a slow stop in sum":     {env: "SLUICE_DRAIN_DELAY=4s", yaml: "shutdown_grace: 5s", cause: "over 8s", fix: "lower one"},
		"a short secret":         {env: "SLUICE_PROFILE=production JWT_SECRET=short", cause: "shorter than 32 bytes"},
		"a sample secret":        {env: "SLUICE_PROFILE=production JWT_SECRET=your-secret-key-change-me-in-production", cause: "sample from documentation"},
		"a repetitive secret":    {env: "SLUICE_PROFILE=production JWT_SECRET=abababababababababababababababababab", cause: "sample from documentation"},
		"a hasty trash":          {env: "SLUICE_TRASH_KEEP=10ms", cause: "under a second"},
		"a collection of none":   {env: "SLUICE_MONGODB_COLLECTIONS=item=items", cause: "no record's type", fix: "product=items"},
		"a collection unnamed":   {env: "SLUICE_MONGODB_COLLECTIONS=product", cause: "no record's type"},
		"a server's collection":  {env: "SLUICE_MONGODB_COLLECTIONS=user=system.users", cause: "no record's type"},
		"no secret":              {env: "SLUICE_PROFILE=production", cause: "no key to check logins", fix: "JWT_SECRET"},
		"no signing key":         {env: "SLUICE_PROFILE=production JWT_JWKS_URL=https://x.org/jwks", cause: "no key to sign", fix: "SLUICE_SIGNING_KEYS"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := configs.Input{}
			for e := range strings.SplitSeq(c.env, " ") {
				if strings.Contains(e, "=") {
					in.Environ = append(in.Environ, e)
				} else if n := len(in.Environ); n > 0 {
					in.Environ[n-1] += " " + e
				}
			}
			if c.yaml != "" {
				in.File = write(t, "c.yaml", c.yaml)
			}
			l, err := load(t, in)
			if err == nil {
				err = l.Check()
			}
			r, ok := errors.AsType[*configs.Refusal](err)
			if !ok || !strings.Contains(r.Cause, c.cause) || !strings.Contains(r.Fix, c.fix) || r.Fix == "" || strings.ContainsAny(r.Cause+r.Fix, "\n") {
				t.Errorf("got %#v, want one line of cause with %q and of fix with %q", err, c.cause, c.fix)
			}
		})
	}
}

func TestAddress(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		profile configs.Profile
		listen  string
		port    int
		want    string
	}{
		{configs.Development, "", 5000, "127.0.0.1:5000"},
		{configs.Development, "", 8080, "127.0.0.1:8080"},
		{configs.Production, "", 8080, ":8080"},
		{configs.Development, "0.0.0.0:7000", 8080, "0.0.0.0:7000"},
		{configs.Development, "0.0.0.0", 8080, "0.0.0.0:8080"},
		{configs.Production, "[::1]:7000", 8080, "[::1]:7000"},
		{configs.Production, "::1", 8080, "[::1]:8080"},
		{configs.Development, ":7000", 8080, ":7000"},
	} {
		cfg := configs.Config{Profile: c.profile, Listen: c.listen, Port: c.port}
		if got := cfg.Address(); got != c.want {
			t.Errorf("Address(%s, %q, %d) = %q, want %q", c.profile, c.listen, c.port, got, c.want)
		}
	}
}

func TestDatabaseURLAloneTurnsTheDatabaseOn(t *testing.T) {
	t.Parallel()
	url := "DATABASE_URL=postgres://u:p@h/d"
	if l := mustLoad(t, configs.Input{Environ: []string{url}}); !l.DB.Enabled {
		t.Error("DATABASE_URL alone leaves the database off")
	}
	if l := mustLoad(t, configs.Input{Environ: []string{url, "DB_ENABLED=false"}}); l.DB.Enabled {
		t.Error("DB_ENABLED=false does not win over DATABASE_URL")
	}
}

func TestASecretNeverPrints(t *testing.T) {
	t.Parallel()
	const text = "hunter2hunter2"
	l := mustLoad(t, configs.Input{Environ: []string{
		"JWT_SECRET=" + text, "DB_PASSWORD=" + text, "DATABASE_URL=" + text, "MONGODB_URI=" + text, "REDIS_URL=" + text,
		"SLUICE_SIGNING_KEYS=" + text, "SLUICE_API_KEYS=" + text + "," + text,
	}})
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		if got := fmt.Sprintf(verb, l.Config); strings.Contains(got, text) || strings.Contains(got, fmt.Sprintf("%x", text)) {
			t.Errorf("%s shows the secret: %s", verb, got)
		}
	}
	shown, err := json.Marshal([]any{l.Config, l.Settings()})
	if err != nil || strings.Contains(string(shown), text) {
		t.Errorf("JSON shows the secret, or fails: %v %s", err, shown)
	}
}

func TestDevelopmentMakesItsKeysOnceAndForItselfOnly(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	in := configs.Input{Flags: map[string]string{"data_dir": dir}}
	first, second := mustLoad(t, in), mustLoad(t, in)
	if made, err := first.MakeKeys(); err != nil || !made {
		t.Fatalf("first MakeKeys = %v, %v", made, err)
	}
	if made, err := second.MakeKeys(); err != nil || made {
		t.Fatalf("second MakeKeys = %v, %v", made, err)
	}
	if first.JWT.Secret.Reveal() != second.JWT.Secret.Reveal() || first.Signing.Keys[0].Reveal() != second.Signing.Keys[0].Reveal() || len(first.JWT.Secret.Reveal()) < configs.MinSecret {
		t.Error("the second start has other keys, or weak ones")
	}
	entries, err := os.ReadDir(filepath.Join(dir, "keys"))
	if err != nil || len(entries) != 2 {
		t.Fatalf("the key directory holds %v, %v, want two files", entries, err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, %v, want 0600", e.Name(), info.Mode(), err)
		}
	}
	if err := os.Chmod(filepath.Join(dir, "keys", "jwt-secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := mustLoad(t, in).MakeKeys(); !errors.Is(err, configs.ErrKeys) {
		t.Errorf("a key that others can read: %v, want ErrKeys", err)
	}
}

func TestSizes(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]configs.Size{"0": 0, "4096": 4096, "10GiB": 10 << 30, "10 gib": 10 << 30, "1.5MB": 1_500_000, "8kB": 8000, "7B": 7} {
		if got, err := configs.ParseSize(in); err != nil || got != want {
			t.Errorf("ParseSize(%q) = %d, %v, want %d", in, got, err, want)
		}
	}
	for _, in := range []string{"", "-1", "GiB", "1e3", "9999999999TiB", "NaN", "0x10", "1..2", "."} {
		if got, err := configs.ParseSize(in); err == nil {
			t.Errorf("ParseSize(%q) = %d, want an error", in, got)
		}
	}
}

func TestDays(t *testing.T) {
	t.Parallel()
	if l := mustLoad(t, configs.Input{Environ: []string{"SLUICE_UPLOAD_EXPIRY=3d"}}); l.Uploads.Expiry != 72*time.Hour {
		t.Errorf("3d = %v", l.Uploads.Expiry)
	}
}

func TestAYAMLPasswordStaysAsWritten(t *testing.T) {
	t.Parallel()
	if l := mustLoad(t, configs.Input{File: write(t, "c.yaml", "db:\n  password: 0123\n")}); l.DB.Password.Reveal() != "0123" {
		t.Errorf("0123 became %q", l.DB.Password.Reveal())
	}
}

func FuzzParseDotenv(f *testing.F) {
	for _, s := range []string{"A=ebay lms # x", "export A='x\ny'", "\ufeffA=\"\\n\"\r\nB=`c`", "A", "=", "A='", "A=#", "#\r\r\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		vars, err := configs.ParseDotenv(s)
		if err != nil && vars != nil {
			t.Errorf("values beside an error: %v", vars)
		}
		for _, v := range vars {
			if v.Name == "" || v.Line < 1 || v.Line > strings.Count(s, "\n")+strings.Count(s, "\r")+1 {
				t.Errorf("%q gives %+v", s, v)
			}
		}
	})
}

func FuzzSize(f *testing.F) {
	for _, s := range []string{"10GiB", "1.5 MB", "0", "9223372036854775807", "8388608TiB", "."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := configs.ParseSize(s)
		if err != nil {
			return
		}
		if back, err := configs.ParseSize(n.String()); n < 0 || err != nil || back != n {
			t.Errorf("%q = %d, written %q, read back %d, %v", s, n, n.String(), back, err)
		}
	})
}

func FuzzYAML(f *testing.F) {
	for _, s := range []string{configs.DefaultYAML, configs.ProductionYAML, "a: [", "? x", "&a b: *a", "<<: {}", "- 1", "port: |\n  5", "port: !!int 5"} {
		f.Add(s)
	}
	dir := f.TempDir()
	empty := filepath.Join(dir, ".env")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, s string) {
		path := filepath.Join(t.TempDir(), "c.yaml")
		if err := os.WriteFile(path, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := configs.Load(configs.Input{File: path, EnvFile: empty}); err != nil {
			if _, ok := errors.AsType[*configs.Refusal](err); !ok {
				t.Errorf("%q: %v is no Refusal", s, err)
			}
		}
	})
}
