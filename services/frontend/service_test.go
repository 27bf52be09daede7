package frontend

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"laneway.dev/internal/embedded/embeddedtest"
	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/ownership"
	"laneway.dev/internal/service"
	"laneway.dev/internal/telemetry"
	"laneway.dev/internal/topics"
	"laneway.dev/internal/transport"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/frontend/core"
)

// patience bounds every wait of a test. It is never reached unless the test fails.
const patience = 15 * time.Second

// rig is a frontend over a real NATS server. The test plays the other services, which
// commit everything at once.
type rig struct {
	t       *testing.T
	conn    *nats.Conn
	js      jetstream.JetStream
	wire    *transport.Connection
	service *Service
	offset  atomic.Int64
	hold    atomic.Bool // nothing is committed
	archive atomic.Bool // the replicator archives
	inline  atomic.Bool // the last batch may be inline
	stop    func(context.Context) error
}

func start(t *testing.T) *rig {
	t.Helper()
	return startWith(t, core.Times{Heartbeat: 20 * time.Millisecond, StageTimeout: time.Minute, Deadline: time.Minute})
}

func startWith(t *testing.T, times core.Times) *rig {
	t.Helper()
	conn, js := embeddedtest.Start(t)
	r := &rig{t: t, conn: conn, js: js, wire: transport.NewConnection(conn, zap.NewNop())}
	store, err := objectstore.Open(t.TempDir(), 0)
	r.must(err)
	signals, err := telemetry.Setup(t.Context(), "frontend", "test")
	r.must(err)
	for subject, handle := range map[string]func(messages.Message){
		"_laneway.sequencer.*": r.sequence, messages.StageSubject: r.stage,
		messages.SequencerProbe: func(messages.Message) {},
	} {
		_, err := r.wire.Subscribe(subject, "", handle) // which answers probes
		r.must(err)
	}
	_, err = conn.Subscribe(messages.ReplicatorProbe, r.answerAsReplicator)
	r.must(err)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r.service, err = Start(ctx, Config{
		Config: service.Config{Conn: conn, Logger: zap.NewNop(), Telemetry: signals}, Store: store,
		Times: times, InlineBytes: 100,
	})
	r.must(err)
	r.stop = func(ctx context.Context) error {
		r.stop = func(context.Context) error { return nil }
		return r.service.Stop(ctx)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		for _, err := range []error{r.stop(ctx), signals.Shutdown(ctx), store.Close()} {
			if err != nil {
				t.Error(err)
			}
		}
	})
	return r
}

func (r *rig) answerAsReplicator(m *nats.Msg) {
	var data []byte
	if r.archive.Load() {
		data = []byte(messages.ProbeArchives)
	}
	if err := m.Respond(data); err != nil {
		r.t.Error(err)
	}
}

// sequence confirms epochs, and misses every batch that is not resolved.
func (r *rig) sequence(m messages.Message) {
	switch m := m.(type) {
	case messages.Announce:
		r.send(messages.FrontendSubject(m.Partition, m.Epoch), messages.Announced(m))
	case messages.Advance:
		missing := messages.Missing{Partition: m.Partition, Epoch: m.Epoch}
		for _, l := range m.Lanes {
			if l.Floor <= l.Highest {
				missing.Lanes = append(missing.Lanes, messages.LaneNumbers{Lane: l.Lane, Numbers: []uint64{l.Floor}})
			}
		}
		r.send(messages.FrontendSubject(m.Partition, m.Epoch), missing)
	}
}

// stage commits what is to be staged.
func (r *rig) stage(m messages.Message) {
	s := m.(messages.Stage)
	if r.hold.Load() {
		return
	}
	for i := range s.Batches {
		b := &s.Batches[i]
		r.inline.Store(b.Inline)
		entry := messages.Entry{TopicID: s.Partition.TopicID, Epoch: s.Epoch, BaseOffset: r.offset.Add(int64(b.Records)) - int64(b.Records)}
		p := messages.Placeholder{Batch: messages.Batch{Records: b.Records}}
		p.Lane, p.Number = b.Lane, b.Number
		entry.Batches = append(entry.Batches, p)
		r.send(messages.CommittedSubject(s.Partition), messages.Committed{Partition: s.Partition, Sequence: 2, Entry: messages.EncodeEntry(entry)})
	}
}

func (r *rig) send(subject string, m messages.Message) {
	r.wire.Send([]messages.Envelope{{Subject: subject, Message: m}})
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// request sends a request and decodes its answer, which must be no error.
func (r *rig) request(subject string, body string, into any) {
	r.t.Helper()
	answer, err := r.conn.Request(subject, []byte(body), patience)
	r.must(err)
	var response protocol.ErrorResponse
	r.must(json.Unmarshal(answer.Data, &response))
	if response.Error != nil {
		r.t.Fatalf("%s: %v", subject, response.Error)
	}
	if into != nil {
		r.must(json.Unmarshal(answer.Data, into))
	}
}

// eventually returns when a condition holds, of which no event tells.
func (r *rig) eventually(what string, holds func() bool) {
	r.t.Helper()
	pace := time.NewTicker(10 * time.Millisecond)
	defer pace.Stop()
	for deadline := time.Now().Add(patience); !holds(); <-pace.C {
		if time.Now().After(deadline) {
			r.t.Fatalf("%s: not within %s", what, patience)
		}
	}
}

func (r *rig) check() error { return r.service.Check(context.Background()) }

func TestDeadlineBeyondWhatReplicatorsRememberIsRefused(t *testing.T) {
	_, err := Start(t.Context(), Config{Times: core.Times{Deadline: messages.MaxDeadline + time.Second}})
	if err == nil || !strings.Contains(err.Error(), "1m0s") {
		t.Fatalf("error %v, want one that names the longest deadline", err)
	}
}

func TestFailedStartLeavesNothing(t *testing.T) {
	conn, js := embeddedtest.Start(t)
	r := &rig{t: t, conn: conn, js: js}
	registry, err := topics.Open(t.Context(), conn, js)
	r.must(err)
	_, err = registry.Create(t.Context(), protocol.TopicConfig{Name: "orders"})
	r.must(err)
	_, err = ownership.Hold(t.Context(), js, role) // makes the bucket
	r.must(err)
	epochs, err := js.KeyValue(t.Context(), "LANEWAY_EPOCHS")
	r.must(err)
	_, err = epochs.PutString(t.Context(), role, "damaged")
	r.must(err)
	signals, err := telemetry.Setup(t.Context(), role, "test")
	r.must(err)
	t.Cleanup(func() { r.must(signals.Shutdown(context.Background())) })
	before := conn.NumSubscriptions()
	_, err = Start(t.Context(), Config{Config: service.Config{Conn: conn, Logger: zap.NewNop(), Telemetry: signals}})
	if !errors.Is(err, protocol.NewError(protocol.CodeCorrupt, "")) || !strings.HasPrefix(err.Error(), "start frontend: ") {
		t.Errorf("error %v, want the damaged epoch", err)
	}
	if got := conn.NumSubscriptions(); got != before {
		t.Errorf("%d subscriptions, %d before the start", got, before)
	}
}

func TestFrontendServesItsFourSubjects(t *testing.T) {
	r := start(t)
	r.eventually("ready", func() bool { return r.check() == nil })
	r.request(protocol.TopicAPI+"create", `{"name":"orders","subjects":["shop.>"]}`, nil)
	for n, subject := range []string{"laneway.produce.orders.0", "shop.eu"} {
		var ack protocol.ProduceAck
		r.request(subject, "apple", &ack)
		if ack.Offset != int64(n) || ack.Epoch != r.service.epoch.Number() {
			t.Errorf("%s: %+v", subject, ack)
		}
	}
	var init protocol.ProducerInitResponse
	if r.request(protocol.ProducerAPI+"init", `{}`, &init); init.ProducerID == 0 {
		t.Errorf("init %+v", init)
	}
	answer, err := r.conn.Request("laneway.fetch.orders.0", []byte("not a request"), patience)
	if err != nil || answer.Header.Get("Status") == "503" {
		t.Errorf("fetch: %+v, %v", answer, err)
	}
	if stats := r.service.Stats(); stats.Issued != 2 || stats.Outstanding != 0 {
		t.Errorf("stats %+v", stats)
	}
	if subjects := r.service.boundSubjects(); len(subjects) != 1 || subjects[0] != "shop.>" {
		t.Errorf("bound subjects %v", subjects)
	}
}

func TestDamageOfAPartitionIsShown(t *testing.T) {
	r := start(t)
	var created protocol.TopicResponse
	r.request(protocol.TopicAPI+"create", `{"name":"orders"}`, &created)
	id := created.Topic.Partition(0)
	r.send(messages.FrontendSubject(id, r.service.epoch.Number()), messages.ReadOnly{Partition: id, Damage: "entry 7 is lost"})
	r.eventually("damage", func() bool { return r.service.damage()[id].Damage == "entry 7 is lost" })
}

func TestStopAnswersWhatItAdmitted(t *testing.T) {
	r := start(t)
	r.request(protocol.TopicAPI+"create", `{"name":"orders"}`, nil)
	r.hold.Store(true)
	inbox, err := r.conn.SubscribeSync(nats.NewInbox())
	r.must(err)
	r.must(r.conn.PublishRequest("laneway.produce.orders.0", inbox.Subject, []byte("apple")))
	r.eventually("the ticket", func() bool { return r.service.Stats().Outstanding == 1 })
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := r.stop(ctx); err == nil || !strings.Contains(err.Error(), "1 batches were not resolved in time") {
		t.Errorf("stop: %v", err)
	}
	answer, err := inbox.NextMsg(patience)
	if err != nil || !strings.Contains(string(answer.Data), "OUTCOME_UNKNOWN") {
		t.Fatalf("answer %v, %v", answer, err)
	}
	for _, subject := range []string{"laneway.produce.orders.0", protocol.TopicAPI + "list", protocol.ProducerAPI + "init"} {
		if _, err := r.conn.Request(subject, nil, patience); !errors.Is(err, nats.ErrNoResponders) {
			t.Errorf("%s after the end: %v", subject, err)
		}
	}
}

func TestReplacedFrontendEnds(t *testing.T) {
	r := start(t)
	r.request(protocol.TopicAPI+"create", `{"name":"orders"}`, nil)
	_, err := ownership.Hold(t.Context(), r.js, role)
	r.must(err)
	select {
	case <-r.service.Done():
	case <-time.After(patience):
		t.Fatal("it serves on")
	}
	if err := r.check(); !errors.Is(err, ownership.ErrReplaced) {
		t.Errorf("check: %v", err)
	}
}

func TestFrontendIsReadyWhenEveryRoleAnswers(t *testing.T) {
	r := start(t)
	r.eventually("ready", func() bool { return r.check() == nil })
	topic, err := r.service.registry.Create(t.Context(), protocol.TopicConfig{Name: "orders"})
	r.must(err)
	r.must(r.service.awaitReady(t.Context(), topic.Partition(0)))
	ended, end := context.WithCancel(t.Context())
	end()
	other := topic.Partition(0)
	other.TopicID++
	if err := r.service.awaitReady(ended, other); !errors.Is(err, context.Canceled) {
		t.Errorf("a partition that does not exist: %v", err)
	}
}

func TestInlineBytesAboveTheLimitAreReported(t *testing.T) {
	conn, _ := embeddedtest.Start(t)
	most := conn.MaxPayload() / inlineShare
	for bytes, want := range map[int64]int{most: 0, most + 1: 1} {
		zapped, logs := observer.New(zap.WarnLevel)
		s := &Service{config: Config{Config: service.Config{Conn: conn, Logger: zap.New(zapped)}, InlineBytes: bytes}}
		s.warnInline()
		all := logs.All()
		if len(all) != want || want == 1 && all[0].ContextMap()["in effect"] != most {
			t.Errorf("with %d inline bytes, the log has %v", bytes, all)
		}
	}
}
