package client_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"laneway.dev/pkg/client"
	"laneway.dev/pkg/protocol"
)

// respond answers a request. It ignores errors: the test may be over.
func respond(m *nats.Msg, data []byte) { _ = m.Respond(data) }

// frontend is a fake of Laneway's frontend for one topic. Tests script its answers.
type frontend struct {
	t        testing.TB
	conn     *nats.Conn
	topic    protocol.Topic
	identify atomic.Pointer[func(protocol.ProducerInitRequest) protocol.ProducerInitResponse]
	info     atomic.Pointer[func() protocol.TopicResponse] // nil is the topic
	asked    atomic.Int32                                  // requests for the topic
	produced chan *nats.Msg
	fetches  chan *nats.Msg
	credits  chan *nats.Msg
}

// setup returns a client and a frontend. At first the frontend only answers topic info
// and init. Both are closed at the end of the test, and no goroutine may be left.
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

// The default answer to init.
const (
	producerID    = 42
	producerEpoch = 3
)

func (f *frontend) answerInfo(answer func() protocol.TopicResponse) { f.info.Store(&answer) }

func (f *frontend) answerInit(answer func(protocol.ProducerInitRequest) protocol.ProducerInitResponse) {
	f.identify.Store(&answer)
}

func creditPrefix(topic string) string { return protocol.CreditPrefix + topic + "." }

// subscribe subscribes to a subject. The server knows of the subscription when subscribe
// returns, and of its end when leave returns.
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

// receive passes the batches of a partition to f.produced.
func (f *frontend) receive(partition int) (leave func()) {
	return f.subscribe(f.topic.Partition(partition).ProduceSubject(), func(m *nats.Msg) { f.produced <- m })
}

// ackAll acks every batch of a partition at once.
func (f *frontend) ackAll(partition int) { f.ackFrom(partition, func(*nats.Msg) bool { return true }) }

// ackFrom acks the batches of a partition, starting with the one for which isFirst is
// true. It refuses batches that overtake that one, as Laneway does.
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

// open passes the fetch requests for a partition to f.fetches.
func (f *frontend) open(partition int) {
	f.subscribe(f.topic.Partition(partition).FetchSubject(), func(m *nats.Msg) { f.fetches <- m })
}

func (f *frontend) publish(m *nats.Msg) {
	if err := f.conn.PublishMsg(m); err != nil {
		f.t.Error(err)
	}
}

var moment = time.Date(2026, 11, 23, 10, 0, 0, 123456789, time.UTC)

func (f *frontend) credit() string { return creditPrefix(f.topic.Name) + "1" }

// send answers a fetch with a frame of the offsets [first, last].
func (f *frontend) send(m *nats.Msg, first, last int64) (bytes int) {
	frame := frameOf(first, last)
	f.sendFrame(m, first, last-first+1, frame)
	return len(frame)
}

func frameOf(first, last int64) []byte {
	var b protocol.FrameBuilder
	for n := first; n <= last; n++ {
		b.Append(protocol.Record{Value: []byte(value(n))})
	}
	return b.Bytes()
}

// sendStarted answers a fetch that has started at an offset with a frame.
func (f *frontend) sendStarted(m *nats.Msg, start, first, last int64) {
	answer := f.frame(m, first, last-first+1, frameOf(first, last))
	answer.Header.Set(protocol.HeaderStartOffset, fmt.Sprint(start))
	f.publish(answer)
}

func (f *frontend) sendFrame(m *nats.Msg, first, count int64, frame []byte) {
	f.publish(f.frame(m, first, count, frame))
}

func (f *frontend) frame(m *nats.Msg, first, count int64, frame []byte) *nats.Msg {
	return &nats.Msg{Subject: m.Reply, Reply: f.credit(), Data: frame, Header: nats.Header{
		protocol.HeaderContentType: {protocol.ContentTypeBatch},
		protocol.HeaderTopic:       {f.topic.Name},
		protocol.HeaderPartition:   {m.Subject[strings.LastIndexByte(m.Subject, '.')+1:]},
		protocol.HeaderOffset:      {fmt.Sprint(first)},
		protocol.HeaderRecords:     {fmt.Sprint(count)},
		protocol.HeaderTime:        {moment.Format(time.RFC3339Nano)},
	}}
}

// status answers a fetch with a status. A negative next is left out.
func (f *frontend) status(m *nats.Msg, status string, next int64) {
	header := nats.Header{protocol.HeaderStatus: {status}, protocol.HeaderDesc: {"description"}}
	if next >= 0 {
		header.Set(protocol.HeaderNextOffset, fmt.Sprint(next))
	}
	f.publish(&nats.Msg{Subject: m.Reply, Reply: f.credit(), Header: header})
}

// statusStarted answers a fetch that has started at an offset with a status.
func (f *frontend) statusStarted(m *nats.Msg, status string, start, next int64) {
	f.publish(&nats.Msg{Subject: m.Reply, Reply: f.credit(), Header: nats.Header{
		protocol.HeaderStatus: {status}, protocol.HeaderDesc: {"description"},
		protocol.HeaderStartOffset: {fmt.Sprint(start)}, protocol.HeaderNextOffset: {fmt.Sprint(next)},
	}})
}

func (f *frontend) failFetch(m *nats.Msg, err *protocol.Error) {
	f.publish(&nats.Msg{Subject: m.Reply, Header: nats.Header{
		protocol.HeaderStatus: {err.Code.FetchStatus()},
		protocol.HeaderError:  {err.Code.Kind().Name},
		protocol.HeaderDesc:   {err.Error()},
	}})
}

func value(offset int64) string { return fmt.Sprintf("value %d", offset) }

// options returns options with a silence that no test reaches.
func (f *frontend) options() client.ConsumerOptions {
	return client.ConsumerOptions{Topic: f.topic.Name, Silence: 2 * patience}
}
