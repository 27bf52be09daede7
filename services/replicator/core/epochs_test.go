package core_test

import (
	"testing"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/services/replicator/core"
)

// term writes the term record of an owner that is no core of this test.
func (w *world) term(owner string, epoch uint64) {
	w.put(messages.Entry{TopicID: orders.TopicID, Owner: owner, OwnerEpoch: epoch, BaseOffset: w.end(), Time: w.now.UnixNano()})
}

func TestTermRecordCarriesTheEpochOfItsOwner(t *testing.T) {
	w := newWorld(t)
	w.started = 6
	w.leader("first")
	if e := w.log[1].Entry; e.Owner != "first" || e.OwnerEpoch != 7 {
		t.Errorf("the term record is %+v", e)
	}
}

func TestYoungerOwnerClaimsLogBack(t *testing.T) {
	w := newWorld(t)
	w.started = 6
	young := w.leader("young")
	young.commit(batch("a", 1))
	young.take()
	w.term("old", 6) // it was frozen, and has not seen the term of the younger one
	young.step(release(batch("a", 2)))
	young.settle()
	young.take()
	young.commit(batch("a", 2))
	young.expect(ok("a", 2, 2))
	if e := w.log[len(w.log)-2].Entry; e.Owner != "young" || young.fenced != 0 {
		t.Errorf("the younger owner has not claimed the log again: %+v", e)
	}
	w.expectNumbers("a", 1, 2)
}

func TestOlderOwnerIsFencedByTermRecord(t *testing.T) {
	w := newWorld(t)
	w.term("young", 7)
	old := w.start("old") // of epoch 1, and it has never had this log
	old.settle()
	old.expectStopped()
	if old.fenced != 7 || len(w.log) != 2 {
		t.Errorf("fenced by %d, and the log has %d entries", old.fenced, len(w.log))
	}
}

func TestOlderOwnerIsFencedBySnapshot(t *testing.T) {
	w := newWorld(t)
	w.settings.SnapshotEvery = 3
	w.started = 6
	w.leader("young").commit(batch("a", 1)) // behind its term record
	if last := w.log[len(w.log)-1]; w.snapshots[last.Sequence] == nil || last.Entry.Owner != "" {
		t.Fatalf("no snapshot ends behind the term record, the last entry is %+v", last)
	}
	w.started = 1
	entries := len(w.log)
	old := w.start("old")
	old.settle()
	old.expectStopped()
	if old.fenced != 7 || len(w.log) != entries {
		t.Errorf("fenced by %d, and the log has %d entries, want %d", old.fenced, len(w.log), entries)
	}
}

func TestEqualEpochOfOtherOwnerFences(t *testing.T) {
	w := newWorld(t)
	w.started = 6
	o := w.leader("one")
	w.term("other", 7)
	o.step(release(batch("a", 1)))
	o.settle()
	o.expectStopped()
	if o.fenced != 7 {
		t.Fatalf("fenced by %d, want 7", o.fenced)
	}
	again := w.leader("one") // with the next epoch
	again.commit(batch("a", 1))
	again.expect(ok("a", 1, 0))
}

func TestOwnerIsNotFencedByItsOwnEarlierTerms(t *testing.T) {
	w := newWorld(t)
	w.started = 6
	w.term("one", 7)
	o := w.leader("one")
	o.commit(batch("a", 1))
	o.expect(ok("a", 1, 0))
}

// The older owner starts from a snapshot behind the younger one's term. Both find out
// by the next append which of them stays.
func TestYoungerOwnerKeepsLogHiddenBySnapshot(t *testing.T) {
	w := newWorld(t)
	w.settings.SnapshotEvery = 2
	w.started = 6
	young := w.leader("young")
	young.commit(batch("a", 1))
	young.commit(batch("a", 2))
	young.take()
	if len(w.snapshots) == 0 {
		t.Fatal("there is no snapshot")
	}
	w.started = 0
	old := w.leader("old")
	young.step(release(batch("a", 3)))
	young.settle()
	old.step(release(batch("a", 3)))
	old.settle()
	old.expectStopped()
	young.step(core.Event(release(batch("a", 3))))
	young.settle()
	w.expectNumbers("a", 1, 2, 3)
	if young.fenced != 0 {
		t.Errorf("the younger owner was fenced by %d", young.fenced)
	}
}

// fencedOwner returns an owner of epoch 1 that has found the term of an owner of epoch 7.
func fencedOwner(t *testing.T) (*world, *owner) {
	t.Helper()
	w, o := newLeader(t)
	o.commit(batch("a", 1))
	o.take()
	w.term("other", 7)
	o.step(release(batch("a", 2)))
	o.settle()
	o.expectStopped()
	if o.fenced != 7 {
		t.Fatalf("fenced by %d, want 7", o.fenced)
	}
	return w, o
}

func TestFencedOwnerStartsOverWithItsNewEpoch(t *testing.T) {
	w, o := fencedOwner(t)
	o.step(release(batch("a", 2))) // it is silent until it has an epoch
	w.pass(time.Minute)
	o.step()
	o.expectStopped()
	o.fenced = 0
	o.step(core.EpochTaken{Epoch: 8})
	o.settle()
	if e := w.log[len(w.log)-1].Entry; e.Owner != "first" || e.OwnerEpoch != 8 {
		t.Fatalf("the last entry is %+v, want a term record of epoch 8", e)
	}
	o.take()
	o.commit(batch("a", 1), batch("a", 2))
	o.expect(ok("a", 1, 0), ok("a", 2, 2))
	w.expectNumbers("a", 1, 2)
}

func TestEpochThatWasNotAskedForChangesNothing(t *testing.T) {
	_, o := newLeader(t)
	o.step(core.EpochTaken{Epoch: 8})
	if s := o.core.Stats(); !s.Leading || o.read != nil {
		t.Errorf("the owner has started over: %+v", s)
	}
}

func TestOwnerThatWaitsForAnEpochStopsAtOnce(t *testing.T) {
	_, o := fencedOwner(t)
	o.step(core.Stopping{})
	if !o.ended {
		t.Error("the owner does not stop")
	}
}
