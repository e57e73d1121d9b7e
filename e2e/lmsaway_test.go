package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"sluice/internal/livetest"
)

// A database that is killed between any two steps of a product's life, under a gateway that lives on, leaves all of the product or nothing once it
// is back, whether that is at once or after the request was answered.
func TestADatabaseThatDiesLeavesNoHalfAProduct(t *testing.T) {
	t.Parallel()
	marks := stepsOfTheLMS(t)
	for _, name := range []string{"MongoDB", "PostgreSQL"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, mongo := newDatabase(t), livetest.Mongo(t)
			s := livetest.Sluice(t, livetest.Options{
				Tags: []string{"crashpoints"}, Env: append(db.env(), "MONGODB_URI="+mongo.URI("lms")), Off: true,
			})
			u := &undermined{t: t, s: s, c: newClient(t, s, "ann", "instructor"), kill: mongo.Kill, start: func() { mongo.Start(t) }}
			if name == "PostgreSQL" {
				u.kill, u.start = func() { db.server.Kill(t) }, db.start
			}
			for _, mark := range marks {
				pass := 1
				for u.dies(fmt.Sprint(mark, "#", pass), false) && u.dies(fmt.Sprint(mark, "#", pass), true) && !t.Failed() {
					pass++
				}
				if pass == 1 && !t.Failed() {
					t.Errorf("nothing reached the mark %q", mark)
				}
			}
			s.Start()
			livetest.Until(t, 40*time.Second, "nothing is left to be finished", func() bool { return db.count(t.Context(), "intents") == 0 })
		})
	}
}

// count is how many rows a table has.
func (d *database) count(ctx context.Context, table string) (n int) {
	d.t.Helper()
	conn, err := pgx.Connect(ctx, d.server.URL(d.name))
	if err != nil {
		d.t.Fatal(err)
	}
	defer conn.Close(ctx)
	if err := conn.QueryRow(ctx, "SELECT count(*) FROM "+pgx.Identifier{table}.Sanitize()).Scan(&n); err != nil {
		d.t.Fatal(err)
	}
	return n
}

// undermined is a gateway one of whose databases dies.
type undermined struct {
	t           *testing.T
	s           *livetest.Server
	c           *client
	kill, start func()
}

// dies takes a product through its life, kills the database when the gateway reaches the mark, and holds the product to "all or nothing". It reports
// whether the mark was reached. A late database is back when the request that it failed has been answered.
func (u *undermined) dies(mark string, late bool) (reached bool) {
	u.t.Helper()
	u.s.Start("SLUICE_PAUSE_AT=" + mark)
	defer u.s.Kill()
	ctx := u.t.Context()
	w := &shop{c: u.c, name: fmt.Sprint(mark, ", late ", late)}
	var err error
	lived := make(chan struct{})
	go func() {
		defer close(lived)
		err = w.live(ctx)
	}()
	livetest.Until(u.t, 30*time.Second, "the gateway pauses at "+mark+", or is done", func() bool {
		select {
		case <-lived:
			return true
		default:
			return u.s.Paused()
		}
	})
	if reached = u.s.Paused(); reached {
		u.kill()
		if !late {
			u.start()
		}
		u.s.Continue()
		<-lived
		if late {
			u.start()
		}
	}
	<-lived
	if refused, ok := errors.AsType[*statusError](err); err != nil && !(reached && ok && refused.answer.status == http.StatusServiceUnavailable) {
		u.t.Errorf("%s, late %v: %v; want success, or 503 for what could not be done", mark, late, err)
	}
	if half := w.settled(ctx); half != nil {
		u.t.Errorf("%s, late %v, after %v: %v", mark, late, err, half)
	}
	return reached
}
