package sequencer

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"laneway.dev/internal/tenure"
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
	if r.Partition != of || r.Epoch != frontend || r.SequencerEpoch != w.epoch(s, 1) ||
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
	before := w.epoch(s, 0)
	w.released(0, 1)
	w.fence(0, before+7)
	w.await("a higher epoch", func() bool { return w.epoch(s, 0) > before+7 })
	w.await("a release with it", func() bool { return w.hello(0) == w.epoch(s, 0) })
	if err := s.Check(t.Context()); err != nil {
		t.Errorf("a sequencer with a new epoch is not ready: %v", err)
	}
}

// hello returns the sequencer epoch with which a partition answers a new owner of its log.
func (w *world) hello(partition int) uint64 {
	w.send(messages.Hello{Partition: w.topic.Partition(partition), Term: 1})
	return next[messages.Release](w).SequencerEpoch
}

func TestSequencerKeepsItsEpochUntilAHigherOneCanBeTaken(t *testing.T) {
	w := newWorld(t)
	s := w.start()
	before := w.epoch(s, 0)
	restore := w.damageRecord()
	w.fence(0, before+7)
	w.await("attempts that fail", func() bool { return w.log.FilterMessageSnippet("do not answer").Len() > 0 })
	if got := w.released(0, 1); got != before {
		t.Errorf("released with epoch %d meanwhile, want the old one, %d", got, before)
	}
	restore()
	w.await("a higher epoch", func() bool { return w.epoch(s, 0) > before+7 })
}

func TestTheLastOwnerPassesOnWhatItHoldsWhenTheNextOneHasBegun(t *testing.T) {
	w := newWorld(t)
	s := w.start()
	l, before := s.log(w.topic.Partition(0).Log), w.epoch(s, 0)
	w.released(0, 1)
	l.place.Do(func(k *work, _ bool) {
		if k.Prepare() != tenure.Ready || !k.Lingers() {
			t.Error("the log could not be given away, or nobody would wait for its next owner")
		}
	})
	began := func(epoch uint64) {
		w.send(messages.Began{Partition: protocol.Partition{Log: l.number}, Epoch: epoch})
	}
	began(before) // by this instance, some time ago
	if got := w.released(0, 2); got != before {
		t.Fatalf("released with epoch %d before the next owner has begun, want %d", got, before)
	}
	handed := make(chan messages.Message, 10)
	_, err := w.peer.Subscribe(messages.SequencerLogSubject(l.number), "", func(m messages.Message) { handed <- m })
	w.must(err)
	w.must(w.peer.Flush(patience))
	w.send(messages.Staged{Partition: w.topic.Partition(0), Epoch: frontend, Batches: []messages.StagedBatch{{ // its turn has not come
		Submission: messages.Submission{Batch: messages.Batch{Ticket: messages.Ticket{Lane: "a", Number: 4}, Floor: 2, Records: 1}},
	}}})
	began(before + 1)
	var numbers []uint64
	for len(numbers) < 3 { // the first one is that of the peer
		select {
		case m := <-handed:
			if staged, is := m.(messages.Staged); is {
				for _, b := range staged.Batches {
					numbers = append(numbers, b.Number)
				}
			}
		case <-time.After(patience):
			t.Fatalf("tickets %d were handed over", numbers)
		}
	}
	if want := []uint64{4, 2, 4}; !slices.Equal(numbers, want) {
		t.Errorf("tickets %d came on the subject of the log, want %d", numbers, want)
	}
	// The record names this instance all the same, so it serves the log again, in another tenure.
	w.await("a higher epoch", func() bool { return w.epoch(s, 0) > before })
}

func TestSequencersShareTheLogs(t *testing.T) {
	w := newWorld(t)
	a := w.start()
	b := w.join()
	w.await("an even share", func() bool { return w.owns(a, w.topic.Logs/2) && w.owns(b, w.topic.Logs/2) })
	owner := func(partition int) uint64 { return w.epoch(a, partition) + w.epoch(b, partition) } // one of them is 0
	for n := range 2 {
		if got := w.released(n, 1); got != owner(n) {
			t.Errorf("partition %d was released with epoch %d, want %d", n, got, owner(n))
		}
	}
}

func TestLogsOfASequencerThatStopsAreServedByAnotherOne(t *testing.T) {
	w := newWorld(t)
	a := w.start()
	before := w.epoch(a, 0)
	w.released(0, 1)
	b := w.join()
	w.await("the other one to be known", func() bool { v := a.tenures.View(); return v.Takers })
	w.must(a.Stop(t.Context()))
	w.await("the ownership of all logs", func() bool { return w.owns(b, w.topic.Logs) })
	// Nobody has said that the ticket is resolved, so it is passed on.
	if r := next[messages.Release](w); r.SequencerEpoch != w.epoch(b, 0) || len(r.Batches) != 1 || r.Batches[0].Number != 1 {
		t.Errorf("got %+v, want the release of ticket 1 by the other one", r)
	}
	if got := w.released(0, 2); got <= before || got != w.epoch(b, 0) {
		t.Errorf("released with epoch %d, want that of the other one, above %d", got, before)
	}
}

func TestSequencerThatIsStartedAfterAStopServesAtOnce(t *testing.T) {
	w := newWorld(t)
	a := w.start()
	before := w.epoch(a, 0)
	w.must(a.Stop(t.Context()))
	b := w.start()
	v := b.tenures.View()
	for n, l := range v.Record.Logs {
		if !slices.Equal(l.Failed, []string{"s1"}) {
			t.Errorf("log %d was not given up, but taken over after a time: %+v", n, l)
		}
	}
	if got := w.released(0, 1); got <= before || got != w.epoch(b, 0) {
		t.Errorf("released with epoch %d, want one above %d", got, before)
	}
}

func TestLogsOfASequencerThatIsCutOffAreTakenOver(t *testing.T) {
	w := newWorld(t)
	conn := w.connect()
	a, err := Start(t.Context(), w.config(conn))
	w.must(err)
	t.Cleanup(func() { _ = a.Stop(context.Background()) })
	w.await("the ownership of all logs", func() bool { return w.owns(a, w.topic.Logs) })
	b := w.join()
	conn.Close()
	w.await("the take-over", func() bool { return w.owns(b, w.topic.Logs) })
	if err := b.Check(t.Context()); err != nil {
		t.Error(err)
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
	_, err := Start(ctx, w.config(conn))
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the start says %v, want %v", err, context.DeadlineExceeded)
	}
}

func TestStopEndsTheSubscription(t *testing.T) {
	w := newWorld(t)
	s := w.start()
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
