package mongo

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"sluice/media"
)

// health is what the driver's own heartbeats tell, twice a second. While no server answers them nobody is made to wait for one: the driver
// alone would let each question wait out its time.
type health struct {
	mu      sync.Mutex
	serving bool           // a server takes writes, by the newest description
	servers []string       // by the newest description
	failing map[string]int // how often a server's last heartbeats failed
	known   bool           // there was a server that serves
	down    bool
	asking  map[*asker]struct{}
}

// asker is one who waits for an answer.
type asker struct{ giveUp context.CancelFunc }

func (h *health) monitor() *event.ServerMonitor {
	return &event.ServerMonitor{
		TopologyDescriptionChanged: func(e *event.TopologyDescriptionChangedEvent) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.serving, h.servers = false, nil
			for _, s := range e.NewDescription.Servers {
				h.servers = append(h.servers, s.Addr.String())
				switch s.Kind {
				case "Standalone", "RSPrimary", "Mongos", "LoadBalancer":
					h.serving = true
				}
			}
			h.judge()
		},
		ServerHeartbeatSucceeded: func(e *event.ServerHeartbeatSucceededEvent) { h.beat(e.ConnectionID, nil) },
		ServerHeartbeatFailed:    func(e *event.ServerHeartbeatFailedEvent) { h.beat(e.ConnectionID, e.Failure) },
	}
}

// enough is how often in a row a heartbeat has to fail: a connection that breaks is tried once more, at once.
const enough = 2

// beat notes a heartbeat of a connection, "host:port[-4]". Silence counts as enough, and so does any failure of a server never seen well.
func (h *health) beat(connection string, failure error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	server, _, _ := strings.Cut(connection, "[-")
	network, _ := errors.AsType[net.Error](failure)
	switch {
	case failure == nil:
		delete(h.failing, server)
	case !h.known, errors.Is(failure, context.DeadlineExceeded), network != nil && network.Timeout():
		h.failing[server] = enough
	default:
		h.failing[server]++
	}
	h.judge()
}

// judge decides whether all servers are away; who waits for an answer then waits no longer.
func (h *health) judge() {
	h.known = h.known || h.serving
	h.down = !h.serving && len(h.servers) > 0
	for _, s := range h.servers {
		h.down = h.down && h.failing[s] >= enough
	}
	if h.down {
		for a := range h.asking {
			a.giveUp()
		}
	}
}

// enter lets somebody ask, unless there is nobody to be asked.
func (h *health) enter(a *asker) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.down {
		return false
	}
	h.asking[a] = struct{}{}
	return true
}

func (h *health) leave(a *asker) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.asking, a)
}

var errAway = errors.New("no server answers the heartbeats")

// ask puts one question that only reads to the server, for a bounded time. One whose connection had broken meanwhile is put once more.
func (d *Driver) ask(ctx context.Context, question func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, d.o.Wait)
	defer cancel()
	err := d.tell(ctx, question)
	if err != nil && ctx.Err() == nil && mongo.IsNetworkError(err) && !mongo.IsTimeout(err) {
		err = d.tell(ctx, question)
	}
	return err
}

// tell is ask for what may not be done twice.
func (d *Driver) tell(ctx context.Context, do func(context.Context) error) error {
	bounded, cancel := context.WithTimeout(ctx, d.o.Wait)
	defer cancel()
	a := &asker{giveUp: cancel}
	if !d.health.enter(a) {
		return unavailable(errAway)
	}
	defer d.health.leave(a)
	err := do(bounded)
	if err == nil {
		return nil
	}
	if gone := ctx.Err(); errors.Is(gone, context.Canceled) {
		return gone
	}
	if bounded.Err() != nil {
		return unavailable(err)
	}
	return translate(err)
}

// translate turns an error of the driver into one callers can act on, by its code and type.
func translate(err error) error {
	_, network := errors.AsType[net.Error](err)
	switch {
	case errors.Is(err, mongo.ErrNoDocuments):
		return media.NotFound
	case mongo.IsDuplicateKeyError(err):
		return &media.Error{Kind: media.Conflict, Code: "not_unique", Detail: "another one has what only one may have", Err: err}
	case hasCode(err, 121): // DocumentValidationFailure
		return &media.Error{Kind: media.Invalid, Code: "refused", Detail: "the LMS's database does not accept it", Err: err}
	case hasCode(err, 10334, 17419, 17420): // BSONObjectTooLarge
		return &media.Error{Kind: media.TooLarge, Detail: "a record holds 16 MiB at most", Err: err}
	case hasCode(err, passing()...), network, mongo.IsNetworkError(err), mongo.IsTimeout(err), errors.Is(err, mongo.ErrClientDisconnected),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed), unacknowledged(err), unselected(err):
		return unavailable(err)
	}
	return err
}

// passing are the codes that say that a server is away, busy, going or not the one to ask, or that a login that worked before does not.
func passing() []int {
	return []int{
		6, 7, 89, 9001, // HostUnreachable, HostNotFound, NetworkTimeout, SocketException
		91, 11600, 11602, 13436, 189, 10107, 13435, 10058, // shutting down, interrupted, not primary
		50, 262, 24, 46, 112, // MaxTimeMSExpired, ExceededTimeLimit, LockTimeout, LockBusy, WriteConflict
		18, 8000, 13, // AuthenticationFailed, AtlasError, Unauthorized
		134, 202, 317, 462, // ReadConcernMajorityNotAvailableYet, overload
	}
}

// unacknowledged reports a write that was done, and that the replica set has not agreed on in time: it may come to nothing.
func unacknowledged(err error) bool {
	if w, ok := errors.AsType[mongo.WriteException](err); ok {
		return w.WriteConcernError != nil && len(w.WriteErrors) == 0
	}
	return false
}

// unselected reports that no server to ask was found: the driver's type for it is not exported.
func unselected(err error) bool {
	_, replied := errors.AsType[mongo.ServerError](err)
	return !replied && errors.Is(err, context.DeadlineExceeded)
}

func unavailable(err error) error {
	return &media.Error{
		Kind: media.Unavailable, Code: "entities_unavailable", Detail: "the LMS's database is away for now", RetryAfter: time.Second, Err: err,
	}
}
