// Package configs gives the gateway's configuration: defaults in code, then a YAML file, a .env file, the environment and flags, each
// over the one before. It refuses keys it does not know and values that cannot work, says where each value came from, and never prints a
// secret. It knows no other package.
package configs

import (
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Profile says how strict the gateway is about what it was not told.
type Profile string

// The profiles.
const (
	Development Profile = "development" // loopback only, makes its own keys
	Production  Profile = "production"  // needs keys, listens everywhere
)

// Ack says when an upload's bytes are acknowledged.
type Ack string

// The acknowledgements.
const (
	AckFast    Ack = "fast"    // after write(2): survives the death of the process
	AckDurable Ack = "durable" // after fdatasync(2): survives a power cut
)

// Config is the whole configuration. Durations of zero and sizes of zero mean "none" or "no limit" where the documentation in
// default.yaml says so.
type Config struct {
	Profile        Profile
	Listen         string // host:port, host or :port; "" follows Profile and Port
	Port           int
	PublicURL      string
	DataDir        string
	TrustedProxies []string // addresses or CIDR networks
	ShutdownGrace  time.Duration
	DrainDelay     time.Duration

	DB      DB
	MongoDB MongoDB
	Redis   Redis
	JWT     JWT
	Signing Signing
	Links   Links
	Uploads Uploads
	Storage Storage
	Cache   Cache
	Trash   Trash
	CORS    CORS
	Metrics Metrics
	Log     Log
	APIKeys []Secret // "name:role:secret"
}

// DB is the PostgreSQL catalogue; without Enabled the embedded SQLite serves.
type DB struct {
	Enabled     bool
	URL         Secret // instead of the fields
	Name        string
	User        string
	Password    Secret
	Host        string
	Port        int
	SSLMode     string
	MaxConns    int
	ConnectWait time.Duration // how long a start waits for a database that is not up yet
}

// MongoDB is where the LMS keeps its records; without it they are kept in the data directory.
type MongoDB struct {
	URI         Secret
	Collections []string // "product=items": where the LMS calls a collection otherwise
}

// Trash is what was deleted and can be restored.
type Trash struct{ Keep time.Duration }

// Redis is what nodes share beside the catalogue: leases of uploads, lookups remembered for all, news of changes.
type Redis struct {
	URL       Secret // empty: each node remembers for itself
	Namespace string // of deployments that share a server
}

// JWT says which bearer tokens are believed.
type JWT struct {
	Secret   Secret // HS256
	JWKSURL  string
	Issuer   string // "" accepts any
	Audience string // "" accepts any
}

// Signing holds the ring of keys for tickets, capabilities and grants.
type Signing struct{ Keys []Secret } // "id:use:secret"

// Links bounds the life of signed URLs.
type Links struct {
	TTL    time.Duration // when the request names none
	MaxTTL time.Duration
}

// Uploads bounds what comes in.
type Uploads struct {
	MaxSize      Size // 0: 1 TiB
	Quota        Size // bytes per owner; 0: no limit
	AllowedTypes []string
	Expiry       time.Duration
	StallAfter   time.Duration
	IdleTimeout  time.Duration
	Ack          Ack
}

// Cache bounds what is remembered in memory.
type Cache struct{ Assets int }

// CORS says which web pages of other origins may call.
type CORS struct{ Origins []string }

// Metrics is the listener for /metrics and /debug/pprof; "" has none.
type Metrics struct{ Listen string }

// Log is how the log looks.
type Log struct {
	Level  string // debug, info, warn, error
	Format string // auto, text, json
	Access bool   // one line per request
}

// MaxStop bounds the drain delay and the grace together. What is left of the 10 s of a stop settles counts and closes.
const MaxStop = 8 * time.Second

// Default gives the configuration of a machine that was told nothing: the embedded catalogue, loopback only.
func Default() Config {
	return Config{
		Profile:       Development,
		Port:          5000,
		DataDir:       "./data",
		ShutdownGrace: 5 * time.Second,
		DB:            DB{Name: "sluice", User: "postgres", Host: "localhost", Port: 5432, SSLMode: "prefer", MaxConns: 16, ConnectWait: 5 * time.Second},
		Links:         Links{TTL: time.Hour, MaxTTL: 7 * 24 * time.Hour},
		Uploads: Uploads{
			MaxSize: 50 << 30, Expiry: 7 * 24 * time.Hour,
			StallAfter: 300 * time.Millisecond, IdleTimeout: 55 * time.Second, Ack: AckFast,
		},
		Storage: Storage{Default: localName},
		Cache:   Cache{Assets: 100_000},
		Trash:   Trash{Keep: 24 * time.Hour},
		Redis:   Redis{Namespace: "sluice"},
		Log:     Log{Level: "info", Format: "auto", Access: true},
	}
}

// Address is what to listen on. In development an unset host is the loopback, in production every interface; a port in Listen wins over
// Port.
func (c *Config) Address() string {
	host, port := "", strconv.Itoa(c.Port)
	if c.Profile == Development {
		host = "127.0.0.1"
	}
	if c.Listen == "" {
		return net.JoinHostPort(host, port)
	}
	h, p, err := net.SplitHostPort(c.Listen)
	if err != nil { // no port in it
		return net.JoinHostPort(strings.Trim(c.Listen, "[]"), port)
	}
	if p == "" {
		p = port
	}
	return net.JoinHostPort(h, p)
}

// URL is the address to tell people: PublicURL, or this machine's own.
func (c *Config) URL() string {
	if c.PublicURL != "" {
		return strings.TrimRight(c.PublicURL, "/")
	}
	host, port, err := net.SplitHostPort(c.Address())
	if err != nil {
		return "http://localhost:" + strconv.Itoa(c.Port)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && (ip.IsUnspecified() || ip.IsLoopback()) {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port)
}

// Path joins names to DataDir.
func (c *Config) Path(names ...string) string {
	return filepath.Join(append([]string{c.DataDir}, names...)...)
}

// Check refuses values that each look right and cannot work together, and everything a production profile must not start with.
func (c *Config) Check() error {
	for _, f := range []func() error{c.checkNetwork, c.checkLimits, c.checkRecords, c.checkStorage, c.checkSecrets} {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}

func (c *Config) checkNetwork() error {
	if host, port, err := net.SplitHostPort(c.Address()); err != nil || strings.Contains(host, ":") && net.ParseIP(host) == nil {
		return refuse(fmt.Sprintf("the listen address %q is not host:port", c.Listen), "set LISTEN as in 127.0.0.1:5000 or [::1]:5000", nil)
	} else if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return refuse(fmt.Sprintf("the listen address %q has no port between 0 and 65535", c.Listen), "set LISTEN as in 127.0.0.1:5000", nil)
	}
	for name, s := range map[string]string{"public_url (SLUICE_PUBLIC_URL)": c.PublicURL, "jwt.jwks_url (JWT_JWKS_URL)": c.JWT.JWKSURL} {
		if s == "" {
			continue
		}
		if u, err := url.Parse(s); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return refuse(name+" is not an absolute http or https URL", "write it as in https://media.example.com", nil)
		}
	}
	for _, o := range c.CORS.Origins {
		if !validOrigin(o) || o == "*" && len(c.CORS.Origins) > 1 {
			return refuse(fmt.Sprintf("cors.origins (SLUICE_CORS_ORIGINS) holds %q, which is not an exact origin", o),
				"name each page's scheme, host and port, as in https://lms.example.com, or write * alone for every page", nil)
		}
	}
	for _, p := range c.TrustedProxies {
		if _, _, err := net.ParseCIDR(p); err != nil && net.ParseIP(p) == nil {
			return refuse(fmt.Sprintf("trusted_proxies (SLUICE_TRUSTED_PROXIES) holds %q, which is neither an address nor a network", p),
				"write addresses or CIDR networks, as in 10.0.0.0/8", nil)
		}
	}
	return nil
}

// validOrigin takes what a browser sends as Origin, to be compared with that byte by byte: no pattern, and no capital.
func validOrigin(o string) bool {
	if o == "*" {
		return true
	}
	u, err := url.Parse(o)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil && o == u.Scheme+"://"+u.Host && !strings.Contains(o, "*") && o == strings.ToLower(o)
}

func (c *Config) checkLimits() error {
	if c.DataDir == "" {
		return refuse("the data directory is empty", "set DATA_DIR to a folder that the process may write", nil)
	}
	if c.Links.TTL > c.Links.MaxTTL {
		return refuse("links.ttl (SLUICE_LINK_TTL) is longer than links.max_ttl (SLUICE_LINK_MAX_TTL)", "raise the second or lower the first", nil)
	}
	if c.Uploads.Expiry < time.Minute {
		return refuse("uploads.expiry (SLUICE_UPLOAD_EXPIRY) is under a minute", "give an upload time to go on, as in 24h", nil)
	}
	if c.Trash.Keep < time.Second {
		return refuse("trash.keep (SLUICE_TRASH_KEEP) is under a second", "give people time to restore what they deleted, as in 24h", nil)
	}
	if c.DrainDelay+c.ShutdownGrace > MaxStop {
		return refuse(fmt.Sprintf("drain_delay (SLUICE_DRAIN_DELAY) and shutdown_grace (SLUICE_SHUTDOWN_GRACE) together are over %v", MaxStop),
			"a stop must end within 10s: lower one of them", nil)
	}
	if c.DB.Enabled && c.DB.URL.Empty() && (c.DB.Name == "" || c.DB.Host == "") {
		return refuse("DB_ENABLED is true and DB_NAME or DB_HOST is empty", "set both, or DATABASE_URL", nil)
	}
	return nil
}
