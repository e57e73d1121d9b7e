package mongo_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strconv"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"sluice/entities"
	"sluice/entities/mongo"
	"sluice/internal/livetest"
	"sluice/media"
)

// script stands before a server without change streams and answers for one that has them; all else passes. It says what MongoDB's manual
// says such a server does (change events, resume tokens, the cursor of an aggregate).
type script struct {
	t      *testing.T
	to     string
	batch  chan []bson.D // what the next getMore answers
	opened chan bson.Raw // the $changeStream stage of each aggregate
	lose   chan int32    // a code that the next getMore answers instead
}

const streamCursor = int64(77)

func newScript(t *testing.T) (*script, string) {
	t.Helper()
	s := &script{t: t, to: livetest.Mongo(t).Addr(), batch: make(chan []bson.D), opened: make(chan bson.Raw, 9), lose: make(chan int32)}
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(client)
		}
	}()
	return s, "mongodb://" + l.Addr().String() + "/lms"
}

func (s *script) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", s.to)
	if err != nil {
		return
	}
	defer server.Close()
	for {
		question, err := message(client)
		if err != nil {
			return
		}
		answer := s.answer(question)
		if answer == nil {
			if _, err := server.Write(question); err != nil {
				return
			}
			if answer, err = message(server); err != nil {
				return
			}
		}
		if _, err := client.Write(answer); err != nil {
			return
		}
	}
}

func message(from io.Reader) ([]byte, error) {
	head := make([]byte, 4)
	if _, err := io.ReadFull(from, head); err != nil {
		return nil, err
	}
	whole := append(head, make([]byte, binary.LittleEndian.Uint32(head)-4)...)
	_, err := io.ReadFull(from, whole[4:])
	return whole, err
}

// answer gives what the script says to an OP_MSG, nil when it says nothing.
func (s *script) answer(question []byte) []byte {
	const opMsg, body = 2013, 21
	if binary.LittleEndian.Uint32(question[12:]) != opMsg {
		return nil
	}
	command := bson.Raw(question[body : body+int(binary.LittleEndian.Uint32(question[body:]))])
	first, err := command.IndexErr(0)
	if err != nil {
		return nil
	}
	switch database, _ := command.Lookup("$db").StringValueOK(); {
	case first.Key() == "hello" && database == "lms":
		return reply(question, bson.D{{Key: "setName", Value: "rs0"}})
	case first.Key() == "aggregate":
		stage, _ := command.Lookup("pipeline", "0", "$changeStream").DocumentOK()
		s.opened <- stage
		return reply(question, cursorOf("firstBatch"))
	case first.Key() == "getMore":
		select {
		case events := <-s.batch:
			return reply(question, cursorOf("nextBatch", events...))
		case code := <-s.lose:
			return reply(question, bson.D{{Key: "ok", Value: 0}, {Key: "code", Value: code}, {Key: "errmsg", Value: "lost"}})
		case <-s.t.Context().Done():
			return reply(question, bson.D{})
		}
	case first.Key() == "killCursors":
		return reply(question, bson.D{})
	}
	return nil
}

func cursorOf(batch string, events ...bson.D) bson.D {
	if events == nil {
		events = []bson.D{}
	}
	return bson.D{{Key: "cursor", Value: bson.D{{Key: "id", Value: streamCursor}, {Key: "ns", Value: "lms.$cmd.aggregate"}, {Key: batch, Value: events}}}}
}

func reply(question []byte, doc bson.D) []byte {
	if len(doc) == 0 || doc[0].Key != "ok" {
		doc = append(doc, bson.E{Key: "ok", Value: 1})
	}
	raw, err := bson.Marshal(doc)
	if err != nil {
		panic(err) // of this file's own making
	}
	out := binary.LittleEndian.AppendUint32(nil, uint32(16+5+len(raw)))
	out = append(out, question[4:8]...) // an id, any will do
	out = append(out, question[4:8]...) // the one it answers
	out = binary.LittleEndian.AppendUint32(out, 2013)
	out = append(out, 0, 0, 0, 0, 0)
	return append(out, raw...)
}

func event(n int, collection string, id any) bson.D {
	return bson.D{
		{Key: "_id", Value: bson.D{{Key: "_data", Value: strconv.Itoa(n)}}},
		{Key: "operationType", Value: "update"},
		{Key: "ns", Value: bson.D{{Key: "db", Value: "lms"}, {Key: "coll", Value: collection}}},
		{Key: "documentKey", Value: bson.D{{Key: "_id", Value: id}}},
	}
}

func TestChangesOfOthersAreHeard(t *testing.T) {
	t.Parallel()
	s, uri := newScript(t)
	told := make(chan media.Subject, 9)
	r, err := entities.New(t.Context(), open(t, uri), entities.Options{Changed: func(s media.Subject) { told <- s }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	if stage := <-s.opened; stage == nil {
		t.Fatal("what was asked is no change stream")
	}
	heard := func(want ...media.Subject) {
		t.Helper()
		for _, w := range want {
			if got := <-told; got != w {
				t.Errorf("told %v, want %v", got, w)
			}
		}
	}
	s.batch <- []bson.D{event(1, "products", oid(1)), event(2, "carts", oid(1)), event(3, "courses", oid(2).Hex())}
	heard(product(oid(1).Hex()), media.Subject{Type: media.Course, ID: oid(2).Hex()})

	s.lose <- 11600 // interrupted: the stream goes on after what was told
	if token := (<-s.opened).Lookup("resumeAfter", "_data"); token.StringValue() != "3" {
		t.Errorf("it goes on after %v, want 3", token)
	}
	s.batch <- []bson.D{event(4, "orders", oid(3))}
	heard(media.Subject{Type: media.Order, ID: oid(3).Hex()})

	s.lose <- 286 // ChangeStreamHistoryLost: it begins anew
	if _, err := (<-s.opened).LookupErr("resumeAfter"); err == nil {
		t.Error("it goes on where the server has forgotten")
	}
	s.batch <- []bson.D{event(9, "users", oid(4))}
	heard(media.Subject{Type: media.User, ID: oid(4).Hex()})
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestAServerThatSaysItHasChangeStreamsAndHasNone(t *testing.T) {
	t.Parallel()
	s, uri := newScript(t)
	d := open(t, uri)
	done := make(chan error, 1)
	go func() { done <- d.Watch(t.Context(), func(media.Subject) {}) }()
	<-s.opened
	s.lose <- 40573
	if err := <-done; !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("got %v, want unsupported", err)
	}
}

// Who watches is told soon that there is nothing to watch, each time: entities.Records says it once for as long as that takes less than a second.
func TestWatchingAServerThatIsAwayEndsSoon(t *testing.T) {
	t.Parallel()
	d, err := mongo.Open(t.Context(), "mongodb://127.0.0.1:1/lms", mongo.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	for range 3 {
		began := time.Now()
		if err := d.Watch(t.Context(), func(media.Subject) {}); !errors.Is(err, media.Unavailable) {
			t.Errorf("Watch = %v, want unavailable", err)
		}
		if took := time.Since(began); took > 900*time.Millisecond {
			t.Errorf("that took %v", took)
		}
	}
}
