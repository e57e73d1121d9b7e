package catalogue

import (
	"bytes"
	"context"
	"encoding/hex"
	"slices"
	"strconv"
	"time"

	"sluice/media"
)

// texts are the statements that hold a piece of dialect.
type texts struct {
	Dialect
	keys, bump, spread, deny, noted, note string
	held, spots, wanted, empty            string
}

func writeTexts(d Dialect) texts {
	return texts{
		Dialect: d,
		keys:    `SELECT a.object_key FROM assets a WHERE a.backend = $1 AND a.object_key IN (` + d.Keys + `)`,
		bump: `UPDATE assets SET access_count = access_count + t.views, bytes_served = bytes_served + t.bytes,
			last_accessed_at = ` + d.Greatest + `(last_accessed_at, t.last)
			FROM (SELECT asset, CAST(SUM(views) AS BIGINT) AS views, CAST(SUM(bytes) AS BIGINT) AS bytes, MAX(last) AS last FROM ` + d.Tallies + ` GROUP BY asset) AS t
			WHERE assets.id = t.asset AND assets.doomed_at = 0`,
		spread: `INSERT INTO accesses (asset_id, hour, views, bytes)
			SELECT t.asset, t.hour, t.views, t.bytes FROM ` + d.Tallies + ` JOIN assets a ON a.id = t.asset
			WHERE a.doomed_at = 0 AND (t.views <> 0 OR t.bytes <> 0)
			ON CONFLICT (asset_id, hour) DO UPDATE SET views = accesses.views + excluded.views, bytes = accesses.bytes + excluded.bytes`,
		deny: `INSERT INTO denials (` + denialColumns + `) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
			ON CONFLICT (id) DO UPDATE SET expires_at = ` + d.Greatest + `(denials.expires_at, excluded.expires_at)`,
		noted: `SELECT v.asset_id, v.session, v.viewed_at, v.counted FROM ` + d.Views + `
			JOIN views v ON v.asset_id = t.asset AND v.session = t.session AND v.viewed_at > t.at - $2`,
		note: `INSERT INTO views (asset_id, session, viewed_at, counted, noted_at)
			SELECT t.asset, t.session, t.at, t.counted, $2 FROM ` + d.Views + ` WHERE TRUE
			ON CONFLICT (asset_id, session, viewed_at) DO UPDATE SET counted = excluded.counted`,
		held:   `SELECT ` + columns + ` FROM assets a WHERE a.id IN (` + d.IDs + `) AND (a.doomed_at = 0 OR a.kept)`,
		spots:  selectSpots(`p.asset_id IN (` + d.IDs + `)`),
		wanted: `SELECT DISTINCT asset_id FROM trash WHERE asset_id IN (` + d.IDs + `)`,
		empty:  `DELETE FROM trash WHERE id IN (` + d.IDs + `) AND keep_until <= $2`,
	}
}

const (
	selectPosition = `SELECT position FROM journals WHERE name = $1`
	movePosition   = `INSERT INTO journals (name, position) VALUES ($1, $2)
		ON CONFLICT (name) DO UPDATE SET position = excluded.position WHERE journals.position = $3`
)

// Count adds a batch and moves the journal's position, in one transaction. See analytics.Counts.
func (c *Catalogue) Count(ctx context.Context, journal string, b media.Batch) error {
	if err := checkTexts("journal", journal); err != nil {
		return err
	}
	if b.To < b.From || len(b.Views) > 0 && b.Window < time.Microsecond {
		return media.Errorf(media.Invalid, "a journal moves forward only, and views count once in some time")
	}
	defer c.counted() // also when whether it was is not known
	return c.write(ctx, Ordinary, func(tx Tx) error {
		var at int64
		if _, err := queryOne(ctx, tx, selectPosition, []any{journal}, &at); err != nil {
			return err
		}
		if at >= b.To {
			return nil
		}
		if at != b.From {
			return &media.Error{Kind: media.Conflict, Code: "journal_elsewhere", Detail: "the journal was counted to another position"}
		}
		if err := c.swap(ctx, tx, movePosition, journal, b.To, b.From); err != nil || len(b.Tallies)+len(b.Views) == 0 {
			return err
		}
		return c.add(ctx, tx, b)
	})
}

// add brings a batch into the counts. The rows of its assets are locked first, in order: nodes that count the same assets then take turns,
// which makes what they decide about views exact, and cannot wait for each other in a circle.
func (c *Catalogue) add(ctx context.Context, tx Tx, b media.Batch) error {
	if c.texts.Hold != "" {
		if err := tx.Later(ctx, c.texts.Hold, assetJSON(b)); err != nil {
			return err
		}
	}
	tallies := b.Tallies
	if len(b.Views) > 0 {
		views, err := c.decideViews(ctx, tx, b)
		if err != nil {
			return err
		}
		tallies = slices.Concat(tallies, views)
	}
	list := string(tallyJSON(tallies))
	for _, text := range []string{c.texts.bump, c.texts.spread} {
		if err := tx.Later(ctx, text, list); err != nil {
			return err
		}
	}
	return tx.Later(ctx, dropViews, micros(c.stamp().Add(-viewsKept)))
}

// Position tells how far a journal has been counted. See analytics.Counts.
func (c *Catalogue) Position(ctx context.Context, journal string) (at int64, err error) {
	if err := checkTexts("journal", journal); err != nil {
		return 0, err
	}
	err = c.engine.Read(ctx, func(q Querier) error {
		at = 0
		_, err := queryOne(ctx, q, selectPosition, []any{journal}, &at)
		return err
	})
	return at, err
}

const selectCounts = `SELECT version, access_count, bytes_served, last_accessed_at FROM assets WHERE id = $1 AND doomed_at = 0`

// Counts reads how often an asset was fetched; media.NotFound when it is missing or doomed. See curation.Shelf.
func (c *Catalogue) Counts(ctx context.Context, id media.AssetID) (media.Counts, error) {
	var n media.Counts
	err := c.engine.Read(ctx, func(q Querier) error {
		var last int64
		found, err := queryOne(ctx, q, selectCounts, []any{id}, &n.Version, &n.AccessCount, &n.BytesServed, &last)
		if err == nil && !found {
			err = notFound()
		}
		n.LastAccessedAt = moment(last)
		return err
	})
	return n, err
}

// tallyJSON writes tallies as [{"a":"hex id","h":hour,"v":views,"b":bytes,"l":last},…], times in microseconds: one argument for any
// number of rows. Sorted and merged, since an upsert may touch a row once only, and two nodes should take rows in one order.
func tallyJSON(tallies []media.Tally) []byte {
	sorted := slices.Clone(tallies)
	for i := range sorted {
		sorted[i].Hour = sorted[i].Hour.UTC().Truncate(time.Hour)
	}
	slices.SortFunc(sorted, func(x, y media.Tally) int {
		if d := bytes.Compare(x.Asset[:], y.Asset[:]); d != 0 {
			return d
		}
		return x.Hour.Compare(y.Hour)
	})
	merged := sorted[:0]
	for _, t := range sorted {
		if n := len(merged); n > 0 && merged[n-1].Asset == t.Asset && merged[n-1].Hour.Equal(t.Hour) {
			merged[n-1].Views += t.Views
			merged[n-1].Bytes += t.Bytes
			if t.Last.After(merged[n-1].Last) {
				merged[n-1].Last = t.Last
			}
			continue
		}
		merged = append(merged, t)
	}
	list := make([]byte, 0, 2+len(merged)*110)
	list = append(list, '[')
	for i, t := range merged {
		if i > 0 {
			list = append(list, ',')
		}
		list = append(list, `{"a":"`...)
		list = hex.AppendEncode(list, t.Asset[:])
		list = strconv.AppendInt(append(list, `","h":`...), t.Hour.UnixMicro(), 10)
		list = strconv.AppendInt(append(list, `,"v":`...), t.Views, 10)
		list = strconv.AppendInt(append(list, `,"b":`...), t.Bytes, 10)
		list = strconv.AppendInt(append(list, `,"l":`...), micros(t.Last), 10)
		list = append(list, '}')
	}
	return append(list, ']')
}

const selectHours = `SELECT hour, views, bytes FROM accesses WHERE asset_id = $1 AND hour >= $2 AND hour < $3
	AND (views > 0 OR bytes > 0) ORDER BY hour` // a view that came late may have taken the only one of an hour

// Series reads buckets of one asset, oldest first. A bucket starts at a multiple of its length since year 1, so that days start at
// midnight UTC. See analytics.Counts.
func (c *Catalogue) Series(ctx context.Context, s media.Series) ([]media.Bucket, error) {
	if s.Bucket == 0 {
		s.Bucket = time.Hour
	}
	if s.Bucket < time.Hour || s.Bucket%time.Hour != 0 {
		return nil, &media.Error{Kind: media.Invalid, Field: "bucket", Detail: "a bucket is a whole number of hours"}
	}
	var buckets []media.Bucket
	err := c.engine.Read(ctx, func(q Querier) error {
		buckets = buckets[:0]
		rows, err := q.Query(ctx, selectHours, s.Asset, s.From.UnixMicro(), s.To.UnixMicro())
		if err != nil {
			return err
		}
		for rows.Next() {
			var hour, views, served int64
			if err = rows.Scan(&hour, &views, &served); err != nil {
				break
			}
			start := time.UnixMicro(hour).UTC().Truncate(s.Bucket)
			if n := len(buckets); n == 0 || !buckets[n-1].Start.Equal(start) {
				buckets = append(buckets, media.Bucket{Start: start})
			}
			buckets[len(buckets)-1].Views += views
			buckets[len(buckets)-1].Bytes += served
		}
		if err == nil {
			err = rows.Err()
		}
		if cerr := rows.Close(); err == nil {
			err = cerr
		}
		return err
	})
	return buckets, err
}
