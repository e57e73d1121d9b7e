package postgres

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// What is said to the server, and on a session's own channel: askedMark or freedMark, then the session that says it, then the name.
const (
	takeText = `SELECT pg_try_advisory_lock($1)`
	freeText = `SELECT pg_advisory_unlock($1)`
	tellText = `SELECT pg_notify($1, $2) IS NOT NULL`
	// Only the session that has the lock is told; pg_locks shows a 64-bit key as two halves.
	wantText = `SELECT count(pg_notify('` + channelPrefix + `' || pid, $3)) > 0 FROM pg_locks WHERE locktype = 'advisory' AND granted
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
		AND classid::int8 = $1 AND objid::int8 = $2 AND objsubid = 1`

	channelPrefix = "sluice_lease_"
	askedMark     = "?"
	freedMark     = "!"
)

// session is one connection and what came over it.
type session struct {
	leases       *Leases
	conn         *pgx.Conn
	pid          uint32
	asked, freed func(name string)
}

// Run keeps a session, and hears the other nodes. See uploads.Leases.
func (l *Leases) Run(ctx context.Context, asked, freed func(name string)) error {
	l.mu.Lock()
	if l.running {
		l.mu.Unlock()
		return errors.New("catalogue postgres: the leases run already")
	}
	l.running = true
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		l.running = false
		l.mu.Unlock()
	}()
	retry := time.NewTicker(leaseLife / 10)
	defer retry.Stop()
	for ctx.Err() == nil {
		s, err := l.connect(ctx, asked, freed)
		l.attempted(err)
		if err != nil {
			select {
			case <-retry.C:
			case <-ctx.Done():
			}
			continue
		}
		s.serve(ctx)
		l.end(context.WithoutCancel(ctx), s, ctx.Err() != nil)
	}
	return nil
}

// attempted says that a session can be used, or that there is none for now.
func (l *Leases) attempted(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.session, l.cause = err == nil, err
	select {
	case <-l.attempt:
	default:
		close(l.attempt)
	}
}

func (l *Leases) connect(ctx context.Context, asked, freed func(name string)) (*session, error) {
	s := &session{leases: l, asked: asked, freed: freed}
	cfg := l.config.Copy()
	cfg.OnNotification = func(_ *pgconn.PgConn, n *pgconn.Notification) { s.hear(n) }
	ctx, cancel := context.WithTimeout(ctx, leaseLife)
	defer cancel()
	l.contact(time.Now())
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, err
	}
	s.conn, s.pid = conn, conn.PgConn().PID()
	_, err = conn.Exec(ctx, "SET idle_session_timeout = "+strconv.FormatInt(leaseLife.Milliseconds(), 10))
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Code == "42704" { // undefined_object: a server older than 14
		l.log.WarnContext(ctx, "this server keeps the locks of a node that stands still or is cut off until TCP gives up: PostgreSQL 14 ends its session")
		err = nil
	}
	if err == nil {
		_, err = conn.Exec(ctx, "LISTEN "+channelPrefix+strconv.FormatUint(uint64(s.pid), 10))
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close(ctx))
	}
	return s, nil
}

// serve puts questions to the server until the session ends, by ctx or by a fault. In between it waits for messages.
func (s *session) serve(ctx context.Context) {
	for ctx.Err() == nil {
		todo, wait := s.leases.next(ctx)
		var err error
		switch {
		case len(todo) > 0:
			err = s.put(ctx, todo)
		case time.Until(s.leases.silentUntil()) < leaseLife*2/3:
			err = s.put(ctx, nil)
		default:
			err = s.listen(wait)
		}
		if err != nil {
			return
		}
	}
}

// contact notes that the server has heard of this node after a time.
func (l *Leases) contact(after time.Time) {
	l.mu.Lock()
	l.until = after.Add(leaseLife)
	l.mu.Unlock()
}

func (l *Leases) silentUntil() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.until
}

// next gives what there is to ask. When there is nothing it gives a context that ends once there is.
func (l *Leases) next(ctx context.Context) ([]*question, context.Context) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) > 0 {
		todo := l.queue
		l.queue = nil
		return todo, nil
	}
	wait, cancel := context.WithTimeout(ctx, leaseLife/6)
	l.interrupt = cancel
	return nil, wait
}

// listen waits for a message, and for a question at the same time.
func (s *session) listen(wait context.Context) error {
	err := s.conn.PgConn().WaitForNotification(wait)
	s.leases.mu.Lock()
	if s.leases.interrupt != nil {
		s.leases.interrupt()
		s.leases.interrupt = nil
	}
	s.leases.mu.Unlock()
	if err != nil && wait.Err() != nil && !s.conn.IsClosed() {
		return nil // interrupted
	}
	return err
}

// most bounds how many questions go out at once.
const most = 200

// put asks the server, all questions in one message, and hands out the answers. Without any it only shows that it is there.
func (s *session) put(ctx context.Context, todo []*question) error {
	if len(todo) > most {
		if err := s.put(ctx, todo[:most]); err != nil {
			s.leases.answer(todo[most:], err)
			return err
		}
		return s.put(ctx, todo[most:])
	}
	// Before the session can have been ended for its silence, and a moment earlier: then all it holds is lost.
	ctx, cancel := context.WithDeadline(ctx, s.leases.silentUntil().Add(-leaseLife/10))
	defer cancel()
	start := time.Now()
	batch := &pgx.Batch{}
	for _, q := range todo {
		s.add(batch, q)
	}
	if batch.Len() == 0 {
		batch.Queue("SELECT true")
	}
	results := s.conn.SendBatch(ctx, batch)
	err := s.read(results, todo)
	if cerr := results.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		s.leases.answer(todo, err)
		return err
	}
	s.leases.contact(start)
	s.leases.answer(todo, nil)
	return nil
}

// add writes a question as statements: first the one with its answer.
func (s *session) add(b *pgx.Batch, q *question) {
	key := lockKey(q.lease.name)
	channel := func(pid uint32) string { return channelPrefix + strconv.FormatUint(uint64(pid), 10) }
	switch q.kind {
	case take:
		b.Queue(takeText, key)
	case free:
		b.Queue(freeText, key)
		s.leases.mu.Lock()
		q.to = slices.Collect(maps.Keys(q.lease.waiting))
		s.leases.mu.Unlock()
	case want:
		b.Queue(wantText, int64(uint64(key)>>32), int64(uint64(key)&(1<<32-1)), s.message(askedMark, q.lease.name)) //nolint:gosec // halves of the bits
	case tell:
	}
	for _, pid := range q.to {
		b.Queue(tellText, channel(pid), s.message(freedMark, q.lease.name))
	}
}

func (s *session) message(mark, name string) string { return fmt.Sprintf("%s%d %s", mark, s.pid, name) }

func (s *session) read(results pgx.BatchResults, todo []*question) error {
	yes := func(into *bool) error { return results.QueryRow().Scan(into) }
	for _, q := range todo {
		if q.kind != tell {
			if err := yes(&q.yes); err != nil {
				return err
			}
		}
		for range q.to {
			var told bool
			if err := yes(&told); err != nil {
				return err
			}
		}
		if q.kind == want && !q.yes {
			s.freed(q.lease.name)
		}
	}
	if len(todo) == 0 {
		var here bool
		return yes(&here)
	}
	return nil
}

// answer hands out answers. A lock that nobody waits for any more is given back.
func (l *Leases) answer(todo []*question, err error) {
	if err != nil {
		err = leasesAway(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, q := range todo {
		q.err = err
		switch {
		case err != nil || q.kind != take || !q.yes:
		case q.abandoned:
			l.queue = append(l.queue, &question{kind: free, lease: q.lease})
		default:
			q.lease.lent = true
		}
		if q.done != nil {
			close(q.done)
		}
	}
}

// hear takes a message that came while the session did whatever it did.
func (s *session) hear(n *pgconn.Notification) {
	if n.Payload == "" {
		return
	}
	mark := n.Payload[:1]
	from, name, ok := strings.Cut(n.Payload[1:], " ")
	pid, err := strconv.ParseUint(from, 10, 32)
	if !ok || err != nil {
		return
	}
	switch mark {
	case freedMark:
		s.freed(name)
	case askedMark:
		l := s.leases
		l.mu.Lock()
		e := l.held[name]
		if e != nil {
			e.waiting[uint32(pid)] = struct{}{}
		} else { // it was given back before it was asked for
			l.queue = append(l.queue, &question{kind: tell, lease: &lease{name: name}, to: []uint32{uint32(pid)}})
		}
		l.mu.Unlock()
		if e != nil {
			s.asked(name)
		}
	}
}

// end closes a session, with which all its locks end. What was not given back is lost; at a clean stop it is given back first, so that
// those who wait are told.
func (l *Leases) end(ctx context.Context, s *session, clean bool) {
	l.mu.Lock()
	l.session = false
	l.attempt = make(chan struct{}) // the next session is made at once
	left, queue := l.held, l.queue
	l.held, l.queue = map[string]*lease{}, nil
	l.mu.Unlock()
	l.answer(queue, errNoSession)
	var last []*question
	for _, e := range left {
		switch {
		case !e.lent: // its Take was answered just now
		case clean:
			last = append(last, &question{kind: free, lease: e})
		default:
			e.lost()
		}
	}
	if len(last) > 0 {
		_ = s.put(ctx, last) // the close does it too, without a word to those who wait
	}
	ctx, cancel := context.WithTimeout(ctx, leasePatience)
	defer cancel()
	_ = s.conn.Close(ctx) // nothing is lost with it
}
