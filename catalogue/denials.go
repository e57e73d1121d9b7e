package catalogue

import (
	"context"
	"math"

	"sluice/media"
)

const denialColumns = `id, viewer, course_id, asset_id, expires_at, created_by, created_at, key_id`

// noKey is the id of no signing key: 0 is one.
const noKey int64 = -1

const (
	selectDenial  = `SELECT ` + denialColumns + ` FROM denials WHERE id = $1`
	selectDenials = `SELECT ` + denialColumns + ` FROM denials WHERE expires_at > $1 ORDER BY created_at, id`
	dropDenials   = `DELETE FROM denials WHERE expires_at <= $1`
)

// Deny keeps a denial, or moves the end of the one with its id, never to an earlier time, and gives what is kept. It goes through on a
// full disk: who must be locked out must be. See playback.Denials.
func (c *Catalogue) Deny(ctx context.Context, d media.Denial) (media.Denial, error) {
	if err := checkTexts("id", d.ID, "viewer", d.Viewer, "courseId", d.CourseID, "by", d.By); err != nil {
		return media.Denial{}, err
	}
	key := noKey
	if d.OfKey {
		key = int64(d.Key)
	}
	var kept media.Denial
	err := c.write(ctx, Freeing, func(tx Tx) error {
		_, err := tx.Exec(ctx, c.texts.deny, d.ID, d.Viewer, d.CourseID, d.Asset, micros(d.Until), d.By, micros(d.At), key)
		if err != nil {
			return err
		}
		found, err := loadDenials(ctx, tx, selectDenial, d.ID)
		if err == nil && len(found) == 1 {
			kept = found[0]
		}
		return err
	})
	return kept, err
}

// Denials gives those that are not over, oldest first. See playback.Denials.
func (c *Catalogue) Denials(ctx context.Context) ([]media.Denial, error) {
	var found []media.Denial
	err := c.engine.Read(ctx, func(q Querier) error {
		var err error
		found, err = loadDenials(ctx, q, selectDenials, micros(c.stamp()))
		return err
	})
	return found, err
}

// Lift removes a denial; media.NotFound when it is not there, or over. See playback.Denials.
func (c *Catalogue) Lift(ctx context.Context, id string) error {
	if err := checkTexts("id", id); err != nil {
		return err
	}
	return c.write(ctx, Freeing, func(tx Tx) error {
		n, err := tx.Exec(ctx, `DELETE FROM denials WHERE id = $1 AND expires_at > $2`, id, micros(c.stamp()))
		if err == nil && n == 0 {
			err = &media.Error{Kind: media.NotFound, Code: "revocation_not_found", Detail: "no such revocation"}
		}
		return err
	})
}

// DropDenials removes those that are over. See playback.Denials.
func (c *Catalogue) DropDenials(ctx context.Context) error {
	return c.write(ctx, Freeing, func(tx Tx) error {
		return tx.Later(ctx, dropDenials, micros(c.stamp()))
	})
}

func loadDenials(ctx context.Context, q Querier, text string, args ...any) ([]media.Denial, error) {
	rows, err := q.Query(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	var found []media.Denial
	for rows.Next() {
		var d media.Denial
		var until, at, key int64
		if err = rows.Scan(&d.ID, &d.Viewer, &d.CourseID, &d.Asset, &until, &d.By, &at, &key); err != nil {
			break
		}
		if key >= 0 && key <= math.MaxUint8 {
			d.OfKey, d.Key = true, uint8(key)
		}
		d.Until, d.At = moment(until), moment(at)
		found = append(found, d)
	}
	if err == nil {
		err = rows.Err()
	}
	if cerr := rows.Close(); err == nil {
		err = cerr
	}
	return found, err
}
