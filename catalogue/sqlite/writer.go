package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"

	"sluice/catalogue"
	"sluice/media"
)

// maxGroup bounds how many writes share one commit, so that the first of them does not wait long.
const maxGroup = 128

// job is one caller's write. Whoever moves state away from waiting owns it: the writer to run it, the caller to give it up.
type job struct {
	mode  catalogue.Mode
	ctx   context.Context //nolint:containedctx // it travels with the write it belongs to
	do    func(catalogue.Tx) error
	state atomic.Int32
	err   error
	done  chan struct{}
}

const (
	waiting int32 = iota
	running
	abandoned
)

// writer is the one goroutine that writes. All writes that wait when it comes round run in one transaction, each under a savepoint, and
// share the fsync of one commit: 16 callers get ten times the writes of one by one.
type writer struct {
	db      *sql.DB
	conn    *sql.Conn
	ballast *ballast
	log     *slog.Logger
	jobs    chan *job
	stop    chan struct{}
	stopped chan struct{}
	once    sync.Once

	prepared map[string]*sql.Stmt
}

func startWriter(db *sql.DB, conn *sql.Conn, b *ballast, log *slog.Logger) *writer {
	w := &writer{
		db: db, conn: conn, ballast: b, log: log, jobs: make(chan *job, maxGroup), stop: make(chan struct{}),
		stopped: make(chan struct{}), prepared: map[string]*sql.Stmt{},
	}
	go w.run()
	return w
}

// write hands do to the writer and waits for the commit. A caller that goes away before its turn takes its write along.
func (w *writer) write(ctx context.Context, m catalogue.Mode, do func(catalogue.Tx) error) error {
	j := &job{mode: m, ctx: context.WithoutCancel(ctx), do: do, done: make(chan struct{})}
	select {
	case <-w.stop:
		return unavailable(errClosed)
	default:
	}
	select {
	case w.jobs <- j:
	case <-w.stop:
		return unavailable(errClosed)
	case <-ctx.Done():
		return translate(ctx.Err())
	}
	select {
	case <-j.done:
		return j.err
	case <-w.stopped:
	case <-ctx.Done():
	}
	if j.state.CompareAndSwap(waiting, abandoned) {
		if ctx.Err() != nil {
			return translate(ctx.Err())
		}
		return unavailable(errClosed)
	}
	<-j.done
	return j.err
}

var errClosed = errors.New("catalogue sqlite: closed")

func (w *writer) run() {
	defer close(w.stopped)
	group := make([]*job, 0, maxGroup)
	for {
		select {
		case <-w.stop:
			return
		case j := <-w.jobs:
			group = w.gather(append(group[:0], j))
			w.commit(group)
			clear(group)
		}
	}
}

// gather takes along what else waits by now.
func (w *writer) gather(group []*job) []*job {
	for len(group) < maxGroup {
		select {
		case j := <-w.jobs:
			group = append(group, j)
		default:
			return group
		}
	}
	return group
}

// commit runs a group and answers each job. When the transaction as a whole fails, each job is tried alone, so that one too large for
// the disk does not take the others with it.
func (w *writer) commit(group []*job) {
	mine := group[:0]
	for _, j := range group {
		if j.state.CompareAndSwap(waiting, running) {
			mine = append(mine, j)
		}
	}
	ordinary := w.ballast.ready()
	runnable := mine[:0]
	for _, j := range mine {
		if j.mode == catalogue.Ordinary && !ordinary { // what the ballast gave is for deletions
			j.err = full(nil)
			close(j.done)
			continue
		}
		runnable = append(runnable, j)
	}
	if len(runnable) == 0 {
		return
	}
	if err := w.transact(runnable); err != nil {
		for _, j := range runnable {
			w.alone(j)
		}
	}
	for _, j := range runnable {
		close(j.done)
	}
}

// alone runs one job in its own transaction. A write that frees room may use the ballast's.
func (w *writer) alone(j *job) {
	one := []*job{j}
	err := w.transact(one)
	if err != nil && j.mode == catalogue.Freeing && errors.Is(err, media.Full) && w.ballast.release() {
		w.log.WarnContext(j.ctx, "the disk is full: the catalogue's reserve is in use until there is room")
		err = w.transact(one)
	}
	if err != nil {
		j.err = err
	}
}

// transact runs jobs in one transaction. Its error says that nothing at all was committed; a job's own error stands in the job.
func (w *writer) transact(jobs []*job) error {
	ctx := jobs[0].ctx
	t := &tx{w: w}
	if err := t.run(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	for _, j := range jobs {
		t.broken = nil
		if len(jobs) > 1 {
			if err := t.run(ctx, "SAVEPOINT job"); err != nil {
				return w.undo(ctx, t, err)
			}
		}
		j.err = j.do(t)
		if t.broken != nil { // the engine has or may have undone all of it
			return w.undo(ctx, t, t.broken)
		}
		if j.err != nil && len(jobs) == 1 {
			return w.undo(ctx, t, nil)
		}
		if j.err != nil {
			if err := t.run(ctx, "ROLLBACK TO job"); err != nil {
				return w.undo(ctx, t, err)
			}
		}
		if len(jobs) > 1 {
			if err := t.run(ctx, "RELEASE job"); err != nil {
				return w.undo(ctx, t, err)
			}
		}
	}
	if err := t.run(ctx, "COMMIT"); err != nil {
		return w.undo(ctx, t, err)
	}
	return nil
}

// undo ends the transaction, which the engine may have ended itself, and gives back why.
func (w *writer) undo(ctx context.Context, t *tx, why error) error {
	_ = t.run(ctx, "ROLLBACK") // fails when the engine was first
	return why
}

// close ends the goroutine and the connection, which moves the log into the file.
func (w *writer) close() error {
	var errs []error
	w.once.Do(func() {
		close(w.stop)
		<-w.stopped
		for _, s := range w.prepared {
			errs = append(errs, s.Close())
		}
		errs = append(errs, w.conn.Close(), w.db.Close()) // the last connection's close moves the log into the file
	})
	return errors.Join(errs...)
}

// tx is the writer's transaction.
type tx struct {
	w      *writer
	broken error // the first error that concerns the transaction as a whole
}

// note remembers an error that leaves the transaction in doubt: anything but a broken constraint or a caller that went away.
func (t *tx) note(err error) error {
	err = translate(err)
	if err != nil && t.broken == nil && !errors.Is(err, media.Conflict) {
		t.broken = err
	}
	return err
}

func (t *tx) statement(ctx context.Context, text string) (*sql.Stmt, error) {
	if s, known := t.w.prepared[text]; known {
		return s, nil
	}
	s, err := t.w.conn.PrepareContext(ctx, text)
	if err == nil {
		t.w.prepared[text] = s // texts of writes are constants: their number is bounded
	}
	return s, err
}

func (t *tx) run(ctx context.Context, text string) error {
	_, err := t.Exec(context.WithoutCancel(ctx), text)
	return err
}

func (t *tx) Exec(ctx context.Context, text string, args ...any) (int64, error) {
	ctx = context.WithoutCancel(ctx) // a caller that leaves must not break off what others share
	s, err := t.statement(ctx, text)
	if err != nil {
		return 0, t.note(err)
	}
	res, err := s.ExecContext(ctx, bind(args)...)
	if err != nil {
		return 0, t.note(err)
	}
	return res.RowsAffected()
}

func (t *tx) Later(ctx context.Context, text string, args ...any) error {
	_, err := t.Exec(ctx, text, args...)
	return err
}

func (t *tx) Query(ctx context.Context, text string, args ...any) (catalogue.Rows, error) {
	ctx = context.WithoutCancel(ctx)
	s, err := t.statement(ctx, text)
	if err != nil {
		return nil, t.note(err)
	}
	found, err := s.QueryContext(ctx, bind(args)...)
	if err != nil {
		return nil, t.note(err)
	}
	return rows{found}, nil
}
