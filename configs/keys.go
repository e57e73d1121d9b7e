package configs

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// MinSecret is the least length of a JWT secret and of a signing key, in bytes: RFC 7518 section 3.2 asks for the size of the hash.
const MinSecret = 32

// checkSecrets holds in production only: development makes its own.
func (c *Config) checkSecrets() error {
	if c.Profile != Production {
		return nil
	}
	if c.JWT.Secret.Empty() && c.JWT.JWKSURL == "" {
		return refuse("the production profile has no key to check logins with", "set JWT_SECRET to at least 32 random bytes (openssl rand -base64 48), or JWT_JWKS_URL", ErrKeys)
	}
	if !c.JWT.Secret.Empty() {
		if len(c.JWT.Secret.Reveal()) < MinSecret {
			return refuse("JWT_SECRET is shorter than 32 bytes", "make one with openssl rand -base64 48 and give it to the LMS too", ErrKeys)
		}
		if sample(c.JWT.Secret.Reveal()) {
			return refuse("JWT_SECRET is a sample from documentation, known to everybody", "make one with openssl rand -base64 48 and give it to the LMS too", ErrKeys)
		}
	}
	if len(c.Signing.Keys) == 0 {
		return refuse("the production profile has no key to sign links with", `set SLUICE_SIGNING_KEYS="1:sign:$(openssl rand -base64 32)", the same on every node`, ErrKeys)
	}
	for _, k := range c.Signing.Keys {
		if sample(k.Reveal()) {
			return refuse("SLUICE_SIGNING_KEYS holds a sample from documentation, known to everybody", "make one with openssl rand -base64 32", ErrKeys)
		}
	}
	return nil
}

// sample recognises what people copy from documentation: words that no random text holds, or hardly any different characters.
func sample(s string) bool {
	folded := strings.Map(func(r rune) rune {
		if r == '-' || r == '_' || r == ' ' || r == '.' {
			return -1
		}
		return r
	}, strings.ToLower(s))
	for _, word := range []string{
		"changeme", "changethis", "replaceme", "replacethis", "yoursecret", "yourjwt", "yoursupersecret", "supersecret", "secretkey", "mysecret", "jwtsecret",
		"password", "example", "sample", "placeholder", "insecure", "development", "0123456789abcdef", "123456789012345", "abcdefghijklmnop",
	} {
		if strings.Contains(folded, word) {
			return true
		}
	}
	different := map[rune]bool{}
	for _, r := range s {
		different[r] = true
	}
	return len(different) < 8
}

// KeyFile names the files in which development keeps its own keys.
func (c *Config) KeyFile(name string) string { return c.Path("keys", name) }

// The key files.
const (
	jwtFile     = "jwt-secret"
	signingFile = "signing-key"
)

// MakeKeys gives a development profile the keys it was not configured with: from its data directory, where the first start makes them.
// made tells that one was new.
func (l *Loaded) MakeKeys() (made bool, err error) {
	if l.Profile != Development {
		return false, nil
	}
	if l.JWT.Secret.Empty() && l.JWT.JWKSURL == "" {
		s, fresh, err := l.keyFile(jwtFile, true)
		if err != nil {
			return false, err
		}
		made = fresh
		l.JWT.Secret, l.origins["jwt.secret"] = s, l.KeyFile(jwtFile)
	}
	if len(l.Signing.Keys) == 0 {
		s, fresh, err := l.keyFile(signingFile, true)
		if err != nil {
			return false, err
		}
		made = made || fresh
		l.Signing.Keys, l.origins["signing.keys"] = []Secret{{"1:sign:" + s.text}}, l.KeyFile(signingFile)
	}
	return made, nil
}

// FindKeys is MakeKeys that makes nothing: what is missing stays empty.
func (l *Loaded) FindKeys() error {
	if l.Profile != Development || !l.JWT.Secret.Empty() || l.JWT.JWKSURL != "" {
		return nil
	}
	s, _, err := l.keyFile(jwtFile, false)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	l.JWT.Secret, l.origins["jwt.secret"] = s, l.KeyFile(jwtFile)
	return nil
}

func (l *Loaded) keyFile(name string, create bool) (s Secret, fresh bool, err error) {
	path := l.KeyFile(name)
	s, err = readKey(path)
	if !create || err == nil || !errors.Is(err, fs.ErrNotExist) {
		return s, false, err
	}
	if fresh, err = writeKey(path); err != nil {
		return Secret{}, false, refuse(fmt.Sprintf("the key file %s cannot be made: %v", path, reason(err)),
			"let the process write its data directory (DATA_DIR)", err)
	}
	s, err = readKey(path)
	return s, fresh, err
}

func readKey(path string) (Secret, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Secret{}, refuse(fmt.Sprintf("the key file %s cannot be read: %v", path, reason(err)), "let the process read its data directory (DATA_DIR)", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return Secret{}, refuse(fmt.Sprintf("the key file %s can be read by others", path), "chmod 600 "+path, ErrKeys)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return Secret{}, refuse(fmt.Sprintf("the key file %s cannot be read: %v", path, reason(err)), "let the process read its data directory (DATA_DIR)", err)
	}
	key := strings.TrimSpace(string(data))
	if len(key) < MinSecret {
		return Secret{}, refuse(fmt.Sprintf("the key file %s is cut short", path), "remove it: the next start makes another, and old links and tokens end", ErrKeys)
	}
	return Secret{key}, nil
}

// writeKey makes a key that is whole or not there at all: a temporary file, synced, linked into place. The link loses to one that is
// there already, so that two processes that start at once end up with the same key.
func writeKey(path string) (fresh bool, err error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return false, err
	}
	f, err := os.CreateTemp(dir, ".key-*") // mode 0600
	if err != nil {
		return false, err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	key := make([]byte, MinSecret)
	_, _ = rand.Read(key) // never fails
	_, err = f.WriteString(base64.StdEncoding.EncodeToString(key) + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return false, err
	}
	if err := os.Link(f.Name(), path); errors.Is(err, fs.ErrExist) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	d, err := os.Open(dir)
	if err != nil {
		return false, err
	}
	return true, errors.Join(d.Sync(), d.Close())
}
