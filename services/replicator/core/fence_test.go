package core_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// fence asks for the fence of a producer.
func fence(id int64, epoch int16) messages.FenceProducer {
	return messages.FenceProducer{
		Partition: orders, Asker: 1,
		Fence: messages.ProducerFence{ProducerID: id, ProducerEpoch: epoch, Name: nameOf(id)},
	}
}

// nameOf is the name of the producer of an id.
func nameOf(id int64) string { return fmt.Sprint("feed-", id) }

// expectFenced takes what was sent, in which one fence is answered.
func (o *owner) expectFenced(want messages.ProducerFenced) {
	o.w.t.Helper()
	want.Partition, want.Asker, want.Producer.Name = orders, 1, nameOf(want.Producer.ProducerID)
	if got := sentOf[messages.ProducerFenced](o); len(got) != 1 || got[0] != want {
		o.w.t.Fatalf("%s answers %+v\nwant %+v", o.name, got, want)
	}
}

func (o *owner) expectNotFenced() {
	o.w.t.Helper()
	if got := sentOf[messages.ProducerFenced](o); len(got) != 0 {
		o.w.t.Fatalf("%s answers %+v", o.name, got)
	}
}

// fencedAt is the answer to a fence, with the last sequence in the log.
func fencedAt(id int64, epoch int16, last int32) messages.ProducerFenced {
	return messages.ProducerFenced{Fence: epoch, Producer: messages.KnownProducer{
		ProducerFence: messages.ProducerFence{ProducerID: id, ProducerEpoch: epoch}, HasLast: true, Last: last,
	}}
}

// fencedNew is the answer to the fence of a producer that was not known.
func fencedNew(id int64, epoch int16) messages.ProducerFenced {
	return messages.ProducerFenced{Fence: epoch, Producer: messages.KnownProducer{
		ProducerFence: messages.ProducerFence{ProducerID: id, ProducerEpoch: epoch},
	}}
}

// fences returns the fences of the log with the batches before each.
func (w *world) fences() (epochs []int16, batches []int) {
	before := 0
	for _, e := range w.log {
		before += len(e.Entry.Batches)
		for _, f := range e.Entry.Fences {
			epochs, batches = append(epochs, f.ProducerEpoch), append(batches, before)
		}
	}
	return epochs, batches
}

func (w *world) expectFences(epochs []int16, batches []int) {
	w.t.Helper()
	if e, b := w.fences(); !slices.Equal(e, epochs) || !slices.Equal(b, batches) {
		w.t.Fatalf("the log has fences of the epochs %v behind %v batches, want %v behind %v", e, b, epochs, batches)
	}
}

func TestFenceIsAnsweredOnceItIsInTheLog(t *testing.T) {
	w, o := newLeader(t)
	o.step(fence(7, 0))
	o.expectNotFenced()
	o.settle()
	o.expectFenced(fencedNew(7, 0))
	w.expectFences([]int16{0}, []int{0})
}

func TestFenceAnswerIncludesEarlierBatches(t *testing.T) {
	w, o := newLeader(t)
	o.step(release(of(7, 1, 0)))
	o.step(release(of(7, 2, 1)), fence(7, 1)) // behind an append that is under way
	o.settle()
	o.expectFenced(fencedAt(7, 1, 1))
	w.expectFences([]int16{1}, []int{2})
}

func TestOlderEpochIsRefusedBehindAFence(t *testing.T) {
	w, o := newLeader(t)
	o.commit(of(7, 1, 0))
	o.step(fence(7, 1), release(of(7, 2, 1)))
	o.take()
	o.settle()
	o.expectCode("i:7", 2, protocol.CodeInvalidEpoch)
	o.commit(inEpoch(1, of(7, 3, 1)))
	o.expect(ok("i:7", 3, 1))
	w.end()
}

func TestRefusalForAFenceThatIsLostIsForgotten(t *testing.T) {
	_, o := newLeader(t)
	o.commit(of(7, 1, 0))
	o.take()
	o.step(fence(7, 1), release(of(7, 2, 1)))
	o.loseAppend()
	o.settle()
	o.expect()
	o.commit(of(7, 2, 1))
	o.expect(ok("i:7", 2, 1))
}

func TestRepeatedFenceIsAnsweredAgain(t *testing.T) {
	w, o := newLeader(t)
	o.step(fence(7, 2))
	o.step(fence(7, 2)) // in flight: one answer is on its way
	o.settle()
	o.expectFenced(fencedNew(7, 2))
	o.step(fence(7, 2))
	o.expectFenced(fencedNew(7, 2)) // not known before, as the lost answer said
	if o.append != nil {
		t.Error("a fence is appended twice")
	}
	w.expectFences([]int16{2}, []int{0})
}

func TestFenceBelowTheKnownEpochIsRefused(t *testing.T) {
	_, o := newLeader(t)
	o.step(fence(7, 2))
	o.settle()
	o.take()
	o.step(fence(7, 1))
	want := fencedNew(7, 2)
	want.Fence, want.Code = 1, protocol.CodeInvalidEpoch
	o.expectFenced(want)
}

func TestFenceAfterFailedAppendIsAccepted(t *testing.T) {
	w, o := newLeader(t)
	o.step(release(of(7, 1, 0)), fence(7, 1))
	o.loseAppend()
	o.settle()
	o.expectNotFenced()
	o.step(fence(7, 1))
	o.settle()
	o.expectFenced(fencedNew(7, 1)) // the batch is lost too
	w.expectFences([]int16{1}, []int{0})
}

func TestFenceWhoseAckIsLostIsFoundInTheLog(t *testing.T) {
	w, o := newLeader(t)
	o.step(release(of(7, 1, 0)), fence(7, 1))
	o.loseAck()
	o.settle()
	o.expectNotFenced()
	o.step(fence(7, 1))
	o.expectFenced(fencedAt(7, 1, 0))
	w.expectFences([]int16{1}, []int{1})
}

func TestBatchAfterFenceGoesToLaterEntry(t *testing.T) {
	w, o := newLeader(t)
	o.commit(of(7, 1, 0))
	o.step(release(batch("a", 1)), fence(7, 1), release(inEpoch(1, of(7, 2, 1))), fence(8, 0))
	o.settle()
	w.expectFences([]int16{1, 0}, []int{2, 3})
	w.expectSizes(1, 1, 1)
	w.end()
}

func TestFencesAreKnownToTheNextOwner(t *testing.T) {
	w, o := newLeader(t)
	o.commit(of(7, 1, 0))
	o.step(fence(7, 3), fence(8, 1))
	o.settle()
	next := w.leader("second")
	next.step(fence(7, 3))
	next.expectFenced(fencedAt(7, 3, 0))
	next.step(fence(8, 1))
	next.expectFenced(fencedNew(8, 1))
	next.commit(inEpoch(2, of(7, 2, 1)))
	next.expectCode("i:7", 2, protocol.CodeInvalidEpoch)
	next.commit(inEpoch(3, of(7, 3, 1)))
	w.expectNumbers("i:7", 1, 3)
}

// A fence tells the next owner, which counts less time, that what the log has of the
// producer does not count any more.
func TestFenceOfEvictedProducerSurvivesTakeover(t *testing.T) {
	w, o := newLeader(t)
	for first := range int32(4) {
		o.commit(of(7, uint64(first)+1, first))
	}
	for range 30 {
		w.pass(time.Hour)
		o.step()
	}
	o.take()
	o.step(fence(7, 1))
	o.settle()
	o.expectFenced(fencedNew(7, 1))

	next := w.leader("second")
	next.step(fence(7, 1))
	next.expectFenced(fencedNew(7, 1))
	next.commit(inEpoch(1, of(7, 5, 0)))
	next.expect(ok("i:7", 5, 4)) // no duplicate of the one at offset 0
}

func TestFenceOfANewProducerIsRefusedAtTheLimit(t *testing.T) {
	w := newWorld(t)
	w.settings.MaxProducers = 1
	o := w.leader("first")
	o.commit(of(7, 1, 0))
	o.take()
	o.step(fence(8, 1))
	want := fencedNew(8, 1)
	want.Code = protocol.CodeTooManyProducers
	o.expectFenced(want)
}

func TestManyFencesAreSpreadOverEntries(t *testing.T) {
	w := newWorld(t)
	w.settings.EntryBytes = 200
	o := w.leader("first")
	for id := range int64(50) {
		o.step(fence(id+1, 0))
	}
	o.settle()
	epochs, _ := w.fences()
	if entries := o.core.Stats().Entries; len(epochs) != 50 || entries < 5 {
		t.Errorf("%d fences in %d entries", len(epochs), entries)
	}
}

func TestIfKnownFenceOfUnknownProducerChangesNothing(t *testing.T) {
	w, o := newLeader(t)
	want := fencedNew(7, 1)
	want.Code = protocol.CodePositionExpired
	ifKnown := fence(7, 1)
	ifKnown.IfKnown = true
	for range 3 { // a repeated request gets the same answer
		o.step(ifKnown)
		o.settle()
		o.expectFenced(want)
	}
	w.expectFences(nil, nil)
	o.commit(of(7, 1, 0))
	o.take()
	o.step(ifKnown)
	o.settle()
	o.expectFenced(fencedAt(7, 1, 0))
}

func TestNameHistorySurvivesTakeover(t *testing.T) {
	w, o := newLeader(t)
	o.step(fence(7, 1))
	o.commit(inEpoch(1, of(7, 1, 0)))
	o.take()
	other := fence(8, 0)
	other.Fence.Name = nameOf(7)
	want := fencedAt(8, 0, 0)
	want.Partition, want.Asker, want.Producer.Name = orders, 1, nameOf(7)
	ask := func(o *owner) {
		o.step(other)
		o.settle()
		if got := sentOf[messages.ProducerFenced](o); len(got) != 1 || got[0] != want {
			t.Fatalf("%s answers %+v\nwant %+v", o.name, got, want)
		}
		w.expectFences([]int16{1, 0}, []int{0, 1})
	}
	ask(o)
	ask(w.leader("second"))
}
