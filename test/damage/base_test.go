package damage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/client"
	"laneway.dev/pkg/protocol"
)

// What the topics of a base are produced to by.
const (
	named      = "feeder" // a named producer, on partition 0 of orders
	namedTopic = "orders"
	perRound   = 40 // records of each producer, one at a time: an entry each
)

// facts are what producers know of a base.
type facts struct {
	Topics []protocol.TopicConfig
	Made   map[string]protocol.Topic   // the topics as they were created, by their names
	Acked  map[string]map[int64]string // offsets and values, by partitions such as orders/0
	// Sent are the values that were sent, whether acknowledged or not.
	Sent map[string]map[string]bool
	// Named is how many records the named producer was acknowledged.
	Named int
	// The last batch of an idempotent producer, on audit/0.
	ProducerID   int64
	LastSequence int32
	LastOffset   int64
	LastValue    string
}

func (f *facts) clone() *facts {
	c := *f
	c.Acked, c.Sent = make(map[string]map[int64]string), make(map[string]map[string]bool)
	for p := range f.Acked {
		c.Acked[p] = maps.Clone(f.Acked[p])
	}
	for p := range f.Sent {
		c.Sent[p] = maps.Clone(f.Sent[p])
	}
	return &c
}

// sentAt notes a record that was acknowledged.
func (f *facts) sentAt(p string, offset int64, value string) {
	f.Acked[p][offset], f.Sent[p][value] = value, true
}

// partitions returns the names of all partitions.
func (f *facts) partitions() []protocol.Partition {
	var all []protocol.Partition
	for _, topic := range f.Topics {
		for n := range max(topic.Partitions, 1) {
			all = append(all, f.Made[topic.Name].Partition(n))
		}
	}
	return all
}

// end returns the offset behind the last acknowledged record of a partition.
func (f *facts) end(p protocol.Partition) int64 {
	end := int64(0)
	for offset := range f.Acked[p.String()] {
		end = max(end, offset+1)
	}
	return end
}

// recorder takes down what is sent and acknowledged.
type recorder struct {
	mu sync.Mutex
	*facts
}

func (r *recorder) sent(p protocol.Partition, value string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.Sent[p.String()] == nil {
		r.Sent[p.String()], r.Acked[p.String()] = make(map[string]bool), make(map[int64]string)
	}
	r.Sent[p.String()][value] = true
}

func (r *recorder) acked(p protocol.Partition, offset int64, value string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Acked[p.String()][offset] = value
}

// makeBases makes the folders that all cases copy: of several logs, and of one.
func makeBases(t *testing.T) (bases, map[string]*facts) {
	t.Helper()
	all, known := make(bases), make(map[string]*facts)
	for suffix, flags := range map[string][]string{"": nil, oneLog: {"--logs", "1"}} {
		makeBase(t, suffix, flags, all, known)
	}
	return all, known
}

// oneLog is the end of the names of bases with one log.
const oneLog = "-1"

// makeBase makes a folder of a process that was stopped, and one that continued from there and was killed
// while it was produced to.
func makeBase(t *testing.T, suffix string, flags []string, all bases, knownOf map[string]*facts) {
	t.Helper()
	folder := t.TempDir()
	stopped, killed := filepath.Join(folder, "stopped"), filepath.Join(folder, "killed")
	known := &facts{
		Topics: []protocol.TopicConfig{{Name: namedTopic, Partitions: 2}, {Name: "audit"}, {Name: "quiet"}},
		Made:   make(map[string]protocol.Topic), Acked: make(map[string]map[int64]string), Sent: make(map[string]map[string]bool),
	}
	first := &recorder{facts: known}
	s := serve(t, stopped, filepath.Join(folder, "stopped.log"), flags...)
	mustSettle(t, s)
	b := newFeed(t, s, first)
	b.create()
	b.round(0)
	b.conn.Close()
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(killed, os.DirFS(stopped)); err != nil {
		t.Fatal(err)
	}
	second := &recorder{facts: known.clone()}
	s = serve(t, killed, filepath.Join(folder, "killed.log"))
	mustSettle(t, s)
	b = newFeed(t, s, second)
	b.round(1)
	b.untilKilled()
	b.conn.Close()
	all["stopped"+suffix], all["killed"+suffix] = stopped, killed
	knownOf["stopped"+suffix], knownOf["killed"+suffix] = known, second.facts
}

func mustSettle(t *testing.T, s *server) {
	t.Helper()
	if now, err := s.await(); err != nil || !now.ready {
		t.Fatalf("%v: %v\n%s", now, err, s.alone.Log(t))
	}
}

// feed produces to a server.
type feed struct {
	t      *testing.T
	ctx    context.Context
	server *server
	known  *recorder
	conn   *nats.Conn
	client *client.Client
}

func newFeed(t *testing.T, s *server, known *recorder) *feed {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), patience, errors.New("the base could not be made in time"))
	t.Cleanup(cancel)
	conn, err := s.connect()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return &feed{t: t, ctx: ctx, server: s, known: known, conn: conn, client: client.New(conn)}
}

func (b *feed) create() {
	b.t.Helper()
	for _, topic := range b.known.Topics {
		created, err := b.client.Admin().CreateTopic(b.ctx, topic)
		if err != nil {
			b.t.Fatal(err)
		}
		b.known.Made[topic.Name] = created
	}
}

// round lets all producers send, side by side, a record at a time.
func (b *feed) round(n int) {
	b.t.Helper()
	var all sync.WaitGroup
	var failed atomic.Pointer[error]
	run := func(produce func() error) {
		all.Go(func() {
			if err := produce(); err != nil {
				failed.Store(&err)
			}
		})
	}
	run(func() error { return b.produceNamed() })
	run(func() error {
		return b.produceByClient(protocol.Partition{Topic: "orders", Number: 1}, fmt.Sprintf("anonymous-%d", n), perRound)
	})
	run(func() error {
		return b.producePlain(protocol.Partition{Topic: "orders", Number: 0}, fmt.Sprintf("plain-%d", n), perRound)
	})
	run(func() error { return b.produceSequenced(n) })
	if n == 0 {
		run(func() error {
			return b.producePlain(protocol.Partition{Topic: "quiet", Number: 0}, "quiet", perRound/4)
		})
	}
	all.Wait()
	if err := failed.Load(); err != nil {
		b.t.Fatal(*err)
	}
}

func (b *feed) produceNamed() error {
	p := protocol.Partition{Topic: namedTopic}
	producer, err := b.client.Producer(b.ctx, namedTopic, client.ProducerOptions{Name: named, Partition: new(int32(0))})
	if err != nil {
		return err
	}
	for range perRound {
		value := fmt.Sprintf("%s %d", named, b.known.Named)
		if err := b.publish(producer, p, value); err != nil {
			return err
		}
		b.known.Named++
	}
	return producer.Close(b.ctx)
}

func (b *feed) produceByClient(p protocol.Partition, name string, records int) error {
	producer, err := b.client.Producer(b.ctx, p.Topic, client.ProducerOptions{Partition: new(p.Number)})
	if err != nil {
		return err
	}
	for n := range records {
		if err := b.publish(producer, p, fmt.Sprintf("%s %d", name, n)); err != nil {
			return err
		}
	}
	return producer.Close(b.ctx)
}

func (b *feed) publish(producer *client.Producer, p protocol.Partition, value string) error {
	value = padded(value)
	b.known.sent(p, value)
	future, err := producer.Publish(b.ctx, client.ProducerRecord{Value: []byte(value)})
	if err != nil {
		return err
	}
	ack, err := future.Wait(b.ctx)
	if err == nil {
		b.known.acked(p, ack.Offset, value)
	}
	return err
}

// padded makes values of some length, so that the objects have several pages.
func padded(value string) string { return value + strings.Repeat(".", 400) }

func (b *feed) producePlain(p protocol.Partition, name string, records int) error {
	for n := range records {
		value := padded(fmt.Sprintf("%s %d", name, n))
		b.known.sent(p, value)
		ack, err := produce(b.ctx, b.conn, &nats.Msg{Subject: p.ProduceSubject(), Data: []byte(value), Header: nats.Header{
			protocol.HeaderMessageID: {fmt.Sprintf("%s %d", name, n)},
		}})
		if err != nil {
			return err
		}
		b.known.acked(p, ack.Offset, value)
	}
	return nil
}

// produce sends a request and returns the acknowledgement.
func produce(ctx context.Context, conn *nats.Conn, m *nats.Msg) (protocol.ProduceAck, error) {
	answer, err := conn.RequestMsgWithContext(ctx, m)
	if err != nil {
		return protocol.ProduceAck{}, err
	}
	var ack protocol.ProduceAck
	if err := json.Unmarshal(answer.Data, &ack); err != nil {
		return protocol.ProduceAck{}, fmt.Errorf("%w in %q", err, answer.Data)
	}
	if ack.Error != nil {
		return protocol.ProduceAck{}, ack.Error
	}
	return ack, nil
}

// sequenced is a record of the idempotent producer of audit/0.
func sequenced(id int64, sequence int32, value string) *nats.Msg {
	return &nats.Msg{Subject: protocol.Partition{Topic: "audit"}.ProduceSubject(), Data: []byte(value), Header: nats.Header{
		protocol.HeaderProducerID: {strconv.FormatInt(id, 10)}, protocol.HeaderProducerEpoch: {"0"},
		protocol.HeaderSequence: {strconv.Itoa(int(sequence))}, protocol.HeaderFirstUnacked: {strconv.Itoa(int(sequence))},
	}}
}

func (b *feed) produceSequenced(round int) error {
	p := protocol.Partition{Topic: "audit"}
	if b.known.ProducerID == 0 {
		answer, err := b.conn.RequestWithContext(b.ctx, protocol.ProducerAPI+"init", []byte("{}"))
		if err != nil {
			return err
		}
		var identity protocol.ProducerInitResponse
		if err := json.Unmarshal(answer.Data, &identity); err != nil || identity.Error != nil {
			return errors.Join(err, fmt.Errorf("init: %s", answer.Data))
		}
		b.known.ProducerID = identity.ProducerID
	}
	for n := range int32(perRound) {
		sequence := int32(round*perRound) + n
		value := padded(fmt.Sprintf("sequenced %d", sequence))
		b.known.sent(p, value)
		ack, err := produce(b.ctx, b.conn, sequenced(b.known.ProducerID, sequence, value))
		if err != nil {
			return err
		}
		b.known.acked(p, ack.Offset, value)
		b.known.LastSequence, b.known.LastOffset, b.known.LastValue = sequence, ack.Offset, value
	}
	return nil
}

// untilKilled sends to two partitions as fast as it can, and kills the process in the
// middle of that. What was answered by then is acknowledged.
func (b *feed) untilKilled() {
	b.t.Helper()
	inbox := b.conn.NewInbox()
	answers, err := b.conn.SubscribeSync(inbox + ".*")
	if err != nil {
		b.t.Fatal(err)
	}
	flying := make(map[string]func(protocol.ProduceAck))
	const flood = 300
	for n := range flood {
		p := protocol.Partition{Topic: "orders", Number: int32(n % 2)}
		value := padded(fmt.Sprintf("flying-%d %d", n%2, n))
		b.known.sent(p, value)
		reply := fmt.Sprintf("%s.%d", inbox, n)
		flying[reply] = func(ack protocol.ProduceAck) { b.known.acked(p, ack.Offset, value) }
		if err := b.conn.PublishRequest(p.ProduceSubject(), reply, []byte(value)); err != nil {
			b.t.Fatal(err)
		}
	}
	for n := 0; ; n++ {
		if n == flood/3 {
			b.server.kill()
		}
		ctx, cancel := context.WithTimeout(b.ctx, patience)
		if n >= flood/3 { // what has come before the end is here at once
			cancel()
			ctx, cancel = context.WithTimeout(b.ctx, time.Second)
		}
		m, err := answers.NextMsgWithContext(ctx)
		cancel()
		if err != nil {
			if n < flood/3 {
				b.t.Fatal(err)
			}
			return
		}
		var ack protocol.ProduceAck
		if err := json.Unmarshal(m.Data, &ack); err != nil || ack.Error != nil {
			b.t.Fatalf("%v: %s", err, m.Data)
		}
		flying[m.Subject](ack)
	}
}
