package core_test

import (
	"testing"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

func after(b messages.StagedBatch, sequence uint64) messages.StagedBatch {
	b.Expect.HasSequence, b.Expect.Sequence = true, sequence
	return b
}

func afterID(b messages.StagedBatch, id string) messages.StagedBatch {
	b.Expect.MessageID = id
	return b
}

// mismatch is the outcome of a ticket whose expectation did not hold.
func mismatch(lane string, number uint64, code protocol.Code, last string) answer {
	o := refused(lane, number, code)
	o.detail = last
	return o
}

func TestExpectedLastSequenceIsTheNextOffset(t *testing.T) {
	w, o := newLeader(t)
	o.commit(after(batch("a", 1), 0)) // two records
	o.commit(after(batch("a", 2), 2)) // three records
	o.take()
	o.commit(after(batch("a", 3), 2), after(batch("a", 4), 5))
	o.expect(ok("a", 4, 5), mismatch("a", 3, protocol.CodeWrongLastSequence, "5"))
	w.expectNumbers("a", 1, 2, 4)
	w.end()
}

func TestExpectedLastSequenceCountsFlight(t *testing.T) {
	w, o := newLeader(t)
	o.step(release(batch("a", 1))) // in flight
	o.step(release(batch("b", 1))) // waits for the next entry
	o.step(release(after(batch("c", 1), 2), after(batch("d", 1), 4)))
	o.settle()
	o.expect(ok("a", 1, 0), ok("b", 1, 2), ok("d", 1, 4), mismatch("c", 1, protocol.CodeWrongLastSequence, "4"))
	w.expectNumbers("c")
	w.end()
}

func TestExpectedLastMessageIDIsOfLastBatch(t *testing.T) {
	w, o := newLeader(t)
	o.commit(named(batch("a", 1), "x"))
	o.commit(afterID(batch("a", 2), "x"))
	o.take()
	o.commit(afterID(batch("a", 3), "x")) // the last batch has no id
	o.expect(mismatch("a", 3, protocol.CodeWrongLastID, ""))
	w.expectNumbers("a", 1, 2)
}

func TestDuplicatePrecedesExpectation(t *testing.T) {
	_, o := newLeader(t)
	o.commit(after(named(batch("a", 1), "x"), 0))
	o.take()
	o.commit(after(named(batch("a", 2), "x"), 0))
	o.expect(duplicate("a", 2, 0))
}

func TestRefusedBatchLeavesMessageIDFree(t *testing.T) {
	w, o := newLeader(t)
	o.commit(named(after(batch("a", 1), 7), "x"))
	o.take()
	o.commit(named(after(batch("a", 2), 0), "x"))
	o.expect(ok("a", 2, 0))
	w.expectNumbers("a", 2)
}

func TestExpectationsAreCheckedAgainAfterRollBack(t *testing.T) {
	w, o := newLeader(t)
	o.step(release(batch("a", 1)))
	o.step(release(after(batch("b", 1), 0)))
	o.loseAppend()
	o.settle()
	o.expect()
	o.commit(after(batch("b", 1), 0))
	o.expect(ok("b", 1, 0))
	w.end()
}

func TestRefusalWaitsForEarlierBatches(t *testing.T) {
	w := newWorld(t)
	w.settings.EntryItems = 1
	o := w.leader("first")
	o.step(release(batch("a", 1), batch("b", 1), after(batch("c", 1), 2))) // two entries, then a refusal because of b
	o.ack()
	o.expect(ok("a", 1, 0))
	o.loseAppend() // of b: the log ends where c expected
	o.settle()
	o.expect()
	o.commit(after(batch("c", 1), 2))
	o.expect(ok("c", 1, 2))
	w.end()
}

func TestRefusalWaitsForOlderFrontend(t *testing.T) {
	_, o := newLeader(t)
	o.step(release(batch("x", 1)))
	o.step(release(batch("y", 1)))
	newer := release(batch("b", 1), after(batch("c", 1), 4))
	newer.Epoch = 2
	o.step(newer)
	o.ack()
	o.ack()
	o.take() // x and y are in the log, b is under way
	o.loseAppend()
	o.settle()
	o.expect()
}

func TestExpectationsHoldAcrossOwners(t *testing.T) {
	w, o := newLeader(t)
	o.commit(named(batch("a", 1), "x"))
	second := w.leader("second")
	second.commit(afterID(after(batch("b", 1), 2), "x"))
	second.expect(ok("b", 1, 2))
}

func TestTheLastMessageIDIsKnownFromASnapshot(t *testing.T) {
	w, o := newSaver(t)
	o.commit(named(batch("a", 1), "x"))
	o = w.recovered("second", 0)
	o.commit(afterID(batch("a", 2), "x"))
	o.expect(ok("a", 2, 2))
}
