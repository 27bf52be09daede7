package produce

import (
	"context"
	"encoding/json"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"laneway.dev/internal/embedded/embeddedtest"
	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/service"
	"laneway.dev/internal/supervisor"
	"laneway.dev/internal/telemetry"
	"laneway.dev/internal/transport"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/frontend/core"
	"laneway.dev/services/frontend/core/rolewatch"
	"laneway.dev/services/frontend/fetch"
)

// patience bounds every wait of a test. It is never reached unless the test fails.
const patience = 15 * time.Second

// rig is the actor of one partition over a real NATS server. The test plays the other
// services: it confirms announcements, receives what is to be staged, and commits.
type rig struct {
	t       *testing.T
	conn    *nats.Conn
	js      jetstream.JetStream
	wire    *transport.Connection
	id      protocol.Partition
	ending  *service.Ending
	service *Service
	actor   *Partition
	stages  chan messages.Stage
	answers chan *nats.Msg // of all requests
	replies string         // where they come
	roles   atomic.Pointer[rolewatch.Status]
	live    atomic.Pointer[core.Stagers]

	mu       sync.Mutex
	failures []protocol.Code // that were reported
	stop     sync.Once
}

// newRig returns a rig whose actor does not run.
func newRig(t *testing.T, limits Limits) *rig {
	t.Helper()
	conn, js := embeddedtest.Start(t)
	r := &rig{
		t: t, conn: conn, js: js, wire: transport.NewConnection(conn, zap.NewNop()), id: testTopic.Partition(0), ending: service.NewEnding("frontend"),
		stages: make(chan messages.Stage, 100), answers: make(chan *nats.Msg, 100), replies: nats.NewInbox() + ".",
	}
	r.roles.Store(&rolewatch.Status{})
	r.live.Store(&core.Stagers{})
	store, err := objectstore.Open(t.TempDir(), 0)
	if err != nil {
		t.Fatal(err)
	}
	signals, err := telemetry.Setup(t.Context(), "frontend", "test")
	if err != nil {
		t.Fatal(err)
	}
	log := zaptest.NewLogger(t, zaptest.Level(zap.ErrorLevel))
	fetches := fetch.New(fetch.Config{Conn: conn, JS: js, Store: store, Logger: zap.NewNop()})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		for _, err := range []error{fetches.Stop(ctx), signals.Shutdown(ctx), store.Close()} {
			if err != nil {
				t.Error(err)
			}
		}
	})
	epoch := NewEpoch(EpochConfig{JS: js, Logger: log, Subscribe: r.subscribe, Ending: r.ending})
	r.service = New(Config{
		Conn: conn, Wire: r.wire, Requests: r.wire, Logger: log, Telemetry: signals,
		Times:  core.Times{Heartbeat: 20 * time.Millisecond, StageTimeout: time.Minute, Deadline: time.Minute},
		Limits: limits, Inline: func() int64 { return 0 }, Fetches: fetches, Epoch: epoch, Ending: r.ending, Roles: r.roles.Load, Stagers: r.live.Load, Failed: r.failed,
	})
	r.actor = r.service.Partition(testTopic, r.id)
	r.must(r.listen(messages.SequencerSubject(r.id), r.announced))
	r.must(r.listen(messages.StageSubject, func(m messages.Message) { r.stages <- m.(messages.Stage) }))
	r.must(r.subscribe(t.Context(), messages.CommittedSubject(r.id)))
	_, err = conn.ChanSubscribe(r.replies+"*", r.answers)
	r.must(err)
	return r
}

// start runs the actor and claims an epoch. It returns when requests are admitted.
func start(t *testing.T, limits Limits) *rig {
	t.Helper()
	r := newRig(t, limits)
	r.run()
	r.claim()
	receive(t, r.actor.Ready())
	return r
}

// run runs the actor until the end of the test, or until end.
func (r *rig) run() {
	r.actor.Start()
	r.t.Cleanup(func() {
		r.end(supervisor.ErrStopped)
		r.service.Close()
	})
}

func (r *rig) claim() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.service.config.Epoch.Claim(ctx) }()
	r.t.Cleanup(func() {
		cancel()
		r.t.Logf("the claim ended: %v", <-done)
	})
	r.must(r.service.config.Epoch.Await(r.t.Context(), done))
}

// end ends the actor for a cause, unless it has ended.
func (r *rig) end(cause error) {
	r.t.Helper()
	r.stop.Do(func() { r.actor.End(cause) })
	receive(r.t, r.actor.ended)
}

func (r *rig) listen(subject string, handle func(messages.Message)) error {
	_, err := r.wire.Subscribe(subject, "", handle)
	return err
}

// subscribe hands the messages to a subject to the actor.
func (r *rig) subscribe(_ context.Context, subject string) error {
	return r.listen(subject, func(m messages.Message) { r.actor.Receive(context.Background(), m) })
}

// announced confirms an epoch, as a sequencer does.
func (r *rig) announced(m messages.Message) {
	if a, is := m.(messages.Announce); is {
		r.send(messages.FrontendSubject(r.id, a.Epoch), messages.Announced{Partition: r.id, Epoch: a.Epoch})
	}
}

func (r *rig) send(subject string, m messages.Message) {
	r.wire.Send([]messages.Envelope{{Subject: subject, Message: m}})
}

func (r *rig) failed(code protocol.Code) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures = append(r.failures, code)
}

// produce sends a request, whose answer has its name.
func (r *rig) produce(name string) {
	r.t.Helper()
	r.must(r.conn.PublishMsg(&nats.Msg{
		Subject: r.id.ProduceSubject(), Reply: r.replies + name, Data: []byte(name),
		Header: nats.Header{protocol.HeaderProducer: {"producer"}},
	}))
}

// staged returns the next batch that is to be staged, and the epoch of its ticket.
func (r *rig) staged() (uint64, messages.StageBatch) {
	r.t.Helper()
	s := receive(r.t, r.stages)
	if len(s.Batches) != 1 {
		r.t.Fatalf("%d batches are to be staged, want 1", len(s.Batches))
	}
	return s.Epoch, s.Batches[0]
}

// commit commits a batch at an offset.
func (r *rig) commit(epoch uint64, b messages.StageBatch, offset int64) {
	entry := messages.Entry{TopicID: r.id.TopicID, Epoch: epoch, BaseOffset: offset}
	p := messages.Placeholder{Batch: messages.Batch{Records: b.Records}, Extent: messages.Extent{Key: "object", Length: int64(len(b.Payload)), CRC: 1}}
	p.Lane, p.Number = b.Lane, b.Number
	entry.Batches = append(entry.Batches, p)
	r.send(messages.CommittedSubject(r.id), messages.Committed{Partition: r.id, Sequence: 2, Entry: messages.EncodeEntry(entry)})
}

// answer is what a producer gets.
type answer struct {
	Name   string `json:"-"`
	Error  *protocol.Error
	Offset int64 `json:"offset"`
	Ticket uint64
}

// answered returns the next answer.
func (r *rig) answered() answer {
	r.t.Helper()
	m := receive(r.t, r.answers)
	a := answer{Name: m.Subject[len(r.replies):]}
	if err := json.Unmarshal(m.Data, &a); err != nil {
		r.t.Fatalf("answer %s: %v", m.Data, err)
	}
	return a
}

// wantError checks the next answer.
func (r *rig) wantError(name string, code protocol.Code) {
	r.t.Helper()
	if a := r.answered(); a.Name != name || a.Error == nil || a.Error.Code != code {
		r.t.Fatalf("answer %+v, want %s for %s", a, code.Kind().Name, name)
	}
}

func (r *rig) wantOffset(name string, offset int64) {
	r.t.Helper()
	if a := r.answered(); a.Name != name || a.Error != nil || a.Offset != offset {
		r.t.Fatalf("answer %+v, want offset %d for %s", a, offset, name)
	}
}

// wantSilence checks that no answer has been sent.
func (r *rig) wantSilence() {
	r.t.Helper()
	r.must(r.conn.Flush())
	if len(r.answers) > 0 {
		r.t.Fatalf("answer %+v, want none", r.answered())
	}
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// receive returns what comes from a channel, or the zero value when it is closed.
func receive[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}
