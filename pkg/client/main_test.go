package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"laneway.dev/internal/embedded"
	"laneway.dev/pkg/client"
	"laneway.dev/pkg/protocol"
)

// patience bounds every wait of a test for something that should come at once. On a
// busy machine that is later: it decides nothing but how long a test hangs.
const patience = time.Minute

var server *embedded.Server

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	folder, err := os.MkdirTemp("", "laneway-client")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(folder)
	server, err = embedded.Start(embedded.Options{Listen: "127.0.0.1:0", Data: folder})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if err := errors.Join(server.Shutdown(), stopServing()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	return code
}

// respond answers a request. When a test is over there may be nobody to answer.
func respond(m *nats.Msg, data []byte) { _ = m.Respond(data) }

// frontend plays Laneway's frontend for one topic, as the test scripts it.
type frontend struct {
	t        testing.TB
	conn     *nats.Conn
	topic    protocol.Topic
	identify atomic.Pointer[func(protocol.ProducerInitRequest) protocol.ProducerInitResponse]
	info     atomic.Pointer[func() protocol.TopicResponse] // nil is the topic
	asked    atomic.Int32                                  // for the topic
	produced chan *nats.Msg
	fetches  chan *nats.Msg
	credits  chan *nats.Msg
}

// setup returns a client and a frontend that answers only to topic info and, as
// identify says, to init. At the
// end of the test both are closed, and no goroutine may be left of them.
func setup(t testing.TB, partitions int) (*client.Client, *frontend) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
	name := strings.NewReplacer("/", "-", "#", "-").Replace(t.Name())
	f := &frontend{
		t: t, conn: connect(t),
		topic: protocol.Topic{
			TopicConfig: protocol.TopicConfig{Name: name, Partitions: partitions, MaxRecordBytes: 1 << 20}, ID: 7,
		},
		produced: make(chan *nats.Msg, 4096), fetches: make(chan *nats.Msg, 64), credits: make(chan *nats.Msg, 4096),
	}
	f.subscribe(protocol.TopicAPI+"info", func(m *nats.Msg) {
		var r protocol.TopicRequest
		if err := json.Unmarshal(m.Data, &r); err != nil || r.Name != name {
			respond(m, protocol.EncodeErrorResponse(protocol.Errorf(protocol.CodeUnknownTopic, "%q", r.Name)))
			return
		}
		response := protocol.TopicResponse{Topic: &f.topic}
		if f.asked.Add(1); f.info.Load() != nil {
			response = (*f.info.Load())()
		}
		data, _ := json.Marshal(response)
		respond(m, data)
	})
	f.answerInit(func(protocol.ProducerInitRequest) protocol.ProducerInitResponse {
		return protocol.ProducerInitResponse{ProducerID: producerID, ProducerEpoch: producerEpoch}
	})
	f.subscribe(protocol.ProducerAPI+"init", func(m *nats.Msg) {
		var r protocol.ProducerInitRequest
		_ = json.Unmarshal(m.Data, &r)
		data, _ := json.Marshal((*f.identify.Load())(r))
		respond(m, data)
	})
	f.subscribe(creditPrefix(name)+">", func(m *nats.Msg) { f.credits <- m })
	c, err := client.Connect(server.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, f
}

// What init answers unless a test says otherwise.
const (
	producerID    = 42
	producerEpoch = 3
)

func (f *frontend) answerInfo(answer func() protocol.TopicResponse) { f.info.Store(&answer) }

func (f *frontend) answerInit(answer func(protocol.ProducerInitRequest) protocol.ProducerInitResponse) {
	f.identify.Store(&answer)
}

func creditPrefix(topic string) string { return protocol.CreditPrefix + topic + "." }

func connect(t testing.TB) *nats.Conn {
	t.Helper()
	conn, err := nats.Connect(server.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn
}

// subscribe returns what ends the subscription; when both return, the server knows.
func (f *frontend) subscribe(subject string, handle nats.MsgHandler) (leave func()) {
	f.t.Helper()
	sub, err := f.conn.Subscribe(subject, handle)
	if err == nil {
		err = f.conn.Flush()
	}
	if err != nil {
		f.t.Fatal(err)
	}
	leave = func() {
		sub.Unsubscribe()
		f.conn.Flush()
	}
	f.t.Cleanup(leave)
	return leave
}

// receive hands the requests of a partition's producers to the test.
func (f *frontend) receive(partition int) (leave func()) {
	return f.subscribe(f.topic.Partition(partition).ProduceSubject(), func(m *nats.Msg) { f.produced <- m })
}

// ackAll acks every batch of a partition at once.
func (f *frontend) ackAll(partition int) { f.ackFrom(partition, func(*nats.Msg) bool { return true }) }

// ackFrom acks the batches of a partition from the one on that is the first, and
// like Laneway none that overtakes it.
func (f *frontend) ackFrom(partition int, isFirst func(*nats.Msg) bool) {
	var offset int64
	f.subscribe(f.topic.Partition(partition).ProduceSubject(), func(m *nats.Msg) {
		if offset == 0 && !isFirst(m) {
			f.refuse(m, protocol.NewError(protocol.CodeOutOfOrderSequence, ""))
			return
		}
		offset += f.ack(m, offset)
		select {
		case f.produced <- m:
		default:
		}
	})
}

// ack answers a request with success and returns the number of its records.
func (f *frontend) ack(m *nats.Msg, offset int64) int64 { return f.accept(m, offset, false) }

func (f *frontend) accept(m *nats.Msg, offset int64, duplicate bool) int64 {
	n, err := protocol.CheckFrame(m.Data, 1<<22)
	if err != nil {
		f.t.Errorf("a request is no batch frame: %v", err)
	}
	partition, _ := strconv.Atoi(m.Subject[strings.LastIndexByte(m.Subject, '.')+1:])
	respond(m, protocol.AppendProduceAck(nil, protocol.ProduceAck{
		Stream: "S", Sequence: uint64(offset) + 1, Duplicate: duplicate, Topic: f.topic.Name, Partition: int32(partition), Offset: offset, Records: n, Ticket: 3, Epoch: 5,
	}))
	return int64(n)
}

func (f *frontend) refuse(m *nats.Msg, err error) { respond(m, protocol.EncodeErrorResponse(err)) }

// open hands the fetch requests for a partition to the test.
func (f *frontend) open(partition int) {
	f.subscribe(f.topic.Partition(partition).FetchSubject(), func(m *nats.Msg) { f.fetches <- m })
}

// next returns what comes next on a channel.
func next[T any](t testing.TB, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

func bounded(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// values returns the records of a frame.
func values(t testing.TB, frame []byte) []string {
	t.Helper()
	r, err := protocol.NewFrameReader(frame)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var all []string
	for rec, ok := r.Next(); ok; rec, ok = r.Next() {
		all = append(all, string(rec.Value))
	}
	if r.Err() != nil {
		t.Fatal(r.Err())
	}
	return all
}
