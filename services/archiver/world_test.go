package archiver

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"laneway.dev/internal/embedded"
	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/partitionlog"
	"laneway.dev/internal/telemetry"
	"laneway.dev/internal/transport"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// patient bounds every wait for something that must happen.
const patient = 20 * time.Second

var partition = protocol.Partition{Topic: "orders", TopicID: 7, Number: 3}

// world is a NATS server with the log of one partition, a store, and a peer that plays the
// replicator.
type world struct {
	*testing.T
	server    *embedded.Server
	store     *faulty
	telemetry *telemetry.Telemetry
	js        jetstream.JetStream
	log       *partitionlog.Log
	entries   []messages.LoggedEntry // of the log
	frames    [][][]byte             // of each batch of each entry
	offset    int64

	peer    *transport.Connection
	answers chan messages.Message // Archived and ArchiveFailed
	reports chan messages.Archiving
}

func newWorld(t *testing.T) *world {
	t.Helper()
	for _, name := range []string{"OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER"} {
		t.Setenv(name, "none")
	}
	w := &world{T: t, answers: make(chan messages.Message, 1000), reports: make(chan messages.Archiving, 1000)}
	var err error
	w.server, err = embedded.Start(embedded.Options{Listen: "127.0.0.1:0", Data: t.TempDir()})
	w.must(err)
	t.Cleanup(func() { w.must(w.server.Shutdown()) })
	local, err := objectstore.Open(t.TempDir(), 0)
	w.must(err)
	w.store = &faulty{Store: local}
	w.telemetry, err = telemetry.Setup(t.Context(), role, "")
	w.must(err)
	t.Cleanup(func() { _ = w.telemetry.Shutdown(context.Background()) })
	conn := w.connect()
	w.js, err = jetstream.New(conn)
	w.must(err)
	w.log = partitionlog.New(conn, w.js, partition)
	w.must(w.log.Create(t.Context(), 1, 0))
	first, _, err := w.log.Read(t.Context(), 1, 1)
	w.must(err)
	w.entries, w.frames = first, [][][]byte{nil}
	w.peer = transport.NewConnection(conn, zap.NewNop())
	_, err = w.peer.Subscribe(messages.ReplicatorSubject(partition), "", w.receive)
	w.must(err)
	w.must(w.peer.Flush(patient))
	return w
}

func (w *world) logger() *zap.Logger { return zap.NewNop() }

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) receive(m messages.Message) {
	if report, is := m.(messages.Archiving); is {
		w.reports <- report
		return
	}
	w.answers <- m
}

func (w *world) connect() *nats.Conn {
	w.Helper()
	conn, err := w.server.Connect(transport.Options("test", zap.NewNop())...)
	w.must(err)
	w.Cleanup(conn.Close)
	return conn
}

// start starts an archiver on the world's store. It is stopped with the test.
func (w *world) start(change func(*Config)) *Service {
	w.Helper()
	config := Config{Store: w.store}
	config.Conn, config.Logger, config.Telemetry = w.connect(), w.logger(), w.telemetry
	if change != nil {
		change(&config)
	}
	s, err := Start(w.Context(), config)
	w.must(err)
	w.Cleanup(func() { w.stop(s) })
	return s
}

func (w *world) stop(s *Service) {
	w.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patient)
	defer cancel()
	if err := s.Stop(ctx); err != nil {
		w.Errorf("stop: %v", err)
	}
}

// append appends an entry after a gap, without batches or with those of one object.
func (w *world) append(gap int64, frames ...[]byte) {
	w.Helper()
	w.appendEntry(gap, w.stage(frames...), frames)
}

func (w *world) appendEntry(gap int64, batches []messages.Placeholder, frames [][]byte) {
	w.Helper()
	w.offset += gap
	entry := messages.Entry{
		TopicID: partition.TopicID, Epoch: 5, BaseOffset: w.offset, Gap: gap, Time: time.Now().UnixNano(), Batches: batches,
	}
	sequence, err := w.log.Append(w.Context(), w.last(), messages.EncodeEntry(entry))
	w.must(err)
	w.entries = append(w.entries, messages.LoggedEntry{Sequence: sequence, Entry: entry})
	w.frames = append(w.frames, frames)
	w.offset = entry.NextOffset()
}

// last returns the sequence of the last entry.
func (w *world) last() uint64 { return w.entries[len(w.entries)-1].Sequence }

// stage puts frames into one object, each as a batch of 2 records.
func (w *world) stage(frames ...[]byte) (batches []messages.Placeholder) {
	w.Helper()
	if len(frames) == 0 {
		return nil
	}
	key, err := objectstore.NewKey(time.Now(), nil)
	w.must(err)
	builder := objectstore.NewBuilder(key)
	for i, frame := range frames {
		batch := messages.Batch{
			Ticket: messages.Ticket{Lane: "i:1", Number: uint64(i)}, Records: 2, MessageID: fmt.Sprintf("id %d.%d", len(w.entries), i),
		}
		extent, err := builder.Add(objectstore.Batch{Batch: batch, Partition: partition, Epoch: 5, Payload: frame})
		w.must(err)
		batches = append(batches, messages.Placeholder{Batch: batch, Extent: extent})
	}
	w.must(w.store.Put(w.Context(), key, builder.Parts()))
	return batches
}

// stageBlock puts frames into one compressed block.
func (w *world) stageBlock(frames ...[]byte) (batches []messages.Placeholder) {
	w.Helper()
	key, err := objectstore.NewKey(time.Now(), nil)
	w.must(err)
	var all []objectstore.Batch
	for i, frame := range frames {
		batch := messages.Batch{Ticket: messages.Ticket{Lane: "i:1", Number: uint64(i)}, Records: 2}
		all = append(all, objectstore.Batch{Batch: batch, Partition: partition, Epoch: 5, Payload: frame})
	}
	block := objectstore.Pack(protocol.CompressionZstd, all)
	if block == nil {
		w.Fatal("the frames do not compress")
	}
	builder := objectstore.NewBuilder(key)
	for i, extent := range builder.AddBlock(block) {
		batches = append(batches, messages.Placeholder{Batch: all[i].Batch, Extent: extent})
	}
	w.must(w.store.Put(w.Context(), key, builder.Parts()))
	return batches
}

// job is one for the entries after base, up to the last entry.
func (w *world) job(base messages.History) messages.Archive {
	return messages.Archive{Partition: partition, Base: base, To: messages.Position{Sequence: w.last(), Offset: w.offset}}
}

func (w *world) send(m messages.Message) {
	w.Helper()
	w.peer.Send([]messages.Envelope{{Subject: messages.ArchiveSubject, Message: m}})
	w.must(w.peer.Flush(patient))
}

// answer returns the next answer, which must be of this type.
func answer[M messages.Message](w *world) M {
	w.Helper()
	select {
	case m := <-w.answers:
		typed, ok := m.(M)
		if !ok {
			w.Fatalf("got %#v, want a %T", m, typed)
		}
		return typed
	case <-time.After(patient):
		w.Fatal("no answer has come")
	}
	panic("not reached")
}

// faulty is a store with faults. It is safe for concurrent use.
type faulty struct {
	objectstore.Store

	mu     sync.Mutex
	puts   int
	put    func(ctx context.Context, n int, key string) error // before the n-th put; nil changes none
	read   func(ctx context.Context, key string) error        // before each read; nil changes none
	remove func(ctx context.Context, key string) error        // before each deletion; nil changes none
	// alter changes the content of a read; nil changes none.
	alter func(key string, offset int64, content []byte)
}

func (s *faulty) faults(change func(*faulty)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.puts = 0
	change(s)
}

func (s *faulty) Put(ctx context.Context, key string, parts [][]byte) error {
	s.mu.Lock()
	s.puts++
	n, put := s.puts, s.put
	s.mu.Unlock()
	if put != nil {
		if err := put(ctx, n, key); err != nil {
			return err
		}
	}
	return s.Store.Put(ctx, key, parts)
}

func (s *faulty) ReadRange(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	s.mu.Lock()
	read, alter := s.read, s.alter
	s.mu.Unlock()
	if read != nil {
		if err := read(ctx, key); err != nil {
			return nil, err
		}
	}
	content, err := s.Store.ReadRange(ctx, key, offset, length)
	if err == nil && alter != nil {
		alter(key, offset, content)
	}
	return content, err
}

func (s *faulty) Delete(ctx context.Context, key string) error {
	s.mu.Lock()
	remove := s.remove
	s.mu.Unlock()
	if remove != nil {
		if err := remove(ctx, key); err != nil {
			return err
		}
	}
	return s.Store.Delete(ctx, key)
}

// objectKey returns a new key of a kind.
func objectKey(w *world, newKey newKey) string {
	w.Helper()
	key, err := newKey(1, time.Now(), nil)
	w.must(err)
	return key
}
