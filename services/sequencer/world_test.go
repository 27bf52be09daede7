package sequencer

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"laneway.dev/internal/core/member"
	"laneway.dev/internal/embedded"
	"laneway.dev/internal/membership"
	"laneway.dev/internal/service"
	"laneway.dev/internal/telemetry"
	"laneway.dev/internal/topics"
	"laneway.dev/internal/transport"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// patience bounds every wait for something that must happen.
const patience = 10 * time.Second

// frontend is the epoch of the frontend that the peer plays.
const frontend = 10

// world is a NATS server with a topic with partitions in all logs, and a peer that plays all other
// services.
type world struct {
	t         *testing.T
	server    *embedded.Server
	js        jetstream.JetStream
	registry  *topics.Registry
	topic     protocol.Topic
	telemetry *telemetry.Telemetry
	peer      *transport.Connection
	sent      chan messages.Message // by sequencers
	log       *observer.ObservedLogs
	logger    *zap.Logger // of sequencers
	started   int
}

func newWorld(t *testing.T) *world {
	t.Helper()
	for _, name := range []string{"OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER"} {
		t.Setenv(name, "none")
	}
	w := &world{t: t, sent: make(chan messages.Message, 1000)}
	var warnings zapcore.Core
	warnings, w.log = observer.New(zap.WarnLevel)
	w.logger = zap.New(warnings)
	var err error
	w.server, err = embedded.Start(embedded.Options{Listen: "127.0.0.1:0", Data: t.TempDir()})
	w.must(err)
	t.Cleanup(func() { w.must(w.server.Shutdown()) })
	w.telemetry, err = telemetry.Setup(t.Context(), role, "")
	w.must(err)
	t.Cleanup(func() { _ = w.telemetry.Shutdown(context.Background()) })
	conn := w.connect()
	w.js, err = jetstream.New(conn)
	w.must(err)
	w.registry, err = topics.Open(t.Context(), conn, w.js)
	w.must(err)
	w.topic, err = w.registry.Create(t.Context(), protocol.TopicConfig{Name: "orders", Partitions: 16})
	w.must(err)
	w.peer = transport.NewConnection(conn, zap.NewNop())
	for _, subject := range []string{"_laneway.replicator.>", "_laneway.frontend.>"} {
		_, err := w.peer.Subscribe(subject, "", func(m messages.Message) { w.sent <- m })
		w.must(err)
	}
	w.must(w.peer.Flush(patience))
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) connect() *nats.Conn {
	w.t.Helper()
	conn, err := w.server.Connect(transport.Options("test", zap.NewNop())...)
	w.must(err)
	w.t.Cleanup(conn.Close)
	return conn
}

// config returns the configuration of one more instance.
func (w *world) config(conn *nats.Conn) Config {
	w.started++
	return Config{
		Config: service.Config{Conn: conn, Logger: w.logger, Telemetry: w.telemetry},
		// A TTL of JetStream is at least a second.
		Membership: membership.Config{Instance: fmt.Sprint("s", w.started), TTL: time.Second},
	}
}

// join starts a sequencer, which is stopped with the test.
func (w *world) join() *Service {
	w.t.Helper()
	s, err := Start(w.t.Context(), w.config(w.connect()))
	w.must(err)
	w.t.Cleanup(func() { w.must(s.Stop(context.Background())) })
	return s
}

// start starts the first sequencer, and returns when it serves all logs.
func (w *world) start() *Service {
	w.t.Helper()
	s := w.join()
	w.await("the ownership of all logs", func() bool { return w.owns(s, w.topic.Logs) })
	return s
}

// damageRecord makes the record of the role unreadable until restore is called.
func (w *world) damageRecord() (restore func()) {
	w.t.Helper()
	kv, err := w.js.KeyValue(w.t.Context(), "LANEWAY_ASSIGNMENTS")
	w.must(err)
	entry, err := kv.Get(w.t.Context(), role)
	w.must(err)
	_, err = kv.PutString(w.t.Context(), role, "damaged")
	w.must(err)
	return func() {
		_, err := kv.Put(w.t.Context(), role, entry.Value())
		w.must(err)
	}
}

// owns reports whether a sequencer owns so many logs, and serves those among them that have partitions.
func (w *world) owns(s *Service, logs int) bool {
	v := s.tenures.View()
	owned := v.Owned
	for n := range w.topic.Partitions {
		has := slices.ContainsFunc(owned, func(o member.Owned) bool { return o.Log == int(w.topic.Partition(n).Log) })
		if has != (w.epoch(s, n) != 0) {
			return false
		}
	}
	return len(owned) == logs
}

// epoch returns the epoch in which a sequencer serves a partition; 0 if it does not.
func (w *world) epoch(s *Service, partition int) uint64 {
	return s.log(w.topic.Partition(partition).Log).place.Epoch()
}

func (w *world) send(m messages.Message) {
	w.t.Helper()
	w.peer.Send([]messages.Envelope{{Subject: messages.SequencerSubject(m.Of()), Message: m}})
	w.must(w.peer.Flush(patience))
}

// stage sends the result of an upload to a partition.
func (w *world) stage(partition int, number uint64) {
	w.t.Helper()
	w.send(messages.Staged{Partition: w.topic.Partition(partition), Epoch: frontend, Batches: []messages.StagedBatch{{
		Submission: messages.Submission{Batch: messages.Batch{Ticket: messages.Ticket{Lane: "a", Number: number}, Floor: number, Records: 1}},
	}}})
}

// next returns the next message of a sequencer, which must be of this type.
func next[M messages.Message](w *world) M {
	w.t.Helper()
	select {
	case m := <-w.sent:
		typed, ok := m.(M)
		if !ok {
			w.t.Fatalf("got %#v, want a %T", m, typed)
		}
		return typed
	case <-time.After(patience):
		w.t.Fatal("no message has come")
	}
	panic("not reached")
}

// released stages a batch and returns the sequencer epoch of its release.
func (w *world) released(partition int, number uint64) (sequencerEpoch uint64) {
	w.t.Helper()
	w.stage(partition, number)
	r := next[messages.Release](w)
	if r.Partition != w.topic.Partition(partition) || len(r.Batches) != 1 || r.Batches[0].Number != number {
		w.t.Fatalf("got %+v, want the release of ticket %d", r, number)
	}
	return r.SequencerEpoch
}

// fence says to a partition that another sequencer has an epoch.
func (w *world) fence(partition int, epoch uint64) {
	w.t.Helper()
	w.send(messages.Fenced{Partition: w.topic.Partition(partition), Epoch: epoch})
}

// await returns when the condition, which no event tells, is true.
func (w *world) await(what string, condition func() bool) {
	w.t.Helper()
	pace := time.NewTicker(5 * time.Millisecond)
	defer pace.Stop()
	for deadline := time.Now().Add(patience); !condition(); <-pace.C {
		if time.Now().After(deadline) {
			w.t.Fatalf("%s: has not happened", what)
		}
	}
}
