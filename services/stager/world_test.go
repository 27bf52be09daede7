package stager

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"laneway.dev/internal/embedded"
	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/telemetry"
	"laneway.dev/internal/transport"
	"laneway.dev/pkg/messages"
)

// patience bounds every wait for something that must happen.
const patience = 10 * time.Second

// world is a NATS server, a durable store, and a peer that plays frontend and
// sequencer.
type world struct {
	t         *testing.T
	server    *embedded.Server
	store     objectstore.Store
	telemetry *telemetry.Telemetry
	peer      *transport.Connection
	answers   chan messages.Message // Staged and Refused
	reports   chan messages.Holding
}

func newWorld(t *testing.T) *world {
	t.Helper()
	for _, name := range []string{"OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER"} {
		t.Setenv(name, "none")
	}
	w := &world{t: t, answers: make(chan messages.Message, 10_000), reports: make(chan messages.Holding, 10_000)}
	var err error
	if w.server, err = embedded.Start(embedded.Options{Listen: "127.0.0.1:0", Data: t.TempDir()}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.server.Shutdown(); err != nil {
			t.Error(err)
		}
	})
	if w.store, err = objectstore.Open(t.TempDir(), 0); err != nil {
		t.Fatal(err)
	}
	if w.telemetry, err = telemetry.Setup(t.Context(), role, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.telemetry.Shutdown(context.Background()) })
	w.peer = transport.NewConnection(w.connect(), zap.NewNop())
	for _, subject := range []string{messages.SequencerWildcard, "_laneway.frontend.>"} {
		if _, err := w.peer.Subscribe(subject, "", w.receive); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.peer.Flush(patience); err != nil {
		t.Fatal(err)
	}
	return w
}

// receive separates reports from answers, because a slow machine makes every upload slow.
func (w *world) receive(m messages.Message) {
	if report, is := m.(messages.Holding); is {
		w.reports <- report
		return
	}
	w.answers <- m
}

func (w *world) connect() *nats.Conn {
	w.t.Helper()
	conn, err := w.server.Connect(transport.Options("test", zap.NewNop())...)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(conn.Close)
	return conn
}

// start starts a stager on the world's store unless the config has one. It is
// stopped with the test.
func (w *world) start(config Config) *Service {
	w.t.Helper()
	config.Conn, config.Logger, config.Telemetry = w.connect(), zap.NewNop(), w.telemetry
	if config.Store == nil {
		config.Store = w.store
	}
	s, err := Start(w.t.Context(), config)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		select {
		case <-s.ended: // the test has stopped it
		default:
			w.stop(s)
		}
	})
	return s
}

func (w *world) stop(s *Service) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.Stop(ctx); err != nil {
		w.t.Errorf("stop: %v", err)
	}
}

// loseNATS ends the server and returns when the stager has noticed.
func (w *world) loseNATS(s *Service) {
	w.t.Helper()
	lost := s.config.Conn.StatusChanged(nats.RECONNECTING, nats.CLOSED)
	if err := w.server.Shutdown(); err != nil {
		w.t.Fatal(err)
	}
	select {
	case <-lost:
	case <-time.After(patience):
		w.t.Fatal("the stager has not noticed that NATS is gone")
	}
}

func (w *world) send(m messages.Message) {
	w.t.Helper()
	w.peer.Send([]messages.Envelope{{Subject: messages.StageSubject, Message: m}})
	if err := w.peer.Flush(patience); err != nil {
		w.t.Fatal(err)
	}
}

// answer returns the next message to the peer, which must be of this type.
func answer[M messages.Message](w *world) M {
	w.t.Helper()
	select {
	case m := <-w.answers:
		typed, ok := m.(M)
		if !ok {
			w.t.Fatalf("got %#v, want a %T", m, typed)
		}
		return typed
	case <-time.After(patience):
		w.t.Fatal("no answer has come")
	}
	panic("not reached")
}

// staged returns the next count results, which may come in several messages.
func (w *world) staged(count int) []messages.StagedBatch {
	w.t.Helper()
	var all []messages.StagedBatch
	for len(all) < count {
		all = append(all, answer[messages.Staged](w).Batches...)
	}
	if len(all) != count {
		w.t.Fatalf("%d batches are staged, want %d", len(all), count)
	}
	return all
}

// wantPayload reads what a result refers to and compares it.
func (w *world) wantPayload(staged messages.StagedBatch, want messages.StageBatch) {
	w.t.Helper()
	if staged.Lane != want.Lane || staged.Number != want.Number {
		w.t.Fatalf("the result is of %s:%d, want %s:%d", staged.Lane, staged.Number, want.Lane, want.Number)
	}
	x := staged.Extent
	got, err := w.store.ReadRange(w.t.Context(), x.Key, x.Offset, x.Length)
	if err == nil {
		err = objectstore.Verify(x, got)
	}
	if err != nil {
		w.t.Fatalf("%s:%d: %v", staged.Lane, staged.Number, err)
	}
	if string(got) != string(want.Payload) {
		w.t.Errorf("the extent of %s:%d holds another payload", staged.Lane, staged.Number)
	}
}

func wait(t *testing.T, what string, signal <-chan struct{}) {
	t.Helper()
	select {
	case <-signal:
	case <-time.After(patience):
		t.Fatalf("%s: has not happened", what)
	}
}

// gate is a store whose puts wait until the test lets them through, each by its
// place in the order in which they came.
type gate struct {
	objectstore.Store
	came chan chan error // for each put, where the test answers it
}

func newGate(store objectstore.Store) *gate {
	return &gate{Store: store, came: make(chan chan error, 100)}
}

func (g *gate) Put(ctx context.Context, key string, parts [][]byte) error {
	answer := make(chan error)
	g.came <- answer
	select {
	case err := <-answer:
		if err != nil {
			return err
		}
		return g.Store.Put(ctx, key, parts)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// next returns where to answer the next put.
func (g *gate) next(t *testing.T) chan<- error {
	t.Helper()
	select {
	case answer := <-g.came:
		return answer
	case <-time.After(patience):
		t.Fatal("no put has come")
	}
	return nil
}
