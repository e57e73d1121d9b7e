package e2e_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/internal/livetest"
)

// cluster is two gateways as compose.yaml runs them, over one PostgreSQL, one Redis and one S3 server, behind the proxy of
// configs/nginx.conf.
type cluster struct {
	nodes [2]*livetest.Server
	redis *livetest.RedisServer
	db    *database
	s3    *livetest.S3Server
	proxy string // http://host:port

	answers func() string // of the proxy, one a line
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{redis: livetest.Redis(t), db: newDatabase(t), s3: livetest.S3(t)}
	env := append(c.db.env(), "REDIS_URL="+c.redis.URL(), "SLUICE_SIGNING_KEYS=1:sign:g5T2kP8wQ1zV7nM4xC6bY9rE3sF0hJuL")
	env = append(env, c.s3.Env(c.s3.URL(), c.s3.NewBucket(t, "media"))...)
	for i := range c.nodes { // the second one meets the first one's migrations
		c.nodes[i] = livetest.Sluice(t, livetest.Options{Env: env})
	}
	root, err := livetest.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	site, err := os.ReadFile(filepath.Join(root, "configs", "nginx.conf"))
	if err != nil {
		t.Fatal(err)
	}
	addr, answers := livetest.Nginx(t, string(site), "gateway-1:5000", c.nodes[0].Addr, "gateway-2:5000", c.nodes[1].Addr)
	c.proxy, c.answers = "http://"+addr, answers
	return c
}

// client speaks to both nodes through the proxy.
func (c *cluster) client(t testing.TB, subject, role string) *client {
	t.Helper()
	me := newClient(t, c.nodes[0], subject, role)
	me.base = c.proxy
	return me
}

// Fifty uploads by tus-js-client, and more until three nodes were killed, each request to whichever node the proxy picks. It runs
// beside no other test of this folder: a node that takes longer to start than to be killed serves nobody.
func TestFiftyUploadsOverTwoNodesThatAreKilled(t *testing.T) {
	const uploads, most, atOnce, leastKills = 50, 500, 6, 3
	c := newCluster(t)
	ctx, stopKilling := context.WithCancel(t.Context())
	var kills atomic.Int64
	var faults sync.WaitGroup
	faults.Go(func() { c.killInTurns(ctx, t, &kills) })

	js, me := livetest.TusJS(t), c.client(t, "ann", "instructor")
	header := map[string]string{"Authorization": "Bearer " + me.token}
	var sources sync.Map // media id to source
	var begun atomic.Int64
	var clients sync.WaitGroup
	for range atOnce {
		clients.Go(func() {
			for begun.Load() < uploads || kills.Load() < leastKills && begun.Load() < most {
				i := begun.Add(1)
				src := newSource(1<<20 + rand.Int64N(12<<20))
				u := livetest.JSUpload{
					Endpoint: c.proxy + "/files/", File: src.file(t), ChunkSize: []int64{0, 1 << 20, 7 << 20}[i%3], RetryDelay: 200, Headers: header,
					Metadata: map[string]string{"filename": fmt.Sprint("lecture ", i, ".bin")},
				}
				_, id, err := js.Upload(t.Context(), u)
				if err != nil {
					t.Errorf("upload %d: %v", i, err)
					continue
				}
				sources.Store(id, src)
			}
		})
	}
	clients.Wait()
	stopKilling()
	faults.Wait()
	t.Logf("%d kills", kills.Load())
	if kills.Load() < leastKills {
		t.Errorf("the nodes were killed %d times only", kills.Load())
	}
	seen := map[string]bool{}
	for id, src := range sources.Range {
		if err := me.settled(t.Context(), id.(string), src.(source)); err != nil {
			t.Errorf("%v: %v", id, err)
		}
	}
	list, err := me.list(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	finished := 0
	for _, m := range list {
		if m.State == "uploading" { // an upload whose 201 was lost with its node: its client made another
			continue
		}
		finished++
		if _, ours := sources.Load(m.ID); !ours || seen[m.Filename] {
			t.Errorf("%s (%s) is in the catalogue twice, or nobody was told of it", m.Filename, m.ID)
		}
		seen[m.Filename] = true
	}
	if int64(finished) != begun.Load() {
		t.Errorf("%d files in the catalogue, want %d", finished, begun.Load())
	}
	if t.Failed() {
		for line := range strings.Lines(c.answers()) {
			if strings.Contains(line, " 4") && !strings.Contains(line, " 409 ") && !strings.Contains(line, " 423 ") { // makes a client begin anew
				t.Log(line)
			}
		}
	}
}

// killInTurns kills a node every few seconds and starts it again, one after the other.
func (c *cluster) killInTurns(ctx context.Context, t *testing.T, kills *atomic.Int64) {
	tick := time.NewTicker(3 * time.Second)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		s := c.nodes[i%2]
		s.Kill()
		kills.Add(1)
		if err := s.Launch(); err != nil {
			t.Error(err)
			return
		}
	}
}

// What is revoked through one node is refused by the other within a second, and what is deleted is gone from it.
func TestRevokedOnOneNodeIsRefusedByTheOther(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	here, there := newClient(t, c.nodes[0], "ann", "admin"), newClient(t, c.nodes[1], "ann", "admin")
	there.token = here.token
	ctx := t.Context()
	status := func(at *client, path string) int {
		a, err := at.do(ctx, http.MethodGet, path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		return a.status
	}
	for _, x := range []struct {
		name   string
		revoke func(id string) error
		want   int
	}{
		{"one media's links", func(id string) error {
			return here.call(ctx, http.MethodDelete, "/api/media/"+id+"/links", nil, nil, http.StatusNoContent)
		}, http.StatusForbidden},
		{"a viewer", func(string) error {
			return here.call(ctx, http.MethodPost, "/api/revocations", map[string]any{"viewer": "a viewer"}, nil, http.StatusCreated)
		}, http.StatusForbidden},
		{"the media itself", func(id string) error {
			a, err := here.do(ctx, http.MethodDelete, "/api/media/"+id, nil, 0, append(here.auth(), "If-Match", "*")...)
			if err == nil && a.status != http.StatusNoContent {
				return &statusError{"delete", a}
			}
			return err
		}, http.StatusNotFound},
	} {
		up, err := here.create(ctx, 1000, nil, strings.NewReader(strings.Repeat("x", 1000)), 1000)
		if err != nil {
			t.Fatal(err)
		}
		link, err := there.link(ctx, up.id, "a viewer")
		if x.name != "a viewer" {
			link, err = there.link(ctx, up.id, "another viewer")
		}
		if err != nil {
			t.Fatal(err)
		}
		for range 3 { // it is in the other's memory
			if got := status(there, link); got != http.StatusOK {
				t.Fatalf("%s: before: %d", x.name, got)
			}
		}
		if err := x.revoke(up.id); err != nil {
			t.Fatalf("%s: %v", x.name, err)
		}
		start := time.Now()
		livetest.Until(t, time.Second, x.name+" is refused by the other node", func() bool { return status(there, link) == x.want })
		t.Logf("%s: refused after %v", x.name, time.Since(start).Round(time.Millisecond))
	}
}
