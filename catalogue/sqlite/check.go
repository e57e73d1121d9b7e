package sqlite

import (
	"context"
	"errors"
	"fmt"
)

// ErrDamaged is in the chain of an error when the file does not hold together.
var ErrDamaged = errors.New("the file is damaged")

// Check reads every page and index of the file (PRAGMA integrity_check, https://sqlite.org/pragma.html) and names the first fault.
func (e *Engine) Check(ctx context.Context) error {
	var found string
	if err := e.readers.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&found); err != nil {
		return fmt.Errorf("catalogue sqlite: check: %w", translate(err))
	}
	if found != "ok" {
		return fmt.Errorf("catalogue sqlite: %w: %s", ErrDamaged, found)
	}
	return nil
}
