package catalogue

import "context"

// Check looks through what is stored for damage, where the engine knows how (SQLite reads every page), and asks it to answer elsewhere.
func (c *Catalogue) Check(ctx context.Context) error {
	if e, ok := c.engine.(interface{ Check(context.Context) error }); ok {
		return e.Check(ctx)
	}
	return c.Ping(ctx)
}
