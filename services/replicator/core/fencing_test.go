package core_test

import (
	"testing"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/services/replicator/core"
)

func TestOldOwnerStopsAfterLosingAppend(t *testing.T) {
	w, old := newLeader(t)
	old.commit(batch("a", 1))
	old.take()

	young := w.start("second")
	young.answerRead()
	old.step(release(batch("a", 2))) // both expect the same place now
	if old.append.Expected != young.append.Expected {
		t.Fatalf("the owners expect %d and %d", old.append.Expected, young.append.Expected)
	}
	young.ack()
	old.ack()
	old.settle()

	old.expectStopped()
	if old.fenced != w.started {
		t.Errorf("the old owner is fenced by the epoch %d, want %d", old.fenced, w.started)
	}
	if old.core.Stats().Leading {
		t.Error("the stopped owner counts as leading")
	}
	young.take()
	young.commit(batch("a", 2))
	young.expect(ok("a", 2, 2))
	w.expectNumbers("a", 1, 2)
}

func TestClaimThatLosesRaceIsRepeated(t *testing.T) {
	w, old := newLeader(t)
	young := w.start("second")
	young.answerRead()
	old.commit(batch("a", 1))
	young.ack()
	young.settle()
	young.take()

	old.commit(batch("a", 2))
	old.take()
	if old.fenced == 0 {
		t.Fatal("the old owner continues")
	}
	young.commit(batches("a", 1, 2)...)
	young.expect(ok("a", 1, 0), ok("a", 2, 2))
	w.expectNumbers("a", 1, 2)
}

func TestStoppedOwnerStaysSilent(t *testing.T) {
	w, old := newLeader(t)
	w.leader("second")
	old.step(release(batch("a", 1)))
	old.settle()
	old.expectStopped()
	w.pass(time.Hour)
	old.step(release(batch("a", 1)), release(batch("a", 2)))
	old.step()
	old.expectStopped()
}

func TestLostAckGivesOffsetOnce(t *testing.T) {
	w, o := newLeader(t)
	o.step(release(batches("a", 1, 2)...))
	o.step(release(batch("b", 1))) // waits behind the append
	o.loseAck()
	o.settle()
	o.expect() // the log knows; the sequencer is asked to release again
	o.step(release(batches("a", 1, 2)...), release(batch("b", 1)))
	o.settle()
	o.expect(ok("a", 1, 0), ok("a", 2, 2), ok("b", 1, 5))
	w.expectNumbers("a", 1, 2)
	w.expectNumbers("b", 1)
	w.end()
}

func TestLostAppendIsAppendedOnce(t *testing.T) {
	w, o := newLeader(t)
	o.step(release(batches("a", 1, 2)...))
	o.loseAppend()
	o.settle()
	o.expect()
	o.commit(batches("a", 1, 2)...)
	o.expect(ok("a", 1, 0), ok("a", 2, 2))
	w.expectNumbers("a", 1, 2)
}

func TestDelayedAppendOfOldTermFails(t *testing.T) {
	w, o := newLeader(t)
	o.step(release(batch("a", 1)))
	late := o.loseAppend()
	o.settle()
	if _, landed := w.land(late); landed {
		t.Fatal("the late append landed behind the term record")
	}
	o.commit(batch("a", 1))
	w.expectNumbers("a", 1)
}

func TestAppendBetweenReadAndClaimIsFound(t *testing.T) {
	w, o := newLeader(t)
	o.step(release(batch("a", 1)))
	late := o.loseAppend()
	o.answerRead() // not there yet; the term record is under way
	if _, landed := w.land(late); !landed {
		t.Fatal("nothing should be in the way of the late append")
	}
	o.settle()
	o.take()
	o.commit(batch("a", 1))
	o.expect(ok("a", 1, 0))
	w.expectNumbers("a", 1)
}

func TestDelayedAppendOfOldOwnerFails(t *testing.T) {
	w, old := newLeader(t)
	old.step(release(batch("a", 1)))
	late := old.takeAppend()
	young := w.leader("second")
	if _, landed := w.land(late); landed {
		t.Fatal("the old owner's append landed behind the new owner's term")
	}
	young.commit(batch("a", 1))
	young.expect(ok("a", 1, 0))
	old.step(core.AppendFailed{})
	old.settle()
	old.expectStopped()
	w.expectNumbers("a", 1)
}

func TestOlderOwnerWithUnacknowledgedClaimStops(t *testing.T) {
	w := newWorld(t)
	old := w.start("first")
	old.answerRead()
	late := old.takeAppend()
	if _, landed := w.land(late); !landed {
		t.Fatal("the claim should land")
	}
	young := w.leader("second")
	old.step(core.AppendFailed{})
	old.settle()
	old.expectStopped()
	young.commit(batch("a", 1))
	young.expect(ok("a", 1, 0))
}

func TestOwnerContinuesAfterUnacknowledgedClaim(t *testing.T) {
	w := newWorld(t)
	o := w.start("first")
	o.answerRead()
	o.loseAck()
	o.settle()
	o.take()
	o.commit(batch("a", 1))
	o.expect(ok("a", 1, 0))
}

func TestReplacedOwnerMayStartAgain(t *testing.T) {
	w, _ := newLeader(t)
	w.leader("second")
	again := w.leader("first")
	again.commit(batch("a", 1))
	again.expect(ok("a", 1, 0))
}

func TestStaleFrontendEpochIsDropped(t *testing.T) {
	w, o := newLeader(t)
	young := release(batch("a", 1))
	young.Epoch = 2
	o.step(young)
	o.settle()
	o.take()
	o.commit(batch("a", 1), batch("a", 2))
	o.expect()
	w.expectNumbers("a", 1)

	// By a new owner and a new sequencer that never heard of the newer frontend.
	next := w.leader("second")
	old := release(batch("a", 2))
	old.SequencerEpoch = 5
	next.step(old)
	next.settle()
	next.expect()
	w.expectNumbers("a", 1)
}

func TestNewFrontendEpochEndsLanes(t *testing.T) {
	w, o := newLeader(t)
	o.step(release(batches("a", 1, 3)...))
	young := release(batches("a", 1, 2)...)
	young.Epoch = 2
	o.step(young) // while the old one's are in flight
	o.settle()
	o.take()
	w.expectNumbers("a", 1, 2, 3, 1, 2)
	w.end()

	o.step(young)
	o.settle()
	o.expect(answer{id: ticket{2, "a", 1}, offset: 6}, answer{id: ticket{2, "a", 2}, offset: 8})
}

// ofFrontend returns a release of another frontend epoch.
func ofFrontend(epoch uint64, all ...messages.StagedBatch) messages.Release {
	m := release(all...)
	m.Epoch = epoch
	return m
}

func TestFlightOfOldFrontendIsNotOfNewLane(t *testing.T) {
	w, o := newLeader(t)
	o.step(release(batches("a", 1, 3)...))
	o.step(ofFrontend(2, batches("a", 1, 2)...))
	o.ack() // of the old frontend's
	o.take()
	o.step(ofFrontend(2, batches("a", 1, 2)...))
	o.expect() // they are in flight themselves
	o.settle()
	w.expectNumbers("a", 1, 2, 3, 1, 2)
}

func TestReplayedBatchOfOldFrontendLeavesNoFloor(t *testing.T) {
	w, o := newLeader(t)
	o.step(release(batch("a", 9)))
	o.step(ofFrontend(2, batch("b", 1)))
	o.loseAck()
	o.settle()
	o.step(ofFrontend(2, batch("a", 1)))
	o.settle()
	w.expectNumbers("a", 9, 1)
}

func TestStaleFrontendReceivesFenced(t *testing.T) {
	w, o := newLeader(t)
	o.step(ofFrontend(2, batch("a", 1)))
	o.settle()
	o.take()
	o.step(ofFrontend(1, batch("a", 2)), ofFrontend(1, batch("a", 3)))
	o.settle()
	w.expectNumbers("a", 1)
	told := o.take()
	if len(told) != 1 || told[0] != (messages.Fenced{Partition: orders, Epoch: 2}) {
		t.Errorf("the old frontend is told %+v, want the epoch that fences it", told)
	}
	o.step(ofFrontend(1)) // it says hello for a sequencer that serves no frontend yet
	if told = o.take(); len(told) != 0 {
		t.Errorf("the old frontend is told %+v without having released anything", told)
	}
}

func TestStaleSequencerEpochIsDropped(t *testing.T) {
	w, o := newLeader(t)
	young := release(batch("a", 1))
	young.SequencerEpoch = 2
	o.step(young)
	o.settle()
	o.take()
	o.commit(batch("a", 2))
	w.expectNumbers("a", 1)
	told := o.take()
	if len(told) != 1 || told[0] != (messages.Fenced{Partition: orders, Epoch: 2}) {
		t.Errorf("the old sequencer is told %+v, want the epoch that fences it", told)
	}
	o.step()
	if told = o.take(); len(told) != 0 {
		t.Errorf("the old sequencer is told again: %+v", told)
	}

	next := w.leader("second")
	next.commit(batch("a", 2))
	next.expect()
	w.expectNumbers("a", 1)
}

func TestSequencerEpochCountsWithStaleFrontend(t *testing.T) {
	w, o := newLeader(t)
	frontend := release(batch("a", 1))
	frontend.Epoch = 2
	o.step(frontend)
	o.settle()
	late := release(batch("b", 1))
	late.SequencerEpoch = 2 // of frontend 1: dropped, and yet its sequencer is the newest
	o.step(late)
	frontend.Batches = []messages.StagedBatch{batch("a", 2)}
	o.step(frontend)
	o.settle()
	w.expectNumbers("a", 1)
	w.expectNumbers("b")
}

func TestReleaseOfOtherIncarnationIsDropped(t *testing.T) {
	w, o := newLeader(t)
	other := release(batch("a", 1))
	other.Partition.TopicID++
	other.SequencerEpoch, other.Epoch = 9, 9
	o.step(other)
	if o.append != nil {
		t.Fatal("the other topic's batch is appended")
	}
	o.commit(batch("a", 1)) // and its epochs fence no one
	w.expectNumbers("a", 1)
}
