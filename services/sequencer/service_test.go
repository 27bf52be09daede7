package sequencer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"laneway.dev/internal/actor"
	"laneway.dev/internal/ownership"
	"laneway.dev/internal/service"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

func TestReleasesStagedBatchesInTicketOrder(t *testing.T) {
	w := newWorld(t)
	s := w.start()
	batch := func(number uint64) messages.StagedBatch {
		return messages.StagedBatch{Submission: messages.Submission{Batch: messages.Batch{Ticket: messages.Ticket{Lane: "a", Number: number}, Floor: 1, Records: 1}}}
	}
	of := w.topic.Partition(1)
	w.send(messages.Staged{Partition: of, Epoch: frontend, Batches: []messages.StagedBatch{batch(2)}})
	w.send(messages.Staged{Partition: of, Epoch: frontend, Batches: []messages.StagedBatch{batch(1)}})
	r := next[messages.Release](w)
	if r.Partition != of || r.Epoch != frontend || r.SequencerEpoch != s.epoch.Epoch() ||
		len(r.Batches) != 2 || r.Batches[0].Number != 1 || r.Batches[1].Number != 2 {
		t.Errorf("got %+v, want tickets 1 and 2 of %s", r, of)
	}
	w.await("the statistics", func() bool { return s.Stats().Released == 2 })
	if got := s.Stats(); got.Completions != 2 || got.Early != 1 {
		t.Errorf("statistics %+v, want one of two early", got)
	}
}

func TestServesTopicCreatedLater(t *testing.T) {
	w := newWorld(t)
	w.start()
	var err error
	w.topic, err = w.registry.Create(t.Context(), protocol.TopicConfig{Name: "bills", Partitions: 1})
	w.must(err)
	announce := messages.Announce{Partition: w.topic.Partition(0), Epoch: frontend}
	w.await("an answer", func() bool {
		w.send(announce)
		select {
		case m := <-w.sent:
			return m == messages.Message(messages.Announced(announce))
		default:
			return false
		}
	})
}

func TestFencedSequencerContinuesWithHigherEpoch(t *testing.T) {
	w := newWorld(t)
	s := w.start()
	before := s.epoch.Epoch()
	w.released(0, 1)
	w.fence(0, before+7)
	w.await("a higher epoch", func() bool { return s.epoch.Epoch() > before+7 })
	w.await("a release with it", func() bool { return w.hello(0) == s.epoch.Epoch() })
	// The other partition was not fenced, but must get the new epoch too.
	w.await("a release of the other partition", func() bool { return w.hello(1) == s.epoch.Epoch() })
	if err := s.Check(t.Context()); err != nil {
		t.Errorf("a sequencer with a new epoch is not ready: %v", err)
	}
}

// hello returns the sequencer epoch with which a partition answers a new owner of its log.
func (w *world) hello(partition int) uint64 {
	w.send(messages.Hello{Partition: w.topic.Partition(partition), Term: 1})
	return next[messages.Release](w).SequencerEpoch
}

func TestSequencerRetriesUntilAnEpochCanBeTaken(t *testing.T) {
	w := newWorld(t)
	s := w.start()
	before := s.epoch.Epoch()
	kv, err := w.js.KeyValue(t.Context(), "LANEWAY_EPOCHS")
	w.must(err)
	entry, err := kv.Get(t.Context(), role)
	w.must(err)
	_, err = kv.PutString(t.Context(), role, "damaged")
	w.must(err)
	w.fence(0, before+7)
	w.await("an attempt that fails", func() bool { return w.log.FilterMessageSnippet("trying again").Len() > 0 })
	if got := w.released(0, 1); got != before {
		t.Errorf("released with epoch %d meanwhile, want the old one, %d", got, before)
	}
	_, err = kv.Put(t.Context(), role, entry.Value())
	w.must(err)
	w.await("a higher epoch", func() bool { return s.epoch.Epoch() > before+7 })
}

func TestFencedSequencerEndsWhenReplaced(t *testing.T) {
	w := newWorld(t)
	old := w.start()
	young := w.start()
	w.fence(0, young.epoch.Epoch())
	w.wait("the end", old.Done())
	if err := old.Err(); !errors.Is(err, ownership.ErrReplaced) {
		t.Errorf("it ended with %v, want %v", err, ownership.ErrReplaced)
	}
	if err := old.Check(t.Context()); !errors.Is(err, ownership.ErrReplaced) {
		t.Errorf("the check says %v, want %v", err, ownership.ErrReplaced)
	}
	w.stopped(old)
	for n := range 2 {
		if got := w.released(n, 1); got != young.epoch.Epoch() {
			t.Errorf("partition %d was released with epoch %d, want that of the younger one", n, got)
		}
	}
}

func TestIdleSequencerNoticesThatItWasReplaced(t *testing.T) {
	w := newWorld(t)
	old := w.start()
	w.start()
	w.wait("the end", old.Done())
	w.stopped(old)
}

// stopped checks that the actors of a sequencer end.
func (w *world) stopped(s *Service) {
	w.t.Helper()
	for _, l := range s.logs.All() {
		w.await(fmt.Sprint("the end of log ", l.number), func() bool { return errors.Is(l.mailbox.Offer(nil), actor.ErrClosed) })
	}
}

func TestCheckFailsWithoutNATS(t *testing.T) {
	w := newWorld(t)
	s := w.start()
	w.must(s.Check(t.Context()))
	lost := s.config.Conn.StatusChanged(nats.RECONNECTING, nats.CLOSED)
	w.must(w.server.Shutdown())
	<-lost
	if err := s.Check(t.Context()); !errors.Is(err, protocol.NewError(protocol.CodeUnavailable, "")) {
		t.Errorf("without NATS the check says %v", err)
	}
	if err := s.Err(); err != nil {
		t.Errorf("a sequencer without NATS has ended: %v", err)
	}
}

func TestStartWaitsForJetStreamWhileItsContextLives(t *testing.T) {
	w := newWorld(t)
	conn := w.connect()
	conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := Start(ctx, Config{Config: service.Config{Conn: conn, Logger: zap.NewNop(), Telemetry: w.telemetry}})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the start says %v, want %v", err, context.DeadlineExceeded)
	}
}

func TestStopEndsTheSubscription(t *testing.T) {
	w := newWorld(t)
	s, err := Start(t.Context(), Config{Config: service.Config{Conn: w.connect(), Logger: zap.NewNop(), Telemetry: w.telemetry}})
	w.must(err)
	w.released(0, 1)
	w.must(s.Stop(context.Background()))
	if _, err := w.peer.Conn().Request(messages.SequencerProbe, nil, patience); !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("a probe after the stop: %v, want no responders", err)
	}
	w.must(s.Err())
}

func TestMetricsAreComplete(t *testing.T) {
	w := newWorld(t)
	w.start()
	families, err := w.telemetry.Registry.Gather()
	w.must(err)
	got := 0
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), "laneway_sequencer_") {
			got++
		}
	}
	if got != len(readings) {
		t.Errorf("%d metrics, want %d", got, len(readings))
	}
}
