package postgres_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/catalogue"
	"sluice/catalogue/postgres"
	"sluice/internal/livetest"
	"sluice/media"
)

func TestAServerThatGoesAndComesBack(t *testing.T) {
	t.Parallel()
	s := livetest.Postgres(t)
	c := connect(t, config(s, s.NewDatabase(t)), catalogue.Options{})
	begin := func() (media.Asset, error) {
		a, _, err := c.Begin(t.Context(), media.Asset{ID: media.NewAssetID(time.Now()), State: media.Uploading, Owner: "u", Size: 1}, 0)
		return a, err
	}
	for _, end := range []func(testing.TB){s.Stop, s.Kill} {
		a, err := begin()
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 8 { // leaves dead connections behind
			wg.Go(func() {
				if _, err := c.Asset(t.Context(), a.ID); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		end(t)
		for what, call := range map[string]func() error{
			"a read":  func() error { _, err := c.Asset(t.Context(), a.ID); return err },
			"a write": func() error { _, err := begin(); return err },
			"a count": func() error { return c.Count(t.Context(), "j", media.Batch{To: 1}) },
			"a ping":  func() error { return c.Ping(t.Context()) },
		} {
			start := time.Now()
			err := call()
			if !errors.Is(err, media.Unavailable) {
				t.Errorf("%s with the server away: got %v, want unavailable", what, err)
			}
			if e, ok := errors.AsType[*media.Error](err); ok && e.RetryAfter <= 0 {
				t.Errorf("%s does not say when to come back", what)
			}
			if took := time.Since(start); took > 2*time.Second {
				t.Errorf("%s took %v", what, took)
			}
		}
		s.Start(t)
		if _, err := c.Asset(t.Context(), a.ID); err != nil {
			t.Errorf("the first read after the restart: %v", err)
		}
		if _, err := begin(); err != nil {
			t.Errorf("the first write after the restart: %v", err)
		}
	}
}

func TestARestartUnseenCostsNothing(t *testing.T) {
	t.Parallel()
	s := livetest.Postgres(t)
	c := connect(t, config(s, s.NewDatabase(t)), catalogue.Options{})
	a, err := c.Add(t.Context(), media.Asset{Owner: "u"})
	if err != nil {
		t.Fatal(err)
	}
	s.Stop(t)
	s.Start(t)
	if _, err := c.Asset(t.Context(), a.ID); err != nil {
		t.Errorf("a read over a dead connection: %v", err)
	}
	s.Stop(t)
	s.Start(t)
	if _, err := c.Revoke(t.Context(), a.ID); err != nil {
		t.Errorf("a write over a dead connection: %v", err)
	}
}

func TestNamesAndPasswordsOfAnyKind(t *testing.T) {
	t.Parallel()
	s := livetest.SharedPostgres(t)
	const password = `p@ss:w/o#r%d '"\ ?&=`
	s.Exec(t, "postgres", `CREATE ROLE "us er@x" LOGIN PASSWORD 'p@ss:w/o#r%d ''"\ ?&='`, `CREATE DATABASE "ebay lms" OWNER "us er@x"`)
	cfg := config(s, "ebay lms")
	cfg.User, cfg.Password = "us er@x", password
	c := connect(t, cfg, catalogue.Options{})
	if err := c.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	if current, latest, err := c.Version(t.Context()); err != nil || current != latest || latest < 1 {
		t.Errorf("version %d of %d, %v", current, latest, err)
	}
}

func TestAStartThatFailsSaysWhy(t *testing.T) {
	t.Parallel()
	s := livetest.SharedPostgres(t)
	good := config(s, s.NewDatabase(t))
	for _, c := range []struct {
		name   string
		change func(*postgres.Config)
		cause  postgres.Cause
	}{
		{"a wrong password", func(c *postgres.Config) { c.Password = "secret-1234" }, postgres.WrongPassword},
		{"no such user", func(c *postgres.Config) { c.User = "nobody-here" }, postgres.WrongPassword},
		{"no such database", func(c *postgres.Config) { c.Database = "not there" }, postgres.MissingDatabase},
		{"nobody listens", func(c *postgres.Config) { c.Port = 1 }, postgres.Unreachable},
		{"an URL that is none", func(c *postgres.Config) { c.URL = "postgres://u:secret-1234@[::/x" }, postgres.BadConfig},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cfg := good
			c.change(&cfg)
			_, err := postgres.Open(t.Context(), cfg, catalogue.Options{})
			e, ok := errors.AsType[*postgres.StartError](err)
			if !ok || e.Cause != c.cause {
				t.Fatalf("got %v, want cause %d", err, c.cause)
			}
			if e.Fix == "" || strings.Contains(e.Error()+e.Fix, cfg.Password) || strings.Contains(e.Error()+e.Fix, "secret-1234") {
				t.Errorf("%q, %q: no fix, or a secret in it", e.Error(), e.Fix)
			}
			if strings.ContainsRune(e.Error()+e.Fix, '\n') {
				t.Errorf("%q, %q: more than a line each", e.Error(), e.Fix)
			}
		})
	}
}

func TestFourNodesMigrateAtOnce(t *testing.T) {
	t.Parallel()
	s := livetest.SharedPostgres(t)
	cfg := config(s, s.NewDatabase(t))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			c, err := postgres.Open(t.Context(), cfg, catalogue.Options{})
			if err != nil {
				t.Error(err)
				return
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestAPoolThatIsUsedUpIsUnavailable(t *testing.T) {
	t.Parallel()
	s := livetest.SharedPostgres(t)
	cfg := config(s, s.NewDatabase(t))
	cfg.MaxConns, cfg.ConnectTimeout = 1, 300*time.Millisecond
	c := connect(t, cfg, catalogue.Options{})
	for range 3 {
		if _, err := c.Add(t.Context(), media.Asset{Owner: "u"}); err != nil {
			t.Fatal(err)
		}
	}
	e, err := postgres.NewEngine(t.Context(), cfg, catalogue.Options{}.Log())
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	err = e.Read(t.Context(), func(catalogue.Querier) error {
		return e.Read(t.Context(), func(catalogue.Querier) error { return nil })
	})
	if !errors.Is(err, media.Unavailable) {
		t.Errorf("got %v, want unavailable", err)
	}
}
