package tenure

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"laneway.dev/internal/core/member"
	"laneway.dev/internal/embedded/embeddedtest"
	"laneway.dev/internal/membership"
	"laneway.dev/internal/topics"
	"laneway.dev/pkg/protocol"
)

// patience bounds every wait for something that must happen.
const patience = 30 * time.Second

// world is a server, and an instance whose only log has a place.
type world struct {
	*testing.T
	js    jetstream.JetStream
	logs  *Logs[*fake]
	place *Place[*fake]
	ended int
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t}
	conn, js := embeddedtest.Start(t)
	w.js = js
	registry, err := topics.Open(t.Context(), conn, js)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := registry.DecideLogs(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	w.logs = New[*fake](registry, membership.Config{Conn: conn, JS: js, Logger: zap.NewNop(), Role: "sequencer", Instance: "a", TTL: time.Second}, 0)
	w.place = w.logs.Add(0, func(_ int, epoch uint64) (*fake, error) { return &fake{epoch: epoch, ended: &w.ended}, nil })
	return w
}

// run runs the instance until the test ends, or the returned function is called.
func (w *world) run() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.logs.Run(ctx, func(err error) { w.Error(err) })
	}()
	stop = func() { cancel(); <-ended }
	w.Cleanup(stop)
	return stop
}

func (w *world) await(what string, condition func() bool) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), patience)
	defer cancel()
	if err := until(ctx, condition); err != nil {
		w.Fatalf("%s: has not happened", what)
	}
}

// damageRecord makes the record of the role unreadable until restore is called.
func (w *world) damageRecord() (restore func()) {
	w.Helper()
	kv, err := w.js.KeyValue(w.Context(), "LANEWAY_ASSIGNMENTS")
	if err != nil {
		w.Fatal(err)
	}
	entry, err := kv.Get(w.Context(), "sequencer")
	if err != nil {
		w.Fatal(err)
	}
	put := func(value []byte) {
		if _, err := kv.Put(w.Context(), "sequencer", value); err != nil {
			w.Fatal(err)
		}
	}
	put([]byte("damaged"))
	return func() { put(entry.Value()) }
}

// Otherwise nobody would work on it while the record cannot be written.
func TestALogIsKeptUntilTheRecordGivesItAway(t *testing.T) {
	w := newWorld(t)
	w.run()
	w.await("the ownership", func() bool { return w.place.Epoch() != 0 })
	before := w.place.Epoch()
	restore := w.damageRecord()
	if err := w.logs.joined.Load().Ask(t.Context(), member.GiveAway{Log: 0, To: "nobody"}); err != nil {
		t.Fatal(err)
	}
	w.await("the wish to give it away", func() bool { v := w.logs.View(); return len(v.Owned) == 0 })
	w.logs.Look()
	w.await("a look", func() bool { return len(w.logs.changed) == 0 })
	restore() // nobody is to get the log, so it stays
	w.await("the ownership", func() bool { v := w.logs.View(); return len(v.Owned) == 1 })
	if got := w.place.Epoch(); got != before || w.ended != 0 {
		t.Errorf("the epoch is %d after %d, and %d tenures have ended", got, before, w.ended)
	}
}

func TestAnInstanceIsReadyOnceItOwnsWhatNobodyElseCanOwn(t *testing.T) {
	w := newWorld(t)
	if err := w.logs.Check(); err != nil {
		t.Errorf("before it knows which logs there are: %v", err)
	}
	w.logs.numberUnknown(topics.ErrUndecided)
	if err := w.logs.Check(); err != nil {
		t.Errorf("before any frontend has started: %v", err)
	}
	unavailable := protocol.NewError(protocol.CodeUnavailable, "")
	w.logs.numberUnknown(errors.New("no answer"))
	if err := w.logs.Check(); !errors.Is(err, unavailable) {
		t.Errorf("when it cannot read which logs there are: %v", err)
	}
	stop := w.run()
	w.await("readiness", func() bool { return w.logs.Check() == nil })
	if w.place.Epoch() == 0 {
		w.await("the ownership", func() bool { return w.place.Epoch() != 0 })
	}
	stop() // and the next one has to wait until it counts as gone
	next := New[*fake](w.logs.registry, w.logs.config, 0)
	next.config.Instance = "b"
	w.logs = next
	w.run()
	w.await("the look", func() bool { v := next.View(); return v.Record.Version > 0 })
	if v := next.View(); len(v.Owned) == 0 {
		if err := next.Check(); !errors.Is(err, unavailable) {
			t.Errorf("while it owns nothing: %v", err)
		}
	}
	w.await("readiness", func() bool { return next.Check() == nil })
}

func TestAnInstanceThatHasGivenALogUpGetsItAgain(t *testing.T) {
	w := newWorld(t)
	w.run()
	w.await("the ownership", func() bool { return w.place.Epoch() != 0 })
	m, before := w.logs.joined.Load(), w.place.Epoch()
	if err := m.Ask(t.Context(), member.GiveUp{Log: 0, Epoch: before}); err != nil {
		t.Fatal(err)
	}
	w.await("another epoch", func() bool { return w.place.Epoch() > before })
}
