package main

import (
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"

	"sluice/configs"
	"sluice/gateway"
	"sluice/media"
	"sluice/signing"
)

// newRing reads keys written as id:use:secret.
func newRing(c *configs.Config) (*signing.Ring, error) {
	const fix = `write SLUICE_SIGNING_KEYS as "1:sign:SECRET,2:verify:SECRET" with at least 32 random bytes each: openssl rand -base64 32`
	var keys []signing.Key
	for i, k := range c.Signing.Keys {
		parts := strings.SplitN(k.Reveal(), ":", 3)
		if len(parts) != 3 {
			return nil, refuse(configs.ErrKeys, fix, "signing key %d is not id:use:secret", i+1)
		}
		id, err := strconv.ParseUint(parts[0], 10, 8)
		if err != nil {
			return nil, refuse(configs.ErrKeys, fix, "the id of signing key %d is not a number from 0 to 255", i+1)
		}
		use := signing.KeyUse(parts[1])
		if use != signing.Sign && use != signing.Verify && use != signing.Off {
			return nil, refuse(configs.ErrKeys, fix, "the use of signing key %d is none of sign, verify, off", i+1)
		}
		keys = append(keys, signing.Key{ID: uint8(id), Use: use, Secret: keyBytes(parts[2])})
	}
	ring, err := signing.New(keys, signing.Options{})
	if err != nil {
		return nil, refuse(err, fix, "the signing keys cannot be used: %v", err)
	}
	return ring, nil
}

// keyBytes takes base64 of enough bytes as those bytes, and any other text as it is.
func keyBytes(s string) []byte {
	if b, err := base64.StdEncoding.DecodeString(s); err == nil && len(b) >= signing.MinSecret {
		return b
	}
	return []byte(s)
}

// apiKeys reads keys written as name:role:secret.
func apiKeys(c *configs.Config) ([]gateway.APIKey, error) {
	const fix = "write SLUICE_API_KEYS as name:role:SECRET with at least 24 random characters: openssl rand -hex 24"
	var keys []gateway.APIKey
	for i, k := range c.APIKeys {
		parts := strings.SplitN(k.Reveal(), ":", 3)
		if len(parts) != 3 || parts[0] == "" {
			return nil, refuse(configs.ErrKeys, fix, "API key %d is not name:role:secret", i+1)
		}
		role := media.Role(parts[1])
		if role != media.Admin && role != media.Instructor && role != media.Student {
			return nil, refuse(configs.ErrKeys, fix, "the role of API key %d is none of admin, instructor, student", i+1)
		}
		if len(parts[2]) < 24 {
			return nil, refuse(configs.ErrKeys, fix, "the secret of API key %d is shorter than 24 characters", i+1)
		}
		keys = append(keys, gateway.APIKey{Name: parts[0], SHA256: sha256.Sum256([]byte(parts[2])), Roles: []media.Role{role}})
	}
	return keys, nil
}
