package catalogue

import (
	"context"

	"sluice/media"
)

const (
	insertIntent = `INSERT INTO intents (id, doing, subject_type, subject_id, acted_by, state, keep_until, begun_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`
	moveIntent    = `UPDATE intents SET state = $2 WHERE id = $1 AND state = 'begun'`
	selectState   = `SELECT state FROM intents WHERE id = $1`
	endIntent     = `DELETE FROM intents WHERE id = $1`
	selectIntents = `SELECT id, doing, subject_type, subject_id, acted_by, state, keep_until, begun_at FROM intents
		ORDER BY begun_at, id LIMIT 1000`
)

// Intend keeps a new intent. See curation.Intents.
func (c *Catalogue) Intend(ctx context.Context, i media.Intent) error {
	if err := checkTexts("id", i.ID, "doing", string(i.Doing), "type", string(i.Subject.Type), "subject", i.Subject.ID, "by", i.By); err != nil {
		return err
	}
	at := i.At
	if at.IsZero() {
		at = c.stamp()
	}
	return c.write(ctx, Ordinary, func(tx Tx) error {
		return tx.Later(ctx, insertIntent, i.ID, string(i.Doing), string(i.Subject.Type), i.Subject.ID, i.By, string(media.Begun), micros(i.Until), micros(at))
	})
}

// Undo moves an intent from begun to undone. See curation.Intents.
func (c *Catalogue) Undo(ctx context.Context, id string) error {
	if err := checkTexts("id", id); err != nil {
		return err
	}
	return c.write(ctx, Ordinary, func(tx Tx) error {
		n, err := tx.Exec(ctx, moveIntent, id, string(media.Undone))
		if err != nil || n > 0 {
			return err
		}
		var state string
		there, err := queryOne(ctx, tx, selectState, []any{id}, &state)
		switch {
		case err != nil:
			return err
		case !there:
			return &media.Error{Kind: media.NotFound, Detail: "there is no such work"}
		case state == string(media.Undone):
			return nil
		}
		return decided()
	})
}

// decide moves an intent from begun to decided.
func (w *work) decide(ctx context.Context, id string) error {
	n, err := w.tx.Exec(ctx, moveIntent, id, string(media.Decided))
	if err == nil && n == 0 {
		return decided()
	}
	return err
}

func decided() error {
	return &media.Error{Kind: media.Conflict, Code: "decided", Detail: "this work was decided otherwise"}
}

// End forgets an intent. See curation.Intents.
func (c *Catalogue) End(ctx context.Context, id string) error {
	if err := checkTexts("id", id); err != nil {
		return err
	}
	return c.write(ctx, Freeing, func(tx Tx) error { return tx.Later(ctx, endIntent, id) })
}

// Intents gives those that are kept, oldest first. See curation.Intents.
func (c *Catalogue) Intents(ctx context.Context) (all []media.Intent, err error) {
	err = c.engine.Read(ctx, func(q Querier) error {
		all, err = readAll(ctx, q, selectIntents, nil, func(rows Rows) (i media.Intent, err error) {
			var until, at int64
			err = rows.Scan(&i.ID, (*string)(&i.Doing), (*string)(&i.Subject.Type), &i.Subject.ID, &i.By, (*string)(&i.State), &until, &at)
			i.Until, i.At = moment(until), moment(at)
			return i, err
		})
		return err
	})
	return all, err
}
