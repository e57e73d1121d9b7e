package media

import (
	"errors"
	"fmt"
	"time"
)

// Kind says what went wrong in the terms of whoever asked. A Kind is itself an error, so errors.Is(err, media.NotFound) works on any
// error that wraps it.
type Kind uint8

// The kinds, each with the HTTP status the gateway answers.
const (
	Internal             Kind = iota // 500: unexplained; its text never reaches a stranger
	Invalid                          // 400: the request is malformed
	Unauthenticated                  // 401: who asks is not known
	Forbidden                        // 403: known, and not allowed
	NotFound                         // 404: missing, or none of the asker's business
	Conflict                         // 409: not in a state that allows it
	Gone                             // 410: was here, and is over
	PreconditionFailed               // 412: the version named is stale
	TooLarge                         // 413: over a size limit or a quota
	Unsupported                      // 415: a media type that is not accepted here
	Locked                           // 423: somebody else is at work on it; come back
	PreconditionRequired             // 428: the change must name a version
	TooMany                          // 429: too often
	Unavailable                      // 503: a dependency is away; come back
	Full                             // 507: no space left
)

// Error makes a Kind an error, to be compared with errors.Is.
func (k Kind) Error() string {
	return [...]string{
		"internal error", "invalid", "unauthenticated", "forbidden", "not found", "conflict", "gone", "precondition failed", "too large",
		"unsupported media type", "locked", "precondition required", "too many requests", "unavailable", "insufficient storage",
	}[k]
}

// Error is what a use-case answers when it refuses or cannot. The client sees Kind, Code, Detail and Field; Err goes to the log.
type Error struct {
	Kind       Kind
	Code       string        // stable, machine-readable, snake_case: "length_required"; empty takes the kind's own
	Detail     string        // one sentence for the client; never a path, SQL or a driver's text
	Field      string        // the input at fault, when there is one: "mongoProductId"
	RetryAfter time.Duration // for Locked, TooMany, Unavailable; zero leaves it to the edge
	Err        error
}

// Errorf makes an Error of a kind with a detail for the client. It does not wrap: a cause goes into Err, see Wrap.
func Errorf(k Kind, format string, args ...any) *Error {
	return &Error{Kind: k, Detail: fmt.Sprintf(format, args...)}
}

// Wrap makes an Error of a kind around its cause. The cause is for the log only.
func Wrap(k Kind, err error, detail string) *Error { return &Error{Kind: k, Detail: detail, Err: err} }

func (e *Error) Error() string {
	s := e.Detail
	if s == "" {
		s = e.Kind.Error()
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether target is this error's Kind.
func (e *Error) Is(target error) bool {
	k, ok := target.(Kind)
	return ok && k == e.Kind
}

// KindOf finds the outermost Kind in err's chain; an error without one is Internal.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	if k, ok := errors.AsType[Kind](err); ok {
		return k
	}
	return Internal
}
