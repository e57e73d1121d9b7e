package configs

import "errors"

// Refusal says in one line why something cannot be, and in another what to do about it. Both are for the operator and hold no secret.
type Refusal struct {
	Cause string
	Fix   string
	Err   error // for errors.Is; not printed
}

func (r *Refusal) Error() string { return r.Cause }

// Unwrap gives what lies under it.
func (r *Refusal) Unwrap() error { return r.Err }

// ErrKeys is in the chain of every refusal about a missing or weak key.
var ErrKeys = errors.New("keys")

func refuse(cause, fix string, err error) error { return &Refusal{Cause: cause, Fix: fix, Err: err} }
