package fetch

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/embedded"
	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/partitionlog"
	"laneway.dev/internal/partitionlog/logtest"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// patience bounds every wait for something that must happen.
const patience = time.Minute

// countingStore is the real store with a count of its reads.
type countingStore struct {
	objectstore.Store
	reads atomic.Int64
}

func (s *countingStore) ReadRange(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	s.reads.Add(1)
	return s.Store.ReadRange(ctx, key, offset, length)
}

// fixture is a Server with one open partition over a real server and a real store.
type fixture struct {
	testing.TB
	nats   *embedded.Server
	conn   *nats.Conn // of the consumers
	js     jetstream.JetStream
	folder string // of the store
	store  *countingStore
	topic  protocol.Topic
	id     protocol.Partition
	log    *partitionlog.Log
	server *Server

	last   uint64 // sequence of the log
	offset int64  // next
	gap    int64  // offsets that the next entry leaves out

	history messages.History // of the next entries
}

// newFixture makes one. Heartbeats come, and consumers are given up, only if change
// says when.
func newFixture(t testing.TB, change func(*Config)) *fixture {
	t.Helper()
	server, err := embedded.Start(embedded.Options{Listen: "127.0.0.1:0", Data: t.TempDir()})
	must(t, err)
	t.Cleanup(func() { must(t, server.Shutdown()) })
	f := &fixture{TB: t, nats: server, folder: t.TempDir()}
	local, err := objectstore.Open(f.folder, 0)
	must(t, err)
	f.store = &countingStore{Store: local}
	f.conn = f.connect()
	own := f.connect()
	f.js, err = jetstream.New(own)
	must(t, err)
	f.topic = protocol.Topic{TopicConfig: protocol.TopicConfig{Name: "orders", Partitions: 1}, ID: 7}
	f.id = f.topic.Partition(0)
	f.log = partitionlog.New(own, f.js, f.id)
	must(t, f.log.Create(f.context(), 1, 0))
	f.last = 1 // the entry of the creation
	config := Config{Conn: own, JS: f.js, Store: f.store, Heartbeat: time.Hour, CreditTimeout: time.Hour}
	if change != nil {
		change(&config)
	}
	f.server = New(config)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		must(t, f.server.Stop(ctx))
	})
	must(t, f.server.Open(f.topic, 0))
	must(t, own.Flush())
	return f
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) connect() *nats.Conn {
	f.Helper()
	conn, err := f.nats.Connect()
	must(f, err)
	f.Cleanup(conn.Close)
	return conn
}

func (f *fixture) context() context.Context {
	ctx, cancel := context.WithTimeout(f.Context(), patience)
	f.Cleanup(cancel)
	return ctx
}

// stored is an entry in the log, with the payloads of its batches.
type stored struct {
	sequence uint64
	entry    messages.Entry
	payloads [][]byte
}

// news is what the frontend gets to hear of the entry.
func (s stored) news(id protocol.Partition) (messages.Committed, messages.Entry) {
	return messages.Committed{Partition: id, Sequence: s.sequence}, s.entry
}

// commit appends one entry of one object with the batches. The reader does not
// hear of it.
func (f *fixture) commit(batches ...[]protocol.Record) stored {
	f.Helper()
	frames := make([][]byte, len(batches))
	records := make([]uint32, len(batches))
	for i, b := range batches {
		var frame protocol.FrameBuilder
		for _, r := range b {
			frame.Append(r)
		}
		frames[i], records[i] = frame.Take(), uint32(len(b))
	}
	return f.commitFrames(frames, records)
}

// commitEach appends an entry of one record for each value. All records are in one object,
// because storing hundreds of objects takes seconds.
func (f *fixture) commitEach(values ...string) []stored {
	f.Helper()
	frames, records := make([][]byte, len(values)), make([]uint32, len(values))
	for i, value := range values {
		var frame protocol.FrameBuilder
		frame.Append(protocol.Record{Value: []byte(value)})
		frames[i], records[i] = frame.Take(), 1
	}
	all := f.stage(frames, records)
	some := make([]stored, len(values))
	for i := range values {
		entry := all
		entry.BaseOffset, entry.Batches = all.BaseOffset+int64(i), all.Batches[i:i+1]
		some[i] = stored{sequence: f.append(messages.EncodeEntry(entry)), entry: entry, payloads: frames[i : i+1]}
	}
	return some
}

func (f *fixture) commitFrames(frames [][]byte, records []uint32) stored {
	f.Helper()
	entry := f.stage(frames, records)
	return stored{sequence: f.append(messages.EncodeEntry(entry)), entry: entry, payloads: frames}
}

// stage puts batches into one object and returns the entry for them.
func (f *fixture) stage(frames [][]byte, records []uint32) messages.Entry {
	f.Helper()
	entry := messages.Entry{TopicID: f.topic.ID, BaseOffset: f.offset, Gap: f.gap, Time: time.Now().UnixNano(), History: f.history}
	f.gap = 0
	if len(frames) == 0 {
		return entry
	}
	key, err := objectstore.NewKey(time.Now(), nil)
	must(f, err)
	builder := objectstore.NewBuilder(key)
	for i, frame := range frames {
		batch := messages.Batch{Ticket: messages.Ticket{Lane: "l", Number: uint64(i)}, Records: records[i]}
		extent, err := builder.Add(objectstore.Batch{Batch: batch, Partition: f.id, Payload: frame})
		must(f, err)
		entry.Batches = append(entry.Batches, messages.Placeholder{
			Batch:  batch,
			Extent: extent,
		})
	}
	must(f, f.store.Put(f.context(), key, builder.Parts()))
	f.offset = entry.NextOffset()
	return entry
}

func (f *fixture) append(data []byte) uint64 {
	f.Helper()
	f.last = f.inJetStream().Append(f.last, data)
	return f.last
}

// inJetStream is the log as JetStream stores it.
func (f *fixture) inJetStream() logtest.Log {
	f.Helper()
	return logtest.Of(f, f.js.Conn(), f.id)
}

// tell commits and shows the entry to the reader.
func (f *fixture) tell(batches ...[]protocol.Record) stored {
	f.Helper()
	s := f.commit(batches...)
	f.server.Committed(s.news(f.id))
	return s
}

// lines makes a batch of records without headers.
func lines(values ...string) []protocol.Record {
	records := make([]protocol.Record, len(values))
	for i, v := range values {
		records[i].Value = []byte(v)
	}
	return records
}

// consumer is a plain NATS client with one fetch.
type consumer struct {
	f         *fixture
	sub       *nats.Subscription
	messages  chan *nats.Msg
	processed int // bytes
}

type fields map[string]any

// fetch asks for records.
func (f *fixture) fetch(request fields) *consumer {
	f.Helper()
	body, err := json.Marshal(request)
	must(f, err)
	return f.fetchRaw(body)
}

func (f *fixture) fetchRaw(body []byte) *consumer {
	f.Helper()
	c := &consumer{f: f, messages: make(chan *nats.Msg, 1<<17)}
	inbox := f.conn.NewRespInbox()
	var err error
	c.sub, err = f.conn.ChanSubscribe(inbox, c.messages)
	must(f, err)
	f.Cleanup(func() { _ = c.sub.Unsubscribe() })
	must(f, f.conn.PublishRequest(f.id.FetchSubject(), inbox, body))
	return c
}

// next returns the next message of any kind.
func (c *consumer) next() *nats.Msg {
	c.f.Helper()
	select {
	case m := <-c.messages:
		return m
	case <-time.After(patience):
		c.f.Fatal("nothing came")
		return nil
	}
}

// data returns the next message, which must be data.
func (c *consumer) data() *nats.Msg {
	c.f.Helper()
	m := c.next()
	if m.Header.Get(protocol.HeaderOffset) == "" {
		c.f.Fatalf("wanted data, got %v", m.Header)
	}
	return m
}

// beyondBeats returns the next message that is no heartbeat, of which there may have
// been any number by the time that the fetch hears of a credit.
func (c *consumer) beyondBeats() *nats.Msg {
	c.f.Helper()
	for {
		if m := c.next(); m.Header.Get(protocol.HeaderStatus) != protocol.StatusHeartbeat {
			return m
		}
	}
}

// status returns the next message, which must have the status.
func (c *consumer) status(want string) *nats.Msg {
	c.f.Helper()
	m := c.next()
	if got := m.Header.Get(protocol.HeaderStatus); got != want || m.Header.Get(protocol.HeaderOffset) != "" {
		c.f.Fatalf("wanted status %s, got %v %q", want, m.Header, m.Data)
	}
	return m
}

// fails returns the next message, which must be the error.
func (c *consumer) fails(code protocol.Code) *nats.Msg {
	c.f.Helper()
	m := c.status(code.FetchStatus())
	if got := m.Header.Get(protocol.HeaderError); got != code.Kind().Name {
		c.f.Fatalf("wanted %s, got %v", code.Kind().Name, m.Header)
	}
	var body protocol.ErrorResponse
	if err := json.Unmarshal(m.Data, &body); err != nil || body.Error == nil || body.Error.Code != code {
		c.f.Fatalf("the body is %q, wanted the error", m.Data)
	}
	return m
}

// grant reports that more bytes were processed.
func (c *consumer) grant(m *nats.Msg, bytes int) {
	c.f.Helper()
	c.processed += bytes
	must(c.f, c.f.conn.Publish(m.Reply, []byte(strconv.Itoa(c.processed))))
}

// rest returns the values of all records up to the last status, granting credit
// and answering heartbeats on the way.
func (c *consumer) rest() (values []string, last *nats.Msg) {
	c.f.Helper()
	for {
		m := c.next()
		switch status := m.Header.Get(protocol.HeaderStatus); {
		case status == protocol.StatusHeartbeat:
			c.grant(m, 0)
			continue
		case status != "":
			return values, m
		}
		values = append(values, valuesOf(c.f, m)...)
		if m.Reply != "" {
			c.grant(m, len(m.Data))
		}
	}
}

// wants checks that exactly these records come and then the status.
func (c *consumer) wants(status string, want ...string) *nats.Msg {
	c.f.Helper()
	got, last := c.rest()
	if !slices.Equal(got, want) {
		c.f.Fatalf("got %q, wanted %q", got, want)
	}
	if s := last.Header.Get(protocol.HeaderStatus); s != status {
		c.f.Fatalf("ended with %v, wanted status %s", last.Header, status)
	}
	return last
}

func valuesOf(t testing.TB, m *nats.Msg) []string {
	t.Helper()
	if m.Header.Get(protocol.HeaderContentType) != protocol.ContentTypeBatch {
		return []string{string(m.Data)}
	}
	frame, err := protocol.NewFrameReader(m.Data)
	must(t, err)
	defer frame.Close()
	var values []string
	for r, ok := frame.Next(); ok; r, ok = frame.Next() {
		values = append(values, string(r.Value))
	}
	must(t, frame.Err())
	return values
}

func expectHeader(t testing.TB, m *nats.Msg, name, want string) {
	t.Helper()
	if got := m.Header.Get(name); got != want {
		t.Errorf("%s is %q, wanted %q", name, got, want)
	}
}

func expectOffsets(t testing.TB, m *nats.Msg, next, end int64) {
	t.Helper()
	expectHeader(t, m, protocol.HeaderNextOffset, fmt.Sprint(next))
	expectHeader(t, m, protocol.HeaderEndOffset, fmt.Sprint(end))
}

// expectGap checks which offsets a status names; last -1 is that it does not know.
func expectGap(t testing.TB, m *nats.Msg, first, last int64) {
	t.Helper()
	expectHeader(t, m, protocol.HeaderGapFrom, fmt.Sprint(first))
	if last < 0 {
		expectHeader(t, m, protocol.HeaderGapTo, "")
		return
	}
	expectHeader(t, m, protocol.HeaderGapTo, fmt.Sprint(last))
	expectHeader(t, m, protocol.HeaderNextOffset, fmt.Sprint(last+1))
}
