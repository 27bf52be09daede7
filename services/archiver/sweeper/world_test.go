package sweeper

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"laneway.dev/internal/archive/archivetest"
	core "laneway.dev/internal/core/generation"
	"laneway.dev/internal/embedded"
	"laneway.dev/internal/generation"
	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/partitionlog"
	"laneway.dev/internal/topics"
	"laneway.dev/internal/transport"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/archiver/core/sweep"
)

// patient bounds every wait for something that must happen.
const patient = 30 * time.Second

// world is a NATS server and a local store, both in folders that can be copied. The test plays the
// owners of the logs.
type world struct {
	*testing.T
	folder string
	server *embedded.Server
	conn   *nats.Conn
	js     jetstream.JetStream
	store  objectstore.Store
	topics *topics.Registry
	logs   map[string]*ownedLog
}

// ownedLog is the log of a topic with one partition.
type ownedLog struct {
	*partitionlog.Log
	partition protocol.Partition
	last      uint64
	history   messages.History
	offset    int64
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, folder: t.TempDir(), logs: make(map[string]*ownedLog)}
	w.start()
	t.Cleanup(w.stop)
	_, err := generation.Open(t.Context(), generation.Cluster{Conn: w.conn, JS: w.js, Store: w.store})
	w.must(err)
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) start() {
	w.Helper()
	var err error
	w.server, err = embedded.Start(embedded.Options{Listen: "127.0.0.1:0", Data: filepath.Join(w.folder, "nats")})
	w.must(err)
	w.conn, err = w.server.Connect(transport.Options("test", zap.NewNop())...)
	w.must(err)
	w.js, err = jetstream.New(w.conn)
	w.must(err)
	w.store, err = objectstore.Open(filepath.Join(w.folder, "store"), 0)
	w.must(err)
	w.topics, err = topics.Open(w.Context(), w.conn, w.js)
	w.must(err)
}

func (w *world) stop() {
	w.conn.Close()
	if err := w.server.Shutdown(); err != nil {
		w.Error(err)
	}
}

// backUp copies a folder so that restore finds it.
func (w *world) backUp(name string) {
	w.Helper()
	w.keep(name, name+".copy")
}

// restore replaces a folder by its copy.
func (w *world) restore(name string) {
	w.Helper()
	w.stop()
	w.must(os.RemoveAll(filepath.Join(w.folder, name)))
	w.must(os.Rename(filepath.Join(w.folder, name+".copy"), filepath.Join(w.folder, name)))
	w.start()
}

func (w *world) create(name string) *ownedLog {
	w.Helper()
	topic, err := w.topics.Create(w.Context(), protocol.TopicConfig{Name: name, Partitions: 1})
	w.must(err)
	l := &ownedLog{partition: topic.Partition(0), last: 1}
	w.logs[name] = l
	return l
}

// append appends an entry to a log, with a batch in an object of its own or with none. The
// watermark is that of the present generation, or lower.
func (w *world) append(l *ownedLog, key string, below uint64) {
	w.Helper()
	l.Log = partitionlog.New(w.conn, w.js, l.partition)
	present, err := generation.Newest(w.Context(), w.conn)
	w.must(err)
	entry := messages.Entry{TopicID: l.partition.TopicID, Epoch: 1, BaseOffset: l.offset, History: l.history, Watermark: min(core.Watermark(present), below)}
	if key != "" {
		batch := messages.Batch{Ticket: messages.Ticket{Lane: "i:1"}, Records: 2}
		builder := objectstore.NewBuilder(key)
		extent, err := builder.Add(objectstore.Batch{Batch: batch, Partition: l.partition, Epoch: 1, Payload: frame()})
		w.must(err)
		w.must(w.store.Put(w.Context(), key, builder.Parts()))
		entry.Batches = []messages.Placeholder{{Batch: batch, Extent: extent}}
	}
	l.last, err = l.Append(w.Context(), l.last, messages.EncodeEntry(entry))
	w.must(err)
	l.offset = entry.NextOffset()
}

func frame() []byte {
	var b protocol.FrameBuilder
	b.Append(protocol.Record{Value: []byte("one")})
	b.Append(protocol.Record{Value: []byte("two")})
	return b.Bytes()
}

// follow appends entries by which the logs have the watermark of the present generation.
func (w *world) follow() {
	w.Helper()
	for _, l := range w.logs {
		w.append(l, "", 1<<60)
	}
}

// produce appends a batch whose object has the present generation, and archives it.
func (w *world) produce(l *ownedLog) (object string) {
	w.Helper()
	present, err := generation.Newest(w.Context(), w.conn)
	w.must(err)
	object, err = objectstore.NewBatchesKey(present, time.Now(), nil)
	w.must(err)
	w.append(l, object, 1<<60)
	l.history, err = archivetest.Archive(w.Context(), l.Log, w.store, l.partition, l.history, l.last, "")
	w.must(err)
	w.append(l, "", 1<<60)
	return object
}

// sweeper returns a sweeper that has the lease. It waits for no log.
func (w *world) sweeper() *Sweeper {
	w.Helper()
	s := New(Config{Conn: w.conn, JS: w.js, Store: w.store, Logger: zap.NewNop(), Interval: patient})
	w.Cleanup(func() { s.lease.release(context.Background()) })
	s.core = sweep.NewCore(sweep.Settings{FullEvery: time.Hour})
	w.must(s.lease.renew(w.Context()))
	if !s.lease.held() {
		w.must(w.js.DeleteKeyValue(w.Context(), bucket))
		w.Fatal("another sweeper has the lease")
	}
	return s
}

// sweep runs a sweep in a process of its own. The logs follow the generation at once.
func (w *world) sweep() sweep.Outcome {
	w.Helper()
	s := w.sweeper()
	defer s.lease.release(context.Background())
	listed := &listing{}
	defer func() { listed.close() }()
	next := s.core.Step(time.Now(), sweep.Start{})
	for {
		if end, ended := next.(sweep.End); ended {
			s.ended(w.Context(), end.Outcome, 0)
			return s.Stats().Last
		}
		result, err := s.do(w.Context(), next, &listed)
		if err != nil {
			result = sweep.Failed{Reason: err.Error()}
		}
		if _, raised := next.(sweep.Raise); raised {
			w.follow()
		}
		next = s.core.Step(time.Now(), result)
	}
}

// objects returns the keys of the objects of some kinds.
func (w *world) objects(kinds ...objectstore.Kind) (keys []string) {
	w.Helper()
	for o, err := range w.store.List(w.Context(), "") {
		w.must(err)
		for _, kind := range kinds {
			if objectstore.KeyKind(o.Key) == kind {
				keys = append(keys, o.Key)
			}
		}
	}
	return keys
}

func (w *world) wantEnd(got sweep.Outcome, alarm sweep.Alarm, reason string) {
	w.Helper()
	if got.Alarm != alarm || !strings.Contains(got.Reason, reason) || got.Deleted > 0 || reason == "" && got.Reason != "" {
		w.Errorf("the outcome is %+v, want the alarm %d and %q", got, alarm, reason)
	}
}
