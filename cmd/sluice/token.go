package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"sluice/configs"
)

type tokenCommand struct {
	sources
	Subject string        `required:"" help:"Whom the token names (sub)."`
	Role    string        `default:"instructor" enum:"admin,instructor,student" help:"admin, instructor or student."`
	TTL     time.Duration `name:"ttl" default:"1h" help:"How long it holds."`
}

// Help teaches by examples.
func (tokenCommand) Help() string {
	return `Signs with JWT_SECRET, or in development with the secret in the data directory.

  JWT_SECRET=... sluice token --subject u1 --role instructor --ttl 1h
  curl -H "Authorization: Bearer $(sluice token --subject me --role admin)" http://localhost:5000/api/media`
}

// Run prints the token and nothing else.
func (c *tokenCommand) Run(s surroundings) error {
	l, err := c.load(s, nil)
	if err != nil {
		return err
	}
	if err := l.FindKeys(); err != nil {
		return err
	}
	t, err := mint(&l.Config, c.Subject, c.Role, c.TTL)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(s.stdout, t)
	return err
}

// mint signs a JWT that this configuration would accept.
func mint(c *configs.Config, subject, role string, ttl time.Duration) (string, error) {
	if c.JWT.Secret.Empty() {
		return "", refuse(configs.ErrKeys, "set JWT_SECRET, or name with --data-dir the data directory of a gateway that has been started once",
			"there is no secret to sign a token with")
	}
	if strings.HasPrefix(subject, "key:") {
		return "", refuse(nil, "name a person or a service", "%q would be an API key's subject: the gateway refuses such a login", subject)
	}
	if ttl < time.Second {
		return "", refuse(nil, "give a time as --ttl 1h", "a token that holds for %v is of no use", ttl)
	}
	now := time.Now()
	claims := jwt.MapClaims{"sub": subject, "role": role, "iat": now.Unix(), "exp": now.Add(ttl).Unix()}
	if c.JWT.Issuer != "" {
		claims["iss"] = c.JWT.Issuer
	}
	if c.JWT.Audience != "" {
		claims["aud"] = c.JWT.Audience
	}
	t, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(c.JWT.Secret.Reveal()))
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	return t, nil
}
