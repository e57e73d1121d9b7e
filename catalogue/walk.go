package catalogue

import (
	"context"
	"encoding/json"
	"iter"
	"strings"
	"time"
	"unicode/utf8"

	"sluice/media"
)

// pageSize is how many rows a walk reads at a time; between pages it holds no connection.
const pageSize = 200

// Unfinished walks uploading rows created before a time, oldest first. See uploads.Ledger.
func (c *Catalogue) Unfinished(ctx context.Context, before time.Time) iter.Seq2[media.Asset, error] {
	return c.walk(ctx, `a.state = 'uploading' AND a.doomed_at = 0 AND a.created_at < $3`, false, micros(before))
}

// Unsettled walks stored rows, oldest first. See uploads.Ledger.
func (c *Catalogue) Unsettled(ctx context.Context) iter.Seq2[media.Asset, error] {
	return c.walk(ctx, `a.state = 'stored' AND a.doomed_at = 0`, false)
}

// Open walks one owner's uploading rows, newest first. See uploads.Ledger.
func (c *Catalogue) Open(ctx context.Context, owner string) iter.Seq2[media.Asset, error] {
	return c.walk(ctx, `a.state = 'uploading' AND a.doomed_at = 0 AND a.owner = $3`, true, owner)
}

// Doomed walks doomed rows that the trash does not keep, oldest first. See uploads.Ledger.
func (c *Catalogue) Doomed(ctx context.Context) iter.Seq2[media.Asset, error] {
	return c.walk(ctx, `a.doomed_at <> 0 AND NOT a.kept`, false)
}

// walk reads page after page by (created_at, id), which bind $1 and $2.
func (c *Catalogue) walk(ctx context.Context, where string, newest bool, args ...any) iter.Seq2[media.Asset, error] {
	text := `SELECT ` + columns + ` FROM assets a WHERE ` + where + ` AND (a.created_at, a.id) > ($1, $2) ORDER BY a.created_at, a.id LIMIT 200`
	last, lastID := int64(-1)<<62, media.AssetID{}
	if newest {
		text = strings.NewReplacer(">", "<", "ORDER BY a.created_at, a.id", "ORDER BY a.created_at DESC, a.id DESC").Replace(text)
		last = 1 << 62
	}
	return func(yield func(media.Asset, error) bool) {
		at, id := last, lastID
		for {
			var page []row
			err := c.engine.Read(ctx, func(q Querier) error {
				var err error
				page, err = c.loadRows(ctx, q, 16, text, append([]any{at, id}, args...)...)
				return err
			})
			if err != nil {
				yield(media.Asset{}, err)
				return
			}
			for _, r := range page {
				if !yield(r.Asset, nil) {
					return
				}
			}
			if len(page) < pageSize {
				return
			}
			at, id = micros(page[len(page)-1].CreatedAt), page[len(page)-1].ID
		}
	}
}

// Keys tells which keys of a backend belong to a row, doomed ones included. See uploads.Ledger.
func (c *Catalogue) Keys(ctx context.Context, backend string, keys []string) (map[string]bool, error) {
	owned := make(map[string]bool, len(keys))
	for len(keys) > 0 {
		n := min(len(keys), 1000)
		asked := make([]string, 0, n)
		for _, key := range keys[:n] {
			if utf8.ValidString(key) && strings.IndexByte(key, 0) < 0 { // others cannot stand in a row
				asked = append(asked, key)
			}
		}
		keys = keys[n:]
		list, err := json.Marshal(asked)
		if err != nil {
			return nil, err
		}
		err = c.engine.Read(ctx, func(q Querier) error {
			rows, err := q.Query(ctx, c.texts.keys, backend, string(list))
			if err != nil {
				return err
			}
			for rows.Next() {
				var key string
				if err := rows.Scan(&key); err != nil {
					_ = rows.Close() // the scan's error says more
					return err
				}
				owned[key] = true
			}
			if err := rows.Err(); err != nil {
				_ = rows.Close() // the walk's error says more
				return err
			}
			return rows.Close()
		})
		if err != nil {
			return nil, err
		}
	}
	return owned, nil
}
