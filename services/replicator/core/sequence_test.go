package core_test

import (
	"fmt"
	"testing"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// of returns a batch of one record of an idempotent producer, in epoch 0, whose
// first unacked sequence is 0.
func of(id int64, number uint64, first int32) messages.StagedBatch {
	b := batch(fmt.Sprint("i:", id), number)
	b.Records = 1
	b.Sequence = messages.Sequence{ProducerID: id, First: first}
	return b
}

func inEpoch(epoch int16, b messages.StagedBatch) messages.StagedBatch {
	b.Sequence.ProducerEpoch = epoch
	return b
}

func unacked(first int32, b messages.StagedBatch) messages.StagedBatch {
	b.FirstUnacked = first
	return b
}

// expectCode takes what was sent, which must be one refusal of a sequence.
func (o *owner) expectCode(lane string, number uint64, code protocol.Code) {
	o.w.t.Helper()
	got := answers(o.w.t, o.take())
	if len(got) != 1 || got[0].id != (ticket{1, lane, number}) || got[0].code != code || got[0].detail == "" {
		o.w.t.Fatalf("%s answers %+v, want %s for %s %d, with the reason", o.name, got, code.Kind().Name, lane, number)
	}
}

func TestSequenceRefusalNeedsBarrier(t *testing.T) {
	w, o := newLeader(t)
	before := len(w.log)
	o.step(release(of(7, 1, 3)))
	o.expect()
	o.settle()
	o.expectCode("i:7", 1, protocol.CodeOutOfOrderSequence)
	if len(w.log) != before+1 || len(w.log[before].Entry.Batches) != 0 {
		t.Fatalf("no barrier was appended: %+v", w.log[before:])
	}
}

func TestSequenceRefusalWaitsForWhatItRestsOn(t *testing.T) {
	w := newWorld(t)
	w.settings.EntryItems = 1
	o := w.leader("first")
	o.step(release(batch("a", 1), of(7, 1, 0), of(7, 2, 5))) // two entries, then a refusal
	o.ack()
	o.expect(ok("a", 1, 0))
	o.ack()
	got := answers(t, o.take())
	if len(got) != 2 || got[0] != ok("i:7", 1, 2) || got[1].code != protocol.CodeOutOfOrderSequence {
		t.Fatalf("answered %+v", got)
	}
}

// The new owner or the ticket's deadline answers. Kafka and Redpanda answer "not
// leader", which their clients take for a reason to look elsewhere.
func TestReplacedOwnerNeverRefusesSequence(t *testing.T) {
	w, o := newLeader(t)
	o.commit(of(7, 1, 0))
	o.take()
	next := w.leader("second")
	next.commit(of(7, 2, 1))
	o.step(release(of(7, 3, 2))) // to the old owner a gap
	o.settle()
	o.expectStopped()
	next.take()
	next.commit(of(7, 3, 2))
	next.expect(ok("i:7", 3, 2))
}

// The state must not be ahead of the log (nisshi#742).
func TestRetryAfterFailedAppendIsAccepted(t *testing.T) {
	w, o := newLeader(t)
	o.step(release(of(7, 1, 0)))
	o.loseAppend()
	o.settle()
	o.expect()
	o.commit(of(7, 2, 0)) // a new ticket
	o.expect(ok("i:7", 2, 0))
	w.expectNumbers("i:7", 2)
}

func TestBatchAfterLostOneIsRefused(t *testing.T) {
	w, o := newLeader(t)
	o.step(release(of(7, 1, 0)))
	o.step(release(of(7, 2, 1)))
	o.loseAppend()
	o.settle()
	o.take()
	o.commit(of(7, 2, 1)) // its predecessor was given up: this one's floor is its own number
	o.expectCode("i:7", 2, protocol.CodeOutOfOrderSequence)
	o.commit(of(7, 3, 0), of(7, 4, 1))
	o.expect(ok("i:7", 3, 0), ok("i:7", 4, 1))
	w.expectNumbers("i:7", 3, 4)
}

func TestRetryOfBatchInFlightIsDuplicate(t *testing.T) {
	w, o := newLeader(t)
	o.step(release(batch("z", 1)))
	o.step(release(of(7, 1, 0), of(7, 2, 0))) // in one entry
	o.ack()
	o.step(release(of(7, 3, 0))) // while that is under way
	o.take()
	o.settle()
	o.expect(ok("i:7", 1, 2), duplicate("i:7", 2, 2), duplicate("i:7", 3, 2))
	w.expectNumbers("i:7", 1)
	if n := o.core.Stats().Duplicates; n != 2 {
		t.Errorf("counted %d duplicates", n)
	}
}

func TestDuplicatesInFlightAreRolledBack(t *testing.T) {
	w, o := newLeader(t)
	o.step(release(of(7, 1, 0), of(7, 2, 0)))
	o.loseAppend()
	o.settle()
	o.expect()
	o.commit(of(7, 2, 0), of(7, 3, 0))
	o.expect(ok("i:7", 2, 0), duplicate("i:7", 3, 0))
	w.expectNumbers("i:7", 2)
}

func TestRetryAfterLostAckIsDuplicate(t *testing.T) {
	w, o := newLeader(t)
	o.step(release(of(7, 1, 0), of(7, 2, 1)))
	o.loseAck()
	o.settle()
	o.expect()
	o.step(release(of(7, 3, 0), of(7, 4, 1)))
	if o.append != nil {
		t.Fatal("a duplicate of what is committed needs no append")
	}
	o.expect(duplicate("i:7", 3, 0), duplicate("i:7", 4, 1))
	w.expectNumbers("i:7", 1, 2)
}

func TestSequencePrecedesExpectation(t *testing.T) {
	w, o := newLeader(t)
	o.commit(after(of(7, 1, 0), 0))
	o.take()
	o.commit(after(of(7, 2, 0), 9)) // a duplicate, whatever it expects
	o.expect(duplicate("i:7", 2, 0))
	o.commit(after(of(7, 3, 5), 9))
	o.expectCode("i:7", 3, protocol.CodeOutOfOrderSequence)
	o.commit(after(of(7, 4, 1), 9))
	o.expect(mismatch("i:7", 4, protocol.CodeWrongLastSequence, "1"))
	o.commit(after(of(7, 5, 1), 1)) // the refused one took no sequence
	o.expect(ok("i:7", 5, 1))
	w.expectNumbers("i:7", 1, 5)
}

func TestFailedExpectationLeavesProducerUnknown(t *testing.T) {
	_, o := newLeader(t)
	o.commit(after(of(7, 1, 0), 9))
	if n := o.core.Stats().Producers; n != 0 {
		t.Errorf("%d producers are remembered", n)
	}
}

func TestMessageIDOfIdempotentProducerIsIgnored(t *testing.T) {
	w, o := newLeader(t)
	o.commit(named(of(7, 1, 0), "x"), named(of(7, 2, 1), "x"))
	o.commit(afterID(of(7, 3, 2), "x")) // but it is that of the last batch
	w.expectNumbers("i:7", 1, 2, 3)
}

func TestProducerBeyondLimitIsRefused(t *testing.T) {
	w := newWorld(t)
	w.settings.MaxProducers = 1
	o := w.leader("first")
	o.commit(of(7, 1, 0))
	o.take()
	o.commit(of(8, 2, 0))
	o.expectCode("i:8", 2, protocol.CodeTooManyProducers)
	o.commit(of(7, 3, 1)) // a known producer continues
	o.expect(ok("i:7", 3, 1))
	for spent := w.settings.LaneExpiry; spent <= w.settings.ProducerExpiry*2; spent += w.settings.LaneExpiry * 60 {
		w.pass(w.settings.LaneExpiry * 60)
		o.step()
	}
	o.take()
	o.commit(of(8, 4, 0))
	o.expect(ok("i:8", 4, 2))
	w.expectNumbers("i:8", 4)
}

func TestRefusedSequenceUsesItsTicket(t *testing.T) {
	w, o := newLeader(t)
	o.commit(of(7, 1, 1))
	o.expectCode("i:7", 1, protocol.CodeOutOfOrderSequence)
	o.commit(unacked(1, of(7, 1, 1))) // released again: the refusal was final
	o.expect(refused("i:7", 1, protocol.CodeNotCommitted))
	o.commit(unacked(1, of(7, 2, 1)))
	o.expect(ok("i:7", 2, 0))
	w.expectNumbers("i:7", 2)
}

func TestProducersAreListedInTheOrderOfTheirIDs(t *testing.T) {
	_, o := newLeader(t)
	o.commit(of(9, 1, 0), of(7, 1, 0), of(8, 1, 0))
	o.step(release(of(6, 1, 0))) // in flight: not yet
	o.take()
	o.step(messages.ListProducers{Partition: orders, Asker: 1, Request: 5, After: 7, Limit: 1})
	got := sentOf[messages.Producers](o)
	if len(got) != 1 || got[0].Request != 5 || !got[0].More || len(got[0].Producers) != 1 || got[0].Producers[0].ProducerID != 8 {
		t.Errorf("listed %+v", got)
	}
}
