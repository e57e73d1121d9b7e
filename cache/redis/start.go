package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/redis/go-redis/v9"
)

// Cause says why the server cannot be used.
type Cause uint8

// The causes.
const (
	OtherCause    Cause = iota
	BadURL              // the URL cannot be read
	Unreachable         // nobody answers at that address
	WrongPassword       // WRONGPASS, NOAUTH or NOPERM
	NotRedis            // what answers speaks something else
)

// StartError is why a server cannot be used: one line of cause, one of what to do. Neither holds a secret. errors.As finds it.
type StartError struct {
	Cause Cause
	Text  string // the cause in one line
	Fix   string // what to do, in one line
	Err   error  // for the log
}

func (e *StartError) Error() string { return e.Text }

// Unwrap gives the client's error.
func (e *StartError) Unwrap() error { return e.Err }

const examineWait = 2 * time.Second

// Examine looks whether the server that a URL names can be used, and gives what it is ("Redis 7.0.15 at host:6379"). An error is a
// *StartError.
func Examine(ctx context.Context, url string) (string, error) {
	opt, err := parse(url)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, examineWait)
	defer cancel()
	opt.DialTimeout, opt.ReadTimeout, opt.WriteTimeout, opt.PoolTimeout = examineWait, examineWait, examineWait, examineWait
	c := redis.NewClient(opt)
	defer c.Close() //nolint:errcheck // it was only looked at
	if err := c.Ping(ctx).Err(); err != nil {
		return "", explain(opt.Addr, err)
	}
	if err := c.Set(ctx, defaultNamespace+":probe", 1, probeLife).Err(); err != nil {
		return "", explain(opt.Addr, err)
	}
	saw := "answers at " + opt.Addr
	if info, err := c.Info(ctx, "server").Result(); err == nil {
		if v := versionLine.FindStringSubmatch(info); v != nil {
			saw = "Redis " + v[1] + " at " + opt.Addr
		}
	}
	return saw, nil
}

// explain tells what a first failure means.
func explain(at string, err error) error {
	_, network := errors.AsType[net.Error](err)
	_, replied := errors.AsType[redis.Error](err)
	switch {
	case redis.IsAuthError(err) || redis.IsPermissionError(err) || redis.HasErrorPrefix(err, "AUTH"):
		return &StartError{
			Cause: WrongPassword, Err: err, Text: "Redis at " + at + " refuses the login: wrong user or password, or too few rights",
			Fix: "set REDIS_URL to redis://user:password@host:port/0 as the server knows them (no user: redis://:password@…)",
		}
	case replied:
		return &StartError{Cause: OtherCause, Err: err, Text: fmt.Sprintf("Redis at %s cannot be used: %v", at, err), Fix: "see the server's log; it must take writes, Lua scripts and PUBLISH"}
	case network || errors.Is(err, context.DeadlineExceeded):
		return &StartError{
			Cause: Unreachable, Err: err, Text: "Redis does not answer at " + at,
			Fix: "start it, or set REDIS_URL to where it runs; without REDIS_URL the gateway runs alone and needs none",
		}
	}
	return &StartError{Cause: NotRedis, Err: err, Text: "what answers at " + at + " is not a Redis", Fix: "set REDIS_URL to the host and port of a Redis server; rediss:// when it takes TLS only"}
}
