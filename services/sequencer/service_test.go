package sequencer

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"laneway.dev/internal/core/member"
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

// Otherwise nobody would serve it while the record cannot be written.
func TestALogIsServedUntilTheRecordGivesItAway(t *testing.T) {
	w := newWorld(t)
	s := w.start()
	before, m, n := w.epoch(s, 0), s.joined.Load(), int(w.topic.Partition(0).Log)
	restore := w.damageRecord()
	w.must(m.Ask(t.Context(), member.GiveAway{Log: n, To: "nobody"}))
	w.await("the wish to give it away", func() bool { return len(m.View().Owned) == w.topic.Logs-1 })
	if got := w.released(0, 1); got != before {
		t.Errorf("released with epoch %d, want %d", got, before)
	}
	restore() // nobody is to get the log, so it stays
	w.await("the ownership of all logs", func() bool { return w.owns(s, w.topic.Logs) })
	if got := w.epoch(s, 0); got != before {
		t.Errorf("it is served in epoch %d after %d, so it was not served in between", got, before)
	}
}

func TestTheLastOwnerServesUntilTheNextOneHasBegun(t *testing.T) {
	w := newWorld(t)
	s := w.start()
	l, before := s.log(w.topic.Partition(0).Log), w.epoch(s, 0)
	w.must(l.handOver())
	l.disown()
	if got := w.epoch(s, 0); got != before {
		t.Fatalf("served in epoch %d before the next owner has begun, want %d", got, before)
	}
	w.must(s.config.Conn.Flush())
	w.must(w.peer.Conn().Publish(messages.SequencerBegan(l.number), nil))
	// The record names this instance all the same, so it serves the log again, with another core.
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
	w.await("the other one to be known", func() bool { return a.joined.Load().View().Takers })
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
	for n, l := range b.joined.Load().View().Record.Logs {
		if !slices.Equal(l.Failed, []string{"s1"}) {
			t.Errorf("log %d was not given up, but taken over after a time: %+v", n, l)
		}
	}
	if got := w.released(0, 1); got <= before || got != w.epoch(b, 0) {
		t.Errorf("released with epoch %d, want one above %d", got, before)
	}
}

func TestAnEpochIsForOneCore(t *testing.T) {
	w := newWorld(t)
	s := w.start()
	l, n := s.log(w.topic.Partition(0).Log), int(w.topic.Partition(0).Log)
	before := w.epoch(s, 0)
	if above, err := l.own(n, before); above != 0 || err != nil {
		t.Errorf("a log that is served: above %d, error %v", above, err)
	}
	l.close()
	for _, epoch := range []uint64{before, before - 1} {
		if above, err := l.own(n, epoch); above != before || err != nil {
			t.Errorf("epoch %d after %d: above %d, error %v", epoch, before, above, err)
		}
	}
	if above, err := l.own(n, before+1); above != 0 || err != nil || w.epoch(s, 0) != before+1 {
		t.Errorf("a higher epoch: above %d, error %v, served in epoch %d", above, err, w.epoch(s, 0))
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
