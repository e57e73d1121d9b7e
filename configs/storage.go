package configs

import (
	"cmp"
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Storage says which backends keep bytes, and which of them an upload goes to.
type Storage struct {
	Default  string // the backend of uploads that no rule routes
	MinFree  Size   // on local disks uploads are refused when less would stay free; 0: 64 MiB, or 5 % of a small disk
	Backends []Backend
	Rules    []Rule // the first that matches wins
}

// Backend is one named place for bytes. What belongs to another type is never set.
type Backend struct {
	Name string
	Type BackendType

	Path string // local: its folder

	Bucket      string // s3, as all below
	Region      string // "": us-east-1
	Endpoint    string // "": AWS
	PathStyle   bool
	AccessKey   Secret // both empty: the SDK's own chain of environment, files and roles
	SecretKey   Secret
	Prefix      string // of every key
	Checksums   Checksums
	Delivery    Delivery
	RedirectTTL time.Duration
	PartSize    Size
	InFlight    int // parts of one upload on their way at once
	CopyParts   bool
}

// BackendType says what a backend is.
type BackendType string

// The types of backends.
const (
	LocalBackend BackendType = "local"
	S3Backend    BackendType = "s3"
)

// Checksums says how an S3 server is told what the bytes are.
type Checksums string

// The checksums.
const (
	ChecksumsCRC32C Checksums = "crc32c"
	ChecksumsNone   Checksums = "none" // for servers that know none
)

// Delivery says who sends a backend's bytes to players.
type Delivery string

// The deliveries.
const (
	DeliveryProxy    Delivery = "proxy"
	DeliveryRedirect Delivery = "redirect"
)

// The backends that are there without a file: the local disk always, an S3 bucket once its variables are set.
const (
	localName = "local"
	s3Name    = "s3"
	s3Prefix  = "SLUICE_S3_"
)

// newBackend gives the defaults of a backend.
func newBackend(name string) Backend {
	b := Backend{Name: name, Checksums: ChecksumsCRC32C, Delivery: DeliveryProxy, RedirectTTL: 5 * time.Minute, PartSize: 8 << 20, InFlight: 4, CopyParts: true}
	switch name {
	case localName:
		b.Type = LocalBackend
	case s3Name:
		b.Type = S3Backend
	}
	return b
}

const backendsKey = "storage.backends"

// backendKey and backendEnv name a setting of a backend. A name holds no _, so that no two make one variable.
func backendKey(name, field string) string { return backendsKey + "." + name + "." + field }

func backendEnv(name, field string) string {
	if name == s3Name {
		return s3Prefix + strings.ToUpper(field)
	}
	return "SLUICE_STORAGE_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_")+"_"+field)
}

// backendSettings lists the settings of one backend, as settings does those that are always there.
func backendSettings(b *Backend) []setting {
	row := func(field string, secret bool, v value) setting {
		return setting{backendKey(b.Name, field), backendEnv(b.Name, field), secret, v}
	}
	return []setting{
		row("type", false, text(&b.Type, LocalBackend, S3Backend)),
		row("path", false, text(&b.Path)),
		row("bucket", false, text(&b.Bucket)),
		row("region", false, text(&b.Region)),
		row("endpoint", false, text(&b.Endpoint)),
		row("path_style", false, boolean(&b.PathStyle)),
		row("access_key", true, secret(&b.AccessKey)),
		row("secret_key", true, secret(&b.SecretKey)),
		row("prefix", false, text(&b.Prefix)),
		row("checksums", false, text(&b.Checksums, ChecksumsCRC32C, ChecksumsNone)),
		row("delivery", false, text(&b.Delivery, DeliveryProxy, DeliveryRedirect)),
		row("redirect_ttl", false, duration(&b.RedirectTTL)),
		row("part_size", false, size(&b.PartSize)),
		row("in_flight", false, number(&b.InFlight, 1, 64)),
		row("copy_parts", false, boolean(&b.CopyParts)),
	}
}

// idle reports whether a setting is of no use to a backend of that type.
func (b *Backend) idle(key string) bool {
	switch strings.TrimPrefix(key, backendKey(b.Name, "")) {
	case "type":
		return false
	case "path":
		return b.Type == S3Backend
	}
	return b.Type == LocalBackend
}

var backendName = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)

// findBackends makes a Backend of each name that any source says something about, so that the table of settings has their keys.
func (l *Loaded) findBackends(path string, leaves []leaf, flags map[string]string) error {
	found := map[string]bool{}
	add := func(key, origin string) error {
		rest, ok := strings.CutPrefix(key, backendsKey+".")
		if !ok {
			return nil
		}
		name, _, _ := strings.Cut(rest, ".")
		if !backendName.MatchString(name) {
			return refuse(fmt.Sprintf("%s: %q cannot be the name of a backend", origin, name), "name it with 1 to 32 of a-z, 0-9 and -", nil)
		}
		found[name] = true
		return nil
	}
	for _, leaf := range leaves {
		if err := add(leaf.key, fmt.Sprintf("%s:%d", path, leaf.line)); err != nil {
			return err
		}
	}
	for key := range flags {
		if err := add(key, "--set"); err != nil {
			return err
		}
	}
	for name := range l.env {
		switch {
		case strings.HasPrefix(name, s3Prefix):
			found[s3Name] = true
		case strings.HasPrefix(name, backendEnv(localName, "")):
			found[localName] = true
		}
	}
	for name := range found {
		l.Storage.Backends = append(l.Storage.Backends, newBackend(name))
	}
	slices.SortFunc(l.Storage.Backends, func(a, b Backend) int { return cmp.Compare(a.Name, b.Name) })
	return nil
}

// implyStorage makes the bucket of the environment the default, unless the environment or a flag names another: who starts a container
// with SLUICE_S3_BUCKET means it.
func (l *Loaded) implyStorage() {
	origin := l.origins["storage.default"]
	_, named := l.env["SLUICE_STORAGE"]
	if _, bucket := l.env[s3Prefix+"BUCKET"]; bucket && !named && origin != "flag" {
		l.Storage.Default, l.origins["storage.default"] = s3Name, "implied by "+s3Prefix+"BUCKET"
	}
}

// refuseIdle refuses what was set and cannot do anything: it was meant for another backend, or another type.
func (l *Loaded) refuseIdle() error {
	for i := range l.Storage.Backends {
		b := &l.Storage.Backends[i]
		for _, s := range backendSettings(b) {
			if origin := l.origins[s.key]; origin != "" && b.Type != "" && b.idle(s.key) {
				return refuse(fmt.Sprintf("%s: %s is of no use to a backend of type %s", origin, s.key, b.Type),
					fmt.Sprintf("remove it, or set %s (%s)", backendKey(b.Name, "type"), backendEnv(b.Name, "type")), nil)
			}
		}
	}
	return nil
}

// Backends gives every backend, the default first, then by name: those configured, and the local disk unless its name is taken. A local
// one has its path.
func (c *Config) Backends() []Backend {
	all := slices.Clone(c.Storage.Backends)
	if !slices.ContainsFunc(all, func(b Backend) bool { return b.Name == localName }) {
		all = append(all, newBackend(localName))
	}
	for i, b := range all {
		if b.Name == localName && b.Type == LocalBackend && b.Path == "" {
			all[i].Path = c.Path("files")
		}
	}
	rank := func(b Backend) string {
		if b.Name == c.Storage.Default {
			return ""
		}
		return b.Name
	}
	slices.SortFunc(all, func(a, b Backend) int { return cmp.Compare(rank(a), rank(b)) })
	return all
}

func (c *Config) checkStorage() error {
	all := c.Backends()
	names := make([]string, len(all))
	for i, b := range all {
		names[i] = b.Name
	}
	if !slices.Contains(names, c.Storage.Default) {
		return refuse(fmt.Sprintf("storage.default (SLUICE_STORAGE) names %q, which is no backend", c.Storage.Default), suggestBackend(c.Storage.Default, names), nil)
	}
	places := map[string]string{}
	for i := range all {
		b := &all[i]
		if err := b.check(); err != nil {
			return err
		}
		if other, taken := places[b.place()]; taken {
			return refuse(fmt.Sprintf("the backends %s and %s keep their bytes in one place", other, b.Name),
				"give each a path, bucket or prefix of its own: what one keeps, the other would sweep away", nil)
		}
		places[b.place()] = b.Name
	}
	for _, r := range c.Storage.Rules {
		if !slices.Contains(names, r.Backend) {
			return refuse(fmt.Sprintf("storage.rules (SLUICE_STORAGE_RULES): %q sends to %q, which is no backend", r.Text, r.Backend), suggestBackend(r.Backend, names), nil)
		}
	}
	return nil
}

func suggestBackend(name string, names []string) string {
	return fmt.Sprintf("name one of %s, or add %s to storage.backends", strings.Join(names, ", "), name)
}

// place is where a backend's bytes are, to be compared with another's.
func (b *Backend) place() string {
	if b.Type == LocalBackend {
		path, err := filepath.Abs(b.Path)
		if err != nil { // the working directory is gone; the path as it is will do
			path = b.Path
		}
		if target, err := filepath.EvalSymlinks(path); err == nil {
			path = target
		}
		return "file:" + path
	}
	return strings.Join([]string{"s3", strings.TrimRight(b.Endpoint, "/"), b.Bucket, b.Prefix}, " ")
}

// The bounds of S3: of a part, and of the life of a signed URL.
const (
	minPart     = 5 << 20
	maxPart     = 5 << 30
	maxRedirect = 7 * 24 * time.Hour
)

var (
	bucketName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]$`)
	keyPrefix  = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]*(/[a-z0-9][a-z0-9._-]*)*$`)
)

// check refuses what no server could make sense of.
func (b *Backend) check() error {
	wrong := func(field, cause, fix string) error {
		return refuse(fmt.Sprintf("the backend %s: %s", b.Name, cause), strings.ReplaceAll(fix, "{}", backendKey(b.Name, field)+" ("+backendEnv(b.Name, field)+")"), nil)
	}
	switch {
	case b.Type == "":
		return wrong("type", "its type is missing", "set {} to s3 or local")
	case b.Type == LocalBackend:
		if b.Path == "" {
			return wrong("path", "its path is missing", "set {} to a folder that the process may write")
		}
		return nil
	case b.Bucket == "":
		return wrong("bucket", "its bucket is missing", "set {}")
	case !bucketName.MatchString(b.Bucket):
		return wrong("bucket", fmt.Sprintf("%q is not the name of a bucket", b.Bucket), "set {} to the name alone, without s3:// and without a folder, which is prefix")
	case b.Endpoint != "" && !validEndpoint(b.Endpoint):
		return wrong("endpoint", "its endpoint is not an http or https URL of a host alone", "write {} as in http://minio:9000, or leave it empty for AWS")
	case b.AccessKey.Empty() && !b.SecretKey.Empty():
		return wrong("access_key", "it has a secret key and no access key", "set {} too, or neither: then the SDK looks in its environment, files and roles")
	case !b.AccessKey.Empty() && b.SecretKey.Empty():
		return wrong("secret_key", "it has an access key and no secret key", "set {} too, or neither: then the SDK looks in its environment, files and roles")
	case b.Prefix != "" && (len(b.Prefix) > 100 || !keyPrefix.MatchString(b.Prefix)):
		return wrong("prefix", fmt.Sprintf("%q is not a prefix of keys", b.Prefix), "write {} as in media/lms: a-z, 0-9, - _ . in parts divided by /, no / at its ends")
	case b.PartSize < minPart || b.PartSize > maxPart:
		return wrong("part_size", "its parts are not from 5MiB to 5GiB", "set {} to 8MiB, or to 64MiB for files beyond 80GiB")
	case b.Delivery == DeliveryRedirect && (b.RedirectTTL < time.Second || b.RedirectTTL > maxRedirect):
		return wrong("redirect_ttl", "its redirects do not hold from 1s to 7d", "set {} to 5m")
	}
	return nil
}

func validEndpoint(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && u.User == nil && strings.Trim(u.Path, "/") == "" && u.RawQuery == "" && u.Fragment == ""
}
