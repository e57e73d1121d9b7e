package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"sluice/catalogue"
	"sluice/media"
)

// reads is a connection outside of a transaction.
type reads struct{ conn *pgxpool.Conn }

func (r *reads) Query(ctx context.Context, text string, args ...any) (catalogue.Rows, error) {
	found, err := r.conn.Query(ctx, text, bind(args)...)
	if err != nil {
		return nil, err
	}
	return &rows{Rows: found}, nil
}

// tx is a transaction that speaks as rarely as it can: BEGIN goes out with the first statement whose result is waited for, what may be
// done later goes with the next one, the rest with COMMIT. A write that waits for nothing is one round trip.
type tx struct {
	conn       *pgx.Conn
	queued     []statement
	begun      bool
	committing bool // the commit has gone out: its outcome may be unknown
}

type statement struct {
	text string
	args []any
}

func (t *tx) Later(_ context.Context, text string, args ...any) error {
	t.queued = append(t.queued, statement{text, bind(args)})
	return nil
}

// send sends what is queued and gives the answers, those of all but the last statement read already.
func (t *tx) send(ctx context.Context) (pgx.BatchResults, error) {
	batch := &pgx.Batch{}
	if !t.begun && !t.committing {
		batch.Queue("BEGIN")
		t.begun = true
	}
	for _, s := range t.queued {
		batch.Queue(s.text, s.args...)
	}
	t.queued = t.queued[:0]
	answers := t.conn.SendBatch(ctx, batch)
	for range batch.Len() - 1 {
		if _, err := answers.Exec(); err != nil {
			return nil, errors.Join(err, answers.Close())
		}
	}
	return answers, nil
}

func (t *tx) Exec(ctx context.Context, text string, args ...any) (int64, error) {
	t.queued = append(t.queued, statement{text, bind(args)})
	answers, err := t.send(ctx)
	if err != nil {
		return 0, err
	}
	tag, err := answers.Exec()
	if cerr := answers.Close(); err == nil {
		err = cerr
	}
	return tag.RowsAffected(), err
}

func (t *tx) Query(ctx context.Context, text string, args ...any) (catalogue.Rows, error) {
	t.queued = append(t.queued, statement{text, bind(args)})
	answers, err := t.send(ctx)
	if err != nil {
		return nil, err
	}
	found, err := answers.Query()
	if err != nil {
		return nil, errors.Join(err, answers.Close())
	}
	return &rows{Rows: found, answers: answers}, nil
}

// commit sends what is queued and ends the transaction. Without a BEGIN before, one batch is a transaction of its own.
func (t *tx) commit(ctx context.Context) error {
	if !t.begun && len(t.queued) == 0 {
		return nil
	}
	t.committing = true
	if t.begun {
		t.queued = append(t.queued, statement{text: "COMMIT"})
	}
	answers, err := t.send(ctx)
	if err != nil {
		return err
	}
	_, err = answers.Exec()
	if cerr := answers.Close(); err == nil {
		err = cerr
	}
	return err
}

// rollback leaves the connection fit for the next call; the pool drops one that is not.
func (t *tx) rollback(ctx context.Context) {
	if t.begun && !t.conn.IsClosed() {
		_, _ = t.conn.Exec(ctx, "ROLLBACK")
	}
}

// bind turns ids into what pgx knows as uuid, in place.
func bind(args []any) []any {
	for i, a := range args {
		if id, ok := a.(media.AssetID); ok {
			args[i] = [16]byte(id)
		}
	}
	return args
}

type rows struct {
	pgx.Rows
	answers pgx.BatchResults
}

func (r *rows) Scan(dest ...any) error {
	for i, d := range dest {
		if id, ok := d.(*media.AssetID); ok {
			dest[i] = (*[16]byte)(id)
		}
	}
	return r.Rows.Scan(dest...)
}

func (r *rows) Close() error {
	r.Rows.Close()
	err := r.Rows.Err()
	if r.answers == nil {
		return err
	}
	if cerr := r.answers.Close(); err == nil {
		err = cerr
	}
	return err
}
