package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"sluice/internal/livetest"
)

// turnKey is where Redis keeps whose turn at sweeping it is.
const turnKey = "sluice:lease:{work:sweep}"

func TestFourNodesStartAtOnceAndShareTheirWork(t *testing.T) {
	t.Parallel()
	_, vars := lms(t)
	redis := livetest.Redis(t)
	nodes := make([]*process, 4)
	var wg sync.WaitGroup
	for i := range nodes {
		dir := t.TempDir()
		writeDotenv(t, dir, vars)
		wg.Go(func() { nodes[i] = spawn(t, dir, []string{"REDIS_URL=" + redis.URL()}) }) // each brings the schema up
	}
	wg.Wait()
	for _, n := range nodes {
		if n == nil {
			t.Fatal("a node did not start")
		}
		if code, _ := status(t, http.MethodGet, n.url+"/readyz", nil); code != http.StatusOK {
			t.Errorf("/readyz = %d: %s", code, n.log)
		}
	}
	taken := func() bool { return redis.Do(t, "EXISTS", turnKey) == ":1" }
	livetest.Until(t, 5*time.Second, "one has the turn", taken)
	// One after the other is killed: the turn stays with those that live, within a few seconds.
	for _, n := range nodes[:3] {
		if code, _ := n.end(syscall.SIGKILL); code == 0 {
			t.Error("it ended by itself")
		}
		<-time.After(1600 * time.Millisecond) // a lease that is not renewed has ended
		livetest.Until(t, 5*time.Second, "a living node has the turn", taken)
	}
	if code, _ := nodes[3].end(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d: %s", code, nodes[3].log)
	}
	if left := redis.Do(t, "EXISTS", turnKey); left != ":0" {
		t.Errorf("a clean stop keeps the turn: %s", left)
	}
}

func TestNodesWithoutRedisShareTheirWorkThroughTheDatabase(t *testing.T) {
	t.Parallel()
	pg, vars := lms(t)
	dir := t.TempDir()
	writeDotenv(t, dir, vars)
	one := spawn(t, dir, nil)
	path, sum := file(t, dir, "lecture.mp4", 2<<20)
	id := one.must("upload", path)
	if got := fetch(t, one.must("link", id, "--expires", "2h")); got != sum {
		t.Errorf("the link plays %s, want %s", got, sum)
	}
	conn, err := pgx.Connect(t.Context(), pg.URL(vars["DB_NAME"]))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	turns := func() (n int) {
		err := conn.QueryRow(t.Context(), `SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted
			AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`).Scan(&n)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	livetest.Until(t, 5*time.Second, "both turns are taken", func() bool { return turns() == 2 })
	if code, _ := one.end(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d: %s", code, one.log)
	}
	livetest.Until(t, 5*time.Second, "both are given back", func() bool { return turns() == 0 })
}

func TestAStartWithoutRedisServes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	redis := livetest.Redis(t)
	redis.Kill()
	p := spawn(t, dir, []string{"REDIS_URL=" + redis.URL(), "SLUICE_LOG_FORMAT=json"})
	path, sum := file(t, dir, "lecture.mp4", 2<<20)
	started := time.Now()
	id := p.must("upload", path)
	if took := time.Since(started); took > 5*time.Second {
		t.Errorf("an upload without Redis took %v", took)
	}
	if got := fetch(t, p.must("link", id, "--expires", "2h")); got != sum {
		t.Errorf("the link plays %s, want %s", got, sum)
	}
	redis.Start(t)
	livetest.Until(t, 10*time.Second, "it finds Redis by itself", func() bool {
		return redis.Do(t, "EXISTS", turnKey) == ":1" && strings.Contains(p.log.String(), "leases between nodes are back")
	})
	if n := strings.Count(p.log.String(), "no leases between nodes"); n != 1 {
		t.Errorf("the log says %d times that there are no leases: %s", n, p.log)
	}
}

func TestABadRedisURLIsRefusedAtTheStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	code, out, errs := once(t, dir, []string{"REDIS_URL=http://u:hunter2@h"}, "serve", "--port", "0")
	if code == 0 || !strings.Contains(errs, "REDIS_URL") || strings.Contains(fmt.Sprint(out, errs), "hunter2") {
		t.Errorf("serve = %d, %s%s, want a refusal without the password", code, out, errs)
	}
}
