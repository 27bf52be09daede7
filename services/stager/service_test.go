package stager

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"laneway.dev/internal/actor"
	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/service"
	"laneway.dev/internal/transport"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/stager/core"
)

func TestUploadsOutOfOrderNameTheRightExtents(t *testing.T) {
	w := newWorld(t)
	store := newGate(w.store)
	w.start(Config{Store: store})
	const uploads = 5
	var sent []messages.StageBatch
	var puts []chan<- error
	for i := range uploads {
		b := batch("a", uint64(i+1), 100+i)
		sent = append(sent, b)
		w.send(stage(orders0, b))
		puts = append(puts, store.next(t))
	}
	for _, i := range []int{3, 1, 4, 0, 2} {
		puts[i] <- nil
		w.wantPayload(w.staged(1)[0], sent[i])
	}
}

func TestEveryBatchIsStagedOnce(t *testing.T) {
	w := newWorld(t)
	s := w.start(Config{ObjectBatches: 7, ObjectBytes: 10_000, Faults: mustFaults(t, "stage.delay=uniform(0,5ms)")})
	partitions := []protocol.Partition{orders0, orders1, bills0}
	const perPartition = 200
	for i := range perPartition {
		for _, p := range partitions {
			w.send(stage(p, batch("a", uint64(i+1), 500+i), batch("b", uint64(i+1), i)))
		}
	}
	seen := make(map[string]int)
	for count := 0; count < 2*perPartition*len(partitions); {
		m := answer[messages.Staged](w)
		for _, b := range m.Batches {
			size := int(b.Number) - 1
			if b.Lane == "a" {
				size += 500
			}
			w.wantPayload(b, batch(b.Lane, b.Number, size))
			seen[fmt.Sprint(m.Partition, m.Epoch, b.Lane, b.Number)]++
			count++
		}
	}
	for ticket, times := range seen {
		if times != 1 {
			t.Errorf("%s is staged %d times", ticket, times)
		}
	}
	w.stop(s)
	if got := s.Stats(); got.Batches != 1200 || got.Held != 0 || got.Uploading != 0 || got.Waiting != 0 {
		t.Errorf("stats are %+v, want 1200 batches and nothing held", got)
	}
}

func TestTemporaryFailureOfTheStoreOnlyDelays(t *testing.T) {
	w := newWorld(t)
	store := newGate(w.store)
	s := w.start(Config{Store: store})
	b := batch("a", 1, 100)
	w.send(stage(orders0, b))
	for range 3 {
		store.next(t) <- errors.New("connection reset")
	}
	store.next(t) <- nil
	w.wantPayload(w.staged(1)[0], b)
	if got := s.Stats(); got.Retries != 3 || got.Failures != 0 {
		t.Errorf("stats are %+v, want 3 retries", got)
	}
}

func TestFullStoreIsTheReasonOfTheRefusal(t *testing.T) {
	w := newWorld(t)
	store := newGate(w.store)
	s := w.start(Config{Store: store})
	b := batch("a", 1, 100)
	b.Attempt = 3
	w.send(stage(orders0, b))
	store.next(t) <- fmt.Errorf("put: %w", objectstore.ErrFull)
	m := answer[messages.Refused](w)
	if m.Partition != orders0 || m.Epoch != epoch || len(m.Refusals) != 1 {
		t.Fatalf("refused is %+v", m)
	}
	r := m.Refusals[0]
	if r.Lane != "a" || r.Number != 1 || r.Attempt != 3 || r.Code != protocol.CodeStoreUnavailable ||
		!strings.Contains(r.Detail, "full") {
		t.Errorf("the refusal is %+v", r)
	}
	w.stop(s)
	if got := s.Stats(); got.Failures != 1 || got.Refused != 1 || got.Held != 0 {
		t.Errorf("stats are %+v, want 1 failure and 1 refusal", got)
	}
}

func TestServiceRefusesBatchesWithoutTimeOrMemory(t *testing.T) {
	w := newWorld(t)
	w.start(Config{MemoryBytes: 1000})
	late := batch("a", 1, 10)
	late.Remaining = 0
	w.send(stage(orders0, late, batch("a", 2, 2000)))
	var codes []protocol.Code
	for _, r := range answer[messages.Refused](w).Refusals {
		codes = append(codes, r.Code)
	}
	if fmt.Sprint(codes) != fmt.Sprint([]protocol.Code{protocol.CodeDeadlinePassed, protocol.CodeStagerBusy}) {
		t.Errorf("codes are %v", codes)
	}
}

func TestInjectedFailuresRefuse(t *testing.T) {
	w := newWorld(t)
	w.start(Config{Faults: mustFaults(t, "stage.fail=1")})
	w.send(stage(orders0, batch("a", 1, 10)))
	r := answer[messages.Refused](w).Refusals[0]
	if r.Code != protocol.CodeStoreUnavailable || !strings.Contains(r.Detail, "injected fault") {
		t.Errorf("the refusal is %+v", r)
	}
}

func TestLingerEnds(t *testing.T) {
	w := newWorld(t)
	w.start(Config{Linger: 20 * time.Millisecond})
	b := batch("a", 1, 10)
	w.send(stage(orders0, b))
	w.wantPayload(w.staged(1)[0], b)
}

func TestStagersShareTheWork(t *testing.T) {
	w := newWorld(t)
	first, second := w.start(Config{}), w.start(Config{})
	const count = 200
	for i := range count {
		w.send(stage(orders0, batch("a", uint64(i+1), 10)))
	}
	w.staged(count)
	w.stop(first)
	w.stop(second)
	a, b := first.Stats().Batches, second.Stats().Batches
	if a == 0 || b == 0 || a+b != count {
		t.Errorf("the stagers have staged %d and %d batches, want %d shared", a, b, count)
	}
}

func TestOtherMessagesAreIgnored(t *testing.T) {
	w := newWorld(t)
	w.start(Config{})
	if err := w.peer.Conn().Publish(messages.StageSubject, []byte("nonsense")); err != nil {
		t.Fatal(err)
	}
	w.send(messages.Hello{Partition: orders0})
	w.send(stage(orders0, batch("a", 1, 10)))
	w.staged(1)
}

func TestFullMailboxAnswersBusy(t *testing.T) {
	w := newWorld(t)
	s := &Service{
		settings: core.Settings{MemoryBytes: 1000},
		Base:     &service.Base{Wire: transport.NewConnection(w.connect(), zap.NewNop())},
		mailbox:  actor.NewMailbox[core.Event](2), // no actor takes from it
	}
	third := batch("a", 3, 10)
	third.Attempt = 9
	s.deliver(stage(orders0, batch("a", 1, 990)))
	s.deliver(stage(orders0, batch("a", 2, 11))) // more bytes than allowed
	s.deliver(stage(orders0, third))
	s.deliver(stage(orders0, batch("a", 4, 0))) // more messages than fit
	for _, want := range []messages.Refusal{{Ticket: messages.Ticket{Lane: "a", Number: 2}, Attempt: 1}, {Ticket: messages.Ticket{Lane: "a", Number: 4}, Attempt: 1}} {
		m := answer[messages.Refused](w)
		want.Code = protocol.CodeStagerBusy
		if len(m.Refusals) == 1 {
			want.Detail = m.Refusals[0].Detail
		}
		if m.Epoch != epoch || len(m.Refusals) != 1 || m.Refusals[0] != want {
			t.Errorf("refused is %+v, want %+v", m, want)
		}
	}
	if got := s.Stats().Refused; got != 2 {
		t.Errorf("%d refused, want 2", got)
	}
	if got := s.queued.Load(); got != 1000 {
		t.Errorf("%d bytes in the mailbox, want 1000", got)
	}
}

func TestOversizedMessageReachesTheCore(t *testing.T) {
	s := &Service{settings: core.Settings{MemoryBytes: 10}, mailbox: actor.NewMailbox[core.Event](2)}
	s.deliver(stage(orders0, batch("a", 1, 5), batch("a", 2, 100)))
	if got := len(s.mailbox.Rest()); got != 1 {
		t.Errorf("%d messages in the mailbox, want 1", got)
	}
}

func TestMetricsAreComplete(t *testing.T) {
	w := newWorld(t)
	s := w.start(Config{})
	w.send(stage(orders0, batch("a", 1, 100), batch("a", 2, 100)))
	w.staged(2)
	families, err := w.telemetry.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]bool)
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), "laneway_stager_") {
			got[f.GetName()] = true
		}
	}
	if len(got) != len(readings)+2 || !got["laneway_stager_store_requests_total"] || !got["laneway_stager_store_duration_seconds"] {
		t.Errorf("metrics are %v, want %d and those of the store", got, len(readings))
	}
	w.stop(s)
	if got := s.Stats(); got.Batches != 2 || got.Objects != 1 || got.Bytes < 200 {
		t.Errorf("stats are %+v, want 2 batches in 1 object", got)
	}
}

func TestCheckFailsWithoutNATS(t *testing.T) {
	w := newWorld(t)
	s := w.start(Config{})
	if err := s.Check(t.Context()); err != nil {
		t.Errorf("a stager that runs is not ready: %v", err)
	}
	w.loseNATS(s)
	if err := s.Check(t.Context()); !errors.Is(err, protocol.NewError(protocol.CodeUnavailable, "")) {
		t.Errorf("without NATS the check says %v", err)
	}
	if err := s.Err(); err != nil {
		t.Errorf("a stager that has lost NATS has ended: %v", err)
	}
}

func TestStartFailsWithoutNATS(t *testing.T) {
	w := newWorld(t)
	conn := w.connect()
	conn.Close()
	_, err := Start(t.Context(), Config{Config: service.Config{Conn: conn, Logger: zap.NewNop(), Telemetry: w.telemetry}, Store: w.store})
	if !errors.Is(err, nats.ErrConnectionClosed) {
		t.Errorf("the start says %v", err)
	}
}
