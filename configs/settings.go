package configs

import "slices"

// setting ties one place in Config to its names outside.
type setting struct {
	key    string // in the YAML file: "uploads.max_size"
	env    string
	secret bool
	value
}

// settings lists every setting of c, in the order in which they are documented, and then those of each backend that c names.
func settings(c *Config) []setting {
	all := slices.Concat(processSettings(c), dependencySettings(c), mediaSettings(c))
	for i := range c.Storage.Backends {
		all = append(all, backendSettings(&c.Storage.Backends[i])...)
	}
	return all
}

func processSettings(c *Config) []setting {
	return []setting{
		{"profile", "SLUICE_PROFILE", false, text(&c.Profile, Development, Production)},
		{"listen", "LISTEN", false, text(&c.Listen)},
		{"port", "PORT", false, number(&c.Port, 0, 65535)},
		{"public_url", "SLUICE_PUBLIC_URL", false, text(&c.PublicURL)},
		{"data_dir", "DATA_DIR", false, text(&c.DataDir)},
		{"trusted_proxies", "SLUICE_TRUSTED_PROXIES", false, texts(&c.TrustedProxies)},
		{"shutdown_grace", "SLUICE_SHUTDOWN_GRACE", false, duration(&c.ShutdownGrace)},
		{"drain_delay", "SLUICE_DRAIN_DELAY", false, duration(&c.DrainDelay)},
		{"log.level", "SLUICE_LOG_LEVEL", false, text(&c.Log.Level, "debug", "info", "warn", "error")},
		{"log.format", "SLUICE_LOG_FORMAT", false, text(&c.Log.Format, "auto", "text", "json")},
		{"log.access", "SLUICE_LOG_ACCESS", false, boolean(&c.Log.Access)},
		{"metrics.listen", "SLUICE_METRICS_LISTEN", false, text(&c.Metrics.Listen)},
	}
}

func dependencySettings(c *Config) []setting {
	return []setting{
		{"db.enabled", "DB_ENABLED", false, boolean(&c.DB.Enabled)},
		{"db.url", "DATABASE_URL", true, secret(&c.DB.URL)},
		{"db.name", "DB_NAME", false, text(&c.DB.Name)},
		{"db.user", "DB_USER", false, text(&c.DB.User)},
		{"db.password", "DB_PASSWORD", true, secret(&c.DB.Password)},
		{"db.host", "DB_HOST", false, text(&c.DB.Host)},
		{"db.port", "DB_PORT", false, number(&c.DB.Port, 1, 65535)},
		{"db.ssl_mode", "SLUICE_DB_SSL_MODE", false, text(&c.DB.SSLMode, "disable", "allow", "prefer", "require", "verify-ca", "verify-full")},
		{"db.max_conns", "SLUICE_DB_MAX_CONNS", false, number(&c.DB.MaxConns, 2, 1000)},
		{"db.connect_wait", "SLUICE_DB_CONNECT_WAIT", false, duration(&c.DB.ConnectWait)},
		{"mongodb.uri", "MONGODB_URI", true, secret(&c.MongoDB.URI)},
		{"mongodb.collections", "SLUICE_MONGODB_COLLECTIONS", false, texts(&c.MongoDB.Collections)},
		{"redis.url", "REDIS_URL", true, secret(&c.Redis.URL)},
		{"redis.namespace", "SLUICE_REDIS_NAMESPACE", false, text(&c.Redis.Namespace)},
		{"jwt.secret", "JWT_SECRET", true, secret(&c.JWT.Secret)},
		{"jwt.jwks_url", "JWT_JWKS_URL", false, text(&c.JWT.JWKSURL)},
		{"jwt.issuer", "SLUICE_JWT_ISSUER", false, text(&c.JWT.Issuer)},
		{"jwt.audience", "SLUICE_JWT_AUDIENCE", false, text(&c.JWT.Audience)},
		{"signing.keys", "SLUICE_SIGNING_KEYS", true, secrets(&c.Signing.Keys)},
		{"api_keys", "SLUICE_API_KEYS", true, secrets(&c.APIKeys)},
	}
}

func mediaSettings(c *Config) []setting {
	return []setting{
		{"uploads.max_size", "SLUICE_MAX_UPLOAD_SIZE", false, size(&c.Uploads.MaxSize)},
		{"uploads.quota", "SLUICE_QUOTA", false, size(&c.Uploads.Quota)},
		{"uploads.allowed_types", "SLUICE_ALLOWED_TYPES", false, texts(&c.Uploads.AllowedTypes)},
		{"uploads.expiry", "SLUICE_UPLOAD_EXPIRY", false, duration(&c.Uploads.Expiry)},
		{"uploads.stall_after", "SLUICE_STALL_AFTER", false, duration(&c.Uploads.StallAfter)},
		{"uploads.idle_timeout", "SLUICE_IDLE_TIMEOUT", false, duration(&c.Uploads.IdleTimeout)},
		{"uploads.ack", "SLUICE_ACK", false, text(&c.Uploads.Ack, AckFast, AckDurable)},
		{"storage.default", "SLUICE_STORAGE", false, text(&c.Storage.Default)},
		{"storage.min_free", "SLUICE_MIN_FREE", false, size(&c.Storage.MinFree)},
		{"storage.rules", "SLUICE_STORAGE_RULES", false, rules(&c.Storage.Rules)},
		{"links.ttl", "SLUICE_LINK_TTL", false, duration(&c.Links.TTL)},
		{"links.max_ttl", "SLUICE_LINK_MAX_TTL", false, duration(&c.Links.MaxTTL)},
		{"cache.assets", "SLUICE_CACHE_ASSETS", false, number(&c.Cache.Assets, 1, 100_000_000)},
		{"trash.keep", "SLUICE_TRASH_KEEP", false, duration(&c.Trash.Keep)},
		{"cors.origins", "SLUICE_CORS_ORIGINS", false, texts(&c.CORS.Origins)},
	}
}

// foreign are variables with our prefix that are no settings: where the configuration is, what the client commands take, and the mark at
// which a test kills the process.
func foreign() []string {
	return []string{"SLUICE_CONFIG", "SLUICE_ENV_FILE", "SLUICE_SERVER", "SLUICE_TOKEN", "SLUICE_CRASH_AT", "SLUICE_PAUSE_AT"}
}
