package catalogue

import (
	"context"
	"time"
)

// Oldest tells when the oldest row was created; the zero time when there is none. See uploads.Ledger.
func (c *Catalogue) Oldest(ctx context.Context) (time.Time, error) {
	var at int64
	err := c.engine.Read(ctx, func(q Querier) error {
		_, err := queryOne(ctx, q, `SELECT a.created_at FROM assets a WHERE a.doomed_at = 0 AND NOT a.partial ORDER BY a.created_at, a.id LIMIT 1`, nil, &at)
		return err
	})
	return moment(at), err
}

// Backends tells how many rows name each backend, doomed ones included. It reads an index from end to end, so it is for a start and for
// whoever looks for what is wrong.
func (c *Catalogue) Backends(ctx context.Context) (map[string]int64, error) {
	var counts map[string]int64
	err := c.engine.Read(ctx, func(q Querier) error {
		counts = map[string]int64{} // Read may run this again
		rows, err := q.Query(ctx, `SELECT a.backend, COUNT(*) FROM assets a WHERE a.backend <> '' GROUP BY a.backend`)
		if err != nil {
			return err
		}
		for rows.Next() {
			var name string
			var n int64
			if err := rows.Scan(&name, &n); err != nil {
				_ = rows.Close() // the scan's error says more
				return err
			}
			counts[name] = n
		}
		if err := rows.Err(); err != nil {
			_ = rows.Close() // the walk's error says more
			return err
		}
		return rows.Close()
	})
	return counts, err
}
